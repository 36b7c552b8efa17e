"""`Credential`: a capability as its holder has it, in a process that trusts no root key.

A holder need not check the signatures of what it was handed: the guard does. It needs the ids and the
handle that a proof signs, and the name of the guard.
"""

from __future__ import annotations

import base64
import binascii
import time
from dataclasses import dataclass, field

from ..call.call import Call
from ..errors import Denied, Reason
from ..keys.keys import KeyPair
from .admission import ANCHOR, Block, Holder, admit
from .format.blocks import MAX_BYTES, read_blocks, read_envelope
from .statements import Proof

__all__ = ["Credential", "read_unverified_blocks"]


def read_unverified_blocks(token: str) -> tuple[Block, ...]:
    """What the blocks of a token say, by the strict reader and admission; no signature is checked.

    Raises:
        Denied: ``malformed``, ``too_large`` or ``outside_profile``.
    """
    try:
        text = token.encode("ascii")
        data = base64.b64decode(text + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (ValueError, binascii.Error):
        raise Denied(Reason.MALFORMED, "the capability is not base64url") from None
    if len(data) > MAX_BYTES:
        raise Denied(Reason.TOO_LARGE, f"a capability is at most {MAX_BYTES} bytes")
    read_envelope(data)
    return admit(read_blocks(data))


@dataclass(frozen=True, slots=True)
class Credential:
    """A token, the guard that it is for, and the key that proves its calls. ``repr`` shows neither.

    Make one with `Credential.of`.
    """

    token: str = field(repr=False)
    audience: str
    _ids: tuple[str, ...] = field(repr=False)
    _holder: Holder | None = field(repr=False)
    _key: KeyPair | None = field(repr=False)

    @classmethod
    def of(cls, token: str, *, key: KeyPair | None = None, audience: str | None = None) -> Credential:
        """Read a token.

        Args:
            key: the holder's, if the capability has a holder.
            audience: the guard's name; the one that the capability names if left out.

        Raises:
            ValueError: it cannot be read, names another guard or none, or the key is not its holder's.
        """
        token = token.strip()
        try:
            blocks = read_unverified_blocks(token)
        except Denied as denied:
            raise ValueError(f"this capability cannot be read: {denied}") from denied
        named = [value for label, value in blocks[0].designations if label == ANCHOR]
        guard = audience or (named[0] if named else None)
        if guard is None:
            raise ValueError("this capability names no guard: say for which guard it is to be proved")
        holder = next((block.holder for block in reversed(blocks) if block.holder), None)
        if holder is not None and (key is None or key.public.data != holder.key):
            raise ValueError("this capability has a holder: pass its key")
        return cls(token, guard, tuple(block.id for block in blocks), holder, key if holder else None)

    def prove(self, call: Call, *, now: int | None = None) -> Proof | None:
        """A fresh proof of one call; None for a bearer capability, which takes none."""
        if self._holder is None or self._key is None:
            return None
        return Proof.make(
            call,
            ids=self._ids,
            handle=self._holder.handle,
            audience=self.audience,
            key=self._key,
            now=int(time.time()) if now is None else now,
        )
