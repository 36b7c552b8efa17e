"""The tables of what one call costs."""

from __future__ import annotations

from typing import Any

_WIDE = 60


def text(found: dict[str, Any]) -> str:
    """All of them."""
    busy = " to ".join(str(found[when]["load"][0]) for when in ("start", "end"))
    head = f"one guarded call of three arguments, load {busy}; each call timed alone, all kinds in turn"
    return "\n\n".join([head, _calls(found["calls"]), *_growth(found["growth"]), _held(found["held"])])


def _line(name: str, *values: object) -> str:
    return f"  {name:{_WIDE - 2}}" + "".join(f"{_short(one):>11}" for one in values)


def _short(one: object) -> str:
    return f"{one:.{1 if one < 1000 else 0}f}" if isinstance(one, float) else str(one)


def _calls(rows: list[dict[str, Any]]) -> str:
    lines = []
    for callers in sorted({row["callers"] for row in rows}):
        lines.append(
            f"{f'by {callers} callers at once':{_WIDE}}" + f"{'median us':>11}{'p95':>11}{'calls/s':>11}"
        )
        for row in rows:
            if row["callers"] == callers:
                us = row["us"]
                lines.append(_line(row["name"], us["median"], us["p95"], row["calls_per_second"]))
    return "\n".join(lines)


def _growth(grown: dict[str, list[dict[str, Any]]]) -> list[str]:
    found = []
    for title, rows in grown.items():
        sizes = sorted({row["size"] for row in rows})
        lines = [f"{f'median us, by {title}':{_WIDE}}" + "".join(f"{size:>11,}" for size in sizes)]
        for series in dict.fromkeys(row["series"] for row in rows):
            median = {row["size"]: row["us"]["median"] for row in rows if row["series"] == series}
            lines.append(_line(series, *[median.get(size, "") for size in sizes]))
        found.append("\n".join(lines))
    return found


def _held(rows: list[dict[str, Any]]) -> str:
    lines = [f"{'longest step that holds the event loop, us':{_WIDE}}" + "".join(
        f"{title:>11}" for title in ("median", "p99", "worst"))]  # fmt: skip
    for row in rows:
        us = row["longest_step_us"]
        lines.append(_line(row["name"], us["median"], us["p99"], us["worst"]))
    return "\n".join(lines)
