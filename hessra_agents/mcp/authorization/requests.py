"""Read from a request the object, the operation and the arguments that a capability must name.

| request | object | operation |
|---|---|---|
| ``tools/call`` | ``tool:<name>`` | ``invoke``, with the arguments |
| ``resources/read``, ``resources/subscribe``, ``resources/unsubscribe`` | ``resource:<uri>`` | ``read`` |
| ``prompts/get`` | ``prompt:<name>`` | ``get``, with the arguments |
| any other request or notification | ``method:<method>`` | ``call``, with its parameters |

Only the methods in `OPEN` need no capability: they open and keep a connection, tell of the client's own
state, or list, and lists are filtered. An unknown method is one more object that a capability must name.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from ...call.call import Call
from ...call.canonical import MalformedError
from ..transport.messages import Message

__all__ = [
    "CAPABILITY",
    "FILTERED",
    "INTRODUCTIONS",
    "LISTS",
    "NOTIFICATIONS",
    "OPEN",
    "OURS",
    "PROOF",
    "protocol_params",
    "requested_call",
    "without_forged_meta",
    "without_hessra_meta",
]

CAPABILITY = "dev.hessra/capability"
PROOF = "dev.hessra/proof"
OURS = "dev.hessra/"
"""The prefix of what client and guard say to each other in ``_meta``; it goes no further."""

LISTS = {
    "tools/list": "tools",
    "resources/list": "resources",
    "resources/templates/list": "resourceTemplates",
    "prompts/list": "prompts",
}
"""Requests that list, and the field of the result in which the list is."""

INTRODUCTIONS = ("initialize", "server/discover")
"""Requests whose result says what the server is, and has its instructions for a model."""

FILTERED = frozenset({*LISTS, *INTRODUCTIONS})
"""Requests whose result is not shown to a client as it is."""

NOTIFICATIONS = "notifications/"
"""How the name begins of every message that has no id; no other goes on without one."""

_TOLD = ("initialized", "cancelled", "progress", "roots/list_changed")

OPEN = frozenset(
    {
        *INTRODUCTIONS,
        "ping",
        "logging/setLevel",
        *LISTS,
        *(f"{NOTIFICATIONS}{name}" for name in _TOLD),
    }
)
"""Requests and notifications that need no capability."""

_READS = frozenset({"resources/read", "resources/subscribe", "resources/unsubscribe"})


def requested_call(method: str, params: Mapping[str, Any] | None) -> Call | None:
    """Return the call that a request asks for; None if it needs no capability.

    Raises:
        MalformedError: the request names nothing that could be decided on.
    """
    if method in OPEN:
        return None
    given = {} if params is None else params
    if method == "tools/call":
        return _call("tool", given.get("name"), _arguments(given), "invoke")
    if method in _READS and "uri" in given:
        return _call("resource", given["uri"], {}, "read")
    if method == "prompts/get":
        return _call("prompt", given.get("name"), _arguments(given), "get")
    return _call("method", method, {name: one for name, one in given.items() if name != "_meta"}, "call")


_TRACING = frozenset({"traceparent", "tracestate", "baggage"})
_LABELS = frozenset({"mcp", "modelcontextprotocol"})


def protocol_params(params: Mapping[str, Any], kept: Collection[str] = ()) -> dict[str, Any]:
    """Return the parameters with only those keys of ``_meta`` that the protocol defines, or that are kept.

    No capability names what is in ``_meta``, and a server may choose by it what runs. So nothing of ours and
    nothing unknown goes on to the server, and an empty ``_meta`` is omitted.
    """
    meta = params.get("_meta")
    if not isinstance(meta, Mapping):
        return dict(params)
    found = {key: value for key, value in meta.items() if _of_protocol(key) or key in kept}
    if len(found) == len(meta):
        return dict(params)
    rest = {key: value for key, value in params.items() if key != "_meta"}
    return {**rest, "_meta": found} if found else rest


def without_hessra_meta(frame: Message) -> Message:
    """Return a client's response to the server without anything of ours: the server must not get it."""
    return Message(without_forged_meta(frame.message))


def without_forged_meta(message: dict[str, Any]) -> dict[str, Any]:
    """Return a server's message without anything of ours: the server must not pose as its guard."""
    for part, place in (("result", "_meta"), ("error", "data")):
        body = message.get(part)
        if not isinstance(body, dict):
            continue
        held = body.get(place)
        if isinstance(held, dict) and any(name.startswith(OURS) for name in held):
            kept = {name: value for name, value in held.items() if not name.startswith(OURS)}
            message = {**message, part: {**body, place: kept}}
    return message


def _of_protocol(key: object) -> bool:
    """Return whether the protocol defines this key of ``_meta`` (basic/index, "_meta")."""
    if not isinstance(key, str):
        return False
    prefix, slash, _ = key.rpartition("/")
    if slash:
        return prefix.split(".")[1:2] != [] and prefix.split(".")[1] in _LABELS
    return key in ("progressToken", "progress_token") or key in _TRACING


def _arguments(params: Mapping[str, Any]) -> Mapping[str, Any]:
    # absent and null both mean none (the SDK writes null for a call without arguments)
    found = params.get("arguments")
    if found is None:
        return {}
    if not isinstance(found, Mapping):
        raise MalformedError("the arguments are not an object")
    return found


def _call(kind: str, name: object, arguments: Mapping[str, Any], operation: str) -> Call:
    if not isinstance(name, str):
        raise MalformedError(f"the name of the {kind} is not a string")
    return Call.of(name, arguments, kind=kind, operation=operation)
