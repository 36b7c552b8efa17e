"""A grant that no call could meet is refused where the types are known, with what the argument takes."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field

from hessra_agents import Authority, Call, Denied, Guard, grant, must
from hessra_agents.grants.joining import join
from hessra_agents.grants.vocabulary.constraints import Constraint
from hessra_agents.tools.input_schema.input_schema import InputSchema


class Address(BaseModel):
    city: str
    zip: int


GUARD = Guard(Authority.ephemeral().trust, audience="shop")


@GUARD.tool
def order(
    name: str,
    to: Address,
    level: Annotated[int, Field(ge=1, le=9)] = 1,
    mode: Literal["fast", "slow"] = "fast",
    mail: Annotated[str, must.email("acme.com")] = "a@acme.com",
    tags: list[str] | None = None,
    size: float = 1.0,
) -> None:
    """Order."""


NEVER: list[tuple[str, Any, str]] = [
    ("to", must.max_length(3), "it takes an object with city, zip"),
    ("name", must.between(1, 2), "it takes a string"),
    ("to", must.fields(city="x", zip=must.starts_with("1")), "to/zip takes an integer"),
    ("to", must.optional(must.fields(city=1, zip=1)), "to/city takes a string"),
    ("to", must.fields(city="x"), "it takes an object with city, zip"),
    ("to", must.fields(city="x", zip=1, street="y"), "it takes an object with city, zip"),
    ("level", 50, "it takes an integer from 1 to 9"),
    ("level", must.one_of(10, 50), "it takes an integer from 1 to 9"),
    ("level", must.at_least(20), "it takes an integer from 1 to 9"),
    ("level", must.at_least(5) & must.at_most(3), "it takes an integer from 1 to 9"),
    ("mode", "medium", "it takes one of 'fast', 'slow'"),
    ("mail", "eve@evil.com", "it takes one email address at 'acme.com'"),
    ("tags", "x", "it takes a list or null"),
    ("tags", must.each(must.at_most(2)), "it takes a list or null"),
    ("name", None, "it takes a string"),
    ("size", "1", "it takes a number"),
]


@pytest.mark.parametrize(("name", "constraint", "takes"), NEVER, ids=str)
def test_a_constraint_that_can_never_be_met_is_refused(name: str, constraint: Any, takes: str) -> None:
    """At `grant`, by the function."""
    with pytest.raises(ValueError, match="can never be") as refused:
        grant(order, {name: constraint})
    assert str(refused.value).startswith(f"order: '{name}' can never be ")
    assert str(refused.value).endswith(f": {takes}")


MET: list[tuple[str, Any]] = [
    ("to", {"city": "x", "zip": 1}),
    ("to", must.fields(city="x", zip=must.optional(1))),
    ("name", must.max_length(3)),
    ("tags", must.max_length(3)),
    ("tags", None),
    ("tags", must.each(must.at_most(2), empty=True)),
    ("size", must.between(0, 9)),
    ("size", 0.5),
    ("level", must.one_of(9, 10)),
    ("mail", "ana@acme.com"),
    ("mode", must.one_of("fast", "medium")),
    ("mode", must.starts_with("f")),
]


@pytest.mark.parametrize(("name", "constraint"), MET, ids=str)
def test_a_constraint_that_some_value_meets_is_granted(name: str, constraint: Any) -> None:
    """Also where not every value that it lists fits."""
    assert dict(grant(order, {name: constraint}).constraints).keys() == {name}


def test_an_argument_that_the_tool_requires_must_be_named_at_issue() -> None:
    """A narrowing may leave it out: there it keeps its earlier bounds."""
    authority = Authority.ephemeral()
    with pytest.raises(ValueError, match="order cannot be called without 'to'"):
        authority.issue("agent:a", grant(order, name="x"), ttl=timedelta(1), audience="shop")
    whole = authority.issue(
        "agent:a", grant(order, name="x", to=must.anything()), ttl=timedelta(1), audience="shop"
    )
    assert whole.attenuate(grant(order, name="x")).tools == ("tool:order",)


def test_what_is_handed_on_and_narrowed_is_checked_too() -> None:
    """By the tool's name as well, because the guard knows its types."""
    authority = Authority.ephemeral()
    guard = Guard(authority.trust, audience="shop")

    @guard.tool
    def pay(amount: Annotated[int, Field(le=9)], note: str = "") -> None: ...

    desk = guard.toolbox(
        authority.issue(
            "agent:desk",
            grant("pay", amount=must.anything(), note=must.optional()),
            ttl=timedelta(1),
            audience="shop",
        )
    )
    with pytest.raises(
        ValueError, match="'amount' can never be exactly 10: it takes an integer of at most 9"
    ):
        desk.delegate("agent:desk:x", grant("pay", amount=10))
    with pytest.raises(ValueError, match="'amount' can never be exactly 10"):
        desk.attenuate(grant("pay", amount=10))
    with pytest.raises(ValueError, match="'note' can never be exactly 1: it takes a string"):
        desk.narrow("pay", amount=9, note=1)
    assert desk.narrow("pay", amount=9, note="").tools == ("pay",)


def test_a_grant_is_checked_against_the_schema_of_a_servers_tool() -> None:
    """References, alternatives and listed values of the server."""
    schema = InputSchema.of(
        {
            "type": "object",
            "properties": {
                "unit": {"enum": ["c", "f"]},
                "place": {"$ref": "#/$defs/Place"},
                "days": {"anyOf": [{"type": "integer", "maximum": 7}, {"type": "null"}]},
            },
            "required": ["place"],
            "$defs": {"Place": {"type": "object", "properties": {"lat": {"type": "number"}}}},
        }
    )
    schema.check_grant(grant("weather", unit="c", place=must.fields(lat=must.between(1, 2)), days=None))
    for name, constraint, takes in [
        ("unit", "k", "one of 'c', 'f'"),
        ("place", "Berlin", "an object"),
        ("place", must.fields(lat="x"), "a number"),
        ("days", 9, "an integer of at most 7 or null"),
    ]:
        with pytest.raises(ValueError, match=f"takes {takes}"):
            schema.check_grant(grant("weather", {name: constraint}))


def test_a_hostile_schema_ends_the_check() -> None:
    """References in a circle, many alternatives, and a constraint as deep as a token can say."""
    loop = {"anyOf": [{"$ref": "#/$defs/A"} for _ in range(16)]}
    deep: Constraint = must.exact("x")
    for _ in range(20):
        deep = must.fields(a=deep)
    schema = InputSchema.of(
        {
            "type": "object",
            "properties": {"x": loop},
            "$defs": {"A": {"type": "object", "properties": {"a": loop}}, "B": {"$ref": "#/$defs/B"}},
        }
    )
    schema.check_grant(grant("t", x=deep))


@pytest.mark.parametrize(
    "looped",
    [
        {"anyOf": [{"$ref": "#/$defs/A"}]},
        {"type": "object", "anyOf": [{"$ref": "#/$defs/A"}]},
        {"type": "object", "properties": {"a": {"$ref": "#/$defs/A"}}, "anyOf": [{"$ref": "#/$defs/A"}] * 8},
        {"$ref": "#/$defs/A"},
    ],
)
def test_a_schema_that_loops_ends_every_reading(looped: dict[str, Any]) -> None:
    """The narrowed schema, the check of a grant, and the words of a refusal."""
    schema = InputSchema.of(
        {"type": "object", "properties": {"x": {"$ref": "#/$defs/A"}}, "$defs": {"A": looped}}
    )
    deep = must.fields(a=must.fields(a=must.fields(a="x")))
    schema.check_grant(grant("t", x=deep))
    assert schema.narrowed(branches_of("t", x=deep), "tool:t")["properties"].keys() == {"x"}
    with pytest.raises(Denied) as refused:
        schema.check(Call.of("t", {"x": {"a": {"b": 1}}}))
    assert "'b'" not in str(refused.value) or "unknown field 'b'" in str(refused.value)


def branches_of(tool: str, **constraints: Any) -> list[Any]:
    """The patterns of a grant."""
    pattern, choices = join([grant(tool, constraints)], closed=True)
    return [pattern, *(choice.about(f"tool:{tool}") for choice in choices)]
