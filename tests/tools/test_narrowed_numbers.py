"""What a model is shown of bounds on numbers, dates and moments."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from hessra_agents import grant, must
from hessra_agents.grants.vocabulary.constraints import Constraint
from hessra_agents.tools.json_schema import narrowed
from hessra_agents.tools.tool import Tool


def order(price: float, amount: int, ratio: float | int, day: str, note: int | None = None) -> None:
    """Take numbers and texts."""


SHOWN: list[tuple[str, Constraint, dict[str, Any]]] = [
    ("price", must.between(0, 99), {"type": "integer", "minimum": 0, "maximum": 99}),
    ("price", must.between(0, 99.9), {"type": "number", "minimum": 0, "maximum": 99.9}),
    (
        "price",
        must.number(above=0, below=100),
        {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 100},
    ),
    (
        "price",
        must.number(0, Decimal("99.90"), places=2),
        {
            "type": "number",
            "minimum": 0,
            "maximum": 99.9,
            "description": "a number from 0 to 99.9 with at most 2 decimal places",
        },
    ),
    ("amount", must.at_most(5.5), {"type": "integer", "maximum": 5.5}),
    ("amount", must.between(1, 3), {"type": "integer", "minimum": 1, "maximum": 3}),
    (
        "day",
        must.date(not_before="2026-12-01", not_after="2026-12-31"),
        {"type": "string", "format": "date", "description": "a date from 2026-12-01 to 2026-12-31"},
    ),
    (
        "day",
        must.instant(not_before="2026-12-01T00:00:00Z", before="2027-01-01T00:00:00+01:00"),
        {
            "type": "string",
            "format": "date-time",
            "description": "a time not before 2026-12-01T00:00:00Z and before 2026-12-31T23:00:00Z",
        },
    ),
]


@pytest.mark.parametrize(("name", "constraint", "shown"), SHOWN, ids=lambda one: str(one)[:60])
def test_a_schema_says_which_numbers_are_granted(
    name: str, constraint: Constraint, shown: dict[str, Any]
) -> None:
    """Whole numbers are shown as such, also where the tool would take others."""
    free: dict[str, object] = dict.fromkeys(("price", "amount", "ratio", "day"), must.anything())
    patterns = grant("order", {**free, name: constraint}).patterns(closed=True)
    found = narrowed(Tool.of(order).schema, "tool:order", patterns)["properties"][name]
    assert {key: value for key, value in found.items() if key != "title"} == shown
