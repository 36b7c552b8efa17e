"""Law: whatever a request waits for at the proxy, what has changed meanwhile counts.

A call that is refused for it does not reach the server, and has used up nothing.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any

import anyio
import pytest

from hessra_agents import Ledger, Trust, grant, limit, must
from hessra_agents.mcp import RequestAuthorizer
from hessra_agents.mcp.authorization.requests import CAPABILITY
from tests.support.ledgers import Store
from tests.support.processes import PATIENCE
from tests.support.scripted_mcp import ECHO, RAN
from tests.support.world import MAIL, World

pytestmark = pytest.mark.anyio


class Slow(Ledger):
    """A ledger that can be held up while it is opened."""

    held: anyio.Event | None = None
    opening: anyio.Event

    async def start(self) -> None:
        await super().start()
        if self.held is not None:
            self.opening.set()
            await self.held.wait()


class Desk(World):
    """A world whose only tool is behind a server, which lists it when a test lets it."""

    ledger: Slow

    def __init__(self, ledger: Slow) -> None:
        super().__init__(ledger=ledger)
        self.asked, self.listed = anyio.Event(), anyio.Event()
        self.gate = RequestAuthorizer(self.guard)
        self.capability = self.issue(grant("echo", x=must.anything()), limit(calls=1, refund=True))

    async def fetch(self) -> list[dict[str, Any]]:
        self.asked.set()
        await self.listed.wait()
        return [ECHO]

    async def forward(self, params: dict[str, Any]) -> dict[str, Any]:
        self.ran.append(("echo", params["arguments"]))
        return RAN

    async def echo(self) -> None:
        shown = {CAPABILITY: self.capability.token}
        params = {"name": "echo", "arguments": {"x": 1}, "_meta": shown}
        assert await self.gate.handle("tools/call", params, self.forward, fetch=self.fetch) == RAN


async def revoke(desk: Desk) -> None:
    epoch = await desk.ledger.revoke(desk.capability, reason="stolen")
    await desk.ledger.wait_for_epoch(epoch, timeout=PATIENCE)


async def expire(desk: Desk) -> None:
    desk.now += 3600


async def distrust(desk: Desk) -> None:
    desk.guard.trust = Trust()


CHANGES: dict[str, Callable[[Desk], Awaitable[None]]] = {
    "revoked": revoke,
    "expired": expire,
    "unknown_root": distrust,
}
"""What ends the right to a call, by the reason of the refusal."""


async def refused(desk: Desk, reason: str) -> None:
    with desk.refuses(reason):
        await desk.echo()


def used(folder: Path) -> int:
    """What was used up, once no call has run."""
    store = Store("sqlite", str(folder / "hessra.db"), folder)
    records = store.records()
    ended = {one["op"]: one["outcome"] for one in records if "outcome" in one}
    assert all(ended[one["op"]] == "not_run" for one in records if one.get("verdict") == "permitted")
    return sum(amount for (amount,) in store.sql("select amount from used"))


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with aclosing(Slow.open(tmp_path / "hessra.db")) as ledger:
        yield Desk(ledger)


@pytest.mark.parametrize("known", [False, True], ids=["first list", "list read again"])
@pytest.mark.parametrize("reason", CHANGES)
async def test_what_changes_while_the_server_lists_its_tools_counts(
    reason: str, known: bool, desk: Desk, tmp_path: Path
) -> None:
    if known:
        desk.listed.set()
        await desk.gate.catalog.check("echo", desk.fetch)
        desk.gate.catalog.notice({"method": "notifications/tools/list_changed"})
        desk.asked, desk.listed = anyio.Event(), anyio.Event()
    async with anyio.create_task_group() as group:
        group.start_soon(refused, desk, reason)
        await desk.asked.wait()
        await CHANGES[reason](desk)
        desk.listed.set()
    assert desk.ran == []
    await desk.ledger.aclose()
    assert used(tmp_path) == 0


async def test_a_call_runs_once_where_nothing_changes_meanwhile(desk: Desk) -> None:
    async with anyio.create_task_group() as group:
        group.start_soon(desk.echo)
        await desk.asked.wait()
        assert desk.ran == []
        desk.listed.set()
    assert desk.ran == [("echo", {"x": 1})]


async def mail(desk: Desk) -> None:
    """Call a tool of the guard's own."""
    await desk.guard.toolbox(desk.capability).call("send_email", MAIL)


@pytest.mark.parametrize("reason", CHANGES)
@pytest.mark.parametrize("call", [Desk.echo, mail], ids=["MCP", "own tool"])
async def test_what_changes_while_the_ledger_is_opened_counts(
    call: Callable[[Desk], Awaitable[None]], reason: str, desk: Desk, tmp_path: Path
) -> None:
    """The first call opens it."""
    granted = grant("send_email", to=must.anything(), body=must.anything())
    desk.capability = desk.issue(grant("echo", x=must.anything()), granted, limit(calls=1, refund=True))
    desk.ledger.held, desk.ledger.opening = anyio.Event(), anyio.Event()
    desk.listed.set()

    async def refused() -> None:
        with desk.refuses(reason):
            await call(desk)

    async with anyio.create_task_group() as group:
        group.start_soon(refused)
        await desk.ledger.opening.wait()
        await CHANGES[reason](desk)
        desk.ledger.held.set()
    await desk.ledger.aclose()
    assert used(tmp_path) == 0
