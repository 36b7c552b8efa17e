"""The commands of who approves calls: ``approvals``, ``approve`` and ``reject``."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .. import inputs
from ..ledger_location import confirm, ledger_location, show_whole
from ..options import Json, LedgerAddress, LedgerFile, Passphrase, State, Yes
from ..terminal import REFUSED, CommandResult, UsageError, warn

if TYPE_CHECKING:
    from ...keys.keys import KeyPair
    from ...ledger import ApprovalRequest, Ledger

__all__ = ["approvals", "approve", "reject"]

Id = Annotated[str, typer.Argument(metavar="ID", help="The request.", show_default=False)]
MaybeId = Annotated[str | None, typer.Argument(metavar="ID", help="One request; all that wait if left out.")]
Key = Annotated[
    Path,
    typer.Option("--key", metavar="FILE", help="The approver's own private key.", show_default=False),
]


def approvals(
    id: MaybeId = None,
    ledger: LedgerAddress = None,
    ledger_file: LedgerFile = None,
    state: State = None,
    json: Json = False,
) -> CommandResult:
    """List the calls that wait for an approval; show one, with every argument.

    Characters that cannot be seen are shown as escapes, and nothing is shortened. The digest is computed
    from what is shown: it is what `approve` signs.
    """
    from ..escaping import visible
    from ..token_view import format_duration

    now = inputs.now()

    async def work(ledger: Ledger) -> list[ApprovalRequest]:
        return await ledger.requests(now=now, id=id)

    found = ledger_location(ledger, ledger_file, state).use(work)
    if id is not None:
        request = _only(found)
        fields, lines = _shown(request, now)
        return CommandResult(fields, lines, as_json=json)
    fields_of_all: list[dict[str, Any]] = []
    rows = [("request", "who", "what", "time left", "approvals")]
    for one in found:
        given = f"{sum(vote.approves for vote in one.votes)} of {len(one.approvers)} asked"
        rows.append((one.id, visible(one.subject), _what(one), format_duration(one.expires - now), given))
        with suppress(ValueError):  # what is not to be read is not to be approved: `approvals ID` says so
            fields_of_all.append(_shown(one, now)[0])
    return CommandResult({"requests": fields_of_all}, table=rows, as_json=json)


def approve(
    id: Id,
    key: Key,
    passphrase_file: Passphrase = None,
    yes: Yes = False,
    ledger: LedgerAddress = None,
    ledger_file: LedgerFile = None,
    state: State = None,
    json: Json = False,
) -> CommandResult | int:
    """Approve one call, with your key.

    The call is shown first. The approval is for exactly that call, under that capability, until the request
    ends, and is used once.
    """
    return _voted(True, id, key, passphrase_file, yes, (ledger, ledger_file, state), json)


def reject(
    id: Id,
    key: Key,
    passphrase_file: Passphrase = None,
    yes: Yes = False,
    ledger: LedgerAddress = None,
    ledger_file: LedgerFile = None,
    state: State = None,
    json: Json = False,
) -> CommandResult | int:
    """Reject one call, with your key: one of those who are asked is enough."""
    return _voted(False, id, key, passphrase_file, yes, (ledger, ledger_file, state), json)


def _voted(
    approves: bool,
    id: str,
    key: Path,
    passphrase_file: Path | None,
    yes: bool,
    where: tuple[str | None, Path | None, Path | None],
    json: bool,
) -> CommandResult | int:
    from ...keys.keyfile import read_key

    at = ledger_location(*where)
    pair: KeyPair = inputs.with_passphrase(lambda secret: read_key(key, secret), passphrase_file)

    async def work(ledger: Ledger) -> CommandResult | int:
        request = _only(await ledger.requests(now=inputs.now(), id=id))
        show_whole(_shown(request, inputs.now())[1])
        # before anybody is asked: a key that is not asked, a request that is over
        vote = (request.approve if approves else request.reject)(pair, now=inputs.now())
        done = "approved" if approves else "rejected"
        if not confirm(f"{'approve' if approves else 'reject'} this call?", yes):
            warn(f"nothing was {done}")
            return REFUSED
        request = await ledger.vote(id, vote, now=inputs.now())
        fields, _ = _shown(request, inputs.now())
        return CommandResult(fields, [(0, f"{done}: request {request.id}")], as_json=json)

    return at.use(work)


def _only(found: list[ApprovalRequest]) -> ApprovalRequest:
    if not found:
        raise UsageError("there is no such request", "hessra-agents approvals lists those that wait")
    return found[0]


def _shown(request: ApprovalRequest, now: int) -> tuple[dict[str, Any], list[tuple[int, str]]]:
    """A request for a program, and in lines for a person.

    Raises:
        ValueError: what is kept of the call is not one.
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
        (0, f"{visible(request.subject)} asks to {_what(request)}"),
        *((1, line) for line in argument_lines(call)),
        *([] if call.arguments else [(1, "without arguments")]),
        (0, f"digest {call.digest.hex()}"),
    ]
    for _, key in request.approvers:
        lines.append((0, f"asked: {key}, {voted.get(str(key), 'no vote yet')}"))
    return fields, lines


def _what(request: ApprovalRequest) -> str:
    """``call "send_email"``."""
    from ..escaping import visible

    operation = "call" if request.operation == "invoke" else visible(request.operation)
    return f"{operation} {visible(request.resource.removeprefix('tool:'))}"
