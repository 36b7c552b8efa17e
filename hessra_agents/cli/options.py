"""The arguments and options that several commands share."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Concatenate, TypeVar

import typer

from .ledger_location import VARIABLE, LedgerLocation, find_ledger
from .terminal import UsageError

__all__ = ["Arguments", "Audience", "Designations", "Grants", "Json", "Passphrase", "Token", "Tool", "Trust"]
__all__ += ["ArgumentsFile", "Folder", "MaybeAudience", "MaybeGrants", "MaybeTrust", "MaybeTtl", "Ttl"]
__all__ += ["WHEN", "Hops", "Last", "LedgerOptions", "Limit", "OnlyTo", "Yes", "with_ledger"]

R = TypeVar("R")

_TRUST = "The public root keys, a file that `hessra-agents trust` writes."
_GRANTS = "A TOML file; see `hessra-agents issue --help`."
_TTL = "Lifetime from now: 90s, 10m, 1h30m, 2d."
_AUDIENCE = "The guard's name."
WHEN = "2026-12-24T18:00:00Z, 2026-12-24 (UTC), or a time ago: 2h."
"""The times that an option such as --since takes, for its help."""

Folder = Annotated[
    Path, typer.Argument(metavar="DIR", help="The authority's folder of root keys.", show_default=False)
]
Tool = Annotated[str, typer.Argument(metavar="TOOL", help="The tool to call.", show_default=False)]
Arguments = Annotated[
    str | None,
    typer.Argument(
        metavar="JSON", help="The arguments, an object. Other users can see them: see --arguments."
    ),
]
ArgumentsFile = Annotated[
    Path | None,
    typer.Option("--arguments", metavar="FILE", help="Read the arguments from a file; - is standard input."),
]

Token = Annotated[
    Path | None,
    typer.Option("--token", metavar="FILE", help="Read the token from a file, not from standard input."),
]
Trust = Annotated[Path, typer.Option("--trust", metavar="FILE", help=_TRUST, show_default=False)]
MaybeTrust = Annotated[Path | None, typer.Option("--trust", metavar="FILE", help=_TRUST)]
Grants = Annotated[Path, typer.Option("--grants", metavar="FILE", help=_GRANTS, show_default=False)]
MaybeGrants = Annotated[Path | None, typer.Option("--grants", metavar="FILE", help=_GRANTS)]
Ttl = Annotated[str, typer.Option("--ttl", metavar="TIME", help=_TTL, show_default=False)]
MaybeTtl = Annotated[str | None, typer.Option("--ttl", metavar="TIME", help=_TTL)]
Audience = Annotated[str, typer.Option("--audience", metavar="NAME", help=_AUDIENCE, show_default=False)]
MaybeAudience = Annotated[str | None, typer.Option("--audience", metavar="NAME", help=_AUDIENCE)]
Designations = Annotated[
    list[str],
    typer.Option(
        "--designation", metavar="LABEL=VALUE", help="What the guard states besides its name; repeatable."
    ),
]
Last = Annotated[bool, typer.Option("--last", help="The holder may not hand it on.")]
Hops = Annotated[
    int | None,
    typer.Option("--hops", metavar="N", min=0, help="How often the holder may have it handed on."),
]
OnlyTo = Annotated[
    list[str],
    typer.Option(
        "--only-to", metavar="PUBLICKEY", help="A key that the holder may hand it on to; repeatable."
    ),
]
Passphrase = Annotated[
    Path | None,
    typer.Option(
        "--passphrase-file", metavar="FILE", help="Read the passphrase from a file, not from the terminal."
    ),
]
Limit = Annotated[int, typer.Option("-n", "--limit", metavar="N", min=1, max=100_000, help="Show at most N.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


@dataclass(frozen=True, slots=True, repr=False)
class LedgerOptions:
    """The options that name a ledger, as they were given."""

    ledger: Annotated[
        str | None,
        typer.Option(
            "--ledger",
            metavar="WHERE",
            help="The ledger: a file, or a postgresql:// address without a password. Default: HESSRA_LEDGER.",
        ),
    ] = None
    ledger_file: Annotated[
        Path | None,
        typer.Option("--ledger-file", metavar="FILE", help="Read the ledger's address from a file."),
    ] = None
    state_dir: Annotated[
        Path | None,
        typer.Option(
            "--state-dir",
            metavar="DIR",
            help="The folder of the logs' keys and checkpoints. Default: beside the file, or per user.",
        ),
    ] = None

    def location(self) -> LedgerLocation:
        """Return the place of the ledger; raise UsageError if none is named."""
        found = self.optional_location()
        if found is None:
            raise UsageError("no ledger is named", f"give --ledger WHERE, --ledger-file FILE or {VARIABLE}")
        return found

    def optional_location(self) -> LedgerLocation | None:
        """Return the place of the ledger, or None if none is named; see `find_ledger`."""
        return find_ledger(self.ledger, self.ledger_file, self.state_dir)


def with_ledger(command: Callable[Concatenate[LedgerOptions, ...], R]) -> Callable[..., R]:
    """Give a command the options that name a ledger, in place of its first parameter."""
    options = inspect.signature(LedgerOptions, eval_str=True).parameters

    @functools.wraps(command)
    def with_options(**given: Any) -> R:
        ledger = LedgerOptions(**{name: given.pop(name) for name in options})
        return command(ledger, **given)

    # typer reads a command's options from its signature; --json stays the last
    own = inspect.signature(command, eval_str=True)
    parameters = [*list(own.parameters.values())[1:], *options.values()]
    keyword = [one.replace(kind=one.KEYWORD_ONLY) for one in parameters]
    keyword.sort(key=lambda one: one.name == "json")
    with_options.__signature__ = own.replace(parameters=keyword)  # type: ignore[attr-defined]
    return with_options
