"""`proxy_http`: HTTP in front of an MCP server that speaks HTTP.

    app = proxy_http(RequestAuthorizer(guard), "http://127.0.0.1:9000/mcp")  # an ASGI application

It keeps no session: what the server says in one belongs to the caller who names it. Of a caller's headers
only those of the protocol go on, so neither its credentials nor its cookies reach the server.
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

from ..authorization.authorizer import RequestAuthorizer
from ..authorization.denials import DenialFormat
from ..authorization.requests import LISTS
from ..transport.http_response import (
    MAX_ANSWER,
    PERSON,
    Reply,
    RpcError,
    StreamClosedError,
    encode,
    is_header_value,
    read_message,
)
from ..transport.messages import INTERNAL_ERROR, INVALID_REQUEST, Message, write_message
from ..transport.sse import EventBlock, blocks
from .common import without_forged_meta
from .http_app import LOOPBACK, proxy_app

__all__ = ["proxy_http"]

_GO_ON = frozenset(
    {"accept", "accept-language", "baggage", "last-event-id", "traceparent", "tracestate", "user-agent"}
)
_COME_BACK = ("allow", "mcp-protocol-version", "mcp-session-id", "retry-after")

_EVENTS = "text/event-stream"
_log = logging.getLogger("hessra_agents")

_UNBOUNDED = "subscriptions/listen"
"""A request that is answered when the server ends."""


def proxy_http(
    gate: RequestAuthorizer,
    upstream: str,
    *,
    timeout: float = 60.0,
    headers: Mapping[str, str] | None = None,
    forward_headers: Collection[str] = (),
    denial_format: DenialFormat = DenialFormat.RESULT,
    hosts: Collection[str] = LOOPBACK,
    origins: Collection[str] = (),
    path: str = "/mcp",
) -> Starlette:
    """An application that decides on each request to a server, and forwards what is permitted.

    Args:
        upstream: the server's URL.
        timeout: seconds without a message from the server after which a request is given up.
        headers: sent with every request, such as the server's own ``Authorization``.
        forward_headers: names of the callers' headers that the server gets, besides those of the protocol.
        denial_format: the form in which refusals are told.
        hosts: the names under which it is reached, each with a port or for any port.
        origins: of web pages elsewhere that may use it.
        path: where it is reached.
    """
    passed = _GO_ON | {name.lower() for name in forward_headers}
    behind = _HttpUpstream(gate, httpx2.URL(upstream), timeout, dict(headers or {}), passed)
    return proxy_app(
        gate, behind, denial_format=denial_format, hosts=hosts, origins=origins, path=path, timeout=timeout
    )


class _HttpUpstream:
    """The server."""

    def __init__(
        self,
        gate: RequestAuthorizer,
        url: httpx2.URL,
        timeout: float,
        headers: dict[str, str],
        passed: frozenset[str],
    ) -> None:
        if url.scheme not in ("http", "https") or not url.host:
            raise ValueError("the upstream server is named by a URL with http or https")
        self._gate = gate
        self._url = url
        self._timeout = timeout
        self._own = {"accept-encoding": "identity", **{name.lower(): one for name, one in headers.items()}}
        self._passed = passed

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        limits = httpx2.Limits(max_connections=None, max_keepalive_connections=64)
        # one caller's cookies are not another's, and nothing that the environment names is used
        cookies = CookieJar(DefaultCookiePolicy(allowed_domains=()))
        options: Any = {"timeout": None, "limits": limits, "cookies": cookies, "trust_env": False}
        async with httpx2.AsyncClient(**options) as client:
            self._client = client
            yield

    async def ask(self, frame: Message, headers: Mapping[str, str], reply: Reply | None) -> dict[str, Any]:
        async with self._sent("POST", headers, frame) as (response, patience):
            _take_over(response, reply)
            if _kind(response) == _EVENTS and response.status_code == 200:
                return await self._streamed(response, frame, reply, patience)
            message = await read_message(await _read(response))
            status = response.status_code
            if message is not None and _answers(message, frame):
                if reply is not None:
                    reply.status = status
                return message
            raise _unanswered(status, message, response)

    async def tell(self, frame: Message, headers: Mapping[str, str], reply: Reply) -> None:
        async with self._sent("POST", headers, frame) as (response, _):
            _take_over(response, reply)
            status = response.status_code
            if not 200 <= status < 300:
                raise _unanswered(status, await read_message(await _read(response)), response)
            await reply.accepted()

    async def listen(self, headers: Mapping[str, str], reply: Reply) -> None:
        async with self._sent("GET", headers) as (response, patience):
            _take_over(response, reply)
            if _kind(response) != _EVENTS or response.status_code != 200:
                raise _unanswered(response.status_code, await read_message(await _read(response)), response)
            patience.deadline = math.inf
            await reply.begin()
            async for block in blocks(response.aiter_bytes()):
                await self._say(block, await read_message(block.data), reply)
            await reply.end()

    async def leave(self, headers: Mapping[str, str], reply: Reply) -> None:
        async with self._sent("DELETE", headers) as (response, _):
            _take_over(response, reply)
            status = response.status_code
            if not 200 <= status < 300:
                raise _unanswered(status, await read_message(await _read(response)), response)
            await reply.accepted(status)

    @asynccontextmanager
    async def _sent(
        self, method: str, headers: Mapping[str, str], frame: Message | None = None
    ) -> AsyncIterator[tuple[httpx2.Response, anyio.CancelScope]]:
        """The response to one request, and the scope that gives it up when its deadline has passed."""
        sent = {name: value for name, value in headers.items() if self._goes_on(name)}
        content = None
        if frame is not None:
            content = write_message(frame.message)
            sent["content-type"] = "application/json"
        with anyio.move_on_after(self._timeout) as patience:
            try:
                request = self._client.build_request(
                    method, self._url, headers={**sent, **self._own}, content=content
                )
                response = await self._client.send(request, stream=True)
                try:
                    yield response, patience
                finally:
                    await response.aclose()
            except (httpx2.HTTPError, httpx2.InvalidURL, httpx2.StreamError, UnicodeError) as error:
                raise RpcError(INTERNAL_ERROR, f"the server cannot be reached: {_short(error)}") from error
        if patience.cancelled_caught:
            raise RpcError(INTERNAL_ERROR, f"the server did not answer in {self._timeout:g} seconds")

    def _goes_on(self, name: str) -> bool:
        return name.startswith("mcp-") or name in self._passed

    async def _streamed(
        self, response: httpx2.Response, frame: Message, reply: Reply | None, patience: anyio.CancelScope
    ) -> dict[str, Any]:
        """The response at the end of a stream of events."""
        resumable = False
        async for block in blocks(response.aiter_bytes()):
            message = await read_message(block.data) if block.data else None
            if message is not None and _answers(message, frame):
                return message
            resumable = resumable or block.resumable
            if message is not None:  # and not a comment, which says nothing but that somebody is there
                patience.deadline = math.inf  # now it is the client who is waited for
            await self._say(block, message, reply)
            if message is not None and frame.method != _UNBOUNDED:
                asked = "method" in message and "id" in message
                patience.deadline = anyio.current_time() + max(self._timeout, PERSON * asked)
        if resumable and reply is not None:
            raise StreamClosedError
        raise RpcError(INTERNAL_ERROR, "the server ended before it answered")

    async def _say(self, block: EventBlock, message: dict[str, Any] | None, reply: Reply | None) -> None:
        """Pass on an event that is one message, written anew, or that is a comment."""
        if message is not None and message.get("method") == "notifications/tools/list_changed":
            self._gate.catalogue.forget()
        if reply is None:
            return
        if not block.data:
            await reply.event(block.text)
        elif message is None:
            _log.warning("a server sent an event that is no message: left out")
        else:
            await reply.event(block.saying(encode(self._seen(message))).text)

    def _seen(self, message: dict[str, Any]) -> dict[str, Any]:
        """A message as the client may see it. It belongs to no request here, so nothing says who asks."""
        message = without_forged_meta(message)
        result = message.get("result")
        if not isinstance(result, dict):
            return message
        for method, place in LISTS.items():
            if place in result:
                result = self._gate.filter_list(method, None, result)
        return {**message, "result": result}


def _kind(response: httpx2.Response) -> str:
    found: str = response.headers.get("content-type", "")
    return found.partition(";")[0].strip().lower()


def _answers(message: Mapping[str, Any], frame: Message) -> bool:
    """Whether it is the response to this request, and not what looks like it to some readers."""
    id, body = message.get("id"), [key for key in ("result", "error") if key in message]
    same = type(id) is type(frame.id) and id == frame.id
    return same and "method" not in message and len(body) == 1 and isinstance(message[body[0]], dict)


async def _read(response: httpx2.Response) -> bytes:
    parts: list[bytes] = []
    size = 0
    async for part in response.aiter_bytes():
        size += len(part)
        if size > MAX_ANSWER:
            raise RpcError(INTERNAL_ERROR, "the server's answer is too large")
        parts.append(part)
    return b"".join(parts)


def _take_over(response: httpx2.Response, reply: Reply | None) -> None:
    if reply is not None:
        found = response.headers
        reply.headers |= {name: found[name] for name in _COME_BACK if is_header_value(found.get(name, "\n"))}


def _unanswered(status: int, message: Mapping[str, Any] | None, response: httpx2.Response) -> RpcError:
    """What a client is told of an answer that is none."""
    error = (message or {}).get("error")
    if status in (401, 403, 407):
        # the credentials are ours: a client that is told so would look for others
        return RpcError(INTERNAL_ERROR, f"the server refused the guard (HTTP {status})")
    if not 400 <= status < 500:
        return RpcError(INTERNAL_ERROR, f"the server's answer is none (HTTP {status})")
    if isinstance(error, dict) and type(error.get("code")) is int and isinstance(error.get("message"), str):
        return RpcError(error["code"], error["message"], status=status)
    return RpcError(INVALID_REQUEST, f"the server refused the request (HTTP {status})", status=status)


def _short(error: Exception) -> str:
    return type(error).__name__
