"""`Run`: a call that was permitted, ready to run once."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable
from typing import Any, cast

from anyio import to_thread

from ..call.call import Call
from ..tools.tool import Tool
from .session import Session

__all__ = ["Run"]


class Run:
    """The permitted call, ready to run once."""

    __slots__ = ("_begin", "_call", "_function", "_session", "_tool")

    def __init__(
        self,
        tool: Tool,
        function: Callable[[], Any],
        call: Call,
        session: Session | None,
        begin: Callable[[], None],
    ) -> None:
        self._tool = tool
        self._function = function
        self._call = call
        self._session = session
        self._begin = begin

    async def result(self) -> Any:
        """What the tool returns; all items of a generator, as a list. The session keeps it."""
        result = await self._returned()
        if self._session is not None:
            self._session.record_result(
                self._tool.name, result, call=self._call, untrusted=self._tool.untrusted
            )
        return result

    async def _returned(self) -> Any:
        if self._tool.kind == "generator":
            return [item async for item in self._function()]
        if self._tool.kind == "sync":
            # not abandoned on cancellation: what has started is awaited, then recorded
            found = await to_thread.run_sync(self._in_thread)
            if inspect.isawaitable(found):
                if inspect.iscoroutine(found):
                    found.close()
                raise TypeError("a plain function returned an awaitable: write the tool as async def")
            return found
        return await self._function()

    def _in_thread(self) -> Any:
        self._begin()  # it may have waited for a thread
        return self._function()

    def items(self) -> AsyncIterator[Any]:
        """The items of a generator as they come; the session keeps none of them."""
        return cast(AsyncIterator[Any], self._function())
