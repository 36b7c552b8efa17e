"""Continue in a new log when the store does not hold what an old log's process wrote, or its key is damaged.

What was signed stays signed: a damaged log gets no more records. Its folder is set aside with its key and its
last checkpoint, and a log that holds gets a record of what was found and of the operator's reason. What the
store still has of the damaged log stays there.
"""

from __future__ import annotations

import os
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from ...call.canonical import Json, encode
from ...files import FileError, try_lock
from ...tlog.merkle import Tree
from ..model import LedgerError
from ..store.connection import Steps, run_transaction
from .appender import DamagedLogError, LogAppender, check, check_rest
from .directory import LocalLogState, mac_key
from .reader import Logs

__all__ = ["BrokenLog", "broken_logs", "fork"]

_MAX_REASON = 1000
_MAX_NOTE = 2000


@dataclass(frozen=True, slots=True)
class BrokenLog:
    """A log that does not hold what its process wrote, or whose folder is damaged, and what was found."""

    state: LocalLogState
    finding: str


def broken_logs(logs: Logs) -> list[BrokenLog]:
    """Return the logs of this folder that get no more records."""
    found = []
    for state in logs.directory.states():
        finding = state.problem
        try:
            run_transaction(logs.connection, _check(state))
        except DamagedLogError as error:
            finding = error.finding
        if finding:
            found.append(BrokenLog(state, finding))
    return found


def _check(state: LocalLogState) -> Steps[None]:
    signed = Tree() if state.checkpoint is None else (yield from check(state.checkpoint))
    if state.key is not None and not state.problem:
        yield from check_rest(state.origin, mac_key(state.key), signed)


def fork(logs: Logs, reason: str, *, now: int) -> list[tuple[BrokenLog, Path]]:
    """End every broken log, and record that in a log that holds.

    Returns:
        Each broken log, and the folder where its key and its checkpoint are now.

    Raises:
        LedgerError: no log is broken, a process still writes one of them, or the record cannot be written.
        ValueError: the reason is empty or too long.
    """
    if not reason.strip() or len(reason) > _MAX_REASON:
        raise ValueError(f"a reason has 1 to {_MAX_REASON} characters")
    found = broken_logs(logs)
    if not found:
        raise LedgerError("every log holds what its process wrote: nothing is broken")
    with ExitStack() as undo:
        for one in found:
            undo.callback(os.close, _locked(one.state))
        slot = logs.directory.acquire()  # none of those, which are locked
        undo.callback(slot.release)
        appender = LogAppender(slot, logs.connection)
        for one in found:
            op = os.urandom(16)
            body = encode(_record(op, one, reason, now))
            run_transaction(logs.connection, appender.append("break", op, body, None))
            appender.write_checkpoint(now=True)
        return [(one, _set_aside(one.state.folder)) for one in found]


def _locked(state: LocalLogState) -> int:
    try:
        lock = try_lock(state.folder / "lock")
    except FileError as error:
        raise LedgerError(str(error)) from error
    if lock is None:
        raise LedgerError(f"a process writes the log {state.origin}: stop it first")
    return lock


def _record(op: bytes, broken: BrokenLog, reason: str, now: int) -> dict[str, Json]:
    return {
        "kind": "break",
        "op": op.hex(),
        "at": now,
        "log": broken.state.origin,
        "verifier": broken.state.verifier,
        "head": broken.state.note[:_MAX_NOTE],
        "found": broken.finding,
        "reason": reason,
    }


def _set_aside(folder: Path) -> Path:
    number = 1
    while (target := folder.with_name(f"broken-{number}")).exists():
        number += 1
    return folder.rename(target)
