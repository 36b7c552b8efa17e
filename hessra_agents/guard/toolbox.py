"""Give one agent the tools that its capability reaches, and no others.

    desk = guard.toolbox(capability)
    await desk.call("send_email", {"to": "ana@acme.com", "body": "hi"})
    mailer = desk.delegate("agent:desk:mailer", grant("send_email", to="ana@acme.com"))

The capability is always a value: bound into the toolbox, or into a function by `bind`. It is never taken
from ambient state.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from typing import Any, ParamSpec, TypeVar, overload

from ..call.call import Call
from ..errors import Denied, Reason
from ..grants.conditions import Condition
from ..grants.grants import grant
from ..keys.keys import KeyPair
from ..tokens.capability import Capability
from ..tokens.statements import Approval, Proof
from ..tools.json_schema import narrowed, wrapped
from ..tools.registry import Registry
from ..tools.wrappers import bound_wrapper
from ..verify.permit import Permit
from ..verify.verifier import Possession
from .enforcement import Enforcement, PermittedBlock, decide
from .invocation import Invocation, retry_until_approved
from .narrowing import check_conditions, exact_call
from .presented import Presented, as_reusable
from .session import Session
from .settings import GuardSettings, as_denied

__all__ = ["Toolbox"]

P = ParamSpec("P")
R = TypeVar("R")


class Toolbox:
    """The tools that one agent may call; `Guard.toolbox` and `delegate` return one.

    Any code that has the object may use it: give it to its agent only, and `delegate` to others. ``repr``
    shows no token.
    """

    def __init__(
        self,
        settings: GuardSettings,
        registry: Registry,
        capability: Capability | str,
        *,
        key: KeyPair | None,
        inject: Mapping[str, Any] | None,
        name: str | None,
        session: Session | None,
    ) -> None:
        reader = settings.reader
        known = reader.read(capability)
        settings.check_audience(known)
        if known.holder is not None and key is None:
            raise Denied(Reason.NOT_HOLDER, "this capability has a holder: pass its key")
        possession = Possession.show(known, key) if key is not None and known.holder is not None else None
        self.settings = settings
        self._registry = registry
        self._presented = Presented(known, possession, reader=reader)
        self._capability = known
        self._key = key
        self._inject = dict(inject or {})
        self.name = name or known.subject
        self._session = Session() if session is None else session

    def __repr__(self) -> str:
        return f"Toolbox({self.name!r}, tools={list(self.tools)})"

    def __reduce__(self) -> str:
        raise TypeError(
            "a toolbox cannot be pickled: send the capability's token, and prove calls with the key"
        )

    @property
    def capability(self) -> Capability:
        """The capability that every call carries."""
        return self._capability

    @property
    def possession(self) -> Possession | None:
        """Evidence that the holder's key was used at this guard; None for a bearer capability."""
        proof = self._presented.proof
        return proof if isinstance(proof, Possession) else None

    @property
    def session(self) -> Session:
        """What the agent has seen."""
        return self._session

    @property
    def tools(self) -> tuple[str, ...]:
        """The names of the reachable tools, sorted."""
        reached = {name.removeprefix("tool:") for name in self._capability.tools if name.startswith("tool:")}
        # a method without its object cannot be called by name
        return tuple(
            sorted(n for n, tool in self._registry.tools.items() if n in reached and not tool.method)
        )

    async def call(
        self,
        tool: str | Callable[..., Any],
        arguments: Mapping[str, Any] | str | bytes,
        *,
        approvals: Iterable[Approval | str] = (),
        approval_timeout: timedelta | None = None,
    ) -> Any:
        """Call a tool, and return what it returns (the items of an async generator as a list).

        Args:
            tool: the tool's name, or the function.
            arguments: a mapping, or a JSON string from a model.
            approvals: approvals of this call; the guard adds those in its ledger.
            approval_timeout: how long to wait for missing approvals. If omitted, the call is refused at
                once, and ``denied.request`` names the request for them. The request stays open when the
                wait ends.

        Raises:
            Denied: the call is refused and the tool did not run.
            Exception: any exception of the tool itself.
        """
        receiver = None if isinstance(tool, str) else getattr(tool, "__self__", None)
        name = tool if isinstance(tool, str) else self._registry.registered_name(tool)
        if approval_timeout is None:
            return await self._invocation(name, arguments, receiver, approvals).result()
        if not isinstance(approval_timeout, timedelta):
            raise TypeError("approval_timeout must be a timedelta, such as timedelta(minutes=5)")
        given = as_reusable(approvals)
        return await retry_until_approved(
            lambda: self._invocation(name, arguments, receiver, given).result(),
            self.settings,
            approval_timeout,
        )

    def _invocation(
        self,
        name: str,
        arguments: Mapping[str, Any] | str | bytes,
        receiver: Any = None,
        approvals: Iterable[Approval | str] = (),
    ) -> Invocation:
        return Invocation(
            self.settings,
            self._registry,
            self._present(approvals),
            name,
            arguments,
            injected=self._inject,
            session=self.session,
            receiver=receiver,
        )

    def _present(self, approvals: Iterable[Approval | str] = ()) -> Presented:
        presented, reader = self._presented, self.settings.reader
        if presented.reader is not reader:
            # the guard's trust was replaced: verify the capability by the new trust
            try:
                self._capability = reader.read(self._capability)
            except Denied:  # which the call reads, to be refused on record
                return Presented.of(self._capability, presented.proof, approvals)
            presented = self._presented = Presented(self._capability, presented.proof, reader=reader)
        if type(approvals) is tuple and not approvals:  # anything else that is empty is checked as well
            return presented
        return Presented(presented.capability, presented.proof, as_reusable(approvals), reader)

    def permit(
        self,
        call: Call,
        *,
        approvals: Iterable[Approval | str] = (),
        validate: Callable[[Call], object] | None = None,
    ) -> AbstractAsyncContextManager[Permit]:
        """Decide a call of something that is not a tool of this guard: see `Guard.permit`."""
        # as a token, which is read when the block is entered: the guard's trust may be another by then
        presented = Presented.of(self._capability, self.possession, approvals)
        return PermittedBlock(Enforcement(self.settings, presented, self.session), call, validate)

    def decide(self, call: Call) -> Permit:
        """Return the decision on such a call alone: see `Guard.decide`."""
        try:
            capability = self.settings.read(self._capability)
            return decide(self.settings, self._present(), capability, call, self.session)
        except Exception as error:
            denied = as_denied(error, call.tool)
            raise denied from denied.__cause__

    # an async generator, a coroutine function, a plain function: the first that fits
    @overload
    def bind(  # type: ignore[overload-overlap]
        self, tool: Callable[P, AsyncIterator[R]], /
    ) -> Callable[P, AsyncGenerator[R, None]]: ...
    @overload
    def bind(self, tool: Callable[P, Coroutine[Any, Any, R]], /) -> Callable[P, Coroutine[Any, Any, R]]: ...
    @overload
    def bind(self, tool: Callable[P, R], /) -> Callable[P, Coroutine[Any, Any, R]]: ...
    def bind(self, tool: Callable[..., Any], /) -> Callable[..., Any]:
        """Return the tool as a function of the same signature that carries this toolbox's authority only.

        A sync tool becomes a coroutine function. The call is decided when the coroutine runs, not when it
        is created.

        Raises:
            ValueError: the function is not a tool of this guard.
        """
        registered = self._registry.tools[self._registry.registered_name(tool)]
        name, receiver = registered.name, getattr(tool, "__self__", None)
        return bound_wrapper(registered, lambda arguments: self._invocation(name, arguments, receiver))

    def schemas(self, provider: str = "openai") -> list[dict[str, Any]]:
        """Return the JSON Schemas of the reachable tools, narrowed to what is granted.

        Args:
            provider: ``openai`` (Chat Completions), ``openai-responses``, ``anthropic`` or ``mcp``.

        Raises:
            ValueError: the provider is unknown.
        """
        patterns = [pattern for block in self._capability.blocks for pattern in block.patterns]
        if not self._capability.blocks[0].patterns:
            # such a capability only permits calls without arguments
            patterns += [grant(name).branches(closed=True) for name in self.tools]
        tools = [self._registry.tools[name] for name in self.tools]
        return [
            wrapped(provider, tool, narrowed(tool.schema, f"tool:{tool.name}", [*patterns, *tool.bounds]))
            for tool in tools
        ]

    async def answer(
        self, tool_calls: object, *, approval_timeout: timedelta | None = None
    ) -> list[dict[str, Any]]:
        """Run a model's tool calls concurrently, and return their results in order and in the model's format.

        A refused call, an unknown tool, unreadable arguments and a tool's own exception become results that
        the model can read; only cancellation passes through.

        Args:
            tool_calls: a list of calls, a message with calls in it, or None; all other parts are skipped.
            approval_timeout: how long each call waits for missing approvals, as in `call`.

        Raises:
            ValueError: a call has a format that cannot be answered.
        """
        from ..tools.provider_messages import answer_calls  # needed only here

        async def run(name: str, arguments: Mapping[str, Any] | str) -> Any:
            return await self.call(name, arguments, approval_timeout=approval_timeout)

        return await answer_calls(tool_calls, run)

    def delegate(
        self,
        name: str,
        *conditions: Condition,
        ttl: timedelta | None = None,
        designations: Mapping[str, str] | None = None,
        inject: Mapping[str, Any] | None = None,
        share_results: Iterable[str | Callable[..., Any]] = (),
    ) -> Toolbox:
        """Return the toolbox of a sub-agent: a key of its own, and at most these grants and this lifetime.

        The sub-agent's toolbox never exceeds what this toolbox allows. Losing this toolbox does not end it;
        only expiry and revocation do.

        Args:
            name: a name below this agent's: ``agent:desk`` delegates to ``agent:desk:mailer``.
            conditions: grants of what the sub-agent may call, limits, and approvals that each call needs.
                Arguments that a grant does not name keep their bounds.
            ttl: time from now after which the sub-agent's capability is refused.
            designations: labels that the guard must state with these values.
            inject: values that the host injects for the sub-agent; this toolbox's own if omitted.
            share_results: tools whose results so far the sub-agent's arguments may follow, at the places that
                its capability names; of all else it sees only its own results. Labels that either agent is
                exposed to apply to both.

        Raises:
            ValueError: the name is not below this agent's, nothing is granted, or a tool is unknown.
        """
        if not name.startswith(f"{self.name}:") or name.endswith(":") or "::" in name:
            raise ValueError(f"the name of a sub-agent of {self.name!r} must be {self.name}:<name>")
        check_conditions(conditions, self._registry.tools)
        shared = [self._registry.tool_name(tool) for tool in share_results]
        key = KeyPair.generate()
        child = self._capability.delegate(
            *conditions,
            to=key.public,
            key=self._key,
            ttl=ttl,
            designations=designations,
            now=self.settings.now(),
        )
        injected = self._inject if inject is None else inject
        patterns = [pattern for block in child.blocks for pattern in block.patterns]
        patterns += [bound for tool in self._registry.tools.values() for bound in tool.bounds]
        session = self.session.fork(shared, patterns=patterns)
        return Toolbox(
            self.settings, self._registry, child, key=key, inject=injected, name=name, session=session
        )

    def prove(self, tool: str, arguments: Mapping[str, Any] | str | bytes, *, audience: str) -> Proof:
        """Return a proof of one call to a guard in another process, for a capability that has a holder.

        Raises:
            ValueError: the capability has no holder, or the arguments have no canonical form.
        """
        if self._key is None:
            raise ValueError("this capability has no holder: its calls need no proof")
        call = Call.of(tool, arguments)
        return self._capability.prove(call, key=self._key, audience=audience, now=self.settings.now())

    def attenuate(self, *conditions: Condition, ttl: timedelta | None = None) -> Toolbox:
        """Return a toolbox of the same agent and key with fewer tools, tighter arguments or less time."""
        narrower = self._capability.attenuate(*conditions, ttl=ttl, now=self.settings.now())
        return Toolbox(
            self.settings,
            self._registry,
            narrower,
            key=self._key,
            inject=self._inject,
            name=self.name,
            session=self.session,
        )

    def narrow(
        self,
        tool: str | Callable[..., Any],
        arguments: Mapping[str, object] | None = None,
        /,
        *,
        ttl: timedelta | None = None,
        **named: object,
    ) -> Toolbox:
        """Return a toolbox for one exact call, once: what a task may do becomes what it is about to do.

        Hand on the returned toolbox only: code that has this toolbox can narrow it again. The call must
        still be one that this toolbox allows. The guard counts calls in its ledger, and without a ledger it
        refuses them.

        Args:
            tool: the tool's name, or the function.
            arguments: arguments of the call with their exact values, for names that are not identifiers.
            named: the other arguments, with their exact values.
            ttl: time from now after which the capability is refused.

        Raises:
            ValueError: the tool is unknown, has no such argument, or requires an argument that is missing.
        """
        registered = self._registry.tools[self._registry.tool_name(tool)]
        return self.attenuate(*exact_call(registered, {**(arguments or {}), **named}), ttl=ttl)
