"""Capabilities: what is issued, narrowed, handed on and proved, and what each step refuses to make."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from hessra_agents import (
    Approval,
    Call,
    Capability,
    Denied,
    KeyPair,
    Proof,
    PublicKey,
    Trust,
    approved_by,
    grant,
    must,
)
from hessra_agents.keys.keys import _SMALL_ORDER
from tests.support.world import ANA, BO, MAIL, World

pytestmark = pytest.mark.anyio
KEY, NEXT = KeyPair.generate(), KeyPair.generate()


async def test_a_capability_is_its_text(world: World) -> None:
    """The text alone carries everything; padding is optional."""
    capability = world.issue()
    for text in (capability.token, capability.token.rstrip("=")):
        again = Capability.parse(text, world.authority.trust)
        assert again.blocks == capability.blocks
        assert again.token == capability.token
    assert capability.subject == "agent:desk"
    assert capability.tools == ("tool:send_email",)
    assert capability.expires == world.now + 600


async def test_a_repr_shows_subject_tools_and_expiry(world: World) -> None:
    """A dozen tools at most, each name cut and on one line, and never the token."""
    end = datetime.fromtimestamp(world.now + 600, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    capability = world.issue()
    assert repr(capability) == f"Capability(subject='agent:desk', tools=['send_email'], expires='{end}')"
    many = world.authority.issue(
        "agent:desk",
        *(grant(f"tool_{count:02}") for count in range(29)),
        grant("a\nb" * 80),
        ttl=timedelta(minutes=10),
        now=world.now,
    )
    shown = repr(many)
    assert shown.startswith("Capability(subject='agent:desk', tools=['a\\nba\\nb")
    assert shown.endswith(f"'tool_09', 'tool_10', and 18 more], expires='{end}')")
    assert len(shown) < 400
    assert many.token not in shown
    assert "\n" not in shown


async def test_a_capability_can_be_valid_later(world: World) -> None:
    """Before its time it is refused, thirty seconds of clock difference aside."""
    start = datetime.fromtimestamp(world.now + 100, UTC)
    capability = world.issue(not_before=start)
    with world.refuses("not_yet_valid"):
        await world.call(capability)
    world.now += 70
    assert await world.call(capability)


async def test_k_of_n_is_said_over_distinct_keys(world: World) -> None:
    """Two of three: any two approvers suffice, one alone does not, and one who votes twice is one."""
    keys = [KeyPair.generate() for _ in range(3)]
    capability = world.issue(approved_by(*(key.public for key in keys), need=2))
    call = Call.of("send_email", MAIL)
    votes = [
        capability.approve(call, key=key, ttl=timedelta(minutes=i + 1), now=world.now)[0]
        for i, key in enumerate(keys)
    ]
    (again,) = capability.approve(call, key=keys[0], ttl=timedelta(minutes=9), now=world.now)
    for few in ([], [votes[0]], [votes[2]], [votes[0], again]):
        with world.refuses("not_approved"):
            await world.call(capability, approvals=few)
    assert await world.call(capability, approvals=[votes[2].token, votes[0].token])


async def test_an_approval_is_asked_of_its_approver_alone(world: World) -> None:
    """Nobody approves what they were not asked for."""
    with pytest.raises(ValueError, match="no approval"):
        world.issue().approve(Call.of("send_email", MAIL), key=KEY)


async def test_only_the_holder_hands_on_and_proves(world: World) -> None:
    """Another key, or none, is told at once."""
    held = world.issue(holder=KEY.public)
    for key in (None, NEXT):
        with pytest.raises(ValueError, match="holder"):
            held.delegate(to=NEXT.public, key=key)
    with pytest.raises(ValueError, match="holder"):
        held.prove(Call.of("send_email", MAIL), key=NEXT, audience="mail")
    with pytest.raises(ValueError, match="holder"):
        world.issue().prove(Call.of("send_email", MAIL), key=KEY, audience="mail")


async def test_a_bearer_capability_can_be_bound_to_a_holder(world: World) -> None:
    """From then on the key is needed, and the chain goes on from it."""
    bound = world.issue().delegate(to=KEY.public)
    with world.refuses("not_holder"):
        await world.call(bound)
    assert await world.call(bound, proof=world.prove(bound, KEY))
    further = bound.delegate(grant("send_email", to=ANA), to=NEXT.public, key=KEY)
    assert await world.call(further, proof=world.prove(further, NEXT))


async def test_a_chain_may_come_back_to_its_first_holder(world: World) -> None:
    """A to B to A is honest, and still needs A's proof."""
    there = world.issue(holder=KEY.public).delegate(to=NEXT.public, key=KEY)
    back = there.delegate(to=KEY.public, key=NEXT)
    assert await world.call(back, proof=world.prove(back, KEY))
    with world.refuses("not_holder"):
        await world.call(back)


async def test_narrowing_says_something(world: World) -> None:
    """An attenuation without a condition would be a copy."""
    with pytest.raises(ValueError, match="narrows"):
        world.issue().attenuate()
    for ttl in (timedelta(0), timedelta(seconds=0.5), timedelta(days=-1)):
        with pytest.raises(ValueError, match="one second"):
            world.issue().attenuate(ttl=ttl)
    for label in ("holder", "approved"):
        with pytest.raises(ValueError, match="reserved"):
            world.issue().attenuate(designations={label: "x"})


async def test_describe_says_who_narrowed_what(world: World) -> None:
    """Each block is told in words, with its author."""
    chain = world.issue(holder=KEY.public).delegate(
        grant("send_email", to=ANA), to=NEXT.public, key=KEY, ttl=timedelta(minutes=1), now=world.now
    )
    text = chain.describe()
    for said in (
        "block 0, by the issuer",
        "to agent:desk",
        "for the guard 'mail'",
        f"one of '{ANA}', '{BO}'",
        f"block 1, delegated by {KEY.public}",
        f"held by {NEXT.public}",
        f"to: exactly '{ANA}', other arguments unchanged",
        "until 2027-01-15 08:01:00 UTC",
    ):
        assert said in text


async def test_statements_are_read_strictly(world: World) -> None:
    """A proof or an approval has one spelling."""
    held = world.issue(holder=KEY.public)
    proof = world.prove(held, KEY)
    assert Proof.parse(proof.token) == proof
    approval = Approval.make(Call.of("t", {}), ids=held.ids, handle="0" * 32, key=KEY, expires=5)
    assert Approval.parse(approval.token) == approval
    wrong = ["", "hp1.", proof.token[:-1], proof.token + "A", "HP1" + proof.token[3:], proof.token + "=", 5]
    wrong += [proof.token.replace("hp1.", "ha1."), "é"]
    for text in wrong:
        with pytest.raises(Denied) as caught:
            Proof.parse(text)  # type: ignore[arg-type]
        assert caught.value.reason == "malformed"
    with pytest.raises(Denied):
        Approval.parse("ha1." + "A" * (len(approval.token) - 4))


@pytest.mark.parametrize(
    "text", ["", "ed25519/", "ed25519/00", "ED25519/" + "0" * 64, "rsa/" + "0" * 64, 5, None]
)
async def test_a_public_key_has_one_spelling(text: Any) -> None:
    """Anything else is a clear error."""
    assert PublicKey.parse(str(KEY.public)) == KEY.public
    with pytest.raises(ValueError, match="public key"):
        PublicKey.parse(text)


@pytest.mark.parametrize("point", sorted(_SMALL_ORDER), ids=lambda point: point.hex()[:8])
async def test_a_key_that_anybody_can_sign_for_is_none(point: bytes) -> None:
    """Points of small order verify signatures that nobody made."""
    for sign in (0, 0x80):
        with pytest.raises(ValueError):
            PublicKey(point[:31] + bytes([point[31] | sign]))


async def test_trust_is_written_and_read(world: World, tmp_path: Path) -> None:
    """A guard elsewhere starts from a file of public keys."""
    path = tmp_path / "trust.json"
    world.authority.trust.save(path)
    trust = Trust.load(path)
    assert trust == world.authority.trust
    assert Capability.parse(world.issue().token, trust).subject == "agent:desk"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{",
        '{"capabilities": {}}',
        '{"capability": []}',
        '{"capability": {"x": "ed25519/00"}}',
        '{"capability": {"-1": "%s"}}',
        '{"capability": {"4294967296": "%s"}}',
        '{"capability": {"1": "%s"}, "capability": {}}',
        '{"capability": {"1": "%s"}, "identity": {"2": "%s"}}',
        '{"without_id": {"session": "%s"}}',
        '{"capability": {"1": 5}}',
        '{"capability": {"1": {"key": "%s"}}}',
        '{"capability": {"1": {"key": "%s", "authority": "x"}}}',
        '{"capability": {"1": {"key": "%s", "authority": 7}}}',
        '{"capability": {"1": {"key": "%s", "authority": "00000000000000000000000000000000", "more": 1}}}',
        '{"capability": {"1": {"key": "%s", "authority": "00000000000000000000000000000000"},'
        ' "2": {"key": "%s", "authority": "00000000000000000000000000000001"}}}',
        '{"identity": {"1": {"key": "%s", "authority": "00000000000000000000000000000000"}}}',
    ],
)
async def test_a_file_that_is_no_trust_is_refused(tmp_path: Path, text: str) -> None:
    """Unknown fields, wrong keys, one key for two kinds: nothing is trusted by accident."""
    path = tmp_path / "trust.json"
    path.write_text(text.replace("%s", str(KEY.public)))
    with pytest.raises(ValueError, match=r"trust\.json"):
        Trust.load(path)


async def test_no_key_is_tried_but_the_one_that_is_named(world: World) -> None:
    """A token's id picks one key; that another trusted key fits does not help."""
    own = world.authority.trust.capability
    (key_id, key), *_ = own.items()
    swapped = Trust({key_id: NEXT.public, key_id + 1: key})
    with pytest.raises(Denied) as caught:
        Capability.parse(world.issue().token, swapped)
    assert caught.value.reason == "bad_signature"


async def test_designations_are_met_by_the_guard_alone(world: World) -> None:
    """A label that a capability names is the guard's to state; a call cannot."""
    zoned = world.issue(designations={"zone": "eu"})
    with world.refuses("wrong_audience", "zone"):
        await world.call(zoned)
    eu = World(designations={"zone": "eu"})
    assert await eu.call(eu.issue(designations={"zone": "eu"}))
    assert await eu.call(eu.issue(designations={"zone": "eu"}).attenuate(designations={"zone": "eu"}))
    with eu.refuses("wrong_audience"):
        await eu.call(eu.issue(designations={"zone": "eu"}).attenuate(designations={"zone": "us"}))


async def test_a_guard_cannot_state_what_a_key_must(world: World) -> None:
    """A label that is asked of a key is never stated from configuration."""
    from tests.support import forge

    tenant = World(designations={"tenant": "acme"})
    capability = tenant.issue(designations={"tenant": "acme"})
    asked = forge.append_source(
        capability, 'check if designation("tenant", "acme") trusting {k}', {"k": KEY.public}
    )
    with tenant.refuses("wrong_audience"):
        await tenant.call(asked)


async def test_a_named_key_states_a_designation(world: World) -> None:
    """What a key attests in a block of its own meets the check on that key, and no other check."""
    from tests.support import forge

    asked = Capability.parse(
        forge.append_source(
            world.issue(), 'check if designation("room", "b1") trusting {k}', {"k": KEY.public}
        ),
        world.authority.trust,
    )
    with world.refuses("wrong_audience"):
        await world.call(asked)
    with world.refuses("wrong_audience"):
        await world.call(forge.append_signed(asked, NEXT, 'designation("room", "b1")'))
    with world.refuses("wrong_audience"):
        await world.call(forge.append_signed(asked, KEY, 'designation("room", "b2")'))
    assert await world.call(forge.append_signed(asked, KEY, 'designation("room", "b1")'))


async def test_operations_beside_invoke_are_objects_of_their_own(world: World) -> None:
    """A right to read a resource is none to invoke a tool."""
    assert grant("send_email", to=must.anything()).resource == "tool:send_email"
