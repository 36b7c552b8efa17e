"""Measure numbers in decimal units, exactly.

A number is what its canonical text says (RFC 8785: the shortest digits), not the binary fraction that stores
it: so 99.9 is at most 99.90, and 0.1 + 0.2, which prints as 0.30000000000000004, is more than 0.3.
"""

from __future__ import annotations

from .canonical import Json

__all__ = ["INT64", "MAX_PLACES", "in_units", "is_places"]

INT64 = 1 << 63
"""Datalog integers have 64 bits; a larger integer has no fact but its digest."""

MAX_PLACES = 9
"""Decimal places of the smallest unit."""


def is_places(value: object) -> bool:
    """Return whether this can be the number of decimal places of a unit."""
    return type(value) is int and 0 <= value <= MAX_PLACES


def in_units(value: Json, places: int) -> tuple[int, int] | None:
    """Return a number in units of ``10**-places``: rounded down, and rounded up.

    None for what is not a number, and for a number with more than 64 bits in these units. A large exponent
    costs nothing: no power above 10**19 is computed.
    """
    if type(value) is int:
        digits, shift = value, places
    elif type(value) is float:
        mantissa, _, exponent = repr(value).partition("e")
        whole, _, fraction = mantissa.partition(".")
        digits, shift = int(whole + fraction), places + int(exponent or 0) - len(fraction)
    else:
        return None
    if shift > 19 or not -INT64 <= digits < INT64:
        return None
    unit = 10 ** min(abs(shift), 19)  # 64 bits hold no 20 digits: a smaller unit rounds alike
    low, high = (digits * unit,) * 2 if shift >= 0 else (digits // unit, -(-digits // unit))
    return (low, high) if low >= -INT64 and high < INT64 else None
