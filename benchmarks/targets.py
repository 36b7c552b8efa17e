"""What the project wants to reach, judged by this run. No test holds these: a machine may be busy."""

from __future__ import annotations

from typing import Any

from . import fresh, ours, peers, routes
from . import workload as work
from .clock import ED25519_VERIFY, Spread, Times
from .latency import Group

PER_BLOCK = 4  # Ed25519 verifies
LATER = 0.1  # of tenuo's guarded call
IMPORT_MS = 40
TOKEN = 3500  # characters, after 4 delegations

BOUND_US, PROVED_US = 150, 350  # added to a call over MCP in memory
RELAY_US = 1500

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
        target("import, ms of the processor added", Spread(**added[ADDED]), IMPORT_MS, note=note),
        target("frameworks imported", len(frameworks), 1, note=", ".join(frameworks)),
        target(f"characters, {last} delegations", sizes["hessra_agents"][-1], TOKEN, note=chain),
    ]


def of_mcp(found: dict[str, Group]) -> list[dict[str, Any]]:
    """Each target of the part on MCP, the worst of the routes that it is about."""
    memory = [found[title] for title in (routes.DIRECT, routes.STREAMS)]
    judged = []
    for name, limit in ((routes.BOUND, BOUND_US), (routes.PROVED, PROVED_US)):
        added = {one.title: one.added(name, routes.BARE) for one in memory}
        judged.append(_worst(f"MCP in memory, {name}: us added", added, limit))
    relays = {name: found[routes.STDIO].added(name, routes.BARE) for name in routes.RELAYS}
    judged.append(_worst("MCP over stdio, the relay: us added", relays, RELAY_US))
    return [*judged, _beside_tenuo(found.get(routes.FASTMCP))]


def _beside_tenuo(group: Group | None) -> dict[str, Any]:
    name = "FastMCP, with a proof: added / tenuo's added"
    if group is None or routes.TENUO not in group.found:
        return target(name, None, 1)
    ratio = group.of_added(routes.PROVED, routes.TENUO, routes.BARE)
    added = [group.added(one, routes.BARE).median for one in (routes.PROVED, routes.TENUO)]
    return target(name, ratio, 1, note="{:.0f} and {:.0f} us".format(*added))


def _worst(name: str, found: dict[str, Spread], limit: float) -> dict[str, Any]:
    worst = max(found, key=lambda each: found[each].median)
    note = "; ".join(f"{one.median:.0f} {each}" for each, one in found.items())
    return target(name, found[worst], limit, note=note)


def _calls(times: Times) -> list[dict[str, Any]]:
    found = []
    for name in (ours.HELD_CALL, ours.BEARER_CALL):
        ratio = times.ratio(name, peers.GUARDED_CALL) if peers.GUARDED_CALL in times else None
        found.append(target(f"{name} / tenuo @guard", ratio, 1))
        if name == ours.HELD_CALL:
            found.append(target("the same, a later issue", ratio, LATER))
    return found


def _verifies(times: Times) -> list[dict[str, Any]]:
    found = []
    for kind in ("attenuated", "delegated"):
        ratios = {n: times.ratio(ours.cold(n, kind), ED25519_VERIFY) for n in work.BLOCKS}
        each = {n: Spread(r.p10 / n, r.median / n, r.p90 / n) for n, r in ratios.items()}
        worst = max(work.BLOCKS, key=lambda n: each[n].median)
        note = ", ".join(f"{each[n].median:.1f} of {n}" for n in work.BLOCKS)
        found.append(target(f"cold, a block / Ed25519 verify: {kind}", each[worst], PER_BLOCK, note=note))
    return found


def target(name: str, measured: Spread | float | None, limit: float, *, note: str = "") -> dict[str, Any]:
    value = measured.median if isinstance(measured, Spread) else measured
    return {
        "name": name,
        "measured": measured.rounded() if isinstance(measured, Spread) else measured,
        "below": limit,
        "reached": None if value is None else value < limit,
        "note": note,
    }
