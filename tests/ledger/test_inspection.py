"""What a program asks its ledger about one capability, on every store."""

from __future__ import annotations

from datetime import timedelta

import pytest

from hessra_agents import grant, limit, must
from tests.support.ledgers import Store, everywhere
from tests.support.ledgers import anyio_backend as anyio_backend
from tests.support.ledgers import store as store


@everywhere
@pytest.mark.anyio
async def test_a_program_asks_its_own_ledger(store: Store) -> None:
    """What is left shrinks with the calls, and a window forgets."""
    world = store.world()
    hour = limit(calls=2, per=timedelta(hours=1), tools="send_email")
    capability = world.issue(grant("send_email", to=must.anything(), body=must.anything()), hour)
    await world.call(capability)
    status = await world.ledger.status(capability)
    (use,) = status.limits
    assert (status.revoked_by, use.used, use.left) == ((), 1, 1)
    assert use.description == "at most 2 calls in any 1h of tool:send_email"
    world.now += 3700
    assert [use.left for use in (await world.ledger.status(capability)).limits] == [2]
    await world.ledger.revoke(subject="agent", reason="over")
    (entry,) = (await world.ledger.status(capability)).revoked_by
    assert (entry.kind, entry.description, entry.reason) == ("subject", "subject agent", "over")
    assert await world.ledger.revocations() == [entry]
    await world.ledger.revoke(before=world.now + 1)
    assert [one.kind for one in (await world.ledger.status(capability)).revoked_by] == ["subject", "before"]
