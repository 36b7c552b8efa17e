"""SQLite: one file and no server, for several processes of one machine, never on a network file system.

SQLite's own waiting for a lock is unfair: one of eight processes can wait for seconds. So a process that
writes first locks a file beside the store, for which the kernel keeps a queue.
"""

from __future__ import annotations

import contextlib
import os
import re
import sqlite3
import stat
import threading
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from ...files import FileError, check_private
from ..model import LedgerError
from .connection import Row, StoreConnection, StoreError
from .statements import migrations, statements

__all__ = ["SQLite"]

_NETWORKS = re.compile(
    r"nfs\d?|cifs|smb\w*|9p|afs|ceph|glusterfs|lustre|fuse\.(sshfs|s3fs|glusterfs|rclone).*"
)
_FAILURES = (sqlite3.Error, OSError, OverflowError, UnicodeError)
"""The errors that reading a file can raise; UnicodeError comes from an error text that is not UTF-8."""
PATIENCE = 5.0
"""Seconds to wait for other processes that write, while opening a file."""

_SMALL = (
    "state",
    "revocation",
    "spent",
    "used",
    "refundable",
    "request",
    "vote",
    "log",
    "checkpoint",
    "pruned",
)
"""Checked whenever a file is opened: calls rest on these tables, and they do not grow for good."""

_ID = 0x48657373  # "Hess": the file is a ledger


class SQLite(StoreConnection):
    """A connection to one file, or to a database in memory.

    Args:
        path: the file; None for a database in memory.
        durable: whether a commit is on disk when it returns (``synchronous=FULL``).
        max_bytes: how large the database may become; 0 for no limit.
    """

    poll = 0.1

    def __init__(self, path: Path | None, *, durable: bool = True, max_bytes: int = 0) -> None:
        self._path = path
        self.name = str(path)
        self._durable = durable
        self._most = max_bytes
        self.statements = statements("sqlite")
        self._woken = threading.Event()
        self._gate = -1
        self._file: tuple[int, int] | None = None
        self._saved = False
        self._db: sqlite3.Connection | None = None

    def open(self) -> None:
        """Create the file if needed, or check that it is a private and intact ledger of this version.

        Raises:
            LedgerError: it is not.
        """
        if self._path is not None:
            _make(self._path)
        try:
            self._connect()
            self.begin(())
            self._migrate()
            self.commit()
            for table in _SMALL:
                self._check_pages(table)
            if self._path is not None:
                _check_beside(self._path)  # a new file's are there only now
        except (StoreError, FileError) as error:
            self.rollback()
            raise LedgerError(f"{self._path}: {error}") from error
        except LedgerError:
            self.rollback()
            raise

    def _connect(self) -> sqlite3.Connection:
        if self._db is not None:
            return self._db
        try:
            if self._path is None:
                db = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
            else:
                self._file = _file(self._path)
                _check_beside(self._path)  # what SQLite would read
                uri = f"{self._path.absolute().as_uri()}?mode=rw"
                db = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False, timeout=1)
            self._db = db
            if self._path is not None:
                gate = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
                self._gate = os.open(f"{self._path}.lock", gate, 0o600)
                self._lock()  # several processes may switch a new file to a write-ahead log
                for one in ("journal_mode = wal", f"synchronous = {'full' if self._durable else 'normal'}"):
                    db.execute(f"pragma {one}").fetchall()
                self._unlock()
                _check_beside(self._path)  # what it writes to, put there meanwhile
            if self._most:
                db.execute(f"pragma max_page_count = {self._most // 4096}").fetchall()
            db.execute("pragma trusted_schema = off")
            db.execute("pragma secure_delete = on").fetchall()  # what is erased is gone from the file
        except (*_FAILURES, FileError) as error:
            self.rollback()
            raise StoreError(f"cannot be opened: {error}") from error
        return db

    def _migrate(self) -> None:
        db = self._connect()
        try:
            ((version,),) = db.execute("pragma user_version").fetchall()
            ((owner,),) = db.execute("pragma application_id").fetchall()
            known = migrations("sqlite")
            if version > len(known):
                raise LedgerError(f"{self._path}: was made by a newer version of hessra-agents")
            if owner not in (0, _ID) or (not owner and db.execute("select 1 from sqlite_master").fetchall()):
                raise LedgerError(f"{self._path}: is a database of another program")
            for number, text, checksum in known[version:]:
                for part in sqlite_parts(text):
                    db.execute(part)
                if number == 1:
                    db.execute("create table migration (number integer primary key, checksum text) strict")
                db.execute("insert into migration values (?, ?)", (number, checksum))
                db.execute(f"pragma user_version = {number}")
                db.execute(f"pragma application_id = {_ID}")
            found = db.execute("select number, checksum from migration order by number").fetchall()
            if found != [(number, checksum) for number, _, checksum in known]:
                raise LedgerError(f"{self._path}: its tables were made by other migrations")
            if _shape(db) != _expected():
                raise LedgerError(f"{self._path}: its tables were altered")
        except _FAILURES as error:
            raise LedgerError(f"{self._path}: {error}") from error

    def check_all(self) -> None:
        """Check that all tables and indexes agree, page by page; SQLite does not do so by itself.

        Raises:
            LedgerError: they do not.
        """
        self._check_pages("1")  # the first error is enough

    def _check_pages(self, table: str) -> None:
        if self._do(self._connect(), f"pragma integrity_check({table})") != [("ok",)]:
            raise LedgerError(f"{self._path}: is damaged: some of its pages do not agree; restore a copy")

    def begin(self, locks: Iterable[bytes]) -> None:
        """Start to write when it is this process's turn; with one writer, the locks are not needed."""
        db = self._connect()
        if self._gate >= 0:
            self._lock()
        if self._path is not None and _file(self._path) != self._file:
            raise StoreError("the file was moved, removed or replaced")
        self._do(db, "begin immediate")
        self._saved = False

    def execute(self, statement: str, values: tuple[Any, ...]) -> list[Row]:
        """Run a named statement, and return its rows."""
        return self._do(self._connect(), self.statements[statement], values)

    def executemany(self, statement: str, values: Sequence[tuple[Any, ...]]) -> None:
        """Run a named statement once for each of these values."""
        try:
            self._connect().executemany(self.statements[statement], values)
        except _FAILURES as error:
            raise StoreError(str(error)) from error

    def savepoint(self) -> None:
        """Make a savepoint."""
        if self._saved:
            self._do(self._connect(), "release one")
        self._do(self._connect(), "savepoint one")
        self._saved = True

    def rollback_to_savepoint(self) -> None:
        """Undo everything since the savepoint."""
        self._do(self._connect(), "rollback to one")

    def commit(self) -> None:
        """Commit the transaction, and let the next process write."""
        self._do(self._connect(), "commit")
        if self._gate >= 0:
            self._unlock()

    def rollback(self) -> None:
        """Roll the transaction back, and close the file: a new connection sees what it is now."""
        if self._db is not None and self._db.in_transaction:
            with contextlib.suppress(sqlite3.Error):
                self._db.execute("rollback")
        if self._path is not None and self._db is not None:
            with contextlib.suppress(sqlite3.Error):
                self._db.close()
            self._db = None
            with contextlib.suppress(OSError):
                os.close(self._gate)
            self._gate = -1

    def scrub(self) -> str:
        """Write the write-ahead log back to the file, where deleted content is zeros, and empty it."""
        db = self._connect()
        if self._gate >= 0:
            self._lock()  # so no guard is in a transaction
        try:
            ((busy, _, _),) = self._do(db, "pragma wal_checkpoint(truncate)")
        finally:
            if self._gate >= 0:
                self._unlock()
        if busy:
            raise StoreError(f"another program reads {self._path}, so its -wal file still has it")
        return ""

    def wait(self, seconds: float) -> None:
        """Until woken, or so long."""
        self._woken.wait(seconds)
        self._woken.clear()

    def wake(self) -> None:
        """End a wait."""
        self._woken.set()

    def close(self) -> None:
        """Close the file."""
        self.rollback()
        if self._db is not None:
            with contextlib.suppress(sqlite3.Error):
                self._db.close()
            self._db = None

    def _lock(self) -> None:
        import fcntl  # POSIX only; `store_at` has refused every other system

        end = time.monotonic() + PATIENCE
        try:
            while not self.serving:
                with contextlib.suppress(BlockingIOError):
                    return fcntl.flock(self._gate, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if time.monotonic() > end:
                    raise StoreError("another process has held its lock for long: is one of them stopped?")
                time.sleep(0.01)
            fcntl.flock(self._gate, fcntl.LOCK_EX)
        except OSError as error:
            raise StoreError(f"its lock: {error.strerror}") from error

    def _unlock(self) -> None:
        import fcntl

        try:
            fcntl.flock(self._gate, fcntl.LOCK_UN)
        except OSError as error:
            raise StoreError(f"its lock: {error.strerror}") from error

    def _do(self, db: sqlite3.Connection, text: str, values: tuple[Any, ...] = ()) -> list[Row]:
        try:
            return db.execute(text, values).fetchall()
        except _FAILURES as error:
            raise StoreError(str(error)) from error


def sqlite_parts(script: str) -> list[str]:
    """Split a script into its statements; `executescript` would commit before it."""
    parts, text = [], ""
    for line in script.splitlines(keepends=True):
        text += line
        if sqlite3.complete_statement(text):
            parts.append(text)
            text = ""
    return parts


def _shape(db: sqlite3.Connection) -> list[Row]:
    rows = db.execute(
        "select type, name, tbl_name, sql from sqlite_master where name not like 'sqlite_%' order by 1, 2"
    )
    return rows.fetchall()


def _expected() -> list[Row]:
    db = sqlite3.connect(":memory:", isolation_level=None)
    try:
        for number, text, _ in migrations("sqlite"):
            for part in sqlite_parts(text):
                db.execute(part)
            if number == 1:
                db.execute("create table migration (number integer primary key, checksum text) strict")
        return _shape(db)
    finally:
        db.close()


def _make(path: Path) -> None:
    folder = path.absolute().parent
    try:
        mode = folder.stat().st_mode
        if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
            remedy = f"use a folder of its own, made by mkdir -m 700, or run chmod o-w {folder}"
            raise LedgerError(f"{folder}: every user can replace the files in it: {remedy}")
        if _network(folder):
            raise LedgerError(f"{path}: is on a network file system, which does not keep SQLite's locks")
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600))
    except FileExistsError:
        if path.is_dir() and not path.is_symlink():
            raise LedgerError(f"{path}: is a folder: name a file") from None
    except OSError as error:
        raise LedgerError(f"{path}: {error.strerror}") from error
    try:
        check_private(path)
    except FileError as error:
        raise LedgerError(str(error)) from error


def _check_beside(path: Path) -> None:
    """Check that nobody else made or can reach the files that SQLite and we keep beside a database.

    Raises:
        FileError: another user made one, or can reach it.
    """
    for suffix in ("-wal", "-shm", "-journal", ".lock"):
        beside = path.with_name(f"{path.name}{suffix}")
        if os.path.lexists(beside):
            check_private(beside)


def _file(path: Path) -> tuple[int, int] | None:
    """Return which file is at this path: its device and inode."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _network(folder: Path) -> bool:
    """Return whether the folder is on another machine, as far as Linux tells (proc(5), mountinfo)."""
    try:
        lines = Path("/proc/self/mountinfo").read_text("utf-8", "surrogateescape").splitlines()
    except OSError:
        return False
    device = os.stat(folder).st_dev
    found = f"{os.major(device)}:{os.minor(device)}"
    kinds = {line.split(" - ")[1].split()[0] for line in lines if line.split()[2] == found}
    return any(_NETWORKS.fullmatch(kind) for kind in kinds)
