"""Event loops whose time a test can have pass: whoever tests a timeout waits for no clock.

    async with relayed(world, tmp_path, timeout=300) as line:
        line.call("silent")
        await line.until_got(...)
        pass_time(300)  # all who wait in this event loop have waited for five minutes

    async with time_flies():  # a minute in every few milliseconds, until the end of the block
        ...

The clocks of threads, of other processes and of the system go on as they do.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import sniffio
import trio


class Loop(asyncio.SelectorEventLoop):
    """An event loop of asyncio whose clock can be set forward."""

    ahead = 0.0

    def time(self) -> float:
        return super().time() + self.ahead


class Clock(trio.abc.Clock):
    """A clock of trio that can be set forward."""

    ahead = 0.0

    def start_clock(self) -> None:
        pass

    def current_time(self) -> float:
        return time.perf_counter() + self.ahead

    def deadline_to_sleep_time(self, deadline: float) -> float:
        return deadline - self.current_time()


def backend(name: str) -> tuple[str, dict[str, Any]]:
    """The event loop of this name, as anyio's fixture ``anyio_backend`` has it."""
    return name, {"loop_factory": Loop} if name == "asyncio" else {"clock": Clock()}


class LoopTime:
    """Replaces the module ``time`` in code that measures by it how long it waits in an event loop."""

    monotonic = staticmethod(anyio.current_time)


def pass_time(seconds: float) -> None:
    """Have so much time pass in the event loop that runs."""
    on_trio = sniffio.current_async_library() == "trio"
    clock = trio.lowlevel.current_clock() if on_trio else asyncio.get_running_loop()
    assert isinstance(clock, Loop | Clock)
    clock.ahead += seconds


@asynccontextmanager
async def time_flies(pace: float = 60.0) -> AsyncIterator[None]:
    """Have so many seconds pass again and again, for waits that begin one after the other."""

    async def fly() -> None:
        while True:
            pass_time(pace)
            await anyio.sleep(0.005)

    async with anyio.create_task_group() as group:
        group.start_soon(fly)
        yield
        group.cancel_scope.cancel()
