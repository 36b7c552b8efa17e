"""Tables of TOML, read strictly: every value has a type, every field is known, errors name the place."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

__all__ = [
    "a_list",
    "a_number",
    "a_table",
    "a_truth",
    "a_value",
    "build_at",
    "did_you_mean",
    "require_text",
    "step",
]

T = TypeVar("T")


def build_at(at: str, make: Callable[..., T], *values: object, **options: object) -> T:
    """What ``make`` makes; its refusal names the place.

    Raises:
        ValueError: it refuses.
    """
    try:
        return make(*values, **options)
    except ValueError as error:
        raise ValueError(f"{at}: {error}") from None


def a_table(value: object, at: str, names: Iterable[str] | None = None) -> dict[str, Any]:
    """A table; with ``names``, one that has no other fields."""
    if not isinstance(value, dict):
        raise ValueError(f"{at}: is no table")
    known = None if names is None else {*names}
    for name in value:
        if known is not None and name not in known:
            raise ValueError(f"{at}: unknown field {name!r}{did_you_mean(name, known)}")
    return value


def a_list(value: object, at: str) -> list[object]:
    """A list."""
    if not isinstance(value, list):
        raise ValueError(f"{at}: is no list")
    return value


def require_text(value: object, at: str) -> str:
    """A text."""
    if not isinstance(value, str):
        raise ValueError(f"{at}: is no text")
    return value


def a_number(value: object, at: str) -> int:
    """A whole number; a truth value is none."""
    if type(value) is not int:
        raise ValueError(f"{at}: is no whole number")
    return value


def a_truth(value: object, at: str) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise ValueError(f"{at}: is neither true nor false")
    return value


def a_value(value: object, at: str) -> object:
    """A value that JSON has too; a date of TOML is none."""
    if isinstance(value, list):
        return [a_value(one, at) for one in value]
    if isinstance(value, dict):
        return {name: a_value(one, at) for name, one in value.items()}
    if not isinstance(value, (str, int, float)):
        raise ValueError(f"{at}: a date or a time is written as text, in quotes")
    return value


def step(at: str, name: str) -> str:
    """The place of a name inside of another, quoted where TOML quotes it."""
    return at + (name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else repr(name))


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """What was probably meant by a name that is not known, else all that there is."""
    near = difflib.get_close_matches(name, sorted(known), 1)
    return f", did you mean {near[0]!r}?" if near else f": there are {', '.join(sorted(known))}"
