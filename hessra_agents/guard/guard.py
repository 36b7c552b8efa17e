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
5. The ledger is told the outcome, and records it with its next commit; nobody waits for that.

Whatever fails inside the guard refuses the call as ``unavailable``; the cause goes to the log
``hessra_agents``. The tool's own exceptions pass through.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from functools import partial
from types import TracebackType
from typing import Any

from ..call.call import Call
from ..errors import Denied, Reason
from ..keys.keys import KeyPair
from ..ledger.protocol import new_operation_id
from ..tokens.capability import Capability
from ..tokens.statements import Approval, Proof
from ..tools.registry import Registry
from ..verify.verifier import Possession, check_audience
from .deciding import Decider
from .invocation import Run
from .session import Session
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
        require_designations: whether a capability's issuer must have named each of these labels, too. False
            honours those that are for any value, such as tokens whose issuer designates in a later block.
        cross_check: have the Datalog engine decide every call, too, and refuse where it does: about twice the
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
        session: Session | None = None,
    ) -> Toolbox:
        """What an agent holds: the tools that its capability reaches.

        Args:
            capability: or its text.
            key: the holder's, if the capability has a holder; it is proved once, here.
            inject: values for the parameters that tools let the host inject.
            name: the agent's name; the capability's subject if left out.
            session: what the agent has seen; a fresh one if left out, which has seen nothing. Give the same
                agent the same session again, or it has forgotten what it was exposed to.

        Raises:
            Denied: the capability cannot be read, is for another guard, or the key is not its holder's.
        """
        found = self.read(capability)
        check_audience(found, self.audience, self._designations, require_designations=self._require)
        if found.holder is not None and key is None:
            raise Denied(Reason.NOT_HOLDER, "this capability has a holder: pass its key")
        possession = Possession.show(found, key) if key is not None and found.holder is not None else None
        seen = Session() if session is None else session
        return Toolbox(self, found, key, possession, dict(inject or {}), name or found.subject, seen)

    async def call(
        self,
        capability: Capability | str | None,
        tool: str,
        arguments: Mapping[str, Any] | str | bytes,
        *,
        proof: Proof | Possession | str | None = None,
        approvals: Iterable[Approval | str] = (),
        inject: Mapping[str, Any] | None = None,
        session: Session | None = None,
    ) -> Any:
        """Run one tool call if it is permitted, and return what the tool returns.

        Args:
            capability: its text, as it came with the call.
            tool: the name of a registered tool.
            arguments: a mapping, or JSON text as a model wrote it.
            proof: the holder's proof of this call; none for a bearer capability.
            approvals: approvals of this call.
            inject: values for the parameters that the host injects.
            session: what the agent has seen, and what it sees by this call. Without one, no argument follows
                data, and no call that must come before some exposure is permitted.

        Raises:
            Denied: the call is refused and the tool did not run.
            Exception: whatever the tool itself raised.
        """
        # an object is read again from its text: another trust may have made it
        text = capability.token if isinstance(capability, Capability) else capability
        running = self._running(text, tool, arguments, proof, approvals, inject or {}, None, session)
        async with running as run:
            return await run.result()

    def _running(
        self,
        capability: Capability | str | None,
        name: str,
        arguments: Mapping[str, Any] | str | bytes,
        proof: Proof | Possession | str | None,
        approvals: Iterable[Approval | str],
        injected: Mapping[str, Any],
        receiver: Any = None,
        session: Session | None = None,
    ) -> Running:
        """Decide one call; inside, it may run; after it, its outcome is recorded.

        A `Capability` object is one that this guard has read, as a toolbox's was.
        """
        return Running(self, capability, name, arguments, proof, approvals, injected, receiver, session)


class Running(AbstractAsyncContextManager[Run]):
    """One call of a tool: where it is entered, it was decided and may run. No generator, which costs more."""

    __slots__ = (
        "_approvals", "_arguments", "_capability", "_guard", "_injected", "_name", "_permitted", "_proof",
        "_receiver", "_run", "_session", "_tool",
    )  # fmt: skip

    def __init__(
        self,
        guard: Guard,
        capability: Capability | str | None,
        name: str,
        arguments: Mapping[str, Any] | str | bytes,
        proof: Proof | Possession | str | None,
        approvals: Iterable[Approval | str],
        injected: Mapping[str, Any],
        receiver: Any,
        session: Session | None,
    ) -> None:
        self._guard = guard
        self._capability = capability
        self._name = name
        self._arguments = arguments
        self._proof = proof
        self._approvals = approvals
        self._injected = injected
        self._receiver = receiver
        self._session = session

    async def __aenter__(self) -> Run:
        guard, capability, name, session = self._guard, self._capability, self._name, self._session
        try:
            tool = guard._tools.get(name) if type(name) is str else None
            found = capability if isinstance(capability, Capability) else guard.read(capability)
            if tool is None:
                raise Denied(Reason.NOT_GRANTED, "there is no such tool")
            call = Call.of(name, self._arguments)
        except Exception as error:
            denied = guard._refused(error, name if isinstance(name, str) else "")
            await guard._record_refusal(denied, None, capability, new_operation_id())
            raise denied from denied.__cause__
        self._tool = tool
        self._permitted = guard._permitted(
            found, call, self._proof, self._approvals, self._prepare, tool.bounds, session
        )
        await self._permitted.__aenter__()
        if session is not None and tool.exposes_labels:
            try:
                # before it runs: also what it raises, or yields, may hold what it says it holds
                session.expose(tool.exposes_labels)
            except BaseException as error:
                await self._permitted.__aexit__(type(error), error, error.__traceback__)
                raise
        return self._run

    def _prepare(self, call: Call) -> None:
        """What runs, built from the bytes that were decided on."""
        tool = self._tool
        positional, named = tool.arguments(tool.read(call), self._injected)
        if tool.method and self._receiver is None:
            raise Denied(
                Reason.UNAVAILABLE, "a method needs its object: guard.add(the_object.method), or bind it"
            )
        # a bound method that was added has its object already
        first = [self._receiver] if tool.method else []
        function = partial(tool.function, *first, *positional, **named)
        self._run = Run(tool, function, call, self._session, self._permitted.begin)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._permitted.__aexit__(kind, error, trace)
