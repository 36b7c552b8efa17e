"""Read the constraints of a grant file on paths, URLs and email addresses."""

from __future__ import annotations

from collections.abc import Callable

from ..vocabulary.constraints import Constraint
from ..vocabulary.must import must
from .values import build_at, require_integer, require_list, require_string, require_strings, require_table

__all__ = ["LOCATIONS"]


def _path(make: Callable[..., Constraint], name: str) -> Callable[[object, str], Constraint]:
    """Return the reader of a constraint on paths, whose short form is the string of this name."""

    def read(value: object, at: str) -> Constraint:
        table = require_table(value if isinstance(value, dict) else {name: value}, at, {name, "ending"})
        path = require_string(table.get(name), f"{at}.{name}")
        return build_at(at, make, path, **_strings(table, at, "ending"))

    return read


def _relative(value: object, at: str) -> Constraint:
    if value is True:
        return must.relative()
    table = require_table(value if isinstance(value, dict) else {"under": value}, at, {"under", "ending"})
    if not table:
        raise ValueError(f"{at}: an empty table: write relative = true for any relative path")
    return build_at(at, must.relative, **_strings(table, at, "under", "ending"))


def _url(make: Callable[..., Constraint], name: str) -> Callable[[object, str], Constraint]:
    """Return the reader of a constraint on URLs, whose short form is the list of this name."""

    def read(value: object, at: str) -> Constraint:
        short = value if isinstance(value, dict) else {name: value}
        table = require_table(short, at, {name, "scheme", "ports", "under"})
        options: dict[str, object] = {**_strings(table, at, "scheme", "under")}
        if "ports" in table:
            ports = require_list(table["ports"], f"{at}.ports")
            options["ports"] = [require_integer(port, f"{at}.ports") for port in ports]
        return build_at(at, make, *require_strings(table.get(name), f"{at}.{name}"), **options)

    return read


def _email(value: object, at: str) -> Constraint:
    return build_at(at, must.email, *require_strings(value, at))


def _strings(table: dict[str, object], at: str, *names: str) -> dict[str, str]:
    return {name: require_string(table[name], f"{at}.{name}") for name in names if name in table}


LOCATIONS: dict[str, Callable[[object, str], Constraint]] = {
    "under": _path(must.under, "root"),
    "directly_in": _path(must.directly_in, "folder"),
    "relative": _relative,
    "url": _url(must.url, "hosts"),
    "ip_url": _url(must.ip_url, "addresses"),
    "email": _email,
}
"""The reader of each such constraint, by its name."""
