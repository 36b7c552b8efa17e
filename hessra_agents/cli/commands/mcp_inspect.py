"""The command ``mcp inspect``: look at what a server offers, and approve it."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Iterator, Mapping
from dataclasses import replace
from difflib import unified_diff
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .. import inputs
from ..escaping import visible
from ..options import Json
from ..server_environment import server_environment
from ..terminal import REFUSED, CommandResult, UsageError, warn
from . import mcp

if TYPE_CHECKING:
    from ...mcp.authorization.pins import Pins
    from ...mcp.discovery.survey import Survey

__all__ = ["inspect"]

Lines = list[tuple[int, str]]


def inspect(
    command: mcp.Command = None,
    url: Annotated[
        str | None, typer.Option("--url", metavar="URL", help="The server's URL, in place of a command.")
    ] = None,
    upstream_header_file: mcp.HeaderFile = None,
    under: Annotated[
        Path | None,
        typer.Option("--under", metavar="DIR", help="Grant arguments that are paths below this folder."),
    ] = None,
    pins: Annotated[
        Path | None,
        typer.Option("--pins", metavar="FILE", help="Compare with approved definitions, or write them."),
    ] = None,
    approve: Annotated[
        list[str],
        typer.Option("--approve", metavar="TOOL", help="Approve this tool as it is now; repeatable."),
    ] = [],  # noqa: B006 -- typer reads it and never changes it
    approve_instructions: Annotated[
        bool, typer.Option("--approve-instructions", help="Approve the server's instructions.")
    ] = False,
    approve_all: Annotated[
        bool, typer.Option("--approve-all", help="Approve everything that the server offers now.")
    ] = False,
    timeout: mcp.Timeout = "30s",
    json: Json = False,
) -> CommandResult:
    """Print a grant file for an MCP server, or what has changed.

    The grant file names every argument of every tool; write a constraint in place of each CHOOSE, and delete
    what is not needed. Tools without arguments, and those that the server calls destructive, are comments.

    With --pins the command prints in full what a model reads of the server and is not approved, and the
    difference if it was approved before. Everything is approved if the file is new; later, what the options
    name. Without them the exit code is 1 if something changed.
    """
    from ...mcp.discovery.template import grant_template

    if (url is None) == (not command):
        raise UsageError("give the server's command after --, or its URL with --url")
    if (approve or approve_all or approve_instructions) and pins is None:
        raise UsageError("--approve requires --pins FILE")
    if upstream_header_file is not None and url is None:
        raise UsageError("--upstream-header-file is for --url: a command has an environment")
    headers = inputs.http_headers(upstream_header_file, "--upstream-header-file")
    found = _surveyed(command, url, headers, mcp.seconds(timeout))
    folder = None if under is None else os.path.abspath(under)
    text = grant_template(found.server, found.tools, found.resources, found.prompts, under=folder)
    seen = {"tools": found.tools, "resources": found.resources, "prompts": found.prompts}
    fields = {"server": found.server, "instructions": found.instructions, **seen, "grants": text}
    if pins is None:
        return CommandResult(fields, [(0, line) for line in text.splitlines()], as_json=json)
    lines, code = _reviewed(pins, found, approve, instructions=approve_instructions, everything=approve_all)
    return CommandResult(fields, lines, code=code, as_json=json)


def _surveyed(
    command: list[str] | None, url: str | None, headers: Mapping[str, str], seconds: float
) -> Survey:
    from ...mcp.discovery.survey import Survey
    from ..serving import run

    def survey() -> Awaitable[Survey]:
        if url is not None:
            return Survey.of_url(inputs.server_url(url, "--url"), seconds=seconds, headers=headers)
        words, env = mcp.given(command), server_environment()
        return Survey.of_command(words, env=env, seconds=seconds, on_stderr=mcp.on_stderr)

    found = run(survey)
    if isinstance(found, int):
        raise typer.Exit(found)  # a signal
    return found


def _reviewed(
    file: Path, found: Survey, approve: list[str], *, instructions: bool, everything: bool
) -> tuple[Lines, int]:
    """Return in full what was not approved, and the exit code, after the approval that was asked for."""
    from ...mcp.authorization.pins import Pins

    now, new = _pinnable(found), not file.exists()
    known = Pins(found.server, {}) if new else mcp.read_pins(file)
    changes = known.changes(now.tools.values())
    kinds = (("new", changes.new), ("changed", changes.changed), ("gone", changes.gone))
    changed = {name: what for what, names in kinds for name in names}
    told = known.instructions != now.instructions
    for name in approve:
        if name not in changed:
            raise UsageError(f"--approve: nothing has changed about a tool {name!r}")

    lines = [*_instructions(known.instructions, now.instructions)] if told else []
    for name, what in changed.items():
        lines.append((0, f"{what}: {visible(name)}"))
        lines += _difference(known.tools.get(name), now.tools.get(name))
    lines += [(0, f"not pinned: {line}") for line in _other(found)] if lines else []

    everything = everything or (new and not approve and not instructions)
    approved = known.approving(now, changed if everything else approve)
    if everything or instructions:
        approved = replace(approved, instructions=now.instructions)
    if new or approved != known:
        mcp.write_file("--pins", lambda: approved.save(file))
        warn(f"{len(approved.tools)} tools are approved")
    waits = {} if everything else changed
    left = [f"{what}: {name!r}" for name, what in waits.items() if name not in approve]
    left += ["changed: the instructions"] if approved.instructions != now.instructions else []
    if left:
        for line in left:
            warn(line)
        warn("hint: these are refused until they are approved: read them, then use --approve TOOL")
        return lines, REFUSED
    return lines or [(0, f"nothing has changed: {len(now.tools)} tools are as they were approved")], 0


def _pinnable(found: Survey) -> Pins:
    """Return the definitions that can be pinned; say which cannot, as they are refused in any case."""
    from ...mcp.authorization.pins import Pins

    tools: dict[str, dict[str, Any]] = {}
    names = [tool.get("name") for tool in found.tools]
    for tool in found.tools:
        try:
            Pins.of(found.server, [tool])
            if names.count(tool["name"]) > 1:
                raise ValueError("the server lists several tools of this name")
        except ValueError as error:
            warn(f"not approved: {tool.get('name')!r}: {error}")
            continue
        tools[tool["name"]] = tool
    return Pins.of(found.server, tools.values(), found.instructions)


def _instructions(before: str | None, now: str | None) -> Iterator[tuple[int, str]]:
    yield 0, "instructions, which clients put into a model's context:"
    yield from _difference(
        None if before is None else {"instructions": before}, None if now is None else {"instructions": now}
    )


def _difference(before: Any, now: Any) -> Iterator[tuple[int, str]]:
    """Yield a definition in full, or where there was another one what has changed; no line is cut."""
    if before is None or now is None:
        yield from ((1, f"{'-' if now is None else '+'} {line}") for line in _told(before or now))
        return
    compared = unified_diff([*_told(before)], [*_told(now)], n=0, lineterm="")
    for line in compared:
        if not line.startswith(("---", "+++", "@@")):
            yield 1, f"{line[0]} {line[1:]}"


def _other(found: Survey) -> Iterator[str]:
    """Yield in full what a model may read besides, and no pin covers."""
    for kind, items in (("resource", found.resources), ("prompt", found.prompts)):
        for item in items:
            yield f"{kind} {visible(item)}"


def _told(value: Any, place: str = "") -> Iterator[str]:
    """Yield a value as lines that each begin with a place in it; a text has a line for each of its own."""
    if isinstance(value, dict) and value:
        for name, one in value.items():
            shown = name if name.isidentifier() and name.isascii() else visible(name)
            yield from _told(one, f"{place}.{shown}" if place else shown)
    elif isinstance(value, list) and value:
        for index, one in enumerate(value):
            yield from _told(one, f"{place}[{index}]")
    elif isinstance(value, str) and "\n" in value:
        yield from (f"{place}: {visible(line)}" for line in value.splitlines(keepends=True))
    else:
        yield f"{place}: {visible(value)}"
