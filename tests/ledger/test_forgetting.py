"""What has expired is forgotten: in small batches, by no clock that is ahead, and never before its time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import timedelta
from itertools import pairwise
from typing import cast

import asyncpg
import pytest

from hessra_agents import KeyPair, Ledger, limit
from hessra_agents.ledger import forgetting
from hessra_agents.ledger import transactions as steps
from hessra_agents.ledger.store.connection import Steps, run_in_thread
from hessra_agents.ledger.store.statements import statements
from hessra_agents.ledger.store.writer import Writer
from tests.support.ledgers import Store, once_each, store_of, until
from tests.support.ledgers import anyio_backend as anyio_backend
from tests.support.ledgers import store as store
from tests.support.world import World

pytestmark = pytest.mark.anyio
KEY = KeyPair.generate()
TABLES = ("spent", "used", "refundable", "capability", "capability_mark", "request", "vote")


def fill(store: Store, count: int, until: int) -> None:
    """Capabilities with two marks each, statements, uses and requests that expire then."""
    series = f"with recursive series (i) as (select 1 union all select i + 1 from series where i < {count})"
    sha = "cast('{0}' || i as blob)" if store.name == "sqlite" else "convert_to('{0}' || i, 'UTF8')"
    held = "capability (name, subject, holder, issued, expires)"
    name, mark = sha.format(f"c{until}-"), sha.format(f"m{until}-")
    for row in (
        f"spent {series} select 'proof', {name}, {until}",
        f"used {series} select {name}, 0, 1, {until}",
        f"refundable {series} select {name}, {name}, 0, 1, {until}",
        f"{held} {series} select {name}, {name}, null, null, {until}",
        f"capability_mark {series} select {name}, {name}",
        f"capability_mark {series} select {mark}, {name}",
        f"request {series} select 'r{until}-' || i, {name}, {name}, {name}, {name}, {until}, 0, 'open'",
        f"vote {series} select 'r{until}-' || i, 'key', 'ha1.'",
    ):
        store.sql(f"insert into {row} from series")


def counts(store: Store) -> dict[str, int]:
    return {table: store.sql(f"select count(*) from {table}")[0][0] for table in TABLES}


@once_each
async def test_what_has_expired_goes_in_batches_and_all_else_stays(store: Store) -> None:
    await store.open().aclose()
    fill(store, 100, until=1_000)
    fill(store, 7, until=3_000)
    lost: list[int] = []
    while not lost or lost[-1] == 30:
        lost.append(store.run(steps.expire(2_000, 30)))
    assert lost == [30, 30, 30, 10]
    assert counts(store) == {table: 14 if table == "capability_mark" else 7 for table in TABLES}


@once_each
async def test_a_guard_forgets_by_itself_what_expired_long_ago(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forgetting, "EXPIRE_EVERY", 0.0)
    monkeypatch.setattr(forgetting, "MOST", 64)
    world = store.world()
    world.now = int(time.time())
    fill(store, 100, until=world.now - 1_000)
    fill(store, 7, until=world.now - 60)
    await world.call(world.issue())
    await until(lambda: counts(store)["request"] == 7)
    await until(lambda: counts(store)["capability"] == 8)


def plans(store: Store) -> list[str]:
    """How the store finds what it deletes, where it must not prefer to read a table that is small now."""
    texts = [text for name, text in statements("sqlite" if store.name == "sqlite" else "postgres").items()
             if name.startswith("forget_") and name != "forget_turn"]  # fmt: skip
    if store.name == "sqlite":
        return [str(row) for text in texts for row in store.sql(
            "explain query plan " + text.replace("?1", "5").replace("?2", "5")
        )]  # fmt: skip

    async def explained() -> list[str]:
        db = await asyncpg.connect(store.where, server_settings={"search_path": "hessra"})
        await db.execute("set enable_seqscan = off")
        found = [row[0] for text in texts for row in await db.fetch(
            "explain " + text.replace("$1", "5").replace("$2", "5")
        )]  # fmt: skip
        await db.close()
        return found

    return run_in_thread(lambda: asyncio.run(explained()))


@once_each
async def test_to_forget_reads_no_table_from_end_to_end(store: Store) -> None:
    """However many capabilities live: nothing is compared with all that are there."""
    await store.open().aclose()
    whole = [line for line in plans(store) if "Seq Scan" in line or "SubPlan" in line]
    whole += [line for line in plans(store) if "SCAN" in line and "INDEX" not in line]
    assert whole == []


@pytest.mark.parametrize("on", ["sqlite-trio"])
async def test_a_batch_grows_by_a_quarter_at_most_and_shrinks_at_once(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The commit after a few fast ones may be the slow one, which writes a whole write-ahead log back."""

    class Paced:
        """What a forgetting has of its ledger: time, and transactions that take so much of it."""

        now, took, linger = 1.0, 0.0, 0.0
        time = staticmethod(time.time)

        def monotonic(self) -> float:
            return self.now

        def run(self, steps: Callable[[bool], Steps[int]]) -> int:
            self.now += self.took
            deleted: int = store.run(steps(False))
            return deleted

    paced, now = Paced(), int(time.time())
    await store.open().aclose()
    fill(store, 1_500, until=now - 1_000)
    monkeypatch.setattr(forgetting, "time", paced)
    looked = forgetting.Forgetting(lambda: now)
    left = [counts(store)["spent"]]
    for took in (2**-20, 2**-20, 2**-3, 2**-20):
        paced.took = took
        paced.now += forgetting.EXPIRE_EVERY
        looked.delete_due(cast(Writer, paced), now)
        left.append(counts(store)["spent"])
    assert [before - after for before, after in pairwise(left)] == [256, 320, 400, 64]


async def round_of(ledger: Ledger) -> None:
    """The ledger's thread looks once for what has expired."""
    looked = store_of(ledger)._forgetting
    looked._due = 0.0
    await until(lambda: looked._due)


@once_each
async def test_a_clock_that_is_ahead_for_a_moment_stops_no_guard(store: Store) -> None:
    """That of one guard, or of a machine: what others still need is not taken for forgotten."""
    good = store.world()
    good.now = int(time.time())
    bad = store.world(good)
    held = good.issue(limit(calls=100, per=timedelta(hours=1)), ttl=timedelta(hours=20), holder=KEY.public)
    used = good.prove(held, KEY)
    await good.call(held, proof=used)
    bad.now += 6 * 3600
    await bad.call(held, proof=bad.prove(held, KEY))
    await round_of(bad.ledger)
    with good.refuses("replayed"):
        await good.call(held, proof=used)
    for world in (good, store.world(good)):
        await world.call(held, proof=world.prove(held, KEY))


def test_time_passes_for_forgetting_at_most_twice_as_fast_as_it_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """So a clock that is ahead for less than a minute moves nothing, and one that was stopped catches up."""

    class Steady:
        now = 0.0

        def monotonic(self) -> float:
            return self.now

        def time(self) -> float:
            return 2_000_000

    steady, clock = Steady(), [1_000_000]
    monkeypatch.setattr(forgetting, "time", steady)
    looked = forgetting.Forgetting(lambda: clock[0])
    steady.now += 50
    clock[0] += 50
    assert looked.believed(1_000_050) == 1_000_050
    clock[0] += 6 * 3600
    steady.now += 10
    assert looked.believed(clock[0]) == 1_000_070
    clock[0] = 1_000_061
    assert looked.believed(clock[0]) == 1_000_061, "it is right again"
    clock[0] += 3600
    for _ in range(60):
        steady.now += 60
        clock[0] += 60
        looked.believed(clock[0])
    assert looked.believed(clock[0]) == clock[0], "it was the time that had passed"
    assert looked.believed(5) == 5, "the guard of the last call may be behind"


@once_each
async def test_a_machine_that_starts_with_its_clock_ahead_stops_no_guard(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With all its clocks: SQLite has none, so what was recorded last says what time it was."""
    good = store.world()
    good.now = int(time.time())
    held = good.issue(limit(calls=100, per=timedelta(hours=1)), ttl=timedelta(hours=20), holder=KEY.public)
    used = good.prove(held, KEY)
    await good.call(held, proof=used)
    await good.ledger.aclose()
    real = time.time
    with monkeypatch.context() as patch:
        patch.setattr(time, "time", lambda: real() + 6 * 3600)
        bad = World(ledger=store.open(clock=time.time))
        bad.authority, bad.guard.trust, bad.now = good.authority, good.authority.trust, int(time.time())
        bad.ledger._clock = time.time
        await bad.call(held, proof=bad.prove(held, KEY))
        await round_of(bad.ledger)
        await bad.ledger.aclose()
    again = store.world(good)
    with again.refuses("replayed"):
        await again.call(held, proof=used)
    await again.call(held, proof=again.prove(held, KEY))


@pytest.mark.parametrize("on", ["sqlite-trio"])
async def test_the_limit_a_clock_that_stays_ahead_from_one_start_to_the_next_is_believed(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As deployment says: then the newest record has that time, too, and others wait until it is."""
    good = store.world()
    good.now = int(time.time())
    held = good.issue(ttl=timedelta(hours=20), holder=KEY.public)
    await good.call(held, proof=good.prove(held, KEY))
    real = time.time
    with monkeypatch.context() as patch:
        patch.setattr(time, "time", lambda: real() + 6 * 3600)
        for _ in range(2):
            bad = store.world(good)
            bad.now = int(time.time())
            await bad.call(held, proof=bad.prove(held, KEY))
            await round_of(bad.ledger)
            await bad.ledger.aclose()
    with good.refuses("stale"):
        await good.call(held, proof=good.prove(held, KEY))


@pytest.mark.parametrize("on", ["postgresql-asyncio"])
async def test_a_batch_that_fails_refuses_nobody(
    store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Here somebody holds what it would delete: calls go on, and it is deleted later."""
    monkeypatch.setattr(forgetting, "EXPIRE_EVERY", 0.0)
    world = store.world()
    world.now = int(time.time())
    fill(store, 100, until=world.now - 1_000)
    db = await asyncpg.connect(store.where, server_settings={"search_path": "hessra"})
    async with db.transaction():
        await db.execute("select 1 from capability for update")
        await world.call(world.issue())
        await until(lambda: "could not be deleted" in caplog.text)
        await world.call(world.issue())
    await until(lambda: not store.sql(f"select 1 from capability where expires < {world.now - 500}"))
    await db.close()
    assert "calls are refused" not in caplog.text
