"""Answer questions about a ledger and change nothing: what is revoked, what is left, who holds what.

A program asks its own ledger (`InspectableLedger`), an operator the store beside the guards (`Inspection`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ..call.call import Call
from ..grants.describe import describe_limit, safe_word
from ..keys.keys import PublicKey
from ..tokens.admission import Block
from ..tokens.capability import Capability
from ..tokens.revocation_ids import revocation_id
from ..tokens.statements import chain_digest
from ..verify.charges import limit_counter
from ..verify.permit import Permit
from . import transactions as steps
from .approval_requests import ApprovalRequest
from .first_use import OpenedAtFirstUse
from .log.reader import Logs
from .log.search import RecordMatch, RecordQuery, search
from .model import new_operation_id
from .revocations import RevocationEntry, RevocationList
from .store.connection import Row, Steps, Transaction, run_steps, run_transaction

__all__ = ["CapabilityStatus", "InspectableLedger", "Inspection", "LimitUse", "SeenCapabilityTree"]

MAX_SEEN = 200
"""Capabilities in one answer; those that live longest come first, and so before what derives from them."""

MAX_SCANNED = 10_000
"""Records at the end of each log that are looked through."""


@dataclass(frozen=True, slots=True)
class LimitUse:
    """How much of a limit is used now.

    ``window`` is in seconds; 0 stands for the whole life of the capability. ``subject`` used it last, where
    the log was asked.
    """

    description: str
    at_most: int
    used: int
    window: int
    counts_calls: bool
    subject: str = ""

    @property
    def left(self) -> int:
        """What is left."""
        return max(0, self.at_most - self.used)


@dataclass(frozen=True, slots=True)
class CapabilityStatus:
    """What a ledger knows against a capability: ``revoked_by`` is empty unless it is revoked."""

    revoked_by: tuple[RevocationEntry, ...]
    limits: tuple[LimitUse, ...]


@dataclass(frozen=True, slots=True)
class SeenCapabilityTree:
    """A capability that was used at this ledger, and those that were built on it. Times are Unix seconds."""

    subject: str
    holder: PublicKey | None
    expires: int
    revoked: bool
    below: tuple[SeenCapabilityTree, ...]


class InspectableLedger(OpenedAtFirstUse):
    """What a program may ask its ledger beside the path of a call."""

    _clock: Callable[[], float]

    def now(self) -> int:
        """Return the time by the ledger's clock, in whole Unix seconds."""
        return int(self._clock())

    async def status(self, capability: Capability) -> CapabilityStatus:
        """Return what is revoked of a capability, and what is left of its limits."""
        blocks, ids = capability.blocks, capability.revocation_ids
        return await self.submit(lambda again: _status(blocks, ids, self.now()))

    async def revocations(self, limit: int = 100) -> list[RevocationEntry]:
        """Return the last revocations, the newest first."""
        return await self.submit(lambda again: _revocations(limit))


class Inspection:
    """The answers of a store beside its guards; nothing that is asked is written.

    Args:
        logs: the open store. Used by one thread.
        now: Unix seconds.
    """

    def __init__(self, logs: Logs, now: int) -> None:
        self._logs, self._now = logs, now

    def _ask(self, asked: Steps[Any]) -> Any:
        return run_transaction(self._logs.connection, asked)

    def status(self, blocks: Sequence[Block], revocation_ids: Iterable[bytes]) -> CapabilityStatus:
        """Return what is revoked of a capability, and what is left of its limits."""
        found: CapabilityStatus = self._ask(_status(blocks, revocation_ids, self._now))
        return found

    def revocations(self, limit: int) -> list[RevocationEntry]:
        """Return the last revocations, the newest first."""
        found: list[RevocationEntry] = self._ask(_revocations(limit))
        return found

    def requests(self) -> list[ApprovalRequest]:
        """Return the requests that wait for approvals."""
        revoked = RevocationList(float("inf"))
        found: list[ApprovalRequest] = self._ask(steps.requests(self._now, None, revoked))
        return found

    def approvals(self, call: Call, ids: tuple[str, ...]) -> list[str]:
        """Return the unused approvals of a call under the capability with these blocks."""
        revoked = RevocationList(float("inf"))
        found: list[str] = self._ask(steps.approvals(call.digest, chain_digest(ids), self._now, revoked))
        return found

    def check(self, permit: Permit) -> None:
        """Check that a guard would admit this call now.

        Raises:
            Denied: as `Ledger.admit`.
        """
        connection = self._logs.connection
        try:
            admitting = steps.admit(permit, new_operation_id(), RevocationList(float("inf")))
            run_steps(Transaction(connection), admitting)
        finally:
            connection.rollback()  # it was only a question

    def seen(self, block_id: str | None = None) -> list[SeenCapabilityTree]:
        """Return what was used and has not expired: all capabilities, or those built on this block."""
        found: list[SeenCapabilityTree] = self._ask(_seen(block_id, self._now))
        return found

    def records(self, limit: int, block_id: str | None = None) -> list[RecordMatch]:
        """Return the last records, in order of time: all, or those of what is built on this block."""
        return search(self._logs, RecordQuery(block=block_id), limit)

    def limits(self) -> tuple[list[LimitUse], int]:
        """Return the limits that calls were charged to of late, and how many others are in use."""
        known: dict[str, tuple[str, dict[str, Any]]] = {}
        for log in self._logs.all():
            for record in self._logs.records(log, max(log.pruned, log.size - MAX_SCANNED)):
                for charge in record.fields.get("charges") or ():
                    if "at_most" in charge:
                        known[charge["counter"]] = str(record.fields.get("subject", "")), charge

        def asked() -> Steps[tuple[list[LimitUse], int]]:
            uses = []
            for counter, (subject, charge) in known.items():
                window, at_most = int(charge["window"]), int(charge["at_most"])
                _, first = steps.window_slots(window, self._now)
                ((used,),) = yield "used", (bytes.fromhex(counter), first)
                calls = not str(charge["limit"]).startswith("sum")
                uses.append(LimitUse(str(charge["limit"]), at_most, int(used), window, calls, subject))
            ((total,),) = yield "counters", (self._now,)
            return uses, max(0, int(total) - len(uses))

        answer: tuple[list[LimitUse], int] = self._ask(asked())
        return answer


def _status(blocks: Sequence[Block], revocation_ids: Iterable[bytes], now: int) -> Steps[CapabilityStatus]:
    rows = yield from _revocations_of(revocation_ids, blocks[0].issued)
    uses = []
    for block in blocks:
        for handle, limit in block.limits:
            _, first = steps.window_slots(limit.window, now)
            ((used,),) = yield "used", (limit_counter(block.id, handle), first)
            of = "" if limit.tools is None else f" of {', '.join(map(safe_word, sorted(limit.tools)))}"
            described, calls = describe_limit(limit) + of, limit.argument is None
            uses.append(LimitUse(described, limit.at_most, int(used), limit.window, calls))
    revoked_by = sorted((RevocationEntry(*row) for row in rows), key=lambda entry: entry.epoch)
    return CapabilityStatus(tuple(revoked_by), tuple(uses))


def _revocations_of(revocation_ids: Iterable[bytes], issued: int | None) -> Steps[list[Row]]:
    rows: list[Row] = []
    for id in dict.fromkeys(revocation_ids):
        rows += yield "revocation_of", (id,)
    # what does not say when it was issued falls with every moment
    rows += yield "revoked_before", (b"" if issued is None else int(issued).to_bytes(8, "big"),)
    return rows


def _revocations(limit: int) -> Steps[list[RevocationEntry]]:
    return [RevocationEntry(*row) for row in (yield "revocations", (limit,))]


def _seen(block_id: str | None, now: int) -> Steps[list[SeenCapabilityTree]]:
    if block_id is None:
        rows = yield "seen", (now, MAX_SEEN)
    else:
        rows = yield "seen_below", (revocation_id("block", block_id.encode()), now, MAX_SEEN)
    found = {bytes(name): row for name, *row in rows}
    above: dict[bytes, set[bytes]] = {}
    revoked = set()
    for name, (_, _, issued, _) in found.items():
        marks = {bytes(mark) for (mark,) in (yield "marks_of", (name,))}
        above[name] = marks & found.keys() - {name}
        if (yield from _revocations_of(marks, issued)):
            revoked.add(name)
    # what a capability is built on is built on less than the capability
    parent = {
        name: max(marks, key=lambda one: len(above[one]), default=None) for name, marks in above.items()
    }

    def trees(under: bytes | None) -> list[SeenCapabilityTree]:
        return [
            SeenCapabilityTree(
                bytes(subject).decode(),
                None if holder is None else PublicKey(bytes(holder)),
                int(expires),
                name in revoked,
                tuple(trees(name)),
            )
            for name, (subject, holder, _, expires) in found.items()
            if parent[name] == under
        ]

    return trees(None)
