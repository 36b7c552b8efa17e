"""Count the refusals of calls whose token no trusted root signed, so that they are on record and stay few.

Anybody who can reach a guard can send such calls, as many as they like. The first of each source is recorded
at once; what follows within a minute is one record, with the first, the last and how many there were. A
source is what was called and why it was refused: more is not known of a stranger, and nothing is kept of
what was sent.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import replace

from ..errors import Denied
from .model import CountedRefusals, DeniedCall

__all__ = ["StrangerCounts"]

PERIOD = 60
"""Seconds that one record of a source is about."""

HOUR = 3600
MOST = 60
"""Records in an hour, of all sources."""

SOURCES = 64
"""Sources that are told apart; further ones are counted together, by the reason alone."""

LONGEST = 512
"""Characters that are kept of a name or a text; a record shows fewer."""


class StrangerCounts:
    """What one guard has refused to strangers and not recorded yet. May be used by several threads."""

    def __init__(self) -> None:
        self._waiting: dict[tuple[str, str], CountedRefusals] = {}
        self._opened: dict[tuple[str, str], int] = {}  # when the last record of a source was made
        self._recorded: deque[int] = deque(maxlen=MOST)
        self._lock = threading.Lock()

    def add(self, refused: DeniedCall, now: int) -> list[CountedRefusals]:
        """Count a refusal, and return what is to be recorded now."""
        denied = refused.denied
        called = refused.call.resource if refused.call is not None else f"tool:{denied.tool}"
        key = called[:LONGEST], str(denied.reason)
        # a new one: the traceback of the old one holds all that was sent
        said = Denied(denied.reason, denied.text[:LONGEST], detail=denied.detail[:LONGEST])
        with self._lock:
            if key not in self._opened and len(self._opened) >= SOURCES:
                key = "", key[1]
            due = key not in self._opened or now - self._opened[key] >= PERIOD
            self._opened.setdefault(key, now)
            before, one = self._waiting.get(key), replace(refused, denied=said, call=None)
            first, count = (before.first, before.count) if before else (refused.time, 0)
            self._waiting[key] = CountedRefusals(one, key[0], first, count + 1)
            return self._due(key, now) if due else []

    def due(self, now: int) -> list[CountedRefusals]:
        """Return what is to be recorded now, and forget the sources that were silent."""
        found: list[CountedRefusals] = []
        with self._lock:
            for key, opened in list(self._opened.items()):
                if now - opened < PERIOD:
                    continue
                if key in self._waiting:
                    found += self._due(key, now)
                else:
                    del self._opened[key]
        return found

    def rest(self) -> list[CountedRefusals]:
        """Return all that is not recorded yet, in one count for each reason."""
        found: dict[str, CountedRefusals] = {}
        with self._lock:
            for (_, reason), one in self._waiting.items():
                found[reason] = one.with_others(found[reason]) if reason in found else one
            self._waiting.clear()
        return list(found.values())

    def _due(self, key: tuple[str, str], now: int) -> list[CountedRefusals]:
        if len(self._recorded) == MOST and now - self._recorded[0] < HOUR:
            return []
        self._recorded.append(now)
        self._opened[key] = now
        return [self._waiting.pop(key)]
