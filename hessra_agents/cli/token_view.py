"""Read a capability for display, with a trust file or without, and describe its parts.

Without a trust file the signatures cannot be checked. The same strict reader and admission still read the
blocks, and every result that rests on them says that the signatures were not checked.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..grants.describe import safe_word
from ..tokens.admission import HOLDER, Block
from ..tokens.capability import Capability
from ..tokens.credential import read_unverified_blocks
from ..tokens.describe import describe_agent, is_vouched
from ..tokens.revocation_ids import agent_name, revocation_ids
from .inputs import trust

__all__ = [
    "TokenView",
    "author",
    "capability_fields",
    "format_duration",
    "format_object",
    "format_time",
    "tool_names",
]

HOLD, UNCHECKED = "hold", "unchecked"


@dataclass(frozen=True, slots=True)
class TokenView:
    """The blocks of a capability; ``capability`` is None if no signature was checked."""

    blocks: tuple[Block, ...]
    capability: Capability | None = None

    @classmethod
    def of(cls, token: str, trust_file: Path | None) -> TokenView:
        """Read a token; check its signatures if there is a trust file.

        Raises:
            Denied: the token cannot be read, or a signature is not valid.
        """
        if trust_file is not None:
            found = Capability.parse(token, trust(trust_file))
            return cls(found.blocks, found)
        return cls(read_unverified_blocks(token))

    @property
    def signatures(self) -> str:
        """Return ``hold`` or ``unchecked``."""
        return UNCHECKED if self.capability is None else HOLD

    @property
    def note(self) -> str:
        """Say whether the signatures were checked."""
        if self.capability is None:
            return "signatures not checked, so anyone may have written this: give --trust FILE"
        return "signatures valid, from a trusted root key"

    @property
    def subject(self) -> str:
        """Return the subject that the capability was issued to."""
        return self.blocks[0].rights[0][0]

    @property
    def known_as(self) -> str | None:
        """Return the name that delegations gave its holder; None if they gave none."""
        name = agent_name(self.blocks)
        return None if name == self.subject else name

    @property
    def agent(self) -> str:
        """Return who holds it in words: the subject, or the name that delegations gave."""
        return describe_agent(self.subject, self.known_as, vouched=is_vouched(self.blocks))

    @property
    def expires(self) -> int:
        """Return the earliest expiry of its blocks, in Unix seconds."""
        return min(block.expires for block in self.blocks if block.expires is not None)

    @property
    def holder(self) -> str | None:
        """Return the current holder's public key; None for a bearer capability."""
        found = [block.holder.key.hex() for block in self.blocks if block.holder]
        return f"ed25519/{found[-1]}" if found else None

    @property
    def authority(self) -> str | None:
        """Return the identifier of its authority; None if no trust file names it."""
        return self.capability.authority if self.capability else None

    @property
    def revocation_ids(self) -> tuple[bytes, ...]:
        """Return what a revocation may name to end it; its root key only if the signatures were checked."""
        return self.capability.revocation_ids if self.capability else revocation_ids(self.blocks, b"")[:-1]

    def reachable(self) -> Iterator[set[str]]:
        """Yield, for each block, the objects that can be used after it."""
        objects = {resource for _, resource, _ in self.blocks[0].rights}
        for block in self.blocks:
            objects = objects if block.objects is None else objects & block.objects
            yield objects

    def fields(self, now: int) -> dict[str, Any]:
        """Return the fields that every result about a capability has."""
        *_, objects = self.reachable()
        return {
            "signatures": self.signatures,
            "subject": self.subject,
            "known_as": self.known_as,
            "vouched": is_vouched(self.blocks),
            "holder": self.holder,
            "expires": self.expires,
            "seconds_left": max(0, self.expires - now),
            "tools": tool_names(objects),
        }


def capability_fields(capability: Capability) -> dict[str, Any]:
    """Return the fields that describe a new capability, with its token."""
    return {
        "token": capability.token,
        "subject": capability.subject,
        "known_as": None if capability.name == capability.subject else capability.name,
        "holder": None if capability.holder is None else f"ed25519/{capability.holder.key.hex()}",
        "expires": capability.expires,
        "tools": [one.removeprefix("tool:") for one in capability.tools],
    }


def author(index: int, block: Block) -> tuple[Mapping[str, str | None], str]:
    """Return who added a block, for a program and for a person."""
    if index == 0:
        return {"kind": "issuer", "key": None}, "by the issuer"
    if block.signer is None:
        return {"kind": "anybody", "key": None}, "added by a bearer, not signed"
    key = f"ed25519/{block.signer.hex()}"
    if any(label == HOLDER for label, _ in block.states):
        return {"kind": "holder", "key": key}, f"delegated by {key}"
    return {"kind": "key", "key": key}, f"added by {key}"


def tool_names(objects: Collection[str]) -> list[str]:
    """Return objects for a program, sorted, with a tool by its name alone."""
    return sorted(one.removeprefix("tool:") for one in objects)


def format_object(resource: str) -> str:
    """Return an object as a safe word, with a tool by its name alone."""
    return safe_word(resource.removeprefix("tool:"))


def format_time(seconds: int) -> str:
    """Return ``2026-12-24 18:00:00 UTC``, or the number of seconds if no calendar reaches it."""
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (OverflowError, ValueError, OSError):
        return f"second {seconds}"


def format_duration(seconds: int) -> str:
    """Return a duration in its two largest units: ``9m 58s``."""
    parts = [
        (seconds // 86_400, "d"),
        (seconds // 3_600 % 24, "h"),
        (seconds // 60 % 60, "m"),
        (seconds % 60, "s"),
    ]
    while len(parts) > 1 and not parts[0][0]:
        parts.pop(0)
    return " ".join(f"{count}{unit}" for count, unit in parts[:2] if count or len(parts) == 1) or "0s"
