"""Cost of what comes over the line: lines of a pipe and events of a stream, in pieces of any size.

As in `tests.laws.test_cost`: 10 ms and 50 ms for each MiB, in units that no busy machine changes. A line that
is not blank counts as two values; whoever reads it does more with it than that.
"""

from __future__ import annotations

import os
import threading
from collections.abc import AsyncIterator
from contextlib import suppress

import anyio
import pytest

from hessra_agents.mcp.transport.messages import RpcError
from hessra_agents.mcp.transport.sse import blocks
from hessra_agents.mcp.transport.stdio import LineReader
from tests.laws.test_cost import allowed, costs_at_most

SIZE = 1 << 16

STREAMS = {
    "one line": b"x" * SIZE,
    "empty lines": b"\n" * SIZE,
    "carriage returns": b"\r" * SIZE,
    "both": b"\r\n" * (SIZE // 2),
    "short data": b"data:\n" * (SIZE // 6),
    "events": b"data: {}\n\n" * (SIZE // 10),
    "ids": b"id: 1\ndata: x\n\n" * (SIZE // 15),
    "comments": b":\n\n" * (SIZE // 3),
    "other breaks": "data: x\u2028y\n".encode() * (SIZE // 13),
    "open characters": b"\xe2\x80" * (SIZE // 2),
}
CUT = {"whole": SIZE, "as pipes are": 1 << 12, "finely": 64}
"""Bytes of a piece."""


def allowed_for(kind: str) -> float:
    """Return the milliseconds for one of the streams."""
    lines = sum(bool(line.strip()) for line in STREAMS[kind].split(b"\n"))
    return allowed(SIZE, 2 * lines)


@pytest.mark.parametrize("pieces", CUT)
@pytest.mark.parametrize("kind", STREAMS)
def test_a_stream_of_events_is_bounded(kind: str, pieces: str) -> None:
    data, size = STREAMS[kind], CUT[pieces]

    async def stream() -> AsyncIterator[bytes]:
        for at in range(0, len(data), size):
            yield data[at : at + size]

    async def read() -> None:
        with suppress(RpcError):
            async for block in blocks(stream(), lambda _: None):
                assert block.resumable in (True, False)
                assert isinstance(block.data, str)

    costs_at_most(allowed_for(kind), lambda: anyio.run(read))


@pytest.mark.parametrize("kind", STREAMS)
@pytest.mark.parametrize("most", [16, SIZE])
def test_the_lines_of_a_pipe_are_bounded(kind: str, most: int) -> None:
    """Those that are too long as well."""
    receiving, sending = os.pipe()

    def write() -> None:
        with os.fdopen(sending, "wb") as pipe:
            pipe.write(STREAMS[kind])

    async def read() -> None:
        async for line in LineReader(receiving, most):
            assert line is not None

    writer = threading.Thread(target=write)
    writer.start()
    try:
        costs_at_most(allowed_for(kind), lambda: anyio.run(read))
    finally:
        writer.join()
        os.close(receiving)
