"""What a guard remembers: what was used, what is revoked, who approves what, and a record of every call.

`Ledger` is the protocol; `Ledger.memory()` keeps it in this process, `Ledger.open(...)` on a disk.
"""

from .memory import MemoryLedger
from .protocol import Ledger, LedgerError, Outcome
from .requests import Request, Vote
from .revocations import Reach, Revocation

__all__ = ["Ledger", "LedgerError", "MemoryLedger", "Outcome", "Reach", "Request", "Revocation", "Vote"]
