"""`proxy_process`: serve HTTP in front of an MCP server that is a command.

    server = StdioServerParameters(command="mcp-server-git")
    app = proxy_process(RequestAuthorizer(guard), server)  # an ASGI application

A client that shakes hands (``initialize``) gets a process of its own, and a session id that nobody can guess.
Clients of the era without sessions share one process, which is started when the first of them comes. A server
that knows only the handshake says so when it is asked, and clients that speak both go on to shake hands.

Every request gets an id of our own on its way to the process, and so does its progress token, so that clients
who share a process do not hear what is meant for others, whatever ids they choose.

| the server says | it goes to |
|---|---|
| a response | the request |
| what names a request's progress or subscription | that request |
| anything else, while a single request waits | that request |
| anything else | the session's own stream, or the first one that is opened |

What does not fit into the inbox of a client that reads slowly is left out, but for answers. Where clients
share the process, a message that names no request goes to nobody, and what the server asks is answered with
an error: in that era of the protocol a server must not ask.
"""

from __future__ import annotations

import itertools
import math
import secrets
from collections.abc import AsyncIterator, Collection, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
from anyio.abc import TaskGroup, TaskStatus
from mcp.client.stdio import StdioServerParameters, get_default_environment
from mcp.shared.inbound import ERROR_CODE_HTTP_STATUS
from starlette.applications import Starlette

from ..authorization.authorizer import RequestAuthorizer
from ..authorization.denials import DenialFormat
from ..transport.http_checks import HttpRequestPolicy, is_sessionless
from ..transport.http_response import AnswerMemory, Reply
from ..transport.messages import (
    INVALID_REQUEST,
    MAX_ANSWER,
    Message,
    RpcError,
    UpstreamMessage,
    write_message,
)
from ..transport.stdio import ChildProcess, StderrHandler
from .http_app import LOOPBACK, proxy_app
from .pending import Inbox, PendingRequest
from .process import PROGRESS, SUBSCRIPTION, TOKEN, UpstreamProcess

__all__ = ["proxy_process"]

_ID = "mcp-session-id"

_UNHONORED = 60.0
"""Seconds after its handshake when a session ends in which no capability was honored, whatever it does."""


def proxy_process(
    gate: RequestAuthorizer,
    command: StdioServerParameters,
    *,
    timeout: float = 60.0,
    max_answer: int = MAX_ANSWER,
    max_sessions: int = 32,
    idle_timeout: float = 1800.0,
    denial_format: DenialFormat = DenialFormat.RESULT,
    on_stderr: StderrHandler | None = None,
    hosts: Collection[str] = LOOPBACK,
    origins: Collection[str] = (),
    path: str = "/mcp",
) -> Starlette:
    """Return an application that decides on each request to a command, and forwards what is permitted.

    Args:
        command: starts the server. Of our environment it gets what the SDK names as harmless, and ``env``.
        timeout: seconds without a message from the server after which a request is abandoned.
        max_answer: bytes of one message from the server. Each process is read one message at a time; answers
            of more than 1 MiB that wait for their clients hold at most four times this together, and a
            request whose answer does not fit gets an error.
        max_sessions: processes of single clients, at most. For one more, the oldest session ends in which no
            capability was honored.
        idle_timeout: seconds without a request after which a session ends. One in which no capability was
            honored ends a minute after its handshake, whatever it does.
        denial_format: the form of refusals.
        on_stderr: called with the lines of each process's standard error; if omitted, it is ours.
        hosts: the names under which clients reach it, each with a port, or without one for any port.
        origins: origins of web pages on other hosts that may use it.
        path: the path of its URL.
    """
    behind = _ProcessUpstream(gate, command, timeout, max_answer, max_sessions, idle_timeout, on_stderr)
    policy = HttpRequestPolicy(frozenset(hosts), frozenset(origins))
    return proxy_app(gate, behind, AnswerMemory(max_answer), timeout, denial_format, policy, path)


@dataclass(slots=True, eq=False, repr=False)
class _ProcessUpstream:
    """The server's processes. ``repr`` shows neither the server's environment nor the sessions' ids."""

    _gate: RequestAuthorizer
    _command: StdioServerParameters
    _timeout: float
    _max_answer: int
    _max_sessions: int
    _idle_timeout: float
    _on_stderr: StderrHandler | None
    _sessions: dict[str, _ProcessSession] = field(default_factory=dict)
    _common: _ProcessSession | None = None
    _starting: anyio.Lock = field(default_factory=anyio.Lock)
    _group: TaskGroup = field(init=False)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with anyio.create_task_group() as self._group:
            yield
            self._group.cancel_scope.cancel()  # whoever waits has had an error: no process gets more time

    def gate(self, headers: Mapping[str, str]) -> RequestAuthorizer:
        if is_sessionless(headers):
            return self._gate
        session = self._sessions.get(headers.get(_ID, ""))
        return session.gate if session is not None else self._gate.of_another_session()

    async def ask(
        self, frame: Message, headers: Mapping[str, str], reply: Reply, *, honored: bool
    ) -> dict[str, Any]:
        _accepts(headers, "application/json", "text/event-stream")
        if is_sessionless(headers):
            if frame.method == "initialize":
                # there is none in this era, and it must not decide the era of the common process
                raise RpcError("Method not found", -32601, status=404)
            answer = await (await self._shared()).ask(frame, reply, honored)
            error = answer.get("error")
            if isinstance(error, dict) and isinstance(error.get("code"), int):
                reply.status = ERROR_CODE_HTTP_STATUS.get(error["code"], 200)
            return answer
        if frame.method == "initialize" and _ID not in headers:
            return await self._opened(frame, reply, honored)
        session = self._named(headers)
        reply.headers[_ID] = headers[_ID]
        return await session.ask(frame, reply, honored)

    async def tell(self, frame: Message, headers: Mapping[str, str], reply: Reply, *, honored: bool) -> None:
        if not is_sessionless(headers):
            await self._named(headers).tell(frame, honored)
        elif frame.method is None:
            raise RpcError("the server asks nothing in this era", INVALID_REQUEST, status=400)
        # otherwise a notification, of which there are none from clients without a session
        await reply.accepted()

    async def listen(self, headers: Mapping[str, str], reply: Reply, *, honored: bool) -> None:
        _accepts(headers, "text/event-stream")
        session = self._named(headers)
        reply.headers[_ID] = headers[_ID]
        await session.listen(reply, honored)

    async def leave(self, headers: Mapping[str, str], reply: Reply, *, honored: bool) -> None:
        self._named(headers).process.end()
        await reply.accepted(200)

    def _named(self, headers: Mapping[str, str]) -> _ProcessSession:
        """Return the session that a client names."""
        if is_sessionless(headers):
            raise RpcError("this era has no sessions", INVALID_REQUEST, status=405, headers={"allow": "POST"})
        if _ID not in headers:
            raise RpcError("the request names no session", INVALID_REQUEST, status=400)
        session = self._sessions.get(headers[_ID])
        if session is None or session.process.ended:
            raise RpcError("there is no such session", INVALID_REQUEST, status=404)
        return session

    async def _opened(self, frame: Message, reply: Reply, honored: bool) -> dict[str, Any]:
        """Start a process, and shake hands with it."""
        await self._make_room()
        id = secrets.token_urlsafe(24)
        gate = self._gate.of_another_session()
        session = _ProcessSession(gate, self._timeout, self._idle_timeout, shared=False)
        self._sessions[id] = session
        reply.headers[_ID] = id  # before anything is said that comes ahead of the answer
        good = False
        try:
            try:
                await self._group.start(self._run, session, id)
            except BaseException:
                self._sessions.pop(id, None)
                raise
            answer = await session.ask(frame, reply, honored)
            good = "result" in answer
        finally:
            if not good:
                session.process.end()  # its place is free when the process has ended
                del reply.headers[_ID]
        return answer

    async def _make_room(self) -> None:
        """Wait until there is a place for one more session.

        The oldest in which no capability was honored gives up its place, so strangers keep nobody out.
        """
        while len(self._sessions) >= self._max_sessions:
            leaving = next((one for one in self._sessions.values() if one.process.ended or one.strange), None)
            if leaving is None:
                raise RpcError("there are too many sessions", status=503)
            leaving.process.end()
            await leaving.gone.wait()

    async def _shared(self) -> _ProcessSession:
        """Return the session of all clients that keep none."""
        async with self._starting:
            if self._common is None or self._common.process.ended:
                self._common = _ProcessSession(self._gate, self._timeout, self._idle_timeout, shared=True)
                await self._group.start(self._run, self._common, "")
            return self._common

    async def _run(self, session: _ProcessSession, id: str, *, task_status: TaskStatus[None]) -> None:
        command = self._command
        start = ChildProcess.start(
            [command.command, *command.args],
            env=get_default_environment() | (command.env or {}),
            cwd=command.cwd,
            max_bytes=self._max_answer,
            on_stderr=self._on_stderr,
        )
        try:
            async with start as child:
                task_status.started()
                await session.run(child)
        except OSError as error:
            raise RpcError("the server cannot be started") from error
        finally:
            session.process.end()
            self._sessions.pop(id, None)
            session.gone.set()


class _ProcessSession:
    """One process and its clients: the client that shook hands, or all those that keep no session."""

    def __init__(self, gate: RequestAuthorizer, timeout: float, idle_timeout: float, *, shared: bool) -> None:
        self.gate = gate
        self._idle_timeout = idle_timeout
        self._shared = shared
        self._ids = itertools.count(1)
        self._stream = Inbox()
        self._listening = False
        self._users = 0
        self._honored = False
        """Whether a capability was honored here; before, nobody may keep a place for long."""
        self._idle = anyio.CancelScope()
        self.gone = anyio.Event()
        """Set when the process has ended, with all that it started."""
        self.process = UpstreamProcess(self, timeout=timeout)

    @property
    def strange(self) -> bool:
        """Return whether the handshake is over, and no capability was honored since."""
        return not self._honored and self._idle.deadline < math.inf

    async def run(self, child: ChildProcess) -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(self._end_when_idle)
            await self.process.run(child)
            group.cancel_scope.cancel()
        self._stream.close(RpcError("the server ended"))

    async def _end_when_idle(self) -> None:
        with self._idle:
            await anyio.sleep_forever()
        self.process.end()

    async def ask(self, frame: Message, reply: Reply, honored: bool) -> dict[str, Any]:
        """Return the response to a request; what comes before it goes into the reply.

        Raises:
            RpcError: there is none.
        """
        token = _meta(frame.params).get(TOKEN)
        sent = _with_own_names(frame, next(self._ids))
        line = write_message(sent.message)
        with self._used(honored):
            client_id = None if reply.silent else frame.id
            request = self.process.admit(sent, len(line), client_id=client_id, hold=reply.hold)
            try:
                with request.scope:
                    await self.process.send(request, line)
                    async for message in request.inbox:
                        named = _with_client_names(message, frame.id, token)
                        if "method" not in message:
                            return named
                        request.scope.deadline = math.inf  # while the client reads
                        await reply.message(named)
                        if not request.answered:
                            request.renew(asked="id" in message)
            finally:
                self.process.drop(request)
        late = f"the server did not answer in {request.timeout:g} seconds"
        raise request.inbox.why or RpcError(late, abandoned=True)

    async def tell(self, frame: Message, honored: bool) -> None:
        """Pass on a notification, or the response to what the server asked this client."""
        with self._used(honored):
            if frame.method is None:
                await self.process.reply(frame)
            elif frame.method == "notifications/cancelled":
                self.process.cancel(frame.params.get("requestId"), frame.params.get("reason"))
            else:
                await self.process.tell(write_message(frame.message))

    async def listen(self, reply: Reply, honored: bool) -> None:
        """Stream what the server says about no request."""
        if self._listening:
            raise RpcError("the session's stream is open already", INVALID_REQUEST, status=409)
        with self._used(honored):
            self._listening = True
            try:
                await reply.begin()
                async for message in self._stream:
                    await reply.message(message)
            except RpcError:
                await reply.end()
            finally:
                self._listening = False

    @contextmanager
    def _used(self, honored: bool) -> Iterator[None]:
        if self.process.ended:
            raise RpcError("this session has ended", INVALID_REQUEST, status=404)
        self._honored = self._honored or honored
        self._users += 1
        if self._honored:
            self._idle.deadline = math.inf
        try:
            yield
        finally:
            self._users -= 1
            now = anyio.current_time()
            if not self._honored:
                last = now + min(self._idle_timeout, _UNHONORED)
                self._idle.deadline = min(self._idle.deadline, last)  # nothing moves it
            elif not self._users:
                self._idle.deadline = now + self._idle_timeout

    async def hear(self, heard: UpstreamMessage, answered: PendingRequest | None) -> bool:
        message = heard.message
        if answered is not None:
            return answered.inbox.put(message, len(heard.data))
        self.gate.catalog.notice(message)
        named, request = self.process.about(message)
        if "method" not in message or (self._shared and ("id" in message or not named)):
            return False
        inbox = request.inbox if request is not None else None if named else self._stream
        return inbox is not None and inbox.put(message, len(heard.data))


def _with_own_names(frame: Message, id: int) -> Message:
    """Return a client's request under an id of ours, which its progress goes by as well."""
    sent, meta = Message({**frame.message, "id": id}), _meta(frame.params)
    return sent.with_params({**frame.params, "_meta": {**meta, TOKEN: id}}) if TOKEN in meta else sent


def _with_client_names(message: dict[str, Any], id: str | int | None, token: object) -> dict[str, Any]:
    """Return a server's message about a request with the names that the client gave the request."""
    place = "params" if "method" in message else "result"
    body = message.get(place)
    if not isinstance(body, dict):
        return message
    if message.get("method") == PROGRESS:
        body = {**body, TOKEN: token}
    if SUBSCRIPTION in (meta := _meta(body)):
        body = {**body, "_meta": {**meta, SUBSCRIPTION: id}}
    return {**message, place: body}


def _meta(body: Mapping[str, Any]) -> Mapping[str, Any]:
    meta = body.get("_meta")
    return meta if isinstance(meta, Mapping) else {}


def _accepts(headers: Mapping[str, str], *kinds: str) -> None:
    taken = {one.partition(";")[0].strip().lower() for one in headers.get("accept", "").split(",")}
    for kind in kinds:
        if not {kind, "*/*", kind.partition("/")[0] + "/*"} & taken:
            raise RpcError(f"the client does not accept {kind}", INVALID_REQUEST, status=406)
