"""Read the constraints of a grant file that bound numbers, dates and moments."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from ..vocabulary.constraints import Constraint
from ..vocabulary.must import must
from .values import build_at, require_integer, require_list, require_number, require_table

__all__ = ["MEASURES"]


def _between(value: object, at: str) -> Constraint:
    if len(require_list(value, at)) != 2:
        raise ValueError(f"{at}: must be two numbers, such as [1, 100]")
    return build_at(at, must.between, *(require_number(end, at) for end in require_list(value, at)))


def _number(value: object, at: str) -> Constraint:
    table = require_table(value, at, {"low", "high", "above", "below", "places"})
    options: dict[str, int | Decimal] = {
        name: require_number(end, f"{at}.{name}") for name, end in table.items() if name != "places"
    }
    if "places" in table:
        options["places"] = require_integer(table["places"], f"{at}.places")
    return build_at(at, must.number, **options)


def _end(make: Callable[[int | Decimal], Constraint]) -> Callable[[object, str], Constraint]:
    return lambda value, at: build_at(at, make, require_number(value, at))


def _calendar(make: Callable[..., Constraint]) -> Callable[[object, str], Constraint]:
    names = {"not_before", "not_after", "after", "before"}
    return lambda value, at: build_at(at, make, **require_table(value, at, names))


MEASURES: dict[str, Callable[[object, str], Constraint]] = {
    "between": _between,
    "at_least": _end(must.at_least),
    "at_most": _end(must.at_most),
    "number": _number,
    "date": _calendar(must.date),
    "instant": _calendar(must.instant),
}
"""The readers by the name of the constraint."""
