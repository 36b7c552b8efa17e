"""Say what a ledger knows of a capability: is it revoked, what is left, what did it do, who is below it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from . import inputs
from .ledger_location import LedgerLocation
from .token_view import format_duration, format_time

if TYPE_CHECKING:
    from ..ledger.approval_requests import ApprovalRequest
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
    "agent_of",
    "describe_limit_use",
    "describe_revocation",
    "inspecting",
    "known_status",
    "limit_fields",
    "record_line",
    "request_line",
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
        return ledger.status(token.blocks, token.revocation_ids, token.authority)


def status_lines(status: CapabilityStatus | None, token: TokenView) -> list[tuple[int, str]]:
    """Return what the ledger knows of a capability, for a person."""
    if status is None:
        return [(0, NOT_ASKED)]
    lines = [describe_revocation(entry) for entry in status.revoked_by]
    if not lines:
        unknown = "" if token.capability else ", unless its root key is: give --trust FILE"
        lines = [f"not revoked{unknown}"]
    lines += map(describe_limit_use, status.limits)
    if token.authority is None and any(one.budget for block in token.blocks for _, one in block.limits):
        lines.append("its budgets were not asked: give --trust FILE, a file that names the authority")
    return [(0, line) for line in lines]


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
    moment = re.fullmatch(r"everything issued before (\d{1,18})", entry.description)
    return f"everything issued before {format_time(int(moment[1]))}" if moment else entry.description


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
    """Return what is left of a limit: ``12 of 20 calls left``, ``12.50 of 5000.00 left``."""
    counted = "calls left" if use.counts_calls else "left"
    return f"{use.written(use.left)} of {use.written(use.at_most)} {counted}: {use.description}"


def limit_fields(use: LimitUse) -> dict[str, Any]:
    """Return a limit and its use for a program: seconds, and units of the last of its decimal places."""
    return {
        "limit": use.description,
        "most": use.at_most,
        "used": use.used,
        "left": use.left,
        "places": use.places,
        "window": use.window or None,
    }


def record_line(match: RecordMatch) -> str:
    """Return a record on one line."""
    fields = match.record.fields
    at = fields.get("at")
    time = format_time(at) if type(at) is int else "unknown time"
    thing = str(fields.get("object") or fields.get("target") or "").removeprefix("tool:")
    return "  ".join(part for part in (time, match.verdict, agent_of(fields), thing) if part)


def agent_of(fields: Mapping[str, Any]) -> str:
    """Return who called, by the fields of a record; empty if it does not say."""
    from ..tokens.describe import describe_agent

    subject, known_as = str(fields.get("subject", "")), fields.get("known_as")
    if known_as is None:
        return subject
    return describe_agent(subject, str(known_as), vouched=fields.get("vouched") is not False)


def request_line(request: ApprovalRequest) -> str:
    """Return a request for approvals on one line."""
    from ..tokens.describe import describe_agent

    return f"{request.id} of {describe_agent(request.subject, request.known_as, vouched=request.vouched)}"


def tree_lines(trees: Iterable[SeenCapabilityTree], depth: int) -> Iterator[tuple[int, str]]:
    """Yield a line for each capability, deeper than the one it was built on."""
    from ..tokens.describe import describe_agent

    now = inputs.now()
    for tree in trees:
        holder = "any bearer" if tree.holder is None else f"held by {tree.holder}"
        left = "revoked" if tree.revoked else f"expires in {format_duration(tree.expires - now)}"
        who = describe_agent(tree.subject, tree.known_as, vouched=tree.vouched)
        yield depth, f"{who}, {holder}, {left}"
        yield from tree_lines(tree.below, depth + 1)


def tree_fields(trees: Iterable[SeenCapabilityTree]) -> list[dict[str, Any]]:
    """Return the same for a program."""
    return [
        {
            "subject": tree.subject,
            "known_as": tree.known_as,
            "vouched": tree.vouched,
            "holder": None if tree.holder is None else str(tree.holder),
            "expires": tree.expires,
            "revoked": tree.revoked,
            "below": tree_fields(tree.below),
        }
        for tree in trees
    ]
