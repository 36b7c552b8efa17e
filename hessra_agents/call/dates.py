"""Recognize a date, or a moment, only in the spelling that has one reading.

    day("2026-12-24")                        # 20811, in days since 1970-01-01
    instant("2026-12-24T10:00:00.5+01:00")   # (1798102800, 1798102801), in Unix seconds

Refused: other digits than ASCII, days and hours that do not exist, lower-case letters, a blank in place of
``T``, a time without its offset from UTC, the offset ``-00:00`` (which says that it is not known), a 60th
second, and years before 1.

Source: RFC 3339, 5.6 and 4.3; ISO 8601.
"""

from __future__ import annotations

import re
from datetime import date

__all__ = ["EPOCH", "day", "instant"]

EPOCH = date(1970, 1, 1).toordinal()

_DAY = r"([0-9]{4})-([0-9]{2})-([0-9]{2})"
_DATE = re.compile(_DAY)
_INSTANT = re.compile(
    rf"{_DAY}T([01][0-9]|2[0-3]):([0-5][0-9]):([0-5][0-9])(?:\.([0-9]{{1,9}}))?"
    r"(?:Z|(?!-00:00)([+-])([01][0-9]|2[0-3]):([0-5][0-9]))"
)


def day(text: str) -> int | None:
    """Return the days from 1970-01-01 to a date ``YYYY-MM-DD``, or None."""
    found = _DATE.fullmatch(text)
    return None if found is None else _days(*found.groups())


def instant(text: str) -> tuple[int, int] | None:
    """Return a moment ``YYYY-MM-DDThh:mm:ss[.f](Z|+hh:mm)`` in Unix seconds, rounded down and up, or None."""
    found = _INSTANT.fullmatch(text)
    if found is None:
        return None
    year, month, of_month, hour, minute, second, fraction, sign, hours, minutes = found.groups("0")
    days = _days(year, month, of_month)
    if days is None:
        return None
    local = days * 86_400 + int(hour) * 3600 + int(minute) * 60 + int(second)
    offset = int(hours) * 3600 + int(minutes) * 60
    low = local + offset if sign == "-" else local - offset
    return low, low + bool(fraction.strip("0"))


def _days(year: str, month: str, of_month: str) -> int | None:
    try:
        return date(int(year), int(month), int(of_month)).toordinal() - EPOCH
    except ValueError:
        return None
