"""`proxy_stdio`: stand between a client and a server that both speak over standard input and output.

    exit_status = await proxy_stdio(RequestAuthorizer(guard), ["npx", "some-server"])

1. A client's message is read strictly and written anew; `RequestAuthorizer` decides on it. Methods and fields
   that are not known here are kept, in every era of the protocol.
2. A server's line goes on as it is. Only lists change: a caller sees what its capability reaches.
3. Each request is decided by itself, so one that takes long holds up no other; requests go on in the order in
   which they came, as long as no decision has to wait.
4. Every request has an end: the server's answer, a refusal, or an error when the time is up or the server
   is gone. A request that the client has cancelled gets no answer.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol, TypeVar

import anyio
from anyio.abc import TaskGroup

from ...errors import Denied
from ..authorization.authorizer import Forward
from ..authorization.catalog import LISTING, Fetch, ToolCatalog, list_all, own_params
from ..authorization.denials import DenialFormat, denial_message
from ..authorization.requests import FILTERED, without_forged_meta, without_hessra_meta
from ..transport.long_line import LongLine
from ..transport.messages import (
    INTERNAL_ERROR,
    MAX_ANSWER,
    MAX_MESSAGE,
    InvalidMessageError,
    Message,
    RpcError,
    UpstreamMessage,
    UpstreamMessageError,
    error_response,
    is_id,
    read_message,
    write_message,
)
from ..transport.redaction import keep_tokens_out_of_logs
from ..transport.stdio import ChildProcess, LineReader, LineWriter, StderrHandler
from .pending import PendingRequest
from .process import UpstreamProcess

__all__ = ["SupportsAuthorize", "proxy_stdio"]

_TURN = 0.01
"""Seconds for which the next message waits until a request went on."""

_LAST_WORDS = 1.0
"""Seconds for what is on its way when one side is gone."""

R = TypeVar("R")

_log = logging.getLogger("hessra_agents")


class SupportsAuthorize(Protocol):
    """An object that decides on requests, such as a `RequestAuthorizer`."""

    catalog: ToolCatalog

    async def handle(
        self, method: str, params: Mapping[str, Any] | None, forward: Forward[R], *, fetch: Fetch | None
    ) -> R:
        """Forward a request, or refuse it: see `RequestAuthorizer.handle`."""

    def filter_result(
        self, method: str, params: Mapping[str, Any] | None, result: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        """Return what the caller may see of a result: see `RequestAuthorizer.filter_result`."""


async def proxy_stdio(
    gate: SupportsAuthorize,
    command: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    cwd: str | Path | None = None,
    timeout: float = 300,  # noqa: ASYNC109 -- of each request, not of this function
    max_answer: int = MAX_ANSWER,
    denial_format: DenialFormat = DenialFormat.RESULT,
    on_stderr: StderrHandler | None = None,
    stdin: int = 0,
    stdout: int = 1,
) -> int:
    """Stand in front of the server that a command starts, until the client or the server ends.

    Args:
        env: the server's environment; ours if omitted, so remove from it what the server must not have.
        timeout: seconds without a message from the server about a request until the request gets an error.
        max_answer: bytes of one message from the server. A larger one is left out, and its request gets an
            error. Two messages at most are held at once: one that is read and one that is written.
        denial_format: the form of refusals.
        on_stderr: called with the lines of the server's standard error; if omitted, it is ours.
        stdin, stdout: file descriptors to the client.

    Returns:
        The server's exit status, 128 + n if signal n ended it.

    Raises:
        StartError: the server cannot be started.
        ValueError: ``max_answer`` is not positive.
    """
    if max_answer < 1:
        raise ValueError("max_answer must be a positive number of bytes")
    keep_tokens_out_of_logs()
    start = ChildProcess.start(command, env=env, cwd=cwd, max_bytes=max_answer, on_stderr=on_stderr)
    async with start as child:
        await _StdioProxy(gate, LineWriter(stdout), timeout, denial_format).run(child, stdin)
    return child.status


class _StdioProxy:
    def __init__(
        self, gate: SupportsAuthorize, down: LineWriter, timeout: float, denial_format: DenialFormat
    ) -> None:
        self._gate = gate
        self._down = down
        self._timeout = timeout
        self._denial_format = DenialFormat(denial_format)
        self._process = UpstreamProcess(self, timeout=timeout)
        self._reading = anyio.CancelScope()

    async def run(self, child: ChildProcess, stdin: int) -> None:
        async with anyio.create_task_group() as sides:
            sides.start_soon(self._write_down)
            with anyio.CancelScope() as last_words:
                async with anyio.create_task_group() as requests:
                    sides.start_soon(self._read_client, stdin, requests)
                    await self._process.run(child)
                    self._reading.cancel()
                    last_words.deadline = anyio.current_time() + _LAST_WORDS
                await self._down.flush()
            sides.cancel_scope.cancel()

    async def _write_down(self) -> None:
        await self._down.run()
        self._process.end()  # the client reads no more

    # from the client

    async def _read_client(self, stdin: int, requests: TaskGroup) -> None:
        with self._reading:
            async for line in LineReader(stdin, MAX_MESSAGE):
                with suppress(anyio.BrokenResourceError):  # the client reads no more: the end is on its way
                    await self._line(line, requests)
            with anyio.move_on_after(_LAST_WORDS):
                await self._process.settle()
            self._process.end()

    async def _line(self, line: bytes | LongLine, requests: TaskGroup) -> None:
        frame = None
        try:
            if isinstance(line, LongLine):
                raise InvalidMessageError(f"the message has more than {MAX_MESSAGE} bytes")
            frame = read_message(line)
            await self._message(frame, len(line), requests)
        except InvalidMessageError as error:
            if error.notification or (frame is not None and not frame.is_request):
                _log.warning("a message of the client is left out: %s", error)
                return
            id = None if self._process.waits(error.id) else error.id
            await self._down.send(_written(error_response(id, error.code, str(error))))
        except RpcError as error:
            _log.warning("a message of the client is left out: %s", error)

    async def _message(self, frame: Message, size: int, requests: TaskGroup) -> None:
        if frame.is_request:
            request = self._process.admit(frame, size, client_id=frame.id)
            moved = anyio.Event()
            requests.start_soon(self._request, request, moved)
            with anyio.move_on_after(_TURN):
                await moved.wait()
        elif frame.method is None:
            await self._process.reply(without_hessra_meta(frame))
        elif frame.method == "notifications/cancelled":
            self._process.cancel(frame.params.get("requestId"), frame.params.get("reason"))
        else:
            await self._notification(frame.method, frame)

    async def _request(self, request: PendingRequest, moved: anyio.Event) -> None:
        """Give a request its end, and forget it."""
        try:
            with request.scope:
                answer = await self._answer(request, moved)
                if not request.answered and not request.cancelled:
                    await self._down.send(_written(answer))
                return
            self._process.drop(request)
            if not request.answered and not request.cancelled:
                late = RpcError(f"there was no answer within {self._timeout:g} seconds")
                why = request.inbox.why or late
                self._down.send_nowait(_written(error_response(request.frame.id, why.code, str(why))))
        except anyio.BrokenResourceError:
            return  # the client reads no more
        finally:
            self._process.drop(request)
            moved.set()

    async def _answer(self, request: PendingRequest, moved: anyio.Event) -> dict[str, Any]:
        """Return the answer of the server, which has been passed on already, or one of ours."""
        frame = request.frame

        async def forward(params: dict[str, Any]) -> dict[str, Any]:
            await self._process.send(request, write_message(frame.with_params(params).message))
            moved.set()
            return await request.answer()

        async def fetch() -> list[dict[str, Any]]:
            moved.set()
            request.scope.deadline += LISTING  # the time of our own question is not the call's
            try:
                with anyio.fail_after(min(self._timeout, LISTING)):
                    return await list_all(self._process.ask, "tools/list", own_params(frame.params))
            finally:
                request.renew(asked=False)

        try:
            answer = await self._gate.handle(frame.method or "", frame.params, forward, fetch=fetch)
            return {**answer, "id": frame.id}  # the same request, made before, had another id
        except Denied as denied:
            return denial_message(denied, frame, self._denial_format)
        except (InvalidMessageError, RpcError) as error:
            return error_response(frame.id, error.code, str(error))
        except Exception as error:
            _log.error("a request could not be decided, so it was refused", exc_info=error)
            return error_response(frame.id, INTERNAL_ERROR, "the guard failed")

    async def _notification(self, method: str, frame: Message) -> None:
        async def forward(params: dict[str, Any]) -> None:
            await self._process.tell(write_message(frame.with_params(params).message))

        try:
            with anyio.move_on_after(self._timeout):
                await self._gate.handle(method, frame.params, forward, fetch=None)
        except Denied as denied:
            _log.warning("a message without an id was refused: %s", denied)

    # from the server

    async def hear(self, heard: UpstreamMessage, answered: PendingRequest | None) -> bool:
        message = without_forged_meta(heard.message)
        if answered is not None:
            if answered.frame.method in FILTERED and "result" in message:
                message = self._filtered(answered.frame, message)
            answered.inbox.put(message, len(heard.data))
        else:
            self._gate.catalog.notice(message)
            _, request = self._process.about(message)
            if request is not None:
                request.renew(asked="id" in message)
        as_it_is = heard.verbatim and message is heard.message
        line = heard.data if as_it_is and isinstance(heard.data, bytes) else _written(message)
        with suppress(anyio.BrokenResourceError):  # a client that is gone must not hold up the server
            await self._down.send(line)
        return True

    def _filtered(self, frame: Message, message: dict[str, Any]) -> dict[str, Any]:
        try:
            result = self._gate.filter_result(frame.method or "", frame.params, message["result"])
            return message if result is message["result"] else {**message, "result": result}
        except Exception as error:  # such as for a result that is not an object
            _log.error("a result cannot be filtered, so it is not shown", exc_info=error)
            return error_response(frame.id, INTERNAL_ERROR, "the server's answer cannot be shown")


def _written(message: Mapping[str, Any]) -> bytes:
    try:
        return write_message(message)
    except InvalidMessageError as error:
        if "method" in message:  # under its id, an error would answer a request of the client's
            raise UpstreamMessageError("holds what JSON cannot express") from None
        id = message.get("id")
        return write_message(error_response(id if is_id(id) else None, INTERNAL_ERROR, str(error)))
