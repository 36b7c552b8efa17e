"""Serve HTTP in front of a server: what is accepted from a client, and how it is answered.

Behind it (`Upstream`) is another HTTP server (`proxy_http`) or a command (`proxy_process`). For both:

1. The request is one that a client of this very host may make (`HttpRequestPolicy`), in one spelling.
2. Its body is one message, read once and strictly, and its headers do not contradict the body.
3. The gate decides on the request. What comes before the answer goes to the client as it comes (`Reply`).
4. A client that leaves cancels its request. The end of the proxy ends all requests, with an error.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
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
from ..authorization.requests import FILTERED, OPEN, without_forged_meta, without_hessra_meta
from ..transport.http_checks import (
    PARAM,
    HttpRequestPolicy,
    check_param_headers,
    check_routing_headers,
    is_sessionless,
)
from ..transport.http_response import AnswerMemory, Held, Reply, RequestMemory, StreamClosedError
from ..transport.messages import InvalidMessageError, Message, RpcError, own_id, read_message
from ..transport.redaction import keep_tokens_out_of_logs

__all__ = ["LOOPBACK", "Upstream", "proxy_app"]

LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
"""The names of this machine, for clients that are on it."""

_ENDED = RpcError("the proxy is ending", status=503)

_log = logging.getLogger("hessra_agents")


class Upstream(Protocol):
    """The server behind the gate. Headers are the client's, their names in lower case.

    ``honored`` says whether a capability was honored for the message itself: by the one that it carries, or
    by the default toolbox's. An upstream with sessions may have honored one in the session before.
    """

    def running(self) -> AbstractAsyncContextManager[None]:
        """Return a context that lasts while the application runs."""

    def gate(self, headers: Mapping[str, str]) -> RequestAuthorizer:
        """Return what decides on this caller's requests: its session may have tools of its own."""

    async def ask(
        self, frame: Message, headers: Mapping[str, str], reply: Reply, *, honored: bool
    ) -> dict[str, Any]:
        """Return the response to a request; what comes before it goes into the reply.

        Raises:
            Denied: the request needs a capability here.
            RpcError: there is no response.
        """

    async def tell(self, frame: Message, headers: Mapping[str, str], reply: Reply, *, honored: bool) -> None:
        """Pass on a message that needs no answer."""

    async def listen(self, headers: Mapping[str, str], reply: Reply, *, honored: bool) -> None:
        """Stream what the server says on its own."""

    async def leave(self, headers: Mapping[str, str], reply: Reply, *, honored: bool) -> None:
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
    app.state.end_requests = endpoint.end
    return app


@dataclass(slots=True, eq=False, repr=False)
class ProxyEndpoint:
    """One path of the application."""

    _gate: RequestAuthorizer
    _behind: Upstream
    _answers: AnswerMemory
    _timeout: float
    _denial_format: DenialFormat
    _policy: HttpRequestPolicy
    _requests: RequestMemory = field(default_factory=RequestMemory)
    _running: set[anyio.CancelScope] = field(default_factory=set)
    _ended: bool = False

    def end(self) -> None:
        """End all requests, and refuse new ones: the proxy is about to end."""
        self._ended = True
        for scope in self._running:
            scope.cancel()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request, reply = Request(scope, receive), Reply(self._answers, send)
        body = Held(self._requests)
        reply.headers |= self._policy.for_page(request)
        until_end = anyio.CancelScope()
        try:
            with until_end:
                self._running.add(until_end)
                if self._ended:
                    until_end.cancel()
                await self._exchange(request, receive, reply, body)
            if until_end.cancelled_caught:
                await reply.fail(_ENDED)
        except InvalidMessageError as error:
            reply.id = error.id
            await reply.fail(RpcError(str(error), error.code, status=400))
        except RpcError as failure:
            await reply.fail(failure)
        finally:
            self._running.discard(until_end)
            reply.hold(0)
            body(0)

    async def _exchange(self, request: Request, receive: Receive, reply: Reply, body: Held) -> None:
        """Read a request, and answer it, unless its client leaves."""
        answer = self._policy.preflight(request)
        if answer is not None:
            reply.headers |= answer
            await reply.accepted(204)
            return
        headers = self._policy.headers(request)
        frame = read_message(await self._policy.body(request, body)) if request.method == "POST" else None
        async with anyio.create_task_group() as group:
            group.start_soon(_watch, receive, group.cancel_scope)
            try:
                await self._serve(request.method, frame, headers, reply)
            finally:
                group.cancel_scope.cancel()

    async def _serve(
        self, method: str, frame: Message | None, headers: Mapping[str, str], reply: Reply
    ) -> None:
        plain = {name: value for name, value in headers.items() if not name.startswith(PARAM)}
        try:
            if frame is None:
                handle = self._behind.listen if method == "GET" else self._behind.leave
                await handle(plain, reply, honored=self._gate.honors(None))
                return
            reply.id = frame.id
            check_routing_headers(frame, headers)
            if frame.is_request:
                await reply.end({**await self._answer(frame, headers, plain, reply), "id": frame.id})
            else:
                await self._pass_on(frame, plain, reply)
        except StreamClosedError:
            await reply.end()
        except InvalidMessageError as error:
            await reply.fail(RpcError(str(error), error.code))
        except RpcError as failure:
            await reply.fail(failure)
        except Exception:
            _log.exception("a request could not be answered")
            await reply.fail(RpcError("the guard failed"))

    async def _answer(
        self, frame: Message, headers: Mapping[str, str], plain: Mapping[str, str], reply: Reply
    ) -> dict[str, Any]:
        """Decide on a request (step 3).

        Args:
            plain: the headers without those that repeat arguments.
        """
        method, gate = frame.method or "", self._behind.gate(headers)

        async def forward(params: dict[str, Any]) -> dict[str, Any]:
            sent = plain
            if method == "tools/call" and _has_routing(headers):
                # only for a permitted call: which headers it needs shows which tools there are
                sent = {**plain, **await self._param_headers(gate, frame, headers, fetch)}
            honored = self._honored(frame)
            answer = await self._behind.ask(frame.with_params(params), sent, reply, honored=honored)
            return without_forged_meta(answer)

        async def fetch() -> list[dict[str, Any]]:
            with anyio.move_on_after(self._timeout):  # for all pages
                return await self._tools(frame, plain)
            raise Denied(Reason.UNAVAILABLE, "the server does not list its tools in time")

        try:
            answer = await gate.handle(method, frame.params, forward, fetch=fetch, http=True)
            if method in FILTERED and "result" in answer:
                result = gate.filter_result(method, frame.params, answer["result"])
                return {**answer, "result": result}
            return answer
        except Denied as denied:
            cause = denied.__cause__
            if isinstance(cause, RpcError) and cause.status != 200:
                raise cause from None  # such as a session that is gone, found when the tools were asked for
            return denial_message(denied, frame, self._denial_format)

    def _honored(self, frame: Message) -> bool:
        """Return whether a capability was honored for a message that the gate lets through."""
        return frame.method not in OPEN or self._gate.honors(frame.params)

    async def _param_headers(
        self, gate: RequestAuthorizer, frame: Message, headers: Mapping[str, str], fetch: Fetch
    ) -> dict[str, str]:
        """Return the headers that the tool's definition asks for, once they fit a permitted call (step 2)."""
        name, arguments = frame.params.get("name"), frame.params.get("arguments") or {}
        tool = await gate.catalog.find(name, fetch)
        if tool is None or not isinstance(arguments, dict):
            return {}
        return check_param_headers(tool.definition.get("inputSchema"), arguments, headers)

    async def _tools(self, frame: Message, headers: Mapping[str, str]) -> list[dict[str, Any]]:
        """Return all tools of the server, asked for on the way that the call itself takes."""
        own_headers = {
            name: "tools/list" if name == "mcp-method" else value
            for name, value in headers.items()
            if name != "mcp-name"
        }
        silent = Reply(self._answers)

        async def ask(method: str, params: dict[str, Any]) -> dict[str, Any]:
            message = Message({"jsonrpc": "2.0", "id": own_id(), "method": method, "params": params})
            return await self._behind.ask(message, own_headers, silent, honored=True)

        try:
            return await list_all(ask, "tools/list", own_params(frame.params))
        finally:
            silent.hold(0)

    async def _pass_on(self, frame: Message, headers: Mapping[str, str], reply: Reply) -> None:
        """Pass on a notification, or the client's response to what the server asked."""

        async def forward(params: dict[str, Any]) -> None:
            honored = self._honored(frame)
            await self._behind.tell(frame.with_params(params), headers, reply, honored=honored)

        if frame.method is None:
            answer = without_hessra_meta(frame)
            await self._behind.tell(answer, headers, reply, honored=self._gate.honors(None))
            return
        try:
            gate = self._behind.gate(headers)
            await gate.handle(frame.method, frame.params, forward, fetch=None, http=True)
        except Denied as denied:
            _log.warning("a message without an id was refused: %s", denied)
            await reply.accepted()


def _has_routing(headers: Mapping[str, str]) -> bool:
    return is_sessionless(headers) or any(name.startswith(PARAM) for name in headers)


async def _watch(receive: Receive, scope: anyio.CancelScope) -> None:
    """Cancel the request when its client leaves (step 4)."""
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()
