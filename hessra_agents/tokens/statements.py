"""Sign and read statements that accompany a token: small signed facts about exactly one call.

    proof       the holder: "I make this call, to this guard, now"
    approval    an approver: "this call may be made, until then"

Both are Ed25519 signatures over a digest with a domain tag of its own and length-prefixed parts. The digest
fixes the chain of blocks, the handle of the check that the statement answers, and the call with every
argument, so a statement serves one call under one token and nothing else.

A statement is written as ``hp1.`` or ``ha1.`` and base64url without padding. A used statement is no secret,
but anyone who has an unused proof can make its call: send a proof only to the guard that it is for.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Iterable
from dataclasses import dataclass, replace

from ..call.call import Call, digest
from ..errors import Denied, Reason
from ..keys.keys import KeyPair, PublicKey
from .format.blocks import decode_base64url

__all__ = ["PROOF_WINDOW", "Approval", "Proof", "chain_digest"]

PROOF_WINDOW = 30
"""Seconds by which the clock of a holder or issuer may differ from the guard's. An expiry is exact."""

_PROOF, _APPROVAL = "hp1.", "ha1."
_PROOF_BYTES = 16 + 8 + 32 + 64
_APPROVAL_BYTES = 16 + 16 + 32 + 8 + 32 + 64
_LONGEST = 1024


def chain_digest(ids: Iterable[str]) -> bytes:
    """Return one digest of all block ids of a token, in order."""
    return digest("hessra-agents/blocks/1", *(name.encode() for name in ids))


@dataclass(frozen=True, slots=True)
class Proof:
    """The holder's statement for one call: possession, binding and replay protection in one.

    Protects the holder from anyone who steals the capability or this proof: it fits no other call and no
    other guard, and the guard's ledger refuses a second use. Does not protect from anyone who has the
    holder's key.
    """

    nonce: bytes
    time: int
    call: bytes
    signature: bytes

    @classmethod
    def make(
        cls, call: Call, *, ids: tuple[str, ...], handle: str, audience: str, key: KeyPair, now: int
    ) -> Proof:
        """Sign that ``key`` makes this call under this chain, to the guard ``audience``, at ``now``."""
        nonce = os.urandom(16)
        unsigned = cls(nonce, now, call.digest, b"")
        return cls(nonce, now, call.digest, key.sign(unsigned._message(ids, handle, audience)))

    def signed_by(self, key: PublicKey, *, ids: tuple[str, ...], handle: str, audience: str) -> bool:
        """Return whether the holder's key made this statement for this chain and guard."""
        return key.signed(self.signature, self._message(ids, handle, audience))

    def _message(self, ids: tuple[str, ...], handle: str, audience: str) -> bytes:
        return digest(
            "hessra-agents/proof/1",
            chain_digest(ids),
            bytes.fromhex(handle),
            audience.encode(),
            self.call,
            self.nonce,
            self.time.to_bytes(8, "big"),
        )

    @property
    def token(self) -> str:
        """The statement as a string of 164 characters."""
        return _write(_PROOF, self.nonce, self.time.to_bytes(8, "big"), self.call, self.signature)

    def __repr__(self) -> str:
        return f"Proof(of={self.call.hex()[:16]}, time={self.time})"

    @classmethod
    def parse(cls, text: str) -> Proof:
        """Read a statement that `token` wrote.

        Raises:
            Denied: ``malformed``.
        """
        data = _read(_PROOF, text, _PROOF_BYTES)
        return cls(data[:16], int.from_bytes(data[16:24], "big"), data[24:56], data[56:])


@dataclass(frozen=True, slots=True)
class Approval:
    """An approver's statement for one call under one token until a time; a ledger accepts it once."""

    nonce: bytes
    handle: str
    key: PublicKey
    expires: int
    call: bytes
    signature: bytes

    @classmethod
    def make(
        cls,
        call: Call,
        *,
        ids: tuple[str, ...],
        handle: str,
        key: KeyPair,
        expires: int,
        nonce: bytes | None = None,
    ) -> Approval:
        """Sign that this call may be made once under this chain before ``expires`` (Unix seconds).

        Args:
            nonce: 16 bytes; fresh ones if omitted. Of all approvals by one key with the same nonce, a ledger
                accepts one.
        """
        unsigned = cls(nonce or os.urandom(16), handle, key.public, expires, call.digest, b"")
        return replace(unsigned, signature=key.sign(unsigned._message(ids)))

    def valid(self, *, ids: tuple[str, ...]) -> bool:
        """Return whether its key signed this statement for this chain."""
        return self.key.signed(self.signature, self._message(ids))

    def _message(self, ids: tuple[str, ...]) -> bytes:
        return digest(
            "hessra-agents/approval/1",
            bytes.fromhex(self.handle),
            self.call,
            chain_digest(ids),
            self.expires.to_bytes(8, "big"),
            self.nonce,
        )

    @property
    def token(self) -> str:
        """The statement as a string."""
        handle, expires = bytes.fromhex(self.handle), self.expires.to_bytes(8, "big")
        return _write(_APPROVAL, self.nonce, handle, self.key.data, expires, self.call, self.signature)

    def __repr__(self) -> str:
        return f"Approval(of={self.call.hex()[:16]}, by={self.key}, expires={self.expires})"

    @classmethod
    def parse(cls, text: str) -> Approval:
        """Read a statement that `token` wrote.

        Raises:
            Denied: ``malformed``.
        """
        data = _read(_APPROVAL, text, _APPROVAL_BYTES)
        try:
            key = PublicKey(data[32:64])
        except ValueError as error:
            raise Denied(Reason.MALFORMED, "the approval does not name a valid key") from error
        expires = int.from_bytes(data[64:72], "big")
        return cls(data[:16], data[16:32].hex(), key, expires, data[72:104], data[104:])


def _write(prefix: str, *parts: bytes) -> str:
    return prefix + base64.urlsafe_b64encode(b"".join(parts)).rstrip(b"=").decode()


def _read(prefix: str, text: str, length: int) -> bytes:
    try:
        data = (
            decode_base64url(text[len(prefix) :]) if isinstance(text, str) and len(text) <= _LONGEST else b""
        )
    except ValueError:
        data = b""
    if len(data) != length or _write(prefix, data) != text:  # any other spelling is refused as well
        raise Denied(Reason.MALFORMED, "the statement cannot be read")
    return data
