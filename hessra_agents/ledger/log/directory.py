"""The folder beside a store: the keys of its logs, and what they last said of themselves.

    hessra.db.log/0/key          the log's private key, for its owner alone
    hessra.db.log/0/checkpoint   the last signed head of the log, written after the records that it covers
    hessra.db.log/0/lock         held by the process that writes this log

A store that was cut, put back or replaced no longer holds what the checkpoint says. Whoever can write both
this folder and the store can rewrite history up to the last checkpoint that is kept elsewhere.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ...keys.keys import KeyPair
from ...tlog import notes
from ..protocol import LedgerError

__all__ = ["LogDirectory", "LogSlot", "check_private"]

_NOTE = re.compile(r"(?:[^\n]+\n)+\n(?:— [^\n]+\n)+")

MOST_LOGS = 1024
"""Processes that write at a time."""


@dataclass(slots=True)
class LogSlot:
    """One log of this home, held by this process."""

    folder: Path
    key: KeyPair
    lock: int

    @property
    def origin(self) -> str:
        """The log's name, in its checkpoints and in the store."""
        return _origin(self.key)

    def checkpoint(self) -> notes.Checkpoint | None:
        """The last head that was written, None if there was none.

        Raises:
            LedgerError: it is not signed by the log's key.
        """
        return _checkpoint(self.folder, self.key)

    def write(self, size: int, root: bytes) -> None:
        """Sign and keep a head: on disk when this returns.

        Raises:
            OSError: it could not be written.
        """
        text = notes.Checkpoint(self.origin, size, root).text
        _replace(self.folder / "checkpoint", notes.sign(text, self.origin, self.key).encode())

    def set_aside(self) -> Path:
        """Keep a head that no longer holds under another name."""
        number = 1 + sum(1 for _ in self.folder.glob("broken-*"))
        target = self.folder / f"broken-{number}"
        (self.folder / "checkpoint").rename(target)
        return target

    def release(self) -> None:
        """Let another process have the log. A second time does nothing: the number may be another file's."""
        lock, self.lock = self.lock, -1
        if lock >= 0:
            _close(lock)


class LogDirectory:
    """The folder of a store's logs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def make(self) -> None:
        """Make the folder if it is not there.

        Raises:
            LedgerError: others could read or write it.
        """
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise LedgerError(f"{self.folder}: {error.strerror}") from error
        check_private(self.folder)

    def checkpoints(
        self, own: LogSlot | None = None, on_damage: Callable[[str], None] | None = None
    ) -> dict[str, notes.Checkpoint]:
        """The last head of every log of this home, by origin.

        Args:
            own: the log that this process goes on with.
            on_damage: is told of a head of any other log that cannot be read, in place of an error.

        Raises:
            LedgerError: one cannot be read, or is not signed by its log's key.
        """
        found = {}
        for one in self._folders():
            try:
                head = _checkpoint(one, _key(one / "key")) if _there(one / "key") else None
            except LedgerError as error:
                if on_damage is None or (own is not None and one == own.folder):
                    raise
                on_damage(str(error))
                continue
            if head is not None:
                found[head.origin] = head
        return found

    def witnessed_checkpoints(self, file: Path) -> list[notes.Checkpoint]:
        """Heads of these logs that were kept elsewhere, as ``hessra-agents log heads`` wrote them.

        Raises:
            LedgerError: the file cannot be read, or one is of no log of this home.
        """
        keys = [_key(one / "key") for one in self._folders() if (one / "key").exists()]
        known = [notes.verifier_key(_origin(key), key.public) for key in keys]
        try:
            text = file.read_text("utf-8")
            found = _NOTE.findall(text)
            if not found or "".join(found) != text:
                raise LedgerError(
                    f"{file}: is no list of signed heads, as 'hessra-agents log heads' writes it"
                )
            return [notes.Checkpoint.verified(one, known) for one in found]
        except OSError as error:
            raise LedgerError(f"{file}: {error.strerror}") from error
        except ValueError as error:
            raise LedgerError(f"{file}: a head of no log of {self.folder}: {error}") from error

    def _folders(self) -> list[Path]:
        try:
            inside = sorted(self.folder.iterdir()) if self.folder.is_dir() else []
        except OSError as error:
            raise LedgerError(f"{self.folder}: {error.strerror}") from error
        return [one for one in inside if re.fullmatch(r"\d+", one.name)]

    def acquire(self) -> LogSlot:
        """The first log that no process writes.

        Raises:
            LedgerError: it cannot be used.
        """
        self.make()
        for number in range(MOST_LOGS):
            folder = self.folder / str(number)
            try:
                folder.mkdir(mode=0o700, exist_ok=True)
                check_private(folder)
                lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            except OSError as error:
                raise LedgerError(f"{folder}: {error.strerror}") from error
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                _close(lock)
                continue
            except OSError as error:
                _close(lock)
                raise LedgerError(f"{folder}: {error.strerror}") from error
            try:
                return LogSlot(folder, _new_key(folder / "key"), lock)
            except BaseException:
                _close(lock)
                raise
        raise LedgerError(f"{self.folder}: {MOST_LOGS} processes write here already")


def check_private(path: Path) -> None:
    """That nobody but its owner, who is this process's user, can read or write this.

    Raises:
        LedgerError: others can, or it is a symbolic link.
    """
    try:
        found = path.lstat()
    except OSError as error:
        raise LedgerError(f"{path}: {error.strerror}") from error
    if stat.S_ISLNK(found.st_mode):
        raise LedgerError(f"{path}: is a symbolic link: name the file itself")
    if found.st_mode & 0o077:
        raise LedgerError(f"{path}: others can read it: chmod go= {path}")
    if found.st_uid != os.geteuid():
        raise LedgerError(f"{path}: belongs to another user")


def _close(handle: int) -> None:
    """Let go of it, whatever the system says of that: the handle is gone."""
    with contextlib.suppress(OSError):
        os.close(handle)


def _there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError as error:
        raise LedgerError(f"{path}: {error.strerror}") from error


def _key(path: Path) -> KeyPair:
    try:
        return KeyPair.load(path)
    except (ValueError, OSError) as error:
        raise LedgerError(f"{path}: {error}") from error


def _new_key(path: Path) -> KeyPair:
    """The key of a log that this process alone holds. Others read it without asking, so it comes whole."""
    if not _there(path):
        fresh = path.with_name(f"{path.name}.new")
        try:
            fresh.unlink(missing_ok=True)  # of a process that ended here
            KeyPair.generate().save(fresh)
            fresh.replace(path)
        except (ValueError, OSError) as error:
            raise LedgerError(f"{path}: {error}") from error
    return _key(path)


def _origin(key: KeyPair) -> str:
    return f"hessra-agents/{key.public.data.hex()[:16]}"


def _checkpoint(folder: Path, key: KeyPair) -> notes.Checkpoint | None:
    path = folder / "checkpoint"
    if _there(path) and not path.is_file():
        raise LedgerError(f"{path}: is no file")
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeError) as error:
        raise LedgerError(f"{path}: cannot be read") from error
    origin = _origin(key)
    try:
        signed, _ = notes.verify(text, [notes.verifier_key(origin, key.public)])
        found = notes.Checkpoint.parse(signed)
    except ValueError as error:
        raise LedgerError(f"{path}: is not signed by this log's key: {error}") from error
    if found.origin != origin:
        raise LedgerError(f"{path}: is the head of another log")
    return found


def _replace(path: Path, data: bytes) -> None:
    """The whole new file or the whole old one, whatever happens."""
    fresh = path.with_name(f"{path.name}.new")
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.write(handle, data)
        os.fsync(handle)
    finally:
        os.close(handle)
    fresh.replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
