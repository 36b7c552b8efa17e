"""Read lines from file descriptors, write lines to them, and run a child process between two of them.

Nothing here blocks the event loop, keeps more than a limit, or needs a thread. A reader that is slow holds up
those who write to it, and nobody else.
"""

from __future__ import annotations

import errno
import os
import select
import signal
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import anyio
import anyio.lowlevel
from anyio.abc import Process

__all__ = ["ChildProcess", "LineReader", "LineWriter", "StartError", "StderrHandler"]

_CHUNK = 1 << 16
_WAITING = 1 << 20
"""Bytes that wait to be written before `LineWriter.send` waits."""

_PUSHED = 4 << 20
"""Bytes that `LineWriter.send_nowait` keeps for a slow reader; beyond, the reader counts as gone."""

_LEAVES, _STOPS, _LAST_WORDS = 5.0, 1.0, 0.1
"""Seconds that a child gets to end by itself, to end after a signal, and to be heard when it has ended."""

_MAX_STDERR_LINE = 8192
"""Bytes of a line on a child's standard error."""

StderrHandler = Callable[[str], object]
"""Called with each line of a child's standard error."""


class StartError(OSError):
    """A program cannot be started."""


class LineReader:
    """Read the lines of a file descriptor, without their ends; None for a line of more than ``max_bytes``.

    Nothing of such a line is kept: the reader skips it up to its end.
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

        Args:
            env: its environment; ours if omitted.
            max_bytes: bytes of one line that it may write.
            on_stderr: called with the lines of its standard error while `forward_stderr` runs; if omitted,
                its standard error is ours.

        Raises:
            StartError: the program cannot be started.
        """
        its_input, to_it = os.pipe()
        from_it, its_output = os.pipe()
        error_from_it, its_error = os.pipe()
        ours, its = (to_it, from_it, error_from_it), (its_input, its_output, its_error)
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
        stderr = (LineReader(error_from_it, _MAX_STDERR_LINE), on_stderr) if on_stderr else None
        child = cls(process, LineReader(from_it, max_bytes), LineWriter(to_it), stderr)
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
        """Call the handler with each line of the program's standard error, until its end."""
        if self._stderr is not None:
            lines, handler = self._stderr
            async for line in lines:
                handler("(a long line)" if line is None else line.decode(errors="replace"))

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
        """End the program and everything that it started and left behind, in at most two bounded waits."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, number)
            with anyio.move_on_after(_STOPS):
                await self._process.wait()
                while _exists(self._process.pid):  # noqa: ASYNC110 -- a group has no event to wait for
                    await anyio.sleep(0.01)
                return


def _exists(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True
