"""`PendingRequest`: a request that waits for a server's answer, and the inbox in which the answer arrives."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import anyio

from ..transport.messages import Message, RpcError, patience

__all__ = ["Inbox", "PendingRequest"]

MAX_MESSAGES, MAX_BYTES = 256, 8 << 20
"""Messages that wait in an inbox, and their bytes."""


@dataclass(slots=True, eq=False)
class Inbox:
    """Messages that wait until a client's task takes them. What does not fit is left out, except answers.

    Args:
        hold: called with the bytes of an answer; raises RpcError if there is no room for it.
    """

    hold: Callable[[int], None] | None = None
    why: RpcError | None = None
    """Why no more messages come, once the inbox is closed."""
    _messages: deque[tuple[dict[str, Any], int]] = field(default_factory=deque)
    _bytes: int = 0
    _changed: anyio.Event = field(default_factory=anyio.Event)

    def put(self, message: dict[str, Any], size: int) -> bool:
        """Add a message, and return whether there was room for it; without room for an answer, close."""
        if self.why is not None:
            return False
        if "method" not in message:
            try:
                if self.hold is not None:
                    self.hold(size)
            except RpcError as error:
                self.close(error)
                return False
        elif len(self._messages) >= MAX_MESSAGES or self._bytes + size > MAX_BYTES:
            return False
        self._messages.append((message, size))
        self._bytes += size
        self._changed.set()
        return True

    def close(self, why: RpcError) -> None:
        """Let no more messages in; whoever reads gets the ones that wait, and then this error."""
        if self.why is None:
            self.why = why
            self._changed.set()

    def __aiter__(self) -> Inbox:
        return self

    async def __anext__(self) -> dict[str, Any]:
        while not self._messages:
            if self.why is not None:
                raise self.why
            self._changed = anyio.Event()
            await self._changed.wait()
        message, size = self._messages.popleft()
        self._bytes -= size
        return message


@dataclass(slots=True, eq=False)
class PendingRequest:
    """A request without an answer, under the id that it has with the server."""

    frame: Message
    client_id: str | int | None
    """The id that the client gave it; None for a request of our own."""
    size: int
    inbox: Inbox
    scope: anyio.CancelScope
    """Ends the work on the request when its time is up, or when it is abandoned."""
    timeout: float
    sent: bool = False
    answered: bool = False
    """The server's answer is there, and on its way to the client."""
    cancelled: bool = False
    """By the client, which wants no answer any more."""
    done: anyio.Event = field(default_factory=anyio.Event)
    """Set when the request is answered or abandoned."""

    def renew(self, *, asked: bool) -> None:
        """Wait longer, because the server has said something about the request."""
        seconds = patience(self.frame.method, self.timeout, asked=asked)
        self.scope.deadline = anyio.current_time() + seconds

    def fail(self, why: RpcError) -> None:
        """End the wait for the answer; a request that was not sent yet is not sent any more."""
        self.inbox.close(why)
        if not self.sent:
            self.scope.cancel()

    async def answer(self) -> dict[str, Any]:
        """Return the answer, and pass over all messages before it.

        Raises:
            RpcError: there is none.
        """
        while True:
            message = await anext(self.inbox)
            if "method" not in message:
                return message
