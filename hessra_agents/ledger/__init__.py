"""What a guard remembers: what was used, what is revoked, who approves what, and a record of every call.

`Ledger` is the protocol; `Ledger.memory()` keeps it in this process, `Ledger.open(...)` on a disk.
"""

from typing import TYPE_CHECKING, Any

from .approval_requests import ApprovalRequest, ApprovalVote
from .protocol import Ledger, LedgerError, Outcome
from .revocations import Revocation, RevocationImpact

if TYPE_CHECKING:
    from .memory import MemoryLedger

__all__ = [
    "ApprovalRequest",
    "ApprovalVote",
    "Ledger",
    "LedgerError",
    "MemoryLedger",
    "Outcome",
    "Revocation",
    "RevocationImpact",
]


def __getattr__(name: str) -> Any:
    # the store, with SQLite, is loaded by whoever makes a ledger, and by nobody else
    if name == "MemoryLedger":
        from .memory import MemoryLedger

        return MemoryLedger
    raise AttributeError(name)
