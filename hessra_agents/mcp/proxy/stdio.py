"""`proxy_stdio`: between a client and a server that both speak over standard input and output.

    exit_status = await proxy_stdio(RequestAuthorizer(guard), ["npx", "some-server"])

1. A client's message is read strictly and written anew; `RequestAuthorizer` decides on it. Methods and fields
   that are not known here are kept, in every era of the protocol.
2. A server's line goes on as it is. Only lists change: a caller sees what its capability reaches. An answer
   that nobody waits for goes nowhere.
3. Each request is decided by itself, so one that takes long holds up nobody; they go on in the order in
   which they came, where that needs no waiting.
4. Every request has an end: the server's answer, a refusal, or an error when the time is up or the server
   is gone. Of one that the client has given up, nothing is said.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

import anyio
import anyio.lowlevel
from anyio.abc import TaskGroup

from ...errors import Denied, Reason
from ..authorization.authorizer import Forward
from ..authorization.catalog import Fetch, ToolCatalog
from ..authorization.denials import DenialFormat
from ..authorization.requests import LISTS, OPEN, protocol_params, without_hessra_meta
from ..redaction import keep_tokens_out_of_logs
from ..transport.messages import (
    INTERNAL_ERROR,
    INVALID_REQUEST,
    MAX_FRAME,
    InvalidMessageError,
    Message,
    error_frame,
    is_id,
    read_message,
    write_message,
)
from ..transport.stdio import Aside, ChildProcess, LineReader, LineWriter
from .common import (
    UpstreamMessageError,
    denial_message,
    list_all,
    own_params,
    parse_upstream,
    without_forged_meta,
)
from .pending import OwnRequests, PendingRequest, PendingRequests, cancelled

__all__ = ["MAX_ANSWER", "SupportsAuthorize", "proxy_stdio"]

MAX_ANSWER = 64 << 20
"""Bytes of one message from a server."""

_TURN = 0.01
"""Seconds for which the next message waits until a request went on."""

_LAST_WORDS = 1.0
"""Seconds for what is on its way when one side is gone."""

_UNENDING = frozenset({"subscriptions/listen"})
"""Requests whose answer is a stream that lasts."""

R = TypeVar("R")

_log = logging.getLogger("hessra_agents")


class SupportsAuthorize(Protocol):
    """What decides on the requests: a `RequestAuthorizer`."""

    @property
    def catalogue(self) -> ToolCatalog:
        """What the server offers."""

    async def handle(
        self, method: str, params: Mapping[str, Any] | None, forward: Forward[R], *, fetch: Fetch
    ) -> R:
        """See `RequestAuthorizer.run`."""

    def filter_list(
        self, method: str, params: Mapping[str, Any] | None, result: Mapping[str, Any]
    ) -> dict[str, Any]:
        """See `RequestAuthorizer.filter_list`."""


async def proxy_stdio(
    gate: SupportsAuthorize,
    command: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    cwd: str | Path | None = None,
    timeout: float = 300,  # noqa: ASYNC109 -- of each request, not of this function
    denial_format: DenialFormat = DenialFormat.RESULT,
    on_stderr: Aside | None = None,
    stdin: int = 0,
    stdout: int = 1,
) -> int:
    """Stand in front of the server that a command starts, until the client or the server ends.

    Args:
        env: the server's environment; ours if left out, so take out of it what the server must not have.
        timeout: seconds until a request without an answer gets an error.
        denial_format: the form in which refusals are told.
        on_stderr: gets the lines of the server's standard error, which else is our own.
        stdin, stdout: file descriptors to the client.

    Returns:
        The server's exit status, 128 + n if signal n ended it.

    Raises:
        StartError: the server cannot be.
    """
    keep_tokens_out_of_logs()
    started = ChildProcess.start(command, env=env, cwd=cwd, max_bytes=MAX_ANSWER, on_stderr=on_stderr)
    async with started as child:
        await _StdioProxy(
            gate, child, LineReader(stdin, MAX_FRAME), LineWriter(stdout), timeout, denial_format
        ).run()
    return child.status


class _StdioProxy:
    def __init__(
        self,
        gate: SupportsAuthorize,
        child: ChildProcess,
        lines: LineReader,
        down: LineWriter,
        seconds: float,
        denial_format: DenialFormat,
    ) -> None:
        self._gate = gate
        self._child = child
        self._lines = lines
        self._down, self._up = down, child.outlet
        self._seconds = seconds
        self._refusals = DenialFormat(denial_format)
        self._room = PendingRequests()
        self._questions = OwnRequests(self._up, seconds)
        self._taken = True
        """Whether the server took the last message that needs no answer."""
        self._ending = anyio.Event()
        self._heard_all = anyio.Event()

    async def run(self) -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(self._from_client, group)
            group.start_soon(self._from_server)
            group.start_soon(self._up.run)
            group.start_soon(self._child.forward_stderr)
            group.start_soon(self._until, self._down.run)
            group.start_soon(self._until, self._child.exited)
            await self._ending.wait()
            await self._child.stop()
            with anyio.move_on_after(_LAST_WORDS):
                await self._heard_all.wait()
            for one in self._room.all():
                self._fail(one, "the server has ended")
            with anyio.move_on_after(_LAST_WORDS):
                await self._down.flush()
            group.cancel_scope.cancel()

    async def _until(self, over: Callable[[], Awaitable[object]]) -> None:
        await over()
        self._ending.set()

    # from the client

    async def _from_client(self, group: TaskGroup) -> None:
        async for line in self._lines:
            try:
                await self._line(line, group)
            except anyio.BrokenResourceError:
                continue  # one side takes nothing any more: the end is on its way
        with anyio.move_on_after(_LAST_WORDS):
            while self._room:
                await self._room.all()[0].done.wait()
                await anyio.lowlevel.checkpoint()
            await self._up.flush()
        self._ending.set()

    async def _line(self, line: bytes | None, group: TaskGroup) -> None:
        try:
            if line is None:
                raise InvalidMessageError(INVALID_REQUEST, f"the message has more than {MAX_FRAME} bytes")
            if line.strip():
                await self._message(read_message(line), len(line), group)
        except InvalidMessageError as broken:
            id = None if self._room.find(broken.id) else broken.id
            await self._tell(error_frame(id, broken.code, str(broken)))

    async def _message(self, frame: Message, size: int, group: TaskGroup) -> None:
        if frame.is_request:
            if self._questions.are(frame.id):
                raise InvalidMessageError(INVALID_REQUEST, "the id is in use for another request")
            seconds = math.inf if frame.method in _UNENDING else self._seconds
            one = self._room.admit(frame, size, seconds=seconds)
            group.start_soon(self._request, one)
            with anyio.move_on_after(_TURN):
                await one.moved.wait()
        elif frame.method is not None:
            await self._notification(frame)
        else:
            result = frame.message.get("result")
            kept = {"result": without_hessra_meta(result)} if isinstance(result, dict) else {}
            await self._sent(write_message({**frame.message, **kept}))

    async def _sent(self, line: bytes) -> None:
        """Pass on what needs no answer; if the server takes nothing, it is lost, and the next one at once."""
        seconds, self._taken = self._seconds if self._taken else _TURN, False
        with anyio.move_on_after(seconds):
            await self._up.send(line)
            self._taken = True
            return
        _log.warning("the server takes nothing: a message to it is lost")

    async def _request(self, one: PendingRequest) -> None:
        """See a request answered, in one way or another, and forget it."""
        try:
            with one.scope:
                answer = await self._answer(one)
                if one.message is None:
                    await self._tell(answer)
                    one.answer(answer)
            if one.message is None and not one.given_up:
                if one.sent and one.frame.method != "initialize":
                    self._up.send_nowait(cancelled(one.frame.id))
                self._room.forget(one)
                self._fail(one, f"there was no answer within {self._seconds:g} seconds")
        except anyio.BrokenResourceError:
            return  # the client is gone
        finally:
            self._room.forget(one)
            one.moved.set()
            one.done.set()

    async def _answer(self, one: PendingRequest) -> dict[str, Any]:
        """The answer of the server, which has been passed on already, or one of ours."""
        frame = one.frame

        async def forward(params: dict[str, Any]) -> dict[str, Any]:
            await self._up.send(write_message(frame.with_params(params).message))
            one.sent = True
            one.moved.set()
            await one.done.wait()
            return one.message or {}

        async def fetch() -> list[dict[str, Any]]:
            one.moved.set()
            with anyio.fail_after(self._seconds):  # for all pages
                return await list_all(self._questions.request, "tools/list", own_params(frame.params))

        try:
            answer = await self._gate.handle(frame.method or "", frame.params, forward, fetch=fetch)
            return {**answer, "id": frame.id}  # the same request again has another id
        except Denied as denied:
            return denial_message(denied, frame, self._refusals)
        except InvalidMessageError as broken:
            return error_frame(frame.id, broken.code, str(broken))
        except anyio.BrokenResourceError:
            return error_frame(frame.id, INTERNAL_ERROR, "the server takes no requests any more")
        except Exception as error:
            _log.error("a request could not be decided, so it was refused", exc_info=error)
            return error_frame(frame.id, INTERNAL_ERROR, "the guard failed")

    async def _notification(self, frame: Message) -> None:
        async def forward(params: dict[str, Any]) -> dict[str, Any]:
            await self._sent(write_message(frame.with_params(params).message))
            return {}

        if frame.method == "notifications/cancelled":
            one = self._room.find(frame.params.get("requestId"))
            if one is None or one.frame.method == "initialize":
                return  # it came too late, is not about a request of this client, or is not allowed
            one.given_up = True
            if one.sent:
                await self._sent(cancelled(one.frame.id, frame.params.get("reason")))
            one.scope.cancel()
        elif frame.method in OPEN:
            await forward(protocol_params(frame.params))
        else:
            try:
                with anyio.move_on_after(self._seconds):
                    await self._gate.handle(frame.method or "", frame.params, forward, fetch=_refuse_call)
            except Denied as denied:
                _log.warning("a notification was refused: %s", denied)

    # from the server

    async def _from_server(self) -> None:
        async for line in self._child.lines:
            if line is None:
                _log.warning("a message of the server is larger than %d bytes: left out", MAX_ANSWER)
            elif line.strip():
                try:
                    await self._said(line)
                except UpstreamMessageError as fault:
                    _log.warning("a line that the server wrote %s: left out", fault)
                except anyio.BrokenResourceError:
                    continue  # the client is gone: what it does not hear must not hold up the server
        self._heard_all.set()
        self._ending.set()

    async def _said(self, line: bytes) -> None:
        said, as_it_is = parse_upstream(line)
        message = without_forged_meta(said)
        id = message.get("id")
        if message.get("method") == "notifications/tools/list_changed":
            self._gate.catalogue.forget()
        elif "method" not in message and id is not None:
            if self._questions.are(id):
                self._questions.answered(message)
                return
            one = self._room.find(id)
            if one is None or not one.sent:
                if not self._room.came_late(id):
                    _log.warning("the server answered what nobody asked: left out")
                return
            if one.frame.method in LISTS and "result" in message:
                message = self._filtered(one.frame, message)
            one.answer(message)
            self._room.forget(one)
        await self._down.send(line if as_it_is and message is said else _written(message))

    def _filtered(self, frame: Message, message: dict[str, Any]) -> dict[str, Any]:
        try:
            result = message["result"]
            if not isinstance(result, dict):
                raise UpstreamMessageError("is no list")
            return {**message, "result": self._gate.filter_list(frame.method or "", frame.params, result)}
        except Exception as error:
            _log.error("a list cannot be filtered, so it is not shown", exc_info=error)
            return error_frame(frame.id, INTERNAL_ERROR, "the server's list cannot be shown")

    # to the client

    async def _tell(self, message: Mapping[str, Any]) -> None:
        await self._down.send(_written(message))

    def _fail(self, one: PendingRequest, text: str) -> None:
        message = error_frame(one.frame.id, INTERNAL_ERROR, text)
        one.answer(message)
        self._down.send_nowait(_written(message))


def _written(message: Mapping[str, Any]) -> bytes:
    try:
        return write_message(message)
    except InvalidMessageError as broken:
        if "method" in message:  # under its id, an error would answer a request of the client's
            raise UpstreamMessageError("holds what JSON has no words for") from None
        id = message.get("id")
        return write_message(error_frame(id if is_id(id) else None, INTERNAL_ERROR, str(broken)))


async def _refuse_call() -> list[dict[str, Any]]:
    raise Denied(Reason.MALFORMED, "a tool is called by a request, which has an id")
