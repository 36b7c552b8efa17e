"""Who waits for the writer: a `Job` is one transaction, a `WaitGroup` those who came together."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import anyio

from .connection import Steps

__all__ = ["QueuedTransaction", "WaitGroup"]

T = TypeVar("T")

_log = logging.getLogger("hessra_agents")


class WaitGroup:
    """Those who submit in the same turn of an event loop: they are woken together, and have one deadline.

    One of them watches the clock for all, which is what is dear about a wait.
    """

    __slots__ = ("_deadline", "_event", "_watched", "native")

    def __init__(self, native: Any, seconds: float) -> None:
        self.native = native
        self._deadline = time.monotonic() + seconds
        self._event = anyio.Event()
        self._watched = False

    async def until(self, job: QueuedTransaction[Any]) -> None:
        """Wait until it is settled, or the deadline is over."""
        while not job.done and (left := self._deadline - time.monotonic()) > 0:
            if self._watched:
                await self._event.wait()
                continue
            self._watched = True
            try:
                with anyio.move_on_after(left):
                    await self._event.wait()
            finally:
                self._watched = False
                self._wake()  # whoever still waits looks at the clock, and watches it

    def wake(self) -> None:
        """Have those look who wait; from any thread."""
        soon = getattr(self.native, "call_soon_threadsafe", None) or self.native.run_sync_soon
        try:
            soon(self._wake)
        except RuntimeError:  # the loop has ended, and its callers with it
            _log.debug("a caller's event loop has ended")

    def _wake(self) -> None:
        self._event.set()
        self._event = anyio.Event()


class QueuedTransaction(Generic[T]):
    """One transaction, and who waits for it."""

    __slots__ = ("again", "done", "error", "left", "lock", "locks", "result", "steps", "turn", "undo")

    def __init__(
        self,
        steps: Callable[[bool], Steps[T]],
        locks: tuple[bytes, ...] = (),
        undo: Callable[[bool], Steps[Any]] | None = None,
        turn: WaitGroup | None = None,
    ) -> None:
        self.steps = steps
        self.locks = locks
        self.undo = undo
        self.turn = turn
        self.again = False
        self.lock = threading.Lock()
        self.left = False
        self.done = False
        self.result: T | None = None
        self.error: BaseException | None = None

    def finish(self, result: T | None, error: BaseException | None) -> bool:
        """Settle it; False if its caller has gone."""
        with self.lock:
            self.result, self.error, self.done = result, error, True
            return not self.left

    def leave(self) -> bool:
        """Go; True if it was settled well, so that somebody must undo it."""
        with self.lock:
            self.left = True
            return self.done and self.error is None
