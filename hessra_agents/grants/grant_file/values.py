"""Read values of TOML strictly: every value has a type, every field is known, and errors name the place."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any, TypeVar

__all__ = [
    "build_at",
    "did_you_mean",
    "require_boolean",
    "require_integer",
    "require_list",
    "require_number",
    "require_string",
    "require_strings",
    "require_table",
    "require_value",
    "step",
]

T = TypeVar("T")


def build_at(at: str, make: Callable[..., T], *values: object, **options: object) -> T:
    """Call ``make`` and return the result; if it raises ValueError, put the place in front of the message.

    Raises:
        ValueError: ``make`` refuses the values.
    """
    try:
        return make(*values, **options)
    except ValueError as error:
        raise ValueError(f"{at}: {error}") from None


def require_table(value: object, at: str, names: Iterable[str] | None = None) -> dict[str, Any]:
    """Return a table; if ``names`` are given, one that has no other fields.

    Raises:
        ValueError: the value is not a table, or has another field.
    """
    if not isinstance(value, dict):
        raise ValueError(f"{at}: must be a table")
    known = None if names is None else {*names}
    for name in value:
        if known is not None and name not in known:
            raise ValueError(f"{at}: unknown field {name!r}{did_you_mean(name, known)}")
    return value


def require_list(value: object, at: str) -> list[object]:
    """Return a list.

    Raises:
        ValueError: the value is not a list.
    """
    if not isinstance(value, list):
        raise ValueError(f"{at}: must be a list")
    return value


def require_string(value: object, at: str) -> str:
    """Return a string.

    Raises:
        ValueError: the value is not a string.
    """
    if not isinstance(value, str):
        raise ValueError(f"{at}: must be a string")
    return value


def require_strings(value: object, at: str) -> list[str]:
    """Return a list of strings.

    Raises:
        ValueError: the value is not a list, or an element is not a string.
    """
    return [require_string(element, at) for element in require_list(value, at)]


def require_integer(value: object, at: str) -> int:
    """Return an integer.

    Raises:
        ValueError: the value is not an integer; a boolean is not.
    """
    if type(value) is not int:
        raise ValueError(f"{at}: must be an integer")
    return value


def require_number(value: object, at: str) -> int | Decimal:
    """Return a number; one with a decimal point has the digits of the file.

    Raises:
        ValueError: the value is not a number; a boolean is not.
    """
    if type(value) is not int and not isinstance(value, Decimal):
        raise ValueError(f"{at}: must be a number")
    return value


def require_boolean(value: object, at: str) -> bool:
    """Return a boolean.

    Raises:
        ValueError: the value is not a boolean.
    """
    if not isinstance(value, bool):
        raise ValueError(f"{at}: must be true or false")
    return value


def require_value(value: object, at: str) -> object:
    """Return a value that JSON can hold as well; a number with a decimal point becomes a float.

    Raises:
        ValueError: the value is a date or a time, or contains one.
    """
    if isinstance(value, list):
        return [require_value(element, at) for element in value]
    if isinstance(value, dict):
        return {name: require_value(member, at) for name, member in value.items()}
    if isinstance(value, Decimal):
        return float(value)
    if not isinstance(value, (str, int)):
        raise ValueError(f"{at}: a date or a time must be written as a string, in quotes")
    return value


def step(at: str, name: str) -> str:
    """Return the place of a name inside another place, quoted where TOML requires quotes."""
    return at + (name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else repr(name))


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return the end of a message about an unknown name: the nearest known name, or all of them."""
    near = difflib.get_close_matches(name, sorted(known), 1)
    return f", did you mean {near[0]!r}?" if near else f"; choose from {', '.join(sorted(known))}"
