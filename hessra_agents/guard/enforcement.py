"""Enforce the decision on one call: decide, admit, re-check, record.

An `Enforcement` is one call from the decision to the record of its outcome. The runner of the call takes the
steps in this order, and does what only the runner can between them (`invocation` for tools, the block of
``async with guard.permit(...)`` for everything else).

1. `decide` asks the verifier, which is pure, and adds approvals that the ledger holds for this call.
2. The runner checks the arguments against the tool's own types.
3. `admit` takes from the ledger what the call uses up, or files a request if approvals are missing.
4. `recheck` checks again what may have changed while the call waited.
5. `finish` has the outcome recorded, without waiting for the record.

Every failure in steps 1 to 4 is a refusal, and `refuse` has it recorded. A plain function needs a thread, for
which `place` waits before step 3.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, suppress
from functools import partial
from types import TracebackType

from ..call.call import Call
from ..call.templates import as_granted
from ..cancellation import is_cancelled, run_to_end
from ..errors import Denied, Reason
from ..grants.clauses import Pattern
from ..ledger.model import DeniedCall, Outcome, new_operation_id
from ..tokens.capability import Capability
from ..tokens.statements import Approval, Proof, chain_digest
from ..verify.attestations import MAX_APPROVALS
from ..verify.matcher import program
from ..verify.permit import Permit
from ..verify.verifier import Possession, check_exposure, check_time, verify
from .presented import Presented, read_approvals
from .session import Session
from .settings import CapabilityReader, GuardSettings, as_denied, log
from .telemetry import CallSpan, call_span
from .threads import ThreadPlace

__all__ = ["Enforcement", "PermittedBlock", "decide"]


class Enforcement:
    """One call on its way through a guard; for one use."""

    __slots__ = (
        "_admitted", "_bounds", "_capability", "_epoch", "_late", "_operation_id", "_permit", "_presented",
        "_reader", "_session", "_settings", "_span", "_unapproved", "_used_votes", "asked", "began", "call",
    )  # fmt: skip

    def __init__(self, settings: GuardSettings, presented: Presented, session: Session | None) -> None:
        self._settings = settings
        self._presented = presented
        self._session = session
        # mostly random, so that no other call has the same
        self._operation_id = new_operation_id() if settings.ledger is not None else b""
        self._capability: Capability | None = None
        self._reader: CapabilityReader | None = None
        self.call: Call | None = None  # once it is being decided, as the capability names it
        self.asked: Call | None = None
        self._bounds: tuple[Pattern, ...] = ()
        self._permit: Permit | None = None
        self._unapproved: Denied | None = None
        self._used_votes = self._admitted = False
        self.began = False
        """Whether the call counts as run; its runner says so."""
        self._late: Denied | None = None
        self._epoch = 0  # of the revocations that the last decision knew
        self._span: CallSpan | None = None

    def read(self) -> None:
        """Read the capability that the call presents.

        Raises:
            Denied: there is none, or it cannot be read.
        """
        capability, reader = self._presented.capability, self._presented.reader
        if reader is None or not isinstance(capability, Capability):
            reader = self._settings.reader
            capability = reader.read(capability)
        self._capability, self._reader = capability, reader

    async def decide(self, call: Call, bounds: tuple[Pattern, ...] = ()) -> None:
        """Take step 1: decide, with the approvals that the ledger holds as well.

        If only approvals are missing, return: `admit` requests them, once step 2 has passed.

        Args:
            bounds: the tool's own patterns, which hold whatever the capability says.

        Raises:
            Denied: the call is refused.
        """
        self.call, self.asked, self._bounds = call, call, bounds
        self._span = call_span(self._settings, call)
        if (ledger := self._settings.ledger) is not None and not ledger.opened:
            await ledger.ready()
        if self._capability is None:
            self.read()
        self._permit = await self.decided()

    async def place(self) -> ThreadPlace:
        """Take a place for the thread in which the call is to run; after a wait, decide again.

        The agent whose share it counts against is known by what its issuer wrote: the subject and the first
        holder, which no delegation changes.

        Raises:
            Denied: too many calls wait, or this call has waited too long.
        """
        capability = self._capability
        assert capability is not None
        first = capability.blocks[0]
        agent = capability.root.data, capability.subject, first.holder.key if first.holder else None
        place = self._settings.threads.request(agent)
        if place.granted:
            return place
        await place.wait()
        try:
            self.check_trust()
            self._permit = await self.decided()
        except BaseException:
            place.give_back()
            raise
        return place

    async def admit(self) -> Permit:
        """Take step 3: take from the ledger what the call uses up, and have its admission recorded.

        Raises:
            Denied: something is used up or revoked, the ledger cannot be reached, or approvals are missing:
                then ``denied.request`` names the request that was filed for them.
        """
        permit, ledger = self._permit or await self._request_approval(), self._settings.ledger
        if ledger is None:
            if permit.spends or permit.charges:
                what = "proofs or approvals" if permit.spends else "capabilities with limits"
                raise Denied(Reason.UNAVAILABLE, f"this guard keeps no ledger, so it accepts no {what}")
            return permit
        if self._span is not None:
            self._span.waits()
        try:
            await ledger.admit(permit, self._operation_id)
        except Denied as denied:
            if denied.reason is not Reason.SPENT or not self._used_votes:
                raise
            # another call may have used the votes since they were read: decide without them
            permit = self._permit = await self.decided() or await self._request_approval()
            await ledger.admit(permit, self._operation_id)
        self._admitted = True
        return permit

    def recheck(self, *, exposure: bool = True) -> None:
        """Take step 4: check again what may have changed while the call waited.

        That is the time, the revocations, the trust, and what the session has seen. The runner calls this
        after the ledger has admitted the call, in the thread that runs it, and between the items of a stream.

        Args:
            exposure: whether what the session has seen counts; a stream that was begun goes on.

        Raises:
            Denied: the call must not run, or go on.
        """
        settings, session, call = self._settings, self._session, self.call
        assert call is not None
        try:
            capability = self.check_trust()
            compiled, now = program(capability), int(settings.clock())
            if not compiled.starts <= now < capability.expires:
                check_time(capability, now)
            ledger = settings.ledger
            if ledger is not None and (self.began or ledger.revoked.epoch != self._epoch):
                ledger.revoked.check(capability.revocation_ids, capability.blocks[0].issued)
            if exposure and compiled.watched and session is not None:
                check_exposure(capability, call, session.labels)
        except Exception as error:
            self._late = as_denied(error, call.tool)
            raise self._late from self._late.__cause__

    def check_trust(self) -> Capability:
        """Return the capability, which is read again if the guard's trust was replaced since."""
        reader = self._settings.reader
        if reader is not self._reader or self._capability is None:
            self._capability, self._reader = reader.read(self._capability), reader
        return self._capability

    def permitted(self) -> None:
        """Report to telemetry that the call may run."""
        if self._span is not None and self._permit is not None:
            self._span.decided("permitted", self._permit.subject)

    async def refuse(self, error: Exception, tool: str, call: Call | None = None) -> Denied:
        """Record the refusal for an error in steps 1 to 4, and return it; ``call`` if none was decided on."""
        denied = as_denied(error, tool)
        self.call = self.call or call
        try:
            if self._admitted:
                self._record(Outcome.NOT_RUN)
            else:
                await self._record_denial(denied)
        finally:  # also where asyncio itself cancels the task, from which nothing shields
            if self._span is not None:
                self._span.decided(str(denied.reason))
                self._span.end()
        return denied

    def abandon(self) -> None:
        """End a call that was cancelled before it could run; the ledger undoes an admission that is late."""
        if self._span is not None:
            self._span.end()

    def finish(self, error: BaseException | None, *, broken_off: bool = False) -> None:
        """Take step 5: have the outcome recorded.

        A call that its caller or this guard broke off is cancelled, whatever the tool makes of that.

        Args:
            error: what the call raised; None if it returned.
            broken_off: whether the caller ended the call.
        """
        late = error is not None and error is self._late
        if isinstance(error, Denied) and not late:
            error.from_tool = True
        if not self.began:
            outcome = Outcome.NOT_RUN
        elif error is None:
            outcome = Outcome.DONE
        elif late or broken_off or not isinstance(error, Exception) or is_cancelled():
            outcome = Outcome.CANCELLED
        else:
            outcome = Outcome.FAILED
        try:
            self._record(outcome)
        finally:
            if self._span is not None:
                self._span.end(error)

    async def decided(self) -> Permit | None:
        """Return the permit, None if only approvals are missing, or raise `Denied`."""
        presented, ledger = self._presented, self._settings.ledger
        try:
            return self.verified(presented)
        except Denied as denied:
            if denied.reason is not Reason.NOT_APPROVED or ledger is None:
                raise
            self._unapproved = denied
        call, capability = self.call, self._capability
        assert call is not None
        assert capability is not None
        now = self._settings.now()
        stored = await ledger.approvals(call.digest, chain_digest(capability.ids), now=now)
        # an approval that has expired does not count: its approver may vote again
        votes = [vote for vote in map(Approval.parse, stored) if now < vote.expires]
        if not votes:
            return None
        try:
            permit = self.verified(presented.with_approvals([*presented.approvals, *votes][:MAX_APPROVALS]))
        except Denied as denied:
            if denied.reason is not Reason.NOT_APPROVED:
                raise
            return None
        self._used_votes = True
        return permit

    def verified(self, presented: Presented) -> Permit:
        """Return the verifier's permit for the capability that was read, or raise `Denied`."""
        assert self._capability is not None
        assert self.asked is not None
        if self.asked.operation == "read":
            self.call = as_granted(self.asked, self._capability.blocks[0].rights)
            if self._span is not None:
                self._span.names(self.call)
        assert self.call is not None
        if self._settings.ledger is not None:
            self._epoch = self._settings.ledger.revoked.epoch
        return decide(self._settings, presented, self._capability, self.call, self._session, self._bounds)

    async def _request_approval(self) -> Permit:
        """File a request for the missing approvals, and raise `Denied`: without them there is no permit."""
        from ..ledger.approval_requests import ApprovalRequest  # which few guards ever need

        ledger, capability, call = self._settings.ledger, self._capability, self.call
        assert ledger is not None
        assert capability is not None
        assert call is not None
        filed = ApprovalRequest.of(capability, call, now=self._settings.now())
        request = await ledger.request_approval(filed, capability)
        text = f"this call waits for approval, request {request.id}: make the same call again once approved"
        if request.state == "rejected":
            text = f"an approver has rejected this call, request {request.id}"
            because = filed.rejected_because(request)
            text += f", because: {because!r}" if because else ""
        raise Denied(Reason.NOT_APPROVED, text, request=request.id) from self._unapproved

    def _record(self, outcome: Outcome) -> None:
        permit, ledger = self._permit, self._settings.ledger
        if ledger is None or permit is None:
            return
        if ledger.keeps_records or (permit.charges and any(charge.refund for charge in permit.charges)):
            try:
                ledger.record(permit, self._operation_id, outcome)
            except Exception:
                # the tool has run, and hiding its result would not undo that
                log().exception("the outcome of a call could not be recorded")

    async def _record_denial(self, denied: Denied) -> None:
        """Have a refusal recorded. It stands whether or not it can be recorded."""
        settings, ledger = self._settings, self._settings.ledger
        if ledger is None or not ledger.keeps_records or denied.reason in (Reason.UNAVAILABLE, Reason.STALE):
            return
        if self._capability is None:
            with suppress(Denied):  # the record then names no capability
                self.read()
        try:
            call = DeniedCall(denied, settings.audience, settings.now(), self.call, self._capability)
            await run_to_end(partial(ledger.record_denial, call, self._operation_id))
        except Exception as error:
            log().warning("a refusal could not be recorded: %s", error)


class PermittedBlock(AbstractAsyncContextManager[Permit]):
    """A block that runs a call of something that is not a tool of this guard: see `Guard.permit`."""

    __slots__ = ("_call", "_enforcement", "_validate")

    def __init__(
        self, enforcement: Enforcement, call: Call, validate: Callable[[Call], object] | None
    ) -> None:
        self._enforcement = enforcement
        self._call = call
        self._validate = validate

    async def __aenter__(self) -> Permit:
        enforcement, call = self._enforcement, self._call
        try:
            await enforcement.decide(call)
            if self._validate is not None:
                self._validate(call)
            permit = await enforcement.admit()
            enforcement.recheck()
        except Exception as error:
            denied = await enforcement.refuse(error, call.tool)
            raise denied from denied.__cause__
        except BaseException:
            enforcement.abandon()
            raise
        enforcement.permitted()
        enforcement.began = True
        return permit

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._enforcement.finish(error)


def decide(
    settings: GuardSettings,
    presented: Presented,
    capability: Capability,
    call: Call,
    session: Session | None,
    bounds: tuple[Pattern, ...] = (),
) -> Permit:
    """Return the permit that the verifier gives by these settings, now.

    Args:
        presented: the proof and the approvals.
        capability: the presented capability, as these settings read it.

    Raises:
        Denied: the verifier refuses, or the capability is revoked.
    """
    proof = presented.proof
    permit = verify(
        capability,
        call,
        now=int(settings.clock()),
        audience=settings.audience,
        proof=proof if proof is None or isinstance(proof, (Proof, Possession)) else Proof.parse(proof),
        approvals=read_approvals(presented.approvals) if presented.approvals != () else (),
        designations=settings.designations,
        require_designations=settings.require_designations,
        bounds=bounds,
        cross_check=settings.cross_check,
        results=None if session is None else session.result_lookup(),
        labels=None if session is None else session.labels,
    )
    if settings.ledger is not None:
        # by what this process knows; the ledger asks its store when it admits the call
        settings.ledger.revoked.check(permit.revocation_ids, permit.issued)
    return permit
