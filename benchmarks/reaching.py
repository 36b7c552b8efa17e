"""From the commit of a revocation to the first refusal in other processes.

Each of them uses a capability that one after another is revoked, at a random moment: by *calls*, of which
every one asks the store, or by *decisions* that wait for nothing and know what was read last.
"""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import asdict
from typing import Any

from hessra_agents import Call, Denied, Guard, Trust

from . import workload as work
from .ours import Ours
from .processes import answer, started, told
from .stores import FULL, POSTGRES, Store, Stores
from .tail import Tail

CALLS, DECISIONS = "calls", "decisions that wait for nothing"
_PROCESSES = 3
_LONGEST = 0.1  # seconds between two revocations
_PAUSE = 0.001  # seconds between two decisions


async def measure(here: Ours, stores: Stores, *, times: int) -> list[dict[str, Any]]:
    """Both ways, on SQLite and on PostgreSQL."""
    names = [name for name in (FULL, POSTGRES) if name in stores.names()]
    return [await _case(here, stores, name, how, times) for name in names for how in (CALLS, DECISIONS)]


async def _case(here: Ours, stores: Stores, name: str, how: str, times: int) -> dict[str, Any]:
    store, order = stores.fresh(name), random.Random(0)
    guard = Guard(here.authority.trust, audience=work.AUDIENCE, ledger=store.open())
    first = {"store": asdict(store), "trust": store.keep(here.authority.trust), "how": how}
    found: list[float] = []
    with started("reaching", _PROCESSES, first) as others:
        for _ in range(times):
            capability = here.issue()
            for one in others:
                one.tell(capability.token)
            for one in others:
                assert await asyncio.to_thread(one.hear) == "permitted"
            await asyncio.sleep(order.uniform(0, _LONGEST))
            await guard.ledger.revoke(capability)
            committed = time.monotonic_ns()
            for one in others:
                refused = await asyncio.to_thread(one.hear)
                found.append(max(0.0, (refused - committed) / 1e6))
    await guard.ledger.aclose()
    return {"store": store.name, "how": how, "processes": _PROCESSES, "ms": Tail.of(found).rounded()}


# --- in the process


async def _use(first: dict[str, Any]) -> None:
    ledger = Store(**first["store"]).open()
    guard = Guard(Trust.load(first["trust"]), audience=work.AUDIENCE, ledger=ledger)
    call = Call.of("send_email", work.MAIL)

    async def calling(token: str) -> None:
        async with guard.permit(token, call):
            pass

    async def deciding(token: str) -> None:
        guard.decide(token, call)
        await asyncio.sleep(_PAUSE)

    use = calling if first["how"] == CALLS else deciding
    answer("ready")
    while True:
        token = await asyncio.to_thread(told)
        await use(token)
        answer("permitted")
        try:
            while True:
                await use(token)
        except Denied as denied:
            answer(time.monotonic_ns() if denied.reason == "revoked" else str(denied))


def main() -> None:
    """Be one process that uses what is revoked."""
    asyncio.run(_use(told()))


if __name__ == "__main__":
    main()
