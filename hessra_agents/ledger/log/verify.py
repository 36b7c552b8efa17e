"""Whether the logs of a store are what was signed: every record is hashed again.

    1. every record is there, says what its row says, and has the hash that its tile has
    2. every stored tile is the one that the records make
    3. each signed head, of this folder or kept elsewhere, covers exactly the first records
    4. arguments that are kept in clear are those of the call that was decided

The hashes of the records lead to each head's root, so nothing that a head covers can be other than it was.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from ...tlog.merkle import WIDTH, Tile, Tree, leaf_hash
from ...tlog.notes import Checkpoint
from ...tlog.proofs import HASH
from ..records import commitment
from .reader import Log, Logs, Record

__all__ = ["LogReport", "verify"]

MOST_FINDINGS = 20

Progress = Callable[[str, int, int], None]


@dataclass(slots=True)
class LogReport:
    """One log: how many records it has, how many a signed head covers, and what is wrong with it."""

    origin: str
    size: int = 0
    covered: int = 0
    findings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    broken_off: dict[str, str] = field(default_factory=dict)
    """Logs that this one says were broken off, and why."""


def verify(logs: Logs, older: Sequence[Checkpoint] = (), progress: Progress | None = None) -> list[LogReport]:
    """Check every log of a store.

    Args:
        older: heads that were kept elsewhere, their signatures verified; each log has to extend its own.
        progress: is told the log, and how many of how many records are checked.
    """
    kept = logs.local_states()  # before the store is read: it holds what a head covers
    known = {log.origin: log for log in logs.all()}
    checked = []
    for origin in dict.fromkeys([*known, *kept, *(one.origin for one in older)]):
        found = LogReport(origin)
        here = kept.get(origin)
        if here and here.problem:
            found.findings.append(here.problem)
        heads = [("its head", here.head)] if here and here.head else []
        heads += [("an older head", one) for one in older if one.origin == origin]
        if origin in known:
            _Verification(logs, known[origin], heads, found, progress).check()
        elif heads:
            found.findings.append("the store has no such log")
        if not heads and not (here and here.problem):
            found.notes.append("no signed head of it is kept here: its records fit together, that is all")
        checked.append(found)
    said = {name: words for one in checked for name, words in one.broken_off.items()}
    for one in checked:
        if one.origin in said:
            one.notes = [f"it was broken off, and what it has may be anything: {said[one.origin]}"]
    return checked


class _Verification:
    """Over one log, from its first record to its last."""

    def __init__(
        self,
        logs: Logs,
        log: Log,
        heads: Sequence[tuple[str, Checkpoint]],
        found: LogReport,
        progress: Progress | None,
    ) -> None:
        self._logs, self._log, self._heads, self._progress = logs, log, heads, progress
        self._found = found
        self._tree = Tree()
        self._wrong: list[int] = []  # records whose tile has another hash
        self._tiles: list[tuple[int, int]] = []  # tiles above that differ

    def check(self) -> None:
        found, log, tree = self._found, self._log, self._tree
        found.size = log.size
        for record in self._logs.records(log):
            if record.index != tree.size:
                break
            self._say(_odd(record), record.index)
            if record.kind == "break":
                self._found.broken_off[str(record.said.get("log"))] = str(record.said.get("reason"))
            for tile in tree.append(leaf_hash(record.body)):
                self._compare(tile)
            for what, head in self._heads:
                if head.size == tree.size:
                    self._meet(what, head)
            if self._progress and tree.size % WIDTH == 0:
                self._progress(log.origin, tree.size, log.size)
        if tree.size < log.size:
            self._say("is missing", tree.size)
        for what, head in self._heads:
            if head.size > tree.size:
                found.findings.append(
                    f"{what} covers {head.size} records, and the store has the first {tree.size} of them: "
                    "the others were cut off, or an old copy was put back"
                )
        self._explain()
        if len(found.findings) > MOST_FINDINGS:
            more = len(found.findings) - MOST_FINDINGS
            found.findings[MOST_FINDINGS:] = [f"and {more} more like these"]

    def _say(self, what: str, index: int) -> None:
        if what:
            self._found.findings.append(f"record {index}: {what}")

    def _compare(self, tile: Tile) -> None:
        stored = self._logs.tile(self._log, tile.level, tile.index)
        if stored is None:
            self._found.findings.append(f"tile {tile.level}/{tile.index}: is missing")
        elif tile.level == 0 and len(stored) == len(tile.hashes):
            pairs = (slice(at, at + HASH) for at in range(0, len(stored), HASH))
            first = tile.index * WIDTH
            self._wrong += [first + at for at, one in enumerate(pairs) if stored[one] != tile.hashes[one]]
        elif stored != tile.hashes:
            self._tiles.append((tile.level, tile.index))

    def _meet(self, what: str, head: Checkpoint) -> None:
        if self._tree.root() == head.root:
            self._found.covered = max(self._found.covered, head.size)
        elif not any(index < head.size for index in self._wrong):
            start = max(self._found.covered, head.size - head.size % WIDTH)
            last = (
                "" if start >= head.size else f": one of the records {start} to {head.size - 1} was changed"
            )
            self._found.findings.append(
                f"{what} covers other {head.size} records than these{last}, or all of them were written anew"
            )

    def _explain(self) -> None:
        """What differs from its tile: the record, unless a head says that it is as it was."""
        covered = self._found.covered
        for index in self._wrong:
            if index < covered:
                self._tiles.append((0, index // WIDTH))
            elif self._heads:
                self._say("is not the one that was logged: it was changed", index)
            else:
                self._say("has another hash than its tile says: one of the two was changed", index)
        if self._wrong and not all(index < covered for index in self._wrong):
            return  # the tiles above differ for that
        for level, index in dict.fromkeys(self._tiles):
            whole = (index + 1) * WIDTH ** (level + 1) <= covered
            what = "was changed; the records are as they were" if whole else "is not the one of its records"
            self._found.findings.append(f"tile {level}/{index}: {what}")


def _odd(record: Record) -> str:
    """What is wrong with a record by itself; nothing if it is well."""
    said = record.said
    if not said:
        return "cannot be read"
    if (said.get("op"), said.get("kind")) != (record.operation_id.hex(), record.kind):
        return "its row in the store says another operation or kind than the record"
    if said.get("kind") == "break":
        return ""
    if record.opening is not None and said.get("opening") != commitment(record.opening):
        return "what opens it was changed"
    return ""
