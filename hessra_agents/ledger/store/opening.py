"""Open the store at a path or an address, and say where its logs are kept."""

from __future__ import annotations

from pathlib import Path

from ..model import LedgerError
from .connection import StoreConnection
from .postgres import Postgres, state_folder
from .sqlite import SQLite

__all__ = ["open_store"]


def open_store(
    where: str | Path, *, durable: bool = True, state_dir: str | Path | None = None
) -> tuple[StoreConnection, Path]:
    """Return an open connection to a store, and the folder for the logs of this machine's guards.

    Raises:
        LedgerError: the store cannot be opened, or must not be.
    """
    text = str(where)
    store: Postgres | SQLite
    if text.startswith(("postgresql://", "postgres://")):
        store, folder = Postgres(text, durable=durable), state_folder(text)
    elif "://" in text or not text:
        raise LedgerError("a ledger is the path of a file, or a postgresql:// address")
    else:
        path = Path(where)
        store, folder = SQLite(path, durable=durable), path.with_name(f"{path.name}.log")
    store.open()
    return store, Path(state_dir) if state_dir else folder
