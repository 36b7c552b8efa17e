"""Hold the credentials that a call presents."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from ..errors import Denied, Reason
from ..keys.keys import KeyPair
from ..tokens.capability import Capability
from ..tokens.statements import Approval, Proof
from ..verify.attestations import MAX_APPROVALS
from ..verify.verifier import Possession
from .settings import CapabilityReader, GuardSettings

__all__ = ["Presented", "as_reusable", "read_approvals"]


@dataclass(frozen=True, slots=True, repr=False)
class Presented:
    """The credentials that a call presents.

    The capability was read by ``reader``; without one it is still to be read, by the guard that is asked.
    ``repr`` shows neither the token nor the proof.
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
        """Return what a caller presents, still to be read; the approvals can be read more than once."""
        return cls(capability, proof, as_reusable(approvals))

    @classmethod
    def by_holder(
        cls, settings: GuardSettings, capability: Capability | str, key: KeyPair | None
    ) -> Presented:
        """Return what the holder presents in the guard's process, where possession is proved once, here.

        Raises:
            Denied: the capability cannot be read, is for another guard, or the key is not its holder's.
        """
        reader = settings.reader
        known = reader.read(capability)
        settings.check_audience(known)
        if known.holder is None:
            return cls(known, reader=reader)
        if key is None:
            raise Denied(Reason.NOT_HOLDER, "this capability has a holder: pass its key")
        return cls(known, Possession.show(known, key), reader=reader)

    @property
    def known(self) -> Capability:
        """The capability, which was read before, perhaps by another trust."""
        assert isinstance(self.capability, Capability)
        return self.capability

    def with_approvals(self, approvals: Iterable[Approval | str]) -> Presented:
        """Return the same credentials with these approvals."""
        return Presented(self.capability, self.proof, as_reusable(approvals), self.reader)

    def unread(self) -> Presented:
        """Return the same credentials, still to be read."""
        return Presented(self.capability, self.proof, self.approvals)

    def read_again(self, reader: CapabilityReader) -> Presented:
        """Return the same credentials, read by this reader; if it refuses them, still to be read.

        The call then reads them, to be refused on record.
        """
        try:
            return Presented(reader.read(self.capability), self.proof, self.approvals, reader)
        except Denied:
            return self.unread()


def as_reusable(approvals: Iterable[Approval | str]) -> Iterable[Approval | str]:
    """Return the approvals as a sequence; read at most MAX_APPROVALS + 1 from an iterator."""
    return list(islice(approvals, MAX_APPROVALS + 1)) if isinstance(approvals, Iterator) else approvals


def read_approvals(approvals: Iterable[Approval | str]) -> list[Approval]:
    """Return the approvals, read.

    Raises:
        Denied: one cannot be read, or they are too many.
    """
    if isinstance(approvals, str) or not isinstance(approvals, Iterable):
        raise Denied(Reason.MALFORMED, "the approvals must be a list")
    few = [*islice(approvals, MAX_APPROVALS + 1)]
    if len(few) > MAX_APPROVALS:
        raise Denied(Reason.TOO_LARGE, f"more than {MAX_APPROVALS} approvals")
    return [item if isinstance(item, Approval) else Approval.parse(item) for item in few]
