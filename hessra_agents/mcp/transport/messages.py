"""JSON-RPC messages as bytes: read once and strictly, written anew, so that nobody reads them differently.

What stands in front of a server must not let through what the server would read in another way: a name given
twice (which one counts?), two spellings of one field (``Method``, to a reader that ignores case), a list of
messages. Such a message is answered with an error and goes no further.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeGuard

from ...call.canonical import MalformedError, parse_lenient

__all__ = [
    "MAX_FRAME",
    "InvalidMessageError",
    "Message",
    "error_frame",
    "is_id",
    "read_message",
    "write_message",
]

MAX_FRAME = 4 << 20
"""Bytes of one message from a client; the MCP SDK takes as many over HTTP."""

PARSE_ERROR, INVALID_REQUEST, INVALID_PARAMS, INTERNAL_ERROR = -32700, -32600, -32602, -32603

_SURROGATE = re.compile(r"\\ud[89a-f]")

_FIELDS = ("jsonrpc", "id", "method", "params", "result", "error")
_PARAMS = ("name", "arguments", "uri", "_meta")


class InvalidMessageError(ValueError):
    """A message that is no single JSON-RPC message; ``id`` is the request's, where it could be read."""

    def __init__(self, code: int, text: str, id: str | int | None = None) -> None:
        super().__init__(text)
        self.code = code
        self.id = id


@dataclass(frozen=True, slots=True)
class Message:
    """One message: a request (method and id), a notification (method alone) or a response (id alone)."""

    message: dict[str, Any]

    @property
    def method(self) -> str | None:
        """The method of a request or a notification."""
        found: str | None = self.message.get("method")
        return found

    @property
    def id(self) -> str | int | None:
        """The id of a request or a response."""
        found: str | int | None = self.message.get("id")
        return found

    @property
    def params(self) -> dict[str, Any]:
        """The parameters; empty if there are none."""
        found: dict[str, Any] = self.message.get("params") or {}
        return found

    @property
    def is_request(self) -> bool:
        """Whether it asks for an answer."""
        return self.method is not None and "id" in self.message

    def with_params(self, params: Mapping[str, Any]) -> Message:
        """The same message with these parameters; without any, as it was without any."""
        if not params and "params" not in self.message:
            return self
        return Message({**self.message, "params": dict(params)})


def read_message(data: bytes | str, *, max_bytes: int = MAX_FRAME) -> Message:
    """Read one message of a client.

    Raises:
        InvalidMessageError: it is not one JSON-RPC message that every reader reads alike.
    """
    try:
        message = parse_lenient(data, max_bytes=max_bytes)
    except MalformedError as error:
        raise InvalidMessageError(PARSE_ERROR, f"the message cannot be read: {error}") from None
    if isinstance(message, list):
        raise InvalidMessageError(INVALID_REQUEST, "a list of messages is not taken: send them one by one")
    if not isinstance(message, dict) or message.get("jsonrpc") != "2.0":
        raise InvalidMessageError(INVALID_REQUEST, "this is no message of JSON-RPC 2.0")
    id = message.get("id")
    known = id if is_id(id) else None
    if "id" in message and known is None and not ("error" in message and id is None):
        raise InvalidMessageError(INVALID_REQUEST, "the id is neither a text nor a whole number")
    _refuse_spellings(message, _FIELDS, known)
    asks, answers = "method" in message, ("result" in message) + ("error" in message)
    if asks == bool(answers) or answers > 1 or (answers and "id" not in message):
        raise InvalidMessageError(INVALID_REQUEST, "the message is neither a request nor a response", known)
    if asks and not isinstance(message["method"], str):
        raise InvalidMessageError(INVALID_REQUEST, "the method is not a text", known)
    if asks and "id" in message and message["method"].startswith("notifications/"):
        raise InvalidMessageError(INVALID_REQUEST, "a notification has no id", known)
    if "params" in message:
        if not isinstance(message["params"], dict):
            raise InvalidMessageError(INVALID_PARAMS, "the params are not an object", known)
        _refuse_spellings(message["params"], _PARAMS, known)
    return Message(message)


def write_message(message: Mapping[str, Any]) -> bytes:
    """The message in one line of ASCII, without a line break at its end: no reader sees two lines in it.

    Raises:
        InvalidMessageError: it holds what JSON has no words for: NaN, an infinity, a lone surrogate.
    """
    try:
        text = json.dumps(message, allow_nan=False, separators=(",", ":"))
        if _SURROGATE.search(text):
            json.dumps(message, ensure_ascii=False).encode()  # refuses one that stands alone
        return text.encode()
    except (ValueError, RecursionError):
        raise InvalidMessageError(
            INVALID_REQUEST, "the message holds a value that JSON has no words for"
        ) from None


def error_frame(id: str | int | None, code: int, text: str, data: object = None) -> dict[str, Any]:
    """An error response."""
    error = {"code": code, "message": text} | ({} if data is None else {"data": data})
    return {"jsonrpc": "2.0", "id": id, "error": error}


def is_id(value: object) -> TypeGuard[str | int]:
    """Whether a request can have this id: a whole number, or a text without lone surrogates."""
    if isinstance(value, str):
        return not any("\ud800" <= letter <= "\udfff" for letter in value)
    return type(value) is int


def _refuse_spellings(fields: Mapping[str, Any], known: tuple[str, ...], id: str | int | None) -> None:
    for name in fields:
        if name not in known and name.casefold() in known:
            raise InvalidMessageError(
                INVALID_REQUEST, "a field is spelled in another way than the protocol spells it", id
            )
