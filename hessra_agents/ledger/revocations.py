"""Revocations, and the list of them that a guard keeps in memory.

A revocation names a block, a subject, a key, a root key, or a moment before which everything was issued. It
cannot be undone. `RevocationList` holds a set of revocation ids, so a question costs the same however many
there are. It is read from the store by *epoch*, the number of revocations so far: each revocation takes its
epoch in the transaction that writes it, so a reader of "everything after epoch n" misses no row that commits
later.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from dataclasses import dataclass

from ..errors import Denied, Reason
from ..keys.keys import PublicKey
from ..tokens.capability import Capability
from ..tokens.revocation_ids import Kind, revocation_id

__all__ = ["BOUND", "Revocation", "RevocationEntry", "RevocationImpact", "RevocationList"]

BOUND = 5.0
"""Seconds after which a list of revocations is too old to permit a call."""

_BLOCK = re.compile(r"[0-9a-f]{64}|[0-9a-f]{128}")


@dataclass(frozen=True, slots=True)
class Revocation:
    """One revocation, made by `of`; ``target`` is its revocation id, or the moment as 8 bytes."""

    kind: str
    target: bytes
    description: str

    @classmethod
    def of(
        cls,
        *,
        block: str | Capability | None = None,
        subject: str | None = None,
        key: PublicKey | None = None,
        root: PublicKey | None = None,
        before: int | None = None,
    ) -> Revocation:
        """Return the revocation of exactly one thing; the parameters are those of `Ledger.revoke`.

        Raises:
            ValueError: nothing or several things are named, or a value cannot be what its parameter names.
        """
        if sum(one is not None for one in (block, subject, key, root, before)) != 1:
            raise ValueError("name one thing: a block, a subject, a key, a root key, or a moment")
        if isinstance(block, Capability):
            block = block.ids[-1]
        if block is not None:
            if not isinstance(block, str) or not _BLOCK.fullmatch(block):
                raise ValueError("a block is named by 64 or 128 lower-case hex digits")
            return cls("block", revocation_id("block", block.encode()), f"block {block}")
        if subject is not None:
            if not isinstance(subject, str) or not subject.isprintable() or "" in subject.split(":"):
                raise ValueError("a subject is a string such as agent:desk")
            return cls("subject", revocation_id("subject", subject.encode()), f"subject {subject}")
        if before is not None:
            if type(before) is not int or not 0 < before < 1 << 62:
                raise ValueError("a moment is in Unix seconds")
            return cls("before", before.to_bytes(8, "big"), f"everything issued before {before}")
        named = key if key is not None else root
        if not isinstance(named, PublicKey):
            raise ValueError("a key is a PublicKey: key.public, or PublicKey.parse(text)")
        kind: Kind = "key" if key is not None else "root"
        return cls(kind, revocation_id(kind, named.data), f"{'root ' * (kind == 'root')}key {named}")


@dataclass(frozen=True, slots=True)
class RevocationEntry:
    """A revocation as a ledger has it: what it names, why, and when (Unix seconds)."""

    epoch: int
    kind: str
    description: str
    reason: str
    at: int


@dataclass(frozen=True, slots=True)
class RevocationImpact:
    """How many live capabilities, holders and requests a revocation ends.

    A capability that no guard of this ledger has seen yet is not counted, but is revoked all the same. One
    that an earlier revocation ended is counted again.
    """

    capabilities: int
    holders: int
    requests: int
    """The calls that wait for an approval."""


class RevocationList:
    """The revocations that a process knows.

    When the store was last read more than `BOUND` seconds ago (on the monotonic clock), every question is
    refused: a guard that cannot know does not permit.
    """

    def __init__(self, bound: float = BOUND) -> None:
        self._bound = bound
        self._ids: set[bytes] = set()
        self._before = 0
        self._uncommitted: list[tuple[int, int, list[bytes]]] = []
        self._read = time.monotonic()
        self.epoch = 0
        """The last revocation that the list has; it has all before it."""

    def __len__(self) -> int:
        return self.epoch

    def apply(self, epoch: int, rows: Iterable[tuple[int, str, bytes]]) -> None:
        """Add the rows (epoch, kind, target) that follow the list's own epoch, up to this epoch.

        Raises:
            LookupError: rows are missing, or the store has fewer revocations than the list: it is not the
                store that was read before.
        """
        if epoch < self.epoch:
            raise LookupError(f"the store has {epoch} revocations, {self.epoch} are known")
        known = self.epoch
        found = sorted(row for row in rows if row[0] > known)
        if [number for number, _, _ in found] != list(range(known + 1, epoch + 1)):
            raise LookupError("the store's list of revocations has a gap")
        ids = [target for _, kind, target in found if kind != "before" and target not in self._ids]
        moments = [int.from_bytes(target, "big") for _, kind, target in found if kind == "before"]
        if found:
            self._uncommitted.append((self.epoch, self._before, ids))
        self._ids.update(ids)
        self._before = max([self._before, *moments])
        # last, so that a thread that sees the epoch sees its ids
        self.epoch = epoch
        self._read = time.monotonic()

    def commit(self) -> None:
        """Keep what was added: the transaction that read it is committed."""
        self._uncommitted.clear()

    def rollback(self) -> None:
        """Remove what was added since `commit`: its transaction was rolled back, and it may never exist."""
        while self._uncommitted:
            self.epoch, self._before, ids = self._uncommitted.pop()
            self._ids.difference_update(ids)

    def mark_read(self) -> None:
        """Note that the store was read just now, and had nothing new."""
        self._read = time.monotonic()

    @property
    def age(self) -> float:
        """Seconds since the store was last read."""
        return time.monotonic() - self._read

    def contains(self, revocation_id: bytes) -> bool:
        """Return whether this is revoked, as far as this process knows."""
        return revocation_id in self._ids

    def check(self, ids: Iterable[bytes], issued: int | None) -> None:
        """Check that none of these revocation ids, nor this moment of issue, is revoked.

        Raises:
            Denied: ``revoked``, or ``stale`` where the list is too old to tell.
        """
        if time.monotonic() - self._read > self._bound:
            raise Denied(Reason.STALE, detail=f"the revocations were last read {self.age:.1f} s ago")
        if not self._ids.isdisjoint(ids):
            raise Denied(Reason.REVOKED)
        if self._before and (issued is None or issued < self._before):
            raise Denied(Reason.REVOKED, "the capability was issued before a moment that was revoked")
