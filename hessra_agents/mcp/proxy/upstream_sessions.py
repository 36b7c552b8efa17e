"""`UpstreamSessions`: what the proxy in front of a server over HTTP remembers of the server's sessions.

The proxy keeps no session of its own, and sends every request with its own credentials. So it remembers in
which sessions a capability was honored: without that, anybody could hear what the server says in a session,
end it, or cancel in it. And it remembers what runs in each: a server answers what its client has given up
with an error, which must not count as the server's own failure.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import anyio

from ..transport.messages import RpcError

__all__ = ["SESSION", "UpstreamSessions"]

SESSION = "mcp-session-id"

MAX_SESSIONS, MAX_ID = 16_384, 256
"""Sessions in which a capability was honored, the latest; characters of an id."""


@dataclass(slots=True, eq=False)
class _Running:
    """A request that waits for its answer."""

    id: str
    given_up: bool = False
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)


@dataclass(slots=True, eq=False, repr=False)
class UpstreamSessions:
    """Sessions, by the ids that the server gave them. ``repr`` does not show them."""

    _honored: OrderedDict[str, None] = field(default_factory=OrderedDict)
    _changed: anyio.Event = field(default_factory=anyio.Event)
    _running: dict[str, list[_Running]] = field(default_factory=dict)

    def is_honored(self, headers: Mapping[str, str]) -> bool:
        """Return whether a capability was honored in the session that these headers name."""
        return headers.get(SESSION) in self._honored

    def honor(self, headers: Mapping[str, str]) -> None:
        """Remember that a capability was honored in the session that these headers name, if they name one."""
        id = headers.get(SESSION, "")
        if not 0 < len(id) <= MAX_ID:
            return
        if id not in self._honored:
            self._changed.set()
            self._changed = anyio.Event()
        self._honored[id] = None
        self._honored.move_to_end(id)
        if len(self._honored) > MAX_SESSIONS:
            self._honored.popitem(last=False)

    async def until_honored(self, headers: Mapping[str, str]) -> None:
        """Wait until a capability was honored in the session that these headers name."""
        while not self.is_honored(headers):
            await self._changed.wait()

    def forget(self, headers: Mapping[str, str]) -> None:
        """Forget the session that these headers name."""
        self._honored.pop(headers.get(SESSION, ""), None)

    @contextmanager
    def running(self, headers: Mapping[str, str], id: object) -> Iterator[None]:
        """Run a request in the block until its client gives it up.

        Raises:
            RpcError: the client has given it up, whatever the server has answered.
        """
        session = headers.get(SESSION)
        if session is None:
            yield
            return
        request = _Running(str(id))
        self._running.setdefault(session, []).append(request)
        try:
            with request.scope:
                yield
        except RpcError:
            if not request.given_up:
                raise
        finally:
            self._running[session].remove(request)
            if not self._running[session]:
                del self._running[session]
        if request.given_up:
            raise RpcError("the request was cancelled", -32800, abandoned=True)

    def give_up(self, headers: Mapping[str, str], id: object = None) -> bool:
        """End the requests with this id in the session that these headers name; without an id, all there.

        Returns:
            Whether there was one.
        """
        running = self._running.get(headers.get(SESSION, ""), ())
        found = [request for request in running if id is None or request.id == str(id)]
        for request in found:
            request.given_up = True
            request.scope.cancel()
        return bool(found)
