"""Attack the authorizer of MCP: random requests, sent once more after something has changed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from itertools import count
from random import Random
from typing import Any

import anyio

from hessra_agents import Call, KeyPair, Ledger, grant, must
from hessra_agents.mcp import RequestAuthorizer, method
from hessra_agents.mcp.authorization.denials import DENIAL
from hessra_agents.mcp.authorization.requests import CAPABILITY, PROOF
from hessra_agents.mcp.transport.messages import RpcError
from tests.support.world import ANA, BO, EVE, World

from .forged import reason_of

__all__ = ["requests"]

TEXT = {"type": "string"}
TOOLS = [
    {"name": "send_email", "inputSchema": {"type": "object", "properties": {"to": TEXT, "body": TEXT}}},
    {"name": "pay", "inputSchema": {"type": "object", "properties": {"amount": {"type": "integer"}}}},
]


class Desk(World):
    """A guard in front of a server, whose clients are an agent, a thief, and who presents nothing."""

    def __init__(self, rng: Random, *, proves: bool) -> None:
        super().__init__(ledger=Ledger.memory(100))
        self.rng, self.key, self.thief = rng, KeyPair.generate(), KeyPair.generate()
        self.forwarded = self.listed = 0
        self.held = self.issue(
            grant("send_email", to=must.one_of(ANA, BO), body=must.anything()),
            grant("pay", amount=must.anything()),
            method("acme/do", more=must.optional()),
            holder=self.key.public if proves else None,
            ttl=timedelta(minutes=5),
        )
        bound = self.guard.toolbox(self.issue(grant("pay", amount=must.at_most(2))))
        self.gate = RequestAuthorizer(self.guard, default_toolbox=bound if rng.random() < 0.5 else None)

    async def fetch(self) -> list[dict[str, Any]]:
        self.listed += 1
        return TOOLS

    async def forward(self, params: dict[str, Any]) -> dict[str, Any]:
        self.forwarded += 1
        return {"content": []}

    def said(self) -> tuple[str, dict[str, Any]]:
        """A request's method and parameters: mostly what a client would send."""
        rng = self.rng
        name, arguments = rng.choice(
            (
                ("send_email", {"to": rng.choice((ANA, BO, EVE)), "body": "hi"}),
                ("send_email", {"to": ANA, "body": 7}),
                ("pay", {"amount": rng.choice((1, 1, 2, 3, "1"))}),
                ("erase", {}),
            )
        )
        meta: Any = self.meta(name, arguments)
        if rng.random() < 0.2:
            meta = rng.choice(
                (None, [], "", "x", 7, {CAPABILITY: 7}, {PROOF: "x"}, {PROOF: "y"}, {**meta, PROOF: [7]})
            )
        params: dict[str, Any] = {"name": name, "arguments": arguments, "_meta": meta}
        if rng.random() < 0.08:
            params["name"] = rng.choice((None, 7, ["pay"], "t" * 300))
        if rng.random() < 0.1:
            params["arguments"] = rng.choice((None, [], "{}", [["amount", 1]], {"amount": 2}))
        asked = rng.choice(("tools/call",) * 12 + ("acme/do", "acme/undo", "resources/read"))
        return asked, params if asked == "tools/call" else {"_meta": meta, "more": 1}

    def meta(self, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        found = {CAPABILITY: self.held.token}
        if self.held.holder is not None and self.rng.random() < 0.95:
            signer = self.key if self.rng.random() < 0.9 else self.thief
            call = Call.of(name, arguments)
            try:
                found[PROOF] = self.held.prove(call, key=signer, audience="mail", now=self.now).token
            except ValueError:  # the thief has no key that proves
                found[PROOF] = "hp1.x"
        return found

    async def outcome(self, asked: str, params: dict[str, Any], *, told: bool, http: bool) -> str:
        before = self.forwarded
        try:
            fetch = None if told else self.fetch
            await self.gate.handle(asked, params, self.forward, fetch=fetch, http=http)
        except Exception as error:
            return "ran" if self.forwarded > before else reason_of(error)
        return "ran" if self.forwarded > before else "passed"

    async def change(self) -> str:
        """Change something, and say what."""
        what = self.rng.choice(("nothing", "revoked", "late", "expired"))
        if what == "revoked":
            await self.ledger.revoke(self.held)
        self.now += {"late": 31, "expired": 400}.get(what, 0)
        return what

    async def proof_alone(self) -> str:
        """A call with nothing but a proof, at a gate that has a capability of its own."""
        bound = self.guard.toolbox(self.issue(grant("pay", amount=must.at_most(2))))
        self.gate = RequestAuthorizer(self.guard, default_toolbox=bound)
        params = {"name": "pay", "arguments": {"amount": 1}, "_meta": {PROOF: "x"}}
        return await self.outcome("tools/call", params, told=False, http=False)

    async def listed_by_nine(self) -> str:
        """A list of tools, asked for with more capabilities than one agent may hold."""
        params = {"_meta": {CAPABILITY: [self.held.token] * 9}}
        told = self.gate.filter_result("tools/list", params, {"tools": TOOLS})
        return "ran" if told["tools"] else str(told["_meta"][DENIAL]["reason"])

    async def beside(self) -> str:
        """Two equal requests at a time, of which the first gets no answer; what the second gets."""
        go, outcomes = anyio.Event(), []
        arguments = {"amount": 1}
        params = {"name": "pay", "arguments": arguments, "_meta": self.meta("pay", arguments)}

        async def fail(params: dict[str, Any]) -> dict[str, Any]:
            await go.wait()
            raise RpcError("no answer")

        async def ask() -> None:
            try:
                await self.gate.handle("tools/call", params, fail, fetch=self.fetch)
                outcomes.append("passed")
            except RpcError:
                outcomes.append("no answer")
            except Exception as error:
                outcomes.append(reason_of(error))

        async with anyio.create_task_group() as group:
            for _ in range(2):
                group.start_soon(ask)
                await anyio.wait_all_tasks_blocked()
            go.set()
        return outcomes[-1]


async def requests() -> AsyncIterator[tuple[str, str]]:
    yield "a proof alone", await Desk(Random(0), proves=True).proof_alone()
    yield "a list by nine capabilities", await Desk(Random(0), proves=True).listed_by_nine()
    for seed in count():
        rng = Random(seed)
        desk = Desk(rng, proves=rng.random() < 0.6 or seed % 10 == 9)
        if seed % 10 == 9:
            yield f"requests {seed} side by side", await desk.beside()
            continue
        asked, params = desk.said()
        http, told = rng.random() < 0.3, rng.random() < 0.1
        yield f"request {seed}", await desk.outcome(asked, params, told=told, http=http)
        yield f"request {seed}, the server's list", "read" if desk.listed else "not read"
        what = await desk.change()
        told = told or rng.random() < 0.1
        outcome = await desk.outcome(asked, params, told=told, http=http)
        yield f"request {seed} again, {what}", outcome
