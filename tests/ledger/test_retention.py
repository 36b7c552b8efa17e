"""What is kept of a log, for how long, and how it is found: searching, erasing and pruning."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import anyio
import pytest

from hessra_agents import KeyPair, Ledger, limit
from hessra_agents.call.canonical import parse
from hessra_agents.ledger import LedgerError
from hessra_agents.ledger.log.recovery import fork
from hessra_agents.ledger.log.retention import erase, prunable, prune
from hessra_agents.ledger.log.search import RecordQuery, search
from hessra_agents.ledger.log.verify import verify
from hessra_agents.ledger.store.connection import StoreError
from hessra_agents.tlog.export import ExportError, check, check_proof, entry
from hessra_agents.tlog.notes import Checkpoint
from tests.ledger.test_log import NOW, Place, refuse
from tests.ledger.test_log import file as file
from tests.ledger.test_log import store as store
from tests.support.world import ANA, MAIL, World

# Searching


def test_records_are_found_by_the_key_and_the_block_of_their_capability(store: Place) -> None:
    """Of a refused call as well, and of what was derived."""
    key, other = KeyPair.generate(), KeyPair.generate()
    ids: list[str] = []

    async def use(world: World) -> None:
        held = world.issue(holder=key.public)
        await world.call(held, proof=world.prove(held, key))
        with world.refuses("constraint"):
            bad = {**MAIL, "to": "eve@evil.example"}
            await world.call(held, arguments=bad, proof=world.prove(held, key, arguments=bad))
        ids.extend(held.ids)

    store.fill(2, then=use)
    with store.logs() as logs:
        for wanted, count in (
            (RecordQuery(holder=key.public), 2),
            (RecordQuery(holder=other.public), 0),
            (RecordQuery(block=ids[0]), 2),
            (RecordQuery(block=ids[0][:-1]), 0),
            (RecordQuery(holder=key.public, verdict="permitted"), 1),
        ):
            assert len(search(logs, wanted)) == count


def counted(place: Place, work: Callable[[Any], Any]) -> tuple[Any, int]:
    """What the work returns, and how many rows it had read."""
    rows = 0
    with place.logs() as logs:
        execute = logs.connection.execute

        def counting(statement: str, values: tuple[Any, ...]) -> list[Any]:
            nonlocal rows
            found = execute(statement, values)
            rows += len(found)
            return found

        logs.connection.execute = counting  # type: ignore[method-assign]
        return work(logs), rows


def test_the_last_records_are_found_without_reading_the_others(store: Place) -> None:
    store.fill(600)
    found, rows = counted(store, lambda logs: search(logs, RecordQuery(), 10))
    assert [one.record.index for one in found] == [*range(1180, 1200, 2)]
    assert rows < 300
    found, rows = counted(store, lambda logs: search(logs, RecordQuery(arguments=(("body", "mail 3"),))))
    assert [one.verdict for one in found] == ["permitted, done"]
    assert rows < 700, "outcomes are not read but for what was found"


def test_the_logs_are_merged_by_time(file: Place) -> None:
    """However their records are distributed, and across the pages of each."""

    async def beside(world: World) -> None:
        world.now += 1
        inside = Place(file.where, file.state)
        await world.call(world.issue())
        await anyio.to_thread.run_sync(lambda: inside.fill(200))
        world.now += 1
        await world.call(world.issue())

    file.fill(200, then=beside)
    with file.logs() as logs:
        assert len(logs.all()) == 2
        found = search(logs, RecordQuery())
        times = [one.record.fields["at"] for one in found]
        assert times == sorted(times)
        assert [times.count(NOW + second) for second in range(3)] == [400, 1, 1]
        assert search(logs, RecordQuery(), 3) == found[-3:]


def test_a_record_is_parsed_only_if_it_can_match(file: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """The others are told apart by their bytes."""
    file.fill(20, then=refuse)
    parsed = 0

    def counting(text: Any) -> Any:
        nonlocal parsed
        parsed += 1
        return parse(text)

    monkeypatch.setattr("hessra_agents.ledger.log.reader.parse", counting)
    with file.logs() as logs:
        query = RecordQuery(subject="agent", since=NOW, arguments=(("body", "mail 3"), ("to", ANA)))
        assert len(search(logs, query)) == 1
        assert parsed == 2  # the decision and its outcome
        parsed = 0
        assert search(logs, RecordQuery(subject="agent:other")) == []
        assert parsed == 0


# Erasing


def test_what_is_erased_is_found_by_nobody_and_the_log_verifies(store: Place) -> None:
    store.fill(3, keep_arguments=True)
    mail = RecordQuery(arguments=(("body", "mail 1"),))
    with store.logs() as logs:
        (found,) = search(logs, mail)
        (log,) = logs.all()
        assert erase(logs, log, found.record.index, now=NOW)
        assert not erase(logs, log, found.record.index, now=NOW)
        assert logs.record(log, found.record.index).opening is None
        assert search(logs, mail) == []
        left = logs.connection.scrub()
        assert ("vacuum full" in left) == store.where.startswith("postgresql")
    assert store.findings() == []


def test_an_erasure_is_on_record_and_leaves_nothing_on_disk_while_a_guard_runs(file: Place) -> None:
    """Neither in the file nor in its write-ahead log; and the log verifies."""

    async def beside(world: World) -> None:
        await world.call(world.issue(), arguments={"to": ANA, "body": "canary"})
        await anyio.to_thread.run_sync(erased)
        await world.call(world.issue())

    def erased() -> None:
        with file.logs() as logs:
            (log,) = logs.all()
            index = max(record.index for record in logs.records(log) if record.opening is not None)
            assert b"canary" in Path(f"{file.where}-wal").read_bytes()
            assert erase(logs, log, index, now=NOW)
            assert logs.connection.scrub() == ""
            for end in ("", "-wal"):
                assert b"canary" not in Path(file.where + end).read_bytes()
            assert not erase(logs, log, index, now=NOW)
            (said,) = [one.record.fields for one in search(logs, RecordQuery()) if one.record.kind == "erase"]
            assert (said["log"], said["index"], said["at"]) == (log.origin, index, NOW)

    file.fill(2, keep_arguments=True, then=beside)
    assert file.findings() == []


def test_what_another_program_keeps_from_being_erased_is_told(file: Place) -> None:
    file.fill(2, keep_arguments=True)
    with closing(sqlite3.connect(file.where)) as db, file.logs() as logs:
        (log,) = logs.all()
        db.execute("begin")
        db.execute("select count(*) from entry").fetchall()
        assert erase(logs, log, 0, now=NOW)
        with pytest.raises(StoreError, match="another program reads"):
            logs.connection.scrub()
        db.rollback()
        assert logs.connection.scrub() == ""


# Pruning


async def more(world: World) -> None:
    """Calls of another day."""
    world.now += 86_400
    capability = world.issue()
    for number in range(150):
        await world.call(capability, arguments={"to": ANA, "body": f"later {number}"})


LATER = NOW + 86_400


def pruned(place: Place, before: int, archive: Path | None) -> list[int]:
    """Prune all logs, and return how many records of each went."""
    with place.logs() as logs:
        wanted = [(log, prunable(logs, log, before)) for log in logs.all()]
        prune(logs, [(log, size) for log, size in wanted if size], archive, now=LATER)
        return [size for _, size in wanted]


@pytest.mark.parametrize("archived", [True, False])
def test_old_records_are_pruned_and_the_log_verifies(store: Place, tmp_path: Path, archived: bool) -> None:
    """Whole tiles of what is older; a guard goes on, and everything can be checked as before."""
    store.fill(5)
    with store.logs() as logs:
        (before,) = logs.all()
        older, _ = before.signed()
        kept = tmp_path / "checkpoints"
        kept.write_text(before.signed()[1].note)
    store.fill(295, then=more)
    archive = tmp_path / "archive" if archived else None
    assert pruned(store, NOW, archive) == [0], "records of that second are not before it"
    assert pruned(store, LATER, archive) == [512]
    assert pruned(store, LATER, archive)[0] == 512, "the second time there is nothing to do"
    store.fill(5)
    with store.logs() as logs:
        log = logs.log(before.origin)
        assert (log.pruned, log.size > before.size) == (512, True)
        assert [record.index for record in logs.records(log)] == [*range(512, log.size)]
        where = "they were archived" if archived else "not all of them were archived"
        for ask in (logs.record, logs.proof):
            with pytest.raises(ValueError, match=f"record 7 was pruned.*{where}"):
                ask(log, 7)
        found = [one.record.fields for one in search(logs, RecordQuery()) if one.record.kind == "prune"]
        assert [(one["log"], one["records"], one["archived"]) for one in found] == [
            (before.origin, 512, archived)
        ]
        assert log.local is not None
        proof = logs.proof(log, 600)
        assert check_proof(proof, logs.record(log, 600).body, [log.local.verifier]) == log.checkpoint
        lie = Checkpoint(before.origin, older.size, bytes(32))
        assert any("that differ from these" in text for one in verify(logs, [lie]) for text in one.findings)
        reports = {one.origin: one for one in verify(logs, [older])}
    assert {text for one in reports.values() for text in one.findings} == set()
    assert "the first 512 records were pruned" in reports[before.origin].notes[0]

    async def revoked() -> None:
        """By a ledger that holds an older checkpoint against the store, of records that went."""
        ledger = Ledger.open(store.where, state_dir=store.state, checkpoints=kept)
        await ledger.revoke(subject="agent:gone")
        await ledger.aclose()

    anyio.run(revoked)


def test_archive_and_new_exports_are_checked_by_an_auditor(store: Place, tmp_path: Path) -> None:
    """The archive has all records, and grows; a new export has the hashes of what went, and the note."""
    store.fill(300)
    with store.logs() as logs:
        (log,) = logs.all()
        assert log.local is not None
        keys, older = [log.local.verifier], log.local.note
    archive = tmp_path / "archive"
    assert pruned(store, LATER, archive) == [512]
    kept = archive / log.origin.partition("/")[2]
    store.fill(5)
    with store.logs() as logs:
        log = logs.log(log.origin)
        for folder, allowed in ((kept, False), (tmp_path / "new", True)):
            logs.export(log, folder)
            checked = check(folder, keys, older=older, allow_pruned=allowed)
            assert checked == log.checkpoint
    assert entry(kept, 7)
    with pytest.raises(ExportError, match="the first 512 records were pruned"):
        check(tmp_path / "new", keys)


def test_a_guard_goes_on_while_its_log_is_pruned(store: Place, tmp_path: Path) -> None:
    async def beside(world: World) -> None:
        capability = world.issue()
        sizes: list[int] = []

        def prune_beside() -> None:
            sizes.extend(pruned(store, LATER, tmp_path / "archive"))

        async with anyio.create_task_group() as group:
            group.start_soon(anyio.to_thread.run_sync, prune_beside)
            while not sizes:
                await world.call(capability)
        await world.call(capability)
        assert sizes[0] >= 256

    store.fill(300, then=beside)
    assert store.findings() == []


def test_what_nobody_signed_for_and_the_last_tile_are_kept(store: Place) -> None:
    """Else the log's size, or its last records, would be known to nobody."""
    store.fill(5)
    with store.logs() as logs:
        (log,) = logs.all()
        assert log.local is not None
        file, early = log.local.folder / "checkpoint", log.local.note
    store.fill(251)
    late = file.read_text()
    file.write_text(early)
    with store.logs() as logs:
        assert (logs.all()[0].size, prunable(logs, logs.all()[0], LATER)) == (512, 0)
    file.write_text(late)
    assert pruned(store, LATER, None) == [256]
    store.fill(5)
    assert store.findings() == []


BY_HAND = {
    "the note is deleted": ("delete from pruned", "record 0: is missing"),
    "the note is of more": ("update pruned set upto = 768", "record 0: is missing"),
    "more rows are deleted": ("delete from entry where idx < 520", "record 512: is missing"),
    "a tile is deleted": ("delete from tile where idx = 0", "tile 0/0: is missing"),
    "a tile is changed": (
        "update tile set hashes = zeroblob(8192) where idx = 0",
        "or the hash of one that was pruned",
    ),
    "a note is made up": (
        "insert into pruned select log, 2560, note from pruned; delete from entry where idx < 520",
        "record 512: is missing",
    ),
}


@pytest.mark.parametrize("what", BY_HAND)
def test_what_is_deleted_by_hand_is_an_error_as_before(file: Place, tmp_path: Path, what: str) -> None:
    file.fill(300)
    pruned(file, LATER, tmp_path / "archive")
    assert file.findings() == []
    statements, words = BY_HAND[what]
    for one in statements.split(";"):
        file.sql(one)
    assert words in " | ".join(file.findings())


def test_only_what_is_as_it_was_signed_is_pruned(file: Place, tmp_path: Path) -> None:
    """With an archive and without: nobody can have a changed record go unseen."""
    file.fill(300)
    file.sql("update entry set body = x'7b226174223a317d' where idx = 7")
    with pytest.raises(ExportError, match="record 7: is not the one"):
        pruned(file, LATER, tmp_path / "archive")
    with pytest.raises(LedgerError, match="not what was signed"):
        pruned(file, LATER, None)
    with file.logs() as logs:
        assert logs.all()[0].pruned == 0


def test_a_damaged_archive_is_found_before_anything_goes(file: Place, tmp_path: Path) -> None:
    archive = tmp_path / "archive"
    file.fill(300)
    with file.logs() as logs:
        (log,) = logs.all()
        folder = archive / log.origin.partition("/")[2]
        logs.export(log, folder)
    (folder / "tile/entries/001").unlink()
    with pytest.raises(ExportError, match="tile/entries/001: is missing"):
        pruned(file, LATER, archive)
    assert file.findings() == []


def test_revocations_limits_and_requests_stay(store: Place) -> None:
    """What was taken back stays so, and what was used stays used."""
    held: list[Any] = []

    async def before(world: World) -> None:
        await world.ledger.revoke(subject="agent:other")
        token = world.issue(limit(calls=1))
        await world.call(token)
        held.extend([world, token])

    async def after(world: World) -> None:
        first, token = held
        world.guard.trust = first.authority.trust
        with world.refuses("spent"):
            await world.call(token)
        assert world.ledger.revoked.epoch == 1

    store.fill(300, then=before)
    assert pruned(store, LATER, None) == [512]
    store.fill(1, then=after)


def test_that_a_log_was_forked_is_known_after_the_record_of_it_was_pruned(
    file: Place, tmp_path: Path
) -> None:
    """It is said anew: else the forked log would be damaged without a reason."""
    file.fill(5)
    file.sql("delete from entry where idx = 9")
    with file.logs() as logs:
        ((broken, _),) = fork(logs, "the disk died", now=NOW)

    async def beside(world: World) -> None:
        """While this guard has the first place, the next writes the log that has the record."""
        await anyio.to_thread.run_sync(lambda: file.fill(300))

    file.fill(1, then=beside)
    assert file.findings() == []
    assert pruned(file, LATER, tmp_path / "archive") == [0, 512, 0]
    with file.logs() as logs:
        (said,) = [one.record.fields for one in search(logs, RecordQuery()) if one.record.kind == "break"]
        assert (said["log"], said["reason"]) == (broken.state.origin, "the disk died")
    assert file.findings() == []


KILLED = """
import os, sys
from pathlib import Path
from hessra_agents.ledger.log.reader import Logs
from hessra_agents.ledger.log.recovery import fork
from hessra_agents.ledger.log.retention import prunable, prune

where, state, archive, after = sys.argv[1:]
with Logs(where, state_dir=state) as logs:
    left, commit = int(after), logs.connection.commit
    wanted = [(log, prunable(logs, log, 1_800_086_400)) for log in logs.all()]

    def killed():
        global left
        commit()
        left -= 1
        if left == 0:
            os.kill(os.getpid(), 9)

    execute = logs.connection.execute

    def execute_counted(statement, values):
        if statement in ("pruned", "prune"):
            logs.connection.commit = killed
        return execute(statement, values)

    logs.connection.execute = execute_counted
    prune(logs, wanted, Path(archive), now=1_800_086_400)
"""


@pytest.mark.parametrize("commits", [1, 2, 4])
def test_a_pruning_that_is_killed_leaves_a_log_that_verifies_and_is_finished(
    store: Place, tmp_path: Path, commits: int
) -> None:
    store.fill(1000)
    archive = tmp_path / "archive"
    command = [sys.executable, "-c", KILLED, store.where, str(store.state), str(archive), str(commits)]
    assert subprocess.run(command, check=False).returncode == -9
    assert store.findings() == []
    with store.logs() as logs:
        log = logs.log(next(archive.iterdir()).name)
        left = [record.index for record in logs.records(log)]
        assert left == [*range(log.pruned, log.size)]
        wanted = [(one, prunable(logs, one, LATER)) for one in logs.all()]
        prune(logs, wanted, archive, now=LATER)
        assert logs.page(log, 0, 1792) == []
    assert store.findings() == []
