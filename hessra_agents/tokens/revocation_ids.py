"""Compute revocation ids: short digests of everything about a capability that a revocation may name.

A revocation names a block, a subject, a holder's key or a root key. A capability is revoked when one of its
revocation ids is, so:

* Revoking a block ends everything that is built on it, because every copy carries the block.
* Revoking a name ends all names below it: ``agent:desk`` and ``agent:desk:mailer``. A subject is a name, and
  so is every name that a delegation gives, which no later block can shed.
* Revoking a key ends every capability of which it is, or was, a holder, or in which it signed a block.

An id is 16 bytes of sha256: finding another capability with a given id takes 2^128 work (NIST SP 800-107,
5.1).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Literal, get_args

from .admission import APPROVED, Block

__all__ = ["KINDS", "Kind", "agent_name", "revocation_id", "revocation_ids"]

Kind = Literal["block", "subject", "key", "root"]
KINDS: tuple[Kind, ...] = get_args(Kind)


def revocation_id(kind: Kind, target: bytes) -> bytes:
    """Return the revocation id of one block, subject or key: 16 bytes."""
    return hashlib.sha256(b"hessra-agents/mark/1\0" + kind.encode() + b"\0" + target).digest()[:16]


def agent_name(blocks: Sequence[Block]) -> str:
    """Return the name that the holder goes by: the subject, and below it what each delegation adds."""
    return ":".join([blocks[0].rights[0][0], *[block.known_as for block in blocks if block.known_as]])


def revocation_ids(blocks: Iterable[Block], root: bytes) -> tuple[bytes, ...]:
    """Return the ids of a capability with these blocks under this root key; the last block's comes first."""
    chain = tuple(blocks)
    ids = [revocation_id("block", block.id.encode()) for block in reversed(chain)]
    name = agent_name(chain).split(":")
    ids += [revocation_id("subject", ":".join(name[: n + 1]).encode()) for n in range(len(name))]
    keys = {block.signer for block in chain if block.signer is not None}
    keys |= {a.key for block in chain for check in block.attested for a in check if a.label != APPROVED}
    ids += [revocation_id("key", key) for key in sorted(keys)]
    return (*ids, revocation_id("root", root))
