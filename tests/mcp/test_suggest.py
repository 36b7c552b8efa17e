"""Learning: what a session did is what is proposed, and where it is more, the file says so."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from hessra_agents import Authority, Call, Denied
from hessra_agents.call.canonical import encode, to_json
from hessra_agents.grants.grant_file.reader import read_grants
from hessra_agents.mcp.discovery.suggest import suggest_grants
from hessra_agents.tokens.capability import Capability
from hessra_agents.verify.verifier import verify

NOW = 1_800_000_000
AUTHORITY = Authority.ephemeral(clock=lambda: NOW)


def issued(calls: list[Call]) -> Capability:
    """A capability of the proposed grants, read from their file."""
    return AUTHORITY.issue(
        "agent:a", *read_grants(suggest_grants(calls)), ttl=timedelta(minutes=1), audience="here"
    )


def permits(capability: Capability, call: Call) -> bool:
    """Whether a guard named ``here`` would let this call through."""
    try:
        verify(capability, call, now=NOW, audience="here")
    except Denied:
        return False
    return True


def of(*arguments: dict[str, Any], tool: str = "t") -> list[Call]:
    """Calls of one tool."""
    return [Call.of(tool, one) for one in arguments]


def lines(*arguments: dict[str, Any]) -> list[str]:
    """What the file says of the arguments."""
    _, _, text = suggest_grants(of(*arguments)).partition("[grant.arguments]\n")
    return text.strip().split("\n")


MANY = range(40)
PROPOSED: list[tuple[list[dict[str, Any]], list[str]]] = [
    ([{"x": "a"}], ['x = "a"']),
    ([{"x": "a"}, {"x": "b"}, {"x": "a"}], ['x = { one_of = ["a", "b"] }']),
    ([{"x": 1}, {"x": True}], ["x = { one_of = [1, true] }"]),
    (
        [{"x": n + 0.25} for n in MANY],
        [
            "# wider than what was seen (40): all between these two",
            "x = { number = { low = 0.25, high = 39.25 } }",
        ],
    ),
    ([{"x": None}, {"x": 1.5}], ['x = { one_of = [{ json = "null" }, 1.5] }']),
    ([{"x": [1, None]}], ['x = { json = "[1,null]" }']),
    ([{"x": {"a": 1}}], ["x = { exact = { a = 1 } }"]),
    ([{"x": 1}, {"x": 1, "y": 2}], ["x = 1", "y = { optional = 2 }"]),
    (
        [{"x": i} for i in MANY],
        ["# wider than what was seen (40): all between these two", "x = { between = [0, 39] }"],
    ),
    (
        [{"x": f"/srv/data/{i}"} for i in MANY],
        [
            "# wider than what was seen (40): every path in this folder",
            'x = { under = "/srv/data" }',
        ],
    ),
    (
        [{"x": f"INV{i}"} for i in MANY],
        [
            "# wider than what was seen (40): every string that begins so",
            'x = { starts_with = "INV", max_length = 5 }',
        ],
    ),
    (
        [{"x": f"https://a.example/{i}"} for i in MANY],
        [
            "# wider than what was seen (40): EVERY string of this length",
            "x = { max_length = 20 }",
        ],
    ),
    (
        [{"x": "a " * 1_000}],
        ["# wider than what was seen (1): EVERY string of this length", "x = { max_length = 2000 }"],
    ),
    (
        [{"x": [f"a{i % 3}"] * (i % 4)} for i in range(12)],
        [
            "# wider than what was seen (10): every list of such elements",
            'x = { subset_of = { values = ["a1", "a2", "a0"], empty = true }, max_length = 3 }',
        ],
    ),
    (
        [{"x": {"a": i, "b": "c"}} for i in range(20)],
        [
            "# wider than what was seen (20): every combination of these fields",
            'x = { fields = { a = { between = [0, 19] }, b = "c" } }',
        ],
    ),
    (
        [{"x": [i, str(i)]} for i in range(20)],
        [
            "# ANYTHING AT ALL: no bound describes the values; decide yourself",
            "x = { anything = true }",
        ],
    ),
]


@pytest.mark.parametrize(("seen", "said"), PROPOSED, ids=[" ".join(said)[-60:] for _, said in PROPOSED])
def test_each_argument_is_held_to_what_it_was(seen: list[dict[str, Any]], said: list[str]) -> None:
    """The bound, after a comment where it is wider; and it allows what was seen."""
    assert lines(*seen) == said
    capability = issued(of(*seen))
    assert all(permits(capability, call) for call in of(*seen))


def test_a_few_lists_are_a_few_grants() -> None:
    """A list out of their elements would be wider."""
    calls = of({"x": ["a", "b"]}, {"x": ["b"]})
    capability = issued(calls)

    assert suggest_grants(calls).count("[[grant]]") == 2
    assert all(permits(capability, call) for call in calls)
    assert not permits(capability, Call.of("t", {"x": ["b", "a"]}))


def test_a_few_calls_are_not_combined() -> None:
    """The rent of the landlord is not what the gym may get, and a rehearsal is no deletion."""
    pay = of({"to": "landlord", "cents": 90000}, {"to": "gym", "cents": 2900})
    delete = of({"id": 1}, {"id": 7, "dry_run": True}, tool="delete")
    text = suggest_grants(pay + delete)
    capability = issued(pay + delete)

    assert text.count("[[grant]]") == 4
    assert "# wider" not in text
    assert all(permits(capability, call) for call in pay + delete)
    assert not permits(capability, Call.of("t", {"to": "gym", "cents": 90000}))
    assert not permits(capability, Call.of("delete", {"id": 7}))


def test_each_of_a_few_has_its_own_bound() -> None:
    """Where the other values are too many to be listed."""
    calls = of(*({"to": to, "cents": cents + n} for to, cents in (("a", 0), ("b", 900)) for n in MANY))

    assert suggest_grants(calls).count("[[grant]]") == 2
    assert not permits(issued(calls), Call.of("t", {"to": "b", "cents": 0}))


def test_combinations_that_were_not_seen_are_told() -> None:
    """Where several grants would be too many."""
    calls = of(*({"to": f"a{n}", "cents": n} for n in MANY))
    text = suggest_grants(calls)

    assert text.count("[[grant]]") == 1
    assert "# wider than what was seen (40): every combination of what these arguments may be" in text


def test_many_arguments_that_are_sometimes_there_are_grants_of_their_own() -> None:
    """More than six choices do not fit one grant."""
    calls = of(*({f"a{i}": 1 for i in range(8) if i != j} for j in range(8)))
    capability = issued(calls)

    assert all(permits(capability, call) for call in calls)
    assert not permits(capability, Call.of("t", {"a0": 1}))


def test_a_session_of_odd_calls_still_ends_in_a_file() -> None:
    """Far too many shapes: wide, marked, and no error."""
    calls = of(*({"x": [i, str(i)], f"a{i}": {"b": [i]}} for i in range(40)))

    text = suggest_grants(calls)

    assert "# ANYTHING AT ALL" in text
    assert len(read_grants(text)) == 1


def test_reading_a_resource_or_a_prompt_is_learned_too() -> None:
    """Each as what it is."""
    calls = [
        Call.of("file:///a", {}, kind="resource", operation="read"),
        Call.of("sum", {"text": "x"}, kind="prompt", operation="get"),
        Call.of("v/reindex", {"full": True}, kind="method", operation="call"),
    ]
    capability = issued(calls)

    assert all(permits(capability, call) for call in calls)
    assert not permits(capability, Call.of("sum", {"text": "x"}))


def test_nothing_seen_is_nothing_granted() -> None:
    """Such a file is not read."""
    with pytest.raises(ValueError, match="has no grant"):
        read_grants(suggest_grants([]))


names = st.sampled_from(["a", "b", "odd name\n[[grant]]"])
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=6) | st.sampled_from(
    ["/srv/a", "/srv/b", "/srv", "a@b.org", "null", "[]"]
)
scalars = st.none() | st.booleans() | st.integers(-5, 5) | st.integers() | st.just(1.5) | texts
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("xy/~", max_size=2), inner, max_size=2)
    ),
    max_leaves=4,
)
arguments = st.dictionaries(names, values, max_size=3)
sessions = st.lists(
    st.tuples(st.sampled_from(["t", "u", 'v"\n']), arguments).map(lambda one: Call.of(*one)),
    min_size=1,
    max_size=12,
)


@given(sessions)
def test_every_call_that_was_seen_is_allowed(calls: list[Call]) -> None:
    """By a guard, with a capability of the proposed file."""
    capability = issued(calls)

    assert all(permits(capability, call) for call in calls)


@given(arguments, names, values)
def test_a_call_that_was_seen_once_is_the_only_one_allowed(
    seen: dict[str, Any], name: str, value: Any
) -> None:
    """Another value of one argument, one more argument, or one less, is refused."""
    capability = issued(of(seen))
    others = [{**seen, name: value}, {one: seen[one] for one in seen if one != name}]

    for other in others:
        same = encode(to_json(other)) == encode(to_json(seen))
        assert permits(capability, Call.of("t", other)) == same


@given(sessions, names, values)
def test_a_value_that_was_never_seen_is_refused_unless_the_file_says_wider(
    calls: list[Call], name: str, value: Any
) -> None:
    """A bound without a comment is what was seen of this argument."""
    text = suggest_grants(calls)
    assume("# wider" not in text and "# ANYTHING" not in text)
    first = calls[0]
    known = [encode(c.arguments[name]) for c in calls if c.tool == first.tool and name in c.arguments]
    assume(encode(to_json(value)) not in known)

    assert not permits(issued(calls), Call.of(first.tool, {**first.arguments, name: value}))


@given(sessions, st.data())
def test_without_a_comment_only_what_was_seen_is_allowed(calls: list[Call], data: st.DataObject) -> None:
    """Neither is a combination of its values, nor a call with fewer of them."""
    text = suggest_grants(calls)
    assume("# wider" not in text and "# ANYTHING" not in text)
    tool = data.draw(st.sampled_from([call.tool for call in calls]))
    seen = [call.arguments for call in calls if call.tool == tool]
    mixed = {}
    for name in {name for one in seen for name in one}:
        source = data.draw(st.sampled_from(seen))
        if name in source:
            mixed[name] = source[name]

    assert permits(issued(calls), Call.of(tool, mixed)) == (encode(mixed) in [encode(one) for one in seen])


def test_a_proposal_of_numbers_keeps_their_digits() -> None:
    """Large and fractional ones are compared by what they are."""
    calls = of({"x": 10**30}, {"x": 1e300}, {"x": 0.1})

    assert all(permits(issued(calls), call) for call in calls)
    assert json.loads(calls[0].canonical_json)["x"] == 10**30
