"""Read lines from file descriptors, write lines to them, and run a child process between two of them.

Nothing here blocks the event loop, keeps more than a limit, or needs a thread. A reader that is slow holds up
those who write to it, and nobody else.
"""

from __future__ import annotations

import errno
import os
import select
import signal
import subprocess
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
from anyio.abc import Process

from ...cancellation import run_to_end
from .long_line import KEPT, LongLine

__all__ = ["ChildProcess", "LineReader", "LineWriter", "StartError", "StderrHandler"]

_CHUNK = 1 << 16
_WAITING = 1 << 20
"""Bytes that wait to be written before `LineWriter.send` waits."""

_PUSHED = 4 << 20
"""Bytes that `LineWriter.send_nowait` keeps for a slow reader; beyond, the reader counts as gone."""

_LEAVES, _STOPS, _LAST_WORDS = 5.0, 1.0, 0.1
"""Seconds that a child gets to end by itself, to end after a signal, and to be heard when it has ended."""

_WATCH = 'PATH=/usr/bin:/bin; read -r _ || { kill -s TERM -- "-$1"; sleep 1; kill -s KILL -- "-$1"; }'
"""A shell's program: when the input has ended, end a process group."""

_MAX_STDERR_LINE = 8192
"""Bytes of a line on a child's standard error."""

StderrHandler = Callable[[str], object]
"""Called with each line of a child's standard error."""


class StartError(OSError):
    """A program cannot be started."""


class LineReader:
    """Read the lines of a file descriptor, without their ends; blank ones are left out.

    Of a line of more than ``max_bytes`` only a `LongLine` is kept, which comes when the line ends.
    """

    def __init__(self, fd: int, max_bytes: int) -> None:
        self._fd = fd
        self._most = max_bytes
        self._lines: deque[bytes | LongLine] = deque()
        self._held = bytearray()
        self._start: bytes | None = None
        """The start of the line that is read, if that is too long."""
        self._ended = False
        self._waits = True

    def __aiter__(self) -> LineReader:
        return self

    async def __anext__(self) -> bytes | LongLine:
        await anyio.lowlevel.checkpoint_if_cancelled()
        while not self._lines and not self._ended:
            await self._read()
        if not self._lines:
            raise StopAsyncIteration
        return self._lines.popleft()

    def _split(self, data: bytes) -> None:
        *ended, rest = data.split(b"\n")
        for piece in ended:
            if self._held or piece.strip():
                self._hold(piece)
                self._end_line()
        self._hold(rest)

    def _hold(self, piece: bytes) -> None:
        self._held += piece
        if self._start is None and len(self._held) > self._most:
            self._start = bytes(self._held[:KEPT])
        if self._start is not None:
            del self._held[:-KEPT]

    def _end_line(self) -> None:
        line, start = bytes(self._held), self._start
        self._held.clear()
        self._start = None
        if start is not None:
            self._lines.append(LongLine(start, line))
        elif line.strip():
            self._lines.append(line)

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
        self._split(data)
        if not data:
            self._ended = True
            self._end_line()


class LineWriter:
    """Write lines to a file descriptor, in order; `run` writes what the reader does not take at once.

    Other programs may share the descriptor, so it is not made non-blocking: a pipe that is ready takes
    ``PIPE_BUF`` bytes without blocking (POSIX, write).
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
        """Write a line after all lines before it; wait first while more than 1 MiB is waiting.

        A cancelled call has written nothing of its line.

        Raises:
            anyio.BrokenResourceError: nobody reads any more.
        """
        while self._size > _WAITING and not self.broken:
            await self._changed.wait()
        if self.broken:
            raise anyio.BrokenResourceError
        self._put(line)

    def send_nowait(self, line: bytes) -> bool:
        """Write a short line without waiting; do nothing if nobody reads any more.

        Returns:
            False for a reader that takes nothing and has too much to read: from now on it counts as gone.
        """
        if self.broken:
            return True
        self._pushed = len(line) + (self._pushed if self._parts else 0)
        if self._pushed > _PUSHED:
            self.broken = True
            self._notify()
            return False
        self._put(line)
        return True

    def _put(self, line: bytes) -> None:
        self._parts.append(memoryview(line + b"\n"))
        self._size += len(line) + 1
        if len(self._parts) == 1:
            self._write()
        if self._parts:
            self._notify()

    async def flush(self) -> None:
        """Wait until everything is written, or nobody reads any more."""
        while self._parts and not self.broken:
            await self._changed.wait()

    async def run(self) -> None:
        """Write the lines that wait, until nobody reads any more."""
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
        """Close the descriptor and drop the lines that still wait."""
        if self.fd >= 0:
            self.broken = True
            anyio.notify_closing(self.fd)
            os.close(self.fd)
            self.fd = -1
            self._notify()

    def _write(self) -> None:
        """Write what the reader takes at once, but no more than 64 pieces: others need the event loop."""
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


@dataclass(frozen=True, slots=True)
class ChildProcess:
    """A program that reads lines from us and writes lines to us; its standard error is read, or ours."""

    _process: Process
    lines: LineReader
    outlet: LineWriter
    _stderr: tuple[LineReader, StderrHandler] | None

    @classmethod
    @asynccontextmanager
    async def start(
        cls,
        command: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        cwd: str | Path | None = None,
        max_bytes: int,
        on_stderr: StderrHandler | None = None,
    ) -> AsyncIterator[ChildProcess]:
        """Start the program; at the end of the block it has ended, and so have all programs that it started.

        If this process is killed, a shell that watches over it ends them.

        Args:
            env: its environment; ours if omitted.
            max_bytes: bytes of one line that it may write.
            on_stderr: called with the lines of its standard error while `forward_stderr` runs; if omitted,
                its standard error is ours.

        Raises:
            StartError: the program cannot be started.
        """
        pipes: list[int] = []
        try:
            for _ in range(3):
                pipes += os.pipe()
            its_input, to_it, from_it, its_output, error_from_it, its_error = pipes
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
            for fd in pipes:
                os.close(fd)
            if isinstance(error, OSError):
                raise StartError(error.errno, error.strerror, command[0]) from None
            raise
        for fd in (its_input, its_output, its_error):
            os.close(fd)
        os.set_blocking(to_it, False)
        stderr = (LineReader(error_from_it, _MAX_STDERR_LINE), on_stderr) if on_stderr else None
        child = cls(process, LineReader(from_it, max_bytes), LineWriter(to_it), stderr)
        try:
            with _ended_with_us(process.pid):
                try:
                    yield child
                finally:
                    await run_to_end(child._end)
        finally:
            for fd in (from_it, error_from_it):
                anyio.notify_closing(fd)
                os.close(fd)

    async def forward_stderr(self) -> None:
        """Call the handler with each line of the program's standard error, until its end."""
        if self._stderr is not None:
            lines, handler = self._stderr
            async for line in lines:
                handler("(a long line)" if isinstance(line, LongLine) else line.decode(errors="replace"))

    async def stop(self) -> None:
        """Close the program's input, which tells it to end, and wait up to five seconds for that."""
        self.outlet.close()
        with anyio.move_on_after(_LEAVES):
            await self._process.wait()

    async def exited(self) -> None:
        """Wait until the program has ended."""
        await self._process.wait()

    @property
    def status(self) -> int:
        """Return the exit status of a program that has ended, as a shell does: 128 + n for signal n."""
        code = self._process.returncode
        return 0 if code is None else code if code >= 0 else 128 - code

    async def _end(self) -> None:
        """End the program and all that it started, and read its last words, in three bounded waits."""
        self.outlet.close()
        await self._kill()
        with anyio.move_on_after(_LAST_WORDS):
            await self.forward_stderr()

    async def _kill(self) -> None:
        for number in (signal.SIGTERM, signal.SIGKILL):
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, number)
            with anyio.move_on_after(_STOPS):
                await self._process.wait()
                while _exists(self._process.pid):  # noqa: ASYNC110 -- a group has no event to wait for
                    await anyio.sleep(0.01)
                return


@contextmanager
def _ended_with_us(group: int) -> Iterator[None]:
    """Have a shell end a process group if this process is gone before the block's end.

    A process that is killed can end nothing itself, and on its own a server that ignores the end of its input
    would live on. The shell waits for the end of a pipe whose other end is here alone.
    """
    nowhere = subprocess.DEVNULL
    options: dict[str, Any] = {"cwd": "/", "env": {}, "start_new_session": True}
    command = ["/bin/sh", "-c", _WATCH, "sh", str(group)]
    try:
        shell = subprocess.Popen(  # noqa: S603 -- our own program
            command, stdin=subprocess.PIPE, stdout=nowhere, stderr=nowhere, **options
        )
    except OSError:  # there is no shell, or no process more: the server is served all the same
        yield
        return
    with shell:
        try:
            yield
        finally:
            shell.kill()  # before the pipe is closed


def _exists(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True
