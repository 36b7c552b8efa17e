"""Patterns, templates and equal places, held against `re`, expansion and `json`."""

# ruff: noqa: E501
from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from random import Random
from typing import Any

import pytest

from hessra_agents import Denied, Reason, must
from hessra_agents.call.call import Call
from hessra_agents.call.matching import MAX_PATTERN, is_pattern, matches_pattern
from hessra_agents.call.templates import as_granted, read_uri, variables
from hessra_agents.grants.clauses import Branch, Clause
from hessra_agents.grants.vocabulary.constraints import Place
from hessra_agents.tools.json_schema import narrowed
from tests.support import forge
from tests.support.world import World

TEXTS = 100_000
PIECES = ("a", "-", "B", "[A-Z]", "[0-9]", "[a-z0-9]", r"\.", "[A-Z]{2,5}", "[0-9]{1,3}", "[a-z]{0,4}", "a?", "-?",
          "BOOK-", "[a-c_-]{0,3}", "[0-9]{2}", "[.:/@+=,]", r"\\?", "aB{2}", "[a-zA-Z]{0,2}")  # fmt: skip


def test_a_pattern_matches_as_a_regular_expression_does() -> None:
    """For every pattern that is taken, one greedy pass and the search of `re` find the same."""
    rng, tried, met = Random(5), 0, 0
    while tried < TEXTS:
        pattern = "".join(rng.choice(PIECES) for _ in range(rng.randint(1, 6)))
        if not is_pattern(pattern):
            continue
        known = re.compile(pattern)
        for _ in range(20):
            text = "".join(rng.choice("aABOK09z-.c_\\é\n") for _ in range(rng.randint(0, 7)))
            assert matches_pattern(text, pattern) == bool(known.fullmatch(text)), (pattern, text)
            met += matches_pattern(text, pattern)
            tried += 1
    assert met > TEXTS / 100


NO_PATTERNS = (
    ("", "x" * (MAX_PATTERN + 1)),
    (
        ".*",
        "a+",
        "a*",
        "(a)",
        "a|b",
        "^a",
        "a$",
        "a.",
        r"\d",
        r"\w",
        r"\-",
        r"\n",
        "[^a]",
        "[a&&b]",
        "(?i)a",
        "a??",
    ),
    ("a{", "a}", "a]", "[", "[]", "[a", "{1}", "a{,2}", "a{2,}", "a{2,1}", "a{0}", "a{4097}", "a{1}{2}", "?"),
    ("[z-a]", "[az-a]", "[A-z]", "[a-Z]", "[0-z]", "[-a]", "[a-c-e]", "[a]]", "[é]", "é", "a\n", "\t", "[ ]"),
    ("a?a", "[a-z]{0,9}[a-z]{0,9}x", "[a-z]{1,2}b?c", "a{1,2}a", "-?[a-]", "a?b?a", "[0-9]{1,3}[0-9]"),
    (1, None, ["a"], b"a", True),
)


@pytest.mark.parametrize("text", [*itertools.chain(*NO_PATTERNS)], ids=repr)
def test_what_is_not_a_pattern_is_refused(text: Any) -> None:
    """By `must`, and by admission in whatever token it is written."""
    assert not is_pattern(text)
    with pytest.raises(ValueError, match=r"must\.matches takes"):
        must.matches(text)
    assert not Clause("arg_matches", "x", None, (), text).well_formed()


@pytest.mark.parametrize("source", ['arg_matches("to", "a?a")', 'arg_matches("to", $p)', 'arg_matches("to", 1)',
                                    'arg_matches("to", "a", "b")', 'arg_same("to", "")',
                                    'arg_same("to", "/b/~*")', 'arg_same("/b/~*", "to")', 'arg_same("to", 1)',
                                    'arg_each_matches("/b/~*", ".*")'])  # fmt: skip
def test_a_question_that_cannot_be_answered_in_one_way_is_not_admitted(world: World, source: str) -> None:
    made = forge.append_source(world.issue(), f'check if resource("tool:send_email"), {source}')
    with pytest.raises(Denied) as caught:
        world.guard.decide(made, Call.of("send_email", {"to": "a"}))
    assert caught.value.reason is Reason.OUTSIDE_PROFILE


def test_the_schema_of_a_pattern_is_the_pattern() -> None:
    """Anchored, and of characters that ECMA-262 takes with the flag ``u``."""
    pattern = r"[A-Z]{2}-[0-9]{1,6}\.[a-z_-]?"
    clauses = must.matches(pattern).alternatives(Place.argument("x"))[0]
    schema = {"type": "object", "properties": {"x": {"type": "string"}}}
    found = narrowed(schema, "tool:t", [(Branch("tool:t", clauses),)])["properties"]["x"]
    assert found == {"type": "string", "pattern": f"^{pattern}$"}


# Templates

LITERALS = ("/", "-", "", ".", "x", "/a/", "?q=", "#", "-x/", "/{", "%2F", "_")
VALUES = ("1", "ab", "a-b", "..", ".", "", "a/b", "a%2Fb", "a.b", "x" * 257, "é", "a b", "-", "a/a", "1\n")


def readings(literals: tuple[str, ...], uri: str) -> Iterator[tuple[str, ...]]:
    """Every way to cut a URI into values between these literals."""
    if not uri.startswith(literals[0]):
        return
    rest = uri[len(literals[0]) :]
    if len(literals) == 1:
        if not rest:
            yield ()
        return
    for end in range(1, min(len(rest), 256) + 1):
        value = rest[:end]
        if not re.fullmatch("[A-Za-z0-9._~-]+", value):
            return
        if value not in (".", ".."):
            yield from ((value, *more) for more in readings(literals[1:], rest[end:]))


def test_a_uri_is_read_in_the_one_way_in_which_it_can_be_cut() -> None:
    """A template that could be read in two ways is none; what is read expands to the same URI."""
    rng, read = Random(3), 0
    for _ in range(20_000):
        names = rng.sample(("a", "b", "c"), rng.randint(1, 3))
        literals = ("x:", *(rng.choice(LITERALS) for _ in names))
        template = literals[0] + "".join(f"{{{n}}}{one}" for n, one in zip(names, literals[1:], strict=True))
        values = [rng.choice(VALUES) for _ in names]
        uri = literals[0] + "".join(f"{v}{one}" for v, one in zip(values, literals[1:], strict=True))
        uri = rng.choice((uri, uri, uri, uri + "/", uri[:-1], uri.upper()))
        found = read_uri(template, uri)
        if variables(template) is None:
            assert found is None
            continue
        cuts = list(readings(literals, uri))
        assert len(cuts) <= 1, (template, uri)
        assert (tuple(found.values()) if found else None) == (cuts[0] if cuts else None), (template, uri)
        if found:
            expanded = template
            for name, value in found.items():
                expanded = expanded.replace(f"{{{name}}}", value)
            assert expanded == uri
            read += 1
    assert read > 1000


NO_TEMPLATES = ("x:a", "{a}", "{a}/b", "x:{a}{b}", "x:{a}-{b}", "x:{a}/{a}", "x:{+a}", "x:{a*}", "x:{a,b}", "x:{a",
                "x:a}", "x:{}", "x:{a}/{b", "x:{{a}}", "x:{a.b}", "x:{é}", "x:{#a}", "x:{a:3}")  # fmt: skip


@pytest.mark.parametrize("template", NO_TEMPLATES)
def test_what_could_be_read_in_two_ways_is_no_template(template: str) -> None:
    assert variables(template) is None
    assert read_uri(template, template) is None
    rights = [("agent:a", f"resource:{template}", "read")]
    call = Call.of("x:1", {}, kind="resource", operation="read")
    assert as_granted(call, rights) is call


def test_only_the_reading_of_a_resource_is_read_by_a_template() -> None:
    rights = [("agent:a", "resource:x:{a}", "read"), ("agent:a", "tool:x:{a}", "invoke")]
    for kind, operation in (("tool", "invoke"), ("tool", "read"), ("resource", "write"), ("prompt", "read")):
        call = Call.of("x:1", {}, kind=kind, operation=operation)
        assert as_granted(call, rights) is call


# Equal places

SAME: tuple[Any, ...] = (1, 1.0, True, "1", None, [1], [True], [1, 2], [2, 1], {"a": 1, "b": 2}, {"b": 2, "a": 1},
                         {"a": True, "b": 2}, "é", "e\N{COMBINING ACUTE ACCENT}", "", 2**70, float(2**70), 0, -0.0, False,
                         1e300, [[]], {})  # fmt: skip


def test_two_places_are_the_same_if_their_json_is() -> None:
    """Of every type; a boolean is no number, and the order of names means nothing."""
    ((clause,),) = must.same_as("b").alternatives(Place.argument("a"))
    for a, b in itertools.product(SAME, repeat=2):
        call = Call.of("t", {"a": a, "b": b})
        one, two = (json.dumps(call.values[name], sort_keys=True) for name in ("a", "b"))
        assert clause.holds(call) == (one == two), (a, b)
    assert not clause.holds(Call.of("t", {"a": None}))
    assert not clause.holds(Call.of("t", {"b": None}))
    assert not clause.holds(Call.of("t", {}))
