"""Run a program's long work until it ends by itself or a signal ends it, and show its log to a person."""

from __future__ import annotations

import ipaddress
import logging
import signal
import socket
import sys
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from typing import TYPE_CHECKING, TypeVar

from .inputs import os_fault
from .terminal import UsageError, warn

if TYPE_CHECKING:
    from starlette.applications import Starlette

    from ..guard.trust_file import TrustFollower

__all__ = ["address", "run", "serve"]

T = TypeVar("T")


class _ConsoleHandler(logging.Handler):
    """Print log records as all messages to a person are printed: in one line, without tracebacks."""

    def emit(self, record: logging.LogRecord) -> None:
        from ..mcp.transport.redaction import redacted

        warn(redacted(record.getMessage()))


def log_to_person() -> None:
    """Print what the guard logs to standard error."""
    for name in ("hessra_agents", "uvicorn", "asyncio"):
        logger = logging.getLogger(name)
        logger.handlers[:] = [_ConsoleHandler(logging.WARNING)]
        logger.propagate = False


def run(
    work: Callable[[], Awaitable[T]],
    *,
    end: Callable[[], None] | None = None,
    follower: TrustFollower | None = None,
) -> T | int:
    """Return the result of the work; 128 + n if signal n came first and ended it.

    Args:
        end: makes the work return soon; if omitted, a signal cancels the work.
        follower: follows the trusted keys meanwhile. SIGHUP then has it look and ends nothing, unless the
            program was started at a terminal, whose end must end it.

    Raises:
        UsageError: the server's command cannot be started.
    """
    import anyio
    from anyio.abc import TaskStatus

    from ..mcp.transport.stdio import StartError

    log_to_person()
    at_terminal = sys.stderr is not None and sys.stderr.isatty()

    async def watched() -> T | int:
        signaled = 0
        found: T | int = 0
        failure: Exception | None = None

        async def watch(*, task_status: TaskStatus[None]) -> None:
            nonlocal signaled
            with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
                task_status.started()
                async for number in signals:  # further ones change nothing: the end is bounded
                    if number == signal.SIGHUP and follower is not None and not at_terminal:
                        follower.look()
                        continue
                    signaled = signaled or 128 + number
                    (end or group.cancel_scope.cancel)()

        async with anyio.create_task_group() as group:
            await group.start(watch)
            try:
                async with follower or nullcontext():
                    found = await work()
            except Exception as error:
                failure = error
            group.cancel_scope.cancel()
        if failure is not None:
            raise failure
        return signaled or found

    try:
        return anyio.run(watched)
    except StartError as error:
        raise os_fault(f"the server's command {error.filename}", error, "cannot be started") from None


def address(text: str, names: list[str]) -> tuple[str, int]:
    """Read ``HOST:PORT``: of this machine only, unless names are given by which others reach it."""
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise UsageError("--listen: must be HOST:PORT, such as 127.0.0.1:8765")
    try:
        here = _is_loopback(host)
    except ValueError:
        raise UsageError("--listen: the host must be an address or localhost") from None
    if not here and not names:
        raise UsageError(
            "--listen: other machines can reach this address",
            "give the name that they use with --host NAME, or listen on 127.0.0.1",
        )
    return host, int(port)


def _is_loopback(host: str) -> bool:
    """Return whether only programs on this machine reach an address.

    Raises:
        ValueError: the host is neither an address nor localhost.
    """
    return host == "localhost" or ipaddress.ip_address(host).is_loopback


def serve(
    app: Starlette, host: str, port: int, path: str, *, bound: bool, follower: TrustFollower | None = None
) -> int:
    """Serve a proxy over HTTP until a signal ends it, and return 128 + the signal's number.

    Args:
        bound: whether it has a capability for clients that send none, of which a person is told.
        follower: as in `run`.
    """
    from ..mcp.transport.http_server import HttpServer

    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family)
    except OSError as error:
        raise os_fault("--listen", error, "cannot be listened on") from None
    # connections inherit it: without it, an answer's body waits for the receiver's delayed acknowledgement
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    shown = f"[{host}]" if ":" in host else host
    server = HttpServer(app)

    async def work() -> int:
        warn(f"listening on http://{shown}:{listener.getsockname()[1]}{path}")
        if bound:
            here = _is_loopback(host)
            users = "every program on this machine, of any user," if here else "EVERYONE WHO REACHES IT"
            warn(f"{users} can use the capability of this proxy")
        await server.serve([listener])
        return 0

    with listener:
        return run(work, end=server.end, follower=follower)
