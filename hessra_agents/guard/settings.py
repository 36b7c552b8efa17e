"""Hold what a guard decides by: the keys that it trusts, its name, its ledger and its clock.

A guard, its toolboxes and every call through them share one `GuardSettings`. A call looks each setting up
when it needs it, so removing a root key from the trust also ends open toolboxes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING

from ..call.canonical import MalformedError
from ..errors import Denied, Reason
from ..keys.trust import Trust
from ..tokens.admission import ANCHOR, RESERVED
from ..tokens.capability import Capability
from ..verify.verifier import check_audience, check_time
from .threads import THREADS, ToolThreads

if TYPE_CHECKING:
    from logging import Logger

    from ..ledger.ledger import Ledger

__all__ = ["CapabilityReader", "GuardSettings", "as_denied", "log", "unavailable"]

MAX_KNOWN = 256
"""Capabilities that a guard has read and caches. A reading is cached, never a decision."""


class CapabilityReader:
    """Reads capabilities by one trust, which never changes, and caches what it has read."""

    def __init__(self, trust: Trust) -> None:
        self.trust = trust
        self._parse = lru_cache(MAX_KNOWN)(lambda token: Capability.parse(token, trust))

    def read(self, capability: Capability | str | None) -> Capability:
        """Return the capability, its signatures checked against the trust and its content admitted.

        A `Capability` object is read again from its token: it may have been read by another trust.

        Raises:
            Denied: ``no_capability``, or what `Capability.parse` raises.
        """
        if capability is None or capability == "":
            raise Denied(Reason.NO_CAPABILITY)
        token = capability.token if isinstance(capability, Capability) else capability
        if type(token) is not str:
            raise Denied(Reason.MALFORMED, "a capability must be a string")
        try:
            return self._parse(token)
        except Denied:
            raise
        except Exception as error:
            raise unavailable(error) from error


class GuardSettings:
    """The settings of one guard; `Guard` documents them."""

    def __init__(
        self,
        trust: Trust,
        *,
        audience: str,
        ledger: Ledger | None = None,
        designations: Mapping[str, str] | None = None,
        require_designations: bool = True,
        cross_check: bool = False,
        threads: int = THREADS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if not isinstance(trust, Trust):
            raise TypeError("trust must be a Trust, such as authority.trust or Trust.load('trust.json')")
        if not audience or not isinstance(audience, str):
            raise ValueError("a guard needs an audience: the name that capabilities for it must give")
        reserved = {ANCHOR, *RESERVED} & (designations or {}).keys()
        if reserved:
            raise ValueError(f"the label {min(reserved)!r} is reserved")
        self.trust = trust
        self.audience = audience
        self.ledger = ledger
        self.designations = dict(designations or {})
        self.require_designations = require_designations
        self.cross_check = cross_check
        self.threads = ToolThreads(threads)
        self.clock = clock

    @property
    def trust(self) -> Trust:
        """The root keys that capabilities must come from."""
        return self.reader.trust

    @trust.setter
    def trust(self, trust: Trust) -> None:
        # one assignment, so that no thread finds a trust beside what another trust has read
        self.reader = CapabilityReader(trust)

    def now(self) -> int:
        """Return the time by the guard's clock, in whole Unix seconds."""
        return int(self.clock())

    def read(self, capability: Capability | str | None) -> Capability:
        """Return the capability as the present trust reads it: see `CapabilityReader.read`."""
        return self.reader.read(capability)

    def check_capability(self, capability: Capability | str | None) -> Capability:
        """Return the capability if the guard honors it now: signatures, content, time, audience, revocation.

        Whether the caller holds its key is not checked: the answer says what to show, and decides no call.

        Raises:
            Denied: the guard does not honor it.
        """
        known = self.read(capability)
        check_time(known, self.now())
        self.check_audience(known)
        if self.ledger is not None:
            self.ledger.revoked.check(known.revocation_ids, known.blocks[0].issued)
        return known

    def check_audience(self, capability: Capability) -> None:
        """Check that a capability is for this guard.

        Raises:
            Denied: ``wrong_audience``.
        """
        check_audience(
            capability, self.audience, self.designations, require_designations=self.require_designations
        )


def unavailable(error: Exception) -> Denied:
    """Return the refusal for a failure of the guard itself; only the log gets the cause."""
    log().error("the guard failed, so it refused a call", exc_info=error)
    return Denied(Reason.UNAVAILABLE)


def as_denied(error: Exception, tool: str) -> Denied:
    """Return the refusal for an error before a call ran."""
    if isinstance(error, Denied):
        return error.for_tool(tool)
    if isinstance(error, MalformedError):
        return Denied(Reason.MALFORMED, str(error), tool=tool)
    denied = unavailable(error).for_tool(tool)
    denied.__cause__ = error
    return denied


def log() -> Logger:
    """Return the log ``hessra_agents``, which holds what refusals must not say."""
    import logging  # here, because a guard that is imported has nothing to write yet

    return logging.getLogger("hessra_agents")
