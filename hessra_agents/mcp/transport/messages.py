"""Read and write JSON-RPC messages.

What stands in front of a server must not let through a message that the server reads in another way: a name
that is given twice (which one counts?), two spellings of one field (``Method``, to a reader that ignores
case), a list of messages. So:

1. A client's message is read once and strictly (`read_message`), because it is decided on, and is written
   anew (`write_message`). One that fails is answered with an error and goes no further.
2. A server's message is read leniently (`parse_upstream`), because servers say odd things, and a tool that
   has run has an answer. What two readers would read differently is written anew, or left out, and then the
   request that it answers is told.
"""

from __future__ import annotations

import gc
import json
import math
import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeGuard

import anyio.to_thread

from ...call.canonical import MalformedError, parse_lenient

__all__ = ["InvalidMessageError", "Message", "RpcError", "UpstreamMessage", "UpstreamMessageError"]
__all__ += ["INTERNAL_ERROR", "INVALID_REQUEST", "MAX_ANSWER", "MAX_MESSAGE", "VERSION"]
__all__ += ["error_response", "is_id", "own_id", "parse_upstream", "patience", "read_message"]
__all__ += ["read_upstream", "write_message"]

MAX_MESSAGE = 4 << 20
"""Bytes of one message from a client; the MCP SDK takes as many over HTTP."""

MAX_ANSWER = 64 << 20
"""Bytes of one message from a server, where nothing else is set."""

PARSE_ERROR, INVALID_REQUEST, INVALID_PARAMS, INTERNAL_ERROR = -32700, -32600, -32602, -32603

VERSION = "io.modelcontextprotocol/protocolVersion"
"""In ``_meta`` of every request of the era without a handshake."""

_PERSON = 600.0
"""Seconds that a client gets to answer what the server asks it: it may have to ask a person."""

_UNBOUNDED = "subscriptions/listen"
"""A request whose answer comes when the subscription ends."""

_LONG = 1 << 20
"""Bytes of a message that is read in a thread, because others need the event loop meanwhile."""

_COLLECTED = 1 << 16
"""Bytes of a message in whose values the garbage collector may look for cycles while they are made."""

_INFINITE = re.compile(r"[0-9][eE]\+?[0-9]{3}|(?<![0-9])[0-9]{200}")
"""What every number has that no float can hold: three digits of an exponent, or many of its own."""

_SURROGATE = re.compile(r"\\ud[89a-f]")
_BREAKS = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")

_FIELDS = frozenset({"jsonrpc", "id", "method", "params", "result", "error"})
_PARAMS = frozenset({"name", "arguments", "uri", "_meta"})


class InvalidMessageError(ValueError):
    """A client sent something that is not one JSON-RPC message; ``id`` is the request's, if readable.

    ``notification``: it asks for no answer, so an error must not be one (JSON-RPC 2.0, 4.1).
    """

    def __init__(
        self,
        text: str,
        code: int = INVALID_REQUEST,
        id: str | int | None = None,
        *,
        notification: bool = False,
    ) -> None:
        super().__init__(text)
        self.code = code
        self.id = id
        self.notification = notification


class UpstreamMessageError(ValueError):
    """A server wrote something that cannot be passed on; the text is our own.

    ``answers``: the id of the request that the message answers, if that can be known.
    """

    def __init__(self, text: str, answers: str | int | None = None) -> None:
        super().__init__(text)
        self.answers = answers


class RpcError(Exception):
    """A request has no answer: the client gets a JSON-RPC error, with no more than this text.

    A request that could be read is answered with HTTP 200, except where the protocol names another status.
    ``abandoned``: the client or the proxy stopped waiting, so nobody knows what the server has done.
    """

    def __init__(
        self,
        text: str,
        code: int = INTERNAL_ERROR,
        *,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        abandoned: bool = False,
    ) -> None:
        super().__init__(text)
        self.code = code
        self.status = status
        self.headers = dict(headers or {})
        self.abandoned = abandoned


@dataclass(frozen=True, slots=True)
class Message:
    """A client's message: a request (method and id), a notification (method) or a response (id)."""

    message: dict[str, Any]
    method: str | None = field(init=False)
    id: str | int | None = field(init=False)
    params: dict[str, Any] = field(init=False)
    """Empty if there are none."""
    is_request: bool = field(init=False)

    def __post_init__(self) -> None:
        message = self.message
        object.__setattr__(self, "method", message.get("method"))
        object.__setattr__(self, "id", message.get("id"))
        object.__setattr__(self, "params", message.get("params") or {})
        object.__setattr__(self, "is_request", "method" in message and "id" in message)

    def with_params(self, params: Mapping[str, Any]) -> Message:
        """Return the message with these parameters; without any, where it had none."""
        if not params and "params" not in self.message:
            return self
        return Message({**self.message, "params": dict(params)})


@dataclass(frozen=True, slots=True)
class UpstreamMessage:
    """A server's message: what it says, and its bytes or its text."""

    message: dict[str, Any]
    data: bytes | str
    verbatim: bool
    """Whether every reader reads the bytes alike, so that they may be passed on as they are."""


def read_message(data: bytes | str) -> Message:
    """Read one message of a client. A member that is null counts as absent, and ``2.0`` as the id 2.

    Raises:
        InvalidMessageError: it is not one JSON-RPC message that every reader reads alike.
    """
    try:
        message = parse_lenient(data, max_bytes=MAX_MESSAGE)
    except MalformedError as error:
        raise InvalidMessageError(f"the message cannot be read: {error}", PARSE_ERROR) from None
    if isinstance(message, list):
        raise InvalidMessageError("a list of messages is not accepted: send them one by one")
    if not isinstance(message, dict) or message.get("jsonrpc") != "2.0":
        raise InvalidMessageError("not a message of JSON-RPC 2.0")
    _normalize(message)
    try:
        _check_message(message)
    except InvalidMessageError as error:
        error.notification = isinstance(message.get("method"), str) and "id" not in message
        raise
    return Message(message)


def _check_message(message: dict[str, Any]) -> None:
    """Raise InvalidMessageError unless the message is one request, notification or response."""
    id = message.get("id")
    known = id if is_id(id) else None
    if "id" in message and known is None and not ("error" in message and id is None):
        raise InvalidMessageError("the id is neither a string nor an integer")
    _refuse_spellings(message, _FIELDS, known)
    asks, answers = "method" in message, ("result" in message) + ("error" in message)
    if asks == bool(answers) or answers > 1 or (answers and "id" not in message):
        raise InvalidMessageError("the message is neither a request nor a response", id=known)
    if asks and not isinstance(message["method"], str):
        raise InvalidMessageError("the method is not a string", id=known)
    if asks and "id" in message and message["method"].startswith("notifications/"):
        raise InvalidMessageError("a notification must not have an id", id=known)
    if "params" in message:
        if not isinstance(message["params"], dict):
            raise InvalidMessageError("the params are not an object", INVALID_PARAMS, known)
        _refuse_spellings(message["params"], _PARAMS, known)


def parse_upstream(data: bytes | str) -> UpstreamMessage:
    """Read one message of a server, as most clients would.

    A member that is null counts as absent, ``2.0`` as the id 2, NaN, the infinities and ``1e999`` as null (as
    JavaScript and pydantic write them), bytes that are not UTF-8 as U+FFFD; of a name given twice the last
    value counts. Such a message is written anew.

    Raises:
        UpstreamMessageError: it is not a JSON-RPC message.
    """
    odd = False

    def members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal odd
        made = dict(pairs)
        odd = odd or len(made) < len(pairs)
        return made

    def constant(_: str) -> None:
        nonlocal odd
        odd = True

    def number(written: str) -> float | None:
        nonlocal odd
        value = float(written)
        infinite = math.isinf(value)
        odd = odd or infinite
        return None if infinite else value

    try:
        text = data if isinstance(data, str) else data.decode("utf-8-sig", "replace")
        parse_float = number if _INFINITE.search(text) else None
        with _uncollected(len(text)):
            message = json.loads(
                text, object_pairs_hook=members, parse_constant=constant, parse_float=parse_float
            )
    except (ValueError, RecursionError):
        raise UpstreamMessageError("is not JSON") from None
    if not isinstance(message, dict):
        raise UpstreamMessageError("is not one message")
    odd = _normalize(message) or odd
    id, asks = message.get("id"), isinstance(message.get("method"), str)
    odd = (asks and _drop_nulls(message, "id")) or odd
    answered = id if "method" not in message and type(id) in (str, int) else None
    if not message.keys() <= _FIELDS and any(n not in _FIELDS and n.casefold() in _FIELDS for n in message):
        raise UpstreamMessageError("spells a field differently from the protocol", answered)
    answers = ("result" in message) + ("error" in message)
    if answers + asks != 1 or ("method" in message and not asks):
        raise UpstreamMessageError("is neither a request nor a response", answered)
    # about a message whose id the server could not read
    complains = "error" in message and id is None
    if answers and type(id) not in (str, int) and not complains:
        raise UpstreamMessageError("answers nothing")
    # a line break within the line would make it two messages to some readers
    verbatim = not odd and isinstance(data, bytes) and data.isascii() and not _BREAKS.search(data)
    return UpstreamMessage(message, data, verbatim)


@contextmanager
def _uncollected(size: int) -> Iterator[None]:
    """Pause the garbage collector while large JSON is read: it has no cycles, and to search is slow."""
    pauses = size > _COLLECTED and gc.isenabled()
    if pauses:
        gc.disable()
    try:
        yield
    finally:
        if pauses:
            gc.enable()


def _normalize(message: dict[str, Any]) -> bool:
    """Read as absent what is null, and ``2.0`` as the id 2; return whether that changed the message."""
    odd = _drop_nulls(message, "method", "params")
    for name, other in (("error", "result"), ("result", "error"), ("result", "method"), ("error", "method")):
        odd = (other in message and _drop_nulls(message, name)) or odd
    places, params = [(message, "id")], message.get("params")
    if message.get("method") == "notifications/cancelled" and isinstance(params, dict):
        places.append((params, "requestId"))
    for place, name in places:
        id = place.get(name)
        if type(id) is float and id.is_integer() and abs(id) < 1 << 53:
            place[name], odd = int(id), True
    return odd


def _drop_nulls(message: dict[str, Any], *names: str) -> bool:
    """Remove these members where they are null; return whether one was."""
    found = [name for name in names if name in message and message[name] is None]
    for name in found:
        del message[name]
    return bool(found)


async def read_upstream(data: bytes | str) -> UpstreamMessage:
    """Read one message of a server, in a thread if it is long; otherwise as `parse_upstream` does."""
    if len(data) <= _LONG:
        return parse_upstream(data)
    return await anyio.to_thread.run_sync(parse_upstream, data)


def write_message(message: Mapping[str, Any]) -> bytes:
    """Write a message in one line of ASCII, without a line break at its end: no reader sees two lines in it.

    Raises:
        InvalidMessageError: it holds what JSON cannot express: NaN, an infinity, a lone surrogate.
    """
    try:
        text = json.dumps(message, allow_nan=False, separators=(",", ":"))
        if _SURROGATE.search(text):
            json.dumps(message, ensure_ascii=False).encode()  # refuses one that stands alone
        return text.encode()
    except (ValueError, RecursionError):
        raise InvalidMessageError("the message holds a value that JSON cannot express") from None


def error_response(id: str | int | None, code: int, text: str) -> dict[str, Any]:
    """Return the response that tells of an error."""
    return {"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": text}}


def is_id(value: object) -> TypeGuard[str | int]:
    """Return whether a request can have this id: an integer, or a string without lone surrogates."""
    if isinstance(value, str):
        return value.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in value)
    return type(value) is int


def own_id() -> int:
    """Return an id for a request of our own: 31 bits, as some servers read no strings and no larger integers.

    It is far from those that clients count up, and nobody can guess it.
    """
    return (1 << 30) + secrets.randbelow(1 << 30)


def patience(method: str | None, timeout: float, *, asked: bool) -> float:
    """Return for how many seconds the server may be silent after a message about a request of this method.

    That is the timeout again; ten minutes at least, where the message asks the client.
    """
    return float("inf") if method == _UNBOUNDED else max(timeout, _PERSON * asked)


def _refuse_spellings(fields: Mapping[str, Any], known: frozenset[str], id: str | int | None) -> None:
    if not fields.keys() <= known:
        for name in fields:
            if name not in known and name.casefold() in known:
                raise InvalidMessageError("a field is spelled differently from the protocol", id=id)
