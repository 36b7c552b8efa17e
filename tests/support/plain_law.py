"""Say in plain Python what each constraint means, beside the constraint: a second opinion on every decision.

`Plain` holds a constraint, a function that tells whether a value passes, and values to try. Nothing here uses
clauses, facts or tokens: what a value must be is written once more, as its documentation says it.
"""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from pathlib import PurePosixPath
from random import Random
from typing import Any
from urllib.parse import urlsplit

from hessra_agents import grant, must
from hessra_agents.grants.grants import Grant
from hessra_agents.grants.vocabulary.constraints import Constraint

__all__ = ["LEAVES", "MISSING", "Plain", "PlainGrant", "constraint", "plain_grant", "structure"]

MISSING = object()
"""What stands for an argument or a field that is not there."""


@dataclass(frozen=True)
class Plain:
    """A constraint, whether it lets a value pass (`MISSING`: none), and values near its edges."""

    constraint: Constraint
    holds: Callable[[Any], bool]
    values: tuple[Any, ...]


def _same(value: Any) -> Callable[[Any], bool]:
    return lambda given: type(given) is type(value) and given == value


def _is(kind: type, test: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda given: type(given) is kind and test(given)


def _length(test: Callable[[int], bool]) -> Callable[[Any], bool]:
    return lambda given: type(given) in (str, list) and test(len(given))


def _each(inner: Callable[[Any], bool], *, empty: bool = False) -> Callable[[Any], bool]:
    return lambda given: type(given) is list and (empty or bool(given)) and all(map(inner, given))


def _number(test: Callable[[Decimal], bool]) -> Callable[[Any], bool]:
    return lambda given: type(given) in (int, float) and test(Decimal(repr(given)))


def _path(test: Callable[[PurePosixPath], bool]) -> Callable[[Any], bool]:
    return _is(str, lambda v: v[:1] == "/" and posixpath.normpath(v) == v and test(PurePosixPath(v)))


def _relative(test: Callable[[PurePosixPath], bool]) -> Callable[[Any], bool]:
    plain = _is(str, lambda v: v != "" and posixpath.normpath(v) == v and v[0] not in "/.-")
    return lambda v: plain(v) and ":" not in v.split("/")[0] and test(PurePosixPath(v))


def _url(
    scheme: str, ports: tuple[int, ...], host: Callable[[str], bool], under: str = "/"
) -> Callable[[Any], bool]:
    def holds(text: str) -> bool:
        read = urlsplit(text)
        port = read.port or (443 if read.scheme == "https" else 80)
        path = PurePosixPath(read.path or "/")
        below = PurePosixPath(under) in (path, *path.parents)
        return read.scheme == scheme and port in ports and host(read.hostname or "") and below

    return _is(str, lambda v: "://" in v and holds(v))


def _address(test: Callable[[str, str], bool]) -> Callable[[Any], bool]:
    whole = re.compile(r"[a-z]+@[a-z]+(\.[a-z]+)+")
    return _is(str, lambda v: bool(whole.fullmatch(v)) and test(v, v.partition("@")[2]))


D, R = PurePosixPath("/d"), PurePosixPath("r")
WORDS = ("", "x", "xy", "ab", "b")
NUMBERS = (-1, 0, 1, 2, 3, True, 1.5)
PATHS = ("/d", "/d/e", "/d2", "/d/../e", "d", "/d/", "/d/a.csv", "/d/e/a.csv", "/d/a.csv.gz", "/a.csv")
RELATIVE = ("r", "r/a", "r/a.csv", "r2/a.csv", "a.csv", "/r", "../r", "r/", "r/../a.csv", "-r", "C:r", "")
URLS = ("https://a.h.de/p", "https://a.b.h.de/p/q", "https://h.de/p", "https://a.h.de/", "https://a.h.de:444/p",
        "https://h.de:443/p", "http://a.h.de/p", "https://ah.de/p", "https://a.h.de.io/p")  # fmt: skip
HOSTS = ("http://10.0.0.5", "http://10.0.0.5:80/x", "http://[::1]:8080/", "http://10.0.0.5:8080", "http://[::1]",
         "http://[0::1]:8080/", "http://10.0.0.05", "https://10.0.0.5", "http://h.de")  # fmt: skip
MAILS = ("a@x.de", "b@x.de", "a@y.de", "a@x.de.io", "a@x.de,b@x.de", "x.de", "a@b.x.de", "a@bx.de")
DECIMALS = (-0.01, 0, 1, 2.5, 2.51, 0.5, 3, 0.30000000000000004, "1", True, None)
TIMES = ("2026-12-24", "2026-12-25", "2026-12-32", "2026-12-24T10:59:59.9Z", "2026-12-24T11:00:00Z", 20811)
LISTS: tuple[Any, ...] = ([], ["x"], ["x", "b"], ["x", 1], [1, 2], [1, 3], [["x"]], "x")

LEAVES: list[Plain] = [
    Plain(must.exact("x"), _same("x"), WORDS),
    Plain(must.exact(1), _same(1), NUMBERS),
    Plain(must.exact(True), _same(True), NUMBERS),
    Plain(must.exact(None), lambda given: given is None, (None, False, 0, "")),
    Plain(must.exact(["x", 1]), _same(["x", 1]), LISTS),
    Plain(must.one_of("x", "b"), _is(str, lambda v: v in ("x", "b")), WORDS),
    Plain(must.one_of(1, 3), _is(int, lambda v: v in (1, 3)), NUMBERS),
    Plain(must.one_of("x", 1, None), lambda v: v is None or (type(v), v) in ((str, "x"), (int, 1)), NUMBERS),
    Plain(must.anything(), lambda v: True, (*WORDS, *NUMBERS, *LISTS, None, {})),
    Plain(must.starts_with("x"), _is(str, lambda v: v[:1] == "x"), WORDS),
    Plain(must.ends_with("b"), _is(str, lambda v: v[-1:] == "b"), WORDS),
    Plain(must.under("/d"), _path(lambda p: D in (p, *p.parents)), PATHS),
    Plain(must.under("/d", ending=".csv"), _path(lambda p: D in p.parents and p.suffix == ".csv"), PATHS),
    Plain(must.directly_in("/d"), _path(lambda p: p.parent == D), PATHS),
    Plain(must.directly_in("/", ending="v"), _path(lambda p: len(p.parts) == 2 and p.name[-1] == "v"), PATHS),
    Plain(must.relative(), _relative(lambda p: True), RELATIVE),
    Plain(must.relative("r"), _relative(lambda p: R in (p, *p.parents)), RELATIVE),
    Plain(must.relative(ending=".csv"), _relative(lambda p: p.name.endswith(".csv")), RELATIVE),
    Plain(must.url("*.h.de", under="/p"), _url("https", (443,), lambda h: h[-5:] == ".h.de", "/p"), URLS),
    Plain(
        must.url("*.h.de", "h.de", ports=[443, 444]),
        _url("https", (443, 444), lambda h: h == "h.de" or h[-5:] == ".h.de"),
        URLS,
    ),
    Plain(must.ip_url("10.0.0.5", scheme="http"), _url("http", (80,), lambda h: h == "10.0.0.5"), HOSTS),
    Plain(
        must.ip_url("10.0.0.5", "::1", scheme="http", ports=[8080]),
        _url("http", (8080,), lambda h: h in ("10.0.0.5", "::1")),
        HOSTS,
    ),
    Plain(must.between(1, 2), _is(int, lambda v: 1 <= v <= 2), NUMBERS),
    Plain(must.at_least(2), _is(int, lambda v: v >= 2), NUMBERS),
    Plain(must.at_most(0), _is(int, lambda v: v <= 0), NUMBERS),
    Plain(must.between(0, 2.5), _number(lambda v: 0 <= v <= Decimal("2.5")), DECIMALS),
    Plain(must.at_least(0.5), _number(lambda v: v >= Decimal("0.5")), DECIMALS),
    Plain(must.at_most(Decimal("2.50")), _number(lambda v: v <= Decimal("2.5")), DECIMALS),
    Plain(must.number(above=0, below=3), _number(lambda v: 0 < v < 3), DECIMALS),
    Plain(must.number(high=2.5, places=1), _number(lambda v: v <= 2.5 and v * 10 == int(v * 10)), DECIMALS),
    Plain(must.date(not_before="2026-12-25"), lambda v: v == "2026-12-25", TIMES),
    Plain(must.instant(before="2026-12-24T11:00:00Z"), lambda v: v == "2026-12-24T10:59:59.9Z", TIMES),
    Plain(must.matches("x?y?"), lambda v: v in ("", "x", "xy", "y"), (*WORDS, "yx", 1)),
    Plain(must.contains("b"), _is(str, lambda v: "b" in v), (*WORDS, 1, ["b"])),
    Plain(must.not_one_of(1, 3), _is(int, lambda v: v not in (1, 3)), NUMBERS),
    Plain(must.not_one_of("x", free_text=True), _is(str, lambda v: v != "x"), (*WORDS, 1)),
    Plain(must.hex("AB"), lambda v: v in ("ab", "AB", "aB", "Ab"), ("ab", "AB", "aB", "a", "0xab", 10)),
    Plain(must.host("X.de"), lambda v: v in ("x.de", "X.de"), ("x.de", "X.de", "x.de.", "a.x.de", 1)),
    Plain(
        must.command_line("/b", "x"), lambda v: v == "/b x", ("/b x", "/b x ", "/b  x", "/b x;", ["/b", "x"])
    ),
    Plain(must.length(1, 2), _length(lambda n: n in (1, 2)), (*WORDS, *LISTS)),
    Plain(must.length(2, 2), _length(lambda n: n == 2), (*WORDS, *LISTS)),
    Plain(must.min_length(2), _length(lambda n: n >= 2), (*WORDS, *LISTS)),
    Plain(must.non_empty(), _length(bool), (*WORDS, *LISTS, {})),
    Plain(must.max_length(1), _length(lambda n: n <= 1), (*WORDS, *LISTS)),
    Plain(must.email("x.de"), _address(lambda v, d: d == "x.de"), MAILS),
    Plain(must.email("a@y.de", "x.de"), _address(lambda v, d: v == "a@y.de" or d == "x.de"), MAILS),
    Plain(must.email("*.x.de"), _address(lambda v, d: d.endswith(".x.de")), MAILS),
    Plain(must.email("*.x.de", "y.de"), _address(lambda v, d: d == "y.de" or d.endswith(".x.de")), MAILS),
    Plain(must.subset_of("x", "b"), _each(lambda v: v in ("x", "b")), LISTS),
    Plain(must.subset_of("x", 1), _each(lambda v: (type(v), v) in ((str, "x"), (int, 1))), LISTS),
    Plain(must.each(must.at_most(2), empty=True), _each(_is(int, lambda v: v <= 2), empty=True), LISTS),
]
"""Constraints on a value, without a constraint inside."""


def constraint(rng: Random, depth: int = 3) -> Plain:
    """Return a random constraint, which may be optional, joined, an object or a list, to this depth."""
    kinds = ("leaf", "leaf", "optional", "optional", "omitted", "both", "either", "null", "fields", "many")
    kind = rng.choice(kinds) if depth else "leaf"
    if kind == "optional":
        inner = _of_a_value(rng, depth - 1)
        values = (MISSING, *inner.values)
        return Plain(must.optional(inner.constraint), lambda v: v is MISSING or inner.holds(v), values)
    if kind == "omitted":
        return Plain(must.omitted(), lambda v: v is MISSING, (MISSING, MISSING, MISSING, None, 1))
    return rng.choice(LEAVES) if kind == "leaf" else _composed(rng, kind, depth - 1)


def _of_a_value(rng: Random, depth: int) -> Plain:
    kinds = ("leaf", "both", "either", "null", "fields", "fields", "many")
    kind = rng.choice(kinds) if depth else "leaf"
    return rng.choice(LEAVES) if kind == "leaf" else _composed(rng, kind, max(depth - 1, 0))


def _composed(rng: Random, kind: str, depth: int) -> Plain:
    if kind == "many":
        with suppress(ValueError):  # what every element must be is not a choice, nor a third list inside
            return _of_many(rng, depth)
        return rng.choice(LEAVES)
    if kind == "both":
        one, two = _of_a_value(rng, depth), _of_a_value(rng, depth)
        holds = lambda v: one.holds(v) and two.holds(v)  # noqa: E731 -- a value of the class below
        return Plain(one.constraint & two.constraint, holds, one.values + two.values)
    if kind == "either":
        one, two = _of_a_value(rng, depth), _of_a_value(rng, depth)
        any_holds = lambda v: one.holds(v) or two.holds(v)  # noqa: E731 -- likewise
        return Plain(one.constraint | two.constraint, any_holds, one.values + two.values)
    if kind == "null":
        inner = _of_a_value(rng, depth)
        or_null = lambda v: v is None or inner.holds(v)  # noqa: E731 -- likewise
        return Plain(must.nullable(inner.constraint), or_null, (None, *inner.values))
    parts = {name: constraint(rng, depth) for name in rng.sample(("f", "g", "a/b"), rng.randint(0, 3))}

    def is_object(value: Any) -> bool:
        return type(value) is dict and value.keys() <= parts.keys() and _all(parts, value)

    values = [{name: pick for name, one in parts.items() if (pick := rng.choice(one.values)) is not MISSING}]
    values += [{**values[0], "h": 1}, {}, dict(list(values[0].items())[1:]), "f"]  # type: ignore[list-item]
    return Plain(must.fields({n: one.constraint for n, one in parts.items()}), is_object, tuple(values))


def structure(rng: Random) -> Plain:
    """Return a random constraint on a list or a mapping, mostly of objects."""
    while True:
        with suppress(ValueError):
            return _of_many(rng, 2)


def _of_many(rng: Random, depth: int) -> Plain:
    """A list, or a mapping, all of whose elements or values are of one constraint."""
    inner = _of_a_value(rng, depth)
    good = [value for value in inner.values if inner.holds(value)] or inner.values
    sources = (good, good, good, inner.values, inner.values)
    some = [[rng.choice(source) for _ in range(rng.choice((0, 1, 1, 2, 3)))] for source in sources]
    if rng.random() < 0.6:
        empty, unique = rng.random() < 0.3, rng.random() < 0.2

        def is_list(value: Any) -> bool:
            kept = {json.dumps(one, sort_keys=True) for one in value} if type(value) is list else ()
            return _each(inner.holds, empty=empty)(value) and (not unique or len(kept) == len(value))

        made = must.each(inner.constraint, empty=empty, unique=unique)
        return Plain(made, is_list, (*some, {"~*": some[0]}, "x", dict(enumerate_names(some[1]))))
    most, begin = rng.choice((None, 0, 1, 2)), rng.choice(("", "k"))

    def is_mapping(value: Any) -> bool:
        return (
            type(value) is dict
            and (most is None or len(value) <= most)
            and all(name.startswith(begin) and inner.holds(one) for name, one in value.items())
        )

    keys = must.starts_with(begin) if begin else None
    made = must.mapping(keys=keys, values=inner.constraint, at_most=most)
    return Plain(made, is_mapping, (*(dict(enumerate_names(one)) for one in some), some[0], {"~v": 1}, None))


def enumerate_names(values: list[Any]) -> list[tuple[str, Any]]:
    """Return the values with names, of which a pointer escapes some."""
    return list(zip(("k", "k/~1", "k~*", "b"), values, strict=False))


def _all(inner: Mapping[str, Plain], given: Mapping[str, Any]) -> bool:
    return all(
        one.holds(given.get(name, MISSING)) and (name in given or _may_be_omitted(one))
        for name, one in inner.items()
    )


def _may_be_omitted(one: Plain) -> bool:
    return not one.constraint.wants_value


@dataclass(frozen=True)
class PlainGrant:
    """A grant, and what it says of the arguments of one tool."""

    grant: Grant
    arguments: Mapping[str, Plain]

    def permits(self, tool: str, given: Mapping[str, Any], *, closed: bool) -> bool:
        """Return whether a call is one that the grant describes."""
        named = self.grant.tool == tool and (given.keys() <= self.arguments.keys() or not closed)
        return named and _all(self.arguments, given)

    def example(self, rng: Random) -> dict[str, Any]:
        """Return arguments near to what the grant allows."""
        found = {name: rng.choice(one.values) for name, one in self.arguments.items()}
        if rng.random() < 0.1:
            found[rng.choice("abcdz")] = rng.choice((1, "x", None))
        return {name: value for name, value in found.items() if value is not MISSING}


def plain_grant(rng: Random, tool: str, arguments: Mapping[str, Plain]) -> PlainGrant:
    """Return a grant of a tool with these constraints."""
    return PlainGrant(grant(tool, {name: one.constraint for name, one in arguments.items()}), arguments)
