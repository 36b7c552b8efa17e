"""Hold one afternoon at the desk: the guard, the agents and the capability of each.

An agent has a toolbox and nothing else. `DemoSession.answer` runs its calls in the form in which a model's
message carries them, and returns an `ObservedCall` for each.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from types import MappingProxyType
from typing import Any

import anyio

from ...authority import Authority
from ...errors import Denied
from ...grants.grants import Grant
from ...guard.guard import Guard
from ...guard.toolbox import Toolbox
from ...keys.keys import KeyPair
from ...ledger import Ledger
from ...tools.provider_messages import ToolCall
from ...tools.results import result_text
from .tools import Tools, granted
from .transcript import PERMITTED

__all__ = ["THIEF", "Agent", "DemoSession", "ObservedCall"]

THIEF = "(thief)"
"""The name of the caller that has an agent's capability but not its key."""

_AUDIENCE = "support-desk"
_AFTERNOON = timedelta(hours=4)
_REFUSED = "refused: "
_FAILED = "error: "
_NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class ObservedCall:
    """A call and its result; ``text`` is what the agent received."""

    agent: str
    shape: str
    id: str
    tool: str
    arguments: Mapping[str, Any] | str
    verdict: str
    text: str
    seconds: float
    expected: str | None = None

    @property
    def permitted(self) -> bool:
        """Return whether the guard let the tool run."""
        return self.verdict == PERMITTED

    @property
    def done(self) -> bool:
        """Return whether the tool ran without an error."""
        return self.permitted and not self.text.startswith(_FAILED)

    def named(self) -> dict[str, Any]:
        """Return the arguments by name; none if the model did not write an object."""
        try:
            found = json.loads(self.arguments) if isinstance(self.arguments, str) else self.arguments
        except (ValueError, RecursionError):
            return {}
        return dict(found) if isinstance(found, Mapping) else {}

    @property
    def as_expected(self) -> bool:
        """Return whether the verdict is the expected one, if there is one."""
        return self.expected is None or self.expected == self.verdict


@dataclass(frozen=True, slots=True)
class Agent:
    """An agent's toolbox and grants, and the agent that delegated them."""

    toolbox: Toolbox
    grants: tuple[Grant, ...]
    parent: str | None = None


class DemoSession:
    """The guard of the desk's tools, and the agents by name; ``desk`` is the first."""

    def __init__(self, tools: Tools, root: str) -> None:
        self._ahead = 0
        self.seen: list[ObservedCall] = []
        authority = Authority.ephemeral()
        self.guard = Guard(authority.trust, audience=_AUDIENCE, ledger=Ledger.memory(), clock=self._now)
        for tool in tools.all():
            self.guard.add(tool)
        grants, key = granted(tools, root), KeyPair.generate()
        capability = authority.issue(
            "agent:desk", *grants, ttl=_AFTERNOON, audience=_AUDIENCE, holder=key.public
        )
        self.agents = {"desk": Agent(self.guard.toolbox(capability, key=key), grants)}

    def _now(self) -> float:
        return time.time() + self._ahead

    def pass_time(self, seconds: int) -> None:
        """Move the guard's clock forward."""
        self._ahead += seconds

    def agent(self, name: str) -> Agent:
        """Return an agent by its name.

        Raises:
            ValueError: no such agent.
        """
        if name not in self.agents:
            raise ValueError(f"no such agent: {name}")
        return self.agents[name]

    def delegate(self, name: str, to: str, grants: Sequence[Grant], seconds: int) -> None:
        """Delegate from one agent's toolbox to a new agent."""
        toolbox = self.agent(name).toolbox.delegate(f"agent:{to}", *grants, ttl=timedelta(seconds=seconds))
        self.agents[to] = Agent(toolbox, tuple(grants), name)

    async def answer(
        self, name: str, calls: Sequence[object], expect: Mapping[str, str] = _NOTHING
    ) -> tuple[list[dict[str, Any]], list[ObservedCall]]:
        """Run a message's calls concurrently; return the results in the provider's format, and each call.

        Raises:
            ValueError: a call has an unknown format.
        """
        toolbox = self.agent(name).toolbox
        read = [ToolCall.of(call) for call in calls]
        results: list[dict[str, Any]] = [{} for _ in calls]
        seen: dict[int, ObservedCall] = {}

        async def run(index: int) -> None:
            call, start = read[index], time.perf_counter()
            # separately only to time each: toolbox.answer(calls) also runs them concurrently
            [results[index]] = await toolbox.answer([calls[index]])
            took = time.perf_counter() - start
            text, ident = _result_text(results[index]), str(call.id)
            seen[index] = ObservedCall(
                agent=name,
                shape=call.provider,
                id=ident,
                tool=call.name,
                arguments=call.arguments,
                verdict=_verdict(text),
                text=text,
                seconds=took,
                expected=expect.get(ident),
            )

        async with anyio.create_task_group() as group:
            for index in range(len(read)):
                group.start_soon(run, index)
        found = [seen[index] for index in range(len(read))]
        self.seen += found
        return results, found

    async def stolen(self, name: str, tool: str, arguments: Mapping[str, Any], expected: str) -> ObservedCall:
        """Call the guard with an agent's capability, as a caller without the agent's key."""
        start, token = time.perf_counter(), self.agent(name).toolbox.capability.token
        try:
            text = result_text(await self.guard.call(token, tool, arguments))
        except Denied as denied:
            text = f"{_REFUSED}{denied}"
        took = time.perf_counter() - start
        seen = ObservedCall(
            agent=THIEF,
            shape="direct",
            id="",
            tool=tool,
            arguments=arguments,
            verdict=_verdict(text),
            text=text,
            seconds=took,
            expected=expected,
        )
        self.seen.append(seen)
        return seen


def _result_text(result: Mapping[str, Any]) -> str:
    """Return the text of a result in a provider's format."""
    return str(result["output"] if "output" in result else result["content"])


def _verdict(text: str) -> str:
    """Return ``permitted``, or the reason code at the end of a refusal.

    The desk's tools return objects and lists, so a text that starts with ``refused:`` is the guard's.
    """
    return text.rpartition("[")[2].removesuffix("]") if text.startswith(_REFUSED) else PERMITTED
