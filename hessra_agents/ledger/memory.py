"""The executor of a ledger in memory: run each transaction at once, refuse what there is no room for."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from typing import Any, TypeVar

from ..errors import Denied, Reason
from .revocations import RevocationList
from .store.connection import Steps, StoreError, run_transaction
from .store.sqlite import SQLite

__all__ = ["ImmediateExecutor"]

MAX_BYTES = 16 << 20
"""Room for limits, requests and capabilities, beside 1,024 bytes for each statement of the capacity."""

_KEY = 32

T = TypeVar("T")


class ImmediateExecutor:
    """Runs steps on an SQLite database in memory, in the thread that submits them.

    Args:
        capacity: how many used statements (proofs and approvals) are kept at a time; those of one key take at
            most a quarter, so that one holder cannot shut out the others.

    Raises:
        ValueError: the capacity is less than 1.
    """

    def __init__(self, capacity: int) -> None:
        if capacity < 1:
            raise ValueError("a ledger remembers at least one statement")
        self.revoked = RevocationList(float("inf"))  # nobody else writes here: it is never stale
        self.appender = None
        self.latest = 0
        self._capacity, self._share = capacity, max(2, capacity // 4)
        self._used: Counter[bytes] = Counter()  # statements by the key that signed them
        self._total = 0
        self._store = SQLite(None, max_bytes=MAX_BYTES + 1024 * capacity)
        self._store.open()
        self._lock = threading.Lock()  # guards in several threads may share a ledger

    def __len__(self) -> int:
        return self._total

    async def submit(
        self,
        steps: Callable[[bool], Steps[T]],
        *,
        locks: tuple[bytes, ...] = (),
        undo: Callable[[bool], Steps[Any]] | None = None,
    ) -> T:
        """Run steps, all or nothing.

        Raises:
            Denied: ``unavailable``: there is no room; or as the steps raise.
        """
        with self._lock:
            change: Counter[bytes] = Counter()
            try:
                result = run_transaction(self._store, self._bounded(steps(False), change))
            except StoreError as error:
                raise Denied(Reason.UNAVAILABLE, "the guard's memory is full") from error
            self._total += change.total()
            self._used.update(change)
            for key in change:
                if not self._used[key]:
                    del self._used[key]
            return result

    def submit_nowait(self, steps: Callable[[bool], Steps[Any]]) -> None:
        """Run steps, all or nothing."""
        with self._lock:
            run_transaction(self._store, steps(False))

    async def aclose(self) -> None:
        """Do nothing: the store goes with the ledger."""

    def _bounded(self, steps: Steps[T], change: Counter[bytes]) -> Steps[T]:
        """Run steps, count the statements that they add and delete, and refuse to go over the capacity."""
        rows: Any = None
        added: list[bytes] = []
        while True:
            try:
                statement, values = steps.send(rows)
            except StopIteration as end:
                self._check(added)
                change.update(added)
                return end.value  # type: ignore[no-any-return]
            rows = yield statement, values
            if statement == "spend" and rows:
                added.append(values[1][:_KEY])
            elif statement == "forget_spent":
                change.subtract(bytes(name)[:_KEY] for _, name in rows)

    def _check(self, added: list[bytes]) -> None:
        over = self._total + len(added) > self._capacity
        if added and (over or any(self._used[key] >= self._share for key in added)):
            raise Denied(Reason.UNAVAILABLE, "the guard's memory of used proofs is full")
