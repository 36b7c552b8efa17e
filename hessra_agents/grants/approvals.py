"""Require approvals: k of n people, each with a key of their own, for each single call.

`approved_by` stands beside the grants of a capability, at issue or at any narrowing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations
from math import comb
from typing import Any

from ..keys.keys import PublicKey
from .clauses import SPARES_NOTHING, Clause
from .grants import grant, tool_resources
from .vocabulary.constraints import Place, gathered, merged

__all__ = ["MAX_APPROVERS", "ApprovalRule", "approved_by"]

MAX_APPROVERS = 16

_MOST_CHECKS = 64


@dataclass(frozen=True, slots=True)
class ApprovalRule:
    """The keys whose approval a call needs, and how many of them; ``tools`` are the objects (None: all).

    A call for which all clauses ``unless`` hold needs none, if there are any.
    """

    keys: tuple[PublicKey, ...]
    need: int
    tools: frozenset[str] | None = None
    unless: tuple[Clause, ...] = ()

    def choices(self) -> list[tuple[PublicKey, ...]]:
        """Return sets of keys, each of which must contain an approver: k of n, as a conjunction.

        Any set of n - k + 1 keys holds an approver exactly when k of the n approve.
        """
        return list(combinations(self.keys, len(self.keys) - self.need + 1))


def approved_by(
    *keys: PublicKey,
    need: int = 1,
    tools: str | Callable[..., Any] | Iterable[str | Callable[..., Any]] | None = None,
    unless: Mapping[str, object] | None = None,
) -> ApprovalRule:
    """Require that ``need`` of these keys approve every call.

        approved_by(ann, ben, unless={"cents": must.at_most(9999)})

    Each approval is for one call with all its arguments, under one capability, valid until a time, and is
    used once.

    Args:
        keys: the approvers' public keys, all different.
        need: the number of approvals.
        tools: the tools that need approval; if omitted, every object that the capability names.
        unless: constraints by argument, of calls that need no approval: all of them must hold. A call in
            which such an argument is omitted, or of another type, needs the approval.

    Raises:
        TypeError: a key is not an Ed25519 `PublicKey`.
        ValueError: there is no key, a key is given twice, ``need`` is larger than the number of keys, a
            token cannot hold so many combinations, or ``unless`` has a constraint that can be met in several
            ways or without a value.
    """
    if not all(isinstance(key, PublicKey) and key.algorithm == "ed25519" for key in keys):
        raise TypeError("an approver must be an Ed25519 PublicKey: key.public, or PublicKey.parse(text)")
    if not 1 <= len(keys) <= MAX_APPROVERS or len(set(keys)) != len(keys):
        raise ValueError(f"give 1 to {MAX_APPROVERS} keys of approvers, all different")
    if type(need) is not int or not 1 <= need <= len(keys):
        raise ValueError(f"need must be the number of approvals, 1 to {len(keys)}")
    if comb(len(keys), need - 1) > _MOST_CHECKS:
        raise ValueError(f"{need} of {len(keys)} approvals need more combinations than a token can hold")
    return ApprovalRule(keys, need, tool_resources(tools), () if unless is None else _spared(unless))


def _spared(arguments: Mapping[str, object]) -> tuple[Clause, ...]:
    """Return the clauses of the calls that need no approval."""
    found: list[Clause] = []
    for name, value in grant("any", arguments).constraints:
        clauses, *choices = merged(value.parts(Place.argument(name, free=True)))
        if choices or not clauses[0] or any(clause.fact in SPARES_NOTHING for clause in clauses[0]):
            raise ValueError(f"unless: {name!r} needs a value that is right in one way: not {value}")
        found += clauses[0]
    if not found:
        raise ValueError("unless must name an argument: omit it if every call needs the approval")
    return gathered(found)
