"""`proxy_process`: HTTP in front of an MCP server that is a command.

    server = StdioServerParameters(command="mcp-server-git")
    app = proxy_process(RequestAuthorizer(guard), server)  # an ASGI application

A client that shakes hands (``initialize``) gets a process of its own, and a session id that nobody can guess.
Clients of the era without sessions share one process, which is started when the first of them comes. A server
that knows only the handshake says so when it is asked, and clients that speak both go on to shake hands.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from typing import Any

import anyio
from anyio.abc import TaskGroup
from mcp.client.stdio import StdioServerParameters
from mcp.shared.inbound import ERROR_CODE_HTTP_STATUS
from starlette.applications import Starlette

from ..authorization.authorizer import RequestAuthorizer
from ..authorization.denials import DenialFormat
from ..transport.http_checks import is_sessionless
from ..transport.http_response import Reply, RpcError
from ..transport.messages import INTERNAL_ERROR, INVALID_REQUEST, Message
from .http_app import LOOPBACK, proxy_app
from .process import UpstreamProcess

__all__ = ["proxy_process"]

_ID = "mcp-session-id"


def proxy_process(
    gate: RequestAuthorizer,
    command: StdioServerParameters,
    *,
    timeout: float = 60.0,
    max_sessions: int = 32,
    idle_timeout: float = 1800.0,
    denial_format: DenialFormat = DenialFormat.RESULT,
    hosts: Collection[str] = LOOPBACK,
    origins: Collection[str] = (),
    path: str = "/mcp",
) -> Starlette:
    """An application that decides on each request to a command, and forwards what is permitted.

    Args:
        command: of the server. Of our environment it gets what the SDK names as harmless, and ``env``.
        timeout: seconds without a message from the server after which a request is given up.
        max_sessions: processes of single clients, at most.
        idle_timeout: seconds without a request after which a session ends; a minute at most if it has had
            none that needs a capability.
        denial_format: the form in which refusals are told.
        hosts: the names under which it is reached, each with a port or for any port.
        origins: of web pages elsewhere that may use it.
        path: where it is reached.
    """
    behind = _ProcessUpstream(gate, command, timeout, max_sessions, idle_timeout)
    return proxy_app(
        gate, behind, denial_format=denial_format, hosts=hosts, origins=origins, path=path, timeout=timeout
    )


class _ProcessUpstream:
    """The server's processes."""

    def __init__(
        self,
        gate: RequestAuthorizer,
        command: StdioServerParameters,
        timeout: float,
        max_sessions: int,
        idle_timeout: float,
    ) -> None:
        self._gate = gate
        self._command = command
        self._timeout = timeout
        self._most = max_sessions
        self._idle = idle_timeout
        self._sessions: dict[str, UpstreamProcess] = {}
        self._common: UpstreamProcess | None = None
        self._starting = anyio.Lock()
        self._group: TaskGroup

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with anyio.create_task_group() as self._group:
            yield
            self._group.cancel_scope.cancel()

    async def ask(self, frame: Message, headers: Mapping[str, str], reply: Reply | None) -> dict[str, Any]:
        _accepts(headers, "application/json", "text/event-stream")
        if is_sessionless(headers):
            if frame.method == "initialize":
                # there is none in this era, and it must not decide the era of the common process
                raise RpcError(-32601, "Method not found", status=404)
            answer = await (await self._shared()).ask(frame, reply)
            error = answer.get("error")
            if reply is not None and isinstance(error, dict) and isinstance(error.get("code"), int):
                reply.status = ERROR_CODE_HTTP_STATUS.get(error["code"], 200)
            return answer
        if frame.method == "initialize" and _ID not in headers:
            return await self._opened(frame, reply)
        session = self._named(headers)
        if reply is not None:
            reply.headers[_ID] = headers[_ID]
        return await session.ask(frame, reply)

    async def tell(self, frame: Message, headers: Mapping[str, str], reply: Reply) -> None:
        if not is_sessionless(headers):
            await self._named(headers).tell(frame)
        elif frame.method is None:
            raise RpcError(INVALID_REQUEST, "the server asks nothing in this era", status=400)
        # otherwise a notification, of which there are none from clients without a session
        await reply.accepted()

    async def listen(self, headers: Mapping[str, str], reply: Reply) -> None:
        _accepts(headers, "text/event-stream")
        session = self._named(headers)
        reply.headers[_ID] = headers[_ID]
        await session.listen(reply)

    async def leave(self, headers: Mapping[str, str], reply: Reply) -> None:
        self._named(headers).end()
        await reply.accepted(200)

    def _named(self, headers: Mapping[str, str]) -> UpstreamProcess:
        """The session that a client names."""
        if is_sessionless(headers):
            raise RpcError(INVALID_REQUEST, "this era has no sessions", status=405, headers={"allow": "POST"})
        if _ID not in headers:
            raise RpcError(INVALID_REQUEST, "the session is not named", status=400)
        session = self._sessions.get(headers[_ID])
        if session is None or session.ended:
            raise RpcError(INVALID_REQUEST, "there is no such session", status=404)
        return session

    async def _opened(self, frame: Message, reply: Reply | None) -> dict[str, Any]:
        """Start a process, and shake hands with it."""
        if len(self._sessions) >= self._most:
            raise RpcError(INTERNAL_ERROR, "there are too many sessions", status=503)
        session, id = self._session(shared=False), secrets.token_urlsafe(24)
        self._sessions[id] = session
        good = False
        if reply is not None:
            reply.headers[_ID] = id  # before anything is said that comes ahead of the answer
        try:
            await self._group.start(self._run, session, id)
            answer = await session.ask(frame, reply)
            good = "result" in answer
        finally:
            if not good:
                session.end()
                self._sessions.pop(id, None)
                if reply is not None:
                    del reply.headers[_ID]
        return answer

    async def _shared(self) -> UpstreamProcess:
        """The process of all clients without a session."""
        async with self._starting:
            if self._common is None or self._common.ended:
                self._common = self._session(shared=True)
                await self._group.start(self._run, self._common, None)
            return self._common

    def _session(self, *, shared: bool) -> UpstreamProcess:
        return UpstreamProcess(self._gate, timeout=self._timeout, idle_timeout=self._idle, shared=shared)

    async def _run(
        self, session: UpstreamProcess, id: str | None, *, task_status: anyio.abc.TaskStatus[None]
    ) -> None:
        try:
            await session.run(self._command, task_status=task_status)
        except OSError as error:
            raise RpcError(INTERNAL_ERROR, "the server cannot be started") from error
        finally:
            session.ended = True
            self._sessions.pop(id or "", None)


def _accepts(headers: Mapping[str, str], *kinds: str) -> None:
    taken = {one.partition(";")[0].strip().lower() for one in headers.get("accept", "").split(",")}
    for kind in kinds:
        if not {kind, "*/*", kind.partition("/")[0] + "/*"} & taken:
            raise RpcError(INVALID_REQUEST, f"the client does not take {kind}", status=406)
