"""Our side: one guard, a parent with a key of its own, and the child that its toolbox delegates to."""

from __future__ import annotations

import inspect
import time
from collections.abc import Awaitable, Callable, Iterable
from datetime import timedelta
from typing import Any

from hessra_agents import Authority, Denied, Grant, Guard, KeyPair, Ledger, Toolbox, grant, must
from hessra_agents.grants.vocabulary.constraints import Constraint

from .cases import AllAt, Anything, Ask, Between, Bound, Rights, Under

__all__ = ["AUDIENCE", "LIFE", "Crew", "Office", "grants"]

AUDIENCE = "office"
LIFE = timedelta(hours=1)
_TYPES: dict[str, Any] = {"recipients": list[str], "amount": int | float, "limit": int}


def constraint(bound: Bound) -> Constraint:
    """The bound as a grant says it."""
    match bound:
        case Anything():
            return must.anything()
        case Between(low, high):
            return must.between(low, high)
        case Under(folder):
            return must.under(folder)
        case AllAt(domain):
            return must.each(must.email(domain))


def grants(rights: Rights) -> list[Grant]:
    """One for each tool."""
    return [grant(tool, {n: constraint(one) for n, one in each.items()}) for tool, each in rights.items()]


class Office:
    """An authority, a guard in front of these tools, and which of their bodies ran. Its clock can be set."""

    def __init__(self, tools: Rights) -> None:
        self.now = int(time.time())
        self.ran: list[Ask] = []
        self.authority = Authority.ephemeral(clock=self._clock)
        self.guard = Guard(self.authority.trust, audience=AUDIENCE, ledger=Ledger.memory(), clock=self._clock)
        for tool, arguments in tools.items():
            self.guard.add(self._body(tool, arguments), name=tool)

    def _clock(self) -> float:
        return self.now

    def _body(self, tool: str, names: Iterable[str]) -> Callable[..., Awaitable[None]]:
        async def body(**arguments: Any) -> None:
            self.ran.append(Ask(tool, arguments))

        hints = {name: _TYPES.get(name, str) for name in names}
        kind = inspect.Parameter.KEYWORD_ONLY
        parameters = [inspect.Parameter(name, kind, annotation=hint) for name, hint in hints.items()]
        body.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        body.__annotations__ = hints
        return body

    async def runs(self, ask: Ask, call: Awaitable[object]) -> str | None:
        """None if exactly the body that was asked for ran; why nothing did, if it was refused.

        Raises:
            AssertionError: something else ran.
        """
        before = list(self.ran)
        try:
            await call
        except Denied as denied:
            assert self.ran == before, "a refused call ran"
            return denied.reason.value
        assert self.ran == [*before, ask], "a permitted call ran otherwise than it was asked for"
        return None


class Crew:
    """A parent and its child at one guard."""

    def __init__(self, parent: Rights, child: Rights) -> None:
        self._office = Office(parent)
        key = KeyPair.generate()
        held = self._office.authority.issue(
            "agent:lead", *grants(parent), ttl=LIFE, audience=AUDIENCE, holder=key.public
        )
        self._parent = self._office.guard.toolbox(held, key=key)
        self._child = self._parent.delegate("agent:lead:worker", *grants(child), ttl=LIFE)

    async def parent(self, ask: Ask) -> bool:
        """Whether the body runs when the parent asks."""
        return await self._runs(self._parent, ask)

    async def child(self, ask: Ask) -> bool:
        """Whether it runs when the child asks."""
        return await self._runs(self._child, ask)

    async def _runs(self, toolbox: Toolbox, ask: Ask) -> bool:
        return await self._office.runs(ask, toolbox.call(ask.tool, ask.arguments)) is None
