"""Results as a model reads them: as their types write themselves, and without anything that they hide."""

from __future__ import annotations

import json
import math
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import pytest
from pydantic import BaseModel, Field, SecretStr, field_serializer

from hessra_agents.tools.results import ResultTooLargeError, result_json, result_text
from tests.support.units import counted


class Account(BaseModel):
    owner: str
    password: SecretStr = SecretStr("s3cret")
    token: str = Field("s3cret", exclude=True)
    card: str = "4000-s3cret"

    @field_serializer("card")
    def masked(self, card: str) -> str:
        return card[:4]


class Broken(BaseModel):
    secret: str = "s3cret"

    @field_serializer("secret")
    def fails(self, _: str) -> str:
        raise RuntimeError


@dataclass
class Held:
    account: Account


class Odd:
    def __repr__(self) -> str:
        return "s3cret"


ROUND: list[Any] = []
ROUND.append(ROUND)


@pytest.mark.parametrize("wrap", [lambda v: v, lambda v: [v], lambda v: {"a": v}, Held])
def test_a_result_hides_what_its_model_hides(wrap: Any) -> None:
    """Excluded fields, masked fields and secrets stay out of what the model reads."""
    text = result_text(wrap(Account(owner="ana")))
    assert '{"card":"4000","owner":"ana","password":"**********"}' in text
    assert "s3cret" not in text


@pytest.mark.parametrize(
    ("odd", "shown"),
    [
        (Odd(), "<Odd>"),
        (Broken(), "<Broken>"),
        (ROUND, ["<list>"]),
        (math.inf, "inf"),
        ([10**5000], ["<int>"]),
        ("\ud800", "?"),
        (b"\xff", "_w=="),
        ({Odd(): 1}, {"<Odd>": 1}),
    ],
)
def test_one_odd_element_leaves_the_others(odd: object, shown: object) -> None:
    """What has no JSON form becomes the name of its type; the rest stays JSON, and nothing is a repr."""
    text = result_text({"good": [1, None], "odd": odd, "account": Account(owner="ana")})
    found = json.loads(text)
    assert found["good"] == [1, None]
    assert found["odd"] == shown
    assert found["account"]["owner"] == "ana"
    assert "s3cret" not in text


def test_text_stays_text() -> None:
    """Text is not quoted; what no UTF-8 can carry is replaced."""
    assert result_text("a \u00e9") == "a \u00e9"
    assert result_text("a\ud800") == "a?"


def test_a_large_result_is_json() -> None:
    """The limits of arguments are not those of results."""
    assert json.loads(result_text(["x" * 1000] * 2000)) == ["x" * 1000] * 2000
    assert len(json.loads(result_text(list(range(100_000))))) == 100_000


FLAT: list[dict[Any, Any] | list[Any]] = [
    {},
    [],
    {"id": 1, "name": "é", "open": True, "due": None, "sum": 1.5},
    ["a", 2, 2.5, False, None, -(10**40)],
    {"bad": "\ud800"},
    [math.nan],
    [10**5000],
    {f"k{number}": number for number in range(65)},
    {1: "a"},
    ["a", b"b"],
]


@pytest.mark.parametrize("value", FLAT, ids=range(len(FLAT)))
def test_a_short_flat_result_is_written_and_bounded_as_any_other(value: Any) -> None:
    """What is not of the plain types themselves takes the longer way."""
    longer = OrderedDict(value) if isinstance(value, dict) else tuple(value)

    def written(result: object, most: int, values: int) -> object:
        try:
            return result_json(result, max_bytes=most, max_values=values)
        except ResultTooLargeError:
            return None

    for most in (*range(80), 10_000):
        assert written(value, most, 1000) == written(longer, most, 1000)
    for values in range(70):
        assert written(value, 10_000, values) == written(longer, 10_000, values)


def test_a_short_flat_result_takes_a_short_way() -> None:
    """Most results are such; measuring each part took five times as long as writing all of them."""
    with counted() as work:
        result_json({"id": 1, "name": "a", "open": True, "due": None, "sum": 1.5}, max_bytes=99, max_values=9)
    assert work.lines <= 100
