"""`Ledger`: what a guard remembers, written in two steps around every call.

1. `Ledger.admit`, before the tool, in one transaction: nothing that the call rests on is revoked, its proof
   and approvals were not used before, every limit has enough left, and the decision is recorded. If any of
   this fails, nothing is written and the tool does not run.
2. `Ledger.record`, after the tool: how the call ended.

A crash in between leaves "permitted, no outcome", which is the truth. Every call has an id of its own: if a
commit fails and nobody knows whether it was written, the admission is tried again and charged once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Self

import anyio

from ..errors import Denied
from ..keys.keys import KeyPair, PublicKey
from ..tokens.capability import Capability
from ..verify.permit import Permit
from . import records
from . import transactions as steps
from .approval_requests import ApprovalRequest, ApprovalVote
from .inspection import InspectableLedger
from .model import CountedRefusals, DeniedCall, Outcome, new_operation_id
from .opened import OpenStore, open_checked
from .revocations import Revocation, RevocationImpact
from .store.connection import Executor, Steps
from .strangers import StrangerCounts
from .transactions import SeenCapability

if TYPE_CHECKING:
    from .memory import ImmediateExecutor

__all__ = ["Ledger"]

_MAX_KNOWN = 4096
_MAX_REASON = 256


class Ledger(InspectableLedger):
    """The memory of one guard, or of several that share a store. Made by `open` or `memory`.

    Every method may be called from any task. Each raises `Denied` with ``unavailable`` if the store does not
    answer; whether something was written is then not known, and doing it again is safe.

    Protects, through crashes and across processes, from a second use of a proof or an approval, from more use
    than a limit grants, and from what was revoked. Does not protect from someone who can write both the store
    and the folder of its log, nor from a store that loses what it acknowledged.
    """

    def __init__(
        self,
        open_store: Callable[[Ledger], OpenStore | ImmediateExecutor],
        *,
        keeps_records: bool,
        keep_arguments: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._keeps_records = keeps_records
        super().__init__(lambda: open_store(self))
        self._keep_arguments = keep_arguments
        self._clock = clock
        self._known: dict[bytes, None] = {}  # capabilities that the store has, by their first revocation id
        self._strangers = StrangerCounts()

    @classmethod
    def memory(cls, capacity: int = 100_000, *, clock: Callable[[], float] = time.time) -> Self:
        """Return a ledger in this process: it forgets on restart, is shared with nobody and keeps no records.

        A proof lives 61 seconds, so a proof used just before a restart can be used once more just after it;
        limits start anew.

        Args:
            capacity: how many used proofs and approvals are remembered at a time; one holder gets at most a
                quarter. When it is full, calls with proofs are refused until old ones expire.
            clock: Unix seconds, for requests and revocations; a call brings the time of its guard.

        Raises:
            ValueError: the capacity is less than 1.
        """
        from .memory import ImmediateExecutor  # loads SQLite, which a guard without a ledger does not need

        executor = ImmediateExecutor(capacity)
        ledger = cls(lambda _: executor, keeps_records=False, clock=clock)
        ledger.executor, ledger.opened = executor, True
        return ledger

    @classmethod
    def open(
        cls,
        where: str | Path,
        *,
        durable: bool = True,
        keep_arguments: bool = False,
        state_dir: str | Path | None = None,
        checkpoints: str | Path | None = None,
        on_damage: Callable[[str], None] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> Self:
        """Return a ledger that survives: ``hessra.db``, or ``postgresql://...`` where many machines share it.

        Nothing is read or written before the ledger is used, or opened by `start` or ``async with``. What
        keeps it from being opened is then a `LedgerError`, or refuses the call as ``unavailable``.

        Args:
            where: the path of an SQLite file, which is created if needed, or a PostgreSQL address.
            durable: False is faster, and survives the end of the process but not a loss of power
                (``synchronous=NORMAL``).
            keep_arguments: keep the readable arguments of calls beside the records, which hold keyed hashes.
            state_dir: the folder for the log's key and checkpoint; by default beside the file, for PostgreSQL
                in the user's state folder.
            checkpoints: a file of older checkpoints that is kept elsewhere (``hessra-agents log checkpoints``
                writes it): the logs must hold those as well.
            on_damage: called with a message for each damaged log of another process, instead of raising. Only
                for revoking, which must not wait for a repair.
            clock: Unix seconds, for requests and revocations; a call brings the time of its guard.

        Raises:
            LedgerError: there can be no ledger at such a place.
        """
        from .store.opening import store_at  # loads SQLite

        store_at(where)

        def open_store(ledger: Ledger) -> OpenStore:
            connection, folder = store_at(where, durable=durable, state_dir=state_dir)
            opened = open_checked(connection, folder, checkpoints=checkpoints, on_damage=on_damage)
            revoked, appender, newest = opened
            return OpenStore(connection, revoked, appender, ledger.now, newest, ledger._record_counted)

        return cls(open_store, keeps_records=True, keep_arguments=keep_arguments, clock=clock)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(revocations={self.revoked.epoch if self.opened else '?'})"

    async def start(self) -> None:
        """Open the ledger now, and not at its first use; do nothing if it is open.

        Raises:
            LedgerError: the ledger cannot be opened, other users can reach it, or its store was altered or
                does not hold what this ledger's guards wrote.
            Denied: ``unavailable``: the ledger is closed.
        """
        await super().start()

    @property
    def keeps_records(self) -> bool:
        """Whether decisions and outcomes are recorded; if not, `record_denial` need not be called."""
        return self._keeps_records

    # --- revoking

    async def revoke(
        self,
        block: str | Capability | None = None,
        *,
        subject: str | None = None,
        key: PublicKey | None = None,
        root: PublicKey | None = None,
        before: int | None = None,
        reason: str = "",
    ) -> int:
        """Take something back for good, for every guard that shares this ledger.

        All that is built on a revoked block falls with it. The holder of the block before it can build anew:
        revoke that block, or the subject, to end both.

        Args:
            block: a block's id, or a capability, whose last block is meant.
            subject: everything issued or handed on to this name, or to a name below it.
            key: everything in whose chain this key holds, held or signed; its approvals as well.
            root: everything signed by this root key.
            before: everything issued before this moment (Unix seconds), or that does not say when it was.
            reason: for the record.

        Returns:
            The epoch of the revocation. Every call that begins after this returns is refused, in any process;
            `wait_for_epoch` tells when another process's list knows it as well.

        Raises:
            ValueError: nothing or several things are named, or the reason is not one short line.
        """
        revocation = Revocation.of(block=block, subject=subject, key=key, root=root, before=before)
        if len(reason) > _MAX_REASON or not reason.isprintable():
            raise ValueError(f"a reason is one line of at most {_MAX_REASON} printable characters")
        op, now = new_operation_id(), self.now()

        def write(again: bool) -> Steps[int]:
            epoch, new = yield from steps.revoke(revocation, reason, now)
            if new:
                body = records.revocation_record(revocation, epoch, reason, op, now)
                yield from self._append("revocation", op, body)
            return epoch

        epoch = await self.submit(write)
        if not self._keeps_records:  # in memory, where nothing polls
            await self.submit(lambda again: steps.learn_revocations(self.revoked))
            self.revoked.commit()
        return epoch

    async def revocation_impact(
        self,
        block: str | Capability | None = None,
        *,
        subject: str | None = None,
        key: PublicKey | None = None,
        root: PublicKey | None = None,
        before: int | None = None,
    ) -> RevocationImpact:
        """Count the live capabilities, holders and requests that `revoke` would end, as far as seen here."""
        revocation = Revocation.of(block=block, subject=subject, key=key, root=root, before=before)
        return await self.submit(lambda again: steps.revocation_impact(revocation, self.now()))

    async def wait_for_epoch(self, epoch: int, *, timeout: float = 5.0) -> None:  # noqa: ASYNC109 -- as documented
        """Wait until this process knows all revocations up to this epoch.

        Raises:
            TimeoutError: it does not within so many seconds.
        """
        try:
            with anyio.fail_after(timeout):
                while self.revoked.epoch < epoch:
                    await self.submit(lambda again: steps.learn_revocations(self.revoked))
                    if self.revoked.epoch < epoch:
                        await anyio.sleep(0.02)
        except Denied as denied:
            raise TimeoutError(f"epoch {epoch} is not known here, only {self.revoked.epoch}") from denied

    # --- approving

    async def requests(self, id: str | None = None) -> list[ApprovalRequest]:
        """Return the requests that lack an approval, oldest first, or the one with this id."""
        return await self.submit(lambda again: steps.requests(self.now(), id, self.revoked))

    async def approve(self, request: ApprovalRequest, *, key: KeyPair) -> ApprovalRequest:
        """Approve a call with this key, and return the request with this vote; it signs what was shown.

        Raises:
            ValueError: the request does not ask this key, or is over.
        """
        return await self.vote(request.id, request.approve(key, now=self.now()))

    async def reject(self, request: ApprovalRequest, *, key: KeyPair, reason: str = "") -> ApprovalRequest:
        """Reject a call with this key, which ends the request; the agent is told why. See `approve`."""
        return await self.vote(request.id, request.reject(key, now=self.now(), reason=reason))

    async def vote(self, id: str, vote: ApprovalVote) -> ApprovalRequest:
        """Add a signed vote, made here or elsewhere, to the request with this id.

        Raises:
            ValueError: there is no such request, it is over, or the vote does not count for it.
        """
        op, now = new_operation_id(), self.now()

        def write(again: bool) -> Steps[ApprovalRequest]:
            found = yield from steps.vote(id, vote, now, self.revoked)
            yield from self._append("vote", op, records.vote_record(found, vote, op, now))
            return found

        return await self.submit(write)

    # --- the path of a call

    async def request_approval(self, request: ApprovalRequest, capability: Capability) -> ApprovalRequest:
        """File a request for approvals, or return the open one for the same call under the same capability.

        Raises:
            Denied: ``not_approved``: too many requests wait already, or the arguments are too long to show.
        """
        seen = SeenCapability.of(capability)
        return await self.submit(lambda again: steps.request_approval(request, seen, self.revoked))

    async def approvals(self, call: bytes, chain: bytes, *, now: int) -> list[str]:
        """Return the unused approvals for this call (its digest) under this chain of blocks (its digest)."""
        return await self.submit(lambda again: steps.approvals(call, chain, now, self.revoked))

    async def admit(self, permit: Permit, operation_id: bytes) -> None:
        """Use up what the permit uses and record that the call is permitted, all or nothing.

        Args:
            permit: the decision.
            operation_id: the id of this one call (`new_operation_id`).

        Raises:
            Denied: ``revoked``, ``stale``, ``replayed`` (a proof), ``spent`` (an approval or a limit),
                ``not_approved`` (an approver is among the holders), ``unavailable``.
        """
        if not self.opened:
            await self.start()
        seen = permit.revocation_ids[0]
        record = None
        if self._keeps_records:
            record = records.permit_record(permit, operation_id, keep_arguments=self._keep_arguments)
        elif not permit.spends and not permit.charges and seen in self._known:
            self.revoked.check(permit.revocation_ids, permit.issued)
            return  # there is nothing to write
        elif permit.time != self.executor.latest:
            # in memory, where nothing runs when idle; by itself, as a refused call's transaction is undone
            await self.submit(lambda again: steps.expire(permit.time))
        self.executor.latest = permit.time
        locks = [one.counter for one in permit.charges] + [one.name for one in permit.spends]
        await self.executor.submit(
            partial(self._admit, permit, operation_id, record),
            locks=tuple(locks),
            undo=partial(self._outcome, operation_id, permit.time, Outcome.NOT_RUN),
        )
        if len(self._known) >= _MAX_KNOWN:
            self._known.clear()
        self._known[seen] = None

    def _admit(
        self, permit: Permit, operation_id: bytes, record: tuple[bytes, records.Opening] | None, again: bool
    ) -> Steps[None]:
        if again and (yield from self._contains("decision", operation_id)):
            return
        yield from steps.admit(permit, operation_id, self.revoked)
        if permit.revocation_ids[0] not in self._known:
            yield from steps.remember_capability(SeenCapability.of(permit.capability))
        if record is not None:
            yield from self._append("decision", operation_id, *record)

    def record(self, permit: Permit, operation_id: bytes, outcome: Outcome) -> None:
        """Record how an admitted call ended, with the next commit, and refund what the outcome refunds.

        Nobody waits for it: a crash can lose an outcome, and the record then says "permitted, no outcome".
        """
        self.executor.submit_nowait(partial(self._outcome, operation_id, permit.time, outcome))

    def _outcome(self, operation_id: bytes, time: int, outcome: Outcome, again: bool) -> Steps[None]:
        if again and (yield from self._contains("outcome", operation_id)):
            return
        not_run = outcome is Outcome.NOT_RUN
        if not_run and self._keeps_records and not (yield from self._contains("decision", operation_id)):
            return  # the permission was never written
        if not_run or outcome is Outcome.FAILED:
            yield from steps.refund(operation_id)
        yield from self._append("outcome", operation_id, records.outcome_record(operation_id, time, outcome))

    async def record_denial(self, denied: DeniedCall, operation_id: bytes) -> None:
        """Record that a call was refused; refusals of calls with no readable capability are counted."""
        if denied.capability is None:
            for counted in self._strangers.add(denied, self.now()):
                await self.submit(self._counted(counted))
            return
        record = records.denial_record(denied, operation_id, keep_arguments=self._keep_arguments)
        await self.submit(partial(self._refusal, operation_id, record))

    def _counted(self, counted: CountedRefusals) -> Callable[[bool], Steps[None]]:
        op = new_operation_id()
        return partial(self._refusal, op, records.counted_record(counted, op))

    def _refusal(self, op: bytes, record: tuple[bytes, records.Opening], again: bool) -> Steps[None]:
        if not (again and (yield from self._contains("decision", op))):
            yield from self._append("decision", op, *record)

    def _append(self, kind: str, op: bytes, body: bytes, opening: bytes | None = None) -> Steps[None]:
        if self.executor.appender is not None:
            yield from self.executor.appender.append(kind, op, body, opening)

    def _contains(self, kind: str, op: bytes) -> Steps[bool]:
        appender = self.executor.appender
        return appender is not None and (yield from appender.contains(kind, op))

    def _record_counted(self, executor: Executor, counts: Iterable[CountedRefusals] | None = None) -> None:
        """Have the refusals to strangers recorded that are due."""
        for counted in self._strangers.due(self.now()) if counts is None else counts:
            executor.submit_nowait(self._counted(counted))

    async def aclose(self) -> None:
        """Write what is still waiting and the last checkpoint, and close the store. Closing twice is fine."""
        if self.opened:
            self._record_counted(self.executor, self._strangers.rest())
        await super().aclose()
