"""A client with several capabilities: each request carries the one that serves it, over every transport."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from mcp import Client, StdioServerParameters
from mcp.types import Tool

import hessra_agents
from hessra_agents import Capability, KeyPair, approved_by, from_result, grant, limit, must
from hessra_agents.grants.conditions import Condition
from hessra_agents.mcp import RequestAuthorizer, with_capability
from hessra_agents.mcp.authorization.requests import CAPABILITY
from hessra_agents.mcp.proxy.http_upstream import proxy_http
from tests.support.clocks import backend
from tests.support.http_world import ENVELOPE, HttpWorld, Recorded, post, request, said, served
from tests.support.mcp_world import ERAS, READ, McpWorld, refused, text_of

pytestmark = pytest.mark.anyio

each_era = pytest.mark.parametrize("era", ERAS)
LOW, HIGH = {"a": 1}, {"a": 20}


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    """The server that runs the applications knows no other loop."""
    return backend("asyncio")


@pytest.fixture
def files() -> HttpWorld:
    return HttpWorld()


def made(files: McpWorld, *conditions: Condition, bearer: bool = False) -> Capability:
    return files.authority.issue(
        "agent:desk",
        *conditions,
        ttl=timedelta(minutes=10),
        audience="files",
        holder=None if bearer else files.key.public,
    )


def adds(files: McpWorld, low: int, high: int, *more: Condition) -> Capability:
    return made(files, grant("add", a=must.between(low, high), b=must.optional()), *more)


@asynccontextmanager
async def in_memory(files: HttpWorld, *held: Capability, era: str) -> AsyncIterator[Client]:
    async with Client(with_capability(files.server, *held, key=files.key), mode=era) as client:
        yield client


@asynccontextmanager
async def over_http(files: HttpWorld, *held: Capability, era: str) -> AsyncIterator[Client]:
    async with (
        files.reversed() as url,
        Client(with_capability(url, *held, key=files.key), mode=era) as client,
    ):
        yield client


Reached = Callable[..., AbstractAsyncContextManager[Client]]
each_way = pytest.mark.parametrize("reached", [in_memory, over_http])


def schemas(tools: list[Tool]) -> dict[str, dict[str, Any]]:
    return {tool.name: tool.input_schema["properties"] for tool in tools}


@each_era
@each_way
async def test_each_request_is_served_by_one(files: HttpWorld, reached: Reached, era: str) -> None:
    """And a list shows what all of them reach."""
    held = files.issue(), adds(files, 1, 9), adds(files, 20, 29)
    async with reached(files, *held, era=era) as client:
        with files.runs("read_file", "add", "add"):
            assert text_of(await client.call_tool("read_file", READ)) == "text of /srv/a.txt"
            assert text_of(await client.call_tool("add", LOW)) == "4"
            assert text_of(await client.call_tool("add", HIGH)) == "23"
        with files.runs():
            refused(await client.call_tool("add", {"a": 15}), "constraint")
            refused(await client.call_tool("note", {"text": "x"}), "not_granted")
        shown = schemas((await client.list_tools()).tools)
        assert set(shown) == {"read_file", "add"}
        assert "/srv" in shown["read_file"]["path"]["pattern"]
        assert not shown["add"]["a"].keys() & {"minimum", "maximum"}


@each_era
@each_way
async def test_a_used_up_budget_is_followed_by_the_next(files: HttpWorld, reached: Reached, era: str) -> None:
    """The refused request did not run, so it is sent again; each budget is charged once."""
    held = adds(files, 1, 9, limit(calls=1)), adds(files, 1, 9, limit(calls=2))
    async with reached(files, *held, era=era) as client:
        with files.runs("add", "add", "add"):
            for _ in range(3):
                assert text_of(await client.call_tool("add", LOW)) == "4"
        with files.runs():
            refused(await client.call_tool("add", LOW), "spent", "at most 2 calls")
    for one in held:
        assert [use.left for use in (await files.guard.ledger.status(one)).limits] == [0]


@each_way
async def test_a_revoked_one_is_followed_by_the_next(files: HttpWorld, reached: Reached) -> None:
    wide, narrow = adds(files, 1, 29), adds(files, 1, 9)
    async with reached(files, wide, narrow, era="auto") as client:
        assert text_of(await client.call_tool("add", HIGH)) == "23"
        await files.guard.ledger.revoke(wide)
        with files.runs("add"):
            assert text_of(await client.call_tool("add", LOW)) == "4"
        with files.runs():
            refused(await client.call_tool("add", HIGH), "revoked")
        assert set(schemas((await client.list_tools()).tools)["add"]) == {"a", "b"}


async def test_what_takes_nothing_is_presented_first(files: HttpWorld) -> None:
    """Then what takes from a limit, then what needs an approval; what the guard alone knows counts as met."""
    boss = KeyPair.generate()
    asks, counted, free = (
        adds(files, 1, 29, approved_by(boss.public)),
        adds(files, 1, 19, limit(calls=1)),
        adds(files, 1, 9),
    )
    follows = made(files, grant("note", text=from_result("read_file", "$"), more=must.optional()))
    async with in_memory(files, asks, counted, free, follows, era="auto") as client:
        with files.runs("add", "add", "add"):
            for _ in range(2):
                await client.call_tool("add", LOW)
            await client.call_tool("add", {"a": 15})
        with files.runs():
            refused(await client.call_tool("add", {"a": 15}), "not_approved")
            refused(await client.call_tool("add", HIGH), "not_approved")
            refused(await client.call_tool("note", {"text": "x"}), "constraint")


async def test_one_of_another_time_is_not_presented(files: HttpWorld) -> None:
    ended = files.authority.issue(
        "agent:desk",
        grant("add", a=must.between(1, 29), b=must.optional()),
        ttl=timedelta(seconds=1),
        audience="files",
        holder=files.key.public,
        now=1_700_000_000,
    )
    async with in_memory(files, ended, adds(files, 1, 9), era="auto") as client:
        with files.runs("add"):
            assert text_of(await client.call_tool("add", LOW)) == "4"
        with files.runs():
            refused(await client.call_tool("add", HIGH), "expired")


async def test_a_call_shows_one_capability(files: HttpWorld) -> None:
    """Less authority on the wire: only a list of tools carries them all."""
    held = files.issue(), adds(files, 1, 9)
    async with served(files.bare.streamable_http_app()) as upstream:
        recorded = Recorded(proxy_http(files.gate, upstream))
        async with served(recorded) as url, Client(with_capability(url, *held, key=files.key)) as client:
            await client.list_tools()
            await client.call_tool("add", LOW)
    sent = b"\n".join(recorded.requests).split(b"POST ")
    calls = [one for one in sent if b'"tools/call"' in one]
    lists = [one for one in sent if b'"tools/list"' in one]
    assert calls
    assert lists
    assert all(held[1].token.encode() in one and held[0].token.encode() not in one for one in calls)
    assert all(capability.token.encode() in one for one in lists for capability in held)


SERVER = """
import sys
from mcp.server import MCPServer
from hessra_agents import Guard, Ledger, Trust
from hessra_agents.mcp import GuardMiddleware

protection = GuardMiddleware(Guard(Trust.load(sys.argv[1]), audience="files", ledger=Ledger.memory()))
server = MCPServer("files", extensions=[protection], middleware=[protection], log_level="CRITICAL")

@server.tool()
async def read_file(path: str) -> str:
    return f"text of {path}"

@server.tool()
async def add(a: int, b: int = 3) -> int:
    return a + b

server.run("stdio")
"""


@each_era
async def test_a_server_in_another_process_is_told_the_same(
    files: HttpWorld, era: str, tmp_path: Path
) -> None:
    files.authority.trust.save(tmp_path / "trust.json")
    (tmp_path / "server.py").write_text(SERVER)
    command = StdioServerParameters(
        command=sys.executable,
        args=[str(tmp_path / "server.py"), str(tmp_path / "trust.json")],
        env={"PYTHONPATH": str(Path(hessra_agents.__file__).parents[1])},
    )
    held = files.issue(), adds(files, 1, 9, limit(calls=1)), adds(files, 1, 29, limit(calls=1))
    async with Client(with_capability(command, *held, key=files.key), mode=era) as client:
        assert text_of(await client.call_tool("read_file", READ)) == "text of /srv/a.txt"
        assert [text_of(await client.call_tool("add", LOW)) for _ in range(2)] == ["4", "4"]
        refused(await client.call_tool("add", LOW), "spent")
        assert {tool.name for tool in (await client.list_tools()).tools} == {"read_file", "add"}


@each_era
async def test_a_gate_may_be_bound_to_several(files: HttpWorld, era: str) -> None:
    """Its toolbox serves clients that present nothing, by the same rules."""
    held = [
        made(files, grant("read_file", path=must.under("/srv")), bearer=True),
        made(files, grant("add", a=must.between(1, 9), b=must.optional()), limit(calls=1), bearer=True),
        made(files, grant("add", a=must.between(1, 9), b=must.optional()), limit(calls=1), bearer=True),
    ]
    files.gate = RequestAuthorizer(files.guard, default_toolbox=files.guard.toolbox(*held))
    async with files.reversed() as url, Client(url, mode=era) as client:
        assert set(schemas((await client.list_tools()).tools)) == {"read_file", "add"}
        with files.runs("read_file", "add", "add"):
            await client.call_tool("read_file", READ)
            await client.call_tool("add", LOW)
            await client.call_tool("add", LOW)
        with files.runs():
            refused(await client.call_tool("add", LOW), "spent")
            refused(await client.call_tool("add", HIGH), "constraint")
            refused(await client.call_tool("note", {"text": "x"}), "not_granted", "granted: add, read_file")
        await files.guard.ledger.revoke(held[0])
        with files.runs():
            refused(await client.call_tool("read_file", READ), "revoked")
        assert set(schemas((await client.list_tools()).tools)) == {"add"}


async def test_several_are_for_one_guard_and_one_holder(files: HttpWorld) -> None:
    other = KeyPair.generate()
    elsewhere = files.issue(audience="mail")
    wrong: list[tuple[list[Any], dict[str, Any], str]] = [
        ([], {}, "1 to 8 capabilities, not 0"),
        ([files.issue()] * 9, {"key": files.key}, "1 to 8 capabilities, not 9"),
        ([files.issue(), files.issue(holder=other.public)], {"key": files.key}, "pass its key"),
        ([files.issue(), elsewhere], {"key": files.key}, "different guards"),
        ([files.issue(), "nonsense"], {"key": files.key}, "cannot be read"),
    ]
    for held, options, words in wrong:
        with pytest.raises(ValueError, match=words):
            with_capability(files.server, *held, **options)


async def test_a_list_of_tokens_is_read_for_lists_alone(files: HttpWorld) -> None:
    """Those that the guard honors count; a call carries one."""
    good, stranger = files.issue().token, McpWorld().issue().token
    async with files.reversed() as url:

        async def listed(tokens: object) -> dict[str, Any]:
            meta = {**ENVELOPE, CAPABILITY: tokens}
            told: dict[str, Any] = said(await post(url, request("tools/list", {"_meta": meta})))["result"]
            return told

        for tokens in ([good], [stranger, good], [good, "nonsense"], [good] * 8):
            assert [tool["name"] for tool in (await listed(tokens))["tools"]] == ["read_file"]
        hostile: list[tuple[object, str]] = [
            ([], "malformed"),
            ([good] * 9, "malformed"),
            ([good, 1], "malformed"),
            ([[good]], "malformed"),
            ({"0": good}, "malformed"),
            ([stranger], "bad_signature"),
        ]
        for wrong, reason in hostile:
            told = await listed(wrong)
            assert told["tools"] == []
            assert told["_meta"]["dev.hessra/denial"]["reason"] == reason
        call = files.call(files.issue())
        call["params"]["_meta"][CAPABILITY] = [good]
        with files.runs():
            assert "malformed" in json.dumps(said(await post(url, call)))
