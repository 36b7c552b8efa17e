"""What passes a tool's schema reaches a tool of the SDK as it was written."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from pydantic import BaseModel

from hessra_agents import Call, Denied
from hessra_agents.call.canonical import encode, to_json
from hessra_agents.tools.input_schema.input_schema import InputSchema


class Point(BaseModel):
    x: int
    y: int = 0


def received(server: MCPServer) -> list[Any]:
    """A server with one tool for each annotation that invites a second reading; what the tools got."""
    got: list[Any] = []

    @server.tool()
    def text(v: str) -> None:
        got.append(v)

    @server.tool()
    def text_or_null(v: str | None = None) -> None:
        got.append(v)

    @server.tool()
    def text_or_object(v: str | dict[str, Any]) -> None:
        got.append(v)

    @server.tool()
    def list_or_text(v: list[str] | str) -> None:
        got.append(v)

    @server.tool()
    def anything(v: Any) -> None:
        got.append(v)

    @server.tool()
    def unannotated(v) -> None:  # type: ignore[no-untyped-def]
        got.append(v)

    @server.tool()
    def number(v: int | float) -> None:
        got.append(v)

    @server.tool()
    def truth(v: bool) -> None:
        got.append(v)

    @server.tool()
    def texts(v: list[str]) -> None:
        got.append(v)

    @server.tool()
    def point(v: Point | None) -> None:
        got.append(None if v is None else v.model_dump())

    return got


VALUES: list[Any] = [
    *("plain", "null", " null", '["/etc/passwd"]', '{"force": true}', '{"a": 1, "a": 2}', "5", "true", '"x"'),
    *("NaN", "[", "", 5, 1.5, True, None, ["a"], [1], {"force": True}, {"x": 1, "y": 2}, {"x": "1"}),
    {"x": 1, "y": 2, "z": 3},
]


@pytest.mark.anyio
async def test_what_was_decided_is_what_a_tool_receives() -> None:
    """Whatever passes reaches a tool of the SDK as it was written; what it would convert is refused."""
    server = MCPServer("s")
    got = received(server)
    passed = 0
    for tool in await server.list_tools():
        schema = InputSchema.of(tool.input_schema)
        for value in VALUES:
            call = Call.of(tool.name, {"v": value})
            try:
                schema.check(call)
            except Denied:
                continue
            with suppress(ToolError):  # what the server cannot convert does not run
                await server.call_tool(tool.name, call.arguments)
                passed += 1
                assert encode(to_json(got.pop())) == encode(to_json(value)), (tool.name, value)
    assert passed > 40


SECOND = [
    ("text_or_null", "null"),
    ("text_or_object", '{"force": true}'),
    ("list_or_text", '["/etc/passwd"]'),
    ("anything", '{"a": 1, "a": 2}'),
    ("unannotated", '["/etc/passwd"]'),
]


@pytest.mark.anyio
@pytest.mark.parametrize(("tool", "value"), SECOND)
async def test_a_text_with_a_second_reading_is_refused(tool: str, value: str) -> None:
    """The control: the server reads it as another value, and runs."""
    server = MCPServer("s")
    got = received(server)
    (schema,) = [one.input_schema for one in await server.list_tools() if one.name == tool]

    with pytest.raises(Denied, match="a string that a server cannot read as another value"):
        InputSchema.of(schema).check(Call.of(tool, {"v": value}))
    await server.call_tool(tool, {"v": value})
    assert got != [value]
