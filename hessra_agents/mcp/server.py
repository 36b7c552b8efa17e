"""Guard an MCP server that you write.

Two lines:

    protection = GuardMiddleware(Guard(Trust.load("trust.json"), audience="files", ledger=Ledger.memory()))
    server = MCPServer("files", extensions=[protection], middleware=[protection])

As middleware it decides on every request. As an extension it runs in the last hook of tool calls, and lets
through exactly the call that was decided on, once: nothing in between can change the call. Where the
middleware is missing, every tool call is refused. For the low-level `Server`, after its handlers are
registered: ``guard_server(server, guard)``.

Not protected: tools that the server's own code calls in its own process (``server.call_tool``).
"""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Collection
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

from mcp import MCPError
from mcp.server import Server, ServerRequestContext
from mcp.server.context import CallNext, HandlerResult
from mcp.server.extension import Extension
from mcp.types import CallToolRequestParams
from mcp.types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import BaseModel
from starlette.requests import Request

from ..errors import Denied, Reason
from ..guard.guard import Guard
from ..guard.toolbox import Toolbox
from .authorization.authorizer import RequestAuthorizer
from .authorization.catalog import list_all, own_params
from .authorization.denials import DenialFormat, refusal
from .authorization.requests import CAPABILITY, LISTS, OURS, PROOF
from .transport.redaction import keep_tokens_out_of_logs

if TYPE_CHECKING:
    from .authorization.pins import Pins

__all__ = ["GuardMiddleware", "guard_server"]

Context = ServerRequestContext[Any, Any]

_CALL = "tools/call"
_decided: ContextVar[_AuthorizedCall | None] = ContextVar("hessra_decided", default=None)
"""The tool call that the middleware decided on, for the extension behind it. It carries no authority: without
it, and for any other call, the extension refuses."""

_log = logging.getLogger("hessra_agents")


class GuardMiddleware(Extension):
    """Guard one `MCPServer`: pass the object both as an extension and as middleware.

    Args:
        guard: decides by its trust, audience and ledger.
        default_toolbox: serves requests that carry no capability: see `RequestAuthorizer`.
        denial_format: the form of refusals.
        allow_bearer_over_http: see `RequestAuthorizer`.
        pins: see `RequestAuthorizer`.
        forwarded_meta: see `RequestAuthorizer`.
    """

    identifier = "dev.hessra/capabilities"

    def __init__(
        self,
        guard: Guard,
        *,
        default_toolbox: Toolbox | None = None,
        denial_format: DenialFormat = DenialFormat.RESULT,
        allow_bearer_over_http: bool = False,
        pins: Pins | None = None,
        forwarded_meta: Collection[str] = (),
    ) -> None:
        self.gate = RequestAuthorizer(
            guard,
            default_toolbox=default_toolbox,
            allow_bearer_over_http=allow_bearer_over_http,
            pins=pins,
            forwarded_meta=forwarded_meta,
        )
        self._denial_format = DenialFormat(denial_format)
        self._installed = False
        keep_tokens_out_of_logs()

    def settings(self) -> dict[str, Any]:
        """Return `capabilities` once, when the server installs the extension.

        Raises:
            ValueError: another server has installed this object: each server needs its own.
        """
        if self._installed:
            raise ValueError("a GuardMiddleware is for one server: make another one")
        self._installed = True
        return self.capabilities()

    def capabilities(self) -> dict[str, Any]:
        """Return what a client may know: where a capability and a proof go, and whether they must."""
        return {"capability": CAPABILITY, "proof": PROOF, "required": not self.gate.bound}

    async def __call__(self, ctx: Context, call_next: CallNext) -> HandlerResult:
        """Decide on a request, and answer it with a refusal or let it through."""
        method, http = ctx.method, ctx.request is not None

        async def forward(params: dict[str, Any]) -> HandlerResult:
            decided = _AuthorizedCall(self, params) if method == _CALL else None
            restored = _decided.set(decided)
            try:
                result = await call_next(_with(ctx, params))
            finally:
                _decided.reset(restored)
            return result if decided is not None and decided.refused else _unforged(result)

        try:
            fetch = None if ctx.request_id is None else lambda: _tools(ctx, call_next)
            result = await self.gate.handle(method, ctx.params, forward, fetch=fetch, http=http)
            if method not in LISTS:
                return result
            return dict(self.gate.filter_result(method, ctx.params, _wire(result)))
        except Denied as denied:
            if denied.from_tool:
                raise
            if ctx.request_id is None:
                _log.warning("a message without an id was refused: %s", denied)
                return None
            return self._refused(denied, ctx)

    async def intercept_tool_call(
        self, params: CallToolRequestParams, ctx: Context, call_next: CallNext
    ) -> HandlerResult:
        """Let through the call that was decided on, and refuse any other."""
        decided = _decided.get()
        if decided is None or decided.owner is not self:
            _log.error(
                "nobody decided on a tool call, so it is refused: pass GuardMiddleware as middleware as well"
            )
            return self._refused(Denied(Reason.UNAVAILABLE), ctx)
        if not decided.take(params):
            decided.refused = True
            changed = Denied(
                Reason.WRONG_CALL, "the call was changed after it was decided on", tool=params.name
            )
            return self._refused(changed, ctx)
        return await call_next(ctx)

    def _refused(self, denied: Denied, ctx: Context) -> HandlerResult:
        """Return the answer to a refused request.

        Raises:
            MCPError: the answer is an error.
        """
        sessionless = ctx.protocol_version in MODERN_PROTOCOL_VERSIONS
        params = ctx.params or {}
        response = refusal(denied, ctx.method, params, self._denial_format, sessionless=sessionless)
        if "result" in response:
            return cast("dict[str, Any]", response["result"])
        error = response["error"]
        raise MCPError(error["code"], error["message"], error.get("data")) from denied


def guard_server(server: Any, guard: Guard, **options: Any) -> GuardMiddleware:
    """Guard a low-level `Server` whose handlers are registered already, or a FastMCP server.

    FastMCP's own middleware runs behind the guard: what it changes in a call was not decided on.

    Args:
        options: the options of `GuardMiddleware`.

    Raises:
        TypeError: the server is of another kind.
        ValueError: the server is guarded already.
    """
    # the low-level server of a FastMCP server has no public name
    server = getattr(server, "_mcp_server", server)
    if not isinstance(server, Server):
        raise TypeError(
            "an MCPServer takes a GuardMiddleware: MCPServer(..., extensions=[p], middleware=[p])"
        )
    if any(isinstance(one, GuardMiddleware) for one in server.middleware):
        raise ValueError("this server is guarded already")
    protection = GuardMiddleware(guard, **options)
    entry = server.get_request_handler(_CALL)
    if entry is not None:
        handler = entry.handler

        async def guarded(ctx: Context, params: Any) -> HandlerResult:
            def call_next(inner: Context) -> Awaitable[HandlerResult]:
                return handler(inner, params)

            return await protection.intercept_tool_call(params, ctx, call_next)

        server.add_request_handler(_CALL, entry.params_type, guarded)
    server.middleware.append(protection)
    server.extensions[GuardMiddleware.identifier] = protection.capabilities()
    return protection


@dataclass(slots=True)
class _AuthorizedCall:
    """A tool call that may run, once, behind the middleware that decided on it."""

    owner: GuardMiddleware
    params: dict[str, Any]
    taken: bool = False
    refused: bool = False

    def take(self, params: CallToolRequestParams) -> bool:
        """Return whether these are the parameters of the call, which has not run yet."""
        first, self.taken = not self.taken, True
        asked = (self.params.get("name"), self.params.get("arguments") or {})
        return first and _text(asked) == _text((params.name, params.arguments or {}))


def _text(call: tuple[object, object]) -> str:
    return json.dumps(call, sort_keys=True)  # to Python, 1, 1.0 and True are equal


def _with(ctx: Context, params: dict[str, Any]) -> Context:
    """Return the context as everything behind the guard sees it, without anything of ours."""
    told = params.get("_meta", {})
    kept = {key: one for key, one in (ctx.meta or {}).items() if key in told or key == "progress_token"}
    request = _Bodiless(ctx.request.scope, _no_body) if isinstance(ctx.request, Request) else None
    return replace(ctx, params=params, meta=cast("Any", None if ctx.meta is None else kept), request=request)


class _Bodiless(Request):
    """An HTTP request without its body, which holds the capability."""


async def _no_body() -> dict[str, Any]:
    return {"type": "http.request", "body": b"", "more_body": False}


def _unforged(result: HandlerResult) -> HandlerResult:
    """Return the result without anything of ours: a server must not pose as its guard."""
    meta = result.get("_meta") if isinstance(result, dict) else getattr(result, "meta", None)
    if not isinstance(meta, dict) or not any(str(key).startswith(OURS) for key in meta):
        return result
    kept = {key: value for key, value in meta.items() if not str(key).startswith(OURS)}
    if isinstance(result, BaseModel):
        return result.model_copy(update={"meta": kept})
    return {**cast("dict[str, Any]", result), "_meta": kept}


async def _tools(ctx: Context, call_next: CallNext) -> list[dict[str, Any]]:
    """Return all tools of the server, asked for on the way that the call itself takes."""

    async def ask(method: str, params: dict[str, Any]) -> dict[str, Any]:
        return {"result": _wire(await call_next(_with(replace(ctx, method=method), params)))}

    return await list_all(ask, "tools/list", own_params(ctx.params or {}))


def _wire(result: HandlerResult) -> dict[str, Any]:
    if isinstance(result, BaseModel):
        return result.model_dump(by_alias=True, mode="json", exclude_none=True)
    return result or {}
