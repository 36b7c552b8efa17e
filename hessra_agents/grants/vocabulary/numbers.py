"""Constrain numbers, dates and moments."""

from __future__ import annotations

from decimal import Decimal

from ...call.facts import fact
from ...call.numbers import MAX_PLACES, is_places
from ..clauses import Test
from .arguments import integer, plain, single
from .constraints import Constraint
from .measures import decimal_text, units, within

__all__ = ["Numbers"]

Number = int | float | Decimal


class Numbers:
    """Constraints on numbers, dates and moments."""

    @staticmethod
    def between(low: Number, high: Number) -> Constraint:
        """Require a number in this range, both ends included: an integer, if both ends are.

        With a float or a `Decimal` as an end, any number in the range is allowed, as `number` says.
        """
        if not _whole(low, high):
            return Numbers.number(low, high)
        if integer(low, "low") > integer(high, "high"):
            raise ValueError("must.between: low is above high")
        tests = (Test("at_least", int(low)), Test("at_most", int(high)))
        return single(f"an integer from {low} to {high}", ("arg_int", tests))

    @staticmethod
    def at_least(low: Number) -> Constraint:
        """Require an integer of at least this; for a float or a `Decimal`, any number of at least this."""
        if not _whole(low):
            return Numbers.number(low)
        tests = (Test("at_least", integer(low, "low")),)
        return single(f"an integer of at least {low}", ("arg_int", tests))

    @staticmethod
    def at_most(high: Number) -> Constraint:
        """Require an integer of at most this; for a float or a `Decimal`, any number of at most this."""
        if not _whole(high):
            return Numbers.number(high=high)
        tests = (Test("at_most", integer(high, "high")),)
        return single(f"an integer of at most {high}", ("arg_int", tests))

    @staticmethod
    def number(
        low: Number | None = None,
        high: Number | None = None,
        *,
        above: Number | None = None,
        below: Number | None = None,
        places: int | None = None,
    ) -> Constraint:
        """Require a JSON number, whole or not, within these bounds.

        The number is the one that its shortest digits spell: 99.9 is at most 99.90, and 0.1 + 0.2 is more
        than 0.3. A number with more than 64 bits in units of the last decimal place of the bounds is refused.

        Args:
            low: the number must be at least this.
            high: the number must be at most this.
            above: the number must be more than this.
            below: the number must be less than this.
            places: the number must have at most so many decimal places, 0 to 9; if None, any.

        Raises:
            ValueError: two bounds are about one end, one has too many digits, or nothing lies between.
        """
        if places is not None and not is_places(places):
            raise ValueError(f"places must be an integer from 0 to {MAX_PLACES}")
        given = {"low": low, "above": above, "high": high, "below": below}
        texts = {name: decimal_text(end, name) for name, end in given.items() if end is not None}
        written = [len(text.partition(".")[2].rstrip("0")) for text in texts.values()]
        scale = min(max(written, default=0), MAX_PLACES) if places is None else places
        ends = {name: units(text, scale, name) for name, text in texts.items()}
        return within("arg_number" if places is None else "arg_fixed", ends, scale)

    @staticmethod
    def date(
        *,
        not_before: object = None,
        not_after: object = None,
        after: object = None,
        before: object = None,
    ) -> Constraint:
        """Require a string that is a day of the calendar, ``2026-12-24``, within these bounds.

        A capability is issued for hours, so *within 30 days* is said when it is issued:
        ``must.date(not_before=today, not_after=today + timedelta(days=30))``. Not protected: which day it is
        where the tool runs.

        Args:
            not_before: the first day, a `datetime.date` or a string.
            not_after: the last day.
            after: the day before the first.
            before: the day after the last.

        Raises:
            ValueError: two bounds are about one end, one is not a date, or nothing lies between.
        """
        ends = {"low": not_before, "above": after, "high": not_after, "below": before}
        return _calendar("arg_date", ends, "must.date takes dates: date(2026, 12, 24) or '2026-12-24'")

    @staticmethod
    def instant(
        *,
        not_before: object = None,
        not_after: object = None,
        after: object = None,
        before: object = None,
    ) -> Constraint:
        """Require a string that is a moment with its offset from UTC, ``2026-12-24T10:00:00Z`` (RFC 3339).

        Args:
            not_before: the earliest moment, a `datetime.datetime` with a time zone, or a string. Of a bound's
                fraction of a second, the range loses the part of the second.
            not_after: the latest moment.
            after: the moment must be later than this.
            before: the moment must be earlier than this.

        Raises:
            ValueError: two bounds are about one end, one is not a moment, or nothing lies between.
        """
        ends = {"low": not_before, "above": after, "high": not_after, "below": before}
        said = "must.instant takes datetimes with a time zone, or '2026-12-24T10:00:00Z'"
        return _calendar("arg_instant", ends, said)


def _whole(*ends: Number) -> bool:
    """Return whether no bound asks for other numbers than integers."""
    return not any(isinstance(end, (float, Decimal)) for end in ends)


def _calendar(predicate: str, ends: dict[str, object], expected: str) -> Constraint:
    """Return the constraint that a date or a moment lies between these ends (None: open)."""
    read: dict[str, int] = {}
    for name, end in ends.items():
        if end is not None:
            values = fact(plain(end), predicate)
            if values is None:
                raise ValueError(expected)
            # a bound between two seconds becomes the second inside of the range
            read[name] = values[-1 if name in ("low", "above") else 0]  # type: ignore[assignment]
    return within(predicate, read)
