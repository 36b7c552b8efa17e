"""Open the store at a path or an address, and say where its logs are kept."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from ..model import LedgerError
from .connection import StoreConnection
from .postgres import Postgres, state_folder
from .sqlite import SQLite

__all__ = ["open_store", "store_at"]


def store_at(
    where: str | Path, *, durable: bool = True, state_dir: str | Path | None = None
) -> tuple[StoreConnection, Path]:
    """Return the store at a place, not open yet, and the folder for the logs of this machine's guards.

    Raises:
        LedgerError: there can be no store at such a place, or on this system.
    """
    text = str(where)
    if find_spec("fcntl") is None:
        raise LedgerError("a ledger on disk needs a POSIX system, which has locks; use Ledger.memory()")
    if text == ":memory:":
        raise LedgerError("a ledger is kept in a file: use Ledger.memory() for one in memory")
    store: Postgres | SQLite
    if text.startswith(("postgresql://", "postgres://")):
        store, folder = Postgres(text, durable=durable), state_folder(text)
    elif "://" in text or not text:
        raise LedgerError("a ledger is the path of a file, or a postgresql:// address")
    else:
        path = Path(where)
        store, folder = SQLite(path, durable=durable), path.with_name(f"{path.name}.log")
    return store, Path(state_dir) if state_dir else folder


def open_store(
    where: str | Path, *, durable: bool = True, state_dir: str | Path | None = None
) -> tuple[StoreConnection, Path]:
    """Open the store at a place; see `store_at`.

    Raises:
        LedgerError: the store cannot be opened, or must not be.
    """
    store, folder = store_at(where, durable=durable, state_dir=state_dir)
    store.open()
    return store, folder
