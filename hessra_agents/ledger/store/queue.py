"""The writer's queue: a `QueuedTransaction` for each caller, a `WaitGroup` for callers of the same moment."""

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
    """Callers that submit in the same turn of an event loop: they are woken together and share one deadline.

    Timers make waiting expensive, so one caller watches the clock for all.
    """

    __slots__ = ("_deadline", "_event", "_watched", "native")

    def __init__(self, native: Any, seconds: float) -> None:
        self.native = native
        self._deadline = time.monotonic() + seconds
        self._event = anyio.Event()
        self._watched = False

    async def until(self, job: QueuedTransaction[Any]) -> None:
        """Wait until a transaction is done, or the deadline has passed."""
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
                self._wake()  # another waiting caller takes over the clock

    def wake(self) -> None:
        """Wake the waiting callers; may be called from any thread."""
        soon = getattr(self.native, "call_soon_threadsafe", None) or self.native.run_sync_soon
        try:
            soon(self._wake)
        except RuntimeError:  # the loop has ended, and so have its callers
            _log.debug("a caller's event loop has ended")

    def _wake(self) -> None:
        self._event.set()
        self._event = anyio.Event()


class QueuedTransaction(Generic[T]):
    """One transaction, and the group whose caller waits for it."""

    __slots__ = ("again", "done", "error", "group", "left", "lock", "locks", "result", "steps", "undo")

    def __init__(
        self,
        steps: Callable[[bool], Steps[T]],
        locks: tuple[bytes, ...] = (),
        undo: Callable[[bool], Steps[Any]] | None = None,
        group: WaitGroup | None = None,
    ) -> None:
        self.steps = steps
        self.locks = locks
        self.undo = undo
        self.group = group
        self.again = False
        self.lock = threading.Lock()
        self.left = False
        self.done = False
        self.result: T | None = None
        self.error: BaseException | None = None

    def finish(self, result: T | None, error: BaseException | None) -> bool:
        """Store the result; return False if the caller has left."""
        with self.lock:
            self.result, self.error, self.done = result, error, True
            return not self.left

    def leave(self) -> bool:
        """Note that the caller leaves; return True if the transaction succeeded and must be undone."""
        with self.lock:
            self.left = True
            return self.done and self.error is None
