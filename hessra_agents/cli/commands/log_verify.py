"""The command ``log verify``: of a ledger, of an export, of one proof."""

from __future__ import annotations

import re
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..ledger_location import LedgerLocation, ledger_location
from ..options import Json, LedgerAddress, LedgerFile, State
from ..terminal import DONE, REFUSED, CommandResult, UsageError, warn

if TYPE_CHECKING:
    from ...tlog.notes import Checkpoint

__all__ = ["verify"]

Heads = Annotated[
    Path | None,
    typer.Option("--head", metavar="FILE", help="Heads kept elsewhere, as `log heads` wrote them then."),
]
MAX_TEXT = 1 << 21
_NOTE = re.compile(r"(?:[^\n]+\n)+\n(?:— [^\n]+\n)+")


def verify(
    what: Annotated[
        Path | None,
        typer.Argument(metavar="WHAT", help="An export's folder, or a proof; the ledger if left out."),
    ] = None,
    head: Heads = None,
    keys: Annotated[
        Path | None,
        typer.Option("--keys", metavar="FILE", help="Verifier keys, as `log keys` wrote them."),
    ] = None,
    verifier: Annotated[
        list[str], typer.Option("--verifier", metavar="KEY", help="A verifier key; may be repeated.")
    ] = [],  # noqa: B006 -- typer's way; nobody changes it
    ledger: LedgerAddress = None,
    ledger_file: LedgerFile = None,
    state: State = None,
    json: Json = False,
) -> CommandResult:
    """Check that every record is the one that was written, and say which is not.

    \b
      hessra-agents log verify --ledger hessra.db                  hashes every record again
      hessra-agents log verify --ledger hessra.db --head old       and the log extends an older head
      hessra-agents log verify DIR --keys log.keys [--head old]    an export, offline
      hessra-agents log verify PROOF --keys log.keys               one record, offline

    Whoever can write the ledger and the folder of its keys can write all of it anew; only a head that was
    kept elsewhere tells that. Exit code 1 says that something is wrong.
    """  # noqa: D301 -- \b keeps lines apart in the help
    known = [*verifier, *(_keys_of(keys) if keys is not None else ())]
    if what is None:
        return _store(ledger_location(ledger, ledger_file, state), head, known, json)
    if ledger is not None or ledger_file is not None:
        raise UsageError("an export or a proof is checked without a ledger")
    if not known:
        raise UsageError(
            "whose log is it", "give the verifier keys with --keys FILE, as `log keys` writes them"
        )
    notes = _notes_of(head) if head is not None else []
    if what.is_dir():
        return _exports(what, known, notes, json)
    if notes:
        raise UsageError("--head: is for a ledger or an export")
    return _proof(what, known, json)


def _store(at: LedgerLocation, head: Path | None, known: list[str], json: bool) -> CommandResult:
    from ...ledger.log.verify import verify as checked

    said = time.monotonic()

    def progress(origin: str, done: int, size: int) -> None:
        nonlocal said
        if time.monotonic() - said > 1 and sys.stderr is not None and sys.stderr.isatty():
            said = time.monotonic()
            warn(f"{origin}: {done} of {size} records")

    with at.logs() as logs:
        mine = [one.verifier for one in logs.local_states().values()]
        older = [_verified(note, [*known, *mine]) for note in (_notes_of(head) if head else ())]
        found = checked(logs, older, progress)
    lines: list[tuple[int, str]] = []
    for one in found:
        held = "holds" if one.covered or not one.size else "fits together, signed by nobody here"
        state = "is not what was signed" if one.findings else held
        lines.append((0, f"{one.origin}: {state}, {one.size} records, {one.covered} of them signed for"))
        lines += [(1, text) for text in (*one.findings, *one.notes)]
    # where no head is known at all, nothing was shown; a machine's guards may write some of the logs only
    nothing = any(one.size for one in found) and not any(one.covered for one in found)
    bad = nothing or any(one.findings for one in found)
    logs_said = [
        {
            "log": one.origin,
            "records": one.size,
            "signed": one.covered,
            "findings": one.findings,
            "notes": one.notes,
        }
        for one in found
    ]
    return CommandResult(
        {"holds": not bad, "logs": logs_said}, lines, code=REFUSED if bad else DONE, as_json=json
    )


def _exports(folder: Path, known: list[str], notes: list[str], json: bool) -> CommandResult:
    from ...tlog.export import ExportError, check
    from ...tlog.notes import MAX_NOTE, Checkpoint, NoteError

    parts = (
        [folder] if (folder / "checkpoint").exists() else sorted(p for p in folder.iterdir() if p.is_dir())
    )
    if not parts:
        raise UsageError("there is no export in this folder")
    older = {_verified(note, known).origin: note for note in notes}
    logs: list[dict[str, Any]] = []
    lines = []
    for part in parts:
        try:
            with (part / "checkpoint").open(encoding="utf-8") as file:
                origin = Checkpoint.unverified(file.read(MAX_NOTE)).origin
        except (OSError, UnicodeError, NoteError):
            origin = ""  # what is wrong with it, `check` says
        findings, size = [], 0
        try:
            size = check(part, known, older=older.pop(origin, None)).size
        except ExportError as error:
            findings = [str(error)]
        logs.append({"folder": str(part), "log": origin, "signed": size, "findings": findings})
        lines.append((0, f"{part}: {', '.join(findings) or f'holds, {size} records of {origin}'}"))
    for origin in older:
        logs.append({"folder": None, "log": origin, "signed": 0, "findings": ["there is no export of it"]})
        lines.append((0, f"{origin}: there is an older head of it, and no export"))
    bad = any(one["findings"] for one in logs)
    return CommandResult({"holds": not bad, "logs": logs}, lines, code=REFUSED if bad else DONE, as_json=json)


def _proof(file: Path, known: list[str], json: bool) -> CommandResult:
    from base64 import b64decode

    from ...ledger.log.reader import Record
    from ...tlog.export import ExportError, check_proof
    from ..escaping import visible

    text = _text_of(file, "the proof")
    found = re.match(r"c2sp\.org/tlog-proof@v1\nextra ([A-Za-z0-9+/=]+)\nindex (\d{1,19})\n", text)
    if found is None:
        raise UsageError("the proof: is none that `log prove` wrote")
    try:
        body = b64decode(found[1], validate=True)
        head = check_proof(text, body, known)
    except (ExportError, ValueError) as error:
        return CommandResult(
            {"holds": False, "finding": str(error)}, [(0, str(error))], code=REFUSED, as_json=json
        )
    said = Record(head.origin, int(found[2]), b"", "", body, None).said
    lines = [(0, f"{head.origin} holds this as record {found[2]} of the first {head.size}")]
    lines += [(1, f"{name}: {visible(value)}") for name, value in said.items()]
    fields = {"holds": True, "log": head.origin, "index": int(found[2]), "signed": head.size, "record": said}
    return CommandResult(fields, lines, as_json=json)


def _verified(note: str, known: list[str]) -> Checkpoint:
    from ...tlog.notes import Checkpoint, NoteError

    try:
        return Checkpoint.verified(note, known)
    except NoteError as error:
        origin = note.partition("\n")[0]
        hint = "--keys FILE has the verifier keys of the logs"
        raise UsageError(f"--head: the head of {origin}: {error}", hint) from None


def _notes_of(file: Path) -> list[str]:
    text = _text_of(file, "--head")
    found = _NOTE.findall(text)
    if not found or "".join(found) != text:
        raise UsageError("--head: is no list of signed heads", "hessra-agents log heads writes it")
    return found


def _keys_of(file: Path) -> list[str]:
    found = _text_of(file, "--keys").split()
    if not found:
        raise UsageError("--keys: there is no verifier key", "hessra-agents log keys writes them")
    return found


def _text_of(file: Path, name: str) -> str:
    try:
        with file.open("rb") as opened:
            data = opened.read(MAX_TEXT + 1)
        text = data.decode()
    except OSError as error:
        raise UsageError(f"{name}: {(error.strerror or 'cannot be read').lower()}") from None
    except UnicodeDecodeError:
        raise UsageError(f"{name}: is not text in utf-8") from None
    if len(data) > MAX_TEXT:
        raise UsageError(f"{name}: is larger than {MAX_TEXT} bytes")
    return text
