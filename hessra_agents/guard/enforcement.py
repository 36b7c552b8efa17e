"""`Permitted`: one call from the decision to the record of its outcome."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractAsyncContextManager
from itertools import islice
from types import TracebackType
from typing import TYPE_CHECKING

from ..call.call import Call
from ..errors import Denied, Reason
from ..grants.clauses import Pattern
from ..ledger.approval_requests import ApprovalRequest
from ..ledger.protocol import Outcome, new_operation_id
from ..tokens.capability import Capability
from ..tokens.statements import Approval, Proof, chain_digest
from ..verify.attestations import MAX_APPROVALS
from ..verify.matcher import program
from ..verify.permit import Permit
from ..verify.verifier import Possession, check_exposure
from .session import Session
from .telemetry import CallSpan, call_span

if TYPE_CHECKING:
    from .deciding import Decider

__all__ = ["Permitted", "kept"]


def kept(approvals: Iterable[Approval | str]) -> Iterable[Approval | str]:
    """The same, so that they can be read more than once; of an iterator no more than one too many."""
    return list(islice(approvals, MAX_APPROVALS + 1)) if isinstance(approvals, Iterator) else approvals


class Permitted(AbstractAsyncContextManager[Permit]):
    """Steps 1 to 3 where it is entered, 5 where it is left; in between, the call may run."""

    __slots__ = (
        "_approvals", "_bounds", "_call", "_capability", "_check", "_decider", "_found", "_late", "_op",
        "_permit", "_proof", "_session", "_telling", "_voted",
    )  # fmt: skip

    def __init__(
        self,
        decider: Decider,
        capability: Capability | str | None,
        call: Call,
        proof: Proof | Possession | str | None,
        approvals: Iterable[Approval | str],
        check: Callable[[Call], object] | None,
        bounds: tuple[Pattern, ...],
        session: Session | None = None,
    ) -> None:
        self._decider = decider
        self._capability = capability
        self._call = call
        self._proof = proof
        self._approvals = approvals if type(approvals) is tuple else kept(approvals)
        self._voted = False
        self._check = check
        self._bounds = bounds
        self._session = session
        self._op = new_operation_id() if decider._ledger is not None else b""  # which nobody else asks for
        self._telling: CallSpan | None = None
        self._found: Capability | None = None
        self._permit: Permit | None = None
        self._late: Denied | None = None

    async def __aenter__(self) -> Permit:
        decider = self._decider
        self._telling = call_span(decider, self._call)
        try:
            self._permit = await self._admitted()
            self.begin()
        except Exception as error:
            denied = decider._refused(error, self._call.tool)
            if self._permit is None:
                await decider._record_refusal(denied, self._call, self._capability, self._op)
            else:  # which the ledger has, as a call that may run
                self._record(self._permit, Outcome.NOT_RUN)
            if self._telling:
                self._telling.decided(str(denied.reason))
                self._telling.end()
            raise denied from denied.__cause__
        except BaseException:
            if self._telling:
                self._telling.end()
            raise
        if self._telling:
            self._telling.decided("permitted", self._permit.subject)
        return self._permit

    def begin(self) -> None:
        """What the session has seen while the call waited, for the ledger or for a thread, counts, too.

        For whoever runs the call, once more, where it still had to wait; from any thread.

        Raises:
            Denied: ``exposed``; the call must not run, and is on record as one that did not.
        """
        if self._session is None or self._found is None or not program(self._found).watched:
            return
        try:
            check_exposure(self._found, self._call, self._session.labels)
        except Denied as denied:
            self._late = denied.for_tool(self._call.tool)
            raise

    async def _admitted(self) -> Permit:
        """Steps 1 to 3."""
        permit = await self._decided()
        if self._telling:
            self._telling.waits()
        try:
            await self._decider._spend(permit, self._op)
        except Denied as denied:
            if denied.reason is not Reason.SPENT or not self._voted:
                raise
            # the same call, made twice at a time, may have used the votes: then there is a new request
            permit = await self._decided()
            await self._decider._spend(permit, self._op)
        return permit

    async def _decided(self) -> Permit:
        """Steps 1 and 2."""
        decider, found = self._decider, self._capability
        if not isinstance(found, Capability):
            found = decider.read(found)
        self._found = found
        try:
            permit = self._verified(found, self._approvals)
        except Denied as denied:
            if denied.reason is not Reason.NOT_APPROVED or decider._ledger is None:
                raise
            permit = await self._approved(found, denied)
        if self._check is not None:
            self._check(self._call)
        return permit

    def _verified(self, capability: Capability, approvals: Iterable[Approval | str]) -> Permit:
        """Step 1."""
        return self._decider._decide(
            capability, self._call, self._bounds, self._proof, approvals, self._session
        )

    async def _approved(self, capability: Capability, denied: Denied) -> Permit:
        """The permit, with the approvals that wait in the ledger; without enough of them, a request."""
        decider, call, ledger = self._decider, self._call, self._decider._ledger
        assert ledger is not None
        now = decider.now()
        found = await ledger.approvals(call.digest, chain_digest(capability.ids), now=now)
        # one that has expired is not there: its approver may vote again
        given = [one for one in map(Approval.parse, found) if now < one.expires]
        if given:
            try:
                both = [*self._approvals, *given][:MAX_APPROVALS]
                permit = self._verified(capability, both)
                self._voted = True
                return permit
            except Denied as again:
                if again.reason is not Reason.NOT_APPROVED:
                    raise
        if self._check is not None:
            self._check(call)  # nobody is asked about a call that could not run
        request = await ledger.request_approval(ApprovalRequest.of(capability, call, now=now), capability)
        text = f"this call waits for approval, request {request.id}: make the same call again when it has it"
        if request.state == "rejected":
            text = f"an approver has rejected this call, request {request.id}"
        raise Denied(Reason.NOT_APPROVED, text, request=request.id) from denied

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        outcome = Outcome.DONE if error is None else Outcome.CANCELLED
        if error is not None and error is self._late:
            outcome = Outcome.NOT_RUN
        elif isinstance(error, Exception):
            outcome = Outcome.FAILED
            if isinstance(error, Denied):
                error.from_tool = True
        try:
            if self._permit is not None:
                self._record(self._permit, outcome)
        finally:
            if self._telling:
                self._telling.end(error)

    def _record(self, permit: Permit, outcome: Outcome) -> None:
        ledger = self._decider._ledger
        if ledger is not None and (ledger.keeps_records or any(one.refund for one in permit.charges)):
            self._decider._record(permit, self._op, outcome)
