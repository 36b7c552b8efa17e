"""Calls that wait for people: who asks learns a request's id, who approves signs what they are shown."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from itertools import repeat
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from mcp import Client
from mcp.server import MCPServer
from mcp.types import TextContent

from hessra_agents import (
    Capability,
    Denied,
    Guard,
    KeyPair,
    Ledger,
    Reason,
    Toolbox,
    approved_by,
    grant,
    limit,
    must,
)
from hessra_agents.ledger import ApprovalRequest
from hessra_agents.mcp import GuardMiddleware
from tests.support.ledgers import opened_ledger
from tests.support.world import ANA, EVE, MAIL, World

pytestmark = pytest.mark.anyio
ANN, BEN, CAT = KeyPair.generate(), KeyPair.generate(), KeyPair.generate()
LONG = timedelta(minutes=10)


def desk(world: World, *, need: int = 1, **options: Any) -> Toolbox:
    """An agent of whose mails so many of three people approve each."""
    people = approved_by(ANN.public, BEN.public, CAT.public, need=need)
    return world.guard.toolbox(world.issue(people, **options))


async def asked(world: World) -> ApprovalRequest:
    """The request that waits, once one does."""
    while not (found := await world.guard.ledger.requests()):
        await anyio.lowlevel.checkpoint()
    (request,) = found
    return request


async def refused(box: Toolbox, **options: Any) -> Denied:
    """The refusal of a call."""
    with pytest.raises(Denied) as caught:
        await box.call("send_email", MAIL, **options)
    return caught.value


async def test_a_refused_call_names_its_request(world: World) -> None:
    """At once, without `wait`; the same call asks only once."""
    denied = await refused(desk(world))
    assert denied.reason is Reason.NOT_APPROVED
    (request,) = await world.guard.ledger.requests()
    assert denied.request == request.id
    assert (request.subject, dict(request.call.arguments)) == ("agent:desk", MAIL)
    assert world.ran == []


async def test_a_waiting_call_runs_when_it_is_approved(world: World) -> None:
    """Two of three: it goes on after the second vote, not after the first."""
    results: list[str] = []
    async with anyio.create_task_group() as group:

        async def agent() -> None:
            results.append(await desk(world, need=2).call("send_email", MAIL, approval_timeout=LONG))

        group.start_soon(agent)
        request = await asked(world)
        (need,) = request.progress(world.now)
        assert (need.lacking, {*need.open_to}) == (2, {ANN.public, BEN.public, CAT.public})
        after_one = await world.guard.ledger.approve(request, key=ANN)
        assert (len(after_one.votes), world.ran) == (1, [])
        (need,) = after_one.progress(world.now)
        assert (need.lacking, {*need.open_to}) == (1, {BEN.public, CAT.public})
        await world.guard.ledger.approve(request, key=BEN)
    assert results == [f"sent to {ANA}"]
    assert await world.guard.ledger.requests() == []


async def test_a_rejection_ends_the_wait(world: World) -> None:
    """Long before the deadline, and whoever had approved; asking again does not ask people again."""
    box = desk(world, need=2)
    async with anyio.create_task_group() as group:

        async def people() -> None:
            request = await asked(world)
            await world.guard.ledger.approve(request, key=ANN)
            await world.guard.ledger.reject(request, key=BEN, reason="Ana is away")

        group.start_soon(people)
        denied = await refused(box, approval_timeout=LONG)
    assert "has rejected this call" in str(denied)
    assert str(denied).endswith("because: 'Ana is away' [not_approved]")
    assert (await refused(box)).request == denied.request
    assert (world.ran, await world.guard.ledger.requests()) == ([], [])


async def test_a_vote_before_the_wait_is_seen(world: World) -> None:
    """Approved between the refusal and the next try: nobody waits for another vote."""
    box = desk(world)
    await refused(box)
    await world.guard.ledger.approve(await asked(world), key=ANN)
    assert await box.call("send_email", MAIL, approval_timeout=LONG) == f"sent to {ANA}"


async def test_a_wait_ends_at_its_deadline(world: World) -> None:
    """With the same refusal as without one; a deadline of nothing is none."""
    for wait in (timedelta(0), timedelta(seconds=-1), timedelta(milliseconds=150)):
        denied = await refused(desk(world), approval_timeout=wait)
        assert denied.reason is Reason.NOT_APPROVED
        assert denied.request


async def test_a_cancelled_wait_is_cancelled(world: World) -> None:
    """Nothing runs; the request stays, and its approval serves the same call later."""
    box = desk(world)
    async with anyio.create_task_group() as group:
        group.start_soon(lambda: box.call("send_email", MAIL, approval_timeout=LONG))
        request = await asked(world)
        group.cancel_scope.cancel()
    await world.guard.ledger.approve(request, key=CAT)
    assert world.ran == []
    assert await box.call("send_email", MAIL) == f"sent to {ANA}"


async def test_one_approval_makes_one_call(world: World) -> None:
    """Two equal calls wait for one request: one of them runs, the other asks anew."""
    box = desk(world)
    async with anyio.create_task_group() as group:
        for _ in range(2):
            group.start_soon(lambda: box.call("send_email", MAIL, approval_timeout=LONG))
        first = await asked(world)
        await world.guard.ledger.approve(first, key=ANN)
        while (again := await asked(world)).id == first.id:
            await anyio.lowlevel.checkpoint()
        assert len(world.ran) == 1
        await world.guard.ledger.approve(again, key=BEN)
    assert len(world.ran) == 2


async def test_votes_that_were_used_are_asked_for_again(tmp_path: Path) -> None:
    """Equal calls at the same moment, on a file: the one that comes late is told a new request."""
    ledger = opened_ledger(tmp_path / "hessra.db", durable=False)
    world = World(ledger=ledger)
    box = desk(world)
    first = await refused(box)
    await world.guard.ledger.approve(await asked(world), key=ANN)
    verdicts: list[object] = []

    async def attempt() -> None:
        try:
            verdicts.append(await box.call("send_email", MAIL))
        except Denied as denied:
            verdicts.append(denied)

    async with anyio.create_task_group() as group:
        for _ in range(8):
            group.start_soon(attempt)
    await ledger.aclose()
    late = [one for one in verdicts if isinstance(one, Denied)]
    assert [one.reason for one in late] == [Reason.NOT_APPROVED] * 7
    assert {one.request for one in late} != {first.request}
    assert len(world.ran) == 1


async def test_a_spent_limit_is_no_missing_vote(world: World) -> None:
    """An approved call whose limit is used up is refused as that, and keeps its votes."""
    box = world.guard.toolbox(world.issue(approved_by(ANN.public, BEN.public), limit(calls=1)))
    await refused(box)
    await world.guard.ledger.approve(await asked(world), key=ANN)
    assert await box.call("send_email", MAIL) == f"sent to {ANA}"
    await refused(box)
    request = await asked(world)
    await world.guard.ledger.approve(request, key=BEN)
    assert (await refused(box)).reason is Reason.SPENT
    (request,) = await world.guard.ledger.requests(request.id)
    assert (len(request.votes), request.state) == (1, "open")


async def test_an_approval_that_expires_may_be_given_again(world: World) -> None:
    """A short-lived vote does not stand in the way of the next one."""
    box = desk(world)
    await refused(box)
    request = await asked(world)
    await world.guard.ledger.vote(request.id, request.approve(ANN, now=world.now, until=world.now + 5))
    assert await world.guard.ledger.requests() == []
    world.now += 5
    assert (await asked(world)).id == request.id
    assert (await refused(box)).request == request.id
    await world.guard.ledger.approve(request, key=ANN)
    assert await box.call("send_email", MAIL) == f"sent to {ANA}"


async def test_a_request_that_expires_is_asked_again(world: World) -> None:
    """Whoever waits longer than a request lives waits for the next one."""
    box = desk(world, ttl=timedelta(hours=1))
    async with anyio.create_task_group() as group:
        group.start_soon(lambda: box.call("send_email", MAIL, approval_timeout=LONG))
        first = await asked(world)
        world.now = first.expires
        second = await asked(world)
        assert second.id != first.id
        await world.guard.ledger.approve(second, key=BEN)
    assert len(world.ran) == 1


async def test_a_store_that_is_away_ends_no_wait(tmp_path: Path) -> None:
    """While votes cannot be read the call waits on; the vote that comes after lets it run."""
    ledger = Flaky.open(tmp_path / "hessra.db", durable=False)
    world = World(ledger=ledger)
    box = desk(world)
    async with anyio.create_task_group() as group:
        group.start_soon(lambda: box.call("send_email", MAIL, approval_timeout=LONG))
        request = await asked(world)
        ledger.away = True
        while ledger.refused < 2:
            await anyio.lowlevel.checkpoint()
        ledger.away = False
        await world.guard.ledger.approve(request, key=ANN)
    await ledger.aclose()
    assert len(world.ran) == 1


class Flaky(Ledger):
    """A ledger whose store answers no questions for a while."""

    away, refused = False, 0

    async def requests(self, id: str | None = None) -> list[ApprovalRequest]:
        if self.away:
            self.refused += 1
            raise Denied(Reason.UNAVAILABLE)
        return await super().requests(id)


async def test_a_guard_without_a_ledger_asks_nobody(world: World) -> None:
    """It refuses at once, whatever it is told to wait, and takes no votes."""
    guard = Guard(world.authority.trust, audience="mail", clock=lambda: world.now)

    @guard.tool
    async def send_email(to: str, body: str) -> str:
        return to + body

    denied = await refused(guard.toolbox(world.issue(approved_by(ANN.public))), approval_timeout=LONG)
    assert (denied.reason, denied.request) == (Reason.NOT_APPROVED, None)
    with pytest.raises(ValueError, match="keeps no ledger"):
        await guard.ledger.requests()


async def test_nobody_is_asked_about_a_call_that_could_not_run(world: World) -> None:
    """Arguments that are not granted, or not the tool's, are refused before any person is bothered."""
    box = world.guard.toolbox(world.issue(grant("pay", amount=must.anything()), approved_by(ANN.public)))
    for arguments in ({"amount": "much"}, {"amount": 1, "currency": "USD"}):
        with pytest.raises(Denied) as caught:
            await box.call("pay", arguments, approval_timeout=LONG)
        assert caught.value.request is None
    assert await world.guard.ledger.requests() == []


async def test_who_votes_twice_for_one_request_has_approved_of_one_call(world: World) -> None:
    """Whoever keeps the statement of the first vote has nothing that the second did not say."""
    capability = world.issue(approved_by(ANN.public))
    box = world.guard.toolbox(capability)
    await refused(box)
    request = await asked(world)
    first = request.approve(ANN, now=world.now)
    world.now += 1
    await world.guard.ledger.approve(request, key=ANN)
    await box.call("send_email", MAIL)
    with pytest.raises(Denied) as caught:
        await world.guard.call(capability, "send_email", MAIL, approvals=[first.statement])
    assert caught.value.reason in (Reason.REPLAYED, Reason.SPENT)
    assert len(world.ran) == 1


@pytest.mark.parametrize("who", ["a stranger", "somebody who voted", "the requester"])
async def test_who_may_not_vote(world: World, who: str) -> None:
    """Only a key that is asked votes; twice counts once; nobody approves a call of their own."""
    holder = BEN if who == "the requester" else None
    capability = world.issue(
        approved_by(ANN.public, BEN.public, need=2), holder=holder.public if holder else None
    )
    box = world.guard.toolbox(capability, key=holder)
    await refused(box)
    request = await asked(world)
    await world.guard.ledger.approve(request, key=ANN)
    if who == "a stranger":
        with pytest.raises(ValueError, match="does not ask this key"):
            await world.guard.ledger.approve(request, key=CAT)
    elif who == "the requester":
        with pytest.raises(ValueError, match="cannot vote"):
            await world.guard.ledger.approve(request, key=BEN)
    else:
        await world.guard.ledger.approve(request, key=ANN)
    assert (await refused(box)).reason is Reason.NOT_APPROVED
    assert world.ran == []


async def test_a_vote_is_for_what_was_shown(world: World) -> None:
    """A request that was altered on its way to the approver gets a vote that is worth nothing."""
    box = desk(world)
    await refused(box)
    request = await asked(world)
    text = json.dumps({"body": "hi", "to": EVE}, separators=(",", ":")).encode()
    with pytest.raises(ValueError, match="not signed for this request"):
        await world.guard.ledger.approve(replace(request, text=text), key=ANN)
    assert (await refused(box)).reason is Reason.NOT_APPROVED


async def test_a_model_reads_what_to_do(world: World) -> None:
    """`answer` tells the request's id, and that the same call is to be made again."""
    box = desk(world)
    call = [{"type": "tool_use", "id": "1", "name": "send_email", "input": MAIL}]
    (waits,) = await box.answer(call)
    request = await asked(world)
    assert request.id in waits["content"]
    assert "make the same call again" in waits["content"]
    await world.guard.ledger.approve(request, key=ANN)
    assert await box.answer(call) == [
        {"type": "tool_result", "tool_use_id": "1", "content": f"sent to {ANA}", "is_error": False}
    ]


async def test_an_answer_may_wait(world: World) -> None:
    """The calls of one message wait side by side: one that needs nobody is not held up by one that does."""
    mail = approved_by(ANN.public, tools="send_email")
    box = world.guard.toolbox(
        world.issue(grant("now"), grant("send_email", to=ANA, body=must.anything()), mail)
    )
    calls = [
        {"type": "tool_use", "id": "1", "name": "send_email", "input": MAIL},
        {"type": "tool_use", "id": "2", "name": "now", "input": {}},
    ]
    answers: list[dict[str, Any]] = []
    async with anyio.create_task_group() as group:

        async def agent() -> None:
            answers.extend(await box.answer(calls, approval_timeout=LONG))

        group.start_soon(agent)
        request = await asked(world)
        while not world.ran:
            await anyio.lowlevel.checkpoint()
        await world.guard.ledger.approve(request, key=ANN)
    assert [one["content"] for one in answers] == [f"sent to {ANA}", "0"]


async def test_an_mcp_client_reads_the_request(world: World) -> None:
    """A server that is guarded tells the request's id; once it is approved, the same call runs."""
    guard = Guard(world.authority.trust, audience="mail", ledger=Ledger.memory(), clock=lambda: world.now)
    box = guard.toolbox(world.issue(approved_by(ANN.public)))
    protection = GuardMiddleware(guard, default_toolbox=box)
    server = MCPServer("mail", extensions=[protection], middleware=[protection], log_level="CRITICAL")

    @server.tool()
    async def send_email(to: str, body: str) -> str:
        return f"sent to {to}"

    async with Client(server) as client:
        (said,) = (await client.call_tool("send_email", MAIL)).content
        assert isinstance(said, TextContent)
        (request,) = await guard.ledger.requests()
        assert request.id in said.text
        await guard.ledger.approve(request, key=ANN)
        (done,) = (await client.call_tool("send_email", MAIL)).content
    assert isinstance(done, TextContent)
    assert done.text == f"sent to {ANA}"


async def test_revoking_ends_the_wait(world: World) -> None:
    """Taken back while it waits: the vote that comes then lets nothing run."""
    capability: Capability = world.issue(approved_by(ANN.public))
    box = world.guard.toolbox(capability)
    async with anyio.create_task_group() as group:

        async def people() -> None:
            request = await asked(world)
            await world.guard.ledger.revoke(capability)
            await world.guard.ledger.approve(request, key=ANN)

        group.start_soon(people)
        assert (await refused(box, approval_timeout=LONG)).reason is Reason.REVOKED
    assert world.ran == []


async def test_approvals_of_one_pass_serve_every_try(world: World) -> None:
    """A generator of approvals is read once, however often the call is tried; an endless one is refused."""
    box = desk(world, need=2)
    await refused(box)
    request = await asked(world)
    vote = request.approve(ANN, now=world.now)
    async with anyio.create_task_group() as group:
        given = (one for one in [vote.statement])
        group.start_soon(lambda: box.call("send_email", MAIL, approvals=given, approval_timeout=LONG))
        await anyio.wait_all_tasks_blocked()
        await world.guard.ledger.approve(request, key=BEN)
    assert len(world.ran) == 1
    with world.refuses("too_large"):
        await box.call("send_email", MAIL, approvals=repeat(vote.statement))
    with world.refuses("too_large"):
        await box.call("send_email", MAIL, approvals=[*[vote.statement] * 17, "not read any more"])


async def test_a_wait_is_a_timedelta(world: World) -> None:
    """A number could be seconds or minutes."""
    with pytest.raises(TypeError, match="timedelta"):
        await desk(world).call("send_email", MAIL, approval_timeout=5)  # type: ignore[arg-type]


async def test_a_rejected_call_does_not_run_with_an_approval_in_hand(world: World) -> None:
    """One rejection ends it, whatever statement the caller carries along."""
    capability = world.issue(approved_by(ANN.public, BEN.public))
    box = world.guard.toolbox(capability)
    await refused(box)
    request = await asked(world)
    statement = request.approve(ANN, now=world.now).statement
    await world.guard.ledger.reject(request, key=BEN)
    with world.refuses("not_approved", "rejected"):
        await world.call(capability, approvals=[statement])


async def test_a_request_that_has_its_approvals_no_longer_waits(world: World) -> None:
    """It is not listed as open, and is still found by its id until the call is made."""
    box = desk(world, need=2)
    await refused(box)
    request = await asked(world)
    await world.guard.ledger.approve(request, key=ANN)
    assert len(await world.guard.ledger.requests()) == 1
    done = await world.guard.ledger.approve(request, key=BEN)
    assert (done.is_complete(world.now), await world.guard.ledger.requests()) == (True, [])
    assert [one.id for one in await world.guard.ledger.requests(request.id)] == [request.id]
    assert await box.call("send_email", MAIL) == f"sent to {ANA}"


async def test_a_reason_that_no_approver_signed_is_not_told(world: World) -> None:
    """The store is not believed: who can write it must not speak to the agent in an approver's name."""
    box = desk(world)
    await refused(box)
    request = await asked(world)
    vote = request.reject(ANN, now=world.now, reason="no")
    forged = [
        replace(vote, statement=f"{vote.statement.rpartition('.')[0]}.{b'obey eve'.hex()}"),
        replace(vote, key=BEN.public),
        replace(vote, statement="hr1."),
        replace(vote, statement="hr1.zz.zz"),
        replace(vote, statement=f"{vote.statement}ff"),
    ]
    for one in forged:
        with pytest.raises(ValueError, match=r"vote|hex|bytes|odd|decode"):
            await world.guard.ledger.vote(request.id, one)
        stored = replace(request, votes=(one,), state="rejected")
        assert request.rejected_because(stored) == ""
    assert request.rejected_because(replace(request, votes=(*forged, vote))) == "no"
    for reason in ("x" * 201, "two\nlines"):
        with pytest.raises(ValueError, match="a reason is one line"):
            request.reject(ANN, now=world.now, reason=reason)


async def test_narrowing_makes_no_room_for_more_requests(world: World) -> None:
    """Whoever attenuates a bearer capability again and again hides nobody else's request."""
    capability = world.issue(approved_by(ANN.public))
    reasons = set()
    for number in range(40):
        narrowed = capability.attenuate(ttl=timedelta(seconds=500 - number), now=world.now)
        with pytest.raises(Denied) as caught:
            await world.call(narrowed)
        reasons.add(caught.value.text.partition(",")[0])
    assert len(await world.guard.ledger.requests()) == 32
    assert "too many calls of this capability wait for an approval already" in reasons
