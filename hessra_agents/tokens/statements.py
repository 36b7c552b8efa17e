"""Statements beside a token: small signed facts about exactly one call.

    proof       the holder: "I make this call, to this guard, now"
    approval    an approver: "this call may be made, until then"

Both are Ed25519 signatures over a digest with a domain tag of its own and length-prefixed parts. What
they sign fixes the chain of blocks, the handle of the check that they answer, and the call with every
argument, so that a statement serves one call under one token and nothing else.

A statement is text: ``hp1.`` or ``ha1.`` and base64url without padding. It is no secret once used, but a
proof that was not used yet makes its call: send it only to the guard that it is for.
"""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Iterable
from dataclasses import dataclass, replace

from ..call.call import Call, digest
from ..errors import Denied, Reason
from ..keys.keys import KeyPair, PublicKey

__all__ = ["Approval", "Proof", "chain_digest"]

_PROOF, _APPROVAL = "hp1.", "ha1."
_PROOF_BYTES = 16 + 8 + 32 + 64
_APPROVAL_BYTES = 16 + 16 + 32 + 8 + 32 + 64


def chain_digest(ids: Iterable[str]) -> bytes:
    """One digest of all block ids of a token, in order."""
    return digest("hessra-agents/blocks/1", *(name.encode() for name in ids))


@dataclass(frozen=True, slots=True)
class Proof:
    """The holder's statement for one call: possession, binding and replay protection in one.

    Protects from a stolen capability, from another call than the proved one, from another guard, and,
    with the guard's ledger, from a second use. Does not protect from whoever has the holder's key.
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
        """Whether the holder's key made this statement for this chain and guard."""
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
        """The statement as text, 164 characters."""
        return _write(_PROOF, self.nonce, self.time.to_bytes(8, "big"), self.call, self.signature)

    def __repr__(self) -> str:
        return f"Proof(of={self.call.hex()[:16]}, time={self.time})"

    @classmethod
    def parse(cls, text: str) -> Proof:
        """Read what `token` wrote.

        Raises:
            Denied: ``malformed``.
        """
        data = _read(_PROOF, text, _PROOF_BYTES)
        return cls(data[:16], int.from_bytes(data[16:24], "big"), data[24:56], data[56:])


@dataclass(frozen=True, slots=True)
class Approval:
    """An approver's statement for one call, under one token, until a time; a ledger spends it once."""

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
        """Sign that this call may be made, once, under this chain before ``expires`` (Unix seconds).

        Of all approvals by this key with one ``nonce`` of 16 bytes, one is used; a fresh one if left out.
        """
        unsigned = cls(nonce or os.urandom(16), handle, key.public, expires, call.digest, b"")
        return replace(unsigned, signature=key.sign(unsigned._message(ids)))

    def valid(self, *, ids: tuple[str, ...]) -> bool:
        """Whether its key signed it, for this chain."""
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
        """The statement as text."""
        handle, expires = bytes.fromhex(self.handle), self.expires.to_bytes(8, "big")
        return _write(_APPROVAL, self.nonce, handle, self.key.data, expires, self.call, self.signature)

    def __repr__(self) -> str:
        return f"Approval(of={self.call.hex()[:16]}, by={self.key}, expires={self.expires})"

    @classmethod
    def parse(cls, text: str) -> Approval:
        """Read what `token` wrote.

        Raises:
            Denied: ``malformed``.
        """
        data = _read(_APPROVAL, text, _APPROVAL_BYTES)
        try:
            key = PublicKey(data[32:64])
        except ValueError as error:
            raise Denied(Reason.MALFORMED, "the approval names no key") from error
        expires = int.from_bytes(data[64:72], "big")
        return cls(data[:16], data[16:32].hex(), key, expires, data[72:104], data[104:])


def _write(prefix: str, *parts: bytes) -> str:
    return prefix + base64.urlsafe_b64encode(b"".join(parts)).rstrip(b"=").decode()


def _read(prefix: str, text: str, length: int) -> bytes:
    try:
        if not isinstance(text, str) or not text.startswith(prefix) or len(text) > 1024:
            raise ValueError
        body = text[len(prefix) :].encode("ascii")
        data = base64.b64decode(body + b"=" * (-len(body) % 4), altchars=b"-_", validate=True)
        if len(data) != length or _write(prefix, data) != text:
            raise ValueError
    except (ValueError, binascii.Error):
        raise Denied(Reason.MALFORMED, "the statement cannot be read") from None
    return data
