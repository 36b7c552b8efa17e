"""The log of one process: records in the store, their hash tree in memory, and its signed head outside.

A record is added in the transaction of what it tells of. The head is written after the commit, at most a
second or 256 records later. So what a head covers is in the store; a store that does not hold it was cut or
replaced, and is refused (`check`).
"""

from __future__ import annotations

import logging
import time

from ...tlog.merkle import WIDTH, Tree, leaf_hash, root, tile_root
from ...tlog.notes import Checkpoint
from ..protocol import LedgerError
from ..store.connection import Steps
from .directory import LogSlot

__all__ = ["CHECKPOINT_EVERY", "LogAppender", "check", "stored"]

CHECKPOINT_EVERY = 1.0
"""Seconds between two heads, while records come in."""

_MOST_UNCOVERED = 256

_log = logging.getLogger("hessra_agents")


class LogAppender:
    """One log, which this process alone writes. Used by the writer's thread."""

    def __init__(self, slot: LogSlot) -> None:
        self._slot = slot
        self._log = 0
        self._tree: Tree | None = None
        self._head = slot.checkpoint()
        self._committed = 0
        self._written = float("-inf")  # the first record is covered at once

    @property
    def slot(self) -> LogSlot:
        """Its key and its place outside the store."""
        return self._slot

    def reset(self) -> None:
        """A transaction was lost: what the tree holds is to be read again, and the log's own row, too."""
        self._tree, self._log = None, 0

    def append(self, kind: str, operation_id: bytes, body: bytes, opening: bytes | None) -> Steps[None]:
        """Add one record."""
        if self._tree is None:
            yield from self.load()
        tree = self._tree
        assert tree is not None
        yield "entry", (self._log, tree.size, operation_id, kind, body, opening)
        for tile in tree.append(leaf_hash(body)):
            yield "tile", (self._log, tile.level, tile.index, tile.hashes)

    def load(self) -> Steps[None]:
        """Read the tree from the store.

        Raises:
            LedgerError: it does not hold what the last head covers: an old copy was put in its place.
        """
        if self._head is not None:
            yield from check(self._slot.origin, self._head)
        if not self._log:
            ((number,),) = yield "log", (self._slot.origin,)
            self._log = int(number)
        ((size,),) = yield "size", (self._log,)
        if int(size) < self._committed:
            raise LedgerError(
                _broken(self._slot.origin, f"has {size} records, {self._committed} were written")
            )
        tiles = yield from stored(self._log, int(size))
        self._tree = Tree.of(int(size), tiles)

    def write_checkpoint(self, *, now: bool = False) -> None:
        """Write the head outside the store if it is time, of what was committed."""
        tree = self._tree
        self._committed = tree.size if tree is not None else self._committed
        covered = self._head.size if self._head else 0
        if tree is None or tree.size == covered:
            return
        waited = time.monotonic() - self._written
        if now or waited >= CHECKPOINT_EVERY or tree.size - covered >= _MOST_UNCOVERED:
            head = Checkpoint(self._slot.origin, tree.size, tree.root())
            try:
                self._slot.write(head.size, head.root)
            except OSError as error:
                # the records are safe; an older head covers fewer of them
                _log.warning("a log's head could not be written: %s", error.strerror)
                self._written = time.monotonic()
                return
            self._head, self._written = head, time.monotonic()


class _AppendedTiles:
    """Tiles of a log, read from a store."""

    def __init__(self, tiles: dict[tuple[int, int], bytes]) -> None:
        self._tiles = tiles

    def hashes(self, level: int, index: int, width: int) -> bytes:
        """The first ``width`` hashes of a tile."""
        found = self._tiles[level, index]
        if len(found) < width * 32:
            raise LookupError(f"tile {level}/{index} is shorter than the log")
        return found[: width * 32]


def stored(log: int, size: int) -> Steps[_AppendedTiles]:
    """The tiles at the right edge of a log of this size: what its root is computed from.

    Full tiles are stored; those at the edge are computed from the records, and from the tiles below.
    """
    found: dict[tuple[int, int], bytes] = {}
    rows = yield "entries", (log, size - size % WIDTH, size)
    if len(rows) != size % WIDTH:
        raise LedgerError(f"the log has {len(rows)} records where {size % WIDTH} must be")
    edge = b"".join(leaf_hash(bytes(row[3])) for row in rows)
    if edge:
        found[0, size // WIDTH] = edge
    level, count = 0, size // WIDTH
    while count:
        # the tile above: its hashes are the roots of the full tiles of this level
        first = count - count % WIDTH
        above = bytearray()
        for index in range(first, count):
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
    return _AppendedTiles(found)


def check(origin: str, head: Checkpoint) -> Steps[None]:
    """That the store still holds what a log's head covers.

    Raises:
        LedgerError: it holds less, or something else.
    """
    ((number,),) = yield "log", (origin,)
    ((size,),) = yield "size", (number,)
    if int(size) < head.size:
        raise LedgerError(_broken(origin, f"has {size} records, its last head covers {head.size}"))
    tiles = yield from stored(int(number), head.size)
    if root(head.size, tiles) != head.root:
        raise LedgerError(_broken(origin, f"does not hold the {head.size} records that its head covers"))


def _broken(origin: str, what: str) -> str:
    return (
        f"the log {origin} {what}: the store was cut, put back or altered. Find out why; "
        "'hessra-agents log break' lets it go on, and keeps what was found"
    )
