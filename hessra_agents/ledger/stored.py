"""`StoredLedger`: a ledger whose memory is a store. What it does there is in `steps`, how in `writer`."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol, TypeVar

import anyio

from ..errors import Denied
from ..tokens.capability import Capability
from ..verify.permit import Permit
from . import records
from . import transactions as steps
from .approval_requests import ApprovalRequest, ApprovalVote
from .log.appender import LogAppender
from .protocol import DeniedCall, Ledger, Outcome, new_operation_id
from .revocations import Revocation, RevocationImpact, RevocationList
from .store.connection import Steps
from .store.writer import Writer
from .transactions import SeenCapability

__all__ = ["FORGET_EVERY", "Executor", "StoredLedger"]

FORGET_EVERY = 10.0
"""Seconds between two times of forgetting what has ended."""

_MARGIN = 120
"""Seconds by which the clocks of guards that share a store may differ, before one forgets for the other."""

_MOST_KNOWN = 4096

T = TypeVar("T")


class Executor(Protocol):
    """What runs steps: a `Writer`, or at once in memory."""

    async def submit(
        self,
        steps: Callable[[bool], Steps[T]],
        *,
        locks: tuple[bytes, ...] = (),
        undo: Callable[[bool], Steps[Any]] | None = None,
    ) -> T:
        """Run steps, and return what they return."""
        ...

    def submit_nowait(self, steps: Callable[[bool], Steps[Any]]) -> None:
        """Run steps later, in order."""
        ...


class StoredLedger(Ledger):
    """A ledger on a store. Made by `Ledger.open`.

    Protects, with its store and the folder of its log, from a second use of a statement, from more use than
    a limit grants, and from what was revoked, through crashes and over processes. Does not protect from
    whoever can write both the store and that folder, nor from a store that loses what it acknowledged.
    """

    def __init__(
        self,
        writer: Callable[[StoredLedger], Executor],
        journal: LogAppender | None,
        revoked: RevocationList,
        *,
        poll: float,
        keep_arguments: bool,
    ) -> None:
        self.revoked = revoked
        self._journal = journal
        self._clear = keep_arguments
        self._known: dict[bytes, None] = {}
        self._latest = 0
        self._forgot = self._polled = time.monotonic()
        self._poll = poll
        revoked.commit()
        self._writer = writer(self)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(revocations={self.revoked.epoch})"

    async def admit(self, permit: Permit, operation_id: bytes) -> None:
        """Take what the permit takes, and write that the call is permitted, in one transaction."""
        body, opening = records.permit_record(permit, operation_id, keep_arguments=self._clear)
        self._latest = max(self._latest, permit.time)
        locks = [one.counter for one in permit.charges] + [one.name for one in permit.spends]
        await self._writer.submit(
            partial(self._admit, permit, operation_id, body, opening),
            locks=tuple(locks),
            undo=partial(self._outcome, operation_id, permit.time, Outcome.NOT_RUN),
        )

    def _admit(
        self, permit: Permit, operation_id: bytes, body: bytes, opening: bytes, again: bool
    ) -> Steps[None]:
        if again and (yield "entry_of", (operation_id, "decision")):
            return
        yield from steps.admit(permit, operation_id, self.revoked)
        if permit.revocation_ids[0] not in self._known:
            yield from self._note(SeenCapability.of(permit))
        yield from self._append("decision", operation_id, body, opening)

    def _note(self, seen: SeenCapability) -> Steps[None]:
        if seen.revocation_ids[0] not in self._known:
            yield from steps.remember_capability(seen)
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            self._known[seen.revocation_ids[0]] = None

    def _append(
        self, kind: str, operation_id: bytes, body: bytes, opening: bytes | None = None
    ) -> Steps[None]:
        if self._journal is not None:
            yield from self._journal.append(kind, operation_id, body, opening)

    def record(self, permit: Permit, operation_id: bytes, outcome: Outcome) -> None:
        """Write the outcome with the next commit; give back what is to be given back.

        Nobody waits for it: what is lost in a crash is an outcome, and "permitted, no outcome" is said then.
        """
        self._writer.submit_nowait(partial(self._outcome, operation_id, permit.time, outcome))

    def _outcome(self, operation_id: bytes, time: int, outcome: Outcome, again: bool) -> Steps[None]:
        if again and (yield "entry_of", (operation_id, "outcome")):
            return
        if outcome is Outcome.NOT_RUN and not (yield "entry_of", (operation_id, "decision")):
            return  # it was never written that it may run
        if outcome in (Outcome.FAILED, Outcome.NOT_RUN):
            yield from steps.refund(operation_id)
        yield from self._append("outcome", operation_id, records.outcome_record(operation_id, time, outcome))

    async def record_denial(self, refusal: DeniedCall, operation_id: bytes) -> None:
        """Write that a call was refused."""
        body, opening = records.denial_record(refusal, operation_id, keep_arguments=self._clear)

        def write(again: bool) -> Steps[None]:
            if again and (yield "entry_of", (operation_id, "decision")):
                return
            yield from self._append("decision", operation_id, body, opening)

        await self._writer.submit(write)

    async def revoke(self, revocation: Revocation, *, reason: str = "") -> int:
        """Take something back for good."""
        if len(reason) > 256 or not reason.isprintable():
            raise ValueError("a reason is one line of at most 256 printable characters")
        op, now = new_operation_id(), int(time.time())

        def write(again: bool) -> Steps[int]:
            epoch, new = yield from steps.revoke(revocation, reason, now)
            if new:
                said = records.revocation_record(revocation, epoch, reason, op, now)
                yield from self._append("revocation", op, said)
            return epoch

        return await self._writer.submit(write)

    async def revocation_impact(self, revocation: Revocation, *, now: int) -> RevocationImpact:
        """What a revocation would end."""
        return await self._writer.submit(lambda again: steps.revocation_impact(revocation, now))

    async def wait_for_epoch(self, epoch: int, *, timeout: float = 5.0) -> None:  # noqa: ASYNC109 -- as documented
        """Wait until all revocations up to this one are known here."""
        try:
            with anyio.fail_after(timeout):
                while self.revoked.epoch < epoch:
                    await self._writer.submit(lambda again: steps.learn_revocations(self.revoked))
                    if self.revoked.epoch < epoch:
                        await anyio.sleep(0.02)
        except Denied as denied:
            raise TimeoutError(f"epoch {epoch} is not known here, only {self.revoked.epoch}") from denied

    async def request_approval(self, request: ApprovalRequest, capability: Capability) -> ApprovalRequest:
        """File a request for approvals."""
        seen = SeenCapability.of(capability)
        return await self._writer.submit(lambda again: steps.request_approval(request, seen, self.revoked))

    async def requests(self, *, now: int, id: str | None = None) -> list[ApprovalRequest]:
        """The requests that wait, or one."""
        return await self._writer.submit(lambda again: steps.requests(now, id))

    async def vote(self, id: str, vote: ApprovalVote, *, now: int) -> ApprovalRequest:
        """Add what an approver says."""
        op = new_operation_id()

        def write(again: bool) -> Steps[ApprovalRequest]:
            found = yield from steps.vote(id, vote, now, self.revoked)
            yield from self._append("vote", op, records.vote_record(found, vote, op, now))
            return found

        return await self._writer.submit(write)

    async def approvals(self, call: bytes, chain: bytes, *, now: int) -> list[str]:
        """The approvals that were given for a call."""
        return await self._writer.submit(lambda again: steps.approvals(call, chain, now, self.revoked))

    async def aclose(self) -> None:
        """Write what waits, sign the log's head, let go of the store."""
        if isinstance(self._writer, Writer):
            await self._writer.aclose()
        if self._journal is not None:
            self._journal.write_checkpoint(now=True)
            self._journal.slot.release()

    def on_rollback(self) -> None:
        """In the writer's thread: a transaction was lost, and what was thought to be written with it."""
        self._known.clear()
        self.revoked.rollback()
        if self._journal is not None:
            self._journal.reset()

    def on_idle(self, writer: Writer) -> None:
        """In the writer's thread: the log's head, what others revoked, what has ended."""
        self.revoked.commit()
        if self._journal is not None:
            self._journal.write_checkpoint()
        now = time.monotonic()
        if writer.notified or now - self._polled >= self._poll:
            self._polled = now
            try:
                writer.run(lambda again: steps.learn_revocations(self.revoked))
                self.revoked.commit()
            except Denied as denied:
                raise RuntimeError(denied.detail) from denied
        if now - self._forgot >= FORGET_EVERY and self._latest:
            self._forgot = now
            writer.run(lambda again: steps.expire(self._latest - _MARGIN))
