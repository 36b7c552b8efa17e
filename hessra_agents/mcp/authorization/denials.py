"""How a refusal is told to a client, in a form that a model can use.

    RESULT    a tool call: a result with isError; any other request: a JSON-RPC error (the default)
    ERROR     a JSON-RPC error, code 403
    UNKNOWN   the error for what does not exist, so that nobody learns what does

A refused call is an HTTP 200 like any other answer: a 401 or 403 makes clients ask for a new OAuth token,
or hang. In all but ``UNKNOWN`` an envelope tells a program what a text tells a model, in ``_meta`` of a
result or ``data`` of an error, shaped like the Model Context Protocol's draft SEP-2643: it is there if and
only if the operation was not performed.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from ...errors import Denied, Reason

__all__ = ["DENIAL", "FORBIDDEN", "DenialFormat", "DenialResponse", "envelope", "refusal"]

DENIAL = "dev.hessra/denial"

FORBIDDEN = 403
"""The code of a refusal as a JSON-RPC error: outside of the ranges that JSON-RPC and MCP reserve."""

_INVALID_PARAMS = -32602

_FINAL = frozenset({Reason.REVOKED, Reason.SPENT, Reason.EXPOSED})
"""The same request must not be made again: nothing that the caller can get changes this."""

_UNDISCLOSED = frozenset(
    {Reason.UNKNOWN_ROOT, Reason.BAD_SIGNATURE, Reason.OUTSIDE_PROFILE, Reason.TOO_LARGE}
)

_KINDS = {"prompts/get": "prompt", "resources/read": "resource"}


class DenialFormat(StrEnum):
    """The form of a refusal."""

    RESULT = "result"
    ERROR = "error"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class DenialResponse:
    """Either a result or an error, as it goes over the wire."""

    result: dict[str, Any] | None = None
    error: dict[str, Any] | None = None


def envelope(denied: Denied) -> dict[str, Any]:
    """``reason``, one of the stable codes, and ``remediation``: whether another request may be permitted."""
    remediation = "available"
    if denied.reason in _FINAL:
        remediation = "unavailable"
    elif denied.reason in _UNDISCLOSED:
        remediation = "undisclosed"
    asked = {} if denied.request is None else {"request": denied.request}
    return {"reason": str(denied.reason), "remediation": remediation, **asked}


def refusal(
    denied: Denied, method: str, name: str = "", form: DenialFormat = DenialFormat.RESULT
) -> DenialResponse:
    """The answer to a refused request.

    Args:
        name: of the tool, prompt or resource that was asked for.
    """
    if form is DenialFormat.UNKNOWN:
        kind = "tool" if method == "tools/call" else _KINDS.get(method)
        if kind is None:
            return DenialResponse(error={"code": -32601, "message": "Method not found"})
        shown = name if name.isprintable() and len(name) <= 128 else "?"
        return DenialResponse(error={"code": _INVALID_PARAMS, "message": f"Unknown {kind}: {shown}"})
    text = f"refused: {denied}"
    if form is DenialFormat.RESULT and method == "tools/call":
        content = [{"type": "text", "text": text}]
        return DenialResponse(
            result={"content": content, "isError": True, "_meta": {DENIAL: envelope(denied)}}
        )
    return DenialResponse(error={"code": FORBIDDEN, "message": text, "data": {DENIAL: envelope(denied)}})
