"""Approvals that a capability asks for: k of n people, with keys of their own, for each single call.

`approved_by` stands beside the grants of a capability, at issue or at any narrowing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import combinations
from math import comb
from typing import Any

from ..keys.keys import PublicKey
from .limits import tool_resources

__all__ = ["MAX_APPROVERS", "ApprovalRule", "approved_by"]

MAX_APPROVERS = 16

_MOST_CHECKS = 64


@dataclass(frozen=True, slots=True)
class ApprovalRule:
    """Whose approvals a call needs, and how many of them; ``tools`` are the objects (None: all)."""

    keys: tuple[PublicKey, ...]
    need: int
    tools: frozenset[str] | None = None

    def choices(self) -> list[tuple[PublicKey, ...]]:
        """Sets of keys of which each must have one that approves: k of n, as a conjunction.

        Any set of n - k + 1 keys holds an approver exactly when k of the n approve.
        """
        return list(combinations(self.keys, len(self.keys) - self.need + 1))


def approved_by(
    *keys: PublicKey,
    need: int = 1,
    tools: str | Callable[..., Any] | Iterable[str | Callable[..., Any]] | None = None,
) -> ApprovalRule:
    """Every call needs approvals by ``need`` of these keys.

    Each approval is of one call with all its arguments, under one capability, until a time, and is used once.

    Args:
        keys: of the approvers, all different.
        need: how many of them.
        tools: the tools that need it; without, every object that the capability names.

    Raises:
        ValueError: no key, a key twice, more needed than there are, or too many combinations for a token.
    """
    if not all(isinstance(key, PublicKey) and key.algorithm == "ed25519" for key in keys):
        raise TypeError("an approver is a PublicKey: key.public, or PublicKey.parse(text)")
    if not 1 <= len(keys) <= MAX_APPROVERS or len(set(keys)) != len(keys):
        raise ValueError(f"name 1 to {MAX_APPROVERS} keys of approvers, all different")
    if type(need) is not int or not 1 <= need <= len(keys):
        raise ValueError(f"need is how many of them approve: 1 to {len(keys)}")
    if comb(len(keys), need - 1) > _MOST_CHECKS:
        raise ValueError(f"{need} of {len(keys)} is more than one token can say")
    return ApprovalRule(keys, need, tool_resources(tools))
