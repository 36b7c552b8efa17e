"""Private keys in files that only their owner can read.

    write_private_key(Path("keys/desk.pem"), private, b"a passphrase of many words")
    private = read_private_key(Path("keys/desk.pem"), b"a passphrase of many words")

1. One key is one PEM file (PKCS#8, RFC 5958; Ed25519, RFC 8410), plain or sealed with a passphrase.
2. The file is private, nobody else can replace it (`files`), and an existing file is never written over.
3. No message contains a key or a passphrase; each names the path and says what to do.

Protects from other users of the machine and, if sealed, from someone who gets the file without the
passphrase. Does not protect from root, from programs of the same user, or from guessing the passphrase: the
seal is PBES2 with 2,048 rounds of PBKDF2. Files sealed by ``openssl pkcs8 -topk8 -scrypt`` can be read too.
Keys stay in the memory of the process; Python cannot wipe them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ..files import FileError, PrivateFolder, private_folder

__all__ = ["KeyFileError", "key_folder", "read_private_key", "write_private_key"]

MAX_BYTES = 4096
"""The size of a key file; a sealed Ed25519 key has about 300 bytes."""

_PEM = re.compile(
    rb"-----BEGIN (ENCRYPTED |)PRIVATE KEY-----\r?\n[A-Za-z0-9+/=\r\n]+-----END \1PRIVATE KEY-----\s*"
)


class KeyFileError(ValueError):
    """A key file or its folder that cannot be used as it is. The text says which, and what to do."""


def write_private_key(path: Path, private: Ed25519PrivateKey, passphrase: bytes | None = None) -> None:
    """Write a new key file, sealed if a passphrase is given; it is on disk when this returns.

    Creates the folder if needed, but none above it.

    Raises:
        KeyFileError: the file exists, other users can replace files in its folder, or the passphrase is empty
            or longer than 1,023 bytes.
    """
    data = _pem(path, private, passphrase)
    with key_folder(path.parent, create=True, others_may_enter=True) as folder:
        folder.create(path.name, data)


def read_private_key(path: Path, passphrase: bytes | None = None) -> Ed25519PrivateKey:
    """Read a key file that `write_private_key` or another tool wrote in this format.

    Raises:
        KeyFileError: the file does not exist, other users can reach it, it is not an Ed25519 key, or the
            passphrase is wrong, missing, or given for a file that is not sealed.
    """
    with key_folder(path.parent, others_may_enter=True) as folder:
        data = folder.read(path.name, MAX_BYTES)
    found = _PEM.fullmatch(data)
    if found is None:
        raise KeyFileError(f"{path}: is not a PEM file of one PKCS#8 private key")
    sealed = bool(found[1])
    if sealed and not passphrase:
        raise KeyFileError(f"{path}: is sealed: give its passphrase")
    if passphrase is not None and not sealed:
        raise KeyFileError(f"{path}: is not sealed: give no passphrase, or replace it with a sealed one")
    try:
        private = serialization.load_pem_private_key(data, passphrase)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        fault = "the passphrase is wrong, or the file is damaged" if sealed else "the file is damaged"
        raise KeyFileError(f"{path}: {fault}") from None
    if not isinstance(private, Ed25519PrivateKey):
        raise KeyFileError(f"{path}: holds another kind of key: only Ed25519 is used here")
    return private


@contextmanager
def key_folder(
    path: Path, *, create: bool = False, others_may_enter: bool = False
) -> Iterator[PrivateFolder]:
    """Open a folder for keys: see `private_folder`.

    Raises:
        KeyFileError: the folder, or a file used through it, is not private or cannot be used.
    """
    try:
        with private_folder(path, create=create, others_may_enter=others_may_enter) as folder:
            yield folder
    except FileError as error:
        raise KeyFileError(str(error)) from error


def _pem(path: Path, private: Ed25519PrivateKey, passphrase: bytes | None) -> bytes:
    seal: serialization.KeySerializationEncryption = serialization.NoEncryption()
    try:
        if passphrase is not None:
            seal = serialization.BestAvailableEncryption(passphrase)
        return private.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, seal)
    except (ValueError, TypeError):
        raise KeyFileError(f"{path}: a passphrase has between 1 and 1,023 bytes") from None
