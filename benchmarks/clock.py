"""How operations are timed.

1. In every round every operation runs once for a small batch, in a new random order. So noise from
   elsewhere hits all of them alike, and a *ratio* is the median of the ratios within each round.
2. A batch is as many calls as take about 2 ms, found in the warm-up, and begins with two more that are not
   timed, since what ran before has emptied the processor's caches. The clock is read twice a batch. What an
   empty call in the same loop takes is measured the same way and subtracted.
3. An operation that waits is awaited in the one event loop that all share. What a call needs anew (a
   proof, a signature) is made outside of the clock.
4. The garbage collector is off in a batch and runs between rounds.

A number is the median over rounds, with the 10th and 90th percentile as spread.
"""

from __future__ import annotations

import gc
import inspect
import random
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter_ns
from typing import Any

_WARM_UP = 20  # calls
_UNTIMED = 2  # calls before a batch
_MOST_CALLS = 2000  # of a batch


@dataclass(frozen=True, slots=True)
class Operation:
    """What is timed: ``call(*fresh())``, or ``call()``, awaited if it returns an awaitable."""

    group: str
    name: str
    call: Callable[..., Any]
    fresh: Callable[[], tuple[Any, ...]] | None = None


@dataclass(frozen=True, slots=True)
class Spread:
    """A median with the 10th and 90th percentile."""

    p10: float
    median: float
    p90: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Of one value for each round."""
        cuts = statistics.quantiles(values, n=10, method="inclusive")
        return cls(cuts[0], statistics.median(values), cuts[-1])

    def rounded(self) -> dict[str, float]:
        """As such numbers are told: more digits would be noise."""
        return {name: float(f"{getattr(self, name):.4g}") for name in ("p10", "median", "p90")}


_EMPTY = Operation("", "", lambda: None)


class Times:
    """Microseconds of one call, by operation, one value for each round."""

    def __init__(self, operations: list[Operation], found: dict[str, list[float]]) -> None:
        self._operations = operations
        self.clock_us = statistics.median(found[_EMPTY.name])
        self._found = {
            one.name: [max(value - self.clock_us, 0.001) for value in found[one.name]] for one in operations
        }

    def __contains__(self, name: str) -> bool:
        return name in self._found

    def us(self, name: str) -> Spread:
        """What an operation takes."""
        return Spread.of(self._found[name])

    def ratio(self, name: str, base: str) -> Spread:
        """How many times ``base`` an operation takes."""
        pairs = zip(self._found[name], self._found[base], strict=True)
        return Spread.of([value / other for value, other in pairs])

    def rows(self) -> list[dict[str, Any]]:
        """For the table and the JSON file."""
        return [
            {
                "group": one.group,
                "name": one.name,
                "us": self.us(one.name).rounded(),
                "per_ed25519_verify": self.ratio(one.name, ED25519_VERIFY).rounded(),
            }
            for one in self._operations
        ]


ED25519_VERIFY = "cryptography: Ed25519 verify"
"""The yardstick; `peers` gives it."""


async def measure(operations: list[Operation], *, rounds: int, batch_us: int) -> Times:
    """Time all operations, interleaved."""
    found: dict[str, list[float]] = {one.name: [] for one in (_EMPTY, *operations)}
    assert len(found) == len(operations) + 1, "two operations of one name"
    plan = [(one, *await _calibrate(one, batch_us)) for one in (_EMPTY, *operations)]
    order = random.Random(0)
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        for _ in range(rounds):
            order.shuffle(plan)
            for one, count, waits in plan:
                found[one.name].append(await _batch(one, count, waits=waits))
            gc.collect()
    finally:
        gc.enable()
        gc.unfreeze()
    return Times(operations, found)


async def _calibrate(one: Operation, batch_us: int) -> tuple[int, bool]:
    """How many calls make a batch, and whether the operation waits."""
    result = one.call(*(one.fresh() if one.fresh else ()))
    waits = inspect.isawaitable(result)
    if waits:
        await result
    await _batch(one, _WARM_UP, waits=waits)
    cost = await _batch(one, _WARM_UP, waits=waits)
    return max(1, min(_MOST_CALLS, round(batch_us / max(cost, 0.01)))), waits


async def _batch(one: Operation, count: int, *, waits: bool) -> float:
    """Microseconds of one call."""
    call = one.call
    arguments = [one.fresh() if one.fresh else () for _ in range(count + _UNTIMED)]
    untimed, timed = arguments[:_UNTIMED], arguments[_UNTIMED:]
    if waits:
        for given in untimed:
            await call(*given)
        start = perf_counter_ns()
        for given in timed:
            await call(*given)
    else:
        for given in untimed:
            call(*given)
        start = perf_counter_ns()
        for given in timed:
            call(*given)
    return (perf_counter_ns() - start) / count / 1000
