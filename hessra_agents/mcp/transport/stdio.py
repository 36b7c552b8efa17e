"""Pipes: lines that come in, bytes that go out, and a child process between two of them.

Nothing here blocks the event loop, keeps more than a limit, or needs a thread: whoever does not read is
waited for by those who write to it, and by nobody else.
"""

from __future__ import annotations

import errno
import os
import select
import signal
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import anyio
import anyio.lowlevel
from anyio.abc import Process

__all__ = ["Aside", "ChildProcess", "LineReader", "LineWriter", "StartError"]

_CHUNK = 1 << 16
_WAITING = 1 << 20
"""Bytes that wait to be written before their writers wait, too."""

_PUSHED = 4 << 20
"""Bytes written without waiting, at most, until all is taken; beyond, nobody reads."""

_LEAVES, _STOPS, _LAST_WORDS = 5.0, 1.0, 0.1
"""Seconds that a child gets to end by itself, once it was told to, and to be heard when it has ended."""

_MURMUR = 8192
"""Bytes of a line on a child's standard error."""

Aside = Callable[[str], object]
"""Gets the lines of a child's standard error, one by one."""


class StartError(OSError):
    """A program cannot be started."""


class LineReader:
    """Read the lines of a file descriptor, without their ends; None for one over ``max_bytes`` bytes.

    Of such a line nothing is kept: it is passed over up to its end.
    """

    def __init__(self, fd: int, max_bytes: int) -> None:
        self._fd = fd
        self._most = max_bytes
        self._held = bytearray()
        self._searched = 0
        self._passing = False
        self._ended = False
        self._waits = True

    def __aiter__(self) -> LineReader:
        return self

    async def __anext__(self) -> bytes | None:
        await anyio.lowlevel.checkpoint_if_cancelled()
        while not self._ended:
            end = self._held.find(b"\n", self._searched)
            if end < 0:
                if self._passing:
                    self._held.clear()
                elif len(self._held) > self._most:
                    self._held.clear()
                    self._passing, self._searched = True, 0
                    return None
                self._searched = len(self._held)
                await self._read()
                continue
            line = bytes(self._held[:end])
            del self._held[: end + 1]
            self._searched = 0
            if self._passing:
                self._passing = False
                continue
            return line if len(line) <= self._most else None
        last, self._held = bytes(self._held), bytearray()
        if not last or self._passing:
            raise StopAsyncIteration
        return last

    async def _read(self) -> None:
        if self._waits:
            try:
                await anyio.wait_readable(self._fd)
            except OSError as error:
                # a file or /dev/null cannot be waited for: it is always ready
                if error.errno != errno.EPERM:
                    raise
                self._waits = False
        else:
            await anyio.lowlevel.checkpoint()
        try:
            data = os.read(self._fd, _CHUNK)
        except BlockingIOError:
            return
        except OSError:  # a terminal that hung up, a connection that was reset
            data = b""
        self._held += data
        self._ended = not data


class LineWriter:
    """Bytes that go out of a file descriptor, in order; `run` writes what its reader does not take at once.

    The descriptor may be one that other programs share, so it is not made non-blocking: a pipe that is
    ready takes ``PIPE_BUF`` bytes without blocking (POSIX, write).
    """

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.broken = False
        self._piece = select.PIPE_BUF if os.get_blocking(fd) else _CHUNK
        self._ready = select.poll()
        self._ready.register(fd, select.POLLOUT)
        self._parts: deque[memoryview] = deque()
        self._size = 0
        self._pushed = 0
        self._changed = anyio.Event()

    async def send(self, line: bytes) -> None:
        """Write a line, after what was sent before; wait first while too much is waiting. All or nothing.

        Raises:
            anyio.BrokenResourceError: nobody reads any more.
        """
        while self._size > _WAITING and not self.broken:
            await self._changed.wait()
        if self.broken:
            raise anyio.BrokenResourceError
        self._put(line)

    def send_nowait(self, line: bytes) -> None:
        """Write a line without waiting; for short ones. Where nobody reads any more, nothing happens."""
        if self.broken:
            return
        self._pushed = len(line) + (self._pushed if self._parts else 0)
        if self._pushed > _PUSHED:  # to a reader that takes nothing
            self.broken = True
            self._notify()
            return
        self._put(line)

    def _put(self, line: bytes) -> None:
        self._parts.append(memoryview(line + b"\n"))
        self._size += len(line) + 1
        if len(self._parts) == 1:
            self._write()
        if self._parts:
            self._notify()

    async def flush(self) -> None:
        """Wait until all is written, or nobody reads."""
        while self._parts and not self.broken:
            await self._changed.wait()

    async def run(self) -> None:
        """Write what waits, until nobody reads."""
        while not self.broken:
            if not self._parts:
                await self._changed.wait()
                continue
            try:
                await anyio.wait_writable(self.fd)
            except anyio.ClosedResourceError:
                continue
            except OSError as error:
                if error.errno != errno.EPERM:  # a file is always ready
                    raise
                await anyio.lowlevel.checkpoint()
            self._write()
            self._notify()

    def close(self) -> None:
        """Close the descriptor; what still waits is lost."""
        if self.fd >= 0:
            self.broken = True
            anyio.notify_closing(self.fd)
            os.close(self.fd)
            self.fd = -1
            self._notify()

    def _write(self) -> None:
        """Write what is taken without waiting, and not so much that others wait."""
        for _ in range(64):
            if self.broken or not self._parts or not self._ready.poll(0):
                return
            part = self._parts.popleft()
            try:
                count = os.write(self.fd, part[: self._piece])
            except BlockingIOError:
                count = 0
            except OSError:
                self.broken = True
                self._notify()
                return
            self._size -= count
            if count < len(part):
                self._parts.appendleft(part[count:])

    def _notify(self) -> None:
        changed, self._changed = self._changed, anyio.Event()
        changed.set()


class ChildProcess:
    """A program that reads lines from us and writes lines to us; its standard error is read, too, or ours."""

    def __init__(self, process: Process, lines: LineReader, outlet: LineWriter) -> None:
        self._process = process
        self._aside: tuple[LineReader, Aside] | None = None
        self.lines = lines
        self.outlet = outlet

    @classmethod
    @asynccontextmanager
    async def start(
        cls,
        command: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        cwd: str | Path | None = None,
        max_bytes: int,
        on_stderr: Aside | None = None,
    ) -> AsyncIterator[ChildProcess]:
        """Start it; at the end of the block it and all that it started have ended.

        Args:
            env: its environment; ours if left out.
            max_bytes: bytes of a line that it may write.
            on_stderr: gets the lines of its standard error while `forward_stderr` runs; ours if left out.

        Raises:
            StartError: it cannot be.
        """
        its_input, to_it = os.pipe()
        from_it, its_output = os.pipe()
        aside_from_it, its_error = os.pipe()
        ours, its = (to_it, from_it, aside_from_it), (its_input, its_output, its_error)
        try:
            process = await anyio.open_process(
                list(command),
                stdin=its_input,
                stdout=its_output,
                stderr=its_error if on_stderr else None,
                env=env,
                cwd=cwd,
                start_new_session=True,  # a group of its own, which can be ended as a whole
            )
        except BaseException as error:
            for fd in ours:
                os.close(fd)
            if isinstance(error, OSError):
                raise StartError(error.errno, error.strerror) from None
            raise
        finally:
            for fd in its:
                os.close(fd)
        os.set_blocking(to_it, False)
        child = cls(process, LineReader(from_it, max_bytes), LineWriter(to_it))
        if on_stderr:
            child._aside = LineReader(aside_from_it, _MURMUR), on_stderr
        try:
            yield child
        finally:
            with anyio.CancelScope(shield=True):
                child.outlet.close()
                await child._end()
                with anyio.move_on_after(_LAST_WORDS):
                    await child.forward_stderr()
                for fd in ours[1:]:
                    anyio.notify_closing(fd)
                    os.close(fd)

    async def forward_stderr(self) -> None:
        """Tell what it writes to its standard error, if that is read aside, until its end."""
        if self._aside is not None:
            lines, aside = self._aside
            async for line in lines:
                aside("(a long line)" if line is None else line.decode(errors="replace"))

    async def stop(self) -> None:
        """Close its input, which tells it to end, and wait a little; the end of the block does the rest."""
        self.outlet.close()
        with anyio.move_on_after(_LEAVES):
            await self._process.wait()

    async def exited(self) -> None:
        """Wait until it has ended."""
        await self._process.wait()

    @property
    def status(self) -> int:
        """Its exit status as a shell says it: 128 + n if signal n ended it. Of a child that has ended."""
        code = self._process.returncode
        return 0 if code is None else code if code >= 0 else 128 - code

    async def _end(self) -> None:
        """End it, and whatever it started and left behind, in at most two bounded waits."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, number)
            with anyio.move_on_after(_STOPS):
                await self._process.wait()
                while _exists(self._process.pid):  # noqa: ASYNC110 -- nobody tells
                    await anyio.sleep(0.01)
                return


def _exists(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True
