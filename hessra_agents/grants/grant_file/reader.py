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
    resource = "file:///srv/handbook.md"                  # to read it; only a template has arguments

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
    at_most = 5000.00                                     # an amount may have as many decimal places
    per = "1d"                                            # in any day; if omitted, in the token's whole life
    of = ["pay"]                                          # only for these tools; if omitted, for all
    refund = true                                         # a call that fails is not counted
    budget = "eur:2027"                                   # shared by all that the authority issues under it

    [[approval]]
    keys = ["ed25519/...", "ed25519/..."]
    need = 2
    of = ["pay"]
    unless = { amount = { at_most = 99 } }                # calls that need no approval

    [[clear]]
    labels = ["PII:*", "untrusted"]                       # refused once the session has seen any of these
    of = ["send_email"]

The constraints are the methods of `must`, by the same names:

    exact = VALUE                           json = 'null'      exactly the value of this JSON text
    one_of = [VALUE, ...]                   anything = true    any value, but not omitted
    optional = CONSTRAINT                   may be omitted; optional = { anything = true } for any value
    nullable = CONSTRAINT                   may be null           omitted = true    must be omitted
    any_of = [CONSTRAINT, CONSTRAINT]       one of these
    starts_with = "..."                     ends_with = "..."
    between = [1, 100]                      at_least = 1                  at_most = 100
    between = [0, 99.90]                    number = { above = 0, high = 500, places = 2 }
    date = { not_before = 2026-12-01, before = 2027-01-01 }
    instant = { not_before = 2026-12-24T10:00:00Z, before = "2026-12-24T12:00:00+01:00" }
    length = [1, 20]                        min_length = 1                max_length = 2000
    non_empty = true
    under = "/srv/data"                     under = { root = "/srv/data", ending = ".csv" }
    directly_in = "/srv/data"               directly_in = { folder = "/srv/data", ending = ".csv" }
    relative = true                         relative = "reports"
    relative = { under = "reports", ending = ".csv" }
    email = ["acme.com", "*.acme.com", "ana@acme.org"]
    url = ["api.acme.com", "*.acme.com"]
    url = { hosts = ["api.acme.com"], scheme = "http", ports = [8080], under = "/v1" }
    ip_url = ["10.0.0.5"]                   ip_url = { addresses = [...], scheme = "http" }
    subset_of = ["a", "b"]                  subset_of = { values = [...], empty = true }
    each = CONSTRAINT                       each = { of = CONSTRAINT, empty = true, unique = true }
    fields = { force = false, name = CONSTRAINT }
    mapping = { keys = CONSTRAINT, values = CONSTRAINT, at_most = 3 }
    command = { program = "/usr/bin/git", words = ["log", CONSTRAINT], rest = CONSTRAINT }
    command_line = { program = "/bin/ls", words = ["-l", CONSTRAINT] }    the same in one plain line
    matches = "[A-Z]{2}-[0-9]{1,6}"         contains = "..."              same_as = "owner"
    hex = ["ab12"]                          host = ["api.acme.com"]       not_one_of = [1, 2]
    not_one_of = { values = ["a"], free_text = true }

and one constraint that is about an earlier result of the session (`from_result`):

    from_result = { tool = "search", path = "$[*].email", where = { name = "Sarah" }, starts = { ... },
                    largest = "...", smallest = "...", unique = true, untrusted = true }

TOML has no null: write ``{ json = 'null' }``, also in a list of ``one_of``.
"""

from __future__ import annotations

import operator
import tomllib
from collections.abc import Callable
from decimal import Decimal
from functools import reduce
from typing import TYPE_CHECKING

from ...call.call import MAX_NAME
from ...call.canonical import parse
from ..grants import Grant, grant, method, prompt, resource
from ..provenance import from_result
from ..vocabulary.constraints import Constraint
from ..vocabulary.must import must
from .conditions import read_approval, read_clear, read_limit
from .locations import LOCATIONS
from .measures import MEASURES
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
        data = require_table(tomllib.loads(text, parse_float=Decimal), "the file", _TABLES)
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
    arguments = require_table(table.get("arguments", {}), f"{at}: arguments")
    constraints = {name: _constraint(value, step(f"{at}: ", name)) for name, value in arguments.items()}
    return build_at(at, _KINDS[kind], name, constraints)


def _unless(data: object, at: str) -> dict[str, Constraint]:
    return {
        name: _constraint(value, step(f"{at}: ", name)) for name, value in require_table(data, at).items()
    }


_TABLES: dict[str, Callable[[object, str], Condition]] = {
    "grant": _grant,
    "limit": read_limit,
    "approval": lambda data, at: read_approval(data, at, _unless),
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
    alone = [name for name in ("optional", "nullable", "omitted") if name in value and len(value) > 1]
    if alone:
        inside = "" if alone[0] == "omitted" else f": write {{ {alone[0]} = {{ ... }} }} around the rest"
        raise ValueError(f"{at}: {alone[0]} must stand alone{inside}")
    parts = [_READERS[name](inner, f"{at}.{name}") for name, inner in value.items()]
    return build_at(at, lambda: reduce(operator.and_, parts))


def _exact(value: object, at: str) -> Constraint:
    return build_at(at, must.exact, require_value(value, at))


def _json(value: object, at: str) -> Constraint:
    return build_at(at, must.exact, build_at(at, parse, require_string(value, at)))


def _one_of(value: object, at: str) -> Constraint:
    return build_at(at, must.one_of, *(_scalar(choice, at) for choice in require_list(value, at)))


def _bare(make: Callable[[], Constraint], name: str) -> Callable[[object, str], Constraint]:
    """Return the reader of a constraint that has nothing to say but its name."""

    def read(value: object, at: str) -> Constraint:
        if value is not True:
            raise ValueError(f"{at}: must be written {name} = true")
        return make()

    return read


def _optional(value: object, at: str) -> Constraint:
    if isinstance(value, dict) and [*value] == ["anything"]:
        _READERS["anything"](value["anything"], f"{at}.anything")
        return must.optional()
    return build_at(at, must.optional, _constraint(value, at))


def _nullable(value: object, at: str) -> Constraint:
    return build_at(at, must.nullable, _constraint(value, at))


def _any_of(value: object, at: str) -> Constraint:
    ways = [_constraint(one, f"{at}.{n}") for n, one in enumerate(require_list(value, at), 1)]
    if len(ways) < 2:
        raise ValueError(f"{at}: must be a list of two constraints or more")
    return build_at(at, lambda: reduce(operator.or_, ways))


def _length(value: object, at: str) -> Constraint:
    if not isinstance(value, list) or len(value) != 2:
        raise ValueError(f"{at}: must be two integers, such as [1, 100]")
    return build_at(at, must.length, *(require_integer(end, at) for end in value))


def _subset_of(value: object, at: str) -> Constraint:
    table = require_table(_long_form("values", value), at, {"values", "empty"})
    values = [require_value(one, at) for one in require_list(table.get("values"), f"{at}.values")]
    return build_at(at, must.subset_of, *values, empty=_flag(table, "empty", at))


def _each(value: object, at: str) -> Constraint:
    if not isinstance(value, dict) or "of" not in value:
        return build_at(at, must.each, _constraint(value, at))
    table = require_table(value, at, {"of", "empty", "unique"})
    flags = {name: _flag(table, name, at) for name in ("empty", "unique")}
    return build_at(at, must.each, _constraint(table["of"], f"{at}.of"), **flags)


def _flag(table: dict[str, object], name: str, at: str) -> bool:
    return require_boolean(table.get(name, False), f"{at}.{name}")


def _mapping(value: object, at: str) -> Constraint:
    table = require_table(value, at, {"keys", "values", "at_most"})
    options: dict[str, object] = {
        name: _constraint(table[name], f"{at}.{name}") for name in ("keys", "values") if name in table
    }
    if "at_most" in table:
        options["at_most"] = require_integer(table["at_most"], f"{at}.at_most")
    return build_at(at, must.mapping, **options)


def _fields(value: object, at: str) -> Constraint:
    inner = {name: _constraint(one, step(f"{at}.", name)) for name, one in require_table(value, at).items()}
    return build_at(at, must.fields, inner)


def _not_one_of(value: object, at: str) -> Constraint:
    table = require_table(_long_form("values", value), at, {"values", "free_text"})
    values = [require_value(one, at) for one in require_list(table.get("values"), f"{at}.values")]
    free = require_boolean(table.get("free_text", False), f"{at}.free_text")
    return build_at(at, must.not_one_of, *values, free_text=free)


def _command_line(value: object, at: str) -> Constraint:
    return _command(value, at, must.command_line)


def _command(value: object, at: str, make: Callable[..., Constraint] = must.command) -> Constraint:
    table = require_table(value, at, {"program", "words", "rest"})
    program = require_string(table.get("program"), f"{at}.program")
    words = [_constraint(word, f"{at}.words") for word in require_list(table.get("words", []), f"{at}.words")]
    rest = _constraint(table["rest"], f"{at}.rest") if "rest" in table else None
    return build_at(at, make, program, *words, rest=rest)


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


def _of_strings(make: Callable[..., Constraint]) -> Callable[[object, str], Constraint]:
    return lambda value, at: build_at(at, make, *require_strings(value, at))


def _of_integer(make: Callable[[int], Constraint]) -> Callable[[object, str], Constraint]:
    return lambda value, at: build_at(at, make, require_integer(value, at))


_READERS: dict[str, Callable[[object, str], Constraint]] = {
    "exact": _exact,
    "json": _json,
    "one_of": _one_of,
    "anything": _bare(must.anything, "anything"),
    "omitted": _bare(must.omitted, "omitted"),
    "optional": _optional,
    "nullable": _nullable,
    "any_of": _any_of,
    "starts_with": _of_string(must.starts_with),
    "ends_with": _of_string(must.ends_with),
    **MEASURES,
    "length": _length,
    "max_length": _of_integer(must.max_length),
    "min_length": _of_integer(must.min_length),
    "non_empty": _bare(must.non_empty, "non_empty"),
    **LOCATIONS,
    "subset_of": _subset_of,
    "each": _each,
    "fields": _fields,
    "mapping": _mapping,
    "command": _command,
    "command_line": _command_line,
    "contains": _of_string(must.contains),
    "matches": _of_string(must.matches),
    "same_as": _of_string(must.same_as),
    "hex": _of_strings(must.hex),
    "host": _of_strings(must.host),
    "not_one_of": _not_one_of,
    "from_result": _from_result,
}


def _long_form(name: str, value: object) -> object:
    """Return a table; from its short form, the value of one field, the table with that field."""
    return value if isinstance(value, dict) else {name: value}
