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
from .approval_requests import Request, Vote
from .log.appender import Journal
from .protocol import Ledger, Outcome, Refusal, new_op
from .revocations import Reach, Revocation, Revoked
from .store.connection import Steps
from .store.writer import Writer
from .transactions import Seen

__all__ = ["FORGET_EVERY", "StoredLedger", "Submits"]

FORGET_EVERY = 10.0
"""Seconds between two times of forgetting what has ended."""

_MARGIN = 120
"""Seconds by which the clocks of guards that share a store may differ, before one forgets for the other."""

_MOST_KNOWN = 4096

T = TypeVar("T")


class Submits(Protocol):
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

    def hand_over(self, steps: Callable[[bool], Steps[Any]]) -> None:
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
        writer: Callable[[StoredLedger], Submits],
        journal: Journal | None,
        revoked: Revoked,
        *,
        poll: float,
        clear: bool,
    ) -> None:
        self.revoked = revoked
        self._journal = journal
        self._clear = clear
        self._known: dict[bytes, None] = {}
        self._latest = 0
        self._forgot = self._polled = time.monotonic()
        self._poll = poll
        revoked.sure()
        self._writer = writer(self)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(revocations={self.revoked.epoch})"

    async def admit(self, permit: Permit, op: bytes) -> None:
        """Take what the permit takes, and write that the call is permitted, in one transaction."""
        body, opening = records.of_permit(permit, op, clear=self._clear)
        self._latest = max(self._latest, permit.time)
        locks = [one.counter for one in permit.charges] + [one.name for one in permit.spends]
        await self._writer.submit(
            partial(self._admit, permit, op, body, opening),
            locks=tuple(locks),
            undo=partial(self._outcome, op, permit.time, Outcome.NOT_RUN),
        )

    def _admit(self, permit: Permit, op: bytes, body: bytes, opening: bytes, again: bool) -> Steps[None]:
        if again and (yield "entry_of", (op, "decision")):
            return
        yield from steps.take(permit, op, self.revoked)
        if permit.marks[0] not in self._known:
            yield from self._note(Seen.of(permit))
        yield from self._append("decision", op, body, opening)

    def _note(self, seen: Seen) -> Steps[None]:
        if seen.marks[0] not in self._known:
            yield from steps.note(seen)
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            self._known[seen.marks[0]] = None

    def _append(self, kind: str, op: bytes, body: bytes, opening: bytes | None = None) -> Steps[None]:
        if self._journal is not None:
            yield from self._journal.append(kind, op, body, opening)

    def record(self, permit: Permit, op: bytes, outcome: Outcome) -> None:
        """Write the outcome with the next commit; give back what is to be given back.

        Nobody waits for it: what is lost in a crash is an outcome, and "permitted, no outcome" is said then.
        """
        self._writer.hand_over(partial(self._outcome, op, permit.time, outcome))

    def _outcome(self, op: bytes, time: int, outcome: Outcome, again: bool) -> Steps[None]:
        if again and (yield "entry_of", (op, "outcome")):
            return
        if outcome is Outcome.NOT_RUN and not (yield "entry_of", (op, "decision")):
            return  # it was never written that it may run
        if outcome in (Outcome.FAILED, Outcome.NOT_RUN):
            yield from steps.refund(op)
        yield from self._append("outcome", op, records.of_outcome(op, time, outcome))

    async def refused(self, refusal: Refusal, op: bytes) -> None:
        """Write that a call was refused."""
        body, opening = records.of_refusal(refusal, op, clear=self._clear)

        def write(again: bool) -> Steps[None]:
            if again and (yield "entry_of", (op, "decision")):
                return
            yield from self._append("decision", op, body, opening)

        await self._writer.submit(write)

    async def revoke(self, revocation: Revocation, *, reason: str = "") -> int:
        """Take something back for good."""
        if len(reason) > 256 or not reason.isprintable():
            raise ValueError("a reason is one line of at most 256 printable characters")
        op, now = new_op(), int(time.time())

        def write(again: bool) -> Steps[int]:
            epoch, new = yield from steps.revoke(revocation, reason, now)
            if new:
                said = records.of_revocation(revocation, epoch, reason, op, now)
                yield from self._append("revocation", op, said)
            return epoch

        return await self._writer.submit(write)

    async def reach(self, revocation: Revocation, *, now: int) -> Reach:
        """What a revocation would end."""
        return await self._writer.submit(lambda again: steps.reach(revocation, now))

    async def wait_for_epoch(self, epoch: int, *, within: float = 5.0) -> None:
        """Wait until all revocations up to this one are known here."""
        try:
            with anyio.fail_after(within):
                while self.revoked.epoch < epoch:
                    await self._writer.submit(lambda again: steps.learn(self.revoked))
                    if self.revoked.epoch < epoch:
                        await anyio.sleep(0.02)
        except Denied as denied:
            raise TimeoutError(f"epoch {epoch} is not known here, only {self.revoked.epoch}") from denied

    async def ask(self, request: Request, capability: Capability) -> Request:
        """File a request for approvals."""
        seen = Seen.of(capability)
        return await self._writer.submit(lambda again: steps.ask(request, seen, self.revoked))

    async def requests(self, *, now: int, id: str | None = None) -> list[Request]:
        """The requests that wait, or one."""
        return await self._writer.submit(lambda again: steps.requests(now, id))

    async def vote(self, id: str, vote: Vote, *, now: int) -> Request:
        """Add what an approver says."""
        op = new_op()

        def write(again: bool) -> Steps[Request]:
            found = yield from steps.vote(id, vote, now, self.revoked)
            yield from self._append("vote", op, records.of_vote(found, vote, op, now))
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
            self._journal.head(now=True)
            self._journal.slot.release()

    def lost(self) -> None:
        """In the writer's thread: a transaction was lost, and what was thought to be written with it."""
        self._known.clear()
        self.revoked.unlearn()
        if self._journal is not None:
            self._journal.lost()

    def between(self, writer: Writer) -> None:
        """In the writer's thread: the log's head, what others revoked, what has ended."""
        self.revoked.sure()
        if self._journal is not None:
            self._journal.head()
        now = time.monotonic()
        if writer.hinted or now - self._polled >= self._poll:
            self._polled = now
            try:
                writer.run(lambda again: steps.learn(self.revoked))
                self.revoked.sure()
            except Denied as denied:
                raise RuntimeError(denied.detail) from denied
        if now - self._forgot >= FORGET_EVERY and self._latest:
            self._forgot = now
            writer.run(lambda again: steps.forget(self._latest - _MARGIN))
