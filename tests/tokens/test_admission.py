"""Admission: what a token costs is bounded before anything in it is believed.

How long the worst tokens take is measured in the benchmarks; here is what bounds it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from biscuit_auth import BiscuitBuilder
from biscuit_auth import KeyPair as BiscuitKeyPair

from hessra_agents import Call, Capability, Denied, KeyPair, Reason, Trust, grant, must
from hessra_agents.call.canonical import MAX_DEPTH
from hessra_agents.call.places import MAX_ELEMENTS, MAX_KEY
from hessra_agents.grants.vocabulary.constraints import MAX_BRANCHES
from hessra_agents.tokens.admission import MAX_EACH, admit
from hessra_agents.tokens.format import blocks as wire
from hessra_agents.tokens.format.blocks import MAX_BYTES, MAX_CHECKS, MAX_FIELDS, read_blocks
from tests.support import forge
from tests.support.forge import write
from tests.support.world import World

RESOURCE = write((1, 2), (2, write((3, 1))))  # resource("write")
HEAD = (1, write((1, 27)))


def token(*contents: bytes) -> bytes:
    """A token of these block contents, its signatures made up: admission is given verified tokens."""
    signed = [write((1, c), (2, write((1, 0), (2, b"k" * 32))), (3, b"s" * 64)) for c in contents]
    return write((2, signed[0]), *[(3, one) for one in signed[1:]], (4, write((1, b"p" * 32))))


def check(*queries: bytes) -> tuple[int, bytes]:
    """A check of these queries."""
    return (6, write(*[(1, query) for query in queries]))


BOMBS: list[tuple[str, bytes]] = [
    ("symbols", write(*[(1, f"{i:x}".encode()) for i in range(3000)], (3, 3))),
    ("checks", write((3, 3), *[check(write(HEAD, (2, RESOURCE))) for _ in range(900)])),
    ("branches", write((3, 3), check(*[write(HEAD, (2, RESOURCE)) for _ in range(1000)]))),
    ("predicates", write((3, 3), check(write(HEAD, *[(2, RESOURCE) for _ in range(1500)])))),
    ("set elements", write((3, 3), (4, write((1, write((1, 4), (2, write((7, write(*[(1, write((2, i)))
        for i in range(2400)])))))))))),
    ("terms", write((3, 3), (4, write((1, write((1, 4), *[(2, write((3, 1))) for _ in range(3000)])))))),
    ("operators", write((3, 3), check(write(HEAD, (2, RESOURCE), (3, write(*[(1, write((3, write((1, 0)))))
        for _ in range(1900)])))))),
    ("facts", write((3, 3), *[(4, write((1, write((1, 4), (2, write((3, 1))))))) for _ in range(1200)])),
    ("keys", write((3, 3), *[(8, write((1, 0), (2, b"k" * 32))) for _ in range(400)])),
]  # fmt: skip


@pytest.mark.parametrize(("what", "content"), BOMBS, ids=[what for what, _ in BOMBS])
def test_a_bomb_is_refused_after_a_bounded_number_of_fields(
    monkeypatch: pytest.MonkeyPatch, what: str, content: bytes
) -> None:
    """Sixteen kilobytes of any one thing are refused, and the reader stops counting at its bound."""
    data = token(content)
    assert len(data) <= MAX_BYTES
    readers: list[wire._Blocks] = []

    def watched(*arguments: Any) -> wire._Blocks:
        readers.append(blocks(*arguments))
        return readers[-1]

    blocks = wire._Blocks
    monkeypatch.setattr(wire, "_Blocks", watched)
    with pytest.raises(Denied) as caught:
        admit(read_blocks(data))
    assert caught.value.reason in ("too_large", "outside_profile")
    assert [reader.left >= -1 for reader in readers] == [True]


NESTED: dict[str, dict[int, str]] = {
    "token": {2: "signed", 3: "signed"},
    "signed": {1: "block", 2: "key", 4: "external"},
    "external": {2: "key"},
    "key": {},
    "block": {4: "fact", 6: "check", 8: "key"},
    "fact": {1: "predicate"},
    "check": {1: "query"},
    "query": {1: "predicate", 2: "predicate", 3: "expression", 4: "scope"},
    "scope": {},
    "predicate": {2: "term"},
    "term": {7: "set"},
    "set": {1: "term"},
    "expression": {1: "step"},
    "step": {1: "term", 2: "operator", 3: "operator", 4: "closure"},
    "operator": {},
    "closure": {2: "step"},
}
"""The messages of a token, by the fields that hold them; the proof's are not read."""


def changed(data: bytes, kind: str, change: Callable[[bytes], bytes]) -> Iterator[tuple[str, bytes]]:
    """The token, once for each message in it, with that message changed; and what message that is."""
    yield kind, change(data)
    fields = forge.read(data)
    for index, (number, value) in enumerate(fields):
        if number in NESTED[kind] and isinstance(value, bytes):
            for inner, other in changed(value, NESTED[kind][number], change):
                yield inner, write(*fields[:index], (number, other), *fields[index + 1 :])


def longer(message: bytes) -> bytes:
    """The message with a byte more than it needs in its first number or length."""
    value = forge.read(message)[0][1]
    number = forge.varint(value if isinstance(value, int) else len(value))
    return message[:1] + number[:-1] + bytes([number[-1] | 0x80, 0]) + message[1 + len(number) :]


FAULTS: dict[str, Callable[[bytes], bytes]] = {
    "a field that nobody knows": lambda message: message + write((15, 1)),
    "a byte too many": lambda message: message + b"\0",
    "a byte too few": lambda message: message[:-1],
    "another wire type": lambda message: bytes([message[0] ^ 1]) + message[1:],
    "a longer tag": lambda message: bytes([message[0] | 0x80, 0]) + message[1:],
    "a longer number": longer,
    "a number of 65 bits": lambda message: message[:1] + b"\xff" * 9 + b"\x02" + message[2:],
    "a length beyond the token": lambda message: (
        message[:1] + b"\xff\x7f" + message[2:] if message[0] & 2 else message
    ),
    "fields from behind": lambda message: write(*sorted(forge.read(message), key=lambda one: -one[0])),
    "the first field twice": lambda message: write(forge.read(message)[0]) + message,
    "nothing": lambda message: b"",
}
NO_FAULT = {
    # of these the first field is a number, so nothing has a length
    "a length beyond the token": {"token", "key", "scope", "predicate", "operator", "closure"},
    "fields from behind": {"fact", "check", "scope", "term", "set", "expression", "step", "operator"},
    "the first field twice": {"check", "expression"},
    "nothing": {"set"},
}


def rich(world: World) -> bytes:
    """A token of two blocks that has every kind of message."""
    desk, mailer = KeyPair.generate(), KeyPair.generate()
    granted = grant("store", value=must.each(must.starts_with("a")), place=must.one_of("a", "b"))
    token = world.issue(granted, holder=desk.public)
    return forge.raw(token.delegate(to=mailer.public, key=desk, now=world.now))


@pytest.mark.parametrize("fault", FAULTS)
def test_no_message_in_a_token_has_a_second_spelling(world: World, fault: str) -> None:
    """Whatever is wrong with one message, anywhere in a token, the token is refused."""
    data = rich(world)
    assert admit(read_blocks(data))
    tried = NO_FAULT.get(fault, set()).copy()
    for kind, other in changed(data, "token", FAULTS[fault]):
        if kind not in NO_FAULT.get(fault, ()) and other != data:
            with pytest.raises(Denied, match="outside_profile"):
                read_blocks(other)
            tried.add(kind)
    assert tried == NESTED.keys()


def test_an_integer_is_no_variable_though_it_has_its_number(world: World) -> None:
    """The engine would compare the number where admission reads a test on a value."""

    def swapped(message: bytes) -> bytes:
        (number, value), *_ = forge.read(message) or [(0, 0)]
        return write((2, value)) if number == 1 and isinstance(value, int) else message

    data = rich(world)
    found = [other for kind, other in changed(data, "token", swapped) if kind == "term" and other != data]
    assert len(found) > 10
    for other in found:
        with pytest.raises(Denied, match="outside_profile"):
            admit(read_blocks(other))


TERMS = {
    "a truth value of 2": write((6, 2)),
    "a text that no table has": write((3, 28)),
    "a date": write((4, 1)),
    "null": write((8, b"")),
    "an array": write((9, b"")),
    "a map": write((10, b"")),
    "a set of bytes": write((7, write((1, write((5, b"")))))),
    "a set of a text and a number": write((7, write((1, write((2, 1))), (1, write((3, 1)))))),
    "a set of the same twice": write((7, write((1, write((2, 1))), (1, write((2, 1)))))),
}
STEPS = {
    "an operator that there is not": write((3, write((1, 32)))),
    "a function from outside": write((3, write((1, 29), (2, 1)))),
    "an operator of two numbers": write((2, write((1, 0), (1, 0)))),
    "a closure that negates": write((4, write((1, 1), (2, write((2, write((1, 0)))))))),
}
CONTENTS = {
    **{what: write((3, 3), (4, write((1, write((1, 4), (2, term)))))) for what, term in TERMS.items()},
    **{
        what: write((3, 3), check(write(HEAD, (2, RESOURCE), (3, write((1, step))))))
        for what, step in STEPS.items()
    },
    "a text that Biscuit has already": write((1, b"query"), (3, 3)),
    "a key that no table has": write((3, 4), check(write(HEAD, (2, RESOURCE), (4, write((2, 0)))))),
    "a head with a variable": write((3, 3), check(write((1, write((1, 27), (2, write((1, 1)))))))),
    "check all": write((3, 4), (6, write((1, write(HEAD, (2, RESOURCE))), (2, 1)))),
    "reject if": write((3, 6), (6, write((1, write(HEAD, (2, RESOURCE))), (2, 2)))),
    "a scope of the token's issuer": write((3, 4), check(write(HEAD, (2, RESOURCE), (4, write((1, 0)))))),
    "version 7": write((3, 7)),
}


@pytest.mark.parametrize("what", CONTENTS)
def test_what_the_profile_has_no_use_for_is_not_read(what: str) -> None:
    """It is refused where it is read, before anything asks what it means."""
    assert read_blocks(token(write((3, 3), check(write(HEAD, (2, RESOURCE))))))
    with pytest.raises(Denied, match="outside_profile"):
        read_blocks(token(CONTENTS[what]))


GRANTED = 'right("a", "tool:t", "invoke"); check if time($t), $t < 1900000000;'


@pytest.mark.parametrize(
    ("check", "admitted"),
    [
        ("resource($r), operation($o), right($s, $r, $o)", True),
        ("resource($r), operation($o), right($s, $o, $r)", False),
        ("resource($r), operation($o), right($r, $r, $o)", False),
        ("resource($r), operation($r), right($s, $r, $r)", False),
        ("resource($r), operation($o, $o), right($s, $r, $o, $o)", False),
        ("resource($r), operation($o, $x), right($s, $r, $o, $x)", False),
        ("resource($r, $x), operation($o), right($s, $r, $x, $o)", False),
        ('resource($r), operation("invoke"), right($s, $r, "invoke")', False),
        ('resource($r), operation($o), right("a", $r, $o)', False),
        ('resource($r), operation($o), right($s, $r, $o), $s === "a"', False),
    ],
)
def test_the_right_is_checked_in_one_way(check: str, admitted: bool) -> None:
    """A token that checks its right otherwise means something that is not decided here."""
    built = BiscuitBuilder(f"{GRANTED} check if {check};").build(BiscuitKeyPair().private_key)
    blocks = read_blocks(bytes(built.to_bytes()))
    if admitted:
        assert admit(blocks)
    else:
        with pytest.raises(Denied, match="outside_profile"):
            admit(blocks)


NESTS: dict[str, tuple[bytes, Callable[[bytes], bytes]]] = {
    "sets": (write((2, 1)), lambda term: write((7, write((1, term))))),
    "closures": (write((1, write((2, 1)))), lambda step: write((4, write((1, 1), (2, step))))),
}


@pytest.mark.parametrize("what", NESTS)
def test_a_set_in_a_set_or_a_closure_in_a_closure_is_refused_at_any_depth(what: str) -> None:
    """There is one level; no token leads the reader deeper."""
    nested, around = NESTS[what]
    for depth in range(1, 1501):
        nested = around(nested)
        if depth not in (1, 2, 50, 1500):
            continue
        step = write((1, nested)) if what == "sets" else nested
        data = token(write((3, 3), check(write(HEAD, (2, RESOURCE), (3, write((1, step)))))))
        assert len(data) <= MAX_BYTES
        if depth == 1:
            assert read_blocks(data)
        else:
            with pytest.raises(Denied, match="outside_profile"):
                read_blocks(data)


def count(data: bytes, kind: str = "token") -> int:
    """How many fields a message and all messages in it have."""
    inner = [(NESTED[kind].get(number), value) for number, value in forge.read(data)]
    return len(inner) + sum(count(v, name) for name, v in inner if name and isinstance(v, bytes))


@pytest.mark.parametrize("more", [0, 1])
def test_one_field_more_than_the_bound_is_too_many(more: int) -> None:
    """Every field counts, whatever message it is in."""
    one = write((1, write((2, 1))))
    steps = [one, write((3, write((1, 0)))), write((2, write((1, 0)))), write((4, write((1, 1), (2, one))))]
    test = write(*[(1, step) for step in [*steps, write((1, write((7, one))))]])
    asked = check(write(HEAD, (2, write((1, 2), *[(2, write((3, 1)))] * 8)), (3, test), (3, test)))
    size = count(write(asked), "block")
    checks, texts = divmod(MAX_FIELDS - count(token(write((3, 3)))), size)
    own = [(1, f"{i:x}".encode()) for i in range(texts + more)]
    data = token(write(*own, (3, 3), *[asked] * checks))
    assert (len(data) <= MAX_BYTES, count(data)) == (True, MAX_FIELDS + more)
    if more:
        with pytest.raises(Denied, match="too_large"):
            read_blocks(data)
    else:
        assert read_blocks(data)


@pytest.mark.parametrize("cut", range(1, 120, 7))
def test_a_cut_token_is_refused(cut: int) -> None:
    """A token that ends anywhere inside is refused, never read as less."""
    data = token(write((1, b"abc"), (3, 3), check(write(HEAD, (2, RESOURCE)))))
    with pytest.raises(Denied):
        admit(read_blocks(data[:-cut]))


def test_a_list_for_every_element_is_bounded(world: World) -> None:
    """A longer list than the bound has no list facts, so no constraint on its elements holds."""
    call = Call.of("store", {"value": ["x"] * MAX_ELEMENTS})
    assert call.fact("arg_strs", "value")
    assert Call.of("store", {"value": ["x"] * (MAX_ELEMENTS + 1)}).fact("arg_strs", "value") is None


DEEPEST = "/value" + "/0" * (MAX_DEPTH - 1)
KEYS = {
    "more steps than arguments are deep": (DEEPEST, f"{DEEPEST}/0"),
    "more characters than a key has": ("x" * MAX_KEY, "x" * (MAX_KEY + 1)),
    "an escape that is none": ("/value/~0~1", "/value/~2"),
    "half an escape": ("/value/~0", "/value/~"),
}


@pytest.mark.parametrize("which", KEYS)
def test_a_place_has_one_key_of_bounded_length(world: World, which: str) -> None:
    """In a clause and in a limit: or one place could be asked about in many ways, each of them costly."""
    for key, refused in zip(KEYS[which], (False, True), strict=True):
        handle = "0" * 32
        for source in (
            f'resource("tool:store"), arg_str("{key}", "x")',
            f'resource("tool:store"), result_of("{key}", "store", "{{\\"path\\":\\"$\\"}}")',
            f'limit("{handle}", "sum:{key}", 5)',
        ):
            data = forge.raw(forge.append_source(world.issue(), f"check if {source}"))
            if refused:
                with pytest.raises(Denied, match="outside_profile"):
                    admit(read_blocks(data))
            else:
                assert admit(read_blocks(data))


def test_what_no_guard_would_read_is_not_issued(world: World) -> None:
    """Who issues or narrows is told at once, not the agent at two in the morning."""
    with pytest.raises(ValueError, match="a guard reads"):
        world.issue(*[grant("store", value=i) for i in range(MAX_BRANCHES + 1)])
    with pytest.raises(ValueError, match="bytes"):
        world.issue(grant("store", value="x" * MAX_BYTES))
    each = grant("store", {str(i): must.each(must.starts_with("a")) for i in range(MAX_EACH + 1)})
    with pytest.raises(ValueError, match="every element"):
        world.issue(each)


def test_a_token_that_is_too_large_names_the_tools_that_make_it_so(world: World) -> None:
    """And what to do, when it is issued and when it is handed on."""
    wide = grant("search", query=must.one_of(*[f"{i}" * 40 for i in range(100, 300)]))
    small = grant("store", value="x")
    told = r"would have [\d,]+ bytes, at most 16,384: search takes [\d,]{6,}, store takes \d{2,3}\. Issue"
    with pytest.raises(ValueError, match=told):
        world.issue(wide, small)
    with pytest.raises(ValueError, match=told):
        world.issue(grant("search", query=must.anything()), small).attenuate(wide, small)


def test_the_widest_honest_tokens_are_read(world: World) -> None:
    """A hundred tools, twenty optional arguments, four hundred addresses: within the bounds."""
    key = KeyPair.generate()
    for grants in (
        [grant(f"tool{i}", x=must.one_of("a", "b")) for i in range(100)],
        [grant("store", {str(i): must.optional(str(i)) for i in range(20)})],
        [grant("store", value=must.one_of(*[f"user{i}@acme.com" for i in range(400)]))],
    ):
        capability = world.issue(*grants, holder=key.public)
        assert len(forge.raw(capability)) <= MAX_BYTES
        capability.delegate(to=key.public, key=key, ttl=timedelta(minutes=1), now=world.now)


def test_more_checks_than_are_read(world: World) -> None:
    """The bound on checks is over all blocks of a token."""
    capability = world.issue()
    text = ";".join(["check if time($t), $t < 1900000000"] * (MAX_CHECKS - 3))
    from hessra_agents import Capability

    with pytest.raises(Denied) as caught:
        Capability.parse(forge.append_source(capability, text), world.authority.trust)
    assert caught.value.reason == "too_large"


ROOT = KeyPair.generate()
FIRST = (
    'right("agent:a", "tool:t", "invoke")',
    "check if resource($r), operation($o), right($s, $r, $o)",
    "check if time($t), $t < 4000000000",
)
NAMED = 'check if resource("tool:t"), arg_names($n), {"a"}.contains($n)'


@pytest.mark.parametrize(
    ("tool", "names", "admitted"), [("t", NAMED, True), ("u", NAMED, False), ("t", "", False)]
)
def test_a_choice_is_of_an_object_that_is_granted_and_whose_names_are_closed(
    tool: str, names: str, admitted: bool
) -> None:
    """A choice leaves the names open, so that in the first block it must not be all that is said."""
    choice = f'check if arg_str("a", "x") or resource($r), !{{"tool:{tool}"}}.contains($r)'
    builder = BiscuitBuilder("".join(f"{one};" for one in (*FIRST, names, choice) if one))
    builder.set_root_key_id(1)
    made = builder.build(ROOT.for_biscuit().private_key).to_base64()
    trust = Trust(capability={1: ROOT.public})
    if admitted:
        assert Capability.parse(made, trust).subject == "agent:a"
        return
    with pytest.raises(Denied) as caught:
        Capability.parse(made, trust)
    assert caught.value.reason is Reason.OUTSIDE_PROFILE
