"""`Decider`: decides calls, whatever it is that they call; `Guard` runs tools on top of it.

Every way to a tool leads through `Permitted`: it decides (pure), takes what the call uses up, and records
what became of it; whatever goes wrong before the call runs is a refusal.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from functools import lru_cache

import anyio

from ..call.call import Call
from ..call.canonical import MalformedError
from ..errors import Denied, Reason
from ..grants.clauses import Pattern
from ..keys.trust import Trust
from ..ledger.protocol import DeniedCall, Ledger
from ..tokens.admission import ANCHOR, RESERVED
from ..tokens.capability import Capability
from ..tokens.statements import Approval, Proof
from ..verify.permit import Permit
from ..verify.verifier import Possession, check_audience, check_time, verify
from .enforcement import Permitted
from .remembering import Remembers
from .session import Session

__all__ = ["Decider"]

_log = logging.getLogger("hessra_agents")

MOST_KNOWN = 256
"""Capabilities whose signatures a guard has checked and keeps. What was read is kept, never a decision."""


class Decider(Remembers):
    """What decides: the keys that it trusts, its name, its memory and its clock. Made as a `Guard`."""

    def __init__(
        self,
        trust: Trust,
        *,
        audience: str,
        ledger: Ledger | None = None,
        designations: Mapping[str, str] | None = None,
        require_designations: bool = True,
        cross_check: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if not isinstance(trust, Trust):
            raise TypeError("trust is a Trust, such as authority.trust or Trust.load('trust.json')")
        if not audience or not isinstance(audience, str):
            raise ValueError("a guard needs an audience: the name that capabilities must give for it")
        reserved = {ANCHOR, *RESERVED} & (designations or {}).keys()
        if reserved:
            raise ValueError(f"the label {min(reserved)!r} is reserved")
        super().__init__()  # of a guard's tools
        self.trust = trust
        self.audience = audience
        self._ledger = ledger
        self._designations = dict(designations or {})
        self._require = require_designations
        self._strict = cross_check
        self._clock = clock

    @property
    def trust(self) -> Trust:
        """The root keys that capabilities must come from; set another to add or remove some."""
        return self._trust

    @trust.setter
    def trust(self, trust: Trust) -> None:
        self._trust = trust
        self._parse = lru_cache(MOST_KNOWN)(lambda text: Capability.parse(text, trust))

    def now(self) -> int:
        """The guard's clock, in whole Unix seconds."""
        return int(self._clock())

    def read(self, capability: Capability | str | None) -> Capability:
        """The capability, verified against this guard's trust and admitted.

        A `Capability` object is read again from its text: another trust may have made it.

        Raises:
            Denied: ``no_capability``, or what `Capability.parse` raises.
        """
        if capability is None or capability == "":
            raise Denied(Reason.NO_CAPABILITY)
        text = capability.token if isinstance(capability, Capability) else capability
        if type(text) is not str:
            raise Denied(Reason.MALFORMED, "a capability is a text")
        try:
            return self._parse(text)
        except Denied:
            raise
        except Exception as error:
            raise self._failed(error) from error

    def check_capability(self, capability: Capability | str | None) -> Capability:
        """The capability, if this guard would honour it now: signatures, admission, time and place.

        Whether its holder has it is not asked: this tells what to show, and decides on no call.

        Raises:
            Denied: it would not.
        """
        found = self.read(capability)
        check_time(found, self.now())
        check_audience(found, self.audience, self._designations, require_designations=self._require)
        self._check_revoked(found.revocation_ids, found.blocks[0].issued)
        return found

    def decide(
        self,
        capability: Capability | str | None,
        call: Call,
        *,
        proof: Proof | Possession | str | None = None,
        approvals: Iterable[Approval | str] = (),
        session: Session | None = None,
    ) -> Permit:
        """The decision alone: nothing is used up, nothing runs, nothing is recorded.

        A statement that was used before is not noticed here.

        Raises:
            Denied: the call would be refused.
        """
        try:
            return self._decide(self.read(capability), call, (), proof, approvals, session)
        except Exception as error:
            denied = self._refused(error, call.tool)
            raise denied from denied.__cause__

    def permit(
        self,
        capability: Capability | str | None,
        call: Call,
        *,
        proof: Proof | Possession | str | None = None,
        approvals: Iterable[Approval | str] = (),
        validate: Callable[[Call], object] | None = None,
        session: Session | None = None,
    ) -> AbstractAsyncContextManager[Permit]:
        """Decide a call of something that is no tool of this guard, and that runs inside of the block.

            async with guard.permit(token, Call.of("read_file", arguments), proof=proof):
                result = await elsewhere(...)

        After the block its outcome is recorded, whatever became of it. What is called must get
        ``call.arguments`` and nothing else. What it returned may go to ``session.keep``, and what that holds
        to ``session.expose``, before anybody sees it.

        Args:
            capability: its text, as it came with the call.
            call: canonical; any object and operation.
            proof: the holder's proof of this call; none for a bearer capability.
            approvals: approvals of this call.
            validate: what the call's own schema says, asked once the capability permits it and before
                anything is used up; raises `Denied`.
            session: what the agent has seen; without one, no argument follows data, and no call that must
                come before some exposure is permitted.

        Raises:
            Denied: the call is refused, and the block did not run.
            Exception: whatever the block raised.
        """
        text = capability.token if isinstance(capability, Capability) else capability
        return self._permitted(text, call, proof, approvals, validate, session=session)

    def _permitted(
        self,
        capability: Capability | str | None,
        call: Call,
        proof: Proof | Possession | str | None,
        approvals: Iterable[Approval | str],
        check: Callable[[Call], object] | None,
        bounds: tuple[Pattern, ...] = (),
        session: Session | None = None,
    ) -> Permitted:
        """As `permit`; a `Capability` object is one that this guard has read, as a toolbox's was."""
        return Permitted(self, capability, call, proof, approvals, check, bounds, session)

    def _refused(self, error: Exception, name: str) -> Denied:
        """Steps 1 to 3: whatever goes wrong in them is a refusal."""
        if isinstance(error, Denied):
            return error.for_tool(name)
        if isinstance(error, MalformedError):
            return Denied(Reason.MALFORMED, str(error), tool=name)
        denied = self._failed(error).for_tool(name)
        denied.__cause__ = error
        return denied

    def _decide(
        self,
        capability: Capability,
        call: Call,
        bounds: tuple[Pattern, ...],
        proof: Proof | Possession | str | None,
        approvals: Iterable[Approval | str],
        session: Session | None = None,
    ) -> Permit:
        if type(approvals) is not tuple and (
            isinstance(approvals, str) or not isinstance(approvals, Iterable)
        ):
            raise Denied(Reason.MALFORMED, "the approvals are not a list")
        permit = verify(
            capability,
            call,
            now=self.now(),
            audience=self.audience,
            proof=Proof.parse(proof) if isinstance(proof, str) else proof,
            approvals=[Approval.parse(one) if isinstance(one, str) else one for one in approvals],
            designations=self._designations,
            require_designations=self._require,
            bounds=bounds,
            cross_check=self._strict,
            results=None if session is None else session.result_lookup(),
            labels=None if session is None else session.labels,
        )
        self._check_revoked(permit.revocation_ids, permit.issued)
        return permit

    async def _record_refusal(
        self, denied: Denied, call: Call | None, capability: Capability | str | None, op: bytes
    ) -> None:
        """A refusal stands whether or not it can be recorded."""
        ledger = self._ledger
        if ledger is None or not ledger.keeps_records or denied.reason in (Reason.UNAVAILABLE, Reason.STALE):
            return
        try:
            found = capability if isinstance(capability, Capability) else self.read(capability)
        except Denied:
            found = None
        with anyio.CancelScope(shield=True):
            try:
                await ledger.record_denial(DeniedCall(denied, self.audience, self.now(), call, found), op)
            except Exception as error:
                _log.warning("a refusal could not be recorded: %s", error)

    def _failed(self, error: Exception) -> Denied:
        _log.error("the guard failed, so it refused a call", exc_info=error)
        return Denied(Reason.UNAVAILABLE)
