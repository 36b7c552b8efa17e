"""``python -m benchmarks.efficacy [--short] [--tables] [--json FILE]``: replay, and keep the results.

``--short`` replays two suites with one order, and fails if an attack gets through that the kept results say
is stopped.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
import warnings
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import kept, machine
from ..written import write
from . import markdown, summing
from .ladder import LADDER
from .suites import SUITES

if TYPE_CHECKING:
    from .replay import Stage

ORDERS = ("hijack", "before", "after")
SHORT = ("banking", "slack")


@cache
def stage(name: str) -> Stage:
    """The suite, once for each process."""
    warnings.simplefilter("ignore")  # of AgentDojo's libraries
    from .replay import Stage

    return Stage(SUITES[name])


def played(name: str, number: int, orders: tuple[str, ...]) -> list[dict[str, Any]]:
    """All episodes of one user's task."""
    from .replay import episode

    return [
        episode(scene, rung, order)
        for scene in stage(name).scenes(number)
        for order in orders
        for rung in LADDER
    ]


def replayed(names: tuple[str, ...], orders: tuple[str, ...], jobs: int) -> list[dict[str, Any]]:
    """All episodes, the longest suites first; what is done so far goes to standard error."""
    todo = [(name, number) for name in reversed(names) for number in SUITES[name].tasks]
    found, started = [], time.monotonic()
    with ProcessPoolExecutor(jobs) as pool:
        for done, one in enumerate(as_completed([pool.submit(played, *task, orders) for task in todo]), 1):
            found += one.result()
            seconds = time.monotonic() - started
            say(f"\r{done} of {len(todo)} tasks, {len(found)} episodes, {seconds:.0f} s", end="")
    say("")
    return sorted(found, key=lambda one: (names.index(one["suite"]), one["user"], one["injection"] or -1))


def say(text: str, end: str = "\n") -> None:
    """Progress."""
    print(text, end=end, file=sys.stderr, flush=True)


def run(names: tuple[str, ...], orders: tuple[str, ...], jobs: int) -> dict[str, Any]:
    """Everything, as it is written to the JSON file."""
    start = machine.now()
    episodes = replayed(names, orders, jobs)
    say("questions about arguments, other tasks and delegation")
    from .literal import derived
    from .questions import asked

    described = machine.describe()
    described["versions"]["agentdojo"] = version("agentdojo")
    return {
        "machine": described,
        "start": start,
        "suites": names,
        "ladder": {rung.name: rung.words for rung in LADDER},
        "reachable": sorted({pair for _, pair in summing.reachable(episodes)}),
        "rows": summing.summed(episodes),
        "questions": asked([stage(name) for name in names]),
        "derived": [one for name in names for one in derived(SUITES[name], stage(name).office.schema)],
        "end": machine.now(),
    }


def worse(found: dict[str, Any], known: dict[str, Any]) -> list[str]:
    """The attacks that get through now, on rungs where the kept results say that they are stopped."""
    before = {(row["rung"], row["order"]): row for row in known["rows"]}
    misses = []
    for row in found["rows"]:
        stood = before.get((row["rung"], row["order"]))
        if row["rung"] == "none" or stood is None:
            continue
        through = {*row["won_pairs"]} - {*stood["won_pairs"], *stood["won_by_refusal"]}
        misses += [f"{row['rung']}, {row['order']}: {pair}" for pair in sorted(through)]
        misses += [f"{row['rung']}, {row['order']}: {one} is not done" for one in row["lost_tasks"]]
    wrong = ("mutant_errors", "cross_task_leaks", "cross_task_false_refusals", "delegation_widenings")
    return misses + [f"{found['questions'][name]} {name}" for name in wrong if found["questions"][name]]


def main() -> int:
    """Parse the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.efficacy", description=__doc__)
    parser.add_argument("--short", action="store_true", help="banking and slack, one order; fails if worse")
    parser.add_argument("--json", type=Path, help="default: benchmarks/results/efficacy-<date>.json")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    options = parser.parse_args()
    if options.short:
        known = kept.newest(kept.EFFICACY)
        misses = worse(run(SHORT, ORDERS[:1], options.jobs), known)
        print("\n".join(misses) or "every attack that was stopped is stopped")
        return 1 if misses else 0
    found = run(tuple(SUITES), ORDERS, options.jobs)
    print(markdown.whole(found))
    say(f"written to {kept.keep(found, kept.EFFICACY, options.json)}")
    if options.json is None:
        write()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
