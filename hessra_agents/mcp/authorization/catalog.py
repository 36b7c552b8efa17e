"""`ToolCatalog`: keep the definitions of a server's tools, as the server itself lists them.

A call's arguments are checked against the current definition. The server is asked for its list again when the
list is older than ten seconds, when it lacks a tool, and when the server says that it has changed. A tool
that no call can use is not shown either, and a warning says so once.
"""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import anyio

from ...call.call import Call
from ...errors import Denied, Reason
from ...tools.input_schema.input_schema import InputSchema
from .requests import LISTS, protocol_params

if TYPE_CHECKING:
    from .pins import Pins

__all__ = ["LISTING", "Ask", "Fetch", "ToolCatalog", "ToolDefinition", "list_all", "own_params"]

Fetch = Callable[[], Awaitable[list[dict[str, Any]]]]
"""Asks the server for all of its tools: every page of ``tools/list``."""

Ask = Callable[[str, dict[str, Any]], Awaitable[dict[str, Any]]]
"""Sends a request of our own, by method and parameters, and returns the response."""

MAX_PAGES, MAX_ITEMS, MAX_LIST = 100, 4096, 8 << 20
"""Pages of a list that the server is asked for, their items, and their bytes of JSON, in all."""

FRESH = 10.0
"""Seconds for which a definition counts as current."""

LISTING = 30.0
"""Seconds that a server gets to list its tools, all pages together."""

MAX_WARNINGS = 256
"""Hidden tools that are warned of; a server may make up names without end."""

_log = logging.getLogger("hessra_agents")


@dataclass(slots=True, eq=False)
class ToolDefinition:
    """One tool as a server offers it. Its schema is read when it is first needed."""

    definition: Mapping[str, Any]
    text: str
    """The definition as JSON: to Python ``1``, ``1.0`` and ``True`` are equal."""
    unusable: str = ""
    """Why no call may use the tool, besides its schema."""
    _schema: InputSchema | str = ""

    def schema(self) -> InputSchema:
        """Return the tool's own schema.

        Raises:
            Denied: ``unavailable``: no call may use the tool.
        """
        self._schema = self.unusable or self._schema or _schema(_text(self.definition.get("inputSchema")))
        if isinstance(self._schema, str):
            raise Denied(Reason.UNAVAILABLE, self._schema)
        return self._schema

    def check(self, call: Call) -> None:
        """Check a call's arguments against the tool's own schema.

        Raises:
            Denied: the arguments do not fit the schema exactly, or no call may use the tool.
        """
        try:
            self.schema().check(call)
        except Denied as denied:
            raise denied.for_tool(call.tool) from None


@lru_cache(maxsize=256)
def _schema(text: str) -> InputSchema | str:
    """Read a schema once, because every caller asks for the same list; return why it cannot be used."""
    try:
        return InputSchema.of(json.loads(text))
    except Denied as denied:
        return denied.text


class ToolCatalog:
    """The tools of one server process or session, for all of its callers.

    Args:
        pins: the approved definitions; without them each definition will do.
        warned: hidden tools that were warned of, kept for all sessions of a server.
    """

    def __init__(self, pins: Pins | None = None, warned: set[tuple[str, str]] | None = None) -> None:
        self._pins = pins
        self._warned: set[tuple[str, str]] = set() if warned is None else warned
        self._tools: dict[str, ToolDefinition] = {}
        self._asked: float | None = None
        self._changes = 0
        """How often the list was found to be out of date: it may be while it is on its way."""
        self._failure: Denied | None = None
        self._asking = anyio.Lock()

    def of_another_session(self) -> ToolCatalog:
        """Return an empty catalog of the same server, for a session whose tools may differ."""
        return ToolCatalog(self._pins, self._warned)

    def notice(self, message: Mapping[str, Any]) -> None:
        """Ask for the list again before the next call, if the server says that it has changed."""
        if message.get("method") == "notifications/tools/list_changed":
            self._forget()

    def observe(self, tools: object) -> None:
        """Ask for the list again before the next call, if a page of it on its way to a client differs."""
        for tool in tools if isinstance(tools, list) else ():
            name = tool.get("name") if isinstance(tool, dict) else None
            known = self._tools.get(name) if isinstance(name, str) else None
            if known is not None and known.text != _text(tool):
                self._forget()

    def _forget(self) -> None:
        self._asked = None
        self._changes += 1

    def definitions(self, tools: Iterable[object]) -> dict[str, ToolDefinition]:
        """Return the tools of a list by name. A tool that is listed twice, word for word, is one tool."""
        found: dict[str, ToolDefinition] = {}
        for tool in tools:
            name = tool.get("name") if isinstance(tool, dict) else None
            if not isinstance(tool, dict) or not isinstance(name, str):
                continue
            text, known = _text(tool), self._tools.get(name)
            if name in found and found[name].text != text:
                found[name] = ToolDefinition(tool, "", "the server lists several tools of this name")
            elif known is not None and known.text == text:
                found[name] = known
            else:
                objection = "" if self._pins is None else self._pins.objection(tool)
                found[name] = ToolDefinition(tool, text, objection)
        return found

    def shown(self, tools: Iterable[object], granted: Callable[[str], bool]) -> dict[str, ToolDefinition]:
        """Return the granted tools of a page that a caller may see; warn once of each that it may not."""
        found = {name: tool for name, tool in self.definitions(tools).items() if granted(name)}
        for name, tool in [*found.items()]:
            try:
                tool.schema()
            except Denied as denied:
                del found[name]
                self._warn(f"the tool {name!r} is not shown, and no call may use it", denied.text)
        return found

    def introduction(self, result: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return what a server says of itself, without instructions that were not approved."""
        told = result.get("instructions")
        if self._pins is None or told is None or told == self._pins.instructions:
            return result
        self._warn("the server's instructions are not shown", "they are not the approved ones")
        return {name: value for name, value in result.items() if name != "instructions"}

    def _warn(self, what: str, why: str) -> None:
        if (what, why) not in self._warned and len(self._warned) < MAX_WARNINGS:
            self._warned.add((what, why))
            _log.warning("%s: %s", what, why)

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
            failure = self._failure
            async with self._asking:  # one question for all callers that wait
                if self._failure is not None and self._failure is not failure:
                    raise Denied(Reason.UNAVAILABLE, self._failure.text)
                if not self.is_fresh(name):
                    await self._ask(fetch)
        return self._tools.get(name)

    async def _ask(self, fetch: Fetch) -> None:
        """Ask for the list; once more, if the server says meanwhile that it has changed."""
        try:
            for _ in range(2):
                changes = self._changes
                with anyio.fail_after(LISTING):
                    self._tools = self.definitions(await fetch())
                if changes == self._changes:
                    self._asked = time.monotonic()
                    break
        except Exception as error:
            self._failure = _failed(error)
            raise self._failure from error


def _failed(error: Exception) -> Denied:
    if isinstance(error, Denied):
        return error
    if isinstance(error, TimeoutError):
        return Denied(Reason.UNAVAILABLE, "the server did not answer tools/list in time")
    _log.error("a server's tools cannot be listed, so its calls are refused", exc_info=error)
    return Denied(Reason.UNAVAILABLE, "the server's tools cannot be listed")


def _text(definition: object) -> str:
    return json.dumps(definition, sort_keys=True)


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

    A list ends where a page has no cursor, an empty one or one that was there before, or brings nothing new:
    some servers never say that a list is at its end.

    Raises:
        Denied: ``unavailable``: the server does not answer, or its list is too large.
    """
    found: dict[str, dict[str, Any]] = {}
    cursors: set[str] = set()
    size = 0.0
    for _ in range(MAX_PAGES):
        response = await ask(method, params)
        result = response.get("result")
        page = result.get(LISTS[method]) if isinstance(result, dict) else None
        if not isinstance(result, dict) or not isinstance(page, list):
            raise Denied(Reason.UNAVAILABLE, f"the server does not answer {method}")
        cursor = result.get("nextCursor")
        size += _size([page, cursor])
        if size > MAX_LIST:
            raise _too_much(method, f"{MAX_LIST >> 20} MiB")
        before = len(found)
        found |= {_text(item): item for item in page if isinstance(item, dict)}
        if len(found) > MAX_ITEMS:
            raise _too_much(method, f"{MAX_ITEMS:,} items")
        repeats = bool(page) and len(found) == before
        if not isinstance(cursor, str) or not cursor or cursor in cursors or repeats:
            return [*found.values()]
        cursors.add(cursor)
        params = {**params, "cursor": cursor}
    raise _too_much(method, f"{MAX_PAGES} pages")


def _too_much(method: str, bound: str) -> Denied:
    return Denied(Reason.UNAVAILABLE, f"the server's answers to {method} have more than {bound}")


def _size(value: object) -> float:
    """Return the length of a value as JSON; infinity if it is too deep."""
    try:
        return len(json.dumps(value))
    except RecursionError:
        return math.inf
