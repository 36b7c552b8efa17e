"""Bounds on numbers, dates and moments, held against `decimal`, `fractions` and `datetime`."""

# ruff: noqa: E501
from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hessra_agents import must
from hessra_agents.call.call import Call
from hessra_agents.call.facts import fact
from hessra_agents.call.numbers import MAX_PLACES
from hessra_agents.grants.clauses import Branch, Clause
from hessra_agents.grants.vocabulary.constraints import Constraint, Place
from hessra_agents.tools.json_schema import narrowed
from tests.support.units import counted

CASES = 20_000


def clause_of(constraint: Constraint) -> Clause:
    """The one clause of a measure."""
    ((clause,),) = constraint.alternatives(Place.argument("x"))
    return clause


def passes(constraint: Constraint, value: Any) -> bool:
    """Whether a call with this value holds the clause."""
    return clause_of(constraint).holds(Call.of("t", {"x": value}))


def near(rng: Random, end: Decimal) -> Any:
    """A JSON number near a bound, or far away."""
    step = rng.choice((0, 1, -1, 1e-3, -1e-7, 1e-12, rng.uniform(-3, 3)))
    return rng.choice(
        (
            float(end),
            float(end) + step,
            round(float(end) + step, rng.randint(0, 7)),
            int(end) + rng.choice((0, 1, -1)),
            rng.choice((0.1 + 0.2, 5e-324, -5e-324, -0.0, 1e16, 123456789012345.67, 2.0**53)),
        )
    )


def test_a_bound_on_numbers_is_exact() -> None:
    """Inclusive or not, with places or without: the number is what its digits say."""
    rng, met = Random(1), 0
    for _ in range(CASES):
        places = rng.randint(0, 6)
        low = Decimal(rng.randint(-(10**6), 10**6)).scaleb(-places)
        high = low + Decimal(rng.randint(1, 10**5)).scaleb(-places)
        ends: dict[str, Any] = {}
        if rng.random() < 0.8:
            ends[rng.choice(("low", "above"))] = low
        if not ends or rng.random() < 0.8:
            ends[rng.choice(("high", "below"))] = high
        fixed = rng.choice((None, None, places, 9))
        try:
            constraint = must.number(**ends, places=fixed)
        except ValueError:  # no number of so many places lies between
            assert (fixed, len(ends)) == (places, 2)
            assert high - low < Decimal(2).scaleb(-places)
            continue
        value = near(rng, rng.choice(list(ends.values())))
        exact = Fraction(Decimal(repr(value)))
        expected = (
            ("low" not in ends or exact >= Fraction(low))
            and ("above" not in ends or exact > Fraction(low))
            and ("high" not in ends or exact <= Fraction(high))
            and ("below" not in ends or exact < Fraction(high))
            and (fixed is None or (exact * 10**fixed).denominator == 1)
            and abs(exact) * 10 ** (clause_of(constraint).parameter or 0) < 2**63  # type: ignore[operator]
        )
        assert passes(constraint, value) is expected, (constraint.words, value)
        met += expected
    assert CASES / 5 < met < CASES * 4 / 5


def test_a_number_in_units_is_that_of_the_decimal_arithmetic() -> None:
    """Rounded down and up, for doubles of every size."""
    rng = Random(2)
    for _ in range(CASES):
        value = rng.choice(
            (
                rng.uniform(-1, 1) * 10.0 ** rng.randint(-320, 300),
                round(rng.uniform(-1e6, 1e6), rng.randint(0, 9)),
                rng.randint(-(2**63), 2**63) // 10 ** rng.randint(0, 19),
            )
        )
        places = rng.randint(0, MAX_PLACES)
        canonical = Call.of("t", {"x": value}).values["x"]
        scaled = Fraction(Decimal(repr(canonical))) * 10**places
        low, high = scaled.__floor__(), scaled.__ceil__()
        stated = (low, high) if low >= -(2**63) and high < 2**63 else None
        assert fact(canonical, "arg_number", places) == stated
        exact = stated[:1] if stated and low == high else None
        assert fact(canonical, "arg_fixed", places) == exact


@pytest.mark.parametrize("places", range(MAX_PLACES + 1))
def test_the_edges_of_64_bits_are_sharp(places: int) -> None:
    """What does not fit is not stated, so that nothing holds."""
    most = (2**63 - 1) // 10**places
    assert fact(most, "arg_fixed", places) == (most * 10**places,)
    assert fact(-most, "arg_fixed", places) == (-most * 10**places,)
    assert fact(most + 1, "arg_number", places) is None
    assert fact(-most - 2, "arg_number", places) is None
    assert fact(-(2**63), "arg_number", 0) == (-(2**63),) * 2


@pytest.mark.parametrize(
    "value",
    ["1", "1.5", True, False, None, [], [1], {}, {"1": 1}, 10**400 - 1, 1e300, -1.7e308, 2**63, 1e19, "NaN"],
    ids=str,
)
def test_what_is_no_number_of_64_bits_has_no_units(value: Any) -> None:
    """Nothing is coerced, and nothing is clipped."""
    for places in range(MAX_PLACES + 1):
        assert fact(value, "arg_number", places) is None
        assert fact(value, "arg_fixed", places) is None


def test_a_large_exponent_costs_nothing() -> None:
    """No power is computed that the exponent of an argument chooses."""
    costs = []
    for value in (1.5, 1e308, 5e-324, -1e-300, 10**399):
        with counted() as work:
            for places in (0, 9):
                fact(value, "arg_number", places)
        costs.append(work.milliseconds)
    assert max(costs) <= 2 * costs[0]


@given(st.integers(-3_000_000, 3_000_000).map(lambda day: day + 700_000))
def test_a_date_is_that_of_the_calendar(number: int) -> None:
    """Every day that there is, and no other text."""
    day = date.fromordinal(max(1, min(number, date.max.toordinal())))
    assert fact(day.isoformat(), "arg_date") == ((day - date(1970, 1, 1)).days,)
    assert fact(f"{day}T00:00:00Z", "arg_date") is None


def test_dates_in_a_range_are_those_of_the_calendar() -> None:
    """Both ends, included or not."""
    rng = Random(3)
    for _ in range(CASES):
        first = date.fromordinal(rng.randint(2, date.max.toordinal() - 50))
        last = first + timedelta(days=rng.randint(2, 40))
        day = first + timedelta(days=rng.randint(-1, 41))
        names = rng.choice(("not_before", "after")), rng.choice(("not_after", "before"))
        constraint = must.date(**{names[0]: rng.choice((first, str(first))), names[1]: last})
        expected = (day >= first if names[0] == "not_before" else day > first) and (
            day <= last if names[1] == "not_after" else day < last
        )
        assert passes(constraint, day.isoformat()) is expected


def test_any_text_of_this_form_is_a_date_only_if_the_calendar_has_it() -> None:
    """Months, leap years and the year 0, against `datetime`."""
    rng = Random(4)
    for _ in range(CASES):
        text = f"{rng.choice((0, 1900, 2000, 2024, 2026, 9999)):04}-{rng.randint(0, 13):02}-{rng.randint(0, 33):02}"
        try:
            known = (datetime.strptime(text, "%Y-%m-%d").date() - date(1970, 1, 1)).days  # noqa: DTZ007
        except ValueError:
            assert fact(text, "arg_date") is None
        else:
            assert fact(text, "arg_date") == (known,)


def test_moments_in_a_range_are_those_of_the_clock() -> None:
    """In every zone, with fractions of a second, both ends included or not."""
    rng, met = Random(5), 0
    for _ in range(CASES):
        first = datetime.fromtimestamp(rng.randint(-(10**9), 4 * 10**9), UTC)
        last = first + timedelta(seconds=rng.randint(1, 5))
        zone = timezone(timedelta(minutes=rng.choice((0, 60, -720, 840, rng.randint(-1439, 1439)))))
        moment = first + timedelta(seconds=rng.randint(-1, 6), microseconds=rng.choice((0, 0, 1, 500_000)))
        text = moment.astimezone(zone).isoformat()
        if zone.utcoffset(None) == timedelta():
            text = text.replace("+00:00", rng.choice(("Z", "+00:00")))
        names = rng.choice(("not_before", "after")), rng.choice(("not_after", "before"))
        constraint = must.instant(**{names[0]: first.astimezone(zone), names[1]: last})
        expected = (moment >= first if names[0] == "not_before" else moment > first) and (
            moment <= last if names[1] == "not_after" else moment < last
        )
        assert passes(constraint, text) is expected, (constraint.words, text)
        met += expected
    assert CASES / 5 < met < CASES * 4 / 5


NO_DATES = [
    "2026-2-3", "2026-02-30", "2025-02-29", "2100-02-29", "2026-13-01", "2026-00-10", "2026-10-00", "0000-01-01", "26-01-01",
    "2026/01/01", "20260101", "2026-W01-1", "2026-001", "+2026-01-01", "-2026-01-01", "2026-01-01\n", " 2026-01-01",
    "2026-01-01Z", "2026-01-01T00:00:00", "２０２６-01-01", "2026-01-0١", "2026\u201101\u201101", "10000-01-01",
    20260101, 20454, None, True, ["2026-01-01"], {"date": "2026-01-01"}, "",
]  # fmt: skip

NO_MOMENTS = [
    "2026-12-24T10:00:00", "2026-12-24T10:00Z", "2026-12-24t10:00:00Z", "2026-12-24T10:00:00z", "2026-12-24 10:00:00Z",
    "2026-12-24T24:00:00Z", "2026-12-24T23:60:00Z", "2016-12-31T23:59:60Z", "2026-12-24T10:00:00-00:00",
    "2026-12-24T10:00:00+24:00", "2026-12-24T10:00:00+01:60", "2026-12-24T10:00:00+0100", "2026-12-24T10:00:00+01",
    "2026-12-24T10:00:00.Z", "2026-12-24T10:00:00,5Z", "2026-12-24T10:00:00.0123456789Z", "2026-02-30T10:00:00Z",
    "0000-12-31T10:00:00Z", "2026-12-24T10:00:00Z\n", "2026-12-24T10:00:00ZZ", "2026-12-24T1٠:00:00Z",
    "2026-12-24T10:00:00 Z", "2026-12-24T10:00:00\u221201:00", "2026-12-24T10:00:00[Europe/Berlin]", "2026-12-24",
    "Thu, 24 Dec 2026 10:00:00 GMT", 1798106400, 1798106400.5, None, False, ["2026-12-24T10:00:00Z"], "",
]  # fmt: skip


@pytest.mark.parametrize("value", NO_DATES, ids=repr)
def test_what_has_a_second_reading_is_no_date(value: Any) -> None:
    """Refused, and never repaired."""
    assert fact(value, "arg_date") is None


@pytest.mark.parametrize("value", NO_MOMENTS, ids=repr)
def test_what_has_a_second_reading_is_no_moment(value: Any) -> None:
    """Refused, and never repaired."""
    assert fact(value, "arg_instant") is None


@given(st.text(alphabet="0123456789-:TZ.+tz ١", max_size=30) | st.text(max_size=30))
def test_any_text_is_at_most_one_of_a_date_and_a_moment(text: str) -> None:
    """And what is one has the characters of one."""
    day, moment = fact(text, "arg_date"), fact(text, "arg_instant")
    assert day is None or moment is None
    if day is not None or moment is not None:
        assert re.fullmatch(r"[0-9:TZ.+-]+", text, re.ASCII)


def test_a_schema_bounds_exactly_the_doubles_that_are_granted() -> None:
    """Also where the bound itself is no double."""
    rng = Random(6)
    schema = {"type": "object", "properties": {"x": {"type": "number"}}}
    for _ in range(2_000):
        end = Decimal(rng.randint(1, 2**53)).scaleb(-rng.randint(1, 9))
        name = rng.choice(("low", "above", "high", "below"))
        given: dict[str, Any] = {name: end}
        clause = clause_of(must.number(**given))
        field = narrowed(schema, "tool:t", [(Branch("tool:t", (clause,)),)])["properties"]["x"]
        value = float(end) * rng.choice((1, 1, 1 + 2**-52, 1 - 2**-52))
        allowed = (
            value >= field.get("minimum", value)
            and value <= field.get("maximum", value)
            and ("exclusiveMinimum" not in field or value > field["exclusiveMinimum"])
            and ("exclusiveMaximum" not in field or value < field["exclusiveMaximum"])
        )
        assert allowed is clause.holds(Call.of("t", {"x": value})), (name, end, value, field)
