"""A capability as the command line reads it: with a trust file, or without.

Without one the signatures cannot be checked. What the blocks say is read all the same, by the same strict
reader and admission, and every answer that rests on it says that nothing was checked.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..grants.clauses import Branch
from ..grants.describe import describe_branch, safe_word
from ..tokens.admission import APPROVED, HOLDER, Block
from ..tokens.capability import Capability
from ..tokens.credential import read_unverified_blocks
from .inputs import trust

__all__ = [
    "TokenView",
    "approvers",
    "author",
    "describe_way",
    "format_duration",
    "format_object",
    "format_time",
    "name",
    "things",
]

HOLD, UNCHECKED = "hold", "unchecked"


@dataclass(frozen=True, slots=True)
class TokenView:
    """The blocks of a capability; ``capability`` is None if no signature was checked."""

    blocks: tuple[Block, ...]
    capability: Capability | None = None

    @classmethod
    def of(cls, token: str, trust_file: Path | None) -> TokenView:
        """What the token says.

        Raises:
            Denied: it cannot be read, or, with a trust file, its signatures do not hold.
        """
        if trust_file is not None:
            found = Capability.parse(token, trust(trust_file))
            return cls(found.blocks, found)
        return cls(read_unverified_blocks(token))

    @property
    def signatures(self) -> str:
        """``hold`` or ``unchecked``."""
        return UNCHECKED if self.capability is None else HOLD

    @property
    def note(self) -> str:
        """The same, as a sentence."""
        if self.capability is None:
            return "signatures were not checked, so anybody may have written this: give --trust FILE"
        return "the signatures hold, from a trusted root key"

    @property
    def subject(self) -> str:
        """Who it was issued to."""
        return self.blocks[0].rights[0][0]

    @property
    def expires(self) -> int:
        """When the first of its blocks expires, Unix seconds."""
        return min(block.expires for block in self.blocks if block.expires is not None)

    @property
    def holder(self) -> str | None:
        """The key that may use it now; None for a bearer capability."""
        found = [block.holder.key.hex() for block in self.blocks if block.holder]
        return f"ed25519/{found[-1]}" if found else None

    def reached(self) -> Iterator[set[str]]:
        """After each block, the objects that can still be used."""
        reach = {resource for _, resource, _ in self.blocks[0].rights}
        for block in self.blocks:
            for pattern in block.patterns:
                reach = reach & {branch.resource for branch in pattern}
            yield reach

    def fields(self, now: int) -> dict[str, Any]:
        """What every answer about a capability says."""
        *_, reach = self.reached()
        return {
            "signatures": self.signatures,
            "subject": self.subject,
            "holder": self.holder,
            "expires": self.expires,
            "seconds_left": max(0, self.expires - now),
            "tools": sorted(one.removeprefix("tool:") for one in reach),
        }


def author(index: int, block: Block) -> tuple[Mapping[str, str | None], str]:
    """Who added a block, for a program and in words."""
    if index == 0:
        return {"kind": "issuer", "key": None}, "by the issuer"
    if block.signer is None:
        return {"kind": "anybody", "key": None}, "narrowed by somebody who had it, signed by nobody"
    key = f"ed25519/{block.signer.hex()}"
    if any(label == HOLDER for label, _ in block.states):
        return {"kind": "holder", "key": key}, f"delegated by {key}"
    return {"kind": "key", "key": key}, f"added by {key}"


def approvers(block: Block) -> list[list[str]]:
    """The approvals that a block asks for: of each, one of these keys."""
    return [
        [f"ed25519/{one.key.hex()}" for one in check]
        for check in block.attested
        if check[0].label == APPROVED
    ]


def things(objects: frozenset[str] | None) -> list[str] | None:
    """These objects for a program, tools by their names alone; None for all."""
    return None if objects is None else sorted(one.removeprefix("tool:") for one in objects)


def describe_way(branch: Branch) -> str:
    """One way to call a tool, in words."""
    return describe_branch(branch)


def name(text: str) -> str:
    """A name as it is, or quoted where it could be taken for more than a name."""
    return safe_word(text)


def format_object(resource: str) -> str:
    """An object, by its name alone if it is a tool."""
    return name(resource.removeprefix("tool:"))


def format_time(seconds: int) -> str:
    """``2026-12-24 18:00:00 UTC``; a number where no calendar reaches."""
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (OverflowError, ValueError, OSError):
        return f"second {seconds}"


def format_duration(seconds: int) -> str:
    """A length of time in its two largest units: ``9m 58s``."""
    parts = [
        (seconds // 86_400, "d"),
        (seconds // 3_600 % 24, "h"),
        (seconds // 60 % 60, "m"),
        (seconds % 60, "s"),
    ]
    while len(parts) > 1 and not parts[0][0]:
        parts.pop(0)
    return " ".join(f"{count}{unit}" for count, unit in parts[:2] if count or len(parts) == 1) or "0s"
