"""The ways to make one call, ours and the peers'."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from itertools import cycle
from typing import Any

from hessra_agents import Denied, Guard, Ledger
from hessra_agents.guard.settings import MAX_KNOWN

from .. import stores
from .. import workload as work
from ..ours import LIFE, Ours
from ..peers import Peers
from . import others as peers
from .calling import Case, plain

BARE = "the bare function"
BEARER = "Toolbox.bind, bearer, no ledger"
HELD = "Toolbox.bind, key in process, no ledger"
CALLED = "Toolbox.call, key in process, no ledger"
MEMORY = "Toolbox.bind, key in process, memory ledger"
FULL = "Toolbox.bind, key in process, SQLite FULL"
PROVE = "Capability.prove, in the holder's process"
PROVED = "Guard.call with a proof of another process"
COLD = "Guard.call, bearer, 2 blocks, read for the first time"
REFUSED = "refused: an argument outside"
WRONG_TOOL = "refused: a tool that is not granted"


@asynccontextmanager
async def opened(here: Ours, others: Peers, made: stores.Stores) -> AsyncIterator[list[Case]]:
    """All of them, with ledgers that are closed in the end."""
    memory, full = Ledger.memory(1_000_000), made.fresh(stores.FULL).open()
    try:
        found = [*ours(here, memory, full), *peers.cases(others)]
        await check(found)
        yield found
    finally:
        await full.aclose()
        await memory.aclose()


def guarded(here: Ours, ledger: Ledger | None = None) -> Guard:
    """A guard with the one tool, and a second that nobody is granted."""
    guard = Guard(here.authority.trust, audience=work.AUDIENCE, ledger=ledger)
    guard.add(work.pay)
    guard.add(work.free, name="refund")
    return guard


def ours(here: Ours, memory: Ledger, full: Ledger) -> list[Case]:
    """Ours, in the order of the table."""
    alone = guarded(here)
    bearer, held = alone.toolbox(here.bearer), alone.toolbox(here.held, key=here.key)
    bound = {
        MEMORY: guarded(here, memory).toolbox(here.held, key=here.key).bind(work.pay),
        FULL: guarded(here, full).toolbox(here.held, key=here.key).bind(work.pay),
    }
    elsewhere = guarded(here, Ledger.memory(1_000_000))
    # more than a guard keeps, one after the other: it knows none of them any more
    unknown = cycle([here.bearer.attenuate(ttl=LIFE).token for _ in range(2 * MAX_KNOWN)])

    return [
        Case(BARE, partial(work.pay, **work.PAYMENT)),
        Case(BEARER, partial(bearer.bind(work.pay), **work.PAYMENT)),
        Case(HELD, partial(held.bind(work.pay), **work.PAYMENT)),
        Case(CALLED, partial(held.call, "pay", work.PAYMENT)),
        *[Case(name, partial(call, **work.PAYMENT)) for name, call in bound.items()],
        Case(PROVE, plain(here.proof)),
        Case(
            PROVED,
            lambda proof: elsewhere.call(here.held.token, "pay", work.PAYMENT, proof=proof),
            lambda: (here.proof(),),
        ),
        Case(
            COLD,
            lambda token: alone.call(token, "pay", work.PAYMENT),
            lambda: (next(unknown),),
        ),
        Case(REFUSED, refused(partial(held.bind(work.pay), **work.OUTSIDE))),
        Case(WRONG_TOOL, refused(partial(held.call, "refund", work.PAYMENT))),
    ]


def refused(call: Any) -> Any:
    """The call, which must be refused."""

    async def called() -> None:
        try:
            await call()
        except Denied:
            return
        raise AssertionError("the guard permits what it must refuse")

    return called


async def check(found: list[Case]) -> None:
    """A guard that permits everything is fast: what is called ours runs the tool."""
    for one in found:
        if one.name in (BARE, BEARER, HELD, CALLED, MEMORY, FULL, PROVED, COLD, peers.TENUO):
            assert await one.call(*(one.fresh() if one.fresh else ())) == work.ANA, one.name
        else:
            await one.call(*(one.fresh() if one.fresh else ()))
