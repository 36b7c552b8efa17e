"""A toolbox of several capabilities permits exactly what one of them permits alone, and takes from one.

Over random capabilities, narrowings, sessions and calls; and over random budgets, which are counted beside.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from random import Random

import pytest

from hessra_agents import (
    Call,
    Capability,
    Denied,
    Grant,
    Guard,
    KeyPair,
    Session,
    Trust,
    approved_by,
    grant,
    limit,
    must,
)
from hessra_agents.grants.clauses import Pattern
from hessra_agents.grants.conditions import Condition
from hessra_agents.guard.members import decide_any, united
from hessra_agents.guard.narrowing import handed_on
from hessra_agents.guard.presented import Presented
from hessra_agents.guard.toolbox import Toolbox
from hessra_agents.tokens.issue import issue
from hessra_agents.verify.permit import Permit
from hessra_agents.verify.verifier import Possession
from tests.support.ledgers import SOAK, Store, everywhere
from tests.support.ledgers import anyio_backend as anyio_backend
from tests.support.ledgers import store as store
from tests.support.random_authority import NOW, ROOT, SESSIONS, Written, bound, called, written
from tests.support.world import World

ROUNDS = 4_000 if SOAK else 100
CALLS = 25


def decided(
    guard: Guard, members: tuple[Presented, ...], call: Call, session: Session | None
) -> Permit | Denied:
    try:
        return decide_any(guard.settings, members, call, session)
    except Denied as denied:
        return denied


@pytest.mark.parametrize("seed", range(4))
def test_a_list_permits_what_one_of_it_permits(seed: int) -> None:
    """Of random capabilities, each with its own holder; first one that takes nothing for the call."""
    rng, permitted, told = Random(seed), 0, 0
    guard = Guard(Trust({1: ROOT.public}), audience="here", clock=lambda: NOW)
    for _ in range(ROUNDS):
        chains = [written(rng) for _ in range(rng.choice((2, 2, 3, 8)))]
        members = tuple([presented(rng, chain) for chain in chains])
        for _ in range(CALLS):
            at = rng.randrange(len(chains))
            call, session = called(rng, chains[at], members[at].known), rng.choice(SESSIONS)
            alone = [decided(guard, (one,), call, session) for one in members]
            permits = [one for one in alone if isinstance(one, Permit)]
            found = decided(guard, members, call, session)
            assert isinstance(found, Permit) == bool(permits)
            if isinstance(found, Permit):
                free = [one for one in permits if not one.charges]
                assert found.ids == (free or permits)[0].ids
                if session is None:  # so nothing that it shows as granted is narrower than what is
                    assert matched(united([one.known for one in members], call.resource), call)
                permitted += 1
            else:
                refused = [one for one in alone if isinstance(one, Denied)]
                assert found.reason in {one.reason for one in refused}
                proved = [m for m, one in zip(members, refused, strict=True) if one.reason != "not_holder"]
                if found.problems:  # which tell nothing of what somebody else holds
                    assert str(decided(guard, tuple(proved), call, session)) == str(found)
                told += 1
    assert permitted > ROUNDS
    assert told > ROUNDS


@pytest.mark.parametrize("seed", range(4))
def test_what_a_capability_covers_it_permits(seed: int) -> None:
    """A grant goes to a capability only if that permits every call which the grant describes."""
    rng, covered, permitted = Random(seed), 0, 0
    for _ in range(ROUNDS * 20):
        (held, near), (asked, nearer) = bound(rng), bound(rng)
        if "said" in held.words:  # a clause that no grant has, which may be about other arguments
            continue
        if rng.random() < 0.5:  # mostly two have nothing in common
            asked = held & asked if held.wants_value and asked.wants_value else held
        first, second = (issued(grant("send", a=one)) for one in (must.exact("nothing of the kind"), held))
        given = grant("send", a=asked)
        try:
            (child,) = handed_on([first, second], [given], lambda one, share: one.attenuate(*share))
        except ValueError:  # it is not covered, or cannot be written
            continue
        assert child.ids[0] == second.ids[0]
        covered += 1
        for _ in range(10):
            call = Call.of("send", {"a": rng.choice((near, nearer))()} if rng.random() < 0.95 else {})
            if matched(given.patterns(closed=True), call):
                assert matched(second.about("tool:send"), call), (str(held), str(asked), call.arguments)
                permitted += 1
    assert covered > ROUNDS
    assert permitted > ROUNDS


def matched(patterns: tuple[Pattern, ...], call: Call) -> bool:
    return all(any(not branch.failing(call) for branch in pattern) for pattern in patterns)


def issued(granted: Grant) -> Capability:
    lifetime = timedelta(minutes=5)
    return issue("agent:desk", [granted], key=ROOT, key_id=1, ttl=lifetime, audience="here", now=NOW)


def presented(rng: Random, chain: Written) -> Presented:
    """A capability of the chain, as its holder presents it; now and then as somebody else does."""
    capability, key = rng.choice(chain.chain)
    proof = None
    if key is not None and capability.holder is not None and rng.random() < 0.95:
        proof = Possession.show(capability, key)
    return Presented(capability, proof)


@dataclass
class Budget:
    """One capability, beside it what it allows and what is left of it."""

    capability: Capability
    low: int
    high: int
    left: int | None
    sums: bool
    approved: bool

    def allows(self, amount: int) -> bool:
        return self.low <= amount <= self.high

    def costs(self, amount: int) -> int:
        return amount if self.sums else 1


BOSS = KeyPair.generate()


@everywhere
@pytest.mark.anyio
async def test_one_budget_is_charged_and_once(store: Store) -> None:
    """The first that costs nothing, else the first with enough left; approvals if none permits without."""
    rng = Random(7)
    for _ in range(60 if SOAK else 8):
        world = store.world()
        budgets = []
        for _ in range(rng.randint(2, 6)):
            low, left, sums = rng.randint(1, 5), rng.choice((None, 1, 3, 9, 20)), rng.random() < 0.5
            one = Budget(world.issue(), low, rng.randint(low, 9), left, sums, rng.random() < 0.25)
            conditions: list[Condition] = [grant("pay", amount=must.between(one.low, one.high))]
            if left is not None:
                conditions.append(limit(sum_of="amount", at_most=left) if sums else limit(calls=left))
            if one.approved:
                conditions.append(approved_by(BOSS.public))
            one.capability = world.issue(*conditions)
            budgets.append(one)
        box = world.guard.toolbox(*(one.capability for one in budgets))
        for _ in range(30):
            await compare(world, box, budgets, rng.randint(0, 10))


async def compare(world: World, box: Toolbox, budgets: list[Budget], amount: int) -> None:
    able = [one for one in budgets if one.allows(amount)]
    paying = [one for one in able if one.left is None or one.left >= one.costs(amount)]
    plain = [one for one in paying if not one.approved]
    asking = [one for one in able if one.approved]
    serves = next((one for one in plain if one.left is None), plain[0] if plain else None)
    before, reason = len(world.ran), None
    try:
        await box.call("pay", {"amount": amount})
    except Denied as denied:
        reason = str(denied.reason)
    if serves is not None:
        assert reason is None
        if serves.left is not None:
            serves.left -= serves.costs(amount)
    else:
        assert reason == ("not_approved" if asking else "spent" if able else "constraint")
    assert len(world.ran) - before == (serves is not None)
    for one in budgets:
        uses = (await world.ledger.status(one.capability)).limits
        assert [use.left for use in uses] == ([] if one.left is None else [one.left])
