"""`StoreConnection`: what a store must offer; `Steps`: a transaction, written once for every store.

Steps are a generator that yields statements by name and is sent their rows, so a transaction is written in
one place (`transactions`), whichever store runs it. A `Transaction` runs many of them with few requests to
the store.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from typing import Any, Protocol, TypeAlias, TypeVar

__all__ = [
    "Executor",
    "Row",
    "Steps",
    "StoreConnection",
    "StoreError",
    "Transaction",
    "run_in_thread",
    "run_steps",
    "run_transaction",
]

T = TypeVar("T")
Row: TypeAlias = "tuple[Any, ...]"
Steps: TypeAlias = "Generator[tuple[str, tuple[Any, ...]], list[Row], T]"

_READ_RECORDS = frozenset(
    {"entry_of", "entries", "erase", "events", "first", "of_operation", "prune", "size"}
)
_CHANGE_STATE = frozenset({"next_epoch", "purged"})


class StoreError(Exception):
    """The store failed, and the transaction is rolled back."""


class StoreConnection(ABC):
    """One connection to a store. Only the writer's thread uses it, except for `wake`."""

    name: str
    """The store's name in messages, without a password."""

    statements: Mapping[str, str]
    """The text of each statement by its name; one that only reads begins with ``select``."""

    poll: float
    """Seconds between two looks for what other processes have revoked."""

    has_clock = False
    """Whether the store has a clock of its own, beside those of its guards' machines."""

    serving = False
    """Whether callers wait, each with a deadline of its own: the writer says so, once the ledger is open."""

    @abstractmethod
    def open(self) -> None:
        """Connect; create the tables if needed, or check that they are those of this version.

        Raises:
            LedgerError: they are not, or the store cannot be used.
        """

    @abstractmethod
    def begin(self, locks: Iterable[bytes]) -> None:
        """Start a transaction that holds these locks, taken in order; connect if needed.

        Raises:
            StoreError: the store failed; raised by every other method as well.
        """

    @abstractmethod
    def execute(self, statement: str, values: tuple[Any, ...]) -> list[Row]:
        """Run a named statement, and return its rows."""

    @abstractmethod
    def executemany(self, statement: str, values: Sequence[tuple[Any, ...]]) -> None:
        """Run a named statement that returns nothing, once for each of these values."""

    @abstractmethod
    def savepoint(self) -> None:
        """Make a savepoint."""

    @abstractmethod
    def rollback_to_savepoint(self) -> None:
        """Undo everything since the savepoint."""

    @abstractmethod
    def commit(self) -> None:
        """Commit the transaction."""

    @abstractmethod
    def rollback(self) -> None:
        """Roll the transaction back; never raises."""

    @abstractmethod
    def scrub(self) -> str:
        """Overwrite on disk what was deleted, and return what the store cannot do; nothing if all is done.

        Raises:
            StoreError: something still uses the old pages; the text says what to do.
        """

    @abstractmethod
    def wait(self, seconds: float) -> None:
        """Wait until `wake`, a notification from the store, or so many seconds."""

    @abstractmethod
    def wake(self) -> None:
        """End a `wait`; may be called from any thread."""

    @abstractmethod
    def check_all(self) -> None:
        """Check that all tables and indexes agree, if the store does not see to that itself; may read all.

        Raises:
            LedgerError: they do not.
        """

    def notified(self) -> bool:
        """Return whether the store has notified of a revocation since the last call."""
        return False

    @abstractmethod
    def close(self) -> None:
        """Close the connection; never raises."""


class Executor(Protocol):
    """The runner of a ledger's transactions: the `Writer` of a store, or an `ImmediateExecutor` in memory."""

    async def submit(
        self,
        steps: Callable[[bool], Steps[T]],
        *,
        locks: tuple[bytes, ...] = (),
        undo: Callable[[bool], Steps[Any]] | None = None,
    ) -> T:
        """Run steps in a transaction, and return their result once it is committed."""
        ...

    def submit_nowait(self, steps: Callable[[bool], Steps[Any]]) -> None:
        """Run steps after those submitted before; do not wait for them."""
        ...

    async def aclose(self) -> None:
        """Run what is still waiting, and close the store."""
        ...


def run_in_thread(work: Callable[[], T]) -> T:
    """Run a function in a thread of its own and return its result: this thread may run an event loop."""
    found: list[T] = []
    errors: list[BaseException] = []

    def inside() -> None:
        try:
            found.append(work())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=inside, name="hessra-ledger-open")
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return found[0]


class Transaction:
    """One transaction that runs the steps of many callers, each of which can be undone alone.

    * Records are written together, at the commit.
    * A savepoint is made only when something is written after it; most calls write only their record.
    * The state is read once, and again after a change in this transaction: every caller came before it began.
    """

    def __init__(self, connection: StoreConnection, locks: Iterable[bytes] = ()) -> None:
        self._connection = connection
        self._records: list[tuple[Any, ...]] = []
        self._written = 0  # how many of the records are written
        self._state: list[Row] | None = None
        self._pending = False  # a savepoint was asked for, and is not made yet
        self._before = self._safe = 0  # records before the savepoint, and those written before it
        connection.begin(locks)

    def execute(self, statement: str, values: tuple[Any, ...]) -> list[Row]:
        """Run a named statement, or keep a record until the commit."""
        if statement == "entry":
            self._records.append(values)
            return []
        if statement == "state":
            if self._state is None:
                self._state = self._connection.execute(statement, values)
            return self._state
        if statement in _CHANGE_STATE:
            self._state = None
        if statement in _READ_RECORDS:
            self._write()
        if not self._connection.statements[statement].startswith("select"):
            self._make_savepoint()
        return self._connection.execute(statement, values)

    def savepoint(self) -> None:
        """Make a savepoint."""
        self._before, self._pending = len(self._records), True

    def rollback_to_savepoint(self) -> None:
        """Undo everything since the savepoint."""
        del self._records[self._before :]
        self._state = None
        if not self._pending:
            self._connection.rollback_to_savepoint()
            self._written = self._safe

    def commit(self) -> None:
        """Commit the transaction."""
        self._write()
        self._connection.commit()

    def _write(self) -> None:
        """Write the records that are kept so far."""
        if self._written < len(self._records):
            self._make_savepoint()
            self._connection.executemany("entry", self._records[self._written :])
            self._written = len(self._records)

    def _make_savepoint(self) -> None:
        if self._pending:
            self._connection.savepoint()
            self._pending, self._safe = False, self._written


def run_transaction(connection: StoreConnection, steps: Steps[T]) -> T:
    """Run steps in a transaction of their own, and return their result.

    Raises:
        StoreError: the store failed.
    """
    try:
        transaction = Transaction(connection)
        found = run_steps(transaction, steps)
        transaction.commit()
    except BaseException:
        connection.rollback()
        raise
    return found


def run_steps(transaction: Transaction, steps: Steps[T]) -> T:
    """Run steps in a transaction, and return their result."""
    rows: Any = None
    try:
        while True:
            rows = transaction.execute(*steps.send(rows))
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]
