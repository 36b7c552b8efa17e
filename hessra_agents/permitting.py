"""`Permitted`: one call from the decision to the record of its outcome."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import TYPE_CHECKING

import anyio

from .call import Call
from .clauses import Pattern
from .decide.permit import Permit
from .decide.verifier import MAX_APPROVALS, Possession
from .errors import Denied, Reason
from .ledger.protocol import Outcome
from .ledger.requests import Request
from .tokens.capability import Capability
from .tokens.statements import Approval, Proof, chain_digest

if TYPE_CHECKING:
    from .deciding import Decider

__all__ = ["Permitted"]


class Permitted(AbstractAsyncContextManager[Permit]):
    """Steps 1 to 3 where it is entered, 5 where it is left; in between, the call may run."""

    __slots__ = (
        "_approvals", "_bounds", "_call", "_capability", "_check", "_decider", "_op", "_permit", "_proof"
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
    ) -> None:
        self._decider = decider
        self._capability = capability
        self._call = call
        self._proof = proof
        self._approvals = approvals
        self._check = check
        self._bounds = bounds
        self._op = os.urandom(16)

    async def __aenter__(self) -> Permit:
        decider = self._decider
        try:
            self._permit = await self._decided()
            await decider._spend(self._permit, self._op)
        except Exception as error:
            denied = decider._refused(error, self._call.tool)
            await decider._record_refusal(denied, self._call, self._capability, self._op)
            raise denied from denied.__cause__
        return self._permit

    async def _decided(self) -> Permit:
        """Steps 1 and 2."""
        decider, found = self._decider, self._capability
        if not isinstance(found, Capability):
            found = decider.read(found)
        try:
            permit = decider._decide(found, self._call, self._bounds, self._proof, self._approvals)
        except Denied as denied:
            if denied.reason is not Reason.NOT_APPROVED or decider._ledger is None:
                raise
            permit = await self._approved(found, denied)
        if self._check is not None:
            self._check(self._call)
        return permit

    async def _approved(self, capability: Capability, denied: Denied) -> Permit:
        """The permit, with the approvals that wait in the ledger; without enough of them, a request."""
        decider, call, ledger = self._decider, self._call, self._decider._ledger
        assert ledger is not None
        now = decider.now()
        given = await ledger.approvals(call.digest, chain_digest(capability.ids), now=now)
        if given:
            try:
                both = [*self._approvals, *given][:MAX_APPROVALS]
                return decider._decide(capability, call, self._bounds, self._proof, both)
            except Denied as again:
                if again.reason is not Reason.NOT_APPROVED:
                    raise
        if self._check is not None:
            self._check(call)  # nobody is asked about a call that could not run
        request = await ledger.ask(Request.of(capability, call, now=now), capability)
        refused = "an approver has rejected it" if request.state == "rejected" else "it waits for approval"
        text = f"{refused}, request {request.id}"
        raise Denied(Reason.NOT_APPROVED, text, request=request.id) from denied

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        outcome = Outcome.DONE if error is None else Outcome.CANCELLED
        if isinstance(error, Exception):
            outcome = Outcome.FAILED
            if isinstance(error, Denied):
                error.from_tool = True
        ledger, permit = self._decider._ledger, self._permit
        if ledger is not None and (ledger.keeps_records or any(one.refund for one in permit.charges)):
            with anyio.CancelScope(shield=True):
                await self._decider._record(self._permit, self._op, outcome)
