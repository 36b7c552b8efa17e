"""The commands ``mcp``: stand in front of a server, inspect a server, learn what a session needs."""

from __future__ import annotations

import os
import re
from collections.abc import Awaitable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .. import inputs
from ..bound_capability import BoundCapability
from ..ledger_location import serving_ledger
from ..options import Audience, Designations, Json, LedgerOptions, MaybeGrants, Passphrase, Trust, with_ledger
from ..terminal import REFUSED, CommandResult, UsageError, warn

if TYPE_CHECKING:
    from ...ledger import Ledger
    from ...mcp.authorization.authorizer import RequestAuthorizer
    from ...mcp.authorization.denials import DenialFormat
    from ...mcp.authorization.pins import Pins
    from ...mcp.proxy.stdio import SupportsAuthorize

__all__ = ["inspect", "learn", "proxy"]

PATH = "/mcp"

Command = Annotated[
    list[str] | None,
    typer.Argument(metavar="-- COMMAND ...", help="The server's command.", show_default=False),
]
Timeout = Annotated[
    str, typer.Option("--timeout", metavar="TIME", help="How long a request may go unanswered: 90s, 5m.")
]
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
    exit code is the server's own; 128 + n if a signal ended it.

    With --ledger used limits, revocations and a record of every call outlive the proxy, and are shared with
    all guards on that ledger. Without it they are in the proxy's memory.
    """  # noqa: D301 -- \b keeps lines apart in the help
    bound = BoundCapability(capability, capability_env, capability_keyring, key, passphrase_file, ttl, grants)
    options = {
        "timeout": _seconds(timeout),
        "max_answer": _size(max_answer),
        "denial_format": _denial_format(denial_format),
    }
    with serving_ledger(ledger.optional_location()) as memory:
        gate = _gate(bound, trust, audience, designations, pins, allow_bearer_over_http, memory)
        if listen is not None:
            return _serve_http(gate, listen, upstream, command, host, origin, options)
        if upstream is not None or host or origin:
            raise UsageError("--upstream, --host and --origin are for HTTP: add --listen HOST:PORT")
        return _serve_stdio(gate, _given(command), options)


def _serve_http(
    gate: RequestAuthorizer,
    listen: str,
    upstream: str | None,
    command: list[str] | None,
    host: list[str],
    origin: list[str],
    options: dict[str, Any],
) -> int:
    from ...mcp.proxy.http_app import LOOPBACK
    from ..serving import address, serve

    where = address(listen, host)
    options = {**options, "hosts": (*LOOPBACK, *host), "origins": origin, "path": PATH}
    if upstream is None:
        from mcp import StdioServerParameters

        from ...mcp.proxy.process_upstream import proxy_process

        program, *rest = _given(command)
        server = StdioServerParameters(command=program, args=rest, env=dict(os.environ))
        app = proxy_process(gate, server, **options)
    elif command:
        raise UsageError("give either --upstream or a command, not both")
    else:
        from ...mcp.proxy.http_upstream import proxy_http

        app = proxy_http(gate, upstream, **options)
    return serve(app, *where, PATH)


def inspect(
    command: Command = None,
    url: Annotated[
        str | None, typer.Option("--url", metavar="URL", help="The server's URL, in place of a command.")
    ] = None,
    pins: Annotated[
        Path | None,
        typer.Option("--pins", metavar="FILE", help="Compare with approved definitions, or write them."),
    ] = None,
    approve: Annotated[
        bool, typer.Option("--approve", help="Approve the definitions as they are now, and write them.")
    ] = False,
    timeout: Timeout = "30s",
    json: Json = False,
) -> CommandResult:
    """Inspect an MCP server; print a grant file to start from.

    The file names every argument of every tool; write a constraint in place of each CHOOSE, and delete what
    is not needed. With --pins the tools' definitions are approved, if the pins file is new; later the command
    prints what has changed (exit code 1).
    """
    from ...mcp.discovery.survey import Survey
    from ...mcp.discovery.template import grant_template
    from ..serving import run

    if (url is None) == (not command):
        raise UsageError("give the server's command after --, or its URL with --url")
    if approve and pins is None:
        raise UsageError("--approve requires --pins FILE")
    seconds = _seconds(timeout)

    def survey() -> Awaitable[Survey]:
        if url is not None:
            return Survey.of_url(url, seconds=seconds)
        return Survey.of_command(_given(command), seconds=seconds, on_stderr=_on_stderr)

    found = run(survey)
    if isinstance(found, int):
        raise typer.Exit(found)  # a signal
    text = grant_template(found.server, found.tools, found.resources, found.prompts)
    code = 0 if pins is None else _pinned(pins, found.server, found.tools, approve=approve)
    seen = {"tools": found.tools, "resources": found.resources, "prompts": found.prompts}
    fields = {"server": found.server, **seen, "grants": text}
    return CommandResult(fields, [(0, line) for line in text.splitlines()], code=code, as_json=json)


def learn(
    out: Annotated[
        Path, typer.Option("--out", metavar="FILE", help="Write the grants here.", show_default=False)
    ],
    command: Command = None,
    timeout: Timeout = "5m",
) -> int:
    """Watch an MCP session; propose the narrowest grants for it.

    While the command learns, nothing is refused. A person must read the proposed grants: that a session made
    a call is no proof that the call was right.
    """
    from ...mcp.discovery.recorder import CallRecorder
    from ...mcp.discovery.suggest import suggest_grants

    words = _given(command)
    seconds = _seconds(timeout)
    try:
        file = out.open("x", encoding="utf-8")
    except OSError as error:
        raise inputs.os_fault("--out", error, "cannot be written") from None
    warn("LEARNING: NOTHING IS REFUSED, every call reaches the server")
    recorder = CallRecorder()
    with file:
        try:
            return _serve_stdio(recorder, words, {"timeout": seconds, "on_stderr": _on_stderr})
        finally:
            file.write(suggest_grants(recorder.calls))
            warn(f"{len(recorder.calls)} calls were seen: read the proposed grants before you issue them")


def _serve_stdio(gate: SupportsAuthorize, command: list[str], options: dict[str, Any]) -> int:
    import sys

    from ...mcp.proxy.stdio import proxy_stdio
    from ..serving import run

    if sys.stdin is None or sys.stdout is None:
        raise UsageError("the client's standard input or output is missing")
    return run(lambda: proxy_stdio(gate, command, **options))


def _on_stderr(line: str) -> None:
    """Print a line of a server's standard error in our own form, so that the server cannot pose as us."""
    warn(f"server: {line}")


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
    return RequestAuthorizer(
        guard, default_toolbox=toolbox, allow_bearer_over_http=allow_bearer_over_http, pins=_read(pins)
    )


def _read(pins: Path | None) -> Pins | None:
    from ...mcp.authorization.pins import Pins

    try:
        return None if pins is None else Pins.load(pins)
    except OSError as error:
        raise inputs.os_fault("--pins", error) from None


def _pinned(file: Path, server: str, tools: list[dict[str, object]], *, approve: bool) -> int:
    """Compare with the approved definitions, or approve these, and return the exit code."""
    from ...mcp.authorization.pins import Pins

    now = Pins.of(server, tools)
    if file.exists():
        known = _read(file)
        changes = known.changes(tools) if known is not None else None
        if not changes:
            return 0
        for what in ("new", "changed", "gone"):
            for name in getattr(changes, what):
                warn(f"{what}: {name!r}")
        if not approve:
            warn("hint: these tools are refused until they are approved: read them, then use --approve")
            return REFUSED
    try:
        now.save(file)
    except OSError as error:
        raise inputs.os_fault("--pins", error, "cannot be written") from None
    warn(f"{len(now.digests)} tools are approved with their current definitions")
    return 0


def _given(command: list[str] | None) -> list[str]:
    if not command:
        raise UsageError("no server is given", "write its command after --")
    return command


def _seconds(text: str) -> float:
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
