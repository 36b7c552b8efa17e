"""The commands that ask a ledger: ``status``, ``revocations`` and ``limits``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from .. import inputs
from ..options import Json, LedgerOptions, Limit, MaybeTrust, with_ledger
from ..terminal import DONE, REFUSED, CommandResult

__all__ = ["limits", "revocations", "status"]


@with_ledger
def status(
    ledger: LedgerOptions,
    token: Annotated[
        Path | None,
        typer.Option(
            "--token", metavar="FILE", help="One capability; - is standard input. Default: the whole ledger."
        ),
    ] = None,
    trust: MaybeTrust = None,
    limit: Limit = 10,
    json: Json = False,
) -> CommandResult:
    """Show what is revoked, what is left, and who holds what.

    With --token, the answer is about that capability; exit code 1 if it is revoked or has expired.
    Capabilities are listed that were used at this ledger, each above those built on it, and the last records.
    """
    from ..ledger_answers import inspecting

    with inspecting(ledger.location()) as asked:
        if token is None:
            return _ledger(asked, limit, json)
        return _capability(asked, inputs.token(None if str(token) == "-" else token), trust, limit, json)


def _ledger(asked: Any, limit: int, json: bool) -> CommandResult:
    from .. import ledger_answers as answers

    revoked, requests, (uses, others) = asked.revocations(limit), asked.requests(), asked.limits()
    seen, records = asked.seen(), asked.records(limit)
    spent = [use for use in uses if not use.left]
    lines = [
        *_part("revocations, the last ones", map(answers.describe_revocation, revoked)),
        *_part("limits that are used up", (f"{use.subject}: {use.description}" for use in spent)),
        *_part("requests for approval", (answers.request_line(one) for one in requests)),
        (0, "capabilities that were used and have not expired"),
        *(answers.tree_lines(seen, 1) if seen else [(1, "none")]),
        *_part("last records", map(answers.record_line, records)),
    ]
    fields = {
        "revocations": [answers.revocation_fields(entry) for entry in revoked],
        "limits": [{**answers.limit_fields(use), "subject": use.subject} for use in uses],
        "other_limits": others,
        "requests": [one.id for one in requests],
        "capabilities": answers.tree_fields(seen),
        "records": [match.record.fields for match in records],
    }
    return CommandResult(fields, lines, as_json=json)


def _capability(asked: Any, token: str, trust: Path | None, limit: int, json: bool) -> CommandResult:
    from .. import ledger_answers as answers
    from ..token_view import TokenView, format_duration, format_time

    found, now = TokenView.of(token, trust), inputs.now()
    last = found.blocks[-1].id
    known = asked.status(found.blocks, found.revocation_ids, found.authority)
    seen, records = asked.seen(last), asked.records(limit, last)
    live = found.expires > now
    left = f"expires in {format_duration(found.expires - now)}" if live else "expired"
    holder = f"held by {found.holder}" if found.holder else "usable by any bearer"
    lines = [
        (0, found.note),
        (0, f"{found.agent}, {holder}, {left} ({format_time(found.expires)})"),
        *answers.status_lines(known, found),
        (0, "used at this ledger, with what was built on it"),
        *(answers.tree_lines(seen, 1) if seen else [(1, "no")]),
        *_part("last records", map(answers.record_line, records)),
    ]
    fields = {
        **found.fields(now),
        **answers.status_fields(known),
        "seen": answers.tree_fields(seen),
        "records": [match.record.fields for match in records],
    }
    code = DONE if live and not known.revoked_by else REFUSED
    return CommandResult(fields, lines, code=code, as_json=json)


def _part(title: str, lines: Any) -> list[tuple[int, str]]:
    return [(0, title), *([(1, line) for line in lines] or [(1, "none")])]


@with_ledger
def revocations(ledger: LedgerOptions, limit: Limit = 100, json: Json = False) -> CommandResult:
    """List what was revoked, the newest first: when, what and why."""
    from ..ledger_answers import inspecting, revocation_fields, revoked_thing
    from ..token_view import format_time

    with inspecting(ledger.location()) as asked:
        found = asked.revocations(limit)
    rows = [("epoch", "time", "revoked", "reason")]
    for entry in found:
        rows.append((str(entry.epoch), format_time(entry.at), revoked_thing(entry), entry.reason))
    return CommandResult({"revocations": list(map(revocation_fields, found))}, table=rows, as_json=json)


@with_ledger
def limits(ledger: LedgerOptions, json: Json = False) -> CommandResult:
    """List the limits in use, with what is left of each.

    A limit is described by the records of the calls that were charged to it; the last 10,000 records of each
    log are looked through. `status --token` knows every limit of one capability.
    """
    from ..ledger_answers import inspecting, limit_fields
    from ..terminal import warn

    with inspecting(ledger.location()) as asked:
        found, others = asked.limits()
    if others:
        warn(f"{others} more limits are in use, whose calls lie further back in the log")
    rows = [("subject", "limit", "used", "left")]
    rows += [(use.subject, use.description, use.written(use.used), use.written(use.left)) for use in found]
    shown = [{**limit_fields(use), "subject": use.subject} for use in found]
    return CommandResult({"limits": shown, "other_limits": others}, table=rows, as_json=json)
