"""The commands ``log`` that hand something on: ``prove``, ``export``, ``heads``, ``keys``; and ``break``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .. import inputs
from ..ledger_location import confirm, ledger_location
from ..options import Json, LedgerAddress, LedgerFile, State, Yes
from ..terminal import REFUSED, CommandResult, warn
from .log import Index, Origin

__all__ = ["break_log", "export", "heads", "keys", "prove"]


def prove(
    origin: Origin,
    index: Index,
    ledger: LedgerAddress = None,
    ledger_file: LedgerFile = None,
    state: State = None,
    json: Json = False,
) -> CommandResult | int:
    """Print the proof that a log holds one record, for somebody without the log.

    It has the record in it, and `log verify PROOF --keys FILE` checks it (C2SP tlog-proof).
    """
    from ...tlog.export import ExportError

    with ledger_location(ledger, ledger_file, state).logs() as logs:
        log = logs.log(origin)
        try:
            text = logs.proof(log, index)
        except ExportError as error:
            return _refused(error)
    fields = {"log": log.origin, "index": index, "proof": text}
    return CommandResult(fields, [(0, line) for line in text.splitlines()], as_json=json)


def export(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="A folder; an earlier export grows.", show_default=False)
    ],
    ledger: LedgerAddress = None,
    ledger_file: LedgerFile = None,
    state: State = None,
    json: Json = False,
) -> CommandResult | int:
    """Write every log, as far as it is signed here, to a folder of its own in DIR (C2SP tlog-tiles).

    What is in there is what the logs say, without salts and clear arguments: it can be published, and anyone
    with the verifier keys checks it offline.
    """
    from ...tlog.export import ExportError

    fields, lines = [], []
    with ledger_location(ledger, ledger_file, state).logs() as logs:
        for log in logs.all():
            if log.checkpoint is None:
                warn(f"{log.origin}: is left out, no signed head of it is kept here")
                continue
            target = folder / log.origin.partition("/")[2]
            try:
                head = logs.export(log, target)
            except ExportError as error:
                return _refused(error)
            fields.append({"log": log.origin, "folder": str(target), "records": head.size})
            lines.append((0, f"{target}: {head.size} records of {log.origin}"))
    return CommandResult({"exports": fields}, lines, as_json=json)


def heads(
    ledger: LedgerAddress = None, ledger_file: LedgerFile = None, state: State = None, json: Json = False
) -> CommandResult:
    """Print the signed heads of the logs: to keep elsewhere, for `log verify --head`."""
    with ledger_location(ledger, ledger_file, state).logs() as logs:
        notes = [one.note for one in logs.local_states().values() if one.head is not None]
    lines = [(0, line) for note in notes for line in note.splitlines()]
    return CommandResult({"heads": notes}, lines, as_json=json)


def keys(
    ledger: LedgerAddress = None, ledger_file: LedgerFile = None, state: State = None, json: Json = False
) -> CommandResult:
    """Print the logs' verifier keys, which are public: to hand to auditors once, for `log verify --keys`."""
    with ledger_location(ledger, ledger_file, state).logs() as logs:
        found = [one.verifier for one in logs.local_states().values()]
    return CommandResult({"keys": found}, [(0, one) for one in found], as_json=json)


def break_log(
    reason: Annotated[
        str, typer.Option("--reason", metavar="TEXT", help="Why, for the record.", show_default=False)
    ],
    yes: Yes = False,
    ledger: LedgerAddress = None,
    ledger_file: LedgerFile = None,
    state: State = None,
    json: Json = False,
) -> CommandResult | int:
    """Let guards go on although a log is not what its last head says. First find out why.

    The broken log ends: its key and its head are set aside as they are, and what was found, the head and the
    reason are a signed record of another log. What the store lost, such as revocations and used approvals,
    is lost: revoke again.
    """
    from ...ledger.log.recovery import break_off, broken

    with ledger_location(ledger, ledger_file, state).logs() as logs:
        for one in broken(logs):
            warn(f"{one.kept.origin}: {one.found.removeprefix(f'the log {one.kept.origin} ')}")
        if not confirm("let guards go on without that?", yes):
            warn("nothing was done")
            return REFUSED
        done = break_off(logs, reason, now=inputs.now())
    fields = [{"log": one.kept.origin, "found": one.found, "kept": str(path)} for one, path in done]
    lines = [(0, f"{one.kept.origin}: has ended, its key and head are in {path}") for one, path in done]
    warn("hint: what was revoked or used up after this store was written is not any more: revoke again")
    return CommandResult({"broken": fields}, lines, as_json=json)


def _refused(error: ValueError) -> int:
    """What the ledger holds is not what was signed."""
    warn(f"refused: {error}")
    warn("hint: hessra-agents log verify says more")
    return REFUSED
