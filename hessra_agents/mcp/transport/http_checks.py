"""`HttpRequestPolicy`: decide which HTTP requests are accepted, and hold their headers against their body.

A web page that somebody only looks at can send requests to this machine, under a name that the page made
point here (DNS rebinding) or across sites; a guard with a capability of its own would serve it. So a request
must name this host, and come from a page of this host if it comes from a page.

Whatever is between client and server may route by headers, so a header that contradicts the body, or that is
given twice, is refused, whatever the server would do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import anyio
from mcp.shared.inbound import (
    MCP_PARAM_HEADER_PREFIX,
    NAME_BEARING_METHODS,
    classify_inbound_request,
    decode_header_value,
    find_invalid_x_mcp_header,
    validate_mcp_param_headers,
    x_mcp_header_map,
)
from mcp.shared.inbound import InboundLadderRejection as Rejection
from mcp.types import HEADER_MISMATCH, INVALID_REQUEST, PARSE_ERROR
from mcp.types.version import HANDSHAKE_PROTOCOL_VERSIONS
from starlette.requests import ClientDisconnect, Request

from .messages import VERSION, Message, RpcError

__all__ = ["PARAM", "HttpRequestPolicy", "check_param_headers", "check_routing_headers", "is_sessionless"]

PARAM = MCP_PARAM_HEADER_PREFIX.lower()
"""The prefix of headers that repeat a tool's arguments."""

BODY_SECONDS = 30.0
"""Seconds that a client gets to send the body of its request."""

_METHODS = ("POST", "GET", "DELETE")
_OVERRIDES = ("x-http-method-override", "x-http-method", "x-method-override")
_SINGLE = ("authorization", "content-encoding", "content-type", "host", "last-event-id", "origin")
_FOREIGN = ("cross-site", "same-site")
_FROM_PAGES = (
    "accept", "content-type", "last-event-id", "mcp-method", "mcp-name", "mcp-protocol-version",
    "mcp-session-id", "traceparent", "tracestate",
)  # fmt: skip
_TO_PAGES = ("mcp-protocol-version", "mcp-session-id", "retry-after")


@dataclass(frozen=True, slots=True)
class HttpRequestPolicy:
    """Accept the requests that a client of these hosts makes, and refuse all others.

    Args:
        hosts: names, each with a port, or without one for any port.
        origins: origins of web pages on other hosts that may make requests, such as ``https://desk.example``.
    """

    hosts: frozenset[str]
    origins: frozenset[str] = frozenset()

    def headers(self, request: Request) -> dict[str, str]:
        """Return the headers of a request, their names in lower case.

        Raises:
            RpcError: the request is not accepted.
        """
        self._refuse_doubled(request)
        headers = dict(request.headers)
        self._refuse_foreign(headers)
        if request.method not in _METHODS or any(name in headers for name in _OVERRIDES):
            allow = {"allow": ", ".join(_METHODS)}
            raise RpcError("this HTTP method is not accepted", INVALID_REQUEST, status=405, headers=allow)
        if request.method == "POST":
            kind, _, charset = headers.get("content-type", "").lower().partition(";")
            if kind.strip() != "application/json" or charset.strip() not in ("", "charset=utf-8"):
                raise RpcError("the content type is not JSON", INVALID_REQUEST, status=415)
            if headers.get("content-encoding", "identity").lower() != "identity":
                raise RpcError("the content encoding is not accepted", INVALID_REQUEST, status=415)
        return headers

    async def body(self, request: Request, hold: Callable[[int], None]) -> bytes:
        """Return the body of a request.

        Args:
            hold: called with the bytes so far; raises RpcError if there is no room for them.

        Raises:
            RpcError: there is no room for it, it takes too long, or the client left before its end.
        """
        parts: list[bytes] = []
        size = 0
        with anyio.move_on_after(BODY_SECONDS):
            try:
                async for part in request.stream():
                    size += len(part)
                    hold(size)
                    parts.append(part)
            except ClientDisconnect:
                raise RpcError("the body is incomplete", PARSE_ERROR, status=400) from None
            return b"".join(parts)
        raise RpcError("the body did not come in time", INVALID_REQUEST, status=408)

    def preflight(self, request: Request) -> dict[str, str] | None:
        """Return the answer to a browser that asks whether a page may make a request; None if none asks.

        Source: Fetch standard, "CORS-preflight fetch".

        Raises:
            RpcError: the page may not.
        """
        asked = request.headers.get("access-control-request-method")
        if request.method != "OPTIONS" or asked is None:
            return None
        self._refuse_foreign(request.headers)
        names = request.headers.get("access-control-request-headers", "").lower().split(",")
        params = [name.strip() for name in names if name.strip().startswith(PARAM)]
        return {
            "access-control-allow-methods": ", ".join(_METHODS),
            "access-control-allow-headers": ", ".join([*_FROM_PAGES, *params]),
            "access-control-allow-private-network": "true",
            "access-control-max-age": "600",
        }

    def for_page(self, request: Request) -> dict[str, str]:
        """Return the headers by which a browser lets a page of a listed origin read the answer."""
        if not self.origins:
            return {}
        origin = request.headers.get("origin")
        if origin not in self.origins:
            return {"vary": "origin"}
        readable = {"access-control-expose-headers": ", ".join(_TO_PAGES)}
        return {"access-control-allow-origin": origin, "vary": "origin", **readable}

    def _refuse_doubled(self, request: Request) -> None:
        seen: set[str] = set()
        for name, value in request.headers.items():
            routing = name.startswith("mcp-")
            if name in seen and (routing or name in _SINGLE):
                raise RpcError(f"the header {name!r} is given twice", HEADER_MISMATCH, status=400)
            if routing and not (value.isascii() and value.isprintable()):
                raise RpcError(f"the header {name!r} is not printable ASCII", HEADER_MISMATCH, status=400)
            seen.add(name)

    def _refuse_foreign(self, headers: Mapping[str, str]) -> None:
        host = headers.get("host", "").lower()
        name = host if host.endswith("]") else host.rpartition(":")[0] or host
        if not host or not {host, name} & self.hosts:
            raise RpcError("the request names another host", INVALID_REQUEST, status=421)
        origin = headers.get("origin")
        if origin is None:
            if headers.get("sec-fetch-site") in _FOREIGN:
                raise RpcError("the request comes from another site", INVALID_REQUEST, status=403)
        elif origin not in self.origins and not _same(origin, host):
            raise RpcError("the request comes from a page of another host", INVALID_REQUEST, status=403)


def _same(origin: str, host: str) -> bool:
    try:
        parts = urlsplit(origin)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and parts.netloc.lower() == host


def is_sessionless(headers: Mapping[str, str]) -> bool:
    """Return whether the headers name a protocol version of the era without sessions."""
    return headers.get("mcp-protocol-version", HANDSHAKE_PROTOCOL_VERSIONS[0]) not in (
        HANDSHAKE_PROTOCOL_VERSIONS
    )


def check_routing_headers(frame: Message, headers: Mapping[str, str]) -> None:
    """Compare the headers that say where a message goes with the message.

    Raises:
        RpcError: they contradict the message.
    """
    if is_sessionless(headers) and frame.is_request:
        version = headers["mcp-protocol-version"]
        # which versions there are is for the server to say
        found = classify_inbound_request(
            frame.message, headers=dict(headers), supported_modern_versions=[version]
        )
        if isinstance(found, Rejection):
            raise RpcError(found.message, found.code, status=400)
    meta = frame.params.get("_meta")
    own = meta.get(VERSION) if isinstance(meta, Mapping) else None
    if own is not None and own != headers.get("mcp-protocol-version"):
        raise _mismatch("mcp-protocol-version")
    if headers.get("mcp-method", frame.method) != frame.method:
        raise _mismatch("mcp-method")
    if "mcp-name" in headers:
        name = decode_header_value(headers["mcp-name"])
        key = NAME_BEARING_METHODS.get(frame.method or "")
        named = frame.params.values() if key is None else [frame.params.get(key)]
        if name is None or name not in [one for one in named if isinstance(one, str)]:
            raise _mismatch("mcp-name")


def check_param_headers(
    schema: object, arguments: Mapping[str, Any], headers: Mapping[str, str]
) -> dict[str, str]:
    """Return the headers that a tool's definition asks for, which repeat the arguments.

    Raises:
        RpcError: they contradict the arguments, or one is missing.
    """
    found = validate_mcp_param_headers(schema, arguments, headers)
    if found is not None:
        raise RpcError(found.message, found.code, status=400)
    if find_invalid_x_mcp_header(schema) is not None:
        return {}  # nothing was compared
    named = {PARAM + token.lower() for token in x_mcp_header_map(schema).values()}
    return {name: value for name, value in headers.items() if name in named}


def _mismatch(header: str) -> RpcError:
    return RpcError(f"the header {header!r} contradicts the body", HEADER_MISMATCH, status=400)
