"""Guard an MCP server that you write.

Two lines:

    protection = Protection(Guard(Trust.load("trust.json"), audience="files", ledger=Ledger.memory()))
    server = MCPServer("files", extensions=[protection], middleware=[protection])

It must be given as both, and refuses every call where it is not: as an extension it decides on tool calls, in
the hook that runs last, so that nothing can change a call behind it; as middleware it decides on everything
else. For the low-level `Server`: ``protect(server, guard)``, after its handlers are registered.

What the server's own code calls in its own process (``server.call_tool``) is not decided on.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from mcp import MCPError
from mcp.server import Server, ServerRequestContext
from mcp.server.context import CallNext, HandlerResult
from mcp.server.extension import Extension
from mcp.types import CallToolRequestParams, CallToolResult
from pydantic import BaseModel

from ..errors import Denied, Reason
from ..guard import Guard
from ..toolbox import Toolbox
from .acts import CAPABILITY, LISTS, PROOF, stripped
from .catalogue import Fetch
from .fronting import questions, whole_list
from .gate import Gate
from .quiet import keep_tokens_out_of_logs
from .refusals import Refusals, refusal

if TYPE_CHECKING:
    from .pins import Pins

__all__ = ["Protection", "protect"]

Context = ServerRequestContext[Any, Any]

_CALL = "tools/call"
_fetch: ContextVar[Fetch] = ContextVar("hessra_fetch")
"""How this request's server is asked for its tools; set by the middleware, read by the extension."""

_log = logging.getLogger("hessra_agents")


class Protection(Extension):
    """A guard for one `MCPServer`: pass it both as an extension and as middleware.

    Args:
        guard: whose trust, audience and ledger count.
        bound: serves requests that carry no capability: see `Gate`.
        refusals: the form in which refusals are told.
        bearer_over_http: see `Gate`.
        pins: see `Gate`.
    """

    identifier = "dev.hessra/capabilities"

    def __init__(
        self,
        guard: Guard,
        *,
        bound: Toolbox | None = None,
        refusals: Refusals = Refusals.RESULT,
        bearer_over_http: bool = False,
        pins: Pins | None = None,
    ) -> None:
        self.gate = Gate(guard, bound=bound, bearer_over_http=bearer_over_http, pins=pins)
        self._refusals = Refusals(refusals)
        self._decides_calls: Callable[[], bool] = lambda: False
        keep_tokens_out_of_logs()

    def settings(self) -> dict[str, Any]:
        """What the server tells of it; asked for when the server installs it as an extension."""
        self._decides_calls = lambda: True
        return self.told()

    def told(self) -> dict[str, Any]:
        """What a client may know: where it puts a capability and a proof, and whether it must."""
        return {"capability": CAPABILITY, "proof": PROOF, "required": not self.gate.bound}

    async def __call__(self, ctx: Context, call_next: CallNext) -> HandlerResult:
        """Decide on everything but tool calls, which go on to `intercept_tool_call`."""
        if ctx.method == _CALL:
            if not self._decides_calls():
                _log.error("the protection of tool calls is not installed: pass it as an extension, too")
                raise self._error(Denied(Reason.UNAVAILABLE), ctx)
            unset = _fetch.set(lambda: _tools(ctx, call_next))
            try:
                return await call_next(ctx)
            finally:
                _fetch.reset(unset)

        async def forward(params: dict[str, Any]) -> HandlerResult:
            return await call_next(_with(ctx, params))

        try:
            result = await self.gate.run(
                ctx.method, ctx.params, forward, fetch=_no_tools, http=ctx.request is not None
            )
            if ctx.method not in LISTS:
                return result
            return self.gate.listed(ctx.method, ctx.params, _wire(result))
        except Denied as denied:
            if ctx.request_id is None:
                _log.warning("a notification was refused: %s", denied)
                return None
            raise self._error(denied, ctx) from denied

    async def intercept_tool_call(
        self, params: CallToolRequestParams, ctx: Context, call_next: CallNext
    ) -> HandlerResult:
        """Decide on a tool call."""
        fetch = _fetch.get(None)
        ours = {"meta", "arguments"}
        given = params.model_dump(mode="json", by_alias=True, exclude_none=True, exclude=ours)
        given |= {"arguments": params.arguments or {}, "_meta": params.meta}

        async def forward(decided: dict[str, Any]) -> HandlerResult:
            # the handler is called with this very object
            params.arguments = decided["arguments"]
            params.meta = decided.get("_meta")
            return await call_next(_with(ctx, decided))

        try:
            if fetch is None:
                _log.error("the protection is not installed as middleware: pass it there, too")
                raise Denied(Reason.UNAVAILABLE)
            return await self.gate.run(_CALL, given, forward, fetch=fetch, http=ctx.request is not None)
        except Denied as denied:
            if denied.from_tool:
                raise
            told = refusal(denied, _CALL, params.name, self._refusals)
            if told.result is None:
                raise self._error(denied, ctx) from denied
            return CallToolResult.model_validate(told.result)

    def _error(self, denied: Denied, ctx: Context) -> MCPError:
        given = ctx.params or {}
        name = given.get("name", given.get("uri"))
        form = Refusals.ERROR if self._refusals is Refusals.RESULT else self._refusals
        told = refusal(denied, ctx.method, name if isinstance(name, str) else "", form).error or {}
        return MCPError(told["code"], told["message"], told.get("data"))


def protect(server: Any, guard: Guard, **options: Any) -> Protection:
    """Guard a low-level `Server` whose handlers are registered already, or a FastMCP server.

    A handler for tool calls that is registered later takes the place of the guarded one, and is then refused.
    FastMCP's own middleware runs behind the guard: what it changes in a call was not decided on.

    Args:
        options: those of `Protection`.

    Raises:
        TypeError: it is another kind of server.
        ValueError: it is guarded already.
    """
    # FastMCP stands on a low-level server, which it gives no public name
    server = getattr(server, "_mcp_server", server)
    if not isinstance(server, Server):
        raise TypeError("an MCPServer takes a Protection: MCPServer(..., extensions=[p], middleware=[p])")
    if any(isinstance(one, Protection) for one in server.middleware):
        raise ValueError("this server is guarded already")
    protection = Protection(guard, **options)
    entry = server.get_request_handler(_CALL)
    if entry is not None:
        handler = entry.handler

        async def guarded(ctx: Context, params: Any) -> HandlerResult:
            def call_next(inner: Context) -> Awaitable[HandlerResult]:
                return handler(inner, params)

            return await protection.intercept_tool_call(params, ctx, call_next)

        server.add_request_handler(_CALL, entry.params_type, guarded)

        def installed() -> bool:
            now = server.get_request_handler(_CALL)
            return now is not None and now.handler is guarded

        protection._decides_calls = installed
    server.middleware.append(protection)
    server.extensions[Protection.identifier] = protection.told()
    return protection


def _with(ctx: Context, params: dict[str, Any]) -> Context:
    """The context as what stands behind the guard sees it: nothing of ours in it."""
    meta = None if ctx.meta is None else stripped({"_meta": ctx.meta}).get("_meta", {})
    return replace(ctx, params=params, meta=cast("Any", meta))


async def _tools(ctx: Context, call_next: CallNext) -> list[dict[str, Any]]:
    """All tools of the server, asked for on the way that the call itself takes."""

    async def ask(method: str, params: dict[str, Any]) -> dict[str, Any]:
        return {"result": _wire(await call_next(_with(replace(ctx, method=method), params)))}

    return await whole_list(ask, "tools/list", questions(ctx.params or {}))


async def _no_tools() -> list[dict[str, Any]]:
    raise Denied(Reason.MALFORMED, "a tool is called by another way")  # which `intercept_tool_call` takes


def _wire(result: HandlerResult) -> dict[str, Any]:
    if isinstance(result, BaseModel):
        return result.model_dump(by_alias=True, mode="json", exclude_none=True)
    return result or {}
