"""One agent at its desk: every call is decided by the real guard, for the authority that a rung has issued.

What follows data is bound by the guard, from the results of the session. What trusted code computes is bound
just in time: the capability of the task is narrowed, as an agent narrows one. A person is asked through the
guard's own requests, looks at the call as it is shown, and approves what the user's task does and nothing
else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from hessra_agents import (
    Authority,
    Call,
    Denied,
    Guard,
    KeyPair,
    Ledger,
    Reason,
    Session,
    Toolbox,
    approved_by,
    clear_of,
)
from hessra_agents.grants.conditions import Condition
from hessra_agents.grants.exposure import UNTRUSTED

from .ladder import Results, Rung, Schema, computes, conditions, granted, terms
from .plans import Step, Suite, Task

__all__ = ["Desk", "Office", "Part"]

_LIFE = timedelta(hours=12)


class Office:
    """The authority and the guard of one suite, and the person who is asked."""

    def __init__(self, suite: Suite, schema: Schema) -> None:
        self.suite, self.schema = suite, schema
        self.authority = Authority.ephemeral()
        self.guard = Guard(self.authority.trust, audience=suite.name, ledger=Ledger.memory(1_000_000))
        self.person = KeyPair.generate()

    def issue(self, *conditions: Condition, session: Session | None = None) -> Toolbox:
        """A toolbox of a new bearer capability, in this session."""
        capability = self.authority.issue("agent:replay", *conditions, ttl=_LIFE, audience=self.suite.name)
        return self.guard.toolbox(capability, session=session)


class Desk:
    """One session of one task on one rung; ``honest`` are the calls that the user's task makes."""

    def __init__(self, office: Office, rung: Rung, task: Task, honest: Iterable[tuple[str, Any]]) -> None:
        self._office = office
        self._honest = [Call.of(tool, arguments) for tool, arguments in honest]
        exact = [Step(call.tool, call.arguments) for call in self._honest]
        found = terms(rung, office.suite, task, office.schema, exact)
        self._session = session = Session()
        self._results: dict[str, list[Any]] = {}
        approver = approved_by(office.person.public)
        asking = replace(rung, counted=False)  # a person counts by looking: each approval is of one call
        self._parts = [
            Part(office, rung, session, found.plain),
            Part(office, rung, session, found.exposed, clear_of(UNTRUSTED)),
            Part(office, asking, session, (*found.asked, *found.exposed), approver),
        ]
        self.asks: list[bool] = []

    async def run(self, tool: str, arguments: Mapping[str, Any], act: Callable[[], Any]) -> Any:
        """What ``act`` returns, if a capability of this desk permits the call.

        Raises:
            Denied: none does.
        """
        call = Call.of(tool, arguments)
        refused = Denied(Reason.NO_CAPABILITY)
        for part in self._parts:
            toolbox = part.toolbox(self._results)
            if toolbox is None:
                continue
            try:
                return await self._permitted(toolbox, call, act)
            except Denied as denied:
                refused = denied
                if denied.request is not None and await self._approved(denied.request):
                    return await self._permitted(toolbox, call, act)
        raise refused

    async def _permitted(self, toolbox: Toolbox, call: Call, act: Callable[[], Any]) -> Any:
        async with toolbox.permit(call):
            return act()

    async def _approved(self, request: str) -> bool:
        """Show the request to the person, who approves what the user's own task does."""
        guard, person = self._office.guard, self._office.person
        (shown,) = await guard.ledger.requests(request)
        if shown.state != "open":
            return False  # it was rejected before: nobody is asked twice
        good = shown.call in self._honest
        self.asks.append(good)
        await (guard.ledger.approve if good else guard.ledger.reject)(shown, key=person)
        return good

    def returned(self, tool: str, arguments: Mapping[str, Any], result: Any) -> None:
        """Tell the session what a permitted call returned, and that it is exposed to what others wrote."""
        untrusted = tool in self._office.suite.untrusted
        self._session.record_result(tool, result, call=Call.of(tool, arguments), untrusted=untrusted)
        self._session.expose([UNTRUSTED] if untrusted else [])
        self._results.setdefault(tool, []).append(result)


class Part:
    """One capability of a desk; where formulas are in it, narrowed to what they say so far."""

    def __init__(
        self, office: Office, rung: Rung, session: Session, steps: Iterable[Step], *more: Condition
    ) -> None:
        self._office, self._rung, self._steps = office, rung, tuple(steps)
        self._computes = any(computes(rung, one) for one in self._steps)
        self._words: list[str] = []
        self._narrowed: Toolbox | None = None
        self._whole: Toolbox | None = None
        if self._steps:
            found = conditions(rung, office.suite, self._steps, office.schema)
            self._whole = office.issue(*found, *more, session=session)

    def toolbox(self, results: Results) -> Toolbox | None:
        """The toolbox as of now, or None where nothing is reachable yet."""
        if self._whole is None or not self._computes:
            return self._whole
        schema = self._office.schema
        grants = [one for step in self._steps for one in granted(self._rung, step, schema, results)]
        words = [str(one) for one in grants]
        if words != self._words:
            self._words = words
            self._narrowed = self._whole.attenuate(*grants) if grants else None
        return self._narrowed
