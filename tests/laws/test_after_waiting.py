"""Law: whatever a call waits for, what has changed meanwhile counts.

A call that is refused for it has not run, and has used up nothing.
"""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest

from hessra_agents import Call, Denied, KeyPair, Ledger, Toolbox, Trust, approved_by, clear_of, grant, limit
from hessra_agents.verify.permit import Permit
from tests.support.clocks import time_flies
from tests.support.ledgers import Store, until
from tests.support.processes import PATIENCE
from tests.support.world import World

pytestmark = pytest.mark.anyio

BOSS = KeyPair.generate()


class Slow(Ledger):
    """A ledger whose answers can be held up, when what they tell is written."""

    held: anyio.Event | None = None
    written: anyio.Event

    async def admit(self, permit: Permit, operation_id: bytes) -> None:
        await super().admit(permit, operation_id)
        if self.held is not None:
            self.written.set()
            await self.held.wait()


class Bank(World):
    """A world with one thread for plain functions, and a toolbox that waits for what a test wants."""

    ledger: Slow

    def __init__(self, ledger: Slow) -> None:
        super().__init__(ledger=ledger, threads=1)
        self.reports, self.go = threading.Event(), threading.Event()

        @self.guard.tool
        def report() -> None:
            self.reports.set()
            assert self.go.wait(PATIENCE)

        @self.guard.tool(name="sync")
        def sync_tool() -> None:
            self.ran.append(("sync", {}))

        @self.guard.tool(name="async")
        async def async_tool() -> None:
            self.ran.append(("async", {}))

        @self.guard.tool(name="stream")
        async def stream_tool() -> AsyncIterator[int]:
            for number in range(3):
                self.ran.append(("stream", {}))
                yield number

        self.stream = stream_tool
        self.capability = self.issue(*map(grant, ("sync", "async", "stream")), CLEAR, ONCE, ttl=MINUTE)

    def desk(self) -> Toolbox:
        return self.guard.toolbox(self.capability)


MINUTE = timedelta(minutes=1)
CLEAR = clear_of("PII:*")
ONCE = limit(calls=1, refund=True)

Waits = Callable[[], Awaitable[object]]
"""Returns when a call waits."""

Change = Callable[[Bank, Toolbox], Awaitable[object]]


async def revoke(bank: Bank, desk: Toolbox) -> None:
    epoch = await bank.ledger.revoke(bank.capability, reason="stolen")
    await bank.ledger.wait_for_epoch(epoch, timeout=PATIENCE)


async def expire(bank: Bank, desk: Toolbox) -> None:
    bank.now += 3600


async def distrust(bank: Bank, desk: Toolbox) -> None:
    bank.guard.trust = Trust()


async def expose(bank: Bank, desk: Toolbox) -> None:
    desk.session.expose(["PII:email"])


CHANGES: dict[str, Change] = {
    "revoked": revoke,
    "expired": expire,
    "unknown_root": distrust,
    "exposed": expose,
}
"""What ends the right to a call, by the reason of the refusal."""


@pytest.fixture
async def bank(tmp_path: Path) -> AsyncIterator[Bank]:
    async with aclosing(Slow.open(tmp_path / "hessra.db")) as ledger:
        yield Bank(ledger)


@asynccontextmanager
async def no_thread(bank: Bank) -> AsyncIterator[Waits]:
    """Have the one thread taken until the block ends."""
    reporter = bank.guard.toolbox(bank.issue(grant("report")))
    async with anyio.create_task_group() as group:
        group.start_soon(reporter.call, "report", {})
        await until(bank.reports.is_set)
        yield anyio.wait_all_tasks_blocked
        bank.go.set()


@asynccontextmanager
async def no_answer(bank: Bank) -> AsyncIterator[Waits]:
    """Have the ledger admit calls, and not say so until the block ends."""
    bank.ledger.held, bank.ledger.written = anyio.Event(), anyio.Event()
    yield bank.ledger.written.wait
    bank.ledger.held.set()


async def call(bank: Bank, desk: Toolbox, kind: str) -> None:
    if kind != "block":
        await desk.call(kind, {})
        return
    async with desk.permit(Call.of("sync", {})):
        bank.ran.append(("block", {}))


WAITS = [(no_thread, "sync"), *[(no_answer, kind) for kind in ("sync", "async", "block", "stream")]]


@pytest.mark.parametrize("reason", CHANGES)
@pytest.mark.parametrize(("wait", "kind"), WAITS)
async def test_what_changes_while_a_call_waits_counts(
    wait: Any, kind: str, reason: str, bank: Bank, tmp_path: Path
) -> None:
    """The call is refused for it; its tool has not run, and its one use is still there."""
    desk = bank.desk()

    async def refused() -> None:
        with bank.refuses(reason):
            await call(bank, desk, kind)

    async with anyio.create_task_group() as group, wait(bank) as waits:
        group.start_soon(refused)
        await waits()
        await CHANGES[reason](bank, desk)
    await bank.ledger.aclose()
    store = Store("sqlite", str(tmp_path / "hessra.db"), tmp_path)
    about = [one for one in store.records() if one.get("object", "").endswith(("sync", "stream"))]
    ended = {one["op"]: one["outcome"] for one in store.records() if "outcome" in one}
    for one in about:
        assert one["verdict"] != "permitted" or ended[one["op"]] == "not_run"
    assert sum(amount for (amount,) in store.sql("select amount from used")) == 0


@pytest.mark.parametrize(("wait", "kind"), WAITS)
async def test_a_call_that_waits_runs_once_where_nothing_changes(wait: Any, kind: str, bank: Bank) -> None:
    desk = bank.desk()
    async with anyio.create_task_group() as group, wait(bank) as waits:
        group.start_soon(call, bank, desk, kind)
        await waits()
        assert bank.ran == []
    assert [tool for tool, _ in bank.ran] == [kind] * (3 if kind == "stream" else 1)


@pytest.mark.parametrize("reason", CHANGES)
@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_what_changes_while_a_call_waits_for_an_approval_counts(
    kind: str, reason: str, bank: Bank
) -> None:
    """The approval comes, and too late."""
    bank.capability = bank.issue(grant(kind), CLEAR, approved_by(BOSS.public), ttl=MINUTE)
    desk, done = bank.desk(), anyio.Event()

    async def refused() -> None:
        with bank.refuses(reason):
            await desk.call(kind, {}, approval_timeout=timedelta(days=1000))
        done.set()

    async with anyio.create_task_group() as group:
        group.start_soon(refused)
        while not (found := await bank.ledger.requests()):
            await anyio.lowlevel.checkpoint()
        vote = found[0].approve(BOSS, now=bank.now)
        await CHANGES[reason](bank, desk)
        if reason != "expired":  # then the request is over as well
            await bank.ledger.vote(found[0].id, vote)
        async with time_flies(pace=2.0):
            await done.wait()


@pytest.mark.parametrize("reason", CHANGES)
async def test_a_stream_that_was_begun_ends_with_its_right(reason: str, bank: Bank, tmp_path: Path) -> None:
    """It goes on after what the session has seen since, for it may be what the stream itself has told."""
    desk = bank.desk()
    items: Any = desk.bind(bank.stream)()
    assert await anext(items) == 0
    await CHANGES[reason](bank, desk)
    if reason == "exposed":
        assert [item async for item in items] == [1, 2]
    else:
        with pytest.raises(Denied) as caught:
            await anext(items)
        assert (caught.value.reason, caught.value.from_tool) == (reason, False)
        assert len(bank.ran) == 1
    await bank.ledger.aclose()
    records = Store("sqlite", str(tmp_path / "hessra.db"), tmp_path).records()
    expected = "done" if reason == "exposed" else "cancelled"
    assert [one["outcome"] for one in records if "outcome" in one] == [expected]
