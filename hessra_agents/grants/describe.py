"""Describe clauses in words, for refusals, descriptions and the command line.

Any holder who narrows a capability writes names and values into it, and these words reach a model, a log and
a terminal. So a string from a token is shown unchanged only if it is one plain word; any other string is
quoted and shortened, with unprintable characters escaped. A value in these words has at most 80 characters.

A capability may hold more than `must` writes: every fact has its own words for every test that fits it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from ..call.canonical import Json, MalformedError, encode, parse
from ..call.facts import escape
from .clauses import Branch, Clause, Source, Test, by_argument
from .durations import write_duration
from .limits import Limit

__all__ = ["describe_branch", "describe_clauses", "describe_limit", "describe_place", "quote", "safe_word"]

_PLAIN = re.compile(r"[\w!#$%&*+./:=?@^~-]+", re.ASCII)
_MOST = 8
_LONGEST = 80


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
    """Return an argument's name, or ``options/force`` for a place inside an argument."""
    # a name such as "a; to: anything" would read as two arguments
    return safe_word(key[1:].replace("~1", "/").replace("~0", "~") if key.startswith("/") else key)


def describe_limit(limit: Limit) -> str:
    """Return ``at most 3 calls in any 1h``, or ``sum of amount at most 5000``."""
    counted = f"at most {limit.at_most} call{'s' * (limit.at_most != 1)}"
    if limit.argument is not None:
        counted = f"sum of {describe_place(limit.argument)} at most {limit.at_most}"
    return counted + (f" in any {write_duration(limit.window)}" if limit.window else "")


def describe_clauses(clauses: Sequence[Clause]) -> str:
    """Return what all of these clauses, about one place, require together."""
    return _described(tuple(clauses))


@lru_cache(maxsize=1024)
def _described(clauses: tuple[Clause, ...]) -> str:
    """Describe the clauses of one place once: a model that is refused often asks for the same again."""
    lengths = [clause for clause in clauses if clause.fact == "arg_len"]
    others = [clause for clause in clauses if clause.fact != "arg_len"]
    units = {_UNITS.get(clause.fact, "") for clause in others}
    unit = units.pop() if len(units) == 1 else ""
    text, length = _all([_clause(one) for one in others]), _all([_clause(one, unit) for one in lengths])
    return f"{text} ({length})" if text and length else text or length


_UNITS = {
    **dict.fromkeys(("arg_str", "arg_path", "arg_url", "arg_email", "arg_operand"), "character"),
    **dict.fromkeys(("arg_strs", "arg_ints", "arg_paths", "arg_urls", "arg_emails"), "element"),
    **dict.fromkeys(("arg_lens", "arg_operands", "arg_argv", "results_of"), "element"),
}
"""The unit that a length counts, by another fact about the same value."""


def describe_branch(branch: Branch) -> str:
    """Return one way to call one tool: ``send_email(to: one of 'a', 'b'; body: anything)``."""
    words = {clause.key: "" for clause in branch.clauses if clause.fact != "arg_names"}
    words |= {key: describe_clauses(clauses) for key, clauses in by_argument(branch.clauses).items()}
    for container in [c.key for c in branch.clauses if c.fact == "arg_fields"]:
        tests = [t for c in branch.clauses if c.fact == "arg_fields" and c.key == container for t in c.tests]
        closed, names = _names(tests)
        edges = _edges(tests)
        noun = "an object" if not closed else f"an object {'with only these' if names else 'without'} fields"
        words[container] = _all([words[container], f"{noun} with names {edges}" if edges else noun])
        _add_members(words, container, tests)
    tests = [test for clause in branch.clauses if clause.fact == "arg_names" for test in clause.tests]
    _add_members(words, "", tests)
    parts = ["; ".join(f"{describe_place(key)}: {text}" for key, text in words.items())]
    parts += [f"names {edges}" for edges in [_edges(tests)] if edges]
    arguments = ", ".join(part for part in parts if part)
    if not branch.closes:
        arguments = f"{arguments}, other arguments unchanged" if arguments else "arguments unchanged"
    return f"{safe_word(branch.resource.removeprefix('tool:'))}({arguments})"


def _edges(tests: list[Test]) -> str:
    return _all([_test("names", test) for test in tests if test.each])


def _names(tests: list[Test]) -> tuple[bool, frozenset[str]]:
    """Return whether these tests list the names that may occur, and the listed names."""
    sets = [frozenset(map(str, t.operand)) for t in tests if isinstance(t.operand, frozenset)]
    return bool(sets), frozenset.intersection(*sets) if sets else frozenset()


def _add_members(words: dict[str, str], container: str, tests: list[Test]) -> None:
    """Add, for each name in a container, what only the tests on the container's names say about it."""
    closed, listed = _names(tests)
    required = {str(test.operand) for test in tests if test.op == "has"}
    absent = {str(test.operand) for test in tests if test.op == "lacks"}
    top = container if container.startswith("/") else f"/{escape(container)}" if container else ""
    described = {name for key in words for above, name in [_split(key)] if above == top}
    for name in sorted(listed | required | absent | described):
        key = f"{top}/{escape(name)}" if top else name
        barred = name in absent or (closed and name not in listed)
        if barred and (name in described or name in required or not closed):
            # a name that is also required gets both words: no call matches
            words[key] = _all([words.get(key) or ("anything" if name in required else ""), "omitted"])
        elif not barred and name not in described and (closed or name in required):
            words[key] = "anything" if name in required else "anything, or omitted"


def _split(key: str) -> tuple[str, str]:
    """Return the pointer of the container of a place, and the name of the place in it."""
    if not key.startswith("/"):
        return "", key
    above, _, name = key.rpartition("/")
    return above, name.replace("~1", "/").replace("~0", "~")


def _all(texts: list[str]) -> str:
    """Join these texts, each once, up to a limit."""
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
    if clause.equal is not None:
        return _equal(kind, clause.equal, unit)
    joined = _all([_test(kind, test, unit) for test in clause.tests])
    if not joined:
        return _ALONE.get(kind) or _NOUNS[kind]
    # 'one of' is clear without a noun
    return joined if joined.startswith("one of") else f"{_NOUNS[kind]} {joined}".strip()


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


_NOUNS = {
    "str": "a string",
    "int": "an integer of",
    "bool": "a boolean",
    "null": "exactly null",
    "json": "a list, an object, or a number that is not a 64-bit integer",
    "scalar": "a value",
    "path": "a path",
    "url": "a URL",
    "email": "one email address",
    "len": "",
    "operand": "a non-option word",
    "strs": "a list of strings",
    "ints": "a list of integers",
    "paths": "a list of paths",
    "urls": "a list of URLs",
    "emails": "a list of email addresses",
    "lens": "a list of elements",
    "operands": "non-option words",
    "argv": "a command",
    "names": "names",
    "fields": "an object of fields",
}
_ALONE = {
    "int": "an integer",
    "scalar": "a string, a number, a boolean or null",
    "len": "a string or a list",
    "lens": "a list of strings or lists",
    "operand": "a word that is not an option",
    "operands": "words that are not options",
    "names": "any names",
    "fields": "an object",
}
"""The noun if there is no test."""


def _equal(kind: str, value: object, unit: str) -> str:
    if kind == "null":
        return "exactly null" if value is True else "no possible value"
    if kind == "json":
        digest = value.hex()[:16] if isinstance(value, bytes) else ""
        return f"exactly the value whose sha256 begins with {digest}"
    shown = _shown(_COLUMNS.get(kind, _TEXT)[0], value)
    if kind == "len":
        return _length(f"exactly {shown}", unit)
    if kind == "argv":
        return f"a command that runs {shown}"
    return f"exactly {'the path ' if kind == 'path' else ''}{shown}"


def _length(amount: str, unit: str) -> str:
    """Return ``at most 5 characters``, or ``length at most 5`` if the unit is not known."""
    return f"{amount} {unit}{'s' * (not amount.endswith(' 1'))}" if unit else f"length {amount}"


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
"""The meaning of each value of a fact; strings and integers of other facts have none."""

_SETS = frozenset({"strs", "ints", "paths", "urls", "emails", "lens", "operands", "names", "fields"})


def _test(kind: str, test: Test, unit: str = "") -> str:
    column = _COLUMNS.get(kind, _TEXT)[test.index]
    if isinstance(test.operand, frozenset):
        return _among(kind, column, test.operand, unit)
    if test.op in _AMOUNTS:
        amount = f"{_AMOUNTS[test.op]} {_shown(column, test.operand)}"
        if kind == "len":
            return _length(amount, unit)
        return f"{'each ' * test.each}{'of length ' * (kind == 'lens')}{amount}"
    if test.op in _HAS:
        return f"{_HAS[test.op].get(column, _HAS[test.op]['text'])} {_shown(column, test.operand)}"
    return _edge(column, test)


_AMOUNTS = {"at_least": "at least", "at_most": "at most"}
_HAS = {
    "has": {
        "text": "with",
        "origin": "with one at",
        "location": "with one at the path",
        "domain": "with one at",
        "length": "with one of length",
    },
    "lacks": {
        "text": "without",
        "origin": "with none at",
        "location": "with none at the path",
        "domain": "with none at",
        "length": "with none of length",
    },
}
_OWN = {"origin": "origin", "location": "path", "domain": "domain", "program": "program", "value": "json"}
_EDGES = {"starts": ("starts with", "start with"), "ends": ("ends with", "end with")}


def _edge(column: str, test: Test) -> str:
    """Return a test on the beginning or the end of a string."""
    text, own = str(test.operand), _OWN.get(column)
    subject = f"whose {own}{'s each' if test.each else ''}" if own else f"that{' each' if test.each else ''}"
    verb = _EDGES[test.op][test.each]
    if column not in ("path", "location"):
        return f"{subject} {verb} {quote(text)}"
    # the fact is closed by one '/': every path under /data starts with /data/
    if test.op == "starts" and text[:1] == "/" and text[-1:] == "/":
        return f"under {safe_word(text[:-1] or '/')}"
    if test.op == "ends" and text[-1:] == "/" and len(text) > 1:
        return f"{subject} {verb} {safe_word(text[:-1])}"
    return f"{subject}, closed by '/', {verb} {quote(text)}"


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
    if column in ("path", "location"):
        closed = text[:1] == "/" and text[-1:] == "/"
        return safe_word(text[:-1] or "/") if closed else f"{quote(text)} (which matches no path)"
    return text if column == "value" and _is_scalar(text) else quote(value)


def _is_scalar(text: str) -> bool:
    """Return whether this is the JSON text of a short scalar, whose own quotes show where it ends."""
    try:
        return (
            len(text) <= _LONGEST
            and text.isprintable()
            and encode(parse(text)) == text.encode()
            and (text[0] not in "[{")
        )
    except (MalformedError, UnicodeError):
        return False
