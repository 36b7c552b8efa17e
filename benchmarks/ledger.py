"""What a ledger costs: durable decisions, limits, revocations, proofs. Each is a module of its own here."""

from __future__ import annotations

import sys
from typing import Any

from . import durable, lookup, machine, proving, reaching, spending, stores
from .clock import Times
from .durable import Found
from .ours import Ours
from .peers import Peers
from .stores import FULL
from .targets import target

ADDED_US, WAIT_MS, BLOCK_US, REFUSAL_MS = 1000, 250, 1, 250
_CALLERS = 10
_FLAT = 1.25  # times as long with the longest list, which no processor's cache holds


async def measure(here: Ours, others: Peers, *, quick: bool) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """All of it, and the targets."""
    start = machine.now()
    with stores.made() as made:
        disk = stores.sync_us(made.folder, count=100 if quick else 500)
        say(f"durable decisions: {', '.join(made.names())}; the disk takes {disk.median:.0f} us to sync")
        blocks, calls = (4, 200) if quick else (20, 400)
        calling = await durable.measure(here, made, blocks=blocks, calls=calls)
        say("limits, spent by several processes")
        spent = spending.measure(made, seconds=0.5 if quick else 2.5)
        say("from a revocation to the refusal in other processes")
        reached = await reaching.measure(here, made, times=5 if quick else 50)
        sizes = lookup.SIZES[:-1] if quick else lookup.SIZES
        say(f"lists of {', '.join(f'{size:,}' for size in sizes)} revocations")
        loaded = lookup.loading(others, made, sizes=sizes)
        rounds, batch_us = (4, 500) if quick else (20, 1000)
        times = await lookup.timings(here, others, sizes=sizes, rounds=rounds, batch_us=batch_us)
        long, whole, proofs = (50_000, 5_000, 100) if quick else (1_000_000, 100_000, 2_000)
        say(f"proofs in a log of {long:,} records, and verifying {whole:,}")
        proved = proving.measure(here, made, long=long, whole=whole, proofs=proofs)
    result = {
        "method": {"blocks": blocks, "calls": calls, "rounds": rounds, "versions": stores.versions()},
        "start": start,
        "end": machine.now(),
        "sync_us": disk.rounded(),
        "durable": durable.rows(calling),
        "spending": spent,
        "reaching": reached,
        "lookup": times.rows(),
        "loading": loaded,
        **proved,
    }
    return {"ledger": result}, [_added(calling), _waits(spent), *_lookups(times, sizes), *_refusals(reached)]


def _added(calling: dict[tuple[str, int], Found]) -> dict[str, Any]:
    names = dict.fromkeys(name for name, _ in calling if name != durable.NONE)
    of = {name: durable.added(calling[name, _CALLERS], calling[durable.NONE, _CALLERS]) for name in names}
    note = "; ".join(f"{one.median:.0f} {name}" for name, one in of.items())
    name = f"durable decision, {_CALLERS} callers, {FULL}: us added"
    return target(name, of[FULL].median, ADDED_US, note=note)


def _waits(spent: list[dict[str, Any]]) -> dict[str, Any]:
    worst = {
        one["budgets"]: one["process_waits_ms"]["worst"]
        for one in spent
        if one["processes"] == 8 and one["process_waits_ms"]
    }
    ours = max(ms for budgets, ms in worst.items() if budgets != spending.BUSY)
    note = f"{worst[spending.BUSY]:.0f} with the busy handler alone"
    return target(f"8 processes on {FULL}: worst wait, ms", ours, WAIT_MS, note=note)


def _lookups(times: Times, sizes: tuple[int, ...]) -> list[dict[str, Any]]:
    each = {size: times.us(lookup.a_block(size)).median / lookup.BLOCKS for size in sizes}
    note = ", ".join(f"{us:.3f} of {size:,}" for size, us in each.items())
    longer = times.ratio(lookup.a_call(sizes[-1]), lookup.a_call(0))
    return [
        target("revocation lookup: us a block", max(each.values()), BLOCK_US, note=note),
        target(f"a decision, {sizes[-1]:,} revoked / none", longer, _FLAT),
    ]


def _refusals(reached: list[dict[str, Any]]) -> list[dict[str, Any]]:
    name = "revocation to refusal, {}, p99 ms"
    return [
        target(name.format(one["store"]), one["ms"]["p99"], REFUSAL_MS, note=one["how"]) for one in reached
    ]


def say(text: str) -> None:
    """Tell a person what is going on."""
    print(f"measuring: {text}", file=sys.stderr, flush=True)
