"""The hash tree over a log's records (RFC 6962, 2.1), kept in tiles of 256 hashes (C2SP tlog-tiles).

    tree = Tree()
    for record in records:
        for tile in tree.append(leaf_hash(record)):
            store(tile)  # full now, never changes again
    tree.root()  # what a checkpoint signs

A tile of level 0 holds hashes of 256 records; each hash of level L + 1 is the root of a full tile of level L.
Only the unfinished tile of each level is in memory. A proof reads a few stored tiles of each level.

Nothing here does input or output, or knows keys: who made a tree is said by a signed checkpoint (`notes`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from .proofs import (
    EMPTY,
    HASH,
    MAX_SIZE,
    ProofError,
    check_consistency,
    check_inclusion,
    leaf_hash,
    node_hash,
    split,
)

__all__ = [
    "EMPTY", "MAX_SIZE", "WIDTH", "ProofError", "Tile", "Tiles", "Tree", "check_consistency",
    "check_inclusion",
    "consistency", "inclusion", "leaf_hash", "node_hash", "root", "tile_root", "widths",
]  # fmt: skip

WIDTH = 256


@dataclass(frozen=True, slots=True)
class Tile:
    """Neighboring hashes of one level: ``WIDTH`` of them, or fewer at the right edge of the tree."""

    level: int
    index: int
    hashes: bytes

    def __post_init__(self) -> None:
        if self.level < 0 or self.index < 0 or not 0 < len(self.hashes) <= WIDTH * HASH:
            raise ValueError("a tile has a level, an index and 1 to 256 hashes")
        if len(self.hashes) % HASH:
            raise ValueError("a tile holds whole hashes")

    @property
    def width(self) -> int:
        """The number of hashes in the tile."""
        return len(self.hashes) // HASH


class Tiles(Protocol):
    """A source of the tiles of a tree, the full ones and those at its right edge."""

    def hashes(self, level: int, index: int, width: int) -> bytes:
        """Return the first ``width`` hashes of a tile.

        Raises:
            LookupError: the tile is not stored, or has fewer hashes.
        """
        ...


class Tree:
    """A tree that only grows. It keeps at most 255 hashes of each level in memory, whatever its size."""

    __slots__ = ("_peaks", "_rows", "_size")

    def __init__(self) -> None:
        self._size = 0
        self._rows = [bytearray()]  # the unfinished tile of each level
        self._peaks: list[bytes] = []  # roots of the complete subtrees, the widest first

    @classmethod
    def of(cls, size: int, tiles: Tiles) -> Tree:
        """Return the tree of this size over stored tiles.

        Raises:
            LookupError: a tile at the right edge is not stored.
        """
        _check_size(size)
        edge = [
            _read(tiles, level, count // WIDTH, count % WIDTH) if count % WIDTH else b""
            for level, count in enumerate(widths(size))
        ]
        tree = cls()
        tree._size = size
        tree._rows = [bytearray(row) for row in edge] or [bytearray()]
        tree._peaks = [peak for row in reversed(edge) for peak in _peaks(row)]
        return tree

    @property
    def size(self) -> int:
        """The number of leaves."""
        return self._size

    def append(self, leaf_hash: bytes) -> list[Tile]:
        """Add one leaf, and return the tiles that it completes, level 0 first; most complete none."""
        if len(leaf_hash) != HASH:
            raise ValueError("a leaf hash has 32 bytes")
        if self._size == MAX_SIZE:
            raise ValueError("a tree has at most 2**63 - 1 leaves")
        full: list[Tile] = []
        peaks, rows = self._peaks, self._rows
        peaks.append(leaf_hash)
        rows[0] += leaf_hash
        left, height = self._size, 0
        while left & 1:  # a complete subtree of the same height stands to the left
            right = peaks.pop()
            peaks[-1] = node_hash(peaks[-1], right)
            left >>= 1
            height += 1
            if height % 8 == 0:
                level = height // 8
                full.append(Tile(level - 1, left, bytes(rows[level - 1])))
                rows[level - 1].clear()
                if level == len(rows):
                    rows.append(bytearray())
                rows[level] += peaks[-1]
        self._size += 1
        return full

    def root(self) -> bytes:
        """Return the hash of the whole tree."""
        return _joined(self._peaks)

    def partial(self, level: int) -> bytes:
        """Return the hashes of the unfinished tile of a level: those of 0 to 255 nodes."""
        if level < 0:
            raise ValueError("levels count from 0")
        return bytes(self._rows[level]) if level < len(self._rows) else b""

    def copy(self) -> Tree:
        """Return a copy with the same leaves, which grows on its own."""
        twin = Tree()
        twin._size = self._size
        twin._rows = [bytearray(row) for row in self._rows]
        twin._peaks = list(self._peaks)
        return twin


def widths(size: int) -> Iterator[int]:
    """Return how many hashes a tree of this size has at each level, level 0 first."""
    while size:
        yield size
        size //= WIDTH


def root(size: int, tiles: Tiles) -> bytes:
    """Return the root of the first ``size`` leaves, from stored tiles."""
    return Tree.of(size, tiles).root()


def inclusion(index: int, size: int, tiles: Tiles) -> list[bytes]:
    """Return the proof that a leaf is in the tree of ``size`` leaves: its siblings from the bottom up.

    Raises:
        ValueError: the tree has no such leaf.
        LookupError: a tile that the proof needs is not stored.

    Source: RFC 6962, 2.1.1.
    """
    _check_size(size)
    if not 0 <= index < size:
        raise ValueError("the tree has no such leaf")
    stored = _TreeTiles(size, tiles)
    proof: list[bytes] = []
    start, stop = 0, size
    while stop - start > 1:
        middle = start + split(stop - start)
        if index < middle:
            proof.append(stored.root(middle, stop))
            stop = middle
        else:
            proof.append(stored.root(start, middle))
            start = middle
    return proof[::-1]


def consistency(old: int, new: int, tiles: Tiles) -> list[bytes]:
    """Return the proof that the tree of ``new`` leaves begins with the tree of ``old`` leaves.

    Raises:
        ValueError: the older tree is the larger one.
        LookupError: a tile that the proof needs is not stored.

    Source: RFC 6962, 2.1.2.
    """
    _check_size(old)
    _check_size(new)
    if old > new:
        raise ValueError("the older tree is the larger one")
    if old == 0:
        return []  # every tree extends the empty one
    stored = _TreeTiles(new, tiles)
    proof: list[bytes] = []
    start, stop = 0, new
    while old < stop:
        middle = start + split(stop - start)
        if old <= middle:
            proof.append(stored.root(middle, stop))
            stop = middle
        else:
            proof.append(stored.root(start, middle))
            start = middle
    if start:  # else this subtree is the older tree, whose root the checker has
        proof.append(stored.root(start, stop))
    return proof[::-1]


def tile_root(hashes: bytes) -> bytes:
    """Return the root of a full tile, which is its hash in the tile above."""
    if len(hashes) != WIDTH * HASH:
        raise ValueError("a full tile has 256 hashes")
    return _peaks(hashes)[0]


class _TreeTiles:
    """Roots of subtrees from stored tiles, each read once."""

    def __init__(self, size: int, tiles: Tiles) -> None:
        self._counts = list(widths(size))
        self._tiles = tiles
        self._seen: dict[tuple[int, int], bytes] = {}

    def root(self, start: int, stop: int) -> bytes:
        """Return the root of the leaves from ``start`` to ``stop``, a subtree in RFC 6962."""
        peaks: list[bytes] = []
        while start < stop:
            height = (stop - start).bit_length() - 1
            peaks.append(self._complete(start >> height, height))
            start += 1 << height
        return _joined(peaks)

    def _complete(self, index: int, height: int) -> bytes:
        level, above = divmod(height, 8)  # `above` is its height over the hashes of its tile
        tile, offset = divmod(index << above, WIDTH)
        row = self._seen.get((level, tile))
        if row is None:
            row = _read(self._tiles, level, tile, min(WIDTH, self._counts[level] - tile * WIDTH))
            self._seen[level, tile] = row
        return _peaks(row[offset * HASH : (offset + (1 << above)) * HASH])[0]


def _read(tiles: Tiles, level: int, index: int, width: int) -> bytes:
    row = tiles.hashes(level, index, width)
    if len(row) != width * HASH:
        raise LookupError(f"tile {index} of level {level} does not have {width} hashes")
    return row


def _peaks(row: bytes) -> list[bytes]:
    """Return the roots of the complete subtrees over these hashes, the widest first."""
    found: list[bytes] = []
    start, left = 0, len(row) // HASH
    while left:
        count = 1 << (left.bit_length() - 1)
        part = [row[at : at + HASH] for at in range(start, start + count * HASH, HASH)]
        while len(part) > 1:
            part = [node_hash(part[at], part[at + 1]) for at in range(0, len(part), 2)]
        found += part
        start += count * HASH
        left -= count
    return found


def _joined(peaks: list[bytes]) -> bytes:
    if not peaks:
        return EMPTY
    whole = peaks[-1]
    for peak in peaks[-2::-1]:
        whole = node_hash(peak, whole)
    return whole


def _check_size(size: int) -> None:
    if not 0 <= size <= MAX_SIZE:
        raise ValueError("a tree has 0 to 2**63 - 1 leaves")
