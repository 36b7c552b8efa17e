"""``python -m benchmarks.escalation [--json FILE]``: all cases on both, a table, and the results kept.

Exits with 1 if an attack got through our
side, or an honest call did not.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import anyio

from .. import kept, machine
from ..written import write
from . import ours, structure
from .cases import SCENARIOS, STRUCTURE, Use
from .multiagent import AUTHORITIES, TASKS, Outcome, replayed
from .playing import Found, Made, in_cents, played, used
from .tables import CENTS, misses, table

SOURCE = "https://github.com/tenuo-ai/tenuo/tree/4d6f26e8607fb4c2596300ed746bd8ac4afca2d9/benchmarks"
DOLLARS = SCENARIOS[1]


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two libraries."""

    name: str
    made: Made
    outcomes: Callable[[], Awaitable[dict[Use, str]]]


OURS = Side("ours", ours.Crew, structure.outcomes)


def sides() -> list[Side]:
    """Ours, and theirs where it is installed."""
    try:
        theirs = importlib.import_module(f"{__package__}.theirs")
    except ImportError:
        say("tenuo is not installed here: ours alone")
        return [OURS]
    return [OURS, Side("theirs", theirs.Crew, theirs.outcomes)]


async def run(side: Side) -> dict[str, Any]:
    """All cases on one side."""
    delegated: list[Found] = []
    for scenario in (*SCENARIOS, in_cents(DOLLARS)):
        delegated.append(await played(scenario, side.made))
        say(f"{side.name}: {scenario.name}")
    assert delegated[-1].name == CENTS
    outcomes = await side.outcomes()
    say(f"{side.name}: {len(outcomes)} uses of chains")
    agents: list[Outcome] = []
    for authority in AUTHORITIES:
        agents += [await replayed(task, authority, side.made) for task in TASKS]
        say(f"{side.name}: {len(TASKS)} tasks under {authority} authority")
    groups = dict.fromkeys(use.group for use in STRUCTURE)
    return {
        "delegated": [asdict(one) for one in delegated],
        "chains": [asdict(used(group, outcomes)) for group in groups],
        "uses": {use.what: outcome for use, outcome in outcomes.items()},
        "agents": [asdict(one) for one in agents],
    }


async def ran() -> dict[str, Any]:
    """Everything, as it is written to the JSON file."""
    from tests.real.cves import WEAKNESSES

    start = machine.now()
    return {
        "machine": machine.describe(),
        "start": start,
        "source": SOURCE,
        "sides": {side.name: await run(side) for side in sides()},
        "weaknesses": {  # not run here
            "cves": sorted({one.cve for one in WEAKNESSES}),
            "attacks": len(WEAKNESSES),
            "run_by": "make real",
        },
        "end": machine.now(),
    }


def say(text: str) -> None:
    """Progress."""
    print(text, file=sys.stderr, flush=True)


def main() -> int:
    """Parse the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.escalation", description=__doc__)
    parser.add_argument("--json", type=Path, help="default: benchmarks/results/escalation-<date>.json")
    options = parser.parse_args()
    found = json.loads(json.dumps(anyio.run(ran)))
    print(table(found))
    say(f"written to {kept.keep(found, kept.ESCALATION, options.json)}")
    if options.json is None:
        write()
    wrong = misses(found["sides"]["ours"])
    print("\n".join(wrong), end="\n" if wrong else "")
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
