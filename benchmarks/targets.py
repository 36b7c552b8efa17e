"""What the project wants to reach, judged by this run. No test holds these: a machine may be busy."""

from __future__ import annotations

from typing import Any

from . import fresh, ours, peers
from . import workload as work
from .clock import ED25519_VERIFY, Spread, Times

PER_BLOCK = 4  # Ed25519 verifies
LATER = 0.1  # of tenuo's guarded call
IMPORT_MS = 40
TOKEN = 3500  # characters, after 4 delegations

ADDED = f"to {fresh.BASE}, processor"


def judge(times: Times, sizes: dict[str, list[int]], imports: dict[str, Any]) -> list[dict[str, Any]]:
    """Each target with what was measured: reached, not reached, or None where a peer is missing."""
    added, whole = imports["added_ms"], imports["cpu_ms"][fresh.BASE]["median"]
    others = ", ".join(f"{added[name]['median']:.1f} {name}" for name in added if name != ADDED)
    note = f"{added[ADDED]['median'] / whole:.2f} of what {fresh.BASE} take; {others}"
    frameworks = imports["frameworks"]
    last, theirs = work.DELEGATIONS[-1], sizes.get("tenuo")
    chain = f"tenuo's chain: {theirs[-1]}" if theirs else ""
    return [
        *_calls(times),
        *_verifies(times),
        _target("import, ms of the processor added", Spread(**added[ADDED]), IMPORT_MS, note=note),
        _target("frameworks imported", len(frameworks), 1, note=", ".join(frameworks)),
        _target(f"characters, {last} delegations", sizes["hessra_agents"][-1], TOKEN, note=chain),
    ]


def _calls(times: Times) -> list[dict[str, Any]]:
    found = []
    for name in (ours.HELD_CALL, ours.BEARER_CALL):
        ratio = times.ratio(name, peers.GUARDED_CALL) if peers.GUARDED_CALL in times else None
        found.append(_target(f"{name} / tenuo @guard", ratio, 1))
        if name == ours.HELD_CALL:
            found.append(_target("the same, a later issue", ratio, LATER))
    return found


def _verifies(times: Times) -> list[dict[str, Any]]:
    found = []
    for kind in ("attenuated", "delegated"):
        ratios = {n: times.ratio(ours.cold(n, kind), ED25519_VERIFY) for n in work.BLOCKS}
        each = {n: Spread(r.p10 / n, r.median / n, r.p90 / n) for n, r in ratios.items()}
        worst = max(work.BLOCKS, key=lambda n: each[n].median)
        note = ", ".join(f"{each[n].median:.1f} of {n}" for n in work.BLOCKS)
        found.append(_target(f"cold, a block / Ed25519 verify: {kind}", each[worst], PER_BLOCK, note=note))
    return found


def _target(name: str, measured: Spread | float | None, limit: float, *, note: str = "") -> dict[str, Any]:
    value = measured.median if isinstance(measured, Spread) else measured
    return {
        "name": name,
        "measured": measured.rounded() if isinstance(measured, Spread) else measured,
        "below": limit,
        "reached": None if value is None else value < limit,
        "note": note,
    }
