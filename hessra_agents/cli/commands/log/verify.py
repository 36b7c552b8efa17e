"""The command ``log verify``: check a ledger, an export or one proof."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ... import inputs
from ...ledger_location import LedgerLocation
from ...options import Json, LedgerOptions, with_ledger
from ...terminal import DONE, REFUSED, CommandResult, Progress, UsageError, warn

if TYPE_CHECKING:
    from ....tlog.notes import Checkpoint

__all__ = ["verify"]

Checkpoints = Annotated[
    Path | None,
    typer.Option("--checkpoint", metavar="FILE", help="Earlier checkpoints, written by `log checkpoints`."),
]
MAX_TEXT = 1 << 21


@with_ledger
def verify(
    ledger: LedgerOptions,
    what: Annotated[
        Path | None,
        typer.Argument(metavar="WHAT", help="An export's folder, or a proof. Default: the ledger."),
    ] = None,
    checkpoints: Checkpoints = None,
    keys: Annotated[
        Path | None, typer.Option("--keys", metavar="FILE", help="Verifier keys, written by `log keys`.")
    ] = None,
    verifier: Annotated[
        list[str], typer.Option("--verifier", metavar="KEY", help="A verifier key; may be repeated.")
    ] = [],  # noqa: B006 -- typer reads it and never changes it
    json: Json = False,
) -> CommandResult:
    """Check that every record is as it was written.

    \b
      hessra-agents log verify --ledger hessra.db                     hashes every record again
      hessra-agents log verify --ledger hessra.db --checkpoint old    and that it extends an older checkpoint
      hessra-agents log verify DIR --keys log.keys --checkpoint old   an export, offline
      hessra-agents log verify PROOF --keys log.keys                  one record, offline

    Anyone who can write both the ledger and the folder of its keys can replace the whole log; only a
    checkpoint that was kept elsewhere reveals that. Exit code 1 means that a check failed.
    """  # noqa: D301 -- \b keeps lines apart in the help
    known = [*verifier, *(_keys_of(keys) if keys is not None else ())]
    if what is None:
        return _store(ledger.location(), checkpoints, known, json)
    if ledger.ledger is not None or ledger.ledger_file is not None:
        raise UsageError("an export or a proof is checked without a ledger")
    if not known:
        raise UsageError("no verifier key is named", "give --keys FILE, written by `log keys`")
    notes = _notes_of(checkpoints) if checkpoints is not None else []
    if what.is_dir():
        return _exports(what, known, notes, json)
    if notes:
        raise UsageError("--checkpoint: is for a ledger or an export")
    return _proof(what, known, json)


def _store(location: LedgerLocation, checkpoints: Path | None, known: list[str], json: bool) -> CommandResult:
    from ....ledger.log.verify import verify as checked

    with location.logs() as logs, Progress() as progress:
        mine = [one.verifier for one in logs.directory.states() if one.verifier]
        older = [_verified(note, [*known, *mine]) for note in (_notes_of(checkpoints) if checkpoints else ())]
        found = checked(logs, older, progress, keys=known)
    lines: list[tuple[int, str]] = []
    for one in found:
        state = (
            "valid" if one.covered or not one.size else "consistent, but signed by nobody that is known here"
        )
        state = "not what was signed" if one.findings else state
        lines.append((0, f"{one.origin}: {state}; {one.covered} of {one.size} records signed"))
        lines += [(1, text) for text in (*one.findings, *one.notes)]
    # without any checkpoint nothing is proved; guards of this machine may have written only some of the logs
    nothing = any(one.size for one in found) and not any(one.covered for one in found)
    bad = nothing or any(one.findings for one in found)
    logs_fields = [
        {
            "log": one.origin,
            "records": one.size,
            "signed": one.covered,
            "claimed": one.claimed,
            "unknown_key": one.unknown,
            "findings": one.findings,
            "notes": one.notes,
        }
        for one in found
    ]
    fields = {"holds": not bad, "logs": logs_fields, "absent": _absent(known, (one.origin for one in found))}
    return CommandResult(fields, lines, code=REFUSED if bad else DONE, as_json=json)


def _exports(folder: Path, known: list[str], notes: list[str], json: bool) -> CommandResult:
    from ....tlog.export import ExportError, check, pruning_of
    from ....tlog.notes import MAX_NOTE, Checkpoint, NoteError

    parts = (
        [folder] if (folder / "checkpoint").exists() else sorted(p for p in folder.iterdir() if p.is_dir())
    )
    if not parts:
        raise UsageError("no export in this folder")
    older = {_verified(note, known).origin: note for note in notes}
    logs: list[dict[str, Any]] = []
    lines = []
    for part in parts:
        try:
            with (part / "checkpoint").open(encoding="utf-8") as file:
                origin = Checkpoint.unverified(file.read(MAX_NOTE)).origin
        except (OSError, UnicodeError, NoteError):
            origin = ""  # `check` reports what is wrong with it
        findings, size, gone = [], 0, None
        try:
            with Progress() as progress:
                former = older.pop(origin, None)
                size = check(part, known, older=former, allow_pruned=True, progress=progress).size
            gone = pruning_of(part, known)
        except ExportError as error:
            findings = [str(error)]
        pruned = gone.size if gone else 0
        logs.append(
            {"folder": str(part), "log": origin, "signed": size, "pruned": pruned, "findings": findings}
        )
        lines.append((0, f"{part}: {', '.join(findings) or f'valid, {size} records of {origin}'}"))
        if gone is not None:
            lines.append((1, gone.description))
    for origin in older:
        finding = "no export of this log"
        logs.append({"folder": None, "log": origin, "signed": 0, "pruned": 0, "findings": [finding]})
        lines.append((0, f"{origin}: an older checkpoint, but no export of this log"))
    bad = any(one["findings"] for one in logs)
    fields = {"holds": not bad, "logs": logs, "absent": _absent(known, (one["log"] for one in logs))}
    return CommandResult(fields, lines, code=REFUSED if bad else DONE, as_json=json)


def _absent(known: Iterable[str], here: Iterable[str]) -> list[str]:
    """Return the logs whose keys were named and of which nothing is here, and say so: one may be hidden."""
    from ....tlog.notes import parse_verifier_key

    found = set(here)
    named = [name for name, _ in map(parse_verifier_key, known) if name.startswith("hessra-agents/")]
    absent = [name for name in named if name not in found]
    for name in absent:
        warn(f"{name}: its key was named, and nothing of this log is here: it has no record, or was left out")
    return absent


def _proof(file: Path, known: list[str], json: bool) -> CommandResult:
    from base64 import b64decode

    from ....ledger.log.reader import Record
    from ....tlog.export import ExportError, check_proof
    from ...escaping import visible

    text = inputs.read_text(file, "the proof", MAX_TEXT)
    found = re.match(r"c2sp\.org/tlog-proof@v1\nextra ([A-Za-z0-9+/=]+)\nindex (\d{1,19})\n", text)
    if found is None:
        raise UsageError("the proof: not one that `log prove` wrote")
    try:
        body = b64decode(found[1], validate=True)
        checkpoint = check_proof(text, body, known)
    except (ExportError, ValueError) as error:
        return CommandResult(
            {"holds": False, "finding": str(error)}, [(0, str(error))], code=REFUSED, as_json=json
        )
    shown = Record(checkpoint.origin, int(found[2]), b"", "", body, None).fields
    lines = [(0, f"{checkpoint.origin} contains this as record {found[2]} of the first {checkpoint.size}")]
    lines += [(1, f"{name}: {visible(value)}") for name, value in shown.items()]
    fields = {
        "holds": True,
        "log": checkpoint.origin,
        "index": int(found[2]),
        "signed": checkpoint.size,
        "record": shown,
    }
    return CommandResult(fields, lines, as_json=json)


def _verified(note: str, known: list[str]) -> Checkpoint:
    from ....tlog.notes import Checkpoint, NoteError

    try:
        return Checkpoint.verified(note, known)
    except NoteError as error:
        origin = note.partition("\n")[0]
        hint = "give the logs' verifier keys with --keys FILE"
        raise UsageError(f"--checkpoint: {origin}: {error}", hint) from None


def _notes_of(file: Path) -> list[str]:
    from ....tlog.notes import NoteError, split

    try:
        return split(inputs.read_text(file, "--checkpoint", MAX_TEXT))
    except NoteError:
        hint = "hessra-agents log checkpoints writes it"
        raise UsageError("--checkpoint: not a list of checkpoints", hint) from None


def _keys_of(file: Path) -> list[str]:
    found = inputs.read_text(file, "--keys", MAX_TEXT).split()
    if not found:
        raise UsageError("--keys: no verifier key found", "hessra-agents log keys writes them")
    return found
