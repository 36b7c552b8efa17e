"""`Session`: one server process, and the requests over HTTP that wait for its answers.

Every request gets an id of our own on its way to the process, and so does the token of its progress, so that
clients who share a process do not hear what is meant for others, whatever ids they choose.

| the server says | it goes to |
|---|---|
| a response | the request |
| what names a request's progress or subscription | that request |
| anything else, while a single request waits | that request |
| anything else | the session's own stream, or the first one that is opened |

Where several clients share the process (`shared`), what names no request goes to nobody, and what the server
asks is answered with an error: in that era of the protocol it must not ask.
"""

from __future__ import annotations

import itertools
import logging
import math
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
from anyio.abc import TaskStatus
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.client.stdio import StdioServerParameters, get_default_environment

from .frames import INTERNAL_ERROR, INVALID_REQUEST, Frame, error_frame, write_frame
from .gate import Gate
from .names import for_client, named_by, renamed
from .pipes import Child
from .reply import MAX_ANSWER, PERSON, Failure, Reply, message_of, told

__all__ = ["Session"]

_UNBOUNDED = "subscriptions/listen"
_MOST = 256
"""Messages that wait for one client."""

_log = logging.getLogger("hessra_agents")


@dataclass(slots=True, eq=False)
class _Waiting:
    """A request that waits, with the id and the progress token that its client gave it.

    A request of our own hears nothing but its answer.
    """

    id: str | int | None
    token: object
    hears: bool
    put: MemoryObjectSendStream[dict[str, Any]]
    get: MemoryObjectReceiveStream[dict[str, Any]]
    why: Failure = field(default_factory=lambda: Failure(INTERNAL_ERROR, "the server ended"))

    def say(self, message: dict[str, Any]) -> None:
        try:
            self.put.send_nowait(message)
        except (anyio.WouldBlock, anyio.BrokenResourceError):
            self.end(Failure(INTERNAL_ERROR, "the client does not keep up"))

    def end(self, why: Failure) -> None:
        self.why = why
        self.put.close()


class Session:
    """One process.

    Args:
        gate: told when the server's list of tools has changed.
        timeout: seconds without a message after which a request is given up.
        idle: seconds without a request after which the process ends.
        shared: whether it serves several clients.
    """

    def __init__(self, gate: Gate, *, timeout: float, idle: float, shared: bool) -> None:
        self._gate = gate
        self._timeout = timeout
        self._idle = idle
        self._shared = shared
        self._child: Child | None = None
        self._scope = anyio.CancelScope()
        self._ids = itertools.count(1)
        self._waiting: dict[int, _Waiting] = {}
        self._listener: _Waiting | None = None
        self._unheard: deque[dict[str, Any]] = deque()
        self._questions: set[str | int] = set()
        self._users = 0
        self.ended = False

    async def run(
        self, command: StdioServerParameters, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED
    ) -> None:
        """Run the process until it ends, is idle for long, or `end` is called.

        Raises:
            OSError: it cannot be started.
        """
        environment = get_default_environment() | (command.env or {})
        start = Child.started(
            [command.command, *command.args], env=environment, cwd=command.cwd, most=MAX_ANSWER
        )
        async with start as child, anyio.create_task_group() as group:
            self._child = child
            group.start_soon(child.outlet.run)
            task_status.started()
            why = Failure(INTERNAL_ERROR, "the server ended")
            try:
                with self._scope:
                    async for line in child.lines:
                        if line is None:
                            why = Failure(INTERNAL_ERROR, "the server's message is too large")
                            break
                        self._hear(line)
            except Exception:
                _log.exception("a server's session broke")
            finally:
                self.ended = True
                for one in [*self._waiting.values(), *([self._listener] if self._listener else [])]:
                    one.end(why)
                with anyio.CancelScope(shield=True):
                    async with anyio.create_task_group() as last:
                        last.start_soon(_drained, child)  # who cannot write does not end
                        await child.leave()
                        last.cancel_scope.cancel()
                group.cancel_scope.cancel()

    def end(self) -> None:
        """End it: its input is closed, and then it is told to end."""
        self.ended = True
        self._scope.cancel()

    async def ask(self, frame: Frame, reply: Reply | None) -> dict[str, Any]:
        """The response to a request, with whatever id.

        Raises:
            Failure: there is none.
        """
        id = next(self._ids)
        with self._used(), self._wait(frame, hears=reply is not None) as waiting:
            self._waiting[id] = waiting
            try:
                with anyio.move_on_after(self._timeout) as patience:
                    await self._write(renamed(frame, id).message)
                    async for message in waiting.get:
                        if "method" not in message:
                            return for_client(message, waiting.id, waiting.token)
                        patience.deadline = math.inf  # now it is the client who is waited for
                        if reply is not None:
                            await reply.message(for_client(message, waiting.id, waiting.token))
                        if frame.method != _UNBOUNDED:
                            asked = "id" in message
                            patience.deadline = anyio.current_time() + max(self._timeout, PERSON * asked)
                    raise waiting.why
                raise Failure(INTERNAL_ERROR, f"the server did not answer in {self._timeout:g} seconds")
            finally:
                if self._waiting.pop(id, None) is not None and frame.method != "initialize":
                    self._push("notifications/cancelled", {"requestId": id})

    async def tell(self, frame: Frame) -> None:
        """Pass on a notification, or the response to what the server asked this client."""
        with self._used():
            if frame.method is None:
                if frame.id is None or frame.id not in self._questions:
                    raise Failure(INVALID_REQUEST, "the server did not ask this", status=400)
                self._questions.discard(frame.id)
            if frame.method == "notifications/cancelled":
                self._cancelled(frame.params)
            else:
                with anyio.move_on_after(self._timeout):
                    await self._write(frame.message)

    async def listen(self, reply: Reply) -> None:
        """Stream what the server says to no request."""
        if self._listener is not None:
            raise Failure(INVALID_REQUEST, "this session has its stream", status=409)
        with self._used(), self._wait(None) as listener:
            self._listener = listener
            try:
                await reply.begin()
                while self._unheard:
                    listener.say(self._unheard.popleft())
                async for message in listener.get:
                    await reply.message(message)
                await reply.end()
            finally:
                self._listener = None

    @contextmanager
    def _used(self) -> Iterator[None]:
        if self.ended:
            raise Failure(INVALID_REQUEST, "this session has ended", status=404)
        self._users += 1
        self._scope.deadline = math.inf
        try:
            yield
        finally:
            self._users -= 1
            if not self._users:
                self._scope.deadline = anyio.current_time() + self._idle

    @contextmanager
    def _wait(self, frame: Frame | None, *, hears: bool = True) -> Iterator[_Waiting]:
        put, get = anyio.create_memory_object_stream[dict[str, Any]](_MOST)
        meta = None if frame is None else frame.params.get("_meta")
        token = meta.get("progressToken") if isinstance(meta, Mapping) else None
        with put, get:
            yield _Waiting(None if frame is None else frame.id, token, hears, put, get)

    async def _write(self, message: Mapping[str, Any]) -> None:
        if self._child is None:
            raise Failure(INTERNAL_ERROR, "the server ended")
        try:
            await self._child.outlet.send(write_frame(message))
        except anyio.BrokenResourceError:
            raise Failure(INTERNAL_ERROR, "the server ended") from None

    def _push(self, method: str, params: Mapping[str, Any]) -> None:
        if self._child is not None:
            self._child.outlet.push(told({"jsonrpc": "2.0", "method": method, "params": params}).encode())

    def _cancelled(self, params: Mapping[str, Any]) -> None:
        """The client cancels one of its requests, by the id that it gave it."""
        given = params.get("requestId")
        for id, waiting in list(self._waiting.items()):
            if type(given) is type(waiting.id) and given == waiting.id:
                del self._waiting[id]
                self._push("notifications/cancelled", {**params, "requestId": id})
                waiting.end(Failure(-32800, "the request was cancelled"))

    def _hear(self, line: bytes) -> None:
        message = message_of(line)
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
                answered.say(message)
            return
        named, request = named_by(message)
        place = self._waiting.get(request) if named else self._place()
        if id is not None and (self._shared or not self._asks(id)):
            self._refuse(id)
        elif place is not None:
            place.say(message)
        elif not self._shared and not named:
            if len(self._unheard) == _MOST:
                lost = self._unheard.popleft().get("id")
                if lost is not None:
                    self._refuse(lost)
            self._unheard.append(message)

    def _place(self) -> _Waiting | None:
        """Who hears what names no request."""
        if self._shared:
            return None
        clients = [one for one in self._waiting.values() if one.hears]
        return clients[0] if len(clients) == 1 else self._listener

    def _asks(self, id: object) -> bool:
        """Note that the server asks the client."""
        if type(id) not in (int, str) or len(self._questions) == _MOST:
            return False
        self._questions.add(id)  # type: ignore[arg-type]
        return True

    def _refuse(self, id: object) -> None:
        if self._child is not None and isinstance(id, str | int):
            self._questions.discard(id)
            error = error_frame(id, -32601, "there is no client that could be asked")
            self._child.outlet.push(told(error).encode())


async def _drained(child: Child) -> None:
    async for _ in child.lines:
        pass
