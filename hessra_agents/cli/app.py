"""The commands, and how an argument list becomes one of them."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from .commands import (
    approvals,
    log,
    mcp,
    mcp_config,
)
from .commands import (
    inspect as inspecting,
)
from .commands import (
    keys as authority,
)
from .commands import (
    log_export as log_handing,
)
from .commands import (
    log_verify as log_checking,
)
from .commands import (
    narrow as holding,
)
from .commands import (
    revoke as revoking,
)
from .commands import (
    verify as deciding,
)
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
keys = typer.Typer(**_OPTIONS)
mcp_group = typer.Typer(**_OPTIONS)
log_group = typer.Typer(**_OPTIONS)


def run(arguments: Sequence[str]) -> CommandResult | int:
    """Run one command: its answer, or the exit code of what has answered already."""
    for number, one in enumerate(arguments, 1):
        if any("\ud800" <= c <= "\udfff" for c in one):  # how Python reads a byte that is no utf-8
            raise UsageError(f"argument {number}: is not text in utf-8")
    command = typer.main.get_command(app)
    found = command.main([*arguments], prog_name="hessra-agents", standalone_mode=False)
    return found if isinstance(found, CommandResult) else int(found or 0)


def _help_if_alone(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help(), file=sys.stderr)
        raise typer.Exit(USAGE)


@app.callback()
def _all(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Capabilities for the tools of AI agents: issue, narrow, hand on, inspect, decide, revoke.

    Tokens and proofs are read from standard input or from files, never from arguments; the answer alone
    goes to standard output, so commands pipe:

    \b
      hessra-agents issue keys agent:desk --grants desk.toml --ttl 10m --audience mail |
        hessra-agents attenuate --trust trust.json --ttl 1m |
        hessra-agents inspect --trust trust.json

    \b
    Exit codes:
      0  permitted, or done
      1  refused: the call, or the token or the proof itself
      2  wrong usage or bad input
      3  a failure of this program
    """  # noqa: D301 -- \b keeps lines apart in the help
    if version:
        from importlib.metadata import PackageNotFoundError
        from importlib.metadata import version as installed

        try:
            typer.echo(installed("hessra-agents"))
        except PackageNotFoundError:
            typer.echo("not installed: run from its source")
        raise typer.Exit
    _help_if_alone(context)


@keys.callback()
def _keys(context: typer.Context) -> None:
    """Make keys; list and rotate root keys."""
    _help_if_alone(context)


@log_group.callback()
def _log(context: typer.Context) -> None:
    """Look at the record of every call, prove it, check it."""
    _help_if_alone(context)


@mcp_group.callback()
def _mcp(context: typer.Context) -> None:
    """Guard servers of the Model Context Protocol that nobody here can change."""
    _help_if_alone(context)


def demo(
    model: Annotated[
        str | None,
        typer.Option(
            "--model", metavar="PROVIDER:NAME", help="anthropic:NAME or openai:NAME plays the agent."
        ),
    ] = None,
    json: Json = False,
) -> int:
    """Play a support desk's afternoon, with attacks.

    Offline, unless a model is named. Exit code 0 says that every call was decided as it should be, 1 that
    one was not.
    """
    from .demo import run as played

    return played(model=model, as_json=json)


app.add_typer(keys, name="keys")
keys.command("new")(authority.new)
keys.command("show")(authority.show)
keys.command("init")(authority.init)
keys.command("list")(authority.list_keys)
keys.command("rotate")(authority.rotate)
app.add_typer(log_group, name="log")
log_group.command("list")(log.list_logs)
log_group.command("tail")(log.tail)
log_group.command("search")(log.search)
log_group.command("show")(log.show)
log_group.command("prove")(log_handing.prove)
log_group.command("verify")(log_checking.verify)
log_group.command("export")(log_handing.export)
log_group.command("heads")(log_handing.heads)
log_group.command("keys")(log_handing.keys)
log_group.command("erase")(log.erase)
log_group.command("break")(log_handing.break_log)
app.add_typer(mcp_group, name="mcp")
for _name, _that in (
    ("proxy", mcp.proxy),
    ("inspect", mcp.inspect),
    ("learn", mcp.learn),
    ("config", mcp_config.config),
):
    # what follows the server's command belongs to it, options included
    mcp_group.command(_name, context_settings={"allow_interspersed_args": False})(_that)
for _command in (
    authority.trust,
    authority.issue,
    holding.attenuate,
    holding.delegate,
    holding.prove,
    inspecting.inspect,
    deciding.verify,
    deciding.explain,
    revoking.revoke,
    approvals.approvals,
    approvals.approve,
    approvals.reject,
    demo,
):
    app.command()(_command)
