"""A toolbox: what one agent holds. The tools that its capability reaches, and no others.

    desk = guard.toolbox(capability)
    await desk.call("send_email", {"to": "ana@acme.com", "body": "hi"})
    mailer = desk.delegate("agent:desk:mailer", grant("send_email", to="ana@acme.com"))

The capability travels as a value: bound into the toolbox, or into a function by `bind`. It is never taken
from ambient state.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, aclosing
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, overload

import anyio

from ..call.call import Call
from ..errors import Denied, Reason
from ..grants.grants import grant
from ..keys.keys import KeyPair
from ..tokens.capability import Capability
from ..tokens.statements import Approval, Proof
from ..tools.json_schema import narrowed, wrapped
from ..tools.provider_messages import ToolCall, calls_of, result_text
from ..tools.tool import Tool
from ..tools.wrappers import argument_binder, with_signature_of
from ..verify.permit import Permit
from ..verify.verifier import Possession
from .enforcement import kept
from .narrowing import check_conditions, exact_call
from .session import Session

if TYPE_CHECKING:
    from ..tokens.builder import Condition
    from .guard import Guard

__all__ = ["Toolbox"]

P = ParamSpec("P")
R = TypeVar("R")

_log = logging.getLogger("hessra_agents")


class Toolbox:
    """The tools that one agent may call. Make one with `Guard.toolbox` or `delegate`.

    Whoever has the object may use it: hand it to the agent that it is for, and `delegate` to others.
    ``session`` is what that agent has seen. ``repr`` shows no token.
    """

    def __init__(
        self,
        guard: Guard,
        capability: Capability,
        key: KeyPair | None,
        possession: Possession | None,
        inject: Mapping[str, Any],
        name: str,
        session: Session,
    ) -> None:
        self._guard = guard
        self._capability = capability
        self._key = key
        self._possession = possession
        self._inject = inject
        self._trust = guard.trust
        self.name = name
        self.session = session

    def __repr__(self) -> str:
        return f"Toolbox({self.name!r}, tools={list(self.tools)})"

    def __reduce__(self) -> str:
        raise TypeError("a toolbox is not pickled: send the capability's text, and prove calls with the key")

    @property
    def capability(self) -> Capability:
        """The capability that every call carries."""
        return self._capability

    @property
    def tools(self) -> tuple[str, ...]:
        """The names of the tools that can be reached, sorted."""
        reached = {name.removeprefix("tool:") for name in self._capability.tools if name.startswith("tool:")}
        # a method without its object cannot be called by name
        return tuple(sorted(n for n, tool in self._guard.tools.items() if n in reached and not tool.method))

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
            tool: its name, or the function.
            arguments: a mapping, or JSON text as a model wrote it.
            approvals: approvals of this call; those that wait in the guard's ledger are found there.
            approval_timeout: how long to wait for approvals that are missing; without, the refusal comes at
                once, and its ``request`` names what the approvers are asked. One who stops waiting leaves
                the request.

        Raises:
            Denied: the call is refused and the tool did not run.
            Exception: whatever the tool itself raised.
        """
        if approval_timeout is not None and not isinstance(approval_timeout, timedelta):
            raise TypeError("wait is a timedelta, such as timedelta(minutes=5)")
        end = anyio.current_time() + approval_timeout.total_seconds() if approval_timeout else 0
        seen: set[str] = set()
        approvals = kept(approvals)
        while True:
            try:
                async with self._running(tool, arguments, approvals) as run:
                    return await run.result()
            except Denied as denied:
                left = end - anyio.current_time() if approval_timeout else 0
                if denied.request is None or denied.from_tool or left <= 0:
                    raise
                again = False
                with anyio.move_on_after(left):
                    again = await self._guard._news(denied.request, seen)
                if not again:
                    raise

    def _running(
        self,
        tool: str | Callable[..., Any],
        arguments: Mapping[str, Any] | str | bytes,
        approvals: Iterable[Approval | str] = (),
    ) -> Any:
        receiver = None if isinstance(tool, str) else getattr(tool, "__self__", None)
        name = tool if isinstance(tool, str) else self._guard.registered_name(tool)
        return self._begun(name, receiver, arguments, approvals)

    def _begun(self, name: str, receiver: Any, arguments: Any, approvals: Iterable[Any] = ()) -> Any:
        held = self._fresh(), name, arguments, self._possession, approvals, self._inject
        return self._guard._running(*held, receiver, self.session)

    def _fresh(self) -> Capability:
        if self._guard.trust is not self._trust:
            # a root was added or removed since: what was verified then is verified again
            self._capability, self._trust = self._guard.read(self._capability), self._guard.trust
        return self._capability

    def permit(
        self,
        call: Call,
        *,
        approvals: Iterable[Approval | str] = (),
        validate: Callable[[Call], object] | None = None,
    ) -> AbstractAsyncContextManager[Permit]:
        """Decide a call of something that is no tool of this guard: see `Guard.permit`."""
        return self._guard._permitted(
            self._fresh(), call, self._possession, approvals, validate, session=self.session
        )

    def decide(self, call: Call) -> Permit:
        """The decision on such a call alone: see `Guard.decide`."""
        return self._guard.decide(self._fresh(), call, proof=self._possession, session=self.session)

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
        """The tool as a function of the same signature that carries this authority and no other.

        A sync tool becomes a coroutine function. The call is decided when it runs, not when the coroutine
        is made.

        Raises:
            ValueError: the function is no tool of this guard.
        """
        registered = self._guard.tools[self._guard.registered_name(tool)]
        signature = _called_with(registered)
        read, receiver = argument_binder(signature), getattr(tool, "__self__", None)

        async def bound(*args: Any, **kwargs: Any) -> Any:
            async with self._begun(registered.name, receiver, read(args, kwargs)) as run:
                return await run.result()

        async def bound_generator(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, None]:
            running = self._begun(registered.name, receiver, read(args, kwargs))
            async with running as run, aclosing(run.items()) as items:
                async for item in items:
                    yield item

        double = bound_generator if registered.kind == "generator" else bound
        return with_signature_of(double, registered, signature)

    def schemas(self, provider: str = "openai") -> list[dict[str, Any]]:
        """JSON schemas of the reachable tools, narrowed to what is granted.

        Args:
            provider: ``openai`` (Chat Completions), ``openai-responses``, ``anthropic`` or ``mcp``.
        """
        patterns = [pattern for block in self._capability.blocks for pattern in block.patterns]
        if not self._capability.blocks[0].patterns:
            # such a capability permits calls without arguments only
            patterns += [grant(name).branches(closed=True) for name in self.tools]
        tools = [self._guard.tools[name] for name in self.tools]
        return [
            wrapped(provider, tool, narrowed(tool.schema, f"tool:{tool.name}", [*patterns, *tool.bounds]))
            for tool in tools
        ]

    async def answer(
        self, tool_calls: object, *, approval_timeout: timedelta | None = None
    ) -> list[dict[str, Any]]:
        """Run a model's tool calls, side by side, and return their results in order and in their shape.

        Takes a list of calls, a message with calls in it, or None; parts that are no calls are passed over.
        Each call waits for approvals as `call` does, side by side, too.

        A refused call, an unknown tool, unreadable arguments and a tool's own exception become results
        that the model can read; only cancellation passes through.

        Raises:
            ValueError: a call has no shape that could be answered.
        """
        calls = calls_of(tool_calls)
        answers = [call.answer("error: the call was broken off", error=True) for call in calls]

        async def run(index: int, call: ToolCall) -> None:
            answers[index] = await self._answer(call, approval_timeout)

        async with anyio.create_task_group() as group:
            for index, call in enumerate(calls):
                group.start_soon(run, index, call)
        return answers

    async def _answer(self, call: ToolCall, approval_timeout: timedelta | None) -> dict[str, Any]:
        try:
            if not isinstance(call.arguments, (str, Mapping)):
                raise Denied(Reason.MALFORMED, "the arguments are not an object", tool=call.name)
            result = await self.call(call.name, call.arguments, approval_timeout=approval_timeout)
            return call.answer(result_text(result), error=False)
        except Exception as error:
            if isinstance(error, Denied) and not error.from_tool:
                return call.answer(f"refused: {error}", error=True)
            # its text may hold anything; the log has it, the model gets its kind
            _log.warning("the tool %r failed", call.name, exc_info=error)
            return call.answer(f"error: the tool failed with {type(error).__name__}", error=True)

    def delegate(
        self,
        name: str,
        *conditions: Condition,
        ttl: timedelta | None = None,
        designations: Mapping[str, str] | None = None,
        inject: Mapping[str, Any] | None = None,
        share_results: Iterable[str | Callable[..., Any]] = (),
    ) -> Toolbox:
        """The toolbox of a sub-agent: its own key, its own expiry, at most these grants.

        It may outlive this toolbox, as its own expiry says, and never exceeds what this one allows.

        Args:
            name: below this agent's own: ``agent:desk`` delegates to ``agent:desk:mailer``.
            conditions: grants are what it may call, an argument that is not named keeps its bounds; beside
                them limits, and approvals that each call needs.
            ttl: time from now until it is refused.
            inject: values that the host injects for the sub-agent; this toolbox's own if left out.
            share_results: tools whose results so far are handed over, for arguments that follow data; it
                sees no others but its own. What one of the two is exposed to, the other is, too.

        Raises:
            ValueError: the name is not below this agent's, nothing is granted, or a tool is unknown.
        """
        if not name.startswith(f"{self.name}:") or name.endswith(":") or "::" in name:
            raise ValueError(f"a sub-agent of {self.name!r} is named {self.name}:<name>")
        check_conditions(conditions, self._guard.tools)
        session = self.session.fork([self._guard.tool_name(one) for one in share_results])
        key = KeyPair.generate()
        child = self._capability.delegate(
            *conditions,
            to=key.public,
            key=self._key,
            ttl=ttl,
            designations=designations,
            now=self._guard.now(),
        )
        injected = self._inject if inject is None else inject
        return self._guard.toolbox(child, key=key, inject=injected, name=name, session=session)

    def prove(self, tool: str, arguments: Mapping[str, Any] | str | bytes, *, audience: str) -> Proof:
        """The proof of one call to a guard elsewhere, for a capability that has a holder.

        Raises:
            ValueError: the capability has no holder, or the arguments have no canonical form.
        """
        if self._key is None:
            raise ValueError("this capability has no holder: its calls need no proof")
        call = Call.of(tool, arguments)
        return self._capability.prove(call, key=self._key, audience=audience, now=self._guard.now())

    def attenuate(self, *conditions: Condition, ttl: timedelta | None = None) -> Toolbox:
        """This toolbox with less: the same agent and key, fewer tools, tighter arguments or less time."""
        narrower = self._capability.attenuate(*conditions, ttl=ttl, now=self._guard.now())
        return self._guard.toolbox(
            narrower, key=self._key, inject=self._inject, name=self.name, session=self.session
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
        """This toolbox for one exact call, once: what a task may do becomes what it is about to do.

        Hand on what this returns, and nothing else: whoever has this toolbox can narrow it again. Only what
        it allows passes, whatever is named here. The guard counts in its ledger, and refuses without one.

        Args:
            tool: its name, or the function.
            arguments: all arguments of the call and exactly their values; for names that are no identifiers.
            named: likewise.
            ttl: time from now until it is refused.

        Raises:
            ValueError: the tool is unknown, has no such argument, or cannot be called without another.
        """
        found = self._guard.tools[self._guard.tool_name(tool)]
        return self.attenuate(*exact_call(found, {**(arguments or {}), **named}), ttl=ttl)


def _called_with(tool: Tool) -> inspect.Signature:
    """The signature without what the caller does not give: injected values, and a method's object."""
    parameters = list(tool.signature.parameters.values())
    told = parameters[1:] if tool.method else parameters
    return tool.signature.replace(parameters=[p for p in told if p.name not in tool.injected])
