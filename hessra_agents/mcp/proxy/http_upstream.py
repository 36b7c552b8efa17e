"""`proxy_http`: serve HTTP in front of an MCP server that speaks HTTP.

    app = proxy_http(RequestAuthorizer(guard), "http://127.0.0.1:9000/mcp")  # an ASGI application

The proxy keeps no session: what the server says in a session belongs to the caller who names the session. Of
a caller's headers only those of the protocol go on, so its credentials and cookies do not reach the server.

All requests go on with the proxy's own credentials. Without a capability, only a handshake does: what opens
a session, and `ping`. Lists are empty then, without asking the server. All else that needs no capability of
its own (streams, answers to the server's questions, cancellations, the end of a session, `logging/setLevel`)
goes on in a session in which a capability was honored. A stream that is asked for before waits for that.
"""

from __future__ import annotations

import logging
import math
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any

import anyio
import httpx2
from starlette.applications import Starlette

from ...errors import Denied, Reason
from ..authorization.authorizer import RequestAuthorizer
from ..authorization.denials import DenialFormat
from ..authorization.requests import LISTS, without_forged_meta
from ..transport.http_checks import PARAM, HttpRequestPolicy, is_sessionless
from ..transport.http_response import AnswerMemory, Reply, StreamClosedError, encode, is_header_value
from ..transport.messages import (
    INVALID_REQUEST,
    MAX_ANSWER,
    Message,
    RpcError,
    UpstreamMessageError,
    patience,
    read_upstream,
    write_message,
)
from ..transport.sse import EventBlock, blocks
from .http_app import LOOPBACK, proxy_app
from .upstream_sessions import SESSION, UpstreamSessions

__all__ = ["proxy_http"]

_GO_ON = frozenset(
    {
        *("accept", "accept-language", "last-event-id", "traceparent", "tracestate", "user-agent"),
        *("mcp-method", "mcp-name", "mcp-protocol-version", "mcp-session-id"),
    }
)
"""The headers that go on, beside those in which a tool's definition has arguments repeated."""

_HANDSHAKE = frozenset({"initialize", "notifications/initialized", "ping", "server/discover"})

_STREAM_WAITS = 60.0
"""Seconds that a stream waits until a capability is honored in its session."""

_COME_BACK = ("allow", "mcp-protocol-version", "mcp-session-id", "retry-after")

_MAX_GATES = 64
"""Sessions whose lists of tools are kept; of others the list is asked for again."""

_EVENTS = "text/event-stream"
_log = logging.getLogger("hessra_agents")


def proxy_http(
    gate: RequestAuthorizer,
    upstream: str,
    *,
    timeout: float = 60.0,
    max_answer: int = MAX_ANSWER,
    headers: Mapping[str, str] | None = None,
    forward_headers: Collection[str] = (),
    denial_format: DenialFormat = DenialFormat.RESULT,
    hosts: Collection[str] = LOOPBACK,
    origins: Collection[str] = (),
    path: str = "/mcp",
) -> Starlette:
    """Return an application that decides on each request to a server, and forwards what is permitted.

    Args:
        upstream: the server's URL.
        timeout: seconds without a message from the server after which a request is abandoned.
        max_answer: bytes of one message from the server; a request with a larger answer gets an error.
            Messages of more than 1 MiB hold at most four times this together, from their first byte until
            their clients have them, and a request whose answer does not fit gets an error.
        headers: sent with every request that goes on, such as the server's own ``Authorization``.
        forward_headers: names of the callers' headers that the server gets, besides those of the protocol.
        denial_format: the form of refusals.
        hosts: the names under which clients reach it, each with a port, or without one for any port.
        origins: origins of web pages on other hosts that may use it.
        path: the path of its URL.

    Raises:
        ValueError: the URL is not one of http or https.
    """
    passed = _GO_ON | {name.lower() for name in forward_headers}
    behind = _HttpUpstream(gate, httpx2.URL(upstream), timeout, dict(headers or {}), passed)
    policy = HttpRequestPolicy(frozenset(hosts), frozenset(origins))
    return proxy_app(gate, behind, AnswerMemory(max_answer), timeout, denial_format, policy, path)


class _HttpUpstream:
    """The server behind the gate."""

    def __init__(
        self,
        gate: RequestAuthorizer,
        url: httpx2.URL,
        timeout: float,
        headers: dict[str, str],
        passed: frozenset[str],
    ) -> None:
        if url.scheme not in ("http", "https") or not url.host:
            raise ValueError("the URL of the upstream server must begin with http:// or https://")
        self._gate = gate
        self._url = url
        self._timeout = timeout
        self._own = {"accept-encoding": "identity", **{name.lower(): one for name, one in headers.items()}}
        self._passed = passed
        self._gates: dict[tuple[str | None, ...], RequestAuthorizer] = {}
        self._sessions = UpstreamSessions()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        limits = httpx2.Limits(max_connections=None, max_keepalive_connections=64)
        # callers share no cookies, and no proxy or certificate that the environment names is used
        cookies = CookieJar(DefaultCookiePolicy(allowed_domains=()))
        options: Any = {"timeout": None, "limits": limits, "cookies": cookies, "trust_env": False}
        async with httpx2.AsyncClient(**options) as client:
            self._client = client
            yield

    def gate(self, headers: Mapping[str, str]) -> RequestAuthorizer:
        # by what the server's tools may depend on: the session, and the credentials that go on
        key = tuple(headers.get(name) for name in ("mcp-session-id", *sorted(self._passed - _GO_ON)))
        gate = self._gates.pop(key) if key in self._gates else self._gate.of_another_session()
        self._gates[key] = gate
        if len(self._gates) > _MAX_GATES:
            del self._gates[next(iter(self._gates))]
        return gate

    async def ask(
        self, frame: Message, headers: Mapping[str, str], reply: Reply, *, honored: bool
    ) -> dict[str, Any]:
        if not (honored or frame.method in _HANDSHAKE or self._sessions.is_honored(headers)):
            place = LISTS.get(frame.method or "")
            if place is None:
                raise Denied(Reason.NO_CAPABILITY)
            modern = {"resultType": "complete", "ttlMs": 0, "cacheScope": "private"}
            result = {place: [], **(modern if is_sessionless(headers) else {})}
            return {"jsonrpc": "2.0", "id": frame.id, "result": result}
        with self._sessions.running(headers, frame.id):
            return await self._answer(frame, headers, reply, honored)

    async def _answer(
        self, frame: Message, headers: Mapping[str, str], reply: Reply, honored: bool
    ) -> dict[str, Any]:
        async with self._sent("POST", headers, frame) as (response, scope):
            _take_over(response, reply)
            if honored and response.status_code == 200:
                self._sessions.honor({**headers, **response.headers})
            if _kind(response) == _EVENTS and response.status_code == 200:
                return await self._streamed(response, frame, reply, scope, self.gate(headers))
            message = await _read(response, reply)
            status = response.status_code
            if message is not None and _answers(message, frame):
                reply.status = status
                return message
            raise _unanswered(status, message)

    async def tell(self, frame: Message, headers: Mapping[str, str], reply: Reply, *, honored: bool) -> None:
        if honored or frame.method in _HANDSHAKE or self._sessions.is_honored(headers):
            cancels, id = frame.method == "notifications/cancelled", frame.params.get("requestId", "")
            if cancels and not self._sessions.give_up(headers, id):
                await reply.accepted()  # a server might yet take it for a request that runs, and fail that
                return
            await self._accepted("POST", headers, reply, frame)
        elif frame.method is None:
            raise _strange(headers)
        else:
            await reply.accepted()  # a notification has no answer: it just goes nowhere

    async def listen(self, headers: Mapping[str, str], reply: Reply, *, honored: bool) -> None:
        if not honored and SESSION in headers:
            with anyio.move_on_after(_STREAM_WAITS):
                await self._sessions.until_honored(headers)
        if not honored and not self._sessions.is_honored(headers):
            raise _strange(headers)
        async with self._sent("GET", headers) as (response, scope):
            _take_over(response, reply)
            if _kind(response) != _EVENTS or response.status_code != 200:
                raise _unanswered(response.status_code, await _read(response, reply))
            scope.deadline = math.inf
            await reply.begin()
            async for block in blocks(response.aiter_bytes(), reply.hold):
                await self._say(block, await _message(block.data), reply, self.gate(headers))
            await reply.end()

    async def leave(self, headers: Mapping[str, str], reply: Reply, *, honored: bool) -> None:
        if not honored and not self._sessions.is_honored(headers):
            raise _strange(headers)
        self._sessions.give_up(headers)
        await self._accepted("DELETE", headers, reply)
        self._sessions.forget(headers)

    async def _accepted(
        self, verb: str, headers: Mapping[str, str], reply: Reply, frame: Message | None = None
    ) -> None:
        """Send a request that the server accepts or refuses, and does not answer."""
        async with self._sent(verb, headers, frame) as (response, _):
            _take_over(response, reply)
            status = response.status_code
            if not 200 <= status < 300:
                raise _unanswered(status, await _read(response, reply))
            await reply.accepted(202 if frame is not None else status)

    @asynccontextmanager
    async def _sent(
        self, method: str, headers: Mapping[str, str], frame: Message | None = None
    ) -> AsyncIterator[tuple[httpx2.Response, anyio.CancelScope]]:
        """Send one request; give the response, and the scope that abandons it after its deadline."""
        sent = {name: value for name, value in headers.items() if self._goes_on(name)}
        content = None
        if frame is not None:
            content = write_message(frame.message)
            sent["content-type"] = "application/json"
        with anyio.move_on_after(self._timeout) as scope:
            try:
                request = self._client.build_request(
                    method, self._url, headers={**sent, **self._own}, content=content
                )
                response = await self._client.send(request, stream=True)
                try:
                    yield response, scope
                finally:
                    await response.aclose()
            except (httpx2.HTTPError, httpx2.InvalidURL, httpx2.StreamError, UnicodeError) as error:
                text = f"the server cannot be reached: {type(error).__name__}"
                raise RpcError(text) from error
        if scope.cancelled_caught:
            text = f"the server did not answer in {self._timeout:g} seconds"
            raise RpcError(text, abandoned=True)

    def _goes_on(self, name: str) -> bool:
        return name in self._passed or name.startswith(PARAM)  # of these, the tool's own

    async def _streamed(
        self,
        response: httpx2.Response,
        frame: Message,
        reply: Reply,
        scope: anyio.CancelScope,
        gate: RequestAuthorizer,
    ) -> dict[str, Any]:
        """Return the response at the end of a stream of events."""
        resumable = False
        async for block in blocks(response.aiter_bytes(), reply.hold):
            message = await _message(block.data, frame) if block.data else None
            if message is not None and _answers(message, frame):
                return message
            resumable = resumable or block.resumable
            if message is not None:  # and not a comment, which says no more than that somebody is there
                scope.deadline = math.inf  # while the client reads
            await self._say(block, message, reply, gate)
            if message is not None:
                asked = "method" in message and "id" in message
                scope.deadline = anyio.current_time() + patience(frame.method, self._timeout, asked=asked)
        if resumable and not reply.silent:
            raise StreamClosedError
        raise RpcError("the server closed the stream before it answered", abandoned=True)

    async def _say(
        self, block: EventBlock, message: dict[str, Any] | None, reply: Reply, gate: RequestAuthorizer
    ) -> None:
        """Pass on an event that is one message, written anew, or that is a comment."""
        if message is not None:
            gate.catalog.notice(message)
        if reply.silent:
            return
        if not block.data:
            await reply.event(block.text)
        elif message is None:
            _log.warning("a server sent an event that is not a message: left out")
        else:
            await reply.event(block.saying(encode(self._seen(message, gate))).text)

    def _seen(self, message: dict[str, Any], gate: RequestAuthorizer) -> dict[str, Any]:
        """Return a message as the client may see it; as it belongs to no request, nothing says who asks."""
        message = without_forged_meta(message)
        result = message.get("result")
        if not isinstance(result, dict):
            return message
        seen = gate.filter_result("initialize", None, result)
        for method, place in LISTS.items():
            if place in seen:
                seen = gate.filter_result(method, None, seen)
        return {**message, "result": seen}


def _strange(headers: Mapping[str, str]) -> RpcError:
    """Return the refusal of what is only for sessions in which a capability was honored."""
    if SESSION in headers:
        return RpcError("no capability was honored in this session", INVALID_REQUEST, status=403)
    return RpcError("the request names no session", INVALID_REQUEST, status=405, headers={"allow": "POST"})


def _kind(response: httpx2.Response) -> str:
    found: str = response.headers.get("content-type", "")
    return found.partition(";")[0].strip().lower()


def _answers(message: Mapping[str, Any], frame: Message) -> bool:
    """Return whether a message is the response to this request, to every reader."""
    id, body = message.get("id"), [key for key in ("result", "error") if key in message]
    same = type(id) is type(frame.id) and id == frame.id
    return same and "method" not in message and len(body) == 1 and isinstance(message[body[0]], dict)


async def _read(response: httpx2.Response, reply: Reply) -> dict[str, Any] | None:
    parts: list[bytes] = []
    size = 0
    async for part in response.aiter_bytes():
        size += len(part)
        reply.hold(size)
        parts.append(part)
    return await _message(b"".join(parts))


async def _message(data: bytes | str, frame: Message | None = None) -> dict[str, Any] | None:
    try:
        return (await read_upstream(data)).message
    except UpstreamMessageError as fault:
        if frame is not None and fault.answers == frame.id:
            raise RpcError(f"the server's answer {fault}", abandoned=True) from None
        return None


def _take_over(response: httpx2.Response, reply: Reply) -> None:
    found = response.headers
    reply.headers |= {name: found[name] for name in _COME_BACK if is_header_value(found.get(name, "\n"))}


def _unanswered(status: int, message: Mapping[str, Any] | None) -> RpcError:
    """Return what a client is told where the server's answer is not one."""
    error = (message or {}).get("error")
    if status in (401, 403, 407):
        # the credentials are ours: a client that gets this status would look for others
        return RpcError(f"the server refused the guard (HTTP {status})")
    if not 400 <= status < 500:
        # neither an answer that cannot be read nor a gateway's time says that nothing was done
        unknown = status < 400 or status == 504
        return RpcError(f"the server's answer is not a message (HTTP {status})", abandoned=unknown)
    if isinstance(error, dict) and type(error.get("code")) is int and isinstance(error.get("message"), str):
        return RpcError(error["message"], error["code"], status=status)
    return RpcError(f"the server refused the request (HTTP {status})", INVALID_REQUEST, status=status)
