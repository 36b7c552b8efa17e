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
import hashlib
import logging
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ...files import FileError, check_private, private_folder, try_lock
from ...keys.keys import KeyPair, PublicKey
from ...tlog import notes
from ...tlog.notes import Checkpoint
from ..model import LedgerError

__all__ = ["LocalLogState", "LogDirectory", "LogSlot", "LogState", "mac_key"]

MAX_LOGS = 1024
"""Processes that can write at a time."""

_REMEDY = "repair it, or set it aside with 'hessra-agents log fork'"

_log = logging.getLogger("hessra_agents")


@dataclass(frozen=True, slots=True, kw_only=True)
class LogState:
    """What is known of a log: who signs for it and, once there is one, its last checkpoint.

    ``note`` is the checkpoint as it was signed; ``problem`` says why it does not count. A state that was read
    from the store is signed by a key that only the store names, until somebody compares its ``verifier``.
    """

    origin: str
    verifier: str
    note: str = ""
    checkpoint: Checkpoint | None = None
    problem: str = ""

    @classmethod
    def stored(cls, origin: str, verifier: str, note: str) -> LogState:
        """Return the state of a log as the store tells it."""
        try:
            name, public = notes.parse_verifier_key(verifier)
            if name != origin or _origin(public) != origin:
                raise notes.NoteError("the key is another log's")
        except notes.NoteError as error:
            return cls(origin=origin, verifier="", problem=f"its key in the store does not count: {error}")
        checkpoint, problem = _verified(note, origin, verifier)
        return cls(origin=origin, verifier=verifier, note=note, checkpoint=checkpoint, problem=problem)


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalLogState(LogState):
    """The contents of a log's folder.

    Without a ``key``, which is damaged then, ``origin`` is what the checkpoint says, or else the folder.
    """

    folder: Path
    key: KeyPair | None

    @classmethod
    def read(cls, folder: Path) -> LocalLogState:
        """Read the folder of a log; whatever is wrong with it is its ``problem``."""
        note, problem = _read_note(folder / "checkpoint")
        try:
            key = KeyPair.load(folder / "key")
        except ValueError as error:
            origin = (note or "").partition("\n")[0] or str(folder)
            problem = f"its key is damaged: {error}"
            return cls(origin=origin, verifier="", note=note or "", problem=problem, folder=folder, key=None)
        origin, checkpoint = _origin(key.public), None
        verifier = notes.verifier_key(origin, key.public)
        if note is not None:
            checkpoint, problem = _verified(note, origin, verifier)
        return cls(
            origin=origin,
            verifier=verifier,
            note=note or "",
            checkpoint=checkpoint,
            problem=problem,
            folder=folder,
            key=key,
        )

    def check(self) -> Checkpoint | None:
        """Return the last checkpoint; None if there is none yet.

        Raises:
            LedgerError: there is one, and it does not count.
        """
        if self.problem:
            raise LedgerError(f"{self.folder}: {self.problem}; {_REMEDY}")
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
        return _origin(self.key.public)

    @property
    def verifier(self) -> str:
        """The log's key, as an auditor keeps it."""
        return notes.verifier_key(self.origin, self.key.public)

    def checkpoint(self) -> Checkpoint | None:
        """Return the last checkpoint that was written; None if there is none yet.

        Raises:
            LedgerError: it is not signed by the log's key.
        """
        return LocalLogState.read(self.folder).check()

    def write(self, checkpoint: Checkpoint) -> str:
        """Sign a checkpoint and keep it, and return the note; it is on disk when this returns.

        Raises:
            FileError: it cannot be written.
        """
        note = notes.sign(checkpoint.text, self.origin, self.key)
        with private_folder(self.folder) as folder:
            folder.replace("checkpoint", note.encode())
        return note

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

        A log whose key is damaged is left as it is.

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
                if key := _own_key(folder):
                    return LogSlot(folder, key, lock)
            except BaseException:
                _close(lock)
                raise
            _close(lock)
        raise LedgerError(f"{self.folder}: {MAX_LOGS} processes write here already")

    def states(self) -> list[LocalLogState]:
        """Read the folder of every log.

        Raises:
            LedgerError: the folder cannot be read.
        """
        return [LocalLogState.read(folder) for folder in self._logs()]

    def checkpoints(self, own: LogSlot, on_damage: Callable[[str], None] | None) -> list[Checkpoint]:
        """Return the last checkpoint of every log.

        Args:
            own: the log that this process writes.
            on_damage: called with a message for each unusable checkpoint of another log, instead of raising.

        A log whose key is damaged has no checkpoint that counts; that is logged, and keeps nobody waiting.

        Raises:
            LedgerError: a checkpoint cannot be read, or is not signed by its log's key.
        """
        found = []
        for state in self.states():
            try:
                found.append(state.check())
            except LedgerError as error:
                told = on_damage or (None if state.key else _log.warning)
                if told is None or state.folder == own.folder:
                    raise
                told(str(error))
        return [checkpoint for checkpoint in found if checkpoint is not None]

    def witnessed_checkpoints(self, file: Path) -> list[Checkpoint]:
        """Read checkpoints of these logs that were kept elsewhere, as ``log checkpoints`` writes them.

        Raises:
            LedgerError: the file cannot be read, or a checkpoint is not of a log of this folder.
        """
        known = [state.verifier for state in self.states() if state.verifier]
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
            logs = [one for one in inside if re.fullmatch(r"\d+", one.name)]
            return [one for one in logs if (one / "key").exists() or (one / "checkpoint").exists()]


def mac_key(key: KeyPair) -> bytes:
    """Return the key under which the process that has a log's key vouches for each record it writes."""
    return hashlib.blake2b(key.private.private_bytes_raw(), person=b"hessra log mac", digest_size=32).digest()


def _own_key(folder: Path) -> KeyPair | None:
    """Read the key of a log that this process holds, None if it is damaged; create the key of a new log."""
    path = folder / "key"
    with _named(path):
        if not path.exists() and not (folder / "checkpoint").exists():
            fresh = path.with_name("key.new")  # moved in one step, as others read it unlocked
            fresh.unlink(missing_ok=True)  # of a process that ended here
            try:
                KeyPair.generate().save(fresh)
            except ValueError as error:
                raise LedgerError(str(error)) from error
            fresh.replace(path)
    return LocalLogState.read(folder).key


def _read_note(path: Path) -> tuple[str | None, str]:
    """Return the note in a file, None if there is none, and what is wrong if the file cannot be read."""
    try:
        if path.exists() and not path.is_file():  # reading a pipe would wait for its writer
            return None, "its checkpoint is not a file"
        return path.read_text("utf-8"), ""
    except FileNotFoundError:
        return None, ""
    except (OSError, UnicodeError):
        return None, "its checkpoint cannot be read"


def _verified(note: str, origin: str, verifier: str) -> tuple[Checkpoint | None, str]:
    """Return the checkpoint of a note, or why it does not count."""
    try:
        checkpoint = Checkpoint.verified(note, [verifier])
    except ValueError as error:
        return None, f"its checkpoint is not signed by its key: {error}"
    return (
        (checkpoint, "") if checkpoint.origin == origin else (None, "its checkpoint is that of another log")
    )


def _origin(public: PublicKey) -> str:
    return f"hessra-agents/{public.data.hex()[:16]}"


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
