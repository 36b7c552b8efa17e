"""Marks: short digests of everything about a capability that a revocation may name.

A revocation names a block, a subject, a holder's key or a root key; a capability falls when one of its marks
is revoked. What follows from that:

* A block ends with everything that is built on it, because what is built on it carries the block.
* A subject ends with all below it: ``agent:desk`` with ``agent:desk:mailer``.
* A key ends with every capability in which it is, or was, a holder, or signed a block.

16 bytes of sha256: finding another capability with a given mark is 2^128 work (NIST SP 800-107, 5.1).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Literal, get_args

from .admission import APPROVED, Block

__all__ = ["KINDS", "Kind", "revocation_id", "revocation_ids"]

Kind = Literal["block", "subject", "key", "root"]
KINDS: tuple[Kind, ...] = get_args(Kind)


def revocation_id(kind: Kind, target: bytes) -> bytes:
    """The mark of one thing: 16 bytes."""
    return hashlib.sha256(b"hessra-agents/mark/1\0" + kind.encode() + b"\0" + target).digest()[:16]


def revocation_ids(blocks: Iterable[Block], root: bytes) -> tuple[bytes, ...]:
    """The marks of a capability with these blocks, under this root key; the last block's comes first."""
    found = tuple(blocks)
    names = [revocation_id("block", block.id.encode()) for block in reversed(found)]
    subject = found[0].rights[0][0].split(":")
    names += [revocation_id("subject", ":".join(subject[: n + 1]).encode()) for n in range(len(subject))]
    keys = {block.signer for block in found if block.signer is not None}
    keys |= {one.key for block in found for check in block.attested for one in check if one.label != APPROVED}
    names += [revocation_id("key", key) for key in sorted(keys)]
    return (*names, revocation_id("root", root))
