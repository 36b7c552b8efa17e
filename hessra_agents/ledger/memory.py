"""The ledger in memory: the same steps as on a disk, run at once; bounded, and closed when it is full."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from typing import Any, TypeVar

from ..errors import Denied, Reason
from ..verify.permit import Permit
from . import transactions as steps
from .revocations import Revocation, RevocationList
from .store.connection import Steps, StoreError, run_transaction
from .store.sqlite import SQLite
from .stored import StoredLedger
from .transactions import SeenCapability

__all__ = ["MemoryLedger"]

MOST_BYTES = 16 << 20
"""What limits, requests and capabilities may take, beside 1,024 bytes for each statement of the capacity."""

T = TypeVar("T")


class MemoryLedger(StoredLedger):
    """Remembers until it is dropped.

    Protects, within this process, from a second use of a statement, from more use than a limit grants, and
    from what was revoked. Does not protect from a second use in another process or after a restart, and
    keeps no record of calls.
    """

    keeps_records = False

    def __init__(self, capacity: int) -> None:
        if capacity < 1:
            raise ValueError("a ledger remembers at least one statement")
        self._capacity = capacity
        self._held: Counter[bytes] = Counter()
        revoked = RevocationList(float("inf"))  # nobody else writes here
        super().__init__(
            lambda _: ImmediateExecutor(MOST_BYTES + 1024 * capacity),
            None,
            revoked,
            poll=0,
            keep_arguments=False,
        )

    async def admit(self, permit: Permit, operation_id: bytes) -> None:
        """Take what the permit takes; nothing waits in here, so calls cannot come between."""
        if not permit.spends and not permit.charges and permit.revocation_ids[0] in self._known:
            self.revoked.check(permit.revocation_ids, permit.issued)
            return
        if permit.time > self._latest:
            # by itself: what is taken back with a refused call would be forgotten and still be there
            self._latest = permit.time
            for _, name in await self._writer.submit(lambda again: steps.expire(permit.time)):
                self._held[bytes(name)[:32]] -= 1
            self._held += Counter()  # drops what is down to nothing
        await self._writer.submit(lambda again: self._take(permit, operation_id))
        for spent in permit.spends:
            self._held[spent.name[:32]] += 1

    async def revoke(self, revocation: Revocation, *, reason: str = "") -> int:
        """Take something back for good; nobody polls in here, so it is known at once."""
        epoch = await super().revoke(revocation, reason=reason)
        await self._writer.submit(lambda again: steps.learn_revocations(self.revoked))
        return epoch

    def _take(self, permit: Permit, operation_id: bytes) -> Steps[None]:
        yield from steps.admit(permit, operation_id, self.revoked)
        share = max(2, self._capacity // 4)
        if self._held.total() + len(permit.spends) > self._capacity or any(
            self._held[spent.name[:32]] >= share for spent in permit.spends
        ):
            raise Denied(Reason.UNAVAILABLE, "the guard's memory of used proofs is full")
        yield from self._note(SeenCapability.of(permit))

    def __len__(self) -> int:
        return self._held.total()


class ImmediateExecutor:
    """Runs steps where they are submitted."""

    def __init__(self, max_bytes: int) -> None:
        self._store = SQLite(None, max_bytes=max_bytes)
        self._store.open()
        self._lock = threading.Lock()  # for guards that share a ledger across threads

    async def submit(
        self,
        steps: Callable[[bool], Steps[T]],
        *,
        locks: tuple[bytes, ...] = (),
        undo: Callable[[bool], Steps[Any]] | None = None,
    ) -> T:
        """Run steps, all or nothing."""
        with self._lock:
            try:
                return run_transaction(self._store, steps(False))
            except StoreError as error:
                raise Denied(Reason.UNAVAILABLE, "the guard's memory is full") from error

    def submit_nowait(self, steps: Callable[[bool], Steps[Any]]) -> None:
        """Run steps, all or nothing."""
        with self._lock:
            run_transaction(self._store, steps(False))
