"""The ledger in memory: bounded, and closed when it is full."""

from __future__ import annotations

import heapq
import threading

from ..decide.permit import Permit
from ..errors import Denied, Reason
from .protocol import Ledger, Outcome

__all__ = ["MemoryLedger"]


class MemoryLedger(Ledger):
    """Remembers used statements until they expire.

    Protects from a second use within this process. Does not protect from one in another process or after
    a restart, and keeps no record of calls.
    """

    keeps_records = False

    def __init__(self, capacity: int) -> None:
        if capacity < 1:
            raise ValueError("a ledger remembers at least one statement")
        self._capacity = capacity
        self._used: set[tuple[str, bytes]] = set()
        self._expiring: list[tuple[int, str, bytes]] = []
        self._latest = 0
        self._lock = threading.Lock()

    async def admit(self, permit: Permit) -> None:
        """Take the permit's statements; nothing waits in here, so calls cannot come between."""
        with self._lock:  # for guards that share a ledger across threads
            self._admit(permit)

    def _admit(self, permit: Permit) -> None:
        self._forget(permit.time)
        for one in permit.spends:
            if (one.kind, one.name) in self._used:
                reason = Reason.REPLAYED if one.kind == "proof" else Reason.SPENT
                raise Denied(reason, f"the {one.kind} was used before", tool=permit.call.tool)
            if one.until <= self._latest:
                # the clock was set back: this statement may have been used and forgotten
                raise Denied(Reason.STALE, f"the {one.kind} is older than the guard's clock has been")
        if len(self._used) + len(permit.spends) > self._capacity:
            raise Denied(
                Reason.UNAVAILABLE, "the guard's memory of used proofs is full", tool=permit.call.tool
            )
        for one in permit.spends:
            self._used.add((one.kind, one.name))
            heapq.heappush(self._expiring, (one.until, one.kind, one.name))

    async def record(self, permit: Permit, outcome: Outcome) -> None:
        """Nothing to keep: this ledger has no log."""

    def _forget(self, now: int) -> None:
        self._latest = max(self._latest, now)
        while self._expiring and self._expiring[0][0] <= self._latest:
            _, kind, name = heapq.heappop(self._expiring)
            self._used.discard((kind, name))

    def __len__(self) -> int:
        return len(self._used)
