"""Bound what is measured in integers: decimal numbers, dates and moments; and write the integers back.

A *measure* is a fact whose values are integers: one if the value is exact, or two, rounded down and up. With
both, every bound is exact: more than 2 is "rounded up, at least 3".
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from ...call.dates import EPOCH
from ...call.facts import INT64, SIGNATURES
from ..clauses import Clause, Test
from .arguments import list_of
from .constraints import Constraint

__all__ = ["MEASURES", "decimal_text", "describe_measure", "edge", "units", "within", "write_decimal"]
__all__ += ["write_measure"]

MEASURES = {"arg_number": "a number", "arg_fixed": "a number", "arg_date": "a date", "arg_instant": "a time"}
"""The facts that are measures, with the noun of each."""

_DIGITS = 18


def decimal_text(value: object, name: str) -> str:
    """Return a finite int, float or Decimal in plain digits; a float is the number that it prints as.

    Raises:
        ValueError: it is not, or has more than 18 digits before or after the point.
    """
    if type(value) not in (int, float, Decimal):
        raise ValueError(f"{name} must be an int, a float or a Decimal")
    exact = value if isinstance(value, Decimal) else Decimal(repr(value))
    exponent = exact.as_tuple().exponent
    if not isinstance(exponent, int) or exact.adjusted() >= _DIGITS or exponent < -_DIGITS:
        raise ValueError(
            f"{name} must be a finite number of at most {_DIGITS} digits before and after the point"
        )
    return f"{exact:f}"


def units(text: str, places: int, name: str) -> int:
    """Return a decimal number in units of ``10**-places``.

    Raises:
        ValueError: it has more decimal places, or more than 64 bits in these units.
    """
    whole, _, fraction = text.partition(".")
    fraction = fraction.rstrip("0")
    if len(fraction) > places:
        raise ValueError(f"{name} must have at most {places} decimal places")
    count = int(whole + fraction.ljust(places, "0"))
    if not -INT64 < count < INT64 - 1:
        raise ValueError(f"{name} must have fewer digits: 64 bits hold about 18")
    return count


def within(fact: str, ends: dict[str, int], places: int | None = None) -> Constraint:
    """Return the constraint that a measure lies between ``low`` or ``above``, and ``high`` or ``below``.

    Raises:
        ValueError: two bounds are about one end, or nothing lies between them.
    """
    if ends.keys() >= {"low", "above"} or ends.keys() >= {"high", "below"}:
        raise ValueError("give one bound at each end: one that is included, or one that is not")
    up = len(SIGNATURES[fact]) - 1  # the value that is rounded up, if there are two
    tests = {
        "low": lambda end: Test("at_least", end, 0),
        "above": lambda end: Test("at_least", end + 1, up),
        "high": lambda end: Test("at_most", end, up),
        "below": lambda end: Test("at_most", end - 1, 0),
    }
    clause = Clause(fact, "x", None, tuple([tests[name](end) for name, end in ends.items()]), places)
    words = describe_measure(clause)
    low, high = ends.get("low", ends.get("above")), ends.get("high", ends.get("below"))
    gap = len(ends.keys() & {"above", "below"})
    if low is not None and high is not None and high - low < (min(gap, 1) if up else gap):
        raise ValueError(f"there is no such value: {words}")
    return Constraint(words, lambda at: (((replace(clause, key=at.key),),),))


def write_decimal(count: int, places: int) -> str:
    """Return units of ``10**-places`` as a decimal number: ``12.50``."""
    digits = str(abs(count)).rjust(places + 1, "0")
    point = len(digits) - places
    return f"{'-' * (count < 0)}{digits[:point]}{'.' * bool(places)}{digits[point:]}"


def write_measure(clause: Clause, count: int) -> str:
    """Return an integer of a measure as what it stands for: ``99.9``, ``2026-12-24``."""
    if clause.fact in _DECIMAL:
        places = clause.parameter if isinstance(clause.parameter, int) else 0
        text = write_decimal(count, places)
        return text.rstrip("0").rstrip(".") if places else text
    try:
        if clause.fact == "arg_date":
            return date.fromordinal(count + EPOCH).isoformat()
        moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=count)
        return moment.isoformat().replace("+00:00", "Z")
    except (ValueError, OverflowError):
        return f"{'day' if clause.fact == 'arg_date' else 'second'} {count}"


def describe_measure(clause: Clause) -> str:
    """Return what a clause requires of a measure: ``a number from 0 to 99.9``."""
    if type(clause.equal) is int:
        return f"exactly {write_measure(clause, clause.equal)}"
    found = [_described(clause, test) for test in clause.tests]
    if [word for word, _ in found] in (["at least", "at most"], ["not before", "not after"]):
        said = f"from {found[0][1]} to {found[1][1]}"
    else:
        said = " and ".join(" ".join(edge) for edge in found)
        said = f"of {said}" if said.startswith("at ") else said
    noun = f"{MEASURES[clause.fact]} {said}".strip()
    if clause.fact != "arg_fixed":
        return noun
    places = clause.parameter
    return f"{noun} with at most {places} decimal place{'s' * (places != 1)}" if places else f"{noun}, whole"


def edge(clause: Clause, test: Test) -> tuple[int, bool]:
    """Return the end that ``at_least`` or ``at_most`` gives to a measure, and whether the end is excluded."""
    exact = len(SIGNATURES[clause.fact]) == 1
    excluded = not exact and test.index == (test.op == "at_least")
    step = excluded * (1 if test.op == "at_most" else -1)
    return int(str(test.operand)) + step, excluded


def _described(clause: Clause, test: Test) -> tuple[str, str]:
    """Return how a test bounds a measure, and the bound."""
    if isinstance(test.operand, frozenset):
        counts = sorted(count for count in test.operand if isinstance(count, int))
        listed = list_of([write_measure(clause, count) for count in counts])
        exact = len(SIGNATURES[clause.fact]) == 1
        among = "other than" if test.op == "not_in" else "one of"
        return among, listed if exact else f"{listed}, rounded {'up' if test.index else 'down'}"
    count, excluded = edge(clause, test)
    words = _DECIMAL_ENDS if clause.fact in _DECIMAL else _CALENDAR_ENDS
    return words[test.op, excluded], write_measure(clause, count)


_DECIMAL = ("arg_number", "arg_fixed")
_DECIMAL_ENDS = {
    ("at_least", False): "at least",
    ("at_least", True): "above",
    ("at_most", False): "at most",
    ("at_most", True): "below",
}
_CALENDAR_ENDS = {
    ("at_least", False): "not before",
    ("at_least", True): "after",
    ("at_most", False): "not after",
    ("at_most", True): "before",
}
