"""Describe clauses in words, for refusals, descriptions and the command line.

Any holder who narrows a capability writes names and values into it, and these words reach a model, a log and
a terminal. So a string from a token is shown unchanged only if it is one plain word; any other string is
quoted and shortened, with unprintable characters escaped. A value in these words has at most 80 characters.

A capability may hold more than `must` writes: every fact has its own words for every test that fits it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

from ..call.canonical import Json, MalformedError, encode, parse
from ..call.facts import SIGNATURES
from ..call.places import SPREADS, unescape
from .clauses import Clause, Source, Test
from .durations import write_duration
from .limits import Limit
from .vocabulary.elements import of_one
from .vocabulary.measures import MEASURES, describe_measure, write_decimal
from .words.nouns import ALONE, COLUMNS, NOUNS, RANGED, TEXT, UNITS

__all__ = ["all_of", "describe_clauses", "describe_limit", "describe_place", "describe_test"]
__all__ += ["is_plain_name", "quote", "safe_word", "unknown_place"]

_PLAIN = re.compile(r"[\w!#$%&*+./:=?@^~-]+", re.ASCII)
_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_MOST = 8
_LONGEST = 80


def is_plain_name(name: object) -> bool:
    """Return whether a field's name that a caller made up can be repeated: letters, digits, underscores."""
    return isinstance(name, str) and _PLAIN_NAME.fullmatch(name) is not None


def unknown_place(container: str, name: object) -> str:
    """Return the place of a field that is not granted; a name that is no plain one is ``*``."""
    return f"{container}/{name if is_plain_name(name) else '*'}"


def safe_word(text: str) -> str:
    """Return a string unchanged, or quoted if it could be taken for more than one word."""
    return text if len(text) <= _LONGEST and _PLAIN.fullmatch(text) else quote(text)


def quote(value: object) -> str:
    """Return a value in quotes, on one line, shortened if it is long."""
    text = repr(value)
    if len(text) <= _LONGEST:
        return text
    if not isinstance(value, str):
        return text[: _LONGEST - 3] + "..."
    # the closing quote shows where the token's text ends
    return text[: _LONGEST - 4].rstrip("\\") + text[0] + "..."


def describe_place(key: str) -> str:
    """Return an argument's name, ``options/force`` for a place inside of it, ``items[]/sku`` for many."""
    # a name such as "a; to: anything" would read as two arguments
    if not key.startswith("/"):
        return safe_word(key)
    first, *rest = _OWN_STEPS.split(key.replace("~?", ""))
    text = safe_word(unescape(first[1:]))
    for step, inside in zip(rest[::2], rest[1::2], strict=True):
        text += _STEPS[step] + (f"/{safe_word(unescape(inside[1:]))}" if inside else "")
    return text


_OWN_STEPS = re.compile(r"/(~[*kvw])(?=/|$)")
_STEPS = {"~*": "[]", "~v": "[]", "~k": " names", "~w": " words"}


def describe_limit(limit: Limit) -> str:
    """Return ``at most 3 calls in any 1h``, or ``budget eur: sum of amount at most 5000.00``."""
    counted = f"at most {limit.at_most} call{'s' * (limit.at_most != 1)}"
    if limit.argument is not None:
        most = write_decimal(limit.at_most, limit.places)
        counted = f"sum of {describe_place(limit.argument)} at most {most}"
    counted = counted if limit.budget is None else f"budget {limit.budget}: {counted}"
    return counted + (f" in any {write_duration(limit.window)}" if limit.window else "")


def describe_clauses(clauses: Sequence[Clause]) -> str:
    """Return what all of these clauses, about one place, require together."""
    return _described(tuple(clauses))


@lru_cache(maxsize=1024)
def _described(clauses: tuple[Clause, ...]) -> str:
    """Describe the clauses of one place once: a model that is refused often asks for the same again."""
    if clauses and any(step in SPREADS for step in clauses[0].key.split("/")):
        # of many values: told as what each of them must be
        singles = [of_one(clause, "") for clause in clauses]
        text = _described(
            tuple([single or replace(c, key="") for single, c in zip(singles, clauses, strict=True)])
        )
        return f"each {'omitted or ' if clauses[0].key.endswith('~?') else ''}{text}"
    lengths = [clause for clause in clauses if clause.fact == "arg_len"]
    others = [clause for clause in clauses if clause.fact != "arg_len"]
    units = {UNITS.get(clause.fact, "") for clause in others}
    unit = units.pop() if len(units) == 1 else ""
    text, length = all_of([_clause(one) for one in others]), all_of([_clause(one, unit) for one in lengths])
    text = f"{text} ({length})" if text and length else text or length
    return f"{text}, in a plain line" if clauses and clauses[0].key.endswith("/~w") else text


def all_of(texts: list[str]) -> str:
    """Return these texts joined by "and", each once, up to a limit."""
    if len(texts) == 1:
        return texts[0]
    different = list(dict.fromkeys(text for text in texts if text))
    shown = different[: 2 * _MOST]
    rest = len(different) - len(shown)
    return " and ".join([*shown, *([f"{rest} more conditions"] if rest else [])])


@lru_cache(maxsize=1024)
def _clause(clause: Clause, unit: str = "") -> str:
    kind = clause.fact.removeprefix("arg_")
    if isinstance(clause.equal, Source):
        return _source(clause.equal, each=kind == "results_of")
    if clause.fact in MEASURES:
        return describe_measure(clause)
    single = of_one(clause, "") if clause.fact in RANGED and clause.tests else None
    if single is not None and single.fact in MEASURES:
        return f"a list, each {describe_measure(single)}"
    if clause.parameter is not None and not SIGNATURES[clause.fact]:
        shown = describe_place if kind == "same" else safe_word
        return f"{NOUNS[kind]} {shown(str(clause.parameter))}"
    if clause.equal is not None:
        return _equal(kind, clause.equal, unit)
    if kind in ("int", "len") and [test.op for test in clause.tests] == ["at_least", "at_most"]:
        low, high = (test.operand for test in clause.tests)
        amount = f"exactly {low}" if low == high else f"from {low} to {high}"
        return _length(amount, unit) if kind == "len" else f"{'an integer ' * (low != high)}{amount}"
    below, tests = _below(clause.tests) if kind in _URLS else ("", clause.tests)
    joined = all_of([below, *(describe_test(kind, test, unit) for test in tests)])
    if not joined:
        return ALONE.get(kind) or NOUNS[kind]
    # 'one of' is clear without a noun
    if joined.startswith("one of"):
        return joined
    noun = ALONE.get(kind, "") if joined.startswith("other than") else ""
    return f"{noun or NOUNS[kind]} {joined}".strip()


def _below(tests: tuple[Test, ...]) -> tuple[str, tuple[Test, ...]]:
    """Return ``at https://*.acme.com:443`` for two tests on an origin that say so, and all other tests."""
    edges = tuple(test for test in tests if test.index == 0 and test.op in _EDGES)
    text = "*".join(str(test.operand) for test in edges)
    each = {test.each for test in edges}
    if [test.op for test in edges] != ["starts", "ends"] or len(each) > 1 or not _WILDCARD.fullmatch(text):
        return "", tests
    return f"{'each ' * each.pop()}at {safe_word(text)}", tuple(test for test in tests if test not in edges)


_URLS = frozenset({"url", "urls", "ip_url", "ip_urls"})
_WILDCARD = re.compile(r"https?://\*\.[a-z0-9.-]+:[0-9]+")


def _source(source: Source, *, each: bool) -> str:
    """Return ``a value that search_contacts returned at $[*].email, where name is 'Sarah Baker'``."""
    selector: Any = parse(source.selector)
    path = selector["path"]
    words = f"{'a list of values' if each else 'a value'} that {safe_word(source.tool)} returned"
    words += f" at {path if _PLAIN_PATH.fullmatch(path) and len(path) <= _LONGEST else quote(path)}"
    conditions = [f"{_field(name)} is {_exact(value)}" for name, value in selector.get("where", {}).items()]
    prefixes = selector.get("starts", {}).items()
    conditions += [f"{_field(name)} starts with {quote(prefix)}" for name, prefix in prefixes]
    edges = [edge for edge in ("largest", "smallest") if edge in selector]
    conditions += [f"{_field(selector[edge])} is the {edge}" for edge in edges]
    words += f", where {' and '.join(conditions)}" if conditions else ""
    words += ", if it is the only one" if "unique" in selector else ""
    return words + (", trusted or not" if "untrusted" in selector else "")


def _exact(value: Json) -> str:
    text = encode(value).decode()
    return text if not isinstance(value, str) and len(text) <= _LONGEST else quote(value)


def _field(name: str) -> str:
    return "it" if name == "@" else safe_word(name)


_PLAIN_PATH = re.compile(r"[$.*\[\]\w-]+", re.ASCII)


def _equal(kind: str, value: object, unit: str) -> str:
    if kind in ("distinct", "null"):
        return (ALONE.get(kind) or NOUNS[kind]) if value is True else "no possible value"
    if kind == "json":
        digest = value.hex()[:16] if isinstance(value, bytes) else ""
        return f"exactly the value whose sha256 begins with {digest}"
    shown = _shown(COLUMNS.get(kind, TEXT)[0], value)
    if kind == "len":
        return _length(f"exactly {shown}", unit)
    if kind == "size":
        return f"an object with exactly {shown} fields"
    if kind == "count":
        return f"exactly {shown} values in all"
    if kind == "argv":
        return f"a command that runs {shown}"
    if kind == "parent":
        return f"a path directly in {shown}"
    return f"exactly {'the path ' if kind in ('path', 'relpath') else ''}{shown}"


def _length(amount: str, unit: str) -> str:
    """Return ``at most 5 characters``, or ``length at most 5`` if the unit is not known."""
    return f"{amount} {unit}{'s' * (not amount.endswith(' 1'))}" if unit else f"length {amount}"


_SETS = frozenset(
    name.removeprefix("arg_") for name, kinds in SIGNATURES.items() if {*kinds} & {"strs", "ints"}
)


def describe_test(kind: str, test: Test, unit: str = "") -> str:
    """Return what a test requires of a fact, which is named without its ``arg_``."""
    if f"arg_{kind}" in RANGED:
        return _of_range(RANGED[f"arg_{kind}"], test)
    column = COLUMNS.get(kind, TEXT)[test.index]
    if kind in ("size", "count"):
        amount = f"{_AMOUNTS[test.op]} {_shown(column, test.operand)}" if test.op in _AMOUNTS else ""
        return f"{amount or _set('int', column, test)} {_NUMBERED[kind]}"
    if isinstance(test.operand, frozenset):
        return _set(kind, column, test, unit)
    if test.op in _AMOUNTS:
        amount = f"{_AMOUNTS[test.op]} {_shown(column, test.operand)}"
        if kind == "len":
            return _length(amount, unit)
        return f"{'each ' * test.each}{'of length ' * (kind == 'lens')}{amount}"
    if test.op == "has" and kind not in _SETS:
        own = _OWN.get(column)
        return f"{f'whose {own}' if own else 'that'} contains {quote(test.operand)}"
    if test.op in _HAS:
        plain, element = _HAS[test.op]
        words = f"{element} {_ELEMENTS[column]}" if column in _ELEMENTS else plain
        return f"{words} {_shown(column, test.operand)}"
    return _edge(column, test)


_NUMBERED = {"size": "fields", "count": "values in all"}


def _of_range(what: str, test: Test) -> str:
    """Return a test on the least or the greatest of many numbers."""
    listed = isinstance(test.operand, frozenset)
    amount = _set("int", "text", test) if listed else f"{_AMOUNTS[test.op]} {_shown('text', test.operand)}"
    rounded = ", rounded up" * (test.index > 1)
    if test.op == ("at_least", "at_most")[test.index % 2]:
        return f"each {what}{amount}{rounded}"
    return f"whose {('least', 'greatest')[test.index % 2]} is {what}{amount}{rounded}"


_AMOUNTS = {"at_least": "at least", "at_most": "at most"}
_HAS = {"has": ("with", "with one"), "lacks": ("without", "with none")}
_ELEMENTS = {"origin": "at", "location": "at the path", "domain": "at", "length": "of length"}
_ELEMENTS |= {"folder": "directly in"}
_OWN = {"origin": "origin", "location": "path", "domain": "domain", "program": "program", "value": "json"}
_OWN |= {"folder": "folder"}
_EDGES = {"starts": ("starts with", "start with"), "ends": ("ends with", "end with")}


def _edge(column: str, test: Test) -> str:
    """Return a test on the beginning or the end of a string."""
    text, own = str(test.operand), _OWN.get(column)
    subject = f"whose {own}{'s each' if test.each else ''}" if own else f"that{' each' if test.each else ''}"
    verb = _EDGES[test.op][test.each]
    if column not in _PATHS:
        return f"{subject} {verb} {quote(text)}"
    # the fact is closed by one '/': every path under /data starts with /data/
    if test.op == "starts" and _is_whole(column, text):
        return f"{'in a folder ' * (column == 'folder')}under {safe_word(text[:-1] or '/')}"
    if test.op == "ends" and text[-1:] == "/" and len(text) > 1:
        return f"{subject} {verb} {safe_word(text[:-1])}"
    return f"{subject}, closed by '/', {verb} {quote(text)}"


_PATHS = ("path", "location", "folder", "relative")


def _is_whole(column: str, text: str) -> bool:
    """Return whether a fact of this column can be equal to the text, as far as its first and last '/' say."""
    return text[-1:] == "/" and (text[:1] == "/") is not (column == "relative")


def _set(kind: str, column: str, test: Test, unit: str = "") -> str:
    """Return a test for one of a set, or for none of it."""
    among = _among(kind, column, test.operand, unit)  # type: ignore[arg-type]
    if test.op != "not_in":
        return among
    return f"other than {among.removeprefix('one of ')}" if among.startswith("one of ") else f"not {among}"


def _among(kind: str, column: str, values: frozenset[str] | frozenset[int], unit: str = "") -> str:
    ordered = sorted(values, key=lambda value: (isinstance(value, str), value))
    shown = [_shown(column, value) for value in ordered[:_MOST]] or ["nothing"]
    more = f" or {len(ordered) - _MOST} more" if len(ordered) > _MOST else ""
    listed = f"{', '.join(shown)}{more}"
    each = kind in _SETS
    if column == "length":
        return f"each of length one of {listed}" if each else _length(f"one of {listed}", unit)
    among = {
        "origin": "at",
        "location": "whose paths are each one of" if each else "whose path is one of",
        "domain": "at",
        "program": "that runs one of",
        "folder": "each directly in one of" if each else "directly in one of",
    }.get(column) or ("that are each one of" if each else "one of")
    return f"{among} {listed}"


def _shown(column: str, value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, frozenset):
        return _among("strs", column, value)
    text = str(value)
    if column in ("origin", "program"):
        return safe_word(text)
    if column in _PATHS:
        whole = _is_whole(column, text)
        return safe_word(text[:-1] or "/") if whole else f"{quote(text)} (which matches no path)"
    return text if column == "value" and _is_scalar(text) else quote(value)


def _is_scalar(text: str) -> bool:
    """Return whether this is the JSON text of a short scalar, whose own quotes show where it ends."""
    try:
        short = len(text) <= _LONGEST and text.isprintable() and text[:1] not in ("[", "{")
        return short and encode(parse(text)) == text.encode()
    except (MalformedError, UnicodeError):
        return False
