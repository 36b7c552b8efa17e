"""Exports: written once, added to, checked offline; and whatever is changed in one is found."""

from __future__ import annotations

import os
import random
import re
import resource
import shutil
import tracemalloc
from base64 import b64encode
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from hessra_agents import KeyPair
from hessra_agents.tlog import export
from hessra_agents.tlog.directory import belongs, opened, tile_name
from hessra_agents.tlog.export import MAX_ENTRY, ExportError, check, check_proof, entry, prove
from hessra_agents.tlog.merkle import WIDTH, leaf_hash
from hessra_agents.tlog.notes import Checkpoint, cosign, sign, verifier_key
from tests.support.log_world import ORIGIN, ROUNDS, Log, Shelf, grown, records

SIZE = 600
STAGES = [0, 1, 255, 256, 257, 511, 512, SIZE]


@pytest.fixture
def log() -> Log:
    return Log(records(SIZE))


@pytest.fixture
def folder(tmp_path: Path, log: Log) -> Path:
    log.export(tmp_path / "export")
    return tmp_path / "export"


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def told(act: Callable[[], object]) -> str:
    """Why it was refused, or nothing."""
    try:
        act()
    except ExportError as error:
        return str(error)
    return ""


def finds(folder: Path, keys: list[str], older: str | None = None) -> str:
    """What `check` finds wrong, or nothing."""
    return told(lambda: check(folder, keys, older=older))


def test_an_export_has_the_files_of_the_specification(folder: Path, log: Log) -> None:
    assert {name: len(data) for name, data in contents(folder).items() if "entries" not in name} == {
        "checkpoint": len(log.note().encode()),
        "tile/0/000": 8192,
        "tile/0/001": 8192,
        "tile/0/002.p/88": 88 * 32,
        "tile/1/000.p/2": 64,
    }
    first = log.records[0]
    assert (folder / "tile/entries/000").read_bytes().startswith(len(first).to_bytes(2, "big") + first)
    assert {name for name in contents(folder) if "entries" in name} == {
        f"tile/entries/{end}" for end in ("000", "001", "002.p/88")
    }


def test_tiles_are_found_by_three_digits_at_a_time() -> None:
    assert tile_name(3, 1_234_067, 256) == "tile/3/x001/x234/067"
    assert tile_name(None, 1_234_067, 17) == "tile/entries/x001/x234/067.p/17"
    assert tile_name(0, 999, 256) == "tile/0/999"
    assert tile_name(0, 1000, 1) == "tile/0/x001/000.p/1"


def test_an_export_of_70000_records_would_have_the_files_of_the_example() -> None:
    """C2SP tlog-tiles: 273 full tiles and one of 112, above them one full and one of 17, then one of 1."""
    there = ["tile/0/272", "tile/0/273.p/112", "tile/1/000", "tile/1/001.p/17", "tile/2/000.p/1"]
    there += ["tile/entries/272", "tile/entries/273.p/112", "checkpoint"]
    absent = [
        "tile/0/273",
        "tile/0/274.p/1",
        "tile/0/273.p/111",
        "tile/1/001",
        "tile/1/002",
        "tile/2/000",
        "tile/3/000",
    ]
    absent += [
        "tile/entries/274",
        "tile/0/x000/272",
        "tile/00/272",
        "tile/0/272.p/256",
        "tile/64/000",
        "tile",
        "",
    ]
    absent += ["tile/0/272/", "tile/0/273.p/0112", "tile/-1/000", "tile/entries/x000/000", "checkpoint2"]
    assert [name for name in there if not belongs(name, 70_000)] == []
    assert [name for name in absent if belongs(name, 70_000)] == []


def test_an_export_is_checked_with_public_keys_alone_at_every_stage(tmp_path: Path, log: Log) -> None:
    everything, older = log.records, None
    kept: dict[str, int] = {}
    for size in STAGES:
        log.records = everything[:size]
        note = log.export(tmp_path)
        assert check(tmp_path, log.keys, older=older).size == size
        files = contents(tmp_path)
        assert all(belongs(name, size) for name in files)
        full = {
            name: (tmp_path / name).stat().st_ino
            for name in files
            if name[-3:].isdigit() and ".p/" not in name
        }
        assert kept.items() <= full.items()  # full tiles are the same files as before
        older, kept = note, full
    assert len(kept) == 4


def test_the_same_export_again_changes_nothing(folder: Path, log: Log) -> None:
    before = {path: path.stat().st_ino for path in folder.rglob("*")}
    log.export(folder)
    assert {path: path.stat().st_ino for path in folder.rglob("*")} == before


def test_only_the_records_that_are_new_are_asked_for(folder: Path, log: Log) -> None:
    log.records += records(200, word="new")
    asked: list[tuple[int, int]] = []

    def entries(start: int, stop: int) -> list[bytes]:
        asked.append((start, stop))
        return log.records[start:stop]

    _, shelf = grown([leaf_hash(record) for record in log.records])
    for _ in range(2):
        export.write(folder, ORIGIN, SIZE + 200, log.note(), entries, shelf)
        assert asked == [(512, 768), (768, 800)]  # the last file was not full


def test_what_a_killed_export_left_behind_is_found_and_is_not_in_the_way(folder: Path, log: Log) -> None:
    for left in (".new", "tile/0/001.p/17"):
        (folder / left).parent.mkdir(exist_ok=True)
        (folder / left).write_text("half a")
        assert "does not belong" in finds(folder, log.keys)
        log.records += [b"one more"]
        log.export(folder)
        assert finds(folder, log.keys) == ""
        assert not (folder / "tile/0/001.p").exists()


def test_an_export_that_was_interrupted_anywhere_is_finished_by_the_next(tmp_path: Path, log: Log) -> None:
    everything, real, steps = log.records, os.replace, 0
    log.records = everything[:300]
    start = tmp_path / "start"
    older = log.export(start)
    log.records = everything
    for stop in range(20):
        target, left = tmp_path / str(stop), [stop]
        shutil.copytree(start, target)

        def failing(*args: object, left: list[int] = left, **options: object) -> None:
            left[0] -= 1
            if left[0] < 0:
                raise OSError(28, "No space left on device")
            real(*args, **options)  # type: ignore[arg-type]

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(os, "replace", failing)
            if found := told(partial(log.export, target)):
                steps += 1
                assert found.endswith("No space left on device")
                assert Checkpoint.unverified((target / "checkpoint").read_text()).size == 300
        log.export(target)
        assert check(target, log.keys, older=older).size == SIZE
    print(steps, "interruptions")
    assert steps == 6  # two bundles and two tiles at the edge, one above, and the checkpoint


def test_a_folder_of_another_log_or_of_something_else_is_refused(
    tmp_path: Path, folder: Path, log: Log
) -> None:
    before = contents(folder)
    rewritten = [*log.records[:77], b"rewritten", *log.records[78:], b"more"]
    for other, says in [
        (Log(log.records, origin="example.com/other", key=log.key), "of another log"),
        (Log(rewritten, key=log.key), "records that are not in the log"),
        (Log(log.records[:-1], key=log.key), "holds 600 records, and the log 599"),
    ]:
        with pytest.raises(ExportError, match=says):
            other.export(folder)
    assert contents(folder) == before
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "to my mother").write_text("dear")
    with pytest.raises(ExportError, match="neither empty nor an export"):
        log.export(tmp_path / "letters")
    assert len(contents(tmp_path / "letters")) == 1


def test_what_does_not_fit_together_is_not_exported(tmp_path: Path, log: Log) -> None:
    _, shelf = grown([leaf_hash(record) for record in log.records])
    whole = {"folder": tmp_path, "origin": ORIGIN, "size": SIZE, "note": log.note(), "tiles": shelf}
    whole["entries"] = lambda start, stop: log.records[start:stop]
    short = Log(log.records[:-1], key=log.key)
    for wrong in (
        {"origin": "example.com/other"},
        {"size": SIZE - 1},
        {"note": "no note"},
        {"note": short.note()},
        {"note": sign(Checkpoint(ORIGIN, SIZE, bytes(32)).text, ORIGIN, log.key)},
        {"entries": lambda start, stop: log.records[start + 1 : stop + 1]},
        {"entries": lambda start, stop: log.records[start : stop - 1]},
        {"entries": lambda start, stop: log.records[start : stop + 1]},
        {"entries": lambda start, stop: [b"another"] * (stop - start)},
        {"entries": lambda start, stop: [bytes(MAX_ENTRY + 1)]},
        {"tiles": Shelf()},
    ):
        with pytest.raises(ExportError):
            export.write(**{**whole, **wrong})  # type: ignore[arg-type]
        assert not (tmp_path / "checkpoint").exists()
    export.write(**whole)  # type: ignore[arg-type]
    assert check(tmp_path, log.keys).size == SIZE


def test_records_are_as_large_as_their_length_can_say_and_may_be_empty(tmp_path: Path) -> None:
    log = Log([b"", bytes(MAX_ENTRY), b""])
    log.export(tmp_path)
    assert check(tmp_path, log.keys).size == 3
    assert [len(entry(tmp_path, index)) for index in range(3)] == [0, MAX_ENTRY, 0]


# What is done to an export. Each way takes the folder and returns how to undo it.


def put(path: Path, data: bytes) -> Callable[[], None]:
    before = path.read_bytes() if path.exists() else None
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return lambda: path.unlink() if before is None else (path.write_bytes(before), None)[1]


def edit(path: Path, rng: random.Random) -> Callable[[], None]:
    data = bytearray(path.read_bytes())
    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return put(path, bytes(data))


def truncate(path: Path, rng: random.Random) -> Callable[[], None]:
    data = path.read_bytes()
    return put(path, data[: rng.randrange(len(data))])


def extend(path: Path, rng: random.Random) -> Callable[[], None]:
    return put(path, path.read_bytes() + rng.randbytes(rng.choice([1, 2, 32, 34])))


def delete(path: Path, rng: random.Random) -> Callable[[], None]:
    data = path.read_bytes()
    path.unlink()
    return lambda: (path.write_bytes(data), None)[1]


def cut_out(path: Path, rng: random.Random) -> Callable[[], None]:
    data = path.read_bytes()
    start = rng.randrange(len(data))
    return put(path, data[:start] + data[start + rng.randrange(1, 64) :])


def insert(path: Path, rng: random.Random) -> Callable[[], None]:
    data = path.read_bytes()
    at = rng.randrange(len(data) + 1)
    return put(path, data[:at] + rng.randbytes(rng.randrange(1, 64)) + data[at:])


def swap(path: Path, rng: random.Random) -> Callable[[], None]:
    """Two records or hashes change places, or the whole file with another."""
    data = path.read_bytes()
    if rng.random() < 0.5 and len(data) >= 64:
        parts = [data[at : at + 32] for at in range(0, len(data), 32)]
        rng.shuffle(parts)
        return put(path, b"".join(parts))
    other = rng.choice([one for one in files(top(path)) if one != path])
    undo = [put(path, other.read_bytes()), put(other, data)]

    def both() -> None:
        for step in undo:
            step()

    return both


def replace(path: Path, rng: random.Random) -> Callable[[], None]:
    return put(path, rng.choice(files(top(path))).read_bytes())


def add(path: Path, rng: random.Random) -> Callable[[], None]:
    """A file that no log of this size has."""
    level = rng.choice(["entries", "0", "1", "2", "63", "64"])
    name = rng.choice(["000.p/1", "001.p/255", "002", "003", "003.p/1", "x001/000", "000.new", "x000/000"])
    there = top(path) / "tile" / level / name
    return put(there, path.read_bytes()) if not there.exists() else edit(path, rng)


def link(path: Path, rng: random.Random) -> Callable[[], None]:
    """The same bytes behind a symbolic link."""
    elsewhere = top(path).parent / "elsewhere"
    path.rename(elsewhere)
    path.symlink_to(elsewhere)
    return lambda: (elsewhere.replace(path), None)[1]


def top(path: Path) -> Path:
    return next(above for above in path.parents if above.name == "export")


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


WAYS = [edit, edit, truncate, extend, delete, cut_out, insert, swap, replace, add, link]


def test_whatever_is_changed_in_an_export_is_found(folder: Path, log: Log) -> None:
    rng, before, tried = (
        random.Random(2026),
        contents(folder),
        dict.fromkeys((way.__name__ for way in WAYS), 0),
    )
    while sum(tried.values()) < ROUNDS:
        way, path = rng.choice(WAYS), rng.choice(files(folder))
        undo = way(path, rng)
        if contents(folder) != before or way is link:
            found = finds(folder, log.keys)
            assert found, (way.__name__, path)
            tried[way.__name__] += 1
        undo()
    assert contents(folder) == before
    assert finds(folder, log.keys) == ""
    print(sum(tried.values()), "changes, all found:", tried)


def rewrite(given: list[bytes], rng: random.Random) -> list[bytes]:
    """Other records than these, which someone who computes all tiles again could export."""
    given, at = list(given), rng.randrange(len(given))
    match rng.choice(["edit", "delete", "insert", "swap", "truncate", "whole"]):
        case "edit":
            given[at] += b"!"
        case "delete":
            del given[at]
        case "insert":
            given.insert(at, b"inserted")
        case "swap":
            other = rng.choice([one for one in range(len(given)) if given[one] != given[at]])
            given[at], given[other] = given[other], given[at]
        case "truncate":
            del given[at:]
        case _:
            given = records(len(given), word="another")
    return given


def test_a_log_that_is_rewritten_consistently_is_found_by_its_key_or_an_older_checkpoint(
    tmp_path: Path, log: Log
) -> None:
    rng, older, tried = random.Random(7), Log(log.records[:500], key=log.key).note(), 0
    for _ in range(max(30, ROUNDS // 10)):
        forged = rewrite(log.records[:500], rng) + rewrite(log.records[500:], rng)
        target = tmp_path / "export"
        Log(forged).export(target)  # by someone without the key
        assert "no known key has signed" in finds(target, log.keys)
        shutil.rmtree(target)
        Log(forged, key=log.key).export(target)  # by someone who has it
        assert finds(target, log.keys) == ""
        assert re.search("older checkpoint|once had", finds(target, log.keys, older))
        shutil.copy(target / "checkpoint", tmp_path / "signed")
        (target / "checkpoint").write_text(log.note())
        assert finds(target, log.keys)
        shutil.rmtree(target)
        tried += 3
    print(tried, "rewritten logs, all found")


def test_an_older_checkpoint_has_to_be_of_this_log_and_signed(folder: Path, log: Log) -> None:
    for size in (0, 1, 256, 599, 600):
        assert finds(folder, log.keys, Log(log.records[:size], key=log.key).note()) == ""
    other = Log(log.records, origin="example.com/other", key=log.key)
    assert "another log" in finds(folder, [*log.keys, *other.keys], other.note())
    assert "no known key" in finds(folder, log.keys, Log(log.records).note())
    assert "once had" in finds(folder, log.keys, Log([*log.records, b"more"], key=log.key).note())


def test_a_message_names_the_file_and_what_is_wrong_with_it(folder: Path, log: Log) -> None:
    def after(name: str, change: Callable[[bytes], bytes | None]) -> str:
        path = folder / name
        before = path.read_bytes()
        data = change(before)
        path.unlink()
        if data is not None:
            path.write_bytes(data)
        found = finds(folder, log.keys)
        path.write_bytes(before)
        return found

    assert after("tile/0/001", lambda data: None).startswith("tile/0/001: is missing")
    assert after("tile/0/001", lambda data: data[:-1]) == "tile/0/001: has 8191 bytes, not 8192: it was cut"
    found = after("tile/entries/001", lambda data: data.replace(b"record 300", b"record 301"))
    assert found.startswith("tile/entries/001: record 300 is not the one whose hash is in tile/0/001")
    assert "ends within its 256 records" in after("tile/entries/001", lambda data: data[:-1])
    assert "ends within its 88 records" in after(
        "tile/entries/002.p/88", lambda data: data[: -len(log.records[-1]) - 1]
    )
    assert "1 bytes after its 88 records" in after("tile/entries/002.p/88", lambda data: data + b"x")
    assert after("tile/1/000.p/2", lambda data: data[32:] + data[:32]).startswith(
        "tile/1/000.p/2: is not the tree"
    )
    assert after("checkpoint", lambda data: b"\xff" + data).startswith("checkpoint: is not UTF-8")
    assert "no known key" in finds(folder, Log([]).keys)
    assert finds(folder, ["nonsense"]).startswith("the keys: ")
    (folder / "tile" / "notes\x1b[2J.txt").write_text("x")
    assert finds(folder, log.keys).startswith(
        r"'tile/notes\x1b[2J.txt': does not belong to a log of 600 records"
    )


def test_checks_read_no_link_pipe_or_endless_file_and_stay_small(
    tmp_path: Path, folder: Path, log: Log
) -> None:
    tile = folder / "tile/0/001"
    data = tile.read_bytes()
    tile.unlink()
    os.mkfifo(tile)
    assert finds(folder, log.keys) == "tile/0/001: is not a regular file"
    tile.unlink()
    for huge in (tile, folder / "tile/entries/001", folder / "checkpoint"):
        before = data if huge == tile else huge.read_bytes()
        with huge.open("wb") as file:
            file.truncate(1 << 40)
        tracemalloc.start()
        assert "more than the" in finds(folder, log.keys)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
        tracemalloc.stop()
        huge.write_bytes(before)
    tile.rename(tmp_path / "moved")
    tile.symlink_to(tmp_path / "moved")
    assert "symbolic link" in finds(folder, log.keys)
    assert "symbolic link" in told(lambda: prove(folder, 300))
    (tmp_path / "moved").rename(tile)
    (folder / "tile/0").rename(tmp_path / "moved")
    (folder / "tile/0").symlink_to(tmp_path / "moved")
    assert "symbolic link" in finds(folder, log.keys)
    (folder / "tile/0").unlink()
    (tmp_path / "moved").rename(folder / "tile/0")
    assert finds(folder, log.keys) == ""
    (folder / "tile/2").symlink_to("/")
    assert finds(folder, log.keys) == "tile/2: is neither a file nor a folder; remove it"


def test_folders_within_folders_end_somewhere(folder: Path, log: Log) -> None:
    deep = folder / "/".join("d" * 300)
    deep.mkdir(parents=True)
    assert "lies deeper than" in finds(folder, log.keys)
    assert len(os.listdir("/proc/self/fd")) < resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2


def test_no_file_stays_open(folder: Path, log: Log) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        check(folder, log.keys)
        prove(folder, 5)
        log.export(folder)
        finds(folder, [])
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_link_in_the_way_is_not_written_through(tmp_path: Path, log: Log) -> None:
    (tmp_path / "export/tile").mkdir(parents=True)
    (tmp_path / "outside").mkdir()
    (tmp_path / "export/tile/entries").symlink_to(tmp_path / "outside")
    with pytest.raises(ExportError, match=r"symbolic link|neither a file nor a folder"):
        log.export(tmp_path / "export")
    assert list((tmp_path / "outside").iterdir()) == []


def test_only_one_export_writes_to_a_folder(folder: Path, log: Log) -> None:
    with opened(folder) as held, held.locked(), pytest.raises(ExportError, match="another export"):
        log.export(folder)
    log.export(folder)


def test_an_export_is_for_its_owner_until_they_share_it(folder: Path) -> None:
    assert folder.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("size", [1, 2, 256, 257, SIZE])
def test_one_record_is_proved_with_a_text(tmp_path: Path, log: Log, size: int) -> None:
    log.records = log.records[:size]
    note = log.export(tmp_path)
    for index in {0, 1, 255, 256, size - 1} & set(range(size)):
        proof = prove(tmp_path, index)
        assert proof.startswith(f"c2sp.org/tlog-proof@v1\nindex {index}\n")
        assert proof.endswith("\n\n" + note)
        assert check_proof(proof, log.records[index], log.keys).size == size
        assert entry(tmp_path, index) == log.records[index]
        with pytest.raises(ExportError):
            check_proof(proof, log.records[index] + b"!", log.keys)


def test_a_proof_may_carry_what_nobody_vouches_for_and_the_time_of_a_witness(folder: Path, log: Log) -> None:
    witness = KeyPair.generate()
    watched = verifier_key("w1", witness.public, witness=True)
    head, note = prove(folder, 300).split("\n\n", 1)
    head = head.replace("\nindex", f"\nextra {b64encode(b'anything').decode()}\nindex")
    proof = head + "\n\n" + cosign(note, "w1", witness, time=9)
    assert check_proof(proof, log.records[300], [*log.keys, watched]).size == SIZE
    with pytest.raises(ExportError):
        check_proof(proof, log.records[300], [watched])


def test_a_changed_proof_shows_nothing(folder: Path, log: Log) -> None:
    proof, record, rng = prove(folder, 300), log.records[300], random.Random(5)
    lines = proof.split("\n")
    changed = [
        "", "\n\n", lines[0], proof.replace("@v1", "@v2"), proof.replace("index 300", "index 0300"),
        proof.replace("index 300", "index 301"), proof.replace("index 300", "index -1"),
        proof.replace("index 300", f"index {2**63}"), proof.replace("index 300", "index 300\nindex 300"),
        proof.replace("index 300\n", ""), proof.replace("index 300", "index 300\nextra AAAA"),
        proof.replace("index 300", "extra A\nindex 300"), proof.replace("\n", "\r\n"),
        proof.replace(lines[2] + "\n", ""), proof.replace(lines[2], lines[3]),
        proof.replace(lines[2], lines[2] + "\n" + lines[2]), proof.replace(lines[2], lines[2].rstrip("=")),
        proof.replace("\n\n", "\n" + lines[2] + "\n\n", 1), proof.replace("\n\n", "\n", 1),
        proof + "x" * 2**20, proof.replace("index", f"extra {'A' * 2**20}\nindex"),
    ]  # fmt: skip
    for _ in range(ROUNDS):
        at = rng.randrange(len(proof))
        changed.append(proof[:at] + chr(33 + rng.randrange(90)) + proof[at + 1 :])
    changed = [text for text in changed if text != proof]
    for text in changed:
        with pytest.raises(ExportError):
            check_proof(text, record, log.keys)
    print(len(changed), "changed proofs, all refused")


def test_there_is_no_proof_of_what_is_not_there(folder: Path, log: Log) -> None:
    for act in (prove, entry):
        for index in (-1, SIZE, 10**9):
            with pytest.raises(ExportError, match="there is no record"):
                act(folder, index)
    (folder / "tile/0/000").write_bytes(bytes(WIDTH * 32))
    with pytest.raises(ExportError, match="do not lead to the root"):
        prove(folder, 5)


def test_a_folder_that_is_not_there_is_told(tmp_path: Path, log: Log) -> None:
    for missing in (tmp_path / "missing", tmp_path):
        assert re.search("No such file|is missing", finds(missing, log.keys))
    (tmp_path / "file").write_text("x")
    assert "file" in finds(tmp_path / "file", log.keys)
