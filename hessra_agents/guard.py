"""The guard: runs a tool call if a capability permits it, and only then.

    guard = Guard(authority.trust, audience="mail")

    @guard.tool
    async def send_email(to: str, body: str) -> str: ...

A guarded function that is called without a capability is refused. A call goes through `Guard.call`, with
the capability as text and the proof beside it, or through a `Toolbox`, which holds the capability.

The path of a call:

1. The arguments are made canonical, once; `verify` decides on that form (pure).
2. They are validated, from the very same bytes, against the function's own types.
3. The ledger takes what the call uses up.
4. The tool runs with a value built from the bytes that were decided on.
5. The ledger records the outcome, shielded from cancellation.

Whatever fails inside the guard refuses the call as ``unavailable``; the cause goes to the log
``hessra_agents``. The tool's own exceptions pass through.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from .call import Call
from .decide.verifier import Possession, check_place
from .deciding import Decider
from .errors import Denied, Reason
from .ledger.protocol import new_op
from .registry import Registry
from .running import Run
from .tokens.capability import Capability
from .tokens.keys import KeyPair
from .tokens.statements import Approval, Proof
from .toolbox import Toolbox

__all__ = ["Guard"]


class Guard(Decider, Registry):
    """Stands between agents and tools; knows public keys only.

    Protects the registered tools from calls that no capability names, by agents that reach them through
    this guard. Does not protect from a tool that misuses arguments it was allowed to get, nor from code
    in the same process that calls the undecorated function.

    Args:
        trust: the root keys that capabilities must come from.
        audience: this guard's name; a capability must name it.
        ledger: remembers used proofs and approvals. Without one, calls that carry them are refused, since
            the guard could not tell a replay.
        designations: labels that this guard stands for (``{"tenant": "acme"}``); a capability that names
            one of them with another value is refused.
        require: whether a capability's issuer must have named each of these labels, too. False honours
            those that are for any value, such as tokens whose issuer designates in a later block.
        strict: have the Datalog engine decide every call, too, and refuse where it does: about twice the
            time of a call. Without, our own decision stands alone, which the tests hold against the engine.
        clock: Unix seconds.
    """

    def __repr__(self) -> str:
        return f"Guard(audience={self.audience!r}, tools={sorted(self._tools)})"

    def toolbox(
        self,
        capability: Capability | str,
        *,
        key: KeyPair | None = None,
        inject: Mapping[str, Any] | None = None,
        name: str | None = None,
    ) -> Toolbox:
        """What an agent holds: the tools that its capability reaches.

        Args:
            capability: or its text.
            key: the holder's, if the capability has a holder; it is proved once, here.
            inject: values for the parameters that tools let the host inject.
            name: the agent's name; the capability's subject if left out.

        Raises:
            Denied: the capability cannot be read, is for another guard, or the key is not its holder's.
        """
        found = self.read(capability)
        check_place(found, self.audience, self._designations, require=self._require)
        if found.holder is not None and key is None:
            raise Denied(Reason.NOT_HOLDER, "this capability has a holder: pass its key")
        possession = Possession.show(found, key) if key is not None and found.holder is not None else None
        return Toolbox(self, found, key, possession, dict(inject or {}), name or found.subject)

    async def call(
        self,
        capability: Capability | str | None,
        tool: str,
        arguments: Mapping[str, Any] | str | bytes,
        *,
        proof: Proof | Possession | str | None = None,
        approvals: Iterable[Approval | str] = (),
        inject: Mapping[str, Any] | None = None,
    ) -> Any:
        """Run one tool call if it is permitted, and return what the tool returns.

        Args:
            capability: its text, as it came with the call.
            tool: the name of a registered tool.
            arguments: a mapping, or JSON text as a model wrote it.
            proof: the holder's proof of this call; none for a bearer capability.
            approvals: approvals of this call.
            inject: values for the parameters that the host injects.

        Raises:
            Denied: the call is refused and the tool did not run.
            Exception: whatever the tool itself raised.
        """
        # an object is read again from its text: another trust may have made it
        text = capability.token if isinstance(capability, Capability) else capability
        async with self._running(text, tool, arguments, proof, approvals, inject or {}) as run:
            return await run.result()

    @asynccontextmanager
    async def _running(
        self,
        capability: Capability | str | None,
        name: str,
        arguments: Mapping[str, Any] | str | bytes,
        proof: Proof | Possession | str | None,
        approvals: Iterable[Approval | str],
        injected: Mapping[str, Any],
        receiver: Any = None,
    ) -> AsyncIterator[Run]:
        """Decide one call; inside, it may run; after it, its outcome is recorded.

        A `Capability` object is one that this guard has read, as a toolbox's was.
        """
        try:
            tool = self._tools.get(name) if type(name) is str else None
            found = capability if isinstance(capability, Capability) else self.read(capability)
            if tool is None:
                raise Denied(Reason.WRONG_TOOL, "there is no such tool")
            call = Call.of(name, arguments)
        except Exception as error:
            denied = self._refused(error, name if isinstance(name, str) else "")
            await self._record_refusal(denied, None, capability, new_op())
            raise denied from denied.__cause__
        run: list[Run] = []

        def prepare(call: Call) -> None:
            positional, named = tool.arguments(tool.read(call), injected)
            if tool.method and receiver is None:
                raise Denied(
                    Reason.UNAVAILABLE, "a method needs its object: guard.add(the_object.method), or bind it"
                )
            # a bound method that was added has its object already
            first = [receiver] if tool.method else []
            run.append(Run(tool, partial(tool.function, *first, *positional, **named)))

        async with self._permitted(found, call, proof, approvals, prepare, tool.bounds):
            yield run.pop()
