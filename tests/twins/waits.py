"""Attack a guard while its calls wait: for a thread, for the ledger, for an approval, for the next item."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, aclosing
from pathlib import Path
from typing import Any

import anyio

from hessra_agents import Call, Capability, Denied, KeyPair, approved_by, grant, limit, must
from hessra_agents.ledger.approval_requests import MAX_OPEN, MAX_SHOWN, ApprovalRequest
from hessra_agents.verify.verifier import Possession
from tests.laws.test_after_waiting import CHANGES, WAITS, Bank, Slow, Waits, call, no_thread
from tests.support.ledgers import opened_ledger
from tests.support.world import World

from .forged import reason_of

__all__ = ["waits"]

BOSS, HOLDER, THIEF = (KeyPair.generate() for _ in range(3))
LATER = 3600


async def waits() -> AsyncIterator[tuple[str, str]]:
    for wait, kind in WAITS:
        for reason in CHANGES:
            bank = Bank(Slow.memory())
            yield f"{kind} behind {wait.__name__}, {reason}", await _changed(bank, wait(bank), kind, reason)
    for reason in CHANGES:
        yield f"a stream, {reason}", await _stream(reason)
    yield "a proof that became too old", await _old_proof()
    yield "a right that ends on the way to the thread", await _thread()
    yield "a possession of another's capability", await _possession()
    yield "arguments that nobody can be shown", await _asked(must.anything(), ["x" * MAX_SHOWN])
    yield "calls that nobody can answer", await _asked(must.anything(), list(range(MAX_OPEN + 1)))
    yield "a vote for another call", await _vote()
    yield "an approval in hand of a call that was rejected", await _approved(_reject)
    yield "an approval by a key that was revoked", await _approved(_revoke)
    yield "an amount that gives back", await _negative()
    yield "a store that has lost a revocation", await _restored()
    yield "a request after what another has revoked", await _revoked_elsewhere()


async def _outcome(call: Awaitable[object]) -> str:
    """What became of a call."""
    try:
        await call
        return "ran"
    except Exception as error:
        return reason_of(error)


async def _changed(bank: Bank, wait: AbstractAsyncContextManager[Waits], kind: str, reason: str) -> str:
    desk, outcomes = bank.desk(), []

    async def attack() -> None:
        outcomes.append(await _outcome(call(bank, desk, kind)))

    async with anyio.create_task_group() as group, wait as waiting:
        group.start_soon(attack)
        await waiting()
        await CHANGES[reason](bank, desk)
    return "ran" if bank.ran else outcomes[0]


async def _stream(reason: str) -> str:
    bank = Bank(Slow.memory())
    desk = bank.desk()
    items: Any = desk.bind(bank.stream)()
    await anext(items)
    await CHANGES[reason](bank, desk)
    return await _outcome(anext(items))


async def _old_proof() -> str:
    """The call waits for a thread for longer than its proof is good; its capability still is."""
    bank = Bank(Slow.memory())
    held = bank.issue(grant("sync"), holder=HOLDER.public)
    proof = bank.prove(held, HOLDER, "sync", {})
    outcomes = []

    async def attack() -> None:
        outcomes.append(await _outcome(bank.call(held, "sync", {}, proof=proof)))

    async with anyio.create_task_group() as group, no_thread(bank) as waiting:
        group.start_soon(attack)
        await waiting()
        bank.now += 40
    return outcomes[0]


async def _thread() -> str:
    """In the guard's threads it is later than before them."""
    world, here = World(), threading.get_ident()
    world.guard.settings.clock = lambda: world.now + LATER * (threading.get_ident() != here)
    return await _outcome(world.call(world.issue(grant("pay", amount=1)), "pay", {"amount": 1}))


async def _possession() -> str:
    world = World()
    held = world.issue(holder=HOLDER.public)
    try:
        Possession.show(held, THIEF)
    except Denied as denied:
        return str(denied.reason)
    return "passed"


async def _asked(allowed: Any, values: list[Any]) -> str:
    """Whether the last of these calls waits for an approval."""
    world = World()
    held = world.issue(grant("store", value=allowed), approved_by(BOSS.public))
    waits = False
    for value in values:
        try:
            await world.call(held, "store", {"value": value})
        except Denied as denied:
            waits = denied.request is not None
    return "admitted" if waits else "not_approved"


async def _vote() -> str:
    world = World()
    held = world.issue(grant("store", value=must.anything()), approved_by(BOSS.public))
    for value in (1, 2):
        await _outcome(world.call(held, "store", {"value": value}))
    one, other = await world.ledger.requests()
    outcome = await _outcome(world.ledger.vote(one.id, other.approve(BOSS, now=world.now)))
    return "passed" if outcome == "ran" else outcome


async def _approved(act: Callable[[World, Capability], Awaitable[object]]) -> str:
    """A call with the approval that it needs, after something was done about it."""
    world = World()
    held = world.issue(grant("now"), approved_by(BOSS.public, THIEF.public, need=1))
    await _outcome(world.call(held, "now", {}))
    await act(world, held)
    votes = held.approve(Call.of("now", {}), key=BOSS, now=world.now)
    return await _outcome(world.call(held, "now", {}, approvals=votes))


async def _reject(world: World, held: Capability) -> None:
    (asked,) = await world.ledger.requests()
    await world.ledger.reject(asked, key=THIEF)


async def _revoke(world: World, held: Capability) -> None:
    await world.ledger.revoke(key=BOSS.public)


async def _negative() -> str:
    world = World()
    held = world.issue(grant("pay", amount=must.anything()), limit(sum_of="amount", at_most=3))
    return await _outcome(world.call(held, "pay", {"amount": -5}))


async def _restored() -> str:
    world = World()
    held = world.issue(limit(calls=9))
    world.ledger.revoked.epoch += 1  # of which the store, an old copy, knows nothing
    return await _outcome(world.call(held))


async def _revoked_elsewhere() -> str:
    """Ask for an approval before this process has read what another has revoked."""
    with tempfile.TemporaryDirectory() as folder:
        where = Path(folder) / "hessra.db"
        async with aclosing(opened_ledger(where)) as ledger, aclosing(opened_ledger(where)) as other:
            world = World(ledger=ledger)
            held = world.issue(approved_by(BOSS.public))
            await other.revoke(held)
            asked = ApprovalRequest.of(held, Call.of("store", {"value": 1}), now=world.now)
            outcome = await _outcome(ledger.request_approval(asked, held))
    return "admitted" if outcome == "ran" else outcome
