"""Requests that wait for their answers: those of a client, and questions of our own among them.

An answer is told by its id alone, so no two requests may have the same: neither while one waits, nor while
the answer to one that was given up may still come. ``7`` and ``"7"`` are one id, because some peers think so.
"""

from __future__ import annotations

import secrets
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

import anyio

from ..transport.messages import INTERNAL_ERROR, INVALID_REQUEST, InvalidMessageError, Message, write_message
from ..transport.stdio import LineWriter

__all__ = ["OwnRequests", "PendingRequest", "PendingRequests", "cancelled"]

MAX_WAITING = 64 << 20
"""Bytes of requests that wait, each counted with 4 KiB more."""

MAX_ID, MAX_REASON = 256, 200
"""Characters."""

MAX_GIVEN_UP = 4096
"""Requests that were given up and whose answers may still come."""


@dataclass(slots=True, eq=False)
class PendingRequest:
    """A request of a client that has no answer yet."""

    frame: Message
    size: int
    scope: anyio.CancelScope
    """Ends when its time is up, or when the client gives it up."""
    moved: anyio.Event = field(default_factory=anyio.Event)
    """It went on, was refused, or takes its time."""
    done: anyio.Event = field(default_factory=anyio.Event)
    sent: bool = False
    given_up: bool = False
    """By the client, which wants no answer any more."""
    message: dict[str, Any] | None = None
    """The answer, once it was told."""

    def answer(self, message: dict[str, Any]) -> None:
        """There is its answer."""
        self.message = message
        self.done.set()


class PendingRequests:
    """The requests of one client that wait."""

    def __init__(self) -> None:
        self._waiting: dict[str, PendingRequest] = {}
        self._given_up: OrderedDict[str, None] = OrderedDict()
        self._size = 0

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def all(self) -> list[PendingRequest]:
        """All of them, the oldest first."""
        return [*self._waiting.values()]

    def find(self, id: object) -> PendingRequest | None:
        """The one with this id."""
        return self._waiting.get(str(id))

    def admit(self, frame: Message, size: int, *, seconds: float) -> PendingRequest:
        """Let a request wait for so long.

        Raises:
            InvalidMessageError: its id is in use or too long, or too much is waiting.
        """
        key, size = str(frame.id), size + 4096
        if len(key) > MAX_ID:
            raise InvalidMessageError(INVALID_REQUEST, f"the id has more than {MAX_ID} characters")
        if key in self._waiting or key in self._given_up:
            # without the id: under it, the error would be taken for the other request's answer
            raise InvalidMessageError(INVALID_REQUEST, "the id is in use for another request")
        if self._size + size > MAX_WAITING:
            raise InvalidMessageError(INTERNAL_ERROR, "too many requests wait for their answers", frame.id)
        scope = anyio.CancelScope(deadline=anyio.current_time() + seconds)
        one = self._waiting[key] = PendingRequest(frame, size, scope)
        self._size += size
        return one

    def forget(self, one: PendingRequest) -> None:
        """It has its answer, or gets none."""
        key = str(one.frame.id)
        if self._waiting.get(key) is one:
            del self._waiting[key]
            self._size -= one.size
            if one.sent and one.message is None:
                self._given_up[key] = None
                if len(self._given_up) > MAX_GIVEN_UP:
                    self._given_up.popitem(last=False)

    def came_late(self, id: object) -> bool:
        """Whether this is the answer to a request that was given up; it can come once."""
        key = str(id)
        found = key in self._given_up
        self._given_up.pop(key, None)
        return found


class OwnRequests:
    """Questions of our own to a server that others ask, too, under ids that nobody else can know."""

    def __init__(self, to: LineWriter, seconds: float) -> None:
        self._to = to
        self._seconds = seconds
        self._prefix = f"hessra-{secrets.token_hex(16)}-"
        self._asked: dict[str, PendingRequest] = {}
        self._number = 0

    def are(self, id: object) -> bool:
        """Whether an id is one of ours."""
        return isinstance(id, str) and id.startswith(self._prefix)

    async def request(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        """Send a request and return the response.

        Raises:
            TimeoutError: there is none in time.
            anyio.BrokenResourceError: the server takes nothing any more.
        """
        self._number += 1
        id = f"{self._prefix}{self._number}"
        frame = Message({"jsonrpc": "2.0", "id": id, "method": method, "params": params})
        one = self._asked[id] = PendingRequest(frame, 0, anyio.CancelScope())
        try:
            with anyio.fail_after(self._seconds):
                await self._to.send(write_message(frame.message))
                await one.done.wait()
        except BaseException:
            self._to.send_nowait(cancelled(id))
            raise
        finally:
            del self._asked[id]
        if one.message is None:
            raise anyio.BrokenResourceError
        return one.message

    def fail(self) -> None:
        """The server is gone: no question will be answered."""
        for one in self._asked.values():
            one.done.set()

    def answered(self, message: dict[str, Any]) -> None:
        """The server answers one of ours; one that nobody waits for any more is let go."""
        one = self._asked.get(message["id"])
        if one is not None:
            one.answer(message)


def cancelled(id: str | int | None, reason: object = None) -> bytes:
    """Tells a server that nobody waits for the answer to this request any more; a long reason is cut."""
    known = reason if isinstance(reason, str) and reason.isprintable() else "no answer is waited for any more"
    params = {"requestId": id, "reason": known[:MAX_REASON]}
    return write_message({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params})
