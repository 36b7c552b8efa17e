"""Schemas for models: what is granted, in JSON Schema where it can say it, and in words where it cannot."""

from __future__ import annotations

from typing import Any

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from pydantic import BaseModel

from hessra_agents import grant, must
from hessra_agents.tools.json_schema import narrowed
from hessra_agents.tools.tool import Tool
from tests.support.world import World


async def send(
    to: str,
    count: int = 1,
    tags: list[str] | None = None,
    size: float = 1.0,
    note: str = "",
    flag: bool = False,
) -> None:
    """Send."""


def schema(*grants: Any, narrowing: tuple[Any, ...] = ()) -> dict[str, Any]:
    """The schema of `send` under these grants."""
    world = World()
    world.guard.add(send)
    capability = world.issue(*grants)
    if narrowing:
        capability = capability.attenuate(*narrowing)
    (found,) = world.guard.toolbox(capability).schemas("mcp")
    parameters: dict[str, Any] = found["inputSchema"]
    return parameters


@pytest.mark.parametrize(
    ("constraint", "said"),
    [
        ("a", {"const": "a"}),
        (must.one_of("b", "a"), {"enum": ["a", "b"]}),
        (must.starts_with("a."), {"pattern": r"^a\."}),
        (must.ends_with(".z"), {"pattern": r"\.z$"}),
        (must.under("/srv/a"), {"pattern": r"^/srv/a(/([^/.][^/]*|\.[^/.][^/]*|\.\.[^/]+))*$"}),
        (must.max_length(5), {"maxLength": 5}),
        (must.max_length(5) & must.max_length(3), {"maxLength": 3}),
        (must.starts_with("a") & must.ends_with("z"), {"pattern": "^a", "allOf": [{"pattern": "z$"}]}),
        (must.one_of("a", "b") & must.one_of("b", "c"), {"enum": ["b"]}),
        (
            must.email("acme.com"),
            {
                "pattern": r"^[A-Za-z0-9#$&'*+/=?^_`{|}~.-]+@acme\.com$",
                "description": "one email address at 'acme.com'",
            },
        ),
        (
            must.url("h.de", under="/p"),
            {
                "pattern": r"^https://h\.de(:443)?/p([/?][^#\s]*)?$",
                "description": "a URL at https://h.de:443 and under /p",
            },
        ),
        (must.one_of("a", None), {"enum": ["a"]}),
        (must.anything(), {}),
    ],
    ids=str,
)
def test_a_text_is_narrowed(constraint: Any, said: dict[str, Any]) -> None:
    """Each constraint on a string as a model is told it."""
    assert schema(grant("send", to=constraint))["properties"] == {"to": {"type": "string", **said}}


def test_numbers_lists_and_truth_values_are_narrowed() -> None:
    """Bounds, elements and constants."""
    found = schema(
        grant(
            "send",
            to="a",
            count=must.between(1, 9) & must.at_most(5) & must.at_least(2),
            tags=must.subset_of("x", "y") & must.max_length(3),
            flag=True,
        )
    )["properties"]
    assert (found["count"]["minimum"], found["count"]["maximum"]) == (2, 5)
    assert found["tags"]["items"] == {"type": "string", "enum": ["x", "y"]}
    assert found["tags"]["maxItems"] == 3
    assert found["tags"]["type"] == "array"
    assert found["flag"]["const"] is True


def test_what_is_granted_decides_what_is_required() -> None:
    """An argument with a default is required where the grant asks for it, and gone where it is not named."""
    found = schema(grant("send", to="a", note=must.anything(), count=must.optional(must.at_most(3))))
    assert found["required"] == ["to", "note"]
    assert set(found["properties"]) == {"to", "note", "count"}
    assert found["properties"]["count"]["maximum"] == 3


def test_several_ways_are_joined_where_they_can_be() -> None:
    """Two grants of one tool: values join; an argument keeps the bound of the grant that names it."""
    found = schema(grant("send", to="a", count=must.at_most(3)), grant("send", to=must.one_of("b", "c")))
    assert found["properties"]["to"]["enum"] == ["a", "b", "c"]
    assert found["properties"]["count"]["maximum"] == 3
    assert found["required"] == ["to"]


def test_a_narrowing_narrows_the_schema() -> None:
    """What a later block adds is told as well."""
    found = schema(grant("send", to=must.one_of("a", "b")), narrowing=(grant("send", to="b"),))
    assert found["properties"]["to"] == {"type": "string", "const": "b"}


def test_null_is_a_constant() -> None:
    """Exactly null."""
    assert schema(grant("send", to="a", tags=None))["properties"]["tags"] == {"type": "null"}


def test_a_schema_is_never_shared() -> None:
    """To change a schema that was given out changes neither the tool nor the next one."""
    tool = Tool.of(send)
    before = dict(tool.schema["properties"])
    first = schema(grant("send", to="a"))
    first["properties"]["to"]["const"] = "evil"
    assert schema(grant("send", to="a"))["properties"]["to"]["const"] == "a"
    assert tool.schema["properties"] == before


class Address(BaseModel):
    """An address."""

    city: str
    country: str = "DE"


def shown(function: Any, *grants: Any, provider: str = "mcp") -> dict[str, Any]:
    """The properties that a model sees of a function under these grants."""
    world = World()
    world.guard.add(function)
    (found,) = world.guard.toolbox(world.issue(*grants)).schemas(provider)
    properties: dict[str, Any] = found["inputSchema" if provider == "mcp" else "input_schema"]["properties"]
    return properties


def test_only_integers_pass_where_the_bound_is_of_integers() -> None:
    """A model that is told a number sends 12.5."""
    assert schema(grant("send", to="a", size=must.between(0, 99)))["properties"]["size"] == {
        "type": "integer",
        "minimum": 0,
        "maximum": 99,
    }


def test_null_is_told_only_where_it_passes() -> None:
    """A type that allows null beside a bound that does not."""

    def note(text: str | None = None) -> None: ...

    assert shown(note, grant("note", text=must.optional(must.max_length(3))))["text"] == {
        "type": "string",
        "maxLength": 3,
    }


def test_a_field_of_an_object_is_told() -> None:
    """Fields that the grant does not name are gone; a field that may be omitted is not required."""

    def move(to: Address) -> None: ...

    fields = must.fields(city=must.one_of("Berlin", "Hamburg"), country=must.optional("DE"))
    assert shown(move, grant("move", to=fields))["to"] == {
        "type": "object",
        "title": "Address",
        "description": "An address.",
        "properties": {
            "city": {"type": "string", "title": "City", "enum": ["Berlin", "Hamburg"]},
            "country": {"type": "string", "title": "Country", "default": "DE", "const": "DE"},
        },
        "required": ["city"],
        "additionalProperties": False,
    }


def test_what_keywords_cannot_say_is_told_in_words_where_it_is() -> None:
    """An exact object, which a token holds as a digest, inside another one."""

    def move(to: dict[str, Any]) -> None: ...

    found = shown(move, grant("move", to=must.fields(box={"a": 1})))["to"]["properties"]["box"]
    assert found["description"].startswith("exactly the value whose sha256 begins with")


def test_a_command_is_a_list_of_words() -> None:
    """The program, the words in order, and how many there are."""

    def execute(argv: list[str]) -> None: ...

    found = shown(execute, grant("execute", argv=must.command("/bin/ls", must.one_of("a", "b"))))["argv"]
    assert found["prefixItems"] == [
        {"const": "/bin/ls", "type": "string"},
        {"type": "string", "enum": ["a", "b"]},
    ]
    assert (found["minItems"], found["maxItems"]) == (2, 2)


def test_a_pattern_is_legal_for_every_reader() -> None:
    """ECMA-262 with `u` forbids to escape what needs no escape."""
    prefix = "a-b c#&~/."
    assert schema(grant("send", to=must.starts_with(prefix)))["properties"]["to"]["pattern"] == (
        r"^a-b c#&~/\."
    )


@pytest.mark.parametrize(
    ("provider", "name", "taken"),
    [
        ("openai", "files.read", False),
        ("openai-responses", "files/read", False),
        ("openai", "f" * 65, False),
        ("openai", "f" * 64, True),
        ("anthropic", "f" * 65, True),
        ("anthropic", "files.read", False),
        ("mcp", "files.read", True),
    ],
)
def test_a_name_that_a_provider_does_not_take_is_told(provider: str, name: str, taken: bool) -> None:
    """Its API would refuse the whole request, with all other tools."""
    world = World()
    world.guard.add(send, name=name)
    desk = world.guard.toolbox(world.issue(grant(name, to="a")))
    if taken:
        assert len(desk.schemas(provider)) == 1
    else:
        with pytest.raises(ValueError, match="under another name"):
            desk.schemas(provider)


def test_an_arguments_name_that_a_provider_does_not_take_is_told() -> None:
    """Anthropic's API takes ASCII names only."""

    def order(größe: int) -> None: ...

    assert shown(order, grant("order", größe=1)).keys() == {"größe"}
    with pytest.raises(ValueError, match="'order' has 'größe'"):
        shown(order, grant("order", größe=1), provider="anthropic")


def test_a_tuple_has_items() -> None:
    """Providers refuse a list without them."""

    def crop(box: tuple[int, int], tag: tuple[int, str] = (1, "")) -> None: ...

    found = shown(crop, grant("crop", box=must.anything(), tag=must.optional()), provider="anthropic")
    assert found["box"]["items"] == {"type": "integer"}
    assert found["tag"]["items"] == {"anyOf": [{"type": "integer"}, {"type": "string"}]}


def test_structures_are_narrowed_inside() -> None:
    """Elements, fields, names and values: which there may be, which there must be, and what they are."""

    async def order(
        items: list[dict[str, Any]], labels: dict[str, str], notes: list[str] | None = None
    ) -> None:
        """Order."""

    world = World()
    world.guard.add(order)
    item = must.fields(
        sku=must.one_of("a", "b"),
        qty=must.between(1, 5),
        note=must.optional(must.max_length(9)),
        free=must.optional(),
    )
    made = grant(
        "order",
        items=must.each(item, unique=True) & must.max_length(3),
        labels=must.mapping(keys=must.starts_with("x-"), values=must.max_length(4), at_most=2),
        notes=must.optional(must.subset_of("n", 1, None)),
    )
    (found,) = world.guard.toolbox(world.issue(made)).schemas("mcp")
    items, labels, notes = (found["inputSchema"]["properties"][name] for name in ("items", "labels", "notes"))
    fields = items["items"]
    assert (items["minItems"], items["maxItems"], items["uniqueItems"]) == (1, 3, True)
    assert fields["additionalProperties"] is False
    assert sorted(fields["required"]) == ["qty", "sku"]
    assert fields["properties"]["sku"] == {"type": "string", "enum": ["a", "b"]}
    assert fields["properties"]["qty"] == {"type": "integer", "minimum": 1, "maximum": 5}
    assert fields["properties"]["note"] == {
        "type": ["string", "array"],
        "maxLength": 9,
        "maxItems": 9,
        "items": {},
    }
    assert fields["properties"]["free"] == {}
    assert labels["maxProperties"] == 2
    assert labels["propertyNames"] == {"type": "string", "pattern": "^x-"}
    assert labels["additionalProperties"] == {"type": "string", "maxLength": 4}
    assert notes["type"] == "array"
    assert notes["items"] == {"type": "string", "enum": ["n"]}


def test_fields_of_an_object_are_narrowed() -> None:
    """Also a field that may be omitted, which is a choice in the token."""

    async def ship(address: dict[str, str]) -> None:
        """Ship."""

    world = World()
    world.guard.add(ship)
    made = grant(
        "ship", address=must.fields(city=must.one_of("Berlin"), note=must.optional(must.starts_with("x")))
    )
    (found,) = world.guard.toolbox(world.issue(made)).schemas("mcp")
    address = found["inputSchema"]["properties"]["address"]
    assert address["properties"] == {
        "city": {"type": "string", "enum": ["Berlin"]},
        "note": {"type": "string", "pattern": "^x"},
    }
    assert (address["required"], address["additionalProperties"]) == (["city"], False)


@pytest.mark.parametrize(
    ("constraint", "takes", "refuses"),
    [
        (must.nullable(must.max_length(3)), [None, "abc"], ["abcd", 1]),
        (must.optional(must.nullable("a")), [None, "a"], ["b", 0]),
        (must.exact("a") | must.at_most(3), ["a", 3], ["b", 4, None]),
        (must.length(1, 2), ["a", "ab"], ["", "abc"]),
        (must.non_empty(), ["a"], [""]),
        (must.under("/d", ending=".csv"), ["/d/a.csv", "/d/e/a.csv"], ["/d/a.txt", "/e/a.csv"]),
        (must.directly_in("/d"), ["/d/a"], ["/d/e/a", "/d", "/a", "/d/.."]),
        (must.relative("r"), ["r", "r/a"], ["/r", "r2", "r/../a", "r/"]),
        (must.relative(ending=".csv"), ["a.csv"], ["/a.csv", "a.txt", "../a.csv"]),
        (must.url("*.h.de"), ["https://a.h.de/x"], ["https://h.de/", "http://a.h.de", "https://a.i.de"]),
        (must.ip_url("10.0.0.5"), ["https://10.0.0.5/x"], ["https://10.0.0.6", "https://h.de"]),
        (must.ip_url("::1", scheme="http"), ["http://[::1]/x", "http://[::1]:80"], ["http://[::2]/"]),
        (must.email("*.x.de"), ["a@b.x.de"], ["a@x.de", "a@b.y.de"]),
    ],
    ids=str,
)
def test_a_schema_says_where_a_value_may_be(constraint: Any, takes: list[Any], refuses: list[Any]) -> None:
    """Null only where null passes, and endings, folders and hosts as expressions."""

    async def take(x: Any) -> None: ...

    world = World()
    world.guard.add(take)
    (found,) = world.guard.toolbox(world.issue(grant("take", x=constraint))).schemas("mcp")
    validator = Draft202012Validator(found["inputSchema"]["properties"]["x"])
    assert [value for value in takes if not validator.is_valid(value)] == []
    assert [value for value in refuses if validator.is_valid(value)] == []


def test_an_extension_of_an_argument_stays_where_clients_read_it() -> None:
    """Also where several grants leave several values: beside the alternatives, not inside of each."""
    field = {"type": "string", "x-mcp-header": "Region"}
    ways = [grant("t", region=name).patterns(closed=True)[0][0] for name in ("north", "south")]
    told = narrowed({"type": "object", "properties": {"region": field}}, "tool:t", [tuple(ways)])
    assert told["properties"]["region"] == {**field, "enum": ["north", "south"]}
