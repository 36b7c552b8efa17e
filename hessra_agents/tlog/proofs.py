"""Check proofs about a log's hash tree (RFC 6962, 2.1), without having the log.

Both kinds of proof are read from the root down, as RFC 6962 defines them, and every hash must be used.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import sha256

__all__ = [
    "EMPTY", "HASH", "MAX_SIZE", "ProofError", "check_consistency", "check_inclusion", "leaf_hash",
    "node_hash",
    "split",
]  # fmt: skip

HASH = 32
MAX_SIZE = 2**63 - 1
EMPTY = sha256(b"").digest()
"""The root of a tree without leaves."""


class ProofError(ValueError):
    """A proof that is malformed, or does not show what it should."""


def leaf_hash(data: bytes) -> bytes:
    """Return the hash of one record; its prefix keeps a record from passing for a node."""
    return sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of two hashes."""
    return sha256(b"\x01" + left + right).digest()


def check_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> None:
    """Check that the leaf with this hash is the one at ``index`` in the tree with this size and root.

    Raises:
        ProofError: the proof does not show it.
    """
    _check_given(index, size, hashes=[leaf, root, *proof])
    if index >= size:
        raise ProofError("the tree has no such leaf")
    rest = iter(proof)

    def climb(index: int, size: int) -> bytes:
        if size == 1:
            return leaf
        middle = split(size)
        if index < middle:
            inner = climb(index, middle)
            return node_hash(inner, _next(rest))
        inner = climb(index - middle, size - middle)
        return node_hash(_next(rest), inner)

    _check_end(climb(index, size) == root, rest)


def check_consistency(
    old_size: int, old_root: bytes, new_size: int, new_root: bytes, proof: Sequence[bytes]
) -> None:
    """Check that the tree with the new size and root begins with all leaves of the old one.

    Raises:
        ProofError: the proof does not show it.
    """
    _check_given(old_size, new_size, hashes=[old_root, new_root, *proof])
    if old_size > new_size:
        raise ProofError("the older tree is the larger one")
    for size, root in ((old_size, old_root), (new_size, new_root)):
        if size == 0 and root != EMPTY:
            raise ProofError("this is not the root of an empty tree")
    rest = iter(proof)
    if old_size == 0:
        return _check_end(True, rest)

    def climb(old: int, new: int, *, left_edge: bool) -> tuple[bytes, bytes]:
        if old == new:
            inner = old_root if left_edge else _next(rest)
            return inner, inner
        middle = split(new)
        if old <= middle:
            before, after = climb(old, middle, left_edge=left_edge)
            return before, node_hash(after, _next(rest))
        before, after = climb(old - middle, new - middle, left_edge=False)
        left = _next(rest)
        return node_hash(left, before), node_hash(left, after)

    return _check_end(climb(old_size, new_size, left_edge=True) == (old_root, new_root), rest)


def split(size: int) -> int:
    """Return the largest power of two below ``size``: the number of leaves of the left subtree."""
    return 1 << ((size - 1).bit_length() - 1)


def _next(rest: Iterator[bytes]) -> bytes:
    for one in rest:
        return one
    raise ProofError("the proof is too short")


def _check_end(holds: bool, rest: Iterator[bytes]) -> None:
    if next(rest, None) is not None:
        raise ProofError("the proof is too long")
    if not holds:
        raise ProofError("the hashes do not lead to the root")


def _check_given(*sizes: int, hashes: list[bytes]) -> None:
    if not all(type(size) is int and 0 <= size <= MAX_SIZE for size in sizes):
        raise ProofError("sizes and indexes are 0 to 2**63 - 1")
    if not all(isinstance(one, bytes) and len(one) == HASH for one in hashes):
        raise ProofError("every hash has 32 bytes")
