"""What every store of a ledger must do: one suite, run on memory, SQLite and PostgreSQL."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import anyio
import pytest

from hessra_agents import Call, Capability, Denied, KeyPair, Ledger, Reason, approved_by, grant, limit, must
from hessra_agents.ledger import ApprovalRequest, ApprovalVote, LedgerError, Outcome
from hessra_agents.ledger import transactions as steps
from hessra_agents.ledger.approval_requests import MAX_OPEN
from hessra_agents.ledger.model import new_operation_id
from hessra_agents.ledger.store import queue, writer
from hessra_agents.ledger.store.connection import Steps, StoreError
from tests.support.clocks import LoopTime, pass_time
from tests.support.ledgers import (
    Store,
    commits,
    everywhere,
    held_up,
    once_each,
    shared,
    until,
)
from tests.support.ledgers import anyio_backend as anyio_backend
from tests.support.ledgers import store as store
from tests.support.processes import PATIENCE
from tests.support.world import MAIL, World

pytestmark = pytest.mark.anyio
KEY = KeyPair.generate()
PAY = grant("pay", amount=must.anything())


async def reason_of(attempt: Callable[[], Any]) -> str:
    """``ran``, or why it was refused."""
    try:
        await attempt()
    except Denied as denied:
        return str(denied.reason)
    return "ran"


async def at_once(attempts: list[Callable[[], Any]]) -> list[str]:
    """What becomes of all of them, side by side; sorted."""
    found: list[str] = []

    async def one(attempt: Callable[[], Any]) -> None:
        found.append(await reason_of(attempt))

    async with anyio.create_task_group() as group:
        for attempt in attempts:
            group.start_soon(one, attempt)
    return sorted(found)


def statement(name: str, values: tuple[Any, ...]) -> Steps[Any]:
    """One statement of the store."""
    return (yield name, values)


# Single use


@everywhere
async def test_a_proof_makes_one_call(store: Store) -> None:
    world = store.world()
    held = world.issue(holder=KEY.public)
    proof = world.prove(held, KEY)
    await world.call(held, proof=proof)
    with world.refuses("replayed"):
        await world.call(held, proof=proof)
    await world.call(held, proof=world.prove(held, KEY))
    assert len(world.ran) == 2


@shared
async def test_a_proof_makes_one_call_of_all_guards_on_a_store(store: Store) -> None:
    here = store.world()
    there = store.world(here)
    held = here.issue(holder=KEY.public)
    proof = here.prove(held, KEY)
    verdicts = await at_once(
        [partial(one.call, held, proof=proof) for one in (here, there) for _ in range(10)]
    )
    assert verdicts == ["ran"] + ["replayed"] * 19
    assert len(here.ran + there.ran) == 1


@shared
async def test_a_proof_is_used_after_the_ledger_was_opened_again(store: Store) -> None:
    world = store.world()
    held = world.issue(holder=KEY.public)
    proof = world.prove(held, KEY)
    await world.call(held, proof=proof)
    await world.ledger.aclose()
    again = store.world(world)
    with again.refuses("replayed"):
        await again.call(held, proof=proof)


@shared
async def test_a_forgotten_proof_is_not_used_again_by_a_clock_that_was_set_back(store: Store) -> None:
    world = store.world()
    held = world.issue(holder=KEY.public)
    proof = world.prove(held, KEY)
    await world.call(held, proof=proof)
    assert store.run(steps.expire(world.now + 60)), "it was forgotten when it had expired"
    with world.refuses("stale"):
        await world.call(held, proof=proof)


@everywhere
async def test_a_refused_call_takes_nothing(store: Store) -> None:
    """The proof of a call whose limit is used up stays unused, and the other limits stay as they were."""
    world = store.world()
    held = world.issue(PAY, limit(sum_of="amount", at_most=10), limit(calls=2), holder=KEY.public)

    async def pay(amount: int) -> None:
        paid = {"amount": amount}
        await world.call(held, "pay", paid, proof=world.prove(held, KEY, "pay", paid))

    with world.refuses("spent", "10 left"):
        await pay(11)
    await pay(10)
    await pay(0)
    assert len(world.ran) == 2, "of the two calls none was charged for the one that was refused"


# What is written


@shared
async def test_every_decision_and_outcome_is_in_the_log(store: Store) -> None:
    world = store.world()
    held = world.issue()
    await world.call(held)
    with world.refuses("not_granted"):
        await world.call(held, "pay", {"amount": 1})
    with pytest.raises(ZeroDivisionError):
        async with world.guard.permit(held, Call.of("send_email", MAIL)):
            raise ZeroDivisionError
    await world.ledger.aclose()
    told = [one.get("verdict") or one.get("outcome") for one in store.records()]
    assert told == ["permitted", "done", "not_granted", "permitted", "failed"]


@shared
async def test_a_tool_that_is_broken_off_is_told_as_cancelled(store: Store) -> None:
    world = store.world()
    held = world.issue(limit(calls=1, refund=True))
    with anyio.CancelScope() as scope:
        async with world.guard.permit(held, Call.of("send_email", MAIL)):
            scope.cancel()
            await anyio.sleep_forever()
    with world.refuses("spent"):
        await world.call(held)
    await world.ledger.aclose()
    told = [one.get("verdict") or one.get("outcome") for one in store.records()]
    assert told == ["permitted", "cancelled", "spent"], "it may have acted, so nothing is given back"


@shared
async def test_the_caller_who_left_has_nothing_run_and_gets_back_what_may_be_given_back(store: Store) -> None:
    world = store.world()
    held = world.issue(limit(calls=1, refund=True))
    with held_up(world.ledger) as reached:
        async with anyio.create_task_group() as group:
            group.start_soon(world.call, held)
            await until(reached.is_set)
            group.cancel_scope.cancel()
    await until(lambda: len(store.records()) == 2)
    assert [one.get("verdict") or one.get("outcome") for one in store.records()] == ["permitted", "not_run"]
    assert world.ran == []
    await world.call(held)


@everywhere
async def test_a_call_that_was_admitted_and_did_not_run_gets_back_what_may_be_given_back(
    store: Store,
) -> None:
    """As one that is refused because its session has seen too much while it waited: also in memory."""
    world = store.world()
    held = world.issue(limit(calls=1, refund=True))
    permit, id = world.guard.decide(held, Call.of("send_email", MAIL)), new_operation_id()
    await world.ledger.admit(permit, id)
    with world.refuses("spent"):
        await world.call(held)
    world.ledger.record(permit, id, Outcome.NOT_RUN)
    assert await world.call(held)


@shared
async def test_a_call_that_the_ledger_keeps_too_long_is_refused_and_undone(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = store.world()
    held = world.issue(limit(calls=1, refund=True))
    monkeypatch.setattr(queue, "time", LoopTime)

    async def call() -> None:
        with world.refuses("unavailable"):
            await world.call(held)

    with held_up(world.ledger) as reached:
        async with anyio.create_task_group() as group:
            group.start_soon(call)
            await until(reached.is_set)
            pass_time(writer.DEADLINE)
    await until(lambda: len(store.records()) == 2)
    assert [one.get("verdict") or one.get("outcome") for one in store.records()] == ["permitted", "not_run"]
    await world.call(held)


@shared
async def test_what_a_caller_left_before_it_began_is_never_begun(store: Store) -> None:
    world = store.world()
    held = world.issue(limit(calls=1))
    with held_up(world.ledger) as reached, anyio.CancelScope() as scope:
        async with anyio.create_task_group() as group:
            group.start_soon(world.call, world.issue())
            await until(reached.is_set)
            group.start_soon(world.call, held)
            await anyio.wait_all_tasks_blocked()
            scope.cancel()
    await world.call(held)
    assert len(world.ran) == 1


@shared
@pytest.mark.parametrize("committed", [True, False])
async def test_a_commit_that_nobody_knows_of_charges_once(store: Store, committed: bool) -> None:
    """The store's answer is lost, once after the commit and once before it: the call is admitted again."""
    world = store.world()
    held = world.issue(PAY, limit(sum_of="amount", at_most=10), holder=KEY.public)
    answers: list[str] = []

    def once_lost(real: Callable[[], None]) -> None:
        if committed or answers:
            real()
        answers.append("committed")
        if len(answers) == 1:
            raise StoreError("the answer was lost")

    paid = {"amount": 6}
    with commits(world.ledger, once_lost):
        await world.call(held, "pay", paid, proof=world.prove(held, KEY, "pay", paid))
    with world.refuses("spent", "4 left"):
        await world.call(held, "pay", paid, proof=world.prove(held, KEY, "pay", paid))
    assert [one["verdict"] for one in store.records() if "verdict" in one] == ["permitted", "spent"]
    assert len(world.ran) == 1


@shared
async def test_a_store_that_fails_twice_refuses_and_is_used_again_when_it_is_back(store: Store) -> None:
    world = store.world()
    held = world.issue(limit(calls=1, refund=True))

    def lost(real: Callable[[], None]) -> None:
        real()
        raise StoreError("the answer was lost")

    with commits(world.ledger, lost), world.refuses("unavailable"):
        await world.call(held)
    await until(lambda: any(one.get("outcome") == "not_run" for one in store.records()))
    await world.call(held)
    assert len(world.ran) == 1


# When it takes no more


@shared
async def test_a_full_queue_refuses_at_once(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    world = store.world()
    held = world.issue()
    monkeypatch.setattr(writer, "MAX_WAITING", 3)
    with held_up(world.ledger) as reached:
        async with anyio.create_task_group() as group:
            group.start_soon(world.call, held)
            await until(reached.is_set)
            for _ in range(3):
                group.start_soon(world.call, held)
            await anyio.wait_all_tasks_blocked()
            with world.refuses("unavailable"):
                await world.call(held)
            group.cancel_scope.cancel()
    monkeypatch.undo()
    assert await world.call(held)


@shared
async def test_a_closed_ledger_refuses(store: Store) -> None:
    world = store.world()
    await world.ledger.aclose()
    await world.ledger.aclose()
    with world.refuses("unavailable"):
        await world.call(world.issue())


@once_each
def test_a_ledger_of_before_a_fork_refuses_in_the_child(store: Store) -> None:
    """The child has neither the thread nor a right to the connection. The parent goes on."""
    world = store.world()
    held = world.issue(limit(calls=2))
    anyio.run(world.call, held)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # it is what is tested
        child = os.fork()
    if not child:
        with suppress(BaseException):
            os._exit(["ran", "unavailable"].index(anyio.run(reason_of, partial(world.call, held))))
        os._exit(99)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 1
    anyio.run(world.call, held)


@everywhere
async def test_no_more_is_written_of_a_call_than_one_record_can_hold(store: Store) -> None:
    """Long names of arguments, and many blocks: the call is recorded, and runs."""
    world = store.world()
    held = world.issue(grant("store", value=must.anything()))
    for _ in range(12):
        held = held.attenuate(ttl=timedelta(minutes=5), now=world.now)
    await world.call(held, "store", {"value": {"x" * 200: ["y" * 2000] * 10}})
    assert len(world.ran) == 1


# Approvals: one conformance for votes that are given through the ledger


ANA, BO, CEM = (KeyPair.generate() for _ in range(3))
BODY = {"to": "ana@acme.com", "body": "hi"}


def asking(world: World, *, need: int = 1, holder: KeyPair | None = None, **options: Any) -> Capability:
    """A capability whose calls ``need`` of three people approve."""
    three = approved_by(ANA.public, BO.public, CEM.public, need=need)
    return world.issue(three, holder=holder.public if holder else None, **options)


async def asked(world: World, held: Capability, arguments: dict[str, Any] = BODY, **options: Any) -> str:
    """The id of the request that a refused call leaves."""
    with pytest.raises(Denied) as caught:
        await world.call(held, "send_email", arguments, **options)
    assert (caught.value.reason, bool(caught.value.request)) == (Reason.NOT_APPROVED, True), caught.value
    return str(caught.value.request)


async def voted(world: World, id: str, *keys: KeyPair, ledger: Ledger | None = None) -> None:
    """These people approve what they find under this id."""
    for key in keys:
        (request,) = await (ledger or world.ledger).requests(id)
        await (ledger or world.ledger).vote(id, request.approve(key, now=world.now))


@everywhere
async def test_two_of_three_approve_one_call(store: Store) -> None:
    world = store.world()
    held = asking(world, need=2)
    id = await asked(world, held)
    await voted(world, id, ANA)
    await voted(world, id, ANA)  # a second vote by one key is the same vote
    assert await asked(world, held) == id, "the call waits under the same request"
    assert world.ran == []
    await voted(world, id, CEM)
    await world.call(held)
    assert len(world.ran) == 1
    assert await asked(world, held) != id, "both are used"
    (request,) = await world.ledger.requests(id)
    assert request.state == "used"
    with pytest.raises(ValueError, match="over"):
        request.approve(BO, now=world.now)


@shared
async def test_approvals_are_used_once_by_all_guards_on_a_store(store: Store) -> None:
    here = store.world()
    there = store.world(here)
    held = asking(here)
    id = await asked(here, held)
    await voted(there, id, BO, ledger=there.ledger)
    verdicts = await at_once([partial(one.call, held) for one in (here, there) for _ in range(10)])
    assert verdicts.count("ran") == 1
    assert set(verdicts) <= {"ran", "not_approved", "spent"}
    assert len(here.ran + there.ran) == 1


@everywhere
async def test_an_approval_is_of_the_call_to_the_byte_and_of_the_capability(store: Store) -> None:
    world = store.world()
    held = asking(world)
    await voted(world, await asked(world, held), ANA)
    for body in ("hi ", "Hi", "", "h\u0456"):
        await asked(world, held, {**BODY, "body": body})
    await asked(world, held.attenuate(ttl=timedelta(minutes=5), now=world.now))
    assert world.ran == []
    await world.call(held)


@everywhere
async def test_an_approval_expires(store: Store) -> None:
    world = store.world()
    held = asking(world)
    id = await asked(world, held)
    (request,) = await world.ledger.requests(id)
    vote = request.approve(ANA, now=world.now, until=world.now + 60)
    await world.ledger.vote(id, vote)
    world.now += 60
    with world.refuses("not_approved"):
        await world.call(held)
    await voted(world, id, ANA)
    world.now = request.expires - 1
    await world.call(held)
    with pytest.raises(ValueError, match="over"):
        request.approve(BO, now=request.expires)
    world.now = request.expires
    with pytest.raises(ValueError, match="over"):
        await world.ledger.vote(id, vote)


@everywhere
async def test_a_request_waits_no_longer_than_it_says(store: Store) -> None:
    world = store.world()
    held = asking(world, ttl=timedelta(hours=1))
    id = await asked(world, held)
    await voted(world, id, ANA)
    world.now += 600
    assert await asked(world, held) != id
    assert world.ran == []


@everywhere
async def test_one_rejection_ends_a_request(store: Store) -> None:
    world = store.world()
    held = asking(world, need=2)
    id = await asked(world, held)
    await voted(world, id, ANA)
    (request,) = await world.ledger.requests(id)
    await world.ledger.vote(id, request.reject(BO, now=world.now))
    (request,) = await world.ledger.requests(id)
    assert request.state == "rejected"
    assert await world.ledger.requests() == []
    with world.refuses("not_approved", "rejected", id):
        await world.call(held)
    with pytest.raises(ValueError, match="over"):
        await world.ledger.vote(id, request.votes[0])


@everywhere
async def test_a_vote_that_is_none_does_not_count(store: Store) -> None:
    """Of a stranger, of another request, under another's name, or cut."""
    world = store.world()
    held = asking(world)
    id, other = await asked(world, held), await asked(world, held, {**BODY, "body": "other"})
    (request,) = await world.ledger.requests(id)
    (second,) = await world.ledger.requests(other)
    ana, stranger = request.approve(ANA, now=world.now), KeyPair.generate()
    rejection = request.reject(ANA, now=world.now)
    for wrong in (
        second.approve(ANA, now=world.now),
        second.reject(ANA, now=world.now),
        replace(ana, key=BO.public),
        replace(ana, key=stranger.public),
        replace(rejection, key=BO.public),
        replace(rejection, statement="hr1." + "00" * 64),
        replace(rejection, statement="hr1.zz"),
        replace(rejection, statement=""),
        replace(ana, statement=ana.statement[:-4]),
    ):
        with pytest.raises((ValueError, Denied)):
            await world.ledger.vote(id, wrong)
    with pytest.raises(ValueError, match="does not ask this key"):
        request.approve(stranger, now=world.now)
    (after,) = await world.ledger.requests(id)
    assert (after.state, after.votes) == ("open", ())


@everywhere
async def test_a_revoked_approver_approves_nothing(store: Store) -> None:
    """Whether the key is revoked after the vote or before it."""
    world = store.world()
    held = asking(world)
    await voted(world, await asked(world, held), ANA)
    await world.guard.ledger.revoke(key=ANA.public)
    with world.refuses("not_approved", "waits"):
        await world.call(held)
    await voted(world, await asked(world, held), BO)  # whom the vote of a revoked key does not keep out
    await world.call(held)
    other = {**BODY, "body": "other"}
    await voted(world, await asked(world, held, other), BO)
    await world.call(held, "send_email", other)


@everywhere
async def test_who_holds_or_handed_on_a_capability_does_not_approve_its_calls(store: Store) -> None:
    world = store.world()
    first = asking(world, holder=ANA)
    held = first.delegate(to=BO.public, key=ANA, now=world.now)

    async def call() -> None:
        await world.call(held, proof=world.prove(held, BO))

    id = await asked(world, held, proof=world.prove(held, BO))
    for involved in (ANA, BO):
        with pytest.raises(ValueError, match="a holder of this capability"):
            await voted(world, id, involved)
    with world.refuses("not_approved"):
        await call()
    assert world.ran == []


@everywhere
async def test_a_delegate_does_not_approve_the_calls_of_who_delegated(store: Store) -> None:
    """Also one that has handed on what it was handed, and makes no call itself."""
    world = store.world()
    for used_by in (0, 1):
        mine, friend = KeyPair.generate(), KeyPair.generate()
        held = asking(world, holder=mine)
        below = held.delegate(to=ANA.public, key=mine, now=world.now)
        seen = [below, below.delegate(to=friend.public, key=ANA, now=world.now)][used_by]
        proof = world.prove(seen, [ANA, friend][used_by])
        await asked(world, seen, proof=proof)  # the ledger has seen it now
        id = await asked(world, held, proof=world.prove(held, mine))
        with pytest.raises(ValueError, match="a holder of this capability"):
            await voted(world, id, ANA)
        with world.refuses("not_approved"):
            await world.call(held, proof=world.prove(held, mine))


@everywhere
async def test_a_flood_of_requests_is_bounded_for_each_capability(store: Store) -> None:
    world = store.world()
    held, other = asking(world), asking(world)
    for number in range(MAX_OPEN):
        await asked(world, held, {**BODY, "body": str(number)})
    with world.refuses("not_approved", "too many"):
        await world.call(held, "send_email", {**BODY, "body": "one more"})
    await asked(world, held, {**BODY, "body": "0"})
    await asked(world, other)
    world.now += 599
    assert len(await world.ledger.requests()) == MAX_OPEN + 1
    world.now += 1
    assert await world.ledger.requests() == []


@everywhere
async def test_a_delegate_that_floods_keeps_nobody_else_from_asking(store: Store) -> None:
    """Not the one that delegated, nor its other delegates; nor does it get more by narrowing."""
    world = store.world()
    held = asking(world)
    flooding, other = (held.attenuate(ttl=timedelta(minutes=m), now=world.now) for m in (5, 6))
    narrowed = flooding.attenuate(ttl=timedelta(minutes=4), now=world.now)
    for number in range(MAX_OPEN // 4):
        await asked(world, narrowed, {**BODY, "body": f"narrowed {number}"})
    with world.refuses("not_approved", "too many"):
        await world.call(narrowed, "send_email", {**BODY, "body": "more"})
    for number in range(MAX_OPEN // 4):
        await asked(world, flooding, {**BODY, "body": str(number)})
    with world.refuses("not_approved", "too many"):
        await world.call(flooding, "send_email", {**BODY, "body": "more"})
    await asked(world, other)
    await asked(world, held)


@everywhere
async def test_one_vote_answers_every_check_that_asks_this_key(store: Store) -> None:
    """The issuer and a holder ask the same person; another vote, which only one of them asks, is too few."""
    world = store.world()
    held = asking(world).attenuate(approved_by(ANA.public), ttl=timedelta(minutes=5), now=world.now)
    id = await asked(world, held)
    await voted(world, id, BO)
    assert await asked(world, held) == id
    await voted(world, id, ANA)
    await world.call(held)
    assert len(world.ran) == 1
    (request,) = await world.ledger.requests(id)
    assert request.state == "used"


@everywhere
async def test_a_vote_for_one_of_two_checks_is_none(store: Store) -> None:
    world = store.world()
    held = asking(world).attenuate(approved_by(ANA.public), ttl=timedelta(minutes=5), now=world.now)
    id = await asked(world, held)
    (request,) = await world.ledger.requests(id)
    vote = request.approve(ANA, now=world.now)
    first, second = vote.statement.split()
    for statement in (first, second, f"{first} {first}", f"{second} {first}", f"{vote.statement} {first}"):
        with pytest.raises(ValueError, match="not signed for this request"):
            await world.ledger.vote(id, replace(vote, statement=statement))
    await world.ledger.vote(id, vote)
    await world.call(held)


@everywhere
async def test_a_call_that_could_not_run_asks_nobody(store: Store) -> None:
    world = store.world()
    held = asking(world)
    for tool, arguments in (("send_email", {"to": "eve@evil.example", "body": "hi"}), ("pay", {"amount": 1})):
        with world.refuses({"pay": "not_granted"}.get(tool, "constraint")):
            await world.call(held, tool, arguments)
    await world.guard.ledger.revoke(held)
    with world.refuses("revoked"):
        await world.call(held)
    assert await world.ledger.requests() == []


@everywhere
async def test_a_toolbox_waits_for_the_vote(store: Store) -> None:
    world = store.world()
    desk = world.guard.toolbox(asking(world, need=2))
    answers: list[Any] = []

    async def call() -> None:
        answers.append(await desk.call("send_email", BODY, approval_timeout=timedelta(hours=1)))

    async with anyio.create_task_group() as group:
        group.start_soon(call)
        waiting: list[Any] = []
        while not waiting:
            waiting = await world.ledger.requests()
            await anyio.sleep(0.005)
        await voted(world, waiting[0].id, BO, CEM)
    assert answers == ["sent to ana@acme.com"]


@everywhere
async def test_a_toolbox_does_not_wait_beyond_a_rejection_or_its_deadline(store: Store) -> None:
    world = store.world()
    desk = world.guard.toolbox(asking(world))
    with world.refuses("not_approved"):
        await desk.call("send_email", BODY)
    with world.refuses("not_approved"):
        await desk.call("send_email", BODY, approval_timeout=timedelta(milliseconds=50))
    (request,) = await world.ledger.requests()
    await world.ledger.vote(request.id, request.reject(ANA, now=world.now))
    with anyio.fail_after(PATIENCE), world.refuses("not_approved", "rejected"):
        await desk.call("send_email", BODY, approval_timeout=timedelta(hours=1))


@shared
async def test_a_vote_in_the_store_that_nobody_signed_is_worth_nothing(store: Store) -> None:
    """Whoever can write to the store cannot approve."""
    world = store.world()
    held = asking(world)
    id = await asked(world, held)
    other = ApprovalRequest.of(held, Call.of("send_email", {**BODY, "body": "other"}), now=world.now)
    forged = other.approve(ANA, now=world.now).statement
    store.run(statement("vote", (id, str(ANA.public), forged)))
    with world.refuses("wrong_call"):
        await world.call(held)


# Byte by byte


TWINS = [
    ("Alice", "alice"),
    ("alice", "alice "),
    ("\u00e9", "e\u0301"),
    ("\uff41", "a"),
    ("stra\u00dfe", "strasse"),
    ("\u0131", "i"),
]


@everywhere
async def test_names_that_only_look_alike_are_two(store: Store) -> None:
    world = store.world()
    mail = grant("send_email", to=must.anything(), body=must.anything())

    async def call(name: str) -> None:
        held = world.authority.issue(name, mail, ttl=timedelta(minutes=5), audience="mail")
        await world.call(held)

    for number, (one, other) in enumerate(TWINS):
        one, other = f"user{number}:{one}", f"user{number}:{other}"
        await call(one)
        await call(other)
        assert await world.guard.ledger.revoke(subject=one) == 2 * number + 1
        with world.refuses("revoked"):
            await call(one)
        await call(other)
        assert await world.guard.ledger.revoke(subject=other) == 2 * number + 2
        with world.refuses("revoked"):
            await call(other)


@everywhere
async def test_what_can_be_no_name_is_not_revoked(store: Store) -> None:
    world = store.world()
    for name in ("agent:\0desk", "agent:desk\0", "", ":", "agent:", "agent::desk", "a\nb", "\ud800"):
        with pytest.raises(ValueError, match="a subject is a string"):
            await world.guard.ledger.revoke(subject=name)
    with pytest.raises(ValueError, match="a reason is one line"):
        await world.guard.ledger.revoke(subject="agent:desk", reason="because\0")
    assert await world.guard.ledger.revoke(subject="agent:desk") == 1, "nothing was written"


@everywhere
async def test_an_unknown_request_is_no_error_of_the_store(store: Store) -> None:
    """Whatever its id is."""
    ledger = store.open()
    vote = ApprovalVote(KEY.public, "ha1.")
    for id in ("", "0" * 16, "'; drop table request; --", "x" * 10_000, "\u00e9", "a\0b", "\ud800"):
        assert await ledger.requests(id) == [], ascii(id)
        with pytest.raises(ValueError, match="no such request"):
            await ledger.vote(id, vote)
    assert await ledger.requests() == []


@once_each
async def test_why_a_ledger_cannot_be_opened_is_told_without_its_password(store: Store) -> None:
    """Here its list of revocations has a gap."""
    await store.open().aclose()
    store.sql("update state set epoch = 5")
    with pytest.raises(LedgerError, match="has a gap") as caught:
        store.open()
    password = urlsplit(store.where).password
    assert bool(password) == (store.name == "postgresql")
    assert str(password) not in str(caught.value)


@everywhere
async def test_a_guard_of_one_ledger_tells_everybody_the_same(store: Store) -> None:
    """Both guards on one ledger object count together."""
    one = store.world()
    two = World(ledger=one.ledger)
    two.authority, two.guard.trust = one.authority, one.authority.trust
    held = one.issue(limit(calls=3))
    verdicts = await at_once([partial(world.call, held) for world in (one, two) for _ in range(4)])
    assert verdicts == ["ran"] * 3 + ["spent"] * 5
    assert len(one.ran + two.ran) == 3
    assert Reason.SPENT in verdicts
