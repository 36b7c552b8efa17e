"""`Reply`: how a client is answered over HTTP: one message, or a stream of events that ends with it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import anyio.to_thread
from starlette.types import Send

from .messages import INTERNAL_ERROR, error_frame

__all__ = [
    "MAX_ANSWER",
    "PERSON",
    "Reply",
    "RpcError",
    "StreamClosedError",
    "encode",
    "is_header_value",
    "message_of",
    "read_message",
]

MAX_ANSWER = 8 << 20
"""Bytes of one message from a server."""

_LONG = 1 << 20
"""Bytes of a message that is read beside the event loop, which others need meanwhile."""

_FIELDS = frozenset({"jsonrpc", "id", "method", "params", "result", "error"})

PERSON = 600.0
"""Seconds that a client gets to answer what the server asks it: it may have to ask a person."""

_STREAM = {"content-type": "text/event-stream", "cache-control": "no-cache, no-transform"}


class RpcError(Exception):
    """There is no answer: told as a JSON-RPC error, never with more than this text.

    A request that could be read is answered with HTTP 200, except where the protocol names another status.
    """

    def __init__(
        self, code: int, text: str, *, status: int = 200, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(text)
        self.code = code
        self.status = status
        self.headers = dict(headers or {})


class StreamClosedError(Exception):
    """The server closed the stream before the answer: the client may ask for the rest of it."""


def message_of(data: bytes | str) -> dict[str, Any] | None:
    """A server's message, if it is one: one request, notification or response, to every reader.

    What the protocol does not know is kept.
    """
    try:
        message = json.loads(data)
    except (ValueError, RecursionError):
        return None
    if not isinstance(message, dict):
        return None
    if any(name not in _FIELDS and name.casefold() in _FIELDS for name in message):
        return None  # a reader that ignores case would read another message
    method = message.get("method")
    answers = ("result" in message) + ("error" in message)
    one = answers == 0 and isinstance(method, str) if "method" in message else answers == 1
    return message if one else None


async def read_message(data: bytes | str) -> dict[str, Any] | None:
    """The same, for messages that may be long."""
    if len(data) <= _LONG:
        return message_of(data)
    return await anyio.to_thread.run_sync(message_of, data)


def is_header_value(value: str) -> bool:
    """Whether a header may have this value, as every reader reads it."""
    return value.isascii() and value.isprintable()


def encode(message: Mapping[str, Any]) -> str:
    """A message to a client, in one line of ASCII.

    Raises:
        RpcError: it holds what JSON has no words for.
    """
    try:
        return json.dumps(message, allow_nan=False, separators=(",", ":"))
    except (ValueError, RecursionError):
        raise RpcError(INTERNAL_ERROR, "the server's answer cannot be passed on") from None


class Reply:
    """The answer to one HTTP request. `status` and `headers` may be set until it begins."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._streaming = False
        self._ended = False
        self.status = 200
        self.headers: dict[str, str] = {}

    async def begin(self) -> None:
        """Begin a stream of events."""
        if not self._streaming:
            self._streaming = True
            await self._start(200, _STREAM)

    async def event(self, block: str) -> None:
        """Send one event, as it is written in a stream, without the empty line at its end."""
        await self.begin()
        await self._send({"type": "http.response.body", "body": f"{block}\n\n".encode(), "more_body": True})

    async def message(self, message: Mapping[str, Any]) -> None:
        """Send one message as an event."""
        await self.event(f"event: message\ndata: {encode(message)}")

    async def end(self, message: Mapping[str, Any] | None = None) -> None:
        """Send the last message, if there is one; the answer is complete."""
        if self._streaming:
            if message is not None:
                await self.message(message)
            self._ended = True
            await self._send({"type": "http.response.body", "body": b""})
            return
        body = b"" if message is None else encode(message).encode()
        await self._start(self.status, {"content-type": "application/json"} if body else {}, len(body))
        self._ended = True
        await self._send({"type": "http.response.body", "body": body})

    async def accepted(self, status: int = 202) -> None:
        """There is nothing to say."""
        self.status = status
        await self.end()

    async def fail(self, failure: RpcError, id: str | int | None = None) -> None:
        """Answer with an error, unless all is said already."""
        if self._ended:
            return
        if not self._streaming:
            self.status = failure.status
            self.headers |= failure.headers
        await self.end(error_frame(id, failure.code, str(failure)))

    async def _start(self, status: int, headers: Mapping[str, str], length: int | None = None) -> None:
        known = {} if length is None else {"content-length": str(length)}
        lines = {"x-content-type-options": "nosniff", **self.headers, **headers, **known}
        raw = [(name.encode(), value.encode()) for name, value in lines.items() if is_header_value(value)]
        await self._send({"type": "http.response.start", "status": status, "headers": raw})
