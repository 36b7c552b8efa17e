"""Law: each look at a call counts, also the last one, where those before it have found nothing."""

from __future__ import annotations

import threading
from collections import Counter
from contextlib import aclosing
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

import anyio
import pytest

from hessra_agents import Call, Denied, KeyPair, Reason, approved_by, grant, must
from hessra_agents.ledger.approval_requests import MAX_SHOWN, ApprovalRequest
from hessra_agents.verify.permit import Permit
from hessra_agents.verify.verifier import Possession, verify
from tests.laws.test_after_waiting import Bank, Slow, no_thread
from tests.support.ledgers import opened_ledger
from tests.support.random_authority import NOW, called, written
from tests.support.world import World

KEY, BOSS = KeyPair.generate(), KeyPair.generate()


def permits_all(*given: Any, **known: Any) -> Permit:
    """Verify a call as if the matcher had a fault, and found that every pattern matches."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hessra_agents.verify.verifier.matches", lambda *_: True)
        return verify(*given, **known)


def test_the_engine_refuses_what_a_faulty_matcher_permits() -> None:
    """Where the guard asks it as well: for each call that the matcher should have refused."""
    verdicts: Counter[tuple[bool, Reason | None]] = Counter()
    for seed in range(300):
        rng = Random(seed)
        found = written(rng)
        call = called(rng, found, found.chain[0][0])
        if found.chain[0][0].blocks[0].objects is None:
            continue  # that its calls take no arguments is the guard's rule, and no check of the token
        for faulty in (False, True):
            capability, key = found.chain[0]
            known: dict[str, Any] = {"now": NOW + 20, "audience": "here", "labels": (), "cross_check": faulty}
            if key is not None and capability.holder is not None:
                known["proof"] = Possession.show(capability, key)
            try:
                (permits_all if faulty else verify)(capability, call, **known)
                verdicts[faulty, None] += 1
            except Denied as denied:
                verdicts[faulty, denied.reason] += 1
    amiss = (Reason.CONSTRAINT, Reason.MISSING_ARGUMENT, Reason.UNNAMED_ARGUMENT)
    assert verdicts[True, None] == verdicts[False, None] > 20
    assert verdicts[True, Reason.UNAVAILABLE] > 20
    assert sum(verdicts[True, reason] for reason in amiss) < sum(verdicts[False, reason] for reason in amiss)


def test_a_possession_is_shown_with_the_holders_key() -> None:
    capability = World().issue(holder=KEY.public)
    assert Possession.show(capability, KEY).handle
    with pytest.raises(Denied, match="the key is not the key of this capability's holder") as caught:
        Possession.show(capability, KeyPair.generate())
    assert caught.value.reason is Reason.NOT_HOLDER


@pytest.mark.anyio
async def test_a_proof_that_became_too_old_before_its_thread_was_free_counts_no_more() -> None:
    """Its capability is still good, so that only the whole decision, made again, finds it."""
    bank = Bank(Slow.memory())
    held = bank.issue(grant("sync"), holder=KEY.public, ttl=timedelta(days=1))
    proof = bank.prove(held, KEY, "sync", {})

    async def late() -> None:
        with bank.refuses("expired", "older than"):
            await bank.call(held, "sync", {}, proof=proof)

    async with anyio.create_task_group() as group, no_thread(bank) as waiting:
        group.start_soon(late)
        await waiting()
        bank.now += 40
    await bank.call(held, "sync", {}, proof=bank.prove(held, KEY, "sync", {}))
    assert len(bank.ran) == 1


@pytest.mark.anyio
async def test_a_right_that_ends_on_the_way_to_the_thread_is_over() -> None:
    """The last look is in the thread itself; here it is later there than before."""
    world, here = World(), threading.get_ident()
    held, late = world.issue(grant("pay", amount=1)), 0
    world.guard.settings.clock = lambda: world.now + late * (threading.get_ident() != here)
    await world.call(held, "pay", {"amount": 1})
    late = 3600
    with world.refuses("expired"):
        await world.call(held, "pay", {"amount": 1})


@pytest.mark.anyio
async def test_a_call_that_nobody_can_be_shown_asks_nobody() -> None:
    world = World()
    held = world.issue(grant("store", value=must.anything()), approved_by(BOSS.public))
    with world.refuses("not_approved", "too long to show"):
        await world.call(held, "store", {"value": "x" * MAX_SHOWN})
    assert await world.ledger.requests() == []


@pytest.mark.anyio
async def test_a_vote_for_another_call_is_none() -> None:
    world = World()
    held = world.issue(grant("store", value=must.anything()), approved_by(BOSS.public))
    for value in (1, 2):
        with world.refuses("not_approved"):
            await world.call(held, "store", {"value": value})
    one, other = await world.ledger.requests()
    with pytest.raises(ValueError, match="not signed for this request"):
        await world.ledger.vote(one.id, other.approve(BOSS, now=world.now))


@pytest.mark.anyio
async def test_nobody_is_asked_about_what_another_process_has_revoked(tmp_path: Path) -> None:
    """Though this one has not read it yet."""
    where = tmp_path / "hessra.db"
    async with aclosing(opened_ledger(where)) as ledger, aclosing(opened_ledger(where)) as other:
        world = World(ledger=ledger)
        held = world.issue(approved_by(BOSS.public))
        await other.revoke(held)
        asked = ApprovalRequest.of(held, Call.of("send_email", {"to": "a"}), now=world.now)
        with pytest.raises(Denied) as caught:
            await ledger.request_approval(asked, held)
        assert caught.value.reason is Reason.REVOKED
        assert await ledger.requests() == []
