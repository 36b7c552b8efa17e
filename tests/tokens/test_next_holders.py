"""Names of holders, and to whom a holder may hand on: what a delegation says beside its grants."""

from __future__ import annotations

from datetime import timedelta

import pytest
from biscuit_auth import BiscuitBuilder, Check

from hessra_agents import Capability, Denied, KeyPair, Trust, grant
from hessra_agents.tokens.builder import new_handle
from hessra_agents.tokens.describe import is_vouched
from hessra_agents.tokens.issue import issue
from tests.support import forge
from tests.support.world import MAIL, World

pytestmark = pytest.mark.anyio

ROOT, A, B, C, D = (KeyPair.generate() for _ in range(5))


def issued(**options: object) -> Capability:
    """A capability that A holds."""
    options = {"holder": A.public, "ttl": timedelta(hours=1), "audience": "g", **options}
    return issue("agent:desk", [grant("x", a=1)], key=ROOT, key_id=1, **options)  # type: ignore[arg-type]


def handed(capability: Capability, by: KeyPair, to: KeyPair, facts: str = "") -> Capability:
    """Hand on by hand, with these facts, as an attacker can who holds the key ``by``."""
    assert capability.holder is not None
    source = f'designation("holder", "{capability.holder.handle}"); {facts}'
    source += f' check if designation("holder", "{new_handle()}") trusting {{k}};'
    return read(capability, forge.append_signed(capability, by, source, {"k": to.public}))


def bound(capability: Capability, to: KeyPair, facts: str = "") -> Capability:
    """Bind a bearer capability by hand, as anybody can."""
    source = f'{facts} check if designation("holder", "{new_handle()}") trusting {{k}};'
    return read(capability, forge.append_source(capability, source, {"k": to.public}))


def read(capability: Capability, token: str) -> Capability:
    return Capability.parse(token, Trust({1: capability.root}))


def size(capability: Capability) -> int:
    return len(capability.biscuit.to_bytes())


# --- names


async def test_a_name_lies_below_the_name_before() -> None:
    """The subject's, and then each holder's; a delegation without a name keeps it."""
    desk = issued()
    assert desk.name == "agent:desk"
    mailer = desk.delegate(to=B.public, key=A, known_as="agent:desk:mailer")
    unnamed = mailer.delegate(to=C.public, key=B)
    deep = unnamed.delegate(to=D.public, key=C, known_as="agent:desk:mailer:eu:de")
    names = ["agent:desk:mailer", "agent:desk:mailer", "agent:desk:mailer:eu:de"]
    assert [one.name for one in (mailer, unnamed, deep)] == names
    assert {one.subject for one in (mailer, unnamed, deep)} == {"agent:desk"}
    assert read(desk, deep.token).name == "agent:desk:mailer:eu:de"
    assert deep.attenuate(ttl=timedelta(minutes=1)).name == "agent:desk:mailer:eu:de"


@pytest.mark.parametrize(
    "name",
    ["agent:ceo", "agent:desk", "agent:desk:", "agent:desk::x", "agent:desk:a b", "agent:desk:ä",
     "agent:desk:a\n",
     "agent:desk2:x", "agent:deskx", "agent:desk:a/b", "agent:desk:a:", "agent:desk:" + "a" * 65,
     "agent:desk:a:b:c:d:e", "agent:desk:\u0430", "", "mailer"],
)  # fmt: skip
async def test_a_name_that_no_guard_would_read_is_refused_at_once(name: str) -> None:
    """Not below, empty, too long, too deep, or of letters that look like others."""
    with pytest.raises(ValueError, match="name"):
        issued().delegate(to=B.public, key=A, known_as=name)


@pytest.mark.parametrize(
    "facts",
    ['known_as("a b")', 'known_as("ä")', 'known_as("")', 'known_as(":x")', 'known_as("x:")', "known_as(1)",
     'known_as("a:b:c:d:e")', f'known_as("{"a" * 65}")', 'known_as("a", "b")', 'known_as({"a"})',
     'known_as("a"); known_as("b")'],
)  # fmt: skip
async def test_a_forged_name_is_refused(facts: str) -> None:
    """By the holder who may hand on, and by anybody who binds a bearer capability."""
    with pytest.raises(Denied, match="outside_profile"):
        handed(issued(), A, B, facts + ";")
    with pytest.raises(Denied, match="outside_profile"):
        bound(issued(holder=None), B, facts + ";")


async def test_a_name_of_a_sister_cannot_even_be_written() -> None:
    """The wire has only what is added, so a holder who writes a whole name gets it below its own."""
    assert handed(issued(), A, B, 'known_as("agent:ceo");').name == "agent:desk:agent:ceo"


async def test_a_name_stands_where_a_holder_is_named_and_not_in_the_first_block() -> None:
    for facts in ('known_as("x")', "hops(1)", f'only_to({{"{C.public.data.hex()}"}})'):
        bearer, held = issued(holder=None), issued()
        tokens = [forge.append_source(one, facts) for one in (bearer, held)]
        for token in (*tokens, forge.append_signed(held, A, facts)):
            with pytest.raises(Denied, match="outside_profile"):
                read(held, token)


async def test_the_subject_has_one_name() -> None:
    """Which the first block says already."""
    builder = BiscuitBuilder("""
        right("agent:desk", "tool:x", "invoke"); known_as("ceo");
        check if resource($r), operation($o), right($s, $r, $o);
        check if time($t), $t < 4000000000;
    """)
    holder = f'check if designation("holder", "{new_handle()}") trusting {{k}}'
    builder.add_check(Check(holder, {}, {"k": A.public.for_biscuit()}))
    builder.set_root_key_id(1)
    with pytest.raises(Denied, match="outside_profile"):
        read(issued(), builder.build(ROOT.for_biscuit().private_key).to_base64())


async def test_nobody_vouches_for_a_name_that_a_bearer_takes() -> None:
    """Nor for any name below it, whoever signs it: the first holder may be a thief."""
    taken = issued(holder=None).delegate(to=A.public, known_as="agent:desk:mailer")
    below = taken.delegate(to=B.public, key=A, known_as="agent:desk:mailer:x")
    unnamed = issued(holder=None).delegate(to=A.public).delegate(to=B.public, key=A, known_as="agent:desk:y")
    given = issued().delegate(to=B.public, key=A, known_as="agent:desk:mailer")
    assert [is_vouched(one.blocks) for one in (taken, below, unnamed, given)] == [False, False, False, True]
    assert "says it is agent:desk:mailer, for which nobody vouches" in taken.describe()
    assert "known as agent:desk:mailer" in given.describe()


async def test_a_name_costs_its_length_and_a_few_bytes_and_no_name_costs_nothing() -> None:
    plain = size(issued().delegate(to=B.public, key=A))
    for added in ("a", "mailer", "b" * 60):
        name = f"agent:desk:{added}"
        assert size(issued().delegate(to=B.public, key=A, known_as=name)) - plain <= len(name) + 16


# --- last, hops, only to


async def test_the_last_holder_narrows_and_hands_on_to_nobody(world: World) -> None:
    last = world.issue(holder=A.public).delegate(to=B.public, key=A, last=True)
    narrower = last.attenuate(ttl=timedelta(minutes=1), now=world.now)
    assert await world.call(narrower, proof=world.prove(narrower, B))
    for one in (last, narrower):
        with pytest.raises(ValueError, match="may not hand it on"):
            one.delegate(to=C.public, key=B)
        for facts in ("", "hops(0);", "hops(1);"):
            with pytest.raises(Denied, match="outside_profile"):
                handed(one, B, C, facts)


async def test_hops_grow_less_with_each_holder(world: World) -> None:
    """What is omitted is counted down; more than what is left is refused, and so is a forged number."""
    two = world.issue(holder=A.public).delegate(to=B.public, key=A, hops=2)
    one = two.delegate(to=C.public, key=B)
    last = one.delegate(to=D.public, key=C)
    assert [block.hops for block in last.blocks] == [None, 2, 1, 0]
    assert await world.call(last, proof=world.prove(last, D))
    assert two.delegate(to=C.public, key=B, last=True).blocks[-1].hops == 0
    for hops in (2, 3, 15):
        with pytest.raises(ValueError, match="hops must be less than the 2"):
            two.delegate(to=C.public, key=B, hops=hops)
    holder = two.holder
    assert holder is not None
    for facts in ("", "hops(2);", "hops(3);", "hops(-1);", 'hops("0");', "hops(true);", "hops(0, 0);",
                  "hops(0); hops(1);", f'hops("{holder.handle}", 0);'):  # fmt: skip
        with pytest.raises(Denied, match="outside_profile"):
            handed(two, B, C, facts)


@pytest.mark.parametrize("hops", [-1, 16, True, 1.0, "1"])
async def test_hops_that_no_token_can_have_are_refused_at_once(hops: object) -> None:
    with pytest.raises(ValueError, match="hops must be"):
        issued().delegate(to=B.public, key=A, hops=hops)  # type: ignore[arg-type]


async def test_a_holder_hands_on_to_listed_keys_alone(world: World) -> None:
    """Not even to another key of its own."""
    only = world.issue(holder=A.public).delegate(to=B.public, key=A, only_to=[C.public])
    there = only.delegate(to=C.public, key=B)
    assert await world.call(there, proof=world.prove(there, C))
    assert await world.call(only, proof=world.prove(only, B))
    for key in (B, D):
        with pytest.raises(ValueError, match="not hand it on to this key"):
            only.delegate(to=key.public, key=B)
        with pytest.raises(Denied, match="outside_profile"):
            handed(only, B, key)
    for facts in ("only_to({,});", "only_to({1});", 'only_to({"x"});', f'only_to("{C.public.data.hex()}");',
                  f'only_to({{"{C.public.data.hex().upper()}"}});'):  # fmt: skip
        with pytest.raises(Denied, match="outside_profile"):
            handed(issued(), A, B, facts)
    for keys, error in (([], ValueError), ([C.public] * 17, ValueError), (["ed25519/x"], TypeError)):
        with pytest.raises(error, match="only_to"):
            issued().delegate(to=B.public, key=A, only_to=keys)  # type: ignore[arg-type]


async def test_one_hop_to_one_key_ends_there(world: World) -> None:
    """Together they say to whom, and that it ends with them; only_to alone bounds the next step alone."""
    once = world.issue(holder=A.public).delegate(to=B.public, key=A, hops=1, only_to=[C.public])
    there = once.delegate(to=C.public, key=B)
    with pytest.raises(ValueError, match="may not hand it on"):
        there.delegate(to=D.public, key=C)
    with pytest.raises(Denied, match="outside_profile"):
        handed(there, C, D)
    wider = world.issue(holder=A.public).delegate(to=B.public, key=A, only_to=[C.public])
    further = wider.delegate(to=C.public, key=B).delegate(to=D.public, key=C)
    assert await world.call(further, proof=world.prove(further, D))


async def test_the_issuer_may_bound_the_first_holder_and_no_bearer() -> None:
    with pytest.raises(ValueError, match="may not hand it on"):
        issued(last=True).delegate(to=B.public, key=A)
    assert issued(hops=1, only_to=[B.public]).delegate(to=B.public, key=A).blocks[-1].hops == 0
    for bound_by in ({"last": True}, {"hops": 1}, {"only_to": [B.public]}):
        with pytest.raises(ValueError, match="name its holder"):
            issued(holder=None, **bound_by)


async def test_a_bearer_who_binds_may_bound_the_holder_too() -> None:
    last = issued(holder=None).delegate(to=A.public, last=True)
    with pytest.raises(Denied, match="outside_profile"):
        handed(last, A, B)


async def test_the_words_say_what_a_holder_may_hand_on() -> None:
    text = issued(hops=2, only_to=[B.public]).delegate(to=B.public, key=A, last=True).describe()
    assert "handed on at most 2 times" in text
    assert f"handed on only to {B.public}" in text
    assert "not handed on" in text


async def test_an_idle_holder_hands_on_and_makes_no_call(world: World) -> None:
    """Whoever is handed it calls, and the idle holder does not, with a proof or in one process."""
    idle = world.issue(holder=A.public).delegate(to=B.public, key=A, idle=True, only_to=[C.public])
    with world.refuses("not_holder", "may only hand it on"):
        await world.call(idle, proof=world.prove(idle, B))
    with world.refuses("not_holder", "may only hand it on"):
        await world.guard.toolbox(idle, key=B).call("send_email", MAIL)
    narrower = idle.attenuate(ttl=timedelta(minutes=1), now=world.now)
    with world.refuses("not_holder"):
        await world.call(narrower, proof=world.prove(narrower, B))
    there = idle.delegate(to=C.public, key=B)
    assert await world.call(there, proof=world.prove(there, C))
    for key in (B, D):
        with pytest.raises(Denied, match="outside_profile"):
            handed(idle, B, key)
    assert "the holder makes no call, and only hands on" in idle.describe()


async def test_an_idle_holder_cannot_hand_on_to_itself() -> None:
    own, other = (f'"{key.public.data.hex()}"' for key in (B, C))
    for facts in ("idle(true);", f"idle(true); only_to({{{own}}});",
                  f"idle(true); only_to({{{own}, {other}}});", f"idle(false); only_to({{{other}}});",
                  f"idle(1); only_to({{{other}}});", f'idle("true"); only_to({{{other}}});'):  # fmt: skip
        with pytest.raises(Denied, match="outside_profile"):
            handed(issued(), A, B, facts)
    assert handed(issued(), A, B, f"idle(true); only_to({{{other}}});").holder
    for only_to in (None, [B.public], [B.public, C.public]):
        with pytest.raises(ValueError, match="needs only_to"):
            issued().delegate(to=B.public, key=A, idle=True, only_to=only_to)
