"""The results as a table, and what of ours would be wrong in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import reduce
from operator import add
from typing import Any, TypeAlias

from .multiagent import AUTHORITIES
from .playing import Tally

__all__ = ["CENTS", "agents", "delegation", "misses", "table"]

CENTS = "financial, in cents"
"""Where the amounts of a side are whole numbers: the same scenario, every bound and amount times 100."""

Kept: TypeAlias = "Mapping[str, Any]"
"""The results of one side, as they are kept."""

_DASH = "-"
_NAMES = {
    "holder": "chains: whose proof",
    "integrity": "chains: forged, expired, stale",
    "chain": "chains: put together otherwise",
}


def table(found: Kept) -> str:
    """All cases, ours beside theirs, in Markdown."""
    return f"{delegation(found)}\n\n{agents(found)}"


def delegation(found: Kept) -> str:
    """The calls of delegated children, and the uses of chains."""
    sides = found["sides"]
    versions = found["machine"]["versions"]
    rows = [["cases", *_heads("attacks refused", versions), *_heads("honest calls done", versions)]]
    rows += [
        [name, *_cells(sides, name, "attacks"), *_cells(sides, name, "honest")] for name in _groups(sides)
    ]
    rows += [_sum("all, as written", sides, CENTS), _sum("all, amounts in cents", sides, "financial")]
    return "\n".join(_markdown(rows))


def agents(found: Kept) -> str:
    """The tasks whose data holds an injection."""
    sides = found["sides"]
    versions = found["machine"]["versions"]
    rows = [["eight tasks of agents", *_heads("attacks won", versions), *_heads("tasks done", versions)]]
    for authority in AUTHORITIES:
        won, done = (_agents(sides, authority, what) for what in ("won", "done"))
        rows.append([f"authority: {authority}", *won, *done])
    return "\n".join(_markdown(rows))


def misses(side: Kept) -> list[str]:
    """Attacks that got through, and honest calls that did not, except for what cannot be said."""
    wrong = []
    for one in _found(side):
        for what in ("attacks", "honest"):
            tally = Tally(**one[what])
            if tally.right + tally.unsaid != tally.of:
                wrong.append(f"{one['name']}: {what} {tally}")
    wrong += [f"{one['task']}: the attack won" for one in side["agents"] if _task(one) and one["won"]]
    return wrong + [f"{one['task']}: is not done" for one in side["agents"] if not one["done"]]


def _task(one: Mapping[str, Any]) -> bool:
    return bool(one["authority"] == "task")


def _found(side: Kept) -> list[Any]:
    return [*side["delegated"], *side["chains"]]


def _groups(sides: Mapping[str, Kept]) -> list[str]:
    return [one["name"] for one in _found(sides["ours"])]


def _heads(what: str, versions: Mapping[str, str]) -> list[str]:
    return [f"{what}: ours", f"tenuo {versions['tenuo'] or ''}".strip()]


def _tally(side: Kept | None, name: str, what: str) -> Tally | None:
    return next((Tally(**one[what]) for one in _found(side) if one["name"] == name), None) if side else None


def _cells(sides: Mapping[str, Kept], name: str, what: str) -> list[str]:
    return [str(_tally(sides.get(side), name, what) or _DASH) for side in ("ours", "theirs")]


def _sum(name: str, sides: Mapping[str, Kept], without: str) -> list[str]:
    """The sum of all groups but one of the two that are the same scenario."""
    groups = [group for group in _groups(sides) if group != without]
    cells = []
    for what in ("attacks", "honest"):
        for side in ("ours", "theirs"):
            tallies = [one for group in groups if (one := _tally(sides.get(side), group, what))]
            cells.append(str(reduce(add, tallies)) if tallies else _DASH)
    return [f"**{name}**", *cells]


def _agents(sides: Mapping[str, Kept], authority: str, what: str) -> Iterator[str]:
    for side in ("ours", "theirs"):
        outcomes = [one for one in sides.get(side, {}).get("agents", ()) if one["authority"] == authority]
        yield f"{sum(one[what] for one in outcomes)} / {len(outcomes)}" if outcomes else _DASH


def _markdown(rows: list[list[str]]) -> Iterator[str]:
    head, *body = rows
    yield f"| {' | '.join(head)} |"
    yield "|---" * len(head) + "|"
    for first, *rest in body:
        yield f"| {' | '.join([_NAMES.get(first, first), *rest])} |"
