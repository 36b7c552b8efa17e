"""Ed25519 keys: `KeyPair` signs, `PublicKey` names who signed.

A private key never appears in a ``repr``, a ``str`` or an error. A `KeyPair` can be written to a file that
only its owner can read, sealed with a passphrase if one is given (`keyfile`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from .biscuit import BiscuitKeyPair, BiscuitPublicKey, biscuit_key_pair, biscuit_public_key

if TYPE_CHECKING:
    # Loaded with the first key pair or the first signature that is not a token's. The Biscuit library checks
    # tokens, so a guard whose capabilities are all bearer tokens never needs it.
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

__all__ = ["KeyPair", "PublicKey"]

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
"""Points for which anyone can make signatures that verify (RFC 8032, 5.1.7; without the sign bit)."""


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A public key. ``str(key)`` is its one text form, ``ed25519/<64 hex digits>``.

    P-256 keys (``secp256r1/<66 hex digits>``) are read only as roots of tokens made by other programs.

    Raises:
        ValueError: the bytes are not a key of that algorithm, or are a key that anyone can sign for.
    """

    data: bytes
    algorithm: str = "ed25519"

    def __post_init__(self) -> None:
        unsafe = (
            self.algorithm == "ed25519" and self.data[:31] + bytes([self.data[-1] & 0x7F]) in _SMALL_ORDER
        )
        if unsafe:
            raise ValueError("a public key that anyone can sign for")
        self.for_biscuit()

    @classmethod
    def parse(cls, text: str) -> PublicKey:
        """Read the text of a key, as ``str(key)`` writes it."""
        found = _TEXT.fullmatch(text) if isinstance(text, str) else None
        if found is None:
            raise ValueError("a public key is written ed25519/<64 lower-case hex digits>")
        return cls(bytes.fromhex(found[2] or found[4]), found[1] or found[3])

    def __str__(self) -> str:
        return f"{self.algorithm}/{self.data.hex()}"

    __repr__ = __str__

    def signed(self, signature: bytes, message: bytes) -> bool:
        """Return whether this key made this Ed25519 signature (RFC 8032)."""
        if self.algorithm != "ed25519":
            return False
        try:
            _loaded(self.data).verify(signature, message)
        except Exception as error:
            from cryptography.exceptions import InvalidSignature  # only here: each proof comes this way

            if not isinstance(error, InvalidSignature):
                raise
            return False
        return True

    def for_biscuit(self) -> BiscuitPublicKey:
        """Return this key as an object of the Biscuit library."""
        return biscuit_public_key(self.data, self.algorithm)


@lru_cache(maxsize=256)  # the same keys sign again and again
def _loaded(data: bytes) -> Ed25519PublicKey:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    return Ed25519PublicKey.from_public_bytes(data)


@dataclass(frozen=True, slots=True)
class KeyPair:
    """An Ed25519 key pair, with which a root signs tokens or a holder proves possession.

    Does not protect from code in the same process: any code that reaches the object can sign.
    """

    _private: Ed25519PrivateKey = field(repr=False, compare=False)
    public: PublicKey

    @classmethod
    def generate(cls) -> KeyPair:
        """Return a new key pair, from the randomness of the operating system."""
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        return cls.of(Ed25519PrivateKey.generate())

    @classmethod
    def of(cls, private: Ed25519PrivateKey) -> KeyPair:
        """Return the key pair of a private key of the ``cryptography`` library."""
        return cls(private, PublicKey(private.public_key().public_bytes_raw()))

    @classmethod
    def load(cls, path: str | Path, *, passphrase: bytes | None = None) -> KeyPair:
        """Read the key pair of a file that `save` or ``hessra-agents keys new`` wrote.

        Raises:
            KeyFileError: a ValueError; other users can read the file, it is sealed, or it is not such a key.
        """
        from .keyfile import read_private_key

        return cls.of(read_private_key(Path(path), passphrase))

    def save(self, path: str | Path, *, passphrase: bytes | None = None) -> None:
        """Write this key pair to a new file that only its owner can read, sealed if a passphrase is given.

        Raises:
            KeyFileError: a ValueError; the file exists, or other users can replace files in its folder.
        """
        from .keyfile import write_private_key

        write_private_key(Path(path), self._private, passphrase)

    def __repr__(self) -> str:
        return f"KeyPair({self.public})"

    def __reduce__(self) -> str:
        raise TypeError("a key pair cannot be pickled: write it to a key file")

    def sign(self, message: bytes) -> bytes:
        """Return the Ed25519 signature of a message, 64 bytes."""
        return self._private.sign(message)

    @property
    def private(self) -> Ed25519PrivateKey:
        """The private key, for key files."""
        return self._private

    def for_biscuit(self) -> BiscuitKeyPair:
        """Return this pair for the Biscuit library. Do not keep it: its ``repr`` prints the secret."""
        return biscuit_key_pair(self._private.private_bytes_raw())
