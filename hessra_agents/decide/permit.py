"""`Permit`: the value that says one call was verified."""

from __future__ import annotations

from dataclasses import dataclass

from ..call import Call

__all__ = ["Charge", "Permit", "Spent"]

_SEAL = object()


@dataclass(frozen=True, slots=True)
class Spent:
    """A statement that may be used once: its name, and when it may be forgotten (Unix seconds)."""

    kind: str
    name: bytes
    until: int


@dataclass(frozen=True, slots=True)
class Charge:
    """What one call takes of one limit.

    ``counter`` names the budget: everything that derives from the block with the limit has the same. Of it
    at most ``most`` may be used, in any ``window`` seconds (0: ever); ``until`` it may be forgotten.
    """

    counter: bytes
    amount: int
    most: int
    window: int
    refund: bool
    until: int
    words: str


@dataclass(frozen=True, slots=True)
class Permit:
    """One call that was verified; only the verifier makes one.

    The private constructor keeps anybody from making one by accident. Inside one Python process that is
    a habit and no security boundary.

    ``ids`` are the blocks that the call rests on, ``marks`` all that a revocation may name, and ``issued``
    when the capability was issued (None: it does not say). ``spends`` are the statements that the call uses
    up, ``charges`` what it takes of limits, ``approvers`` whose approvals it rests on: a ledger takes all of
    them, or refuses.
    """

    call: Call
    subject: str
    ids: tuple[str, ...]
    audience: str
    time: int
    expires: int
    holder: bytes | None
    spends: tuple[Spent, ...]
    marks: tuple[bytes, ...] = ()
    issued: int | None = None
    charges: tuple[Charge, ...] = ()
    approvers: tuple[bytes, ...] = ()
    _seal: object = None

    def __post_init__(self) -> None:
        if self._seal is not _SEAL:
            raise TypeError("only the verifier makes a permit")
