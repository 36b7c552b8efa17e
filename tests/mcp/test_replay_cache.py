"""The same proved request again gets the answer that it had, and nothing runs twice."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from hessra_agents import Denied, Reason, grant, must
from hessra_agents.mcp import RequestAuthorizer
from hessra_agents.mcp.authorization.replay_cache import ReplayCache
from tests.support.mcp_world import READ, McpWorld

pytestmark = pytest.mark.anyio

TOOLS = [{"name": "read_file", "inputSchema": {"type": "object", "properties": {"path": {"type": "string"}}}}]


async def fetch() -> list[dict[str, Any]]:
    return TOOLS


class Upstream:
    """Counts what is forwarded, and answers when it is let."""

    def __init__(self) -> None:
        self.seen: list[dict[str, Any]] = []
        self.go = anyio.Event()

    async def __call__(self, params: dict[str, Any]) -> dict[str, Any]:
        self.seen.append(params)
        await self.go.wait()
        return {"number": len(self.seen)}


@pytest.fixture
def files() -> McpWorld:
    return McpWorld()


def request(files: McpWorld, **more: Any) -> dict[str, Any]:
    """The parameters of one proved call."""
    return {"name": "read_file", "arguments": READ, "_meta": files.meta(files.issue()), **more}


async def test_a_request_that_is_on_its_way_is_waited_for(files: McpWorld) -> None:
    gate, upstream, params, found = RequestAuthorizer(files.guard), Upstream(), request(files), []

    async def ask() -> None:
        found.append(await gate.handle("tools/call", params, upstream, fetch=fetch))

    async with anyio.create_task_group() as group:
        for _ in range(5):
            group.start_soon(ask)
        await anyio.wait_all_tasks_blocked()
        upstream.go.set()
    assert found == [{"number": 1}] * 5
    assert len(upstream.seen) == 1


@pytest.mark.parametrize("more", [{"inputResponses": {"a": 1}}, {"requestState": "x"}, {"task": {"ttl": 1}}])
async def test_with_anything_else_in_it_it_is_another_request(files: McpWorld, more: dict[str, Any]) -> None:
    gate, upstream, params = RequestAuthorizer(files.guard), Upstream(), request(files)
    upstream.go.set()
    await gate.handle("tools/call", params, upstream, fetch=fetch)
    with pytest.raises(Denied) as caught:
        await gate.handle("tools/call", {**params, **more}, upstream, fetch=fetch)
    assert caught.value.reason == Reason.REPLAYED
    assert len(upstream.seen) == 1


async def test_with_another_meta_it_is_another_request(files: McpWorld) -> None:
    gate, upstream, params = (
        RequestAuthorizer(files.guard, forwarded_meta=["tenant"]),
        Upstream(),
        request(files),
    )
    upstream.go.set()
    await gate.handle("tools/call", params, upstream, fetch=fetch)
    other = {**params, "_meta": {**params["_meta"], "tenant": "b"}}
    with pytest.raises(Denied) as caught:
        await gate.handle("tools/call", other, upstream, fetch=fetch)
    assert caught.value.reason == Reason.REPLAYED


async def test_an_answer_that_cannot_be_measured_is_not_kept(files: McpWorld) -> None:
    gate, params = RequestAuthorizer(files.guard), request(files)
    deep: list[Any] = []
    for _ in range(5000):
        deep = [deep]

    async def forward(params: dict[str, Any]) -> dict[str, Any]:
        return {"deep": deep}

    await gate.handle("tools/call", params, forward, fetch=fetch)
    with pytest.raises(Denied):
        await gate.handle("tools/call", params, forward, fetch=fetch)


async def test_who_may_not_call_a_tool_makes_the_server_list_none(files: McpWorld) -> None:
    gate, asked = RequestAuthorizer(files.guard), 0

    async def count() -> list[dict[str, Any]]:
        nonlocal asked
        asked += 1
        return TOOLS

    with pytest.raises(Denied):
        await gate.handle("tools/call", {"name": "read_file", "arguments": READ}, Upstream(), fetch=count)
    assert asked == 0


async def test_a_new_progress_token_makes_no_other_request(files: McpWorld) -> None:
    gate, upstream, params = RequestAuthorizer(files.guard), Upstream(), request(files)
    upstream.go.set()
    first = await gate.handle("tools/call", params, upstream, fetch=fetch)
    again = {**params, "_meta": {**params["_meta"], "progressToken": 9}}
    assert await gate.handle("tools/call", again, upstream, fetch=fetch) == first


async def test_a_request_that_was_cancelled_has_no_answer(files: McpWorld) -> None:
    gate, upstream, params = RequestAuthorizer(files.guard), Upstream(), request(files)

    async def cancelled() -> None:
        await gate.handle("tools/call", params, upstream, fetch=fetch)

    async with anyio.create_task_group() as group:
        group.start_soon(cancelled)
        await anyio.wait_all_tasks_blocked()
        group.cancel_scope.cancel()
    with pytest.raises(Denied) as caught:
        await gate.handle("tools/call", params, upstream, fetch=fetch)
    assert caught.value.reason == Reason.REPLAYED
    assert len(upstream.seen) == 1


async def test_a_refused_request_keeps_nothing(files: McpWorld) -> None:
    gate, upstream = RequestAuthorizer(files.guard), Upstream()
    upstream.go.set()
    capability = files.issue(grant("read_file", path=must.under("/other")))
    params = {**request(files), "_meta": files.meta(capability)}
    for _ in range(2):
        with pytest.raises(Denied) as caught:
            await gate.handle("tools/call", params, upstream, fetch=fetch)
        assert caught.value.reason == Reason.CONSTRAINT
    assert upstream.seen == []
    assert len(gate._replay_cache._answers) == 0


async def test_an_answer_ends_with_its_proof(files: McpWorld) -> None:
    now = 1_800_000_000
    files.authority._clock = files.guard.settings.clock = lambda: now
    gate, upstream = RequestAuthorizer(files.guard), Upstream()
    upstream.go.set()
    params = {**request(files), "_meta": files.meta(files.issue(), now=now)}
    await gate.handle("tools/call", params, upstream, fetch=fetch)
    now += 31
    with pytest.raises(Denied) as caught:
        await gate.handle("tools/call", params, upstream, fetch=fetch)
    assert caught.value.reason == Reason.EXPIRED


async def test_what_is_kept_is_bounded() -> None:
    repeats: ReplayCache[str] = ReplayCache(len, max_items=3, max_bytes=160)
    for number in range(5):
        name = bytes([number])
        repeats.keep(name, repeats.open(name, until=100), "x" * 5)
    assert [repeats.find(bytes([n]), now=0) is None for n in range(5)] == [True, True, False, False, False]
    for _ in range(9):  # a place that is opened again counts once
        repeats.keep(bytes([4]), repeats.open(bytes([4]), until=100), "x" * 5)
    assert repeats._bytes == 15
    large = repeats.open(b"large", until=100)
    repeats.keep(b"large", large, "x" * 11)
    assert repeats.find(b"large", now=0) is None
    assert await large.wait() == "x" * 11  # who waited for it has it
    assert repeats.find(bytes([4]), now=100) is None
    repeats.find(b"", now=100)
    assert repeats._bytes == 0
