"""Check that the logs of a store are what was signed, by hashing every record again.

    1. every record exists, agrees with its row in the store, and has the hash that its tile has
    2. every stored tile is the one that the records make
    3. every signed checkpoint, kept in this folder or elsewhere, covers exactly the first records
    4. arguments that are kept are those of the call that was decided

The hashes of the records lead to the root of each checkpoint, so nothing that a checkpoint covers can have
changed.
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

MAX_FINDINGS = 20

_UNSIGNED = "no checkpoint of it is kept here: all that is known is that its records fit together"

Progress = Callable[[str, int, int], None]


@dataclass(slots=True)
class LogReport:
    """One log: how many records it has, how many a checkpoint covers, and what is wrong with it."""

    origin: str
    size: int = 0
    covered: int = 0
    findings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    forked: dict[str, str] = field(default_factory=dict)
    """Logs that a record of this one says were forked, and why."""


def verify(logs: Logs, older: Sequence[Checkpoint] = (), progress: Progress | None = None) -> list[LogReport]:
    """Check every log of a store.

    Args:
        logs: the store's logs.
        older: verified checkpoints that were kept elsewhere; each log has to extend its own.
        progress: called with a log's origin, the number of records checked, and their total.
    """
    # before the store is read: so it holds what a checkpoint covers
    local = {state.origin: state for state in logs.directory.states()}
    known = {log.origin: log for log in logs.all()}
    reports = []
    for origin in dict.fromkeys([*known, *local, *(one.origin for one in older)]):
        report = LogReport(origin)
        state = local.get(origin)
        problem = state.problem if state else ""
        if problem:
            report.findings.append(problem)
        signed = [("its checkpoint", state.checkpoint)] if state and state.checkpoint else []
        signed += [("an older checkpoint", one) for one in older if one.origin == origin]
        if origin in known:
            _Verification(logs, known[origin], signed, report, progress).check()
        elif signed:
            report.findings.append("the store has no such log")
        if not signed and not problem:
            report.notes.append(_UNSIGNED)
        reports.append(report)
    forked = {origin: reason for report in reports for origin, reason in report.forked.items()}
    for report in reports:
        if report.origin in forked:
            report.notes = [f"it was forked, and its records may be anything: {forked[report.origin]}"]
    return reports


class _Verification:
    """Checks one log, from its first record to its last."""

    def __init__(
        self,
        logs: Logs,
        log: Log,
        signed: Sequence[tuple[str, Checkpoint]],
        report: LogReport,
        progress: Progress | None,
    ) -> None:
        self._logs, self._log, self._signed, self._progress = logs, log, signed, progress
        self._report = report
        self._tree = Tree()
        self._wrong: list[int] = []  # records whose tile has another hash
        self._tiles: list[tuple[int, int]] = []  # tiles above that differ

    def check(self) -> None:
        report, log, tree = self._report, self._log, self._tree
        report.size = log.size
        for record in self._logs.records(log):
            if record.index != tree.size:
                break
            self._find(_fault(record), record.index)
            if record.kind == "break":
                report.forked[str(record.fields.get("log"))] = str(record.fields.get("reason"))
            for tile in tree.append(leaf_hash(record.body)):
                self._compare(tile)
            for what, checkpoint in self._signed:
                if checkpoint.size == tree.size:
                    self._meet(what, checkpoint)
            if self._progress and tree.size % WIDTH == 0:
                self._progress(log.origin, tree.size, log.size)
        if tree.size < log.size:
            self._find("is missing", tree.size)
        for what, checkpoint in self._signed:
            if checkpoint.size > tree.size:
                report.findings.append(
                    f"{what} covers {checkpoint.size} records, and the store has the first {tree.size} of "
                    "them: the others were cut off, or an old copy was restored"
                )
        self._explain()
        if len(report.findings) > MAX_FINDINGS:
            more = len(report.findings) - MAX_FINDINGS
            report.findings[MAX_FINDINGS:] = [f"and {more} more like these"]

    def _find(self, fault: str, index: int) -> None:
        if fault:
            self._report.findings.append(f"record {index}: {fault}")

    def _compare(self, tile: Tile) -> None:
        """Compare a full tile with the stored one."""
        stored = self._logs.tile(self._log, tile.level, tile.index)
        if stored is None:
            self._report.findings.append(f"tile {tile.level}/{tile.index}: is missing")
        elif tile.level == 0 and len(stored) == len(tile.hashes):
            pairs = (slice(at, at + HASH) for at in range(0, len(stored), HASH))
            first = tile.index * WIDTH
            self._wrong += [first + at for at, one in enumerate(pairs) if stored[one] != tile.hashes[one]]
        elif stored != tile.hashes:
            self._tiles.append((tile.level, tile.index))

    def _meet(self, what: str, checkpoint: Checkpoint) -> None:
        """Compare the tree with a checkpoint of its size."""
        if self._tree.root() == checkpoint.root:
            self._report.covered = max(self._report.covered, checkpoint.size)
        elif not any(index < checkpoint.size for index in self._wrong):
            start = max(self._report.covered, checkpoint.size - checkpoint.size % WIDTH)
            last = f": one of the records {start} to {checkpoint.size - 1} was changed"
            self._report.findings.append(
                f"{what} covers {checkpoint.size} records that differ from these"
                f"{last if start < checkpoint.size else ''}, or all of them were written anew"
            )

    def _explain(self) -> None:
        """Say which was changed where a record and its tile differ: the tile, if the record is covered."""
        covered = self._report.covered
        for index in self._wrong:
            if index < covered:
                self._tiles.append((0, index // WIDTH))
            elif self._signed:
                self._find("is not the one that was logged: it was changed", index)
            else:
                self._find("has another hash than its tile says: one of the two was changed", index)
        if self._wrong and not all(index < covered for index in self._wrong):
            return  # the tiles above differ for that reason
        for level, index in dict.fromkeys(self._tiles):
            whole = (index + 1) * WIDTH ** (level + 1) <= covered
            what = "was changed; the records are as they were" if whole else "does not match its records"
            self._report.findings.append(f"tile {level}/{index}: {what}")


def _fault(record: Record) -> str:
    """Say what is wrong with a record by itself; nothing if nothing is."""
    fields = record.fields
    if not fields:
        return "cannot be read"
    if (fields.get("op"), fields.get("kind")) != (record.operation_id.hex(), record.kind):
        return "its row in the store names another operation or kind than the record"
    if fields.get("kind") == "break":
        return ""
    if record.opening is not None and fields.get("opening") != commitment(record.opening):
        return "its salt or its arguments were changed"
    return ""
