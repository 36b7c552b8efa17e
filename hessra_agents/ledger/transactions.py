"""The transactions of a ledger, written once for every store, as *steps* (`store.connection`)."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from ..errors import Denied, Reason
from ..grants.vocabulary.measures import write_decimal
from ..keys.keys import PublicKey
from ..tokens.capability import Capability
from ..tokens.describe import is_vouched
from ..tokens.revocation_ids import revocation_id
from ..tokens.statements import chain_digest
from ..verify.permit import LimitCharge, Permit
from .approval_requests import MAX_OPEN, MAX_SHOWN, ApprovalNeed, ApprovalRequest, ApprovalVote, State
from .records import time_of
from .revocations import Revocation, RevocationImpact, RevocationList
from .store.connection import Row, Steps

__all__ = [
    "SeenCapability",
    "admit",
    "approvals",
    "expire",
    "learn_revocations",
    "newest_record",
    "refund",
    "remember_capability",
    "request_approval",
    "requests",
    "revocation_impact",
    "revoke",
    "vote",
    "window_slots",
]  # fmt: skip

_PAGE = 10_000
_DAY = 86_400
_ID = re.compile(r"[0-9a-f]{16}")
MAX_TIME = 1 << 61
"""Later than any clock, and still a number that every store keeps."""


@dataclass(frozen=True, slots=True)
class SeenCapability:
    """A capability that was used, so that a later revocation can be counted against it."""

    revocation_ids: tuple[bytes, ...]
    subject: str
    holder: bytes | None
    issued: int | None
    expires: int
    known_as: str | None
    vouched: bool

    @classmethod
    def of(cls, used: Capability) -> SeenCapability:
        """Return what to remember of a capability."""
        return cls(
            used.revocation_ids,
            used.subject,
            used.holder.key if used.holder else None,
            used.blocks[0].issued,
            used.expires,
            None if used.name == used.subject else used.name,
            is_vouched(used.blocks),
        )


def learn_revocations(revoked: RevocationList) -> Steps[int]:
    """Read new revocations, and return the time up to which used statements were deleted.

    Raises:
        Denied: ``unavailable``: this is not the store that was read before.
    """
    ((epoch, purged),) = yield "state", ()
    if revoked.epoch == epoch:
        revoked.mark_read()
        return int(purged)
    try:
        while revoked.epoch < epoch:
            upto = min(epoch, revoked.epoch + _PAGE)
            revoked.apply(upto, (yield "feed", (revoked.epoch, upto)))
        revoked.apply(epoch, ())
    except LookupError as error:
        raise Denied(Reason.UNAVAILABLE, detail=str(error)) from error
    return int(purged)


def admit(permit: Permit, operation_id: bytes, revoked: RevocationList) -> Steps[None]:
    """Use up everything that a permit uses: its proof, its approvals, its limits.

    Raises:
        Denied: something is revoked, used or used up; the caller rolls the transaction back.
    """
    purged = yield from learn_revocations(revoked)
    revoked.check(permit.revocation_ids, permit.issued)
    for key in permit.approvers:
        revoked.check((revocation_id("key", key),), permit.issued)
    for statement in sorted(permit.spends, key=lambda spent: (spent.kind, spent.name)):
        kind = statement.kind
        if statement.until <= purged:
            # the clock was set back: this statement may have been used and deleted since
            raise Denied(Reason.STALE, f"the {kind} is older than the guard's clock has been")
        if not (yield "spend", (kind, statement.name, statement.until)):
            raise Denied(Reason.REPLAYED if kind == "proof" else Reason.SPENT, f"the {kind} was used before")
    if permit.approvers:
        asked = yield "asked", (permit.call.digest, chain_digest(permit.ids), permit.time)
        if asked and asked[0][2] == "rejected":
            raise Denied(Reason.NOT_APPROVED, "an approver has rejected this call")
    for key in permit.approvers:
        # a holder of this capability, or of one that it derives from, must not approve its calls
        for block in permit.ids:
            if (yield "delegate", (revocation_id("block", block.encode()), revocation_id("key", key))):
                raise Denied(Reason.NOT_APPROVED, "a holder of a capability cannot approve its calls")
    for charge in sorted(permit.charges, key=lambda charge: charge.counter):
        yield from _charge(charge, operation_id, permit, purged)
    if permit.approvers:
        yield "use_request", (permit.call.digest, chain_digest(permit.ids))


def _charge(charge: LimitCharge, operation_id: bytes, permit: Permit, purged: int) -> Steps[None]:
    now = permit.time
    slot, first = window_slots(charge.window, now)
    # a use is kept while it counts: in its window, or as long as the capability lives, or a budget: for ever
    until = min(charge.until, MAX_TIME)
    if charge.window:
        until = min(until, (slot + 1) * max(1, charge.window // 60) + charge.window)
    if purged >= (now + 1 if charge.window else until):
        raise Denied(Reason.STALE, "the uses of a limit were deleted: a guard's clock was ahead")
    ((used,),) = yield "used", (charge.counter, first)
    if int(used) + charge.amount > charge.at_most:
        left = write_decimal(max(charge.at_most - int(used), 0), charge.places)
        raise Denied(Reason.SPENT, f"used up: {charge.words}, {left} left")
    yield "charge", (charge.counter, slot, charge.amount, until)
    if charge.refund:
        ended = min(until, permit.expires + _DAY)  # a call that began in time may fail later
        yield "refundable", (operation_id, charge.counter, slot, charge.amount, ended)


def window_slots(window: int, now: int) -> tuple[int, int]:
    """Return the slot of a use now, and the first slot that still counts; both 0 without a window."""
    length = max(1, window // 60)
    return (now // length, (now - window) // length) if window else (0, 0)


def refund(operation_id: bytes) -> Steps[None]:
    """Give back the refundable charges of an operation; a second time gives back nothing."""
    for counter, slot, amount in (yield "refund", (operation_id,)):
        yield "give_back", (counter, slot, amount)


def remember_capability(seen: SeenCapability) -> Steps[None]:
    """Remember that a capability was used, with its revocation ids."""
    name = seen.revocation_ids[0]
    known_as = None if seen.known_as is None else seen.known_as.encode()
    values = (name, seen.subject.encode(), seen.holder, seen.issued, seen.expires, known_as, seen.vouched)
    if (yield "capability", values):
        for id in dict.fromkeys(seen.revocation_ids):
            yield "mark", (id, name)


def revoke(revocation: Revocation, reason: str, now: int) -> Steps[tuple[int, bool]]:
    """Write a revocation, and return its epoch and whether it is new."""
    yield "lock_state", ()
    known = yield "known_revocation", (revocation.kind, revocation.target)
    if known:
        return int(known[0][0]), False
    # nobody sees this epoch before every lower one can be seen
    ((epoch,),) = yield "next_epoch", ()
    yield "revoke", (int(epoch), revocation.kind, revocation.target, revocation.description, reason, now)
    yield "hint", ()
    return int(epoch), True


def revocation_impact(revocation: Revocation, now: int) -> Steps[RevocationImpact]:
    """Count what a revocation would end."""
    timed = "_before" if revocation.kind == "before" else ""
    target = int.from_bytes(revocation.target, "big") if timed else revocation.target
    ((capabilities, holders),) = yield f"reach{timed}", (target, now)
    ((waiting,),) = yield f"reach_requests{timed}", (target, now)
    return RevocationImpact(int(capabilities), int(holders), int(waiting))


def request_approval(
    request: ApprovalRequest, seen: SeenCapability, revoked: RevocationList
) -> Steps[ApprovalRequest]:
    """File a request, or return the open one for the same call."""
    yield from learn_revocations(revoked)
    revoked.check(seen.revocation_ids, seen.issued)
    digest, name = request.call.digest, seen.revocation_ids[0]
    found = yield "asked", (digest, request.chain, request.asked)
    if found:
        return (yield from _request(found[0], revoked))
    if len(request.text) > MAX_SHOWN:
        raise Denied(Reason.NOT_APPROVED, "the arguments are too long to show to an approver")
    for depth, block in enumerate(request.ids):
        # all that derives from a block shares its number of requests: narrowing does not raise it
        ((waiting,),) = yield "reach_requests", (revocation_id("block", block.encode()), request.asked)
        if int(waiting) >= max(1, MAX_OPEN >> depth):
            raise Denied(
                Reason.NOT_APPROVED, "too many calls of this capability wait for an approval already"
            )
    yield from remember_capability(seen)
    values = (request.id, digest, request.chain, name, _body(request), request.expires, request.asked)
    yield "ask", values
    return request


def requests(now: int, id: str | None, revoked: RevocationList) -> Steps[list[ApprovalRequest]]:
    """Return the open requests that lack an approval, or the one with this id.

    A vote of a key that was revoked since is none.
    """
    yield from learn_revocations(revoked)
    if id is not None and not _ID.fullmatch(id):
        return []  # some strings cannot be stored
    rows = (yield "open_requests", (now,)) if id is None else (yield "request", (id,))
    found = []
    for row in rows:
        request = yield from _request(row, revoked)
        if id is not None or not request.is_complete(now):
            found.append(request)
    return found


def vote(id: str, vote: ApprovalVote, now: int, revoked: RevocationList) -> Steps[ApprovalRequest]:
    """Add a vote to a request.

    Raises:
        ValueError: there is no such request, or the vote does not count.
    """
    found = yield from requests(now, id, revoked)
    if not found:
        raise ValueError("there is no such request")
    (request,) = found
    if request.state != "open" or now >= request.expires:
        raise ValueError("this request is over")
    request.check(vote)
    voter = revocation_id("key", vote.key.data)
    if revoked.contains(voter):
        raise ValueError("this key is revoked")
    for block in request.ids:
        if (yield "delegate", (revocation_id("block", block.encode()), voter)):
            raise ValueError("a holder of this capability cannot vote on its calls")
    yield "vote", (id, str(vote.key), vote.statement)
    if not vote.approves:
        yield "settle", (id, "rejected")
    return request.with_vote(vote)


def approvals(call: bytes, chain: bytes, now: int, revoked: RevocationList) -> Steps[list[str]]:
    """Return the unused approvals of a call, without those of keys that were revoked since."""
    yield from learn_revocations(revoked)
    rows = yield "approvals", (call, chain, now)
    return [
        statement
        for key, statements in rows
        for statement in str(statements).split()
        if not revoked.contains(revocation_id("key", PublicKey.parse(str(key)).data))
    ]


def expire(before: int, rows: int = 10_000) -> Steps[int]:
    """Delete what expired by this time, at most so many rows of a table; another guard may be at it already.

    Returns:
        The most rows that a table lost: there is more if it is as many as asked for.
    """
    if not (yield "forget_turn", ()):
        return 0
    batch = before, rows
    spent, used = (yield "forget_spent", batch), (yield "forget_used", batch)
    if spent or used:
        yield "purged", (before,)
    # of the very rows that go then: both statements take the first of the same index
    yield "forget_marks", batch
    yield "forget_votes", batch
    lost = [len(spent), len(used)]
    for table in ("refundable", "capabilities", "requests"):
        lost.append(len((yield f"forget_{table}", batch)))
    return max(lost)


def newest_record() -> Steps[int | None]:
    """Return the time of the newest record of all logs; None if there is none."""
    times = []
    for number, _ in (yield "logs", ()):
        ((size,),) = yield "size", (number,)
        end = min(int(size), (1 << 63) - 1)  # somebody else may have moved a record as far as numbers go
        for _, _, _, body, *_ in (yield "entries", (number, end - 1, end)):
            times.append(time_of(bytes(body)) or 0)
    return max(times, default=None)


def _body(request: ApprovalRequest) -> bytes:
    said = {
        "resource": request.resource,
        "operation": request.operation,
        "text": request.text.decode(),
        "ids": request.ids,
        "subject": request.subject,
        "known_as": request.known_as,
        "vouched": request.vouched,
        "approvers": [(handle, str(key)) for handle, key in request.approvers],
        "needs": [([str(key) for key in one.keys], one.count) for one in request.needs],
        "asked": request.asked,
        "expires": request.expires,
    }
    return json.dumps(said).encode()


def _request(row: Row, revoked: RevocationList) -> Steps[ApprovalRequest]:
    id, body, state = row
    rows = yield "votes", (id,)
    try:
        votes = [ApprovalVote(PublicKey.parse(str(key)), str(statement)) for key, statement in rows]
        for vote in votes:
            vote.check_form()
        counted = tuple(one for one in votes if not revoked.contains(revocation_id("key", one.key.data)))
        return _read(str(id), bytes(body), state, counted)
    except (Denied, LookupError, TypeError, ValueError, RecursionError) as error:
        detail = f"the request for approval {id!r} cannot be read: somebody else wrote to the store"
        raise Denied(Reason.UNAVAILABLE, detail=detail) from error


def _read(id: str, body: bytes, state: State, votes: tuple[ApprovalVote, ...]) -> ApprovalRequest:
    said = json.loads(body)
    needs = tuple(ApprovalNeed(tuple(map(PublicKey.parse, keys)), count) for keys, count in said["needs"])
    texts = said["resource"], said["operation"], said["text"], said["subject"], *said["ids"]
    numbers = said["asked"], said["expires"], *(need.count for need in needs)
    named = type(said["known_as"]) in (str, type(None)) and type(said["vouched"]) is bool
    if not named or {type(one) for one in texts} != {str} or {type(one) for one in numbers} != {int}:
        raise TypeError("a string or an integer is something else")
    return ApprovalRequest(
        id,
        said["resource"],
        said["operation"],
        said["text"].encode(),
        tuple(said["ids"]),
        said["subject"],
        tuple((bytes.fromhex(handle).hex(), PublicKey.parse(key)) for handle, key in said["approvers"]),
        needs,
        said["asked"],
        said["expires"],
        state,
        votes,
        said["known_as"],
        said["vouched"],
    )
