"""The commands ``log prove``, ``log export``, ``log checkpoints``, ``log keys`` and ``log fork``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .. import inputs
from ..ledger_location import confirm
from ..options import Json, LedgerOptions, Yes, with_ledger
from ..terminal import REFUSED, CommandResult, warn
from .log import Index, Origin

__all__ = ["checkpoints", "export", "fork", "keys", "prove"]


@with_ledger
def prove(
    ledger: LedgerOptions,
    origin: Origin,
    index: Index,
    json: Json = False,
) -> CommandResult | int:
    """Print a proof that a log contains one record.

    The proof contains the record; `log verify PROOF --keys FILE` checks it without the log (C2SP
    tlog-proof).
    """
    from ...tlog.export import ExportError

    with ledger.location().logs() as logs:
        log = logs.log(origin)
        try:
            text = logs.proof(log, index)
        except ExportError as error:
            return _refused(error)
    fields = {"log": log.origin, "index": index, "proof": text}
    return CommandResult(fields, [(0, line) for line in text.splitlines()], as_json=json)


@with_ledger
def export(
    ledger: LedgerOptions,
    folder: Annotated[
        Path,
        typer.Argument(metavar="DIR", help="A folder; an earlier export is extended.", show_default=False),
    ],
    json: Json = False,
) -> CommandResult | int:
    """Export every log, up to its last checkpoint, to DIR.

    Each log gets a folder of its own (C2SP tlog-tiles), without salts and arguments. An export can be
    published: anyone with the verifier keys can check it offline.
    """
    from ...tlog.export import ExportError

    fields, lines = [], []
    with ledger.location().logs() as logs:
        for log in logs.all():
            if log.checkpoint is None:
                warn(f"{log.origin}: omitted, since this machine has no checkpoint of it")
                continue
            target = folder / log.origin.partition("/")[2]
            try:
                checkpoint = logs.export(log, target)
            except ExportError as error:
                return _refused(error)
            fields.append({"log": log.origin, "folder": str(target), "records": checkpoint.size})
            lines.append((0, f"{target}: {checkpoint.size} records of {log.origin}"))
    return CommandResult({"exports": fields}, lines, as_json=json)


@with_ledger
def checkpoints(ledger: LedgerOptions, json: Json = False) -> CommandResult:
    """Print every log's last checkpoint, to keep elsewhere.

    `log verify --checkpoint FILE` reads them.
    """
    with ledger.location().logs() as logs:
        notes = [one.note for one in logs.directory.states() if one.checkpoint is not None]
    lines = [(0, line) for note in notes for line in note.splitlines()]
    return CommandResult({"checkpoints": notes}, lines, as_json=json)


@with_ledger
def keys(ledger: LedgerOptions, json: Json = False) -> CommandResult:
    """Print the logs' public verifier keys, for an auditor.

    `log verify --keys FILE` reads them.
    """
    with ledger.location().logs() as logs:
        found = [one.verifier for one in logs.directory.states()]
    return CommandResult({"keys": found}, [(0, one) for one in found], as_json=json)


@with_ledger
def fork(
    ledger: LedgerOptions,
    reason: Annotated[
        str, typer.Option("--reason", metavar="TEXT", help="Why; written to the log.", show_default=False)
    ],
    yes: Yes = False,
    json: Json = False,
) -> CommandResult | int:
    """Continue in a new log after the store lost records.

    For a store that no longer holds what a log's checkpoint signed; find out why first. The broken log ends:
    its key and checkpoint are set aside unchanged, and a signed record of another log states the finding,
    the checkpoint and the reason. What the store lost, such as revocations and used approvals, is not
    recovered: revoke again.
    """
    from ...ledger.log.recovery import broken_logs
    from ...ledger.log.recovery import fork as forked

    with ledger.location().logs() as logs:
        for one in broken_logs(logs):
            warn(f"{one.state.origin}: {one.finding}")
        if not confirm("continue in a new log?", yes):
            warn("nothing was done")
            return REFUSED
        done = forked(logs, reason, now=inputs.now())
    fields = [{"log": one.state.origin, "found": one.finding, "kept": str(path)} for one, path in done]
    lines = [(0, f"{one.state.origin}: ended; its key and checkpoint are in {path}") for one, path in done]
    warn("hint: revocations and uses after this store was written are lost: revoke again")
    return CommandResult({"broken": fields}, lines, as_json=json)


def _refused(error: ValueError) -> int:
    """Report that the ledger does not hold what was signed, and return the exit code."""
    warn(f"refused: {error}")
    warn("hint: run hessra-agents log verify")
    return REFUSED
