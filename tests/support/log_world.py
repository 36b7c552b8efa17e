"""A log in memory, with its tiles, its key and its exports; and the hash tree as RFC 6962 defines it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hessra_agents import KeyPair
from hessra_agents.tlog import export
from hessra_agents.tlog.merkle import EMPTY, Tree, leaf_hash, node_hash, widths
from hessra_agents.tlog.notes import Checkpoint, sign, verifier_key

ROUNDS = 10_000 if os.environ.get("HESSRA_SOAK") else 300
ORIGIN = "example.com/guard/1"


class Shelf(dict[tuple[int, int], bytes]):
    """Tiles by level and index; it counts how many were read."""

    reads = 0

    def hashes(self, level: int, index: int, width: int) -> bytes:
        self.reads += 1
        return self[level, index][: width * 32]


def grown(leaves: Sequence[bytes]) -> tuple[Tree, Shelf]:
    """A tree with these leaves, and its tiles."""
    tree, shelf = Tree(), Shelf()
    for leaf in leaves:
        for tile in tree.append(leaf):
            shelf[tile.level, tile.index] = tile.hashes
    for level, count in enumerate(widths(tree.size)):
        if count % 256:
            shelf[level, count // 256] = tree.partial(level)
    return tree, shelf


@dataclass
class Log:
    """A log that signs what it holds."""

    records: list[bytes]
    origin: str = ORIGIN
    key: KeyPair = field(default_factory=KeyPair.generate)

    @property
    def keys(self) -> list[str]:
        return [verifier_key(self.origin, self.key.public)]

    def note(self) -> str:
        root = grown([leaf_hash(record) for record in self.records])[0].root()
        return sign(Checkpoint(self.origin, len(self.records), root).text, self.origin, self.key)

    def export(self, folder: Path, note: str = "") -> str:
        """Export all records; the checkpoint, as it was written."""
        _, shelf = grown([leaf_hash(record) for record in self.records])
        note = note or self.note()
        export.write(
            folder, self.origin, len(self.records), note, lambda start, stop: self.records[start:stop], shelf
        )
        return note


def records(count: int, *, word: str = "record") -> list[bytes]:
    return [f"{word} {number} ".encode() * (1 + number % 3) for number in range(count)]


def leaves(count: int) -> list[bytes]:
    return [leaf_hash(b"%d" % number) for number in range(count)]


# RFC 6962, 2.1, 2.1.1 and 2.1.2, word for word


def split(count: int) -> int:
    power = 1
    while power * 2 < count:
        power *= 2
    return power


def plain_root(of: Sequence[bytes]) -> bytes:
    if len(of) <= 1:
        return of[0] if of else EMPTY
    k = split(len(of))
    return node_hash(plain_root(of[:k]), plain_root(of[k:]))


def plain_inclusion(index: int, of: Sequence[bytes]) -> list[bytes]:
    if len(of) == 1:
        return []
    k = split(len(of))
    if index < k:
        return [*plain_inclusion(index, of[:k]), plain_root(of[k:])]
    return [*plain_inclusion(index - k, of[k:]), plain_root(of[:k])]


def plain_consistency(old: int, of: Sequence[bytes], *, whole: bool = True) -> list[bytes]:
    if old == len(of):
        return [] if whole else [plain_root(of)]
    k = split(len(of))
    if old <= k:
        return [*plain_consistency(old, of[:k], whole=whole), plain_root(of[k:])]
    return [*plain_consistency(old - k, of[k:], whole=False), plain_root(of[:k])]
