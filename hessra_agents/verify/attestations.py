"""Step 6: checks on keys, which approvals of this very call meet, or blocks that the key signed."""

from __future__ import annotations

import hashlib

from ..call.call import Call
from ..errors import Denied, Reason
from ..tokens.admission import APPROVED, HOLDER, RequiredAttestation
from ..tokens.capability import Capability
from ..tokens.statements import Approval
from .permit import UsedStatement

__all__ = ["MAX_APPROVALS", "check_attestations"]

MAX_APPROVALS = 16
"""Approvals that one call may carry."""


def check_attestations(
    capability: Capability, call: Call, approvals: tuple[Approval, ...], now: int
) -> tuple[set[str], tuple[tuple[bytes, UsedStatement], ...]]:
    """The handles that were approved, and the approvals to remember, each with who approved.

    Raises:
        Denied: ``not_approved``, or another reason of the first check that nothing meets.
    """
    asked_here = [
        [check for check in block.attested if check[0].tools is None or call.resource in check[0].tools]
        for block in capability.blocks
    ]
    # an approval that nothing here asks for is not used up
    asked = {(one.value, one.key) for checks in asked_here for check in checks for one in check}
    approved: dict[str, tuple[bytes, UsedStatement]] = {}
    if len(approvals) > MAX_APPROVALS:
        raise Denied(Reason.TOO_LARGE, f"more than {MAX_APPROVALS} approvals")
    for approval in approvals:
        if approval.handle not in approved and (approval.handle, approval.key.data) in asked:
            spent = _check_approval(approval, capability, call, now)
            approved[approval.handle] = (approval.key.data, spent)
    handed_on = {value for block in capability.blocks for label, value in block.states if label == HOLDER}
    last = capability.holder

    def met(one: RequiredAttestation) -> bool:
        if one.label == HOLDER:
            return one.value in handed_on or (last is not None and one.value == last.handle)
        if one.label == APPROVED:
            return one.value in approved
        return any(b.signer == one.key and (one.label, one.value) in b.states for b in capability.blocks)

    for index, (block, checks) in enumerate(zip(capability.blocks, asked_here, strict=True)):
        for check in checks:
            if not any(met(one) for one in check):
                label, detail = check[0].label, f"block {index}"
                if label == APPROVED:
                    raise Denied(Reason.NOT_APPROVED, detail=detail)
                if label == HOLDER:
                    raise Denied(Reason.NOT_HOLDER, detail=detail)
                raise Denied(
                    Reason.WRONG_AUDIENCE, f"nobody states the {label} that is asked for", detail=detail
                )
        for key in block.activators:
            if not any(b.signer == key and b.activates for b in capability.blocks):
                raise Denied(Reason.NOT_YET_VALID, "the capability has not been activated")
    return set(approved), tuple(approved.values())


def _check_approval(approval: Approval, capability: Capability, call: Call, now: int) -> UsedStatement:
    involved = {
        one.key for b in capability.blocks for check in b.attested for one in check if one.label == HOLDER
    }
    if approval.key.data in involved or any(b.signer == approval.key.data for b in capability.blocks):
        raise Denied(
            Reason.NOT_APPROVED, "who holds a capability, or handed it on, does not approve its calls"
        )
    if approval.call != call.digest:
        raise Denied(Reason.WRONG_CALL, "the approval was given for another call")
    if not now < approval.expires:
        raise Denied(Reason.EXPIRED, "the approval has expired")
    if not approval.valid(ids=capability.ids):
        raise Denied(Reason.NOT_APPROVED, "the approval is not signed for this capability")
    # not by its signature, of which there could be another spelling
    name = hashlib.sha256(approval.key.data + approval.nonce).digest()
    # no longer than the capability lives: nobody fills a ledger for years
    return UsedStatement("approval", name, min(approval.expires, capability.expires))
