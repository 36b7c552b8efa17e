"""Law: each refusal of MCP's authorizer stands by itself, whatever the guard behind it would say."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from hessra_agents import Denied, Reason, grant, must
from hessra_agents.guard.members import MAX_MEMBERS
from hessra_agents.mcp import RequestAuthorizer
from hessra_agents.mcp.authorization.denials import DENIAL
from hessra_agents.mcp.authorization.requests import CAPABILITY, PROOF
from hessra_agents.mcp.transport.messages import RpcError
from tests.mcp.test_replay_cache import Upstream, fetch, request
from tests.support.mcp_world import READ, McpWorld

pytestmark = pytest.mark.anyio


@pytest.fixture
def files() -> McpWorld:
    return McpWorld()


def bound(files: McpWorld) -> RequestAuthorizer:
    """A gate with a capability of its own, for clients that send none."""
    own = files.issue(grant("read_file", path=must.under("/srv")), bearer=True)
    return RequestAuthorizer(files.guard, default_toolbox=files.guard.toolbox(own))


async def refused(gate: RequestAuthorizer, meta: Any) -> Reason:
    """Why a call with this ``_meta`` is refused; nothing was forwarded."""
    upstream = Upstream()
    upstream.go.set()
    params = {"name": "read_file", "arguments": READ, "_meta": meta}
    with pytest.raises(Denied) as caught:
        await gate.handle("tools/call", params, upstream, fetch=fetch)
    assert upstream.seen == []
    return caught.value.reason


async def test_a_proof_alone_is_not_served_by_the_gates_own_capability(files: McpWorld) -> None:
    assert await refused(bound(files), {PROOF: files.meta(files.issue())[PROOF]}) is Reason.NO_CAPABILITY


async def test_without_an_id_only_a_notification_goes_on(files: McpWorld) -> None:
    """No request does, whether or not it needs a capability, and also where the server's list is at hand."""
    gate, upstream = RequestAuthorizer(files.guard), Upstream()
    upstream.go.set()
    await gate.handle("tools/call", request(files), upstream, fetch=fetch)
    for method in ("tools/call", "tools/list", "initialize", "ping", "logging/setLevel"):
        with pytest.raises(Denied, match="a request needs an id") as caught:
            await gate.handle(method, request(files), upstream, fetch=None)
        assert caught.value.reason is Reason.MALFORMED
    assert len(upstream.seen) == 1
    await gate.handle("notifications/initialized", None, upstream, fetch=None)
    assert len(upstream.seen) == 2


@pytest.mark.parametrize("number", [0, MAX_MEMBERS + 1])
async def test_a_request_that_lists_shows_a_few_capabilities_at_most(files: McpWorld, number: int) -> None:
    """And one at least, each a string."""
    gate = RequestAuthorizer(files.guard)
    for tokens in ([files.issue().token] * number, [files.issue().token, 5]):
        tools = {"tools": await fetch()}
        shown = gate.filter_result("tools/list", {"_meta": {CAPABILITY: tokens}}, tools)
        assert (shown["tools"], shown["_meta"][DENIAL]["reason"]) == ([], "malformed")


async def test_whoever_is_refused_makes_the_server_list_nothing(files: McpWorld) -> None:
    """Also somebody with a capability, and with a proof of the call."""
    gate, asked = RequestAuthorizer(files.guard), []

    async def count() -> list[dict[str, Any]]:
        asked.append(1)
        return await fetch()

    held = files.issue(grant("read_file", path=must.under("/other")))
    params = {**request(files), "_meta": files.meta(held)}
    with pytest.raises(Denied) as caught:
        await gate.handle("tools/call", params, Upstream(), fetch=count)
    assert (caught.value.reason, asked) == (Reason.CONSTRAINT, [])


@pytest.mark.parametrize("wrong", [7, [], {}, True, ["x"]])
@pytest.mark.parametrize("name", [CAPABILITY, PROOF])
async def test_a_capability_or_proof_that_is_no_text_is_refused(
    name: str, wrong: object, files: McpWorld
) -> None:
    meta = {**files.meta(files.issue()), name: wrong}
    assert await refused(bound(files), meta) is Reason.MALFORMED


@pytest.mark.parametrize("meta", [[], "", "x", 7, False])
async def test_a_meta_that_is_no_object_is_not_taken_for_none(meta: object, files: McpWorld) -> None:
    assert await refused(bound(files), meta) is Reason.MALFORMED


async def test_an_answer_is_not_given_again_after_a_revocation(files: McpWorld) -> None:
    gate, upstream, params = RequestAuthorizer(files.guard), Upstream(), request(files)
    upstream.go.set()
    first = await gate.handle("tools/call", params, upstream, fetch=fetch)
    assert await gate.handle("tools/call", params, upstream, fetch=fetch) == first
    ledger = files.guard.settings.ledger
    assert ledger is not None
    await ledger.revoke(subject="agent:desk")
    with pytest.raises(Denied) as caught:
        await gate.handle("tools/call", params, upstream, fetch=fetch)
    assert caught.value.reason is Reason.REVOKED
    assert len(upstream.seen) == 1


async def test_who_waits_for_an_answer_that_does_not_come_is_told(files: McpWorld) -> None:
    """The request may have run: it is not made again."""
    gate, params, go, seen = RequestAuthorizer(files.guard), request(files), anyio.Event(), []

    async def fail(given: dict[str, Any]) -> None:
        seen.append(given)
        await go.wait()
        raise RpcError("no answer")

    async def first() -> None:
        with pytest.raises(RpcError):
            await gate.handle("tools/call", params, fail, fetch=fetch)

    async def second() -> None:
        with pytest.raises(Denied) as caught:
            await gate.handle("tools/call", params, fail, fetch=fetch)
        assert caught.value.reason is Reason.REPLAYED

    async with anyio.create_task_group() as group:
        for ask in (first, second):
            group.start_soon(ask)
            await anyio.wait_all_tasks_blocked()
        go.set()
    assert len(seen) == 1
