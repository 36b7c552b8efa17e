"""What was pruned: said in a signed note, and the rest of the log is checked as before."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from hessra_agents import KeyPair
from hessra_agents.tlog import export
from hessra_agents.tlog.export import ExportError, check, prove, pruning_of
from hessra_agents.tlog.merkle import leaf_hash
from hessra_agents.tlog.notes import Checkpoint, NoteError, sign
from hessra_agents.tlog.pruning import Pruning
from tests.support.log_world import Log, grown, records
from tests.tlog.test_export import told

SIZE, PRUNED = 600, 512


@pytest.fixture
def log() -> Log:
    return Log(records(SIZE))


def pruning(log: Log, size: int = PRUNED) -> str:
    """The note, as the log signs it."""
    return Pruning(size, 1_800_000_000, True, Checkpoint.unverified(log.note())).sign(log.key)


def written(log: Log, folder: Path, note: str, pruned: int = PRUNED) -> None:
    """An export of a log that has no longer its first records."""
    _, shelf = grown([leaf_hash(record) for record in log.records])

    def entries(start: int, stop: int) -> list[bytes]:
        assert start >= pruned
        return log.records[start:stop]

    export.write(
        folder, log.origin, len(log.records), log.note(), entries, shelf, pruned=pruned, pruning=note
    )


def test_a_note_says_what_went_and_is_signed_by_the_log(log: Log) -> None:
    signed = Checkpoint.unverified(log.note())
    assert Pruning.verified(pruning(log), log.keys) == Pruning(PRUNED, 1_800_000_000, True, signed)
    for note in (
        pruning(Log(log.records)),
        pruning(log).replace("512", "256"),
        pruning(log).replace("archived yes", "archived no"),
        log.note(),
        sign("hessra-pruning v1\n", log.origin, log.key),
        sign("hessra-pruning v1\n", "example.com/other", log.key),
    ):
        with pytest.raises(NoteError):
            Pruning.verified(note, log.keys)
    other = Log(log.records, origin="example.com/other")
    text = pruning(log).partition("\n\n")[0] + "\n"
    with pytest.raises(NoteError, match="has not signed the note"):
        Pruning.verified(sign(text, other.origin, other.key), [*log.keys, *other.keys])
    for size in (0, 1, 255, 768):
        with pytest.raises(NoteError, match="whole tiles"):
            Pruning(size, 0, True, signed)


def test_a_note_of_what_went_is_no_checkpoint(log: Log) -> None:
    """The same key signs both, so neither may pass for the other."""
    with pytest.raises(NoteError):
        Checkpoint.verified(pruning(log), log.keys)


def test_a_pruned_log_is_exported_anew_and_checked_with_public_keys(tmp_path: Path, log: Log) -> None:
    """All hashes are there, so an older checkpoint holds, and a record of the archive is proved."""
    older = Log(log.records[:300], key=log.key).note()
    written(log, tmp_path, pruning(log))
    assert not (tmp_path / "tile/entries/000").exists()
    assert "the first 512 records were pruned" in told(lambda: check(tmp_path, log.keys))
    assert check(tmp_path, log.keys, older=older, allow_pruned=True).size == SIZE
    found = pruning_of(tmp_path, log.keys)
    assert found is not None
    assert (found.size, found.archived) == (PRUNED, True)
    assert export.check_proof(prove(tmp_path, 7), log.records[7], log.keys).size == SIZE
    log.records += records(400, word="later")
    written(log, tmp_path, pruning(log))
    assert check(tmp_path, log.keys, older=older, allow_pruned=True).size == 1000


CHANGES: dict[str, tuple[Callable[[Path, Log], object], str]] = {
    "a kept record is deleted": (lambda out, _: (out / "tile/entries/002.p/88").unlink(), "is missing"),
    "the note is deleted": (lambda out, _: (out / "pruning").unlink(), "tile/entries/000: is missing"),
    "the note is another log's": (
        lambda out, log: (out / "pruning").write_text(pruning(Log(log.records))),
        "pruning: ",
    ),
    "the note is of less": (
        lambda out, log: (out / "pruning").write_text(pruning(log, 256)),
        "tile/entries/001: is missing",
    ),
    "the note is no text": (lambda out, _: (out / "pruning").write_bytes(b"\xff"), "pruning: "),
    "the note is of other records": (
        lambda out, log: (out / "pruning").write_text(pruning(Log(records(SIZE, word="lie"), key=log.key))),
        "pruning: the first 600 records are not those",
    ),
    "a hash of what went is changed": (
        lambda out, _: (out / "tile/0/000").write_bytes(bytes(8192)),
        "the first 600 records are not those",
    ),
    "what went comes back changed": (
        lambda out, _: (out / "tile/entries/000").write_bytes(b"\x00\x01x" * 256),
        "record 0 is not the one",
    ),
}


@pytest.mark.parametrize("what", CHANGES)
def test_whatever_else_is_missing_or_changed_is_found(tmp_path: Path, log: Log, what: str) -> None:
    written(log, tmp_path, pruning(log))
    change, words = CHANGES[what]
    change(tmp_path, log)
    assert words in told(lambda: check(tmp_path, log.keys, allow_pruned=True))


def test_an_archive_grows_and_keeps_what_went(tmp_path: Path, log: Log) -> None:
    """It has all records, so it needs no note."""
    log.export(tmp_path)
    first = (tmp_path / "tile/entries/000").read_bytes()
    log.records += records(400, word="later")
    written(log, tmp_path, pruning(log))
    assert check(tmp_path, log.keys).size == 1000
    assert (tmp_path / "tile/entries/000").read_bytes() == first


def test_an_export_that_ends_before_what_went_is_left_as_it_is(tmp_path: Path, log: Log) -> None:
    """It would lose the records of its last, partial file."""
    everything, log.records = log.records, log.records[:300]
    log.export(tmp_path)
    log.records = everything
    with pytest.raises(ExportError, match="the folder holds 300 records, and the log was pruned up to 512"):
        written(log, tmp_path, pruning(log))
    assert check(tmp_path, log.keys).size == 300


def test_the_note_of_another_key_is_not_believed(tmp_path: Path, log: Log) -> None:
    other = Log(log.records, key=KeyPair.generate())
    written(log, tmp_path, pruning(log))
    with pytest.raises(ExportError):
        pruning_of(tmp_path, other.keys)
