"""Convert keys to those of the Biscuit library. Do not keep them: its ``repr`` prints private keys."""

from __future__ import annotations

from typing import Any

import biscuit_auth
from biscuit_auth import KeyPair as BiscuitKeyPair
from biscuit_auth import PublicKey as BiscuitPublicKey

__all__ = ["BiscuitKeyPair", "BiscuitPublicKey", "biscuit_key_pair", "biscuit_public_key"]

_library: Any = biscuit_auth  # its type stubs lag behind the library


def biscuit_public_key(data: bytes, algorithm: str) -> BiscuitPublicKey:
    """Return the library's form of a public key, ``ed25519`` or ``secp256r1``.

    Raises:
        ValueError: the bytes are not a public key of that algorithm.
    """
    kind = _library.Algorithm.Ed25519 if algorithm == "ed25519" else _library.Algorithm.Secp256r1
    try:
        found: BiscuitPublicKey = _library.PublicKey.from_bytes(data, kind)
        return found
    except BaseException as error:
        if isinstance(error, (KeyboardInterrupt, SystemExit)):
            raise
        raise ValueError("these bytes are not a public key") from None


def biscuit_key_pair(private: bytes) -> BiscuitKeyPair:
    """Return the library's form of an Ed25519 key pair, from the 32 bytes of its private key."""
    return BiscuitKeyPair.from_private_key(
        _library.PrivateKey.from_bytes(private, _library.Algorithm.Ed25519)
    )
