"""A small world: an authority, a guard with a few tools, and a list of what really ran."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest

from hessra_agents import (
    Authority,
    Call,
    Capability,
    Denied,
    Grant,
    Guard,
    KeyPair,
    Ledger,
    Proof,
    PublicKey,
    Reason,
    grant,
    must,
)
from hessra_agents.grants.approvals import ApprovalRule
from hessra_agents.grants.exposure import NoExposure
from hessra_agents.grants.limits import Limit

ANA, BO, EVE = "ana@acme.com", "bo@acme.com", "eve@evil.example"
MAIL = {"to": ANA, "body": "hi"}


class World:
    """Time stands still at `now`; move it by setting it."""

    def __init__(self, *, ledger: Ledger | None = None, **options: Any) -> None:
        self.now = 1_800_000_000
        self.ran: list[tuple[str, dict[str, Any]]] = []
        self.authority = Authority.ephemeral(clock=lambda: self.now)
        self.ledger = Ledger.memory() if ledger is None else ledger
        self.ledger._clock = lambda: self.now
        self.guard = Guard(
            self.authority.trust,
            audience="mail",
            ledger=self.ledger,
            clock=lambda: self.now,
            **options,
        )
        ran = self.ran

        @self.guard.tool
        async def send_email(to: str, body: str, cc: str | None = None) -> str:
            """Send a mail."""
            ran.append(("send_email", {"to": to, "body": body} | ({} if cc is None else {"cc": cc})))
            return f"sent to {to}"

        @self.guard.tool
        async def read_file(path: str) -> str:
            """Read a file."""
            ran.append(("read_file", {"path": path}))
            return "text"

        @self.guard.tool
        def pay(amount: int, currency: str = "EUR") -> int:
            """Pay."""
            ran.append(("pay", {"amount": amount, "currency": currency}))
            return amount

        @self.guard.tool
        async def run(argv: list[str]) -> str:
            """Run a program."""
            ran.append(("run", {"argv": argv}))
            return "ran"

        @self.guard.tool
        async def fetch(url: str) -> str:
            """Fetch a page."""
            ran.append(("fetch", {"url": url}))
            return "page"

        @self.guard.tool
        async def store(value: Any) -> str:
            """Take any value."""
            ran.append(("store", {"value": value}))
            return "stored"

        @self.guard.tool
        async def now() -> int:
            """A tool without arguments."""
            ran.append(("now", {}))
            return 0

        self.send_email, self.read_file, self.pay = send_email, read_file, pay

    def issue(
        self,
        *conditions: Grant | Limit | ApprovalRule | NoExposure,
        holder: PublicKey | None = None,
        ttl: timedelta = timedelta(minutes=10),
        audience: str | None = "mail",
        **options: Any,
    ) -> Capability:
        """A capability for ``agent:desk``; by default to mail Ana or Bo."""
        found = conditions
        if not any(isinstance(one, Grant) for one in conditions):
            found = (grant("send_email", to=must.one_of(ANA, BO), body=must.anything()), *conditions)
        return self.authority.issue(
            "agent:desk", *found, ttl=ttl, audience=audience, holder=holder, **options
        )

    async def call(
        self,
        capability: Capability | str | None,
        tool: str = "send_email",
        arguments: Mapping[str, Any] | str | bytes = MAIL,
        *,
        proof: Proof | str | None = None,
        **options: Any,
    ) -> Any:
        """A call as it comes over a wire: the capability as text."""
        text = capability.token if isinstance(capability, Capability) else capability
        return await self.guard.call(text, tool, arguments, proof=proof, **options)

    def prove(
        self,
        capability: Capability,
        key: KeyPair,
        tool: str = "send_email",
        arguments: Mapping[str, Any] = MAIL,
        *,
        audience: str = "mail",
        now: int | None = None,
    ) -> Proof:
        """The holder's proof of one call."""
        call = Call.of(tool, arguments)
        return capability.prove(call, key=key, audience=audience, now=self.now if now is None else now)

    @contextmanager
    def refuses(self, reason: Reason | str, *said: str) -> Iterator[None]:
        """The block is refused for this reason, with these words, and no tool ran in it."""
        before = list(self.ran)
        with pytest.raises(Denied) as caught:
            yield
        assert caught.value.reason == reason, repr(caught.value)
        for words in said:
            assert words in str(caught.value)
        assert self.ran == before
