"""What a request is called on its way to a process that several clients may share, and on the way back.

Its id there is ours; so are the token that its progress names, and the id that its subscription names.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..transport.messages import Message

__all__ = ["referenced_request", "with_client_ids", "with_upstream_id"]

_PROGRESS = "notifications/progress"
_TOKEN = "progressToken"
_SUBSCRIPTION = "io.modelcontextprotocol/subscriptionId"


def with_upstream_id(frame: Message, id: int) -> Message:
    """A client's request under an id of ours."""
    meta = frame.params.get("_meta")
    sent = Message({**frame.message, "id": id})
    if not isinstance(meta, Mapping) or _TOKEN not in meta:
        return sent
    return sent.with_params({**frame.params, "_meta": {**meta, _TOKEN: id}})


def referenced_request(message: Mapping[str, Any]) -> tuple[bool, int]:
    """Whether a server's message names a request, and which; 0 for one that is none of ours."""
    params = _object(message.get("params"))
    meta = _object(params.get("_meta"))
    if message.get("method") == _PROGRESS:
        found = params.get(_TOKEN)
    elif _SUBSCRIPTION in meta:
        found = meta[_SUBSCRIPTION]
    else:
        return False, 0
    return True, found if type(found) is int else 0


def with_client_ids(message: dict[str, Any], id: str | int | None, token: object) -> dict[str, Any]:
    """A server's message about a request, with the names that its client gave it."""
    place = "params" if "method" in message else "result"
    body = message.get(place)
    if not isinstance(body, dict):
        return message
    if message.get("method") == _PROGRESS:
        body = {**body, _TOKEN: token}
    meta = _object(body.get("_meta"))
    if _SUBSCRIPTION in meta:
        body = {**body, "_meta": {**meta, _SUBSCRIPTION: id}}
    return {**message, place: body}


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
