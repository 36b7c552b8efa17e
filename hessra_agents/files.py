"""Files that only their owner can reach, and files that are replaced in one step.

    with private_folder(Path("keys"), create=True) as folder:
        folder.create("desk.pem", data)                  # mode 0600, on disk, never over another file
    replace_file(Path("trust.json"), data, mode=0o644)   # a reader sees the old file or the new one

1. A private file is created with mode 0600: at no moment can other users open it. Its folder has mode 0700,
   or at least lets no other user replace a file of this user.
2. What other users can reach or own, and every symbolic link, is refused.
3. A file is written completely beside its place and moved there.

Protects from other users of the machine. Does not protect from root or from programs of the same user, and
does not look at the folders above.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

__all__ = [
    "FileError", "PrivateFolder", "check_private", "create_at", "private_folder", "read_at", "replace_file",
    "try_lock",
]  # fmt: skip

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # opening a pipe would wait for its writer
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_LOCK = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC


class FileError(Exception):
    """A file or a folder that cannot be used as it is. The text begins with its path and says what to do."""


@contextmanager
def private_folder(
    path: Path, *, create: bool = False, others_may_enter: bool = False
) -> Iterator[PrivateFolder]:
    """Open a folder of this user that nobody else can enter; ``create`` it if needed (none above it).

    Args:
        others_may_enter: accept a folder that other users can enter, such as a home or ``/tmp``, as long as
            they cannot remove or replace what is in it.

    Raises:
        FileError: the folder does not exist, is a symbolic link, or other users can enter it.
    """
    if os.name != "posix":
        raise FileError(f"{path}: private files need the file permissions of a POSIX system")
    with _named(path):
        if create and not os.path.lexists(path):
            with suppress(FileExistsError):  # another process creates it as well
                os.mkdir(path, 0o700)
            _sync_folder(path.parent)
        opened = os.open(path, _FOLDER | os.O_NOFOLLOW)
    try:
        (_refuse_replaceable if others_may_enter else _refuse_shared)(path, os.fstat(opened))
        yield PrivateFolder(path, opened)
    finally:
        os.close(opened)


@dataclass(frozen=True, slots=True)
class PrivateFolder:
    """An open private folder. Names are looked up in it, so a folder put in its place is not used.

    Every method raises `FileError`.
    """

    path: Path
    opened: int

    def names(self) -> list[str]:
        """Return the names of all files."""
        with _named(self.path):
            return sorted(os.listdir(self.opened))

    def read(self, name: str, max_bytes: int) -> bytes:
        """Read a private file of at most ``max_bytes`` bytes."""
        path = self.path / name
        with _named(path):
            data, about = read_at(self.opened, name, max_bytes, shown=str(path))
        _refuse_shared(path, about)
        return data

    def create(self, name: str, data: bytes) -> None:
        """Write a new private file; it is on disk when this returns."""
        with _named(self.path / name):
            create_at(self.opened, name, data, mode=0o600)
            try:
                os.fsync(self.opened)
            except BaseException:
                with suppress(OSError):
                    os.unlink(name, dir_fd=self.opened)
                raise

    def replace(self, name: str, data: bytes) -> None:
        """Write a private file in one step: a reader sees all of the old file or all of the new one."""
        with _named(self.path / name):
            fresh = f"{name}.new"
            with suppress(FileNotFoundError):
                os.unlink(fresh, dir_fd=self.opened)  # of a process that ended here
            create_at(self.opened, fresh, data, mode=0o600)
            os.replace(fresh, name, src_dir_fd=self.opened, dst_dir_fd=self.opened)
            os.fsync(self.opened)

    def remove(self, names: Iterable[str]) -> None:
        """Remove these files; they are gone from the disk when this returns."""
        for name in names:
            with _named(self.path / name):
                os.unlink(name, dir_fd=self.opened)
                os.fsync(self.opened)

    @contextmanager
    def locked(self, name: str) -> Iterator[None]:
        """Wait until no other process or thread holds this lock file, and hold it."""
        import fcntl  # POSIX only; `private_folder` has refused every other system

        with _named(self.path / name):
            opened = os.open(name, _LOCK, 0o600, dir_fd=self.opened)
        try:
            with _named(self.path / name):
                fcntl.flock(opened, fcntl.LOCK_EX)
            yield
        finally:
            os.close(opened)  # which unlocks, as the end of the process does


def check_private(path: Path) -> None:
    """Check that only this user (or root) owns and can reach a file or a folder.

    Raises:
        FileError: other users can reach it, or it is a symbolic link.
    """
    with _named(path):
        about = path.lstat()
    if stat.S_ISLNK(about.st_mode):
        raise FileError(f"{path}: {_FAULTS[errno.ELOOP]}")
    _refuse_shared(path, about)


def try_lock(path: Path) -> int | None:
    """Lock a file, created with mode 0600 if needed, until the handle is closed or the process ends.

    Returns:
        The handle; None if another process or handle holds the lock.

    Raises:
        FileError: the file cannot be opened or locked.
    """
    import fcntl

    with _named(path):
        opened = os.open(path, _LOCK, 0o600)
        try:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BaseException as error:
            with suppress(OSError):
                os.close(opened)
            if isinstance(error, BlockingIOError):
                return None
            raise
        return opened


def replace_file(path: Path, data: bytes, *, mode: int) -> None:
    """Write a file in one step; it has this mode, whatever the umask, and is on disk when this returns.

    Raises:
        OSError: the file cannot be written, or the path is something else than a regular file: a folder, a
            link, a pipe, a device.
    """
    with suppress(FileNotFoundError):
        if not stat.S_ISREG(path.lstat().st_mode):
            raise FileExistsError(errno.EEXIST, "is there and is not a regular file", str(path))
    folder = os.open(path.parent, _FOLDER)
    fresh = f".{path.name}.{os.urandom(8).hex()}"
    try:
        create_at(folder, fresh, data, mode=mode)
        try:
            os.replace(fresh, path.name, src_dir_fd=folder, dst_dir_fd=folder)
        except BaseException:
            with suppress(OSError):
                os.unlink(fresh, dir_fd=folder)
            raise
        os.fsync(folder)
    finally:
        os.close(folder)


def read_at(folder: int, name: str, max_bytes: int, *, shown: str) -> tuple[bytes, os.stat_result]:
    """Read a regular file in an open folder, with what `os.fstat` says of it; never more than ``max_bytes``.

    Raises:
        FileError: the file is larger, or is not a regular file; the text begins with ``shown``.
        OSError: the file cannot be opened or read, or is a symbolic link.
    """
    with open(os.open(name, _READ, dir_fd=folder), "rb") as file:
        about = os.fstat(file.fileno())
        if not stat.S_ISREG(about.st_mode):
            raise FileError(f"{shown}: is not a regular file")
        if about.st_size > max_bytes:
            raise FileError(f"{shown}: has {about.st_size} bytes, more than the {max_bytes} it may have")
        return file.read(about.st_size), about  # a read of `max_bytes` would take that much memory at once


def create_at(folder: int, name: str, data: bytes, *, mode: int) -> None:
    """Write a new file in an open folder, and remove it again if that fails; it is on disk afterwards.

    Raises:
        OSError: the file exists, or cannot be written.
    """
    opened = os.open(name, _CREATE, mode, dir_fd=folder)
    try:
        with open(opened, "wb") as file:
            os.fchmod(opened, mode)  # whatever the umask took away
            file.write(data)
            file.flush()
            os.fsync(opened)
    except BaseException:
        with suppress(OSError):
            os.unlink(name, dir_fd=folder)
        raise


def _sync_folder(path: Path) -> None:
    opened = os.open(path, _FOLDER)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


_OWN_FOLDER = "use a folder of its own: mkdir -m 700 secret"
"""What to do about a folder; never to change its mode, since it may be shared on purpose."""


def _refuse_strangers(path: Path, about: os.stat_result) -> None:
    if about.st_uid not in {os.geteuid(), 0}:
        raise FileError(f"{path}: belongs to another user: keep it where only you can change it")


def _refuse_shared(path: Path, about: os.stat_result) -> None:
    _refuse_strangers(path, about)
    if about.st_mode & 0o077:  # an access list shows in the group's bits
        remedy = _OWN_FOLDER if stat.S_ISDIR(about.st_mode) else f"run chmod 600 {path}"
        open_to = stat.S_IMODE(about.st_mode)
        raise FileError(f"{path}: others can reach it (mode {open_to:04o}): {remedy}")


def _refuse_replaceable(path: Path, about: os.stat_result) -> None:
    _refuse_strangers(path, about)
    # in a sticky folder each user removes and renames only files of their own
    if about.st_mode & 0o022 and not about.st_mode & stat.S_ISVTX:
        open_to = stat.S_IMODE(about.st_mode)
        raise FileError(f"{path}: others can replace files in it (mode {open_to:04o}): {_OWN_FOLDER}")


_FAULTS = {
    errno.ENOENT: "is not there: name another path, or create it first",
    errno.EEXIST: "is there already and is never written over: choose another name",
    errno.EISDIR: "is a folder: name a file",
    errno.ELOOP: "is a symbolic link: name the file itself",
    errno.ENOTDIR: "is not a folder, or is a symbolic link to one: name the folder itself",
}


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Translate errors of the operating system, which do not name the folder or say what to do."""
    try:
        yield
    except OSError as error:
        fault = _FAULTS.get(error.errno or 0) or error.strerror or "cannot be used"
        raise FileError(f"{path}: {fault}") from error
