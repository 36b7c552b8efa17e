"""Remember for a guard what was used up, what is revoked, who approves what, and every call.

`Ledger.memory()` keeps it in this process, `Ledger.open(...)` in a store.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from .model import LedgerError, Outcome

if TYPE_CHECKING:
    from .approval_requests import ApprovalRequest, ApprovalVote
    from .ledger import Ledger
    from .revocations import RevocationImpact

__all__ = ["ApprovalRequest", "ApprovalVote", "Ledger", "LedgerError", "Outcome", "RevocationImpact"]

_LOADED_ON_USE = {
    "ApprovalRequest": ".approval_requests",
    "ApprovalVote": ".approval_requests",
    "Ledger": ".ledger",
    "RevocationImpact": ".revocations",
}

if not TYPE_CHECKING:  # else a type checker would believe in every name

    def __getattr__(name: str) -> object:
        """Load what only a program with a ledger needs: a guard needs the values beside it."""
        if name not in _LOADED_ON_USE:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(_LOADED_ON_USE[name], __name__), name)
