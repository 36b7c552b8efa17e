"""Write a refusal for a client, in a form that a model can use.

    RESULT    a tool call: a result with isError; any other request: a JSON-RPC error (the default)
    ERROR     a JSON-RPC error, code 403
    UNKNOWN   the error for what does not exist, so that a caller does not learn what does

A refused call is an HTTP 200 like any other answer: a 401 or 403 makes clients ask for a new OAuth token,
or hang. In all forms but ``UNKNOWN`` an envelope says to a program what the text says to a model, in
``_meta`` of a result or ``data`` of an error, shaped like the Model Context Protocol's draft SEP-2643: the
envelope is there if and only if the operation was not performed.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from ...errors import Denied, Reason
from ..transport.messages import VERSION, Message

__all__ = ["DENIAL", "FORBIDDEN", "DenialFormat", "denial_message", "envelope", "refusal"]

DENIAL = "dev.hessra/denial"

FORBIDDEN = 403
"""The code of a refusal as a JSON-RPC error: outside of the ranges that JSON-RPC and MCP reserve."""

_INVALID_PARAMS = -32602

_FINAL = frozenset({Reason.REVOKED, Reason.SPENT, Reason.EXPOSED})
"""Reasons for which making the same request again is in vain, whatever the caller gets meanwhile."""

_UNDISCLOSED = frozenset(
    {Reason.UNKNOWN_ROOT, Reason.BAD_SIGNATURE, Reason.OUTSIDE_PROFILE, Reason.TOO_LARGE}
)

_KINDS = {"prompts/get": "prompt", "resources/read": "resource"}


class DenialFormat(StrEnum):
    """The form of a refusal."""

    RESULT = "result"
    ERROR = "error"
    UNKNOWN = "unknown"


def envelope(denied: Denied) -> dict[str, Any]:
    """Return the refusal for programs: its stable code, and whether another request may be permitted."""
    remediation = "available"
    if denied.reason in _FINAL:
        remediation = "unavailable"
    elif denied.reason in _UNDISCLOSED:
        remediation = "undisclosed"
    asked = {} if denied.request is None else {"request": denied.request}
    return {"reason": str(denied.reason), "remediation": remediation, **asked}


def refusal(
    denied: Denied, method: str, params: Mapping[str, Any], form: DenialFormat, *, sessionless: bool
) -> dict[str, Any]:
    """Return a refusal, in the form of its era: an object with a ``result`` or an ``error``."""
    if form is DenialFormat.UNKNOWN:
        kind = "tool" if method == "tools/call" else _KINDS.get(method)
        if kind is None:
            return {"error": {"code": -32601, "message": "Method not found"}}
        name = params.get("name", params.get("uri"))
        shown = name if isinstance(name, str) and name.isprintable() and len(name) <= 128 else "?"
        return {"error": {"code": _INVALID_PARAMS, "message": f"Unknown {kind}: {shown}"}}
    text = f"refused: {denied}"
    if form is DenialFormat.RESULT and method == "tools/call":
        content = [{"type": "text", "text": text}]
        era = {"resultType": "complete"} if sessionless else {}
        told = {"content": content, "isError": True, "_meta": {DENIAL: envelope(denied)}}
        return {"result": {**era, **told}}
    return {"error": {"code": FORBIDDEN, "message": text, "data": {DENIAL: envelope(denied)}}}


def denial_message(denied: Denied, frame: Message, form: DenialFormat) -> dict[str, Any]:
    """Return the JSON-RPC response to a refused request."""
    meta = frame.params.get("_meta")
    sessionless = isinstance(meta, Mapping) and VERSION in meta
    told = refusal(denied, frame.method or "", frame.params, form, sessionless=sessionless)
    return {"jsonrpc": "2.0", "id": frame.id, **told}
