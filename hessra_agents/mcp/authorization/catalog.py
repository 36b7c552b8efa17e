"""`ToolCatalog`: keep the definitions of a server's tools, as the server itself lists them.

A call's arguments are checked against the current definition. The server is asked for its list again when the
list is older than ten seconds, when it lacks a tool, and when the server says that it has changed.
"""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import anyio

from ...call.call import Call
from ...errors import Denied, Reason
from ...tools.input_schema.input_schema import InputSchema
from .requests import LISTS, protocol_params

if TYPE_CHECKING:
    from .pins import Pins

__all__ = ["Ask", "Fetch", "ToolCatalog", "ToolDefinition", "list_all", "own_params"]

Fetch = Callable[[], Awaitable[list[dict[str, Any]]]]
"""Asks the server for all of its tools: every page of ``tools/list``."""

Ask = Callable[[str, dict[str, Any]], Awaitable[dict[str, Any]]]
"""Sends a request of our own, by method and parameters, and returns the response."""

MAX_PAGES, MAX_ITEMS, MAX_LIST = 100, 4096, 8 << 20
"""Pages of a list that the server is asked for, their items, and their bytes of JSON, in all."""

FRESH = 10.0
"""Seconds for which a definition counts as current."""

_log = logging.getLogger("hessra_agents")


@dataclass(slots=True, eq=False)
class ToolDefinition:
    """One tool as a server offers it. Its schema is read when a call first needs it."""

    definition: Mapping[str, Any]
    pinned: bool
    _schema: InputSchema | None = field(default=None)

    def check(self, call: Call) -> None:
        """Check a call's arguments against the tool's own schema.

        Raises:
            Denied: the arguments do not fit the schema exactly, or the definition is not the approved one.
        """
        if not self.pinned:
            raise Denied(
                Reason.UNAVAILABLE, "the tool's definition has changed since it was approved", tool=call.tool
            )
        if self._schema is None:
            self._schema = InputSchema.of(self.definition.get("inputSchema"))
        self._schema.check(call)


class ToolCatalog:
    """The tools of one server, for all of its callers."""

    def __init__(self, pins: Pins | None = None) -> None:
        self._pins = pins
        self._tools: dict[str, ToolDefinition] = {}
        self._asked: float | None = None
        self._asking = anyio.Lock()

    def is_approved(self, definition: Mapping[str, Any]) -> bool:
        """Return whether a definition may be shown: without pins any, otherwise the approved one."""
        return self._pins is None or self._pins.approves(definition)

    def notice(self, message: Mapping[str, Any]) -> None:
        """Ask for the list again before the next call, if the server says that it has changed."""
        if message.get("method") == "notifications/tools/list_changed":
            self._asked = None

    def observe(self, tools: object) -> None:
        """Ask for the list again before the next call, if a page of it on its way to a client differs."""
        for tool in tools if isinstance(tools, list) else ():
            name = tool.get("name") if isinstance(tool, dict) else None
            known = self._tools.get(name) if isinstance(name, str) else None
            if known is not None and not _same(known.definition, tool):
                self._asked = None

    async def check(self, name: object, fetch: Fetch) -> Callable[[Call], None]:
        """Return the check that a call of this tool must pass.

        Raises:
            Denied: ``unavailable``: the server does not list its tools.
        """
        tool = await self.find(name, fetch)
        return _no_tool if tool is None else tool.check

    def is_fresh(self, name: object) -> bool:
        """Return whether the catalog is current for this name, so that the server need not be asked."""
        if not isinstance(name, str) or self._asked is None:
            return False
        age = time.monotonic() - self._asked
        # a name that is missing is asked for again, but not for every caller that makes one up
        return age < (FRESH if name in self._tools else FRESH / 10)

    async def find(self, name: object, fetch: Fetch) -> ToolDefinition | None:
        """Return the tool as the server offers it; None if there is no such tool.

        Raises:
            Denied: as for `check`.
        """
        if not isinstance(name, str):
            return None
        if not self.is_fresh(name):
            async with self._asking:  # one question for all callers that wait
                if not self.is_fresh(name):
                    await self._ask(fetch)
        return self._tools.get(name)

    async def _ask(self, fetch: Fetch) -> None:
        try:
            tools = await fetch()
        except Denied:
            raise
        except Exception as error:
            _log.error("a server's tools cannot be listed, so its calls are refused", exc_info=error)
            raise Denied(Reason.UNAVAILABLE, "the server's tools cannot be listed") from error
        found: dict[str, ToolDefinition] = {}
        for tool in tools:
            name = tool.get("name")
            if not isinstance(name, str):
                continue
            known = self._tools.get(name)
            if name in found:
                # of two tools with one name, nobody could say which one is meant
                found[name] = ToolDefinition(tool, pinned=False)
            elif known is not None and _same(known.definition, tool):
                found[name] = known
            else:
                found[name] = ToolDefinition(tool, self.is_approved(tool))
        self._tools = found
        self._asked = time.monotonic()


def _same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Return whether two definitions have the same JSON: to Python ``1``, ``1.0`` and ``True`` are equal."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def _no_tool(call: Call) -> None:
    raise Denied(Reason.NOT_GRANTED, "there is no such tool", tool=call.tool)


def own_params(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters of a request of our own that is made on behalf of this one, in its era."""
    meta = protocol_params(params).get("_meta")
    if not isinstance(meta, Mapping):
        return {}
    kept = {key: value for key, value in meta.items() if key != "progressToken"}
    return {"_meta": kept} if kept else {}


async def list_all(ask: Ask, method: str, params: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the items of a list, of all pages.

    Raises:
        Denied: ``unavailable``: the server does not answer, or its list is too large.
    """
    found: list[dict[str, Any]] = []
    size = 0.0
    cursor = None
    for _ in range(MAX_PAGES):
        response = await ask(method, params if cursor is None else {**params, "cursor": cursor})
        result = response.get("result")
        page = result.get(LISTS[method]) if isinstance(result, dict) else None
        if not isinstance(result, dict) or not isinstance(page, list):
            raise Denied(Reason.UNAVAILABLE, f"the server does not answer {method}")
        found += [item for item in page if isinstance(item, dict)]
        cursor = result.get("nextCursor")
        size += _size([page, cursor])
        if len(found) > MAX_ITEMS or size > MAX_LIST:
            raise Denied(Reason.UNAVAILABLE, f"the server's answers to {method} are too large")
        if not isinstance(cursor, str):
            return found
    raise Denied(Reason.UNAVAILABLE, f"the server's answers to {method} have no end")


def _size(value: object) -> float:
    """Return the length of a value as JSON; infinity if it is too deep."""
    try:
        return len(json.dumps(value))
    except RecursionError:
        return math.inf
