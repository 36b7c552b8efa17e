"""`Remembers`: the side of a guard that asks its ledger, for calls and for whoever looks after it."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod

import anyio

from ..errors import Denied, Reason
from ..keys.keys import KeyPair, PublicKey
from ..ledger.approval_requests import ApprovalRequest
from ..ledger.protocol import Ledger, Outcome
from ..ledger.revocations import Revocation, RevocationImpact
from ..tokens.capability import Capability
from ..verify.permit import Permit

__all__ = ["Remembers"]

_SOON, _LATER = 0.1, 1.0
"""Seconds between two looks for votes while a call waits for them: at first, and in the end."""

_log = logging.getLogger("hessra_agents")


class Remembers(ABC):
    """What has a ledger, or none."""

    audience: str
    _ledger: Ledger | None

    @abstractmethod
    def now(self) -> int:
        """The guard's clock, in whole Unix seconds."""

    @property
    def ledger(self) -> Ledger:
        """What this guard remembers, for approvals and whoever looks after it.

        Raises:
            ValueError: the guard keeps no ledger.
        """
        if self._ledger is None:
            raise ValueError("this guard keeps no ledger: Guard(..., ledger=Ledger.open('hessra.db'))")
        return self._ledger

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

        What is built on a revoked block falls with it. Whoever holds the block before it can build anew:
        revoke that one, or the subject, to end both.

        Args:
            block: its id, or a capability whose last block is meant.
            subject: everything that was issued to it, or to a name below it.
            key: everything in whose chain this key holds, held or signed; its approvals, too.
            root: everything that this root key signed.
            before: everything issued before this moment (Unix seconds), or that does not say when it was.
            reason: for the record.

        Returns:
            The epoch from which on it is refused: at once by every call that begins after this returns, in
            any process; `wait_for_epoch` tells when another process's lists know it, too.

        Raises:
            ValueError: nothing or several things are named, or the guard keeps no ledger.
            Denied: ``unavailable``; to do it again is safe.
        """
        what = Revocation.of(block=block, subject=subject, key=key, root=root, before=before)
        return await self.ledger.revoke(what, reason=reason)

    async def reach(
        self,
        block: str | Capability | None = None,
        *,
        subject: str | None = None,
        key: PublicKey | None = None,
        root: PublicKey | None = None,
        before: int | None = None,
    ) -> RevocationImpact:
        """What `revoke` would end: live capabilities, their holders, and requests, as far as was seen."""
        what = Revocation.of(block=block, subject=subject, key=key, root=root, before=before)
        return await self.ledger.revocation_impact(what, now=self.now())

    async def wait_for_epoch(self, epoch: int, *, timeout: float = 5.0) -> None:  # noqa: ASYNC109 -- as documented
        """Return when this guard knows of all revocations up to this one.

        Raises:
            TimeoutError: it does not, within so many seconds.
        """
        await self.ledger.wait_for_epoch(epoch, timeout=timeout)

    async def requests(self, request: str | None = None) -> list[ApprovalRequest]:
        """The calls that wait for approvals, oldest first; or the one with this id, whatever became of it."""
        return await self.ledger.requests(now=self.now(), id=request)

    async def approve(self, request: ApprovalRequest, *, key: KeyPair) -> ApprovalRequest:
        """Vote for a call, as the owner of this key: what is signed is the request as it was shown.

        Raises:
            ValueError: the request does not ask this key, or is over; or the guard keeps no ledger.
            Denied: ``unavailable``; to vote again is safe.
        """
        return await self.ledger.vote(request.id, request.approve(key, now=self.now()), now=self.now())

    async def reject(self, request: ApprovalRequest, *, key: KeyPair) -> ApprovalRequest:
        """Vote against a call, which ends the request; raises as `approve`."""
        return await self.ledger.vote(request.id, request.reject(key, now=self.now()), now=self.now())

    async def _news(self, request: str, seen: set[str]) -> bool:
        """Wait until a request has a vote that is not in ``seen``, and add it, or until it is over.

        Returns:
            Whether the call is worth another try: it was not rejected.
        """
        pause = _SOON
        while True:
            try:
                found = await self.requests(request)
            except Denied:
                pass  # the store is away for a while, and so are the votes
            else:
                votes = {vote.statement for one in found for vote in one.votes}
                if votes - seen:
                    seen |= votes
                    return True
                if not found or found[0].state != "open" or self.now() >= found[0].expires:
                    return not found or found[0].state != "rejected"
            await anyio.sleep(pause)
            pause = min(pause * 1.5, _LATER)

    async def _spend(self, permit: Permit, op: bytes) -> None:
        """Step 3."""
        if self._ledger is not None:
            await self._ledger.admit(permit, op)
        elif permit.spends or permit.charges:
            what = "proofs or approvals" if permit.spends else "capabilities with limits"
            raise Denied(Reason.UNAVAILABLE, f"this guard keeps no ledger, so it takes no {what}")

    def _record(self, permit: Permit, op: bytes, outcome: Outcome) -> None:
        try:
            assert self._ledger is not None
            self._ledger.record(permit, op, outcome)
        except Exception:
            # the tool has run; to hide its result now would not undo it
            _log.exception("the outcome of a call could not be recorded")

    def _check_revoked(self, marks: tuple[bytes, ...], issued: int | None) -> None:
        """As far as this process knows; the ledger asks its store when the call is admitted."""
        if self._ledger is not None:
            self._ledger.revoked.check(marks, issued)
