"""A table of attacks: what is tried, and the reason for which it must be refused. No tool body ever runs.

The attacker has what an attacker may have: a bearer token, a stolen token without its key, a token of
their own as its holder, the wire, and every public key. They do not have a root key.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from biscuit_auth import BiscuitBuilder, BlockBuilder

from hessra_agents import (
    Call,
    Capability,
    Denied,
    Grant,
    KeyPair,
    Proof,
    Trust,
    approved_by,
    grant,
    limit,
    must,
)
from hessra_agents.tokens.format.blocks import read_blocks
from hessra_agents.tokens.statements import Approval
from hessra_agents.verify.verifier import Possession
from tests.support import forge
from tests.support.ledgers import memory_of
from tests.support.world import ANA, EVE, MAIL, World

pytestmark = pytest.mark.anyio

Attack = Callable[[World], Awaitable[Any]]
TABLE: list[tuple[str, str, Attack]] = []
KEY, THIEF, BOSS = (KeyPair.generate() for _ in range(3))
EVIL = {"to": EVE, "body": "hi"}
HANDLE = "0123456789abcdef" * 2
ASKS = f'check if designation("holder", "{HANDLE}") trusting {{k}}'

LEFT_OUT = 'arg_names($n), !$n.contains("amount")'
SMALL = 'arg_int("amount", $v), $v >= 1, $v <= 9'
ELSEWHERE = 'resource($r), !{"tool:pay"}.contains($r)'
CHOICE = f"check if {LEFT_OUT} or {SMALL} or {ELSEWHERE}"
CLOSED = 'check if resource("tool:pay"), arg_names($n), {"amount"}.contains($n)'
"""A choice, its parts, and the pattern that must stand beside it in a first block."""


def attack(sentence: str, reason: str) -> Callable[[Attack], Attack]:
    """Put an attack into the table."""

    def add(run: Attack) -> Attack:
        TABLE.append((sentence, reason, run))
        return run

    return add


def held(world: World) -> Capability:
    """A capability that KEY holds."""
    return world.issue(holder=KEY.public)


def handle(capability: Capability, block: int = -1) -> str:
    """The handle under which a block asks for its holder."""
    holder = capability.blocks[block].holder
    assert holder is not None
    return holder.handle


def replaced(token: str, index: int, field: int, value: int | bytes) -> str:
    """The token with one field of one signed block changed."""
    signed, rest = forge.blocks(token)
    fields = [(n, value if n == field else v) for n, v in forge.read(signed[index])]
    signed[index] = forge.write(*fields)
    return forge.build(signed, rest)


# --- the token's chain


@attack("a token of another authority", "bad_signature")
async def _(world: World) -> None:
    await world.call(World().issue(), arguments=MAIL)


@attack("a token of another authority with our key id written in", "bad_signature")
async def _(world: World) -> None:
    other = World().issue()
    signed, rest = forge.blocks(other)
    own = dict(forge.blocks(world.issue())[1])[1]
    await world.call(forge.build(signed, [(1, own), *[f for f in rest if f[0] != 1]]))


@attack("a token with an unknown key id", "unknown_root")
async def _(world: World) -> None:
    signed, rest = forge.blocks(world.issue())
    await world.call(forge.build(signed, [(1, 4_000_000_000), *[f for f in rest if f[0] != 1]]))


@attack("a token with its key id taken out", "unknown_root")
async def _(world: World) -> None:
    signed, rest = forge.blocks(world.issue())
    await world.call(forge.build(signed, [f for f in rest if f[0] != 1]))


@attack("one bit of the first block's signature flipped", "bad_signature")
async def _(world: World) -> None:
    token = world.issue().token
    signature = bytearray(dict(forge.read(forge.blocks(token)[0][0]))[3])
    signature[5] ^= 1
    await world.call(replaced(token, 0, 3, bytes(signature)))


@attack("the recipient in the first block rewritten", "bad_signature")
async def _(world: World) -> None:
    token = world.issue(grant("send_email", to=ANA, body=must.anything())).token
    content = bytes(dict(forge.read(forge.blocks(token)[0][0]))[1])
    await world.call(replaced(token, 0, 1, content.replace(b"ana@acme.com", b"eve@acme.com")))


@attack("the narrowing block stripped off", "bad_signature")
async def _(world: World) -> None:
    narrow = world.issue().attenuate(grant("send_email", to=ANA), now=world.now)
    signed, rest = forge.blocks(narrow)
    await world.call(forge.build(signed[:1], rest), arguments=EVIL)


@attack("two narrowing blocks swapped", "bad_signature")
async def _(world: World) -> None:
    twice = world.issue().attenuate(grant("send_email", to=ANA)).attenuate(grant("send_email", body="hi"))
    signed, rest = forge.blocks(twice)
    await world.call(forge.build([signed[0], signed[2], signed[1]], rest))


@attack("a middle block dropped", "bad_signature")
async def _(world: World) -> None:
    twice = world.issue().attenuate(grant("send_email", to="x")).attenuate(grant("send_email", body="hi"))
    signed, rest = forge.blocks(twice)
    await world.call(forge.build([signed[0], signed[2]], rest))


@attack("a wide first block spliced before another token's blocks", "bad_signature")
async def _(world: World) -> None:
    wide = world.issue(grant("send_email", to=must.anything(), body=must.anything()))
    narrow = world.issue().attenuate(grant("send_email", to=ANA))
    await world.call(
        forge.build([forge.blocks(wide)[0][0], forge.blocks(narrow)[0][1]], forge.blocks(narrow)[1]),
        arguments=EVIL,
    )


@attack("a delegation moved to a wider token of the same holder", "bad_signature")
async def _(world: World) -> None:
    narrow = held(world).delegate(to=THIEF.public, key=KEY)
    wide = world.issue(grant("send_email", to=must.anything(), body=must.anything()), holder=KEY.public)
    signed = [forge.blocks(wide)[0][0], forge.blocks(narrow)[0][1]]
    await world.call(forge.build(signed, forge.blocks(narrow)[1]), arguments=EVIL)


@attack("an identity token as a capability", "unknown_root")
async def _(world: World) -> None:
    kind, pair = world.authority.signer("identity")
    source = 'subject("agent:desk"); check if time($t), $t < 1900000000;'
    await world.call(_signed_by(pair, source, kind))


@attack("a context token under the capability's own key", "outside_profile")
async def _(world: World) -> None:
    key_id, pair = world.authority.signer("capability")
    source = 'context("agent:desk"); check if time($t), $t < 1900000000;'
    await world.call(_signed_by(pair, source, key_id))


@attack("a first block that names rights and no check of them", "outside_profile")
async def _(world: World) -> None:
    key_id, pair = world.authority.signer("capability")
    source = 'right("a", "tool:send_email", "invoke"); check if time($t), $t < 1900000000;'
    await world.call(_signed_by(pair, source, key_id))


@attack("a capability that never expires", "outside_profile")
async def _(world: World) -> None:
    key_id, pair = world.authority.signer("capability")
    source = 'right("a", "tool:now", "invoke"); check if resource($r), operation($o), right($s, $r, $o);'
    await world.call(_signed_by(pair, source + ' check if designation("anchor", "mail")', key_id), "now", {})


@attack("a capability without patterns, called with arguments", "unnamed_argument")
async def _(world: World) -> None:
    key_id, pair = world.authority.signer("capability")
    source = (
        'right("a", "tool:send_email", "invoke"); check if resource($r), operation($o), right($s, $r, $o);'
        ' check if time($t), $t < 1900000000; check if designation("anchor", "mail")'
    )
    await world.call(_signed_by(pair, source, key_id))


@attack("a choice beside no pattern, which would leave argument names open", "outside_profile")
async def _(world: World) -> None:
    await world.call(_with_checks(world, CHOICE), "pay", {})


@attack("a choice beside no pattern, which lists the argument names", "outside_profile")
async def _(world: World) -> None:
    names = 'arg_names($n), {"amount"}.contains($n)'
    await world.call(_with_checks(world, f"check if {names} or {ELSEWHERE}"), "pay", {})


@attack("a choice about an object without a right", "outside_profile")
async def _(world: World) -> None:
    both = ELSEWHERE.replace("}", ', "tool:now"}')
    await world.call(_with_checks(world, CLOSED, f"check if {SMALL} or {both}"), "pay", {"amount": 5})


@attack("a choice that lists the argument names, beside a branch that does not", "outside_profile")
async def _(world: World) -> None:
    names = 'arg_names($n), {"amount"}.contains($n)'
    checks = ('check if resource("tool:pay")', f"check if {names} or {ELSEWHERE}")
    await world.call(_with_checks(world, *checks), "pay", {"amount": 5})


@attack("a value that is out of one bound of a choice", "constraint")
async def _(world: World) -> None:
    await world.call(_with_checks(world, CLOSED, CHOICE), "pay", {"amount": 50})


@attack("a value of another type than a choice takes", "constraint")
async def _(world: World) -> None:
    await world.call(_with_checks(world, CLOSED, CHOICE), "pay", {"amount": "5"})


@attack("an argument that only a choice names", "unnamed_argument")
async def _(world: World) -> None:
    choice = 'check if arg_names($n), !$n.contains("fee") or arg_int("fee", 0)'
    await world.call(_with_checks(world, CLOSED, f"{choice} or {ELSEWHERE}"), "pay", {"amount": 5, "fee": 0})


def _with_checks(world: World, *checks: str) -> str:
    """A capability for one tool whose first block has these checks beside those that it must have."""
    key_id, pair = world.authority.signer("capability")
    source = (
        'right("a", "tool:pay", "invoke")',
        "check if resource($r), operation($o), right($s, $r, $o)",
        "check if time($t), $t < 1900000000",
        'check if designation("anchor", "mail")',
        *checks,
    )
    return _signed_by(pair, ";".join(source), key_id)


def _signed_by(pair: KeyPair, source: str, key_id: int) -> str:
    builder = BiscuitBuilder(source)
    builder.set_root_key_id(key_id)
    return builder.build(pair.for_biscuit().private_key).to_base64()


# --- blocks that try to widen: (sentence, Datalog of an appended block)

WIDENING = [
    ("an appended right", 'right("agent:desk", "tool:read_file", "invoke")'),
    ("an appended rule for a right", 'right("a", $r, "invoke") <- resource($r)'),
    ("an appended fact about an argument", f'arg_str("to", "{ANA}")'),
    ("an appended fact about the argument names", 'arg_names({"to", "body"})'),
    ("an appended time in the past", "time(5)"),
    ("an appended operation", 'operation("read")'),
    ("an appended audience", 'designation("anchor", "mail")'),
    ("an appended holder fact, signed by nobody", f'designation("holder", "{HANDLE}")'),
    ("an appended activation, signed by nobody", "activation(5)"),
    ("an appended check that trusts the previous blocks", 'check if resource("tool:x") trusting previous'),
    ("reject if", 'reject if resource("tool:read_file")'),
    ("check all", "check all time($t), $t < 1900000000"),
    ("a check that is always true", "check if true"),
    ("a regular expression", 'check if resource("tool:send_email"), arg_str("to", $t), $t.matches(".*")'),
    ("an unknown predicate", 'check if user("eve")'),
    ("an argument's name as a variable", 'check if resource("tool:send_email"), arg_str($k, $v)'),
    (
        "a join of one variable over two facts",
        'check if resource("tool:x"), arg_str("a", $v), arg_str("b", $v)',
    ),
    ("a join over ten facts", "check if " + ", ".join(f"arg_str($k{i}, $v{i})" for i in range(10))),
    ("arithmetic", 'check if resource("tool:pay"), arg_int("amount", $a), $a + 1 < 5'),
    ("a foreign function", 'check if resource("tool:x"), arg_int("a", $a), $a.extern::f(1)'),
    ("a check of the right in a later block", "check if resource($r), operation($o), right($s, $r, $o)"),
    ("an or of two times", "check if time($t), $t < 5 or time($u), $u < 1900000000"),
    ("an or of a time and a pattern", 'check if time($t), $t < 1900000000 or resource("tool:send_email")'),
    ("two tests joined by ||", 'check if resource("tool:x"), arg_int("a", $a), $a < 1 || $a > 5'),
    ("a date for a time", "check if time($t), $t < 2030-01-01T00:00:00Z"),
    ("a handle that is no handle", 'check if designation("holder", "short") trusting {k}'),
    (
        "one handle for a holder and an approval by its key",
        f'check if designation("holder", "{HANDLE}") trusting {{k}};'
        f'check if designation("approved", "{HANDLE}") trusting {{k}}',
    ),
    ("a holder asked of no key", f'check if designation("holder", "{HANDLE}")'),
    ("an approval asked of no key", f'check if designation("approved", "{HANDLE}")'),
    ("an audience asked of a key", 'check if designation("anchor", "mail") trusting {k}'),
    ("a pattern that trusts a key", 'check if resource("tool:send_email") trusting {k}'),
    ("one check that trusts two keys", f'check if designation("x", "{HANDLE}") trusting {{k}}, {{l}}'),
    (
        "a string where a number is compared",
        'check if resource("tool:pay"), arg_int("amount", $a), $a <= "9"',
    ),
    ("a number of no unit", 'check if resource("tool:x"), arg_number("a", $l, $h), $l >= 0'),
    ("a number of ten places", 'check if resource("tool:x"), arg_number("a", 10, $l, $h), $l >= 0'),
    ("a number of minus one places", 'check if resource("tool:x"), arg_number("a", -1, $l, $h), $l >= 0'),
    ("a number of any places", 'check if resource("tool:x"), arg_number("a", $s, $l, $h), $l >= 0'),
    ("a number of places in a string", 'check if resource("tool:x"), arg_fixed("a", "2", $v), $v >= 0'),
    ("a number of true places", 'check if resource("tool:x"), arg_fixed("a", true, $v), $v >= 0'),
    ("a number rounded up and down alike", 'check if resource("tool:x"), arg_number("a", 2, $v, $v)'),
    ("a date of some places", 'check if resource("tool:x"), arg_date("a", 2, $d), $d >= 0'),
    ("a date compared with a string", 'check if resource("tool:x"), arg_date("a", $d), $d >= "2026-01-01"'),
    ("a moment without its end", 'check if resource("tool:x"), arg_instant("a", $l), $l >= 0'),
    ("a sum of ten places", f'check if limit("{HANDLE}", "sum/10:amount", 5)'),
    ("a sum of no place", f'check if limit("{HANDLE}", "sum/0:amount", 5)'),
    ("a pattern with a group", 'check if resource("tool:x"), arg_matches("a", "(a|b)")'),
    ("a pattern without an end", 'check if resource("tool:x"), arg_matches("a", "[a-z]+")'),
    ("a pattern of two readings", 'check if resource("tool:x"), arg_matches("a", "[a-z]{0,9}[a-z]{0,9}!")'),
    ("a pattern from the call", 'check if resource("tool:x"), arg_str("b", $p), arg_matches("a", $p)'),
    ("a pattern of any string", 'check if resource("tool:x"), arg_matches("a", $p)'),
    ("a pattern with a value", 'check if resource("tool:x"), arg_matches("a", "a", $v)'),
    ("a pattern of many places", 'check if resource("tool:x"), arg_matches("/a/~*", "a")'),
    ("the same as a place of many", 'check if resource("tool:x"), arg_same("a", "/b/~*")'),
    ("the same as all arguments", 'check if resource("tool:x"), arg_same("a", "")'),
    ("the same as a number", 'check if resource("tool:x"), arg_same("a", 1)'),
    ("a part of a number", 'check if resource("tool:x"), arg_int("a", $v), $v.contains("1")'),
    ("a string that is not in a number", 'check if resource("tool:x"), arg_str("a", $v), !{1}.contains($v)'),
    ("names that are not some set", 'check if resource("tool:x"), arg_names($n), !{"a"}.contains($n)'),
    ("a null", 'check if resource("tool:x"), arg_null("a", null)'),
    ("an array", 'check if resource("tool:x"), arg_strs("a", $a), ["x"].contains($a)'),
    ("a choice that is about no object", f"check if {LEFT_OUT} or {SMALL}"),
    ("a choice that begins with its objects", f"check if {ELSEWHERE} or {SMALL}"),
    ("a choice of nothing but its objects", f"check if {ELSEWHERE}"),
    ("a choice that names its objects twice", f"check if {SMALL} or {ELSEWHERE} or {ELSEWHERE}"),
    ("a choice with its objects in the middle", f"check if {SMALL} or {ELSEWHERE} or {LEFT_OUT}"),
    ("a choice of an empty set of objects", f"check if {SMALL} or resource($r), !{{,}}.contains($r)"),
    ("a choice of objects that are integers", f"check if {SMALL} or resource($r), !{{1}}.contains($r)"),
    (
        "a choice of some objects that are integers",
        f'check if {SMALL} or resource($r), !{{"tool:pay"}}.contains($r), !{{1}}.contains($r)',
    ),
    ("a choice of its objects alone", f'check if {SMALL} or resource($r), {{"tool:pay"}}.contains($r)'),
    ("a choice of one object by its name", f'check if {SMALL} or resource("tool:pay")'),
    ("a choice of any object", f"check if {SMALL} or resource($r)"),
    ("a choice of objects that begin alike", f'check if {SMALL} or resource($r), !$r.starts_with("tool:p")'),
    ("a choice of objects with another fact", f"check if {SMALL} or {ELSEWHERE}, arg_names($n)"),
    ("a choice of objects that trusts a key", f"check if {SMALL} or {ELSEWHERE} trusting {{k}}"),
    ("a way that names an object", f'check if resource("tool:pay"), {SMALL} or {ELSEWHERE}'),
    ("a later way that names an object", f'check if {SMALL} or resource("tool:pay"), {SMALL} or {ELSEWHERE}'),
    ("a way that trusts a key", f"check if {SMALL} trusting {{k}} or {ELSEWHERE}"),
    ("a way that joins two facts", f'check if arg_int("amount", $v), arg_int("fee", $v) or {ELSEWHERE}'),
    ("a way without a fact", f"check if {SMALL} or true or {ELSEWHERE}"),
    ("a way with a test that does not fit", f'check if arg_int("amount", $v), $v < "x" or {ELSEWHERE}'),
    ("a way of an unknown predicate", f'check if {SMALL} or user("eve") or {ELSEWHERE}'),
    ("a way of a name as a variable", f"check if {SMALL} or arg_int($k, $v) or {ELSEWHERE}"),
    ("a way of an object's right", f'check if {SMALL} or right($s, "tool:pay", $o) or {ELSEWHERE}'),
    ("a way of a time", f"check if {SMALL} or time($t) or {ELSEWHERE}"),
    ("a way of a designation", f'check if {SMALL} or designation("anchor", "mail") or {ELSEWHERE}'),
    ("a way of a limit", f'check if {SMALL} or limit("{HANDLE}", "calls", 1) or {ELSEWHERE}'),
    ("a way of labels", f'check if {SMALL} or exposure_clear("PII:*") or {ELSEWHERE}'),
    ("a choice that all must satisfy", f"check all {SMALL}"),
    ("a choice that none may satisfy", f"reject if {SMALL}"),
]


@pytest.mark.parametrize(("sentence", "source"), WIDENING, ids=[sentence for sentence, _ in WIDENING])
async def test_a_block_outside_the_profile_never_reaches_the_engine(
    world: World, monkeypatch: pytest.MonkeyPatch, sentence: str, source: str
) -> None:
    """What could widen, or cost without bound, is refused by admission; the engine is not asked."""

    def asked(*_: Any, **__: Any) -> None:
        raise AssertionError("the engine was asked")

    monkeypatch.setattr("hessra_agents.verify.verifier.authorize", asked)
    keys = {"k": KEY.public, "l": THIEF.public}
    used = {name: key for name, key in keys.items() if f"{{{name}}}" in source}
    with world.refuses("outside_profile"):
        await world.call(forge.append_source(world.issue(), source, used))
    if "designation(" not in source and "activation(" not in source:
        with world.refuses("outside_profile"):
            await world.call(forge.append_signed(world.issue(), THIEF, source, used))


BYTES = [
    ("an unknown field", forge.write((3, 3), (99, 1))),
    ("a field given twice", forge.write((3, 3), (3, 3))),
    ("fields out of order", forge.write((3, 3), (1, b"x"))),
    ("a number with needless bytes", bytes([3 << 3, 0x83, 0x00])),
    ("no version", forge.write((1, b"x"))),
    ("a symbol that is declared twice", forge.write((1, b"x"), (1, b"x"), (3, 3))),
    ("a symbol that is declared already", forge.write((1, b"right"), (3, 3))),
    ("a context", forge.write((2, b"x"), (3, 3))),
    ("a scope of the whole block", forge.write((3, 4), (7, forge.write((1, 1))))),
    (
        "a query with a head that prints",
        forge.write((3, 3), (6, forge.write((1, forge.write((1, b"\x08\x02")))))),
    ),
    (
        "a term with two values",
        forge.write(
            (3, 3),
            (6, forge.write((1, forge.write((1, b"\x08\x1b"), (2, b"\x08\x02\x12\x04\x10\x01\x18\x01"))))),
        ),
    ),
]


@pytest.mark.parametrize(("sentence", "content"), BYTES, ids=[sentence for sentence, _ in BYTES])
async def test_bytes_that_two_readers_could_read_differently(
    world: World, sentence: str, content: bytes
) -> None:
    """A hand-made block, properly signed by a holder of the token, is refused for its bytes."""
    try:
        token = forge.append_raw(world.issue(), content)
    except ValueError:  # pragma: no cover - the forger failed, not the guard
        raise AssertionError("the forgery itself failed") from None
    with pytest.raises(Denied) as caught:
        await world.call(token)
    assert caught.value.reason in ("outside_profile", "bad_signature"), sentence
    assert world.ran == []


# --- holders and proofs


@attack("a stolen capability, without a proof", "not_holder")
async def _(world: World) -> None:
    await world.call(held(world))


@attack("a stolen capability, proved by the thief's key", "not_holder")
async def _(world: World) -> None:
    stolen, holder = held(world), held(world).holder
    assert holder
    call = Call.of("send_email", MAIL)
    proof = Proof.make(
        call,
        ids=stolen.ids,
        handle=handle(stolen),
        audience="mail",
        key=THIEF,
        now=world.now,
    )
    await world.call(stolen, proof=proof)


@attack("a stolen capability in a toolbox with the thief's key", "not_holder")
async def _(world: World) -> None:
    world.guard.toolbox(held(world), key=THIEF)


@attack("a stolen capability in a toolbox without a key", "not_holder")
async def _(world: World) -> None:
    world.guard.toolbox(held(world))


@attack("a stolen capability beside the thief's own in one toolbox", "not_holder")
async def _(world: World) -> None:
    world.guard.toolbox(world.issue(holder=THIEF.public), held(world), key=THIEF)


@attack("a call within the bounds of two capabilities together, and of neither alone", "constraint")
async def _(world: World) -> None:
    short = world.issue(grant("send_email", to=must.one_of(ANA, EVE), body=must.max_length(1)))
    long = world.issue(grant("send_email", to=ANA, body=must.max_length(9)))
    await world.guard.toolbox(short, long).call("send_email", EVIL)


@attack(
    "a call that needs an approval, beside a capability that permits another call without", "not_approved"
)
async def _(world: World) -> None:
    asks = world.issue(grant("send_email", to=EVE, body=must.anything()), approved_by(BOSS.public))
    await world.guard.toolbox(world.issue(), asks).call("send_email", EVIL)


@attack("the budgets of two capabilities, each too small, for one sum", "spent")
async def _(world: World) -> None:
    spends = grant("pay", amount=must.between(1, 50)), limit(sum_of="amount", at_most=30)
    await world.guard.toolbox(world.issue(*spends), world.issue(*spends)).call("pay", {"amount": 40})


@attack(
    "a sub-agent's call within what its parent holds by a capability that was not handed on", "constraint"
)
async def _(world: World) -> None:
    desk = world.guard.toolbox(world.issue(grant("send_email", to=EVE, body=must.anything())), world.issue())
    await desk.delegate("agent:desk:x", grant("send_email", to=ANA)).call("send_email", EVIL)


@attack("a proof used twice", "replayed")
async def _(world: World) -> None:
    capability = held(world)
    proof = world.prove(capability, KEY)
    await world.call(capability, proof=proof)
    world.ran.clear()
    await world.call(capability, proof=proof)


@attack("a proof of the same call with other arguments", "wrong_call")
async def _(world: World) -> None:
    capability = held(world)
    await world.call(capability, arguments={"to": ANA, "body": "other"}, proof=world.prove(capability, KEY))


@attack("a proof of a prompt of the tool's name", "wrong_call")
async def _(world: World) -> None:
    capability = held(world)
    call = Call.of("send_email", MAIL, kind="prompt", operation="get")
    await world.call(capability, proof=capability.prove(call, key=KEY, audience="mail", now=world.now))


@attack("a proof made for another guard", "not_holder")
async def _(world: World) -> None:
    capability = held(world)
    await world.call(capability, proof=world.prove(capability, KEY, audience="files"))


@attack("a proof of the same call under another token", "not_holder")
async def _(world: World) -> None:
    await world.call(held(world), proof=world.prove(held(world), KEY))


@attack("a proof of the wide token on the narrowed one", "not_holder")
async def _(world: World) -> None:
    capability = held(world)
    narrow = capability.attenuate(grant("send_email", to=ANA))
    await world.call(narrow, proof=world.prove(capability, KEY))


@attack("a proof of the narrowed token on the wide one", "not_holder")
async def _(world: World) -> None:
    capability = held(world)
    narrow = capability.attenuate(grant("send_email", to=ANA))
    await world.call(capability, proof=world.prove(narrow, KEY))


@attack("a proof that is too old", "expired")
async def _(world: World) -> None:
    capability = held(world)
    await world.call(capability, proof=world.prove(capability, KEY, now=world.now - 31))


@attack("a proof from the future", "not_yet_valid")
async def _(world: World) -> None:
    capability = held(world)
    await world.call(capability, proof=world.prove(capability, KEY, now=world.now + 31))


@attack("a proof whose time was moved", "not_holder")
async def _(world: World) -> None:
    capability = held(world)
    old = world.prove(capability, KEY, now=world.now - 31)
    await world.call(capability, proof=Proof(old.nonce, world.now, old.call, old.signature))


@attack("a used proof after the guard's clock was set back", "stale")
async def _(world: World) -> None:
    capability = held(world)
    proof = world.prove(capability, KEY)
    await world.call(capability, proof=proof)
    world.now += 100
    await world.call(capability, proof=world.prove(capability, KEY))
    world.ran.clear()
    world.now -= 100
    await world.call(capability, proof=proof)


@attack("a proof on a bearer capability", "not_holder")
async def _(world: World) -> None:
    capability = held(world)
    await world.call(world.issue(), proof=world.prove(capability, KEY))


@attack("no capability, after a call with one", "no_capability")
async def _(world: World) -> None:
    await world.call(world.issue())
    world.ran.clear()
    await world.call(None)


@attack("evidence of holding another capability", "not_holder")
async def _(world: World) -> None:
    mine = world.issue(holder=THIEF.public)
    await world.guard.call(held(world).token, "send_email", MAIL, proof=Possession.show(mine, THIEF))


@attack("an approval by somebody whom the holder has delegated to", "not_approved")
async def _(world: World) -> None:
    capability = world.issue(approved_by(BOSS.public), holder=KEY.public)
    call = Call.of("send_email", MAIL)
    child = capability.delegate(to=BOSS.public, key=KEY, now=world.now)
    with suppress(Denied):  # the ledger has seen it
        await world.call(child, proof=world.prove(child, BOSS))
    votes = capability.approve(call, key=BOSS, now=world.now)
    await world.call(capability, proof=world.prove(capability, KEY), approvals=votes)


@attack("a proof that is no proof", "malformed")
async def _(world: World) -> None:
    await world.call(held(world), proof="hp1.AAAA")


@attack("an approval in the place of a proof", "malformed")
async def _(world: World) -> None:
    approval = Approval.make(
        Call.of("send_email", MAIL), ids=held(world).ids, handle=HANDLE, key=KEY, expires=world.now + 60
    )
    await world.call(held(world), proof=approval.token)


@attack("the old holder, after delegating", "not_holder")
async def _(world: World) -> None:
    given = held(world).delegate(to=BOSS.public, key=KEY)
    call = Call.of("send_email", MAIL)
    proof = Proof.make(
        call,
        ids=given.ids,
        handle=handle(given, 0),
        audience="mail",
        key=KEY,
        now=world.now,
    )
    await world.call(given, proof=proof)


@attack("a delegation by somebody who is not the holder", "outside_profile")
async def _(world: World) -> None:
    capability = held(world)
    source = f'designation("holder", "{handle(capability)}"); {ASKS}'
    await world.call(forge.append_signed(capability, THIEF, source, {"k": THIEF.public}))


@attack("a holder who delegates to nobody, to make a bearer token", "outside_profile")
async def _(world: World) -> None:
    capability = held(world)
    source = f'designation("holder", "{handle(capability)}")'
    await world.call(forge.append_signed(capability, KEY, source))


@attack("a delegation that satisfies its own check", "outside_profile")
async def _(world: World) -> None:
    capability = held(world)
    source = (
        f'designation("holder", "{handle(capability)}"); designation("holder", "{HANDLE}");'
        f' check if designation("holder", "{HANDLE}") trusting {{k}}'
    )
    await world.call(forge.append_signed(capability, KEY, source, {"k": KEY.public}))


@attack("a delegation cycle under a handle that was used before", "outside_profile")
async def _(world: World) -> None:
    capability = held(world)
    name = handle(capability)
    source = f'designation("holder", "{name}"); check if designation("holder", "{name}") trusting {{k}}'
    await world.call(forge.append_signed(capability, KEY, source, {"k": THIEF.public}))


@attack("a delegation cycle back to the first holder, without a proof", "not_holder")
async def _(world: World) -> None:
    there = held(world).delegate(to=THIEF.public, key=KEY)
    await world.call(there.delegate(to=KEY.public, key=THIEF))


@attack("a delegation by a holder who may not hand on", "outside_profile")
async def _(world: World) -> None:
    capability = held(world).delegate(to=BOSS.public, key=KEY, last=True)
    source = f'designation("holder", "{handle(capability)}"); {ASKS}'
    await world.call(forge.append_signed(capability, BOSS, source, {"k": THIEF.public}))


@attack("a delegation that gives itself more hops than are left", "outside_profile")
async def _(world: World) -> None:
    capability = held(world).delegate(to=BOSS.public, key=KEY, hops=2)
    source = f'designation("holder", "{handle(capability)}"); hops(2); {ASKS}'
    await world.call(forge.append_signed(capability, BOSS, source, {"k": THIEF.public}))


@attack("a delegation to another key than the holder may hand on to", "outside_profile")
async def _(world: World) -> None:
    capability = held(world).delegate(to=BOSS.public, key=KEY, only_to=[KEY.public])
    source = f'designation("holder", "{handle(capability)}"); {ASKS}'
    await world.call(forge.append_signed(capability, BOSS, source, {"k": THIEF.public}))


@attack("a call by a holder who may only hand on", "not_holder")
async def _(world: World) -> None:
    idle = held(world).delegate(to=BOSS.public, key=KEY, idle=True, only_to=[THIEF.public])
    await world.call(idle, proof=world.prove(idle, BOSS))


@attack("a holder who may only hand on, and lists itself", "outside_profile")
async def _(world: World) -> None:
    capability = held(world)
    marks = f'idle(true); only_to({{"{BOSS.public.data.hex()}"}})'
    source = f'designation("holder", "{handle(capability)}"); {marks}; {ASKS}'
    token = forge.append_signed(capability, KEY, source, {"k": BOSS.public})
    await world.call(token)


@attack("a delegation under a name that looks like another", "outside_profile")
async def _(world: World) -> None:
    capability = held(world)
    source = f'designation("holder", "{handle(capability)}"); known_as("mailer "); {ASKS}'
    await world.call(forge.append_signed(capability, KEY, source, {"k": BOSS.public}))


@attack("a delegation under two names", "outside_profile")
async def _(world: World) -> None:
    capability = held(world)
    names = 'known_as("mailer"); known_as("ceo")'
    source = f'designation("holder", "{handle(capability)}"); {names}; {ASKS}'
    await world.call(forge.append_signed(capability, KEY, source, {"k": BOSS.public}))


@attack("a first block that gives its subject a second name", "outside_profile")
async def _(world: World) -> None:
    key_id, root = world.authority.signer("capability")
    builder = BiscuitBuilder(
        f"""
        right("agent:desk", "tool:now", "invoke"); known_as("ceo");
        check if resource($r), operation($o), right($s, $r, $o);
        check if time($t), $t < {world.now + 60};
        check if designation("anchor", "mail");
        check if designation("holder", "{HANDLE}") trusting {{k}};
    """,
        {},
        {"k": KEY.public.for_biscuit()},
    )
    builder.set_root_key_id(key_id)
    await world.call(builder.build(root.for_biscuit().private_key).to_base64(), "now", {})


@attack("a budget of an authority that the guard does not know", "unavailable")
async def _(world: World) -> None:
    world.guard.trust = Trust(dict(world.authority.trust.capability))
    await world.call(world.issue(limit(calls=9, budget="mails")))


@attack("an approval that an omitted argument would spare", "outside_profile")
async def _(world: World) -> None:
    spared = 'arg_names($n), !$n.contains("cc")'
    source = f'check if designation("approved", "{HANDLE}") trusting {{k}} or {spared}'
    await world.call(forge.append_source(world.issue(), source, {"k": BOSS.public}))


@attack("a large payment beside a rule that spares small ones, as a fraction", "not_approved")
async def _(world: World) -> None:
    spared = approved_by(BOSS.public, unless={"value": must.at_most(9)})
    await world.call(world.issue(grant("store", value=must.anything()), spared), "store", {"value": 9.5})


@attack("a budget that a holder names, to use up what belongs to others", "outside_profile")
async def _(world: World) -> None:
    await world.call(forge.append_source(world.issue(), 'check if budget("eur", "calls", 1)'))


@attack("a revoked sub-agent that goes by another name below it", "revoked")
async def _(world: World) -> None:
    mailer = held(world).delegate(to=BOSS.public, key=KEY, known_as="agent:desk:mailer")
    await world.ledger.revoke(subject="agent:desk:mailer")
    other = mailer.delegate(to=THIEF.public, key=BOSS, known_as="agent:desk:mailer:agent:desk:other")
    await world.call(other, proof=world.prove(other, THIEF))


@attack("a capability named over again, with the mark of another holder", "outside_profile")
async def _(world: World) -> None:
    await world.call(forge.append_source(held(world), 'known_as("ceo")'))


@attack("a held capability bound to the thief by an unsigned block", "outside_profile")
async def _(world: World) -> None:
    source = f'check if designation("holder", "{HANDLE}") trusting {{k}}'
    await world.call(forge.append_source(held(world), source, {"k": THIEF.public}))


@attack("a block that the holder signs, stating an approval", "outside_profile")
async def _(world: World) -> None:
    await world.call(forge.append_signed(world.issue(), KEY, f'designation("approved", "{HANDLE}")'))


@attack("the same delegation appended again, under a proof of the first", "replayed")
async def _(world: World) -> None:
    # block ids of signed blocks do not change with the ephemeral key, so this is the same token
    capability = held(world)
    pair = KEY.for_biscuit()
    source = f'designation("holder", "{handle(capability)}"); {ASKS}'
    builder = BlockBuilder(source, {}, {"k": BOSS.public.for_biscuit()})
    block = capability.biscuit.third_party_request().create_block(pair.private_key, builder)
    first, again = (
        Capability.parse(
            capability.biscuit.append_third_party(pair.public_key, block).to_base64(), world.authority.trust
        )
        for _ in range(2)
    )
    assert first.token != again.token
    proof = world.prove(first, BOSS)
    await world.call(first, proof=proof)
    world.ran.clear()
    await world.call(again, proof=proof)


# --- approvals


def approved(world: World) -> Capability:
    """A capability of which the boss approves each call."""
    return world.issue(approved_by(BOSS.public))


def asked(capability: Capability) -> str:
    """The handle under which the issuer asks for an approval."""
    return capability.blocks[0].attested[0][0].value


def vote(
    world: World, capability: Capability, *, key: KeyPair = BOSS, arguments: Mapping[str, Any] = MAIL
) -> Approval:
    """An approval of one call."""
    call = Call.of("send_email", arguments)
    return Approval.make(call, ids=capability.ids, handle=asked(capability), key=key, expires=world.now + 60)


@attack("no approval", "not_approved")
async def _(world: World) -> None:
    await world.call(approved(world))


@attack("an approval by somebody else", "not_approved")
async def _(world: World) -> None:
    capability = approved(world)
    await world.call(capability, approvals=[vote(world, capability, key=THIEF)])


@attack("an approval by somebody else under the boss's name", "not_approved")
async def _(world: World) -> None:
    capability = approved(world)
    own = vote(world, capability, key=THIEF)
    await world.call(
        capability,
        approvals=[Approval(own.nonce, own.handle, BOSS.public, own.expires, own.call, own.signature)],
    )


@attack("an approval of other arguments", "wrong_call")
async def _(world: World) -> None:
    capability = approved(world)
    await world.call(capability, approvals=[vote(world, capability, arguments={"to": ANA, "body": "ok?"})])


@attack("an approval under another token", "not_approved")
async def _(world: World) -> None:
    await world.call(approved(world), approvals=[vote(world, approved(world))])


@attack("an approval that has expired", "expired")
async def _(world: World) -> None:
    capability = approved(world)
    approval = vote(world, capability)
    world.now += 60
    await world.call(capability, approvals=[approval])


@attack("an approval used twice", "spent")
async def _(world: World) -> None:
    capability = approved(world)
    approval = vote(world, capability)
    await world.call(capability, approvals=[approval])
    world.ran.clear()
    await world.call(capability, approvals=[approval])


# --- time, place, object


@attack("a capability after its end", "expired")
async def _(world: World) -> None:
    capability = world.issue(ttl=timedelta(seconds=5))
    world.now += 5
    await world.call(capability)


@attack("a narrowed capability after its own end", "expired")
async def _(world: World) -> None:
    capability = world.issue().attenuate(ttl=timedelta(seconds=5), now=world.now)
    world.now += 5
    await world.call(capability)


@attack("a later block that sets a later end", "expired")
async def _(world: World) -> None:
    capability = world.issue(ttl=timedelta(seconds=5)).attenuate(ttl=timedelta(days=1), now=world.now)
    world.now += 5
    await world.call(capability)


@attack("a capability for another guard", "wrong_audience")
async def _(world: World) -> None:
    await world.call(world.issue(audience="files"))


@attack("a capability for no guard", "wrong_audience")
async def _(world: World) -> None:
    await world.call(world.issue(audience=None))


@attack("a capability for another guard, readdressed by its holder", "wrong_audience")
async def _(world: World) -> None:
    await world.call(world.issue(audience="files").attenuate(audience="mail"))


@attack("a resource of the tool's name", "not_granted")
async def _(world: World) -> None:
    await world.call(world.issue(Grant("resource:now", "invoke", ())), "now", {})


@attack("another operation on the tool", "not_granted")
async def _(world: World) -> None:
    await world.call(world.issue(Grant("tool:now", "read", ())), "now", {})


@attack("a tool that a delegation dropped", "not_granted")
async def _(world: World) -> None:
    wide = world.issue(grant("send_email", to=ANA, body="hi"), grant("read_file", path="/a"))
    await world.call(wide.attenuate(grant("read_file")))


# --- arguments

DECEMBER = must.date(not_before="2026-12-01", not_after="2026-12-31")
NOON = must.instant(not_before="2026-12-24T12:00:00Z", before="2026-12-24T13:00:00Z")

PRICES: tuple[Any, ...] = (
    99.91,
    99.90000000000002,
    -5e-324,
    -0.001,
    1e300,
    2**63,
    2**64,
    "99.9",
    True,
    None,
    [5.0],
    {},
)
CODES: tuple[Any, ...] = (
    "AB-1\n",
    "\nAB-1",
    "AB-1\0",
    "AB-1 OR 1=1",
    "AB-1234567",
    "ab-1",
    "AB\N{EN DASH}1",
    "AB-\N{ARABIC-INDIC DIGIT ONE}",
    "\N{FULLWIDTH LATIN CAPITAL LETTER A}B-1",
    "\N{CYRILLIC CAPITAL LETTER A}B-1",
    "",
    ["AB-1"],
    1,
)
LINES: tuple[Any, ...] = (
    "/bin/ls -l;id",
    "/bin/ls -l && id",
    "/bin/ls -l | sh",
    "/bin/ls -l\nid",
    "/bin/ls $(id)",
    "/bin/ls `id`",
    "/bin/ls > /etc/passwd",
    "/bin/ls *",
    "/bin/ls ~root",
    "/bin/ls {a,b}",
    "/bin/ls  -l",
    "/bin/ls '-l'",
    "/bin/ls \\-l",
    "/bin/ls #",
    "/bin/ls %PATH%",
    "ls -l",
    ["/bin/ls", "-l"],
)
HOSTS: tuple[Any, ...] = (
    "\N{KELVIN SIGN}.acme.com",
    "k.acme.com.",
    "k.acme.com:80",
    "k.acme.com@evil.example",
    "k.acme.com/",
    "k.acme.com\n",
    "k.acme.com.evil.example",
    "xk.acme.com",
    "k\N{IDEOGRAPHIC FULL STOP}acme.com",
    "k.acme.com\0",
    "https://k.acme.com",
    ["k.acme.com"],
)
CENTS: tuple[Any, ...] = (0.001, 0.1 + 0.2, 8.999, 1e-9, 5e-324, 9.01, -0.01, "1.50", False, None, [1], 1e21)

ARGUMENTS: list[tuple[str, str, str, Any, Any]] = [
    # sentence, reason, tool, grant's arguments, the call's arguments
    (
        "an argument that nobody named",
        "unnamed_argument",
        "send_email",
        {"to": ANA, "body": "hi"},
        MAIL | {"cc": EVE},
    ),
    (
        "an argument that nobody named, as null",
        "unnamed_argument",
        "send_email",
        dict(MAIL),
        MAIL | {"cc": None},
    ),
    (
        "an argument omitted",
        "missing_argument",
        "send_email",
        {"to": ANA, "body": must.anything()},
        {"to": ANA},
    ),
    (
        "a list of addresses for one",
        "constraint",
        "store",
        {"value": must.email("acme.com")},
        {"value": [ANA]},
    ),
    (
        "two addresses in one text",
        "constraint",
        "send_email",
        {"to": must.email("acme.com"), "body": "hi"},
        MAIL | {"to": f"{EVE},{ANA}"},
    ),
    (
        "a header in an address",
        "constraint",
        "send_email",
        {"to": must.email("acme.com"), "body": "hi"},
        MAIL | {"to": f"{EVE}\nBcc: {ANA}"},
    ),
    (
        "a look-alike domain",
        "constraint",
        "send_email",
        {"to": must.email("acme.com"), "body": "hi"},
        MAIL | {"to": "ana@\u0430cme.com"},
    ),
    (
        "a domain that only ends alike",
        "constraint",
        "send_email",
        {"to": must.email("acme.com"), "body": "hi"},
        MAIL | {"to": "ana@evilacme.com"},
    ),
    (
        "a path beside the folder",
        "constraint",
        "read_file",
        {"path": must.under("/srv/data")},
        {"path": "/srv/data2/x"},
    ),
    (
        "a path that climbs out",
        "constraint",
        "read_file",
        {"path": must.under("/srv/data")},
        {"path": "/srv/data/../key"},
    ),
    (
        "an encoded climb",
        "constraint",
        "read_file",
        {"path": must.under("/srv/data")},
        {"path": "/srv/data/%2e%2e/key"},
    ),
    (
        "a path with a NUL",
        "constraint",
        "read_file",
        {"path": must.under("/srv/data")},
        {"path": "/srv/data/x\0.png"},
    ),
    ("a relative path", "constraint", "read_file", {"path": must.under("/srv/data")}, {"path": "srv/data/x"}),
    (
        "a double slash",
        "constraint",
        "read_file",
        {"path": must.under("/srv/data")},
        {"path": "//srv/data/x"},
    ),
    (
        "user info before the host",
        "constraint",
        "fetch",
        {"url": must.url("api.acme.com")},
        {"url": "https://api.acme.com@evil.example/"},
    ),
    (
        "the host as a path",
        "constraint",
        "fetch",
        {"url": must.url("api.acme.com")},
        {"url": "https://evil.example/api.acme.com"},
    ),
    (
        "a trailing dot",
        "constraint",
        "fetch",
        {"url": must.url("api.acme.com")},
        {"url": "https://api.acme.com./"},
    ),
    (
        "another port",
        "constraint",
        "fetch",
        {"url": must.url("api.acme.com")},
        {"url": "https://api.acme.com:444/"},
    ),
    (
        "another scheme",
        "constraint",
        "fetch",
        {"url": must.url("api.acme.com")},
        {"url": "http://api.acme.com/"},
    ),
    (
        "a dot segment",
        "constraint",
        "fetch",
        {"url": must.url("api.acme.com", under="/v1")},
        {"url": "https://api.acme.com/v1/../admin"},
    ),
    (
        "an encoded dot segment",
        "constraint",
        "fetch",
        {"url": must.url("api.acme.com", under="/v1")},
        {"url": "https://api.acme.com/v1/%2e%2e/admin"},
    ),
    (
        "a path that only begins alike",
        "constraint",
        "fetch",
        {"url": must.url("api.acme.com", under="/v1")},
        {"url": "https://api.acme.com/v10"},
    ),
    (
        "a backslash in a URL",
        "constraint",
        "fetch",
        {"url": must.url("api.acme.com")},
        {"url": "https://evil.example\\@api.acme.com/"},
    ),
    (
        "a line break in a URL",
        "constraint",
        "fetch",
        {"url": must.url("api.acme.com")},
        {"url": "https://api.acme.com/\r\nX: y"},
    ),
    (
        "a decimal host",
        "constraint",
        "fetch",
        {"url": must.url("api.acme.com")},
        {"url": "https://2130706433/"},
    ),
    (
        "another program of the same name",
        "constraint",
        "run",
        {"argv": must.command("/usr/bin/git", "log")},
        {"argv": ["/tmp/git", "log"]},
    ),
    (
        "a program without its path",
        "constraint",
        "run",
        {"argv": must.command("/usr/bin/git", "log")},
        {"argv": ["git", "log"]},
    ),
    (
        "one word too many",
        "constraint",
        "run",
        {"argv": must.command("/usr/bin/git", "log")},
        {"argv": ["/usr/bin/git", "log", "-p"]},
    ),
    (
        "an option where a name is expected",
        "constraint",
        "run",
        {"argv": must.command("/usr/bin/git", "log", must.anything())},
        {"argv": ["/usr/bin/git", "log", "--output=/etc/x"]},
    ),
    (
        "an option among the rest",
        "constraint",
        "run",
        {"argv": must.command("/usr/bin/ls", rest=must.starts_with("a"))},
        {"argv": ["/usr/bin/ls", "a", "-la"]},
    ),
    ("a shell line", "malformed", "run", {"argv": must.anything()}, {"argv": "git log; rm -rf /"}),
    ("an empty list", "constraint", "store", {"value": must.each(must.one_of("a"))}, {"value": []}),
    (
        "one element that is not allowed",
        "constraint",
        "store",
        {"value": must.each(must.one_of("a"))},
        {"value": ["a", "b"]},
    ),
    (
        "an element of another type",
        "constraint",
        "store",
        {"value": must.subset_of("a", "b")},
        {"value": ["a", 1]},
    ),
    ("a set for a string", "constraint", "store", {"value": must.one_of("a", "b")}, {"value": ["a", "b"]}),
    (
        "a field that nobody named",
        "unnamed_argument",
        "store",
        {"value": must.fields(force=False)},
        {"value": {"force": False, "x": 1}},
    ),
    (
        "a field of another type",
        "constraint",
        "store",
        {"value": must.fields(force=False)},
        {"value": {"force": 0}},
    ),
    (
        "a string for an object",
        "constraint",
        "store",
        {"value": must.fields(force=False)},
        {"value": "force"},
    ),
    (
        "a field's pointer as an argument's name",
        "malformed",
        "store",
        {"value": must.fields(force=False)},
        {"value": {"force": False}, "/value/force": False},
    ),
    ("a boolean for a number", "constraint", "store", {"value": 1}, {"value": True}),
    ("a number for a boolean", "constraint", "store", {"value": True}, {"value": 1}),
    ("a string for a number", "constraint", "store", {"value": 5}, {"value": "5"}),
    ("a fraction in a range", "constraint", "store", {"value": must.between(0, 10)}, {"value": 9.5}),
    ("a number past 64 bits", "constraint", "store", {"value": must.at_least(0)}, {"value": 2**63}),
    ("a negative amount", "constraint", "pay", {"amount": must.between(1, 10)}, {"amount": -5}),
    *(
        (
            f"a code of {code!r}",
            "constraint",
            "store",
            {"value": must.matches("[A-Z]{2}-[0-9]{1,6}")},
            {"value": code},
        )
        for code in CODES
    ),
    *(
        (
            f"a line of {line!r}",
            "constraint",
            "store",
            {"value": must.command_line("/bin/ls", rest="-l")},
            {"value": line},
        )
        for line in LINES
    ),
    *(
        (f"a host of {host!r}", "constraint", "store", {"value": must.host("k.acme.com")}, {"value": host})
        for host in HOSTS
    ),
    *(
        (f"a price of {price!r}", "constraint", "store", {"value": must.number(0, 99.9)}, {"value": price})
        for price in PRICES
    ),
    *(
        (
            f"cents of {price!r}",
            "constraint",
            "store",
            {"value": must.number(0, 9, places=2)},
            {"value": price},
        )
        for price in CENTS
    ),
    *(
        (f"a day {day!r}", "constraint", "store", {"value": DECEMBER}, {"value": day})
        for day in (
            "2026-11-30",
            "2027-01-01",
            "2026-12-32",
            "2026-12-1",
            "20261224",
            "2026-12-24 ",
            "2026-12-24\n",
            "2026-12-24T10:00:00Z",
            "2026-12-2\u0664",
            "2026\u201112\u201124",
            20811,
            None,
        )
    ),
    *(
        (f"a moment {moment!r}", "constraint", "store", {"value": NOON}, {"value": moment})
        for moment in (
            "2026-12-24T13:00:00Z",
            "2026-12-24T12:30:00",
            "2026-12-24t12:30:00z",
            "2026-12-24 12:30:00Z",
            "2026-12-24T12:30:00-00:00",
            "2026-12-24T12:30:60Z",
            "2026-12-24T12:30Z",
            "2026-12-24",
            "2026-12-24T12:30:00+0000",
            "2026-12-24T12:30:00-01:00",
            "2026-12-24T12:30:00.Z",
            1798113600,
        )
    ),
    (
        "a string that is one too long",
        "constraint",
        "store",
        {"value": must.max_length(3)},
        {"value": "abcd"},
    ),
]


@pytest.mark.parametrize(
    ("sentence", "reason", "tool", "granted", "given"), ARGUMENTS, ids=[row[0] for row in ARGUMENTS]
)
async def test_an_argument_that_is_not_what_was_granted(
    world: World, sentence: str, reason: str, tool: str, granted: dict[str, Any], given: dict[str, Any]
) -> None:
    """What the grant does not name is refused, at issue and as a later narrowing alike."""
    with world.refuses(reason):
        await world.call(world.issue(grant(tool, granted)), tool, given)
    if reason != "unnamed_argument" and set(given) == set(granted):
        wide = world.issue(grant(tool, dict.fromkeys(granted, must.anything())))
        with world.refuses(reason):
            await world.call(wide.attenuate(grant(tool, granted), now=world.now), tool, given)


TEXTS = [
    ("a name given twice", '{"to": "ana@acme.com", "body": "hi", "to": "eve@evil.example"}'),
    ("a name given twice, deep inside", '{"value": {"a": {"b": 1, "b": 2}}}'),
    ("NaN", '{"value": NaN}'),
    ("a number that is infinite", '{"value": 1e999}'),
    ("a lone surrogate", '{"value": "\\ud800"}'),
    ("bytes after the object", '{"value": 1} {"value": 2}'),
    ("a list", "[1]"),
    ("a bomb of brackets", "[" * 100_000),
    ("an object nested too deep", '{"value": ' + "[" * 40 + "]" * 40 + "}"),
    ("more than a megabyte", '{"value": "' + "x" * (1 << 20) + '"}'),
    ("more arguments than a call has", '{"value": 1, ' + ", ".join(f'"a{i}": 1' for i in range(256)) + "}"),
    ("more values than are read", '{"value": [' + "0," * 65_536 + "0]}"),
    ("no JSON", "to=ana@acme.com"),
    ("nothing", ""),
]


@pytest.mark.parametrize(("sentence", "text"), TEXTS, ids=[sentence for sentence, _ in TEXTS])
async def test_arguments_that_cannot_be_read_one_way(world: World, sentence: str, text: str) -> None:
    """JSON that two readers could read differently is refused, never repaired."""
    everything = world.issue(
        grant("store", value=must.anything()), grant("send_email", to=must.anything(), body=must.anything())
    )
    for form in (text, text.encode("utf-8", "surrogatepass")):
        with world.refuses("malformed"):
            await world.call(everything, "send_email" if "to" in text else "store", form)


GARBAGE = [
    ("no base64", "malformed", "%%%"),
    ("no token", "malformed", "AAAA"),
    ("text outside of ASCII", "malformed", "\u0430" * 40),
    ("too many bytes", "too_large", "A" * 30_000),
    ("a megabyte", "too_large", "A" * (1 << 20)),
]


@pytest.mark.parametrize(("sentence", "reason", "token"), GARBAGE, ids=[row[0] for row in GARBAGE])
async def test_a_token_that_is_none(world: World, sentence: str, reason: str, token: str) -> None:
    """Anything in a token's place is refused with a reason."""
    with world.refuses(reason):
        await world.call(token)


async def test_a_byte_order_mark_before_a_token_is_named(world: World) -> None:
    """An editor put it there, and nobody sees it."""
    with world.refuses("malformed", "byte order mark"):
        await world.call("\ufeff" + world.issue().token)


async def test_more_blocks_than_are_read(world: World) -> None:
    """The sixteenth block is read, the seventeenth is not, and refused before its signature is checked."""
    capability = world.issue()
    for _ in range(15):
        capability = capability.attenuate(ttl=timedelta(minutes=5), now=world.now)
    await world.call(capability)
    world.ran.clear()
    with pytest.raises(ValueError, match="15 further blocks"):
        capability.attenuate(ttl=timedelta(minutes=5), now=world.now)
    with world.refuses("too_large"):
        await world.call(forge.append_source(capability, "check if time($t), $t < 1900000000"))


@pytest.mark.parametrize(("sentence", "reason", "run"), TABLE, ids=[row[0] for row in TABLE])
async def test_attack(world: World, sentence: str, reason: str, run: Attack) -> None:
    """Every attack of the table is refused for its own reason, and nothing runs."""
    try:
        with world.refuses(reason):
            await run(world)
    finally:
        assert world.ran == []


def test_the_table_is_long_enough() -> None:
    """At least sixty attacks, each a sentence of its own."""
    sentences = [row[0] for table in (TABLE, WIDENING, BYTES, ARGUMENTS, TEXTS, GARBAGE) for row in table]
    assert len(set(sentences)) == len(sentences) >= 60


# --- what a review found: each was possible once


async def test_a_capability_is_addressed_by_its_issuer(world: World) -> None:
    """Whom only a later block names its holder chose: no block makes a refused call pass."""
    tenant = World(designations={"tenant": "acme"})
    for capability in (tenant.issue(), tenant.issue(audience=None, designations={"tenant": "acme"})):
        with tenant.refuses("wrong_audience"):
            await tenant.call(capability)
        with tenant.refuses("wrong_audience"):
            await tenant.call(capability.attenuate(audience="mail", designations={"tenant": "acme"}))


def test_one_object_has_one_operation(world: World) -> None:
    """Branches name no operation, so two operations on one object would share their bounds."""
    with pytest.raises(ValueError, match="two operations"):
        world.issue(grant("pay", amount=5), Grant("tool:pay", "preview", ()))


async def test_two_operations_on_one_object_are_not_admitted(world: World) -> None:
    """Nor are they read, whoever issued them."""
    key_id, pair = world.authority.signer("capability")
    source = (
        'right("a", "tool:now", "invoke"); right("a", "tool:now", "read");'
        " check if time($t), $t < 1900000000;"
        ' check if resource($r), operation($o), right($s, $r, $o); check if designation("anchor", "mail")'
    )
    with world.refuses("outside_profile"):
        await world.call(_signed_by(pair, source, key_id), "now", {})


async def test_many_facts_about_a_large_call_are_refused(world: World) -> None:
    """A holder who asks for a digest of a megabyte a hundred times is refused, not served."""
    capability = world.issue(grant("store", value=must.anything()))
    digests = ", ".join(f'arg_json("/value/{i}:", $x{i})' for i in range(100))
    token = forge.append_source(capability, f'check if resource("tool:store"), {digests}')
    await world.call(token, "store", {"value": [0] * 100})
    world.ran.clear()
    with world.refuses("too_large"):
        await world.call(token, "store", {"value": ["x" * 1000] * 200})


async def test_more_approvals_than_are_read(world: World) -> None:
    """Each costs a signature check, so their number is bounded; nor do they outlive the capability."""
    capability = approved(world)
    call = Call.of("send_email", MAIL)
    one = Approval.make(call, ids=capability.ids, handle=asked(capability), key=BOSS, expires=2**40)
    with world.refuses("too_large"):
        await world.call(capability, approvals=[one] * 17)
    await world.call(capability, approvals=[one] * 16)
    world.now += 599
    assert len(memory_of(world.ledger)) == 1
    world.now += 2
    again = approved(world)
    await world.call(again, approvals=[vote(world, again)])
    assert len(memory_of(world.ledger)) == 1, "the older one is forgotten"


async def test_a_time_that_is_no_variable(world: World) -> None:
    """``5 < 99`` is true for ever; it is not read as an expiry."""
    with world.refuses("outside_profile"):
        await world.call(forge.append_source(world.issue(), "check if time($t), 5 < 99"))


async def test_a_next_key_whose_signatures_can_be_changed(world: World) -> None:
    """A block signed by an ECDSA key could be named anew by anyone, and so escape revocation."""
    signed, rest = forge.blocks(world.issue())
    fields = forge.read(signed[0])
    key = forge.write((1, 1), (2, b"\x02" + b"k" * 32))
    data = forge.raw(forge.build([forge.write(*[(n, key if n == 2 else v) for n, v in fields])], rest))
    with pytest.raises(Denied) as caught:
        read_blocks(data)
    assert caught.value.reason == "outside_profile"


@pytest.mark.parametrize("arguments", [None, 5, bytearray(b"{}"), [("to", ANA), ("body", "hi")], {1: 2}])
async def test_arguments_that_are_no_object(world: World, arguments: Any) -> None:
    """Anything else in their place is malformed, and nothing in the log."""
    with world.refuses("malformed"):
        await world.call(world.issue(), arguments=arguments)


@pytest.mark.parametrize("approvals", [None, 5, "ha1.AAAA", [None], ["x"]])
async def test_approvals_that_are_none(world: World, approvals: Any) -> None:
    """Anything else in their place is refused."""
    with pytest.raises(Denied):
        await world.call(world.issue(), approvals=approvals)
    assert world.ran == []


async def test_a_tools_name_is_exactly_a_text(world: World) -> None:
    """A text of another class could say that it equals another tool."""

    class Name(str):
        __slots__ = ()

        def __eq__(self, other: object) -> bool:
            return other == "read_file"

        def __hash__(self) -> int:
            return hash("read_file")

    with world.refuses("not_granted"):
        await world.guard.toolbox(world.issue()).call(Name("send_email"), MAIL)


def test_a_path_below_a_host_starts_with_a_slash() -> None:
    """``under`` cannot change the host, the port or the query."""
    for under in ("m/v1", ".evil.example", ":8443/x", "@evil.example/", "/v1?tenant=1"):
        with pytest.raises(ValueError):
            must.url("acme.co", under=under)


def test_choices_do_not_multiply_without_bound() -> None:
    """Nested choices add up; those that would multiply are refused before they have filled the memory."""
    inner = must.fields({str(i): must.optional("x") for i in range(4)})
    outer = must.fields({str(i): must.optional(inner) for i in range(4)})
    nested = grant("store", value=outer)
    assert len(nested.parts(closed=True)) == 1 + 4 + 16
    alternatives = [must.optional(must.email(f"{i}.de", "ann@acme.com")) for i in range(9)]
    grants = [grant("store", {f"{g}{i}": one for i, one in enumerate(alternatives)}) for g in "abc"]
    with pytest.raises(ValueError, match="multiply"):
        World().issue(*grants)
