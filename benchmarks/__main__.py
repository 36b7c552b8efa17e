"""``python -m benchmarks [--quick] [--only PART] [--json FILE]``: measure, print a table, write the JSON."""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path
from typing import Any

from . import fresh, kept, latency, ledger, machine, ours, peers, report, routes, speed, targets, wide
from .clock import ED25519_VERIFY, measure
from .ledger import say
from .written import write


async def run(only: str | None, *, quick: bool) -> dict[str, Any]:
    """All parts, or one, as they are written to the JSON file."""
    found: dict[str, Any] = {"quick": quick, "machine": machine.describe(), "start": machine.now()}
    here, others = ours.Ours(), peers.installed()
    await ours.check(here)
    if others.tenuo is not None:
        await peers.check(others.tenuo)
    judged = []
    for part in (only,) if only else PARTS:
        result, reached = await PARTS[part](here, others, quick=quick)
        found |= result
        judged += reached
    return {**found, "end": machine.now(), "targets": judged}


async def library(here: ours.Ours, others: peers.Peers, *, quick: bool) -> Part:
    """What the library itself costs: its operations, tokens, import and memory."""
    operations = [*others.operations(), *here.operations()]
    rounds, batch_us = (5, 1000) if quick else (150, 2000)
    say(f"{len(operations)} operations, {rounds} rounds")
    times = await measure(operations, rounds=rounds, batch_us=batch_us)
    tenuo = others.tenuo
    sizes = {"hessra_agents": here.sizes()} | ({"tenuo": tenuo.sizes()} if tenuo else {})
    say("imports and memory, in fresh interpreters")
    imports = fresh.imports(runs=5 if quick else 15, tenuo=tenuo is not None)
    result = {
        "method": {"rounds": rounds, "batch_us": batch_us, "clock_us": times.clock_us},
        "timings": times.rows(),
        "token_characters_by_delegations": sizes,
        "imports": imports,
        "memory": fresh.memory(count=500 if quick else 10_000, tenuo=tenuo is not None),
    }
    return result, targets.judge(times, sizes, imports)


async def protocol(here: ours.Ours, others: peers.Peers, *, quick: bool) -> Part:
    """What the guard adds to a call over MCP."""
    blocks, calls = (4, 25) if quick else (30, 50)
    start, found = machine.now(), {}
    yardstick = [one for one in others.operations() if one.name == ED25519_VERIFY]
    times = await measure(yardstick, rounds=blocks, batch_us=2000)
    for title, opened in routes.groups(here, others.tenuo).items():
        async with opened as group:
            say(f"MCP, {title}: {len(group)} routes, {blocks * calls} calls of each")
            if group:
                found[title] = await latency.measure(title, group, blocks=blocks, calls=calls)
    result = {
        "method": {"blocks": blocks, "calls": calls},
        "ed25519_verify_us": times.us(ED25519_VERIFY).rounded(),
        "start": start,
        "end": machine.now(),
        "latency": [row for group in found.values() for row in group.rows()],
    }
    return {"mcp": result}, targets.of_mcp(found)


Part = tuple[dict[str, Any], list[dict[str, Any]]]
"""What one part found, and the targets judged by it."""

PARTS = {
    "library": library,
    "mcp": protocol,
    "ledger": ledger.measure,
    "speed": speed.measure,
    "wide": wide.measure,
}


def main() -> None:
    """Parse the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few seconds; the numbers are rough")
    parser.add_argument("--only", choices=PARTS, help="one part alone")
    where = "default: benchmarks/results/<date>.json; none if --quick or --only"
    parser.add_argument("--json", type=Path, help=where)
    options = parser.parse_args()
    found = asyncio.run(run(options.only, quick=options.quick))
    print(report.text(found))
    whole = not (options.quick or options.only)
    if whole or options.json:
        print(f"\nwritten to {kept.keep(found, kept.COST, options.json)}")
    if whole and not options.json:
        write()


if __name__ == "__main__":
    main()
