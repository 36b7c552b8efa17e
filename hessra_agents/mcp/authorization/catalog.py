"""`ToolCatalog`: the definitions of a server's tools, as the server itself lists them.

A call's arguments are held against the definition that is in force. It is asked for again when it is older
than ten seconds, when a tool is not in it, and when the server says that its list has changed.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import anyio

from ...call.call import Call
from ...errors import Denied, Reason
from ...tools.input_schema.input_schema import InputSchema

if TYPE_CHECKING:
    from .pins import Pins

__all__ = ["Fetch", "ToolCatalog", "ToolDefinition"]

Fetch = Callable[[], Awaitable[list[dict[str, Any]]]]
"""Asks the server for all of its tools: every page of ``tools/list``."""

FRESH = 10.0
"""Seconds for which a definition is believed to be the server's own."""

_log = logging.getLogger("hessra_agents")


@dataclass(slots=True, eq=False)
class ToolDefinition:
    """One tool as a server offers it. Its schema is compiled when a call first needs it."""

    definition: Mapping[str, Any]
    pinned: bool
    _schema: InputSchema | None = field(default=None)

    def check(self, call: Call) -> None:
        """Hold a call's arguments against the tool's own schema.

        Raises:
            Denied: they do not fit it to the letter, or the definition is not the one that was approved.
        """
        if not self.pinned:
            raise Denied(
                Reason.UNAVAILABLE, "the tool's definition has changed since it was approved", tool=call.tool
            )
        if self._schema is None:
            self._schema = InputSchema.of(self.definition.get("inputSchema"))
        self._schema.check(call)


def _same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two definitions are one, to the letter: to Python ``1``, ``1.0`` and ``True`` are equal."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def _no_tool(call: Call) -> None:
    raise Denied(Reason.NOT_GRANTED, "there is no such tool", tool=call.tool)


class ToolCatalog:
    """What one server offers, for all of its callers."""

    def __init__(self, pins: Pins | None = None) -> None:
        self._pins = pins
        self._offers: dict[str, ToolDefinition] = {}
        self._asked: float | None = None
        self._asking = anyio.Lock()

    def is_approved(self, definition: Mapping[str, Any]) -> bool:
        """Whether a definition may be shown: it is the one that was approved, where some were."""
        return self._pins is None or self._pins.approves(definition)

    def forget(self) -> None:
        """The server says that its list has changed."""
        self._asked = None

    def observe(self, tools: object) -> None:
        """A page of the server's list went by: if it tells of other definitions, these count no more."""
        for tool in tools if isinstance(tools, list) else ():
            name = tool.get("name") if isinstance(tool, dict) else None
            known = self._offers.get(name) if isinstance(name, str) else None
            if known is not None and not _same(known.definition, tool):
                self.forget()

    async def check(self, name: object, fetch: Fetch) -> Callable[[Call], None]:
        """What a call of this tool must pass.

        Raises:
            Denied: ``unavailable``: the server does not list its tools.
        """
        offer = await self.find(name, fetch)
        return _no_tool if offer is None else offer.check

    def is_fresh(self, name: object) -> bool:
        """Whether the server need not be asked now, to tell what it offers under this name."""
        return isinstance(name, str) and self._fresh(name)

    async def find(self, name: object, fetch: Fetch) -> ToolDefinition | None:
        """The tool as the server offers it; None if there is no such tool.

        Raises:
            Denied: as for `check`.
        """
        if not isinstance(name, str):
            return None
        if not self._fresh(name):
            async with self._asking:  # one question for all who wait
                if not self._fresh(name):
                    await self._ask(fetch)
        return self._offers.get(name)

    def _fresh(self, name: str) -> bool:
        if self._asked is None:
            return False
        age = time.monotonic() - self._asked
        # a name that is not there is asked for again, but not by every caller who makes one up
        return age < (FRESH if name in self._offers else FRESH / 10)

    async def _ask(self, fetch: Fetch) -> None:
        try:
            tools = await fetch()
        except Denied:
            raise
        except Exception as error:
            _log.error("a server's tools cannot be listed, so its calls are refused", exc_info=error)
            raise Denied(Reason.UNAVAILABLE, "the server's tools cannot be listed") from error
        offers = {}
        for tool in tools:
            name = tool.get("name")
            if not isinstance(name, str):
                continue
            known = self._offers.get(name)
            same = known is not None and _same(known.definition, tool)
            # of two tools with one name, nobody could say which one is meant
            doubled = name in offers
            offers[name] = (
                known if same and known is not None else ToolDefinition(tool, self.is_approved(tool))
            )
            if doubled:
                offers[name] = ToolDefinition(tool, pinned=False)
        self._offers = offers
        self._asked = time.monotonic()
