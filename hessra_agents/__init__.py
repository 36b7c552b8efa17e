"""Capability security for AI agents: every tool call carries a capability that names it.

from hessra_agents import Authority, Guard, grant, must

authority = Authority.ephemeral()
guard = Guard(authority.trust, audience="mail")

@guard.tool
async def send_email(to: str, body: str) -> str: ...

capability = authority.issue("agent:desk", grant(send_email, to="ana@acme.com", body=must.anything()),
                             ttl=timedelta(minutes=10), audience="mail")
desk = guard.toolbox(capability)
await desk.call("send_email", {"to": "ana@acme.com", "body": "hi"})
"""

from importlib import import_module
from typing import TYPE_CHECKING

from .call.call import Call
from .errors import Denied, Reason
from .grants.approvals import approved_by
from .grants.exposure import clear_of
from .grants.grants import Grant, grant
from .grants.limits import limit
from .grants.provenance import from_result
from .grants.vocabulary.must import must
from .guard.guard import Guard
from .guard.session import Session
from .guard.toolbox import Toolbox
from .keys.keys import KeyPair, PublicKey
from .keys.trust import Trust
from .tokens.capability import Capability
from .tokens.statements import Approval, Proof

if TYPE_CHECKING:
    from .authority import Authority
    from .ledger import Ledger

__all__ = [
    "Approval",
    "Authority",
    "Call",
    "Capability",
    "Denied",
    "Grant",
    "Guard",
    "KeyPair",
    "Ledger",
    "Proof",
    "PublicKey",
    "Reason",
    "Session",
    "Toolbox",
    "Trust",
    "approved_by",
    "clear_of",
    "from_result",
    "grant",
    "limit",
    "must",
]

_LOADED_ON_USE = {"Authority": ".authority", "Ledger": ".ledger"}

if not TYPE_CHECKING:  # else a type checker would believe in every name

    def __getattr__(name: str) -> object:
        """Load what a guard does not need: the issuing side, and the stores and logs of a ledger."""
        if name not in _LOADED_ON_USE:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(_LOADED_ON_USE[name], __name__), name)


def __dir__() -> list[str]:
    return __all__
