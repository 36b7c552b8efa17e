"""Check that the logs of a store are what was signed, by hashing every record again.

    1. every record exists, agrees with its row in the store, and has the hash that its tile has
    2. every stored tile is the one that the records make
    3. every signed checkpoint, in this folder, in the store or elsewhere, covers exactly the first records
    4. every record beyond the last checkpoint is one that the log's process wrote, where its key is here
    5. arguments that are kept are those of the call that was decided

The hashes of the records lead to the root of each checkpoint, so nothing that a checkpoint covers can have
changed.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from ...tlog.merkle import WIDTH, Tile, Tree, leaf_hash
from ...tlog.notes import Checkpoint
from ...tlog.proofs import HASH
from ...tlog.pruning import Pruning
from ..records import commitment
from .appender import record_mac
from .directory import LocalLogState, mac_key
from .reader import Log, Logs, Record

__all__ = ["LogReport", "verify"]

MAX_FINDINGS = 20

_UNSIGNED = "no key here vouches for it, and no checkpoint: whoever can write the store may have made it up"

Progress = Callable[[str, int, int], None]


@dataclass(slots=True)
class LogReport:
    """One log: how many records it has, how many a checkpoint covers, and what is wrong with it.

    ``unknown`` is the key that signed the store's checkpoint, if only the store says that it is the log's.
    Then that checkpoint does not count, and ``claimed`` is how many records it covers.
    """

    origin: str
    size: int = 0
    covered: int = 0
    claimed: int = 0
    unknown: str = ""
    findings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    forked: dict[str, str] = field(default_factory=dict)
    """Logs that were forked, as a record of this log says that a checkpoint covers, and why."""


def verify(
    logs: Logs,
    older: Sequence[Checkpoint] = (),
    progress: Progress | None = None,
    *,
    keys: Collection[str] = (),
) -> list[LogReport]:
    """Check every log of a store.

    Args:
        logs: the store's logs.
        older: verified checkpoints that were kept elsewhere; each log has to extend its own.
        progress: called with a log's origin, the number of records checked, and their total.
        keys: verifier keys that count, beside those of this folder; a log that none of them signed is then
            a finding.
    """
    logs.connection.check_all()
    # before the store is read: so it holds what a checkpoint covers
    local = {state.origin: state for state in logs.directory.states()}
    known = {log.origin: log for log in logs.all()}
    reports = []
    for origin in dict.fromkeys([*known, *local, *(one.origin for one in older)]):
        report = LogReport(origin)
        state = local.get(origin) or (known[origin].state if origin in known else None)
        signed = [_Signed("an older checkpoint", one) for one in older if one.origin == origin]
        if state is not None and state.problem:
            report.findings.append(state.problem)
        elif state is not None and state.checkpoint is not None:
            counts = origin in local or state.verifier in keys
            report.unknown = "" if counts else state.verifier
            signed.append(_Signed("its checkpoint", state.checkpoint, counts))
        if origin in known:
            _Verification(logs, known[origin], local.get(origin), signed, report, progress).check()
        elif signed:
            report.findings.append("the store has no such log")
        said = report.findings if keys else report.notes  # who names keys wants no log without them
        if report.unknown:
            said.append(
                f"only the store says that {report.unknown} is its key: compare it with what 'log keys' "
                "prints on the machine of its guard, and name it with --keys"
            )
        elif not signed and not report.findings and origin not in local:
            said.append(_UNSIGNED)
        reports.append(report)
    forked = {origin: reason for report in reports for origin, reason in report.forked.items()}
    for report in reports:
        if report.origin in forked and report.origin not in local:
            why = f"it was forked, and its records may be anything: {forked[report.origin]}"
            report.notes, report.findings, report.unknown = [why], [], ""
    return reports


class _Signed(NamedTuple):
    """A checkpoint of a log, what it is in words, and whether its key is known, so that it counts."""

    what: str
    checkpoint: Checkpoint
    counts: bool = True


class _Verification:
    """Checks one log, from its first record to its last."""

    def __init__(
        self,
        logs: Logs,
        log: Log,
        local: LocalLogState | None,
        signed: Sequence[_Signed],
        report: LogReport,
        progress: Progress | None,
    ) -> None:
        self._logs, self._log, self._signed, self._progress = logs, log, [*signed], progress
        self._key = mac_key(local.key) if local is not None and local.key is not None else b""
        self._covered = max((one.checkpoint.size for one in signed), default=0)
        self._report = report
        self._tree = Tree()
        self._wrong: list[int] = []  # records whose tile has another hash
        self._tiles: list[tuple[int, int]] = []  # tiles above that differ

    def check(self) -> None:
        report, log, tree = self._report, self._log, self._tree
        forked: dict[int, tuple[str, str]] = {}
        report.size = log.size
        if log.pruning is not None:
            self._pruned(log.pruning)
        for record in self._logs.records(log):
            if record.index != tree.size:
                break
            self._find(_fault(record) or self._unvouched(record), record.index)
            if record.kind == "break":
                forked[record.index] = str(record.fields.get("log")), str(record.fields.get("reason"))
            self._append(leaf_hash(record.body))
        if tree.size < log.size:
            self._find("is missing", tree.size)
        for what, checkpoint, _ in self._signed:
            if checkpoint.size > tree.size:
                report.findings.append(
                    f"{what} covers {checkpoint.size} records, and the store has the first {tree.size} of "
                    "them: the others were cut off, or an old copy was restored"
                )
        self._explain()
        report.forked = dict(said for index, said in forked.items() if index < report.covered)
        if len(report.findings) > MAX_FINDINGS:
            more = len(report.findings) - MAX_FINDINGS
            report.findings[MAX_FINDINGS:] = [f"and {more} more like these"]

    def _append(self, leaf: bytes) -> None:
        """Add the hash of the next record, and compare what it completes."""
        for tile in self._tree.append(leaf):
            self._compare(tile)
        size = self._tree.size
        for one in self._signed:
            if one.checkpoint.size == size:
                self._meet(one)
        if self._progress and size % WIDTH == 0:
            self._progress(self._log.origin, size, self._log.size)

    def _pruned(self, pruning: Pruning) -> None:
        """Add the hashes of records that were pruned: their tiles are there, and lead to each checkpoint."""
        counts = not self._report.unknown
        self._signed.append(_Signed("the note of what was pruned", pruning.checkpoint, counts))
        self._report.notes.append(pruning.description)
        for index in range(pruning.size // WIDTH):
            tile = self._logs.tile(self._log, 0, index)
            if tile is None or len(tile) != WIDTH * HASH:
                self._report.findings.append(f"tile 0/{index}: is missing, or was cut")
                return
            for at in range(0, len(tile), HASH):
                self._append(tile[at : at + HASH])

    def _unvouched(self, record: Record) -> str:
        """Say if a record that no checkpoint covers is not one that the log's process wrote."""
        if not self._key or record.index < self._covered:
            return ""
        mac = record_mac(self._key, record.index, record.body)
        return (
            "" if hmac.compare_digest(mac, record.mac) else "its process did not write it, or it was changed"
        )

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

    def _meet(self, signed: _Signed) -> None:
        """Compare the tree with a checkpoint of its size, which is the largest so far."""
        what, checkpoint, counts = signed
        if self._tree.root() == checkpoint.root:
            if counts:
                self._report.covered = checkpoint.size
            else:
                self._report.claimed = checkpoint.size
        elif not any(index < checkpoint.size for index in self._wrong):
            start = max(self._report.covered, checkpoint.size - checkpoint.size % WIDTH)
            last = f": one of the records {start} to {checkpoint.size - 1} was changed"
            if self._report.covered < self._log.pruned:
                last += ", or the hash of one that was pruned"
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
