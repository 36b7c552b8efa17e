"""`StoreConnection`: what a store must do; *steps*: a transaction, written once for every store.

Steps are a generator that yields statements by name and is sent their rows. So what is in a transaction is
written in one place (`steps`), whatever store runs it. A `Transaction` runs many of them, and asks the store
for little.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from typing import Any, TypeAlias, TypeVar

__all__ = [
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

_READ_RECORDS = frozenset({"entry_of", "entries", "size", "erase"})
_CHANGE_STATE = frozenset({"next_epoch", "purged"})


class StoreError(Exception):
    """The store did not do what it was asked to, and the transaction is gone."""


class StoreConnection(ABC):
    """One connection to a store. Used by the writer's thread alone, but for `wake`."""

    statements: Mapping[str, str]
    """The text of each statement by its name; one that only reads begins with ``select``."""

    fair = False
    """Whether to wait for others in the order of coming, however long: a writer's callers have deadlines."""

    @abstractmethod
    def begin(self, locks: Iterable[bytes]) -> None:
        """Start a transaction, with these names locked in order; connects where there is no connection.

        Raises:
            StoreError: also by every other method.
        """

    @abstractmethod
    def execute(self, statement: str, values: tuple[Any, ...]) -> list[Row]:
        """Run a named statement."""

    @abstractmethod
    def executemany(self, statement: str, values: Sequence[tuple[Any, ...]]) -> None:
        """Run a named statement that returns nothing, for each of these."""

    @abstractmethod
    def savepoint(self) -> None:
        """What follows can be taken back by itself."""

    @abstractmethod
    def rollback_to_savepoint(self) -> None:
        """Undo what came after the savepoint."""

    @abstractmethod
    def commit(self) -> None:
        """Make it last."""

    @abstractmethod
    def rollback(self) -> None:
        """Undo it all; never raises."""

    @abstractmethod
    def wait(self, seconds: float) -> None:
        """Until `wake`, a hint from the store, or so many seconds."""

    @abstractmethod
    def wake(self) -> None:
        """End a `wait`, from any thread."""

    def notified(self) -> bool:
        """Whether the store has said since the last time that something was revoked."""
        return False

    @abstractmethod
    def close(self) -> None:
        """Let go; never raises."""


def run_in_thread(work: Callable[[], T]) -> T:
    """Do something in a thread of its own, and wait: an event loop may be running in this one."""
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
    """One transaction, in which one after another may be taken back alone.

    * Records are written together, at the commit.
    * A savepoint is made when something is written after it; most calls write nothing but their record.
    * The state is read once, and again after it was changed here: whoever waits came before this began.
    """

    def __init__(self, connection: StoreConnection, locks: Iterable[bytes] = ()) -> None:
        self._connection = connection
        self._records: list[tuple[Any, ...]] = []
        self._written = 0  # so many of the records
        self._state: list[Row] | None = None
        self._asked = False  # for a savepoint, which is not made yet
        self._before = self._safe = 0  # records before the savepoint; those that were written before it
        connection.begin(locks)

    def execute(self, statement: str, values: tuple[Any, ...]) -> list[Row]:
        """Run a named statement, or keep a record for the commit."""
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
            self._mark()
        return self._connection.execute(statement, values)

    def savepoint(self) -> None:
        """What follows can be taken back by itself."""
        self._before, self._asked = len(self._records), True

    def rollback_to_savepoint(self) -> None:
        """To the savepoint."""
        del self._records[self._before :]
        self._state = None
        if not self._asked:
            self._connection.rollback_to_savepoint()
            self._written = self._safe

    def commit(self) -> None:
        """Make it last."""
        self._write()
        self._connection.commit()

    def _write(self) -> None:
        """Write the records that are only kept."""
        if self._written < len(self._records):
            self._mark()
            self._connection.executemany("entry", self._records[self._written :])
            self._written = len(self._records)

    def _mark(self) -> None:
        """Make the savepoint, if one was asked for."""
        if self._asked:
            self._connection.savepoint()
            self._asked, self._safe = False, self._written


def run_transaction(connection: StoreConnection, steps: Steps[T]) -> T:
    """Run steps in a transaction of their own.

    Raises:
        StoreError: the store did not.
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
    """Run steps in a transaction."""
    rows: Any = None
    try:
        while True:
            rows = transaction.execute(*steps.send(rows))
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]
