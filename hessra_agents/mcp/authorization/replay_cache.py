"""Give the same proved request, sent again, the answer that it had: the tool does not run twice.

A network may deliver a request twice, and a client may send a request again when its answer was lost. A
proof is good for one call, so the second delivery would be refused; while the proof lives, the answer comes
from here. A request that is not exactly the same finds nothing here, and the ledger refuses its proof as
``replayed``.

An attacker who saw the whole request, with capability and proof, can get its answer for a minute: protect
both on their way.
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

MAX_ANSWERS = 1024
"""Answers that are kept."""

MAX_BYTES = 16 << 20
"""Bytes of all answers that are kept; a single answer may have a sixteenth of it."""


@dataclass(slots=True, eq=False)
class CachedAnswer(Generic[R]):
    """The answer to one request, now or later."""

    until: int
    done: anyio.Event = field(default_factory=anyio.Event)
    value: R | None = None
    there: bool = False
    size: int = 0

    async def wait(self) -> R:
        """Wait for the answer and return it.

        Raises:
            Denied: ``replayed``: the request was made before, and got no answer that could be kept.
        """
        await self.done.wait()
        if not self.there:
            raise Denied(Reason.REPLAYED, "the proof was used before, and no answer is kept")
        return self.value  # type: ignore[return-value]


class ReplayCache(Generic[R]):
    """Keep answers by the digest of their requests, each as long as the request's proof lives."""

    def __init__(
        self, size: Callable[[R], int], *, max_items: int = MAX_ANSWERS, max_bytes: int = MAX_BYTES
    ) -> None:
        self._size = size
        self._max_items = max_items
        self._max_bytes = max_bytes
        self._answers: OrderedDict[bytes, CachedAnswer[R]] = OrderedDict()
        self._bytes = 0

    def find(self, request: bytes, now: int) -> CachedAnswer[R] | None:
        """Return the answer to the same request, whether it is there or on its way."""
        self._forget(now)
        found = self._answers.get(request)
        return None if found is None or (found.there and found.until <= now) else found

    def open(self, request: bytes, until: int) -> CachedAnswer[R]:
        """Return a place for the answer to this request; `keep` or `drop` it later."""
        self._drop(request)
        answer = self._answers[request] = CachedAnswer(until)
        return answer

    def keep(self, request: bytes, answer: CachedAnswer[R], value: R) -> None:
        """Keep an answer. Requests that wait for it get it, even if it is too large to be kept."""
        answer.value, answer.there, answer.size = value, True, self._size(value)
        answer.done.set()
        self._bytes += answer.size
        if answer.size > self._max_bytes // 16:
            self._drop(request)
        while len(self._answers) > self._max_items or self._bytes > self._max_bytes:
            oldest = next((key for key, one in self._answers.items() if one.there), None)
            if oldest is None:
                break
            self._drop(oldest)

    def drop(self, request: bytes, answer: CachedAnswer[R]) -> None:
        """Give up the place, because the request was refused, failed or was cancelled."""
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
