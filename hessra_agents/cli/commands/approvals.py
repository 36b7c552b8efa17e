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
    from collections.abc import Mapping

    from ...keys.keys import PublicKey
    from ...ledger import ApprovalRequest, ApprovalVote, Ledger

__all__ = ["approvals", "approve", "reject"]

Id = Annotated[str, typer.Argument(metavar="ID", help="The request's id.", show_default=False)]
MaybeId = Annotated[str | None, typer.Argument(metavar="ID", help="One request. Default: all open requests.")]
People = Annotated[
    Path | None,
    typer.Option("--people", metavar="FILE", help='Names of approvers, a TOML file: ana = "ed25519/...".'),
]
Key = Annotated[
    Path, typer.Option("--key", metavar="FILE", help="The approver's private key.", show_default=False)
]


@with_ledger
def approvals(
    ledger: LedgerOptions,
    id: MaybeId = None,
    people: People = None,
    json: Json = False,
) -> CommandResult:
    """List calls that await approval, or show one in full.

    Invisible characters are shown as escapes, and nothing is shortened. `approve` signs the digest of
    exactly the call that is shown. A call that has all its approvals is no longer listed.
    """
    from ..token_view import format_duration

    now, names = inputs.now(), inputs.people(people)

    async def work(ledger: Ledger) -> list[ApprovalRequest]:
        return await ledger.requests(id)

    found = ledger.location().use(work)
    if id is not None:
        request = _only(found)
        fields, lines = _shown(request, now, names)
        return CommandResult(fields, lines, as_json=json)
    fields_of_all: list[dict[str, Any]] = []
    rows = [("request", "subject", "call", "time left", "approvals")]
    for one in found:
        given = ", ".join(f"{len(need.given)} of {need.count}" for need in one.progress(now))
        rows.append((one.id, _who(one), _what(one), format_duration(one.expires - now), given))
        with suppress(ValueError):  # an unreadable call cannot be approved: `approvals ID` says why
            fields_of_all.append(_shown(one, now, names)[0])
    if not found and not json:
        warn("no open requests")
    return CommandResult({"requests": fields_of_all}, table=rows, as_json=json)


@with_ledger
def approve(
    ledger: LedgerOptions,
    id: Id,
    key: Key,
    passphrase_file: Passphrase = None,
    people: People = None,
    yes: Yes = False,
    json: Json = False,
) -> CommandResult | int:
    """Approve one call with your key.

    The call is shown first. The approval is valid for exactly that call under that capability, once, until
    the request expires. Afterwards the command says what is still missing.
    """
    return _vote(ledger, id, key, passphrase_file, people, yes, json)


@with_ledger
def reject(
    ledger: LedgerOptions,
    id: Id,
    key: Key,
    reason: Annotated[
        str, typer.Option("--reason", metavar="TEXT", help="Why; the agent is told, and the log.")
    ] = "",
    passphrase_file: Passphrase = None,
    people: People = None,
    yes: Yes = False,
    json: Json = False,
) -> CommandResult | int:
    """Reject one call with your key.

    One rejection ends the request, whatever the other approvers say.
    """
    return _vote(ledger, id, key, passphrase_file, people, yes, json, rejection=reason)


def _vote(
    options: LedgerOptions,
    id: str,
    key: Path,
    passphrase_file: Path | None,
    people: Path | None,
    yes: bool,
    json: bool,
    *,
    rejection: str | None = None,
) -> CommandResult | int:
    """Vote for a call; against it if there is a rejection, which is its reason or empty."""
    location, names = options.location(), inputs.people(people)
    pair = inputs.key_pair(key, passphrase_file)

    async def work(ledger: Ledger) -> CommandResult | int:
        request, now = _only(await ledger.requests(id)), inputs.now()
        show_unshortened(_shown(request, now, names)[1])
        # before the question: refuse a key that is not an approver's, or a request that has ended
        if rejection is None:
            verb, done, vote = "approve", "approved", request.approve(pair, now=now)
        else:
            verb, done, vote = "reject", "rejected", request.reject(pair, now=now, reason=rejection)
        again = any(one.key == vote.key and one.approves and vote.approves for one in request.votes)
        if not confirm(f"{verb} this call?", yes):
            warn(f"nothing was {done}")
            return REFUSED
        request = await ledger.vote(id, vote)
        fields, _ = _shown(request, inputs.now(), names)
        line = f"approved already by this key: request {id}" if again else f"{done}: request {id}"
        lines = [line] if rejection is not None else [line, *_still_missing(request, inputs.now(), names)]
        return CommandResult({**fields, "again": again}, [(0, one) for one in lines], as_json=json)

    return location.use(work)


def _only(found: list[ApprovalRequest]) -> ApprovalRequest:
    if not found:
        raise UsageError("no such request", "hessra-agents approvals lists the open requests")
    return found[0]


def _shown(
    request: ApprovalRequest, now: int, names: Mapping[str, str]
) -> tuple[dict[str, Any], list[tuple[int, str]]]:
    """Return a request for a program, and as lines for a person.

    Raises:
        ValueError: the stored call is damaged.
    """
    from ..escaping import argument_lines
    from ..token_view import format_duration, format_time

    call = request.call
    voted = {vote.key: vote for vote in request.votes}
    state = request.state if request.state != "open" or now < request.expires else "expired"
    fields: dict[str, Any] = {
        "request": request.id,
        "state": state,
        "subject": request.subject,
        "known_as": request.known_as,
        "vouched": request.vouched,
        "object": request.resource,
        "operation": request.operation,
        "arguments": call.arguments,
        "digest": call.digest.hex(),
        "blocks": list(request.ids),
        "asked": request.asked,
        "expires": request.expires,
        "needs": [
            {"need": need.count, "given": len(need.given), "keys": list(map(str, need.keys))}
            for need in request.progress(now)
        ],
        "complete": request.is_complete(now),
        "approvers": [
            {"key": str(key), "name": names.get(str(key)), **_vote_fields(voted.get(key))}
            for _, key in request.approvers
        ],
    }
    ends = f", {format_duration(request.expires - now)} left" if state == "open" else ""
    lines = [
        (0, f"request {request.id}, {state}{ends} (until {format_time(request.expires)})"),
        (0, f"{_who(request)} wants to {_what(request)}"),
        *((1, line) for line in argument_lines(call)),
        *([] if call.arguments else [(1, "no arguments")]),
        (0, f"digest {call.digest.hex()}"),
    ]
    for _, key in request.approvers:
        lines.append((0, f"approver {_named(key, names)}: {_voted(voted.get(key))}"))
    if state == "open":
        lines += [(0, line) for line in _still_missing(request, now, names)]
    return fields, lines


def _vote_fields(vote: ApprovalVote | None) -> dict[str, str | None]:
    if vote is None:
        return {"vote": None, "reason": None}
    return {"vote": "approves" if vote.approves else "rejects", "reason": vote.reason or None}


def _voted(vote: ApprovalVote | None) -> str:
    if vote is None:
        return "no vote yet"
    return "approves" if vote.approves else "rejects" + (f", because: {vote.reason!r}" if vote.reason else "")


def _still_missing(request: ApprovalRequest, now: int, names: Mapping[str, str]) -> list[str]:
    """Return how many approvals are missing, and by whom they may be given."""
    lines = []
    for need in request.progress(now):
        if need.lacking:
            by = ", ".join(_named(key, names) for key in need.open_to)
            more = f"{len(need.given)} of {need.count} approvals; {need.lacking} more needed"
            lines.append(f"{more}, by {'any of ' * (len(need.open_to) > need.lacking)}{by}")
    return lines or ["all approvals are given: the call may go now"]


def _named(key: PublicKey, names: Mapping[str, str]) -> str:
    name = names.get(str(key))
    return str(key) if name is None else f"{name} ({key})"


def _who(request: ApprovalRequest) -> str:
    """Return who asks: the subject, or the name that delegations gave."""
    from ...tokens.describe import describe_agent
    from ..escaping import visible

    return describe_agent(request.subject, request.known_as, vouched=request.vouched, show=visible)


def _what(request: ApprovalRequest) -> str:
    """Return the operation and the object: ``call "send_email"``."""
    from ..escaping import visible

    operation = "call" if request.operation == "invoke" else visible(request.operation)
    return f"{operation} {visible(request.resource.removeprefix('tool:'))}"
