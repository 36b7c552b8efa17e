"""PostgreSQL, through asyncpg: a store that guards on many machines share.

asyncpg needs asyncio, so the writer's thread runs an event loop of its own, and the guard may use any.
While callers wait, deadlines are short, and a connection that misses one is dropped. A notification (LISTEN)
makes the guard look for revocations at once; it looks regularly in any case.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
from collections.abc import Callable, Coroutine, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from ...extras import require
from ..model import LedgerError
from .connection import Row, StoreConnection, StoreError, run_in_thread
from .postgres_shape import SHAPE
from .statements import migrations, statements

__all__ = ["CONNECT", "STATEMENT", "Postgres", "lock_number", "state_folder"]

CONNECT = 1.0
"""Seconds to connect, while callers wait."""

STATEMENT = 0.5
"""Seconds for one statement, while callers wait; for the server's own part of it, always."""

PATIENCE = 30.0
"""Seconds to connect and for one statement while nobody waits, such as when the ledger is opened."""

MIGRATION = 600.0
"""Seconds to make or change the tables, or to wait until another process has done so."""

_REMEDIES = {
    "ConnectionRefusedError": ": no server answers at this address",
    "InsufficientPrivilegeError": ": its user must own the schema hessra, or be allowed to create it",
    "InvalidCatalogNameError": ": there is no such database: create it",
    "InvalidPasswordError": ": the password is missing or wrong: give it by PGPASSWORD, ~/.pgpass, or an "
    "address in a file (--ledger-file)",
}
_SCHEMA = "hessra"
_CHANNEL = "hessra_revoked"

T = TypeVar("T")


class Postgres(StoreConnection):
    """One connection to a server, used by one thread at a time."""

    poll = 1.0
    has_clock = True

    def __init__(self, address: str, *, durable: bool = True) -> None:
        require("postgres", "asyncpg", purpose="a ledger on PostgreSQL")
        import asyncpg

        self._asyncpg = asyncpg
        self._failures = (
            asyncpg.PostgresError,
            asyncpg.InterfaceError,
            asyncpg.InternalClientError,
            OSError,
            OverflowError,
            ValueError,
        )
        self._address = address
        self.name = _shown(address)
        self._durable = durable
        self.statements = statements("postgres")
        self._woken = asyncio.Event()
        self._notified = False
        self._saved = False
        self._db: Any = None

    def __repr__(self) -> str:
        return f"Postgres({self.name})"

    def open(self) -> None:
        """Create the tables if needed, or check that they are those of this version.

        Raises:
            LedgerError: they are not, or the server cannot be used.
        """
        self._loop = asyncio.new_event_loop()
        try:
            run_in_thread(self._migrate)
        except StoreError as error:
            self.close()
            raise LedgerError(f"{self.name}: {error}") from error
        except BaseException:
            self.close()
            raise

    def _migrate(self) -> None:
        db, known = self._connected(), migrations("postgres")
        try:
            if self._is_current(db):
                return
            self._begin_migration(db)
            number = lock_number(_SCHEMA.encode())
            if not self._wait(db.fetchval(f"select pg_try_advisory_xact_lock({number})")):
                # another process makes the tables: all others wait for it together, and not one by one
                self._do(db, f"select pg_advisory_xact_lock_shared({number})", MIGRATION)
                is_made = self._is_current(db)
                self._do(db, "rollback")
                if is_made:
                    return
                self._begin_migration(db)
                self._do(db, f"select pg_advisory_xact_lock({number})", MIGRATION)
            self._do(db, f'create schema if not exists "{_SCHEMA}"; {_MIGRATIONS}')
            done, shape = self._found(db)
            if len(done) > len(known):
                raise LedgerError(f"{self.name}: was made by a newer version of hessra-agents")
            if [row[:2] for row in done] != [(n, checksum) for n, _, checksum in known[: len(done)]]:
                raise LedgerError(f"{self.name}: its tables were made by other migrations")
            if done and done[-1][2] != shape:
                raise LedgerError(f"{self.name}: its tables were altered: {_difference(done[-1][2], shape)}")
            for one, text, checksum in known[len(done) :]:
                self._do(db, text, MIGRATION)
                made = f"insert into migration select $1, $2, ({SHAPE})"
                self._wait(db.execute(made, one, checksum))
            self._do(db, "commit")
        except LedgerError:
            self.rollback()
            self._drop()
            raise
        except self._failures as error:
            self._drop()
            raise self._failed(error) from error

    def _begin_migration(self, db: Any) -> None:
        names = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")
        settings = ";".join(f"set local {name} = {int(MIGRATION * 1000)}" for name in names)
        self._do(db, f"begin; {settings}")  # by itself: what is sent together has one limit

    def _is_current(self, db: Any) -> bool:
        """Return whether the tables are those of this version: then no lock is needed, nor waited for."""
        try:
            done, shape = self._found(db)
        except self._asyncpg.UndefinedTableError:
            return False
        known = [(number, checksum) for number, _, checksum in migrations("postgres")]
        return [row[:2] for row in done] == known and done[-1][2] == shape

    def _found(self, db: Any) -> tuple[list[tuple[int, str, str]], str]:
        """Return the migrations that were made, and the shape that the tables have."""
        found = f"select number, checksum, shape, ({SHAPE}) from migration order by number"  # noqa: S608
        rows = [tuple(row) for row in self._wait(db.fetch(found))]
        return [row[:3] for row in rows], rows[-1][3] if rows else ""

    def _do(self, db: Any, text: str, seconds: float | None = None) -> None:
        self._wait(db.execute(text), seconds)

    def begin(self, locks: Iterable[bytes]) -> None:
        """Start a transaction that holds these locks."""
        numbers = sorted({lock_number(one) for one in locks})
        taken = "".join(f"; select pg_advisory_xact_lock({number})" for number in numbers)
        self._connected()
        self._saved = False
        self._run(lambda db: db.execute(f"begin isolation level read committed read write{taken}"))

    def execute(self, statement: str, values: tuple[Any, ...]) -> list[Row]:
        """Run a named statement, and return its rows."""
        rows = self._run(lambda db: db.fetch(self.statements[statement], *values))
        return [tuple(row) for row in rows]

    def executemany(self, statement: str, values: Sequence[tuple[Any, ...]]) -> None:
        """Run a named statement once for each of these values, in one request."""
        self._run(lambda db: db.executemany(self.statements[statement], values))

    def savepoint(self) -> None:
        """Make a savepoint."""
        released = "release savepoint one; " if self._saved else ""
        self._run(lambda db: db.execute(f"{released}savepoint one"))
        self._saved = True

    def rollback_to_savepoint(self) -> None:
        """Undo everything since the savepoint."""
        self._run(lambda db: db.execute("rollback to savepoint one"))

    def commit(self) -> None:
        """Commit the transaction."""
        self._run(lambda db: db.execute("commit"))

    def rollback(self) -> None:
        """Roll the transaction back."""
        if self._db is not None and not self._db.is_closed():
            try:
                self._wait(self._db.execute("rollback"))
            except Exception:  # whatever it is, the connection must not be used again
                self._drop()

    def scrub(self) -> str:
        """Say what only the server's administrator can do."""
        return (
            "PostgreSQL keeps deleted rows in its files until 'vacuum full hessra.entry', which stops the "
            "guards meanwhile, and in its write-ahead log and backups as long as these are kept"
        )

    def wait(self, seconds: float) -> None:
        """Wait until woken, notified of a revocation, or for so many seconds."""

        async def waiting() -> None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._woken.wait()
            self._woken.clear()

        self._loop.run_until_complete(waiting())

    def wake(self) -> None:
        """End a wait."""
        with contextlib.suppress(RuntimeError):  # closed
            self._loop.call_soon_threadsafe(self._woken.set)

    def check_all(self) -> None:
        """Do nothing: PostgreSQL notices damaged pages where it reads them."""

    def notified(self) -> bool:
        """Return whether the server has notified of a revocation since the last call."""
        found, self._notified = self._notified, False
        return found

    def close(self) -> None:
        """Close the connection."""

        def closing() -> None:
            self._drop()
            if not self._loop.is_closed():
                self._loop.close()

        run_in_thread(closing)

    def _connected(self) -> Any:
        if self._db is not None and self._db.is_closed():
            self._drop()
        if self._db is None:
            try:
                self._db = self._wait(self._connect(), CONNECT if self.serving else PATIENCE)
            except self._failures as error:
                raise self._failed(error) from error
        return self._db

    async def _connect(self) -> Any:
        settings = {
            "application_name": "hessra-agents",
            "search_path": _SCHEMA,
            "synchronous_commit": "on" if self._durable else "off",
            # the locks of a stopped process end before other guards give up
            "statement_timeout": str(int(STATEMENT * 1000)),
            "idle_in_transaction_session_timeout": str(int(STATEMENT * 4000)),
        }
        # without asyncpg's own limit of a minute: `_wait` has one
        db = await self._asyncpg.connect(self._address, timeout=None, server_settings=settings)
        try:
            await db.add_listener(_CHANNEL, self._on_notify)
        except BaseException:
            db.terminate()
            raise
        return db

    def _on_notify(self, *_: object) -> None:
        self._notified = True
        self._woken.set()

    def _run(self, make: Callable[[Any], Coroutine[Any, Any, T]]) -> T:
        if self._db is None:
            raise StoreError("the connection is gone")
        try:
            return self._wait(make(self._db))
        except self._failures as error:
            lost = (OSError, self._asyncpg.InterfaceError, self._asyncpg.InternalClientError)
            if isinstance(error, lost):
                self._drop()  # a statement may still be running on it
            raise self._failed(error) from None

    def _failed(self, error: BaseException) -> StoreError:
        """Return an error that names only the kind of this one: the server's texts repeat values."""
        kind = type(error).__name__
        return StoreError(f"PostgreSQL: {kind}{_REMEDIES.get(kind, '')}")

    def _drop(self) -> None:
        if self._db is not None:
            self._db.terminate()
            self._db = None
            if not self._loop.is_closed():
                self._loop.run_until_complete(asyncio.sleep(0))  # its transport closes in the loop

    def _wait(self, waiting: Coroutine[Any, Any, T], seconds: float | None = None) -> T:
        """Wait for an answer of the server, by default as long as for one statement."""

        async def limited() -> T:
            async with asyncio.timeout(seconds or (STATEMENT if self.serving else PATIENCE)):
                return await waiting

        return self._loop.run_until_complete(limited())


_MIGRATIONS = """
create table if not exists migration (
    number bigint primary key, checksum text collate "C" not null, shape text collate "C" not null
)
"""


def state_folder(address: str) -> Path:
    """Return the folder for the logs of this machine's guards: it is in the user's state folder."""
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    name = hashlib.sha256(_shown(address).encode()).hexdigest()[:16]
    return Path(base) / "hessra-agents" / name


def lock_number(name: bytes) -> int:
    """Return the number of the advisory lock of this name."""
    return int.from_bytes(hashlib.sha256(name).digest()[:8], "big", signed=True)


def _difference(recorded: str, found: str) -> str:
    """Return some of the facts in which two shapes differ; they hold names, and no values."""
    was, now = set(recorded.split("\n")), set(found.split("\n"))
    facts = [f"there is no {fact!r}" for fact in sorted(was - now)]
    facts += [f"there is {fact!r}" for fact in sorted(now - was)]
    return ", ".join(facts[:4]) + (f" and {len(facts) - 4} more" if len(facts) > 4 else "")


def _shown(address: str) -> str:
    """Return the address without user and password."""
    try:
        parts = urlsplit(address)
        return f"postgresql://{parts.hostname or ''}:{parts.port or 5432}{parts.path}"
    except ValueError:
        return "postgresql://"
