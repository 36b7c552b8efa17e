"""`UpstreamProcess`: one server process, and the requests that wait for its answers.

Both proxies in front of a command stand on this. `proxy_stdio` has one client, whose ids go on as they are;
`proxy_process` has many, and gives each request an id of its own. A `Listener` says where messages go.

1. A response goes to the request with its id, once. ``7`` and ``"7"`` are one id, because some servers think
   so; no two requests have the same id, neither while one waits nor while the answer to an abandoned request
   may still come. A response that belongs to no request goes nowhere.
2. Any other message is about the request whose progress token or subscription it names, or, if it names
   none, about the only request that waits.
3. A client may answer only what the server has asked, once.
4. Every request has an end: the answer, or an error when the time is up or the server is gone. The server is
   told which requests are abandoned, except ``initialize``, which the protocol does not cancel.
5. A server that has ended, or does not read what it is told, is ended with everything that it started.
"""

from __future__ import annotations

import logging
import math
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Mapping
from itertools import islice
from typing import Any, Protocol

import anyio
import anyio.lowlevel
from anyio.abc import TaskStatus

from ..transport.long_line import LongLine
from ..transport.messages import (
    INTERNAL_ERROR,
    INVALID_REQUEST,
    InvalidMessageError,
    Message,
    RpcError,
    UpstreamMessage,
    UpstreamMessageError,
    error_response,
    is_id,
    own_id,
    read_upstream,
    write_message,
)
from ..transport.stdio import ChildProcess, LineWriter
from .pending import Inbox, PendingRequest

__all__ = ["PROGRESS", "SUBSCRIPTION", "TOKEN", "Listener", "UpstreamProcess"]

MAX_WAITING, MAX_ABANDONED = 64 << 20, 4096
"""Bytes of requests that wait, each with 4 KiB more; abandoned requests whose answers may still come."""

MAX_QUESTIONS, MAX_QUESTION_ID = 256, 1024
"""Requests of the server that wait for a client's answer, and the characters of their ids."""

MAX_ID, MAX_REASON = 256, 200
"""Characters of a client's id, and of its reason for a cancellation."""

_LAST_WORDS = 1.0
"""Seconds to hear what a server said before it ended."""

_IMPATIENT = 0.01
"""Seconds to wait for a server that did not take the message before."""

PROGRESS, TOKEN = "notifications/progress", "progressToken"
SUBSCRIPTION = "io.modelcontextprotocol/subscriptionId"

_log = logging.getLogger("hessra_agents")


class Listener(Protocol):
    """Says where the messages of a server go."""

    async def hear(self, heard: UpstreamMessage, answered: PendingRequest | None) -> bool:
        """Pass on a message; return whether a client hears it.

        Args:
            answered: the client's request that the message answers, into whose inbox it goes as well.
        """


class UpstreamProcess:
    """One server process.

    Args:
        timeout: seconds for which the server may be silent about a request until it is abandoned.
    """

    def __init__(self, listener: Listener, *, timeout: float) -> None:
        self._listener = listener
        self._timeout = timeout
        self._outlet: LineWriter | None = None
        self._waiting: dict[str, PendingRequest] = {}
        self._tokens: dict[str, PendingRequest] = {}
        self._abandoned: OrderedDict[str, None] = OrderedDict()
        self._questions: set[str] = set()
        self._size = 0
        self._takes = True
        """Whether the server took the last message that needs no answer."""
        self._telling = anyio.Lock()
        self._over = anyio.Event()
        self._by_us = False

    @property
    def ended(self) -> bool:
        """Return whether the process has ended, or is about to."""
        return self._over.is_set()

    async def run(
        self, child: ChildProcess, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED
    ) -> None:
        """Serve until the process has ended, or `end` is called; every request has its end then."""
        self._outlet = child.outlet
        task_status.started()
        heard_all = anyio.Event()
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(child.forward_stderr)
                group.start_soon(self._until, child.exited)
                group.start_soon(self._until, child.outlet.run)
                group.start_soon(self._until, lambda: self._hear_all(child, heard_all))
                await self._over.wait()
                await child.stop()
                with anyio.move_on_after(_LAST_WORDS):
                    await heard_all.wait()
                group.cancel_scope.cancel()
        finally:
            self._over.set()
            self._fail_all()

    def end(self) -> None:
        """End the process: close its input, and stop it if that does not make it end."""
        self._by_us = self._by_us or not self.ended
        self._over.set()

    def _gone(self) -> RpcError:
        """Return the error of a request that the end of the process leaves without an answer."""
        return RpcError("the server ended", abandoned=self._by_us)

    def _fail_all(self) -> None:
        for request in [*self._waiting.values()]:
            request.fail(self._gone())
            self.drop(request)

    async def _until(self, over: Callable[[], Awaitable[object]]) -> None:
        try:
            await over()
        finally:
            self._over.set()

    # requests

    def admit(
        self,
        frame: Message,
        size: int,
        *,
        client_id: str | int | None,
        hold: Callable[[int], None] | None = None,
    ) -> PendingRequest:
        """Let a request wait. Work on it within its ``scope``, then `drop` it.

        Args:
            frame: the request under the id that it has with the server.
            size: bytes of the request.
            client_id: the id that the client gave it; None for a request of our own.
            hold: see `Inbox`.

        Raises:
            InvalidMessageError: its id is in use or too long, too much is waiting, or the server has ended.
        """
        key = str(frame.id)
        if self.ended:
            raise InvalidMessageError(str(self._gone()), INTERNAL_ERROR, client_id)
        if len(key) > MAX_ID:
            raise InvalidMessageError(f"the id has more than {MAX_ID} characters")
        if key in self._waiting or key in self._abandoned:
            # without the id: under it, the error would be taken for the other request's answer
            raise InvalidMessageError("the id is in use for another request")
        size = 0 if client_id is None else size + 4096
        if self._size + size > MAX_WAITING:
            raise InvalidMessageError("too many requests wait for their answers", INTERNAL_ERROR, client_id)
        scope = anyio.CancelScope(deadline=anyio.current_time() + self._timeout)
        request = PendingRequest(frame, client_id, size, Inbox(hold), scope, self._timeout)
        self._waiting[key] = request
        if (token := _token(frame)) is not None:
            self._tokens[token] = request
        self._size += size
        return request

    def waits(self, id: object) -> bool:
        """Return whether a request with this id waits."""
        return str(id) in self._waiting

    async def send(self, request: PendingRequest, line: bytes) -> None:
        """Send a request to the server.

        Raises:
            RpcError: the server has ended.
        """
        await self._write(line)
        request.sent = True

    async def ask(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        """Make a request of our own, under an id that no client uses now, and return the response.

        Raises:
            TimeoutError: there is no response in time.
            RpcError: the server has ended.
        """
        id = next(id for id in iter(own_id, None) if str(id) not in (*self._waiting, *self._abandoned))
        frame = Message({"jsonrpc": "2.0", "id": id, "method": method, "params": params})
        request = self.admit(frame, 0, client_id=None)
        try:
            with anyio.fail_after(self._timeout):
                await self.send(request, write_message(frame.message))
                return await request.answer()
        finally:
            self.drop(request)

    def cancel(self, id: object, reason: object = None) -> None:
        """Abandon the request to which a client gave this id, because the client says so."""
        clients = (one for one in self._waiting.values() if one.client_id is not None)
        found = [one for one in clients if str(one.client_id) == str(id)]
        # a client whose ids are replaced may have both ``7`` and ``"7"``
        request = next((one for one in found if one.client_id == id), found[0] if found else None)
        if request is not None and request.frame.method != "initialize":
            request.cancelled = True
            request.inbox.close(RpcError("the request was cancelled", -32800, abandoned=True))
            self.drop(request, reason)
            request.scope.cancel()

    def drop(self, request: PendingRequest, reason: object = None) -> None:
        """Stop waiting for an answer, and tell the server, if it knows the request and has not answered."""
        if not self._forget(request) or not request.sent:
            return
        self._abandoned[str(request.frame.id)] = None
        if len(self._abandoned) > MAX_ABANDONED:
            self._abandoned.popitem(last=False)
        if request.frame.method != "initialize":
            known = isinstance(reason, str) and reason.isprintable()
            why = str(reason) if known else "nobody waits for the answer"
            params = {"requestId": request.frame.id, "reason": why[:MAX_REASON]}
            self._push({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params})

    def _forget(self, request: PendingRequest) -> bool:
        """Return whether the request has been waiting until now."""
        request.done.set()
        if self._waiting.get(key := str(request.frame.id)) is not request:
            return False
        del self._waiting[key]
        self._size -= request.size
        if (token := _token(request.frame)) is not None and self._tokens.get(token) is request:
            del self._tokens[token]
        return True

    async def settle(self) -> None:
        """Wait until no request waits, and everything is written."""
        while self._waiting:
            await next(iter(self._waiting.values())).done.wait()
            await anyio.lowlevel.checkpoint()
        if self._outlet is not None:
            await self._outlet.flush()

    # other messages to the server

    async def tell(self, line: bytes) -> None:
        """Pass on a message that needs no answer. It is lost if the server takes nothing within the timeout.

        Raises:
            RpcError: the server has ended.
        """
        async with self._telling:
            seconds, self._takes = self._timeout if self._takes else _IMPATIENT, False
            with anyio.move_on_after(seconds):
                await self._write(line)
                self._takes = True
                return
        _log.warning("the server takes nothing: a message to it is lost")

    async def reply(self, frame: Message) -> None:
        """Pass on a client's response to what the server has asked.

        Raises:
            RpcError: the server has not asked this, or has ended.
        """
        if str(frame.id) not in self._questions:
            raise RpcError("the server did not ask this", INVALID_REQUEST, status=400)
        self._questions.discard(str(frame.id))
        await self.tell(write_message(frame.message))

    async def _write(self, line: bytes) -> None:
        try:
            if self._outlet is None or self._outlet.broken:
                raise anyio.BrokenResourceError
            await self._outlet.send(line)
        except anyio.BrokenResourceError:
            self._over.set()
            raise self._gone() from None

    def _push(self, message: Mapping[str, Any]) -> None:
        """Tell the server something short, without waiting until it reads."""
        if self._outlet is not None and not self._outlet.send_nowait(write_message(message)):
            _log.warning("the server does not read what it is told, so it is ended")
            self.end()
            self._fail_all()

    # from the server

    async def _hear_all(self, child: ChildProcess, heard_all: anyio.Event) -> None:
        try:
            async for line in child.lines:
                if isinstance(line, LongLine):
                    self._too_large(line)
                else:
                    try:
                        await self._hear(await read_upstream(line))
                    except UpstreamMessageError as fault:
                        _log.warning("a line that the server wrote %s: left out", fault)
                        self._unread(self._waiting.get(str(fault.answers)), f"answer {fault}")
                await anyio.lowlevel.checkpoint()  # the client's task has its turn
        except Exception:
            _log.exception("a server's messages cannot be passed on, so it is ended")
            self.end()
        heard_all.set()

    async def _hear(self, heard: UpstreamMessage) -> None:
        message = heard.message
        id = message.get("id")
        if "method" not in message and id is not None:
            await self._answered(str(id), heard)
            return
        if id is None:
            params = message.get("params")
            if message.get("method") == "notifications/cancelled" and isinstance(params, dict):
                self._questions.discard(str(params.get("requestId")))
            await self._listener.hear(heard, None)
        elif is_id(id) and len(str(id)) <= MAX_QUESTION_ID:
            room = len(self._questions) < MAX_QUESTIONS
            if room:
                self._questions.add(str(id))
                if self.about(message) == (False, None):  # it may be about any of them
                    for waiting in self._waiting.values():
                        waiting.renew(asked=True)
            if not room or not await self._listener.hear(heard, None):
                self._questions.discard(str(id))
                self._push(error_response(id, -32601, "there is no client that could be asked"))

    async def _answered(self, key: str, heard: UpstreamMessage) -> None:
        request = self._waiting.get(key)
        if request is None or not request.sent:
            if key not in self._abandoned:
                _log.warning("the server answered what nobody asked: left out")
            self._abandoned.pop(key, None)  # an answer can come once
            return
        self._forget(request)
        request.answered, request.scope.deadline = True, math.inf
        if request.client_id is None:
            request.inbox.put(heard.message, len(heard.data))
        else:
            await self._listener.hear(heard, request)

    def about(self, message: Mapping[str, Any]) -> tuple[bool, PendingRequest | None]:
        """Return whether a message names a request, and the request that it is about, if that waits."""
        params = message.get("params")
        meta = params.get("_meta") if isinstance(params, dict) else None
        if isinstance(params, dict) and message.get("method") == PROGRESS:
            token = str(params.get(TOKEN))  # some servers name the request by its id instead
            return True, self._tokens.get(token) or self._waiting.get(token)
        if isinstance(meta, dict) and SUBSCRIPTION in meta:
            return True, self._waiting.get(str(meta[SUBSCRIPTION]))
        return False, self._single(one for one in self._waiting.values() if one.client_id is not None)

    @staticmethod
    def _single(requests: Iterable[PendingRequest]) -> PendingRequest | None:
        """Return the only one of these requests that the server works on; None if there are more."""
        sent = [*islice((one for one in requests if one.sent), 2)]
        return sent[0] if len(sent) == 1 else None

    def _too_large(self, line: LongLine) -> None:
        """Leave out a message that is too large to be read, and tell the request that it answers.

        If it does not show which one that is and a single request waits, it was that one's answer.
        """
        _log.warning("a message of the server is larger than the limit for answers: left out")
        id = line.answered_id()
        request = self._waiting.get(id) if id is not None else self._single(self._waiting.values())
        self._unread(request, "message is too large")

    def _unread(self, request: PendingRequest | None, why: str) -> None:
        """End a request whose answer cannot be passed on: nobody knows what the server has done."""
        if request is not None and request.sent:
            request.fail(RpcError(f"the server's {why}", abandoned=True))
            self.drop(request)


def _token(frame: Message) -> str | None:
    """Return the progress token of a request as a string."""
    meta = frame.params.get("_meta")
    return str(meta[TOKEN]) if isinstance(meta, Mapping) and TOKEN in meta else None
