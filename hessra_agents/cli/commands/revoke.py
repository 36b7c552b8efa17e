"""The command ``revoke``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .. import inputs
from ..ledger_location import confirm, ledger_location
from ..options import Json, LedgerAddress, LedgerFile, State, Yes
from ..terminal import REFUSED, CommandResult, UsageError, warn

if TYPE_CHECKING:
    from ...ledger import Ledger, Revocation, RevocationImpact

__all__ = ["revoke"]

LONGEST_REASON = 200


def revoke(
    token: Annotated[
        Path | None,
        typer.Option("--token", metavar="FILE", help="This capability, its last block; - is standard input."),
    ] = None,
    block: Annotated[
        str | None, typer.Option("--block", metavar="ID", help="A block, as `inspect --json` names it.")
    ] = None,
    subject: Annotated[
        str | None, typer.Option("--subject", metavar="NAME", help="A subject, and all below it.")
    ] = None,
    holder: Annotated[
        str | None,
        typer.Option(
            "--holder", metavar="PUBLICKEY", help="A key: all that it holds, held or signed; its approvals."
        ),
    ] = None,
    root: Annotated[
        str | None, typer.Option("--root", metavar="PUBLICKEY", help="A root key: all that it issued.")
    ] = None,
    before: Annotated[
        str | None,
        typer.Option("--before", metavar="MOMENT", help="All that was issued before: 2026-12-24T18:00:00Z."),
    ] = None,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, for the record.")] = "",
    yes: Yes = False,
    ledger: LedgerAddress = None,
    ledger_file: LedgerFile = None,
    state: State = None,
    json: Json = False,
) -> CommandResult | int:
    """Take something back, for good: there is no way to undo it.

    Name one thing. What it ends, of what the ledger has seen, is shown first. What is built on a revoked
    block falls with it; whoever holds what that block was added to can add another: revoke the earlier
    block, or the subject, to end both.
    """
    at = ledger_location(ledger, ledger_file, state)
    what = _named(token, block, subject, holder, root, before)
    if len(reason) > LONGEST_REASON:
        raise UsageError(f"--reason: has at most {LONGEST_REASON} characters")

    async def work(ledger: Ledger) -> CommandResult | int:
        reach = await ledger.revocation_impact(what, now=inputs.now())
        warn(f"this ends {_words(reach)}, as far as this ledger has seen")
        if not confirm(f"revoke this {_kind(what)}, for good?", yes):
            warn("nothing was revoked")
            return REFUSED
        epoch = await ledger.revoke(what, reason=reason)
        fields: dict[str, Any] = {
            "revoked": what.description,
            "epoch": epoch,
            "capabilities": reach.capabilities,
            "holders": reach.holders,
            "requests": reach.requests,
        }
        lines = [
            (0, f"revoked: {what.description}"),
            (0, f"epoch {epoch}: every call that begins now knows it"),
        ]
        return CommandResult(fields, lines, as_json=json)

    return at.use(work, on_damage=lambda words: warn(f"the ledger: {words}"))


def _named(
    token: Path | None,
    block: str | None,
    subject: str | None,
    holder: str | None,
    root: str | None,
    before: str | None,
) -> Revocation:
    from ...keys.keys import PublicKey
    from ...ledger import Revocation
    from ..token_view import TokenView

    given = [one is not None for one in (token, block, subject, holder, root, before)]
    if sum(given) != 1:
        raise UsageError("name one thing: --token, --block, --subject, --holder, --root or --before")
    if token is not None:
        found = TokenView.of(inputs.token(None if str(token) == "-" else token), None)
        block = found.blocks[-1].id
    try:
        root_key = None if root is None else PublicKey.parse(root)
    except ValueError as error:
        raise UsageError(f"--root: {error}", "hessra-agents keys list prints it") from None
    moment = None if before is None else int(inputs.timestamp(before, "--before").timestamp())
    key = inputs.public_key(holder, "--holder")
    return Revocation.of(block=block, subject=subject, key=key, root=root_key, before=moment)


def _kind(what: Revocation) -> str:
    return {"root": "root key", "before": "moment"}.get(what.kind, what.kind)


def _words(reach: RevocationImpact) -> str:
    def count(number: int, one: str, more: str) -> str:
        return f"{number} {one if number == 1 else more}"

    live = count(reach.capabilities, "live capability", "live capabilities")
    holders = count(reach.holders, "holder's key", "holders' keys")
    return f"{live} with {holders} and {count(reach.requests, 'waiting request', 'waiting requests')}"
