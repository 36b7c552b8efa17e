"""Cost: what a caller can choose is bounded by its product, in units that no busy machine changes.

A decision takes at most 10 ms for the token, 20 ms for as many values as arguments can have, and 50 ms for
each MiB of them; reading a message or a result likewise. Of a session, a decision reads, selects and hashes
at most as many values as two calls can have: 80 ms. Here a millisecond is `PER_MILLISECOND` units. Under
``HESSRA_SOAK`` there are many more cases, and the processor's clock is asked as well.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import timedelta
from functools import partial, reduce
from itertools import count
from typing import Any

import anyio
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from hessra_agents import Authority, Call, Denied, Guard, Session, from_result, grant, must
from hessra_agents.call.canonical import MAX_BYTES, MAX_DEPTH, MAX_VALUES
from hessra_agents.call.facts import PARAMETERS, SIGNATURES
from hessra_agents.call.places import MAX_ELEMENTS, MAX_KEY
from hessra_agents.mcp.transport.messages import parse_upstream, read_message
from hessra_agents.tools.provider_messages import answer_calls
from hessra_agents.tools.results import ResultTooLargeError, result_text
from tests.support import forge
from tests.support.units import counted, timed

SOAK = bool(os.environ.get("HESSRA_SOAK"))
CASES = settings(
    max_examples=1_000 if SOAK else 15, suppress_health_check=[HealthCheck.too_slow], deadline=None
)
TOKEN, VALUES, MIB = 10, 20, 50
"""Milliseconds for a token, for `MAX_VALUES` values, and for a MiB."""

ENGINE = 10
"""Milliseconds that the Datalog engine adds with ``cross_check``: no unit counts them, a soak does."""

SLOW = 3
"""How much slower the machine of a soak may be."""

AUTHORITY = Authority.ephemeral()
GUARD = Guard(AUTHORITY.trust, audience="here")
CHECKING = Guard(AUTHORITY.trust, audience="here", cross_check=True)
STORE = AUTHORITY.issue(
    "agent:eve", grant("store", value=must.anything()), ttl=timedelta(days=1), audience="here"
)


def allowed(size: int, values: int = MAX_VALUES) -> float:
    """Return the milliseconds for so many bytes and values."""
    return TOKEN + VALUES * values / MAX_VALUES + MIB * size / (1 << 20)


def costs_at_most(milliseconds: float, run: Callable[[], object]) -> None:
    """Assert that this costs no more; whatever it answers."""

    def answered() -> None:
        with suppress(Denied, ValueError):
            run()

    if SOAK:
        assert timed(answered) <= SLOW * milliseconds
    with counted() as work:
        answered()
    assert work.milliseconds <= milliseconds, f"{work} is {work.milliseconds:.1f} ms, of {milliseconds:.1f}"


# Tokens

NARROWED = count()
Clause = tuple[str, str, str]
"""A predicate, a key in which ``{}`` becomes a number, and a test in which ``$`` is the first value."""

TESTS = {
    "str": [
        '$.starts_with("x")',
        '$.contains("x")',
        '!{"x", "y"}.contains($)',
        '$.ends_with("x")',
        '{"x", "y"}.contains($)',
    ],
    "int": ["$ >= 1", "{1, 2, 3}.contains($)"],
    "strs": ['$.all($q -> $q.starts_with("/"))', '$.contains("x")', '!$.contains("x")'],
    "ints": ["$.all($q -> $q >= 0)", "$.contains(1)"],
}
LITERALS = {
    "arg_same": '"value"',
    "arg_matches": '"a{{0,4{0}00}}-?"',
    "arg_each_matches": '"a{{0,4{0}00}}-?"',
}
"""The parameters of facts; of the others, a digit."""


def token(clauses: list[Clause], branches: int, checks: int, each: int) -> str:
    """Narrow the capability by checks of so many branches, in each of which each clause stands so often."""
    names = count()
    written = []
    for _ in range(checks):
        alternatives = []
        for _ in range(branches):
            parts, tests = ['resource("tool:store")'], []
            for predicate, key, test in clauses * each:
                number = next(names)
                values = [f"$v{number}_{index}" for index in range(len(SIGNATURES[predicate]))]
                literal = LITERALS.get(predicate, "{0}").format(number % 10)
                terms = [literal] * (predicate in PARAMETERS) + values
                parts.append(f'{predicate}("{key.format(number)}", {", ".join(terms)})')
                if test:
                    tests.append(re.sub(r"\$(?=[. )])", values[0], test))
            alternatives.append(", ".join([*parts, *tests]))
        written.append(f"check if {' or '.join(alternatives)}")
    return forge.append_source(STORE, ";\n".join(written))


PREDICATES = [name for name in SIGNATURES if name != "arg_names"]
KEYS = [
    "value",
    "other{}",
    "/value/{}",
    "/value/{}:",
    "/value/0:",
    "/value/x",
    "/value" + "/0" * (MAX_DEPTH - 1),
    "/value" + "/0:" * (MAX_DEPTH - 1),
    "/value/" + "x" * (MAX_KEY - 20) + "{}",
    "/value/~*",
    "/value/~*/a",
    "/value/~*/{}~?",
    "/value/~*/{}",
    "/value/~*/~*",
    "/value/~*/~v",
    "/value/~*/~v/{}~?",
    "/value/~*/~k",
    "/value/~*" + "/0" * (MAX_DEPTH - 2),
    "/value/~w/{}",
    "/value/~*/~w/{}",
]
clauses = st.lists(
    st.sampled_from(PREDICATES).flatmap(
        lambda name: st.tuples(
            st.just(name),
            st.sampled_from(KEYS),
            st.sampled_from(["", *[test for kind in SIGNATURES[name][:1] for test in TESTS.get(kind, [])]]),
        )
    ),
    min_size=1,
    max_size=4,
)

# Values


def nested(depth: int, inside: Any) -> Any:
    """Put a value into so many lists."""
    for _ in range(depth):
        inside = [inside]
    return inside


ELEMENTS: dict[str, Any] = {
    "integers": 0,
    "numbers": 1.5e-9,
    "large integers": 10**300,
    "strings": "",
    "objects": {},
    "members": {"a": 0},
    "lists": [],
    "deep": nested(MAX_DEPTH - 4, 0),
    "dates": "2026-12-24",
    "moments": "2026-12-24T10:00:00.123456789-01:00",
    "URLs": "https://a.b/" + "x/" * 1000,
    "encoded URLs": "https://a.b/" + "%C3%A9" * 330,
    "paths": "/" + "x/" * 1000 + "x",
    "paths of other letters": "/" + "é/" * 650 + "x",
    "encoded paths": "/" + "%C3%A9" * 330,
    "paths of compatible letters": "/" + "\ufdfa" * 600,
    "relative paths": "é/" * 650 + "x",
    "encoded relative paths": "%C3%A9" * 330,
    "compatible relative paths": "\ufdfa" * 600,
    "URLs of numbers": "https://[2001:db8::1]/" + "x/" * 1000,
    "addresses": "a@" + "b." * 120 + "com",
    "quotes": '"' * 2000,
    "runs": "a" * 4000,
    "hosts": "a." * 120 + "com",
    "rows": {"a": 0, "b": "x", "c": [0], "d": {"a": 0}},
    "wide": {f"{index}": 0 for index in range(400)},
    "very wide": {f"{index}": 0 for index in range(MAX_VALUES - 9)},
    "lists of lists": [[0] * 25],
    "mixed": [{"a": 0}, [0], [0, 1]],
    "lines": "a " * 4000 + "a",
    "long lines": "x" * 8192,
    "commas": "," * 2000,
}


def values_in(value: Any) -> int:
    """Return how many elements and members a value has, and itself."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + sum(map(values_in, inner))


def many(element: Any, number: int) -> list[Any]:
    """Return a list of this element that is as long as arguments may be, or of so many."""
    size = len(Call.of("store", {"value": element}).canonical_json)
    return [element] * min(number, (MAX_BYTES - 64) // size, (MAX_VALUES - 2) // values_in(element))


elements = st.sampled_from([*ELEMENTS])
numbers = st.sampled_from([1, 16, MAX_ELEMENTS, MAX_ELEMENTS + 1, MAX_VALUES])

SLICES: Clause = ("arg_urls", "/value/{}:", "")
BOMB: Clause = ("arg_str", "/value" + "/0:" * 20, "")


@CASES
@given(clauses, st.integers(1, 6), st.integers(1, 6), st.sampled_from([1, 4, 30]), elements, numbers)
@example([BOMB], 1, 4, 100, "integers", MAX_VALUES)
@example([("arg_str", KEYS[6], "")], 4, 1, 100, "deep", 1)
@example([SLICES], 1, 3, 90, "URLs", MAX_ELEMENTS)
@example([("arg_paths", "/value/{}:", "")], 1, 4, 100, "encoded paths", MAX_ELEMENTS)
@example([("arg_paths", "/value/{}:", "")], 1, 4, 100, "paths of compatible letters", MAX_ELEMENTS)
@example([("arg_parents", "/value/{}:", "")], 1, 4, 100, "encoded paths", MAX_ELEMENTS)
@example([("arg_relpaths", "/value/{}:", "")], 1, 4, 100, "relative paths", MAX_ELEMENTS)
@example([("arg_relpaths", "/value/{}:", "")], 1, 4, 100, "encoded relative paths", MAX_ELEMENTS)
@example([("arg_relpaths", "/value/{}:", "")], 1, 4, 100, "compatible relative paths", MAX_ELEMENTS)
@example([("arg_ip_urls", "/value/{}:", "")], 1, 4, 100, "URLs of numbers", MAX_ELEMENTS)
@example([("arg_json", "/value/{}:", "")], 1, 4, 100, "numbers", MAX_VALUES)
@example([("arg_json", "/value/{}:", "")], 1, 4, 100, "members", MAX_VALUES)
@example([("arg_argv", "/value/{}:", "")], 1, 4, 100, "strings", MAX_VALUES)
@example([("arg_ints", "/value/{}:", "")], 1, 4, 100, "integers", MAX_ELEMENTS)
@example([("arg_emails", "/value/{}:", "")], 1, 4, 90, "addresses", MAX_ELEMENTS)
@example([("arg_matches", "/value/{}", "")], 1, 4, 110, "runs", MAX_ELEMENTS)
@example([("arg_each_matches", "/value/{}:", "")], 1, 4, 110, "runs", MAX_ELEMENTS)
@example([("arg_same", "/value/{}:", "")], 1, 4, 110, "members", MAX_ELEMENTS)
@example([("arg_host", "/value/{}", "")], 1, 4, 110, "hosts", MAX_ELEMENTS)
@example([("arg_hex", "/value/{}", "")], 1, 4, 110, "runs", MAX_ELEMENTS)
@example([("arg_number", "/value/{}", "$ >= 1")], 1, 4, 110, "numbers", MAX_ELEMENTS)
@example([("arg_fixed", "value", "$ >= 1")], 1, 4, 110, "large integers", 1)
@example([("arg_instant", "/value/{}", "")], 1, 4, 110, "moments", MAX_ELEMENTS)
@example([("arg_date", "/value/{}", "")], 1, 4, 110, "dates", MAX_ELEMENTS)
@example([("arg_fields", "/value/~*", "")], 4, 4, 30, "wide", MAX_ELEMENTS)
@example([("arg_fields", "/value/~*/{}~?", "")], 4, 1, 30, "wide", MAX_ELEMENTS)
@example([("arg_count", "/value/~*/{}~?", "")], 1, 4, 70, "very wide", 1)
@example([("arg_count", "/value/~*/{}~?", "")], 1, 4, 70, "members", MAX_ELEMENTS)
@example([("arg_count", "/value/~*/a", ""), ("arg_range", "/value/~*/a", "")], 1, 4, 50, "rows", MAX_ELEMENTS)
@example([("arg_scalars", "/value/~*/a", "")], 1, 4, 70, "rows", MAX_ELEMENTS)
@example([("arg_len_range", "/value/~*/c/~*", "")], 1, 4, 70, "rows", MAX_ELEMENTS)
@example([("arg_strs", "/value/~*/~k", "")], 1, 4, 70, "members", MAX_ELEMENTS)
@example([("arg_count", "/value/~*/{}", "")], 1, 4, 70, "lists of lists", MAX_ELEMENTS)
@example([("arg_count", "/value/~*/{}~?", "")], 1, 4, 70, "mixed", 170)
@example([("arg_str", "/value/0/~w/{}", "")], 1, 4, 70, "lines", 120)
@example([("arg_strs", "/value/~*/~w/{}", "")], 1, 4, 70, "lines", 120)
@example([("arg_strs", "/value/~*/~w/0", "")], 1, 4, 70, "long lines", 120)
@example([("arg_distinct", "/value/{}:", "")], 1, 4, 70, "members", MAX_ELEMENTS)
@example([("arg_distinct", "value", "")], 1, 4, 70, "members", MAX_ELEMENTS)
@example([("arg_strs", "/value/~*/~*", '$.all($q -> $q.starts_with("/"))')], 1, 1, 30, "lists of lists", 20)
@example([("arg_len", "value", "$ >= 1000")], 5, 1, 110, "integers", 1)
@example([("arg_len", "other{}", "")], 1, 4, 110, "integers", 1)
@example([("arg_len", "other{}", "")], 4, 1, 110, "integers", 1)
@example([("arg_strs", "/value/0:", "")], 6, 1, 30, "encoded paths", 1)
@example([("arg_lens", "value", "")], 1, 4, 30, "URLs", 1)
def test_a_decision_is_bounded(
    asked: list[Clause], branches: int, checks: int, each: int, element: str, number: int
) -> None:
    """Any token that a holder can make of a capability, and any arguments."""
    arguments = {"value": many(ELEMENTS[element], number)}
    size = len(Call.of("store", arguments).canonical_json)
    with suppress(ValueError):  # the library does not build it
        made = token(asked, branches, checks, each)
        spelling = " " * (next(NARROWED) % 9 + 1)  # so that nothing is read that was read before

        def decide(guard: Guard) -> None:
            with suppress(Denied):
                guard.decide(spelling + made, Call.of("store", arguments))

        most = allowed(size, values_in(arguments))
        costs_at_most(most, lambda: decide(GUARD))
        if SOAK:
            assert timed(lambda: decide(CHECKING)) <= SLOW * (most + ENGINE)


async def call(made: str, arguments: dict[str, Any]) -> None:
    await GUARD.call(made, "store", arguments)


async def permit(made: str, arguments: dict[str, Any]) -> None:
    async with GUARD.permit(made, Call.of("store", arguments)):
        pass


@pytest.mark.parametrize("way", [call, permit])
@pytest.mark.parametrize("element", ["strings", "URLs", "deep", "members"])
def test_a_call_is_bounded_as_its_decision_is(element: str, way: Callable[..., Any]) -> None:
    """Refused, with all that the refusal says; the guard has no such tool, or no such argument."""
    arguments = {"value": many(ELEMENTS[element], MAX_VALUES)}
    size = len(Call.of("store", arguments).canonical_json)
    made = " " * 13 + token([("arg_paths", "/value/{}:", ""), BOMB], 1, 4, 30)
    costs_at_most(
        allowed(size, values_in(arguments)) + TOKEN,  # the event loop as well
        lambda: anyio.run(way, made, arguments),
    )


@pytest.mark.parametrize("follows", [from_result("read", "$"), must.each(from_result("read", "$"))])
@pytest.mark.parametrize("element", ["integers", "strings", "members", "deep"])
@pytest.mark.parametrize("number", [MAX_ELEMENTS, MAX_VALUES])
def test_a_list_that_follows_no_result_is_bounded(follows: Any, element: str, number: int) -> None:
    """It is hashed once, and no further than the session has results."""
    arguments = {"value": many(ELEMENTS[element], number)}
    call, session = Call.of("store", arguments), Session()
    session.record_result("read", ["x"])
    narrowed = STORE.attenuate(grant("store", value=follows))
    costs_at_most(
        allowed(len(call.canonical_json), values_in(arguments)),
        lambda: GUARD.decide(" " * 12 + narrowed.token, Call.of("store", arguments), session=session),
    )


def test_approvals_are_counted_before_one_is_read() -> None:
    """However many there are, and whatever they are."""
    many_texts = ["x" * 1000] * 20_000
    costs_at_most(TOKEN, lambda: GUARD.decide(STORE, Call.of("store", {"value": 1}), approvals=many_texts))
    with pytest.raises(Denied, match="more than 16 approvals"):
        GUARD.decide(STORE, Call.of("store", {"value": 1}), approvals=many_texts)


# Arguments as text

PIECES = [
    "[],",
    "{},",
    '"",',
    "0,",
    "1e5,",
    '"\\"",',
    "[[",
    "]",
    "{",
    '"',
    "9" * 399 + ",",
    '"a":0,',
    "\\u00e9",
    ",",
]


@CASES
@given(
    st.lists(st.sampled_from(PIECES), min_size=1, max_size=4).map("".join),
    st.sampled_from(['{"value":[', '{"value":{', '{"value":"', "", "[" * 40]),
)
@example("[],", '{"value":[')
@example("{},", '{"value":[')
@example('"",', '{"value":[')
@example("0,", '{"value":[')
@example("[{", '{"value":"')
@example('"",', "[" * 33)
@example("]", "[" * 33)
def test_text_is_bounded_before_it_is_decoded(piece: str, head: str) -> None:
    """A MiB of whatever the decoder would call back for."""
    text = head + piece * ((MAX_BYTES - 99) // len(piece)) + ("0]}" if head.endswith("[") else '"}')
    costs_at_most(allowed(len(text)), lambda: Call.of("store", text))


# Messages of providers, and results of tools

PARTS: list[Any] = [
    {"type": "tool_use", "id": "1", "name": "x", "input": {}},
    {"type": "tool_use", "id": "1", "name": "x", "input": {"a": [0] * 99}},
    {"type": "function_call", "call_id": "1", "name": "x" * 9999, "arguments": "[" * 999},
    {"type": "text", "text": "x" * 999},
    {"type": "web_search_call", "action": nested(99, {})},
    {"role": "assistant"},
    {},
    5,
]


@CASES
@given(st.lists(st.sampled_from(PARTS), min_size=1, max_size=3), st.sampled_from([1, 100, 1 << 16]))
@example(PARTS[:1], 1 << 16)
@example(PARTS[-2:], 1 << 16)
def test_a_message_of_a_model_is_bounded(parts: list[Any], number: int) -> None:
    """However many parts it has, and whatever they are."""

    async def run(name: str, arguments: Mapping[str, Any] | str) -> object:
        return name

    message = (parts * number)[: 1 << 16]
    costs_at_most(TOKEN + 2 * VALUES, lambda: anyio.run(partial(answer_calls, message, run)))


@pytest.mark.parametrize("path", ["$[*].a", "$[*].tags[*]", "$[*]", "$[-1].a", "$[*].none"])
def test_a_search_of_what_a_session_has_seen_is_bounded(path: str) -> None:
    """Sixteen places, in the largest results; a list of values is looked for in each."""
    row = {"a": 1, "b": "x", "tags": ["t"] * 4, **{f"c{index}": "x" for index in range(4)}}
    session = Session()
    for _ in range(64):
        session.record_result("read", [row] * 1_100)
    asked = [from_result("read", path), from_result("read", path, unique=True)]
    if path != "$[*]":
        told = {f"c{index}": "x" for index in range(4)}
        asked += [from_result("read", path, where=told, starts_with={"b": "x" * n}) for n in range(1, 9)]
    sources = [must.each(one) for one in asked]
    narrowed = STORE.attenuate(grant("store", value=reduce(lambda one, other: one & other, sources)))
    call = Call.of("store", {"value": [f"{index}" for index in range(MAX_ELEMENTS)]})
    costs_at_most(TOKEN + 4 * VALUES, lambda: GUARD.decide(" " * 11 + narrowed.token, call, session=session))


def shared(levels: int, width: int, leaf: Any) -> Any:
    """Few objects that would be written as width**levels."""
    for _ in range(levels):
        leaf = [leaf] * width
    return leaf


@CASES
@given(
    st.integers(0, 40), st.integers(1, 200), st.sampled_from(["", "x" * 5000, object(), 1.5, {"a": {}}, b"x"])
)
@example(60, 2, "x")
@example(1, 1 << 20, {"id": 1})
@example(1, 1 << 17, 0)
@example(2, 1 << 12, "x" * 5000)
@example(1, 1 << 13, {"a": object()})
def test_a_result_is_bounded(levels: int, width: int, leaf: Any) -> None:
    """For the session, and as text for a model; what is too large is noticed early."""
    result = shared(levels, width, leaf)
    costs_at_most(allowed(MAX_BYTES), lambda: Session().record_result("t", result))
    try:
        size = len(result_text(result))
        costs_at_most(allowed(size, min(8 * MAX_VALUES, 1 + size // 2)), lambda: result_text(result))
    except ResultTooLargeError:
        costs_at_most(allowed(8 << 20, 8 * MAX_VALUES), lambda: result_text(result))


# Frames

OF_FRAMES = (
    "[],",
    "{},",
    '"",',
    '{"a":1},',
    '"a":[',
    "[[",
    "1,",
    "null,",
    '"\\u0041",',
    "1e9,",
    '{"id":2.0},',
)


@CASES
@example(piece="[],", head='{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"x":[')
@example(piece="{},", head='{"jsonrpc":"2.0","id":1,"result":{"x":[')
@example(piece='{"id":2.0},', head='{"jsonrpc":"2.0","id":2.0,"error":null,"result":{"x":[')
@given(
    piece=st.sampled_from(OF_FRAMES),
    head=st.sampled_from(
        (
            "",
            "[",
            '{"id":1,"method":"',
            '{"jsonrpc":"2.0","id":1,"result":{"x":[',
            '{"jsonrpc":"2.0","id":1,"x":[',
        )
    ),
)
def test_a_frame_is_bounded(piece: str, head: str) -> None:
    """Whatever a client or a server sends, read whole or refused: closed, and broken off."""
    body = piece * (MAX_BYTES // len(piece.encode()))
    ends = "".join({"[": "]", "{": "}"}[one] for one in reversed(re.sub(r"[^\[{]", "", head)))
    for text in (f"{head}{body}", f"{head}{body.rstrip(',')}{ends}"):
        costs_at_most(allowed(len(text)), partial(read_message, text.encode()))
        costs_at_most(allowed(len(text)), partial(parse_upstream, text.encode()))
