"""`UpstreamProcess`: one server process, and the requests over HTTP that wait for its answers.

Every request gets an id of our own on its way to the process, and so does the token of its progress, so that
clients who share a process do not hear what is meant for others, whatever ids they choose.

| the server says | it goes to |
|---|---|
| a response | the request |
| what names a request's progress or subscription | that request |
| anything else, while a single request waits | that request |
| anything else | the session's own stream, or the first one that is opened |

What is said to a client who does not keep up is left out, but for answers: those have room always. A server
that does not read what it is told is ended.

Where several clients share the process (`shared`), what names no request goes to nobody, and what the server
asks is answered with an error: in that era of the protocol it must not ask.
"""

from __future__ import annotations

import itertools
import logging
import math
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import anyio
import anyio.lowlevel
from anyio.abc import TaskStatus
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.client.stdio import StdioServerParameters, get_default_environment

from ..authorization.authorizer import RequestAuthorizer
from ..authorization.requests import OPEN
from ..transport.http_response import MAX_ANSWER, PERSON, Reply, RpcError, encode, read_message
from ..transport.messages import INTERNAL_ERROR, INVALID_REQUEST, Message, error_frame, write_message
from ..transport.stdio import ChildProcess
from .id_mapping import referenced_request, with_client_ids, with_upstream_id

__all__ = ["UpstreamProcess"]

_UNBOUNDED = "subscriptions/listen"
_MOST, _BYTES = 256, 8 << 20
"""Messages that wait for one client, and what they may hold."""

_LONGEST = 1024
"""Letters of an id that a server gives its question."""

_SHORT = 1024
"""Short messages that wait until the server reads."""

_STRANGE = 60.0
"""Seconds without a request after which a session ends that has not had one that a capability permits."""

_log = logging.getLogger("hessra_agents")


@dataclass(slots=True, eq=False)
class _PendingAnswer:
    """A request that waits, with the id and the progress token that its client gave it.

    What is said to it waits until it is read. A request of our own hears nothing but its answer.
    """

    id: str | int | None = None
    token: object = None
    hears: bool = True
    why: RpcError = field(default_factory=lambda: RpcError(INTERNAL_ERROR, "the server ended"))
    _said: deque[tuple[dict[str, Any], int]] = field(default_factory=deque)
    _bytes: int = 0
    _ended: bool = False
    _changed: anyio.Event = field(default_factory=anyio.Event)

    def say(self, message: dict[str, Any], size: int) -> bool:
        """Whether there was room for it; for an answer there is."""
        full = len(self._said) >= _MOST or self._bytes + size > _BYTES
        if self._ended or (full and "method" in message):
            return False
        self._said.append((message, size))
        self._bytes += size
        self._changed.set()
        return True

    def end(self, why: RpcError) -> None:
        """There is nothing more to say."""
        self.why = why
        self._ended = True
        self._changed.set()

    def __aiter__(self) -> _PendingAnswer:
        return self

    async def __anext__(self) -> dict[str, Any]:
        while not self._said:
            if self._ended:
                raise StopAsyncIteration
            self._changed = anyio.Event()
            await self._changed.wait()
        message, size = self._said.popleft()
        self._bytes -= size
        return message


class UpstreamProcess:
    """One process.

    Args:
        gate: told when the server's list of tools has changed.
        timeout: seconds without a message after which a request is given up.
        idle_timeout: seconds without a request after which the process ends; a minute at most before there
            was one that needs a capability, so that nobody without one can take all the places there are.
        shared: whether it serves several clients.
    """

    def __init__(self, gate: RequestAuthorizer, *, timeout: float, idle_timeout: float, shared: bool) -> None:
        self._gate = gate
        self._timeout = timeout
        self._idle = idle_timeout
        self._shared = shared
        self._child: ChildProcess | None = None
        self._put: MemoryObjectSendStream[bytes] | None = None
        self._scope = anyio.CancelScope()
        self._ids = itertools.count(1)
        self._waiting: dict[int, _PendingAnswer] = {}
        self._stream = _PendingAnswer()
        self._listening = False
        self._questions: set[str | int] = set()
        self._users = 0
        self._strange = True
        self.ended = False

    async def run(
        self, command: StdioServerParameters, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED
    ) -> None:
        """Run the process until it ends, is idle for long, or `end` is called.

        Raises:
            OSError: it cannot be started.
        """
        environment = get_default_environment() | (command.env or {})
        start = ChildProcess.start(
            [command.command, *command.args], env=environment, cwd=command.cwd, max_bytes=MAX_ANSWER
        )
        put, get = anyio.create_memory_object_stream[bytes](_SHORT)
        async with put, get, start as child, anyio.create_task_group() as group:
            self._child, self._put = child, put
            group.start_soon(child.outlet.run)
            group.start_soon(self._tell_shortly, get)
            task_status.started()
            try:
                with self._scope:
                    async for line in child.lines:
                        if line is None:
                            self._too_large()
                        else:
                            await self._hear(line)
                        await anyio.lowlevel.checkpoint()  # who hears it has its turn
            except Exception:
                _log.exception("a server's session broke")
            finally:
                self.ended = True
                for one in [*self._waiting.values(), self._stream]:
                    one.end(RpcError(INTERNAL_ERROR, "the server ended"))
                with anyio.CancelScope(shield=True):
                    async with anyio.create_task_group() as last:
                        last.start_soon(_drained, child)  # who cannot write does not end
                        await child.stop()
                        last.cancel_scope.cancel()
                group.cancel_scope.cancel()

    def end(self) -> None:
        """End it: its input is closed, and then it is told to end."""
        self.ended = True
        self._scope.cancel()

    async def ask(self, frame: Message, reply: Reply | None) -> dict[str, Any]:
        """The response to a request, with whatever id.

        Raises:
            RpcError: there is none.
        """
        id = next(self._ids)
        meta = frame.params.get("_meta")
        token = meta.get("progressToken") if isinstance(meta, Mapping) else None
        waiting = _PendingAnswer(frame.id, token, reply is not None)
        with self._used(frame):
            self._waiting[id] = waiting
            try:
                with anyio.move_on_after(self._timeout) as patience:
                    await self._write(with_upstream_id(frame, id).message)
                    async for message in waiting:
                        if "method" not in message:
                            return with_client_ids(message, waiting.id, waiting.token)
                        patience.deadline = math.inf  # now it is the client who is waited for
                        if reply is not None:
                            await reply.message(with_client_ids(message, waiting.id, waiting.token))
                        if frame.method != _UNBOUNDED:
                            asked = "id" in message
                            patience.deadline = anyio.current_time() + max(self._timeout, PERSON * asked)
                    raise waiting.why
                raise RpcError(INTERNAL_ERROR, f"the server did not answer in {self._timeout:g} seconds")
            finally:
                if self._waiting.pop(id, None) is not None and frame.method != "initialize":
                    self._cancel(id)

    async def tell(self, frame: Message) -> None:
        """Pass on a notification, or the response to what the server asked this client."""
        with self._used(frame):
            if frame.method is None:
                if frame.id is None or frame.id not in self._questions:
                    raise RpcError(INVALID_REQUEST, "the server did not ask this", status=400)
                self._questions.discard(frame.id)
            if frame.method == "notifications/cancelled":
                self._cancelled(frame.params)
            else:
                with anyio.move_on_after(self._timeout):
                    await self._write(frame.message)

    async def listen(self, reply: Reply) -> None:
        """Stream what the server says to no request."""
        if self._listening:
            raise RpcError(INVALID_REQUEST, "this session has its stream", status=409)
        with self._used():
            self._listening = True
            try:
                await reply.begin()
                async for message in self._stream:
                    await reply.message(message)
                await reply.end()
            finally:
                self._listening = False

    @contextmanager
    def _used(self, frame: Message | None = None) -> Iterator[None]:
        if self.ended:
            raise RpcError(INVALID_REQUEST, "this session has ended", status=404)
        if frame is not None and frame.method is not None and frame.method not in OPEN:
            self._strange = False
        self._users += 1
        self._scope.deadline = math.inf
        try:
            yield
        finally:
            self._users -= 1
            if not self._users:
                idle = min(self._idle, _STRANGE) if self._strange else self._idle
                self._scope.deadline = anyio.current_time() + idle

    async def _write(self, message: Mapping[str, Any]) -> None:
        if self._child is None:
            raise RpcError(INTERNAL_ERROR, "the server ended")
        try:
            await self._child.outlet.send(write_message(message))
        except anyio.BrokenResourceError:
            self.end()
            raise RpcError(INTERNAL_ERROR, "the server ended") from None

    def _push(self, message: Mapping[str, Any]) -> None:
        """Tell the server something short, without waiting until it reads it."""
        if self._put is None or self.ended:
            return
        try:
            self._put.send_nowait(encode(message).encode())
        except anyio.WouldBlock:  # it does not read, and what it is told would pile up
            _log.warning("a server does not read what it is told: it is ended")
            self.end()

    async def _tell_shortly(self, get: MemoryObjectReceiveStream[bytes]) -> None:
        if self._child is not None:
            with suppress(anyio.BrokenResourceError):
                async for line in get:
                    await self._child.outlet.send(line)
            self.end()

    def _cancel(self, id: int, reason: object = None) -> None:
        why = {"reason": reason[:200]} if isinstance(reason, str) else {}
        params = {"requestId": id, **why}
        self._push({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params})

    def _cancelled(self, params: Mapping[str, Any]) -> None:
        """The client cancels one of its requests, by the id that it gave it."""
        given = params.get("requestId")
        for id, waiting in list(self._waiting.items()):
            if type(given) is type(waiting.id) and given == waiting.id:
                del self._waiting[id]
                self._cancel(id, params.get("reason"))
                waiting.end(RpcError(-32800, "the request was cancelled"))

    async def _hear(self, line: bytes) -> None:
        message = await read_message(line)
        if message is None:
            if line.strip():
                _log.warning("a server wrote a line that is no message")
            return
        if message.get("method") == "notifications/tools/list_changed":
            self._gate.catalogue.forget()
        id = message.get("id")
        if "method" not in message:
            answered = self._waiting.pop(id, None) if type(id) is int else None
            if answered is not None:
                answered.say(message, len(line))
            return
        named, request = referenced_request(message)
        place = self._waiting.get(request) if named else self._place()
        taken = id is None or (not self._shared and self._asks(id))
        if not taken or place is None or not place.say(message, len(line)):
            self._refuse(id)

    def _too_large(self) -> None:
        """A message was too large to be read. If one request waits, it was its answer, as far as we know."""
        _log.warning("a message of a server is larger than %d bytes: left out", MAX_ANSWER)
        if len(self._waiting) == 1:
            for one in self._waiting.values():
                one.end(RpcError(INTERNAL_ERROR, "the server's message is too large"))

    def _place(self) -> _PendingAnswer | None:
        """Who hears what names no request."""
        if self._shared:
            return None
        clients = [one for one in self._waiting.values() if one.hears]
        return clients[0] if len(clients) == 1 else self._stream

    def _asks(self, id: object) -> bool:
        """Note that the server asks the client."""
        if type(id) not in (int, str) or len(str(id)) > _LONGEST or len(self._questions) == _MOST:
            return False
        self._questions.add(id)  # type: ignore[arg-type]
        return True

    def _refuse(self, id: object) -> None:
        """Answer a question that no client hears."""
        if isinstance(id, str | int) and len(str(id)) <= _LONGEST:
            self._questions.discard(id)
            self._push(error_frame(id, -32601, "there is no client that could be asked"))


async def _drained(child: ChildProcess) -> None:
    async for _ in child.lines:
        pass
