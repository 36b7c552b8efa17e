"""The commands ``mcp proxy`` and ``mcp learn``: stand in front of a server, learn what a session needs."""

from __future__ import annotations

import os
import re
import select
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .. import inputs
from ..bound_capability import BoundCapability
from ..ledger_location import serving_ledger
from ..options import Audience, Designations, LedgerOptions, MaybeGrants, Passphrase, Trust, with_ledger
from ..server_environment import server_environment
from ..terminal import UsageError, warn

if TYPE_CHECKING:
    from ...call.call import Call
    from ...grants.grants import Grant
    from ...guard.trust_file import TrustFollower
    from ...ledger import Ledger
    from ...mcp.authorization.authorizer import RequestAuthorizer
    from ...mcp.authorization.denials import DenialFormat
    from ...mcp.authorization.pins import Pins
    from ...mcp.proxy.stdio import SupportsAuthorize

__all__ = [
    "Command",
    "HeaderFile",
    "Timeout",
    "given",
    "learn",
    "on_stderr",
    "proxy",
    "read_pins",
    "seconds",
    "write_file",
]

PATH = "/mcp"

Command = Annotated[
    list[str] | None,
    typer.Argument(metavar="-- COMMAND ...", help="The server's command.", show_default=False),
]
Timeout = Annotated[
    str, typer.Option("--timeout", metavar="TIME", help="How long a request may go unanswered: 90s, 5m.")
]
HeaderFile = Annotated[
    Path | None,
    typer.Option(
        "--upstream-header-file",
        metavar="FILE",
        help="HTTP headers for the server at the URL, such as its key: `Name: value` lines, mode 600.",
    ),
]
_SHOWN = 900
"""Characters of a line of the server's standard error."""

_UNITS = {"": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}


@with_ledger
def proxy(
    ledger: LedgerOptions,
    trust: Trust,
    audience: Audience,
    command: Command = None,
    listen: Annotated[
        str | None,
        typer.Option("--listen", metavar="HOST:PORT", help="Serve clients over HTTP, at the path /mcp."),
    ] = None,
    upstream: Annotated[
        str | None,
        typer.Option("--upstream", metavar="URL", help="The server's URL, in place of a command."),
    ] = None,
    upstream_header_file: HeaderFile = None,
    host: Annotated[
        list[str],
        typer.Option("--host", metavar="NAME", help="With --listen: a host name that clients use."),
    ] = [],  # noqa: B006 -- typer reads it and never changes it
    origin: Annotated[
        list[str],
        typer.Option(
            "--origin", metavar="URL", help="With --listen: the origin of a web page that may call it."
        ),
    ] = [],  # noqa: B006
    capability: Annotated[
        Path | None,
        typer.Option("--capability", metavar="FILE", help="The capability for clients that send none."),
    ] = None,
    capability_env: Annotated[
        str | None,
        typer.Option(
            "--capability-env",
            metavar="NAME",
            help="The same from an environment variable. Other programs of this user can read it there: a "
            "file of mode 600 is better.",
        ),
    ] = None,
    capability_keyring: Annotated[
        str | None,
        typer.Option(
            "--capability-keyring", metavar="SERVICE/USER", help="The same from the system's keyring."
        ),
    ] = None,
    key: Annotated[
        Path | None,
        typer.Option("--key", metavar="FILE", help="The private key of that capability's holder."),
    ] = None,
    passphrase_file: Passphrase = None,
    ttl: Annotated[
        str | None,
        typer.Option("--ttl", metavar="TIME", help="How long that capability serves. Default: 8h."),
    ] = None,
    grants: MaybeGrants = None,
    pins: Annotated[
        Path | None,
        typer.Option("--pins", metavar="FILE", help="Approved definitions, written by `mcp inspect --pins`."),
    ] = None,
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            "--checkpoint",
            metavar="FILE",
            help="Earlier checkpoints of the ledger, written by `log checkpoints`: its logs must hold them.",
        ),
    ] = None,
    timeout: Timeout = "5m",
    max_answer: Annotated[
        str,
        typer.Option(
            "--max-answer", metavar="SIZE", help="The largest message of the server: bytes, 512KiB, 64MiB."
        ),
    ] = "64MiB",
    denial_format: Annotated[
        str,
        typer.Option(
            "--denial-format", metavar="FORMAT", help="result, error, or unknown, which hides other tools."
        ),
    ] = "result",
    allow_bearer_over_http: Annotated[
        bool,
        typer.Option("--allow-bearer-over-http", help="Accept capabilities without a holder over HTTP."),
    ] = False,
    designations: Designations = [],  # noqa: B006
) -> int:
    """Guard an MCP server: pass on the calls that a capability permits.

    \b
      hessra-agents mcp proxy --trust trust.json --audience files -- npx some-server /srv/data
      hessra-agents mcp proxy ... --listen 127.0.0.1:8765 -- npx some-server /srv/data
      hessra-agents mcp proxy ... --listen 127.0.0.1:8765 --upstream http://127.0.0.1:9000/mcp

    Clients send a capability, and the holder's proof, with each request. Clients that cannot are served with
    --capability, narrowed by --grants and --ttl: every client that can reach the proxy can then use it. The
    exit code is the server's own; 128 + n if a signal ended it. A change of the --trust file is in force
    within a second, and at SIGHUP where no terminal started the proxy.

    With --ledger used limits, revocations and a record of every call outlive the proxy, and are shared with
    all guards on that ledger. Without it they are in the proxy's memory.

    A server's key never belongs on the command line: write it to the file of --upstream-header-file.
    """  # noqa: D301 -- \b keeps lines apart in the help
    bound = BoundCapability(capability, capability_env, capability_keyring, key, passphrase_file, ttl, grants)
    options = {
        "timeout": seconds(timeout),
        "max_answer": _size(max_answer),
        "denial_format": _denial_format(denial_format),
    }
    if upstream is None and upstream_header_file is not None:
        raise UsageError("--upstream-header-file is for --upstream: a command has an environment")
    headers = inputs.http_headers(upstream_header_file, "--upstream-header-file")
    with serving_ledger(ledger.optional_location(), checkpoint) as memory:
        gate = _gate(bound, trust, audience, designations, pins, allow_bearer_over_http, memory)
        follower = gate.guard.follow_trust(trust)
        if listen is not None:
            return _serve_http(gate, follower, listen, upstream, headers, command, host, origin, options)
        if upstream is not None or host or origin:
            raise UsageError("--upstream, --host and --origin are for HTTP: add --listen HOST:PORT")
        return _serve_stdio(gate, given(command), {**options, "on_stderr": on_stderr}, follower)


def _serve_http(
    gate: RequestAuthorizer,
    follower: TrustFollower,
    listen: str,
    upstream: str | None,
    headers: dict[str, str],
    command: list[str] | None,
    host: list[str],
    origin: list[str],
    options: dict[str, Any],
) -> int:
    from ...mcp.proxy.http_app import LOOPBACK
    from ..serving import address, serve

    where = address(listen, host)
    origins = [inputs.web_origin(one, "--origin") for one in origin]
    options = {**options, "hosts": (*LOOPBACK, *host), "origins": origins, "path": PATH}
    if upstream is None:
        from mcp import StdioServerParameters

        from ...mcp.proxy.process_upstream import proxy_process

        program, *rest = given(command)
        server = StdioServerParameters(command=program, args=rest, env=server_environment())
        app = proxy_process(gate, server, **options, on_stderr=on_stderr)
    elif command:
        raise UsageError("give either --upstream or a command, not both")
    else:
        from ...mcp.proxy.http_upstream import proxy_http

        url = inputs.server_url(upstream, "--upstream")
        app = proxy_http(gate, url, **options, headers=headers)
    return serve(app, *where, PATH, bound=gate.bound, follower=follower)


def learn(
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            metavar="FILE",
            help="Write the grants here, behind those it has.",
            show_default=False,
        ),
    ],
    command: Command = None,
    timeout: Timeout = "5m",
) -> int:
    """Watch an MCP session; propose the narrowest grants for it.

    While the command learns, nothing is refused. A person must read the proposed grants: that a session made
    a call is no proof that the call was right. Calls that the server itself refused are left out. In a file
    of grants that is there already, the command adds what they do not allow.
    """
    from ...mcp.discovery.recorder import CallRecorder

    words = given(command)
    options = {"timeout": seconds(timeout), "on_stderr": on_stderr}
    write_file("--out", lambda: os.close(os.open(out, os.O_WRONLY | os.O_CREAT, 0o600)))
    _learned(out)  # a file that cannot be read is told before the session, not behind it
    warn("LEARNING: NOTHING IS REFUSED, every call reaches the server")
    recorder = CallRecorder()
    try:
        return _serve_stdio(recorder, words, options)
    finally:
        count = _add_grants(out, recorder.calls)
        failed = f"; {recorder.failed} that the server refused are left out" if recorder.failed else ""
        warn(f"{len(recorder.calls)} calls were seen, {count} of them new{failed}")
        warn("read the proposed grants before you issue them")


def _add_grants(out: Path, calls: list[Call]) -> int:
    """Write grants for the calls that the file does not allow, and return how many these are."""
    from ...files import replace_file
    from ...mcp.discovery.suggest import not_allowed, suggest_grants

    text, known = _learned(out)
    missing = not_allowed(calls, known)
    if missing:
        made = suggest_grants(missing, more=bool(known))
        whole = f"{text.rstrip()}\n\n{made}".lstrip()
        write_file("--out", lambda: replace_file(out, whole.encode(), mode=0o600))
    return len(missing)


def _learned(out: Path) -> tuple[str, tuple[Grant, ...]]:
    """Return what is in a file of grants, and the grants; a file without any is a beginning."""
    from ...grants.grant_file.reader import read_grants

    text = inputs.read_text(out, "--out", inputs.MAX_FILE, secret=True)
    try:
        return text, read_grants(text) if re.search(r"^[^#\s]", text, re.MULTILINE) else ()
    except ValueError as error:
        raise UsageError(f"--out: {error}") from None


def write_file(option: str, write: Callable[[], object]) -> None:
    """Write the file that an option names.

    Raises:
        UsageError: the file cannot be written.
    """
    try:
        write()
    except OSError as error:
        raise inputs.os_fault(option, error, "cannot be written") from None


def _serve_stdio(
    gate: SupportsAuthorize,
    command: list[str],
    options: dict[str, Any],
    follower: TrustFollower | None = None,
) -> int:
    from ...mcp.proxy.stdio import proxy_stdio
    from ..serving import run

    if sys.stdin is None or sys.stdout is None:
        raise UsageError("the client's standard input or output is missing")
    return run(lambda: proxy_stdio(gate, command, env=server_environment(), **options), follower=follower)


def on_stderr(line: str) -> None:
    """Print a line of a server's standard error in our own form, so that the server cannot pose as us.

    A line that nobody takes is lost: to wait until it is read would hold up every call.
    """
    with suppress(OSError, ValueError, TypeError):  # no standard error, or none that can be waited for
        if not select.select([], [sys.stderr], [], 0)[1]:
            return
    # what is ready takes 4 KiB without waiting (POSIX, PIPE_BUF)
    rest = f"... ({len(line) - _SHOWN} more characters)" if len(line) > _SHOWN else ""
    warn(f"server: {line[:_SHOWN]}{rest}")


def _gate(
    bound: BoundCapability,
    trust: Path,
    audience: str,
    designations: list[str],
    pins: Path | None,
    allow_bearer_over_http: bool,
    ledger: Ledger,
) -> RequestAuthorizer:
    from ...guard.guard import Guard
    from ...mcp.authorization.authorizer import RequestAuthorizer

    stated = inputs.pairs(designations, "--designation")
    guard = Guard(inputs.trust(trust), audience=audience, ledger=ledger, designations=stated)
    toolbox = bound.toolbox(guard)
    pinned = None if pins is None else read_pins(pins)
    return RequestAuthorizer(
        guard, default_toolbox=toolbox, allow_bearer_over_http=allow_bearer_over_http, pins=pinned
    )


def read_pins(file: Path) -> Pins:
    """Read a file of pins.

    Raises:
        UsageError: it cannot be read.
    """
    from ...mcp.authorization.pins import Pins

    try:
        return Pins.load(file)
    except OSError as error:
        raise inputs.os_fault("--pins", error) from None


def given(command: list[str] | None) -> list[str]:
    """Return the command of a server; raise UsageError if there is none."""
    if not command:
        raise UsageError("no server is given", "write its command after --")
    return command


def seconds(text: str) -> float:
    """Return the seconds of a timeout; raise UsageError if it is none."""
    found = inputs.duration(text, "--timeout").total_seconds()
    if not found:
        raise UsageError("--timeout: must be longer than zero")
    return found


def _size(text: str) -> int:
    """Return a number of bytes that is written as ``67108864`` or ``64MiB``."""
    found = re.fullmatch(r"([1-9][0-9]{0,11}) ?(|KiB|MiB|GiB)", text, re.ASCII)
    if found is None:
        raise UsageError("--max-answer: must be a size such as 64MiB, or a number of bytes")
    return int(found[1]) * _UNITS[found[2]]


def _denial_format(text: str) -> DenialFormat:
    from ...mcp.authorization.denials import DenialFormat

    try:
        return DenialFormat(text)
    except ValueError:
        raise UsageError(f"--denial-format: must be one of {', '.join(DenialFormat)}") from None
