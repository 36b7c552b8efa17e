"""`Ledger`: two steps around every call.

1. `admit`, before the tool: take everything that the permit spends, all of it or nothing, and write that
   the call was permitted. If this fails the tool does not run.
2. `record`, after the tool: write what became of it. It is shielded from cancellation.

A crash in between leaves "permitted, no outcome", which is the truth.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from enum import StrEnum
from typing import TYPE_CHECKING, ClassVar

from ..decide.permit import Permit

if TYPE_CHECKING:
    from .memory import MemoryLedger

__all__ = ["Ledger", "Outcome"]


class Outcome(StrEnum):
    """What became of a permitted call."""

    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Ledger(ABC):
    """The memory of one guard, or of several that share a store."""

    keeps_records: ClassVar[bool] = True
    """Whether `record` keeps anything; if not, it is not called."""

    @abstractmethod
    async def admit(self, permit: Permit) -> None:
        """Take what the permit spends, all or nothing.

        Raises:
            Denied: ``replayed`` (a proof), ``spent`` (an approval), ``unavailable`` (it cannot remember).
        """

    @abstractmethod
    async def record(self, permit: Permit, outcome: Outcome) -> None:
        """Write the outcome of a call that was admitted."""

    @staticmethod
    def memory(capacity: int = 100_000) -> MemoryLedger:
        """A ledger in this process: it forgets on restart and is shared with nobody.

        A proof lives 61 seconds, so one that was used just before a restart can be used once more just
        after it. ``capacity`` bounds the statements remembered at a time; when full, calls with proofs
        are refused until old ones expire.
        """
        from .memory import MemoryLedger

        return MemoryLedger(capacity)
