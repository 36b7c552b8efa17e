"""The command ``mcp config``: what to paste into a client so that it starts a server behind the guard."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from ..terminal import CommandResult, UsageError, warn

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
        "--state",
    }
)
"""The proxy's options that name a file."""

LEDGER = "--ledger"
"""Its option that names a file, or an address."""

Entry = Mapping[str, Any]
"""How one server is started: command, args and env."""


def config(
    client: Annotated[
        str,
        typer.Argument(
            metavar="CLIENT", help="claude-desktop, claude-code, cursor or vscode.", show_default=False
        ),
    ],
    name: Annotated[str, typer.Argument(metavar="NAME", help="The server's name there.", show_default=False)],
    arguments: Annotated[
        list[str],
        typer.Argument(
            metavar="-- ARGUMENTS ...", help="Those of `hessra-agents mcp proxy`.", show_default=False
        ),
    ],
) -> CommandResult:
    """Print what to paste into a client, to start a server behind the guard.

    \b
      hessra-agents mcp config cursor files -- --trust trust.json --audience files \\
        --capability desk.token -- npx some-server /srv/data

    Paths become absolute, since a client starts servers anywhere. A variable that --capability-env names is
    asked for where the client can ask, and is to be set in the client's environment where it cannot.
    """  # noqa: D301 -- \b keeps lines apart in the help
    shape = _SHAPES.get(client)
    if shape is None:
        raise UsageError(f"there is no client of this name: there are {', '.join(_SHAPES)}")
    if not name:
        raise UsageError("the server needs a name")
    options, command = _parted(arguments[arguments[:1] == ["--"] :])
    program, *rest = _ourselves()
    words = [*rest, "mcp", "proxy", *options, "--", *command]
    where, variable, text = shape(name, {"command": program, "args": words}, _variable(options))
    warn(f"paste into {where}")
    if variable:
        warn(f"set {variable} in the environment of {client}: there is no way to ask for it")
    return CommandResult({"text": text}, [(0, line) for line in text.splitlines()])


def _parted(arguments: list[str]) -> tuple[list[str], list[str]]:
    """The proxy's options, and the server's command, both with absolute paths.

    Raises:
        TyperException: the proxy would not take them.
    """
    from ..app import mcp_group

    proxy = typer.main.get_command(mcp_group).commands["proxy"]  # type: ignore[attr-defined]
    context = proxy.make_context("hessra-agents mcp proxy", list(arguments))
    command = list(context.params.get("command") or ())
    if not command or context.params.get("listen"):
        raise UsageError("a client starts the form without --listen, with the server's command after --")
    given = arguments[: len(arguments) - len(command)]
    if given and given[-1] == "--":
        given = given[:-1]
    options: list[str] = []
    follows = False
    for word in given:
        option, equals, value = word.partition("=")
        if follows:
            word = _placed(word)
        elif equals and option in (*FILES, LEDGER):
            word = f"{option}={_placed(value)}"
        follows = not follows and word in (*FILES, LEDGER)
        options.append(word)
    first, *others = command
    program = os.path.abspath(first) if "/" in first else shutil.which(first) or first
    return options, [program, *map(_absolute, others)]


def _placed(name: str) -> str:
    """A file's name, absolute; an address as it is."""
    return name if "://" in name else os.path.abspath(name)


def _absolute(word: str) -> str:
    """A word of a command, absolute if it looks like a path and is one."""
    return os.path.abspath(word) if ("/" in word or "." in word) and os.path.exists(word) else word


def _variable(options: list[str]) -> str | None:
    for place, word in enumerate(options):
        option, equals, value = word.partition("=")
        if option == "--capability-env":
            return value if equals else options[place + 1]
    return None


def _ourselves() -> list[str]:
    beside = Path(sys.executable).with_name("hessra-agents")
    return [str(beside)] if beside.exists() else [sys.executable, "-m", "hessra_agents.cli"]


Shaped = tuple[str, str | None, str]
"""Where it goes, the variable that the client does not set, and the text."""


def _json(value: Any) -> str:
    return json.dumps(value, indent=2)


def _claude_desktop(name: str, entry: Entry, variable: str | None) -> Shaped:
    where = "claude_desktop_config.json (Settings, Developer, Edit Config)"
    return where, variable, _json({"mcpServers": {name: entry}})


def _claude_code(name: str, entry: Entry, variable: str | None) -> Shaped:
    env = {"env": {variable: f"${{{variable}}}"}} if variable else {}
    full = {"type": "stdio", **entry, **env}
    line = shlex.join(["claude", "mcp", "add-json", name, json.dumps(full)])
    warn(f"or run: {line}")
    return ".mcp.json in the project's folder", None, _json({"mcpServers": {name: full}})


def _cursor(name: str, entry: Entry, variable: str | None) -> Shaped:
    env = {"env": {variable: f"${{env:{variable}}}"}} if variable else {}
    where = ".cursor/mcp.json in the project's folder, or ~/.cursor/mcp.json"
    return where, None, _json({"mcpServers": {name: {"type": "stdio", **entry, **env}}})


def _vscode(name: str, entry: Entry, variable: str | None) -> Shaped:
    full: dict[str, Any] = {"type": "stdio", **entry}
    text: dict[str, Any] = {"servers": {name: full}}
    if variable:
        full["env"] = {variable: f"${{input:{variable}}}"}
        about = f"The capability for {name}"
        asked = {"type": "promptString", "id": variable, "description": about, "password": True}
        text = {"inputs": [asked], **text}
    return ".vscode/mcp.json in the workspace, or with MCP: Open User Configuration", None, _json(text)


_SHAPES: dict[str, Callable[[str, Entry, str | None], Shaped]] = {
    "claude-desktop": _claude_desktop,
    "claude-code": _claude_code,
    "cursor": _cursor,
    "vscode": _vscode,
}
