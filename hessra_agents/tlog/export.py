"""A log as a folder of files that anyone can check offline, with public keys only (C2SP tlog-tiles).

    checkpoint                      what the log signed: its name, size and root
    tile/entries/000                the records, 256 in a file, each behind its length
    tile/0/000, tile/1/000, ...     the hash tree over them
    tile/0/x001/234.p/17            the last file of each kind is shorter, and says so
    pruning                         if the log had no longer its first records: the signed note that says so

`write` adds to an earlier export of the same log and changes none of its full files. `check` trusts only the
keys: it hashes every record and computes every tile again. `prove` proves one record.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from .directory import FRESH, ExportDirectory, ExportError, belongs, opened, shown_name, tile_name
from .export_reader import (
    MAX_BUNDLE,
    MAX_ENTRY,
    exact_tile,
    known,
    note_of,
    unbundled,
    unverified,
    verified,
)
from .merkle import WIDTH, Tile, Tiles, Tree, leaf_hash, root, widths
from .notes import MAX_NOTE, Checkpoint, NoteError
from .proofs import EMPTY, HASH
from .pruning import Pruning
from .record_proof import check_proof, entry, prove

__all__ = ["MAX_ENTRY", "ExportError", "check", "check_proof", "entry", "prove", "pruning_of", "write"]

Progress = Callable[[str, int, int], None]


def write(
    folder: Path,
    origin: str,
    size: int,
    note: str,
    entries: Callable[[int, int], Iterable[bytes]],
    tiles: Tiles,
    *,
    pruned: int = 0,
    pruning: str = "",
    progress: Progress | None = None,
) -> None:
    """Write the first ``size`` records of a log, its tree and its signed checkpoint to a folder.

    The checkpoint comes last, so an export that was interrupted shows as the one before it; run it again.
    Of records that were pruned a new export has the hashes and the note; an earlier one has them already.

    Args:
        folder: the folder to write; created if needed.
        origin: the log's name.
        size: how many records the checkpoint covers.
        note: the signed checkpoint.
        entries: returns the records from one index up to another.
        tiles: the tree; every record is checked against it.
        pruned: how many of the first records the log has no longer.
        pruning: the signed note that says so.
        progress: called with the log's name, the number of records written, and their total.

    Raises:
        ExportError: note, tree and records do not fit together, or the folder holds something other than
            an earlier export of this log.
    """
    checkpoint = unverified(note)
    if (checkpoint.origin, checkpoint.size) != (origin, size):
        raise ExportError("checkpoint: the note is of another log or size than the export")
    with _stored(), opened(folder, create=True) as out, out.locked():
        if root(size, tiles) != checkpoint.root:
            raise ExportError("checkpoint: the note does not name the root of the log's tree")
        before = _earlier(out, checkpoint, tiles)
        if 0 < before.size < pruned:
            raise ExportError(
                f"checkpoint: the folder holds {before.size} records, and the log was pruned up to {pruned} "
                "since: export it to another folder"
            )
        if pruned and not before.size:
            _put(out, "pruning", pruning.encode())
        there = list(widths(before.size))
        for level, count in enumerate(widths(size)):
            had = there[level] if level < len(there) else 0
            for index in range(had // WIDTH, -(-count // WIDTH) if had < count else 0):
                width = min(WIDTH, count - index * WIDTH)
                row = tiles.hashes(level, index, width)
                if level == 0 and index * WIDTH >= pruned:
                    records = entries(index * WIDTH, index * WIDTH + width)
                    _put(out, tile_name(None, index, width), _bundle(index * WIDTH, records, row))
                if level == 0 and progress is not None:
                    progress(origin, index * WIDTH + width, size)
                _put(out, tile_name(level, index, width), row)
        out.settle()
        _put(out, "checkpoint", note.encode())
        out.settle()
        _sweep(out, size)


def check(
    folder: Path,
    keys: Iterable[str],
    *,
    older: str | None = None,
    allow_pruned: bool = False,
    progress: Progress | None = None,
) -> Checkpoint:
    """Check a whole export, and return what its log signed.

    Args:
        folder: the export.
        keys: verifier keys (`notes.verifier_key`); one of them is the log's.
        older: the note of an earlier checkpoint that was kept elsewhere, which the export must extend. Only
            this reveals a log that someone with its key has rewritten.
        allow_pruned: accept that the first records are missing, if the log's key signed that they were pruned
            (`pruning_of`); their hashes are checked all the same.
        progress: called with the log's name, the number of records checked, and their total.

    Raises:
        ExportError: a file is missing, surplus or wrong, or the export does not extend the older checkpoint.
    """
    keys = known(keys)
    with opened(folder) as given:
        checkpoint = verified("checkpoint", note_of(given), keys)
        pruning = _pruning(given, checkpoint, keys)
        if pruning is not None and not allow_pruned:
            raise ExportError(f"pruning: the first {pruning.size} records were pruned: look in the archive")
        before = None if older is None else verified("the older checkpoint", older, keys)
        if before and before.origin != checkpoint.origin:
            raise ExportError("the older checkpoint: is of another log")
        if before and before.size > checkpoint.size:
            raise ExportError(
                f"checkpoint: is of {checkpoint.size} records, and the log once had {before.size}: it was "
                "cut, or this is an old copy"
            )
        tree = _rebuilt(given, checkpoint, before, pruning, progress)
        if tree.root() != checkpoint.root:
            raise ExportError(
                "checkpoint: records and tiles fit together, but not to the signed root: all of them were "
                "written anew, or the checkpoint is of another export"
            )
        for name in given.files():
            if not belongs(name, checkpoint.size):
                raise ExportError(
                    f"{shown_name(name)}: does not belong to a log of {checkpoint.size} records; an "
                    "interrupted export leaves such files, and the next one removes them"
                )
    return checkpoint


def pruning_of(folder: Path, keys: Iterable[str]) -> Pruning | None:
    """Return what was pruned before an export was written, as its log signed it; None if nothing was.

    Raises:
        ExportError: there is a note, and none of the keys signed it for this log.
    """
    keys = known(keys)
    with opened(folder) as given:
        return _pruning(given, verified("checkpoint", note_of(given), keys), keys)


def _pruning(given: ExportDirectory, checkpoint: Checkpoint, keys: list[str]) -> Pruning | None:
    note = given.find("pruning", MAX_NOTE)
    if note is None:
        return None
    try:
        pruning = Pruning.verified(note.decode(), keys)
    except (NoteError, UnicodeDecodeError) as error:
        raise ExportError(f"pruning: {error}") from error
    if pruning.checkpoint.origin != checkpoint.origin or pruning.checkpoint.size > checkpoint.size:
        raise ExportError("pruning: the note is of another log, or of a later export")
    return pruning


def _rebuilt(
    given: ExportDirectory,
    checkpoint: Checkpoint,
    before: Checkpoint | None,
    pruning: Pruning | None,
    progress: Progress | None,
) -> Tree:
    """Build the tree over the records of an export, and check every file against it."""
    tree, size = Tree(), checkpoint.size
    former = [("the older checkpoint", before), ("pruning", pruning.checkpoint if pruning else None)]
    _check_former(tree, former)
    for start in range(0, size, WIDTH):
        width = min(WIDTH, size - start)
        bundle, tile = (tile_name(level, start // WIDTH, width) for level in (None, 0))
        row = exact_tile(given, tile, width)
        leaves = [row[at : at + HASH] for at in range(0, len(row), HASH)]
        data = given.find(bundle, MAX_BUNDLE)
        if data is None and (pruning is None or start >= pruning.size):
            data = given.read(bundle, MAX_BUNDLE)  # says what to do about it
        for at, record in enumerate(() if data is None else unbundled(bundle, data, width)):
            if leaf_hash(record) != leaves[at]:
                raise ExportError(
                    f"{bundle}: record {start + at} is not the one whose hash is in {tile}: one of the two "
                    "was changed"
                )
        for leaf in leaves:
            for full in tree.append(leaf):
                _check_tile(given, full)
            _check_former(tree, former)
        if progress is not None:
            progress(checkpoint.origin, tree.size, size)
    for level, count in enumerate(widths(size)):
        if count % WIDTH:
            _check_tile(given, Tile(level, count // WIDTH, tree.partial(level)))
    return tree


def _check_former(tree: Tree, former: Iterable[tuple[str, Checkpoint | None]]) -> None:
    for what, one in former:
        if one is not None and tree.size == one.size and tree.root() != one.root:
            raise ExportError(
                f"{what}: the first {one.size} records are not those that the log signed then: one of them "
                "was changed, or the log has two versions"
            )


def _check_tile(given: ExportDirectory, tile: Tile) -> None:
    name = tile_name(tile.level, tile.index, tile.width)
    if tile.level and exact_tile(given, name, tile.width) != tile.hashes:
        raise ExportError(f"{name}: is not the tree over the tiles below it: it was changed")


def _bundle(start: int, records: Iterable[bytes], row: bytes) -> bytes:
    data, at = bytearray(), 0
    for at, record in enumerate(records, 1):
        if len(record) > MAX_ENTRY:
            raise ExportError(f"record {start + at - 1}: is larger than {MAX_ENTRY} bytes")
        if leaf_hash(record) != row[(at - 1) * HASH : at * HASH]:
            raise ExportError(f"record {start + at - 1}: is not the one in the log's tree")
        data += len(record).to_bytes(2, "big") + record
    if at * HASH != len(row):
        raise ExportError(f"record {start + at}: is missing in the log")
    return bytes(data)


def _put(out: ExportDirectory, name: str, data: bytes) -> None:
    """Write a file, unless an interrupted export has written it already."""
    if out.find(name, max(len(data), MAX_BUNDLE)) != data:
        out.write(name, data)
    else:
        out.written.add(name)


def _earlier(out: ExportDirectory, checkpoint: Checkpoint, tiles: Tiles) -> Checkpoint:
    """Return the checkpoint of the earlier export in the folder; the empty one if there is none."""
    if out.find("checkpoint", MAX_NOTE) is None:
        for name in out.files():
            if name not in (FRESH, "pruning") and not name.startswith("tile/"):
                raise ExportError(f"{shown_name(name)}: the folder is neither empty nor an export")
        return Checkpoint(checkpoint.origin, 0, EMPTY)
    before = unverified(note_of(out))
    if before.origin != checkpoint.origin:
        raise ExportError("checkpoint: the folder holds an export of another log")
    if before.size > checkpoint.size:
        raise ExportError(
            f"checkpoint: the folder holds {before.size} records, and the log {checkpoint.size}: it was cut, "
            "or put back from an old copy"
        )
    if root(before.size, tiles) != before.root:
        raise ExportError("checkpoint: the folder holds records that are not in the log: one was changed")
    return before


def _sweep(out: ExportDirectory, size: int) -> None:
    """Remove the partial tiles of earlier checkpoints."""
    out.forget(FRESH)
    for name in out.files():
        if re.search(r"\.p/[0-9]+$", name) and not belongs(name, size):
            out.forget(name)


@contextmanager
def _stored() -> Iterator[None]:
    try:
        yield
    except LookupError as error:
        raise ExportError("the log: a tile that it should have stored is not there") from error
