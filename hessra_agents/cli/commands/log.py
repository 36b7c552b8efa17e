"""The commands ``log`` that look: ``list``, ``tail``, ``search`` and ``show``; and ``erase``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .. import inputs
from ..ledger_location import confirm, ledger_location
from ..options import Json, LedgerAddress, LedgerFile, State, Yes
from ..terminal import REFUSED, CommandResult, warn

if TYPE_CHECKING:
    from ...ledger.log.reader import Record
    from ...ledger.log.search import RecordMatch

__all__ = ["Index", "Origin", "erase", "list_logs", "search", "show", "tail"]

Origin = Annotated[
    str,
    typer.Argument(metavar="LOG", help="A log: its origin, or how its digits begin.", show_default=False),
]
Index = Annotated[int, typer.Argument(metavar="INDEX", help="The record's number in it.", show_default=False)]
Most = Annotated[int, typer.Option("-n", "--most", metavar="N", min=1, max=100_000, help="At most so many.")]


def list_logs(
    ledger: LedgerAddress = None, ledger_file: LedgerFile = None, state: State = None, json: Json = False
) -> CommandResult:
    """List the logs of a ledger: one for each process that wrote at a time."""
    rows = [("log", "records", "signed", "head")]
    fields = []
    with ledger_location(ledger, ledger_file, state).logs() as logs:
        for log in logs.all():
            head = log.checkpoint
            rows.append(
                (
                    log.origin,
                    str(log.size),
                    str(head.size if head else 0),
                    head.root.hex() if head else "no head is kept here",
                )
            )
            fields.append(
                {
                    "log": log.origin,
                    "records": log.size,
                    "signed": head.size if head else None,
                    "root": head.root.hex() if head else None,
                }
            )
    return CommandResult({"logs": fields}, table=rows, as_json=json)


def tail(
    most: Most = 20,
    ledger: LedgerAddress = None,
    ledger_file: LedgerFile = None,
    state: State = None,
    json: Json = False,
) -> CommandResult:
    """Show the last records of all logs together, the newest last.

    Decisions are shown with what became of their calls. A permitted call without an outcome still runs, or
    the process ended in between.
    """
    from ...ledger.log.search import latest

    with ledger_location(ledger, ledger_file, state).logs() as logs:
        return _table(latest(logs, most), json)


def search(
    subject: Annotated[
        str | None, typer.Option("--subject", metavar="NAME", help="Who called, or what is below it.")
    ] = None,
    tool: Annotated[str | None, typer.Option("--tool", metavar="TOOL", help="What was called.")] = None,
    verdict: Annotated[
        str | None, typer.Option("--verdict", metavar="WORD", help="permitted, or the reason of a refusal.")
    ] = None,
    since: Annotated[
        str | None, typer.Option("--since", metavar="MOMENT", help="From then on: 2026-12-24T18:00:00Z.")
    ] = None,
    until: Annotated[str | None, typer.Option("--until", metavar="MOMENT", help="Before then.")] = None,
    argument: Annotated[
        list[str],
        typer.Option(
            "--argument",
            metavar="NAME=VALUE",
            help="The call had this value: JSON, or else text. Found by the record's keyed hash.",
        ),
    ] = [],  # noqa: B006 -- typer's way; nobody changes it
    most: Most = 1000,
    ledger: LedgerAddress = None,
    ledger_file: LedgerFile = None,
    state: State = None,
    json: Json = False,
) -> CommandResult:
    """Search the records of all logs, in the order of time.

    Records hold no arguments, only hashes under a key of each record: who knows a value can find the calls
    that had it, as long as the record's salt is not erased.
    """
    from ...ledger.log.search import RecordQuery
    from ...ledger.log.search import search as searched

    wanted = RecordQuery(
        subject, tool, verdict, _seconds(since, "--since"), _seconds(until, "--until"), _values(argument)
    )
    with ledger_location(ledger, ledger_file, state).logs() as logs:
        found = searched(logs, wanted)
    if len(found) > most:
        warn(f"{len(found)} records were found, these are the last {most}: --most N shows more")
    return _table(found[-most:], json)


def show(
    origin: Origin,
    index: Index,
    ledger: LedgerAddress = None,
    ledger_file: LedgerFile = None,
    state: State = None,
    json: Json = False,
) -> CommandResult:
    """Show one record with everything that it says, and what became of its call."""
    from ..escaping import argument_lines, visible

    with ledger_location(ledger, ledger_file, state).logs() as logs:
        log = logs.log(origin)
        record = logs.record(log, index)
        found = _followed(record, logs.records(log, index + 1))
    fields = _fields(found)
    lines = [(0, f"{record.origin} {record.index}: {found.verdict}"), (0, _time(found))]
    lines += [(1, f"{name}: {visible(value)}") for name, value in record.said.items()]
    try:
        call = record.clear
    except ValueError:
        warn("the arguments that are kept in clear are damaged")
        call = None
    if call is not None:
        fields["clear"] = call.arguments
        lines += [(0, "with the arguments"), *((1, line) for line in argument_lines(call))]
    elif "call" in record.said:
        erased = record.opening is None
        fields["erased"] = erased
        lines += [(0, f"its arguments {'are erased' if erased else 'are kept as keyed hashes only'}")]
    return CommandResult(fields, lines, as_json=json)


def erase(
    origin: Origin,
    index: Index,
    yes: Yes = False,
    ledger: LedgerAddress = None,
    ledger_file: LedgerFile = None,
    state: State = None,
    json: Json = False,
) -> CommandResult | int:
    """Erase what opens a record: its salt, and its arguments where they are kept in clear.

    The record stays, and the log verifies as before. What the call carried can then be found by nobody.
    Copies and backups of the store are not erased.
    """
    with ledger_location(ledger, ledger_file, state).logs() as logs:
        log = logs.log(origin)
        record = logs.record(log, index)
        if not confirm(f"erase what opens record {record.index} of {record.origin}, for good?", yes):
            warn("nothing was erased")
            return REFUSED
        erased = logs.erase(log, index)
    words = "erased" if erased else "nothing is left to erase"
    fields = {"log": log.origin, "index": index, "erased": erased}
    return CommandResult(fields, [(0, f"{log.origin} {index}: {words}")], as_json=json)


def _followed(record: Record, later: Iterable[Record]) -> RecordMatch:
    """The record and, of a permitted call, the outcome that comes later."""
    from ...ledger.log.search import RecordMatch, paired

    if record.said.get("verdict") != "permitted":
        return RecordMatch(record)
    outcome = next(
        (one for one in later if (one.kind, one.operation_id) == ("outcome", record.operation_id)), None
    )
    return paired([record] if outcome is None else [record, outcome])[0]


def _seconds(text: str | None, option: str) -> int | None:
    return None if text is None else int(inputs.timestamp(text, option).timestamp())


def _values(texts: list[str]) -> tuple[tuple[str, Any], ...]:
    """What is no JSON is text: ``to=ana@acme.com``, ``amount=5``, ``code="5"``."""
    from ...call.canonical import parse

    found = []
    for name, text in inputs.pairs(texts, "--argument").items():
        try:
            found.append((name, parse(text)))
        except ValueError:
            found.append((name, text))
    return tuple(found)


def _table(found: list[RecordMatch], json: bool) -> CommandResult:
    rows = [("time", "log", "record", "what", "who", "object")]
    for one in found:
        said = one.record.said
        thing = str(said.get("object") or said.get("target") or said.get("log") or "").removeprefix("tool:")
        short = one.record.origin.removeprefix("hessra-agents/")
        rows.append(
            (_time(one), short, str(one.record.index), one.verdict, str(said.get("subject", "")), thing)
        )
    return CommandResult({"records": [_fields(one) for one in found]}, table=rows, as_json=json)


def _fields(found: RecordMatch) -> dict[str, Any]:
    record = found.record
    shown = {"log": record.origin, "index": record.index, "outcome": found.outcome}
    return shown | {"words": found.verdict, "record": record.said}


def _time(found: RecordMatch) -> str:
    from ..token_view import format_time

    at = found.record.said.get("at")
    return format_time(at) if type(at) is int else "no time"
