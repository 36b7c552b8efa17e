"""`Reply`: answer a client over HTTP with one message, or with a stream of events that ends with it.

`AnswerMemory` and `RequestMemory` bound what messages occupy on their way, however many clients there are.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from starlette.types import Message as HttpMessage
from starlette.types import Send

from .messages import INVALID_REQUEST, MAX_ANSWER, MAX_MESSAGE, RpcError, error_response

__all__ = ["AnswerMemory", "Held", "Reply", "RequestMemory", "StreamClosedError"]
__all__ += ["encode", "is_header_value"]

_SMALL_ANSWER, _SMALL_REQUEST = 1 << 20, 1 << 16
"""Bytes of a message that does not count in `AnswerMemory`, in `RequestMemory`."""

_LARGE_ANSWERS, _LARGE_REQUESTS = 4, 8
"""Messages of the greatest size that `AnswerMemory`, and `RequestMemory`, have room for."""

_STREAM = {"content-type": "text/event-stream", "cache-control": "no-cache, no-transform"}


class StreamClosedError(RpcError):
    """The server closed the stream before the answer: the client may ask for the rest of it."""

    def __init__(self) -> None:
        super().__init__("the server closed the stream before it answered", abandoned=True)


class _MessageMemory:
    """Bound what messages occupy: each alone, and all large ones together. Small ones do not count."""

    def __init__(self, largest: int, together: int, small: int) -> None:
        self._largest = largest
        self._left = together
        self._small = small

    def exchange(self, held: int, size: int) -> int:
        """Count ``size`` bytes of a message in place of ``held``, and return what counts now.

        Raises:
            RpcError: the message is too large, or all of them together are.
        """
        if size > self._largest:
            raise self._too_large()
        counted = size if size > self._small else 0
        if counted > held + self._left:
            raise self._full()
        self._left += held - counted
        return counted

    def _too_large(self) -> RpcError:
        raise NotImplementedError

    def _full(self) -> RpcError:
        raise NotImplementedError


class AnswerMemory(_MessageMemory):
    """Bound what a server's messages occupy on their way to clients: each alone, and all large ones together.

    A message of more than 1 MiB counts from its arrival until its client has it. All that count may hold four
    times ``max_answer``; a request whose answer does not fit gets an error. Smaller messages do not count,
    so clients that read slowly keep nobody from those.

    Args:
        max_answer: bytes of one message.
    """

    def __init__(self, max_answer: int = MAX_ANSWER) -> None:
        if max_answer < 1:
            raise ValueError("max_answer must be a positive number of bytes")
        super().__init__(max_answer, _LARGE_ANSWERS * max_answer, _SMALL_ANSWER)

    def _too_large(self) -> RpcError:
        return RpcError("the server's message is too large", abandoned=True)

    def _full(self) -> RpcError:
        return RpcError("too many large answers are on their way: try again later", abandoned=True)


class RequestMemory(_MessageMemory):
    """Bound what the bodies of requests occupy from their first byte until they are answered.

    Those of more than 64 KiB count, and hold 32 MiB together at most: as Python values they take several
    times their bytes. Smaller ones do not count, so clients with large ones keep nobody from those.
    """

    def __init__(self) -> None:
        super().__init__(MAX_MESSAGE, _LARGE_REQUESTS * MAX_MESSAGE, _SMALL_REQUEST)

    def _too_large(self) -> RpcError:
        return RpcError("the body is too large", INVALID_REQUEST, status=413)

    def _full(self) -> RpcError:
        return RpcError("too many large requests wait for their answers: try again later", status=503)


class Held:
    """The bytes of one message that count in a memory: call it with each new size; 0 gives all back."""

    def __init__(self, memory: _MessageMemory) -> None:
        self._memory = memory
        self._size = 0

    def __call__(self, size: int) -> None:
        """Count this many bytes in place of the ones before.

        Raises:
            RpcError: there is no room for them.
        """
        self._size = self._memory.exchange(self._size, size)


def is_header_value(value: str) -> bool:
    """Return whether a header may have this value, because every reader reads it alike."""
    return value.isascii() and value.isprintable()


def encode(message: Mapping[str, Any]) -> str:
    """Write a message to a client in one line of ASCII.

    Raises:
        RpcError: it holds what JSON cannot express.
    """
    try:
        return json.dumps(message, allow_nan=False, separators=(",", ":"))
    except (ValueError, RecursionError):
        raise RpcError("the server's answer cannot be passed on") from None


class Reply:
    """The answer to one HTTP request. `status` and `headers` may be set until it begins.

    Without ``send`` it is `silent`: it belongs to a request of our own, whose answer alone counts.
    """

    def __init__(self, memory: AnswerMemory, send: Send | None = None) -> None:
        self.silent = send is None
        self.status = 200
        self.headers: dict[str, str] = {}
        self.id: str | int | None = None
        """The request's; None for one that could not be read, or that has none."""
        self.hold = Held(memory)
        """Called with the bytes of the server's message that is read or passed on."""
        self._send = send or _nowhere
        self._streaming = False
        self._ended = False

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
        """Answer that there is nothing to say."""
        self.status = status
        await self.end()

    async def fail(self, failure: RpcError) -> None:
        """Answer with an error, unless the answer is complete; end a stream that belongs to no request."""
        if self._ended:
            return
        if self._streaming and self.id is None:
            await self.end()
            return
        if not self._streaming:
            self.status = failure.status
            self.headers |= failure.headers
        await self.end(error_response(self.id, failure.code, str(failure)))

    async def _start(self, status: int, headers: Mapping[str, str], length: int | None = None) -> None:
        known = {} if length is None else {"content-length": str(length)}
        lines = {"x-content-type-options": "nosniff", **self.headers, **headers, **known}
        raw = [(name.encode(), value.encode()) for name, value in lines.items() if is_header_value(value)]
        await self._send({"type": "http.response.start", "status": status, "headers": raw})


async def _nowhere(_: HttpMessage) -> None:
    """Send nothing."""
