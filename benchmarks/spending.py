"""How fast limits are counted by several processes on one store, and who waits for it how long.

Every process has ten callers that spend from one *hot* budget, or each from *many* of its choice. What was
spent is held against what the store counted. How long a process waited for the file is measured in its
writer's thread, beside a process that has SQLite's own busy handler alone, as most programs do.
"""

from __future__ import annotations

import asyncio
import os
import random
import sqlite3
import time
from collections.abc import Iterable
from dataclasses import asdict
from functools import partial
from typing import Any, ClassVar

from hessra_agents import Authority, Denied, Guard, Trust, grant, limit, must
from hessra_agents.ledger.store import opening
from hessra_agents.ledger.store.sqlite import SQLite

from . import workload as work
from .ours import LIFE
from .processes import answer, started, told
from .stores import FULL, POSTGRES, Store, Stores
from .tail import Tail

CALLERS = 10
HOT, MANY, BUSY = "one budget", "200 budgets", "one budget, busy handler alone"
_BUDGETS = {HOT: 1, MANY: 200, BUSY: 1}

Case = tuple[str, int, str]
"""A store, how many processes, and what they spend from."""

CASES: tuple[Case, ...] = (
    (FULL, 1, HOT),
    (FULL, 1, MANY),
    (FULL, 4, HOT),
    (FULL, 4, MANY),
    (FULL, 8, HOT),
    (FULL, 8, MANY),
    (FULL, 8, BUSY),
    (POSTGRES, 4, HOT),
    (POSTGRES, 4, MANY),
)


def measure(stores: Stores, *, seconds: float, cases: Iterable[Case] = CASES) -> list[dict[str, Any]]:
    """Each case on a store of its own."""
    return [_case(stores.fresh(one[0]), one, seconds) for one in cases if one[0] in stores.names()]


def _case(store: Store, case: Case, seconds: float) -> dict[str, Any]:
    name, processes, budgets = case
    authority = Authority.ephemeral()
    to, amount = must.one_of(work.ANA, work.BO), must.between(0, work.MOST)
    payment = grant("pay", to=to, memo=must.starts_with(work.MEMO), amount=amount)
    budget = limit(sum_of="amount", at_most=2**50)
    issue = partial(authority.issue, work.AGENT, payment, budget, ttl=LIFE, audience=work.AUDIENCE)
    tokens = [issue().token for _ in range(_BUDGETS[budgets])]
    first = {"store": asdict(store), "trust": store.keep(authority.trust), "tokens": tokens}
    with started("spending", processes, first | {"busy": budgets == BUSY}) as others:
        for one in others:
            one.tell(seconds)
        found = [one.hear() for one in others]
    spent, refused = (sum(one[what] for one in found) for what in ("spent", "refused"))
    waits = [ms for one in found for ms in one["waits_ms"]]
    each = [one["spent"] for one in found]
    return {
        "store": name,
        "processes": processes,
        "budgets": budgets,
        "callers": CALLERS * processes,
        "spends_per_second": round(spent / seconds),
        "by_a_process": [min(each), max(each)],
        "refused": refused,
        "counted_right": _counted_right(store, spent, refused),
        "caller_ms": Tail.of([ms for one in found for ms in one["seen_ms"]]).rounded(),
        "process_waits_ms": Tail.of(waits).rounded() if len(waits) > 1 else None,
    }


def _counted_right(store: Store, spent: int, refused: int) -> bool | None:
    """Whether what was spent was counted, and at most the refused calls besides; None if this cannot look."""
    if store.name == POSTGRES:
        return None
    db = sqlite3.connect(store.where)
    try:
        ((used,),) = db.execute("select coalesce(sum(amount), 0) from used").fetchall()
    finally:
        db.close()
    amount: int = work.PAYMENT["amount"]
    return spent * amount <= int(used) <= (spent + refused) * amount


# --- in the process


class Timed(SQLite):
    """Tells how long each transaction waited for its turn."""

    waits: ClassVar[list[float]] = []

    def begin(self, locks: Iterable[bytes]) -> None:
        """Start to write."""
        self._connect()
        start = time.perf_counter()
        super().begin(locks)
        self.waits.append((time.perf_counter() - start) * 1000)


class Busy(Timed):
    """Waits as SQLite does by itself, without our queue."""

    def _connect(self) -> sqlite3.Connection:
        db = super()._connect()
        if self._gate >= 0:
            os.close(self._gate)
            self._gate = -1
            db.execute("pragma busy_timeout = 30000")
        return db


async def _spend(store: Store, trust: str, tokens: list[str]) -> None:
    ledger = store.open()
    guard = Guard(Trust.load(trust), audience=work.AUDIENCE, ledger=ledger)
    guard.add(work.pay)
    calls = [guard.toolbox(token).bind(work.pay) for token in tokens]
    seen: list[float] = []
    refused = 0
    answer("ready")
    seconds = told()
    Timed.waits.clear()
    end = time.perf_counter() + seconds

    async def caller(pick: random.Random) -> None:
        nonlocal refused
        while (start := time.perf_counter()) < end:
            try:
                await pick.choice(calls)(**work.PAYMENT)
                seen.append((time.perf_counter() - start) * 1000)
            except Denied:
                refused += 1

    async with asyncio.TaskGroup() as group:
        for number in range(CALLERS):
            group.create_task(caller(random.Random(number)))
    await ledger.aclose()
    few = seen if len(seen) > 1 else [0.0, 0.0]
    answer({"spent": len(seen), "refused": refused, "seen_ms": few, "waits_ms": Timed.waits})


def main() -> None:
    """Be one process that spends."""
    first = told()
    vars(opening)["SQLite"] = Busy if first["busy"] else Timed  # a ledger offers no place for this
    asyncio.run(_spend(Store(**first["store"]), first["trust"], first["tokens"]))


if __name__ == "__main__":
    main()
