"""Read the files of an export that nobody has checked yet."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from .directory import ExportDirectory, ExportError, tile_name
from .merkle import WIDTH, widths
from .notes import MAX_NOTE, Checkpoint, NoteError, parse_verifier_key
from .proofs import HASH

__all__ = [
    "MAX_BUNDLE", "MAX_ENTRY", "ExportedTiles", "exact_tile", "holding", "known", "note_of", "unbundled",
    "unverified", "verified",
]  # fmt: skip

MAX_ENTRY = 65_535
"""Bytes of a record: its length is written in two bytes."""

MAX_BUNDLE = WIDTH * (MAX_ENTRY + 2)


class ExportedTiles:
    """The tiles of an export of a log of this size."""

    def __init__(self, given: ExportDirectory, size: int) -> None:
        self._given = given
        self._counts = list(widths(size))

    def hashes(self, level: int, index: int, width: int) -> bytes:
        """Return the first hashes of a tile (`merkle.Tiles`)."""
        stored = min(WIDTH, self._counts[level] - index * WIDTH)
        return exact_tile(self._given, tile_name(level, index, stored), stored)[: width * HASH]


def note_of(given: ExportDirectory) -> str:
    """Read the signed checkpoint."""
    try:
        return given.read("checkpoint", MAX_NOTE).decode()
    except UnicodeDecodeError as error:
        raise ExportError("checkpoint: is not UTF-8: it was changed") from error


def unverified(note: str) -> Checkpoint:
    """Return the checkpoint of a note without checking who signed it."""
    try:
        return Checkpoint.unverified(note)
    except NoteError as error:
        raise ExportError(f"checkpoint: {error}") from error


def holding(given: ExportDirectory, index: int) -> Checkpoint:
    """Return the unverified checkpoint of an export that must contain this record."""
    checkpoint = unverified(note_of(given))
    if not 0 <= index < checkpoint.size:
        raise ExportError(f"checkpoint: is of {checkpoint.size} records, so there is no record {index}")
    return checkpoint


def exact_tile(given: ExportDirectory, name: str, width: int) -> bytes:
    """Read the hashes of a tile of exactly this width."""
    row = given.read(name, width * HASH)
    if len(row) != width * HASH:
        raise ExportError(f"{name}: has {len(row)} bytes, not {width * HASH}: it was cut")
    return row


def unbundled(name: str, data: bytes, count: int) -> Iterator[bytes]:
    """Return the records of a bundle that holds exactly this many."""
    at = 0
    for _ in range(count):
        length = int.from_bytes(data[at : at + 2], "big")
        record = data[at + 2 : at + 2 + length]
        if len(data) < at + 2 or len(record) != length:
            raise ExportError(f"{name}: ends within its {count} records: it was cut or changed")
        yield record
        at += 2 + length
    if at != len(data):
        raise ExportError(f"{name}: has {len(data) - at} bytes after its {count} records: it was changed")


def known(keys: Iterable[str]) -> list[str]:
    """Return the verifier keys after checking that each can be read."""
    keys = list(keys)
    for key in keys:
        try:
            parse_verifier_key(key)
        except NoteError as error:
            raise ExportError(f"the keys: {error}") from error
    return keys


def verified(what: str, note: str, keys: Iterable[str]) -> Checkpoint:
    """Return the checkpoint of a note that its log signed; ``what`` begins the error text."""
    try:
        return Checkpoint.verified(note, keys)
    except NoteError as error:
        raise ExportError(f"{what}: {error}") from error
