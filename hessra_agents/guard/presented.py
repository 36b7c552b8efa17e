"""Hold the credentials that a call presents."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from ..tokens.capability import Capability
from ..tokens.statements import Approval, Proof
from ..verify.attestations import MAX_APPROVALS
from ..verify.verifier import Possession
from .settings import CapabilityReader

__all__ = ["Presented", "as_reusable"]


@dataclass(frozen=True, slots=True, repr=False)
class Presented:
    """The credentials that a call presents.

    A `Capability` object was read by this guard, by ``reader``; a string is still to be read. ``repr`` shows
    neither the token nor the proof.
    """

    capability: Capability | str | None
    proof: Proof | Possession | str | None = None
    approvals: Iterable[Approval | str] = ()
    reader: CapabilityReader | None = None

    @classmethod
    def of(
        cls,
        capability: Capability | str | None,
        proof: Proof | Possession | str | None,
        approvals: Iterable[Approval | str],
    ) -> Presented:
        """Return what a caller presents: of a capability its token, which the guard reads itself."""
        token = capability.token if isinstance(capability, Capability) else capability
        return cls(token, proof, as_reusable(approvals))


def as_reusable(approvals: Iterable[Approval | str]) -> Iterable[Approval | str]:
    """Return the approvals as a sequence; read at most MAX_APPROVALS + 1 from an iterator."""
    return list(islice(approvals, MAX_APPROVALS + 1)) if isinstance(approvals, Iterator) else approvals
