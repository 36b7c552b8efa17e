"""Read a command's input: tokens, proofs, passphrases, files and option values.

Any fault in the input raises `UsageError` (or another ValueError), which names the option and never repeats
a value that may be secret.
"""

from __future__ import annotations

import codecs
import os
import re
import stat
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

from ..grants.durations import parse_duration
from .terminal import UsageError, warn

if TYPE_CHECKING:
    from ..call.call import Call
    from ..grants.conditions import Condition
    from ..keys.keys import KeyPair, PublicKey
    from ..keys.trust import Trust

T = TypeVar("T")

MAX_INPUT = 1 << 16
"""The most bytes of a token and its proof; a token alone has at most 22,000."""

MAX_FILE = 1 << 20
MAX_PASSPHRASE = 1023


def now() -> int:
    """Return the Unix time in seconds by this machine's clock."""
    return int(time.time())


def token(file: Path | None) -> str:
    """Return the only line of the file, or of standard input."""
    return _lines(file, 1)[0]


def token_and_proof(file: Path | None, proof_file: Path | None) -> tuple[str, str | None]:
    """Return the token, and the proof from its own file or from the line after the token."""
    if proof_file is not None:
        return token(file), read_text(proof_file, "--proof", MAX_INPUT).strip()
    first, *rest = _lines(file, 2)
    return first, rest[0] if rest else None


def _lines(file: Path | None, max_lines: int) -> list[str]:
    """Return the non-empty lines of the file, or of standard input."""
    if file is not None:
        name, hint, data = "--token", "", _read(file, "--token", MAX_INPUT)
    else:
        name, hint = "standard input", "pipe a token in, or give --token FILE"
        data = _standard_input(MAX_INPUT, name, "a token", hint)
    found = [line.strip() for line in _text(data, name).splitlines() if line.strip()]
    if not found:
        raise UsageError(f"{name}: no token found", hint)
    if len(found) > max_lines:
        expected = "one line, the token" if max_lines == 1 else "at most two, the token and its proof"
        raise UsageError(f"{name}: {len(found)} lines found, expected {expected}")
    return found


def _standard_input(max_bytes: int, name: str, what: str = "the arguments", hint: str = "") -> bytes:
    if sys.stdin is None:
        raise UsageError("there is no standard input", hint)
    if sys.stdin.isatty():
        warn(f"reading {what} from standard input")
    return _limited(sys.stdin.buffer.read(max_bytes + 1), name, max_bytes)


def trust(file: Path) -> Trust:
    """Read the public root keys that ``hessra-agents trust`` wrote."""
    from ..keys.trust import Trust

    try:
        return Trust.load(file)  # reads a bounded number of bytes
    except ValueError as error:
        if isinstance(error.__cause__, OSError):
            raise os_fault("--trust", error.__cause__) from None
        raise


def grants(file: Path | None) -> tuple[Condition, ...]:
    """Read the grants of a file, with its limits and approvals; without a file, return none."""
    from ..grants.grant_file.reader import read_conditions

    return () if file is None else read_conditions(read_text(file, "--grants", MAX_FILE))


def call(tool: str, arguments: str | None, file: Path | None, token: Path | None) -> Call:
    """Return the call of a tool with JSON arguments from the command line or a file.

    Arguments on the command line are visible to every user of the machine, in the process list. Standard
    input can carry the arguments only if the token is in a file.
    """
    from ..call.call import Call
    from ..call.canonical import MalformedError

    given: str | bytes = "{}" if arguments is None else arguments
    if file is not None:
        if arguments is not None:
            raise UsageError("the arguments are given twice", "give either JSON or --arguments FILE")
        if str(file) != "-":
            given = _read(file, "--arguments", MAX_FILE)
        elif token is None:
            raise UsageError("--arguments: standard input carries the token", "give --token FILE")
        else:
            given = _standard_input(MAX_FILE, "--arguments")
    try:
        return Call.of(tool, given)
    except MalformedError as error:
        hint = """write the arguments as one JSON object: '{"to": "ana@acme.com"}'"""
        raise UsageError(f"the call: {error}", hint) from None


def public_key(text: str | None, option: str) -> PublicKey | None:
    """Parse a holder's public key, ``ed25519/<64 hex digits>``."""
    from ..keys.keys import PublicKey

    try:
        key = None if text is None else PublicKey.parse(text)
    except ValueError as error:
        raise UsageError(f"{option}: {error}", "hessra-agents keys new prints it") from None
    if key is not None and key.algorithm != "ed25519":
        raise UsageError(f"{option}: a holder's key must be an Ed25519 key")
    return key


def public_keys(texts: Iterable[str], option: str) -> list[PublicKey] | None:
    """Parse the public keys of an option that may be repeated; None if it is not given."""
    keys = [public_key(text, option) for text in texts]
    return [key for key in keys if key is not None] or None


def people(file: Path | None) -> dict[str, str]:
    """Read the names of public keys from a TOML file of lines ``ana = "ed25519/..."``; return them by key."""
    import tomllib

    if file is None:
        return {}
    try:
        read = tomllib.loads(read_text(file, "--people", MAX_FILE))
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"--people: this is not TOML: {error}") from None
    names: dict[str, str] = {}
    for name, text in read.items():
        key = public_key(text, f"--people: {name}") if isinstance(text, str) else None
        if key is None:
            raise UsageError(f"--people: {name}: must be a public key", 'write ana = "ed25519/..."')
        if str(key) in names:
            raise UsageError(f"--people: {name} and {names[str(key)]} are the same key")
        names[str(key)] = name
    return names


_HEADER = re.compile(r"([A-Za-z0-9!#$%&'*+.^_`|~-]+):[ \t]*([!-~](?:[ -~]*[!-~])?)")
_OURS = re.compile(
    r"accept|accept-encoding|connection|content-.*|host|mcp-.*|te|trailer|transfer-encoding|upgrade"
)


def http_headers(file: Path | None, option: str) -> dict[str, str]:
    """Read the HTTP headers that a server wants, such as a key: ``Name: value`` lines; without a file, none.

    Raises:
        UsageError: a line is not a header, or sets one that the protocol uses itself.
    """
    found: dict[str, str] = {}
    text = "" if file is None else read_text(file, option, MAX_INPUT, secret=True)
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        header = _HEADER.fullmatch(line.strip())
        if header is None:
            raise UsageError(f"{option}: line {number} is not written Name: value")
        name = header[1].lower()
        if _OURS.fullmatch(name):
            raise UsageError(f"{option}: line {number} sets {name}, which the proxy sets itself")
        if name in found:
            raise UsageError(f"{option}: line {number} gives {name} again")
        found[name] = header[2]
    return found


def server_url(text: str, option: str) -> str:
    """Return the URL of a server, which contains no password: other users see a command's arguments.

    Raises:
        UsageError: it is not a URL of HTTP, or contains a user's name or a password.
    """
    try:
        parts = urlsplit(text)
        good, user = parts.scheme in ("http", "https") and bool(parts.hostname), "@" in parts.netloc
    except ValueError:
        good, user = False, False
    if user:
        raise UsageError(
            f"{option}: contains a user or a password, which other users can see there: change the password",
            "write a line such as Authorization: Bearer ... to a file, and give --upstream-header-file FILE",
        )
    if not good:
        raise UsageError(f"{option}: must be a URL that begins with http:// or https://")
    return text


def web_origin(text: str, option: str) -> str:
    """Return the origin of a web page, as a browser writes it: any other spelling would match no page.

    Raises:
        UsageError: the text is not an origin.
    """
    try:
        parts, standard = urlsplit(text), {"http": 80, "https": 443}
        good = text == f"{parts.scheme}://{parts.netloc}".lower() and "@" not in text and bool(parts.hostname)
        good = good and parts.scheme in standard and parts.port != standard[parts.scheme]
    except ValueError:
        good = False
    if not good:
        hint = "write it as a browser does, such as https://desk.example or http://localhost:3000"
        raise UsageError(f"{option}: not the origin of a web page", hint)
    return text


def duration(text: str, option: str) -> timedelta:
    """Parse a duration: ``90s``, ``10m``, ``1h30m``, ``2d``."""
    try:
        return parse_duration(text)
    except ValueError as error:
        raise UsageError(f"{option}: {error}") from None


def timestamp(text: str, option: str, *, ago: bool = True) -> datetime:
    """Parse a time: RFC 3339 with a zone, a date (its first moment in UTC), or ``2h``, so long ago.

    Args:
        ago: False where a duration could be read as one from now on: it is then refused.
    """
    with suppress(ValueError, OverflowError):
        if re.fullmatch(r"\d{4}-\d\d-\d\d", text, re.ASCII):
            return datetime.fromisoformat(text).replace(tzinfo=UTC)
        if ago and text[-1:] in {"d", "h", "m", "s"}:
            return datetime.fromtimestamp(now(), UTC) - parse_duration(text)
        found = datetime.fromisoformat(text)
        if found.utcoffset() is not None:
            return found
    forms = "2026-12-24T18:00:00Z, or 2026-12-24 in UTC" + (", or as a time ago: 90m, 2h, 7d" if ago else "")
    raise UsageError(f"{option}: not a time with a time zone", f"write it as {forms}")


def pairs(texts: Iterable[str], option: str) -> dict[str, str]:
    """Parse ``label=value`` pairs, each label once."""
    found: dict[str, str] = {}
    for text in texts:
        label, equals, value = text.partition("=")
        if not (label and equals and value):
            raise UsageError(f"{option}: must be written label=value")
        if label in found:
            raise UsageError(f"{option}: {label} is given twice")
        found[label] = value
    return found


def key_pair(path: Path, passphrase_file: Path | None) -> KeyPair:
    """Read a private key; its passphrase comes from the file, or is asked for if the key needs one."""
    from ..keys.keys import KeyPair

    return with_passphrase(lambda secret: KeyPair.load(path, passphrase=secret), passphrase_file)


def with_passphrase(use: Callable[[bytes | None], T], file: Path | None) -> T:
    """Return what ``use`` returns, given the passphrase: from the file, or asked for if it is needed."""
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
            raise UsageError(str(error), "where there is no terminal, give --passphrase-file FILE") from None
    return use(given)


def new_passphrase(file: Path | None, *, without: bool) -> bytes | None:
    """Return the passphrase of a new key, from a file or asked for twice; None only if ``without``."""
    if file is not None and without:
        raise UsageError("give either --passphrase-file or --no-passphrase, not both")
    if without:
        return None
    if file is not None:
        return _passphrase(file)
    given = _ask("new passphrase: ")
    if given is None:
        hint = "give --passphrase-file FILE, or --no-passphrase for an unencrypted key"
        raise UsageError("no terminal to ask for a passphrase", hint)
    if not given:
        raise UsageError("an empty passphrase protects nothing", "give --no-passphrase to have none")
    if _ask("repeat the passphrase: ") != given:
        raise UsageError("the passphrases differ")
    return given


def _passphrase(file: Path) -> bytes:
    data = _read(file, "--passphrase-file", MAX_PASSPHRASE + 2, secret=True)
    found = data.removesuffix(b"\n").removesuffix(b"\r")
    if not found or b"\n" in found or b"\0" in found:
        raise UsageError("--passphrase-file: must be one line of text")
    return found


def _ask(prompt: str) -> bytes | None:
    """Return what the person types, unechoed; None without a terminal. Standard input may be the token."""
    import getpass

    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return None
    try:
        return os.fsencode(getpass.getpass(f"hessra-agents: {prompt}"))
    except EOFError:
        raise UsageError("no passphrase was given") from None


def read_text(path: Path, option: str, max_bytes: int, *, secret: bool = False) -> str:
    """Read a text file; if it holds a secret, warn when other users can read it.

    Raises:
        UsageError: the file cannot be read, is too large, or is not UTF-8.
    """
    return _text(_read(path, option, max_bytes, secret=secret), option)


def os_fault(option: str, error: OSError, otherwise: str = "cannot be read") -> UsageError:
    """Return an operating system's error as a fault of this option.

    It does not show the path: that may be a secret, given by mistake in place of a file.
    """
    return UsageError(f"{option}: {(error.strerror or otherwise).lower()}")


def _read(path: Path, option: str, max_bytes: int, *, secret: bool = False) -> bytes:
    try:
        with path.open("rb") as file:
            data, mode = file.read(max_bytes + 1), os.fstat(file.fileno()).st_mode
    except OSError as error:
        raise os_fault(option, error) from None
    if secret and stat.S_ISREG(mode) and mode & 0o077:
        warn(f"{option}: other users can read this file: run chmod 600 on it")
    return _limited(data, option, max_bytes)


def _limited(data: bytes, name: str, max_bytes: int) -> bytes:
    if len(data) > max_bytes:
        raise UsageError(f"{name}: larger than {max_bytes} bytes")
    if data.startswith((codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        hint = "in PowerShell: Out-File -Encoding utf8NoBOM"
        raise UsageError(f"{name}: begins with a byte order mark: save it as UTF-8 without one", hint)
    return data


def _text(data: bytes, name: str) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise UsageError(f"{name}: not valid UTF-8") from None
