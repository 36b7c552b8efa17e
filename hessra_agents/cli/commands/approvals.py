"""The commands of an approver: ``approvals``, ``approve`` and ``reject``."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .. import inputs
from ..ledger_location import confirm, show_unshortened
from ..options import Json, LedgerOptions, Passphrase, Yes, with_ledger
from ..terminal import REFUSED, CommandResult, UsageError, warn

if TYPE_CHECKING:
    from ...ledger import ApprovalRequest, Ledger

__all__ = ["approvals", "approve", "reject"]

Id = Annotated[str, typer.Argument(metavar="ID", help="The request's id.", show_default=False)]
MaybeId = Annotated[str | None, typer.Argument(metavar="ID", help="One request. Default: all open requests.")]
Key = Annotated[
    Path, typer.Option("--key", metavar="FILE", help="The approver's private key.", show_default=False)
]


@with_ledger
def approvals(
    ledger: LedgerOptions,
    id: MaybeId = None,
    json: Json = False,
) -> CommandResult:
    """List calls that await approval, or show one in full.

    Invisible characters are shown as escapes, and nothing is shortened. `approve` signs the digest of
    exactly the call that is shown.
    """
    from ..escaping import visible
    from ..token_view import format_duration

    now = inputs.now()

    async def work(ledger: Ledger) -> list[ApprovalRequest]:
        return await ledger.requests(id)

    found = ledger.location().use(work)
    if id is not None:
        request = _only(found)
        fields, lines = _shown(request, now)
        return CommandResult(fields, lines, as_json=json)
    fields_of_all: list[dict[str, Any]] = []
    rows = [("request", "subject", "call", "time left", "approvals")]
    for one in found:
        given = f"{sum(vote.approves for vote in one.votes)} of {len(one.approvers)} approvers"
        rows.append((one.id, visible(one.subject), _what(one), format_duration(one.expires - now), given))
        with suppress(ValueError):  # an unreadable call cannot be approved: `approvals ID` says why
            fields_of_all.append(_shown(one, now)[0])
    return CommandResult({"requests": fields_of_all}, table=rows, as_json=json)


@with_ledger
def approve(
    ledger: LedgerOptions,
    id: Id,
    key: Key,
    passphrase_file: Passphrase = None,
    yes: Yes = False,
    json: Json = False,
) -> CommandResult | int:
    """Approve one call with your key.

    The call is shown first. The approval is valid for exactly that call under that capability, once, until
    the request expires.
    """
    return _vote(ledger, id, key, passphrase_file, yes, json, approves=True)


@with_ledger
def reject(
    ledger: LedgerOptions,
    id: Id,
    key: Key,
    passphrase_file: Passphrase = None,
    yes: Yes = False,
    json: Json = False,
) -> CommandResult | int:
    """Reject one call with your key.

    One rejection ends the request, whatever the other approvers say.
    """
    return _vote(ledger, id, key, passphrase_file, yes, json, approves=False)


def _vote(
    options: LedgerOptions,
    id: str,
    key: Path,
    passphrase_file: Path | None,
    yes: bool,
    json: bool,
    *,
    approves: bool,
) -> CommandResult | int:

    location = options.location()
    pair = inputs.key_pair(key, passphrase_file)

    async def work(ledger: Ledger) -> CommandResult | int:
        request = _only(await ledger.requests(id))
        show_unshortened(_shown(request, inputs.now())[1])
        # before the question: refuse a key that is not an approver's, or a request that has ended
        vote = (request.approve if approves else request.reject)(pair, now=inputs.now())
        done = "approved" if approves else "rejected"
        if not confirm(f"{'approve' if approves else 'reject'} this call?", yes):
            warn(f"nothing was {done}")
            return REFUSED
        request = await ledger.vote(id, vote)
        fields, _ = _shown(request, inputs.now())
        return CommandResult(fields, [(0, f"{done}: request {request.id}")], as_json=json)

    return location.use(work)


def _only(found: list[ApprovalRequest]) -> ApprovalRequest:
    if not found:
        raise UsageError("no such request", "hessra-agents approvals lists the open requests")
    return found[0]


def _shown(request: ApprovalRequest, now: int) -> tuple[dict[str, Any], list[tuple[int, str]]]:
    """Return a request for a program, and as lines for a person.

    Raises:
        ValueError: the stored call is damaged.
    """
    from ..escaping import argument_lines, visible
    from ..token_view import format_duration, format_time

    call = request.call
    voted = {str(vote.key): "approves" if vote.approves else "rejects" for vote in request.votes}
    state = request.state if request.state != "open" or now < request.expires else "expired"
    fields = {
        "request": request.id,
        "state": state,
        "subject": request.subject,
        "object": request.resource,
        "operation": request.operation,
        "arguments": call.arguments,
        "digest": call.digest.hex(),
        "blocks": list(request.ids),
        "asked": request.asked,
        "expires": request.expires,
        "approvers": [{"key": str(key), "vote": voted.get(str(key))} for _, key in request.approvers],
    }
    ends = f", {format_duration(request.expires - now)} left" if state == "open" else ""
    lines = [
        (0, f"request {request.id}, {state}{ends} (until {format_time(request.expires)})"),
        (0, f"{visible(request.subject)} wants to {_what(request)}"),
        *((1, line) for line in argument_lines(call)),
        *([] if call.arguments else [(1, "no arguments")]),
        (0, f"digest {call.digest.hex()}"),
    ]
    for _, key in request.approvers:
        lines.append((0, f"approver {key}: {voted.get(str(key), 'no vote yet')}"))
    return fields, lines


def _what(request: ApprovalRequest) -> str:
    """Return the operation and the object: ``call "send_email"``."""
    from ..escaping import visible

    operation = "call" if request.operation == "invoke" else visible(request.operation)
    return f"{operation} {visible(request.resource.removeprefix('tool:'))}"
