"""`Run`: a call that was permitted, ready to run once."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable
from typing import Any, cast

from anyio import to_thread

from .tool import Tool

__all__ = ["Run"]


class Run:
    """The permitted call, ready to run once."""

    __slots__ = ("_function", "_kind")

    def __init__(self, tool: Tool, function: Callable[[], Any]) -> None:
        self._kind = tool.kind
        self._function = function

    async def result(self) -> Any:
        """What the tool returns; all items of a generator, as a list."""
        if self._kind == "generator":
            return [item async for item in self._function()]
        if self._kind == "sync":
            # not abandoned on cancellation: what has started is awaited, then recorded
            found = await to_thread.run_sync(self._function)
            if inspect.isawaitable(found):
                if inspect.iscoroutine(found):
                    found.close()
                raise TypeError("a plain function returned an awaitable: write the tool as async def")
            return found
        return await self._function()

    def items(self) -> AsyncIterator[Any]:
        """The items of a generator as they come."""
        return cast(AsyncIterator[Any], self._function())
