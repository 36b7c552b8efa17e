"""The folder beside a store: the keys of its logs, and the last checkpoint that each of them signed.

    hessra.db.log/0/key          the log's private key, for its owner alone
    hessra.db.log/0/checkpoint   the last signed checkpoint, written after the records that it covers
    hessra.db.log/0/lock         held by the process that writes this log

A store that was cut, restored from an old copy or replaced no longer holds what the checkpoint covers.
Someone who can write both this folder and the store can rewrite history up to the last checkpoint that is
kept elsewhere.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ...files import FileError, check_private, private_folder, try_lock
from ...keys.keys import KeyPair
from ...tlog import notes
from ...tlog.notes import Checkpoint
from ..model import LedgerError

__all__ = ["LocalLogState", "LogDirectory", "LogSlot"]

MAX_LOGS = 1024
"""Processes that can write at a time."""


@dataclass(frozen=True, slots=True)
class LocalLogState:
    """The contents of one log's folder: its key and, once there is one, its last checkpoint.

    ``note`` is the checkpoint as it was signed; ``problem`` says why it does not count.
    """

    folder: Path
    origin: str
    verifier: str
    note: str = ""
    checkpoint: Checkpoint | None = None
    problem: str = ""

    @classmethod
    def read(cls, folder: Path) -> LocalLogState:
        """Read the folder of a log.

        Raises:
            LedgerError: the key cannot be read.
        """
        key = _read_key(folder / "key")
        origin = _origin(key)
        verifier = notes.verifier_key(origin, key.public)
        path, note = folder / "checkpoint", ""
        try:
            if path.exists() and not path.is_file():  # reading a pipe would wait for its writer
                return cls(folder, origin, verifier, problem="its checkpoint is not a file")
            note = path.read_text("utf-8")
            checkpoint = Checkpoint.verified(note, [verifier])
        except FileNotFoundError:
            return cls(folder, origin, verifier)
        except (OSError, UnicodeError):
            return cls(folder, origin, verifier, problem="its checkpoint cannot be read")
        except ValueError as error:
            problem = f"its checkpoint is not signed by its key: {error}"
            return cls(folder, origin, verifier, note, problem=problem)
        if checkpoint.origin != origin:
            problem = "its checkpoint is that of another log"
            return cls(folder, origin, verifier, note, problem=problem)
        return cls(folder, origin, verifier, note, checkpoint)

    def check(self) -> Checkpoint | None:
        """Return the last checkpoint; None if there is none yet.

        Raises:
            LedgerError: there is one, and it does not count.
        """
        if self.problem:
            raise LedgerError(f"{self.folder}: {self.problem}")
        return self.checkpoint


@dataclass(slots=True)
class LogSlot:
    """One log of a folder, held by this process."""

    folder: Path
    key: KeyPair
    lock: int

    @property
    def origin(self) -> str:
        """The log's name, in its checkpoints and in the store."""
        return _origin(self.key)

    def checkpoint(self) -> Checkpoint | None:
        """Return the last checkpoint that was written; None if there is none yet.

        Raises:
            LedgerError: it is not signed by the log's key.
        """
        return LocalLogState.read(self.folder).check()

    def write(self, checkpoint: Checkpoint) -> None:
        """Sign a checkpoint and keep it; it is on disk when this returns.

        Raises:
            FileError: it cannot be written.
        """
        note = notes.sign(checkpoint.text, self.origin, self.key)
        with private_folder(self.folder) as folder:
            folder.replace("checkpoint", note.encode())

    def release(self) -> None:
        """Let another process have the log; does nothing the second time."""
        lock, self.lock = self.lock, -1  # the number may be another file's by then
        if lock >= 0:
            _close(lock)


class LogDirectory:
    """The folder of a store's logs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def acquire(self) -> LogSlot:
        """Take the first log that no process writes; create it, and the folder, if needed.

        Raises:
            LedgerError: other users can reach the folder, or it cannot be used.
        """
        with _named(self.folder):
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            check_private(self.folder)
        for number in range(MAX_LOGS):
            folder = self.folder / str(number)
            with _named(folder):
                folder.mkdir(mode=0o700, exist_ok=True)
                check_private(folder)
                lock = try_lock(folder / "lock")
            if lock is None:
                continue
            try:
                return LogSlot(folder, _own_key(folder / "key"), lock)
            except BaseException:
                _close(lock)
                raise
        raise LedgerError(f"{self.folder}: {MAX_LOGS} processes write here already")

    def states(self) -> list[LocalLogState]:
        """Read the folder of every log.

        Raises:
            LedgerError: a key or the folder cannot be read.
        """
        return [LocalLogState.read(folder) for folder in self._logs()]

    def checkpoints(self, own: LogSlot, on_damage: Callable[[str], None] | None) -> list[Checkpoint]:
        """Return the last checkpoint of every log.

        Args:
            own: the log that this process writes.
            on_damage: called with a message for each unusable checkpoint of another log, instead of raising.

        Raises:
            LedgerError: a checkpoint cannot be read, or is not signed by its log's key.
        """
        found = []
        for folder in self._logs():
            try:
                found.append(LocalLogState.read(folder).check())
            except LedgerError as error:
                if on_damage is None or folder == own.folder:
                    raise
                on_damage(str(error))
        return [checkpoint for checkpoint in found if checkpoint is not None]

    def witnessed_checkpoints(self, file: Path) -> list[Checkpoint]:
        """Read checkpoints of these logs that were kept elsewhere, as ``log checkpoints`` writes them.

        Raises:
            LedgerError: the file cannot be read, or a checkpoint is not of a log of this folder.
        """
        known = [state.verifier for state in self.states()]
        try:
            found = notes.split(file.read_text("utf-8"))
        except OSError as error:
            raise LedgerError(f"{file}: {error.strerror}") from error
        except ValueError as error:
            hint = "'hessra-agents log checkpoints' writes them"
            raise LedgerError(f"{file}: is not a list of checkpoints ({hint})") from error
        try:
            return [Checkpoint.verified(note, known) for note in found]
        except ValueError as error:
            raise LedgerError(f"{file}: a checkpoint is not of a log of {self.folder}: {error}") from error

    def _logs(self) -> list[Path]:
        with _named(self.folder):
            inside = sorted(self.folder.iterdir()) if self.folder.is_dir() else []
            return [one for one in inside if re.fullmatch(r"\d+", one.name) and (one / "key").exists()]


def _own_key(path: Path) -> KeyPair:
    """Read the key of a log that this process holds; create it in one step, as others read it unlocked."""
    with _named(path):
        if not path.exists():
            fresh = path.with_name(f"{path.name}.new")
            fresh.unlink(missing_ok=True)  # of a process that ended here
            try:
                KeyPair.generate().save(fresh)
            except ValueError as error:
                raise LedgerError(str(error)) from error
            fresh.replace(path)
    return _read_key(path)


def _read_key(path: Path) -> KeyPair:
    try:
        return KeyPair.load(path)
    except ValueError as error:
        raise LedgerError(str(error)) from error


def _origin(key: KeyPair) -> str:
    return f"hessra-agents/{key.public.data.hex()[:16]}"


def _close(handle: int) -> None:
    with contextlib.suppress(OSError):  # whatever the system says, the handle is gone
        os.close(handle)


@contextmanager
def _named(path: Path) -> Iterator[None]:
    try:
        yield
    except FileError as error:
        raise LedgerError(str(error)) from error
    except OSError as error:
        raise LedgerError(f"{path}: {error.strerror}") from error
