"""`Permit`: the value that says one call was verified."""

from __future__ import annotations

from dataclasses import dataclass

from ..call.call import Call
from ..tokens.capability import Capability

__all__ = ["LimitCharge", "Permit", "UsedStatement"]

_SEAL = object()


@dataclass(frozen=True, slots=True)
class UsedStatement:
    """A statement that may be used once: its name, and when it may be forgotten (Unix seconds)."""

    kind: str
    name: bytes
    until: int


@dataclass(frozen=True, slots=True)
class LimitCharge:
    """What one call takes of one limit.

    ``counter`` names the budget: everything that derives from the block with the limit has the same. Of it
    at most ``at_most`` may be used, in any ``window`` seconds (0: ever); ``until`` it may be forgotten.
    """

    counter: bytes
    amount: int
    at_most: int
    window: int
    refund: bool
    until: int
    words: str


@dataclass(frozen=True, slots=True)
class Permit:
    """One call that was verified; only the verifier makes one.

    The private constructor keeps anybody from making one by accident. Inside one Python process that is
    a habit and no security boundary.

    ``spends`` are the statements that the call uses
    up, ``charges`` what it takes of limits, ``approvers`` whose approvals it rests on: a ledger takes all of
    them, or refuses.
    """

    call: Call
    capability: Capability
    audience: str
    time: int
    spends: tuple[UsedStatement, ...]
    charges: tuple[LimitCharge, ...] = ()
    approvers: tuple[bytes, ...] = ()
    _seal: object = None

    def __post_init__(self) -> None:
        if self._seal is not _SEAL:
            raise TypeError("only the verifier makes a permit")

    @property
    def subject(self) -> str:
        """Whose capability it is."""
        return self.capability.subject

    @property
    def ids(self) -> tuple[str, ...]:
        """The blocks that the call rests on."""
        return self.capability.ids

    @property
    def expires(self) -> int:
        """When the capability does."""
        return self.capability.expires

    @property
    def holder(self) -> bytes | None:
        """The key that the call is proved with."""
        holder = self.capability.holder
        return holder.key if holder else None

    @property
    def revocation_ids(self) -> tuple[bytes, ...]:
        """All that a revocation may name."""
        return self.capability.revocation_ids

    @property
    def issued(self) -> int | None:
        """When the capability was issued (None: it does not say)."""
        return self.capability.blocks[0].issued
