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

Beside the grants stand conditions of every call, as `limit`, `approved_by` and `clear_of` take them:

    [[limit]]
    sum_of = "amount"                                     # or calls = 50
    at_most = 5000
    per = "1d"                                            # in any day; without: as long as the token lives
    of = ["pay"]                                          # only of these tools; without: of all
    refund = true                                         # a call that fails is given back

    [[approval]]
    keys = ["ed25519/...", "ed25519/..."]
    need = 2
    of = ["pay"]

    [[clear]]
    labels = ["PII:*", "untrusted"]                       # refused once the session has seen any of these
    of = ["send_email"]

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

and one that is not about the value alone, but about an earlier result of the session (`from_result`):

    from_result = { tool = "search", path = "$[*].email", where = { name = "Sarah" }, starts = { ... },
                    largest = "...", smallest = "...", unique = true, untrusted = true }

TOML has no null: write ``{ json = 'null' }``, which may also stand in a list of ``one_of``.
"""

from __future__ import annotations

import operator
import tomllib
from collections.abc import Callable
from functools import reduce
from typing import TYPE_CHECKING

from ...call.call import MAX_NAME
from ...call.canonical import parse
from ..constraints import Constraint
from ..grants import Grant, grant, method, prompt, resource
from ..must import must
from ..provenance import from_result
from .conditions import read_approval, read_clear, read_limit
from .values import a_list, a_number, a_table, a_truth, a_value, build_at, did_you_mean, require_text, step

if TYPE_CHECKING:
    from ...tokens.builder import Condition

__all__ = ["read_conditions", "read_grants"]

MAX_TEXT = 1 << 18
"""Code points; a token holds 16 KiB."""


def read_conditions(text: str) -> tuple[Condition, ...]:
    """What this text says, at least one condition; without a grant it is for a capability that has some.

    Raises:
        ValueError: it says anything else; the text names the place, such as ``grant 2 (send_email): to``.
    """
    if len(text) > MAX_TEXT:
        raise ValueError(f"a grant file has at most {MAX_TEXT} characters")
    try:
        data = a_table(tomllib.loads(text), "the file", _TABLES)
        found = [
            read(one, f"{kind} {number}")
            for kind, read in _TABLES.items()
            for number, one in enumerate(_tables(data, kind), 1)
        ]
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"this is not TOML: {error}") from None
    except RecursionError:
        raise ValueError("too many tables inside each other") from None
    if not found:
        raise ValueError("the file: has no grant: begin each one with [[grant]]")
    return tuple(found)


def read_grants(text: str) -> tuple[Grant, ...]:
    """The grants of a text that says nothing else, at least one.

    Raises:
        ValueError: as `read_conditions`, or it has a condition beside them.
    """
    found = read_conditions(text)
    grants = tuple([one for one in found if isinstance(one, Grant)])
    if len(grants) != len(found):
        raise ValueError("the file: has limits, approvals or labels: here are only grants")
    return grants


def _tables(data: dict[str, object], kind: str) -> list[object]:
    """The tables under one heading."""
    found = data.get(kind, [])
    if not isinstance(found, list):
        raise ValueError(f"the file: {kind}: begin each one with [[{kind}]]")
    return found


def _grant(data: object, at: str) -> Grant:
    found = a_table(data, at, {*_KINDS, "arguments"})
    kinds = [kind for kind in _KINDS if kind in found]
    if len(kinds) != 1:
        raise ValueError(f"{at}: has exactly one of {', '.join(_KINDS)}")
    kind = kinds[0]
    name = require_text(found[kind], f"{at}: {kind}")
    if not 0 < len(name) <= MAX_NAME:
        raise ValueError(f"{at}: {kind}: is a text of 1 to {MAX_NAME} characters")
    at = f"{at} ({name})"
    if kind == "resource":
        if "arguments" in found:
            raise ValueError(f"{at}: arguments: a resource has none")
        return build_at(at, resource, name)
    arguments = a_table(found.get("arguments", {}), f"{at}: arguments")
    constraints = {name: _constraint(value, step(f"{at}: ", name)) for name, value in arguments.items()}
    return build_at(at, _KINDS[kind], name, constraints)


_TABLES: dict[str, Callable[[object, str], Condition]] = {
    "grant": _grant,
    "limit": read_limit,
    "approval": read_approval,
    "clear": read_clear,
}


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
            raise ValueError(f"{at}: unknown constraint {name!r}{did_you_mean(name, _READERS)}")
    if "optional" in value and len(value) > 1:
        raise ValueError(f"{at}: optional stands alone: write {{ optional = {{ ... }} }} around the others")
    parts = [_READERS[name](inner, f"{at}.{name}") for name, inner in value.items()]
    return build_at(at, lambda: reduce(operator.and_, parts))


def _exact(value: object, at: str) -> Constraint:
    return build_at(at, must.exact, a_value(value, at))


def _json(value: object, at: str) -> Constraint:
    return build_at(at, must.exact, build_at(at, parse, require_text(value, at)))


def _one_of(value: object, at: str) -> Constraint:
    values = [_scalar(one, at) for one in a_list(value, at)]
    return build_at(at, must.one_of, *values)


def _anything(value: object, at: str) -> Constraint:
    if value is not True:
        raise ValueError(f"{at}: is written anything = true")
    return must.anything()


def _optional(value: object, at: str) -> Constraint:
    if isinstance(value, dict) and [*value] == ["anything"]:
        _anything(value["anything"], f"{at}.anything")
        return must.optional()
    return build_at(at, must.optional, _constraint(value, at))


def _between(value: object, at: str) -> Constraint:
    if not isinstance(value, list) or len(value) != 2:
        raise ValueError(f"{at}: takes two whole numbers, such as [1, 100]")
    return build_at(at, must.between, *(a_number(one, at) for one in value))


def _email(value: object, at: str) -> Constraint:
    return build_at(at, must.email, *(require_text(one, at) for one in a_list(value, at)))


def _url(value: object, at: str) -> Constraint:
    told = a_table(_or_under("hosts", value), at, {"hosts", "scheme", "port", "under"})
    hosts = [require_text(one, f"{at}.hosts") for one in a_list(told.get("hosts"), f"{at}.hosts")]
    options: dict[str, object] = {
        n: require_text(told[n], f"{at}.{n}") for n in ("scheme", "under") if n in told
    }
    if "port" in told:
        options["port"] = a_number(told["port"], f"{at}.port")
    return build_at(at, must.url, *hosts, **options)


def _subset_of(value: object, at: str) -> Constraint:
    told = a_table(_or_under("values", value), at, {"values", "empty"})
    values = [a_value(one, at) for one in a_list(told.get("values"), f"{at}.values")]
    return build_at(at, must.subset_of, *values, empty=a_truth(told.get("empty", False), f"{at}.empty"))


def _each(value: object, at: str) -> Constraint:
    if isinstance(value, dict) and "of" in value:
        told = a_table(value, at, {"of", "empty"})
        inner, empty = _constraint(told["of"], f"{at}.of"), a_truth(told.get("empty", False), f"{at}.empty")
    else:
        inner, empty = _constraint(value, at), False
    return build_at(at, must.each, inner, empty=empty)


def _fields(value: object, at: str) -> Constraint:
    inner = {name: _constraint(one, step(f"{at}.", name)) for name, one in a_table(value, at).items()}
    return build_at(at, must.fields, inner)


def _command(value: object, at: str) -> Constraint:
    told = a_table(value, at, {"program", "words", "rest"})
    program = require_text(told.get("program"), f"{at}.program")
    words = [_constraint(one, f"{at}.words") for one in a_list(told.get("words", []), f"{at}.words")]
    rest = _constraint(told["rest"], f"{at}.rest") if "rest" in told else None
    return build_at(at, must.command, program, *words, rest=rest)


def _from_result(value: object, at: str) -> Constraint:
    names = {"tool", "path", "where", "starts", "largest", "smallest", "unique", "untrusted"}
    told = a_table(value, at, names)
    options: dict[str, object] = {
        option: {
            field: read(one, step(f"{at}.{name}.", field))
            for field, one in a_table(told[name], f"{at}.{name}").items()
        }
        for name, option, read in (("where", "where", _scalar), ("starts", "starts_with", require_text))
        if name in told
    }
    options |= {n: require_text(told[n], f"{at}.{n}") for n in ("largest", "smallest") if n in told}
    options |= {n: a_truth(told[n], f"{at}.{n}") for n in ("unique", "untrusted") if n in told}
    texts = [require_text(told.get(name), f"{at}.{name}") for name in ("tool", "path")]
    return build_at(at, from_result, *texts, **options)


def _scalar(value: object, at: str) -> object:
    if isinstance(value, dict) and [*value] == ["json"]:
        return build_at(at, parse, require_text(value["json"], at))
    return a_value(value, at)


def _of_text(make: Callable[[str], Constraint]) -> Callable[[object, str], Constraint]:
    return lambda value, at: build_at(at, make, require_text(value, at))


def _of_number(make: Callable[[int], Constraint]) -> Callable[[object, str], Constraint]:
    return lambda value, at: build_at(at, make, a_number(value, at))


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
    "from_result": _from_result,
}


def _or_under(name: str, value: object) -> object:
    """The short form of a table: its one field."""
    return value if isinstance(value, dict) else {name: value}
