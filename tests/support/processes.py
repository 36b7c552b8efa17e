"""A process and its children: hold them still, let them go on, kill them; also when we are gone ourselves.

As a program, ``processes.py FOLDER``, it waits until its standard input ends: the system sees to that,
however the process at the other end comes to its own end. Then it kills the PostgreSQL server whose files are
in that folder, and removes it. It uses the standard library alone, so that it starts at once.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

PATIENCE = 50.0
"""Seconds after which what should have happened will not: a busy machine takes a while, a test no minute."""


def state(pid: int) -> tuple[str, int]:
    """The letter of a process's state, and its parent; ``X`` when there is no such process."""
    try:
        fields = (
            Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
        )
    except OSError:
        return "X", 0
    return fields[0], int(fields[1])


def children(pid: int) -> list[int]:
    """The children of a process that have not ended."""
    others = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    return [
        other for other in others for letter, parent in [state(other)] if parent == pid and letter not in "XZ"
    ]


def freeze(pid: int) -> list[int]:
    """Stop a process and its children where they are, and return the children."""
    tell(pid, signal.SIGSTOP)
    until(pid, "TXZ")  # from here on it makes no more of them
    stopped = children(pid)
    for child in stopped:
        tell(child, signal.SIGSTOP)
    for child in stopped:
        until(child, "TXZ")
    return stopped


def thaw(pid: int) -> None:
    """Let a process and its children go on."""
    for one in (*children(pid), pid):
        tell(one, signal.SIGCONT)


def kill(pid: int) -> None:
    """End a process and its children, without a word to them."""
    family = [*freeze(pid), pid]
    for one in family:
        tell(one, signal.SIGKILL)
    for one in family:
        until(one, "XZ")


def tell(pid: int, what: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, what)


def until(pid: int, letters: str) -> None:
    """Wait until a process is in one of these states."""
    end = time.monotonic() + PATIENCE
    while state(pid)[0] not in letters:
        if time.monotonic() > end:
            raise TimeoutError(f"process {pid} is still in state {state(pid)[0]}")
        time.sleep(0.001)


def main(folder: Path) -> None:
    sys.stdin.buffer.read()
    with suppress(OSError, ValueError):  # it was stopped as it should be, or never started
        pid = int((folder / "data" / "postmaster.pid").read_text().split()[0])
        if os.fsencode(folder) in Path(f"/proc/{pid}/cmdline").read_bytes():  # no other that got its number
            kill(pid)
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
