"""Running what lasts: until it ends by itself, or a signal ends it; its log goes to the person."""

from __future__ import annotations

import ipaddress
import logging
import signal
import socket
from collections.abc import Awaitable, Callable
from types import FrameType
from typing import TYPE_CHECKING, TypeVar

from .terminal import UsageError, warn

if TYPE_CHECKING:
    from starlette.types import ASGIApp

__all__ = ["address", "run", "serve"]

T = TypeVar("T")


class _ConsoleHandler(logging.Handler):
    """The log, in the form of all words to people: one line each, without tracebacks."""

    def emit(self, record: logging.LogRecord) -> None:
        from ..mcp.redaction import redacted

        warn(redacted(record.getMessage()))


def log_to_person() -> None:
    """Say what the guard logs on standard error."""
    for name in ("hessra_agents", "uvicorn"):
        logger = logging.getLogger(name)
        logger.handlers[:] = [_ConsoleHandler(logging.WARNING)]
        logger.propagate = False


def run(work: Callable[[], Awaitable[T]]) -> T | int:
    """What the work returns; 128 + n if signal n came first, and the work was cancelled.

    Raises:
        UsageError: it begins with a command that cannot be started.
    """
    import anyio
    from anyio.abc import TaskStatus

    from ..mcp.transport.stdio import StartError

    log_to_person()

    async def watched() -> T | int:
        found: T | int = 0
        failure: Exception | None = None

        async def watch(*, task_status: TaskStatus[None]) -> None:
            nonlocal found
            with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
                task_status.started()
                async for number in signals:
                    found = 128 + number
                    group.cancel_scope.cancel()
                    return

        async with anyio.create_task_group() as group:
            await group.start(watch)
            try:
                found = await work()
            except Exception as error:
                failure = error
            group.cancel_scope.cancel()
        if failure is not None:
            raise failure
        return found

    try:
        return anyio.run(watched)
    except StartError as error:
        words = (error.strerror or "cannot be started").lower()
        raise UsageError(f"the server's command: {words}") from None


def address(text: str, names: list[str]) -> tuple[str, int]:
    """``HOST:PORT``, on this machine only, unless the names are given by which others reach it."""
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise UsageError("--listen: is written HOST:PORT, such as 127.0.0.1:8765")
    if host != "localhost":
        try:
            here = ipaddress.ip_address(host).is_loopback
        except ValueError:
            raise UsageError("--listen: the host is an address or localhost") from None
        if not here and not names:
            raise UsageError(
                "--listen: other machines can reach this address",
                "name the host by which they do with --host NAME, or listen on 127.0.0.1",
            )
    return host, int(port)


def serve(app: ASGIApp, host: str, port: int, path: str) -> int:
    """Serve an application over HTTP until a signal ends it."""
    import uvicorn

    log_to_person()
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family)
    except OSError as error:
        raise UsageError(f"--listen: {(error.strerror or 'cannot be listened on').lower()}") from None
    # what is accepted inherits it: else an answer's body waits for the receiver's delayed acknowledgement
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    shown = f"[{host}]" if ":" in host else host
    warn(f"listening on http://{shown}:{listener.getsockname()[1]}{path}")
    config = uvicorn.Config(app, access_log=False, log_config=None, server_header=False, lifespan="on")
    # uvicorn sends itself what ended it once more, which would leave a ledger no time to close
    signal.signal(signal.SIGTERM, _end)
    signal.signal(signal.SIGHUP, lambda *_: signal.raise_signal(signal.SIGTERM))
    try:
        with listener:
            uvicorn.Server(config).run([listener])
    except _StoppedBySignal as ended:
        return 128 + ended.number
    return 0


class _StoppedBySignal(BaseException):
    """A signal ended it."""

    def __init__(self, number: int) -> None:
        self.number = number


def _end(number: int, frame: FrameType | None) -> None:
    raise _StoppedBySignal(number)
