"""No token and no proof is in the logs of the libraries that carry them, at any level."""

from __future__ import annotations

import logging
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
import uvicorn
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.server.mcpserver import Context
from mcp.types import JSONRPCRequest
from starlette.requests import Request

from hessra_agents import grant
from hessra_agents.mcp import GuardMiddleware, with_capability
from hessra_agents.mcp.authorization.requests import CAPABILITY
from hessra_agents.mcp.transport.redaction import keep_tokens_out_of_logs, redacted
from tests.support.clocks import backend
from tests.support.mcp_world import ERAS, READ, McpWorld, refused, text_of

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    """Uvicorn runs on asyncio alone."""
    return backend("asyncio")


@pytest.fixture
def everything_logged(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """All logs, of all libraries, at every level."""
    with caplog.at_level(logging.NOTSET):
        logging.disable(logging.NOTSET)
        yield caplog


@asynccontextmanager
async def serving(app: Any) -> AsyncIterator[str]:
    """The app on a free port of this machine, as a base URL."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_level="debug", lifespan="on"))
        async with anyio.create_task_group() as group:
            group.start_soon(server.serve, [listening])
            while not server.started:  # noqa: ASYNC110 -- uvicorn tells it in no other way
                await anyio.sleep(0.005)
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
            server.should_exit = True


@pytest.mark.parametrize("era", ERAS)
async def test_no_token_and_no_proof_is_logged(everything_logged: pytest.LogCaptureFixture, era: str) -> None:
    world = McpWorld()
    capability = world.issue()
    async with serving(world.server.streamable_http_app()) as base:
        target = with_capability(streamable_http_client(f"{base}/mcp"), capability, key=world.key)
        async with Client(target, mode=era) as client:
            assert text_of(await client.call_tool("read_file", READ)) == "text of /srv/a.txt"
            refused(await client.call_tool("read_file", {"path": "/etc/passwd"}), "constraint")
    written = [everything_logged.handler.format(record) for record in everything_logged.records]
    assert any("tools/call" in line for line in written), "the libraries log their messages"
    assert not [line for line in written if capability.token[20:84] in line or "hp1." in line]


@pytest.mark.parametrize("era", ERAS)
async def test_the_http_request_that_a_tool_sees_has_no_capability_in_it(era: str) -> None:
    world = McpWorld()

    @world.server.tool()
    async def request(ctx: Context) -> str:
        found = ctx.request_context.request
        assert isinstance(found, Request)
        return f"{await found.body()!r} {found.url.path} {found.headers['host']}"

    async with serving(world.server.streamable_http_app()) as base:
        target = with_capability(f"{base}/mcp", world.issue(grant("request")), key=world.key)
        async with Client(target, mode=era) as client:
            assert text_of(await client.call_tool("request", {})) == f"b'' /mcp {base.partition('//')[2]}"


@pytest.mark.parametrize("era", ERAS)
async def test_over_http_a_bearer_capability_is_refused_unless_it_is_said_by_name(era: str) -> None:
    for allowed in (False, True):
        world = McpWorld(allow_bearer_over_http=allowed)
        async with serving(world.server.streamable_http_app()) as base:
            target = with_capability(f"{base}/mcp", world.issue(bearer=True))
            async with Client(target, mode=era) as client:
                assert [tool.name for tool in (await client.list_tools()).tools] == ["read_file"]
                with world.runs(*["read_file"][:allowed]):
                    answer = await client.call_tool("read_file", READ)
                if not allowed:
                    refused(answer, "not_holder", "over HTTP")


def test_a_message_that_cannot_be_written_is_not_written(caplog: pytest.LogCaptureFixture) -> None:
    keep_tokens_out_of_logs()
    logger = logging.getLogger("mcp.client.streamable_http")
    with caplog.at_level(logging.DEBUG):
        logger.debug("%s %s", "x" * 64)
        try:
            JSONRPCRequest.model_validate({"params": {CAPABILITY: "y" * 80}})
        except ValueError:
            logger.exception("could not read %s", "y" * 80)
    assert "xxxx" not in caplog.text
    assert "y" * 64 not in caplog.text
    assert "could not read ..." in caplog.text


def test_what_is_short_stays() -> None:
    text = "tools/call read_file {'path': '/srv/a.txt'} id 0f8fad5b-d9cb-469f-a165-70867728950e"
    assert redacted(text) == text
    assert redacted("En0K" + "a" * 90 + "==, hp1." + "b" * 164) == "..., ..."


async def test_a_protection_shows_no_secret() -> None:
    world = McpWorld()
    box = world.guard.toolbox(world.issue(grant("meta"), bearer=True))
    protection = GuardMiddleware(world.guard, default_toolbox=box)
    assert box.capability.token not in f"{protection!r} {vars(protection)!r} {vars(protection.gate)!r}"
