"""``python -m benchmarks.speed --short``: a warm guarded call beside tenuo's, in one run.

Exits with 1 if ours is dearer, and with 2 if there is nothing to compare it with.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Awaitable, Callable
from functools import partial

from .. import workload as work
from ..clock import Spread
from ..ours import Ours
from ..peers import installed
from . import cases
from . import others as peers
from .calling import Case, Found, measure

CALLS, BLOCKS = 1_000, 20


async def short() -> tuple[Found, Found] | None:
    """Ours and theirs; None where theirs is not installed."""
    here, others = Ours(), installed()
    if others.tenuo is None:
        return None
    theirs = next(one for one in peers.cases(others) if one.name == peers.TENUO)
    ours = Case(cases.HELD, warm(here))
    await cases.check([ours, theirs])
    found = await measure([ours, theirs], callers=(1,), blocks=BLOCKS, calls=CALLS // BLOCKS)
    return found[ours.name, 1], found[theirs.name, 1]


def warm(here: Ours) -> Callable[[], Awaitable[object]]:
    """The guarded call in process."""
    bound = cases.guarded(here).toolbox(here.held, key=here.key).bind(work.pay)
    return partial(bound, **work.PAYMENT)


def main() -> int:
    """Parse the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed", description=__doc__)
    parser.add_argument("--short", action="store_true", required=True, help=f"{CALLS:,} calls of each")
    parser.parse_args()
    found = asyncio.run(short())
    if found is None:
        print("tenuo is not installed here: make bench installs it", file=sys.stderr)
        return 2
    ours, theirs = found
    ratio: Spread = ours.ratio(theirs)
    print(f"a warm guarded call: {ours.us().median:.1f} us, p95 {ours.us().p95:.1f}")
    print(f"tenuo's @guard:      {theirs.us().median:.1f} us, p95 {theirs.us().p95:.1f}")
    print(f"ours / tenuo's:      {ratio.median:.3f} (p10 {ratio.p10:.3f}, p90 {ratio.p90:.3f})")
    return 0 if ratio.median <= 1 else 1


if __name__ == "__main__":
    sys.exit(main())
