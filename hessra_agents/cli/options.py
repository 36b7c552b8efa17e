"""The arguments and options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["Arguments", "Audience", "Designations", "Grants", "Json", "Passphrase", "Token", "Tool", "Trust"]
__all__ += ["ArgumentsFile", "Folder", "MaybeAudience", "MaybeGrants", "MaybeTrust", "MaybeTtl", "Ttl"]
__all__ += ["LedgerAddress", "LedgerFile", "State", "Yes"]

_TRUST = "Public root keys, as `hessra-agents trust` writes them."
_GRANTS = "TOML, see `hessra-agents issue --help`."
_TTL = "How long from now: 90s, 10m, 1h30m, 2d."
_AUDIENCE = "The name of the guard."

Folder = Annotated[
    Path, typer.Argument(metavar="DIR", help="The folder of the authority's root keys.", show_default=False)
]
Tool = Annotated[str, typer.Argument(metavar="TOOL", help="The tool that is called.", show_default=False)]
Arguments = Annotated[
    str | None,
    typer.Argument(
        metavar="JSON", help="Its arguments, a JSON object. Other programs can see it: see --arguments."
    ),
]
ArgumentsFile = Annotated[
    Path | None,
    typer.Option(
        "--arguments",
        metavar="FILE",
        help="Read the arguments from a file instead; - is standard input, with --token FILE.",
    ),
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
        "--designation", metavar="LABEL=VALUE", help="What a guard states beside its name; may be repeated."
    ),
]
Passphrase = Annotated[
    Path | None,
    typer.Option(
        "--passphrase-file", metavar="FILE", help="Read the passphrase from a file, not from the terminal."
    ),
]
LedgerAddress = Annotated[
    str | None,
    typer.Option(
        "--ledger",
        metavar="WHERE",
        help="The ledger: a file, or a postgresql:// address without a password. Or HESSRA_LEDGER says it.",
    ),
]
LedgerFile = Annotated[
    Path | None,
    typer.Option("--ledger-file", metavar="FILE", help="Read that address from a file instead."),
]
State = Annotated[
    Path | None,
    typer.Option(
        "--state",
        metavar="DIR",
        help="The folder of its logs' keys and heads: beside the file, or in the user's state folder.",
    ),
]
Yes = Annotated[bool, typer.Option("--yes", help="Do it without asking.")]
Json = Annotated[bool, typer.Option("--json", help="Answer with one JSON object.")]
