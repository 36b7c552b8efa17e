"""The commands ``log prove``, ``log export``, ``log checkpoints``, ``log keys`` and ``log fork``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ... import inputs
from ...ledger_location import confirm
from ...options import Json, LedgerOptions, Yes, with_ledger
from ...terminal import DONE, REFUSED, CommandResult, Progress, warn
from .read import Index, Origin

if TYPE_CHECKING:
    from ....ledger.log.directory import LogState
    from ....ledger.log.reader import Log, Logs

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
    from ....tlog.export import ExportError

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
    from ....tlog.export import ExportError, pruning_of

    fields: list[dict[str, Any]] = []
    lines: list[tuple[int, str]] = []
    with ledger.location().logs() as logs, Progress() as progress:
        for log in logs.all():
            if log.checkpoint is None:
                warn(f"{log.origin}: omitted, since there is no checkpoint of it, here or in the store")
                continue
            _say_whose(log)
            target = folder / log.origin.partition("/")[2]
            try:
                checkpoint = logs.export(log, target, progress)
                gone = pruning_of(target, [log.signed()[1].verifier])
            except ExportError as error:
                return _refused(error)
            exported = {"log": log.origin, "folder": str(target), "records": checkpoint.size}
            fields.append({**exported, "pruned": gone.size if gone else 0})
            lines.append((0, f"{target}: {checkpoint.size} records of {log.origin}"))
            lines += [(1, gone.description)] if gone else []
    return CommandResult({"exports": fields}, lines, code=_found(fields, "checkpoint"), as_json=json)


@with_ledger
def checkpoints(ledger: LedgerOptions, json: Json = False) -> CommandResult:
    """Print the last checkpoint of every log.

    Keep them where nobody who can write the ledger can write; `log verify --checkpoint FILE` reads them. On a
    machine that has no logs, those in the store are printed.
    """
    with ledger.location().logs() as logs:
        notes = [one.note for one in _states(logs) if one.checkpoint is not None]
    lines = [(0, line) for note in notes for line in note.splitlines()]
    return CommandResult({"checkpoints": notes}, lines, code=_found(notes, "checkpoint"), as_json=json)


@with_ledger
def keys(ledger: LedgerOptions, json: Json = False) -> CommandResult:
    """Print the public verifier keys of the logs of this machine.

    An auditor keeps them, and `log verify --keys FILE` reads them. They are never taken from the store, whose
    writer could name others.
    """
    with ledger.location().logs() as logs:
        found = [one.verifier for one in logs.directory.states() if one.verifier]
    lines = [(0, one) for one in found]
    return CommandResult({"keys": found}, lines, code=_found(found, "key"), as_json=json)


@with_ledger
def fork(
    ledger: LedgerOptions,
    reason: Annotated[
        str, typer.Option("--reason", metavar="TEXT", help="Why; written to the log.", show_default=False)
    ],
    yes: Yes = False,
    json: Json = False,
) -> CommandResult | int:
    """Set a damaged log aside, and continue in a new one.

    For a store that lost or gained records, and for a log whose key was damaged. Find out why first. The
    broken log ends:
    its key and checkpoint are set aside unchanged, and a signed record of another log states the finding,
    the checkpoint and the reason. What the store lost, such as revocations and used approvals, is not
    recovered: revoke again.
    """
    from ....ledger.log.recovery import broken_logs
    from ....ledger.log.recovery import fork as forked

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


def _states(logs: Logs) -> list[LogState]:
    """Return what the folder says of its logs; what the store says only if the folder has none."""
    found: list[LogState] = [*logs.directory.states()]
    if not found:
        for log in logs.all():
            _say_whose(log)
            found += [] if log.state is None else [log.state]
    for state in found:
        if state.problem:
            warn(f"{state.origin}: {state.problem}")
    return found


def _say_whose(log: Log) -> None:
    """Say if only the store tells of a log's checkpoint and key."""
    if log.state is not None and log.local is None and log.state.verifier:
        warn(f"{log.origin}: its checkpoint is the store's, signed by {log.state.verifier}")
        warn("hint: compare this key with the one that log keys prints on the machine of its guard")


def _found(things: list[Any], what: str) -> int:
    """Return the exit code: nothing found is no success, as an empty file protects nothing."""
    if not things:
        warn(f"no {what} was found: run this where the guard runs, as its user, or name its --state-dir")
    return DONE if things else REFUSED


def _refused(error: ValueError) -> int:
    """Report that the ledger does not hold what was signed, and return the exit code."""
    warn(f"refused: {error}")
    warn("hint: run hessra-agents log verify")
    return REFUSED
