"""How calls to a server are timed: they take hundreds of microseconds, and may cross processes.

1. In every block every route makes its calls, in a new random order. So noise from elsewhere hits all of
   them alike.
2. Each call is timed by itself, after two in each block that are not. What a call needs anew, such as the
   holder's proof, is made by the client and is within its time.
3. What a guard *adds*, and the *ratio*, are of the medians within a block: the guarded route's and that of
   the bare one beside it.

The spread of a time is over all calls; that of what is added, and of a ratio, is over the blocks.
"""

from __future__ import annotations

import gc
import random
import statistics
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from time import perf_counter_ns
from typing import Any

from mcp.types import CallToolResult

from . import workload as work
from .clock import Spread

_WARM_UP = 20  # calls
_UNTIMED = 2  # calls before a block

Arguments = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Route:
    """One way of a call to the tool; guarded, if there is a bare one beside it."""

    name: str
    call: Callable[[Arguments], Awaitable[CallToolResult]]
    beside: str | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """Routes that were measured together, and the microseconds of their calls, block by block."""

    title: str
    routes: list[Route]
    found: dict[str, list[list[float]]]

    def us(self, name: str) -> Spread:
        """What a call takes."""
        return Spread.of([one for block in self.found[name] for one in block])

    def added(self, name: str, beside: str) -> Spread:
        """How many microseconds a call takes more than on the route beside it."""
        return Spread.of([value - bare for value, bare in self._medians(name, beside)])

    def ratio(self, name: str, beside: str) -> Spread:
        """How many times as long a call takes."""
        return Spread.of([value / bare for value, bare in self._medians(name, beside)])

    def of_added(self, name: str, other: str, beside: str) -> Spread:
        """What one route adds, in parts of what another one adds."""
        ours, theirs = self._medians(name, beside), self._medians(other, beside)
        pairs = zip(ours, theirs, strict=True)
        return Spread.of([(one - bare) / max(two - again, 0.001) for (one, bare), (two, again) in pairs])

    def _medians(self, *names: str) -> Iterator[tuple[float, float]]:
        first, second = ([statistics.median(block) for block in self.found[name]] for name in names)
        return zip(first, second, strict=True)

    def rows(self) -> list[dict[str, Any]]:
        """For the table and the JSON file."""
        return [self._row(one) for one in self.routes]

    def _row(self, one: Route) -> dict[str, Any]:
        row: dict[str, Any] = {
            "group": self.title,
            "name": one.name,
            "calls": sum(map(len, self.found[one.name])),
            "us": self.us(one.name).rounded(),
        }
        if one.beside is not None:
            row["beside"] = one.beside
            row["added_us"] = self.added(one.name, one.beside).rounded()
            row["ratio"] = self.ratio(one.name, one.beside).rounded()
        return row


async def measure(title: str, routes: list[Route], *, blocks: int, calls: int) -> Group:
    """Time all routes, interleaved, ``calls`` of each in each block."""
    found: dict[str, list[list[float]]] = {one.name: [] for one in routes}
    assert len(found) == len(routes), "two routes of one name"
    for one in routes:
        await _check(one)
        await _block(one, _WARM_UP)
    plan, order = [*routes], random.Random(0)
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        for _ in range(blocks):
            order.shuffle(plan)
            for one in plan:
                found[one.name].append(await _block(one, calls))
            gc.collect()
    finally:
        gc.enable()
        gc.unfreeze()
    return Group(title, routes, found)


async def _check(one: Route) -> None:
    """A route that lets everything through is fast: a guarded one refuses what is outside."""
    inside, outside = await one.call(work.PAYMENT), await one.call(work.OUTSIDE)
    assert inside.structured_content == {"result": work.ANA}, f"{one.name}: {inside}"
    assert bool(outside.is_error) == (one.beside is not None), f"{one.name} decides wrongly: {outside}"


async def _block(one: Route, calls: int) -> list[float]:
    """Microseconds of each call."""
    call, found = one.call, []
    for _ in range(_UNTIMED):
        await call(work.PAYMENT)
    for _ in range(calls):
        start = perf_counter_ns()
        result = await call(work.PAYMENT)
        found.append((perf_counter_ns() - start) / 1000)
        assert not result.is_error, f"{one.name}: {result}"
    return found
