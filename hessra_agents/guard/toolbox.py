"""Give one agent the tools that its capability reaches, and no others.

    desk = guard.toolbox(capability)
    await desk.call("send_email", {"to": "ana@acme.com", "body": "hi"})
    mailer = desk.delegate("agent:desk:mailer", grant("send_email", to="ana@acme.com"))

The capability is always a value: bound into the toolbox, or into a function by `bind`. It is never taken
from ambient state. Of several capabilities, exactly one serves each call (`members`).
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from typing import Any, ParamSpec, TypeVar, overload

from ..call.call import Call
from ..grants.conditions import Condition
from ..keys.keys import KeyPair, PublicKey
from ..tokens.capability import Capability
from ..tokens.statements import Approval, Proof
from ..tools.json_schema import narrowed, wrapped
from ..tools.registry import Registry
from ..tools.wrappers import bound_wrapper
from ..verify.permit import Permit
from .enforcement import PermittedBlock
from .invocation import Invocation, retry_until_approved
from .members import MAX_MEMBERS, decide_any, enforcement, united, without_none
from .narrowing import check_conditions, check_known, exact_call, handed_on
from .presented import Presented, as_reusable
from .session import Session
from .settings import GuardSettings

__all__ = ["Toolbox"]

P = ParamSpec("P")
R = TypeVar("R")


class Toolbox:
    """The tools that one agent may call; `Guard.toolbox` and `delegate` return one.

    Any code that has it may use it: give it to its agent only, `delegate` to others. ``repr`` shows no token.
    """

    def __init__(
        self,
        settings: GuardSettings,
        registry: Registry,
        capabilities: Sequence[Capability | str],
        *,
        key: KeyPair | None,
        inject: Mapping[str, Any] | None,
        session: Session | None,
    ) -> None:
        if not 1 <= len(capabilities) <= MAX_MEMBERS:
            raise ValueError(f"a toolbox holds 1 to {MAX_MEMBERS} capabilities, not {len(capabilities)}")
        self.settings = settings
        self._registry = registry
        self._members = tuple([Presented.by_holder(settings, one, key) for one in capabilities])
        self._key = key
        self._inject = dict(inject or {})
        self._session = Session() if session is None else session

    def __repr__(self) -> str:
        return f"Toolbox({self.name!r}, tools={list(self.tools)})"

    def __reduce__(self) -> str:
        raise TypeError(
            "a toolbox cannot be pickled: send the capability's token, and prove calls with the key"
        )

    @property
    def name(self) -> str:
        """The agent's name: the capability's subject, and below it each name that a delegation gave."""
        return self.capabilities[0].name

    @property
    def capability(self) -> Capability:
        """The capability that every call carries.

        Raises:
            ValueError: the toolbox holds several: see `capabilities`.
        """
        if len(self._members) > 1:
            raise ValueError("this toolbox holds several capabilities: see its capabilities")
        return self._members[0].known

    @property
    def capabilities(self) -> tuple[Capability, ...]:
        """The capabilities of which one serves each call, in the order in which they are asked."""
        return tuple([member.known for member in self._members])

    @property
    def session(self) -> Session:
        """What the agent has seen."""
        return self._session

    @property
    def tools(self) -> tuple[str, ...]:
        """The names of the reachable tools, sorted."""
        objects = {name for capability in self.capabilities for name in capability.tools}
        reached = {name.removeprefix("tool:") for name in objects if name.startswith("tool:")}
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
        by: Capability | None = None,
    ) -> Any:
        """Call a tool, and return what it returns (the items of an async generator as a list).

        Args:
            tool: the tool's name, or the function.
            arguments: a mapping, or a JSON string from a model; what is None as by default counts as omitted.
            approvals: approvals of this call; the guard adds those in its ledger.
            approval_timeout: how long to wait for missing approvals. If omitted, the call is refused at
                once, and ``denied.request`` names the request for them. The request stays open when the
                wait ends.
            by: the one of several `capabilities` that must serve the call.

        Raises:
            Denied: the call is refused and the tool did not run.
            ValueError: ``by`` is not a capability of this toolbox.
            Exception: any exception of the tool itself.
        """
        receiver = None if isinstance(tool, str) else getattr(tool, "__self__", None)
        name = tool if isinstance(tool, str) else self._registry.registered_name(tool)
        if approval_timeout is None:
            return await self._invocation(name, arguments, receiver, approvals, by).result()
        if not isinstance(approval_timeout, timedelta):
            raise TypeError("approval_timeout must be a timedelta, such as timedelta(minutes=5)")
        given = as_reusable(approvals)
        return await retry_until_approved(
            lambda: self._invocation(name, arguments, receiver, given, by).result(),
            self.settings,
            approval_timeout,
        )

    def _invocation(
        self,
        name: str,
        arguments: Mapping[str, Any] | str | bytes,
        receiver: Any = None,
        approvals: Iterable[Approval | str] = (),
        by: Capability | None = None,
    ) -> Invocation:
        return Invocation(
            self.settings,
            self._registry,
            self.present(approvals, by),
            name,
            arguments,
            injected=self._inject,
            session=self._session,
            receiver=receiver,
            omits_none=True,
        )

    def present(
        self, approvals: Iterable[Approval | str] = (), by: Capability | None = None
    ) -> tuple[Presented, ...]:
        """Return the credentials of which one serves a call, as the guard's trust reads them now."""
        members, reader = self._members, self.settings.reader
        if members[0].reader is not reader:  # the guard's trust was replaced
            members = self._members = tuple([member.read_again(reader) for member in members])
        if by is not None:
            members = tuple([member for member in members if member.known.ids == by.ids])
            if not members:
                raise ValueError("by= is not a capability of this toolbox")
        if type(approvals) is tuple and not approvals:  # anything else that is empty is checked as well
            return members
        given = as_reusable(approvals)
        return tuple([member.with_approvals(given) for member in members])

    def permit(
        self,
        call: Call,
        *,
        approvals: Iterable[Approval | str] = (),
        validate: Callable[[Call], object] | None = None,
    ) -> AbstractAsyncContextManager[Permit]:
        """Decide a call of something that is not a tool of this guard: see `Guard.permit`."""
        # to be read when the block is entered: the guard's trust may be another by then
        unread = tuple([one.unread() for one in self.present(approvals)])
        return PermittedBlock(enforcement(self.settings, unread, self.session), call, validate)

    def decide(self, call: Call) -> Permit:
        """Return the decision on such a call alone: see `Guard.decide`."""
        return decide_any(self.settings, self.present(), call, self.session)

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
        tools = [self._registry.tools[name] for name in self.tools]
        return [
            wrapped(
                provider,
                tool,
                narrowed(
                    tool.schema,
                    f"tool:{tool.name}",
                    [*united(self.capabilities, f"tool:{tool.name}"), *tool.bounds],
                ),
            )
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
        last: bool = False,
        hops: int | None = None,
        only_to: Iterable[PublicKey] | None = None,
        inject: Mapping[str, Any] | None = None,
        share_results: Iterable[str | Callable[..., Any]] = (),
    ) -> Toolbox:
        """Return the toolbox of a sub-agent: a key of its own, and at most these grants and this lifetime.

        The sub-agent's toolbox never exceeds what this toolbox allows. Losing this toolbox does not end it;
        only expiry and revocation do.

        Args:
            name: a name below this agent's: ``agent:desk`` delegates to ``agent:desk:mailer``. The log, the
                approvers and `Ledger.revoke` know the sub-agent by it.
            conditions: grants of what the sub-agent may call, limits, and approvals that each call needs.
                Arguments that a grant does not name keep their bounds. Of several `capabilities`, each grant
                narrows the first that covers it, and only those that got a grant are handed on.
            ttl: time from now after which the sub-agent's capability is refused.
            designations: labels that the guard must state with these values.
            last: whether the sub-agent may not delegate.
            hops: how often it may be handed on from here, if not without end.
            only_to: the keys that the sub-agent may delegate to, if not any.
            inject: values that the host injects for the sub-agent; this toolbox's own if omitted.
            share_results: tools whose results so far the sub-agent's arguments may follow, at the places that
                its capability names; of all else it sees only its own results. Labels that either agent is
                exposed to apply to both.

        Raises:
            ValueError: the name is not below this agent's, nothing is granted, a tool is unknown, no
                capability alone covers a grant, or several would each count a limit.
        """
        check_conditions(conditions, self._registry.tools)
        shared = [self._registry.tool_name(tool) for tool in share_results]
        key, allowed = KeyPair.generate(), None if only_to is None else list(only_to)
        added = name.removeprefix(self.name) if name.startswith(f"{self.name}:") else None
        children = handed_on(
            self.capabilities,
            conditions,
            lambda one, share: one.delegate(
                *share,
                to=key.public,
                key=self._key,
                known_as=name if added is None else one.name + added,
                last=last,
                hops=hops,
                only_to=allowed,
                ttl=ttl,
                designations=designations,
                now=self.settings.now(),
            ),
        )
        injected = self._inject if inject is None else inject
        patterns = [pattern for child in children for tool in child.tools for pattern in child.about(tool)]
        patterns += [bound for tool in self._registry.tools.values() for bound in tool.bounds]
        session = self.session.fork(shared, patterns=patterns)
        return Toolbox(self.settings, self._registry, children, key=key, inject=injected, session=session)

    def prove(
        self,
        tool: str,
        arguments: Mapping[str, Any] | str | bytes,
        *,
        audience: str,
        by: Capability | None = None,
    ) -> Proof:
        """Return a proof of one call to a guard in another process, for a capability that has a holder.

        Args:
            audience: the other guard's name.
            by: the one of several `capabilities` that goes with the proof.

        Raises:
            ValueError: the capability has no holder, or the arguments have no canonical form.
        """
        if self._key is None:
            raise ValueError("this capability has no holder: its calls need no proof")
        capability, call = self.capability if by is None else by, Call.of(tool, arguments)
        return capability.prove(call, key=self._key, audience=audience, now=self.settings.now())

    def attenuate(self, *conditions: Condition, ttl: timedelta | None = None) -> Toolbox:
        """Return a toolbox of the same agent and key with fewer tools, tighter arguments or less time.

        Of several capabilities each grant narrows one, as in `delegate`.
        """

        def narrower(one: Capability, share: Sequence[Condition]) -> Capability:
            if conditions and not share and ttl is None:
                return one
            return one.attenuate(*share, ttl=ttl, now=self.settings.now())

        check_known(conditions, self._registry.tools)
        return Toolbox(
            self.settings,
            self._registry,
            handed_on(self.capabilities, conditions, narrower),
            key=self._key,
            inject=self._inject,
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

        Hand on the returned toolbox only: this one can narrow again, and must still allow the call. The guard
        counts calls in its ledger, and refuses them without one.

        Args:
            tool: the tool's name, or the function.
            arguments: arguments of the call with their exact values, for names that are not identifiers.
            named: the other arguments, with their exact values.
            ttl: time from now after which the capability is refused.

        Raises:
            ValueError: the tool is unknown, has no such argument, or requires an argument that is missing.
        """
        registered = self._registry.tools[self._registry.tool_name(tool)]
        values = without_none(registered, {**(arguments or {}), **named}, self.capabilities)
        return self.attenuate(*exact_call(registered, values), ttl=ttl)
