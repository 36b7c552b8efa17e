"""Serve a proxy over HTTP: how long and how many connections wait, and how they end.

Anyone who reaches the address can open connections, so each has a deadline until its request is there, and
all together have a limit: beyond, the process would run out of file descriptors, and a ledger or a server's
process could not be opened any more.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import resource
import socket
from collections.abc import Iterator
from typing import Any

import uvicorn
from starlette.applications import Starlette
from uvicorn.protocols.http.h11_impl import H11Protocol

__all__ = ["HttpServer"]

HEAD_SECONDS = 10.0
"""Seconds that a client gets to send the head of its request, once it is connected or has had an answer."""

ENDING_SECONDS = 1
"""Seconds for a client to take the end of its answer when the proxy ends."""

BACKLOG = 64
"""Connections that are accepted at once."""

_KEPT, _MOST, _DESCRIPTORS = 256, 1000, 4096
"""File descriptors for all else than connections; connections at most; descriptors that are asked for."""

_log = logging.getLogger("hessra_agents")


class HttpServer(uvicorn.Server):
    """Serve a proxy until `end` is called; within `ENDING_SECONDS` every client has the end of its answer."""

    def __init__(self, app: Starlette) -> None:
        _raise_limit()
        super().__init__(
            uvicorn.Config(
                app,
                http=_Connection,
                ws="none",
                access_log=False,
                log_config=None,
                server_header=False,
                lifespan="on",
                backlog=BACKLOG,
                timeout_graceful_shutdown=ENDING_SECONDS,
            )
        )
        self._app = app

    def end(self) -> None:
        """End soon: take no more requests, answer those that wait with an error, and end what runs."""
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End the requests that wait for a server, maybe for good; then end as uvicorn does."""
        self._app.state.end_requests()
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the program: uvicorn would raise them again before a ledger is closed."""
        yield


def max_connections() -> int:
    """Return how many connections there may be: each may need one more file descriptor, to the server."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _MOST if soft == resource.RLIM_INFINITY else max(8, min(_MOST, (soft - _KEPT) // 2))


def _raise_limit() -> None:
    """Ask the system for as many file descriptors as are allowed and of use: some begin with 256."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, _DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


class _Connection(H11Protocol):
    """A connection that is closed if no request comes in time, or if there are too many."""

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > max_connections():
            _log.warning("there are too many connections: a new one is closed")
            transport.abort()
            return
        self._expect_request()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        self._expect_request()
        super().on_response_complete()

    def _expect_request(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = self.loop.call_later(HEAD_SECONDS, self._close_without_request, self.cycle)

    def _close_without_request(self, last: Any) -> None:
        if self.cycle is last:  # no request has begun since
            self.transport.abort()
