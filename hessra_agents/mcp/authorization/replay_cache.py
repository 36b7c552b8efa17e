"""Give the same proved request, sent again, the answer that it had: the tool does not run twice.

A network may deliver a request twice, and a client may send it again when an answer was lost. A proof is good
for one call, so the second delivery would be refused; while the proof lives, it is answered from here. What
is not the same request to the letter finds nothing here, and the ledger refuses its proof as ``replayed``.

Whoever saw the whole request, with capability and proof, can so see its answer, for a minute: protect both on
their way.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import anyio

from ...errors import Denied, Reason

__all__ = ["ReplayCache"]

R = TypeVar("R")

MOST = 1024
"""Answers kept, at most."""

MOST_BYTES = 16 << 20
"""Bytes of all answers kept, at most; one may be a sixteenth of it."""


@dataclass(slots=True, eq=False)
class CachedAnswer(Generic[R]):
    """The answer to one request, when it is there."""

    until: int
    done: anyio.Event = field(default_factory=anyio.Event)
    value: R | None = None
    there: bool = False
    size: int = 0

    async def wait(self) -> R:
        """The answer.

        Raises:
            Denied: ``replayed``: the request was made before, and got no answer that could be kept.
        """
        await self.done.wait()
        if not self.there:
            raise Denied(Reason.REPLAYED, "the proof was used before, and no answer is kept")
        return self.value  # type: ignore[return-value]


class ReplayCache(Generic[R]):
    """Answers by the digest of their requests, each as long as the request's proof lives."""

    def __init__(
        self, size: Callable[[R], int], *, max_items: int = MOST, most_bytes: int = MOST_BYTES
    ) -> None:
        self._size = size
        self._most = max_items
        self._most_bytes = most_bytes
        self._answers: OrderedDict[bytes, CachedAnswer[R]] = OrderedDict()
        self._bytes = 0

    def find(self, request: bytes, now: int) -> CachedAnswer[R] | None:
        """The answer to the same request, there or on its way."""
        self._forget(now)
        found = self._answers.get(request)
        return None if found is None or (found.there and found.until <= now) else found

    def open(self, request: bytes, until: int) -> CachedAnswer[R]:
        """A place for the answer to this request, to be kept or dropped."""
        self._drop(request)
        answer = self._answers[request] = CachedAnswer(until)
        return answer

    def keep(self, request: bytes, answer: CachedAnswer[R], value: R) -> None:
        """Keep an answer; whoever waits for it has it, even if it is too large to be kept."""
        answer.value, answer.there, answer.size = value, True, self._size(value)
        answer.done.set()
        self._bytes += answer.size
        if answer.size > self._most_bytes // 16:
            self._drop(request)
        while len(self._answers) > self._most or self._bytes > self._most_bytes:
            oldest = next((key for key, one in self._answers.items() if one.there), None)
            if oldest is None:
                break
            self._drop(oldest)

    def drop(self, request: bytes, answer: CachedAnswer[R]) -> None:
        """There is no answer: the request was refused, failed or was cancelled."""
        if self._answers.get(request) is answer:
            self._drop(request)
        answer.done.set()

    def _drop(self, request: bytes) -> None:
        gone = self._answers.pop(request, None)
        self._bytes -= gone.size if gone is not None else 0

    def _forget(self, now: int) -> None:
        # in the order in which they came, which is nearly the order in which they end
        while self._answers:
            key, oldest = next(iter(self._answers.items()))
            if not oldest.there or oldest.until > now:
                break
            self._drop(key)
