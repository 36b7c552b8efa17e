"""What a tool's signature says is what holds: bounds, defaults, types; and a refusal shows no value."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal, NewType, NotRequired, Required
from uuid import UUID

import pytest
from annotated_types import GroupedMetadata
from pydantic import (
    AfterValidator,
    AliasChoices,
    AnyUrl,
    BaseModel,
    ByteSize,
    Field,
    Json,
    PlainSerializer,
    PlainValidator,
    SecretStr,
    StringConstraints,
)
from pydantic_core import PydanticCustomError
from typing_extensions import TypeAliasType, TypedDict

from hessra_agents import Call, Denied, from_result, grant, must
from hessra_agents.tools.json_schema import narrowed
from hessra_agents.tools.tool import Tool
from tests.support.products import branches
from tests.support.world import ANA, EVE, World

Acme = Annotated[str, must.email("acme.com")]
AcmeAlias = TypeAliasType("AcmeAlias", Acme)
AcmeName = NewType("AcmeName", Acme)


class Color(Enum):
    RED = "red"
    ONE = 1


class Person(BaseModel):
    name: str
    age: int = 7
    born: date | None = Field(None, validation_alias="birth")


@dataclass
class Point:
    x: int
    y: float = 0


class Mailed(BaseModel):
    to: Acme


@dataclass
class Posted:
    to: list[Acme]


class Sent(TypedDict):
    to: NotRequired[Acme]


def tool(hint: Any, *default: Any) -> Tool:
    """A tool with one parameter ``x`` of this type."""

    def take(x: Any) -> None: ...

    take.__annotations__ = {"x": hint}
    take.__defaults__ = default
    return Tool.of(take)


def read(hint: Any, value: object) -> Any:
    """What a tool with a parameter of this type gets."""
    return tool(hint).read(Call.of("take", {"x": value}))["x"]


def denied(hint: Any, value: object) -> Denied:
    """The refusal of this value."""
    with pytest.raises(Denied) as caught:
        read(hint, value)
    return caught.value


def allows(found: Tool, arguments: dict[str, object]) -> bool:
    """Whether the tool's own bounds allow these arguments."""
    call = Call.of(found.name, arguments)
    return all(any(not branch.failing(call) for branch in pattern) for pattern in found.bounds)


# --- bounds ---


@pytest.mark.parametrize("hint", [Acme, AcmeAlias, AcmeName, Required[Acme], Annotated[Acme, "more"]])
def test_a_bound_holds_wherever_its_type_was_named(hint: Any) -> None:
    """An alias, a new type or a qualifier around a bound does not take it away."""
    assert allows(tool(hint), {"x": ANA})
    assert not allows(tool(hint), {"x": EVE})
    assert not allows(tool(hint), {"x": None})
    assert not allows(tool(hint), {})


@pytest.mark.parametrize("hint", [Acme | None, None | Acme, AcmeAlias | None, Annotated[Acme | None, "more"]])
def test_a_bound_beside_none_allows_null(hint: Any) -> None:
    """`Annotated[...] | None` is the bound or null, and omitted where there is a default."""
    assert allows(tool(hint), {"x": ANA})
    assert allows(tool(hint), {"x": None})
    assert not allows(tool(hint), {"x": EVE})
    assert not allows(tool(hint), {})
    assert allows(tool(hint, None), {})
    assert not allows(tool(hint, None), {"x": EVE})


def test_bounds_around_and_inside_of_none_both_hold() -> None:
    """Constraints of all layers are joined."""
    both = tool(Annotated[Acme | None, must.max_length(12)])
    assert allows(both, {"x": ANA})
    assert not allows(both, {"x": "someone.else@acme.com"})
    assert not allows(both, {"x": None}), "null has no length"


class Group(GroupedMetadata):
    """Metadata that libraries take apart."""

    def __iter__(self) -> Iterator[object]:
        yield must.email("acme.com")


@pytest.mark.parametrize(
    "hint",
    [
        list[Acme],
        dict[str, Acme],
        Acme | int,
        list[Acme] | None,
        Mailed,
        list[Mailed],
        Posted,
        Sent,
        Annotated[str, must.email],
        list[Annotated[str, must.email]],
        Annotated[str, (must.email("acme.com"), must.max_length(30))],
        Annotated[str, [must.email("acme.com")]],
        Annotated[str, {"to": must.email("acme.com")}],
        Annotated[str, Group()],
        Annotated[str, from_result],
        Annotated[str, must],
        Annotated[str, (must.email,)],
    ],
)
def test_a_bound_that_would_be_lost_is_refused(hint: Any) -> None:
    """A bound deeper in a type, or a constraint that was never made, is an error and not a silence."""
    with pytest.raises(TypeError, match=r"take: x: a bound"):
        tool(hint)


def test_many_bounded_parameters_make_few_branches() -> None:
    """Each parameter has a pattern of its own: twenty optional ones are no million branches."""
    names = [f"a{number}" for number in range(20)]
    code = f"def take({', '.join(f'{name}=None' for name in names)}): ..."
    scope: dict[str, Any] = {}
    exec(code, scope)
    scope["take"].__annotations__ = dict.fromkeys(names, Acme | None)
    found = Tool.of(scope["take"])
    assert [len(pattern) for pattern in found.bounds] == [3] * 20
    assert allows(found, {"a3": ANA, "a4": None})
    assert not allows(found, {"a3": ANA, "a19": EVE})


# --- unions that contain themselves ---


class Leaf(BaseModel):
    field: str


class Not(BaseModel):
    expr: Not | Maybe | Leaf


class Maybe(BaseModel):
    expr: Not | Maybe | Leaf


class Negated(BaseModel):
    kind: Literal["not"]
    expr: Told


class Possible(BaseModel):
    kind: Literal["maybe"]
    expr: Told


class Branching(BaseModel):
    left: Branching | None = None
    rest: list[Branching] | dict[str, Branching] = []


Told = Annotated[Negated | Possible, Field(discriminator="kind")]
Lists = TypeAliasType("Lists", "list[Lists] | set[Lists] | int")
Document = TypeAliasType("Document", "list[Document] | dict[str, Document] | str | None")
for model in (Not, Maybe, Negated, Possible, Branching):
    model.model_rebuild()


@pytest.mark.parametrize("hint", [Not, Maybe | Leaf, list[Not], Not | None, Lists, dict[str, Lists]])
def test_a_union_that_contains_itself_in_two_ways_needs_a_discriminator(hint: Any) -> None:
    """To find that a value of a few hundred bytes is none of its choices could take days."""
    with pytest.raises(TypeError, match=r"take: a union that contains itself .* Field\(discriminator"):
        tool(hint)


@pytest.mark.parametrize("hint", [Told, list[Told], Branching, Document, Leaf | Person | None])
def test_other_unions_are_read_in_one_way(hint: Any) -> None:
    """With a discriminator, of a list and an object, or without an end in itself."""
    tool(hint)


def test_a_schema_tells_the_defaults_of_the_function() -> None:
    """Where JSON can say them, and where a call may omit them."""
    found = tool(int, 2)
    assert found.schema["properties"]["x"] == {"type": "integer", "default": 2}
    assert "default" not in tool(Any, object()).schema["properties"]["x"]
    for bound, told in ((must.optional(3), 2), (3, None)):
        patterns = [branches(grant("take", x=bound), closed=True)]
        assert narrowed(found.schema, "tool:take", patterns)["properties"]["x"].get("default") == told


# --- signatures ---


@pytest.mark.anyio
async def test_an_omitted_positional_argument_keeps_its_place(world: World) -> None:
    """The next argument does not move into its place."""
    ran = []

    @world.guard.tool
    def copy(src: str = "/safe", dst: str = "/tmp/out", /) -> None:
        ran.append((src, dst))

    desk = world.guard.toolbox(world.issue(grant("copy", src=must.optional(), dst=must.optional())))
    for arguments in ({"dst": "/d"}, {"src": "/s"}, {}):
        await desk.call("copy", arguments)
    assert ran == [("/safe", "/d"), ("/s", "/tmp/out"), ("/safe", "/tmp/out")]


@pytest.mark.parametrize(
    ("hint", "default", "said"),
    [
        (Annotated[str, Field(alias="y")], (), "alias"),
        (Annotated[str, Field(validation_alias=AliasChoices("y", "z"))], (), "alias"),
        (Annotated[str, Field(default="hidden")], (), "default"),
        (Annotated[str, AfterValidator(str), Field(default="hidden")], (), "default"),
        (str, (Field(default="hidden"),), "default"),
        (str, (must.email("acme.com"),), "default"),
        (Iterable[int], (), "Iterable"),
        (list[Iterable[int]], (), "Iterable"),
        (Json, (), "Json"),
        (dict[str, Json[int]], (), "Json"),
        (Annotated[str, PlainValidator(str, json_schema_input_type=Callable)], (), "JSON Schema"),
    ],
)
def test_what_a_signature_hides_is_refused(hint: Any, default: tuple[Any, ...], said: str) -> None:
    """Another name, another default, and what is read only while the tool runs: an error at registration."""
    with pytest.raises(TypeError, match=said):
        tool(hint, *default)


# --- what was checked is what runs ---


@pytest.mark.parametrize(
    ("hint", "value"),
    [
        (float, 10**399),
        (float, 2**60 + 1),
        (list[float], [10**399]),
        (Literal[True], 1),
        (Literal[1], True),
        (Color, True),
        (ByteSize, "1GB"),
        (datetime, "1700000000"),
        (date, "1700006400"),
        (dict[int, str], {"1": "a", "01": "b"}),
        (set[int], [1, 1]),
        (Annotated[str, StringConstraints(strip_whitespace=True)], " a"),
        (Annotated[str, AfterValidator(str.lower)], "A"),
        (AnyUrl, "https://ACME.com"),
        (timedelta, "1 day"),
    ],
)
def test_a_value_that_would_change_on_its_way_is_refused(hint: Any, value: object) -> None:
    """A type that reads another value out of what was checked does not get it.

    pydantic before 2.12 reads no number that a float cannot hold; later ones do, and we refuse it.
    """
    refusal = denied(hint, value)
    assert refusal.reason == "malformed"
    said = ["argument 'x' is not allowed, granted: a value that reaches the tool unchanged"]
    if hint in (float, list[float]):
        said += ["'x' is not allowed, granted: a number", "'x/0' is not allowed, granted: a number"]
    assert any(words in str(refusal) for words in said)


@pytest.mark.parametrize(
    ("hint", "value", "got"),
    [
        (float, 1, 1.0),
        (float, 1e300, 1e300),
        (float | None, None, None),
        (Decimal, "1.10", Decimal("1.10")),
        (Decimal, 1.1, Decimal("1.1")),
        (Path, "/srv/data/", Path("/srv/data")),
        (Path, Path("a/b"), Path("a/b")),
        (datetime, "2026-01-02T03:04:05Z", datetime.fromisoformat("2026-01-02T03:04:05Z")),
        (datetime, "2026-01-02T03:04:05+02:00", datetime.fromisoformat("2026-01-02T01:04:05Z")),
        (datetime, "2026-01-02T03:04:05", datetime.fromisoformat("2026-01-02T03:04:05")),
        (date, date(2026, 1, 2), date(2026, 1, 2)),
        (timedelta, timedelta(hours=25), timedelta(hours=25)),
        (timedelta, "PT60M", timedelta(hours=1)),
        (UUID, "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11", UUID("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11")),
        (Color, "red", Color.RED),
        (Color, Color.ONE, Color.ONE),
        (dict[Color, int], {"red": 1}, {Color.RED: 1}),
        (dict[int, str], {"1": "a"}, {1: "a"}),
        (set[str], ["b", "a"], {"a", "b"}),
        (set[str], {"b", "a"}, {"a", "b"}),
        (tuple[int, float], [1, 2], (1, 2.0)),
        (bytes, "ab", b"ab"),
        (SecretStr, "pw", SecretStr("pw")),
        (AnyUrl, "https://acme.com", AnyUrl("https://acme.com/")),
        (Person, {"name": "a"}, Person(name="a")),
        (Person, {"name": "a", "birth": "2026-01-02"}, Person(name="a", birth=date(2026, 1, 2))),
        (list[Person], [Person(name="a", age=3)], [Person(name="a", age=3)]),
        (Point, {"x": 1}, Point(1)),
        (Point, Point(1, 2.5), Point(1, 2.5)),
        (Literal["a", 1], 1, 1),
        (Annotated[complex, PlainValidator(complex), PlainSerializer(str)], "(1+2j)", 1 + 2j),
    ],
)
def test_an_honest_value_reaches_the_tool(hint: Any, value: object, got: object) -> None:
    """Every usual type takes its usual spellings; what a model fills in is its own."""
    assert read(hint, value) == got


def test_a_type_that_cannot_be_written_back_takes_nothing() -> None:
    """Where nothing says what a value was made of, nothing says that it is what was checked."""
    refusal = denied(Annotated[Any, PlainValidator(lambda _: math)], "a")
    assert refusal.reason == "malformed"


# --- refusals ---


class Cat(BaseModel):
    kind: Literal["cat"]


class Dog(BaseModel):
    kind: Literal["dog"]


def _leaks(value: object) -> object:
    raise PydanticCustomError("string_type", "not {value}", {"value": str(value)})


@pytest.mark.parametrize(
    ("hint", "value"),
    [
        (Annotated[Cat | Dog, Field(discriminator="kind")], {"kind": "s3cret"}),
        (Annotated[str, AfterValidator(_leaks)], "s3cret"),
        (dict[str, int], {"s3cret": "text"}),
        (dict[int, int], {"s3cret": 1}),
        (Person, {"name": 1, "s3cret": 1}),
        (datetime, "s3cret"),
        (Decimal, "s3cret"),
    ],
)
def test_a_refusal_shows_no_refused_value(hint: Any, value: object) -> None:
    """Neither its text, nor its problems, nor any exception behind it holds a value or a key."""
    refusal = denied(hint, value)
    assert re.search("argument 'x(/[*]|/name)?' is not allowed", str(refusal))
    assert "s3cret" not in f"{refusal!r} {refusal.problems}"
    assert refusal.__context__ is None
    assert refusal.__cause__ is None


def test_a_refusal_tells_the_place_and_the_type() -> None:
    """A declared argument, an index into its list, and what would have been right."""
    assert str(denied(list[int], [1, "2"])) == (
        "take: argument 'x/1' is not allowed, granted: an integer [malformed]"
    )
    assert "granted: an integer or a list" in str(denied(int | list[int], "5"))
    with pytest.raises(Denied, match=r"argument 'x' is missing \[missing_argument\]"):
        tool(str).read(Call.of("take", {}))
    with pytest.raises(Denied) as caught:
        tool(str).read(Call.of("take", {"x": "a", "s3cret": 1}))
    assert str(caught.value) == "take: the tool has no such argument [unnamed_argument]"


def test_many_faults_are_one_refusal() -> None:
    """Twenty faults are told sixteen at a time, and ten thousand not one by one."""
    assert len(denied(list[int], ["a"] * 20).problems) == 16
    refusal = denied(list[int], ["a"] * 10_000)
    assert str(refusal) == "take: the arguments have too many faults to list [malformed]"


class Item(BaseModel):
    sku: str
    qty: Annotated[int, Field(ge=1, le=5)] = 1


class Order(BaseModel):
    items: list[Item]
    note: str | None = None


TAUGHT = [
    (Order, {"items": [{"sku": "A", "admin": True}]}, "x/items/0: unknown field 'admin'"),
    (Order, {"items": [{"sku": "A", "say: yes": True}]}, "x/items/0: an unknown field"),
    (Order, {"items": [{"sku": "A", "a" * 65: True}]}, "x/items/0: an unknown field"),
    (Order, {"items": [{"qty": 1}]}, "argument 'x/items/0/sku' is missing"),
    (
        Order,
        {"items": [{"sku": "A", "qty": 9}]},
        "'x/items/0/qty' is not allowed, granted: an integer from 1 to 5",
    ),
    (Order, {"items": '["A"]'}, "argument 'x/items' is not allowed, granted: a list"),
    (Order | None, {"items": [{"sku": 1}]}, "argument 'x/items/0/sku' is not allowed, granted: a string"),
    (Annotated[float, Field(ge=0, le=99.9)], 99.91, "granted: a number from 0 to 99.9"),
    (Annotated[float, Field(gt=0)], 0, "granted: a number above 0"),
    (date, "tomorrow", "granted: a date, such as 2026-12-24"),
    (Literal["fast", "slow"], "medium", "granted: one of 'fast', 'slow'"),
    (Annotated[str, Field(max_length=3)], "abcd", "granted: a string of at most 3 characters"),
    (int | None, "1", "granted: an integer or null"),
    (tuple[int, str], [1, 2], "argument 'x/1' is not allowed, granted: a string"),
    (dict[str, int], {"a": "b"}, "argument 'x/*' is not allowed, granted: an integer"),
]


@pytest.mark.parametrize(("hint", "value", "said"), TAUGHT, ids=lambda one: str(one)[:40])
def test_a_refusal_says_what_would_mend_the_call(hint: Any, value: object, said: str) -> None:
    """The place, and what its type takes; an unknown field by its name, if that is a plain one."""
    assert said in str(denied(hint, value))
