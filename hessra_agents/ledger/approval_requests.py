"""Requests: calls that wait for approvals, and the votes of their approvers.

An approver signs what the approver sees: the call's canonical bytes, the blocks of the requester's
capability, the handle of the check, and a time. The approver and the guard each compute the signed digest
from those; the ledger only carries them, and anything that it changed would not verify.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Literal

from ..call.call import Call, digest
from ..call.canonical import MalformedError
from ..keys.keys import KeyPair, PublicKey
from ..tokens.admission import APPROVED
from ..tokens.capability import Capability
from ..tokens.describe import approvals_of, is_vouched
from ..tokens.statements import Approval, chain_digest

__all__ = ["MAX_OPEN", "MAX_SHOWN", "REQUEST_TTL", "ApprovalNeed", "ApprovalRequest", "ApprovalVote", "State"]

REQUEST_TTL = 600
"""Seconds that a request waits, unless the capability expires before."""

MAX_OPEN = 32
"""Requests that may wait at a time for one issued capability and all that derive from it.

A delegate and all that derives from it has half of this at most, and its own delegates half of that, so that
no one of them keeps the others from asking.
"""

MAX_SHOWN = 64 * 1024
"""Bytes of arguments that an approver is shown; a call with more gets no request."""

MAX_REASON = 200
"""Characters of the reason of a rejection."""

State = Literal["open", "rejected", "used"]


@dataclass(frozen=True, slots=True)
class ApprovalVote:
    """The vote of one approver.

    ``statement`` is an approval for each check that asks this key, with spaces between; or ``hr1.`` and a
    signature that rejects, with a dot and the reason if any.
    """

    key: PublicKey
    statement: str

    @property
    def approves(self) -> bool:
        """Whether the vote is an approval."""
        return self.statement.startswith("ha1.")

    @property
    def approvals(self) -> list[Approval]:
        """The approvals that the vote carries; none if it rejects.

        Raises:
            Denied: ``malformed``: they cannot be read.
        """
        return [Approval.parse(one) for one in self.statement.split()] if self.approves else []

    def check_form(self) -> None:
        """Check that the vote can be read; who signed it is for `ApprovalRequest.check`.

        Raises:
            Denied: ``malformed``: an approval cannot be read.
            ValueError: a rejection cannot be read.
        """
        if not self.approves:
            _ = self.signature, self.reason
        _ = self.approvals

    @property
    def reason(self) -> str:
        """Why the approver rejects the call; empty if the vote does not say."""
        return "" if self.approves else bytes.fromhex(self._parts[1]).decode()

    @property
    def signature(self) -> bytes:
        """The signature of a vote that rejects."""
        return bytes.fromhex(self._parts[0])

    @property
    def _parts(self) -> tuple[str, str]:
        signature, _, reason = self.statement.removeprefix("hr1.").partition(".")
        return signature, reason


@dataclass(frozen=True, slots=True)
class ApprovalNeed:
    """So many of these keys must approve a call; ``given`` are those that have approved it."""

    keys: tuple[PublicKey, ...]
    count: int
    given: tuple[PublicKey, ...] = ()

    @property
    def lacking(self) -> int:
        """How many approvals are missing."""
        return max(0, self.count - len(self.given))

    @property
    def open_to(self) -> tuple[PublicKey, ...]:
        """The keys that may still approve it."""
        return tuple(key for key in self.keys if key not in self.given)


@dataclass(frozen=True, slots=True)
class ApprovalRequest:
    """One call that waits for approvals.

    ``approvers`` are the handles and the keys that the capability asks for, ``needs`` how many of which keys
    must approve. ``known_as`` is the name of the capability's holder, if it is not the subject, and
    ``vouched`` is False if nobody vouches for that name. Times are Unix seconds.
    """

    id: str
    resource: str
    operation: str
    text: bytes
    ids: tuple[str, ...]
    subject: str
    approvers: tuple[tuple[str, PublicKey], ...]
    needs: tuple[ApprovalNeed, ...]
    asked: int
    expires: int
    state: State = "open"
    votes: tuple[ApprovalVote, ...] = ()
    known_as: str | None = None
    vouched: bool = True

    @classmethod
    def of(cls, capability: Capability, call: Call, *, now: int) -> ApprovalRequest:
        """Return a new request for approvals of this call under this capability."""
        asked = dict.fromkeys(
            (one.value, PublicKey(one.key))
            for block in capability.blocks
            for check in block.attested
            for one in check
            if one.label == APPROVED and one.concerns(call)
        )
        needs = [
            ApprovalNeed(tuple(map(PublicKey.parse, view.keys)), view.need)
            for block in capability.blocks
            for view in approvals_of(block)
            if view.of.concerns(call)
        ]
        return cls(
            os.urandom(8).hex(),
            call.resource,
            call.operation,
            call.canonical_json,
            capability.ids,
            capability.subject,
            tuple(asked),
            tuple(needs),
            now,
            min(now + REQUEST_TTL, capability.expires),
            known_as=None if capability.name == capability.subject else capability.name,
            vouched=is_vouched(capability.blocks),
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

    def progress(self, now: int) -> tuple[ApprovalNeed, ...]:
        """Return what the request needs, with the approvals that count at this time (Unix seconds)."""
        given = {one.key for vote in self.votes for one in vote.approvals if now < one.expires}
        return tuple(
            replace(need, given=tuple(key for key in need.keys if key in given)) for need in self.needs
        )

    def is_complete(self, now: int) -> bool:
        """Return whether the request has all approvals that it needs."""
        return not any(need.lacking for need in self.progress(now))

    @property
    def chain(self) -> bytes:
        """The digest of the requester's blocks."""
        return chain_digest(self.ids)

    def approve(self, key: KeyPair, *, now: int, until: int | None = None) -> ApprovalVote:
        """Return this approver's vote for the call.

        Raises:
            ValueError: the request does not ask this key, or is over.
        """
        expires, approvals = min(self.expires if until is None else until, self.expires), []
        for handle in self._handles(key.public, now):
            # an approver who votes twice for one request has approved one call
            once = digest("hessra-agents/vote/1", self.id.encode(), bytes.fromhex(handle))[:16]
            one = Approval.make(self.call, ids=self.ids, handle=handle, key=key, expires=expires, nonce=once)
            approvals.append(one.token)
        return ApprovalVote(key.public, " ".join(approvals))

    def reject(self, key: KeyPair, *, now: int, reason: str = "") -> ApprovalVote:
        """Return this approver's vote against the call; one such vote ends the request.

        Args:
            now: Unix seconds.
            reason: why, which the agent is told; one line of at most 200 printable characters.

        Raises:
            ValueError: the request does not ask this key, or is over, or the reason is longer.
        """
        self._handles(key.public, now)
        signature = key.sign(self._rejection(reason)).hex()
        return ApprovalVote(key.public, f"hr1.{signature}" + (f".{reason.encode().hex()}" if reason else ""))

    def rejected_because(self, stored: ApprovalRequest) -> str:
        """Return why an approver rejected this request, by the votes in the store; empty if none says.

        The store is not believed: a vote must be signed, for this call and by a key that it asks.
        """
        for vote in stored.votes:
            with suppress(ValueError):
                replace(self, id=stored.id).check(vote)
                if vote.reason:
                    return vote.reason
        return ""

    def _handles(self, key: PublicKey, now: int) -> list[str]:
        handles = self._handles_of(key)
        if self.state != "open" or now >= self.expires:
            raise ValueError("this request is over")
        return handles

    def _handles_of(self, key: PublicKey) -> list[str]:
        """Return the handles by which the request asks a key: several checks may ask the same."""
        handles = [handle for handle, one in self.approvers if one == key]
        if not handles:
            raise ValueError("this request does not ask this key")
        return handles

    def _rejection(self, reason: str) -> bytes:
        if len(reason) > MAX_REASON or not reason.isprintable():
            raise ValueError(f"a reason is one line of at most {MAX_REASON} printable characters")
        said = reason.encode()
        return digest("hessra-agents/rejection/1", self.id.encode(), self.call.digest, self.chain, said)

    def check(self, vote: ApprovalVote) -> None:
        """Check that a vote is signed for this request, by a key that it asks and for all that it asks it.

        Raises:
            ValueError: it is not.
        """
        handles = self._handles_of(vote.key)
        if not vote.approves:
            valid = vote.key.signed(vote.signature, self._rejection(vote.reason))
        else:
            approvals = vote.approvals
            valid = [one.handle for one in approvals] == handles and all(
                (one.key, one.call) == (vote.key, self.call.digest) and one.valid(ids=self.ids)
                for one in approvals
            )
        if not valid:
            raise ValueError("the vote is not signed for this request")

    def with_vote(self, vote: ApprovalVote) -> ApprovalRequest:
        """Return the request with this vote in place of the same key's earlier one."""
        others = tuple(one for one in self.votes if one.key != vote.key)
        state: State = self.state if vote.approves else "rejected"
        return replace(self, votes=(*others, vote), state=state)
