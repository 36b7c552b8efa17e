"""The commands ``log list``, ``log tail``, ``log search``, ``log show`` and ``log erase``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .. import inputs
from ..ledger_location import confirm
from ..options import Json, LedgerOptions, Yes, with_ledger
from ..terminal import REFUSED, CommandResult, warn

if TYPE_CHECKING:
    from ...ledger.log.reader import Record
    from ...ledger.log.search import RecordMatch

__all__ = ["Index", "Origin", "erase", "list_logs", "search", "show", "tail"]

Origin = Annotated[
    str, typer.Argument(metavar="LOG", help="A log: its origin, or its first digits.", show_default=False)
]
Index = Annotated[
    int, typer.Argument(metavar="INDEX", help="The record's number in the log.", show_default=False)
]
Limit = Annotated[int, typer.Option("-n", "--limit", metavar="N", min=1, max=100_000, help="Show at most N.")]


@with_ledger
def list_logs(ledger: LedgerOptions, json: Json = False) -> CommandResult:
    """List the logs of a ledger.

    A ledger has as many logs as processes wrote to it at the same time.
    """
    rows = [("log", "records", "signed", "checkpoint")]
    fields = []
    with ledger.location().logs() as logs:
        for log in logs.all():
            signed = log.checkpoint
            size, root = (signed.size, signed.root.hex()) if signed else (None, None)
            rows.append((log.origin, str(log.size), str(size or 0), root or "none on this machine"))
            fields.append({"log": log.origin, "records": log.size, "signed": size, "root": root})
    return CommandResult({"logs": fields}, table=rows, as_json=json)


@with_ledger
def tail(
    ledger: LedgerOptions,
    limit: Limit = 20,
    json: Json = False,
) -> CommandResult:
    """Show the last records of all logs, the newest last.

    The columns are the time, the log, the index in it, what was decided, the subject and the tool.

    A decision is shown with the outcome of its call. A permitted call without an outcome is still running,
    or the process ended before it finished.
    """
    from ...ledger.log.search import latest

    with ledger.location().logs() as logs:
        return _table(latest(logs, limit), json)


@with_ledger
def search(
    ledger: LedgerOptions,
    subject: Annotated[
        str | None, typer.Option("--subject", metavar="NAME", help="Who called: a subject, or one below it.")
    ] = None,
    tool: Annotated[str | None, typer.Option("--tool", metavar="TOOL", help="The called tool.")] = None,
    verdict: Annotated[
        str | None, typer.Option("--verdict", metavar="WORD", help="permitted, or a reason.")
    ] = None,
    since: Annotated[
        str | None, typer.Option("--since", metavar="WHEN", help="Not before: 2026-12-24T18:00:00Z.")
    ] = None,
    until: Annotated[str | None, typer.Option("--until", metavar="WHEN", help="Before this time.")] = None,
    argument: Annotated[
        list[str],
        typer.Option("--argument", metavar="NAME=VALUE", help="An argument: JSON, or else a string."),
    ] = [],  # noqa: B006 -- typer reads it and never changes it
    limit: Limit = 1000,
    json: Json = False,
) -> CommandResult:
    """Search the records of all logs, in order of time.

    A record contains only keyed hashes of a call's arguments. If you know a value, --argument finds the
    calls that had it, as long as the record's salt has not been erased.
    """
    from ...ledger.log.search import RecordQuery
    from ...ledger.log.search import search as searched

    wanted = RecordQuery(
        subject, tool, verdict, _seconds(since, "--since"), _seconds(until, "--until"), _values(argument)
    )
    with ledger.location().logs() as logs:
        found = searched(logs, wanted)
    if len(found) > limit:
        warn(f"{len(found)} records found, showing the last {limit}: --limit N shows more")
    return _table(found[-limit:], json)


@with_ledger
def show(
    ledger: LedgerOptions,
    origin: Origin,
    index: Index,
    json: Json = False,
) -> CommandResult:
    """Show one record in full, and the outcome of its call."""
    from ..escaping import argument_lines, visible

    with ledger.location().logs() as logs:
        log = logs.log(origin)
        record = logs.record(log, index)
        found = _followed(record, logs.records(log, index + 1))
    fields = _fields(found)
    lines = [(0, f"{record.origin} {record.index}: {found.verdict}"), (0, _time(found))]
    lines += [(1, f"{name}: {visible(value)}") for name, value in record.fields.items()]
    try:
        call = record.call
    except ValueError:
        warn("the stored arguments are damaged")
        call = None
    if call is not None:
        fields["arguments"] = call.arguments
        lines += [(0, "arguments"), *((1, line) for line in argument_lines(call))]
    elif "call" in record.fields:
        erased = record.opening is None
        fields["erased"] = erased
        lines += [(0, f"arguments {'erased' if erased else 'stored as keyed hashes only'}")]
    return CommandResult(fields, lines, as_json=json)


@with_ledger
def erase(
    ledger: LedgerOptions,
    origin: Origin,
    index: Index,
    yes: Yes = False,
    json: Json = False,
) -> CommandResult | int:
    """Erase a record's salt, and its arguments if stored.

    The record remains, and the log still verifies; its call's arguments can no longer be searched for.
    Copies and backups of the store are not erased.
    """
    with ledger.location().logs() as logs:
        log = logs.log(origin)
        record = logs.record(log, index)
        if not confirm(
            f"erase the salt and the arguments of record {record.index} of {record.origin}, for good?", yes
        ):
            warn("nothing was erased")
            return REFUSED
        erased = logs.erase(log, index)
    words = "erased" if erased else "nothing left to erase"
    fields = {"log": log.origin, "index": index, "erased": erased}
    return CommandResult(fields, [(0, f"{log.origin} {index}: {words}")], as_json=json)


def _followed(record: Record, later: Iterable[Record]) -> RecordMatch:
    """Return the record, with the later outcome if it is of a permitted call."""
    from ...ledger.log.search import RecordMatch, paired

    if record.fields.get("verdict") != "permitted":
        return RecordMatch(record)
    outcome = next(
        (one for one in later if (one.kind, one.operation_id) == ("outcome", record.operation_id)), None
    )
    return paired([record] if outcome is None else [record, outcome])[0]


def _seconds(text: str | None, option: str) -> int | None:
    return None if text is None else int(inputs.timestamp(text, option).timestamp())


def _values(texts: list[str]) -> tuple[tuple[str, Any], ...]:
    """Parse values as JSON, or else as strings: ``to=ana@acme.com``, ``amount=5``, ``code="5"``."""
    from ...call.canonical import parse

    found = []
    for name, text in inputs.pairs(texts, "--argument").items():
        try:
            found.append((name, parse(text)))
        except ValueError:
            found.append((name, text))
    return tuple(found)


def _table(found: list[RecordMatch], json: bool) -> CommandResult:
    rows = [("time", "log", "record", "event", "subject", "object")]
    for one in found:
        said = one.record.fields
        thing = str(said.get("object") or said.get("target") or said.get("log") or "").removeprefix("tool:")
        short = one.record.origin.removeprefix("hessra-agents/")
        rows.append(
            (_time(one), short, str(one.record.index), one.verdict, str(said.get("subject", "")), thing)
        )
    return CommandResult({"records": [_fields(one) for one in found]}, table=rows, as_json=json)


def _fields(found: RecordMatch) -> dict[str, Any]:
    record = found.record
    shown = {"log": record.origin, "index": record.index, "outcome": found.outcome}
    return shown | {"words": found.verdict, "record": record.fields}


def _time(found: RecordMatch) -> str:
    from ..token_view import format_time

    at = found.record.fields.get("at")
    return format_time(at) if type(at) is int else "unknown time"
