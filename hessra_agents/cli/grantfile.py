"""Grants from a file: TOML, one ``[[grant]]`` for each way to call a tool (and what else MCP servers offer).

    [[grant]]
    tool = "send_email"

    [grant.arguments]
    to = { email = ["acme.com"] }
    subject = { anything = true }
    body = { max_length = 2000, starts_with = "Dear" }    # several: all of them
    cc = { optional = { one_of = ["ana@acme.com", "bo@acme.com"] } }
    mode = "fast"                                         # a plain value: exactly that value

    [[grant]]
    resource = "file:///srv/handbook.md"                  # to read it; it has no arguments

    [[grant]]
    prompt = "summarise"                                  # or: method = "vendor/reindex", any other request

1. A text, a number or a truth value means exactly that value; so ``"anything"`` is the text. A table names
   constraints. A list alone is refused: it could mean ``one_of`` or ``exact``.
2. An argument that is not there may not occur in the call; in an attenuation it keeps its earlier bounds.
3. A field or a constraint that is not known is an error, with its place. So is ``{ CHOOSE = "..." }``, where
   somebody has yet to decide.

The constraints are those of `must`, by the same names:

    exact = VALUE                           json = 'null'      exactly what this JSON text says
    one_of = [VALUE, ...]                   anything = true    any value, but it must be there
    optional = CONSTRAINT                   may be left out; optional = { anything = true } for any value
    starts_with = "..."                     ends_with = "..."             under = "/srv/data"
    between = [1, 100]                      at_least = 1                  at_most = 100
    max_length = 2000                       email = ["acme.com", "ana@acme.org"]
    url = ["api.acme.com"]                  url = { hosts = [...], scheme = "http", port = 80, under = "/v1" }
    subset_of = ["a", "b"]                  subset_of = { values = [...], empty = true }
    each = CONSTRAINT                       each = { of = CONSTRAINT, empty = true }
    fields = { force = false, name = CONSTRAINT }
    command = { program = "/usr/bin/git", words = ["log", CONSTRAINT], rest = CONSTRAINT }

TOML has no null: write ``{ json = 'null' }``, which may also stand in a list of ``one_of``.
"""

from __future__ import annotations

import difflib
import operator
import re
import tomllib
from collections.abc import Callable
from functools import reduce
from typing import Any, TypeVar

from ..call import MAX_NAME
from ..canonical import parse
from ..constraints import Constraint
from ..grants import Grant, grant, method, prompt, resource
from ..must import must

__all__ = ["read_grants"]

T = TypeVar("T")

MAX_TEXT = 1 << 18
"""Code points; a token holds 16 KiB."""


def read_grants(text: str) -> tuple[Grant, ...]:
    """The grants that this text says, at least one.

    Raises:
        ValueError: it says anything else; the text names the place, such as ``grant 2 (send_email): to``.
    """
    if len(text) > MAX_TEXT:
        raise ValueError(f"a grant file has at most {MAX_TEXT} characters")
    try:
        data = _table(tomllib.loads(text), "the file", {"grant"})
        found = data.get("grant")
        if not isinstance(found, list) or not found:
            raise ValueError("the file: has no grant: begin each one with [[grant]]")
        return tuple(_grant(one, f"grant {number}") for number, one in enumerate(found, 1))
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"this is not TOML: {error}") from None
    except RecursionError:
        raise ValueError("too many tables inside each other") from None


def _grant(data: object, at: str) -> Grant:
    found = _table(data, at, {*_KINDS, "arguments"})
    kinds = [kind for kind in _KINDS if kind in found]
    if len(kinds) != 1:
        raise ValueError(f"{at}: has exactly one of {', '.join(_KINDS)}")
    kind = kinds[0]
    name = _text(found[kind], f"{at}: {kind}")
    if not 0 < len(name) <= MAX_NAME:
        raise ValueError(f"{at}: {kind}: is a text of 1 to {MAX_NAME} characters")
    at = f"{at} ({name})"
    if kind == "resource":
        if "arguments" in found:
            raise ValueError(f"{at}: arguments: a resource has none")
        return _made(at, resource, name)
    arguments = _table(found.get("arguments", {}), f"{at}: arguments")
    constraints = {name: _constraint(value, _step(f"{at}: ", name)) for name, value in arguments.items()}
    return _made(at, _KINDS[kind], name, constraints)


_KINDS: dict[str, Callable[..., Grant]] = {
    "tool": grant,
    "resource": resource,
    "prompt": prompt,
    "method": method,
}


def _constraint(value: object, at: str) -> Constraint:
    if isinstance(value, list):
        raise ValueError(f"{at}: a list says too little: write {{ one_of = [...] }} or {{ exact = [...] }}")
    if not isinstance(value, dict):
        return _exact(value, at)
    if not value:
        raise ValueError(f"{at}: an empty table: write {{ anything = true }} for any value")
    if "CHOOSE" in value:
        raise ValueError(f"{at}: not decided yet: write a constraint in place of CHOOSE")
    for name in value:
        if name not in _READERS:
            raise ValueError(f"{at}: unknown constraint {name!r}{_meant(name, _READERS)}")
    if "optional" in value and len(value) > 1:
        raise ValueError(f"{at}: optional stands alone: write {{ optional = {{ ... }} }} around the others")
    parts = [_READERS[name](inner, f"{at}.{name}") for name, inner in value.items()]
    return _made(at, lambda: reduce(operator.and_, parts))


def _made(at: str, make: Callable[..., T], *values: object, **options: object) -> T:
    """What ``make`` makes; its refusal names the place."""
    try:
        return make(*values, **options)
    except ValueError as error:
        raise ValueError(f"{at}: {error}") from None


def _exact(value: object, at: str) -> Constraint:
    return _made(at, must.exact, _value(value, at))


def _json(value: object, at: str) -> Constraint:
    return _made(at, must.exact, _made(at, parse, _text(value, at)))


def _one_of(value: object, at: str) -> Constraint:
    values = [
        _made(at, parse, _text(one["json"], at))
        if isinstance(one, dict) and [*one] == ["json"]
        else _value(one, at)
        for one in _list(value, at)
    ]
    return _made(at, must.one_of, *values)


def _anything(value: object, at: str) -> Constraint:
    if value is not True:
        raise ValueError(f"{at}: is written anything = true")
    return must.anything()


def _optional(value: object, at: str) -> Constraint:
    if isinstance(value, dict) and [*value] == ["anything"]:
        _anything(value["anything"], f"{at}.anything")
        return must.optional()
    return _made(at, must.optional, _constraint(value, at))


def _between(value: object, at: str) -> Constraint:
    if not isinstance(value, list) or len(value) != 2:
        raise ValueError(f"{at}: takes two whole numbers, such as [1, 100]")
    return _made(at, must.between, *(_number(one, at) for one in value))


def _email(value: object, at: str) -> Constraint:
    return _made(at, must.email, *(_text(one, at) for one in _list(value, at)))


def _url(value: object, at: str) -> Constraint:
    told = _table(_or_under("hosts", value), at, {"hosts", "scheme", "port", "under"})
    hosts = [_text(one, f"{at}.hosts") for one in _list(told.get("hosts"), f"{at}.hosts")]
    options: dict[str, object] = {n: _text(told[n], f"{at}.{n}") for n in ("scheme", "under") if n in told}
    if "port" in told:
        options["port"] = _number(told["port"], f"{at}.port")
    return _made(at, must.url, *hosts, **options)


def _subset_of(value: object, at: str) -> Constraint:
    told = _table(_or_under("values", value), at, {"values", "empty"})
    values = [_value(one, at) for one in _list(told.get("values"), f"{at}.values")]
    return _made(at, must.subset_of, *values, empty=_truth(told.get("empty", False), f"{at}.empty"))


def _each(value: object, at: str) -> Constraint:
    if isinstance(value, dict) and "of" in value:
        told = _table(value, at, {"of", "empty"})
        inner, empty = _constraint(told["of"], f"{at}.of"), _truth(told.get("empty", False), f"{at}.empty")
    else:
        inner, empty = _constraint(value, at), False
    return _made(at, must.each, inner, empty=empty)


def _fields(value: object, at: str) -> Constraint:
    inner = {name: _constraint(one, _step(f"{at}.", name)) for name, one in _table(value, at).items()}
    return _made(at, must.fields, inner)


def _command(value: object, at: str) -> Constraint:
    told = _table(value, at, {"program", "words", "rest"})
    program = _text(told.get("program"), f"{at}.program")
    words = [_constraint(one, f"{at}.words") for one in _list(told.get("words", []), f"{at}.words")]
    rest = _constraint(told["rest"], f"{at}.rest") if "rest" in told else None
    return _made(at, must.command, program, *words, rest=rest)


def _of_text(make: Callable[[str], Constraint]) -> Callable[[object, str], Constraint]:
    return lambda value, at: _made(at, make, _text(value, at))


def _of_number(make: Callable[[int], Constraint]) -> Callable[[object, str], Constraint]:
    return lambda value, at: _made(at, make, _number(value, at))


_READERS: dict[str, Callable[[object, str], Constraint]] = {
    "exact": _exact,
    "json": _json,
    "one_of": _one_of,
    "anything": _anything,
    "optional": _optional,
    "starts_with": _of_text(must.starts_with),
    "ends_with": _of_text(must.ends_with),
    "under": _of_text(must.under),
    "between": _between,
    "at_least": _of_number(must.at_least),
    "at_most": _of_number(must.at_most),
    "max_length": _of_number(must.max_length),
    "email": _email,
    "url": _url,
    "subset_of": _subset_of,
    "each": _each,
    "fields": _fields,
    "command": _command,
}


def _table(value: object, at: str, names: set[str] | None = None) -> dict[str, Any]:
    """A table; with ``names``, one that has no other fields."""
    if not isinstance(value, dict):
        raise ValueError(f"{at}: is no table")
    for name in value:
        if names is not None and name not in names:
            raise ValueError(f"{at}: unknown field {name!r}{_meant(name, names)}")
    return value


def _list(value: object, at: str) -> list[object]:
    if not isinstance(value, list):
        raise ValueError(f"{at}: is no list")
    return value


def _text(value: object, at: str) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{at}: is no text")
    return value


def _number(value: object, at: str) -> int:
    if type(value) is not int:
        raise ValueError(f"{at}: is no whole number")
    return value


def _truth(value: object, at: str) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{at}: is neither true nor false")
    return value


def _value(value: object, at: str) -> object:
    """A value that JSON has too; a date of TOML is none."""
    if isinstance(value, list):
        return [_value(one, at) for one in value]
    if isinstance(value, dict):
        return {name: _value(one, at) for name, one in value.items()}
    if not isinstance(value, (str, int, float)):
        raise ValueError(f"{at}: a date or a time is written as text, in quotes")
    return value


def _or_under(name: str, value: object) -> object:
    """The short form of a table: its one field."""
    return value if isinstance(value, dict) else {name: value}


def _step(at: str, name: str) -> str:
    """The place of a name inside of another, quoted where TOML quotes it."""
    return at + (name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else repr(name))


def _meant(name: str, known: Any) -> str:
    near = difflib.get_close_matches(name, sorted(known), 1)
    return f", did you mean {near[0]!r}?" if near else f": there are {', '.join(sorted(known))}"
