"""What standing in front of a server takes, whatever lies between: refusals, lists, what a server says.

A client's messages are read strictly (`read_frame`), because they are decided on. A server's are read as
they come, since old servers say odd things; only what two readers would read differently is not passed on
as it is.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from ...errors import Denied, Reason
from ..authorization.denials import DenialFormat, refusal
from ..authorization.requests import LISTS, OURS, protocol_params
from ..transport.messages import Message

__all__ = [
    "VERSION",
    "UpstreamMessageError",
    "denial_message",
    "list_all",
    "own_params",
    "parse_upstream",
    "without_forged_meta",
]

VERSION = "io.modelcontextprotocol/protocolVersion"
"""In ``_meta`` of every request of the era without a handshake."""

MAX_PAGES, MAX_ITEMS, MAX_LIST = 100, 4096, 8 << 20
"""Pages of a list that are asked for, what is on them, and its bytes of JSON, in all."""

_BREAKS = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")

_FIELDS = frozenset({"jsonrpc", "id", "method", "params", "result", "error"})

Ask = Callable[[str, dict[str, Any]], Awaitable[dict[str, Any]]]
"""Sends a request of our own, by method and parameters, and returns the response."""


class UpstreamMessageError(ValueError):
    """What a server wrote is no message; the text is our own."""


def denial_message(denied: Denied, frame: Message, form: DenialFormat) -> dict[str, Any]:
    """The response to a refused request, in the words of its era."""
    name = frame.params.get("name", frame.params.get("uri"))
    told = refusal(denied, frame.method or "", name if isinstance(name, str) else "", form)
    if told.result is None:
        return {"jsonrpc": "2.0", "id": frame.id, "error": told.error}
    meta = frame.params.get("_meta")
    era = {"resultType": "complete"} if isinstance(meta, dict) and VERSION in meta else {}
    return {"jsonrpc": "2.0", "id": frame.id, "result": {**era, **told.result}}


def own_params(params: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of questions of our own, in the era and on behalf of this request."""
    meta = protocol_params(params).get("_meta")
    if not isinstance(meta, Mapping):
        return {}
    kept = {key: value for key, value in meta.items() if key != "progressToken"}
    return {"_meta": kept} if kept else {}


async def list_all(ask: Ask, method: str, params: dict[str, Any]) -> list[dict[str, Any]]:
    """All pages of a list.

    Raises:
        Denied: ``unavailable``: the server does not tell.
    """
    found: list[dict[str, Any]] = []
    size = 0.0
    cursor = None
    for _ in range(MAX_PAGES):
        response = await ask(method, params if cursor is None else {**params, "cursor": cursor})
        result = response.get("result")
        page = result.get(LISTS[method]) if isinstance(result, dict) else None
        if not isinstance(result, dict) or not isinstance(page, list):
            raise Denied(Reason.UNAVAILABLE, f"the server does not answer {method}")
        found += [one for one in page if isinstance(one, dict)]
        cursor = result.get("nextCursor")
        size += _size([page, cursor])
        if len(found) > MAX_ITEMS or size > MAX_LIST:
            raise Denied(Reason.UNAVAILABLE, f"the server's answers to {method} are too large")
        if not isinstance(cursor, str):
            return found
    raise Denied(Reason.UNAVAILABLE, f"the server's answers to {method} have no end")


def without_forged_meta(message: dict[str, Any]) -> dict[str, Any]:
    """A server's message without anything of ours: it must not pose as its guard."""
    for part, place in (("result", "_meta"), ("error", "data")):
        body = message.get(part)
        if not isinstance(body, dict):
            continue
        held = body.get(place)
        if isinstance(held, dict) and any(name.startswith(OURS) for name in held):
            kept = {name: one for name, one in held.items() if not name.startswith(OURS)}
            message = {**message, part: {**body, place: kept}}
    return message


def parse_upstream(line: bytes) -> tuple[dict[str, Any], bool]:
    """One message of a server, and whether the line may be passed on as it is.

    If it gives a name twice, the last one counts here, and the message must be written anew.

    Raises:
        UpstreamMessageError: it is no message of JSON-RPC.
    """
    doubled = False

    def members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal doubled
        made = dict(pairs)
        doubled = doubled or len(made) < len(pairs)
        return made

    try:
        message = json.loads(line.decode(), object_pairs_hook=members, parse_constant=_refuse)
    except (ValueError, RecursionError):
        raise UpstreamMessageError("is not JSON") from None
    if not isinstance(message, dict):
        raise UpstreamMessageError("is not one message")
    if any(name not in _FIELDS and name.casefold() in _FIELDS for name in message):
        raise UpstreamMessageError("spells a field in another way than the protocol spells it")
    answers = ("result" in message) + ("error" in message)
    asks = isinstance(message.get("method"), str)
    if answers + asks != 1 or ("method" in message and not asks):
        raise UpstreamMessageError("is neither a request nor a response")
    if answers and (type(message.get("id")) not in (str, int)) and not _is_complaint(message):
        raise UpstreamMessageError("answers nothing")
    # a line break within the line would make it two messages to some readers
    return message, not doubled and line.isascii() and not _BREAKS.search(line)


def _size(value: object) -> float:
    """The bytes that it has as JSON; too many if it is too deep."""
    try:
        return len(json.dumps(value))
    except RecursionError:
        return math.inf


def _is_complaint(message: Mapping[str, Any]) -> bool:
    """An error about a message whose id the server could not read."""
    return "error" in message and message.get("id") is None


def _refuse(constant: str) -> None:
    raise ValueError(constant)
