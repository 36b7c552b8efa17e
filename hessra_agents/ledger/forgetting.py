"""Delete what has expired, without keeping a call waiting and without believing a clock that is ahead.

* A batch is a transaction of its own, as large as takes about `BATCH` seconds on this store.
* What a guard with a right clock still needs stays, whatever a wrong clock says: the smallest counts of the
  time of the last call, the ledger's own clock, the machine's, the store's (PostgreSQL has one), and a time
  that passes at most twice as fast as it does. Where the store has no clock, that time begins with the newest
  record, so a machine that starts with its clock ahead forgets nothing for it. Behind it, `MARGIN` is kept.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from . import transactions as steps
from .store.connection import Steps, StoreError
from .store.writer import LINGER, Writer

__all__ = ["Forgetting"]

EXPIRE_EVERY = 10.0
"""Seconds between two looks for what has expired."""

MARGIN = 120
"""Seconds that the clocks of guards that share a store may differ: so long, what has expired is kept."""

BATCH = 0.02
"""Seconds that a batch should take: the longest that a call waits for one, about."""

PAUSE = 0.25
"""Length of the pause between two batches, for the calls that wait, in lengths of the batch before it."""

LEAST, MOST = 64, 512
"""Rows of a table in one batch."""

_log = logging.getLogger("hessra_agents")


class Forgetting:
    """Deletes what has expired, from time to time. Used by the store's thread.

    Args:
        clock: Unix seconds.
        newest: the time of the newest record; None if there is none, or if the store has a clock.
    """

    def __init__(self, clock: Callable[[], float], newest: int | None = None) -> None:
        self._clock = clock
        self._believed, self._asked = clock() if newest is None else newest, time.monotonic()
        self._due = self._asked + EXPIRE_EVERY
        self._rows = 256

    def delete_due(self, writer: Writer, latest: int) -> None:
        """Delete a batch if it is time.

        Args:
            latest: the time of the last call, by its guard's clock; 0 before the first.
        """
        start = time.monotonic()
        if start < self._due or not latest:
            return
        before = self.believed(latest) - MARGIN
        try:
            deleted = writer.run(lambda again: self._batch(before))
        except StoreError as error:
            _log.warning("what has expired could not be deleted: %s", error)
            deleted, self._rows = 0, max(LEAST, self._rows // 4)
        took = time.monotonic() - start
        more = deleted >= self._rows
        if more:
            # it grows slowly: the commit after a few fast ones may write the write-ahead log back
            self._rows = min(MOST, max(LEAST, int(self._rows * min(BATCH / took, 1.25))))
        pause = took * PAUSE if more else EXPIRE_EVERY
        writer.linger = min(pause, LINGER)
        self._due = start + took + pause

    def believed(self, latest: int) -> int:
        """Return the time that no clock contradicts."""
        now = time.monotonic()
        steady = self._believed + 2 * (now - self._asked)
        self._believed, self._asked = min(latest, self._clock(), time.time(), steady), now
        return int(self._believed)

    def _batch(self, before: int) -> Steps[int]:
        ((clock,),) = yield "clock", ()
        return (yield from steps.expire(before if clock is None else min(before, clock - MARGIN), self._rows))
