"""Plain functions run in the guard's own threads, which its agents share."""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
from collections import Counter
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest
import sniffio

from hessra_agents import Authority, Capability, Denied, Guard, KeyPair, Ledger, Toolbox, grant, limit, must
from hessra_agents.grants.limits import Limit
from hessra_agents.guard.threads import MAX_WAITING, ToolThreads
from tests.support.ledgers import Store, until
from tests.support.processes import PATIENCE
from tests.support.world import MAIL, World

pytestmark = pytest.mark.anyio


class Works(World):
    """A world whose tool ``work`` runs until its call is let go."""

    def __init__(self, threads: int, **options: Any) -> None:
        super().__init__(threads=threads, **options)
        self.started: list[str] = []
        self.working = 0
        self.let_go = threading.Semaphore(0)
        self._lock = threading.Lock()

        @self.guard.tool
        def work(who: str) -> str:
            with self._lock:
                self.started.append(who)
                self.working += 1
            assert self.let_go.acquire(timeout=PATIENCE)
            with self._lock:
                self.working -= 1
            return who

    def granted(self, name: str, *conditions: Limit, **options: Any) -> Capability:
        return self.authority.issue(
            f"agent:{name}",
            grant("work", who=must.anything()),
            *conditions,
            ttl=timedelta(minutes=10),
            audience="mail",
            **options,
        )

    def agent(self, name: str) -> Toolbox:
        return self.guard.toolbox(self.granted(name))


async def work(box: Toolbox, who: str, done: list[str] | None = None) -> None:
    result = await box.call("work", {"who": who})
    if done is not None:
        done.append(result)


async def test_one_agent_takes_half_of_the_threads() -> None:
    """Others find a place, whatever it starts, by whatever capability: issued anew, narrowed or handed on."""
    world = Works(threads=4)
    eve = world.agent("eve")
    again, child = world.agent("eve"), eve.delegate("agent:eve:child", grant("work"))
    async with anyio.create_task_group() as group:
        for box in (eve, again, child, eve, again, child):
            group.start_soon(work, box, "eve")
        await until(lambda: world.working == 2)
        await anyio.wait_all_tasks_blocked()
        group.start_soon(work, world.agent("ana"), "ana")
        await until(lambda: world.working == 3)
        assert world.started == ["eve", "eve", "ana"]
        world.let_go.release(7)
    assert len(world.started) == 7


async def test_agents_of_one_name_and_two_holders_are_two() -> None:
    """As where an agent acts for many people, each with a key of their own."""
    world = Works(threads=2)
    keys = [KeyPair.generate(), KeyPair.generate()]
    async with anyio.create_task_group() as group:
        for key in keys:
            held = world.granted("desk", holder=key.public)
            group.start_soon(work, world.guard.toolbox(held, key=key), "desk")
        await until(lambda: world.working == 2)
        world.let_go.release(2)


async def test_a_free_place_goes_round() -> None:
    """Whoever has asked for much waits behind those who asked later for little."""
    world = Works(threads=1)
    eve = world.agent("eve")
    async with anyio.create_task_group() as group:
        group.start_soon(work, eve, "eve 1")
        await until(lambda: world.working == 1)
        others = [(eve, f"eve {n}") for n in range(2, 6)] + [(world.agent(who), who) for who in ("ana", "bo")]
        for box, who in others:
            group.start_soon(work, box, who)
            await anyio.wait_all_tasks_blocked()
        world.let_go.release(7)
    assert world.started == ["eve 1", "eve 2", "ana", "bo", "eve 3", "eve 4", "eve 5"]


async def test_the_queue_is_bounded_and_no_agent_fills_it() -> None:
    """One too many is told so at once, and the others are not."""
    world = Works(threads=1)
    await world.ledger.start()
    done: list[str] = []
    eve = world.agent("eve")
    async with anyio.create_task_group() as group:
        for _ in range(1 + MAX_WAITING // 2):
            group.start_soon(work, eve, "eve", done)
        await anyio.wait_all_tasks_blocked()
        await until(lambda: world.working == 1)
        with world.refuses("unavailable", f"1 calls of plain functions run and {MAX_WAITING // 2} wait"):
            await eve.call("work", {"who": "eve"})
        group.start_soon(work, world.agent("ana"), "ana", done)
        await anyio.wait_all_tasks_blocked()
        world.let_go.release(2 + MAX_WAITING // 2)
    assert len(done) == 2 + MAX_WAITING // 2
    assert world.started.index("ana") <= 2, "the second place that is free is hers"


async def test_a_call_that_could_not_run_does_not_wait() -> None:
    """What the capability does not permit is refused at once, though no thread is free."""
    world = Works(threads=1)
    async with anyio.create_task_group() as group:
        group.start_soon(work, world.agent("eve"), "eve")
        await until(lambda: world.working == 1)
        with world.refuses("not_granted"):
            await world.call(world.issue(), "work", {"who": "ana"})
        world.let_go.release()


async def test_a_call_that_is_cancelled_while_it_waits_leaves_the_queue() -> None:
    """It has not run, and the place that it waited for goes to the next."""
    world = Works(threads=1)
    done: list[str] = []
    ana = world.agent("ana")
    async with anyio.create_task_group() as group:
        group.start_soon(work, ana, "first", done)
        await until(lambda: world.working == 1)
        async with anyio.create_task_group() as waiting:
            waiting.start_soon(work, ana, "second", done)
            await anyio.wait_all_tasks_blocked()
            waiting.cancel_scope.cancel()
        group.start_soon(work, ana, "third", done)
        await anyio.wait_all_tasks_blocked()
        world.let_go.release(2)
    assert done == world.started == ["first", "third"]


async def test_a_call_that_is_cancelled_in_the_queue_has_used_nothing(tmp_path: Path) -> None:
    """It takes from no limit, and is on no record."""
    async with aclosing(Ledger.open(tmp_path / "hessra.db")) as ledger:
        world = Works(threads=1, ledger=ledger)
        ana = world.guard.toolbox(world.granted("ana", limit(calls=3, per=timedelta(minutes=1))))
        world.let_go.release(2)
        await work(ana, "first")
        await work(ana, "second")
        async with anyio.create_task_group() as group:
            group.start_soon(work, ana, "third")
            await until(lambda: world.working == 1)
            async with anyio.create_task_group() as waiting:
                for _ in range(5):
                    waiting.start_soon(work, ana, "never")
                await anyio.wait_all_tasks_blocked()
                waiting.cancel_scope.cancel()
            world.let_go.release(1)
        with world.refuses("spent"):
            await work(ana, "fourth")
        world.now += 62
        world.let_go.release(3)
        for _ in range(3):
            await work(ana, "later")
    assert world.started == ["first", "second", "third", "later", "later", "later"]
    records = Store("sqlite", str(tmp_path / "hessra.db"), tmp_path).records()
    outcomes = Counter(record.get("outcome", record.get("verdict")) for record in records)
    assert (outcomes["permitted"], outcomes["done"]) == (6, 6)
    assert outcomes["cancelled"] == outcomes["not_run"] == 0


async def test_a_refused_call_gives_its_place_back() -> None:
    """Whatever refuses it, before the thread or in it."""
    world = Works(threads=1)
    ana = world.agent("ana")
    world.let_go.release(1)
    for _ in range(3):
        with world.refuses("malformed"):
            await ana.call("work", {"who": 1})
    await ana.call("work", {"who": "ana"})
    assert world.started == ["ana"]


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_threads_stay_bounded_however_calls_are_cancelled(anyio_backend: str) -> None:
    """A place is taken as long as its thread runs: also where asyncio cancels, and the caller waits."""
    world = Works(threads=4)
    boxes = [world.agent(who) for who in ("ana", "bo")]
    calls = [asyncio.create_task(work(boxes[n % 2], f"{n}")) for n in range(40)]
    await until(lambda: world.working == 4)
    for call in calls:
        call.cancel()
    await anyio.wait_all_tasks_blocked()
    assert (len(world.started), world.working) == (4, 4)
    assert sum(call.done() for call in calls) == 36, "who waited is gone, who runs is awaited"
    world.let_go.release(4)
    assert all(
        isinstance(one, asyncio.CancelledError)
        for one in await asyncio.gather(*calls, return_exceptions=True)
    )
    assert world.working == 0


def test_a_program_that_ends_awaits_what_runs() -> None:
    """`asyncio.run` cancels every task, and what waits for the thread among them."""
    world, left = Works(threads=1), []

    async def calls() -> None:
        try:
            await work(world.agent("ana"), "ana")
        finally:
            left.append(world.working)

    async def lets_go() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            world.let_go.release()

    async def main() -> set[asyncio.Task[None]]:
        tasks = {asyncio.create_task(calls()), asyncio.create_task(lets_go())}
        await until(lambda: world.working == 1)
        return tasks

    asyncio.run(main())
    assert (world.started, left) == (["ana"], [0])


def test_several_event_loops_share_the_places() -> None:
    """A call in one waits for a thread that a call in another has."""
    world = Works(threads=1)
    ana = world.agent("ana")
    done: list[str] = []

    def program(who: str) -> None:
        anyio.run(work, ana, who, done)

    programs = [threading.Thread(target=program, args=(f"{n}",)) for n in range(3)]
    for one in programs:
        one.start()
    world.let_go.release(3)
    for one in programs:
        one.join(PATIENCE)
    assert sorted(done) == ["0", "1", "2"]


def in_threads(*programs: Callable[[], object]) -> None:
    """Run programs at once, each in a thread; raise what any of them raises."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(len(programs)) as pool:
            for one in [pool.submit(program) for program in programs]:
                one.result(PATIENCE)
    finally:
        sys.setswitchinterval(before)


async def verdicts(call: Callable[[], Awaitable[object]], times: int) -> list[str]:
    """What came of so many calls."""
    found = []
    for _ in range(times):
        try:
            await call()
            found.append("ran")
        except Denied as denied:
            found.append(str(denied.reason))
    return found


def test_the_trust_is_replaced_while_calls_run() -> None:
    """Each call is decided by one trust or the other; what comes after the last one, by that."""
    world = World()
    trusts = [Authority.ephemeral().trust, world.guard.trust]
    box, found = world.guard.toolbox(world.issue()), list[str]()
    call = partial(box.call, "send_email", MAIL)

    def replaces() -> None:
        for number in range(400):
            world.guard.trust = trusts[number % 2]

    def calls() -> None:
        found.extend(anyio.run(verdicts, call, 50))

    in_threads(replaces, calls, calls, replaces)
    assert set(found) <= {"ran", "bad_signature"}
    assert len(world.ran) == found.count("ran")
    for trust, verdict in zip(trusts, ("bad_signature", "ran"), strict=True):
        world.guard.trust = trust
        assert anyio.run(verdicts, call, 1) == [verdict]


@pytest.mark.parametrize("amount", [1, 3])
def test_threads_that_share_a_ledger_in_memory_use_a_budget_exactly_up(amount: int) -> None:
    """Never more than it, and never less."""
    world = World()
    held = world.issue(
        grant("pay", amount=must.at_most(3)), limit(sum_of="amount", at_most=100), limit(calls=90)
    )
    call = partial(world.guard.toolbox(held).call, "pay", {"amount": amount})
    found: list[str] = []
    in_threads(*[lambda: found.extend(anyio.run(verdicts, call, 16))] * 8)
    assert Counter(found) == {"ran": min(90, 100 // amount), "spent": 128 - min(90, 100 // amount)}
    assert len(world.ran) == found.count("ran")


@pytest.mark.parametrize("threads", [0, -1, True, 2.0, "4"])
def test_a_guard_has_a_thread(threads: Any) -> None:
    with pytest.raises(ValueError, match="at least one thread"):
        Guard(Authority.ephemeral().trust, audience="here", threads=threads)


@pytest.mark.parametrize("within", ["the same event loop", "an event loop of its own"])
async def test_plain_functions_call_each_other_where_all_threads_are_taken(within: str) -> None:
    """Also several levels deep, and several calls at a time: each finds a place, for its caller has one."""
    world = World(threads=2)

    @world.guard.tool
    def add(depth: int) -> int:
        if depth == 0:
            return 1
        if within == "the same event loop":
            return anyio.from_thread.run(add_twice, depth - 1)
        return anyio.run(add_twice, depth - 1, backend=backend)

    async def add_twice(depth: int) -> int:
        found: list[int] = []

        async def add_once() -> None:
            found.append(await box.call(add, {"depth": depth}))

        with anyio.fail_after(PATIENCE):
            async with anyio.create_task_group() as group:
                group.start_soon(add_once)
                group.start_soon(add_once)
        return sum(found)

    backend = sniffio.current_async_library()
    box = world.guard.toolbox(world.issue(grant(add, depth=must.anything())))
    assert await add_twice(3) == 16
    assert await box.call(add, {"depth": 0}) == 1


def test_an_event_loop_that_ends_takes_no_thread_with_it_and_leaves_none_behind() -> None:
    """Its calls wait for a thread when it ends, and are collected only afterwards."""
    world = Works(threads=1)
    eve = world.agent("eve")

    async def call_again() -> None:
        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(work, eve, "eve")
            await until(lambda: world.working == 1)
            await anyio.wait_all_tasks_blocked()
            assert world.working == 1
            world.let_go.release(3)

    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda loop, context: None)  # which reports tasks that are left behind
    tasks = [loop.create_task(work(eve, "eve")) for _ in range(3)]
    loop.run_until_complete(until(lambda: world.working == 1))
    loop.close()
    world.let_go.release()
    asyncio.run(until(lambda: world.working == 0))
    for task in tasks[1:]:
        coroutine: Any = task.get_coro()
        coroutine.close()
    asyncio.run(call_again())
    assert world.started == ["eve"] * 4


def test_a_call_that_the_garbage_collector_ends_waits_for_no_lock() -> None:
    """It may end while its own thread asks for a place or gives one back: nobody would ever go on."""

    class Collecting:
        """An agent that has garbage collected when it is looked up, which is under the lock."""

        def __hash__(self) -> int:
            gc.collect(0)  # what was made just now: all that a large process has takes seconds
            return 1

    granted: list[bool] = []

    async def inside() -> None:
        threads = ToolThreads(1)
        running = threads.request("desk")

        def abandoned() -> None:
            waiting = threads.request("desk").wait()
            waiting.send(None)
            cycle: list[Any] = [waiting]
            cycle.append(cycle)  # so only the garbage collector ends it

        abandoned()
        place = threads.request(Collecting())
        running.give_back()
        granted.append(place.granted)

    thread = threading.Thread(target=asyncio.run, args=(inside(),), daemon=True)
    thread.start()
    thread.join(PATIENCE)
    assert granted == [True]
