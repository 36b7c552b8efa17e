"""Law: a call that is cancelled has not run, or it is awaited and recorded; wherever, and however.

Each place where a call waits is found by counting, and the call is cancelled there: by anyio's scopes, and by
asyncio's own ways, which no scope shields from.
"""

from __future__ import annotations

import sys
import threading
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from itertools import count
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio import to_thread

from hessra_agents import Call, Capability, Denied, KeyPair, Ledger, approved_by, grant, limit
from hessra_agents.mcp.transport.stdio import ChildProcess
from tests.support import clocks, processes
from tests.support.ledgers import Store
from tests.support.processes import PATIENCE
from tests.support.steps import WAYS, cancelled_at
from tests.support.world import World

pytestmark = pytest.mark.anyio

BOSS = KeyPair.generate()
MOST = 40
"""More places than any call waits at."""
COUNTED = ("cancelled", "done", "refused")


@pytest.fixture
def anyio_backend(way: str) -> tuple[str, dict[str, Any]]:
    return clocks.backend(way.partition("-")[0])


class Shop(World):
    """A world with a tool of each kind, which says when it begins and when it has ended."""

    def __init__(self, ledger: Ledger) -> None:
        super().__init__(ledger=ledger)
        self.seen: Counter[str] = Counter()
        self.began, self.go = threading.Event(), threading.Event()

        @self.guard.tool
        def sync() -> str:
            self._begin()
            assert self.go.wait(PATIENCE)
            self.seen["ended"] += 1
            return "done"

        async def coroutine() -> str:
            self._begin()
            try:
                await anyio.lowlevel.checkpoint()
                await anyio.lowlevel.checkpoint()
            finally:
                self.seen["ended"] += 1
            return "done"

        @self.guard.tool
        async def generator() -> AsyncIterator[str]:
            self._begin()
            try:
                await anyio.lowlevel.checkpoint()
                yield "do"
                await anyio.lowlevel.checkpoint()
                yield "ne"
            finally:
                self.seen["ended"] += 1

        self.coroutine: Callable[[], Awaitable[str]] = coroutine
        self.tools: dict[str, Any] = {
            "sync": sync,
            "async": self.guard.add(coroutine, name="async"),
            "generator": generator,
        }

    def _begin(self) -> None:
        self.seen["began"] += 1
        self.began.set()

    async def let_go(self) -> None:
        """Let a plain function end, once it has begun and everybody waits for it."""
        await to_thread.run_sync(self.began.wait, abandon_on_cancel=True)
        await anyio.wait_all_tasks_blocked()
        self.go.set()

    async def _called(self, capability: Capability, kind: str, through: str) -> Any:
        """Make a call in one of the ways that there are."""
        desk = self.guard.toolbox(capability)
        if through == "bind":
            bind: Any = desk.bind
            bound = bind(self.tools[kind])()
            return [item async for item in bound] if kind == "generator" else await bound
        if through == "guard":
            return await self.guard.call(capability.token, kind, {})
        if through == "answer":
            return await desk.answer({"type": "tool_use", "id": "1", "name": kind, "input": {}})
        if through == "permit":
            async with desk.permit(Call.of(kind, {})):
                return await self.coroutine()
        return await desk.call(kind, {})

    async def cancelled(
        self, capability: Capability, kind: str, at: int, way: str, through: str = "call"
    ) -> tuple[bool, str]:
        """Make a call that is cancelled; return whether it waited so often, and what came of it."""
        self.seen.clear()
        self.began.clear()
        self.go.clear()
        async with anyio.create_task_group() as group:
            group.start_soon(self.let_go)
            reached, result = await cancelled_at(at, way, self._called(capability, kind, through))
            # now, before anything else can go on
            began, ended = self.seen["began"], self.seen["ended"]
            group.cancel_scope.cancel()
        assert began == ended <= 1, "the caller is back, and the tool still acts"
        self.began.set()
        self.go.set()
        if result is None:
            return reached, "cancelled" if began else "not run"
        assert began == 1
        return reached, "done"

    async def is_spent(self, capability: Capability, kind: str) -> bool:
        """Whether nothing is left of the one call that a capability allows."""
        await self.ledger.requests()  # what a call took that has left is given back before this returns
        (answer,) = await self.guard.toolbox(capability).answer(
            {"type": "tool_use", "id": "1", "name": kind, "input": {}}
        )
        assert "[spent]" in answer["content"] or not answer["is_error"]
        return bool(answer["is_error"])


KINDS = ("sync", "async", "generator")
THROUGH = [(one, kind) for one in ("call", "bind", "guard", "answer") for kind in KINDS]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("through", "kind"), [*THROUGH, ("permit", "async")])
async def test_a_cancelled_call_has_not_run_or_it_counts(through: str, kind: str, way: str) -> None:
    """Over a ledger in memory, whichever way the call is made."""
    shop, outcome = Shop(Ledger.memory()), ""
    for at in count():
        capability = shop.issue(grant(kind), limit(calls=1, refund=True))
        reached, outcome = await shop.cancelled(capability, kind, at, way, through)
        assert await shop.is_spent(capability, kind) == (outcome != "not run")
        if not reached:
            break
    assert 0 < at < MOST
    assert outcome == "done"


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", KINDS)
async def test_a_cancelled_call_is_on_record_as_it_was(kind: str, way: str, tmp_path: Path) -> None:
    """Over a store: every call that ran has its outcome, and one that did not run gives back what it took."""
    expected: Counter[str] = Counter()
    async with aclosing(Ledger.open(tmp_path / "hessra.db")) as ledger:
        shop = Shop(ledger)
        for at in count():
            capability = shop.issue(grant(kind), limit(calls=1, refund=True))
            reached, outcome = await shop.cancelled(capability, kind, at, way)
            expected[outcome] += 1
            spent = await shop.is_spent(capability, kind)
            assert spent == (outcome != "not run")
            expected["refused" if spent else "done"] += 1
            if not reached:
                break
        assert 1 < at < MOST
    found = _outcomes(tmp_path)
    assert [found[one] for one in COUNTED] == [expected[one] for one in COUNTED]
    assert found["permitted"] == 0, "each permitted call has its outcome"
    assert found["not_run"] <= expected["not run"], "a call that was not admitted is on no record"


@pytest.mark.parametrize("way", WAYS)
async def test_a_cancelled_call_with_an_approval_is_on_record_as_it_was(way: str, tmp_path: Path) -> None:
    """The approval is asked for, given and used up while the call can be cancelled."""
    expected: Counter[str] = Counter()
    async with aclosing(Ledger.open(tmp_path / "hessra.db")) as ledger:
        shop = Shop(ledger)
        for at in count():
            capability = shop.issue(grant("sync"), approved_by(BOSS.public))
            with pytest.raises(Denied, match="waits for approval") as caught:
                await shop.guard.toolbox(capability).call("sync", {})
            (request,) = await ledger.requests(caught.value.request)
            await ledger.approve(request, key=BOSS)
            reached, outcome = await shop.cancelled(capability, "sync", at, way)
            expected[outcome] += 1
            if not reached:
                break
        assert 2 < at < MOST
    found = _outcomes(tmp_path)
    assert [found[one] for one in COUNTED[:2]] == [expected[one] for one in COUNTED[:2]]
    assert found["permitted"] == 0


def _outcomes(folder: Path) -> Counter[str]:
    """How often each outcome is on record; ``permitted`` and ``refused`` where there is none."""
    ended: dict[str, str] = {}
    for record in Store("sqlite", str(folder / "hessra.db"), folder).records():
        if "outcome" in record:
            ended[record["op"]] = record["outcome"]
        elif record["kind"] == "decision":
            ended[record["op"]] = "permitted" if record["verdict"] == "permitted" else "refused"
    return Counter(ended.values())


@pytest.mark.parametrize("way", WAYS)
async def test_a_ledger_that_is_being_closed_is_closed(way: str, tmp_path: Path) -> None:
    """What waits is written, the last checkpoint too, and the thread has ended."""
    for at in count():
        folder = tmp_path / str(at)
        folder.mkdir()
        ledger = Ledger.open(folder / "hessra.db", state_dir=folder / "log")
        world = World(ledger=ledger)
        await world.call(world.issue())
        reached, _ = await cancelled_at(at, way, ledger.aclose())
        assert "hessra-ledger" not in {thread.name for thread in threading.enumerate()}
        assert _outcomes(folder) == {"done": 1}
        if not reached:
            break
    assert 0 < at < MOST


@pytest.mark.parametrize("way", WAYS)
async def test_a_program_that_is_started_is_ended(way: str) -> None:
    """A server behind the proxy, whoever stops waiting for it, and when."""
    pids: list[int] = []

    async def run() -> None:
        program = "import os, time; print(os.getpid(), flush=True); time.sleep(1000)"
        async with ChildProcess.start([sys.executable, "-S", "-c", program], max_bytes=100) as child:
            line = await child.lines.__anext__()
            assert isinstance(line, bytes)
            pids.append(int(line))
            await anyio.lowlevel.checkpoint()

    for at in count():
        reached, _ = await cancelled_at(at, way, run())
        assert [pid for pid in pids if processes.state(pid)[0] not in "XZ"] == []
        if not reached:
            break
    assert pids
    assert at < MOST
