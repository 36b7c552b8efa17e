"""Revocation on every store: what falls, what stays, and that a guard knows of it in time."""

from __future__ import annotations

import asyncio
import fcntl
import os
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import anyio
import pytest

from hessra_agents import Call, Capability, Denied, KeyPair, Reason, Trust, approved_by, grant, must
from hessra_agents.ledger import LedgerError, RevocationImpact
from hessra_agents.ledger.revocations import Revocation, RevocationList
from hessra_agents.tokens.hessra.latent import activate, latent
from tests.support.ledgers import SOAK, Store, everywhere, memory_of, once_each, shared, until
from tests.support.ledgers import anyio_backend as anyio_backend
from tests.support.ledgers import store as store
from tests.support.postgres import Postgres
from tests.support.world import MAIL, World
from tests.vectors.material import ROOT, root_block

pytestmark = pytest.mark.anyio
ANA, BO, CEM, DEB = (KeyPair.generate() for _ in range(4))
MAILS = grant("send_email", to=must.anything(), body=must.anything())
NOW = 1_800_000_000
UNDATED = f"""
    right("agent:desk", "tool:send_email", "invoke");
    check if resource($res), operation($op), right($sub, $res, $op);
    check if time($time), $time < {NOW + 3600};
    check if designation("anchor", "mail");
    check if resource("tool:send_email"), arg_names($v1_0), {{"body", "to"}}.contains($v1_0);
"""
"""A capability that does not say when it was issued."""


def narrowed(world: World, held: Capability) -> Capability:
    return held.attenuate(ttl=timedelta(minutes=5), now=world.now)


async def falls(world: World, *held: Capability) -> None:
    """Each of them is refused as revoked, at once."""
    for one in held:
        with world.refuses("revoked"):
            await called(world, one)


async def called(world: World, held: Capability) -> None:
    key = None
    if held.holder is not None:
        key = next(one for one in (ANA, BO, CEM, DEB) if one.public.data == held.holder.key)
    await world.call(held, proof=None if key is None else world.prove(held, key))


async def stands(world: World, *held: Capability) -> None:
    """Each of them makes its call."""
    before = len(world.ran)
    for one in held:
        await called(world, one)
    assert len(world.ran) == before + len(held)


# What falls


@everywhere
async def test_a_block_falls_with_all_that_is_built_on_it_and_nothing_else(store: Store) -> None:
    world = store.world()
    root = world.issue()
    left, right = narrowed(world, root), narrowed(world, root)
    below = narrowed(world, left)
    await stands(world, root, left, right, below)
    await world.guard.ledger.revoke(left)
    await falls(world, left, below)
    await stands(world, root, right)
    await falls(world, narrowed(world, below))


@everywhere
async def test_who_holds_the_block_before_can_build_anew(store: Store) -> None:
    """Which is why the holder's own block, or its subject, is the one to revoke."""
    world = store.world()
    root = world.issue()
    child = narrowed(world, root)
    await world.guard.ledger.revoke(child.ids[-1])
    await falls(world, child)
    await stands(world, narrowed(world, root))
    await world.guard.ledger.revoke(root.ids[0])
    await falls(world, root, narrowed(world, root))


@everywhere
@pytest.mark.parametrize("seed", range(10 if SOAK else 2))
async def test_of_a_random_tree_falls_what_is_below_and_nothing_else(store: Store, seed: int) -> None:
    """Trees of attenuations and delegations, of which random blocks are revoked."""
    chance = random.Random(seed)
    world = store.world()
    keys = [ANA, BO, CEM, DEB]
    tree: list[tuple[Capability, int, tuple[int, ...]]] = []
    for number in range(2):
        tree.append((world.issue(holder=keys[0].public), 0, (number,)))
    while len(tree) < 14:
        parent, holder, path = chance.choice(tree)
        if len(path) > 5:
            continue
        heir = chance.randrange(4)
        child = (
            narrowed(world, parent)
            if chance.random() < 0.5
            else parent.delegate(to=keys[heir].public, key=keys[holder], now=world.now)
        )
        same = (
            child.holder is not None and parent.holder is not None and child.holder.key == parent.holder.key
        )
        tree.append((child, holder if same else heir, (*path, len(tree))))
    revoked: set[int] = set()
    for number in chance.sample(range(len(tree)), 4):
        one, _, path = tree[number]
        await world.guard.ledger.revoke(one)
        revoked.add(path[-1])
        for held, _, above in tree:
            await (falls if revoked & set(above) else stands)(world, held)


@everywhere
async def test_a_subject_falls_with_all_below_it_and_no_other_of_a_like_name(store: Store) -> None:
    world = store.world()

    def of(name: str) -> Capability:
        return world.authority.issue(name, MAILS, ttl=timedelta(minutes=5), audience="mail")

    fallen = [of("agent:desk"), of("agent:desk:mailer"), of("agent:desk:mailer:night")]
    others = [
        of("agent:desktop"),
        of("agent"),
        of("agent:des"),
        of("agent:desk "),
        of("Agent:desk"),
        of("desk"),
    ]
    await stands(world, *fallen, *others)
    await world.guard.ledger.revoke(subject="agent:desk")
    await falls(world, *fallen, narrowed(world, of("agent:desk")))
    await stands(world, *others)
    await world.guard.ledger.revoke(subject="agent")
    await falls(world, of("agent"), of("agent:desktop"))
    await stands(world, of("Agent:desk"), of("desk"))


@everywhere
async def test_a_key_falls_as_holder_and_as_former_holder(store: Store) -> None:
    world = store.world()
    first = world.issue(holder=ANA.public)
    second = first.delegate(to=BO.public, key=ANA, now=world.now)
    third = second.delegate(to=CEM.public, key=BO, now=world.now)
    await stands(world, first, second, third)
    await world.guard.ledger.revoke(key=BO.public)
    await falls(world, second, third, world.issue(holder=BO.public))
    await stands(world, first, world.issue(holder=CEM.public), first.delegate(to=CEM.public, key=ANA))


@everywhere
async def test_a_key_falls_as_signer_and_as_approver(store: Store) -> None:
    world = store.world()
    minutes = timedelta(minutes=5)
    sleeping = latent(
        "agent:desk",
        [MAILS],
        activator=ANA.public,
        key=ROOT,
        key_id=9,
        ttl=minutes,
        audience="mail",
        now=world.now,
    )
    activated = activate(sleeping, key=ANA, ttl=minutes, now=world.now)
    world.guard.trust = Trust({9: ROOT.public, **world.authority.trust.capability})
    asks = world.issue(approved_by(ANA.public, BO.public))
    call = Call.of("send_email", MAIL)
    by_ana, by_bo = (asks.approve(call, key=key, now=world.now) for key in (ANA, BO))
    await stands(world, activated)
    await world.guard.ledger.revoke(key=ANA.public)
    await falls(world, activated)
    with world.refuses("revoked"):
        await world.call(asks, approvals=by_ana)
    await world.call(asks, approvals=by_bo)


@everywhere
async def test_a_root_falls_with_all_that_it_signed(store: Store) -> None:
    world = store.world()
    held = world.issue()
    (root,) = world.authority.trust.capability.values()
    other = KeyPair.generate()
    await world.guard.ledger.revoke(root=other.public)
    await stands(world, held)
    await world.guard.ledger.revoke(root=root)
    await falls(world, held, world.issue(), narrowed(world, held))


@everywhere
async def test_all_that_was_issued_before_a_moment_falls(store: Store) -> None:
    """To the second; and what does not say when it was issued, too."""
    world = store.world()
    old = world.issue(ttl=timedelta(hours=1))
    world.now += 60
    new = world.issue(ttl=timedelta(hours=1))
    world.guard.trust = replace(world.authority.trust, without_id={"capability": ROOT.public})
    silent = world.guard.read(root_block(UNDATED, private=ROOT.for_biscuit().private_key))
    await stands(world, old, new, silent)
    await world.guard.ledger.revoke(before=world.now)
    await falls(world, old, narrowed(world, old))
    await stands(world, new, narrowed(world, new))
    await falls(world, silent)
    await world.guard.ledger.revoke(before=world.now - 30)
    await stands(world, new)
    await world.guard.ledger.revoke(before=world.now + 1)
    await falls(world, new)


# What is known, and when


@everywhere
async def test_to_revoke_twice_is_to_revoke_once(store: Store) -> None:
    world = store.world()
    held = world.issue()
    first = await world.guard.ledger.revoke(held)
    assert await world.guard.ledger.revoke(held, reason="again") == first
    assert await world.guard.ledger.revoke(subject="agent:desk") == first + 1
    await world.guard.ledger.wait_for_epoch(first + 1)
    assert world.ledger.revoked.epoch == first + 1


@everywhere
async def test_what_nobody_has_seen_falls_when_it_is_seen(store: Store) -> None:
    world = store.world()
    held = world.issue()
    assert await world.guard.ledger.revocation_impact(held) == RevocationImpact(0, 0, 0)
    await world.guard.ledger.revoke(held)
    await falls(world, held)


@everywhere
async def test_decisions_that_run_nothing_know_it_too(store: Store) -> None:
    """`decide`, `check_capability` and a toolbox, once this process knows."""
    world = store.world()
    held = world.issue()
    desk = world.guard.toolbox(held)
    await desk.call("send_email", MAIL)
    await world.guard.ledger.wait_for_epoch(await world.guard.ledger.revoke(held))
    for attempt in (
        partial(world.guard.decide, held, Call.of("send_email", MAIL)),
        partial(world.guard.check_capability, held),
        partial(desk.decide, Call.of("send_email", MAIL)),
    ):
        with world.refuses("revoked"):
            attempt()
    with world.refuses("revoked"):
        await desk.call("send_email", MAIL)


@everywhere
async def test_a_call_that_waited_meanwhile_is_refused(store: Store) -> None:
    """A call is decided, then all is revoked, then it is admitted."""
    world = store.world()
    held = world.issue()
    permit = world.guard.decide(held, Call.of("send_email", MAIL))
    await world.guard.ledger.revoke(held)
    with world.refuses("revoked"):
        await world.ledger.admit(permit, os.urandom(16))


@shared
async def test_every_guard_on_the_store_refuses_what_one_has_revoked_as_soon_as_it_says_so(
    store: Store,
) -> None:
    """At once in a call, and in a decision alone once the epoch is known."""
    here = store.world()
    there = store.world(here)
    for _ in range(50 if SOAK else 5):
        held = here.issue()
        await stands(there, held)
        epoch = await here.guard.ledger.revoke(held)
        await falls(there, held)
        await there.guard.ledger.wait_for_epoch(epoch)
        with there.refuses("revoked"):
            there.guard.check_capability(held)


@shared
async def test_a_guard_learns_what_others_revoke_without_being_asked(store: Store) -> None:
    here = store.world()
    there = store.world(here)
    held = here.issue()
    epoch = await here.guard.ledger.revoke(held)
    await until(lambda: there.ledger.revoked.epoch == epoch)
    with there.refuses("revoked"):
        there.guard.check_capability(held)


@everywhere
async def test_an_epoch_that_does_not_come_is_told(store: Store) -> None:
    world = store.world()
    epoch = await world.guard.ledger.revoke(subject="agent:x")
    await world.guard.ledger.wait_for_epoch(epoch)
    await world.guard.ledger.wait_for_epoch(0)
    with pytest.raises(TimeoutError):
        await world.guard.ledger.wait_for_epoch(epoch + 1, timeout=0.05)


@shared
async def test_a_store_that_was_put_back_is_not_believed(store: Store) -> None:
    """Fewer revocations than are known: this is an old copy."""
    world = store.world()
    held = world.issue()
    await world.guard.ledger.wait_for_epoch(await world.guard.ledger.revoke(subject="agent:x"))
    store.sql("delete from revocation")
    store.sql("update state set epoch = 0")
    with world.refuses("unavailable"):
        await world.call(held)


@shared
async def test_a_gap_in_the_list_is_not_passed_over(store: Store) -> None:
    world = store.world()
    for number in range(3):
        await world.guard.ledger.revoke(subject=f"agent:{number}")
    store.sql("delete from revocation where epoch = 2")
    with pytest.raises(LedgerError, match="gap"):
        store.open()


async def _race(store: Store, revokers: int, each: int, *, seen: Callable[[int], None]) -> int:
    """Many ledgers that revoke side by side while another reads; the last epoch."""
    worlds = [store.world() for _ in range(revokers)]
    reader = store.open()
    done = False

    async def revoke(world: World, number: int) -> None:
        for turn in range(each):
            await world.guard.ledger.revoke(subject=f"agent:{number}:{turn}")

    async def read() -> None:
        while not done:
            seen(reader.revoked.epoch)
            await reader.wait_for_epoch(reader.revoked.epoch)
            await anyio.sleep(0.001)

    async with anyio.create_task_group() as group:
        group.start_soon(read)
        async with anyio.create_task_group() as revoking:
            for number, world in enumerate(worlds):
                revoking.start_soon(revoke, world, number)
        done = True
    await reader.wait_for_epoch(revokers * each)
    return reader.revoked.epoch


@once_each
async def test_the_feed_misses_none_of_what_eight_revoke_side_by_side(store: Store) -> None:
    """And it never goes back."""
    seen: list[int] = []
    each = 150 if SOAK else 15
    assert await _race(store, 8, each, seen=seen.append) == 8 * each
    assert seen == sorted(seen)
    (reader,) = store.opened[-1:]
    for number in range(8):
        for turn in range(each):
            mark = Revocation.of(subject=f"agent:{number}:{turn}").target
            with pytest.raises(Denied):
                reader.revoked.check([mark], NOW)


def test_a_feed_by_the_order_of_insertion_does_miss_some(dsn: str) -> None:
    """The control: numbers are given when a row is written, and it can be read when it is committed."""

    async def race() -> tuple[int, int]:
        import asyncpg

        first = await asyncpg.connect(dsn)
        await first.execute("create table feed (id bigint generated always as identity primary key)")
        read: list[int] = []
        done = asyncio.Event()

        async def write(number: int) -> None:
            db = await asyncpg.connect(dsn)
            for turn in range(40):
                async with db.transaction():
                    await db.execute("insert into feed default values")
                    await asyncio.sleep((number * 7 + turn * 3) % 5 / 1000)
            await db.close()

        async def follow() -> None:
            while True:
                ended = done.is_set()
                rows = await first.fetch(
                    "select id from feed where id > $1 order by id", max(read, default=0)
                )
                read.extend(row[0] for row in rows)
                if ended:
                    return

        following = asyncio.ensure_future(follow())
        await asyncio.gather(*(write(number) for number in range(8)))
        done.set()
        await following
        (count,) = await first.fetchrow("select count(*) from feed")
        await first.close()
        return len(read), count

    read, written = asyncio.run(race())
    assert written == 320
    assert read < written, "this control must lose rows, or the race is none"


@everywhere
@pytest.mark.parametrize("entries", [0, 1_000, 1_000_000 if SOAK else 100_000])
async def test_decisions_are_the_same_however_long_the_list_is(store: Store, entries: int) -> None:
    first = store.world()
    good, bad = first.issue(), first.issue()
    if store.name == "memory":
        world = first
        world.ledger.revoked.apply(entries, _rows(entries))
        _memory_sql(world, entries)
    else:
        store.sql(_FILL[store.name].format(entries))
        store.sql("analyze")  # as a server does by itself where rows came one by one
        store.sql(f"update state set epoch = {entries}")
        world = store.world(first)
    await stands(world, good, bad)
    assert await world.guard.ledger.revoke(bad) == entries + 1
    await falls(world, bad)
    await stands(world, good)
    assert len(world.ledger.revoked) in (entries, entries + 1)


def _rows(count: int) -> list[tuple[int, str, bytes]]:
    return [(number, "block", number.to_bytes(16, "big")) for number in range(1, count + 1)]


_FILL = {
    "sqlite": "with recursive n(x) as (select 1 union all select x + 1 from n where x < {0}) "
    "insert into revocation select x, 'block', randomblob(16), 'block', '', 0 from n where x <= {0}",
    "postgresql": "insert into revocation select x, 'block', decode(md5(x::text), 'hex'), 'block', '', 0 "
    "from generate_series(1, {0}) x",
}


def _memory_sql(world: World, entries: int) -> None:
    """The list of a ledger in memory, as it would be after so many revocations."""
    db: Any = memory_of(world.ledger)._store._db
    db.execute(_FILL["sqlite"].format(entries))
    db.execute(f"update state set epoch = {entries}")


# Before it happens


@everywhere
async def test_what_a_revocation_would_end_is_told_before(store: Store) -> None:
    world = store.world()
    first = world.issue(holder=ANA.public)
    second = first.delegate(to=BO.public, key=ANA, now=world.now)
    other = world.authority.issue("agent:other", MAILS, ttl=timedelta(minutes=1), audience="mail")
    asks = world.issue(approved_by(ANA.public))
    await stands(world, first, second, other, narrowed(world, other))
    with world.refuses("not_approved"):
        await world.call(asks)

    async def reach(**what: Any) -> tuple[int, int, int]:
        found = await world.guard.ledger.revocation_impact(**what)
        return found.capabilities, found.holders, found.requests

    assert await reach(block=first) == (2, 2, 0)
    assert await reach(block=second) == (1, 1, 0)
    assert await reach(key=ANA.public) == (2, 2, 0)
    assert await reach(key=BO.public) == (1, 1, 0)
    assert await reach(subject="agent:desk") == (3, 2, 1)
    assert await reach(subject="agent") == (5, 2, 1)
    assert await reach(subject="agent:des") == (0, 0, 0)
    assert await reach(root=next(iter(world.authority.trust.capability.values()))) == (5, 2, 1)
    assert await reach(before=world.now) == (0, 0, 0)
    assert await reach(before=world.now + 1) == (5, 2, 1)
    world.now += 60
    assert await reach(subject="agent") == (3, 2, 1), "what has expired is not counted"
    await stands(world, first)
    assert (await reach(block=first))[0] == 2, "asking has ended nothing"


@everywhere
async def test_a_request_falls_with_the_capability(store: Store) -> None:
    world = store.world()
    asks = world.issue(approved_by(ANA.public))
    with pytest.raises(Denied) as caught:
        await world.call(asks)
    assert caught.value.request is not None
    (request,) = await world.ledger.requests()
    await world.guard.ledger.revoke(asks)
    await world.ledger.vote(request.id, request.approve(ANA, now=world.now))
    await falls(world, asks)


WRONG: list[dict[str, Any]] = [
    {},
    {"block": "00"},
    {"block": "0" * 63},
    {"block": "A" * 64},
    {"block": "0" * 64 + "\n"},
    {"block": 5},
    {"block": ""},
    {"subject": 5},
    {"key": "ed25519/00"},
    {"root": b"0" * 32},
    {"before": 0},
    {"before": -1},
    {"before": 1.5},
    {"before": True},
    {"before": 1 << 62},
    {"subject": "a", "before": 5},
]


@everywhere
async def test_what_names_nothing_or_two_things_is_an_error(store: Store) -> None:
    world = store.world()
    for told in WRONG:
        for ask in (world.guard.ledger.revoke, world.guard.ledger.revocation_impact):
            with pytest.raises(ValueError, match=r"name one thing|is named|is a|is in"):
                await ask(**told)
    assert await world.guard.ledger.revoke(subject="a") == 1, "nothing was written"


# Too late to know


@contextmanager
def locked(path: str) -> Iterator[None]:
    """What another process does that holds the lock and was stopped."""
    with open(path) as gate:
        fcntl.flock(gate, fcntl.LOCK_EX)
        yield


@pytest.mark.parametrize("on", ["sqlite-asyncio", "sqlite-trio"])
async def test_a_guard_that_cannot_read_the_list_is_stale_and_recovers(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the monotonic clock: the wall's clock may be moved meanwhile."""
    world = store.world()
    held = world.issue()
    world.ledger.revoked._bound = 0.3
    with locked(f"{store.where}.lock"):
        monkeypatch.setattr(time, "time", lambda: 0.0)
        await until(lambda: world.ledger.revoked.age > 0.3)
        with world.refuses("stale"):
            world.guard.check_capability(held)
        with world.refuses("stale"):
            await world.call(held)
    await until(lambda: world.ledger.revoked.age < 0.3)
    world.guard.check_capability(held)
    await stands(world, held)


@pytest.mark.parametrize("on", ["postgresql-asyncio", "postgresql-trio"])
async def test_a_guard_whose_server_answers_nothing_is_stale_and_recovers(
    store: Store, postgres: Postgres
) -> None:
    world = store.world()
    held = world.issue()
    await stands(world, held)
    world.ledger.revoked._bound = 0.3
    postgres.freeze()
    try:
        await until(lambda: world.ledger.revoked.age > 0.3)
        with world.refuses("stale"):
            await world.call(held)
    finally:
        postgres.thaw()
    world.ledger.revoked._bound = 5.0
    await until(lambda: world.ledger.revoked.age < 0.3)
    await stands(world, held)


def test_a_list_is_too_old_when_its_bound_has_passed_and_not_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """To the edge, with what was last read before there was anything to read."""
    clock = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    revoked = RevocationList()
    clock[0] += 5.0
    revoked.check((), NOW)
    clock[0] += 0.001
    with pytest.raises(Denied) as caught:
        revoked.check((), NOW)
    assert caught.value.reason is Reason.STALE
    revoked.apply(0, ())
    revoked.check((), NOW)


def test_a_list_takes_only_what_comes_next() -> None:
    """Doubled and reordered rows are taken once; a gap, or an older list, is none of it."""
    revoked = RevocationList()
    rows = _rows(5)
    revoked.apply(3, [rows[2], rows[0], rows[1]])
    revoked.apply(3, [])
    revoked.apply(4, rows[:4])
    for epoch, wrong in (
        (3, []),
        (6, rows[4:]),
        (5, []),
        (5, [rows[4], rows[4]]),
        (6, [rows[4], (7, "block", b"")]),
    ):
        with pytest.raises(LookupError):
            revoked.apply(epoch, wrong)
    assert revoked.epoch == 4
    with pytest.raises(Denied):
        revoked.check([rows[3][2]], NOW)
    revoked.check([rows[4][2]], NOW)
    revoked.apply(5, rows)
    with pytest.raises(Denied):
        revoked.check([rows[4][2]], NOW)
