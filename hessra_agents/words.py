"""Clauses in words: what a place must be, for refusals, descriptions and the command line."""

from __future__ import annotations

import re
from collections.abc import Iterable

from .clauses import Branch, Clause, Test, by_argument

__all__ = ["branch_words", "place_name", "place_words"]

_PLAIN = re.compile(r"[\w./:~-]+")
_MOST = 8
_LONGEST = 80


def place_name(key: str) -> str:
    """An argument's name, or ``options/force`` for a place inside of one."""
    name = key[1:].replace("~1", "/").replace("~0", "~") if key.startswith("/") else key
    # a name such as "a; to: anything" would read as two arguments
    return name if _PLAIN.fullmatch(name) else repr(name)


def place_words(clauses: Iterable[Clause]) -> str:
    """What all of these clauses, about one place, together ask for."""
    return " and ".join(dict.fromkeys(_clause(clause) for clause in clauses))


def branch_words(branch: Branch) -> str:
    """``send_email(to: one of 'a', 'b'; body: anything)``: one way to call one tool."""
    said = {key: place_words(clauses) for key, clauses in by_argument(branch.clauses).items()}
    names: set[str] = set()
    asked: set[str] = set()
    absent: set[str] = set()
    for clause in branch.clauses:
        for test in clause.tests if clause.fact == "arg_names" else ():
            operand = test.operand
            names |= {str(name) for name in operand} if isinstance(operand, frozenset) else set()
            asked |= {str(operand)} if test.op == "has" else set()
            absent |= {str(operand)} if test.op == "lacks" else set()
    for name in sorted((names | asked) - said.keys() - absent):
        said[name] = "anything" if name in asked else "anything, or left out"
    inner = "; ".join(f"{place_name(key)}: {text}" for key, text in said.items())
    rest = "" if branch.closes else ", the rest as before" if inner else "as before"
    return f"{branch.resource.partition(':')[2]}({inner}{rest})"


def _clause(clause: Clause) -> str:
    kind = clause.fact.removeprefix("arg_")
    if clause.equal is not None:
        return _equal(kind, clause.equal)
    tests = [_test(kind, test) for test in clause.tests]
    joined = " and ".join(test for test in tests if test)
    # 'one of' says enough without a noun
    noun = "" if joined.startswith("one of") else _NOUNS.get(kind, "")
    return f"{noun} {joined}".strip() if joined else noun


_NOUNS = {
    "str": "a text",
    "int": "a whole number of",
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
}


def _equal(kind: str, value: object) -> str:
    if kind == "null":
        return "exactly null"
    if kind == "json":
        return "exactly the value with this digest: " + (value.hex()[:16] if isinstance(value, bytes) else "")
    if kind == "argv":
        return f"a command of {value}"
    if kind == "scalar":
        return f"exactly {value}"
    return f"exactly {_shown(value)}"


def _test(kind: str, test: Test) -> str:
    operand = test.operand
    if isinstance(operand, frozenset):
        return _among(kind, test.index, operand)
    if kind in ("path", "paths"):
        return f"under {str(operand).rstrip('/') or '/'}"
    if kind in ("url", "urls"):
        return f"under {str(operand).rstrip('/')}"
    if kind in ("len", "lens"):
        return f"{_AMOUNTS[test.op]} {operand} long"
    return f"{_AMOUNTS.get(test.op) or _EDGES[test.op]} {_shown(operand)}"


_AMOUNTS = {"at_least": "at least", "at_most": "at most"}
_EDGES = {"starts": "that starts with", "ends": "that ends with", "has": "with", "lacks": "without"}


def _among(kind: str, index: int, values: frozenset[str] | frozenset[int]) -> str:
    ordered = sorted(values, key=lambda value: (isinstance(value, str), value))
    plain = kind in ("scalar", "url", "urls")
    shown = [str(value) if plain else _shown(value) for value in ordered[:_MOST]]
    more = f" or {len(ordered) - _MOST} more" if len(ordered) > _MOST else ""
    word = "one of" if kind in ("str", "int", "scalar") else "of" if kind in ("url", "urls") else "out of"
    if kind in ("email", "emails"):
        word = "at" if index == 1 else "out of"
    return f"{word} {', '.join(shown)}{more}"


def _shown(value: object) -> str:
    text = str(value).lower() if isinstance(value, bool) else repr(value)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."
