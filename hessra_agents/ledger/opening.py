"""Opening a ledger that survives: the store, the folder of its logs, and whether the two agree."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ..errors import Denied
from .log.appender import LogAppender, check
from .log.directory import LogDirectory
from .protocol import LedgerError
from .revocations import RevocationList
from .store.connection import StoreConnection, StoreError, run_in_thread, run_transaction
from .store.sqlite import SQLite
from .store.writer import Writer
from .stored import StoredLedger
from .transactions import learn_revocations

__all__ = ["open_ledger", "open_store"]


def open_ledger(
    where: str | Path,
    *,
    durable: bool = True,
    keep_arguments: bool = False,
    state_dir: str | Path | None = None,
    checkpoints: str | Path | None = None,
    on_damage: Callable[[str], None] | None = None,
) -> StoredLedger:
    """The ledger at this place; see `Ledger.open`.

    Args:
        on_damage: is told of a log of another process that is not what its head covers, in place of a
            refusal. For who only takes something back: that must not wait for a repair.

    Raises:
        LedgerError: it must not be used.
    """
    return run_in_thread(lambda: _opened(where, durable, keep_arguments, state_dir, checkpoints, on_damage))


def _opened(
    where: str | Path,
    durable: bool,
    keep_arguments: bool,
    state_dir: str | Path | None,
    checkpoints: str | Path | None,
    on_damage: Callable[[str], None] | None,
) -> StoredLedger:
    connection, home, poll = open_store(where, durable=durable, state_dir=state_dir)
    try:
        slot = home.acquire()
    except BaseException:
        connection.close()
        raise
    revoked = RevocationList()
    try:
        known = [
            *home.checkpoints(slot, on_damage).values(),
            *(home.witnessed_checkpoints(Path(checkpoints)) if checkpoints is not None else ()),
        ]
        try:
            for head in known:
                try:
                    run_transaction(connection, check(head.origin, head))
                except (LedgerError, LookupError) as error:
                    if on_damage is None or head.origin == slot.origin:
                        raise
                    on_damage(str(error))
            run_transaction(connection, learn_revocations(revoked))
        except (StoreError, OSError, LookupError) as error:
            raise LedgerError(f"{where}: {error}") from error
        except Denied as denied:
            raise LedgerError(f"{where}: {denied.detail}") from denied
        journal = LogAppender(slot)
    except BaseException:
        connection.close()
        slot.release()
        raise

    def start(ledger: StoredLedger) -> Writer:
        return Writer(connection, poll=poll, between=ledger.on_idle, failed=ledger.on_rollback)

    return StoredLedger(start, journal, revoked, poll=poll, keep_arguments=keep_arguments)


def open_store(
    where: str | Path, *, durable: bool = True, state_dir: str | Path | None = None
) -> tuple[StoreConnection, LogDirectory, float]:
    """An open connection to a store, the folder of its logs, and how often to look for what others revoked.

    Raises:
        LedgerError: it cannot be opened, or must not be.
    """
    text = str(where)
    if text.startswith(("postgresql://", "postgres://")):
        from .store.postgres import Postgres, state_folder

        postgres = Postgres(text, durable=durable)
        postgres.open()
        return postgres, LogDirectory(Path(state_dir) if state_dir else state_folder(text)), 1.0
    if "://" in text or not text:
        raise LedgerError("a ledger is the path of a file, or a postgresql:// address")
    path = Path(where)
    sqlite = SQLite(path, durable=durable)
    sqlite.open()
    return sqlite, LogDirectory(Path(state_dir) if state_dir else path.with_name(f"{path.name}.log")), 0.1
