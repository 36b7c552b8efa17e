"""Ed25519 keys: `KeyPair` signs, `PublicKey` names who signed.

A private key never appears in a ``repr``, a ``str`` or an error. `KeyPair` can be written to a file that
only its owner can read, sealed with a passphrase if one is given (`keyfile`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import biscuit_auth
from biscuit_auth import KeyPair as BiscuitKeyPair
from biscuit_auth import PublicKey as BiscuitPublicKey
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

__all__ = ["KeyPair", "PublicKey"]

_library: Any = biscuit_auth  # its type stubs lag behind the library

_TEXT = re.compile(r"(ed25519)/([0-9a-f]{64})|(secp256r1)/([0-9a-f]{66})")

_SMALL_ORDER = {
    bytes.fromhex(text)
    for text in (
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    )
}
"""Points for which anyone can make signatures that verify (RFC 8032, 5.1.7; the sign bit aside)."""


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A public key. ``str(key)`` is its one text form, ``ed25519/<64 hex digits>``.

    P-256 keys (``secp256r1/<66 hex digits>``) are read only as the root of tokens from elsewhere.

    Raises:
        ValueError: the bytes are no key of that algorithm, or one that anybody can sign for.
    """

    data: bytes
    algorithm: str = "ed25519"

    def __post_init__(self) -> None:
        unsafe = (
            self.algorithm == "ed25519" and self.data[:31] + bytes([self.data[-1] & 0x7F]) in _SMALL_ORDER
        )
        if unsafe:
            raise ValueError("a public key that anybody can sign for")
        self.for_biscuit()

    @classmethod
    def parse(cls, text: str) -> PublicKey:
        """The key that ``str(key)`` wrote."""
        found = _TEXT.fullmatch(text) if isinstance(text, str) else None
        if found is None:
            raise ValueError("a public key is written ed25519/<64 lower-case hex digits>")
        return cls(bytes.fromhex(found[2] or found[4]), found[1] or found[3])

    def __str__(self) -> str:
        return f"{self.algorithm}/{self.data.hex()}"

    __repr__ = __str__

    def signed(self, signature: bytes, message: bytes) -> bool:
        """Whether this key made this Ed25519 signature (RFC 8032)."""
        if self.algorithm != "ed25519":
            return False
        try:
            _loaded(self.data).verify(signature, message)
        except InvalidSignature:
            return False
        return True

    def for_biscuit(self) -> BiscuitPublicKey:
        """This key as the Biscuit library has it."""
        algorithm = (
            _library.Algorithm.Ed25519 if self.algorithm == "ed25519" else _library.Algorithm.Secp256r1
        )
        try:
            found: BiscuitPublicKey = _library.PublicKey.from_bytes(self.data, algorithm)
            return found
        except BaseException as error:
            if isinstance(error, (KeyboardInterrupt, SystemExit)):
                raise
            raise ValueError("these bytes are no public key") from None


_loaded = lru_cache(maxsize=256)(Ed25519PublicKey.from_public_bytes)  # the same keys sign again and again


@dataclass(frozen=True, slots=True)
class KeyPair:
    """An Ed25519 key pair: what a root signs with, or what a holder proves possession of.

    It protects nothing from code in the same process: whoever can reach the object can sign.
    """

    _private: Ed25519PrivateKey = field(repr=False, compare=False)
    public: PublicKey

    @classmethod
    def generate(cls) -> KeyPair:
        """A new key pair from the operating system's randomness."""
        return cls.of(Ed25519PrivateKey.generate())

    @classmethod
    def of(cls, private: Ed25519PrivateKey) -> KeyPair:
        """The pair of a private key of the ``cryptography`` library."""
        return cls(private, PublicKey(private.public_key().public_bytes_raw()))

    @classmethod
    def load(cls, path: str | Path, *, passphrase: bytes | None = None) -> KeyPair:
        """The key pair of a file that `save` or ``hessra-agents keys new`` wrote.

        Raises:
            KeyFileError: a ValueError; others can read the file, it is sealed, or it holds no such key.
        """
        from .keyfile import read_key

        return read_key(Path(path), passphrase)

    def save(self, path: str | Path, *, passphrase: bytes | None = None) -> None:
        """Write this pair to a new file that only its owner can read, sealed if a passphrase is given.

        Raises:
            KeyFileError: a ValueError; the file exists, or its folder is open to others.
        """
        from .keyfile import write_key

        write_key(Path(path), self, passphrase)

    def __repr__(self) -> str:
        return f"KeyPair({self.public})"

    def __reduce__(self) -> str:
        raise TypeError("a key pair is not pickled: write it to a key file")

    def sign(self, message: bytes) -> bytes:
        """An Ed25519 signature, 64 bytes."""
        return self._private.sign(message)

    @property
    def private(self) -> Ed25519PrivateKey:
        """The private key, for key files."""
        return self._private

    def for_biscuit(self) -> BiscuitKeyPair:
        """This pair as the Biscuit library has it. Its ``repr`` there prints the secret: do not keep it."""
        private = _library.PrivateKey.from_bytes(
            self._private.private_bytes_raw(), _library.Algorithm.Ed25519
        )
        return BiscuitKeyPair.from_private_key(private)
