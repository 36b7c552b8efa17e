"""Answer questions about a ledger and change nothing: what is revoked, what is left, who holds what.

A program asks its own ledger (`InspectableLedger`), an operator the store beside the guards (`Inspection`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..call.call import Call
from ..grants.describe import describe_limit, safe_word
from ..grants.vocabulary.measures import write_decimal
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
from .log.reader import Logs, Record
from .log.search import RecordMatch, RecordQuery, search
from .model import LedgerError, new_operation_id
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

    ``window`` is in seconds; 0 stands for the whole life of the capability. Amounts are in units of the last
    of ``places`` decimal places. ``subject`` used it last, where the log was asked.
    """

    description: str
    at_most: int
    used: int
    window: int
    counts_calls: bool
    places: int
    subject: str = ""

    @property
    def left(self) -> int:
        """What is left."""
        return max(0, self.at_most - self.used)

    def written(self, amount: int) -> str:
        """Return an amount with its decimal places."""
        return write_decimal(amount, self.places)


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
    known_as: str | None = None
    """The name of its holder, if that is not the subject."""
    vouched: bool = True
    """Whether a holder vouches for that name."""


class InspectableLedger(OpenedAtFirstUse):
    """What a program may ask its ledger beside the path of a call."""

    _clock: Callable[[], float]

    def now(self) -> int:
        """Return the time by the ledger's clock, in whole Unix seconds."""
        return int(self._clock())

    async def status(self, capability: Capability) -> CapabilityStatus:
        """Return what is revoked of a capability, and what is left of its limits."""
        blocks, ids, authority = capability.blocks, capability.revocation_ids, capability.authority
        return await self.submit(lambda again: _status(blocks, ids, authority, self.now()))

    async def revocations(self, limit: int = 100) -> list[RevocationEntry]:
        """Return the last revocations, the newest first."""
        return await self.submit(lambda again: _revocations(limit))

    async def names(self) -> list[str]:
        """Return the names by which `revoke` can find live capabilities that were used, sorted."""
        rows = await self.submit(lambda again: _rows("seen", self.now(), MAX_SEEN))
        return sorted({bytes(known_as or subject).decode() for _, subject, _, _, _, known_as, _ in rows})


class Inspection:
    """The answers of a store beside its guards; nothing that is asked is written.

    Args:
        logs: the open store. Used by one thread.
        now: Unix seconds.
    """

    def __init__(self, logs: Logs, now: int) -> None:
        self._logs, self._now = logs, now

    def _ask(self, asked: Steps[Any]) -> Any:
        try:
            return run_transaction(self._logs.connection, asked)
        except (LookupError, TypeError, ValueError) as error:
            raise LedgerError("a row cannot be read: somebody else wrote to the store") from error

    def status(
        self, blocks: Sequence[Block], revocation_ids: Iterable[bytes], authority: str | None
    ) -> CapabilityStatus:
        """Return what is revoked of a capability, and what is left of its limits.

        Args:
            blocks: its content.
            revocation_ids: what may name it.
            authority: the identifier of its authority; None, and its budgets are left out.
        """
        found: CapabilityStatus = self._ask(_status(blocks, revocation_ids, authority, self._now))
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
        known: dict[bytes, LimitUse] = {}
        for log in self._logs.all():
            for record in self._logs.records(log, max(log.pruned, log.size - MAX_SCANNED)):
                known.update(_charged(record))

        def asked() -> Steps[tuple[list[LimitUse], int]]:
            uses = []
            for counter, limit in known.items():
                _, first = steps.window_slots(limit.window, self._now)
                ((used,),) = yield "used", (counter, first)
                uses.append(replace(limit, used=int(used)))
            ((total,),) = yield "counters", (self._now,)
            return uses, max(0, int(total) - len(uses))

        answer: tuple[list[LimitUse], int] = self._ask(asked())
        return answer


def _charged(record: Record) -> Iterator[tuple[bytes, LimitUse]]:
    """Yield the limits that a call was charged to, by their counters.

    Raises:
        LedgerError: the record is not one that a guard wrote.
    """
    try:
        for charge in record.fields.get("charges", ()):
            if "at_most" in charge:  # older records do not say it
                words, at_most, window = charge["limit"], charge["at_most"], charge["window"]
                places = charge.get("places", 0)
                if [type(words), *map(type, (at_most, window, places))] != [str, int, int, int]:
                    raise TypeError("a string or an integer is something else")
                calls, subject = "sum of " not in words, str(record.fields.get("subject", ""))
                use = LimitUse(words, at_most, 0, window, calls, places, subject)
                yield bytes.fromhex(charge["counter"]), use
    except (LookupError, TypeError, ValueError) as error:
        finding = "is not one that a guard wrote: hessra-agents log verify says more"
        raise LedgerError(f"record {record.index} of {record.origin} {finding}") from error


def _status(
    blocks: Sequence[Block], revocation_ids: Iterable[bytes], authority: str | None, now: int
) -> Steps[CapabilityStatus]:
    rows = yield from _revocations_of(revocation_ids, blocks[0].issued)
    uses = []
    for block in blocks:
        for handle, limit in block.limits:
            counter = limit_counter(limit, handle, block.id, authority)
            if counter is None:
                continue
            _, first = steps.window_slots(limit.window, now)
            ((used,),) = yield "used", (counter, first)
            of = "" if limit.tools is None else f" of {', '.join(map(safe_word, sorted(limit.tools)))}"
            described, calls = describe_limit(limit) + of, limit.argument is None
            uses.append(LimitUse(described, limit.at_most, int(used), limit.window, calls, limit.places))
    revoked_by = sorted((RevocationEntry(*row) for row in rows), key=lambda entry: entry.epoch)
    return CapabilityStatus(tuple(revoked_by), tuple(uses))


def _revocations_of(revocation_ids: Iterable[bytes], issued: int | None) -> Steps[list[Row]]:
    rows: list[Row] = []
    for id in dict.fromkeys(revocation_ids):
        rows += yield "revocation_of", (id,)
    # what does not say when it was issued falls with every moment
    rows += yield "revoked_before", (b"" if issued is None else int(issued).to_bytes(8, "big"),)
    return rows


def _rows(statement: str, *values: object) -> Steps[list[Row]]:
    return [*(yield statement, values)]


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
    for name, (_, _, issued, *_) in found.items():
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
                None if known_as is None else bytes(known_as).decode(),
                bool(vouched),
            )
            for name, (subject, holder, _, expires, known_as, vouched) in found.items()
            if parent[name] == under
        ]

    return trees(None)
