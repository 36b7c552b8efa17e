"""The folder of a log is damaged, or its store is put back: what still works, and what is said of it."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import anyio
import pytest

from hessra_agents import Denied, Ledger
from hessra_agents.ledger import LedgerError
from hessra_agents.ledger.log.reader import Logs
from hessra_agents.ledger.log.recovery import broken_logs, fork
from hessra_agents.ledger.log.search import RecordQuery, search
from hessra_agents.ledger.log.verify import verify
from hessra_agents.ledger.store.writer import Writer
from tests.support.ledgers import anyio_backend as anyio_backend
from tests.support.ledgers import opened_ledger, until
from tests.support.world import World

NOW = 1_800_000_000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A ledger that a guard used."""
    tmp_path.chmod(0o700)
    used(tmp_path / "hessra.db")
    return tmp_path / "hessra.db"


def used(path: Path) -> None:
    """A guard starts, makes two calls and ends."""

    async def work() -> None:
        world = World(ledger=Ledger.open(path))
        capability = world.issue()
        for _ in range(2):
            await world.call(capability)
        await world.ledger.aclose()

    anyio.run(work)


def emptied(key: Path) -> None:
    key.write_bytes(b"")


def cut(key: Path) -> None:
    key.write_bytes(key.read_bytes()[:60])


def opened(key: Path) -> None:
    key.chmod(0o640)


def removed(key: Path) -> None:
    key.unlink()


@pytest.mark.parametrize("damage", [emptied, cut, opened, removed])
def test_a_damaged_key_ends_its_log_and_nothing_else(
    path: Path, damage: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    """A guard starts with another log and says why; commands work, and a fork sets the old one aside."""
    folder = Path(f"{path}.log")
    origin = (folder / "0" / "checkpoint").read_text().partition("\n")[0]
    damage(folder / "0" / "key")
    told: list[str] = []

    async def revoke() -> None:
        ledger = opened_ledger(path, on_damage=told.append)
        await ledger.revoke(subject="agent:other")
        await ledger.aclose()

    anyio.run(revoke)
    with caplog.at_level(logging.WARNING):
        used(path)
    said = [one.getMessage() for one in caplog.records]
    for words in (told, said):
        assert len(words) == 1
        assert "0: its key is damaged: " in words[0]
        assert "log fork" in words[0]
    with Logs(path) as logs:
        assert logs.all()[0].origin == origin
        assert len(search(logs, RecordQuery(), 20)) == 5
        old, new = verify(logs)
        assert (old.origin, old.findings[0].partition(":")[0]) == (origin, "its key is damaged")
        assert (new.size, new.covered, new.findings) == (5, 5, [])
        ((one, kept),) = fork(logs, "a bad sector", now=NOW)
        assert one.state.origin == origin
        assert (kept / "checkpoint").read_text() == one.state.note
        assert broken_logs(logs) == []
        old, new = verify(logs)
        assert (old.findings, new.findings) == ([], [])
        assert old.notes == ["it was forked, and its records may be anything: a bad sector"]
    caplog.clear()
    used(path)
    assert caplog.records == []


def test_a_key_that_was_repaired_goes_on_with_its_log(path: Path) -> None:
    key = Path(f"{path}.log/0/key")
    key.chmod(0o644)
    used(path)
    key.chmod(0o600)
    used(path)
    with Logs(path) as logs:
        assert [(one.size, one.covered, one.findings) for one in verify(logs)] == [(8, 8, []), (4, 4, [])]


def test_a_checkpoint_without_a_text_is_not_no_checkpoint(path: Path) -> None:
    """It was cut; whether the store was, too, cannot be told."""
    Path(f"{path}.log/0/checkpoint").write_bytes(b"")
    with pytest.raises(LedgerError, match=r"its checkpoint is not signed by its key.*log fork"):
        opened_ledger(path)


@pytest.mark.anyio
@pytest.mark.parametrize("on", ["sqlite-asyncio", "sqlite-trio"])
async def test_a_store_that_is_put_back_under_a_guard_is_told_once(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """However long the guard runs: its calls are refused, and their detail says why."""
    world = World(ledger=Ledger.open(path))
    capability = world.issue()
    await world.call(capability)
    copy = path.with_name("copy.db")
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"vacuum into '{copy}'")
    await world.ledger.revoke(subject="agent:other")
    copy.chmod(0o600)
    executor, rounds = world.ledger.executor, list[None]()
    assert isinstance(executor, Writer)
    real = executor._round

    def counted() -> None:
        real()
        rounds.append(None)

    executor._round = counted  # type: ignore[method-assign]
    with caplog.at_level(logging.WARNING):
        put_back(copy, path)
        for _ in range(5):
            with pytest.raises(Denied) as caught:
                await world.call(capability)
            assert caught.value.reason == "unavailable"
            assert "the store was cut, restored from an old copy or altered" in caught.value.detail
        before = len(rounds)
        await until(lambda: len(rounds) > before + 20)
    said = [one.getMessage() for one in caplog.records]
    assert len([one for one in said if "old copy" in one]) == 1
    assert len(said) <= 4
    assert [one.exc_info for one in caplog.records] == [None] * len(said)
    await world.ledger.aclose()


def put_back(copy: Path, path: Path) -> None:
    for rest in ("-wal", "-shm"):
        Path(f"{path}{rest}").unlink()
    copy.rename(path)
