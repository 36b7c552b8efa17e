"""`Ledger`: what a guard remembers, in two steps around every call.

1. `admit`, before the tool, in one transaction: nothing that the call rests on is revoked, its statements
   were not used before, every limit has as much left, and the decision is written. All of it, or the tool
   does not run.
2. `record`, after the tool: what became of it. It is shielded from cancellation.

A crash in between leaves "permitted, no outcome", which is the truth. Every call has an id of its own, so
that an admission which is tried again, because nobody knows whether it was written, is charged once.
"""

from __future__ import annotations

import os
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import ClassVar

from ..call.call import Call
from ..errors import Denied
from ..tokens.capability import Capability
from ..verify.permit import Permit
from .approval_requests import ApprovalRequest, ApprovalVote
from .revocations import Revocation, RevocationImpact, RevocationList

__all__ = ["DeniedCall", "Ledger", "LedgerError", "Outcome", "new_operation_id"]


def new_operation_id() -> bytes:
    """A name for one call: 16 bytes, the time in milliseconds and 80 random bits (as RFC 9562 orders UUIDs).

    In the order of time, so that what is written together is together in a store's index.
    """
    return (time.time_ns() // 1_000_000).to_bytes(6, "big") + os.urandom(10)


class LedgerError(Exception):
    """A ledger that cannot be opened, or must not be used as it is; the text says what to do."""


class Outcome(StrEnum):
    """What became of a permitted call."""

    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    NOT_RUN = "not_run"
    """The caller had gone before the tool could run."""


@dataclass(frozen=True, slots=True)
class DeniedCall:
    """A refused call, for the record. ``call`` and ``capability`` are what could be read of them."""

    denied: Denied
    audience: str
    time: int
    call: Call | None
    capability: Capability | None


class Ledger(ABC):
    """The memory of one guard, or of several that share a store. All methods may be called from any task."""

    keeps_records: ClassVar[bool] = True
    """Whether decisions and outcomes are kept; if not, `record` and `record_denial` are not called."""

    revoked: RevocationList
    """What is known of revocations, for questions that wait for nothing."""

    @abstractmethod
    async def admit(self, permit: Permit, operation_id: bytes) -> None:
        """Take what the permit takes, all or nothing, and write that the call is permitted.

        Args:
            permit: the decision.
            operation_id: the name of this one call (`new_operation_id`).

        Raises:
            Denied: ``revoked``, ``stale``, ``replayed`` (a proof), ``spent`` (an approval, a limit),
                ``not_approved`` (an approver is a delegate), ``unavailable`` (it cannot remember now).
        """

    @abstractmethod
    def record(self, permit: Permit, operation_id: bytes, outcome: Outcome) -> None:
        """Have the outcome of a call that was admitted written; give back what is to be given back.

        Nobody waits for it.

        Raises:
            Denied: ``unavailable``.
        """

    @abstractmethod
    async def record_denial(self, refusal: DeniedCall, operation_id: bytes) -> None:
        """Write that a call was refused.

        Raises:
            Denied: ``unavailable``.
        """

    @abstractmethod
    async def revoke(self, revocation: Revocation, *, reason: str = "") -> int:
        """Take something back for good. What was revoked before stays as it was.

        Returns:
            The epoch from which on everybody who reads this ledger knows it.

        Raises:
            Denied: ``unavailable``; whether it was written is then not known, and to do it again is safe.
        """

    @abstractmethod
    async def revocation_impact(self, revocation: Revocation, *, now: int) -> RevocationImpact:
        """What a revocation would end, of what this ledger has seen."""

    @abstractmethod
    async def wait_for_epoch(self, epoch: int, *, timeout: float = 5.0) -> None:  # noqa: ASYNC109 -- as documented
        """Wait until this process knows of all revocations up to this one.

        Raises:
            TimeoutError: it does not, within so many seconds.
        """

    @abstractmethod
    async def request_approval(self, request: ApprovalRequest, capability: Capability) -> ApprovalRequest:
        """File a request for approvals; the one that is there for the same call, if it still waits.

        Raises:
            Denied: ``not_approved`` (too many wait already), ``unavailable``.
        """

    @abstractmethod
    async def requests(self, *, now: int, id: str | None = None) -> list[ApprovalRequest]:
        """The requests that wait, or the one of this id whatever became of it; oldest first."""

    @abstractmethod
    async def vote(self, id: str, vote: ApprovalVote, *, now: int) -> ApprovalRequest:
        """Add what an approver says of a request.

        Raises:
            ValueError: no such request, it is over, it does not ask this key, or the vote is not signed.
            Denied: ``unavailable``.
        """

    @abstractmethod
    async def approvals(self, call: bytes, chain: bytes, *, now: int) -> list[str]:
        """The approvals that were given for this call (its digest) under this chain of blocks."""

    @abstractmethod
    async def aclose(self) -> None:
        """Write what is waiting, and let go of the store. Closing twice is fine."""

    @staticmethod
    def memory(capacity: int = 100_000) -> Ledger:
        """A ledger in this process: it forgets on restart, is shared with nobody and keeps no records.

        A proof lives 61 seconds, so one that was used just before a restart can be used once more just
        after it; limits start anew. ``capacity`` bounds the statements remembered at a time, a quarter of it
        for one holder; when full, calls with proofs are refused until old ones expire.
        """
        from .memory import MemoryLedger

        return MemoryLedger(capacity)

    @staticmethod
    def open(
        where: str | Path,
        *,
        durable: bool = True,
        keep_arguments: bool = False,
        state_dir: str | Path | None = None,
        checkpoints: str | Path | None = None,
    ) -> Ledger:
        """A ledger that survives: ``hessra.db``, or ``postgresql://...`` where many machines share it.

        Args:
            where: the path of an SQLite file, made if it is not there, or a PostgreSQL address.
            durable: False is faster, and survives the process but not a loss of power
                (``synchronous=NORMAL``).
            keep_arguments: keep the arguments of calls in clear beside the records, which hold their keyed
                hashes.
            state_dir: the folder for the log's key and its outside checkpoints; by default beside the file,
                for PostgreSQL in the user's state folder.
            checkpoints: a file of older heads that is kept elsewhere (``hessra-agents log heads`` writes
                it): the logs must hold those, too.

        Raises:
            LedgerError: it cannot be opened, is open to others, was altered, or is not what its last
                checkpoint says.
        """
        from .opening import open_ledger

        return open_ledger(
            where,
            durable=durable,
            keep_arguments=keep_arguments,
            state_dir=state_dir,
            checkpoints=checkpoints,
        )
