"""Private keys in files that only their owner can read.

    write_key("keys/desk.pem", KeyPair.generate(), b"a passphrase of many words")
    pair = read_key("keys/desk.pem", b"a passphrase of many words")

1. One key is one PEM file (PKCS#8, RFC 5958; Ed25519, RFC 8410), plain or sealed with a passphrase.
2. The file is made 0600 in a folder that is 0700: there is no moment when somebody else can open it, and
   a file that is there already is never written over.
3. What others can reach, or somebody else owns, or is a symbolic link, is refused in both directions.
4. No message has a key or a passphrase in it; each names the path and what to do.

Protects from other users of the machine and, sealed, from whoever gets the file without the passphrase.
Does not protect from root, from code of the same user, or from a passphrase that can be guessed: the seal
is PBES2 with 2,048 rounds of PBKDF2. A file that ``openssl pkcs8 -topk8 -scrypt`` sealed is read as well.
The folders above are not looked at. Keys stay in the memory of the process; Python cannot wipe them.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from .keys import KeyPair

__all__ = ["KeyFileError", "PrivateFolder", "private_folder", "read_key", "write_key"]

MAX_BYTES = 4096
"""Of a key file; a sealed Ed25519 key has about 300."""

_PEM = re.compile(
    rb"-----BEGIN (ENCRYPTED |)PRIVATE KEY-----\r?\n[A-Za-z0-9+/=\r\n]+-----END \1PRIVATE KEY-----\s*"
)


class KeyFileError(ValueError):
    """A key file, or its folder, cannot be used as it is. The text says which and what to do."""


def write_key(path: str | Path, pair: KeyPair, passphrase: bytes | None = None) -> None:
    """Write a new key file, sealed if there is a passphrase; it is on disk when this returns.

    The folder is made if it is not there (not the ones above it).

    Raises:
        KeyFileError: the file exists, the folder is open to others, or the passphrase is empty or over
            1,023 bytes.
    """
    where = Path(path)
    data = _pem(where, pair, passphrase)
    with private_folder(where.parent, create=True) as folder:
        folder.create(where.name, data)


def read_key(path: str | Path, passphrase: bytes | None = None) -> KeyPair:
    """Read what `write_key` wrote, or another tool in the same format.

    Raises:
        KeyFileError: the file is not there, others can reach it, it is no Ed25519 key, or the passphrase
            is wrong, missing, or given for a file without seal.
    """
    where = Path(path)
    with private_folder(where.parent) as folder:
        data = folder.read(where.name, MAX_BYTES)
    found = _PEM.fullmatch(data)
    if found is None:
        raise KeyFileError(f"{where}: is no PEM file of one PKCS#8 private key")
    sealed = bool(found[1])
    if sealed and not passphrase:
        raise KeyFileError(f"{where}: is sealed: give its passphrase")
    if passphrase is not None and not sealed:
        raise KeyFileError(f"{where}: is not sealed: give no passphrase, or replace it by a sealed one")
    from cryptography.hazmat.primitives.serialization import load_pem_private_key  # see `_pem`

    try:
        private = load_pem_private_key(data, passphrase)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        fault = "the passphrase is wrong, or the file is damaged" if sealed else "the file is damaged"
        raise KeyFileError(f"{where}: {fault}") from None
    if not isinstance(private, Ed25519PrivateKey):
        raise KeyFileError(f"{where}: holds another kind of key: only Ed25519 is used here")
    return KeyPair.of(private)


def _pem(where: Path, pair: KeyPair, passphrase: bytes | None) -> bytes:
    # here, since a guard imports this module and reads no key file
    from cryptography.hazmat.primitives import serialization

    seal: serialization.KeySerializationEncryption = serialization.NoEncryption()
    try:
        if passphrase is not None:
            seal = serialization.BestAvailableEncryption(passphrase)
        return pair.private.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, seal)
    except (ValueError, TypeError):
        raise KeyFileError(f"{where}: a passphrase has between 1 and 1,023 bytes") from None


@contextmanager
def private_folder(path: Path, *, create: bool = False) -> Iterator[PrivateFolder]:
    """Open a folder that belongs to this user and that nobody else can enter.

    Raises:
        KeyFileError: it is not there, it is a symbolic link, or others can enter it.
    """
    if os.name != "posix":
        raise KeyFileError(f"{path}: key files need the file permissions of a POSIX system")
    with _told(path):
        if create and not os.path.lexists(path):
            _make(path)
        opened = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        _refuse_shared(path, os.fstat(opened), "700")
        yield PrivateFolder(path, opened)
    finally:
        os.close(opened)


@dataclass(frozen=True, slots=True)
class PrivateFolder:
    """An open folder. Each name is looked up in it, so that it cannot be exchanged in between."""

    path: Path
    opened: int

    def names(self) -> list[str]:
        """The names of all files."""
        with _told(self.path):
            return sorted(os.listdir(self.opened))

    def read(self, name: str, max_bytes: int) -> bytes:
        """What a private file of at most ``max_bytes`` bytes says."""
        path = self.path / name
        with _told(path):
            # O_NONBLOCK: opening a pipe would wait for its writer
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            with open(os.open(name, flags, dir_fd=self.opened), "rb") as file:
                about = os.fstat(file.fileno())
                if not stat.S_ISREG(about.st_mode):
                    raise KeyFileError(f"{path}: is no regular file")
                _refuse_shared(path, about, "600")
                data = file.read(max_bytes + 1)
        if len(data) > max_bytes:
            raise KeyFileError(f"{path}: is larger than {max_bytes} bytes, so it is not what belongs here")
        return data

    def create(self, name: str, data: bytes) -> None:
        """Write a new private file; it is on disk when this returns."""
        with _told(self.path / name):
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            opened = os.open(name, flags, 0o600, dir_fd=self.opened)
            try:
                with open(opened, "wb") as file:
                    os.fchmod(opened, 0o600)  # whatever the umask took away
                    file.write(data)
                    file.flush()
                    os.fsync(opened)
                os.fsync(self.opened)
            except BaseException:
                with suppress(OSError):
                    os.unlink(name, dir_fd=self.opened)
                raise

    def replace(self, name: str, data: bytes) -> None:
        """Write a private file in one step: whoever reads it sees all of the old or all of the new."""
        fresh = f"{name}.new"
        self.remove({fresh} & {*self.names()})
        self.create(fresh, data)
        with _told(self.path / name):
            os.replace(fresh, name, src_dir_fd=self.opened, dst_dir_fd=self.opened)
            os.fsync(self.opened)

    def remove(self, names: Iterable[str]) -> None:
        """Remove these files; they are gone from the folder when this returns."""
        for name in names:
            with _told(self.path / name):
                os.unlink(name, dir_fd=self.opened)
                os.fsync(self.opened)

    @contextmanager
    def locked(self, name: str) -> Iterator[None]:
        """Wait until no other process or thread is inside of this, and keep them out."""
        import fcntl  # POSIX only; `private_folder` has refused every other system

        with _told(self.path / name):
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            opened = os.open(name, flags, 0o600, dir_fd=self.opened)
        try:
            with _told(self.path / name):
                fcntl.flock(opened, fcntl.LOCK_EX)
            yield
        finally:
            os.close(opened)  # which unlocks, as the end of the process does


def _make(path: Path) -> None:
    with suppress(FileExistsError):  # another process makes it, too
        os.mkdir(path, 0o700)
    above = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(above)
    finally:
        os.close(above)


def _refuse_shared(path: Path, about: os.stat_result, mode: str) -> None:
    if about.st_uid not in {os.geteuid(), 0}:
        raise KeyFileError(f"{path}: belongs to another user: keep keys where only you can change them")
    if about.st_mode & 0o077:  # an access list shows in the group's bits
        open_to = stat.S_IMODE(about.st_mode)
        raise KeyFileError(f"{path}: others can reach it (mode {open_to:04o}): run chmod {mode} {path}")


_FAULTS = {
    errno.ENOENT: "is not there: name another path, or make it first",
    errno.EEXIST: "is there already and is never written over: choose another name",
    errno.ELOOP: "is a symbolic link: name the file itself",
    errno.ENOTDIR: "is no folder, or a symbolic link to one: name the folder itself",
}


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Translate the operating system's errors: they name no folder, and not what to do."""
    try:
        yield
    except OSError as error:
        fault = _FAULTS.get(error.errno or 0) or error.strerror or "cannot be used"
        raise KeyFileError(f"{path}: {fault}") from error
