"""Revocations: what was taken back, and how a guard knows in no time and never too late.

A revocation names a block, a subject, a key, a root key, or a moment before which everything was issued.
There is no way to take one back. `RevocationList` is what a guard keeps in memory: a set of marks, so that
asking costs the same whatever it holds, fed from the store by `epoch`: the number of revocations so far,
taken in the very transaction that writes one, so that a reader of "everything after epoch n" never passes
over a row that commits later.
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

__all__ = ["BOUND", "Revocation", "RevocationImpact", "RevocationList"]

BOUND = 5.0
"""Seconds after which what a guard knows of revocations is too old."""

_BLOCK = re.compile(r"[0-9a-f]{64}|[0-9a-f]{128}")


@dataclass(frozen=True, slots=True)
class Revocation:
    """What is taken back. Make one with `of`; ``target`` is its mark, or the moment as 8 bytes."""

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
        """Exactly one of these.

        Args:
            block: its id, or a capability, whose last block is meant: it and all that is built on it fall.
            subject: ``agent:desk`` and everything below it, ``agent:desk:mailer``.
            key: every capability in whose chain this key is, or was, a holder or signed a block; and its
                approvals.
            root: everything that this root key signed.
            before: everything issued before this moment, Unix seconds. A capability that does not say when
                it was issued falls, too.

        Raises:
            ValueError: none or several, or something that can be none of these.
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
                raise ValueError("a subject is a text such as agent:desk")
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
class RevocationImpact:
    """What a revocation ends: capabilities that were used here and have not expired, and who holds them.

    A capability that no guard of this ledger has seen yet is not counted, and falls all the same.
    """

    capabilities: int
    holders: int
    requests: int
    """Calls that wait for an approval."""


class RevocationList:
    """What a guard knows of revocations.

    Asking costs one look into a set for each mark. Past `BOUND` since the store was last read, on the
    monotonic clock, every question is refused: a guard that cannot know does not permit.
    """

    def __init__(self, bound: float = BOUND) -> None:
        self._bound = bound
        self._marks: set[bytes] = set()
        self._before = 0
        self._unsure: list[tuple[int, int, list[bytes]]] = []
        self._read = time.monotonic()
        self.epoch = 0
        """How many revocations this knows: all up to this one."""

    def __len__(self) -> int:
        return self.epoch

    def apply(self, epoch: int, rows: Iterable[tuple[int, str, bytes]]) -> None:
        """Take in the rows (epoch, kind, target) after our own epoch, up to this one.

        Raises:
            LookupError: rows are missing, or the store has fewer revocations than were known before: it is
                not the one that this guard has been reading.
        """
        if epoch < self.epoch:
            raise LookupError(f"the store has {epoch} revocations, {self.epoch} are known")
        known = self.epoch
        found = sorted(row for row in rows if row[0] > known)
        if [number for number, _, _ in found] != list(range(known + 1, epoch + 1)):
            raise LookupError("the store's list of revocations has a gap")
        marks = [target for _, kind, target in found if kind != "before" and target not in self._marks]
        moments = [int.from_bytes(target, "big") for _, kind, target in found if kind == "before"]
        if found:
            self._unsure.append((self.epoch, self._before, marks))
        self._marks.update(marks)
        self._before = max([self._before, *moments])
        # last, so that whoever sees the epoch sees its marks
        self.epoch = epoch
        self._read = time.monotonic()

    def commit(self) -> None:
        """What was learned was committed, or is now."""
        self._unsure.clear()

    def rollback(self) -> None:
        """What was learned since then was read in a transaction that was lost, and may never have been."""
        while self._unsure:
            self.epoch, self._before, marks = self._unsure.pop()
            self._marks.difference_update(marks)

    def mark_read(self) -> None:
        """The store was read, and had nothing new."""
        self._read = time.monotonic()

    @property
    def age(self) -> float:
        """Seconds since the store was last read."""
        return time.monotonic() - self._read

    def contains(self, mark: bytes) -> bool:
        """Whether this is revoked, as far as is known."""
        return mark in self._marks

    def check(self, marks: Iterable[bytes], issued: int | None) -> None:
        """Let pass what is not revoked.

        Raises:
            Denied: ``revoked``, or ``stale`` where this is too old to tell.
        """
        if time.monotonic() - self._read > self._bound:
            raise Denied(Reason.STALE, detail=f"the revocations were last read {self.age:.1f} s ago")
        if not self._marks.isdisjoint(marks):
            raise Denied(Reason.REVOKED)
        if self._before and (issued is None or issued < self._before):
            raise Denied(Reason.REVOKED, "the capability was issued before a moment that was revoked")
