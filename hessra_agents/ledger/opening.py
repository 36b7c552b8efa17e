"""Opening a ledger that survives: the store, the folder of its logs, and whether the two agree."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ..errors import Denied
from .log.appender import Journal, check
from .log.directory import Home
from .protocol import LedgerError
from .revocations import Revoked
from .store.connection import Connection, StoreFailed, apart, run
from .store.sqlite import SQLite
from .store.writer import Writer
from .stored import StoredLedger
from .transactions import learn

__all__ = ["open_ledger", "store_of"]


def open_ledger(
    where: str | Path,
    *,
    durable: bool = True,
    clear: bool = False,
    state: str | Path | None = None,
    heads: str | Path | None = None,
    damaged: Callable[[str], None] | None = None,
) -> StoredLedger:
    """The ledger at this place; see `Ledger.open`.

    Args:
        damaged: is told of a log of another process that is not what its head covers, in place of a
            refusal. For who only takes something back: that must not wait for a repair.

    Raises:
        LedgerError: it must not be used.
    """
    return apart(lambda: _opened(where, durable, clear, state, heads, damaged))


def _opened(
    where: str | Path,
    durable: bool,
    clear: bool,
    state: str | Path | None,
    heads: str | Path | None,
    damaged: Callable[[str], None] | None,
) -> StoredLedger:
    connection, home, poll = store_of(where, durable=durable, state=state)
    try:
        slot = home.take()
    except BaseException:
        connection.close()
        raise
    revoked = Revoked()
    try:
        known = [
            *home.heads(slot, damaged).values(),
            *(home.witnessed(Path(heads)) if heads is not None else ()),
        ]
        try:
            for head in known:
                try:
                    run(connection, check(head.origin, head))
                except (LedgerError, LookupError) as error:
                    if damaged is None or head.origin == slot.origin:
                        raise
                    damaged(str(error))
            run(connection, learn(revoked))
        except (StoreFailed, OSError, LookupError) as error:
            raise LedgerError(f"{where}: {error}") from error
        except Denied as denied:
            raise LedgerError(f"{where}: {denied.detail}") from denied
        journal = Journal(slot)
    except BaseException:
        connection.close()
        slot.release()
        raise

    def start(ledger: StoredLedger) -> Writer:
        return Writer(connection, poll=poll, between=ledger.between, failed=ledger.lost)

    return StoredLedger(start, journal, revoked, poll=poll, clear=clear)


def store_of(
    where: str | Path, *, durable: bool = True, state: str | Path | None = None
) -> tuple[Connection, Home, float]:
    """An open connection to a store, the folder of its logs, and how often to look for what others revoked.

    Raises:
        LedgerError: it cannot be opened, or must not be.
    """
    text = str(where)
    if text.startswith(("postgresql://", "postgres://")):
        from .store.postgres import Postgres, state_folder

        postgres = Postgres(text, durable=durable)
        postgres.open()
        return postgres, Home(Path(state) if state else state_folder(text)), 1.0
    if "://" in text or not text:
        raise LedgerError("a ledger is the path of a file, or a postgresql:// address")
    path = Path(where)
    sqlite = SQLite(path, durable=durable)
    sqlite.open()
    return sqlite, Home(Path(state) if state else path.with_name(f"{path.name}.log")), 0.1
