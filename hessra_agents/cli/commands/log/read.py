"""The commands ``log list``, ``log tail``, ``log search`` and ``log show``."""

from __future__ import annotations

from collections.abc import Iterable
from time import sleep
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ... import inputs
from ...options import WHEN, Json, LedgerOptions, with_ledger
from ...terminal import CommandResult, Progress, UsageError, show_line, warn

if TYPE_CHECKING:
    from ....ledger.log.search import RecordMatch

__all__ = ["Index", "Origin", "list_logs", "search", "show", "tail"]

Origin = Annotated[
    str, typer.Argument(metavar="LOG", help="A log: its origin, or its first digits.", show_default=False)
]
Index = Annotated[
    int, typer.Argument(metavar="INDEX", help="The record's number in the log.", show_default=False)
]
Limit = Annotated[int, typer.Option("-n", "--limit", metavar="N", min=1, max=100_000, help="Show at most N.")]
COLUMNS = ("time", "log", "record", "event", "subject", "object", "signed")
_SIGNED = {True: "signed", False: "not yet signed for", None: "no key here"}
EVERY = 0.5
"""Seconds between two looks of `tail --follow`."""


@with_ledger
def list_logs(ledger: LedgerOptions, json: Json = False) -> CommandResult:
    """List the logs of a ledger.

    A ledger has as many logs as processes wrote to it at the same time.
    """
    rows = [("log", "records", "signed", "pruned", "checkpoint")]
    fields = []
    with ledger.location().logs() as logs:
        for log in logs.all():
            signed = log.checkpoint
            size, root = (signed.size, signed.root.hex()) if signed else (None, None)
            counts = (str(log.size), str(size or 0), str(log.pruned))
            rows.append((log.origin, *counts, root or "none on this machine"))
            known = {"log": log.origin, "records": log.size, "signed": size, "root": root}
            fields.append({**known, "pruned": log.pruned})
    return CommandResult({"logs": fields}, table=rows, as_json=json)


@with_ledger
def tail(
    ledger: LedgerOptions,
    limit: Limit = 20,
    follow: Annotated[
        bool, typer.Option("-f", "--follow", help="Go on with each new record, until Ctrl-C.")
    ] = False,
    json: Json = False,
) -> CommandResult:
    """Show the last records of all logs, the newest last.

    The columns are the time, the log, the index in it, what was decided, the subject, the tool, and whether
    the log has signed for the record.

    A decision is shown with the outcome of its call. A permitted call without an outcome is still running,
    or the process ended before it finished. With --follow an outcome is a line of its own, and with --json
    each line is an object.
    """
    from ....ledger.log.search import RecordQuery, added
    from ....ledger.log.search import search as searched

    with ledger.location().logs() as logs:
        known = logs.all()
        found = searched(logs, RecordQuery(), limit, within=known)
        if not follow:
            return _table(found, json)
        seen = {log.number: log.size for log in known}
        shown: Iterable[RecordMatch] = found
        while True:
            for one in shown:
                show_line(CommandResult(_fields(one), table=[_row(one)], as_json=json))
            sleep(EVERY)
            shown = added(logs, seen)


@with_ledger
def search(
    ledger: LedgerOptions,
    subject: Annotated[
        str | None, typer.Option("--subject", metavar="NAME", help="Who called: this name, or one below it.")
    ] = None,
    tool: Annotated[str | None, typer.Option("--tool", metavar="TOOL", help="The called tool.")] = None,
    verdict: Annotated[
        str | None, typer.Option("--verdict", metavar="WORD", help="permitted, or a reason.")
    ] = None,
    holder: Annotated[
        str | None, typer.Option("--holder", metavar="PUBLICKEY", help="The key that the caller held.")
    ] = None,
    block: Annotated[
        str | None, typer.Option("--block", metavar="ID", help="A block of the capability, by its id.")
    ] = None,
    since: Annotated[str | None, typer.Option("--since", metavar="WHEN", help=f"Not before: {WHEN}")] = None,
    before: Annotated[str | None, typer.Option("--before", metavar="WHEN", help="Before this time.")] = None,
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
    from ....ledger.log.search import RecordQuery
    from ....ledger.log.search import search as searched

    wanted = RecordQuery(
        subject,
        tool,
        _verdict(verdict),
        _seconds(since, "--since"),
        _seconds(before, "--before"),
        inputs.public_key(holder, "--holder"),
        block,
        _values(argument),
    )
    with ledger.location().logs() as logs, Progress() as progress:
        found = searched(logs, wanted, limit + 1, progress=progress)
    if len(found) > limit:
        warn(f"showing the last {limit} of more records: --limit N shows more")
    return _table(found[-limit:], json)


@with_ledger
def show(
    ledger: LedgerOptions,
    origin: Origin,
    index: Index,
    json: Json = False,
) -> CommandResult:
    """Show one record in full, and the outcome of its call."""
    from ....ledger.log.search import described
    from ...escaping import argument_lines, visible

    with ledger.location().logs() as logs:
        log = logs.log(origin)
        record = logs.record(log, index)
        found = described(logs, log, record)
    fields = _fields(found)
    lines = [
        (0, f"{record.origin} {record.index}: {found.verdict}"),
        (0, f"{_time(found)}, {_SIGNED[found.signed]}"),
    ]
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


def _verdict(word: str | None) -> str | None:
    """Return a verdict that a record can have, or None.

    Raises:
        UsageError: no record has it, so that a search would find nothing.
    """
    from ....errors import Reason
    from ....ledger.log.search import FORMER_VERDICTS

    possible = ["permitted", *Reason, *FORMER_VERDICTS.values()]
    if word is not None and word not in possible:
        raise UsageError("--verdict: no such verdict", f"write one of {', '.join(possible)}")
    return word


def _seconds(text: str | None, option: str) -> int | None:
    return None if text is None else int(inputs.timestamp(text, option).timestamp())


def _values(texts: list[str]) -> tuple[tuple[str, Any], ...]:
    """Parse values as JSON, or else as strings: ``to=ana@acme.com``, ``amount=5``, ``code="5"``."""
    from ....call.canonical import parse

    found = []
    for name, text in inputs.pairs(texts, "--argument").items():
        try:
            found.append((name, parse(text)))
        except ValueError:
            found.append((name, text))
    return tuple(found)


def _table(found: list[RecordMatch], json: bool) -> CommandResult:
    rows = [COLUMNS, *map(_row, found)]
    return CommandResult({"records": [_fields(one) for one in found]}, table=rows, as_json=json)


def _row(found: RecordMatch) -> tuple[str, ...]:
    from ...ledger_answers import agent_of

    record, said = found.record, (found.call or found.record).fields
    short = record.origin.removeprefix("hessra-agents/")
    thing = str(said.get("object") or said.get("target") or said.get("log") or "").removeprefix("tool:")
    who = agent_of(said)
    return (_time(found), short, str(record.index), found.verdict, who, thing, _SIGNED[found.signed])


def _fields(found: RecordMatch) -> dict[str, Any]:
    record = found.record
    shown = {"log": record.origin, "index": record.index, "outcome": found.outcome}
    return shown | {"words": found.verdict, "signed": found.signed, "record": record.fields}


def _time(found: RecordMatch) -> str:
    from ...token_view import format_time

    at = found.record.fields.get("at")
    return format_time(at) if type(at) is int else "unknown time"
