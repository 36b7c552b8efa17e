"""Run one call of a registered tool: find, decide, prepare, admit, re-check, run, record.

`Invocation.begin` and `Invocation.result` are the path of a call, and the only place where its order stands.
What has begun in a thread is awaited, however the call is cancelled.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from datetime import timedelta
from functools import partial
from typing import Any

import anyio

from ..call.call import Call
from ..errors import Denied
from ..tools.registry import Registry
from ..tools.results import is_unread, unread_error
from ..tools.tool import Tool
from .enforcement import Enforcement
from .members import AnyOf, without_none
from .presented import Presented
from .session import Session
from .settings import GuardSettings
from .threads import ThreadPlace

__all__ = ["Invocation", "ToolExitError", "retry_until_approved"]

_FIRST_PAUSE, _LAST_PAUSE = 0.1, 1.0
"""Seconds between two looks for votes while a call waits for them; the pause grows from first to last."""


class ToolExitError(RuntimeError):
    """The tool wanted to end the program, as ``sys.exit`` and argparse do; the call has failed instead."""

    def __init__(self, tool: str, error: BaseException) -> None:
        super().__init__(f"{tool} raised {type(error).__name__}: let it return, or raise an Exception")


class Invocation:
    """One call of a tool, from its arguments as they came to what the tool returns; for one use.

    Args:
        settings: the guard's settings.
        registry: the guard's tools.
        members: the capabilities of which one serves the call, each with the holder's proof, and approvals.
        name: the tool's name.
        arguments: a mapping, or a JSON string from a model.
        injected: values for the parameters that the host injects.
        session: what the agent has seen, to which this call adds.
        receiver: the object that a method is called on.
        omits_none: whether arguments can be left out that are None where the function's own default is None.
            (A caller elsewhere has signed all its arguments.)
    """

    __slots__ = (
        "_arguments", "_enforcement", "_injected", "_members", "_name", "_omits_none", "_receiver",
        "_registry", "_session", "_settings",
    )  # fmt: skip

    def __init__(
        self,
        settings: GuardSettings,
        registry: Registry,
        members: tuple[Presented, ...],
        name: str,
        arguments: Mapping[str, Any] | str | bytes,
        *,
        injected: Mapping[str, Any],
        session: Session | None,
        receiver: Any = None,
        omits_none: bool = False,
    ) -> None:
        self._settings = settings
        self._registry = registry
        self._members = members
        self._name = name
        self._arguments = arguments
        self._injected = injected
        self._session = session
        self._receiver = receiver
        self._omits_none = omits_none

    async def begin(self) -> PreparedCall:
        """Return the call, permitted and ready to run with exactly the values that were decided on.

        Raises:
            Denied: the call is refused, and the refusal is recorded.
        """
        name, session, members = self._name, self._session, self._members
        place: ThreadPlace | None = None
        enforcement = (
            Enforcement(self._settings, members[0], session)
            if len(members) == 1
            else AnyOf(self._settings, members, session)
        )
        self._enforcement = enforcement
        try:
            # 1. find: the capability, the tool, and the call, made canonical once
            enforcement.read()
            try:
                tool = self._registry.find(name)
            except Denied:
                # what is not granted is refused alike, whether the guard has it or not
                if type(name) is str:
                    await enforcement.decide(Call.of(name, self._arguments), ())
                raise
            call = Call.of(name, self._arguments)
            if self._omits_none and tool.none_defaults and None in call.values.values():
                call = Call.of(name, without_none(tool, call.values, [one.known for one in members]))
            # 2. decide: may this capability make this call now?
            await enforcement.decide(call, tool.bounds)
            if tool.kind == "sync":
                place = await enforcement.place()  # which decides again after a wait
            # 3. prepare: the tool's own types, on the same bytes
            function = tool.prepare(call, self._injected, self._receiver)
            # 4. admit: the ledger takes what the call uses up
            await enforcement.admit()
            # 5. re-check: what has changed while the ledger was asked counts as well
            if self._settings.ledger is not None:
                enforcement.recheck()
        except Exception as error:
            if place is not None:
                place.give_back()
            denied = await enforcement.refuse(error, name if isinstance(name, str) else "")
            raise denied from denied.__cause__
        except BaseException:
            if place is not None:
                place.give_back()
            enforcement.abandon()
            raise
        enforcement.permitted()
        return PreparedCall(tool, function, call, session, enforcement, place)

    async def result(self) -> Any:
        """Return what the tool returns; the items of an async generator as a list.

        Raises:
            Denied: the call is refused, and the tool did not run.
            Exception: any exception of the tool itself.
        """
        prepared = await self.begin()
        try:
            # 6. run
            result = await prepared.result()
        except BaseException as error:
            # 7. record
            self._enforcement.finish(error)
            raise
        self._enforcement.finish(None)
        return result

    async def items(self) -> AsyncGenerator[Any, None]:
        """Yield the items of a generator tool as they come; the session stores none of them.

        The outcome is recorded after the last item, or when the caller stops earlier.

        Raises:
            Denied: the call is refused; or the capability has ended since, and the stream with it.
            Exception: any exception of the tool itself.
        """
        prepared = await self.begin()
        at_caller = False
        try:
            async with aclosing(prepared.items()) as items:
                async for item in items:
                    at_caller = True
                    yield item
                    at_caller = False
        except BaseException as error:
            self._enforcement.finish(error, broken_off=at_caller)
            raise
        self._enforcement.finish(None)


class PreparedCall:
    """A permitted call, ready to run once."""

    __slots__ = ("_call", "_enforcement", "_function", "_place", "_session", "_tool")

    def __init__(
        self,
        tool: Tool,
        function: partial[Any],
        call: Call,
        session: Session | None,
        enforcement: Enforcement,
        place: ThreadPlace | None,
    ) -> None:
        self._tool = tool
        self._function = function
        self._call = call
        self._session = session
        self._enforcement = enforcement
        self._place = place

    async def result(self) -> Any:
        """Run the tool, and return what it returns; the session stores that."""
        session, tool = self._session, self._tool
        if self._place is not None:
            result = await self._place.run(self._in_thread)
        elif tool.kind == "generator":
            result = [item async for item in self.items()]
        else:
            self._begin()
            try:
                result = await self._function()
            except SystemExit as error:
                raise ToolExitError(tool.name, error) from error
        if type(result) is not str and is_unread(result):
            raise unread_error(tool.name, result)
        if session is not None:
            session.record_result(tool.name, result, call=self._call, untrusted=tool.untrusted)
        return result

    async def items(self) -> AsyncGenerator[Any, None]:
        """Yield the items of a generator tool, as long as the capability holds."""
        self._begin()
        try:
            async with aclosing(self._function()) as items:
                async for item in items:
                    yield item
                    self._enforcement.recheck(exposure=False)  # the caller may have taken a day
        except SystemExit as error:
            raise ToolExitError(self._tool.name, error) from error

    def _begin(self) -> None:
        self._enforcement.began = True
        if self._session is not None and self._tool.exposes_labels:
            # before it runs: what it raises or yields may be what its labels say
            self._session.expose(self._tool.exposes_labels)

    def _in_thread(self) -> Any:
        self._enforcement.recheck()  # the call may have waited for the thread
        self._begin()
        try:
            returned = self._function()
        except (Exception, KeyboardInterrupt):
            raise
        except BaseException as error:  # in a thread, nothing else comes from outside
            raise ToolExitError(self._tool.name, error) from error
        if inspect.isawaitable(returned):
            if inspect.iscoroutine(returned):
                returned.close()
            raise TypeError(f"{self._tool.name} returned an awaitable: write the tool as async def")
        return returned


async def retry_until_approved(
    attempt: Callable[[], Awaitable[Any]], settings: GuardSettings, patience: timedelta
) -> Any:
    """Return what ``attempt`` returns; if approvals are missing, call it again after each new vote.

    Raises:
        Denied: the refusal of the last attempt, once the request is over or ``patience`` has passed.
    """
    end = anyio.current_time() + patience.total_seconds()
    seen: set[str] = set()
    while True:
        try:
            return await attempt()
        except Denied as denied:
            left = end - anyio.current_time()
            if denied.request is None or denied.from_tool or left <= 0:
                raise
            again = False
            with anyio.move_on_after(left):
                again = await _wait_for_vote(settings, denied.request, seen)
            if not again:
                raise


async def _wait_for_vote(settings: GuardSettings, request_id: str, seen: set[str]) -> bool:
    """Wait until a request has a vote that is not in ``seen``, and add it, or until the request is over.

    Returns:
        Whether the call is worth another attempt: the request was not rejected.
    """
    ledger, pause = settings.ledger, _FIRST_PAUSE
    assert ledger is not None
    while True:
        try:
            found = await ledger.requests(request_id)
        except Denied:
            pass  # the store cannot be reached for a while
        else:
            votes = {vote.statement for request in found for vote in request.votes}
            if votes - seen:
                seen |= votes
                return True
            if not found or found[0].state != "open" or settings.now() >= found[0].expires:
                return not found or found[0].state != "rejected"
        await anyio.sleep(pause)
        pause = min(pause * 1.5, _LAST_PAUSE)
