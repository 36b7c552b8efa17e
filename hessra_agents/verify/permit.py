"""Define `Permit`, the value that says one call was verified, and what the call uses up."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..call.call import Call
from ..tokens.capability import Capability

__all__ = ["LimitCharge", "Permit", "UsedStatement"]

VERIFIER_SEAL = object()
"""The verifier makes permits with this object; nothing else may use it."""


@dataclass(frozen=True, slots=True)
class UsedStatement:
    """A statement that may be used once: its name, and when a ledger may forget it (Unix seconds)."""

    kind: str
    name: bytes
    until: int


@dataclass(frozen=True, slots=True)
class LimitCharge:
    """The amount that one call takes from one limit.

    ``counter`` names what is used up, which everything derived from the limit's block shares, or all that
    the authority issues with the same budget. At most ``at_most``
    of it may be used in any ``window`` seconds (0: ever). A ledger may forget it at ``until`` (Unix seconds).
    ``words`` describe the limit; amounts are in units of the last of its decimal ``places``.
    """

    counter: bytes
    amount: int
    at_most: int
    window: int
    refund: bool
    until: int
    words: str
    places: int = 0


@dataclass(frozen=True, slots=True)
class Permit:
    """One call that was verified; only the verifier makes permits.

    The seal keeps other code from making a permit by accident. It does not protect from hostile code in the
    same process. ``repr`` shows no argument.

    ``spends`` are the statements that the call uses up, ``charges`` what it takes from limits, ``approvers``
    the keys whose approvals it rests on: a ledger takes all of them, or refuses the call.
    """

    call: Call
    capability: Capability
    audience: str
    time: int
    spends: tuple[UsedStatement, ...] = field(repr=False)
    charges: tuple[LimitCharge, ...] = field(default=(), repr=False)
    approvers: tuple[bytes, ...] = field(default=(), repr=False)
    _seal: object = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if self._seal is not VERIFIER_SEAL:
            raise TypeError("only the verifier can make a permit")

    @property
    def subject(self) -> str:
        """The capability's subject."""
        return self.capability.subject

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids of the capability's blocks."""
        return self.capability.ids

    @property
    def expires(self) -> int:
        """When the capability expires, in Unix seconds."""
        return self.capability.expires

    @property
    def holder(self) -> bytes | None:
        """The key that the call was proved with; None for a bearer capability."""
        holder = self.capability.holder
        return holder.key if holder else None

    @property
    def revocation_ids(self) -> tuple[bytes, ...]:
        """Everything that a revocation may name to end the capability."""
        return self.capability.revocation_ids

    @property
    def issued(self) -> int | None:
        """When the capability was issued, in Unix seconds; None if it does not say."""
        return self.capability.blocks[0].issued
