"""A toolbox of several capabilities: one serves each call, nothing is combined, nothing is charged twice."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest

from hessra_agents import (
    Call,
    Capability,
    Denied,
    Grant,
    KeyPair,
    Ledger,
    Session,
    Trust,
    approved_by,
    clear_of,
    from_result,
    grant,
    limit,
    must,
)
from hessra_agents.guard.toolbox import Toolbox
from hessra_agents.tokens.issue import issue
from tests.support.world import ANA, BO, EVE, MAIL, World

pytestmark = pytest.mark.anyio

BOSS = KeyPair.generate()


def pays(world: World, low: int, high: int, *more: Any, **options: Any) -> Capability:
    """A capability to pay amounts in a range."""
    return world.issue(grant("pay", amount=must.between(low, high)), *more, **options)


async def left(world: World, capability: Capability) -> list[int]:
    """What is left of each limit."""
    return [use.left for use in (await world.ledger.status(capability)).limits]


async def test_each_call_is_served_by_one_capability(world: World) -> None:
    """What one of them permits is permitted; what only both together would cover is not."""
    ana = world.issue(grant("send_email", to=ANA, body=must.max_length(2)))
    bo = world.issue(grant("send_email", to=BO, body=must.max_length(9)), grant("now"))
    box = world.guard.toolbox(ana, bo)
    assert box.tools == ("now", "send_email")
    assert [one.ids for one in box.capabilities] == [ana.ids, bo.ids]
    assert await box.call("send_email", {"to": ANA, "body": "12"})
    assert await box.call("send_email", {"to": BO, "body": "123456789"})
    assert await box.call("now", {}) == 0
    with world.refuses("constraint"):
        await box.call("send_email", {"to": ANA, "body": "123"})
    with world.refuses("constraint"):
        await box.call("send_email", {"to": EVE, "body": "1"})


async def test_what_costs_nothing_comes_first(world: World) -> None:
    """A budget is not spent on a call that another capability allows for nothing."""
    counted, free = pays(world, 1, 50, limit(calls=2)), pays(world, 1, 10)
    box = world.guard.toolbox(counted, free)
    for _ in range(4):
        assert await box.call("pay", {"amount": 5}) == 5
    assert await left(world, counted) == [2]
    for _ in range(2):
        assert await box.call("pay", {"amount": 40}) == 40
    with world.refuses("spent", "at most 2 calls"):
        await box.call("pay", {"amount": 40})
    assert await box.call("pay", {"amount": 5}) == 5


async def test_when_one_budget_is_used_up_the_next_is_charged(world: World) -> None:
    """In the order in which they were given; each call once."""
    first, second = pays(world, 1, 50, limit(calls=1)), pays(world, 1, 50, limit(calls=2))
    box = world.guard.toolbox(first, second)
    told = []
    for _ in range(3):
        await box.call("pay", {"amount": 5})
        told.append(await left(world, first) + await left(world, second))
    assert told == [[0, 2], [0, 1], [0, 0]]
    with world.refuses("spent", "used up: at most 1 call, 0 left; used up: at most 2 calls, 0 left"):
        await box.call("pay", {"amount": 5})


async def test_a_budget_is_charged_whole_or_not_at_all(world: World) -> None:
    """Two budgets that each hold a part of a sum do not add up."""
    small = pays(world, 1, 50, limit(sum_of="amount", at_most=30))
    other = pays(world, 1, 50, limit(sum_of="amount", at_most=30))
    box = world.guard.toolbox(small, other)
    with world.refuses("spent"):
        await box.call("pay", {"amount": 40})
    assert await left(world, small) + await left(world, other) == [30, 30]
    await box.call("pay", {"amount": 20})
    await box.call("pay", {"amount": 20})
    assert await left(world, small) + await left(world, other) == [10, 10]


async def test_calls_at_the_same_time_share_the_budgets(world: World) -> None:
    """As many run as both budgets together allow."""
    first, second = pays(world, 1, 50, limit(calls=3)), pays(world, 1, 50, limit(calls=2))
    box, told = world.guard.toolbox(first, second), []

    async def pay() -> None:
        try:
            told.append(await box.call("pay", {"amount": 5}))
        except Denied as denied:
            told.append(str(denied.reason))

    async with anyio.create_task_group() as group:
        for _ in range(8):
            group.start_soon(pay)
    assert sorted(map(str, told)) == ["5"] * 5 + ["spent"] * 3
    assert await left(world, first) + await left(world, second) == [0, 0]


async def test_the_caller_may_say_which_one_serves(world: World) -> None:
    """With ``by``, of this toolbox only."""
    counted, free = pays(world, 1, 50, limit(calls=1)), pays(world, 1, 10)
    box = world.guard.toolbox(counted, free)
    assert await box.call("pay", {"amount": 5}, by=counted) == 5
    assert await left(world, counted) == [0]
    with world.refuses("constraint"):
        await box.call("pay", {"amount": 40}, by=free)
    with pytest.raises(ValueError, match="not a capability of this toolbox"):
        await box.call("pay", {"amount": 5}, by=pays(world, 1, 2))


@pytest.mark.parametrize("first", [0, 1])
async def test_when_one_is_revoked_the_other_goes_on(world: World, first: int) -> None:
    """Each ends by itself; what only the ended one allowed is refused."""
    wide, narrow = pays(world, 1, 50), pays(world, 1, 10)
    box = world.guard.toolbox(*([wide, narrow] if first == 0 else [narrow, wide]))
    assert await box.call("pay", {"amount": 40}) == 40
    await world.ledger.revoke(wide, reason="lost")
    assert await box.call("pay", {"amount": 5}) == 5
    with world.refuses("constraint", "from 1 to 10"):
        await box.call("pay", {"amount": 40})
    await world.ledger.revoke(narrow, reason="lost")
    with world.refuses("revoked"):
        await box.call("pay", {"amount": 5})


async def test_each_expires_by_itself(world: World) -> None:
    short, long = pays(world, 1, 50, ttl=timedelta(seconds=10)), pays(world, 1, 10)
    box = world.guard.toolbox(short, long)
    world.now += 10
    assert await box.call("pay", {"amount": 5}) == 5
    with world.refuses("constraint", "from 1 to 10"):
        await box.call("pay", {"amount": 40})


async def test_a_removed_root_key_ends_its_capabilities_alone(world: World) -> None:
    """The trust is assigned anew while the toolbox lives, and back."""
    root = KeyPair.generate()
    bounds, lifetime = grant("pay", amount=must.between(1, 50)), timedelta(minutes=5)
    theirs = issue("agent:desk", [bounds], key=root, key_id=9, ttl=lifetime, audience="mail", now=world.now)
    ours, before = pays(world, 1, 10), world.authority.trust
    both = Trust({**before.capability, 9: root.public})
    world.guard.trust = both
    for box in (world.guard.toolbox(theirs, ours), world.guard.toolbox(ours, theirs)):
        assert await box.call("pay", {"amount": 40}) == 40
        world.guard.trust = before
        assert await box.call("pay", {"amount": 5}) == 5
        with world.refuses("constraint"):
            await box.call("pay", {"amount": 40})
        with world.refuses("constraint"):
            async with box.permit(Call.of("pay", {"amount": 40})):
                raise AssertionError
        async with box.permit(Call.of("pay", {"amount": 5})) as permit:
            assert permit.ids == ours.ids
        world.guard.trust = both
        assert await box.call("pay", {"amount": 40}) == 40


async def test_an_approval_is_asked_for_only_if_none_permits_without(world: World) -> None:
    """The request is for the capability that lacks nothing else."""
    asks = pays(world, 1, 50, approved_by(BOSS.public))
    box = world.guard.toolbox(asks, pays(world, 1, 10, limit(calls=1)))
    assert await box.call("pay", {"amount": 5}) == 5
    assert await world.ledger.requests() == []
    with world.refuses("not_approved"):
        await box.call("pay", {"amount": 5})  # the budget of the other one is used up
    with world.refuses("not_approved"):
        await box.call("pay", {"amount": 40})
    for request in await world.ledger.requests():
        await world.ledger.approve(request, key=BOSS)
    assert await box.call("pay", {"amount": 40}) == 40
    assert await box.call("pay", {"amount": 5}) == 5
    with world.refuses("not_approved"):
        await box.call("pay", {"amount": 40})


async def test_an_approval_for_any_of_them_counts(world: World) -> None:
    """It was asked for under the second one, which then serves the call."""
    first, second = (pays(world, 1, 50, approved_by(BOSS.public)) for _ in range(2))
    box = world.guard.toolbox(first, second)
    with world.refuses("not_approved"):
        await box.call("pay", {"amount": 5}, by=second)
    (request,) = await world.ledger.requests()
    await world.ledger.approve(request, key=BOSS)
    assert await box.call("pay", {"amount": 5}) == 5
    with world.refuses("not_approved"):
        await box.call("pay", {"amount": 5})


async def test_a_given_approval_is_not_used_up_where_it_is_not_needed(world: World) -> None:
    asks, free = pays(world, 1, 50, approved_by(BOSS.public)), pays(world, 1, 10)
    box = world.guard.toolbox(asks, free)
    call = Call.of("pay", {"amount": 5})
    votes = asks.approve(call, key=BOSS, now=world.now)
    assert await box.call("pay", {"amount": 5}, approvals=votes) == 5
    assert await box.call("pay", {"amount": 5}, approvals=votes, by=asks) == 5
    with world.refuses("spent", "used before"):
        await box.call("pay", {"amount": 5}, approvals=votes, by=asks)


async def test_without_a_ledger_only_what_needs_none_is_served(world: World) -> None:
    world.guard.settings.ledger = None
    box = world.guard.toolbox(pays(world, 1, 50, limit(calls=1)), pays(world, 1, 10))
    assert await box.call("pay", {"amount": 5}) == 5
    with world.refuses("unavailable", "no ledger"):
        await box.call("pay", {"amount": 40})


async def test_a_refusal_tells_the_nearest_way(world: World) -> None:
    """Words are joined only where one and the same argument fails."""
    ann = world.issue(grant("send_email", to=ANA, body=must.max_length(2)))
    bo = world.issue(grant("send_email", to=BO, body=must.max_length(9)))
    box = world.guard.toolbox(ann, bo)
    with world.refuses(
        "constraint", f"argument 'to' is not allowed, granted: exactly '{ANA}' or exactly '{BO}'"
    ):
        await box.call("send_email", {"to": EVE, "body": "1"})
    with pytest.raises(Denied) as caught:
        await box.call("send_email", {"to": ANA, "body": "123"})
    said = str(caught.value)
    assert "mend one of these: (1) argument 'body'" in said
    assert f"(2) argument 'to' is not allowed, granted: exactly '{BO}'" in said
    with world.refuses("constraint", "argument 'body'"):
        await box.call("send_email", {"to": BO, "body": "1" * 10})


async def test_a_refusal_of_many_capabilities_is_short(world: World) -> None:
    """Three ways at most, each once, and what came nearest."""
    boxes = [pays(world, 10 * n, 10 * n + 1) for n in range(1, 9)]
    with pytest.raises(Denied) as caught:
        await world.guard.toolbox(*boxes).call("pay", {"amount": 1})
    assert caught.value.text.count(" or ") == 2
    same = [pays(world, 1, 2) for _ in range(8)]
    with pytest.raises(Denied) as caught:
        await world.guard.toolbox(*same).call("pay", {"amount": 3})
    assert caught.value.text.count("from 1 to 2") + caught.value.text.count("at most 2") == 1


async def test_what_no_capability_names_is_said_of_all(world: World) -> None:
    """Of those that are valid now; who alone names a tool says what is wrong with it."""
    box = world.guard.toolbox(
        world.issue(), world.issue(grant("now")), pays(world, 1, 2, ttl=timedelta(seconds=5))
    )
    with world.refuses("not_granted", "granted: now, pay, send_email"):
        await box.call("read_file", {"path": "/x"})
    without = world.guard.toolbox(
        box.capabilities[1], box.capabilities[2], world.issue().attenuate(grant("now"))
    )
    with world.refuses("not_granted", "granted: now, pay"):
        await without.call("send_email", MAIL)
    world.now += 5
    with world.refuses("not_granted", "granted: now, send_email"):
        await box.call("read_file", {"path": "/x"})
    with world.refuses("expired"):
        await box.call("pay", {"amount": 1})


async def test_each_is_the_agents_own(world: World) -> None:
    """A bearer's, or held by the one key of the toolbox."""
    key, other = KeyPair.generate(), KeyPair.generate()
    bearer, held = pays(world, 1, 10), pays(world, 1, 50, holder=key.public)
    theirs = pays(world, 1, 90, holder=other.public)
    box = world.guard.toolbox(bearer, held, key=key)
    assert await box.call("pay", {"amount": 40}) == 40
    for wrong in (None, other):
        with world.refuses("not_holder"):
            world.guard.toolbox(bearer, held, key=wrong)
    with world.refuses("not_holder"):
        world.guard.toolbox(held, theirs, key=key)
    with world.refuses("wrong_audience"):
        world.guard.toolbox(bearer, pays(world, 1, 2, audience="elsewhere"))


async def test_there_are_one_to_eight(world: World) -> None:
    with pytest.raises(ValueError, match="1 to 8 capabilities, not 0"):
        world.guard.toolbox()
    world.guard.toolbox(*[world.issue()] * 8)
    with pytest.raises(ValueError, match="1 to 8 capabilities, not 9"):
        world.guard.toolbox(*[world.issue()] * 9)
    with pytest.raises(ValueError, match="several"):
        _ = world.guard.toolbox(world.issue(), world.issue()).capability


async def test_the_session_is_the_agents(world: World) -> None:
    """Results and labels belong to the agent; a condition on them binds the capability that states it."""
    session = Session()
    box = world.guard.toolbox(
        world.issue(
            grant("send_email", to=from_result("store", "$"), body=must.anything()), clear_of("PII:*")
        ),
        world.issue(grant("store", value=must.anything()), grant("now")),
        session=session,
    )
    with world.refuses("constraint"):
        await box.call("send_email", MAIL | {"to": "stored"})
    await box.call("store", {"value": ANA})
    assert await box.call("send_email", MAIL | {"to": "stored"})
    session.expose(["PII:email"])
    with world.refuses("exposed"):
        await box.call("send_email", MAIL | {"to": "stored"})
    assert await box.call("now", {}) == 0


async def test_a_condition_of_one_does_not_bind_the_other(world: World) -> None:
    """The agent holds the other one anyway."""
    session = Session(["PII:email"])
    clean, any_ = world.issue(clear_of("PII:*")), world.issue(grant("send_email", to=ANA, body="hi"))
    box = world.guard.toolbox(clean, any_, session=session)
    assert await box.call("send_email", MAIL)
    with world.refuses("constraint"):
        await box.call("send_email", MAIL | {"to": EVE})
    with world.refuses("exposed"):
        await box.call("send_email", MAIL | {"to": BO})


async def test_a_delegation_goes_to_the_capability_that_covers_it(world: World) -> None:
    """Each grant to one; only those that got one are handed on."""
    ana = world.issue(grant("send_email", to=ANA, body=must.max_length(99)))
    team = world.issue(grant("send_email", to=must.email("acme.com"), body=must.max_length(9)))
    money = pays(world, 1, 50, limit(calls=5))
    desk = world.guard.toolbox(ana, team, money)
    mailer = desk.delegate("agent:desk:mailer", grant("send_email", to=ANA, body=must.max_length(50)))
    assert [c.ids[0] for c in mailer.capabilities] == [ana.ids[0]]
    bos = desk.delegate(
        "agent:desk:bos", grant("send_email", to=BO), grant("pay", amount=7), limit(calls=1, tools="pay")
    )
    assert [c.ids[0] for c in bos.capabilities] == [team.ids[0], money.ids[0]]
    assert await bos.call("send_email", {"to": BO, "body": "1"})
    assert await bos.call("send_email", {"to": BO, "body": "1"})
    with world.refuses("constraint"):
        await bos.call("send_email", MAIL)
    assert await bos.call("pay", {"amount": 7}) == 7
    with world.refuses("spent"):
        await bos.call("pay", {"amount": 7})
    assert await left(world, money) == [4]
    assert bos.name == "agent:desk:bos"
    assert {one.name for one in bos.capabilities} == {"agent:desk:bos"}
    again = bos.delegate("agent:desk:bos:x", grant("pay", amount=7), ttl=timedelta(minutes=1))
    assert again.tools == ("pay",)


@pytest.mark.parametrize(
    "wide",
    [
        grant("send_email", to=must.one_of(ANA, BO)),
        grant("send_email", to=must.email("acme.com")),
        grant("send_email", to=must.anything()),
        grant("send_email", to=ANA, body=must.max_length(10)),
        grant("send_email", to=ANA, body=must.optional()),
        grant("send_email", to=ANA, cc=must.optional("x")),
    ],
    ids=str,
)
async def test_what_only_two_together_cover_is_not_handed_on(world: World, wide: Grant) -> None:
    """It is for the delegator to say, not to be guessed."""
    desk = world.guard.toolbox(
        world.issue(grant("send_email", to=ANA, body=must.max_length(9))),
        world.issue(grant("send_email", to=BO, body=must.max_length(9))),
    )
    with pytest.raises(ValueError, match="split it"):
        desk.delegate("agent:desk:x", wide)
    with pytest.raises(ValueError, match="split it"):
        desk.attenuate(wide)


@pytest.mark.parametrize(
    ("held", "asked"),
    [
        (must.between(1, 9), must.between(2, 9)),
        (must.between(1, 9), 3),
        (must.between(1, 9), must.one_of(1, 9)),
        (must.at_most(9), must.between(1, 3) & must.at_most(2)),
        (must.one_of(1, 2, 3), must.one_of(1, 3)),
        (must.optional(must.between(1, 9)), must.optional(must.between(1, 3))),
        (must.optional(must.between(1, 9)), 5),
        (must.anything(), must.anything()),
        (must.anything(), None),
        (must.email("acme.com"), ANA),
        (must.under("/srv"), must.under("/srv/a")),
        (must.under("/srv"), must.under("/srv")),
        (must.under("/srv"), "/srv/a/b"),
        (must.starts_with("ab"), must.starts_with("abc")),
        (must.ends_with("c"), must.ends_with("bc")),
        (must.max_length(5), must.max_length(5) & must.starts_with("a")),
        (must.fields(a=must.at_most(5)), must.fields(a=must.at_most(5))),
        (must.subset_of("x", "y"), must.subset_of("x")),
        ({"a": [1]}, {"a": [1]}),
        (True, True),
        (0.5, 0.5),
    ],
    ids=str,
)
async def test_what_one_capability_covers_is_handed_on(world: World, held: Any, asked: Any) -> None:
    """And the wider of the two never covers the narrower, unless they say the same."""
    nothing = world.issue(grant("store", value="nothing of the kind"))
    box = world.guard.toolbox(nothing, world.issue(grant("store", value=held)))
    assert [c.ids[0] for c in box.attenuate(grant("store", value=asked)).capabilities] == [
        box.capabilities[1].ids[0]
    ]
    if str(grant("store", value=held)) != str(grant("store", value=asked)):
        narrow = world.guard.toolbox(nothing, world.issue(grant("store", value=asked)))
        with pytest.raises(ValueError, match="split it"):
            narrow.attenuate(grant("store", value=held))


async def test_whom_a_sub_agent_may_hand_on_to_is_said_of_each(world: World) -> None:
    """Also where it is given as something that can be read only once."""
    desk = world.guard.toolbox(pays(world, 1, 9), world.issue(grant("now")))
    only = iter([BOSS.public])
    clerk = desk.delegate("agent:desk:clerk", grant("pay", amount=5), grant("now"), only_to=only)
    for one in clerk.capabilities:
        with pytest.raises(ValueError, match="hand"):
            one.delegate(grant("now"), to=KeyPair.generate().public, key=clerk._key)


async def test_issuers_may_call_the_agent_differently(world: World) -> None:
    """A sub-agent's name lies below the name that each issuer gave."""
    lifetime = timedelta(minutes=5)
    other = world.authority.issue("robot:7", grant("now"), ttl=lifetime, audience="mail")
    desk = world.guard.toolbox(world.issue(), other)
    assert desk.name == "agent:desk"
    mailer = desk.delegate("agent:desk:mailer", grant("send_email"), grant("now"))
    assert [one.name for one in mailer.capabilities] == ["agent:desk:mailer", "robot:7:mailer"]
    assert await mailer.call("now", {}) == 0
    with pytest.raises(ValueError, match="agent:desk"):
        desk.delegate("robot:7:mailer", grant("now"), grant("send_email"))


async def test_a_limit_is_counted_once(world: World) -> None:
    """So it is over the tools of one capability."""
    desk = world.guard.toolbox(pays(world, 1, 9), world.issue(grant("now")), pays(world, 20, 29))
    for conditions in (
        (grant("pay", amount=5), grant("now"), limit(calls=1)),
        (grant("pay", amount=5), grant("now"), limit(calls=1, tools=["pay", "now"])),
        (grant("pay", amount=5), grant("pay", amount=25), limit(calls=1, tools="pay")),
        (limit(calls=1),),
        (limit(calls=1, tools="pay"),),
    ):
        with pytest.raises(ValueError, match="each count"):
            desk.attenuate(*conditions)
    with pytest.raises(ValueError, match="not granted"):
        desk.attenuate(grant("now"), limit(calls=1, tools="pay"))
    with pytest.raises(ValueError, match="not granted"):
        desk.attenuate(grant("fetch"))
    once = desk.attenuate(limit(calls=1, tools="now"))
    assert len(once.capabilities) == 3
    assert await once.call("now", {}) == 0
    with world.refuses("spent"):
        await once.call("now", {})
    assert await once.call("pay", {"amount": 25}) == 25


async def test_other_conditions_bind_every_copy_that_has_their_tool(world: World) -> None:
    """Approvals and exposures are stricter by being stated twice, not looser."""
    session = Session(["PII:email"])
    desk = world.guard.toolbox(
        pays(world, 1, 9), pays(world, 20, 29), world.issue(grant("now")), session=session
    )
    strict = desk.attenuate(clear_of("PII:*", tools="pay"), approved_by(BOSS.public))
    for amount in (5, 25):
        with world.refuses("exposed"):
            await strict.call("pay", {"amount": amount})
    with world.refuses("not_approved"):
        await strict.call("now", {})
    short = desk.attenuate(ttl=timedelta(seconds=5))
    world.now += 5
    with world.refuses("expired"):
        await short.call("now", {})
    assert await desk.call("now", {}) == 0
    with pytest.raises(ValueError, match="narrows"):
        desk.attenuate()


async def test_one_exact_call_narrows_the_capability_that_allows_it(world: World) -> None:
    first, second = pays(world, 1, 9), pays(world, 20, 29)
    box = world.guard.toolbox(first, second).narrow("pay", amount=25)
    assert [c.ids[0] for c in box.capabilities] == [second.ids[0]]
    assert await box.call("pay", {"amount": 25}) == 25
    with world.refuses("spent"):
        await box.call("pay", {"amount": 25})
    with pytest.raises(ValueError, match="split it"):
        world.guard.toolbox(first, second).narrow("pay", amount=15)


async def test_the_schemas_are_those_of_all(world: World) -> None:
    """A tool of one is narrowed as its capability says; a tool of several by what holds in each."""
    box = world.guard.toolbox(
        world.issue(
            grant("send_email", to=ANA, body=must.max_length(5), cc=must.optional(must.max_length(3)))
        ),
        world.issue(grant("send_email", to=must.one_of(BO, ANA), body=must.max_length(5))),
        pays(world, 1, 9),
    )
    schemas = {one["name"]: one["input_schema"] for one in box.schemas("anthropic")}
    mail = schemas["send_email"]["properties"]
    assert sorted(mail["to"]["enum"]) == [ANA, BO]
    assert mail["body"]["maxLength"] == 5
    assert schemas["pay"]["properties"]["amount"]["maximum"] == 9
    assert list(schemas["pay"]["properties"]) == ["amount"]
    assert set(mail) == {"to", "body", "cc"}
    assert schemas["send_email"]["required"] == ["to", "body"]


async def test_the_log_says_which_one_served(world: World, tmp_path: Path) -> None:
    """So why did the call cost that budget has an answer; what was tried in vain is no refusal."""
    ledger = Ledger.open(tmp_path / "hessra.db", clock=lambda: world.now)
    world = World(ledger=ledger)
    first, second = pays(world, 1, 9, limit(calls=1)), pays(world, 1, 9, limit(calls=2))
    box = world.guard.toolbox(first, second)
    for _ in range(3):
        await box.call("pay", {"amount": 5})
    with pytest.raises(Denied):
        await box.call("pay", {"amount": 10})
    await ledger.aclose()
    with closing(sqlite3.connect(tmp_path / "hessra.db")) as db:
        bodies = [json.loads(body) for (body,) in db.execute("select body from entry order by idx")]
    decisions = [one for one in bodies if one["kind"] == "decision"]
    assert [(one["verdict"], one["blocks"][0]) for one in decisions] == [
        ("permitted", first.ids[0]),
        ("permitted", second.ids[0]),
        ("permitted", second.ids[0]),
        ("constraint", first.ids[0]),
    ]


async def test_bound_functions_answers_and_decisions_choose_as_well(world: World) -> None:
    box = world.guard.toolbox(pays(world, 1, 9), world.issue(), pays(world, 20, 29))
    assert await box.bind(world.pay)(amount=25) == 25
    assert box.decide(Call.of("pay", {"amount": 25})).ids == box.capabilities[2].ids
    with world.refuses("constraint"):
        box.decide(Call.of("pay", {"amount": 15}))
    calls = [
        {"id": str(n), "type": "function", "function": {"name": "pay", "arguments": f'{{"amount": {n}}}'}}
        for n in (5, 15, 25)
    ]
    told = [one["content"] for one in await box.answer(calls)]
    assert (told[0], told[2]) == ("5", "25")
    assert "not allowed" in told[1]
    async with box.permit(Call.of("pay", {"amount": 25})) as permit:
        assert permit.ids == box.capabilities[2].ids


async def test_a_proof_elsewhere_is_for_one_of_them(world: World) -> None:
    key = KeyPair.generate()
    first, second = pays(world, 1, 9, holder=key.public), pays(world, 20, 29, holder=key.public)
    box: Toolbox = world.guard.toolbox(first, second, key=key)
    proof = box.prove("pay", {"amount": 25}, audience="mail", by=second)
    assert await world.call(second, "pay", {"amount": 25}, proof=proof) == 25
    with pytest.raises(ValueError, match="several"):
        box.prove("pay", {"amount": 25}, audience="mail")
