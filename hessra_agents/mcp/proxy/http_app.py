"""Serve HTTP in front of a server: what is accepted from a client, and how it is answered.

Behind it (`Upstream`) is another HTTP server (`proxy_http`) or a command (`proxy_process`). For both:

1. The request is one that a client of this very host may make (`HttpRequestPolicy`), in one spelling.
2. Its body is one message, read once and strictly, and its headers do not contradict the body.
3. The gate decides on the request. What comes before the answer goes to the client as it comes (`Reply`).
4. A client that leaves cancels its request.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import anyio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from ...errors import Denied, Reason
from ..authorization.authorizer import RequestAuthorizer
from ..authorization.catalog import Fetch, list_all, own_params
from ..authorization.denials import DenialFormat, denial_message
from ..authorization.requests import LISTS, without_forged_meta, without_hessra_meta
from ..transport.http_checks import (
    HttpRequestPolicy,
    check_param_headers,
    check_routing_headers,
    is_sessionless,
)
from ..transport.http_response import AnswerMemory, Reply, StreamClosedError
from ..transport.messages import InvalidMessageError, Message, RpcError, read_message
from ..transport.redaction import keep_tokens_out_of_logs

__all__ = ["LOOPBACK", "Upstream", "proxy_app"]

LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
"""The names of this machine, for clients that are on it."""

_log = logging.getLogger("hessra_agents")


class Upstream(Protocol):
    """The server behind the gate. Headers are the client's, their names in lower case."""

    def running(self) -> AbstractAsyncContextManager[None]:
        """Return a context that lasts while the application runs."""

    async def ask(self, frame: Message, headers: Mapping[str, str], reply: Reply) -> dict[str, Any]:
        """Return the response to a request; what comes before it goes into the reply.

        Raises:
            RpcError: there is none.
        """

    async def tell(self, frame: Message, headers: Mapping[str, str], reply: Reply) -> None:
        """Pass on a message that needs no answer."""

    async def listen(self, headers: Mapping[str, str], reply: Reply) -> None:
        """Stream what the server says on its own."""

    async def leave(self, headers: Mapping[str, str], reply: Reply) -> None:
        """End a session."""


def proxy_app(
    gate: RequestAuthorizer,
    behind: Upstream,
    memory: AnswerMemory,
    timeout: float,
    denial_format: DenialFormat,
    policy: HttpRequestPolicy,
    path: str,
) -> Starlette:
    """Return the application: see `proxy_http` and `proxy_process`."""
    endpoint = ProxyEndpoint(gate, behind, memory, timeout, DenialFormat(denial_format), policy)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with behind.running():
            keep_tokens_out_of_logs()  # the server's loggers as well: they exist by now
            yield

    keep_tokens_out_of_logs()
    app = Starlette(routes=[Route(path, endpoint)], lifespan=lifespan)
    app.router.redirect_slashes = False
    return app


@dataclass(frozen=True, slots=True, repr=False)
class ProxyEndpoint:
    """One path of the application."""

    _gate: RequestAuthorizer
    _behind: Upstream
    _memory: AnswerMemory
    _timeout: float
    _denial_format: DenialFormat
    _policy: HttpRequestPolicy

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request, reply = Request(scope, receive), Reply(self._memory, send)
        try:
            headers = self._policy.headers(request)
            frame = read_message(await self._policy.body(request)) if request.method == "POST" else None
            async with anyio.create_task_group() as group:
                group.start_soon(_watch, receive, group.cancel_scope)
                try:
                    await self._serve(request.method, frame, headers, reply)
                finally:
                    group.cancel_scope.cancel()
        except InvalidMessageError as error:
            await reply.fail(RpcError(str(error), error.code, status=400), error.id)
        except RpcError as failure:
            await reply.fail(failure)
        finally:
            reply.hold(0)

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
        except InvalidMessageError as error:
            await reply.fail(RpcError(str(error), error.code), id)
        except RpcError as failure:
            await reply.fail(failure, id)
        except Exception:
            _log.exception("a request could not be answered")
            await reply.fail(RpcError("the guard failed"), id)

    async def _answer(self, frame: Message, headers: Mapping[str, str], reply: Reply) -> dict[str, Any]:
        """Decide on a request (step 3)."""
        method = frame.method or ""

        async def forward(params: dict[str, Any]) -> dict[str, Any]:
            if method == "tools/call" and _has_routing(headers):
                # only for a permitted call: which headers it needs shows which tools there are
                await self._check_param_headers(frame, headers, fetch)
            return without_forged_meta(await self._behind.ask(frame.with_params(params), headers, reply))

        async def fetch() -> list[dict[str, Any]]:
            with anyio.move_on_after(self._timeout):  # for all pages
                return await self._tools(frame, headers)
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
            return denial_message(denied, frame, self._denial_format)

    async def _check_param_headers(self, frame: Message, headers: Mapping[str, str], fetch: Fetch) -> None:
        """Compare the headers that the tool's definition asks for with a permitted call (step 2)."""
        name, arguments = frame.params.get("name"), frame.params.get("arguments") or {}
        tool = await self._gate.catalog.find(name, fetch)
        if tool is not None and isinstance(arguments, dict):
            check_param_headers(tool.definition.get("inputSchema"), arguments, headers)

    async def _tools(self, frame: Message, headers: Mapping[str, str]) -> list[dict[str, Any]]:
        """Return all tools of the server, asked for on the way that the call itself takes."""
        own_headers = {
            name: "tools/list" if name == "mcp-method" else value
            for name, value in headers.items()
            if name != "mcp-name" and not name.startswith("mcp-param-")
        }
        numbers = itertools.count()
        silent = Reply(self._memory)

        async def ask(method: str, params: dict[str, Any]) -> dict[str, Any]:
            id = f"hessra-{frame.id}-{next(numbers)}"
            message = Message({"jsonrpc": "2.0", "id": id, "method": method, "params": params})
            return await self._behind.ask(message, own_headers, silent)

        try:
            return await list_all(ask, "tools/list", own_params(frame.params))
        finally:
            silent.hold(0)

    async def _pass_on(self, frame: Message, headers: Mapping[str, str], reply: Reply) -> None:
        """Pass on a notification, or the client's response to what the server asked."""

        async def forward(params: dict[str, Any]) -> None:
            await self._behind.tell(frame.with_params(params), headers, reply)

        if frame.method is None:
            await self._behind.tell(without_hessra_meta(frame), headers, reply)
            return
        try:
            await self._gate.handle(frame.method, frame.params, forward, fetch=None, http=True)
        except Denied as denied:
            _log.warning("a notification was refused: %s", denied)
            await reply.accepted()


def _has_routing(headers: Mapping[str, str]) -> bool:
    return is_sessionless(headers) or any(name.startswith("mcp-param-") for name in headers)


async def _watch(receive: Receive, scope: anyio.CancelScope) -> None:
    """Cancel the request when its client leaves (step 4)."""
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()
