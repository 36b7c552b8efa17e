"""HTTP in front of a server: what is taken from a client, and how it is answered.

What stands behind (`Upstream`) is another HTTP server (`proxy_http`) or a command
(`proxy_process`). In front of both:

1. The request is one that a client of this very host may make (`HttpRequestPolicy`), in one spelling.
2. Its body is one message, read once and strictly, and its headers say what the body says.
3. The gate decides on a request. What comes before its answer goes to the client as it comes (`Reply`).
4. A client that leaves cancels its request.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Protocol

import anyio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from ...errors import Denied, Reason
from ..authorization.authorizer import RequestAuthorizer
from ..authorization.catalog import Fetch
from ..authorization.denials import DenialFormat
from ..authorization.requests import LISTS, without_hessra_meta
from ..redaction import keep_tokens_out_of_logs
from ..transport.http_checks import (
    HttpRequestPolicy,
    check_param_headers,
    check_routing_headers,
    is_sessionless,
)
from ..transport.http_response import Reply, RpcError, StreamClosedError
from ..transport.messages import INTERNAL_ERROR, InvalidMessageError, Message, read_message
from .common import denial_message, list_all, own_params, without_forged_meta

__all__ = ["LOOPBACK", "Upstream", "proxy_app"]

LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
"""The names of this machine, for those who are on it."""

_log = logging.getLogger("hessra_agents")


class Upstream(Protocol):
    """What the gate stands in front of. Headers are those of the client, in small letters."""

    def running(self) -> AbstractAsyncContextManager[None]:
        """While the application runs."""

    async def ask(self, frame: Message, headers: Mapping[str, str], reply: Reply | None) -> dict[str, Any]:
        """The response to a request; what comes before it goes into the reply.

        Raises:
            RpcError: there is none.
        """

    async def tell(self, frame: Message, headers: Mapping[str, str], reply: Reply) -> None:
        """Pass on what needs no answer."""

    async def listen(self, headers: Mapping[str, str], reply: Reply) -> None:
        """Stream what the server says on its own."""

    async def leave(self, headers: Mapping[str, str], reply: Reply) -> None:
        """End a session."""


def proxy_app(
    gate: RequestAuthorizer,
    behind: Upstream,
    *,
    denial_format: DenialFormat = DenialFormat.RESULT,
    hosts: Collection[str] = LOOPBACK,
    origins: Collection[str] = (),
    path: str = "/mcp",
    timeout: float = 60.0,
) -> Starlette:
    """The application: see `proxy_http` and `proxy_process`."""
    face = ProxyEndpoint(
        gate,
        behind,
        DenialFormat(denial_format),
        HttpRequestPolicy(frozenset(hosts), frozenset(origins)),
        timeout,
    )

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with behind.running():
            keep_tokens_out_of_logs()  # the servers' loggers, too: they exist by now
            yield

    keep_tokens_out_of_logs()
    app = Starlette(routes=[Route(path, face)], lifespan=lifespan)
    app.router.redirect_slashes = False
    return app


class ProxyEndpoint:
    """One path of the application."""

    def __init__(
        self,
        gate: RequestAuthorizer,
        behind: Upstream,
        denial_format: DenialFormat,
        door: HttpRequestPolicy,
        timeout: float,
    ) -> None:
        self._gate = gate
        self._behind = behind
        self._refusals = denial_format
        self._door = door
        self._timeout = timeout

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request, reply = Request(scope, receive), Reply(send)
        try:
            headers = self._door.headers(request)
            frame = read_message(await self._door.body(request)) if request.method == "POST" else None
            async with anyio.create_task_group() as group:
                group.start_soon(_watch, receive, group.cancel_scope)
                try:
                    await self._serve(request.method, frame, headers, reply)
                finally:
                    group.cancel_scope.cancel()
        except InvalidMessageError as broken:
            await reply.fail(RpcError(broken.code, str(broken), status=400), broken.id)
        except RpcError as failure:
            await reply.fail(failure)

    async def _serve(
        self, method: str, frame: Message | None, headers: Mapping[str, str], reply: Reply
    ) -> None:
        id = frame.id if frame is not None else None
        try:
            if frame is None:
                await (self._behind.listen if method == "GET" else self._behind.leave)(headers, reply)
                return
            check_routing_headers(frame, headers)
            if frame.is_request:
                await reply.end({**await self._answer(frame, headers, reply), "id": id})
            else:
                await self._pass_on(frame, headers, reply)
        except StreamClosedError:
            await reply.end()
        except InvalidMessageError as broken:
            await reply.fail(RpcError(broken.code, str(broken)), id)
        except RpcError as failure:
            await reply.fail(failure, id)
        except Exception:
            _log.exception("a request could not be answered")
            await reply.fail(RpcError(INTERNAL_ERROR, "the guard failed"), id)

    async def _answer(self, frame: Message, headers: Mapping[str, str], reply: Reply) -> dict[str, Any]:
        """Step 3."""
        method = frame.method or ""

        async def forward(params: dict[str, Any]) -> dict[str, Any]:
            if method == "tools/call" and _has_routing(headers):
                # not before the call is permitted: what it is held to tells which tools there are
                await self._hold_parameters(frame, headers, fetch)
            return without_forged_meta(await self._behind.ask(frame.with_params(params), headers, reply))

        async def fetch() -> list[dict[str, Any]]:
            with anyio.move_on_after(self._timeout):  # for all pages
                return await _tools(self._behind, frame, headers)
            raise Denied(Reason.UNAVAILABLE, "the server does not list its tools in time")

        try:
            answer = await self._gate.handle(method, frame.params, forward, fetch=fetch, http=True)
            if method in LISTS and "result" in answer:
                result = self._gate.filter_list(method, frame.params, answer["result"])
                return {**answer, "result": result}
            return answer
        except Denied as denied:
            cause = denied.__cause__
            if isinstance(cause, RpcError) and cause.status != 200:
                raise cause from None  # such as a session that is gone, found when the tools were asked for
            return denial_message(denied, frame, self._refusals)

    async def _hold_parameters(self, frame: Message, headers: Mapping[str, str], fetch: Fetch) -> None:
        """Step 2 for the arguments that a tool's definition wants in headers, too; of a permitted call."""
        name, arguments = frame.params.get("name"), frame.params.get("arguments")
        offer = await self._gate.catalogue.find(name, fetch)
        if offer is not None and isinstance(arguments or {}, dict):
            check_param_headers(offer.definition.get("inputSchema"), arguments or {}, headers)

    async def _pass_on(self, frame: Message, headers: Mapping[str, str], reply: Reply) -> None:
        """A notification, or the client's response to what the server asked."""

        async def forward(params: dict[str, Any]) -> dict[str, Any]:
            await self._behind.tell(frame.with_params(params), headers, reply)
            return {}

        if frame.method is None:
            result = frame.message.get("result")
            kept = {"result": without_hessra_meta(result)} if isinstance(result, dict) else {}
            await self._behind.tell(Message({**frame.message, **kept}), headers, reply)
            return
        try:
            await self._gate.handle(frame.method, frame.params, forward, fetch=_no_tools, http=True)
        except Denied as denied:
            _log.warning("a notification was refused: %s", denied)
            await reply.accepted()


def _has_routing(headers: Mapping[str, str]) -> bool:
    return is_sessionless(headers) or any(name.startswith("mcp-param-") for name in headers)


async def _watch(receive: Receive, scope: anyio.CancelScope) -> None:
    """Step 4."""
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()


async def _tools(behind: Upstream, frame: Message, headers: Mapping[str, str]) -> list[dict[str, Any]]:
    """All tools of the server, asked for on the way that the call itself takes."""
    ours = {
        name: "tools/list" if name == "mcp-method" else value
        for name, value in headers.items()
        if name != "mcp-name" and not name.startswith("mcp-param-")
    }
    numbers = itertools.count()

    async def ask(method: str, params: dict[str, Any]) -> dict[str, Any]:
        id = f"hessra-{frame.id}-{next(numbers)}"
        message = {"jsonrpc": "2.0", "id": id, "method": method, "params": params}
        return await behind.ask(Message(message), ours, None)

    return await list_all(ask, "tools/list", own_params(frame.params))


async def _no_tools() -> list[dict[str, Any]]:
    raise Denied(Reason.MALFORMED, "a tool is called by a request, which has an id")
