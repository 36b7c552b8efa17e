"""``python -m benchmarks [--quick] [--json FILE]``: measure, print the table, write the JSON."""

from __future__ import annotations

import argparse
import asyncio
import json
from pathlib import Path

from . import fresh, machine, ours, peers, report
from .clock import measure
from .targets import judge

RESULTS = Path(__file__).parent / "results"


async def run(*, quick: bool) -> dict[str, object]:
    """Everything, as it is written to the JSON file."""
    start = machine.now()
    here, others = ours.Ours(), peers.installed()
    await ours.check(here)
    if others.tenuo is not None:
        await peers.check(others.tenuo)
    operations = [*others.operations(), *here.operations()]
    rounds, batch_us = (5, 1000) if quick else (150, 2000)
    times = await measure(operations, rounds=rounds, batch_us=batch_us)
    sizes = {"hessra_agents": here.sizes()}
    if others.tenuo is not None:
        sizes["tenuo"] = others.tenuo.sizes()
    imports = fresh.imports(runs=5 if quick else 15, tenuo=others.tenuo is not None)
    memory = fresh.memory(count=500 if quick else 10_000, tenuo=others.tenuo is not None)
    return {
        "quick": quick,
        "machine": machine.describe(),
        "start": start,
        "end": machine.now(),
        "method": {"rounds": rounds, "batch_us": batch_us, "clock_us": times.clock_us},
        "timings": times.rows(),
        "token_characters_by_delegations": sizes,
        "imports": imports,
        "memory": memory,
        "targets": judge(times, sizes, imports),
    }


def main() -> None:
    """Parse the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few seconds; the numbers are rough")
    parser.add_argument("--json", type=Path, help="default: benchmarks/results/<date>.json; none if --quick")
    options = parser.parse_args()
    found = asyncio.run(run(quick=options.quick))
    print(report.text(found))
    target = options.json
    if target is None and not options.quick:
        target = RESULTS / f"{machine.now()['date'][:10]}.json"
    if target is not None:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(json.dumps(found, indent=1) + "\n")
        print(f"\nwritten to {target}")


if __name__ == "__main__":
    main()
