"""Limits as every ledger counts them: exactly, shared by all that derives from a block, all or none."""

from __future__ import annotations

import subprocess
import sys
from datetime import timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hessra_agents import Call, Capability, Denied, Grant, KeyPair, grant, limit, must
from hessra_agents.grants.limits import MAX_MOST, Limit
from hessra_agents.ledger import Outcome
from hessra_agents.ledger import transactions as steps
from hessra_agents.ledger.model import new_operation_id
from tests.support.ledgers import SOAK, Store, everywhere, once_each, shared
from tests.support.ledgers import anyio_backend as anyio_backend
from tests.support.ledgers import store as store
from tests.support.world import World
from tests.vectors.refused import put_again

pytestmark = pytest.mark.anyio
ANA, BO, CEM = (KeyPair.generate() for _ in range(3))
PAY = grant("pay", amount=must.anything())
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
TRIES = 2_000 if SOAK else 150


async def pay(world: World, held: Capability | str, amount: Any = 1) -> None:
    await world.call(held, "pay", {"amount": amount})


def budget(world: World, *conditions: Grant | Limit, ttl: timedelta = HOUR) -> Capability:
    return world.issue(PAY, *conditions, ttl=ttl)


@everywhere
async def test_so_many_calls_and_no_more(store: Store) -> None:
    world = store.world()
    held = budget(world, limit(calls=2))
    await pay(world, held)
    await pay(world, held)
    with world.refuses("spent", "0 left"):
        await pay(world, held)
    await pay(world, budget(world, limit(calls=2)))  # another capability, another budget


@everywhere
async def test_so_much_in_all_and_no_more(store: Store) -> None:
    """What does not fit takes nothing; what fits goes down to the last."""
    world = store.world()
    held = budget(world, limit(sum_of="amount", at_most=10))
    await pay(world, held, 7)
    with world.refuses("spent", "3 left"):
        await pay(world, held, 4)
    await pay(world, held, 3)
    await pay(world, held, 0)
    with world.refuses("spent", "0 left"):
        await pay(world, held, 1)


@everywhere
async def test_so_many_cents_and_no_more(store: Store) -> None:
    """The ledger counts units; people read decimals."""
    world = store.world()
    amount = grant("store", value=must.number(low=0, high=500))
    held = world.issue(amount, limit(sum_of="value", at_most=Decimal("10.00")), ttl=HOUR)
    for _ in range(3):
        await world.call(held, "store", {"value": 0.1})
    with world.refuses("spent", "sum of value at most 10.00, 9.70 left"):
        await world.call(held, "store", {"value": 9.71})
    with world.refuses("constraint"):
        await world.call(held, "store", {"value": 0.001})
    await world.call(held, "store", {"value": 9.7})
    with world.refuses("spent", "0.00 left"):
        await world.call(held, "store", {"value": 0.01})
    (use,) = (await world.ledger.status(held)).limits
    assert (use.used, use.places, use.written(use.left)) == (1000, 2, "0.00")


@everywhere
async def test_no_amount_gives_back(store: Store) -> None:
    """Negative, absent, huge, or no whole number: refused, and nothing is charged."""
    world = store.world()
    held = budget(world, limit(sum_of="amount", at_most=MAX_MOST))
    await pay(world, held, MAX_MOST - 1)
    for wrong in (-1, -MAX_MOST, -(2**63), 1.5, "1", None, True, [1], {"amount": 1}, 2**63 - 1, 2**53):
        with pytest.raises(Denied):
            await pay(world, held, wrong)
    with world.refuses("missing_argument"):
        await world.call(held, "pay", {})
    with world.refuses("spent", "1 left"):
        await pay(world, held, 2)
    await pay(world, held, 1)
    assert [one["amount"] for _, one in world.ran] == [MAX_MOST - 1, 1]


@everywhere
async def test_a_window_frees_what_was_used_a_sixtieth_late_at_most_and_never_early(store: Store) -> None:
    """At its edges: to the second for a minute, to the minute for an hour."""
    world = store.world()
    for window, step in ((MINUTE, 1), (HOUR, 60)):
        begun = world.now = world.now + step - world.now % step
        held = budget(world, limit(calls=1, per=window), ttl=10 * window)
        await pay(world, held)
        edge = int(window.total_seconds())
        world.now = begun + edge
        with world.refuses("spent"):
            await pay(world, held)
        world.now = begun + edge + step
        await pay(world, held)


@everywhere
async def test_what_is_used_within_a_window_never_exceeds_it(store: Store) -> None:
    """Random calls over time, counted again by hand over every stretch of the window's length."""
    world = store.world()
    world.now += 7
    per, most = 130, 9
    longer = timedelta(seconds=23 * TRIES + 60)
    held = budget(world, limit(sum_of="amount", at_most=most, per=timedelta(seconds=per)), ttl=longer)
    paid: list[tuple[int, int]] = []
    refused: dict[str, int] = {}
    for number in range(TRIES):
        world.now += (number * 7919) % 23
        amount = (number * 104729) % 4
        counted = sum(one for then, one in paid if then > world.now - per)
        surely = sum(one for then, one in paid if then >= world.now - per - per // 60 - 1)
        try:
            await pay(world, held, amount)
        except Denied as denied:
            refused[denied.reason] = refused.get(denied.reason, 0) + 1
            assert surely + amount > most, "refused what had surely left the window"
        else:
            paid.append((world.now, amount))
            assert counted + amount <= most, "more than the window grants"
    assert refused == {"spent": TRIES - len(paid)}
    assert TRIES // 4 < len(paid) < TRIES


@everywhere
async def test_a_clock_that_is_set_back_frees_nothing(store: Store) -> None:
    world = store.world()
    held = budget(world, limit(calls=1, per=MINUTE), ttl=2 * HOUR)
    world.now += 3700
    await pay(world, held)
    for back in (1, 30, 3600):
        world.now -= back
        with world.refuses("spent"):
            await pay(world, held)


@everywhere
async def test_a_limit_of_one_tool_leaves_the_others_alone(store: Store) -> None:
    world = store.world()
    held = world.issue(
        PAY, grant("now"), limit(calls=1, tools="pay"), limit(sum_of="amount", at_most=5, tools="pay")
    )
    for _ in range(3):
        await world.call(held, "now", {})
    await pay(world, held, 5)
    with world.refuses("spent"):
        await pay(world, held, 0)
    await world.call(held, "now", {})


@everywhere
async def test_what_a_failed_tool_took_is_given_back_only_where_the_grant_says_so(store: Store) -> None:
    world = store.world()
    for refund in (True, False):
        held = world.issue(grant("break_down"), limit(calls=1, refund=refund), limit(calls=3))

        if "break_down" not in world.guard.tools:

            @world.guard.tool
            async def break_down() -> None:
                world.ran.append(("break_down", {}))
                raise ZeroDivisionError

        for _ in range(3 if refund else 1):
            with pytest.raises(ZeroDivisionError):
                await world.call(held, "break_down", {})
        with world.refuses("spent"):
            await world.call(held, "break_down", {})


@shared
async def test_a_refund_has_one_effect(store: Store) -> None:
    """Given back twice, or for a call that nobody knows, it is given back once."""
    world = store.world()
    held = budget(world, limit(sum_of="amount", at_most=10, refund=True))
    await pay(world, held, 4)
    await pay(world, held, 4)
    await world.ledger.aclose()
    ops = [one["op"] for one in store.records() if one.get("verdict") == "permitted"]
    for op in (ops[0], ops[0], "00" * 16, ops[0]):
        store.run(steps.refund(bytes.fromhex(op)))
    again = store.world(world)
    with again.refuses("spent", "6 left"):
        await pay(again, held, 7)
    await pay(again, held, 6)


@everywhere
async def test_a_call_that_was_admitted_and_did_not_run_is_refunded(store: Store) -> None:
    """On every store, also where there is no record of the decision."""
    world = store.world()
    held = budget(world, limit(calls=1, refund=True))
    op = new_operation_id()
    permit = world.guard.decide(held, Call.of("pay", {"amount": 1}))
    await world.ledger.admit(permit, op)
    with world.refuses("spent"):
        await pay(world, held)
    world.ledger.record(permit, op, Outcome.NOT_RUN)
    await pay(world, held)


@everywhere
@pytest.mark.parametrize("least", range(3))
async def test_all_limits_of_a_chain_are_taken_or_none(store: Store, least: int) -> None:
    """Whichever of the blocks has too little left."""
    world = store.world()
    held = budget(world, limit(sum_of="amount", at_most=[5, 90, 90][least]))
    chain = [held]
    for number in (1, 2):
        most = [90, 90, 90]
        most[least] = 5
        chain.append(chain[-1].attenuate(limit(sum_of="amount", at_most=most[number]), now=world.now))
    for _ in range(3):
        with world.refuses("spent", "5 left"):
            await pay(world, chain[-1], 6)
    await pay(world, chain[-1], 5)
    spare = [one for number, one in enumerate(chain) if number < least]
    for one in spare[-1:]:
        await pay(world, one, 85)  # nothing of the three attempts was taken from it
        with world.refuses("spent"):
            await pay(world, one, 1)


@everywhere
async def test_all_that_derives_from_a_block_shares_its_budget(store: Store) -> None:
    world = store.world()
    root = budget(world, limit(sum_of="amount", at_most=10))
    left = root.attenuate(grant("pay", amount=must.between(0, 8)), now=world.now)
    right = root.attenuate(limit(sum_of="amount", at_most=4), now=world.now)
    below = right.attenuate(ttl=MINUTE, now=world.now)
    await pay(world, left, 5)
    await pay(world, below, 3)
    with world.refuses("spent", "1 left"):
        await pay(world, right, 2)
    await pay(world, right, 1)
    for one in (root, left, below):
        with world.refuses("spent"):
            await pay(world, one, 2)
    await pay(world, root, 1)


@everywhere
async def test_a_lower_limit_that_is_added_later_begins_anew_and_the_old_one_goes_on(store: Store) -> None:
    world = store.world()
    root = budget(world, limit(calls=5))
    for _ in range(3):
        await pay(world, root)
    lower = root.attenuate(limit(calls=1), now=world.now)
    await pay(world, lower)
    with world.refuses("spent"):
        await pay(world, lower)
    await pay(world, root)
    with world.refuses("spent"):
        await pay(world, root)


@everywhere
async def test_a_signed_block_that_is_put_again_under_a_new_key_meets_the_same_budget(store: Store) -> None:
    """Whoever holds the block before it can append it again and again: its content is what is counted."""
    world = store.world()
    first = world.issue(PAY, holder=ANA.public)
    held = first.delegate(limit(calls=2), to=BO.public, key=ANA, now=world.now)
    again = world.guard.read(put_again(held, first))
    assert again.token != held.token

    async def used(one: Capability) -> None:
        proof = world.prove(one, BO, "pay", {"amount": 1})
        await world.call(one, "pay", {"amount": 1}, proof=proof)

    await used(held)
    await used(again)
    for one in (held, again, world.guard.read(put_again(held, first))):
        with world.refuses("spent"):
            await used(one)


@pytest.mark.parametrize("on", ["none-asyncio", "none-trio"])
async def test_a_guard_that_cannot_count_refuses() -> None:
    """Without a ledger, a capability with a limit does nothing."""
    world = World()
    world.guard.settings.ledger = None
    with world.refuses("unavailable", "limits"):
        await pay(world, budget(world, limit(calls=5)))
    await pay(world, budget(world))


@shared
async def test_a_budget_lives_as_long_as_the_capability_and_outlives_the_ledger(store: Store) -> None:
    world = store.world()
    held = budget(world, limit(calls=1))
    await pay(world, held)
    await world.ledger.aclose()
    again = store.world(world)
    again.now += 3599
    store.run(steps.expire(again.now))
    with again.refuses("spent"):
        await pay(again, held)
    again.now += 1
    with again.refuses("expired"):
        await pay(again, held)
    store.run(steps.expire(again.now))
    assert store.sql("select count(*) from used") == [(0,)], "and what can be asked for no more is forgotten"


@shared
async def test_a_budget_that_was_forgotten_too_early_is_used_up(store: Store) -> None:
    """A guard whose clock is a day ahead has forgotten it for all: what the others permit is none of it."""
    world = store.world()
    held = budget(world, limit(calls=1))
    await pay(world, held)
    store.run(steps.expire(world.now + 86_400))
    with world.refuses("stale"):
        await pay(world, held)


@shared
async def test_a_short_window_leaves_no_pile_behind(store: Store) -> None:
    """What has left the window is forgotten, long before the capability expires."""
    world = store.world()
    held = budget(world, limit(calls=5, per=MINUTE), ttl=DAY)
    for _ in range(40):
        await pay(world, held)
        world.now += 30
    store.run(steps.expire(world.now - 120))
    ((kept,),) = store.sql("select count(*) from used")
    assert kept <= 10


@shared
async def test_tasks_that_race_for_one_budget_get_exactly_all_of_it(store: Store) -> None:
    here = store.world()
    worlds = [here, store.world(here)]
    held = budget(here, limit(sum_of="amount", at_most=100), limit(calls=80))
    verdicts: list[str] = []

    async def worker(world: World, number: int) -> None:
        for turn in range(20):
            try:
                await pay(world, held, 1 + (number + turn) % 3)
                verdicts.append("ran")
            except Denied as denied:
                verdicts.append(str(denied.reason))

    async with anyio.create_task_group() as group:
        for number in range(8):
            group.start_soon(worker, worlds[number % 2], number)
    paid = sum(arguments["amount"] for world in worlds for _, arguments in world.ran)
    assert verdicts.count("ran") + verdicts.count("spent") == 160
    assert 98 < paid <= 100
    used = dict(store.sql("select amount, count(*) from used group by amount"))
    assert used == {paid: 1, verdicts.count("ran"): 1}, "granted, used and written are the same"


RACER = """
import sys, anyio
from hessra_agents import Authority, Denied, Guard, Ledger, Trust
where, state, trust, token, tries = sys.argv[1:]

async def main():
    ledger = Ledger.open(where, state_dir=state)
    guard = Guard(Trust.load(trust), audience="mail", ledger=ledger, clock=lambda: 1_800_000_000)
    found = {}

    @guard.tool
    async def pay(amount: int) -> int:
        return amount

    async def worker():
        for _ in range(int(tries)):
            try:
                await guard.call(token, "pay", {"amount": 1})
                found["ran"] = found.get("ran", 0) + 1
            except Denied as denied:
                found[str(denied.reason)] = found.get(str(denied.reason), 0) + 1

    async with anyio.create_task_group() as group:
        for _ in range(8):
            group.start_soon(worker)
    await ledger.aclose()
    print(found.get("ran", 0), found.get("spent", 0))

anyio.run(main)
"""


@once_each
def test_four_processes_that_race_for_one_budget_get_exactly_all_of_it(store: Store, tmp_path: Path) -> None:
    """Granted, used and written are the same number, and nobody was refused for another reason."""
    world = store.world()
    most = 4 * 8 * TRIES // 10
    held = budget(world, limit(calls=most))
    trust = tmp_path / "trust.json"
    world.guard.trust.save(trust)
    command = [sys.executable, "-c", RACER, store.where, str(tmp_path / "log"), str(trust), held.token]
    running = [
        subprocess.Popen([*command, str(TRIES // 8)], stdout=subprocess.PIPE, text=True) for _ in range(4)
    ]
    told = [process.communicate()[0].split() for process in running]
    assert [process.returncode for process in running] == [0] * 4
    ran, spent = (sum(int(one[column]) for one in told) for column in (0, 1))
    assert ran == min(most, 4 * 8 * (TRIES // 8))
    assert ran + spent == 4 * 8 * (TRIES // 8)
    assert store.sql("select amount from used") == [(ran,)]
    assert len([one for one in store.records() if one.get("verdict") == "permitted"]) == ran


@settings(max_examples=1_000 if SOAK else 60)
@given(
    amounts=st.lists(st.integers(0, 7), max_size=12),
    limits=st.lists(st.tuples(st.integers(1, 20), st.booleans()), min_size=1, max_size=3),
)
def test_what_runs_is_what_the_sums_allow(amounts: list[int], limits: list[tuple[int, bool]]) -> None:
    """Against sums done by hand, whatever the limits of the chain are."""
    counted = World()
    held = budget(counted, *[_limit(*one) for one in limits[:1]])
    for one in limits[1:]:
        held = held.attenuate(_limit(*one), now=counted.now)
    left = [most for most, _ in limits]
    for amount in amounts:
        takes = [1 if calls else amount for _, calls in limits]
        fits = all(one >= take for one, take in zip(left, takes, strict=True))
        try:
            anyio.run(partial(pay, counted, held, amount))
            ran = True
        except Denied:
            ran = False
        assert ran == fits
        left = [one - take * fits for one, take in zip(left, takes, strict=True)]


def _limit(most: int, calls: bool) -> Limit:
    return limit(calls=most) if calls else limit(sum_of="amount", at_most=most)
