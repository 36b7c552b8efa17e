"""The ledger in memory: what was used once is not used again, and a full memory is closed."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from hessra_agents import Denied, KeyPair, Ledger, Reason
from hessra_agents.decide.permit import Permit
from hessra_agents.ledger import MemoryLedger

from .world import ANA, MAIL, World

pytestmark = pytest.mark.anyio
KEY = KeyPair.generate()


async def test_two_equal_calls_with_two_proofs_both_run(world: World) -> None:
    """Honest repetition is no replay: each proof has a nonce of its own."""
    held = world.issue(holder=KEY.public)
    for _ in range(3):
        assert await world.call(held, proof=world.prove(held, KEY)) == f"sent to {ANA}"


async def test_of_many_equal_proofs_at_once_one_runs(world: World) -> None:
    """A proof that is sent a hundred times side by side makes one call."""
    held = world.issue(holder=KEY.public)
    proof = world.prove(held, KEY)
    verdicts: list[Any] = []

    async def attempt() -> None:
        try:
            verdicts.append(await world.call(held, proof=proof))
        except Denied as denied:
            verdicts.append(denied.reason)

    async with anyio.create_task_group() as group:
        for _ in range(100):
            group.start_soon(attempt)
    assert sorted(map(str, verdicts)) == ["replayed"] * 99 + [f"sent to {ANA}"]
    assert len(world.ran) == 1


async def test_a_full_memory_refuses_and_recovers() -> None:
    """When no more can be remembered no more is let through, until what was remembered expires."""
    world = World(ledger=Ledger.memory(capacity=2))
    held = world.issue(holder=KEY.public)
    for _ in range(2):
        await world.call(held, proof=world.prove(held, KEY))
    with world.refuses("unavailable", "full"):
        await world.call(held, proof=world.prove(held, KEY))
    assert await world.call(world.issue()) == f"sent to {ANA}", "a bearer call needs no memory"
    world.now += 61
    assert await world.call(held, proof=world.prove(held, KEY)) == f"sent to {ANA}"
    assert isinstance(world.ledger, MemoryLedger)
    assert len(world.ledger) == 1


async def test_a_refused_call_uses_nothing_up(world: World) -> None:
    """A call that is refused for another reason leaves its proof unused."""
    held = world.issue(holder=KEY.public)
    proof = world.prove(held, KEY)
    with world.refuses("wrong_call"):
        await world.call(held, arguments={"to": ANA, "body": "other"}, proof=proof)
    assert await world.call(held, proof=proof) == f"sent to {ANA}"


async def test_a_memory_holds_at_least_one() -> None:
    """A ledger that could remember nothing is a mistake."""
    with pytest.raises(ValueError, match="at least one"):
        Ledger.memory(0)


async def test_only_the_verifier_makes_a_permit(world: World) -> None:
    """A permit is not made by accident."""
    from hessra_agents import Call

    with pytest.raises(TypeError):
        Permit(Call.of("send_email", MAIL), "a", (), "mail", 0, 0, None, ())


async def test_the_window_of_a_proof_is_thirty_seconds(world: World) -> None:
    """At its edges a proof is good, one second beyond it is not."""
    held = world.issue(holder=KEY.public)
    for shift in (-30, 0, 30):
        assert await world.call(held, proof=world.prove(held, KEY, now=world.now + shift))
    world.ran.clear()
    for shift, reason in ((-31, Reason.EXPIRED), (31, Reason.NOT_YET_VALID)):
        with world.refuses(reason):
            await world.call(held, proof=world.prove(held, KEY, now=world.now + shift))
