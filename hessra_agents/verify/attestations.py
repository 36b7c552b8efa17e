"""Check what keys must state (step 6), by an approval of this very call or by a block that they signed."""

from __future__ import annotations

import hashlib

from ..call.call import Call
from ..errors import Denied, Reason
from ..tokens.admission import APPROVED, HOLDER, RESERVED, RequiredAttestation
from ..tokens.capability import Capability
from ..tokens.statements import Approval
from .permit import UsedStatement

__all__ = ["MAX_APPROVALS", "check_attestations", "holder_handles"]

MAX_APPROVALS = 16
"""Approvals that one call may carry."""


def check_attestations(
    capability: Capability, call: Call, approvals: tuple[Approval, ...], now: int
) -> dict[str, tuple[bytes, UsedStatement]]:
    """Return the approvals that meet a check, by its handle: the approver's key, and what to remember.

    Raises:
        Denied: ``not_approved``, or another reason of the first check that is not met.
    """
    blocks = capability.blocks
    required = [[check for check in block.attested if check[0].concerns(call)] for block in blocks]
    # an approval that this call does not require is not used up
    answerable = {(a.value, a.key) for checks in required for check in checks for a in check}
    approved: dict[str, tuple[bytes, UsedStatement]] = {}
    if len(approvals) > MAX_APPROVALS:
        raise Denied(Reason.TOO_LARGE, f"more than {MAX_APPROVALS} approvals")
    for approval in approvals:
        if approval.handle not in approved and (approval.handle, approval.key.data) in answerable:
            used = _check_approval(approval, capability, call, now)
            approved[approval.handle] = (approval.key.data, used)
    earned = {HOLDER: holder_handles(capability), APPROVED: approved.keys()}
    stated = {(label, value, block.signer) for block in blocks for label, value in block.states}

    def met(a: RequiredAttestation) -> bool:
        return a.value in earned[a.label] if a.label in RESERVED else (a.label, a.value, a.key) in stated

    for index, checks in enumerate(required):
        for check in checks:
            if not any(met(alternative) for alternative in check):
                raise _unmet(check[0].label, f"block {index}")
        for key in blocks[index].activators:
            if not any(block.signer == key and block.activates for block in blocks):
                raise Denied(Reason.NOT_YET_VALID, "the capability has not been activated")
    return approved


def holder_handles(capability: Capability) -> set[str]:
    """Return the handles that holders answer for: those that were handed on, and the last holder's."""
    handles = {value for block in capability.blocks for label, value in block.states if label == HOLDER}
    return handles | {capability.holder.handle} if capability.holder else handles


def _unmet(label: str, detail: str) -> Denied:
    reason = {APPROVED: Reason.NOT_APPROVED, HOLDER: Reason.NOT_HOLDER}.get(label, Reason.WRONG_AUDIENCE)
    text = "" if label in RESERVED else f"the capability requires a {label} that its key has not stated"
    return Denied(reason, text, detail=detail)


def _check_approval(approval: Approval, capability: Capability, call: Call, now: int) -> UsedStatement:
    attested = [a for block in capability.blocks for check in block.attested for a in check]
    involved = {a.key for a in attested if a.label == HOLDER} | {block.signer for block in capability.blocks}
    if approval.key.data in involved:
        raise Denied(
            Reason.NOT_APPROVED, "a holder of the capability, past or present, cannot approve its calls"
        )
    if approval.call != call.digest:
        raise Denied(Reason.WRONG_CALL, "the approval was given for another call")
    if not now < approval.expires:
        raise Denied(Reason.EXPIRED, "the approval has expired")
    if not approval.valid(ids=capability.ids):
        raise Denied(Reason.NOT_APPROVED, "the approval is not signed for this capability")
    # not named by its signature, which may have a second valid encoding
    name = hashlib.sha256(approval.key.data + approval.nonce).digest()
    # no longer than the capability lives, so that approvals cannot fill a ledger for years
    return UsedStatement("approval", name, min(approval.expires, capability.expires))
