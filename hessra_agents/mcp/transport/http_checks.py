"""`HttpRequestPolicy`: which HTTP requests are taken at all, and that their headers say what their body says.

A web page that its user only looks at can send requests to this machine, under a name that it made point
here (DNS rebinding) or across sites; a guard that is bound to a capability would serve it. So a request must
name this host, and come from a page of this host if it comes from a page.

What is between client and server may route by headers, so a header that contradicts the body, or that is
there twice, is refused, whatever the server would do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from mcp.shared.inbound import (
    NAME_BEARING_METHODS,
    classify_inbound_request,
    decode_header_value,
    validate_mcp_param_headers,
)
from mcp.shared.inbound import InboundLadderRejection as Rejection
from mcp.types import HEADER_MISMATCH, INVALID_REQUEST, PARSE_ERROR
from mcp.types.version import HANDSHAKE_PROTOCOL_VERSIONS
from starlette.requests import ClientDisconnect, Request

from ..proxy.common import VERSION
from .http_response import RpcError
from .messages import MAX_FRAME, Message

__all__ = ["HttpRequestPolicy", "check_param_headers", "check_routing_headers", "is_sessionless"]

_METHODS = ("POST", "GET", "DELETE")
_OVERRIDES = ("x-http-method-override", "x-http-method", "x-method-override")
_SINGLE = ("authorization", "content-encoding", "content-type", "host", "last-event-id", "origin")
_FOREIGN = ("cross-site", "same-site")


@dataclass(frozen=True, slots=True)
class HttpRequestPolicy:
    """Takes the requests that a client of these hosts makes.

    Args:
        hosts: names, each with a port or for any port.
        origins: of web pages on other hosts that may make requests, such as ``https://desk.example``.
    """

    hosts: frozenset[str]
    origins: frozenset[str] = frozenset()

    def headers(self, request: Request) -> dict[str, str]:
        """The headers of a request that is taken, in small letters.

        Raises:
            RpcError: it is not taken.
        """
        self._refuse_doubled(request)
        headers = dict(request.headers)
        self._refuse_foreign(headers)
        if request.method not in _METHODS or any(name in headers for name in _OVERRIDES):
            allow = {"allow": ", ".join(_METHODS)}
            raise RpcError(INVALID_REQUEST, "this method is not taken here", status=405, headers=allow)
        if request.method == "POST":
            kind, _, charset = headers.get("content-type", "").lower().partition(";")
            if kind.strip() != "application/json" or charset.strip() not in ("", "charset=utf-8"):
                raise RpcError(INVALID_REQUEST, "the body is not said to be JSON", status=415)
            if headers.get("content-encoding", "identity").lower() != "identity":
                raise RpcError(INVALID_REQUEST, "the body is encoded", status=415)
        return headers

    async def body(self, request: Request) -> bytes:
        """The body of a request, if it is small enough.

        Raises:
            RpcError: it is not.
        """
        parts: list[bytes] = []
        size = 0
        try:
            async for part in request.stream():
                size += len(part)
                if size > MAX_FRAME:
                    raise RpcError(INVALID_REQUEST, "the body is too large", status=413)
                parts.append(part)
        except ClientDisconnect:
            raise RpcError(PARSE_ERROR, "the body has no end", status=400) from None
        return b"".join(parts)

    def _refuse_doubled(self, request: Request) -> None:
        seen: set[str] = set()
        for name, value in request.headers.items():
            routing = name.startswith("mcp-")
            if name in seen and (routing or name in _SINGLE):
                raise RpcError(HEADER_MISMATCH, f"the header {name!r} is there twice", status=400)
            if routing and not (value.isascii() and value.isprintable()):
                raise RpcError(HEADER_MISMATCH, f"the header {name!r} holds foreign letters", status=400)
            seen.add(name)

    def _refuse_foreign(self, headers: Mapping[str, str]) -> None:
        host = headers.get("host", "").lower()
        name = host if host.endswith("]") else host.rpartition(":")[0] or host
        if not host or not {host, name} & self.hosts:
            raise RpcError(INVALID_REQUEST, "this is not the host that was asked for", status=421)
        origin = headers.get("origin")
        if origin is None:
            if headers.get("sec-fetch-site") in _FOREIGN:
                raise RpcError(INVALID_REQUEST, "the request comes from another site", status=403)
        elif origin not in self.origins and not _same(origin, host):
            raise RpcError(INVALID_REQUEST, "the request comes from a page of another host", status=403)


def _same(origin: str, host: str) -> bool:
    try:
        parts = urlsplit(origin)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and parts.netloc.lower() == host


def is_sessionless(headers: Mapping[str, str]) -> bool:
    """Whether the headers name a version of the era without sessions."""
    return headers.get("mcp-protocol-version", HANDSHAKE_PROTOCOL_VERSIONS[0]) not in (
        HANDSHAKE_PROTOCOL_VERSIONS
    )


def check_routing_headers(frame: Message, headers: Mapping[str, str]) -> None:
    """Hold the headers that say where a message goes against the message.

    Raises:
        RpcError: they contradict it.
    """
    if is_sessionless(headers) and frame.is_request:
        version = headers["mcp-protocol-version"]
        # which versions there are is for the server to say
        found = classify_inbound_request(
            frame.message, headers=dict(headers), supported_modern_versions=[version]
        )
        if isinstance(found, Rejection):
            raise RpcError(found.code, found.message, status=400)
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


def check_param_headers(schema: object, arguments: Mapping[str, Any], headers: Mapping[str, str]) -> None:
    """Hold the headers that a tool's definition wants for some of its arguments against the arguments.

    Raises:
        RpcError: they contradict them, or one is missing.
    """
    found = validate_mcp_param_headers(schema, arguments, headers)
    if found is not None:
        raise RpcError(found.code, found.message, status=400)


def _mismatch(header: str) -> RpcError:
    return RpcError(HEADER_MISMATCH, f"the header {header!r} does not say what the body says", status=400)
