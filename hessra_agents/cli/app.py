"""Assemble the commands, and run the one that an argument list names."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import cache
from typing import Annotated, Any

import typer

from .commands import (
    approvals,
    inspect,
    keys,
    mcp,
    mcp_config,
    mcp_inspect,
    narrow,
    revoke,
    status,
    verify,
)
from .commands.log import export as log_export
from .commands.log import prune as log_prune
from .commands.log import read as log_read
from .commands.log import verify as log_verify
from .options import Json
from .terminal import USAGE, CommandResult, UsageError

__all__ = ["app", "run"]

_SETTINGS: dict[str, Any] = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
_OPTIONS: dict[str, Any] = {
    "add_completion": False,
    "rich_markup_mode": None,
    "pretty_exceptions_enable": False,
    "context_settings": _SETTINGS,
    "invoke_without_command": True,
}

app = typer.Typer(**_OPTIONS)
keys_group = typer.Typer(**_OPTIONS)
mcp_group = typer.Typer(**_OPTIONS)
log_group = typer.Typer(**_OPTIONS)


def run(arguments: Sequence[str]) -> CommandResult | int:
    """Run one command; return its result, or the exit code if it has printed its own."""
    for number, argument in enumerate(arguments, 1):
        if any("\ud800" <= c <= "\udfff" for c in argument):  # how Python reads a byte that is not UTF-8
            raise UsageError(f"argument {number}: not valid UTF-8")
    found = _built().main([*arguments], prog_name="hessra-agents", standalone_mode=False)
    return found if isinstance(found, CommandResult) else int(found or 0)


@cache
def _built() -> Any:
    """Build the commands once: it takes most of the time of a short command."""
    return typer.main.get_command(app)


def _help_if_alone(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help(), file=sys.stderr)
        raise typer.Exit(USAGE)


@app.callback()
def _all(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Manage capabilities for AI agents: issue, narrow, delegate, inspect, verify, revoke.

    Tokens and proofs are read from standard input or from files, never from arguments. Standard output
    carries the result alone, so commands pipe:

    \b
      hessra-agents issue keys agent:desk --grants desk.toml --ttl 10m --audience mail |
        hessra-agents attenuate --trust trust.json --ttl 1m |
        hessra-agents inspect --trust trust.json

    \b
    Exit codes:
      0    permitted, or done
      1    refused: the call, the token or the proof
      2    wrong usage or bad input
      3    an internal failure
      130  interrupted
      141  the output was closed
    """  # noqa: D301 -- \b keeps lines apart in the help
    if version:
        from importlib.metadata import PackageNotFoundError
        from importlib.metadata import version as installed

        try:
            typer.echo(installed("hessra-agents"))
        except PackageNotFoundError:
            typer.echo("not installed: running from source")
        raise typer.Exit
    _help_if_alone(context)


@keys_group.callback()
def _keys(context: typer.Context) -> None:
    """Make keys; list and rotate root keys."""
    _help_if_alone(context)


@log_group.callback()
def _log(context: typer.Context) -> None:
    """Read, prove and verify the record of every call."""
    _help_if_alone(context)


@mcp_group.callback()
def _mcp(context: typer.Context) -> None:
    """Guard MCP servers without changing them."""
    _help_if_alone(context)


def demo(
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            metavar="PROVIDER:NAME",
            help="Let a model play the agent: anthropic:NAME or openai:NAME.",
        ),
    ] = None,
    json: Json = False,
) -> int:
    """Play a support desk's afternoon, with attacks.

    Runs offline unless a model is named. Exit code 0 means that every call was decided as expected, 1 that
    one was not.
    """
    from .demo import run as play

    return play(model=model, as_json=json)


app.add_typer(keys_group, name="keys")
keys_group.command("new")(keys.new)
keys_group.command("show")(keys.show)
keys_group.command("init")(keys.init)
keys_group.command("list")(keys.list_keys)
keys_group.command("rotate")(keys.rotate)
app.add_typer(log_group, name="log")
log_group.command("list")(log_read.list_logs)
log_group.command("tail")(log_read.tail)
log_group.command("search")(log_read.search)
log_group.command("show")(log_read.show)
log_group.command("prove")(log_export.prove)
log_group.command("verify")(log_verify.verify)
log_group.command("export")(log_export.export)
log_group.command("checkpoints")(log_export.checkpoints)
log_group.command("keys")(log_export.keys)
log_group.command("erase")(log_prune.erase)
log_group.command("prune")(log_prune.prune)
log_group.command("fork")(log_export.fork)
app.add_typer(mcp_group, name="mcp")
for _mcp_command in (mcp.proxy, mcp_inspect.inspect, mcp.learn, mcp_config.config):
    # what follows the server's command belongs to it, options included
    mcp_group.command(context_settings={"allow_interspersed_args": False})(_mcp_command)
for _command in (
    keys.trust,
    keys.issue,
    narrow.attenuate,
    narrow.delegate,
    narrow.prove,
    inspect.inspect,
    verify.verify,
    verify.explain,
    status.status,
    revoke.revoke,
    status.revocations,
    status.limits,
    approvals.approvals,
    approvals.approve,
    approvals.reject,
    demo,
):
    app.command()(_command)
