"""What comes in: tokens, proofs, passphrases, files and the small languages of options.

Every mistake in what was given is a `UsageError` (or another ValueError) that names the option and never
repeats a value that may be secret.
"""

from __future__ import annotations

import os
import re
import stat
import sys
import time
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from .terminal import UsageError, warn

if TYPE_CHECKING:
    from ..call.call import Call
    from ..keys.keys import PublicKey
    from ..keys.trust import Trust
    from ..tokens.builder import Condition

T = TypeVar("T")

MAX_INPUT = 1 << 16
"""Bytes of a token with its proof; a token has at most 22,000."""

MAX_FILE = 1 << 20
MAX_PASSPHRASE = 1023


def now() -> int:
    """Unix seconds by this machine's clock."""
    return int(time.time())


def token(file: Path | None) -> str:
    """The one line of the file, or of standard input."""
    return _lines(file, 1)[0]


def token_and_proof(file: Path | None, proof_file: Path | None) -> tuple[str, str | None]:
    """The token, and the proof from a file of its own or from the line after the token."""
    if proof_file is not None:
        return token(file), _text(_read(proof_file, "--proof", MAX_INPUT), "--proof").strip()
    first, *rest = _lines(file, 2)
    return first, rest[0] if rest else None


def _lines(file: Path | None, max_lines: int) -> list[str]:
    """What is there, line by line, without empty ones."""
    if file is not None:
        name, hint, data = "--token", "", _read(file, "--token", MAX_INPUT)
    else:
        name, hint = "standard input", "pipe a token in, or name its file with --token FILE"
        data = _standard_input(MAX_INPUT, name, "a token", hint)
    found = [line.strip() for line in _text(data, name).splitlines() if line.strip()]
    if not found:
        raise UsageError(f"{name}: there is no token", hint)
    if len(found) > max_lines:
        raise UsageError(
            f"{name}: there are {len(found)} lines, expected {'a token' if max_lines == 1 else 'two'}"
        )
    return found


def _standard_input(max_bytes: int, name: str, what: str = "the arguments", hint: str = "") -> bytes:
    if sys.stdin is None:
        raise UsageError("there is no standard input", hint)
    if sys.stdin.isatty():
        warn(f"reading {what} from standard input")
    return _limited(sys.stdin.buffer.read(max_bytes + 1), name, max_bytes)


def trust(file: Path) -> Trust:
    """The public keys that ``trust`` wrote."""
    from ..keys.trust import Trust

    try:
        return Trust.load(file)  # which reads no more than a limit
    except OSError as error:
        raise _unreadable("--trust", error) from None


def grants(file: Path | None) -> tuple[Condition, ...]:
    """The grants of a file, with its limits and approvals; none if there is no file."""
    from ..grants.grant_file.reader import read_conditions

    return () if file is None else read_conditions(_text(_read(file, "--grants", MAX_FILE), "--grants"))


def call(tool: str, arguments: str | None, file: Path | None, token: Path | None) -> Call:
    """The call: a tool, and JSON text that was typed or is in a file.

    What is typed shows in the process list, to every user of the machine. Standard input has the arguments
    only if the token is in a file.
    """
    from ..call.call import Call
    from ..call.canonical import MalformedError

    given: str | bytes = "{}" if arguments is None else arguments
    if file is not None:
        if arguments is not None:
            raise UsageError("the arguments are given twice", "give them as JSON or as --arguments FILE")
        if str(file) != "-":
            given = _read(file, "--arguments", MAX_FILE)
        elif token is None:
            raise UsageError(
                "--arguments: standard input is for the token", "name its file with --token FILE"
            )
        else:
            given = _standard_input(MAX_FILE, "--arguments")
    try:
        return Call.of(tool, given)
    except MalformedError as error:
        hint = """write the arguments as one JSON object: '{"to": "ana@acme.com"}'"""
        raise UsageError(f"the call: {error}", hint) from None


def public_key(text: str | None, option: str) -> PublicKey | None:
    """A holder's key, ``ed25519/<64 hex digits>``."""
    from ..keys.keys import PublicKey

    try:
        key = None if text is None else PublicKey.parse(text)
    except ValueError as error:
        raise UsageError(f"{option}: {error}", "hessra-agents keys new prints it") from None
    if key is not None and key.algorithm != "ed25519":
        raise UsageError(f"{option}: a holder's key is an Ed25519 key")
    return key


_DURATION = re.compile(r"(?:(\d{1,6})d)?(?:(\d{1,6})h)?(?:(\d{1,6})m)?(?:(\d{1,6})s)?", re.ASCII)


def duration(text: str, option: str) -> timedelta:
    """``90s``, ``10m``, ``1h30m``, ``2d``."""
    found = _DURATION.fullmatch(text)
    if not text or found is None:
        raise UsageError(f"{option}: is no length of time", "write 90s, 10m, 1h30m or 2d")
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)


def timestamp(text: str, option: str) -> datetime:
    """A moment with its time zone, ISO 8601."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.utcoffset() is None:
        raise UsageError(f"{option}: is no moment with a time zone", "write 2026-12-24T18:00:00Z")
    return found


def pairs(texts: Iterable[str], option: str) -> dict[str, str]:
    """Designations: ``label=value``, each label once."""
    found: dict[str, str] = {}
    for text in texts:
        label, equals, value = text.partition("=")
        if not (label and equals and value):
            raise UsageError(f"{option}: is written label=value")
        if label in found:
            raise UsageError(f"{option}: {label} is given twice")
        found[label] = value
    return found


def with_passphrase(use: Callable[[bytes | None], T], file: Path | None) -> T:
    """What ``use`` makes with a key: with the passphrase of the file, or asked for if it needs one."""
    from ..keys.keyfile import KeyFileError

    if file is not None:
        return use(_passphrase(file))
    try:
        return use(None)
    except KeyFileError as error:
        if not str(error).endswith("is sealed: give its passphrase"):
            raise
        given = _ask("passphrase: ")
        if given is None:
            raise UsageError(str(error), "--passphrase-file FILE, where there is no terminal") from None
    return use(given)


def new_passphrase(file: Path | None, *, without: bool) -> bytes | None:
    """The passphrase of a new key: from a file, or asked for twice; None only if that was said."""
    if file is not None and without:
        raise UsageError("--passphrase-file and --no-passphrase exclude each other")
    if without:
        return None
    if file is not None:
        return _passphrase(file)
    given = _ask("new passphrase: ")
    if given is None:
        hint = "--passphrase-file FILE, or --no-passphrase for a private key in the clear"
        raise UsageError("there is no terminal to ask for a passphrase", hint)
    if not given:
        raise UsageError(
            "an empty passphrase seals nothing", "--no-passphrase for a private key in the clear"
        )
    if _ask("the same again: ") != given:
        raise UsageError("these are two different passphrases")
    return given


def _passphrase(file: Path) -> bytes:
    data = _read(file, "--passphrase-file", MAX_PASSPHRASE + 2)
    found = data.removesuffix(b"\n").removesuffix(b"\r")
    if not found or b"\n" in found or b"\0" in found:
        raise UsageError("--passphrase-file: is not one line of text")
    about = file.stat()
    if stat.S_ISREG(about.st_mode) and about.st_mode & 0o077:
        warn("--passphrase-file: other users can read this file")
    return found


def _ask(prompt: str) -> bytes | None:
    """What the person types, unseen; None without a terminal. Standard input may carry the token."""
    import getpass

    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return None
    try:
        return os.fsencode(getpass.getpass(f"hessra-agents: {prompt}"))
    except EOFError:
        raise UsageError("no passphrase was given") from None


def _read(path: Path, option: str, max_bytes: int) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(max_bytes + 1)
    except OSError as error:
        raise _unreadable(option, error) from None
    return _limited(data, option, max_bytes)


def _unreadable(option: str, error: OSError) -> UsageError:
    # the path stays unsaid: it may be a secret that was given in place of a file
    return UsageError(f"{option}: {(error.strerror or 'cannot be read').lower()}")


def _limited(data: bytes, name: str, max_bytes: int) -> bytes:
    if len(data) > max_bytes:
        raise UsageError(f"{name}: is larger than {max_bytes} bytes")
    return data


def _text(data: bytes, name: str) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise UsageError(f"{name}: is not text in utf-8") from None
