"""The proof that a log holds one record, as a text that is checked with public keys alone (C2SP tlog-proof).

    c2sp.org/tlog-proof@v1
    index 4
    (the sibling hashes on the path from the record to the root, one a line)

    (the checkpoint, as the log signed it)

It shows that the log holds the record. Only witnesses and older checkpoints show that others see the same
log.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from collections.abc import Iterable
from pathlib import Path

from .directory import ExportError, opened, tile_name
from .export_reader import MAX_BUNDLE, ExportedTiles, holding, known, note_of, unbundled, verified
from .merkle import WIDTH, inclusion
from .notes import MAX_NOTE, Checkpoint
from .proofs import HASH, ProofError, check_inclusion, leaf_hash

__all__ = ["check_proof", "entry", "prove"]

_FIRST = "c2sp.org/tlog-proof@v1"
_LONGEST = 2 * MAX_NOTE


def prove(folder: Path, index: int) -> str:
    """Return the proof that the log holds record ``index``, for any reader of C2SP tlog-proof.

    Raises:
        ExportError: there is no such record, or the tiles do not lead to the root in the checkpoint.
    """
    with opened(folder) as given:
        note = note_of(given)
        checkpoint = holding(given, index)
        stored = ExportedTiles(given, checkpoint.size)
        leaf = stored.hashes(0, index // WIDTH, index % WIDTH + 1)[-HASH:]
        hashes = inclusion(index, checkpoint.size, stored)
        try:
            check_inclusion(leaf, index, checkpoint.size, hashes, checkpoint.root)
        except ProofError as error:
            raise ExportError("tile: the tiles do not lead to the root in the checkpoint") from error
    return "\n".join([_FIRST, f"index {index}", *(b64encode(one).decode() for one in hashes), "", note])


def check_proof(text: str, entry: bytes, keys: Iterable[str]) -> Checkpoint:
    """Check that a log holds this record, and return the checkpoint that says so.

    Raises:
        ExportError: the text is not a proof, or proves another record, or its log has no known key.
    """
    if len(text) > _LONGEST:
        raise ExportError("the proof: is longer than any proof")
    head, _, note = text.partition("\n\n")
    first, *lines = head.split("\n")
    if lines and lines[0].startswith("extra "):
        _decoded(lines.pop(0)[6:])  # it is not signed, so it is not used
    found = re.fullmatch(r"index (0|[1-9][0-9]{0,18})", lines.pop(0)) if lines else None
    if first != _FIRST or found is None:
        raise ExportError(f"the proof: does not begin with {_FIRST} and an index")
    checkpoint = verified("the proof", note, known(keys))
    try:
        hashes = [_decoded(line) for line in lines]
        check_inclusion(leaf_hash(entry), int(found[1]), checkpoint.size, hashes, checkpoint.root)
    except ProofError as error:
        raise ExportError(f"the proof: does not show that the log holds this record: {error}") from error
    return checkpoint


def entry(folder: Path, index: int) -> bytes:
    """Return one record of an export, unchecked: use `check`, or `prove` and `check_proof`.

    Raises:
        ExportError: there is no such record, or its file is damaged.
    """
    with opened(folder) as given:
        start = index // WIDTH * WIDTH
        width = min(WIDTH, holding(given, index).size - start)
        name = tile_name(None, index // WIDTH, width)
        return list(unbundled(name, given.read(name, MAX_BUNDLE), width))[index - start]


def _decoded(text: str) -> bytes:
    try:
        data = b64decode(text, validate=True)
    except ValueError:
        data = b""
    if b64encode(data).decode() != text:
        raise ExportError("the proof: has a line that is not base64")
    return data
