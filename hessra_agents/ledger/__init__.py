"""What a guard remembers: that a statement was used, and what became of a call.

`Ledger` is the protocol that every store fills; `Ledger.memory()` keeps it in this process.
"""

from .memory import MemoryLedger
from .protocol import Ledger

__all__ = ["Ledger", "MemoryLedger"]
