"""An open store: it was checked, this process has a log in it, and its thread does what is due."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from ..errors import Denied
from . import transactions as steps
from .forgetting import Forgetting
from .log.appender import LogAppender, open_log
from .model import LedgerError
from .revocations import RevocationList
from .store.connection import StoreConnection, StoreError, run_transaction
from .store.writer import Writer

__all__ = ["OpenStore", "open_checked"]


class OpenStore(Writer):
    """The writer of a ledger's store, which also reads revocations, signs checkpoints and forgets.

    Args:
        connection: an open connection, used by the store's thread from now on.
        revoked: the revocations that the store has.
        appender: the log that this process writes.
        clock: Unix seconds.
        newest: the time of the newest record, for `Forgetting`.
        on_idle: called in the store's thread when nothing waits, and after every commit.
    """

    def __init__(
        self,
        connection: StoreConnection,
        revoked: RevocationList,
        appender: LogAppender,
        clock: Callable[[], float],
        newest: int | None,
        on_idle: Callable[[Writer], None],
    ) -> None:
        self.revoked = revoked
        self.appender = appender
        self.latest = 0
        """The time of the last call, by its guard's clock; 0 before the first."""
        self._poll = connection.poll
        self._polled = time.monotonic()
        self._forgetting = Forgetting(clock, newest)
        self._then = on_idle
        super().__init__(connection, self._regularly, self._revert, appender.close)  # its thread starts

    def _revert(self) -> None:
        """Drop what was read or computed in a transaction that was rolled back."""
        self.revoked.rollback()
        self.appender.reset()

    def _regularly(self, writer: Writer) -> None:
        """Write a checkpoint, read new revocations and delete what has expired, each when it is time."""
        self.revoked.commit()
        self.appender.write_checkpoint()
        now = time.monotonic()
        if writer.notified or now - self._polled >= self._poll:
            self._polled = now
            try:
                writer.run(lambda again: steps.learn_revocations(self.revoked))
                self.revoked.commit()
            except Denied as denied:
                raise LedgerError(denied.detail) from denied
        self._forgetting.delete_due(writer, self.latest)
        self._then(writer)


def open_checked(
    connection: StoreConnection,
    folder: Path,
    *,
    checkpoints: str | Path | None = None,
    on_damage: Callable[[str], None] | None = None,
) -> tuple[RevocationList, LogAppender, int | None]:
    """Open a store, read its revocations, and take a log in it; the parameters are those of `Ledger.open`.

    Returns:
        The revocations, the log, and the time of the newest record where the store has no clock.

    Raises:
        LedgerError: the store cannot be opened, or must not be used as it is; it is closed.
    """
    revoked = RevocationList()
    try:
        connection.open()
        run_transaction(connection, steps.learn_revocations(revoked))
        newest = None if connection.has_clock else run_transaction(connection, steps.newest_record())
        appender = open_log(connection, folder, checkpoints=checkpoints, on_damage=on_damage)
    except BaseException as error:
        connection.close()
        if isinstance(error, (StoreError, OSError, LookupError, Denied)):
            raise LedgerError(f"{connection.name}: {getattr(error, 'detail', error)}") from error
        raise
    revoked.commit()
    return revoked, appender, newest
