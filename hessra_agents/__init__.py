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

from .approving import approved_by
from .authority import Authority
from .call import Call
from .errors import Denied, Reason
from .exposure import clear_of
from .grants import Grant, grant
from .guard import Guard
from .ledger import Ledger
from .limits import limit
from .must import must
from .selectors import from_result
from .session import Session
from .tokens.capability import Capability
from .tokens.keys import KeyPair, PublicKey
from .tokens.statements import Approval, Proof
from .tokens.trust import Trust
from .toolbox import Toolbox

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
