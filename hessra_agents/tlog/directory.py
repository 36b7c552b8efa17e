"""The folder of an export: the names of its files, and reading and writing them without trusting the folder.

- Every name is looked up from the open folder, and no symbolic link below it is followed.
- No file is read beyond the size that it should have, and no list of all files is kept in memory.
- A file is written completely beside its place and then moved there.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from ..files import FileError, read_at
from .merkle import WIDTH, widths

__all__ = ["FRESH", "ExportDirectory", "ExportError", "belongs", "opened", "shown_name", "tile_name"]

FRESH = ".new"
"""The name of a file while it is written."""

_DEPTH = 12  # nested folders; the deepest possible tile has 9
_NAME = re.compile(
    r"tile/(?:(?P<entries>entries)|(?P<level>[0-9]{1,2}))/(?P<place>(?:x[0-9]{3}/){0,6}[0-9]{3})(?:\.p/[0-9]{1,3})?"
)
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # a pipe would wait for its writer


class ExportError(ValueError):
    """An export that is not what a log signed, or a folder that cannot hold one; the text names the file."""


def tile_name(level: int | None, index: int, width: int) -> str:
    """Return the name of a tile of a level, or of a bundle of entries (level None), as in C2SP tlog-tiles."""
    digits = str(index)
    digits = digits.zfill(-(-len(digits) // 3) * 3)
    groups = [digits[at : at + 3] for at in range(0, len(digits), 3)]
    place = "/".join([*(f"x{group}" for group in groups[:-1]), groups[-1]])
    name = f"tile/{'entries' if level is None else level}/{place}"
    return name if width == WIDTH else f"{name}.p/{width}"


def belongs(name: str, size: int) -> bool:
    """Return whether the export of a log of this size has a file of this name."""
    found = _NAME.fullmatch(name)
    if found is None:
        return name in ("checkpoint", "pruning")
    level = None if found["entries"] else int(found["level"])
    index = int(re.sub("[x/]", "", found["place"]))
    count = dict(enumerate(widths(size))).get(level or 0, 0)
    width = min(WIDTH, count - index * WIDTH)
    return width > 0 and name == tile_name(level, index, width)


def shown_name(name: str) -> str:
    """Return an untrusted name in a form that is safe to print."""
    return name if re.fullmatch(r"[A-Za-z0-9_./-]{1,100}", name) else ascii(name[:100])


@contextmanager
def opened(path: Path, *, create: bool = False) -> Iterator[ExportDirectory]:
    """Open the folder of an export; ``create`` it, private to this user, if needed."""
    if os.name != "posix":
        raise ExportError(f"{path}: exports need the folders of a POSIX system")
    with _named(str(path)):
        if create:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
        number = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)  # this one may be a link
    try:
        yield ExportDirectory(number)
    finally:
        os.close(number)


@dataclass(frozen=True, slots=True)
class ExportDirectory:
    """An open folder of an export; ``written`` are the files that are not on disk yet."""

    opened: int
    written: set[str] = field(default_factory=set)

    def find(self, name: str, max_bytes: int) -> bytes | None:
        """Read a file of at most ``max_bytes`` bytes; return None if it does not exist."""
        *above, last = name.split("/")
        with _named(name):
            try:
                with self._entered(above) as inside:
                    return read_at(inside, last, max_bytes, shown=name)[0]
            except FileNotFoundError:
                return None

    def read(self, name: str, max_bytes: int) -> bytes:
        """Read a file of at most ``max_bytes`` bytes that must exist."""
        data = self.find(name, max_bytes)
        if data is None:
            raise ExportError(f"{name}: is missing; look for it in another copy, or export the log again")
        return data

    def write(self, name: str, data: bytes) -> None:
        """Write a file in one step; it is on disk after `settle`."""
        self.written.add(name)
        *above, last = name.split("/")
        with _named(name):
            self.forget(FRESH)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            try:
                with open(os.open(FRESH, flags, 0o666, dir_fd=self.opened), "wb") as file:
                    file.write(data)
                with self._entered(above, create=True) as inside:
                    os.replace(FRESH, last, src_dir_fd=self.opened, dst_dir_fd=inside)
            except BaseException:
                with suppress(OSError):
                    os.unlink(FRESH, dir_fd=self.opened)
                raise

    def settle(self) -> None:
        """Wait until everything that was written is on disk."""
        above: set[str] = set()
        for name in self.written:
            *folders, last = name.split("/")
            above |= {"/".join(folders[:depth]) for depth in range(len(folders) + 1)}
            with _named(name), self._entered(folders) as inside:
                _sync(os.open(last, _FILE, dir_fd=inside))
        for name in above:
            with _named(name), self._entered(name.split("/") if name else []) as inside:
                os.fsync(inside)
        self.written.clear()

    def forget(self, name: str) -> None:
        """Remove a file if it exists, and its folder of partial tiles if that is empty then."""
        *above, last = name.split("/")
        with _named(name), suppress(FileNotFoundError), self._entered(above) as inside:
            os.unlink(last, dir_fd=inside)
        if above and above[-1].endswith(".p"):
            with suppress(OSError), self._entered(above[:-1]) as inside:
                os.rmdir(above[-1], dir_fd=inside)

    def files(self) -> Iterator[str]:
        """Return the name of every file, in any order.

        Raises:
            ExportError: the folder contains something that is neither a file nor a folder, such as a link.
        """
        return self._below("", self.opened, 0)

    def _below(self, prefix: str, inside: int, depth: int) -> Iterator[str]:
        with _named(prefix or "the folder"), os.scandir(inside) as found:
            for entry in found:
                name = prefix + entry.name
                if entry.is_file(follow_symlinks=False):
                    yield name
                elif not entry.is_dir(follow_symlinks=False):
                    raise ExportError(f"{shown_name(name)}: is neither a file nor a folder; remove it")
                elif depth == _DEPTH:
                    raise ExportError(
                        f"{shown_name(name)}: lies deeper than any file of an export; remove it"
                    )
                else:
                    number = os.open(entry.name, _FOLDER, dir_fd=inside)
                    try:
                        yield from self._below(name + "/", number, depth + 1)
                    finally:
                        os.close(number)

    @contextmanager
    def _entered(self, folders: list[str], *, create: bool = False) -> Iterator[int]:
        inside = os.dup(self.opened)
        try:
            for folder in folders:
                if create:
                    with suppress(FileExistsError):
                        os.mkdir(folder, dir_fd=inside)
                deeper = os.open(folder, _FOLDER, dir_fd=inside)
                os.close(inside)
                inside = deeper
            yield inside
        finally:
            os.close(inside)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other exports from writing to this folder."""
        import fcntl  # POSIX only; `opened` has refused every other system

        try:
            fcntl.flock(self.opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ExportError("the folder: another export is writing to it; wait for it") from error
        yield  # closing the folder unlocks it


def _sync(number: int) -> None:
    try:
        os.fsync(number)
    finally:
        os.close(number)


@contextmanager
def _named(name: str) -> Iterator[None]:
    try:
        yield
    except FileError as error:
        raise ExportError(str(error)) from error
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            raise ExportError(f"{shown_name(name)}: is, or lies behind, a symbolic link or a file") from error
        raise ExportError(f"{shown_name(name)}: {error.strerror or 'cannot be used'}") from error
