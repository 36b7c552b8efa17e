"""PostgreSQL, through asyncpg: a store that guards on many machines share.

asyncpg needs asyncio, so the writer's thread runs an event loop of its own, and the guard may use any.
Deadlines are short, and a connection that misses one is dropped. A notification (LISTEN) makes the guard
look for revocations at once; it looks regularly in any case.
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
from .statements import migrations, statements

__all__ = ["CONNECT", "STATEMENT", "Postgres", "state_folder"]

CONNECT = 1.0
"""Seconds to connect."""

STATEMENT = 0.5
"""Seconds for one statement."""

_SCHEMA = "hessra"
_CHANNEL = "hessra_revoked"
_MIGRATING = 60.0

T = TypeVar("T")


class Postgres(StoreConnection):
    """One connection to a server, used by one thread at a time."""

    poll = 1.0

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
        self._loop = asyncio.new_event_loop()
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
        try:
            run_in_thread(self._migrate)
        except StoreError as error:
            self.close()
            raise LedgerError(f"{self.name}: {error}") from error
        except BaseException:
            self.close()
            raise

    def _migrate(self) -> None:
        db = self._connected()
        known = migrations("postgres")
        try:
            self._wait(db.execute(f"select pg_advisory_lock(hashtext('{_SCHEMA}'))", timeout=_MIGRATING))
            self._wait(db.execute("begin"))
            self._wait(db.execute(f'create schema if not exists "{_SCHEMA}"'))
            self._wait(db.execute(_MIGRATION))
            rows = self._wait(db.fetch("select number, checksum, shape from migration order by number"))
            done = [tuple(row) for row in rows]
            if len(done) > len(known):
                raise LedgerError(f"{self.name}: was made by a newer version of hessra-agents")
            if [row[:2] for row in done] != [(n, checksum) for n, _, checksum in known[: len(done)]]:
                raise LedgerError(f"{self.name}: its tables were made by other migrations")
            if done and done[-1][2] != self._shape(db):
                raise LedgerError(f"{self.name}: its tables were altered")
            for number, text, checksum in known[len(done) :]:
                self._wait(db.execute(text, timeout=_MIGRATING))
                insert = "insert into migration values ($1, $2, $3)"
                self._wait(db.execute(insert, number, checksum, self._shape(db)))
            self._wait(db.execute("commit"))
            self._wait(db.execute("select pg_advisory_unlock_all()"))
        except LedgerError:
            self.rollback()
            self._drop()
            raise
        except self._failures as error:
            self._drop()
            raise self._failed(error) from error

    def _shape(self, db: Any) -> str:
        found: str = self._wait(db.fetchval(_SHAPE))
        return found

    def begin(self, locks: Iterable[bytes]) -> None:
        """Start a transaction that holds these locks."""
        numbers = sorted(
            {int.from_bytes(hashlib.sha256(one).digest()[:8], "big", signed=True) for one in locks}
        )
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

    def wait(self, seconds: float) -> None:
        """Wait until woken, notified of a revocation, or for so many seconds."""

        async def waiting() -> None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._woken.wait()
            self._woken.clear()

        self._wait(waiting())

    def wake(self) -> None:
        """End a wait."""
        with contextlib.suppress(RuntimeError):  # closed
            self._loop.call_soon_threadsafe(self._woken.set)

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
                self._db = self._wait(self._connect())
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
        db = await self._asyncpg.connect(
            self._address, timeout=CONNECT, command_timeout=STATEMENT, server_settings=settings
        )
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
        return StoreError(f"PostgreSQL: {type(error).__name__}")

    def _drop(self) -> None:
        if self._db is not None:
            self._db.terminate()
            self._db = None
            if not self._loop.is_closed():
                self._wait(asyncio.sleep(0))  # its transport closes in the loop

    def _wait(self, waiting: Coroutine[Any, Any, T]) -> T:
        return self._loop.run_until_complete(waiting)


_MIGRATION = """
create table if not exists migration (
    number bigint primary key, checksum text collate "C" not null, shape text collate "C" not null
)
"""

_SHAPE = """
select encode(sha256(string_agg(line, chr(10) order by line)::bytea), 'hex') from (
    select concat_ws(
        ' ', table_name, column_name, data_type, is_nullable, column_default, collation_name
    ) line
    from information_schema.columns where table_schema = current_schema()
    union all
    select concat_ws(' ', conrelid::regclass, conname, pg_get_constraintdef(oid)) from pg_constraint
    where connamespace = current_schema()::regnamespace
    union all
    select indexdef from pg_indexes where schemaname = current_schema()
    union all
    select concat_ws(' ', tgrelid::regclass, tgname) from pg_trigger join pg_class on pg_class.oid = tgrelid
    where relnamespace = current_schema()::regnamespace and not tgisinternal
    union all
    select definition from pg_rules where schemaname = current_schema()
    union all
    select concat_ws(' ', tablename, policyname, cmd, qual, with_check) from pg_policies
    where schemaname = current_schema()
) lines
"""


def state_folder(address: str) -> Path:
    """Return the folder for the logs of this machine's guards: it is in the user's state folder."""
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    name = hashlib.sha256(_shown(address).encode()).hexdigest()[:16]
    return Path(base) / "hessra-agents" / name


def _shown(address: str) -> str:
    """Return the address without user and password."""
    try:
        parts = urlsplit(address)
        return f"postgresql://{parts.hostname or ''}:{parts.port or 5432}{parts.path}"
    except ValueError:
        return "postgresql://"
