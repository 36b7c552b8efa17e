"""`Permit`: the value that says one call was verified."""

from __future__ import annotations

from dataclasses import dataclass

from ..call import Call

__all__ = ["Permit", "Spent"]

_SEAL = object()


@dataclass(frozen=True, slots=True)
class Spent:
    """A statement that may be used once: its name, and when it may be forgotten (Unix seconds)."""

    kind: str
    name: bytes
    until: int


@dataclass(frozen=True, slots=True)
class Permit:
    """One call that was verified; only the verifier makes one.

    The private constructor keeps anybody from making one by accident. Inside one Python process that is
    a habit and no security boundary.

    ``ids`` are the blocks that the call rests on: whoever remembers revocations asks for each. ``spends``
    are the statements that the call uses up: a ledger takes all of them, or refuses.
    """

    call: Call
    subject: str
    ids: tuple[str, ...]
    audience: str
    time: int
    expires: int
    holder: bytes | None
    spends: tuple[Spent, ...]
    _seal: object = None

    def __post_init__(self) -> None:
        if self._seal is not _SEAL:
            raise TypeError("only the verifier makes a permit")
