"""Say what a ledger knows of a capability: is it revoked, what is left, what did it do, who is below it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from . import inputs
from .ledger_location import LedgerLocation
from .token_view import format_duration, format_time

if TYPE_CHECKING:
    from ..ledger.inspection import (
        CapabilityStatus,
        Inspection,
        LimitUse,
        SeenCapabilityTree,
    )
    from ..ledger.log.search import RecordMatch
    from ..ledger.revocations import RevocationEntry
    from .token_view import TokenView

__all__ = [
    "NOT_ASKED",
    "describe_limit_use",
    "describe_revocation",
    "inspecting",
    "known_status",
    "limit_fields",
    "record_line",
    "revocation_fields",
    "revoked_thing",
    "status_fields",
    "status_lines",
    "tree_fields",
    "tree_lines",
]

NOT_ASKED = "revocations and limits were not asked: pass --ledger"


@contextmanager
def inspecting(location: LedgerLocation) -> Iterator[Inspection]:
    """Open the ledger to ask it; nothing is written, and no log is begun."""
    from ..ledger.inspection import Inspection

    with location.logs() as logs:
        yield Inspection(logs, inputs.now())


def known_status(location: LedgerLocation | None, token: TokenView) -> CapabilityStatus | None:
    """Return what the ledger knows of a capability; None if no ledger is named."""
    if location is None:
        return None
    with inspecting(location) as ledger:
        return ledger.status(token.blocks, token.revocation_ids)


def status_lines(status: CapabilityStatus | None, token: TokenView) -> list[tuple[int, str]]:
    """Return what the ledger knows of a capability, for a person."""
    if status is None:
        return [(0, NOT_ASKED)]
    lines = [describe_revocation(entry) for entry in status.revoked_by]
    if not lines:
        unknown = "" if token.capability else ", unless its root key is: give --trust FILE"
        lines = [f"not revoked{unknown}"]
    return [(0, line) for line in (*lines, *map(describe_limit_use, status.limits))]


def status_fields(status: CapabilityStatus | None) -> dict[str, Any]:
    """Return what the ledger knows of a capability, for a program; null where no ledger was asked."""
    if status is None:
        return {"revoked_by": None, "limits_left": None}
    return {
        "revoked_by": [revocation_fields(entry) for entry in status.revoked_by],
        "limits_left": [limit_fields(use) for use in status.limits],
    }


def describe_revocation(entry: RevocationEntry) -> str:
    """Return when, why and what was revoked."""
    reason = f", {entry.reason!r}" if entry.reason else ""
    return f"revoked {format_time(entry.at)}{reason}: {revoked_thing(entry)}"


def revoked_thing(entry: RevocationEntry) -> str:
    """Return what was revoked, in words."""
    if entry.kind != "before":
        return entry.description
    moment = entry.description.rpartition(" ")[2]
    return f"everything issued before {format_time(int(moment))}"


def revocation_fields(entry: RevocationEntry) -> dict[str, Any]:
    """Return a revocation for a program."""
    return {
        "epoch": entry.epoch,
        "kind": entry.kind,
        "revoked": entry.description,
        "reason": entry.reason,
        "at": entry.at,
    }


def describe_limit_use(use: LimitUse) -> str:
    """Return what is left of a limit: ``12 of 20 calls left``."""
    counted = "calls left" if use.counts_calls else "left"
    return f"{use.left} of {use.at_most} {counted}: {use.description}"


def limit_fields(use: LimitUse) -> dict[str, Any]:
    """Return a limit and its use for a program; times are in seconds."""
    return {
        "limit": use.description,
        "most": use.at_most,
        "used": use.used,
        "left": use.left,
        "window": use.window or None,
    }


def record_line(match: RecordMatch) -> str:
    """Return a record on one line."""
    fields = match.record.fields
    at = fields.get("at")
    time = format_time(at) if type(at) is int else "unknown time"
    thing = str(fields.get("object") or fields.get("target") or "").removeprefix("tool:")
    return "  ".join(part for part in (time, match.verdict, str(fields.get("subject", "")), thing) if part)


def tree_lines(trees: Iterable[SeenCapabilityTree], depth: int) -> Iterator[tuple[int, str]]:
    """Yield a line for each capability, deeper than the one it was built on."""
    now = inputs.now()
    for tree in trees:
        holder = "any bearer" if tree.holder is None else f"held by {tree.holder}"
        left = "revoked" if tree.revoked else f"expires in {format_duration(tree.expires - now)}"
        yield depth, f"{tree.subject}, {holder}, {left}"
        yield from tree_lines(tree.below, depth + 1)


def tree_fields(trees: Iterable[SeenCapabilityTree]) -> list[dict[str, Any]]:
    """Return the same for a program."""
    return [
        {
            "subject": tree.subject,
            "holder": None if tree.holder is None else str(tree.holder),
            "expires": tree.expires,
            "revoked": tree.revoked,
            "below": tree_fields(tree.below),
        }
        for tree in trees
    ]
