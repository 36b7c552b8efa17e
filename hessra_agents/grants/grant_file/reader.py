"""Read a grant file: TOML, with one ``[[grant]]`` for each way to call a tool.

    [[grant]]
    tool = "send_email"

    [grant.arguments]
    to = { email = ["acme.com"] }
    subject = { anything = true }
    body = { max_length = 2000, starts_with = "Dear" }    # all constraints must hold
    cc = { optional = { one_of = ["ana@acme.com", "bo@acme.com"] } }
    mode = "fast"                                         # a plain value: exactly that value

    [[grant]]
    resource = "file:///srv/handbook.md"                  # to read it; it has no arguments

    [[grant]]
    prompt = "summarize"                                  # or: method = "vendor/reindex", any other request

1. A string, a number or a boolean means exactly that value; ``"anything"`` is therefore a string. A table
   names constraints. A list alone is refused: it could mean ``one_of`` or ``exact``.
2. An argument that the file does not name may not occur in the call; in an attenuation it keeps its earlier
   bounds.
3. An unknown field or constraint is an error that names its place. So is ``{ CHOOSE = "..." }``, which marks
   a decision that a person has yet to take.

Beside the grants stand conditions of every call, as for `limit`, `approved_by` and `clear_of`:

    [[limit]]
    sum_of = "amount"                                     # or calls = 50
    at_most = 5000
    per = "1d"                                            # in any day; if omitted, in the token's whole life
    of = ["pay"]                                          # only for these tools; if omitted, for all
    refund = true                                         # a call that fails is not counted

    [[approval]]
    keys = ["ed25519/...", "ed25519/..."]
    need = 2
    of = ["pay"]

    [[clear]]
    labels = ["PII:*", "untrusted"]                       # refused once the session has seen any of these
    of = ["send_email"]

The constraints are the methods of `must`, by the same names:

    exact = VALUE                           json = 'null'      exactly the value of this JSON text
    one_of = [VALUE, ...]                   anything = true    any value, but not omitted
    optional = CONSTRAINT                   may be omitted; optional = { anything = true } for any value
    starts_with = "..."                     ends_with = "..."             under = "/srv/data"
    between = [1, 100]                      at_least = 1                  at_most = 100
    max_length = 2000                       email = ["acme.com", "ana@acme.org"]
    url = ["api.acme.com"]                  url = { hosts = [...], scheme = "http", port = 80, under = "/v1" }
    subset_of = ["a", "b"]                  subset_of = { values = [...], empty = true }
    each = CONSTRAINT                       each = { of = CONSTRAINT, empty = true }
    fields = { force = false, name = CONSTRAINT }
    command = { program = "/usr/bin/git", words = ["log", CONSTRAINT], rest = CONSTRAINT }

and one constraint that is about an earlier result of the session (`from_result`):

    from_result = { tool = "search", path = "$[*].email", where = { name = "Sarah" }, starts = { ... },
                    largest = "...", smallest = "...", unique = true, untrusted = true }

TOML has no null: write ``{ json = 'null' }``, also in a list of ``one_of``.
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
from .values import (
    build_at,
    did_you_mean,
    require_boolean,
    require_integer,
    require_list,
    require_string,
    require_strings,
    require_table,
    require_value,
    step,
)

if TYPE_CHECKING:
    from ..conditions import Condition

__all__ = ["read_conditions", "read_grants"]

MAX_TEXT = 1 << 18
"""Characters of a file. A token holds 16 KiB."""


def read_conditions(text: str) -> tuple[Condition, ...]:
    """Return the conditions of this text, at least one. A file without a grant can only narrow a capability.

    Raises:
        ValueError: the text is not a grant file; the message names the place: ``grant 2 (send_email): to``.
    """
    if len(text) > MAX_TEXT:
        raise ValueError(f"a grant file has at most {MAX_TEXT} characters")
    try:
        if text[:1] == "\ufeff":
            raise ValueError("the file begins with a byte order mark (BOM): save it as UTF-8 without one")
        data = require_table(tomllib.loads(text), "the file", _TABLES)
        conditions = [
            read(table, f"{kind} {number}")
            for kind, read in _TABLES.items()
            for number, table in enumerate(_tables(data, kind), 1)
        ]
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"this is not TOML: {error}") from None
    except RecursionError:
        raise ValueError("too many nested tables") from None
    if not conditions:
        raise ValueError("the file: has no grant: begin each grant with [[grant]]")
    return tuple(conditions)


def read_grants(text: str) -> tuple[Grant, ...]:
    """Return the grants of a text that has nothing else, at least one.

    Raises:
        ValueError: the text is not a grant file, or has a condition beside the grants.
    """
    conditions = read_conditions(text)
    grants = tuple([condition for condition in conditions if isinstance(condition, Grant)])
    if len(grants) != len(conditions):
        raise ValueError("the file: has limits, approvals or labels: only grants are allowed here")
    return grants


def _tables(data: dict[str, object], kind: str) -> list[object]:
    """Return the tables under one heading."""
    tables = data.get(kind, [])
    if not isinstance(tables, list):
        raise ValueError(f"the file: {kind}: begin each table with [[{kind}]]")
    return tables


def _grant(data: object, at: str) -> Grant:
    table = require_table(data, at, {*_KINDS, "arguments"})
    kinds = [kind for kind in _KINDS if kind in table]
    if len(kinds) != 1:
        raise ValueError(f"{at}: must have exactly one of {', '.join(_KINDS)}")
    kind = kinds[0]
    name = require_string(table[kind], f"{at}: {kind}")
    if not 0 < len(name) <= MAX_NAME:
        raise ValueError(f"{at}: {kind}: must be a string of 1 to {MAX_NAME} characters")
    at = f"{at} ({name})"
    if kind == "resource":
        if "arguments" in table:
            raise ValueError(f"{at}: arguments: a resource has none")
        return build_at(at, resource, name)
    arguments = require_table(table.get("arguments", {}), f"{at}: arguments")
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
        raise ValueError(f"{at}: a list alone is unclear: write {{ one_of = [...] }} or {{ exact = [...] }}")
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
        raise ValueError(f"{at}: optional must stand alone: write {{ optional = {{ ... }} }} around the rest")
    parts = [_READERS[name](inner, f"{at}.{name}") for name, inner in value.items()]
    return build_at(at, lambda: reduce(operator.and_, parts))


def _exact(value: object, at: str) -> Constraint:
    return build_at(at, must.exact, require_value(value, at))


def _json(value: object, at: str) -> Constraint:
    return build_at(at, must.exact, build_at(at, parse, require_string(value, at)))


def _one_of(value: object, at: str) -> Constraint:
    return build_at(at, must.one_of, *(_scalar(choice, at) for choice in require_list(value, at)))


def _anything(value: object, at: str) -> Constraint:
    if value is not True:
        raise ValueError(f"{at}: must be written anything = true")
    return must.anything()


def _optional(value: object, at: str) -> Constraint:
    if isinstance(value, dict) and [*value] == ["anything"]:
        _anything(value["anything"], f"{at}.anything")
        return must.optional()
    return build_at(at, must.optional, _constraint(value, at))


def _between(value: object, at: str) -> Constraint:
    if not isinstance(value, list) or len(value) != 2:
        raise ValueError(f"{at}: must be two integers, such as [1, 100]")
    return build_at(at, must.between, *(require_integer(end, at) for end in value))


def _email(value: object, at: str) -> Constraint:
    return build_at(at, must.email, *require_strings(value, at))


def _url(value: object, at: str) -> Constraint:
    table = require_table(_long_form("hosts", value), at, {"hosts", "scheme", "port", "under"})
    hosts = require_strings(table.get("hosts"), f"{at}.hosts")
    options: dict[str, object] = {
        name: require_string(table[name], f"{at}.{name}") for name in ("scheme", "under") if name in table
    }
    if "port" in table:
        options["port"] = require_integer(table["port"], f"{at}.port")
    return build_at(at, must.url, *hosts, **options)


def _subset_of(value: object, at: str) -> Constraint:
    table = require_table(_long_form("values", value), at, {"values", "empty"})
    values = [require_value(one, at) for one in require_list(table.get("values"), f"{at}.values")]
    return build_at(at, must.subset_of, *values, empty=_empty(table, at))


def _each(value: object, at: str) -> Constraint:
    if not isinstance(value, dict) or "of" not in value:
        return build_at(at, must.each, _constraint(value, at))
    table = require_table(value, at, {"of", "empty"})
    return build_at(at, must.each, _constraint(table["of"], f"{at}.of"), empty=_empty(table, at))


def _empty(table: dict[str, object], at: str) -> bool:
    return require_boolean(table.get("empty", False), f"{at}.empty")


def _fields(value: object, at: str) -> Constraint:
    inner = {name: _constraint(one, step(f"{at}.", name)) for name, one in require_table(value, at).items()}
    return build_at(at, must.fields, inner)


def _command(value: object, at: str) -> Constraint:
    table = require_table(value, at, {"program", "words", "rest"})
    program = require_string(table.get("program"), f"{at}.program")
    words = [_constraint(word, f"{at}.words") for word in require_list(table.get("words", []), f"{at}.words")]
    rest = _constraint(table["rest"], f"{at}.rest") if "rest" in table else None
    return build_at(at, must.command, program, *words, rest=rest)


def _from_result(value: object, at: str) -> Constraint:
    names = {"tool", "path", "where", "starts", "largest", "smallest", "unique", "untrusted"}
    table = require_table(value, at, names)
    options: dict[str, object] = {
        option: {
            field: read(condition, step(f"{at}.{name}.", field))
            for field, condition in require_table(table[name], f"{at}.{name}").items()
        }
        for name, option, read in (("where", "where", _scalar), ("starts", "starts_with", require_string))
        if name in table
    }
    options |= {n: require_string(table[n], f"{at}.{n}") for n in ("largest", "smallest") if n in table}
    options |= {n: require_boolean(table[n], f"{at}.{n}") for n in ("unique", "untrusted") if n in table}
    tool, path = (require_string(table.get(name), f"{at}.{name}") for name in ("tool", "path"))
    return build_at(at, from_result, tool, path, **options)


def _scalar(value: object, at: str) -> object:
    if isinstance(value, dict) and [*value] == ["json"]:
        return build_at(at, parse, require_string(value["json"], at))
    return require_value(value, at)


def _of_string(make: Callable[[str], Constraint]) -> Callable[[object, str], Constraint]:
    return lambda value, at: build_at(at, make, require_string(value, at))


def _of_integer(make: Callable[[int], Constraint]) -> Callable[[object, str], Constraint]:
    return lambda value, at: build_at(at, make, require_integer(value, at))


_READERS: dict[str, Callable[[object, str], Constraint]] = {
    "exact": _exact,
    "json": _json,
    "one_of": _one_of,
    "anything": _anything,
    "optional": _optional,
    "starts_with": _of_string(must.starts_with),
    "ends_with": _of_string(must.ends_with),
    "under": _of_string(must.under),
    "between": _between,
    "at_least": _of_integer(must.at_least),
    "at_most": _of_integer(must.at_most),
    "max_length": _of_integer(must.max_length),
    "email": _email,
    "url": _url,
    "subset_of": _subset_of,
    "each": _each,
    "fields": _fields,
    "command": _command,
    "from_result": _from_result,
}


def _long_form(name: str, value: object) -> object:
    """Return a table; from its short form, the value of one field, the table with that field."""
    return value if isinstance(value, dict) else {name: value}
