"""A network that fails, on loopback: a server that never answers, and a wire that can be stalled and cut."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable
from contextlib import ExitStack, suppress
from types import TracebackType
from typing import Self

from anyio.from_thread import start_blocking_portal


def held_port() -> socket.socket:
    """Return a socket that keeps a port for a server: while it is open, the system gives it to nobody else.

    It does not listen: whoever connects before the server does is refused, as if there were no socket.
    """
    held = socket.socket()
    held.bind(("127.0.0.1", 0))
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server does: it may bind, too
    return held


NO_LINGER = struct.pack("ii", 1, 0)
"""SO_LINGER of no seconds: to close is to reset."""


class BlackHole:
    """Connections are made, and nothing is ever answered: the system does the first, and nobody reads."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.port: int = self._socket.getsockname()[1]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()


class Pipe:
    """A wire to a loopback port, in a thread of its own. Clients connect to ``port``.

    `stall` holds bytes back, of both ways or only the answers: what was asked for is then done, and nobody
    hears of it. `cut` resets the connections, with all that was held back, and refuses new ones. `heal` lets
    everything through again, and what is still held first. With a ``delay``, answers take so many seconds.
    ``turns`` counts how often an answer followed a request: so often the clients have waited.
    """

    def __init__(self, target: int, *, delay: float = 0.0) -> None:
        self._target = target
        self._delay = delay
        self._carriers: set[asyncio.Task[None]] = set()
        self._pumps: set[asyncio.Task[None]] = set()
        self._is_cut = False
        self.turns = 0

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._portal = stack.enter_context(start_blocking_portal("asyncio"))
            self.port = self._portal.call(self._listen)
            stack.callback(self._portal.call, self._close)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def stall(self, *, requests: bool = True, answers: bool = True) -> None:
        """Hold back what clients send, what they are answered, or both."""
        self._portal.call(self._set, not requests, not answers)

    def cut(self) -> None:
        """Reset all connections, and new ones as soon as they are made."""
        self._portal.call(self._cut)

    def heal(self) -> None:
        """Let everything through."""
        self._portal.call(self._set, True, True)

    async def _listen(self) -> int:
        self._requests, self._answers = asyncio.Event(), asyncio.Event()
        await self._set(True, True)
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, backlog=1024)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def _set(self, requests: bool, answers: bool) -> None:
        self._is_cut = False
        for gate, is_open in ((self._requests, requests), (self._answers, answers)):
            gate.set() if is_open else gate.clear()

    async def _cut(self) -> None:
        self._is_cut = True
        for one in self._pumps:
            one.cancel()
        await asyncio.gather(*self._carriers)

    async def _close(self) -> None:
        self._server.close()
        await self._cut()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        carrier = asyncio.create_task(self._carry(reader, writer))
        self._carriers.add(carrier)
        carrier.add_done_callback(self._carriers.discard)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One client's connection, until both sides have ended it."""
        try:
            onward, back = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            reset(writer)
            return
        if not self._is_cut:
            asked = asyncio.Event()

            def answering() -> None:
                self.turns += asked.is_set()
                asked.clear()

            pumps = {
                asyncio.create_task(pump(reader, back, self._requests, seen=asked.set)),
                asyncio.create_task(pump(onward, writer, self._answers, self._delay, seen=answering)),
            }
            self._pumps |= pumps
            await asyncio.wait(pumps)
            self._pumps -= pumps
        for wire in (writer, back):
            reset(wire) if self._is_cut else wire.close()


async def pump(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    gate: asyncio.Event,
    delay: float = 0.0,
    *,
    seen: Callable[[], None],
) -> None:
    """Carry bytes one way while the gate is open, and in the end that they end; say when some are seen."""
    try:
        while data := await reader.read(65_536):
            seen()
            await asyncio.sleep(delay)
            await gate.wait()
            writer.write(data)
            await writer.drain()
        await gate.wait()
        writer.write_eof()
    except OSError:  # one side was reset: so is the other
        reset(writer)


def reset(wire: asyncio.StreamWriter) -> None:
    with suppress(OSError):  # it is closed already
        wire.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER)
    wire.transport.abort()
