"""Clauses in words: what a place must be, for refusals, descriptions and the command line.

Whoever narrows a capability writes names and values into it, and these words reach a model, a log and a
terminal. So a text from a token stands as it is only where it is one plain word; any other is quoted, with
what is not printable escaped, and cut. A value in these words is at most 80 characters long.

A capability may hold more than `must` writes: every fact with every test that fits it has its own words.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from ..call.canonical import Json, MalformedError, encode, parse
from ..call.facts import escape
from .clauses import Branch, Clause, Source, Test, by_argument
from .limits import Limit

__all__ = ["describe_branch", "describe_clauses", "describe_limit", "describe_place", "quote", "safe_word"]

_PLAIN = re.compile(r"[\w!#$%&*+./:=?@^~-]+", re.ASCII)
_MOST = 8
_LONGEST = 80


def safe_word(text: str) -> str:
    """A text as it is, or quoted where it could be taken for more than one word."""
    return text if len(text) <= _LONGEST and _PLAIN.fullmatch(text) else quote(text)


def quote(value: object) -> str:
    """A value in quotes, on one line, cut where it is long."""
    text = repr(value)
    if len(text) <= _LONGEST:
        return text
    if not isinstance(value, str):
        return text[: _LONGEST - 3] + "..."
    # the closing quote shows where the token's text ends
    return text[: _LONGEST - 4].rstrip("\\") + text[0] + "..."


def describe_place(key: str) -> str:
    """An argument's name, or ``options/force`` for a place inside of one."""
    # a name such as "a; to: anything" would read as two arguments
    return safe_word(key[1:].replace("~1", "/").replace("~0", "~") if key.startswith("/") else key)


def describe_limit(limit: Limit) -> str:
    """``at most 3 calls in any 3600 s``; ``at most 5000 as the sum of amount``."""
    counted = f"call{'s' * (limit.at_most != 1)}"
    if limit.argument is not None:
        counted = f"as the sum of {describe_place(limit.argument)}"
    window = f" in any {limit.window} s" if limit.window else ""
    return f"at most {limit.at_most} {counted}{window}"


def describe_clauses(clauses: Iterable[Clause]) -> str:
    """What all of these clauses, about one place, together ask for."""
    return _all([_clause(clause) for clause in clauses])


def describe_branch(branch: Branch) -> str:
    """``send_email(to: one of 'a', 'b'; body: anything)``: one way to call one tool."""
    said = {clause.key: "" for clause in branch.clauses if clause.fact != "arg_names"}
    said |= {key: describe_clauses(clauses) for key, clauses in by_argument(branch.clauses).items()}
    for container in [c.key for c in branch.clauses if c.fact == "arg_fields"]:
        tests = [t for c in branch.clauses if c.fact == "arg_fields" and c.key == container for t in c.tests]
        closed, names = _names(tests)
        noun = "an object" if not closed else f"an object {'of these' if names else 'without'} fields"
        edges = _edges(tests)
        said[container] = _all([said[container], f"{noun} with names {edges}" if edges else noun])
        _members(said, container, tests)
    tests = [test for clause in branch.clauses if clause.fact == "arg_names" for test in clause.tests]
    _members(said, "", tests)
    parts = ["; ".join(f"{describe_place(key)}: {text}" for key, text in said.items())]
    parts += [f"names {edges}" for edges in [_edges(tests)] if edges]
    told = ", ".join(part for part in parts if part)
    rest = "" if branch.closes else ", the rest as before" if told else "as before"
    return f"{safe_word(branch.resource.removeprefix('tool:'))}({told}{rest})"


def _edges(tests: list[Test]) -> str:
    return _all([_test("names", test) for test in tests if test.each])


def _names(tests: list[Test]) -> tuple[bool, frozenset[str]]:
    """Whether these tests close the names beside each other, and on which."""
    sets = [frozenset(map(str, t.operand)) for t in tests if isinstance(t.operand, frozenset)]
    return bool(sets), frozenset.intersection(*sets) if sets else frozenset()


def _members(said: dict[str, str], container: str, tests: list[Test]) -> None:
    """Say of each name in a container what only the tests on its names say."""
    closed, named = _names(tests)
    asked = {str(test.operand) for test in tests if test.op == "has"}
    absent = {str(test.operand) for test in tests if test.op == "lacks"}
    top = container if container.startswith("/") else f"/{escape(container)}" if container else ""
    there = {name for key in said for above, name in [_split(key)] if above == top}
    for name in sorted(named | asked | absent | there):
        key = f"{top}/{escape(name)}" if top else name
        barred = name in absent or (closed and name not in named)
        if barred and (name in there or name in asked or not closed):
            # also where it must be there: then nothing fits, and both are said
            said[key] = _all([said.get(key) or ("anything" if name in asked else ""), "left out"])
        elif not barred and name not in there and (closed or name in asked):
            said[key] = "anything" if name in asked else "anything, or left out"


def _split(key: str) -> tuple[str, str]:
    """The pointer of what a place stands in, and the place's name there."""
    if not key.startswith("/"):
        return "", key
    above, _, name = key.rpartition("/")
    return above, name.replace("~1", "/").replace("~0", "~")


def _all(texts: list[str]) -> str:
    """All of these, each once, and not without end."""
    if len(texts) == 1:
        return texts[0]
    different = list(dict.fromkeys(text for text in texts if text))
    shown = different[: 2 * _MOST]
    rest = len(different) - len(shown)
    return " and ".join([*shown, *([f"{rest} more conditions"] if rest else [])])


@lru_cache(maxsize=1024)
def _clause(clause: Clause) -> str:
    kind = clause.fact.removeprefix("arg_")
    if isinstance(clause.equal, Source):
        return _source(clause.equal, each=kind == "results_of")
    if clause.equal is not None:
        return _equal(kind, clause.equal)
    joined = _all([_test(kind, test) for test in clause.tests])
    if not joined:
        return _ALONE.get(kind) or _NOUNS[kind]
    # 'one of' says enough without a noun
    return joined if joined.startswith("one of") else f"{_NOUNS[kind]} {joined}".strip()


def _source(source: Source, *, each: bool) -> str:
    """``a value that search_contacts returned at $[*].email, where name is 'Sarah Baker'``."""
    said: Any = parse(source.selector)
    path, where = said["path"], said.get("where", {})
    told = f"{'a list of values' if each else 'a value'} that {safe_word(source.tool)} returned"
    told += f" at {path if _PLAIN_PATH.fullmatch(path) and len(path) <= _LONGEST else quote(path)}"
    asked = [f"{_beside(name)} is {_exact(one)}" for name, one in where.items()]
    asked += [f"{_beside(name)} starts with {quote(text)}" for name, text in said.get("starts", {}).items()]
    asked += [f"{_beside(said[edge])} is the {edge}" for edge in ("largest", "smallest") if edge in said]
    told += f", where {' and '.join(asked)}" if asked else ""
    told += ", if it is the only one" if "unique" in said else ""
    return told + (", trusted or not" if "untrusted" in said else "")


def _exact(value: Json) -> str:
    text = encode(value).decode()
    return text if not isinstance(value, str) and len(text) <= _LONGEST else quote(value)


def _beside(name: str) -> str:
    return "it" if name == "@" else safe_word(name)


_PLAIN_PATH = re.compile(r"[$.*\[\]\w-]+", re.ASCII)


_NOUNS = {
    "str": "a text",
    "int": "a whole number of",
    "bool": "true or false",
    "null": "exactly null",
    "json": "a list, an object or a number that is not whole or of more than 64 bits",
    "scalar": "a value",
    "path": "a path",
    "url": "a URL",
    "email": "one mail address",
    "len": "",
    "operand": "a word that is no option",
    "strs": "a list of texts",
    "ints": "a list of whole numbers",
    "paths": "a list of paths",
    "urls": "a list of URLs",
    "emails": "a list of mail addresses",
    "lens": "a list of parts",
    "operands": "words that are no options",
    "argv": "a command",
    "names": "names",
    "fields": "an object of fields",
}
_ALONE = {
    "int": "a whole number",
    "scalar": "a text, a number, true, false or null",
    "len": "a text or a list",
    "lens": "a list of texts or lists",
    "names": "any names",
    "fields": "an object",
}
"""The noun where there is no test."""


def _equal(kind: str, value: object) -> str:
    if kind == "null":
        return "exactly null" if value is True else "what no value is"
    if kind == "json":
        return "exactly the value with this digest: " + (value.hex()[:16] if isinstance(value, bytes) else "")
    shown = _shown(_COLUMNS.get(kind, _TEXT)[0], value)
    if kind == "argv":
        return f"a command of {shown}"
    return f"exactly {'the path ' if kind == 'path' else ''}{shown}{' long' if kind == 'len' else ''}"


_TEXT = ("text",)
_COLUMNS = {
    "scalar": ("value",),
    "path": ("path",),
    "paths": ("path",),
    "url": ("origin", "location"),
    "urls": ("origin", "location"),
    "email": ("address", "domain"),
    "emails": ("address", "domain"),
    "len": ("length",),
    "lens": ("length",),
    "argv": ("program",),
}
"""What the values of a fact are; texts and whole numbers where it is not said."""

_SETS = frozenset({"strs", "ints", "paths", "urls", "emails", "lens", "operands", "names", "fields"})


def _test(kind: str, test: Test) -> str:
    column = _COLUMNS.get(kind, _TEXT)[test.index]
    if isinstance(test.operand, frozenset):
        return _among(kind, column, test.operand)
    if test.op in _AMOUNTS:
        long = " long" if column == "length" else ""
        return f"{'each ' if test.each else ''}{_AMOUNTS[test.op]} {_shown(column, test.operand)}{long}"
    if test.op in _HAS:
        return f"{_HAS[test.op].get(column, _HAS[test.op]['text'])} {_shown(column, test.operand)}"
    return _edge(column, test)


_AMOUNTS = {"at_least": "at least", "at_most": "at most"}
_HAS = {
    "has": {
        "text": "with",
        "origin": "with one of",
        "location": "with one at the path",
        "domain": "with one at",
    },
    "lacks": {
        "text": "without",
        "origin": "with none of",
        "location": "with none at the path",
        "domain": "with none at",
    },
}
_OWN = {"origin": "origin", "location": "path", "domain": "domain", "program": "program", "value": "json"}
_EDGES = {"starts": ("starts with", "start with"), "ends": ("ends with", "end with")}


def _edge(column: str, test: Test) -> str:
    """A test on how a text begins or ends."""
    text, own = str(test.operand), _OWN.get(column)
    who = f"whose {own}{'s each' if test.each else ''}" if own else f"that{' each' if test.each else ''}"
    does = _EDGES[test.op][test.each]
    if column not in ("path", "location"):
        return f"{who} {does} {quote(text)}"
    # the fact is closed by one '/': under /data is what starts with /data/
    if test.op == "starts" and text[:1] == "/" and text[-1:] == "/":
        return f"under {safe_word(text[:-1] or '/')}"
    if test.op == "ends" and text[-1:] == "/" and len(text) > 1:
        return f"{who} {does} {safe_word(text[:-1])}"
    return f"{who}, closed by '/', {does} {quote(text)}"


def _among(kind: str, column: str, values: frozenset[str] | frozenset[int]) -> str:
    ordered = sorted(values, key=lambda value: (isinstance(value, str), value))
    shown = [_shown(column, value) for value in ordered[:_MOST]] or ["nothing"]
    more = f" or {len(ordered) - _MOST} more" if len(ordered) > _MOST else ""
    each = kind in _SETS
    among = {
        "origin": "of",
        "location": "whose paths are out of" if each else "whose path is one of",
        "domain": "at",
        "length": f"{'each ' if each else ''}as long as one of",
        "program": "of one of",
    }.get(column) or ("one of" if kind in ("str", "int", "scalar") else "out of")
    return f"{among} {', '.join(shown)}{more}"


def _shown(column: str, value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, frozenset):
        return _among("strs", column, value)
    text = str(value)
    if column in ("origin", "program"):
        return safe_word(text)
    if column in ("path", "location"):
        closed = text[:1] == "/" and text[-1:] == "/"
        return safe_word(text[:-1] or "/") if closed else f"{quote(text)} (which no path is)"
    return text if column == "value" and _is_scalar(text) else quote(value)


def _is_scalar(text: str) -> bool:
    """Whether this is the one JSON text of a short scalar, whose own quotes show where it ends."""
    try:
        return (
            len(text) <= _LONGEST
            and text.isprintable()
            and encode(parse(text)) == text.encode()
            and (text[0] not in "[{")
        )
    except (MalformedError, UnicodeError):
        return False
