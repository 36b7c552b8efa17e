"""What a test of guarded tools needs, and that it opens no way around the guard."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from hessra_agents import Authority, Guard, Ledger, approved_by, grant, limit, must
from hessra_agents.errors import Denied
from hessra_agents.keys.keys import KeyPair
from hessra_agents.testing import toolbox_for, unguarded
from tests.support.world import ANA, EVE, World

pytestmark = pytest.mark.anyio

MAILS = grant("send_email", to=ANA, body=must.anything())


async def test_a_guarded_tool_is_unit_tested_in_two_lines(world: World) -> None:
    """The plain function, async or sync; the guarded one still refuses."""
    assert await unguarded(world.guard, world.send_email)(EVE, "hi") == f"sent to {EVE}"
    assert unguarded(world.guard, world.pay)(5) == 5
    with world.refuses("no_capability"):
        await world.send_email(ANA, "hi")


async def test_a_toolbox_needs_no_authority(world: World) -> None:
    desk = toolbox_for(world.guard, MAILS, limit(calls=1))
    assert await desk.bind(world.send_email)(ANA, "hi") == f"sent to {ANA}"
    with world.refuses("constraint"):
        await desk.call("send_email", {"to": EVE, "body": "hi"})
    with world.refuses("spent"):
        await desk.call(world.send_email, {"to": ANA, "body": "hi"})


async def test_the_guard_itself_stays_as_it_was(tmp_path: Path) -> None:
    """It trusts no token made for a test, and nothing is counted or recorded in its ledger."""
    world = World(ledger=Ledger.open(tmp_path / "hessra.db"))
    trust, settings = world.guard.trust, world.guard.settings
    desk = toolbox_for(world.guard, MAILS, ttl=timedelta(minutes=1))
    await desk.call("send_email", {"to": ANA, "body": "hi"})
    assert (world.guard.trust, world.guard.settings, world.guard.ledger) == (trust, settings, world.ledger)
    assert desk.settings.ledger is not world.ledger
    with world.refuses("bad_signature"):
        await world.call(desk.capability)
    real = world.issue()
    with pytest.raises(Denied) as denied:
        await desk.call("now", {})
    assert denied.value.reason == "not_granted"
    await world.call(real)
    world.now += 120
    with world.refuses("expired"):
        await desk.call("send_email", {"to": ANA, "body": "hi"})
    await world.ledger.aclose()


async def test_methods_generators_designations_and_approvals_work_too() -> None:
    guard = Guard(Authority.ephemeral().trust, audience="desk", designations={"tenant": "acme"})

    class Office:
        def __init__(self, name: str) -> None:
            self.name = name

        @guard.tool
        async def write(self, text: str, db: Any = None) -> str:
            return f"{self.name}: {text}"

        @guard.tool(name="lines", inject=["db"])
        async def read(self, db: str) -> Any:
            yield f"{self.name} reads {db}"

    ana, bo = Office("ana"), Office("bo")
    assert await unguarded(guard, ana.write)("hi") == "ana: hi"
    assert await unguarded(guard, Office.write)(bo, "hi") == "bo: hi"
    guard.add(ana.write)
    assert await unguarded(guard, bo.write)("hi") == "bo: hi"
    assert [line async for line in unguarded(guard, bo.read)("x")] == ["bo reads x"]
    desk = toolbox_for(guard, grant("write", text="hi"), grant("lines"), inject={"db": "y"})
    assert await desk.call(ana.write, {"text": "hi"}) == "ana: hi"
    boss = KeyPair.generate()
    asks = toolbox_for(guard, grant("write", text="hi"), approved_by(boss.public))
    with pytest.raises(Denied) as denied:
        await asks.call("write", {"text": "hi"})
    ledger = asks.settings.ledger
    assert ledger is not None
    (request,) = await ledger.requests(denied.value.request)
    await ledger.approve(request, key=boss)
    assert await asks.call("write", {"text": "hi"}) == "ana: hi"


def test_what_is_not_guarded_here_is_told(world: World) -> None:
    other = World()
    for tool in (print, World.issue, lambda: None):
        with pytest.raises(ValueError, match="is not a guarded tool of this guard"):
            unguarded(other.guard, tool)
    guard = Guard(world.authority.trust, audience="mail")
    with pytest.raises(ValueError, match="'send_email' is not a guarded tool"):
        unguarded(guard, world.send_email)
    name: Any = "send_email"
    with pytest.raises(TypeError, match="give the function, not its name 'send_email'"):
        unguarded(world.guard, name)
    with pytest.raises(ValueError, match="grant"):
        toolbox_for(world.guard)
