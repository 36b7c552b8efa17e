"""What one guarded call costs: beside the peers, as things grow, and at its longest moment.

``python -m benchmarks --only speed`` measures; ``python -m benchmarks.speed --short`` compares the warm call
with tenuo's in a few seconds and fails if ours is dearer.
"""

from __future__ import annotations

from typing import Any

from .. import fresh, machine, stores
from ..ledger import say
from ..ours import Ours
from ..peers import Peers
from . import cases, growth, judged, stepping
from .calling import measure as timed

__all__ = ["measure"]


async def measure(here: Ours, others: Peers, *, quick: bool) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """All of it, and the targets."""
    start = machine.now()
    blocks, calls = (4, 100) if quick else (40, 200)
    with stores.made(server=False) as made:
        async with cases.opened(here, others, made) as compared:
            say(f"one call, {len(compared)} ways, by 1 and 10 callers: {blocks * calls} calls of each")
            called = await timed(compared, callers=(1, 10), blocks=blocks, calls=calls)
            crowd = [one for one in compared if one.name in (cases.BARE, cases.FULL, cases.MEMORY)]
            say("the same by 100 callers, with a durable record of each")
            called |= await timed(crowd, callers=(100,), blocks=max(2, blocks // 2), calls=5 * calls)
    grown: dict[str, list[dict[str, Any]]] = {}
    for title, some in growth.groups(here, others, quick=quick).items():
        say(f"growth: {title}")
        found = await timed(
            [one.case for one in some], callers=(1,), blocks=blocks, calls=max(10, calls // 10)
        )
        grown[title] = growth.rows(some, found)
    say("the longest step that holds the event loop")
    held = await stepping.measure(here, calls=50 if quick else 500)
    say("imports, in fresh interpreters")
    imports = fresh.imports(runs=5 if quick else 15, tenuo=others.tenuo is not None)
    result = {
        "method": {"blocks": blocks, "calls": calls},
        "start": start,
        "end": machine.now(),
        "calls": [one.row() for one in called.values()],
        "growth": grown,
        "held": held,
        "imports": imports,
    }
    return {"speed": result}, judged.targets(called, grown, held, imports)
