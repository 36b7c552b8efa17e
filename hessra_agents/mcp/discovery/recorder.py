"""`CallRecorder`: permit everything, and remember the calls, from which `suggest_grants` makes grants.

It protects from nothing. It takes the place of a `RequestAuthorizer` until it is known what a session needs.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, TypeVar

from ...call.call import Call
from ...call.canonical import MalformedError
from ..authorization.authorizer import Forward, is_error
from ..authorization.catalog import Fetch, ToolCatalog
from ..authorization.requests import protocol_params, requested_call

__all__ = ["CallRecorder"]

MAX_CALLS = 10_000
"""Calls that are remembered."""

R = TypeVar("R")

_log = logging.getLogger("hessra_agents")


class CallRecorder:
    """Record the calls that one server carried out, in the order of its answers."""

    def __init__(self) -> None:
        self.catalog = ToolCatalog()
        self.calls: list[Call] = []
        self.failed = 0
        """Calls that the server refused, or could not carry out: nobody needs a grant for those."""

    async def handle(
        self, method: str, params: Mapping[str, Any] | None, forward: Forward[R], *, fetch: Fetch | None
    ) -> R:
        """Forward a request, whatever it asks for, and remember its call if the server carried it out."""
        given = params or {}
        try:
            call = requested_call(method, given)
        except MalformedError:
            call = None
            _log.warning("a request was seen that no capability can name")
        answer = await forward(protocol_params(given))
        if call is not None and is_error(answer):
            self.failed += 1
        elif call is not None and len(self.calls) < MAX_CALLS:
            self.calls.append(call)
            if len(self.calls) == MAX_CALLS:
                _log.warning("%d calls were seen: no more are remembered", MAX_CALLS)
        return answer

    def filter_result(
        self, method: str, params: Mapping[str, Any] | None, result: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        """Return the whole result."""
        return result
