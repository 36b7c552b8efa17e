"""Stop a coroutine's caller at each place where the coroutine waits, one after the other."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator
from functools import partial
from typing import Any, TypeVar

import anyio

from tests.support import clocks

__all__ = ["WAYS", "cancelled_at"]

T = TypeVar("T")

WAYS = ("asyncio-scope", "trio-scope", "asyncio-task", "asyncio-timeout", "asyncio-wait_for")
"""Event loops, and who cancels: a scope of anyio, or asyncio in one of its own ways."""


class _Steps:
    """Awaits a coroutine, and calls ``stop`` just before it waits for the n-th time (from 0)."""

    def __init__(self, work: Coroutine[Any, Any, T], at: int, stop: Callable[[], object]) -> None:
        self._work = work
        self._left = at
        self._stop = stop

    def __await__(self) -> Generator[Any, Any, Any]:
        steps = self._work.__await__()
        sent, error = None, None
        while True:
            try:
                trap = steps.send(sent) if error is None else steps.throw(error)
            except StopIteration as end:
                return end.value
            if self._left == 0:
                self._stop()
            self._left -= 1
            try:
                sent, error = (yield trap), None
            except BaseException as thrown:
                sent, error = None, thrown

    @property
    def reached(self) -> bool:
        return self._left < 0


async def cancelled_at(at: int, way: str, work: Coroutine[Any, Any, Any]) -> tuple[bool, Any]:
    """Run a coroutine that is cancelled in this way where it waits for the n-th time.

    Returns:
        Whether it waited so often, and what it returned; None if it was cancelled.
    """
    stop: Callable[[], object] = lambda: None  # noqa: E731 -- until there is something to stop
    steps, result = _Steps(work, at, lambda: stop()), None

    async def run() -> None:
        nonlocal result
        result = await steps

    if way.endswith("scope"):
        with anyio.CancelScope() as scope:
            stop = scope.cancel
            await run()
        return steps.reached, result
    try:
        if way.endswith("task"):
            task = asyncio.create_task(run())
            stop = task.cancel
            await task
        elif way.endswith("timeout"):
            async with asyncio.timeout(60) as timeout:
                stop = partial(timeout.reschedule, 0)
                await run()
        else:
            stop = partial(clocks.pass_time, 61)
            await asyncio.wait_for(run(), 60)
    except (asyncio.CancelledError, TimeoutError):
        assert steps.reached
    return steps.reached, result
