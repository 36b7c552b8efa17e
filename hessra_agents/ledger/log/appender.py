"""The log of one process: records in the store, their hash tree in memory, and the signed checkpoint.

1. A record is written in the transaction of what it tells of, with a MAC under a key from the log's folder.
2. The checkpoint is written after the commit, at most a second or 256 records later: to the folder, and to
   the store for those who audit elsewhere.
3. The store is not believed. It must hold what the checkpoint covers, and only records with a good MAC beyond
   it. After a failed commit, the tree goes on from what this process knows to be committed.

A store that was cut, replaced or written to by somebody else is refused: the log gets no more records, and no
checkpoint covers what this process did not write.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import time
from collections.abc import Callable
from pathlib import Path

from ...files import FileError
from ...tlog.merkle import WIDTH, Tree, leaf_hash, tile_root
from ...tlog.notes import Checkpoint
from ..model import LedgerError
from ..store.connection import Steps, StoreConnection, run_transaction
from .directory import LogDirectory, LogSlot, mac_key

__all__ = [
    "CHECKPOINT_EVERY",
    "DamagedLogError",
    "LogAppender",
    "check",
    "check_rest",
    "open_log",
    "record_mac",
]

CHECKPOINT_EVERY = 1.0
"""Seconds between two checkpoints, while records come in."""

_MAX_UNCOVERED = 256
_PAGE = 1024

_log = logging.getLogger("hessra_agents")


class DamagedLogError(LedgerError):
    """The store does not hold what a log's process wrote; ``finding`` says what it holds."""

    def __init__(self, origin: str, finding: str) -> None:
        super().__init__(
            f"the log {origin} {finding}: the store was cut, restored from an old copy or altered. Find out "
            "why; 'hessra-agents log fork' continues in a new log, and keeps the old one as it is"
        )
        self.finding = finding


class LogAppender:
    """One log, which only this process writes. Used by the store's thread.

    Protects from whoever can write the store alone: what they put there is never signed. Does not protect
    from someone who can read the log's key.
    """

    def __init__(self, slot: LogSlot, connection: StoreConnection) -> None:
        self._slot = slot
        self._connection = connection
        self._key = mac_key(slot.key)
        self._log = 0
        self._tree: Tree | None = None  # with the records of the transaction that runs
        self._committed: Tree | None = None
        self._checkpoint = slot.checkpoint()
        self._unstored = ""  # the last checkpoint, until the store has it
        self._written = float("-inf")  # so the first record is covered at once

    def append(self, kind: str, operation_id: bytes, body: bytes, opening: bytes | None) -> Steps[None]:
        """Write one record.

        Raises:
            DamagedLogError: the store does not hold what this process wrote.
        """
        tree = self._tree or (yield from self.load())
        if not self._log:
            ((number,),) = yield "log", (self._slot.origin,)
            self._log = int(number)
        mac = record_mac(self._key, tree.size, body)
        yield "entry", (self._log, tree.size, operation_id, kind, body, opening, mac)
        for tile in tree.append(leaf_hash(body)):
            yield "tile", (self._log, tile.level, tile.index, tile.hashes)

    def contains(self, kind: str, operation_id: bytes) -> Steps[bool]:
        """Return whether a record of this operation is in the log; raises as `append` does."""
        if self._tree is None:
            yield from self.load()  # which looks at the MACs of what a lost transaction may have written
        return bool((yield "entry_of", (self._log, operation_id, kind)))

    def reset(self) -> None:
        """Forget what was appended in a transaction that was rolled back."""
        self._tree = None

    def load(self) -> Steps[Tree]:
        """Check what the store holds of this log, and return its tree; raises as `append` does."""
        signed = Tree() if self._checkpoint is None else (yield from check(self._checkpoint))
        found = yield from check_rest(self._slot.origin, self._key, self._committed or signed)
        self._log, self._tree = found
        return self._tree

    def write_checkpoint(self, *, now: bool = False) -> None:
        """Sign a checkpoint of all committed records, if it is time or ``now``; call it after a commit.

        Raises:
            StoreError: it is in the folder, and not yet in the store.
        """
        tree = self._tree or self._committed
        if tree is None:
            return
        if self._committed is None or self._committed.size < tree.size:
            self._committed = tree.copy()
        covered = self._checkpoint.size if self._checkpoint else 0
        waited = time.monotonic() - self._written
        due = now or waited >= CHECKPOINT_EVERY or tree.size - covered >= _MAX_UNCOVERED
        if tree.size > covered and due:
            self._written = time.monotonic()
            checkpoint = Checkpoint(self._slot.origin, tree.size, tree.root())
            try:
                self._unstored = self._slot.write(checkpoint)
            except FileError as error:
                # the records are safe; the older checkpoint covers fewer of them
                _log.warning("a log's checkpoint could not be written: %s", error)
            else:
                self._checkpoint = checkpoint
        if self._unstored and self._tree is not None:
            try:
                run_transaction(self._connection, self._store_checkpoint())
            except BaseException:
                self.reset()  # the next connection may be to another store
                raise
            self._unstored = ""

    def _store_checkpoint(self) -> Steps[None]:
        yield "checkpoint", (self._log, self._slot.verifier, self._unstored)

    def close(self) -> None:
        """Sign the last checkpoint, and let another process have the log; raises as `write_checkpoint`."""
        try:
            self.write_checkpoint(now=True)
        finally:
            self._slot.release()


def open_log(
    connection: StoreConnection,
    folder: Path,
    *,
    checkpoints: str | Path | None = None,
    on_damage: Callable[[str], None] | None = None,
) -> LogAppender:
    """Take a log that no other process writes, after checking that the store holds what was signed.

    Args:
        connection: the store of the logs.
        folder: the folder of their keys and checkpoints.
        checkpoints: a file of older checkpoints that is kept elsewhere.
        on_damage: called with a message for each damaged log of another process, instead of raising.

    Raises:
        LedgerError: the store does not hold what a checkpoint covers, or has records that the log's process
            did not write, or the folder cannot be used.
        StoreError: the store did not answer.
    """
    directory = LogDirectory(folder)
    slot = directory.acquire()
    try:
        known = directory.checkpoints(slot, on_damage)
        if checkpoints is not None:
            known += directory.witnessed_checkpoints(Path(checkpoints))
        for checkpoint in known:
            try:
                run_transaction(connection, check(checkpoint))
            except DamagedLogError as error:
                if on_damage is None or checkpoint.origin == slot.origin:
                    raise
                on_damage(str(error))
        appender = LogAppender(slot, connection)
        run_transaction(connection, appender.load())
        return appender
    except BaseException:
        slot.release()
        raise


def check(checkpoint: Checkpoint) -> Steps[Tree]:
    """Check that the store still holds what a checkpoint covers, and return the tree of these records.

    Raises:
        DamagedLogError: it holds less, or something else.
    """
    origin = checkpoint.origin
    number, size = yield from _number_and_size(origin)
    if size < checkpoint.size:
        finding = f"has {size} records, its last checkpoint covers {checkpoint.size}"
        raise DamagedLogError(origin, finding)
    try:
        tree = Tree.of(checkpoint.size, (yield from _edge_tiles(number, checkpoint.size)))
    except (LookupError, ValueError) as error:
        raise DamagedLogError(origin, f"does not hold together ({error})") from error
    if tree.root() != checkpoint.root:
        finding = f"does not hold the {checkpoint.size} records that its checkpoint covers"
        raise DamagedLogError(origin, finding)
    return tree


def check_rest(origin: str, key: bytes, start: Tree) -> Steps[tuple[int, Tree]]:
    """Check that a log's process wrote all records after those of a tree.

    Returns:
        The log's number in the store, 0 if it has none yet, and the tree of all its records.

    Raises:
        DamagedLogError: a record is missing, or has no MAC under this key.
    """
    number, size = yield from _number_and_size(origin)
    if size < start.size:
        raise DamagedLogError(origin, f"has {size} records, {start.size} were written")
    tree = start.copy()
    while (at := tree.size) < size:
        rows = yield "entries", (number, at, min(at + _PAGE, size))
        for index, _, _, body, _, mac in rows or [(None,) * 6]:
            if index != tree.size:
                raise DamagedLogError(origin, f"has no record {tree.size}, and has later ones")
            if not hmac.compare_digest(bytes(mac or b""), record_mac(key, tree.size, bytes(body))):
                raise DamagedLogError(origin, f"has a record {tree.size} that its process did not write")
            tree.append(leaf_hash(bytes(body)))
    return number, tree


def _number_and_size(origin: str) -> Steps[tuple[int, int]]:
    rows = yield "log_of", (origin,)
    number = int(rows[0][0]) if rows else 0
    ((size,),) = yield "size", (number,)
    return number, int(size)


def record_mac(key: bytes, index: int, body: bytes) -> bytes:
    """Return what shows that the process with a log's key wrote a record: BLAKE2b (RFC 7693), 16 bytes."""
    return hashlib.blake2b(index.to_bytes(8, "big") + body, key=key, digest_size=16).digest()


class _EdgeTiles(dict[tuple[int, int], bytes]):
    """Tiles at the right edge of a log, by level and index."""

    def hashes(self, level: int, index: int, width: int) -> bytes:
        """Return the first ``width`` hashes of a tile."""
        found = self[level, index]
        if len(found) < width * 32:
            raise LookupError(f"tile {level}/{index} is shorter than the log")
        return found[: width * 32]


def _edge_tiles(log: int, size: int) -> Steps[_EdgeTiles]:
    """Read the tiles at the right edge of a log of this size, from which its root is computed.

    Only full tiles are stored; those at the edge are computed from the records and from the tiles below.

    Raises:
        LookupError: a record or a tile is missing.
        ValueError: a tile was altered.
    """
    found = _EdgeTiles()
    index, width = divmod(size, WIDTH)
    if width and (full := (yield "tile_of", (log, 0, index))):
        found[0, index] = bytes(full[0][0])
    elif width:
        rows = yield "entries", (log, size - width, size)
        if len(rows) != width:
            raise LookupError(f"{len(rows)} records where {width} must be")
        found[0, index] = b"".join(leaf_hash(bytes(row[3])) for row in rows)
    level, count = 0, index
    while count:
        # the tile above: its hashes are the roots of the full tiles of this level
        above = bytearray()
        for index in range(count - count % WIDTH, count):
            rows = yield "tile_of", (log, level, index)
            if not rows:
                raise LookupError(f"tile {level}/{index} is missing")
            above += tile_root(bytes(rows[0][0]))
        level += 1
        if above:
            found[level, count // WIDTH] = bytes(above)
        count //= WIDTH
    return found
