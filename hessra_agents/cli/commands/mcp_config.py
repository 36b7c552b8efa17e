"""The command ``mcp config``: print the configuration with which a client starts a guarded server."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Callable, Mapping
from json import dumps, loads
from pathlib import Path
from typing import Annotated, Any

import typer

from ..options import Json
from ..terminal import CommandResult, UsageError, warn
from . import mcp

__all__ = ["config"]

FILES = frozenset(
    {
        "--trust",
        "--capability",
        "--key",
        "--passphrase-file",
        "--grants",
        "--pins",
        "--ledger-file",
        "--state-dir",
        "--checkpoint",
        "--upstream-header-file",
    }
)
"""The proxy's options whose value is a file."""

LEDGER = "--ledger"
"""The proxy's option whose value is a file or an address."""

Entry = Mapping[str, Any]
"""How a client starts one server: command, args and env."""


def config(
    client: Annotated[
        str,
        typer.Argument(
            metavar="CLIENT", help="claude-desktop, claude-code, cursor or vscode.", show_default=False
        ),
    ],
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="The server's name in the client.", show_default=False)
    ],
    arguments: Annotated[
        list[str],
        typer.Argument(
            metavar="-- ARGUMENTS ...", help="The arguments of `hessra-agents mcp proxy`.", show_default=False
        ),
    ],
    learn: Annotated[
        Path | None,
        typer.Option(
            "--learn",
            metavar="FILE",
            help="Start `mcp learn --out FILE`, which refuses nothing; give it before CLIENT. Behind -- is a "
            "server's command.",
        ),
    ] = None,
    json: Json = False,
) -> CommandResult:
    """Print a client's configuration for a guarded server.

    \b
      hessra-agents mcp config cursor files -- --trust trust.json --audience files \\
        --capability desk.token -- npx some-server /srv/data

    Paths become absolute, since a client may start servers from any folder. The client asks for a variable
    that --capability-env names if it can; otherwise set the variable in the client's environment.
    """  # noqa: D301 -- \b keeps lines apart in the help
    configure = _CLIENTS.get(client)
    if configure is None:
        raise UsageError(f"unknown client; choose from {', '.join(_CLIENTS)}")
    if not name:
        raise UsageError("NAME: must not be empty")
    if "--learn" in (name, *arguments[:1]):  # what follows CLIENT belongs to the proxy
        raise UsageError("--learn FILE must stand before CLIENT")
    given = arguments[arguments[:1] == ["--"] :]
    if learn is None:
        options, command = _split(given)
    else:
        options, command = ["--out", os.path.abspath(learn)], _absolute_command(given)
    program, *rest = _this_program()
    words = [*rest, "mcp", "proxy" if learn is None else "learn", *options, "--", *command]
    where, variable, text = configure(name, {"command": program, "args": words}, _variable(options))
    warn(f"paste into {where}")
    if variable:
        warn(f"set {variable} in the environment of {client}, which cannot ask for it")
    fields = {"client": client, "where": where, "variable": variable, "config": loads(text)}
    return CommandResult(fields, [(0, line) for line in text.splitlines()], as_json=json)


def _split(arguments: list[str]) -> tuple[list[str], list[str]]:
    """Split into the proxy's options and the server's command, both with absolute paths.

    Raises:
        TyperException: the proxy does not accept the options.
    """
    own = typer.Typer()
    own.command(context_settings={"allow_interspersed_args": False})(mcp.proxy)
    proxy = typer.main.get_command(own)
    context = proxy.make_context("hessra-agents mcp proxy", list(arguments))
    command = list(context.params.get("command") or ())
    if not command or context.params.get("listen"):
        raise UsageError("a client needs the server's command after --, and no --listen")
    given = arguments[: len(arguments) - len(command)]
    if given and given[-1] == "--":
        given = given[:-1]
    options: list[str] = []
    follows = False
    for word in given:
        option, equals, value = word.partition("=")
        if follows:
            word = _absolute_file(word)
        elif equals and option in (*FILES, LEDGER):
            word = f"{option}={_absolute_file(value)}"
        follows = not follows and word in (*FILES, LEDGER)
        options.append(word)
    return options, _absolute_command(command)


def _absolute_command(command: list[str]) -> list[str]:
    """Return a server's command with absolute paths."""
    if not command or command[0].startswith("-"):
        raise UsageError("a client needs the server's command after --")
    first, *others = command
    program = os.path.abspath(first) if "/" in first else shutil.which(first) or first
    return [program, *map(_absolute_word, others)]


def _absolute_file(name: str) -> str:
    """Return a file's absolute name; an address unchanged."""
    return name if "://" in name else os.path.abspath(name)


def _absolute_word(word: str) -> str:
    """Return a word of a command, absolute if it is the path of an existing file."""
    return os.path.abspath(word) if ("/" in word or "." in word) and os.path.exists(word) else word


def _variable(options: list[str]) -> str | None:
    for place, word in enumerate(options):
        option, equals, value = word.partition("=")
        if option == "--capability-env":
            return value if equals else options[place + 1]
    return None


def _this_program() -> list[str]:
    beside = Path(sys.executable).with_name("hessra-agents")
    return [str(beside)] if beside.exists() else [sys.executable, "-m", "hessra_agents.cli"]


ClientConfig = tuple[str, str | None, str]
"""Where to paste it, the variable that the client does not set, and the text."""


def _json(value: Any) -> str:
    return dumps(value, indent=2)


def _claude_desktop(name: str, entry: Entry, variable: str | None) -> ClientConfig:
    where = "claude_desktop_config.json (Settings, Developer, Edit Config)"
    return where, variable, _json({"mcpServers": {name: entry}})


def _claude_code(name: str, entry: Entry, variable: str | None) -> ClientConfig:
    env = {"env": {variable: f"${{{variable}}}"}} if variable else {}
    full = {"type": "stdio", **entry, **env}
    line = shlex.join(["claude", "mcp", "add-json", name, dumps(full)])
    warn(f"or run: {line}")
    return ".mcp.json in the project's folder", None, _json({"mcpServers": {name: full}})


def _cursor(name: str, entry: Entry, variable: str | None) -> ClientConfig:
    env = {"env": {variable: f"${{env:{variable}}}"}} if variable else {}
    where = ".cursor/mcp.json in the project's folder, or ~/.cursor/mcp.json"
    return where, None, _json({"mcpServers": {name: {"type": "stdio", **entry, **env}}})


def _vscode(name: str, entry: Entry, variable: str | None) -> ClientConfig:
    full: dict[str, Any] = {"type": "stdio", **entry}
    text: dict[str, Any] = {"servers": {name: full}}
    if variable:
        full["env"] = {variable: f"${{input:{variable}}}"}
        about = f"The capability for {name}"
        asked = {"type": "promptString", "id": variable, "description": about, "password": True}
        text = {"inputs": [asked], **text}
    return ".vscode/mcp.json in the workspace, or with MCP: Open User Configuration", None, _json(text)


_CLIENTS: dict[str, Callable[[str, Entry, str | None], ClientConfig]] = {
    "claude-desktop": _claude_desktop,
    "claude-code": _claude_code,
    "cursor": _cursor,
    "vscode": _vscode,
}
