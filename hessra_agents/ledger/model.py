"""The values that every part of the ledger shares; this module imports no other part of it."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from enum import StrEnum

from ..call.call import Call
from ..errors import Denied
from ..tokens.capability import Capability

__all__ = ["CountedRefusals", "DeniedCall", "LedgerError", "Outcome", "new_operation_id"]


class LedgerError(Exception):
    """A ledger that cannot be opened, or that must not be used as it is; the text says what to do."""


class Outcome(StrEnum):
    """How a permitted call ended."""

    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    NOT_RUN = "not_run"
    """The caller had gone before the tool could run."""


@dataclass(frozen=True, slots=True)
class DeniedCall:
    """A refused call, for the record. ``call`` and ``capability`` are None where they could not be read."""

    denied: Denied
    audience: str
    time: int
    call: Call | None
    capability: Capability | None


@dataclass(frozen=True, slots=True)
class CountedRefusals:
    """Refusals of calls whose token no trusted root signed: the last of them, the first's time, their number.

    ``called`` is what all of them asked for; empty if they asked for different things.
    """

    refused: DeniedCall
    called: str
    first: int
    count: int

    def with_others(self, others: CountedRefusals) -> CountedRefusals:
        """Return these and others as one."""
        last = max(self, others, key=lambda one: one.refused.time)
        called = self.called if self.called == others.called else ""
        return CountedRefusals(last.refused, called, min(self.first, others.first), self.count + others.count)


def new_operation_id() -> bytes:
    """Return an id for one call: 16 bytes, the time in milliseconds and 80 random bits (as in RFC 9562).

    Ids sort by time, so records that are written together lie together in a store's index.
    """
    return (time.time_ns() // 1_000_000).to_bytes(6, "big") + os.urandom(10)
