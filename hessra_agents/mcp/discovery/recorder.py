"""`CallRecorder`: permit everything, and remember the calls, from which `suggest_grants` makes grants.

It protects from nothing. It takes the place of a `RequestAuthorizer` until it is known what a session needs.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, TypeVar

from ...call.call import Call
from ...call.canonical import MalformedError
from ..authorization.authorizer import Forward
from ..authorization.catalog import Fetch, ToolCatalog
from ..authorization.requests import protocol_params, requested_call

__all__ = ["CallRecorder"]

MAX_CALLS = 10_000
"""Calls that are remembered."""

R = TypeVar("R")

_log = logging.getLogger("hessra_agents")


class CallRecorder:
    """Record the calls to one server, in order."""

    def __init__(self) -> None:
        self.catalog = ToolCatalog()
        self.calls: list[Call] = []

    async def handle(
        self, method: str, params: Mapping[str, Any] | None, forward: Forward[R], *, fetch: Fetch | None
    ) -> R:
        """Forward a request, whatever it asks for, and remember its call."""
        given = params or {}
        try:
            call = requested_call(method, given)
        except MalformedError:
            call = None
            _log.warning("a request was seen that no capability can name")
        if call is not None:
            if len(self.calls) == MAX_CALLS:
                _log.warning("more than %d calls: the others are not remembered", MAX_CALLS)
            if len(self.calls) <= MAX_CALLS:
                self.calls.append(call)
        return await forward(protocol_params(given))

    def filter_list(
        self, method: str, params: Mapping[str, Any] | None, result: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Return the whole list."""
        return dict(result)
