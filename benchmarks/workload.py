"""The work that every library is given.

*Guarded call*: an async function of two texts and an integer, with one constraint each.
*Chain*: a grant to send mail and to read files; each delegation narrows it to one recipient.
"""

from __future__ import annotations

from typing import Any

ANA, BO = "ana@acme.com", "bo@acme.com"

BLOCKS = (1, 2, 4, 8, 16)
DELEGATIONS = (0, 1, 2, 3, 4)

MEMO, MOST = "invoice ", 100
PAYMENT: dict[str, Any] = {"to": ANA, "memo": "invoice 7", "amount": 40}
OUTSIDE = PAYMENT | {"amount": MOST + 1}

MAIL = {"to": ANA, "subject": "the numbers", "body": "They are in the file that I sent you on Monday."}
BODY = 2000
FOLDER = "/data/reports"
AGENT = "agent:desk"
AUDIENCE = "mail"


async def pay(to: str, memo: str, amount: int) -> str:
    """The tool that is called; it does nothing."""
    return to


async def free(to: str, memo: str, amount: int) -> str:
    """A tool that nobody is granted."""
    return to
