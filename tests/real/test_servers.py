"""Servers that many people run, through the Python SDK's client and the TypeScript SDK's."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from mcp import Client, StdioServerParameters
from mcp.types import RequestParamsMeta

from hessra_agents import Authority, Denied, Guard
from hessra_agents import Call as Guarded

from ..support.bounded import bounded
from .rigs import EVERYTHING, Call, Era, everything, typescript
from .servers import SERVERS, RealServer

each_server = pytest.mark.parametrize("server", SERVERS, ids=lambda server: server.name)
each_era = pytest.mark.parametrize("era", ["legacy", "modern"])
GREETING = Call("test_custom_header", {"region": "north"})


def started(server: RealServer) -> StdioServerParameters:
    return StdioServerParameters(command=server.command[0], args=list(server.command[1:]))


@pytest.mark.anyio
@each_server
async def test_an_honest_call_is_answered(server: RealServer, folder: Path) -> None:
    placed = server.at(folder)
    async with Client(started(placed)) as client:
        tools = {tool.name for tool in (await client.list_tools()).tools}
        result = await client.call_tool(placed.honest.tool, dict(placed.honest.arguments))
    assert {placed.honest.tool, placed.stopped.tool} <= tools
    assert not result.is_error


@pytest.mark.anyio
@each_server
async def test_without_a_guard_a_call_that_nobody_allowed_is_done(server: RealServer, folder: Path) -> None:
    placed = server.at(folder)
    assert placed.harmed is None or not placed.harmed(folder)
    async with Client(started(placed)) as client:
        result = await client.call_tool(placed.stopped.tool, dict(placed.stopped.arguments))
    assert not result.is_error
    assert placed.harmed is None or placed.harmed(folder)


@pytest.mark.anyio
@each_server
async def test_a_server_keeps_quiet_about_metadata_that_it_does_not_know(
    server: RealServer, folder: Path
) -> None:
    placed = server.at(folder)
    unknown: RequestParamsMeta = {"com.example/unknown": "x" * 700}  # type: ignore[typeddict-unknown-key]
    async with Client(started(placed)) as client:
        result = await client.call_tool(placed.honest.tool, dict(placed.honest.arguments), meta=unknown)
    assert not result.is_error


@pytest.mark.anyio
@each_server
async def test_every_argument_of_every_tool_can_be_bounded(server: RealServer, folder: Path) -> None:
    """As with the functions of tests/corpora: calls within the bounds are permitted, others are not."""
    authority = Authority.ephemeral()
    guard = Guard(authority.trust, audience="calls")
    async with Client(started(server.at(folder))) as client:
        tools = (await client.list_tools()).tools
    for tool in tools:
        made = bounded(tool.name, tool.input_schema)
        capability = authority.issue("agent:a", made.grant, ttl=timedelta(minutes=5), audience="calls")
        for arguments in made.permitted:
            guard.decide(capability.token, Guarded.of(tool.name, arguments))
        for arguments in made.refused:
            with pytest.raises(Denied):
                guard.decide(capability.token, Guarded.of(tool.name, arguments))


@each_era
def test_the_typescript_client_calls_a_server_over_pipes(era: Era) -> None:
    answer = typescript(EVERYTHING, era, GREETING, {"com.example/unknown": "x"})
    assert answer["version"] == {"legacy": "2025-11-25", "modern": "2026-07-28"}[era]
    assert answer["result"]["content"] == [{"type": "text", "text": "region north"}]


@each_era
def test_the_typescript_client_calls_a_server_over_http(era: Era) -> None:
    with everything() as url:
        answer = typescript(url, era, GREETING)
    assert GREETING.tool in {tool["name"] for tool in answer["tools"]}
    assert answer["result"]["content"] == [{"type": "text", "text": "region north"}]
