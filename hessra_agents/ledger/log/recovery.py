"""A log that its store does not hold any more: an operator has it end, and says why in another log.

A head that was signed is never signed otherwise. So a broken log gets no more records: its folder is set
aside with its key and its last head, and a new log has a record of what was found. What the store still has
of the old log stays there.
"""

from __future__ import annotations

import fcntl
import os
from dataclasses import dataclass
from pathlib import Path

from ...call.canonical import Json, encode
from ..protocol import LedgerError
from ..store.connection import run_transaction
from .appender import LogAppender, check
from .directory import LogSlot
from .reader import LocalLogState, Logs

__all__ = ["BrokenLog", "break_off", "broken"]

_LONGEST = 1000


@dataclass(frozen=True, slots=True)
class BrokenLog:
    """A log that is not what its last head says, and what was found."""

    kept: LocalLogState
    found: str


def broken(logs: Logs) -> list[BrokenLog]:
    """The logs of this folder that keep a guard from starting."""
    found = []
    for kept in logs.local_states().values():
        if kept.problem:
            found.append(BrokenLog(kept, kept.problem))
        elif kept.head is not None:
            try:
                run_transaction(logs.connection, check(kept.origin, kept.head))
            except LedgerError as error:
                found.append(BrokenLog(kept, str(error).partition(": the store was cut")[0]))
            except (LookupError, ValueError):
                found.append(BrokenLog(kept, "the tiles of the log do not fit together"))
    return found


def break_off(logs: Logs, reason: str, *, now: int) -> list[tuple[BrokenLog, Path]]:
    """Have every broken log end, and write so in a log that holds; where each was set aside.

    Raises:
        LedgerError: none is broken, a process still writes one, or it cannot be written.
        ValueError: there is no reason, or it is too long.
    """
    if not reason.strip() or len(reason) > _LONGEST:
        raise ValueError(f"a reason has 1 to {_LONGEST} characters")
    found = broken(logs)
    if not found:
        raise LedgerError("every log is what its last head says: nothing is broken")
    held: list[int] = []
    try:
        held += [_held(one.kept) for one in found]
        slot = logs.home.acquire()  # none of those, which are held
        try:
            for one in found:
                _write(logs, slot, one, reason, now)
        finally:
            slot.release()
        return [(one, _set_aside(one.kept.folder)) for one in found]
    finally:
        for lock in held:
            os.close(lock)


def _held(kept: LocalLogState) -> int:
    lock = os.open(kept.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise LedgerError(f"a process writes the log {kept.origin}: stop it first") from None
    return lock


def _write(logs: Logs, slot: LogSlot, one: BrokenLog, reason: str, now: int) -> None:
    op = os.urandom(16)
    said: dict[str, Json] = {
        "kind": "break",
        "op": op.hex(),
        "at": now,
        "log": one.kept.origin,
        "verifier": one.kept.verifier,
        "head": one.kept.note[:2000],
        "found": one.found,
        "reason": reason,
    }
    journal = LogAppender(slot)
    run_transaction(logs.connection, journal.append("break", op, encode(said), None))
    journal.write_checkpoint(now=True)


def _set_aside(folder: Path) -> Path:
    number = 1
    while (target := folder.with_name(f"broken-{number}")).exists():
        number += 1
    return folder.rename(target)
