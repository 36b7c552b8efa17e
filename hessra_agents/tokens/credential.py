"""Prove calls with a capability in the holder's process, which trusts no root key.

The holder does not check the signatures of the token: the guard does. It needs the block ids and the
handle that a proof signs, and the guard's name.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ..call.call import Call
from ..call.templates import as_granted
from ..errors import Denied
from ..keys.keys import KeyPair
from .admission import ANCHOR, Block, Holder, admit
from .builder import unix_now
from .format.blocks import decode_token, read_blocks, read_envelope
from .statements import Proof

__all__ = ["Credential", "read_unverified_blocks"]


def read_unverified_blocks(token: str) -> tuple[Block, ...]:
    """Return what the blocks of a token say, read strictly and admitted; no signature is checked.

    Raises:
        Denied: ``malformed``, ``too_large`` or ``outside_profile``.
    """
    data = decode_token(token)
    read_envelope(data)
    return admit(read_blocks(data))


@dataclass(frozen=True, slots=True)
class Credential:
    """A token, the guard that it is for, and the key that proves its calls; see `Credential.of`.

    ``repr`` shows neither the token nor the key.
    """

    token: str = field(repr=False)
    audience: str
    blocks: tuple[Block, ...] = field(repr=False)
    """What the token says; nobody has checked its signatures."""
    _ids: tuple[str, ...] = field(repr=False)
    _holder: Holder | None = field(repr=False)
    _key: KeyPair | None = field(repr=False)

    @classmethod
    def of(cls, token: str, *, key: KeyPair | None = None, audience: str | None = None) -> Credential:
        """Return the credential of a token.

        Args:
            key: the holder's key, if the capability has a holder.
            audience: the guard's name; the first guard that the capability names if omitted.

        Raises:
            ValueError: the token cannot be read, no guard is named, or the key is not its holder's.
        """
        token = token.strip()
        try:
            blocks = read_unverified_blocks(token)
        except Denied as denied:
            raise ValueError(f"this capability cannot be read: {denied}") from denied
        named = next((value for label, value in blocks[0].designations if label == ANCHOR), None)
        guard = audience or named
        if guard is None:
            raise ValueError("this capability names no guard: pass audience=, the name of its guard")
        holder = next((block.holder for block in reversed(blocks) if block.holder), None)
        if holder is not None and (key is None or key.public.data != holder.key):
            raise ValueError("this capability has a holder: pass its key")
        ids = tuple(block.id for block in blocks)
        return cls(token, guard, blocks, ids, holder, key if holder else None)

    def prove(self, call: Call, *, now: int | None = None) -> Proof | None:
        """Return a fresh proof of one call; None for a bearer capability, whose calls take no proof."""
        if self._holder is None or self._key is None:
            return None
        return Proof.make(
            as_granted(call, self.blocks[0].rights),
            ids=self._ids,
            handle=self._holder.handle,
            audience=self.audience,
            key=self._key,
            now=unix_now(now),
        )
