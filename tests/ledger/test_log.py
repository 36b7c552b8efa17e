"""The log of a store, read beside its guards: found, proved, checked record by record, erased, forked."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import pytest

from hessra_agents.ledger import LedgerError
from hessra_agents.ledger.log.reader import Log, Logs, LogTiles
from hessra_agents.ledger.log.recovery import broken_logs, fork
from hessra_agents.ledger.log.search import NO_OUTCOME, RecordQuery, search
from hessra_agents.ledger.log.verify import verify
from hessra_agents.tlog.export import ExportError, check, check_proof
from hessra_agents.tlog.merkle import Tree, inclusion, leaf_hash
from hessra_agents.tlog.notes import Checkpoint
from tests.support.ledgers import opened_ledger
from tests.support.world import ANA, EVE, MAIL, World

NOW = 1_800_000_000


@dataclass
class Place:
    """A store, and the folder of its logs."""

    where: str
    state: Path

    def fill(
        self, count: int, *, keep_arguments: bool = False, then: Callable[[World], Any] | None = None
    ) -> None:
        """One guard, so many permitted calls (2 records each), and what else is wanted."""

        async def work() -> None:
            world = World(
                ledger=opened_ledger(self.where, keep_arguments=keep_arguments, state_dir=self.state)
            )
            capability = world.issue()
            for number in range(count):
                await world.call(capability, arguments={"to": ANA, "body": f"mail {number}"})
            if then is not None:
                await then(world)
            await world.ledger.aclose()

        anyio.run(work)

    def logs(self) -> Logs:
        return Logs(self.where, state_dir=self.state)

    def findings(self, *older: Checkpoint) -> list[str]:
        with self.logs() as logs:
            return [text for one in verify(logs, older) for text in one.findings]

    def sql(self, text: str, *values: Any) -> None:
        """What somebody does who can write the file."""
        with sqlite3.connect(self.where) as db:
            db.execute(text, values)
        db.close()


@pytest.fixture
def file(tmp_path: Path) -> Place:
    """A store in a file."""
    tmp_path.chmod(0o700)
    return Place(str(tmp_path / "hessra.db"), tmp_path / "state")


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, file: Place) -> Place:
    """A store of each kind."""
    return Place(request.getfixturevalue("dsn"), file.state) if request.param == "postgresql" else file


async def refuse(world: World) -> None:
    with world.refuses("constraint"):
        await world.call(world.issue(), arguments={"to": EVE, "body": "x"})


def the(logs: Logs) -> Log:
    (found,) = logs.all()
    return found


# Looking


def test_a_decision_is_found_with_its_outcome(store: Place) -> None:
    store.fill(3, then=refuse)
    with store.logs() as logs:
        found = search(logs, RecordQuery(), 10)
        assert [one.verdict for one in found] == ["permitted, done"] * 3 + ["refused: constraint"]
        assert [one.verdict for one in search(logs, RecordQuery(), 1)] == ["refused: constraint"]
        assert (the(logs).size, the(logs).checkpoint.size) == (7, 7)  # type: ignore[union-attr]


def test_a_decision_without_an_outcome_is_shown_as_that(file: Place) -> None:
    file.fill(1)
    file.sql("delete from entry where kind = 'outcome'")
    with file.logs() as logs:
        assert [one.verdict for one in search(logs, RecordQuery(), 9)] == [f"permitted, {NO_OUTCOME}"]


@pytest.mark.parametrize(
    ("wanted", "count"),
    [
        (RecordQuery(), 6),
        (RecordQuery(subject="agent:desk"), 6),
        (RecordQuery(subject="agent"), 6),
        (RecordQuery(subject="agent:de"), 0),
        (RecordQuery(tool="send_email"), 6),
        (RecordQuery(tool="pay"), 0),
        (RecordQuery(verdict="permitted"), 5),
        (RecordQuery(verdict="constraint"), 1),
        (RecordQuery(since=NOW), 6),
        (RecordQuery(since=NOW + 1), 0),
        (RecordQuery(before=NOW), 0),
        (RecordQuery(arguments=(("body", "mail 3"),)), 1),
        (RecordQuery(arguments=(("body", "mail 3"), ("to", ANA))), 1),
        (RecordQuery(arguments=(("to", EVE),)), 1),
        (RecordQuery(arguments=(("body", "mail"),)), 0),
    ],
    ids=repr,
)
def test_records_are_found_by_what_they_say_and_by_hash(file: Place, wanted: RecordQuery, count: int) -> None:
    file.fill(5, then=refuse)
    with file.logs() as logs:
        assert len(search(logs, wanted)) == count


def test_a_log_is_named_by_the_beginning_of_its_digits(file: Place) -> None:
    file.fill(1)
    with file.logs() as logs:
        origin = the(logs).origin
        assert logs.log(origin) == logs.log(origin.removeprefix("hessra-agents/")[:4]) == the(logs)
        for name in ("", "x", "hessra"):
            with pytest.raises(ValueError, match="no such log"):
                logs.log(name)


def test_a_log_is_read_while_it_is_written(store: Place) -> None:
    """Its reader takes no place among the writers, and sees what was committed."""

    async def beside(world: World) -> None:
        def read() -> int:
            with store.logs() as logs:
                return the(logs).size

        await world.call(world.issue())
        assert await anyio.to_thread.run_sync(read) >= 1
        await world.call(world.issue())

    store.fill(0, then=beside)
    with store.logs() as logs:
        assert len(logs.directory.states()) == 1


# Proofs and exports


def test_a_record_is_proved_to_somebody_without_the_log(store: Place) -> None:
    store.fill(150)
    with store.logs() as logs:
        log = the(logs)
        assert log.local is not None
        for index in (0, 255, 256, 299):
            body = logs.record(log, index).body
            assert check_proof(logs.proof(log, index), body, [log.local.verifier]) == log.checkpoint
        with pytest.raises(ExportError):
            check_proof(logs.proof(log, 1), logs.record(log, 2).body, [log.local.verifier])
        with pytest.raises(ValueError, match="covers 300 records"):
            logs.proof(log, 300)


def test_a_changed_record_is_not_proved(file: Place) -> None:
    file.fill(150)
    file.sql("update entry set body = ? where idx = 7", b"{}")
    with file.logs() as logs, pytest.raises(ExportError, match="does not show"):
        logs.proof(the(logs), 7)


def test_the_tiles_of_a_store_are_those_of_the_tree(file: Place) -> None:
    """At every size, also where the tile above is not full."""
    file.fill(300)
    with file.logs() as logs:
        log, tree = the(logs), Tree()
        tiles = LogTiles(logs, log)
        for record in logs.records(log):
            tree.append(leaf_hash(record.body))
            if tree.size in (1, 255, 256, 257, 511, 512, 513, 600):
                assert Tree.of(tree.size, tiles).root() == tree.root()
        assert inclusion(3, 600, tiles) == inclusion(3, 600, LogTiles(logs, log))


def test_an_export_verifies_offline_and_grows(store: Place, tmp_path: Path) -> None:
    store.fill(5)
    out = tmp_path / "out"
    with store.logs() as logs:
        old = the(logs)
        assert old.local is not None
        logs.export(old, out)
    store.fill(300)
    with store.logs() as logs:
        logs.export(the(logs), out)
    assert check(out, [old.local.verifier], older=old.local.note).size == 610


# Verifying


def test_a_whole_log_verifies(store: Place) -> None:
    store.fill(300, then=refuse)
    told: list[tuple[str, int, int]] = []
    with store.logs() as logs:
        (found,) = verify(logs, progress=lambda *one: told.append(one))
    assert (found.size, found.covered, found.findings, found.notes) == (601, 601, [], [])
    assert [one[1:] for one in told] == [(256, 601), (512, 601)]


LATER = "update entry set body = cast(replace(cast(body as text), '1800000000', '1800000001') as blob)"

TAMPERED: dict[str, tuple[str, str]] = {
    "a record is changed": (
        f"{LATER} where idx = 300",
        "record 300: is not the one that was logged",
    ),
    "a record at the edge is changed": (
        f"{LATER} where idx = 599",
        "covers 600 records that differ from these: one of the records 512 to 599 was changed",
    ),
    "a record is deleted": ("delete from entry where idx = 300", "record 300: is missing"),
    "the last records are cut off": ("delete from entry where idx >= 590", "the first 590 of them"),
    "the first record is deleted": ("delete from entry where idx = 0", "record 0: is missing"),
    "two records change places": (
        "update entry set idx = case idx when 4 then -6 when 6 then -4 else idx end where idx in (4, 6);"
        "update entry set idx = -idx where idx < 0",
        "record 4: is not the one that was logged",
    ),
    "a tile is changed": ("update tile set hashes = zeroblob(8192) where idx = 1", "tile 0/1: was changed"),
    "a tile is cut": ("update tile set hashes = zeroblob(64) where idx = 1", "tile 0/1: was changed"),
    "a tile is deleted": ("delete from tile where idx = 0", "tile 0/0: is missing"),
    "the row of a record is changed": (
        "update entry set op = zeroblob(16) where idx = 4",
        "record 4: its row in the store names another operation or kind",
    ),
    "a record is no JSON": ("update entry set body = x'00' where idx = 9", "record 9: cannot be read"),
    "the log is deleted": ("delete from log", "the store has no such log"),
    "a salt is cut": (
        "update entry set opening = x'00' where idx = 8",
        "record 8: its salt or its arguments were changed",
    ),
}


@pytest.mark.parametrize("what", TAMPERED)
def test_verify_tells_what_was_changed(file: Place, what: str) -> None:
    file.fill(300)
    assert file.findings() == []
    statements, words = TAMPERED[what]
    for one in statements.split(";"):
        file.sql(one)
    found = file.findings()
    assert words in " | ".join(found), found


def test_a_record_that_was_rewritten_with_its_tiles_is_found(file: Place) -> None:
    """Who writes the file can make records and tiles fit together again, but not to the checkpoint."""
    file.fill(150)
    with file.logs() as logs:
        log, tree, fresh = the(logs), Tree(), b""
        for record in logs.records(log):
            body = record.body.replace(b"done", b"fail") if record.index == 9 else record.body
            for tile in tree.append(leaf_hash(body)):
                fresh = tile.hashes
    file.sql(LATER.replace("1800000000", "done").replace("1800000001", "fail") + " where idx = 9")
    file.sql("update tile set hashes = ?", fresh)
    assert ["its checkpoint covers 300 records that differ" in one for one in file.findings()] == [True]


def test_kept_arguments_that_were_changed_are_found(file: Place) -> None:
    """They are not in the tree; the keyed hashes that are say what they were."""
    file.fill(2, keep_arguments=True)
    with file.logs() as logs:
        record = logs.record(the(logs), 0)
        assert record.call is not None
        assert record.call.arguments == {"to": ANA, "body": "mail 0"}
        assert record.opening is not None
        lie = record.opening.replace(b"mail 0", b"mail 9")
    file.sql("update entry set opening = ? where idx = 0", lie)
    assert file.findings() == ["record 0: its salt or its arguments were changed"]


def test_an_older_checkpoint_shows_a_log_that_was_written_anew(file: Place) -> None:
    """Also by somebody who has its key: only what is kept elsewhere tells."""
    file.fill(5)
    with file.logs() as logs:
        witness = the(logs).checkpoint
        assert witness is not None
    file.fill(5)
    assert file.findings(witness) == []
    lie = Checkpoint(witness.origin, 3, bytes(32))
    assert "an older checkpoint covers 3 records that differ" in file.findings(lie)[0]
    later = Checkpoint(witness.origin, 99, bytes(32))
    assert "an older checkpoint covers 99 records, and the store has the first 20" in file.findings(later)[0]


def test_a_log_of_another_machine_is_audited_by_a_key_that_is_kept(store: Place, tmp_path: Path) -> None:
    """The checkpoint comes from the store; whether its key is the log's, the store cannot say."""
    store.fill(150)
    with store.logs() as logs:
        key = logs.directory.states()[0].verifier
    with Logs(store.where, state_dir=tmp_path / "elsewhere") as logs:
        (found,) = verify(logs)
        assert (found.size, found.covered, found.claimed, found.unknown) == (300, 0, 300, key)
        assert found.findings == []
        assert f"only the store says that {key} is its key" in found.notes[0]
        (found,) = verify(logs, keys=[key])
        assert (found.covered, found.unknown, found.findings, found.notes) == (300, "", [], [])
        assert the(logs).local is None
        logs.export(the(logs), tmp_path / "out")
        assert check_proof(logs.proof(the(logs), 7), logs.record(the(logs), 7).body, [key]).size == 300
    assert check(tmp_path / "out", [key]).size == 300


FALSE = {
    "another key": "update checkpoint set verifier = replace(verifier, 'A', 'B')",
    "another checkpoint": "update checkpoint set note = replace(note, '300', '299')",
    "nonsense": "update checkpoint set verifier = '', note = ''",
}


@pytest.mark.parametrize("what", FALSE)
def test_a_checkpoint_of_the_store_counts_only_as_it_was_signed(
    file: Place, tmp_path: Path, what: str
) -> None:
    """On the machine that has the log's key, the folder's checkpoint counts, and the log goes on."""
    file.fill(150)
    file.sql(FALSE[what])
    with Logs(file.where, state_dir=tmp_path / "elsewhere") as logs:
        (found,) = verify(logs)
        assert (found.covered, found.claimed) == (0, 0)
        assert found.findings
        with pytest.raises(ValueError, match="no checkpoint"):
            logs.export(the(logs), tmp_path / "out")
    assert file.findings() == []
    file.fill(1)
    with Logs(file.where, state_dir=tmp_path / "elsewhere") as logs:
        assert verify(logs)[0].claimed == 302


# Forking


def test_an_old_copy_keeps_a_guard_from_starting_until_it_is_forked(file: Place) -> None:
    file.fill(5)
    copy = Path(file.where).read_bytes()
    file.fill(5)
    Path(file.where).write_bytes(copy)
    with pytest.raises(LedgerError, match="has 10 records, its last checkpoint covers 20"):
        file.fill(1)
    with file.logs() as logs:
        before = [state.origin for state in logs.directory.states()]
        ((one, path),) = fork(logs, "restored from backup", now=NOW)
        assert (one.state.origin, path.name) == (*before, "broken-1")
        assert (path / "checkpoint").read_text() == one.state.note
        assert broken_logs(logs) == []
    file.fill(1)
    with file.logs() as logs:
        said = [
            one.record.fields for one in search(logs, RecordQuery()) if one.record.fields["kind"] == "break"
        ]
        assert [(one["log"], one["reason"]) for one in said] == [(*before, "restored from backup")]
        assert Checkpoint.verified(said[0]["head"], [said[0]["verifier"]]).size == 20
        assert [one.findings for one in verify(logs)] == [[]] * 3


LOST = {
    "a tile": "delete from tile",
    "part of a tile": "update tile set hashes = zeroblob(64)",
    "a record": "delete from entry where idx = 290",
    "all records": "delete from entry",
}


@pytest.mark.parametrize("what", LOST)
def test_whatever_is_lost_can_be_forked(file: Place, what: str) -> None:
    file.fill(150)
    file.sql(LOST[what])
    with file.logs() as logs:
        ((one, _),) = fork(logs, "a test", now=NOW)
        assert one.finding
    file.fill(1)


def test_a_checkpoint_that_was_altered_is_forked_too(store: Place) -> None:
    store.fill(3)
    with store.logs() as logs:
        folder = next(iter(logs.directory.states())).folder
    whole = (folder / "checkpoint").read_text()
    (folder / "checkpoint").write_text(whole.replace("\n6\n", "\n7\n"))
    with pytest.raises(LedgerError, match="not signed"):
        store.fill(1)
    with store.logs() as logs:
        assert len(fork(logs, "a disk was swapped", now=NOW)) == 1
    store.fill(1)
    assert store.findings() == []


def test_what_holds_is_not_forked(file: Place) -> None:
    file.fill(1)
    with file.logs() as logs:
        with pytest.raises(LedgerError, match="nothing is broken"):
            fork(logs, "why not", now=NOW)
        with pytest.raises(ValueError, match="a reason has"):
            fork(logs, " ", now=NOW)


def test_a_log_is_not_forked_under_its_writer(file: Place) -> None:
    """The process that writes it would go on."""

    async def tampered(world: World) -> None:
        await world.call(world.issue())
        await world.ledger.revoke(subject="agent:other")

        def attempt() -> None:
            with file.logs() as logs:
                state = next(iter(logs.directory.states()))
                (state.folder / "checkpoint").write_text("nonsense")
                with pytest.raises(LedgerError, match="a process writes"):
                    fork(logs, "why", now=NOW)

        await anyio.to_thread.run_sync(attempt)

    file.fill(1, then=tampered)


def test_the_record_of_a_call_has_none_of_its_arguments(file: Place) -> None:
    file.fill(1)
    with file.logs() as logs:
        for record in logs.records(the(logs)):
            assert MAIL["to"] not in json.dumps(record.fields)
            assert record.opening is None or len(record.opening) == 16
