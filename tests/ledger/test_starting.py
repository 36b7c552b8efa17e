"""How a ledger begins: many guards at once, a large store, and nothing before it is needed."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import aclosing, closing, suppress
from pathlib import Path
from typing import Any

import anyio
import asyncpg
import pytest

from hessra_agents import Call, Denied, Ledger
from hessra_agents.files import try_lock
from hessra_agents.ledger import LedgerError, opened
from hessra_agents.ledger.log.reader import Logs
from hessra_agents.ledger.log.verify import verify
from hessra_agents.ledger.store.postgres import STATEMENT, Postgres, lock_number
from tests.support.ledgers import opened_ledger, until
from tests.support.network import Pipe
from tests.support.postgres import Postgres as Server
from tests.support.processes import PATIENCE
from tests.support.world import MAIL, World

pytestmark = pytest.mark.anyio
GUARDS = 24


def at_once(dsn: str, guards: int = GUARDS) -> Callable[[], list[str]]:
    """Have that many guards open the store, each in a thread.

    What is returned waits for them, and says what failed.
    """
    found: list[str] = []

    def start() -> None:
        try:
            connection = Postgres(dsn)
            connection.open()
            connection.close()
        except Exception as error:
            found.append(str(error))

    threads = [threading.Thread(target=start) for _ in range(guards)]
    for one in threads:
        one.start()

    def ended() -> list[str]:
        for one in threads:
            one.join(PATIENCE)
        assert not any(one.is_alive() for one in threads)
        return found

    return ended


def asked(dsn: str, work: Callable[[Any], Any]) -> Any:
    """What comes of work with a connection of its own."""

    async def inside() -> Any:
        db = await asyncpg.connect(dsn)
        try:
            return await work(db)
        finally:
            await db.close()

    return asyncio.run(inside())


async def waiting_for_a_lock(db: Any, guards: int) -> None:
    """Wait until that many guards have waited for longer than a statement may take while callers wait."""
    waits = f"wait_event = 'advisory' and now() - query_start > '{STATEMENT + 0.1} s'"
    text = f"select count(*) from pg_stat_activity where datname = current_database() and {waits}"
    end = time.monotonic() + PATIENCE
    while await db.fetchval(text) < guards:
        assert time.monotonic() < end, "they do not wait"
        await asyncio.sleep(0.01)


LOCK = lock_number(b"hessra")


def test_guards_that_start_together_wait_for_the_one_that_makes_the_tables(dsn: str) -> None:
    """However long that takes; if it then has made none, one after the other tries it."""

    async def hold(db: Any) -> list[str]:
        await db.execute("select pg_advisory_lock($1)", LOCK)
        ended = at_once(dsn, guards=4)
        await waiting_for_a_lock(db, 4)
        await db.execute("select pg_advisory_unlock_all()")
        return await asyncio.to_thread(ended)

    assert asked(dsn, hold) == []


def test_guards_wait_for_the_tables_all_together_and_not_one_by_one(postgres: Server, dsn: str) -> None:
    """So over a slow network the last of many begins as soon as the second."""
    made = postgres.fresh()
    assert not at_once(made, guards=1)()

    async def hold(db: Any) -> list[str]:
        await db.execute("select pg_advisory_lock($1)", LOCK)
        ended = at_once(dsn)
        await waiting_for_a_lock(db, GUARDS)
        await asyncio.to_thread(postgres.restored, made, into=dsn)
        await db.execute("select pg_advisory_lock_shared($1)", LOCK)  # with this, nobody has the lock alone
        await db.execute("select pg_advisory_unlock($1)", LOCK)
        return await asyncio.to_thread(ended)

    assert asked(dsn, hold) == []


@pytest.mark.parametrize(("is_there", "turns"), [(False, 32), (True, 18)])
async def test_to_open_a_ledger_waits_a_few_times_for_its_server(
    postgres: Server, dsn: str, tmp_path: Path, is_there: bool, turns: int
) -> None:
    """The length of a start over a slow network is so many times its latency."""
    if is_there:
        assert not at_once(dsn, guards=1)()
    with Pipe(postgres.port) as wire:
        await opened_ledger(dsn.replace(f":{postgres.port}/", f":{wire.port}/"), state_dir=tmp_path).aclose()
        assert 10 < wire.turns <= turns


def test_a_guard_waits_for_nobody_where_the_tables_are_there(dsn: str) -> None:
    """Also not for a process that was stopped while it held the lock."""
    assert not at_once(dsn, guards=1)()

    async def hold(db: Any) -> list[str]:
        await db.execute("select pg_advisory_lock($1)", LOCK)
        return await asyncio.to_thread(at_once(dsn))

    assert asked(dsn, hold) == []


def test_guards_start_together_over_a_slow_network(postgres: Server, dsn: str) -> None:
    """Answers take 90 ms, as from another continent."""
    assert not at_once(dsn, guards=1)()
    with Pipe(postgres.port, delay=0.09) as wire:
        assert at_once(dsn.replace(f":{postgres.port}/", f":{wire.port}/"))() == []


def bytes_read() -> int:
    """How much this process has read so far, by any way that costs time (proc(5))."""
    return int(Path("/proc/self/io").read_text().split()[1])


async def test_to_open_a_ledger_reads_little_however_long_its_log_is(tmp_path: Path) -> None:
    where = tmp_path / "hessra.db"
    world = World(ledger=Ledger.open(where))
    await world.call(world.issue())
    await world.ledger.aclose()
    with closing(sqlite3.connect(where)) as db, db:
        rows = ((99, number, os.urandom(16), "decision", b"x" * 1000) for number in range(20_000))
        db.executemany("insert into entry (log, idx, op, kind, body) values (?, ?, ?, ?, ?)", rows)
    before = bytes_read()
    await opened_ledger(where).aclose()
    assert bytes_read() - before < where.stat().st_size / 10
    with Logs(where) as logs:
        before = bytes_read()
        verify(logs)
        assert bytes_read() - before > where.stat().st_size, "only log verify reads all of it"


# The first use


async def test_a_module_that_makes_a_ledger_writes_nothing_when_it_is_imported(tmp_path: Path) -> None:
    """Nor does one that only closes it."""
    ledger = Ledger.open(tmp_path / "hessra.db")
    world = World(ledger=ledger)
    assert "revocations" in repr(ledger)
    world.guard.toolbox(world.issue())
    assert os.listdir(tmp_path) == []
    await world.call(world.issue())
    assert (tmp_path / "hessra.db").exists()
    await ledger.aclose()
    unused = Ledger.open(tmp_path / "unused.db")
    await unused.aclose()
    assert not (tmp_path / "unused.db").exists()
    with pytest.raises(Denied):
        await unused.start()


async def test_a_ledger_is_open_inside_of_async_with_and_closed_behind_it(tmp_path: Path) -> None:
    where = tmp_path / "hessra.db"
    async with Ledger.open(where) as ledger:
        assert where.exists()
        world = World(ledger=ledger)
        await world.call(world.issue())
    with world.refuses("unavailable"):
        await world.call(world.issue())


async def test_a_ledger_that_is_closed_while_it_is_being_opened_does_not_stay_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever waited for it was cancelled, and its log is another's to take."""
    begun, go, real = threading.Event(), threading.Event(), opened.open_checked

    def slowly(*given: Any, **options: Any) -> Any:
        begun.set()
        go.wait()
        return real(*given, **options)

    monkeypatch.setattr("hessra_agents.ledger.ledger.open_checked", slowly)
    ledger = Ledger.open(tmp_path / "hessra.db")
    async with anyio.create_task_group() as group:
        group.start_soon(ledger.start)
        await until(begun.is_set)
        group.cancel_scope.cancel()
    await ledger.aclose()
    go.set()
    await until(lambda: ledger.opened)
    lock = tmp_path / "hessra.db.log" / "0" / "lock"
    await until(lambda: try_lock(lock) is not None)


@pytest.mark.parametrize("use", ["call", "decide", "check", "requests", "revoke", "start"])
async def test_what_keeps_a_ledger_from_being_opened_is_told_at_its_first_use(
    use: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """And once it is mended, the same ledger is opened."""
    where = tmp_path / "hessra.db"
    where.touch(mode=0o644)
    where.chmod(0o644)
    ledger = Ledger.open(where)
    world = World(ledger=ledger)
    if use == "call":
        with world.refuses("unavailable"):
            await world.call(world.issue())
        assert "others can reach it" in caplog.text
        assert "Traceback" not in caplog.text
    elif use == "decide":
        with world.refuses("unavailable"):
            world.guard.decide(world.issue(), Call.of("send_email", MAIL))
    elif use == "check":
        with world.refuses("unavailable"):
            world.guard.check_capability(world.issue())
    else:
        uses: dict[str, Callable[[], Any]] = {
            "requests": ledger.requests,
            "revoke": lambda: ledger.revoke(subject="a"),
            "start": ledger.start,
        }
        with pytest.raises(LedgerError, match="others can reach it"):
            await uses[use]()
    where.chmod(0o600)
    await world.call(world.issue())
    await ledger.aclose()


async def test_calls_that_come_together_open_a_ledger_once(tmp_path: Path) -> None:
    async with aclosing(Ledger.open(tmp_path / "hessra.db")) as ledger:
        world = World(ledger=ledger)
        held = world.issue()
        async with anyio.create_task_group() as group:
            for _ in range(20):
                group.start_soon(world.call, held)
        assert len(world.ran) == 20
        assert [one.name for one in (tmp_path / "hessra.db.log").iterdir()] == ["0"]


async def test_guards_that_start_together_on_a_new_file_open_it_all(tmp_path: Path) -> None:
    """One makes the tables, and the others wait for it."""
    ledgers = [Ledger.open(tmp_path / "hessra.db") for _ in range(12)]
    async with anyio.create_task_group() as group:
        for ledger in ledgers:
            group.start_soon(ledger.start)
    assert all(ledger.opened for ledger in ledgers)
    for ledger in ledgers:
        await ledger.aclose()


def test_a_ledger_that_cannot_be_is_refused_at_once() -> None:
    with pytest.raises(LedgerError, match=r"use Ledger\.memory\(\)"):
        Ledger.open(":memory:")


WITHOUT_LOCKS = """
import sys
sys.modules["fcntl"] = None
import anyio
from hessra_agents import Ledger
from hessra_agents.cli import main
ledger = Ledger.memory()
anyio.run(lambda: ledger.revoke(subject="agent:desk"))
for where in ("hessra.db", "postgresql://127.0.0.1/none"):
    try:
        Ledger.open(where)
    except Exception as error:
        print(type(error).__name__, error)
main(["approvals", "--ledger", "postgresql://127.0.0.1/none"])
"""


def test_without_a_posix_system_there_is_a_ledger_in_memory(tmp_path: Path) -> None:
    told = subprocess.run(
        [sys.executable, "-c", WITHOUT_LOCKS], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert told.stdout.count("LedgerError a ledger on disk needs a POSIX system") == 2, told.stderr
    assert "the ledger: a ledger on disk needs a POSIX system" in told.stderr
    assert "Traceback" not in told.stderr
    assert list(tmp_path.iterdir()) == []


class Slow:
    """A ledger that is opened once it is let go."""

    def __init__(self, where: Path) -> None:
        self.ledger = Ledger.open(where)
        self.begun, self.let_go = threading.Event(), threading.Event()
        open_store = self.ledger._open_store

        def open_slowly() -> Any:
            self.begun.set()
            assert self.let_go.wait(PATIENCE)
            return open_store()

        self.ledger._open_store = open_slowly

    async def open(self) -> None:
        with suppress(Denied):
            await self.ledger.start()


async def test_an_event_loop_does_not_wait_for_a_ledger_that_is_being_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is asked without waiting is refused, and what waits, waits beside the event loop."""
    monkeypatch.setattr("hessra_agents.ledger.first_use.DEADLINE", PATIENCE)
    slow = Slow(tmp_path / "hessra.db")
    world = World(ledger=slow.ledger)
    async with anyio.create_task_group() as group:
        group.start_soon(slow.open)
        group.start_soon(world.call, world.issue())
        await until(slow.begun.is_set)
        with world.refuses("unavailable"):
            world.guard.check_capability(world.issue())
        slow.let_go.set()
    assert len(world.ran) == 1
    world.guard.check_capability(world.issue())
    await slow.ledger.aclose()


async def test_calls_that_wait_for_a_ledger_to_be_opened_take_no_thread_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hessra_agents.ledger.first_use.DEADLINE", PATIENCE)
    slow = Slow(tmp_path / "hessra.db")
    world = World(ledger=slow.ledger)
    held, before = world.issue(), threading.active_count()
    async with anyio.create_task_group() as group:
        for _ in range(50):
            group.start_soon(world.call, held)
        await until(slow.begun.is_set)
        await anyio.wait_all_tasks_blocked()
        assert threading.active_count() <= before + 4
        slow.let_go.set()
    assert len(world.ran) == 50
    await slow.ledger.aclose()


async def test_a_ledger_that_is_closed_while_it_is_opened_is_closed(tmp_path: Path) -> None:
    before = {*threading.enumerate()}
    slow = Slow(tmp_path / "hessra.db")
    world = World(ledger=slow.ledger)
    async with anyio.create_task_group() as group:
        group.start_soon(slow.open)
        await until(slow.begun.is_set)
        await slow.ledger.aclose()
        slow.let_go.set()
    with world.refuses("unavailable"):
        await world.call(world.issue())
    assert "hessra-ledger" not in {thread.name for thread in {*threading.enumerate()} - before}
