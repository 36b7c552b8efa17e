"""The log of one process: records in the store, their hash tree in memory, and the signed checkpoint outside.

A record is written in the transaction of what it tells of, and the checkpoint after the commit, at most a
second or 256 records later. So the store holds what a checkpoint covers; a store that does not was cut or
replaced, and is refused (`check`).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path

from ...files import FileError
from ...tlog.merkle import WIDTH, Tree, leaf_hash, root, tile_root
from ...tlog.notes import Checkpoint
from ..model import LedgerError
from ..store.connection import Steps, StoreConnection, run_transaction
from .directory import LogDirectory, LogSlot

__all__ = ["CHECKPOINT_EVERY", "DamagedLogError", "LogAppender", "check", "open_log"]

CHECKPOINT_EVERY = 1.0
"""Seconds between two checkpoints, while records come in."""

_MAX_UNCOVERED = 256

_log = logging.getLogger("hessra_agents")


class DamagedLogError(LedgerError):
    """The store does not hold what a log's checkpoint covers; ``finding`` says what it holds."""

    def __init__(self, origin: str, finding: str) -> None:
        super().__init__(
            f"the log {origin} {finding}: the store was cut, restored from an old copy or altered. Find out "
            "why; 'hessra-agents log fork' continues in a new log, and keeps the old one as it is"
        )
        self.finding = finding


class LogAppender:
    """One log, which only this process writes. Used by the store's thread."""

    def __init__(self, slot: LogSlot) -> None:
        self._slot = slot
        self._log = 0
        self._tree: Tree | None = None
        self._checkpoint = slot.checkpoint()
        self._committed = 0
        self._written = float("-inf")  # so the first record is covered at once

    def append(self, kind: str, operation_id: bytes, body: bytes, opening: bytes | None) -> Steps[None]:
        """Write one record.

        Raises:
            LedgerError: the store does not hold what the last checkpoint covers.
        """
        if self._tree is None:
            self._tree = yield from self._load()
        tree = self._tree
        yield "entry", (self._log, tree.size, operation_id, kind, body, opening)
        for tile in tree.append(leaf_hash(body)):
            yield "tile", (self._log, tile.level, tile.index, tile.hashes)

    def reset(self) -> None:
        """Forget the tree, which has records of a transaction that was rolled back, and the log's number."""
        self._tree, self._log = None, 0

    def _load(self) -> Steps[Tree]:
        origin = self._slot.origin
        if self._checkpoint is not None:
            yield from check(self._checkpoint)
        if not self._log:
            ((number,),) = yield "log", (origin,)
            self._log = int(number)
        ((size,),) = yield "size", (self._log,)
        if int(size) < self._committed:
            raise DamagedLogError(origin, f"has {size} records, {self._committed} were written")
        tiles = yield from _edge_tiles(self._log, int(size))
        return Tree.of(int(size), tiles)

    def write_checkpoint(self, *, now: bool = False) -> None:
        """Sign a checkpoint of all committed records, if it is time or ``now``."""
        tree = self._tree
        self._committed = tree.size if tree is not None else self._committed
        covered = self._checkpoint.size if self._checkpoint else 0
        if tree is None or tree.size == covered:
            return
        waited = time.monotonic() - self._written
        if now or waited >= CHECKPOINT_EVERY or tree.size - covered >= _MAX_UNCOVERED:
            self._written = time.monotonic()
            checkpoint = Checkpoint(self._slot.origin, tree.size, tree.root())
            try:
                self._slot.write(checkpoint)
            except FileError as error:
                # the records are safe; the older checkpoint covers fewer of them
                _log.warning("a log's checkpoint could not be written: %s", error)
            else:
                self._checkpoint = checkpoint

    def close(self) -> None:
        """Let another process have the log."""
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
        LedgerError: the store does not hold what a checkpoint covers, or the folder cannot be used.
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
            except (LedgerError, LookupError) as error:
                if on_damage is None or checkpoint.origin == slot.origin:
                    raise
                on_damage(str(error))
        return LogAppender(slot)
    except BaseException:
        slot.release()
        raise


def check(checkpoint: Checkpoint) -> Steps[None]:
    """Check that the store still holds what a checkpoint covers.

    Raises:
        LedgerError: it holds less, or something else.
    """
    origin = checkpoint.origin
    ((number,),) = yield "log", (origin,)
    ((size,),) = yield "size", (number,)
    if int(size) < checkpoint.size:
        finding = f"has {size} records, its last checkpoint covers {checkpoint.size}"
        raise DamagedLogError(origin, finding)
    tiles = yield from _edge_tiles(int(number), checkpoint.size)
    if root(checkpoint.size, tiles) != checkpoint.root:
        finding = f"does not hold the {checkpoint.size} records that its checkpoint covers"
        raise DamagedLogError(origin, finding)


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
    """
    found = _EdgeTiles()
    rows = yield "entries", (log, size - size % WIDTH, size)
    if len(rows) != size % WIDTH:
        raise LedgerError(f"the log has {len(rows)} records where {size % WIDTH} must be")
    if rows:
        found[0, size // WIDTH] = b"".join(leaf_hash(bytes(row[3])) for row in rows)
    level, count = 0, size // WIDTH
    while count:
        # the tile above: its hashes are the roots of the full tiles of this level
        above = bytearray()
        for index in range(count - count % WIDTH, count):
            rows = yield "tile_of", (log, level, index)
            if not rows:
                raise LedgerError(f"tile {level}/{index} of the log is missing")
            try:
                above += tile_root(bytes(rows[0][0]))
            except ValueError as error:
                raise LedgerError(f"tile {level}/{index} of the log was altered: {error}") from error
        level += 1
        if above:
            found[level, count // WIDTH] = bytes(above)
        count //= WIDTH
    return found
