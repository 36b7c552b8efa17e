"""What a ledger adds to a guarded call, by the number of callers that call at once.

1. The same guarded call is made with a ledger on each store, and without one. In every block all of them
   take their turn, in a new random order.
2. A *caller* calls, takes the result, waits for its turn in the event loop, and calls again; from the moment
   it is ready to the result is what it sees. Without a ledger callers wait for each other, too.
3. What a ledger *adds* to what a caller sees is of the medians within a block: with and without. What it adds
   *in all* is the time of the block for each of its calls, with and without: what throughput is lost.

Both the decision and the outcome are recorded; the caller waits for the decision to be on the disk.
"""

from __future__ import annotations

import asyncio
import random
import statistics
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from time import perf_counter_ns
from typing import Any

from hessra_agents import Guard, Ledger

from . import workload as work
from .ours import Ours
from .stores import Stores
from .tail import Tail

CALLERS = (1, 10, 100)
NONE = "no ledger"

_UNTIMED = 2  # calls of each caller before a block

Calls = Callable[[], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Found:
    """Of one store and number of callers: what callers saw, and the time for each call, block by block."""

    seen: list[list[float]] = field(default_factory=list)
    each: list[float] = field(default_factory=list)

    def medians(self) -> list[float]:
        """Of each block."""
        return [statistics.median(block) for block in self.seen]


async def measure(
    here: Ours, stores: Stores, *, blocks: int, calls: int, callers: tuple[int, ...] = CALLERS
) -> dict[tuple[str, int], Found]:
    """Time the call with every ledger and without, interleaved; about ``calls`` calls in a block."""
    ledgers = {name: stores.fresh(name).open() for name in stores.names()}
    plan = [(name, count) for name in (NONE, *ledgers) for count in callers]
    found = {one: Found() for one in plan}
    made = {name: _guarded(here, ledgers.get(name)) for name in (NONE, *ledgers)}
    order = random.Random(0)
    try:
        for block in range(blocks + 1):
            order.shuffle(plan)
            for name, count in plan:
                seen, whole = await _block(made[name], count, max(2, calls // count))
                if block:  # the first one warms up
                    found[name, count].seen.append(seen)
                    found[name, count].each.append(whole / len(seen))
    finally:
        for ledger in ledgers.values():
            await ledger.aclose()
    return found


def rows(found: dict[tuple[str, int], Found]) -> list[dict[str, Any]]:
    """For the table and the JSON file."""
    return [_row(name, callers, found) for name, callers in found]


def _row(name: str, callers: int, found: dict[tuple[str, int], Found]) -> dict[str, Any]:
    one, bare = found[name, callers], found[NONE, callers]
    row: dict[str, Any] = {
        "store": name,
        "callers": callers,
        "calls": sum(map(len, one.seen)),
        "us": Tail.of([us for block in one.seen for us in block]).rounded(),
        "calls_per_second": round(1e6 / statistics.median(one.each)),
    }
    if name != NONE:
        row["added_us"] = added(one, bare).rounded()
        row["added_in_all_us"] = Tail.of(_less(one.each, bare.each)).rounded()
    return row


def added(one: Found, bare: Found) -> Tail:
    """How many microseconds longer a caller waits, over the blocks."""
    return Tail.of(_less(one.medians(), bare.medians()))


def _less(some: list[float], others: list[float]) -> list[float]:
    return [value - other for value, other in zip(some, others, strict=True)]


def _guarded(here: Ours, ledger: Ledger | None) -> Calls:
    guard = Guard(here.authority.trust, audience=work.AUDIENCE, ledger=ledger)
    guard.add(work.pay)
    bound = guard.toolbox(here.held, key=here.key).bind(work.pay)
    return lambda: bound(**work.PAYMENT)


async def _block(call: Calls, callers: int, calls: int) -> tuple[list[float], float]:
    """Microseconds of each call as its caller sees it, and of all of them."""
    seen: list[float] = []

    async def caller(count: int, into: list[float]) -> None:
        for _ in range(count):
            ready = perf_counter_ns()
            await asyncio.sleep(0)
            result = await call()
            into.append((perf_counter_ns() - ready) / 1000)
            assert result == work.ANA

    async def together(count: int, into: list[float]) -> float:
        start = perf_counter_ns()
        async with asyncio.TaskGroup() as group:
            for _ in range(callers):
                group.create_task(caller(count, into))
        return (perf_counter_ns() - start) / 1000

    await together(_UNTIMED, [])
    return seen, await together(calls, seen)
