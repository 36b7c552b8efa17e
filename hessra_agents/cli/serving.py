"""Run a program's long work until it ends by itself or a signal ends it, and show its log to a person."""

from __future__ import annotations

import ipaddress
import logging
import signal
import socket
from collections.abc import Awaitable, Callable
from types import FrameType
from typing import TYPE_CHECKING, TypeVar

from .inputs import os_fault
from .terminal import UsageError, warn

if TYPE_CHECKING:
    from starlette.types import ASGIApp

__all__ = ["address", "run", "serve"]

T = TypeVar("T")


class _ConsoleHandler(logging.Handler):
    """Print log records as all messages to a person are printed: in one line, without tracebacks."""

    def emit(self, record: logging.LogRecord) -> None:
        from ..mcp.transport.redaction import redacted

        warn(redacted(record.getMessage()))


def log_to_person() -> None:
    """Print what the guard logs to standard error."""
    for name in ("hessra_agents", "uvicorn"):
        logger = logging.getLogger(name)
        logger.handlers[:] = [_ConsoleHandler(logging.WARNING)]
        logger.propagate = False


def run(work: Callable[[], Awaitable[T]]) -> T | int:
    """Return the result of the work; 128 + n if signal n came first and cancelled it.

    Raises:
        UsageError: the server's command cannot be started.
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
        raise os_fault("the server's command", error, "cannot be started") from None


def address(text: str, names: list[str]) -> tuple[str, int]:
    """Read ``HOST:PORT``: of this machine only, unless names are given by which others reach it."""
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise UsageError("--listen: must be HOST:PORT, such as 127.0.0.1:8765")
    if host != "localhost":
        try:
            here = ipaddress.ip_address(host).is_loopback
        except ValueError:
            raise UsageError("--listen: the host must be an address or localhost") from None
        if not here and not names:
            raise UsageError(
                "--listen: other machines can reach this address",
                "give the name that they use with --host NAME, or listen on 127.0.0.1",
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
        raise os_fault("--listen", error, "cannot be listened on") from None
    # connections inherit it: without it, an answer's body waits for the receiver's delayed acknowledgement
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    shown = f"[{host}]" if ":" in host else host
    warn(f"listening on http://{shown}:{listener.getsockname()[1]}{path}")
    config = uvicorn.Config(app, access_log=False, log_config=None, server_header=False, lifespan="on")
    # uvicorn raises the signal that ended it once more, which would leave a ledger no time to close
    signal.signal(signal.SIGTERM, _end)
    signal.signal(signal.SIGHUP, lambda *_: signal.raise_signal(signal.SIGTERM))
    try:
        with listener:
            uvicorn.Server(config).run([listener])
    except _SignalError as ended:
        return 128 + ended.number
    return 0


class _SignalError(BaseException):
    """A signal ended the program."""

    def __init__(self, number: int) -> None:
        self.number = number


def _end(number: int, frame: FrameType | None) -> None:
    raise _SignalError(number)
