"""Whoever can write a ledger's store alone: nothing that they put there is ever under a signed checkpoint."""

from __future__ import annotations

import json
import logging
import os
import random
import threading
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import pytest

from hessra_agents import Denied
from hessra_agents.ledger import LedgerError
from hessra_agents.ledger.log import appender
from hessra_agents.ledger.log.directory import LocalLogState
from hessra_agents.ledger.log.reader import Logs
from hessra_agents.ledger.log.recovery import broken_logs, fork
from hessra_agents.ledger.log.verify import verify
from hessra_agents.ledger.store.connection import StoreError
from hessra_agents.tlog.merkle import leaf_hash
from tests.support.ledgers import SOAK, Store, commits, connection_of, once_each, until
from tests.support.ledgers import anyio_backend as anyio_backend
from tests.support.ledgers import store as store
from tests.support.log_world import plain_root
from tests.support.world import World

pytestmark = pytest.mark.anyio
NOW = 1_800_000_000


@dataclass
class Attacked:
    """A store, what its guards wrote, and whoever else writes to it."""

    store: Store
    own: dict[int, bytes] = field(default_factory=dict)
    """What was written last at each index of the log, by a guard."""

    @property
    def folder(self) -> Path:
        return self.store.folder / "log" / "0"

    @property
    def state(self) -> LocalLogState:
        return LocalLogState.read(self.folder)

    def guard(self) -> World:
        """A guard on the log of the store, whose writing is watched."""
        world = self.store.world()
        connection = connection_of(world.ledger)
        real = connection.executemany

        def watched(statement: str, values: Any) -> None:
            if statement == "entry":
                self.own |= {index: body for _, index, _, _, body, *_ in values}
            real(statement, values)

        connection.executemany = watched  # type: ignore[method-assign]
        return world

    async def use(self, calls: int) -> None:
        """A guard starts, makes so many calls (2 records each) and ends."""
        world = self.guard()
        capability = world.issue()
        for _ in range(calls):
            await world.call(capability)
        await world.ledger.aclose()

    async def use_uncovered(self, calls: int) -> None:
        """As `use`, but the process ended before its records were covered by a checkpoint."""
        before = (self.folder / "checkpoint").read_bytes()
        await self.use(calls)
        (self.folder / "checkpoint").write_bytes(before)

    def blob(self, data: bytes) -> str:
        return f"x'{data.hex()}'" if self.store.name == "sqlite" else f"'\\x{data.hex()}'::bytea"

    def size(self) -> int:
        return int(self.store.sql("select coalesce(max(idx), -1) + 1 from entry where log = 1")[0][0])

    def insert(
        self,
        index: int,
        *,
        log: int = 1,
        op: bytes = b"",
        mac: bytes | None = None,
        kind: str = "decision",
        says: Mapping[str, str] = {},
    ) -> None:
        """Put a record there that no guard wrote."""
        op = op or os.urandom(16)
        body = json.dumps({"kind": kind, "op": op.hex(), "at": 1, "verdict": "permitted", **says}).encode()
        vouched = "null" if mac is None else self.blob(mac)
        self.store.sql(
            "insert into entry (log, idx, op, kind, body, mac) values"
            f" ({log}, {index}, {self.blob(op)}, '{kind}', {self.blob(body)}, {vouched})"
        )

    def check(self) -> None:
        """The last checkpoint is over what guards wrote, and over nothing else."""
        checkpoint = self.state.checkpoint
        assert checkpoint is not None
        leaves = [leaf_hash(self.own[index]) for index in range(checkpoint.size)]
        assert plain_root(leaves) == checkpoint.root


@pytest.fixture
def attacked(store: Store) -> Attacked:
    """A store that somebody else can write to, too."""
    return Attacked(store)


async def refused_to_start(attacked: Attacked, words: str) -> None:
    with pytest.raises(LedgerError, match=words) as caught:
        attacked.store.open()
    assert "log fork" in str(caught.value)
    attacked.check()


@once_each
async def test_a_record_that_was_put_behind_the_log_keeps_a_guard_from_starting(attacked: Attacked) -> None:
    """Until the log is forked; then the new one has what was found, and the old one says how far it holds."""
    await attacked.use(3)
    attacked.insert(6)
    await refused_to_start(attacked, "has a record 6 that its process did not write")

    def forked() -> None:
        with Logs(attacked.store.where, state_dir=attacked.store.folder / "log") as logs:
            (report,) = verify(logs)
            assert report.covered == 6
            assert report.findings == ["record 6: its process did not write it, or it was changed"]
            ((one, _),) = fork(logs, "a record that nobody here wrote", now=NOW)
            assert "record 6" in one.finding
            assert broken_logs(logs) == []
            old, new = verify(logs)
            assert (old.findings, new.findings, new.covered) == ([], [], 1)
            assert old.notes[0].endswith("may be anything: a record that nobody here wrote")

    await anyio.to_thread.run_sync(forked)
    attacked.own.clear()
    await attacked.use(1)


@once_each
async def test_a_record_that_is_put_behind_the_log_of_a_running_guard_ends_its_calls(
    attacked: Attacked, caplog: pytest.LogCaptureFixture
) -> None:
    """They are refused, for a reason that is said once; when the record is gone, they are permitted."""
    world = attacked.guard()
    capability = world.issue()
    for _ in range(3):
        await world.call(capability)
    await until(lambda: attacked.size() == 6)
    attacked.insert(6)
    with caplog.at_level(logging.WARNING):
        for _ in range(5):
            with pytest.raises(Denied) as caught:
                await world.call(capability)
            assert caught.value.reason == "unavailable"
            assert "record 6 that its process did not write" in caught.value.detail
    assert len([one for one in caplog.records if "did not write" in one.getMessage()]) == 1
    assert len(world.ran) == 3
    attacked.store.sql("delete from entry where idx = 6")
    await world.call(capability)
    await world.ledger.aclose()
    attacked.check()


@once_each
async def test_what_was_committed_is_signed_at_the_end_also_after_the_store_failed(
    attacked: Attacked, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No record came since that would have the log read anew."""
    monkeypatch.setattr(appender, "CHECKPOINT_EVERY", float("inf"))
    world, failed = attacked.guard(), threading.Event()
    capability = world.issue()
    for _ in range(3):
        await world.call(capability)
    await until(lambda: attacked.size() == 6)
    connection = connection_of(world.ledger)
    begin = connection.begin

    def fails(locks: Iterable[bytes]) -> None:
        connection.begin = begin  # type: ignore[method-assign]
        failed.set()
        raise StoreError("gone for a moment")

    connection.begin = fails  # type: ignore[method-assign]
    await until(failed.is_set)
    await world.ledger.aclose()
    assert attacked.state.checkpoint is not None
    assert attacked.state.checkpoint.size == 6
    attacked.check()


FOREIGN = "has a record {} that its process did not write"
MISSING = "has no record {}, and has later ones"
CHANGES = {
    "changed": ("update entry set body = {body} where idx = 8", FOREIGN.format(8)),
    "made anew": ("update entry set mac = null where idx = 8", FOREIGN.format(8)),
    "lost": ("delete from entry where idx = 8", MISSING.format(8)),
    "lost with what follows": ("delete from entry where idx >= 8", ""),
    "moved": ("update entry set idx = 20 where idx = 11", MISSING.format(11)),
    "moved far": ("update entry set idx = 9223372036854775807 where idx = 11", MISSING.format(11)),
    "exchanged": (
        "update entry set body = (select body from entry as other where other.idx = 19 - entry.idx),"
        " mac = (select mac from entry as other where other.idx = 19 - entry.idx) where idx in (9, 10)",
        FOREIGN.format(9),
    ),
}


@once_each
@pytest.mark.parametrize("what", CHANGES)
async def test_what_no_checkpoint_covers_counts_only_as_it_was_written(attacked: Attacked, what: str) -> None:
    """What a process wrote in its last second counts; the last of it can be cut off, and not be changed."""
    await attacked.use(2)
    await attacked.use_uncovered(4)
    statement, words = CHANGES[what]
    attacked.store.sql(statement.format(body=attacked.blob(b'{"kind":"decision"}')))
    if words:
        await refused_to_start(attacked, words)
        return
    await attacked.use(1)
    assert attacked.size() == 10
    attacked.check()


@once_each
async def test_what_a_process_wrote_before_it_was_killed_is_signed_by_the_next(attacked: Attacked) -> None:
    await attacked.use(2)
    await attacked.use_uncovered(4)
    await attacked.use(1)
    checkpoint = attacked.state.checkpoint
    assert checkpoint is not None
    assert checkpoint.size == 14
    attacked.check()


@once_each
async def test_a_running_guard_knows_what_it_wrote_whatever_its_store_says(
    attacked: Attacked, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The end of the log, which no checkpoint covers yet, is cut off, and a commit fails."""
    monkeypatch.setattr(appender, "CHECKPOINT_EVERY", float("inf"))
    world = attacked.guard()
    capability = world.issue()
    for _ in range(5):
        await world.call(capability)
    await until(lambda: attacked.size() == 10)
    attacked.store.sql("delete from entry where idx >= 6")

    def commit(real: Any) -> None:
        raise StoreError("lost")

    with commits(world.ledger, commit), pytest.raises(Denied):
        await world.call(capability)
    with pytest.raises(Denied) as caught:
        await world.call(capability)
    assert "has 6 records, 10 were written" in caught.value.detail
    assert len(world.ran) == 5
    await world.ledger.aclose()


@once_each
async def test_a_tile_that_was_put_there_beforehand_is_not_signed(attacked: Attacked) -> None:
    """The guard's own tile is then not written, and its log is refused when it starts again."""
    await attacked.use(2)
    attacked.store.sql(f"insert into tile values (1, 0, 0, {attacked.blob(bytes(256 * 32))})")
    with pytest.raises(LedgerError, match="does not hold the 4 records"):
        attacked.store.open()
    attacked.store.sql("delete from tile")
    world = attacked.guard()
    capability = world.issue()
    await world.call(capability)
    attacked.store.sql(f"insert into tile values (1, 0, 0, {attacked.blob(bytes(256 * 32))})")
    for _ in range(130):
        await world.call(capability)
    await world.ledger.aclose()
    attacked.check()


@once_each
async def test_an_operation_of_a_foreign_record_is_not_taken_for_recorded(attacked: Attacked) -> None:
    """A commit fails; before it is tried again, somebody writes its operation to a log of their own."""
    world = attacked.guard()
    capability = world.issue()
    await world.call(capability)
    await until(lambda: attacked.size() == 2)
    attacked.store.sql("insert into log (origin) values ('hessra-agents/0000000000000000')")
    failed: list[bytes] = []

    def commit(real: Any) -> None:
        if not failed:
            op = bytes.fromhex(json.loads(attacked.own[max(attacked.own)])["op"])
            failed.append(op)
            connection_of(world.ledger).rollback()
            attacked.insert(0, log=2, op=op)
            raise StoreError("lost")
        real()

    with commits(world.ledger, commit), pytest.raises(Denied):
        await world.call(capability)
    assert failed
    assert len(world.ran) == 1, "what is on record nowhere did not run"
    await world.ledger.aclose()
    attacked.check()


@once_each
async def test_a_made_up_log_is_told_from_those_of_a_guard(attacked: Attacked) -> None:
    await attacked.use(2)
    attacked.store.sql("insert into log (origin) values ('hessra-agents/0000000000000000')")
    attacked.insert(0, log=2)
    attacked.store.sql("delete from entry where idx = 1")
    attacked.insert(1, log=2, kind="break", says={"log": attacked.state.origin, "reason": "a disk"})
    attacked.store.sql(
        "insert into checkpoint (log, verifier, note) select 2, verifier, note from checkpoint where log = 1"
    )

    def look() -> None:
        with Logs(attacked.store.where, state_dir=attacked.store.folder / "log") as logs:
            genuine, made_up = verify(logs)
            assert genuine.findings[0] == "record 1: is missing", "a fork that nobody signed excuses nothing"
            assert genuine.notes == []
            assert (made_up.covered, made_up.size) == (0, 2)
            assert "its key in the store does not count" in made_up.findings[0]

    def look_again() -> None:
        with Logs(attacked.store.where, state_dir=attacked.store.folder / "log") as logs:
            made_up = verify(logs)[1]
            assert "may have made it up" in made_up.notes[0]
            assert made_up.findings == []
            made_up = verify(logs, keys=[attacked.state.verifier])[1]
            assert "may have made it up" in made_up.findings[0], "who names keys wants no log without them"

    await anyio.to_thread.run_sync(look)
    attacked.store.sql("delete from checkpoint where log = 2")
    await anyio.to_thread.run_sync(look_again)


# Whatever they do


ROUNDS = 1000 if SOAK else 40


class Attacker:
    """Does something at random to the rows of a log."""

    def __init__(self, attacked: Attacked, seed: int) -> None:
        self.attacked, self.pick = attacked, random.Random(seed)

    def act(self) -> None:
        """Do one thing; the store itself may refuse it."""
        act = self.pick.choice(
            [self.put, self.put_next, self.take, self.change, self.swap, self.tile, self.copy]
        )
        with suppress(Exception):
            act()

    def index(self) -> int:
        return self.pick.randrange(max(0, self.attacked.size() - 12), self.attacked.size() + 4)

    def put(self) -> None:
        self.attacked.insert(self.index(), mac=self.pick.choice([None, bytes(16)]))

    def put_next(self) -> None:
        self.attacked.insert(self.attacked.size(), mac=self.pick.choice([None, bytes(16)]))

    def take(self) -> None:
        self.attacked.store.sql(f"delete from entry where idx {self.pick.choice('=>')} {self.index()}")

    def change(self) -> None:
        what = self.pick.choice(["body", "mac"])
        value = self.attacked.blob(self.pick.choice([b"{}", bytes(16)]))
        self.attacked.store.sql(f"update entry set {what} = {value} where idx = {self.index()}")

    def swap(self) -> None:
        one, other = self.index(), self.index()
        for old, new in ((one, -1), (other, one), (-1, other)):
            self.attacked.store.sql(f"update entry set idx = {new} where idx = {old}")

    def copy(self) -> None:
        """A record with its MAC, at another place."""
        self.attacked.store.sql(
            f"insert into entry (log, idx, op, kind, body, mac) select 1, {self.attacked.size()},"
            f" {self.attacked.blob(os.urandom(16))}, kind, body, mac from entry where idx = {self.index()}"
        )

    def tile(self) -> None:
        value = self.attacked.blob(os.urandom(256 * 32))
        self.attacked.store.sql("delete from tile")
        if self.pick.random() < 0.7:
            self.attacked.store.sql(f"insert into tile values (1, 0, 0, {value})")


async def attack(store: Store, seed: int) -> None:
    """Guards come and go while somebody writes to their store."""
    attacked = Attacked(store)
    attacker = Attacker(attacked, seed)
    await attacked.use(attacker.pick.choice([1, 126]))
    if attacker.pick.random() < 0.5:
        await attacked.use_uncovered(attacker.pick.randrange(1, 6))
    reasons = set[str]()
    for _ in range(3):
        for _ in range(attacker.pick.randrange(3)):
            attacker.act()
        try:
            world = attacked.guard()
        except LedgerError as error:
            reasons.add("unavailable" if "log fork" in str(error) else str(error))
            break
        capability = world.issue()
        for _ in range(attacker.pick.randrange(1, 6)):
            try:
                await world.call(capability)
            except Denied as denied:
                reasons.add(denied.reason)
            if attacker.pick.random() < 0.3:
                attacker.act()
        await world.ledger.aclose()
        attacked.check()
    attacked.check()
    assert reasons <= {"unavailable"}


@pytest.mark.parametrize("on", ["sqlite-asyncio"])
async def test_nothing_but_what_guards_wrote_is_ever_signed(store: Store, tmp_path: Path) -> None:
    """Whatever is inserted, changed, deleted, moved or copied, at whatever moment between two commits."""
    for seed in range(ROUNDS):
        folder = tmp_path / str(seed)
        folder.mkdir(mode=0o700)
        await attack(Store("sqlite", str(folder / "hessra.db"), folder), seed)


@pytest.mark.parametrize("on", ["postgresql-asyncio"])
@pytest.mark.parametrize("seed", range(100 if SOAK else 4))
async def test_nothing_but_what_guards_wrote_is_ever_signed_on_postgresql(store: Store, seed: int) -> None:
    await attack(store, seed)
