"""Approvals that some calls do not need: those whose arguments are named as harmless, and no others."""

from __future__ import annotations

from typing import Any

import pytest

from hessra_agents import Call, Capability, KeyPair, approved_by, from_result, grant, must
from hessra_agents.ledger.approval_requests import ApprovalRequest
from tests.support import forge
from tests.support.world import MAIL, World

pytestmark = pytest.mark.anyio
ANN, BEN, KEY = (KeyPair.generate() for _ in range(3))
PAY = grant("pay", amount=must.anything(), currency=must.optional())
SMALL = {"amount": must.at_most(99)}
HANDLE = "0123456789abcdef" * 2


async def pay(world: World, held: Capability, **arguments: Any) -> Any:
    return await world.call(held, "pay", arguments)


async def test_a_small_payment_needs_no_approval_and_files_no_request(world: World) -> None:
    held = world.issue(PAY, approved_by(ANN.public, unless=SMALL))
    assert await pay(world, held, amount=99) == 99
    assert await world.ledger.requests() == []
    with world.refuses("not_approved"):
        await pay(world, held, amount=100)
    (request,) = await world.ledger.requests()
    await world.ledger.approve(request, key=ANN)
    assert await pay(world, held, amount=100) == 100


@pytest.mark.parametrize(
    "arguments",
    [{}, {"amount": None}, {"amount": 99.5}, {"amount": 1e300}, {"amount": 2**63}, {"amount": -(2**63) - 1},
     {"amount": "1"}, {"amount": True}, {"amount": [1]}, {"amount": {"amount": 1}}, {"amount": 100},
     {"currency": "EUR"}, {"Amount": 1}],
    ids=str,
)  # fmt: skip
async def test_what_is_not_exactly_that_needs_the_approval(world: World, arguments: dict[str, Any]) -> None:
    """Absent, of another type, null, a fraction, out of 64 bits, or hidden in another value."""
    anything = must.optional()
    every = grant("pay", amount=anything, currency=anything, Amount=anything)
    for held in (
        world.issue(every, approved_by(ANN.public, unless=SMALL)),
        world.issue(every).attenuate(approved_by(ANN.public, unless=SMALL), now=world.now),
    ):
        with world.refuses("not_approved"):
            world.guard.decide(held.token, Call.of("pay", arguments))


async def test_all_arguments_that_are_named_must_be_right(world: World) -> None:
    held = world.issue(
        PAY, approved_by(ANN.public, unless={"amount": must.between(0, 99), "currency": "EUR"})
    )
    await pay(world, held, amount=1, currency="EUR")
    for arguments in ({"amount": 1}, {"amount": 1, "currency": "USD"}, {"amount": 100, "currency": "EUR"}):
        with world.refuses("not_approved"):
            await pay(world, held, **arguments)


async def test_of_several_rules_each_is_spared_by_itself(world: World) -> None:
    """Ann approves from 100 on, Ben from 10 on, both together 2 of 2."""
    ann = approved_by(ANN.public, unless=SMALL)
    ben = approved_by(BEN.public, unless={"amount": must.at_most(9)})
    held = world.issue(PAY, ann, ben)
    await pay(world, held, amount=9)
    with world.refuses("not_approved"):
        await pay(world, held, amount=10)
    (request,) = await world.ledger.requests()
    assert [need.keys for need in request.needs] == [(BEN.public,)]
    assert [key for _, key in request.approvers] == [BEN.public]
    both = world.issue(PAY, approved_by(ANN.public, BEN.public, need=2, unless=SMALL))
    await pay(world, both, amount=1)
    asked = ApprovalRequest.of(both, Call.of("pay", {"amount": 100}), now=world.now)
    assert sum(need.count for need in asked.needs) == 2


async def test_only_the_tools_that_are_named_are_spared_and_bound(world: World) -> None:
    mails = grant("send_email", to=must.anything(), body=must.anything())
    held = world.issue(PAY, mails, approved_by(ANN.public, tools="pay", unless=SMALL))
    await pay(world, held, amount=1)
    await world.call(held, arguments=MAIL)
    with world.refuses("not_approved"):
        await pay(world, held, amount=100)
    every = world.issue(PAY, mails, approved_by(ANN.public, unless=SMALL))
    with world.refuses("not_approved"):
        await world.call(every, arguments=MAIL)


async def test_a_rule_that_spares_calls_widens_nothing(world: World) -> None:
    """It neither names arguments nor grants; an approval of the block before is needed all the same."""
    held = world.issue(grant("pay", amount=must.at_most(50)), approved_by(ANN.public, unless=SMALL))
    with world.refuses("constraint"):
        await pay(world, held, amount=60)
    with world.refuses("unnamed_argument"):
        await pay(world, held, amount=1, currency="EUR")
    strict = world.issue(PAY, approved_by(ANN.public)).attenuate(approved_by(ANN.public, unless=SMALL))
    with world.refuses("not_approved"):
        await pay(world, strict, amount=1)


@pytest.mark.parametrize(
    "unless",
    [{}, {"amount": must.optional(must.at_most(9))}, {"amount": must.anything()}, {"amount": must.optional()},
     {"amount": must.email("ann@acme.com", "acme.com")},
     {"amount": from_result("search", "$.id")}, {"nobody": must.at_most(9)}],
    ids=lambda unless: ", ".join(f"{name}: {one}" for name, one in unless.items()) or "nothing",
)  # fmt: skip
async def test_what_spares_nothing_or_in_several_ways_is_refused_at_once(world: World, unless: Any) -> None:
    with pytest.raises(ValueError, match="unless"):
        world.issue(PAY, approved_by(ANN.public, unless=unless))


@pytest.mark.parametrize(
    "more",
    ['arg_names($n), !$n.contains("amount")', 'arg_names($n), $n.contains("amount")',
     'result_of("amount", "x", "{}")', "time($t), $t < 9", "resource($r)", 'operation("invoke")',
     'designation("anchor", "mail")', "true", 'resource("tool:pay"), arg_int("amount", $v), $v <= 9',
     'arg_int("amount", $v), $v <= 9 or arg_int("amount", $v), $v >= 9', "arg_int($n, $v), $v <= 9",
     'limit("x", "calls", 1)', 'arg_int("amount", $v), $v <= 9 trusting {k}', '!{"a"}.contains("b")',
     'arg_int("amount", $v), $v > 9', 'arg_int("amount", $v), arg_int("currency", $v)'],
)  # fmt: skip
async def test_a_forged_way_around_an_approval_is_not_read(world: World, more: str) -> None:
    """Not what is always so, nor what any call can be made to satisfy, nor two ways."""
    source = f'check if designation("approved", "{HANDLE}") trusting {{k}} or {more}'
    with world.refuses("outside_profile"):
        token = forge.append_source(world.issue(PAY), source, {"k": ANN.public})
        await world.call(token, "pay", {"amount": 1})


@pytest.mark.parametrize("label", ["holder", "tenant"])
async def test_only_an_approval_can_be_spared(world: World, label: str) -> None:
    way = 'arg_int("amount", $v), $v <= 9'
    source = f'check if designation("{label}", "{HANDLE}") trusting {{k}} or {way}'
    with world.refuses("outside_profile"):
        await world.call(
            forge.append_source(world.issue(PAY), source, {"k": ANN.public}), "pay", {"amount": 1}
        )


async def test_the_engine_agrees_and_the_words_say_it() -> None:
    world = World(cross_check=True)
    held = world.issue(PAY, approved_by(ANN.public, BEN.public, need=2, tools="pay", unless=SMALL))
    assert await pay(world, held, amount=1) == 1
    with world.refuses("not_approved"):
        await pay(world, held, amount=100)
    assert "unless amount: an integer of at most 99" in held.describe()
