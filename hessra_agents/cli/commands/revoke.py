"""The command ``revoke``: end capabilities, holders or keys for good."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .. import inputs
from ..ledger_location import confirm
from ..options import WHEN, Json, LedgerOptions, Yes, with_ledger
from ..terminal import DONE, REFUSED, CommandResult, UsageError, warn

if TYPE_CHECKING:
    from ...ledger import Ledger, RevocationImpact
    from ...ledger.revocations import Revocation

__all__ = ["revoke"]

MAX_REASON = 200
_A_DAY = 86_400


@with_ledger
def revoke(
    ledger: LedgerOptions,
    token: Annotated[
        Path | None,
        typer.Option("--token", metavar="FILE", help="A capability: its last block; - is standard input."),
    ] = None,
    block: Annotated[
        str | None, typer.Option("--block", metavar="ID", help="A block's id, from `inspect --json`.")
    ] = None,
    subject: Annotated[
        str | None, typer.Option("--subject", metavar="NAME", help="A name, and every name below it.")
    ] = None,
    holder: Annotated[
        str | None,
        typer.Option(
            "--holder",
            metavar="PUBLICKEY",
            help="A holder's key: all it holds, held or signed; its approvals.",
        ),
    ] = None,
    root: Annotated[
        str | None, typer.Option("--root", metavar="PUBLICKEY", help="A root key: all that it signed.")
    ] = None,
    before: Annotated[
        str | None, typer.Option("--before", metavar="WHEN", help=f"All issued before: {WHEN}")
    ] = None,
    even_future: Annotated[
        bool, typer.Option("--even-future", help="Accept a --before that is more than a day ahead.")
    ] = False,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; written to the log.")] = "",
    yes: Yes = False,
    json: Json = False,
) -> CommandResult | int:
    """Revoke capabilities for good; this cannot be undone.

    Name exactly one thing to revoke. The command first shows what that ends, as far as the ledger has seen.
    Revoking a block also ends every capability built on it. The holder of the capability that the block was
    added to can add another block: to prevent that, revoke an earlier block, or the subject.

    A name that matches nothing on this ledger is revoked all the same, since no guard may have seen it yet;
    the exit code is then 1.
    """
    from ...grants.describe import safe_word
    from ...ledger.revocations import Revocation

    location = ledger.location()
    named = _named(token, block, subject, holder, root, before)
    if before is not None and named["before"] > inputs.now() + _A_DAY and not even_future:
        text = "lies in the future: all that is issued until then would be revoked as well"
        raise UsageError(f"--before: {text}", "--even-future confirms that")
    what = Revocation.of(**named)
    if len(reason) > MAX_REASON:
        raise UsageError(f"--reason: at most {MAX_REASON} characters")

    async def work(ledger: Ledger) -> CommandResult | int:
        impact = await ledger.revocation_impact(**named)
        matched = bool(impact.capabilities or impact.holders or impact.requests)
        if matched:
            warn(_describe(impact))
        else:
            warn(f"nothing on this ledger matches {what.description}")
            seen = ", ".join(map(safe_word, await ledger.names())) or "nothing"
            other = "check the spelling; hessra-agents status lists what this ledger has seen"
            warn(f"hint: {f'the names that this ledger has seen are {seen}' if subject else other}")
        if not confirm(f"revoke this {_kind(what)}, for good?", yes):
            warn("nothing was revoked")
            return REFUSED
        epoch = await ledger.revoke(**named, reason=reason)
        fields: dict[str, Any] = {
            "revoked": what.description,
            "epoch": epoch,
            "capabilities": impact.capabilities,
            "holders": impact.holders,
            "requests": impact.requests,
            "matched": matched,
        }
        line = f"{what.description} revoked; in force for all new calls (epoch {epoch})"
        if not matched:
            same = f"{what.description} is revoked all the same"
            line = f"nothing matched; {same}, for all new calls (epoch {epoch})"
        return CommandResult(fields, [(0, line)], code=DONE if matched else REFUSED, as_json=json)

    return location.use(work, on_damage=lambda words: warn(f"the ledger: {words}"))


def _named(
    token: Path | None,
    block: str | None,
    subject: str | None,
    holder: str | None,
    root: str | None,
    before: str | None,
) -> dict[str, Any]:
    """Return the one thing to revoke, as `Ledger.revoke` takes it."""
    from ...keys.keys import PublicKey
    from ..token_view import TokenView

    given = [one is not None for one in (token, block, subject, holder, root, before)]
    if sum(given) != 1:
        raise UsageError("give exactly one of --token, --block, --subject, --holder, --root and --before")
    if token is not None:
        found = TokenView.of(inputs.token(None if str(token) == "-" else token), None)
        block = found.blocks[-1].id
    try:
        root_key = None if root is None else PublicKey.parse(root)
    except ValueError as error:
        raise UsageError(f"--root: {error}", "hessra-agents keys list prints it") from None
    timestamp = None if before is None else int(inputs.timestamp(before, "--before").timestamp())
    key = inputs.public_key(holder, "--holder")
    return {"block": block, "subject": subject, "key": key, "root": root_key, "before": timestamp}


def _kind(what: Revocation) -> str:
    return {"root": "root key", "before": "issue time"}.get(what.kind, what.kind)


def _describe(impact: RevocationImpact) -> str:
    def count(number: int, singular: str, plural: str) -> str:
        return f"{number} {singular if number == 1 else plural}"

    live = count(impact.capabilities, "live capability", "live capabilities")
    holders = count(impact.holders, "holder's key", "holders' keys")
    requests = count(impact.requests, "open approval request", "open approval requests")
    return f"this ends {live} with {holders} and {requests}, as far as this ledger has seen"
