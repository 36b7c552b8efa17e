"""Sub-agents by their names, on every store: in the log, before approvers, in what was seen, and revoked."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from hessra_agents import KeyPair, Toolbox, approved_by, grant, must
from hessra_agents.ledger.inspection import Inspection, SeenCapabilityTree
from hessra_agents.ledger.log.reader import Logs
from hessra_agents.ledger.log.search import RecordQuery, search
from hessra_agents.ledger.store.connection import run_in_thread
from hessra_agents.tokens.revocation_ids import revocation_id
from tests.support.ledgers import Store, everywhere, once_each
from tests.support.ledgers import anyio_backend as anyio_backend
from tests.support.ledgers import store as store
from tests.support.world import MAIL, World

pytestmark = pytest.mark.anyio
KEY, ANN = KeyPair.generate(), KeyPair.generate()
MAILS = grant("send_email", to=must.anything(), body=must.anything())


def desk(world: World, *conditions: Any, held: bool = True) -> Toolbox:
    """An agent whose issuer named its key, or a bearer."""
    capability = world.issue(MAILS, *conditions, holder=KEY.public if held else None)
    return world.guard.toolbox(capability, key=KEY if held else None)


async def refused(world: World, *boxes: Toolbox) -> None:
    for box in boxes:
        with world.refuses("revoked"):
            await box.call("send_email", MAIL)


@everywhere
async def test_a_name_is_revoked_with_everything_below_it(store: Store) -> None:
    """Who delegates does not shed a name: its block is in every copy. Its parent and its sister go on."""
    world = store.world()
    parent = desk(world)
    mailer, sister = (parent.delegate(f"agent:desk:{name}", MAILS) for name in ("mailer", "mail"))
    below = mailer.delegate("agent:desk:mailer:eu", MAILS)
    unnamed = world.guard.toolbox(below.capability.delegate(to=KEY.public, key=below._key), key=KEY)
    for box in (parent, mailer, sister, below, unnamed):
        await box.call("send_email", MAIL)
    impact = await world.ledger.revocation_impact(subject="agent:desk:mailer")
    assert (impact.capabilities, impact.holders) == (3, 3)
    await world.ledger.revoke(subject="agent:desk:mailer")
    await refused(world, mailer, below, unnamed)
    for box in (parent, sister):
        assert await box.call("send_email", MAIL)
    await world.ledger.revoke(subject="agent:desk")
    await refused(world, parent, sister)


@everywhere
async def test_a_name_that_nobody_goes_by_ends_nothing(
    store: Store,
) -> None:
    world = store.world()
    parent = desk(world)
    for box in (parent, parent.delegate("agent:desk:mailer", MAILS)):
        await box.call("send_email", MAIL)
    impact = await world.ledger.revocation_impact(subject="agent:desk:mailr")
    assert replace(impact, requests=0) == replace(impact, capabilities=0, holders=0)
    assert await world.ledger.names() == ["agent:desk", "agent:desk:mailer"]


@everywhere
async def test_an_approver_sees_who_asks_and_whether_anybody_vouches_for_it(store: Store) -> None:
    world = store.world()
    for held in (True, False):
        mailer = desk(world, approved_by(ANN.public), held=held).delegate("agent:desk:mailer", MAILS)
        with world.refuses("not_approved"):
            await mailer.call("send_email", MAIL)
    first, second = await world.ledger.requests()
    assert {one.subject for one in (first, second)} == {"agent:desk"}
    assert {one.known_as for one in (first, second)} == {"agent:desk:mailer"}
    assert sorted(one.vouched for one in (first, second)) == [False, True]


def test_the_marks_of_a_capability_are_those_of_its_name_and_all_above_it() -> None:
    world = World()
    one = world.issue(holder=KEY.public)
    named = one.delegate(to=ANN.public, key=KEY, known_as="agent:desk:mailer:eu")
    for name in ("agent", "agent:desk", "agent:desk:mailer", "agent:desk:mailer:eu"):
        assert revocation_id("subject", name.encode()) in named.revocation_ids
    assert set(one.revocation_ids) < set(named.revocation_ids)
    without = one.delegate(to=ANN.public, key=KEY)
    assert len(named.revocation_ids) == len(without.revocation_ids) + 2


@once_each
async def test_the_log_says_who_called_and_finds_them_by_name(store: Store) -> None:
    """By the name of a sub-agent and of all above it; what nobody vouches for is marked."""
    world = store.world()
    for held in (True, False):
        parent = desk(world, held=held)
        mailer = parent.delegate("agent:desk:mailer", MAILS)
        for box in (parent, mailer):
            await box.call("send_email", MAIL)
        with world.refuses("not_granted"):
            await mailer.call("pay", {"amount": 1})
    await world.ledger.aclose()
    desks, mailers, others = run_in_thread(lambda: searched(store, "desk", "desk:mailer", "desk:mail"))
    assert (len(desks), len(mailers), others) == (6, 4, [])
    assert {(one["subject"], one["known_as"]) for one in mailers} == {("agent:desk", "agent:desk:mailer")}
    assert [one.get("vouched") for one in mailers] == [None, None, False, False]
    trees = run_in_thread(lambda: seen(store, world.now))
    shown = {(tree.known_as, tree.vouched) for top in trees for tree in (top, *top.below)}
    assert shown == {(None, True), ("agent:desk:mailer", True), ("agent:desk:mailer", False)}


def searched(store: Store, *names: str) -> list[list[dict[str, Any]]]:
    with Logs(store.where, state_dir=store.folder / "log") as logs:
        return [
            [one.record.fields for one in search(logs, RecordQuery(subject=f"agent:{name}"))]
            for name in names
        ]


def seen(store: Store, now: int) -> list[SeenCapabilityTree]:
    with Logs(store.where, state_dir=store.folder / "log") as logs:
        return Inspection(logs, now).seen()
