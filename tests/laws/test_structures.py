"""Lists of objects, mappings, lists inside of them: compiled decision, words and engine agree with Python.

And no field, however it is named, is taken for a step that leads to many values.
"""

# ruff: noqa: E501
from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from random import Random
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest

from hessra_agents import Call, Capability, Denied, KeyPair, Trust, grant
from hessra_agents.call.facts import OF_MANY, PARAMETERS, SIGNATURES
from hessra_agents.call.places import MAX_ELEMENTS, escape, is_key
from hessra_agents.grants.clauses import Clause
from hessra_agents.tokens.engine import authorize
from hessra_agents.tokens.issue import issue
from hessra_agents.tools.json_schema import narrowed
from hessra_agents.tools.tool import Tool
from hessra_agents.verify.explain import explain
from hessra_agents.verify.matcher import matches, program
from tests.support.plain_law import structure

ROOT = KeyPair.generate()
TRUST = Trust({1: ROOT.public})
NOW = 1_750_000_000
STRUCTURES = 20_000 if os.environ.get("HESSRA_SOAK") else 600

NAMES = ("~*", "*", "", "~k", "~v", "~?", "0", "f~?", "f", "[]", "\u0455ku", "a/b", "~0", "~1*")


def hostile(value: Any) -> Iterator[Any]:
    """What resembles a value, and is another."""
    yield from ([value], {"~*": value}, {"*": value}, {"": value}, {"0": value}, str(value), None, 1.5)
    if type(value) is list and value:
        yield from (
            value * MAX_ELEMENTS + value,
            [*value, None],
            [*value, [value[0]]],
            value[0],
            value + value,
        )
        yield dict(enumerate_texts(value))
        for index, element in enumerate(value):
            for changed in hostile(element) if type(element) is dict else ([element], {}, True):
                yield [*value[:index], changed, *value[index + 1 :]]
    if type(value) is dict:
        yield from (list(value), list(value.values()), {str(number): 0 for number in range(513)})
        for name in NAMES:
            yield {**value, name: next(iter(value.values()), 0)}
        for name in value:
            yield {key: one for key, one in value.items() if key != name}
            yield {**value, name: None}


def enumerate_texts(values: list[Any]) -> Iterator[tuple[str, Any]]:
    """Return the list as an object whose fields are its indexes."""
    return ((str(index), value) for index, value in enumerate(values))


def capability(constraint: object) -> Capability:
    """Return what grants one argument with this constraint."""
    made = grant("t", x=constraint)
    ttl = timedelta(minutes=1)
    token = issue("a", [made], key=ROOT, key_id=1, ttl=ttl, audience="here", now=NOW).token
    return Capability.parse(token, TRUST)


def engine(told: Capability, call: Call) -> bool:
    """Return what the engine says."""
    try:
        authorize(
            told.biscuit, call, now=NOW, audience="here", designations=[], patterns=told.about("tool:t")
        )
    except Denied:
        return False
    return True


@pytest.mark.parametrize("part", range(3))
def test_decision_words_and_engine_say_of_structures_what_python_says(part: int) -> None:
    """Values near to what is granted, and values that resemble them."""
    rng = Random(part)
    tried = permitted = foreseen = 0
    for _ in range(STRUCTURES // 3):
        plain = structure(rng)
        with suppress(ValueError):  # too large for a token
            told = capability(plain.constraint)
            schema = _schema(told)
            good = [value for value in plain.values if plain.holds(value)]
            strange = [one for value in good[:2] for one in hostile(value)]
            for value in (*plain.values, *rng.sample(strange, min(12, len(strange)))):
                says, call = plain.holds(value) and _short(value), Call.of("t", {"x": value})
                [pattern] = told.about("tool:t")
                assert matches(program(told).about("tool:t"), call) == says, (str(plain.constraint), value)
                assert bool(explain(pattern, call, block=0)) != says
                assert engine(told, call) == says
                tried, permitted = tried + 1, permitted + says
                fits = schema.is_valid(value)
                assert fits or not says, (str(plain.constraint), value)
                foreseen += not fits
    assert permitted > tried // 10
    assert foreseen > 0.75 * (tried - permitted)
    assert tried > 10 * STRUCTURES // 3


def _schema(told: Capability) -> Any:
    """Return a validator of what a model is told of the argument."""
    tool = Tool.of(_tool)
    schema = narrowed(tool.schema, "tool:t", told.about("tool:t"))
    return jsonschema.Draft202012Validator(schema["properties"]["x"])


def _tool(x: Any = None) -> None: ...


def _short(value: Any) -> bool:
    """Return whether no list and no mapping has more than `MAX_ELEMENTS`, in all lists of one kind."""
    inner = list(value.values()) if type(value) is dict else value if type(value) is list else []
    below = sum(len(one) for one in inner if type(one) in (list, dict))
    return len(inner) <= MAX_ELEMENTS and below <= MAX_ELEMENTS and all(map(_short, inner))


def test_no_name_of_a_field_spells_a_step_to_many_values() -> None:
    """The key of any field, at any depth, leads to that field alone."""
    for name in NAMES:
        call = Call.of("t", {"x": {name: [1, 2]}, name or "n": {"y": 1}})
        assert call.fact("arg_ints", f"/x/{escape(name)}") == (frozenset({1, 2}),)
        if name:
            assert call.fact("arg_int", f"/{escape(name)}/y") == (1,)
        for step in ("~*", "~k", "~v"):
            assert step != escape(name)
            assert not is_key(f"/x/{step}")


NOT_KEYS = ("/~*", "/~*/a", "/~w", "/x/~?", "/x/a~?", "/x/a~?/~*", "/x/~*/~*/~*", "/x/~*~?", "/x/~a", "/x/~", "/x/~*a",
            "/x/a~*", "/x/~k/~v/~*", "/x/~*/a~?~?", "/x/~*/~??", "/x/~*" + "/a" * 31, "/x/~*/" + "a" * 1019, "/x/~0?~")  # fmt: skip
KEYS = (
    "/x/~*",
    "/x/~k",
    "/x/~v/a/b~?/~*",
    "/x/~*/~*",
    "/x/~*/~?",
    "/x/~*/0~?",
    "/x/~*/~0?~?",
    "/x/~w/1",
    "/x/~*/~w/~*",
)


def test_a_key_of_many_values_serves_only_facts_of_lists() -> None:
    """A primary fact is about one value, and so is a limit: neither has such a key."""
    for key in NOT_KEYS:
        assert not is_key(key, many=True), key
    for key in KEYS:
        assert is_key(key, many=True), key
        assert is_key(key) == (key == "/x/~w/1")
    cases: list[Any] = [[1], ["a"], [["a"]], [{}], []]
    for fact in SIGNATURES.keys() - {"arg_names"}:
        parameter = next((one for one in (2, "a") if fact in PARAMETERS and PARAMETERS[fact](one)), None)
        assert Clause(fact, "/x/~*", parameter=parameter).well_formed() == (fact in OF_MANY), fact
        if fact not in OF_MANY:
            for value in cases:
                assert Call.of("t", {"x": value}).fact(fact, "/x/~*", parameter) is None, fact


def test_the_words_of_a_line_are_a_place_only_where_every_shell_reads_the_same() -> None:
    """A plain line, split at single blanks; anything else has no words."""
    call = Call.of("t", {"x": "/bin/ls -l a=b", "y": ["ls a", "ls b"]})
    assert call.fact("arg_argv", "/x/~w") == ("/bin/ls",)
    assert call.fact("arg_str", "/x/~w/1") == ("-l",)
    assert call.fact("arg_operands", "/x/~w/2:") == (frozenset({"a=b"}),)
    assert call.fact("arg_strs", "/y/~*/~w/1") == (frozenset("ab"),)
    odd = ("", " ", "a ", " a", "a  b", "a\tb", "a\nb", "a;b", "a|b", "a&b", "$a", "`a`", "a*", "a?", "~", "#a", "{a,b}",
           "!a", "%a%", "'a'", '"a"', "a\\b", "a>b", "a<b", "(a)", "[a]", "\u00e9", "a\u00a0b", "a\0", "a" * 8193)  # fmt: skip
    for line in (*odd, 1, None, ["a"], {"~w": "a"}):
        assert not Call.of("t", {"x": line}).has("/x/~w"), line
