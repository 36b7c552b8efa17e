"""`Connection`: what a store must do; *steps*: a transaction, written once for every store.

Steps are a generator that yields statements by name and is sent their rows. So what is in a transaction is
written in one place (`steps`), whatever store runs it.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterable
from typing import Any, TypeAlias, TypeVar

__all__ = ["Connection", "Row", "Steps", "StoreFailed", "apart", "drive", "run"]

T = TypeVar("T")
Row: TypeAlias = "tuple[Any, ...]"
Steps: TypeAlias = "Generator[tuple[str, tuple[Any, ...]], list[Row], T]"


class StoreFailed(Exception):  # noqa: N818 -- says what happened, like Denied
    """The store did not do what it was asked to, and the transaction is gone."""


class Connection(ABC):
    """One connection to a store. Used by the writer's thread alone, but for `wake`."""

    fair = False
    """Whether to wait for others in the order of coming, however long: a writer's callers have deadlines."""

    @abstractmethod
    def begin(self, locks: Iterable[bytes]) -> None:
        """Start a transaction, with these names locked in order; connects where there is no connection.

        Raises:
            StoreFailed: also by every other method.
        """

    @abstractmethod
    def execute(self, statement: str, values: tuple[Any, ...]) -> list[Row]:
        """Run a named statement."""

    @abstractmethod
    def savepoint(self) -> None:
        """What follows can be taken back by itself."""

    @abstractmethod
    def back(self) -> None:
        """To the savepoint."""

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

    def hinted(self) -> bool:
        """Whether the store has said since the last time that something was revoked."""
        return False

    @abstractmethod
    def close(self) -> None:
        """Let go; never raises."""


def apart(work: Callable[[], T]) -> T:
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


def run(connection: Connection, steps: Steps[T]) -> T:
    """Run steps in a transaction of their own.

    Raises:
        StoreFailed: the store did not.
    """
    try:
        connection.begin(())
        found = drive(connection, steps)
        connection.commit()
    except BaseException:
        connection.rollback()
        raise
    return found


def drive(connection: Connection, steps: Steps[T]) -> T:
    """Run steps in the transaction that is open."""
    rows: list[Row] | None = None
    try:
        while True:
            rows = connection.execute(*(next(steps) if rows is None else steps.send(rows)))
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]
