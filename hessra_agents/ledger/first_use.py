"""A ledger whose store is opened when it is first used, so that a module can make one when it is imported."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

import anyio
from anyio.lowlevel import current_token

from ..errors import Denied, Reason
from .model import LedgerError
from .opened import OpenStore
from .revocations import RevocationList
from .store.connection import Steps, run_in_thread
from .store.writer import DEADLINE

if TYPE_CHECKING:
    from .memory import ImmediateExecutor

__all__ = ["OpenedAtFirstUse"]

T = TypeVar("T")

_log = logging.getLogger("hessra_agents")


class OpenedAtFirstUse:
    """Open a store once, when it is asked for; an attempt that failed is made again at the next use."""

    def __init__(self, open_store: Callable[[], OpenStore | ImmediateExecutor]) -> None:
        self.opened = False
        """Whether the store is open, or was."""
        self.executor: OpenStore | ImmediateExecutor
        """What runs transactions; there once the store is open."""
        self._open_store = open_store
        self._opening = threading.Lock()
        self._alone: dict[object, anyio.CapacityLimiter] = {}  # by event loop, until the store is open
        self._closed = False

    async def start(self) -> None:
        """Open the store now; do nothing if it is open."""
        if not self.opened:
            # in one thread for each event loop, which does not wait for the tools that run in threads
            alone = self._alone.setdefault(current_token().native_token, anyio.CapacityLimiter(1))
            await anyio.to_thread.run_sync(self._start, abandon_on_cancel=True, limiter=alone)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the store. Closing twice is fine."""
        self._closed = True
        if self.opened:
            await self.executor.aclose()

    @cached_property
    def revoked(self) -> RevocationList:
        """The revocations that this process knows, to be asked without waiting; opens the ledger.

        Raises:
            Denied: ``unavailable``: it is not open. No event loop waits for a ledger that is being opened.
        """
        if not self.opened:
            with _refusal_told():
                self._start(0 if _in_event_loop() else DEADLINE)
        return self.executor.revoked

    async def ready(self) -> None:
        """Open the ledger for a call, if it is not open, within the time that a call waits.

        Raises:
            Denied: ``unavailable``: it is not open; only the log says why.
        """
        with anyio.move_on_after(DEADLINE), _refusal_told():
            await self.start()
        if not self.opened:
            raise Denied(Reason.UNAVAILABLE, detail="the ledger is still being opened")

    async def submit(self, work: Callable[[bool], Steps[T]], **options: Any) -> T:
        """Run steps in the store, which is opened if needed; the parameters are those of `Writer.submit`."""
        if not self.opened:
            await self.start()
        return await self.executor.submit(work, **options)

    def _start(self, patience: float = DEADLINE) -> None:
        if not self._opening.acquire(timeout=patience):
            raise LedgerError("the ledger is still being opened")
        try:
            if self._closed and not self.opened:
                raise Denied(Reason.UNAVAILABLE, detail="the ledger is closed")
            if not self.opened:
                # in a thread: PostgreSQL runs an event loop, and this one may run another
                self.executor = run_in_thread(self._open_store)
                self.opened = True
                self._alone.clear()
                if self._closed:  # meanwhile
                    run_in_thread(lambda: anyio.run(self.executor.aclose))
                    raise Denied(Reason.UNAVAILABLE, detail="the ledger is closed")
        finally:
            self._opening.release()


@contextmanager
def _refusal_told() -> Iterator[None]:
    """Refuse a call by a ledger that cannot be opened, and log why."""
    try:
        yield
    except LedgerError as error:
        _log.error("the ledger cannot be opened; calls are refused: %s", error)
        raise Denied(Reason.UNAVAILABLE, detail=str(error)) from error


def _in_event_loop() -> bool:
    try:
        current_token()
    except RuntimeError:
        return False
    return True
