"""The commands ``mcp``: stand in front of a server, look at one, learn what a session needs."""

from __future__ import annotations

import os
from collections.abc import Awaitable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .. import inputs
from ..bound_capability import BoundCapability
from ..ledger_location import optional_ledger_location, serving_ledger
from ..options import (
    Audience,
    Designations,
    Json,
    LedgerAddress,
    LedgerFile,
    MaybeGrants,
    Passphrase,
    State,
    Trust,
)
from ..terminal import REFUSED, CommandResult, UsageError, warn

if TYPE_CHECKING:
    from ...ledger import Ledger
    from ...mcp.authorization.authorizer import RequestAuthorizer
    from ...mcp.authorization.denials import DenialFormat
    from ...mcp.authorization.pins import Pins
    from ...mcp.proxy.stdio import SupportsAuthorize
    from ...mcp.transport.stdio import Aside

__all__ = ["inspect", "learn", "proxy"]

PATH = "/mcp"

Command = Annotated[
    list[str] | None,
    typer.Argument(metavar="-- COMMAND ...", help="The server's command.", show_default=False),
]
Timeout = Annotated[str, typer.Option("--timeout", metavar="TIME", help="How long an answer may take.")]


def proxy(
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
        typer.Option("--host", metavar="NAME", help="With --listen: a name by which others reach it."),
    ] = [],  # noqa: B006 -- typer's way; nobody changes it
    origin: Annotated[
        list[str],
        typer.Option("--origin", metavar="URL", help="With --listen: a web page's origin that may use it."),
    ] = [],  # noqa: B006
    capability: Annotated[
        Path | None,
        typer.Option(
            "--capability", metavar="FILE", help="Serve clients that send no capability with this one."
        ),
    ] = None,
    capability_env: Annotated[
        str | None,
        typer.Option(
            "--capability-env",
            metavar="NAME",
            help="The same, from an environment variable; programs of the same user can read it there while "
            "the proxy runs, so a file of mode 600 is better.",
        ),
    ] = None,
    capability_keyring: Annotated[
        str | None,
        typer.Option(
            "--capability-keyring", metavar="SERVICE/USER", help="The same, from the system's keyring."
        ),
    ] = None,
    key: Annotated[
        Path | None,
        typer.Option("--key", metavar="FILE", help="The private key of that capability's holder."),
    ] = None,
    passphrase_file: Passphrase = None,
    ttl: Annotated[
        str | None,
        typer.Option("--ttl", metavar="TIME", help="That capability serves for so long: 8h if left out."),
    ] = None,
    grants: MaybeGrants = None,
    pins: Annotated[
        Path | None,
        typer.Option(
            "--pins", metavar="FILE", help="Approved definitions, as `mcp inspect --pins` writes them."
        ),
    ] = None,
    timeout: Timeout = "5m",
    refusals: Annotated[
        str,
        typer.Option(
            "--refusals", metavar="FORM", help="result, error, or unknown, which tells of no other tools."
        ),
    ] = "result",
    bearer_over_http: Annotated[
        bool, typer.Option("--bearer-over-http", help="Take capabilities without a holder over HTTP.")
    ] = False,
    designations: Designations = [],  # noqa: B006
    ledger: LedgerAddress = None,
    ledger_file: LedgerFile = None,
    state: State = None,
) -> int:
    """Stand in front of an MCP server; a call goes through if a capability permits it.

    \b
      hessra-agents mcp proxy --trust trust.json --audience files -- npx some-server /srv/data
      hessra-agents mcp proxy ... --listen 127.0.0.1:8765 -- npx some-server /srv/data
      hessra-agents mcp proxy ... --listen 127.0.0.1:8765 --upstream http://127.0.0.1:9000/mcp

    Clients send a capability, and the holder's proof, with each request. Those that cannot are served with
    --capability, narrowed by --grants and --ttl: whoever can reach the proxy then has it. The exit code is
    the server's own; 128 + n if a signal ended it.

    With --ledger what was used, what is revoked and a record of every call outlive the proxy, and are shared
    with all guards on that ledger. Without it they are in its memory.
    """  # noqa: D301 -- \b keeps lines apart in the help
    bound = BoundCapability(capability, capability_env, capability_keyring, key, passphrase_file, ttl, grants)
    form, seconds = _form(refusals), _seconds(timeout)
    with serving_ledger(optional_ledger_location(ledger, ledger_file, state)) as memory:
        gate = _gate(bound, trust, audience, designations, pins, bearer_over_http, memory)
        return _served(gate, listen, upstream, command, host, origin, seconds, form)


def _served(
    gate: RequestAuthorizer,
    listen: str | None,
    upstream: str | None,
    command: list[str] | None,
    host: list[str],
    origin: list[str],
    seconds: float,
    form: DenialFormat,
) -> int:
    if listen is None:
        if upstream is not None or host or origin:
            raise UsageError("--upstream, --host and --origin are for HTTP: give --listen HOST:PORT, too")
        return _relayed(gate, _given(command), seconds, form)
    from ...mcp.proxy.http_app import LOOPBACK
    from ..serving import address, serve

    where = address(listen, host)
    names = (*LOOPBACK, *host)
    if upstream is None:
        from mcp import StdioServerParameters

        from ...mcp.proxy.process_upstream import proxy_process

        program, *rest = _given(command)
        server = StdioServerParameters(command=program, args=rest, env=dict(os.environ))
        app = proxy_process(
            gate, server, timeout=seconds, denial_format=form, hosts=names, origins=origin, path=PATH
        )
    elif command:
        raise UsageError("--upstream and a command exclude each other")
    else:
        from ...mcp.proxy.http_upstream import proxy_http

        app = proxy_http(
            gate, upstream, timeout=seconds, denial_format=form, hosts=names, origins=origin, path=PATH
        )
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
    """Look at an MCP server; print a grant file to begin with.

    Every argument of every tool is named in it; write a constraint in place of each CHOOSE, and delete what
    is not needed. With --pins the tools' definitions are approved, if the file is new; later it tells what
    has changed (exit code 1).
    """
    from ...mcp.discovery.survey import Survey
    from ...mcp.discovery.template import grant_template
    from ..serving import run

    if (url is None) == (not command):
        raise UsageError("give the server's command after --, or its URL with --url")
    if approve and pins is None:
        raise UsageError("--approve is for --pins FILE")
    seconds = _seconds(timeout)

    def survey() -> Awaitable[Survey]:
        if url is not None:
            return Survey.of_url(url, seconds=seconds)
        return Survey.of_command(_given(command), seconds=seconds, on_stderr=_aside)

    found = run(survey)
    if isinstance(found, int):
        raise typer.Exit(found)  # a signal
    text = grant_template(found.server, found.tools, found.resources, found.prompts)
    code = 0 if pins is None else _pinned(pins, found.server, found.tools, approve=approve)
    fields = {
        "server": found.server,
        "tools": found.tools,
        "resources": found.resources,
        "prompts": found.prompts,
        "grants": text,
    }
    return CommandResult(fields, [(0, line) for line in text.splitlines()], code=code, as_json=json)


def learn(
    out: Annotated[
        Path, typer.Option("--out", metavar="FILE", help="Write the grants here.", show_default=False)
    ],
    command: Command = None,
    timeout: Timeout = "5m",
) -> int:
    """Watch a session with an MCP server; propose the narrowest grants for it.

    While it learns, nothing is refused. What it proposes is for a person to read: what was seen is no proof
    that it was right.
    """
    from ...mcp.discovery.recorder import CallRecorder
    from ...mcp.discovery.suggest import suggest_grants

    words = _given(command)
    seconds = _seconds(timeout)
    try:
        file = out.open("x", encoding="utf-8")
    except OSError as error:
        raise UsageError(f"--out: {(error.strerror or 'cannot be written').lower()}") from None
    warn("LEARNING: NOTHING IS REFUSED, every call reaches the server")
    watching = CallRecorder()
    with file:
        try:
            return _relayed(watching, words, seconds, _form("result"), aside=_aside)
        finally:
            file.write(suggest_grants(watching.calls))
            warn(f"{len(watching.calls)} calls were seen: read the proposed grants before you issue them")


def _relayed(
    gate: SupportsAuthorize,
    command: list[str],
    seconds: float,
    form: DenialFormat,
    aside: Aside | None = None,
) -> int:
    import sys

    from ...mcp.proxy.stdio import proxy_stdio
    from ..serving import run

    if sys.stdin is None or sys.stdout is None:
        raise UsageError("there is no standard input or output for the client")
    return run(lambda: proxy_stdio(gate, command, timeout=seconds, denial_format=form, on_stderr=aside))


def _aside(line: str) -> None:
    """Say what a server writes to its standard error: in our form, so that it cannot pose as us."""
    warn(f"server: {line}")


def _gate(
    bound: BoundCapability,
    trust: Path,
    audience: str,
    designations: list[str],
    pins: Path | None,
    bearer_over_http: bool,
    ledger: Ledger,
) -> RequestAuthorizer:
    from ...guard.guard import Guard
    from ...mcp.authorization.authorizer import RequestAuthorizer

    stated = inputs.pairs(designations, "--designation")
    guard = Guard(inputs.trust(trust), audience=audience, ledger=ledger, designations=stated)
    toolbox = bound.toolbox(guard)
    return RequestAuthorizer(
        guard, default_toolbox=toolbox, allow_bearer_over_http=bearer_over_http, pins=_read(pins)
    )


def _read(pins: Path | None) -> Pins | None:
    from ...mcp.authorization.pins import Pins

    try:
        return None if pins is None else Pins.load(pins)
    except OSError as error:
        raise UsageError(f"--pins: {(error.strerror or 'cannot be read').lower()}") from None


def _pinned(file: Path, server: str, tools: list[dict[str, object]], *, approve: bool) -> int:
    """Compare with the approved definitions, or approve these; the exit code."""
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
            warn("hint: these tools are refused until they are approved: look at them, then --approve")
            return REFUSED
    try:
        now.save(file)
    except OSError as error:
        raise UsageError(f"--pins: {(error.strerror or 'cannot be written').lower()}") from None
    warn(f"{len(now.digests)} tools are approved as they are now")
    return 0


def _given(command: list[str] | None) -> list[str]:
    if not command:
        raise UsageError("there is no server", "write its command after --")
    return command


def _seconds(text: str) -> float:
    found = inputs.duration(text, "--timeout").total_seconds()
    if not found:
        raise UsageError("--timeout: is no time at all")
    return found


def _form(text: str) -> DenialFormat:
    from ...mcp.authorization.denials import DenialFormat

    try:
        return DenialFormat(text)
    except ValueError:
        raise UsageError(f"--refusals: is one of {', '.join(DenialFormat)}") from None
