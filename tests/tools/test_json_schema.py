"""Schemas for models: what is granted, in JSON Schema where it can say it, and in words where it cannot."""

from __future__ import annotations

from typing import Any

import pytest

from hessra_agents import grant, must
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
        (must.under("/srv/a"), {"pattern": "^/srv/a(/|$)"}),
        (must.max_length(5), {"maxLength": 5}),
        (must.max_length(5) & must.max_length(3), {"maxLength": 3}),
        (must.starts_with("a") & must.ends_with("z"), {"pattern": "^a", "allOf": [{"pattern": "z$"}]}),
        (must.one_of("a", "b") & must.one_of("b", "c"), {"enum": ["b"]}),
        (must.email("acme.com"), {"description": "one email address at 'acme.com'"}),
        (must.url("h.de", under="/p"), {"description": "a URL at https://h.de:443 and under /p"}),
        (must.one_of("a", None), {"description": 'one of "a", null'}),
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
    assert found["tags"]["items"] == {"enum": ["x", "y"]}
    assert found["flag"]["const"] is True


def test_what_is_granted_decides_what_is_required() -> None:
    """An argument with a default is required where the grant asks for it, and gone where it is not named."""
    found = schema(grant("send", to="a", note=must.anything(), count=must.optional(must.at_most(3))))
    assert found["required"] == ["to", "note"]
    assert set(found["properties"]) == {"to", "note", "count"}
    assert found["properties"]["count"]["maximum"] == 3


def test_several_ways_are_joined_where_they_can_be() -> None:
    """Two grants of one tool: values join, other bounds are left to the guard."""
    found = schema(grant("send", to="a", count=must.at_most(3)), grant("send", to=must.one_of("b", "c")))
    assert found["properties"]["to"]["enum"] == ["a", "b", "c"]
    assert "maximum" not in found["properties"]["count"]
    assert found["required"] == ["to"]


def test_a_narrowing_narrows_the_schema() -> None:
    """What a later block adds is told as well."""
    found = schema(grant("send", to=must.one_of("a", "b")), narrowing=(grant("send", to="b"),))
    assert found["properties"]["to"] == {"type": "string", "enum": ["a", "b"], "const": "b"}


def test_null_is_a_constant() -> None:
    """Exactly null."""
    assert schema(grant("send", to="a", tags=None))["properties"]["tags"]["const"] is None


def test_a_schema_is_never_shared() -> None:
    """To change a schema that was given out changes neither the tool nor the next one."""
    tool = Tool.of(send)
    before = dict(tool.schema["properties"])
    first = schema(grant("send", to="a"))
    first["properties"]["to"]["const"] = "evil"
    assert schema(grant("send", to="a"))["properties"]["to"]["const"] == "a"
    assert tool.schema["properties"] == before
