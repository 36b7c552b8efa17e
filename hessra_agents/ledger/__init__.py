"""What a guard remembers: what was used, what is revoked, who approves what, and a record of every call.

`Ledger` is the protocol; `Ledger.memory()` keeps it in this process, `Ledger.open(...)` on a disk.
"""

from typing import TYPE_CHECKING, Any

from .approval_requests import Request, Vote
from .protocol import Ledger, LedgerError, Outcome
from .revocations import Reach, Revocation

if TYPE_CHECKING:
    from .memory import MemoryLedger

__all__ = ["Ledger", "LedgerError", "MemoryLedger", "Outcome", "Reach", "Request", "Revocation", "Vote"]


def __getattr__(name: str) -> Any:
    # the store, with SQLite, is loaded by whoever makes a ledger, and by nobody else
    if name == "MemoryLedger":
        from .memory import MemoryLedger

        return MemoryLedger
    raise AttributeError(name)
