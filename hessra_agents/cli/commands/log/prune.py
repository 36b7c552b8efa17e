"""The commands ``log erase`` and ``log prune``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ... import inputs
from ...ledger_location import confirm
from ...options import WHEN, Json, LedgerOptions, Yes, with_ledger
from ...terminal import DONE, REFUSED, CommandResult, Progress, UsageError, warn
from .read import Index, Origin

if TYPE_CHECKING:
    from ....ledger.log.reader import Logs

__all__ = ["erase", "prune"]


@with_ledger
def erase(
    ledger: LedgerOptions,
    origin: Origin,
    index: Index,
    yes: Yes = False,
    json: Json = False,
) -> CommandResult | int:
    """Erase a record's salt, and its arguments if stored.

    The record remains, and the log still verifies; its call's arguments can no longer be searched for. A
    record of its own says what was erased and when. Copies and backups of the store are not erased. Exit
    code 1 means that the file still has what was erased: do what the message says, and erase it again.
    """
    from ....ledger.log.retention import erase as erased

    with ledger.location().logs() as logs:
        log = logs.log(origin)
        record = logs.record(log, index)
        if not confirm(
            f"erase the salt and the arguments of record {record.index} of {record.origin}, for good?", yes
        ):
            warn("nothing was erased")
            return REFUSED
        found = erased(logs, log, index, now=inputs.now())
        code = _scrub(logs)
    words = "erased" if found else "nothing left to erase"
    fields = {"log": log.origin, "index": index, "erased": found, "scrubbed": code == DONE}
    return CommandResult(fields, [(0, f"{log.origin} {index}: {words}")], code=code, as_json=json)


@with_ledger
def prune(
    ledger: LedgerOptions,
    before: Annotated[
        str,
        typer.Option(
            "--before",
            metavar="WHEN",
            help=f"Older than {WHEN}",
            show_default=False,
        ),
    ],
    archive: Annotated[
        Path | None,
        typer.Option("--archive", metavar="DIR", help="Export the logs to this folder first."),
    ] = None,
    no_archive: Annotated[
        bool, typer.Option("--no-archive", help="Keep the records nowhere: they are gone for good.")
    ] = False,
    yes: Yes = False,
    json: Json = False,
) -> CommandResult | int:
    """Delete old records, after archiving them.

    Guards may go on meanwhile. The archive is what `log export` writes; an earlier one is extended, and
    checked before anything goes.
    Only records that the log has signed for are deleted, in whole tiles of 256. Their hashes and a note that
    the log signs remain: the ledger, its exports and proofs verify as before. Revocations, limits, used
    proofs and requests are not touched.
    """
    from ....ledger.log.retention import MIN_AGE, prunable
    from ....ledger.log.retention import prune as pruned
    from ....tlog.export import ExportError

    if no_archive == (archive is not None):
        raise UsageError("give either --archive DIR or --no-archive")
    now, moment = inputs.now(), int(inputs.timestamp(before, "--before").timestamp())
    if moment > now - MIN_AGE:
        raise UsageError(f"--before: records of the last {MIN_AGE} seconds are kept")
    with ledger.location().logs() as logs, Progress() as progress:
        mine = [log for log in logs.all() if log.local is not None and log.local.key is not None]
        for log in logs.all():
            if log.number not in [one.number for one in mine]:
                warn(f"{log.origin}: left as it is, since its key is not on this machine")
        wanted = [(log, prunable(logs, log, moment, progress)) for log in mine]
        total = sum(size - log.pruned for log, size in wanted)
        progress.clear()
        where = "nowhere else" if archive is None else f"in {archive}"
        if total and not confirm(f"delete {total} records, which are then {where}, for good?", yes):
            warn("nothing was pruned")
            return REFUSED
        try:
            pruned(logs, [(log, size) for log, size in wanted if size], archive, now=now, progress=progress)
        except ExportError as error:
            warn(f"refused: {error}")
            return REFUSED
        code = _scrub(logs) if total else DONE
    fields = [{"log": log.origin, "pruned": size, "records": log.size} for log, size in wanted]
    lines = [(0, f"{log.origin}: {size} of {log.size} records are pruned") for log, size in wanted]
    if wanted and not total:
        lines.append(
            (0, "nothing to prune: only whole tiles of 256 signed records go, each older than --before")
        )
    return CommandResult({"logs": fields}, lines, code=code, as_json=json)


def _scrub(logs: Logs) -> int:
    """Remove from the disk what was deleted, say what is left of it, and return the exit code."""
    from ....ledger.store.connection import StoreError

    try:
        left = logs.connection.scrub()
    except StoreError as error:
        warn(f"not gone from the disk yet: {error}")
        warn("hint: end that program, and run this command again")
        return REFUSED
    if left:
        warn(left)
    return DONE
