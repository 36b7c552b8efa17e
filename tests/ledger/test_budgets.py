"""Named budgets: what an authority lets be used up under one name, however often it issues."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from biscuit_auth import BiscuitBuilder

from hessra_agents import Authority, Capability, KeyPair, Trust, grant, limit, must
from hessra_agents.grants.limits import Limit
from hessra_agents.ledger import transactions as steps
from hessra_agents.tokens.issue import issue
from tests.support import forge
from tests.support.ledgers import Store, everywhere, shared
from tests.support.ledgers import anyio_backend as anyio_backend
from tests.support.ledgers import store as store
from tests.support.world import World

pytestmark = pytest.mark.anyio
PAY = grant("pay", amount=must.anything())
HOUR = timedelta(hours=1)
EUR = limit(sum_of="amount", at_most=10, budget="eur")


def issued(world: World, *limits: Limit, **options: Any) -> Capability:
    return world.issue(PAY, *(limits or (EUR,)), **options)


alone = pytest.mark.parametrize("on", ["none-asyncio", "none-trio"])


async def pay(world: World, held: Capability, amount: int = 1) -> None:
    await world.call(held, "pay", {"amount": amount})


@everywhere
async def test_what_is_issued_anew_meets_the_same_budget(store: Store) -> None:
    """Another capability, another holder, after the first has expired; and more only where it is said."""
    world = store.world()
    await pay(world, issued(world), 7)
    with world.refuses("spent", "budget eur", "3 left"):
        await pay(world, issued(world), 4)
    world.now += 3600
    renewed = issued(world)
    await pay(world, renewed, 3)
    with world.refuses("spent"):
        await pay(world, renewed.attenuate(ttl=timedelta(seconds=30), now=world.now))
    await pay(world, issued(world, limit(sum_of="amount", at_most=11, budget="eur")))
    await pay(world, issued(world, limit(sum_of="amount", at_most=10)), 10)
    await pay(world, issued(world, limit(sum_of="amount", at_most=10, budget="usd")), 10)


@everywhere
async def test_calls_sums_and_windows_of_one_name_are_counted_apart(
    store: Store,
) -> None:
    world = store.world()
    await pay(world, issued(world), 10)
    await pay(world, issued(world, limit(calls=1, budget="eur")), 9)
    with world.refuses("spent"):
        await pay(world, issued(world, limit(calls=1, budget="eur", refund=True)))
    hourly = limit(calls=1, per=HOUR, budget="eur")
    await pay(world, issued(world, hourly))
    with world.refuses("spent"):
        await pay(world, issued(world, hourly))
    world.now += 3700
    await pay(world, issued(world, hourly))
    stored = world.issue(
        grant("store", value=must.fields(fee=must.anything())),
        limit(sum_of="/value/fee", at_most=10, budget="eur"),
    )
    with world.refuses("spent"):
        await world.call(stored, "store", {"value": {"fee": 1}})


@everywhere
async def test_two_limits_on_one_budget_charge_it_twice_and_refund_it_twice(store: Store) -> None:
    """As amount and fee of one payment do."""
    world = store.world()

    @world.guard.tool
    async def transfer(amount: int, fee: int) -> None:
        raise OSError("the bank is closed")

    both = world.issue(
        grant("transfer", amount=must.anything(), fee=must.anything()),
        limit(sum_of="amount", at_most=10, budget="eur", refund=True),
        limit(sum_of="fee", at_most=10, budget="eur", refund=True),
    )
    for _ in range(3):
        with pytest.raises(OSError, match="closed"):
            await world.call(both, "transfer", {"amount": 6, "fee": 4})
        await world.ledger.status(both)  # after which the outcome is written
    with world.refuses("spent"):
        await world.call(both, "transfer", {"amount": 6, "fee": 5})
    assert [use.used for use in (await world.ledger.status(both)).limits] == [0, 0]


@everywhere
async def test_another_authoritys_budget_of_the_same_name_is_another(store: Store) -> None:
    """The identifier stands beside each key in the trust of the guard; the token has none."""
    world, other = store.world(), KeyPair.generate()
    key_id, key = next(iter(world.authority.trust.capability.items()))
    own = world.authority.trust.authorities[key]
    trust = Trust({key_id: key, 77: other.public}, authorities={key: own, other.public: "0" * 32})
    world.guard.trust = trust
    theirs = issue("agent:desk", [PAY, EUR], key=other, key_id=77, ttl=HOUR, audience="mail", now=world.now)
    await pay(world, issued(world), 10)
    await pay(world, theirs, 10)
    for one in (issued(world), theirs):
        with world.refuses("spent"):
            await pay(world, one)
    # one authority has many keys
    world.guard.trust = replace(trust, authorities={key: own, other.public: own})
    with world.refuses("spent"):
        await pay(world, theirs)


@everywhere
async def test_a_rotation_keeps_the_budget(store: Store) -> None:
    world = store.world()
    before = issued(world)
    await pay(world, before, 10)
    for step, wait in (("prepare", 300), ("activate", 0)):
        world.authority.rotate(step, now=world.now)  # type: ignore[arg-type]
        world.now += wait
    world.guard.trust = world.authority.trust
    after = issued(world)
    assert after.root != before.root
    assert len(set(world.guard.trust.authorities.values())) == 1
    with world.refuses("spent"):
        await pay(world, after)


@shared
async def test_a_budget_outlives_the_capability_and_the_ledger(store: Store) -> None:
    world = store.world()
    await pay(world, issued(world), 10)
    await world.ledger.aclose()
    again = store.world(world)
    again.now += 10 * 365 * 86_400
    store.run(steps.expire(again.now))
    with again.refuses("spent"):
        await pay(again, issued(again, now=again.now))


@alone
async def test_a_guard_that_does_not_know_the_authority_counts_no_budget(world: World) -> None:
    """And says what to do. Limits without a budget, and other tools, need no authority."""
    world.guard.trust = Trust(dict(world.authority.trust.capability))
    some = world.issue(PAY, grant("now"), limit(calls=1, budget="eur", tools="pay"), limit(calls=5))
    with world.refuses("unavailable", "names no authority", "the trust that the authority writes"):
        await pay(world, some)
    await world.call(some, "now", {})
    await pay(world, world.issue(PAY, limit(calls=1)))
    assert (await world.ledger.status(world.guard.read(some))).limits[0].description == "at most 5 calls"


@alone
async def test_only_an_authority_names_a_budget(world: World) -> None:
    """A holder who could name one could use up what belongs to others, or pretend to a fresh one."""
    held = world.issue(PAY)
    for narrower in (held.attenuate, lambda *some: held.delegate(*some, to=KeyPair.generate().public)):
        with pytest.raises(ValueError, match="only an authority names a budget"):
            narrower(EUR)
    for source in (
        'budget("eur", "calls", 5)',
        'budget("eur", "calls", 5) or resource($r), !{"tool:pay"}.contains($r)',
    ):
        with world.refuses("outside_profile"):
            await pay(world, world.guard.read(forge.append_source(held, f"check if {source}")))


@alone
@pytest.mark.parametrize(
    "check",
    ['budget("", "calls", 5)', 'budget("a b", "calls", 5)', 'budget("eur", "calls", 0)',
     'budget("eur", 5, 5)',
     'budget("eur", "calls", "5")', 'budget("eur", "call", 5)', 'budget("eur", "calls")',
     'budget($n, "calls", 5)', 'budget("eur", "calls", 5, 5)', 'budget({"eur"}, "calls", 5)',
     'budget("eur", "calls", 5) or budget("usd", "calls", 5)', f'budget("{"e" * 65}", "calls", 5)',
     'budget("eur", "calls", $n), $n < 5', 'limit("eur", "calls", 5)',
     'budget("eur", "calls", 5), time($t)', 'budget("eur", "calls", 5) trusting authority'],
)  # fmt: skip
async def test_a_budget_of_another_shape_is_not_read(world: World, check: str) -> None:
    root = KeyPair.generate()
    builder = BiscuitBuilder(f"""
        right("agent:desk", "tool:pay", "invoke");
        check if resource($r), operation($o), right($s, $r, $o);
        check if time($t), $t < {world.now + 60};
        check if designation("anchor", "mail");
        check if resource("tool:pay"), arg_names($n), {{"amount"}}.contains($n);
        check if {check};
    """)
    builder.set_root_key_id(1)
    world.guard.trust = Trust({1: root.public}, authorities={root.public: "0" * 32})
    token = builder.build(root.for_biscuit().private_key).to_base64()
    with world.refuses("outside_profile"):
        await world.call(token, "pay", {"amount": 1})


@alone
async def test_the_key_id_of_a_token_picks_no_other_budget(world: World) -> None:
    """It is not signed. The authority stands beside the key, and a key has one."""
    key_id, key = next(iter(world.authority.trust.capability.items()))
    own = world.authority.trust.authorities[key]
    world.guard.trust = Trust({key_id: key, 9: key}, authorities={key: own})
    await pay(world, issued(world), 10)
    signed, rest = forge.blocks(issued(world))
    moved = forge.build(signed, [(1, 9), *[field for field in rest if field[0] != 1]])
    with world.refuses("spent"):
        await world.call(moved, "pay", {"amount": 1})


@alone
async def test_the_engine_agrees_on_budgets() -> None:
    """It is told of a budget only where it is counted."""
    world = World(cross_check=True)
    await pay(world, issued(world), 10)
    with world.refuses("spent"):
        await pay(world, issued(world))


@pytest.mark.parametrize("name", ["", "a b", "x:", 5, "e" * 65, "a:b:c:d:e", "é", b"eur"])
def test_a_name_that_no_guard_reads_is_refused_at_once(name: Any) -> None:
    with pytest.raises(ValueError, match="budget's name"):
        limit(calls=1, budget=name)


def test_an_authority_has_one_identifier_that_no_other_has() -> None:
    one, other = Authority.ephemeral().trust, Authority.ephemeral().trust
    assert set(one.authorities) == set(one.capability.values())
    assert not set(one.authorities.values()) & set(other.authorities.values())
    assert Trust.parse(one.text) == one
    assert Trust.parse(one.text).authorities == one.authorities
