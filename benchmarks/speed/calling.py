"""How calls are timed: each one alone, all kinds in turn, by one caller or by several at once.

1. In every block each case is called so many times, in a new random order of cases, so that noise from
   elsewhere hits all alike; a *ratio* is of the medians within each block.
2. A *caller* makes its calls one after the other; several callers are tasks of one event loop. What each
   call took is what its caller saw; *each* is the block's time divided by its calls: what throughput is.
3. What a call needs anew (a proof, an emptied cache) is made outside of the clock, and what reading the
   clock twice costs is subtracted. The garbage collector is off in a block.
"""

from __future__ import annotations

import asyncio
import gc
import random
import statistics
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from time import perf_counter_ns
from typing import Any

from ..clock import Spread
from ..tail import Tail

_UNTIMED = 3  # calls of each caller before a block


@dataclass(frozen=True, slots=True)
class Case:
    """One way to make the call: ``await call(*fresh())``."""

    name: str
    call: Callable[..., Awaitable[object]]
    fresh: Callable[[], tuple[Any, ...]] | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """Microseconds of a case's calls by so many callers, block by block."""

    name: str
    callers: int
    seen: list[list[float]] = field(default_factory=list)
    each: list[float] = field(default_factory=list)

    def us(self) -> Tail:
        """What callers saw."""
        return Tail.of([us for block in self.seen for us in block])

    def medians(self) -> list[float]:
        """Of each block."""
        return [statistics.median(block) for block in self.seen]

    def ratio(self, other: Found) -> Spread:
        """How many times as long as the other's calls they take, within each block."""
        return Spread.of([one / two for one, two in zip(self.medians(), other.medians(), strict=True)])

    def row(self) -> dict[str, Any]:
        """For the table and the JSON file."""
        return {
            "name": self.name,
            "callers": self.callers,
            "calls": sum(map(len, self.seen)),
            "us": self.us().rounded(),
            "calls_per_second": round(1e6 / statistics.median(self.each)),
        }


def plain(call: Callable[..., object]) -> Callable[..., Awaitable[object]]:
    """A function that waits for nothing, as what is awaited."""

    async def called(*given: Any) -> object:
        return call(*given)

    return called


async def measure(
    cases: Sequence[Case], *, callers: tuple[int, ...], blocks: int, calls: int
) -> dict[tuple[str, int], Found]:
    """Time all cases, interleaved; ``calls`` of each in each block, shared by its callers."""
    plan = [(one, count) for one in cases for count in callers]
    found = {(one.name, count): Found(one.name, count) for one, count in plan}
    assert len(found) == len(plan), "two cases of one name"
    clock = await _clock_us()
    order = random.Random(0)
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        for block in range(blocks + 1):
            order.shuffle(plan)
            for one, count in plan:
                seen, whole = await _block(one, count, max(2, calls // count))
                if block:  # the first one warms up
                    found[one.name, count].seen.append([max(us - clock, 0.001) for us in seen])
                    found[one.name, count].each.append(whole / len(seen))
            gc.collect()
    finally:
        gc.enable()
        gc.unfreeze()
    return found


async def _clock_us() -> float:
    async def nothing() -> None: ...

    seen, _ = await _block(Case("", nothing), 1, 2000)
    return statistics.median(seen)


async def _block(one: Case, callers: int, calls: int) -> tuple[list[float], float]:
    """Microseconds of each call, and of all of them from the first to the last."""
    call, seen = one.call, list[float]()

    def needed(count: int) -> list[tuple[Any, ...]]:
        return [one.fresh() if one.fresh else () for _ in range(count)]

    async def caller(given: list[tuple[Any, ...]], into: list[float]) -> None:
        for arguments in given:
            start = perf_counter_ns()
            await call(*arguments)
            into.append((perf_counter_ns() - start) / 1000)

    async def together(given: list[list[tuple[Any, ...]]], into: list[float]) -> float:
        if callers == 1:
            start = perf_counter_ns()
            await caller(given[0], into)
            return (perf_counter_ns() - start) / 1000
        start = perf_counter_ns()
        async with asyncio.TaskGroup() as group:
            for one_of_them in given:
                group.create_task(caller(one_of_them, into))
        return (perf_counter_ns() - start) / 1000

    await together([needed(_UNTIMED) for _ in range(callers)], [])
    given = [needed(calls) for _ in range(callers)]
    return seen, await together(given, seen)
