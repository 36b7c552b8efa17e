"""The stores that a ledger may have, one after the other: a test that takes `store` runs on each of them.

The id of such a test says which store, and which event loop: ``test_a_claim[sqlite-trio]``.
"""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

from hessra_agents import Ledger
from hessra_agents.ledger.memory import ImmediateExecutor
from hessra_agents.ledger.opened import OpenStore
from hessra_agents.ledger.store.connection import Steps, StoreConnection, run_in_thread, run_transaction
from hessra_agents.ledger.store.opening import open_store
from hessra_agents.ledger.store.queue import QueuedTransaction
from hessra_agents.ledger.store.writer import Writer
from tests.support import clocks
from tests.support.processes import PATIENCE
from tests.support.world import World

SOAK = bool(os.environ.get("HESSRA_SOAK"))
"""Whether there is time for longer tests."""

SHARED = ["sqlite-asyncio", "sqlite-trio", "postgresql-asyncio", "postgresql-trio"]
ALL = ["memory-asyncio", "memory-trio", "sqlite-asyncio", "postgresql-trio", *SHARED[1:3] * SOAK]


@dataclass
class Store:
    """One store, empty at first. Every ledger that was opened here is closed when the test ends."""

    name: str
    where: str
    folder: Path
    opened: list[Ledger] = field(default_factory=list)

    def open(self, **options: Any) -> Ledger:
        """A ledger on this store; in memory each is a store of its own."""
        if self.name == "memory":
            ledger = Ledger.memory()
        else:
            ledger = opened_ledger(self.where, state_dir=self.folder / "log", **options)
        self.opened.append(ledger)
        return ledger

    def world(self, beside: World | None = None) -> World:
        """A guard with a ledger of its own on this store; ``beside`` another, with the same authority."""
        world = World(ledger=self.open())
        if beside is not None:
            world.authority, world.guard.trust = beside.authority, beside.authority.trust
            world.now = beside.now
        return world

    def run(self, steps: Steps[Any]) -> Any:
        """Run steps in a transaction of their own, as another process would."""

        def alone() -> Any:
            connection, _ = open_store(self.where, state_dir=self.folder / "log")
            try:
                return run_transaction(connection, steps)
            finally:
                connection.close()

        return run_in_thread(alone)

    def sql(self, text: str) -> list[tuple[Any, ...]]:
        """What the store itself answers."""
        if self.name == "sqlite":
            db = sqlite3.connect(self.where)
            try:
                with db:
                    return db.execute(text).fetchall()
            finally:
                db.close()
        return run_in_thread(lambda: asyncio.run(_fetch(self.where, text)))

    def records(self) -> list[dict[str, Any]]:
        """All records, of all logs, in the order of each."""
        return [json.loads(body) for (body,) in self.sql("select body from entry order by log, idx")]

    def close(self) -> None:
        """Let go of everything."""
        for ledger in self.opened:
            anyio.run(ledger.aclose)


def opened_ledger(where: str | Path, **options: Any) -> Ledger:
    """A ledger that is open, also where an event loop runs: it says at once why it cannot be."""
    ledger = Ledger.open(where, **options)
    ledger._start()
    return ledger


async def _fetch(where: str, text: str) -> list[tuple[Any, ...]]:
    import asyncpg

    db = await asyncpg.connect(where, server_settings={"search_path": "hessra"})
    try:
        return [tuple(row) for row in await db.fetch(text)]
    finally:
        await db.close()


@pytest.fixture
def anyio_backend(on: str) -> tuple[str, dict[str, Any]]:
    """The event loop that the test's id names."""
    return clocks.backend(on.partition("-")[2])


@pytest.fixture
def store(on: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Store]:
    """The store that the test's id names, empty."""
    name = on.partition("-")[0]
    where = request.getfixturevalue("dsn") if name == "postgresql" else str(tmp_path / "hessra.db")
    found = Store(name, where, tmp_path)
    yield found
    found.close()


everywhere = pytest.mark.parametrize("on", ALL)
"""On every store."""

shared = pytest.mark.parametrize("on", SHARED)
"""On every store that several processes can have."""

once_each = pytest.mark.parametrize("on", ["sqlite-trio", "postgresql-asyncio"])
"""On every such store once, where the event loop makes no difference or the test takes long."""


def connection_of(ledger: Ledger) -> StoreConnection:
    """The connection that a ledger writes by: what a fault is put into."""
    assert ledger.revoked.epoch >= 0  # to ask opens it
    found = ledger.executor._connection  # type: ignore[union-attr]
    assert isinstance(found, StoreConnection)
    return found


def store_of(ledger: Ledger) -> OpenStore:
    """The store that a ledger has opened."""
    assert isinstance(ledger.executor, OpenStore)
    return ledger.executor


def memory_of(ledger: Ledger) -> ImmediateExecutor:
    """What runs the transactions of a ledger in memory."""
    assert isinstance(ledger.executor, ImmediateExecutor)
    return ledger.executor


@contextmanager
def commits(ledger: Ledger, commit: Callable[[Callable[[], None]], None]) -> Iterator[None]:
    """Have ``commit`` called for each commit that callers wait for, with the real one.

    What the ledger's thread reads for itself, every now and then, is committed as ever.
    """
    connection, executor = connection_of(ledger), ledger.executor
    assert isinstance(executor, Writer)
    real, batch = connection.commit, executor._batch

    def changed(jobs: list[QueuedTransaction[Any]]) -> None:
        connection.commit = partial(commit, real)  # type: ignore[method-assign]
        try:
            batch(jobs)
        finally:
            connection.commit = real  # type: ignore[method-assign]

    executor._batch = changed  # type: ignore[method-assign]
    try:
        yield
    finally:
        executor._batch = batch  # type: ignore[method-assign]


@contextmanager
def held_up(ledger: Ledger) -> Iterator[threading.Event]:
    """The commits that callers wait for wait until this ends; the event is set when one does."""
    reached, go = threading.Event(), threading.Event()

    def commit(real: Callable[[], None]) -> None:
        reached.set()
        assert go.wait(PATIENCE)
        real()

    with commits(ledger, commit):
        try:
            yield reached
        finally:
            go.set()


async def until(true: Callable[[], Any]) -> None:
    """Wait until something holds."""
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end, "it did not come about"
        await anyio.sleep(0.005)
