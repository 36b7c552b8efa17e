"""Guard a call, in whatever is installed: one that is permitted and runs, one that is refused and does not.

Bearer tokens and a holder's proof, an attenuated capability, a tool with a pydantic model, a ledger on disk.
"""

from __future__ import annotations

import tempfile
from datetime import timedelta
from pathlib import Path

import anyio
from pydantic import BaseModel

from hessra_agents import Authority, Denied, Guard, KeyPair, Ledger, from_result, grant, limit, must


class Mail(BaseModel):
    """A message."""

    to: str
    body: str = ""


async def main() -> None:
    """Make an authority and a guard, and call the tool."""
    ran: list[Mail] = []
    reasons: list[str] = []
    authority = Authority.ephemeral()
    with tempfile.TemporaryDirectory() as folder:
        ledger = Ledger.open(Path(folder) / "ledger.db")
        guard = Guard(authority.trust, audience="mail", ledger=ledger)

        @guard.tool
        async def send(mail: Mail, note: str) -> str:
            ran.append(mail)
            return "sent"

        @guard.tool
        async def find() -> list[dict[str, str]]:
            return [{"address": "ana@acme.com"}]

        @guard.tool
        async def answer(to: str) -> str:
            return to

        key = KeyPair.generate()
        capability = authority.issue(
            "agent:desk",
            grant(send, mail=Mail(to="ana@acme.com", body="hi"), note=must.anything()),
            grant(find),
            grant(answer, to=from_result(find, "$[*].address")),
            limit(calls=5),
            ttl=timedelta(minutes=10),
            audience="mail",
            holder=key.public,
        )
        box = guard.toolbox(capability, key=key)
        assert await box.call("send", {"mail": {"to": "ana@acme.com", "body": "hi"}, "note": ""}) == "sent"
        await box.call("find", {})
        assert await box.call("answer", {"to": "ana@acme.com"}) == "ana@acme.com"
        for tool, arguments in (
            ("send", {"mail": {"to": "mallory@example.com", "body": "hi"}, "note": ""}),
            ("answer", {"to": "mallory@example.com"}),
        ):
            try:
                await box.call(tool, arguments)
            except Denied as denied:
                reasons.append(denied.reason)
        assert reasons == ["constraint", "constraint"]
        assert ran == [Mail(to="ana@acme.com", body="hi")]
        await ledger.aclose()
    print("permitted, refused")


anyio.run(main)
