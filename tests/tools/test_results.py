"""Results as a model reads them: as their types write themselves, and without anything that they hide."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any

import pytest
from pydantic import BaseModel, Field, SecretStr, field_serializer

from hessra_agents.tools.results import result_text


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
