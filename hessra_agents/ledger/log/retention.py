"""Let go of what need not be kept: erase what a call carried, and prune old records.

1. Both are on record: in the log of the process that does it, in the transaction that does it.
2. Only records go that the log signed for, in whole tiles. Before that an archive has them, and was checked
   against the log's key; or the log itself was checked.
3. The log's key signs a note of what goes (`tlog.pruning`) before the first record is deleted. So a process
   that is killed in between leaves a log that verifies, and the next pruning deletes the rest.
4. Hashes, checkpoints and everything else that a ledger remembers stay.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ...call.canonical import Json, encode
from ...tlog.export import check, check_proof
from ...tlog.merkle import WIDTH
from ...tlog.pruning import Pruning
from ..model import LedgerError
from ..records import time_of
from ..store.connection import Row, Steps, run_transaction
from .appender import LogAppender
from .reader import Log, Logs
from .verify import verify

__all__ = ["MIN_AGE", "erase", "prunable", "prune"]

MIN_AGE = 120
"""Seconds: younger records may be of calls that still run, or that are tried once more."""

_BATCH = 512

Progress = Callable[[str, int, int], None]


def erase(logs: Logs, log: Log, index: int, *, now: int) -> bool:
    """Erase a record's salt and kept arguments, and record that; return False if they are gone already.

    Raises:
        LedgerError: no log of this folder can take the record.
    """
    with _recorder(logs) as record:

        def steps() -> Steps[bool]:
            erased = bool((yield "erase", (log.number, index)))
            if erased:
                yield from record("erase", {"log": log.origin, "index": index}, now)
            return erased

        return run_transaction(logs.connection, steps())


def prunable(logs: Logs, log: Log, before: int, progress: Progress | None = None) -> int:
    """Return how many of a log's first records are older than a moment (Unix seconds), those gone included.

    A record that does not say when it was, the last tile, and what no checkpoint covers are kept.
    """
    covered = log.checkpoint.size if log.checkpoint else 0
    stop = min(covered, log.size - 1) // WIDTH * WIDTH
    for start in range(log.pruned, stop, WIDTH):
        if progress is not None:
            progress(log.origin, start, stop)
        records = logs.page(log, start, start + WIDTH)
        times = [time_of(record.body) for record in records]
        if len(times) != WIDTH or any(at is None or at >= before for at in times):
            return start
    return max(log.pruned, stop)


def prune(
    logs: Logs,
    wanted: Sequence[tuple[Log, int]],
    archive: Path | None,
    *,
    now: int,
    progress: Progress | None = None,
) -> None:
    """Delete the first records of some logs, for good, beside the guards that go on writing.

    Args:
        logs: the store's logs.
        wanted: logs whose key is in this folder, and how many of the first records go (`prunable`).
        archive: a folder to export the logs to first, each to a folder of its own; an earlier archive is
            extended. Without one, the records are nowhere else.
        now: Unix seconds.
        progress: called with a log's origin, the number of records done, and their total.

    Raises:
        LedgerError: a log is not what was signed, or no log of this folder can take the record.
        ExportError: the archive cannot be written, or is not what was signed.
    """
    if archive is None:
        for report in verify(logs, progress=progress):
            if report.findings and report.origin in [log.origin for log, _ in wanted]:
                found = "is not what was signed: see hessra-agents log verify"
                raise LedgerError(f"the log {report.origin} {found}")
    for log, size in wanted:
        if size > log.pruned:
            if archive is not None:
                folder = archive / log.origin.partition("/")[2]
                logs.export(log, folder, progress)
                check(folder, [log.signed()[1].verifier], allow_pruned=True, progress=progress)
            _sign(logs, log, size, archived=archive is not None, now=now)
        ((first,),) = run_transaction(logs.connection, _ask("first", log.number))
        for start in range(int(first), size, _BATCH):
            stop = min(start + _BATCH, size)
            run_transaction(logs.connection, _ask("prune", log.number, start, stop))
            if progress is not None:
                progress(log.origin, stop, size)


def _sign(logs: Logs, log: Log, size: int, *, archived: bool, now: int) -> None:
    """Sign what will be pruned, and record it; what was said there of forked logs is said anew."""
    if log.local is None or log.local.key is None:
        raise LedgerError(f"the key of the log {log.origin} is not here")
    checkpoint, _ = log.signed()
    archived = archived and (log.pruning is None or log.pruning.archived)
    note = Pruning(size, now, archived, checkpoint).sign(log.local.key)
    said: dict[str, Json] = {"log": log.origin, "records": size, "archived": archived}
    forks = []
    for start in range(log.pruned, size, WIDTH):
        for one in logs.events(log, start, start + WIDTH):
            if one.kind == "break":
                check_proof(logs.proof(log, one.index), one.body, [log.local.verifier])
                forks.append({k: v for k, v in one.fields.items() if k not in ("kind", "op", "at")})
    with _recorder(logs) as record:

        def steps() -> Steps[None]:
            yield "pruned", (log.number, size, note)
            yield from record("prune", said, now)
            for fields in forks:
                yield from record("break", fields, now)

        run_transaction(logs.connection, steps())


@contextmanager
def _recorder(logs: Logs) -> Iterator[Callable[[str, dict[str, Json], int], Steps[None]]]:
    """Take a log of this folder; what appends to it is signed for at the end."""
    slot = logs.directory.acquire()
    try:
        appender = LogAppender(slot, logs.connection)

        def record(kind: str, fields: dict[str, Json], now: int) -> Steps[None]:
            op = os.urandom(16)
            body = encode({"kind": kind, "op": op.hex(), "at": now, **fields})
            return appender.append(kind, op, body, None)

        yield record
        appender.write_checkpoint(now=True)
    finally:
        slot.release()


def _ask(statement: str, *values: Any) -> Steps[list[Row]]:
    return (yield statement, values)
