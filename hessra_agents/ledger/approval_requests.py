"""Requests: calls that wait for approvals, and the votes of their approvers.

An approver signs what the approver sees: the call's canonical bytes, the blocks of the requester's
capability, the handle of the check, and a time. The approver and the guard each compute the signed digest
from those; the ledger only carries them, and anything that it changed would not verify.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import Literal

from ..call.call import Call, digest
from ..call.canonical import MalformedError
from ..keys.keys import KeyPair, PublicKey
from ..tokens.admission import APPROVED
from ..tokens.capability import Capability
from ..tokens.statements import Approval, chain_digest

__all__ = ["MAX_OPEN", "MAX_SHOWN", "REQUEST_TTL", "ApprovalRequest", "ApprovalVote", "State"]

REQUEST_TTL = 600
"""Seconds that a request waits, unless the capability expires before."""

MAX_OPEN = 32
"""Requests that may wait at a time for one issued capability and all that derive from it."""

MAX_SHOWN = 64 * 1024
"""Bytes of arguments that an approver is shown; a call with more gets no request."""

State = Literal["open", "rejected", "used"]


@dataclass(frozen=True, slots=True)
class ApprovalVote:
    """The vote of one approver: ``statement`` is an approval, or ``hr1.`` and a signature that rejects."""

    key: PublicKey
    statement: str

    @property
    def approves(self) -> bool:
        """Whether the vote is an approval."""
        return self.statement.startswith("ha1.")


@dataclass(frozen=True, slots=True)
class ApprovalRequest:
    """One call that waits for approvals.

    ``approvers`` are the handles and the keys that the capability asks for. Times are Unix seconds.
    """

    id: str
    resource: str
    operation: str
    text: bytes
    ids: tuple[str, ...]
    subject: str
    approvers: tuple[tuple[str, PublicKey], ...]
    asked: int
    expires: int
    state: State = "open"
    votes: tuple[ApprovalVote, ...] = ()

    @classmethod
    def of(cls, capability: Capability, call: Call, *, now: int) -> ApprovalRequest:
        """Return a new request for approvals of this call under this capability."""
        asked = dict.fromkeys(
            (one.value, PublicKey(one.key))
            for block in capability.blocks
            for check in block.attested
            for one in check
            if one.label == APPROVED and (one.tools is None or call.resource in one.tools)
        )
        return cls(
            os.urandom(8).hex(),
            call.resource,
            call.operation,
            call.canonical_json,
            capability.ids,
            capability.subject,
            tuple(asked),
            now,
            min(now + REQUEST_TTL, capability.expires),
        )

    @property
    def call(self) -> Call:
        """The call, read from its canonical bytes.

        Raises:
            MalformedError: the bytes are not canonical.
        """
        kind, _, tool = self.resource.partition(":")
        found = Call.of(tool, self.text, kind=kind, operation=self.operation)
        if found.canonical_json != self.text:
            raise MalformedError("the arguments of the request are not in their canonical form")
        return found

    @property
    def chain(self) -> bytes:
        """The digest of the requester's blocks."""
        return chain_digest(self.ids)

    def approve(self, key: KeyPair, *, now: int, until: int | None = None) -> ApprovalVote:
        """Return this approver's vote for the call.

        Raises:
            ValueError: the request does not ask this key, or is over.
        """
        handle = self._handle(key.public, now)
        expires = min(self.expires if until is None else until, self.expires)
        # an approver who votes twice for one request has approved one call
        once = digest("hessra-agents/vote/1", self.id.encode(), bytes.fromhex(handle))[:16]
        one = Approval.make(self.call, ids=self.ids, handle=handle, key=key, expires=expires, nonce=once)
        return ApprovalVote(key.public, one.token)

    def reject(self, key: KeyPair, *, now: int) -> ApprovalVote:
        """Return this approver's vote against the call; one such vote ends the request.

        Raises:
            ValueError: the request does not ask this key, or is over.
        """
        self._handle(key.public, now)
        return ApprovalVote(key.public, f"hr1.{key.sign(self._rejection()).hex()}")

    def _handle(self, key: PublicKey, now: int) -> str:
        handle = next((handle for handle, one in self.approvers if one == key), None)
        if handle is None:
            raise ValueError("this request does not ask this key")
        if self.state != "open" or now >= self.expires:
            raise ValueError("this request is over")
        return handle

    def _rejection(self) -> bytes:
        return digest("hessra-agents/rejection/1", self.id.encode(), self.call.digest, self.chain)

    def check(self, vote: ApprovalVote) -> None:
        """Check that a vote is signed for this request, by a key that it asks.

        Raises:
            ValueError: it is not.
        """
        handle = next((handle for handle, one in self.approvers if one == vote.key), None)
        if handle is None:
            raise ValueError("this request does not ask this key")
        if not vote.approves:
            signature = bytes.fromhex(vote.statement.removeprefix("hr1."))
            valid = vote.key.signed(signature, self._rejection())
        else:
            one = Approval.parse(vote.statement)
            same = (one.handle, one.key, one.call) == (handle, vote.key, self.call.digest)
            valid = same and one.valid(ids=self.ids)
        if not valid:
            raise ValueError("the vote is not signed for this request")

    def with_vote(self, vote: ApprovalVote) -> ApprovalRequest:
        """Return the request with this vote in place of the same key's earlier one."""
        others = tuple(one for one in self.votes if one.key != vote.key)
        state: State = self.state if vote.approves else "rejected"
        return replace(self, votes=(*others, vote), state=state)
