"""What the project wants to reach in speed, judged by this run."""

from __future__ import annotations

from typing import Any

from .. import fresh
from ..clock import Spread
from ..targets import target
from . import cases, growth, stepping
from . import others as peers
from .calling import Found

WARM_US, PROVED_VERIFIES, PROVED_US = 25, 1.3, 40
BESIDE_TENUO = 0.1
REFUSAL, PER_BLOCK, SIXTEEN = 2, 3, 4
STEP_US, LARGE_STEP_US = 1_000, 20_000
A_SECOND = 10_000
IMPORT_MS = 25

Called = dict[tuple[str, int], Found]


def targets(
    called: Called,
    grown: dict[str, list[dict[str, Any]]],
    held: list[dict[str, Any]],
    imports: dict[str, Any],
) -> list[dict[str, Any]]:
    """Each with what was measured."""
    return [
        *_warm(called),
        *_refusals(called),
        *_blocks(grown["blocks"]),
        *_steps(held),
        _throughput(called),
        target(
            "import: ms of the processor over pydantic and biscuit",
            Spread(**imports["added_ms"][f"to {fresh.BASE}, processor"]),
            IMPORT_MS,
            note=f"own modules alone {imports['added_ms']['own modules alone']['median']:.1f}",
        ),
    ]


def _warm(called: Called) -> list[dict[str, Any]]:
    verify = called[peers.VERIFY, 1].us().median
    proved, limit = called[cases.PROVED, 1].us().median, PROVED_VERIFIES * verify + PROVED_US
    found = [
        target(f"warm: {name}, p50 us", called[name, 1].us().median, WARM_US)
        for name in (cases.BEARER, cases.HELD)
    ]
    note = f"{PROVED_VERIFIES} x {verify:.0f} + {PROVED_US} us; signing apart"
    found.append(target("with a proof: p50 us", proved, round(limit, 1), note=note))
    for name in (cases.HELD, cases.FULL):
        ratio = called[name, 1].ratio(called[peers.TENUO, 1]) if (peers.TENUO, 1) in called else None
        found.append(target(f"{name} / tenuo @guard", ratio, BESIDE_TENUO if name == cases.HELD else 1))
    return found


def _refusals(called: Called) -> list[dict[str, Any]]:
    return [
        target(f"{name} / permitted", called[name, 1].ratio(called[beside, 1]), REFUSAL)
        for name, beside in ((cases.REFUSED, cases.HELD), (cases.WRONG_TOOL, cases.CALLED))
    ]


def _blocks(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    median = {(one["series"], one["size"]): one["us"]["median"] for one in rows}
    verify = median[peers.VERIFY, 1]
    found = []
    for series, proofs in ((growth.COLD, 0), (growth.HELD_COLD, 1)):
        # the proof of the call is one more signature, which is no block's
        each = {n: (median[series, n] / verify - proofs) / n for n in growth.BLOCKS}
        note = ", ".join(f"{one:.1f} of {n}" for n, one in each.items())
        note += "; the proof's own verify apart" if proofs else ""
        found.append(target(f"{series}, a block / Ed25519 verify", max(each.values()), PER_BLOCK, note=note))
    for series in (growth.WARM, growth.HELD_WARM):
        ratio = median[series, growth.BLOCKS[-1]] / median[series, 1]
        found.append(target(f"{series}: {growth.BLOCKS[-1]} blocks / 1", ratio, SIXTEEN))
    return found


def _steps(held: list[dict[str, Any]]) -> list[dict[str, Any]]:
    limits = {stepping.LARGE_TOKEN: LARGE_STEP_US, stepping.LARGE_CALL: LARGE_STEP_US,
              stepping.MANY_VALUES: LARGE_STEP_US, stepping.BOTH: LARGE_STEP_US}  # fmt: skip
    return [
        target(
            f"longest step, us: {one['name']}",
            one["longest_step_us"]["p99"],
            limits.get(one["name"], STEP_US),
            note=f"p99; worst {one['longest_step_us']['worst']:.0f}",
        )
        for one in held
    ]


def _throughput(called: Called) -> dict[str, Any]:
    row = called[cases.FULL, 100].row()
    each = 1e6 / row["calls_per_second"]
    note = f"{row['calls_per_second']:,} calls a second, each with a durable decision and outcome"
    return target("100 callers, SQLite FULL: us for each call", each, 1e6 / A_SECOND, note=note)
