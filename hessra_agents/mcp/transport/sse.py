"""Server-sent events: a stream of bytes as blocks, each kept as it was written but for its line ends.

Source: HTML standard, 9.2.6, "Interpreting an event stream".
"""

from __future__ import annotations

import codecs
from collections.abc import AsyncIterator
from dataclasses import dataclass

from .http_response import MAX_ANSWER, RpcError
from .messages import INTERNAL_ERROR

__all__ = ["EventBlock", "blocks"]


@dataclass(frozen=True, slots=True)
class EventBlock:
    """One event, or a comment, as it stood in the stream."""

    text: str

    @property
    def data(self) -> str:
        """What it says; empty for a comment."""
        return "\n".join(self._of("data"))

    @property
    def resumable(self) -> bool:
        """Whether the stream can be taken up again behind it."""
        return any(self._of("id"))

    def saying(self, data: str) -> EventBlock:
        """The same event with other data, of one line."""
        rest = [line for line in self.text.split("\n") if line.partition(":")[0] != "data"]
        return EventBlock("\n".join([*rest, f"data: {data}"]))

    def _of(self, field: str) -> list[str]:
        parts = [line.partition(":") for line in self.text.split("\n")]
        return [value.removeprefix(" ") for name, _, value in parts if name == field]


async def blocks(stream: AsyncIterator[bytes]) -> AsyncIterator[EventBlock]:
    """The blocks of a stream. One that has no end yet when the stream ends is no event, and left out.

    Raises:
        RpcError: a block is too large, or no text.
    """
    lines: list[str] = []
    size = 0
    async for line in _lines(stream):
        size += len(line) + 1
        if size > MAX_ANSWER:
            raise RpcError(INTERNAL_ERROR, "the server's message is too large")
        if line:
            # some readers end lines at more letters than the standard, and would find other data behind one
            if line.partition(":")[0] == "data" or len(line.splitlines()) == 1:
                lines.append(line)
        elif lines:
            yield EventBlock("\n".join(lines))
            lines, size = [], 0


async def _lines(stream: AsyncIterator[bytes]) -> AsyncIterator[str]:
    """Lines, which end with LF, CR or both."""
    decoder = codecs.getincrementaldecoder("utf-8-sig")()
    parts: list[str] = []
    size = 0
    ended = False  # with a CR, whose LF may be in the next chunk
    async for chunk in stream:
        try:
            text = decoder.decode(chunk)
        except UnicodeDecodeError:
            raise RpcError(INTERNAL_ERROR, "the server's message is no text") from None
        if not text:
            continue
        if ended and text[0] == "\n":
            text = text[1:]
        ended = text.endswith("\r") if text else False
        first, *rest = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        parts.append(first)
        size += len(first)
        if size > MAX_ANSWER:
            raise RpcError(INTERNAL_ERROR, "the server's message is too large")
        if rest:
            yield "".join(parts)
            for line in rest[:-1]:
                yield line
            parts, size = [rest[-1]], len(rest[-1])
