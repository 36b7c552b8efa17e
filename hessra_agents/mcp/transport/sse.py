"""Read server-sent events: a stream of bytes as blocks, each kept as it was written but for its line ends.

Source: HTML standard, 9.2.6, "Interpreting an event stream".
"""

from __future__ import annotations

import codecs
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from .messages import RpcError

__all__ = ["EventBlock", "blocks"]

_EMPTY_LINES = re.compile("\n{3,}")
"""An event ends at the first one; the others would cost as much as an event each."""


@dataclass(frozen=True, slots=True)
class EventBlock:
    """One event, or a comment, as it stood in the stream."""

    text: str

    @property
    def data(self) -> str:
        """Return the data of the event; an empty string for a comment."""
        return "\n".join(self._of("data"))

    @property
    def resumable(self) -> bool:
        """Return whether a client can ask for the stream again from here."""
        return any(self._of("id"))

    def saying(self, data: str) -> EventBlock:
        """Return the same event with other data, of one line."""
        rest = [line for line in self.text.split("\n") if line.partition(":")[0] != "data"]
        return EventBlock("\n".join([*rest, f"data: {data}"]))

    def _of(self, field: str) -> list[str]:
        parts = [line.partition(":") for line in self.text.split("\n")]
        return [value.removeprefix(" ") for name, _, value in parts if name == field]


async def blocks(stream: AsyncIterator[bytes], hold: Callable[[int], None]) -> AsyncIterator[EventBlock]:
    """Read the blocks of a stream. A block without an end when the stream ends is not an event, and left out.

    Args:
        hold: called with the size of the block so far, as it grows, and with 0 once it was passed on.

    Raises:
        RpcError: a block is not UTF-8, or ``hold`` raised it.
    """
    lines: list[str] = []
    size = 0

    def hold_all(unended: int) -> None:
        hold(size + unended)

    async for ended in _lines(stream, hold_all):
        for line in ended:
            size += len(line) + 1
            if line:
                # some readers end lines at more characters, and would find other data behind one
                if line.partition(":")[0] == "data" or len(line.splitlines()) == 1:
                    lines.append(line)
            else:
                if lines:
                    yield EventBlock("\n".join(lines))
                lines, size = [], 0
                hold(0)  # the block has been passed on, and the next one may be long in coming


async def _lines(stream: AsyncIterator[bytes], hold: Callable[[int], None]) -> AsyncIterator[list[str]]:
    """Read lines, which end with LF, CR or both, as they come; of empty ones in a row, two at most."""
    decoder = codecs.getincrementaldecoder("utf-8-sig")()
    parts: list[str] = []
    size = 0
    ended = False  # with a CR, whose LF may be in the next chunk
    async for chunk in stream:
        try:
            text = decoder.decode(chunk)
        except UnicodeDecodeError:
            raise RpcError("the server's message is not UTF-8") from None
        if not text:
            continue
        if ended and text[0] == "\n":
            text = text[1:]
        ended = text.endswith("\r") if text else False
        text = text.replace("\r\n", "\n").replace("\r", "\n")
        first, *rest = _EMPTY_LINES.sub("\n\n", text).split("\n")
        parts.append(first)
        size += len(first)
        hold(size)
        if rest:
            yield ["".join(parts), *rest[:-1]]
            parts, size = [rest[-1]], len(rest[-1])
