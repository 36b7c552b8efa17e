"""The stores that a ledger may have, made for a measurement and removed after it: SQLite, PostgreSQL.

Their files are in ``/var/tmp``, because ``/tmp`` may be kept in memory, where a commit costs nothing. How
long that disk takes to make a small write last is measured, too: a durable decision cannot be faster.
"""

from __future__ import annotations

import os
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from time import perf_counter_ns
from typing import Any

from hessra_agents import Ledger, Trust

from .tail import Tail

FULL, NORMAL, POSTGRES = "SQLite FULL", "SQLite NORMAL", "PostgreSQL"


@dataclass(frozen=True, slots=True)
class Store:
    """Where a ledger is opened; its file, or its tables, are made by the first one who does."""

    name: str
    where: str
    state: str
    durable: bool = True

    def open(self) -> Ledger:
        """One process's ledger there, open."""
        ledger = Ledger.open(self.where, durable=self.durable, state_dir=self.state)
        assert ledger.revoked.epoch >= 0  # to ask opens it
        return ledger

    def keep(self, trust: Trust) -> str:
        """Write root keys beside it, for other processes; their path."""
        path = f"{self.state}.trust"
        trust.save(path)
        return path


class Stores:
    """Makes new, empty stores in one folder."""

    def __init__(self, folder: Path, server: Any) -> None:
        self.folder = folder
        self._server = server
        self._made = 0

    def fresh(self, name: str) -> Store:
        """A store of this name with nothing in it."""
        self._made += 1
        state = str(self.folder / f"{self._made}.log")
        where = self._server.fresh() if name == POSTGRES else str(self.folder / f"{self._made}.db")
        return Store(name, where, state, durable=name != NORMAL)

    def names(self) -> list[str]:
        """Those that can be made here."""
        return [FULL, NORMAL, *([POSTGRES] if self._server else [])]


@contextmanager
def made(*, server: bool = True) -> Iterator[Stores]:
    """Somewhere to make stores. PostgreSQL is started if it is wanted, where its programs and asyncpg are."""
    disk = "/var/tmp" if os.access("/var/tmp", os.W_OK) else gettempdir()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="hessra-bench-", dir=disk)))
        yield Stores(folder, _server(stack) if server else None)


def _server(stack: ExitStack) -> Any:
    try:
        import asyncpg  # noqa: F401 -- without it no ledger opens one

        from tests.support.postgres import Postgres

        return stack.enter_context(Postgres())
    except (ImportError, RuntimeError):
        return None


def versions() -> dict[str, str]:
    """Of what stores the records."""
    found = {"SQLite": sqlite3.sqlite_version}
    with suppress(ImportError, RuntimeError, OSError):
        from tests.support.postgres import programs

        command = [str(programs() / "postgres"), "--version"]
        said = subprocess.run(command, capture_output=True, text=True, check=True)
        found[POSTGRES] = said.stdout.split()[-1].strip("()")
    return found


def sync_us(folder: Path, *, count: int) -> Tail:
    """Microseconds of the disk for one small write that lasts (4 KiB, ``fdatasync``)."""
    path, page, found = folder / "yardstick", os.urandom(4096), []
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        for _ in range(count):
            start = perf_counter_ns()
            os.write(handle, page)
            os.fdatasync(handle)
            found.append((perf_counter_ns() - start) / 1000)
    finally:
        os.close(handle)
        path.unlink()
    return Tail.of(found)
