"""The command ``revoke``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .. import inputs
from ..ledger_location import place, sure
from ..options import Json, LedgerAddress, LedgerFile, State, Yes
from ..terminal import REFUSED, Answer, Mistake, warn

if TYPE_CHECKING:
    from ...ledger import Ledger, Reach, Revocation

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
) -> Answer | int:
    """Take something back, for good: there is no way to undo it.

    Name one thing. What it ends, of what the ledger has seen, is shown first. What is built on a revoked
    block falls with it; whoever holds what that block was added to can add another: revoke the earlier
    block, or the subject, to end both.
    """
    at = place(ledger, ledger_file, state)
    what = _named(token, block, subject, holder, root, before)
    if len(reason) > LONGEST_REASON:
        raise Mistake(f"--reason: has at most {LONGEST_REASON} characters")

    async def work(ledger: Ledger) -> Answer | int:
        reach = await ledger.reach(what, now=inputs.now())
        warn(f"this ends {_words(reach)}, as far as this ledger has seen")
        if not sure(f"revoke this {_kind(what)}, for good?", yes):
            warn("nothing was revoked")
            return REFUSED
        epoch = await ledger.revoke(what, reason=reason)
        fields: dict[str, Any] = {
            "revoked": what.words,
            "epoch": epoch,
            "capabilities": reach.capabilities,
            "holders": reach.holders,
            "requests": reach.requests,
        }
        lines = [(0, f"revoked: {what.words}"), (0, f"epoch {epoch}: every call that begins now knows it")]
        return Answer(fields, lines, as_json=json)

    return at.use(work, damaged=lambda words: warn(f"the ledger: {words}"))


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
    from ..token_view import Reading

    given = [one is not None for one in (token, block, subject, holder, root, before)]
    if sum(given) != 1:
        raise Mistake("name one thing: --token, --block, --subject, --holder, --root or --before")
    if token is not None:
        found = Reading.of(inputs.token(None if str(token) == "-" else token), None)
        block = found.blocks[-1].id
    try:
        root_key = None if root is None else PublicKey.parse(root)
    except ValueError as error:
        raise Mistake(f"--root: {error}", "hessra-agents keys list prints it") from None
    moment = None if before is None else int(inputs.moment(before, "--before").timestamp())
    key = inputs.public_key(holder, "--holder")
    return Revocation.of(block=block, subject=subject, key=key, root=root_key, before=moment)


def _kind(what: Revocation) -> str:
    return {"root": "root key", "before": "moment"}.get(what.kind, what.kind)


def _words(reach: Reach) -> str:
    def count(number: int, one: str, more: str) -> str:
        return f"{number} {one if number == 1 else more}"

    live = count(reach.capabilities, "live capability", "live capabilities")
    holders = count(reach.holders, "holder's key", "holders' keys")
    return f"{live} with {holders} and {count(reach.requests, 'waiting request', 'waiting requests')}"
