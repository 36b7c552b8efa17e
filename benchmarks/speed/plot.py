"""A drawing of the cost against the number of blocks, as SVG, both axes logarithmic."""

from __future__ import annotations

from math import log2, log10
from typing import Any
from xml.sax.saxutils import escape

from . import growth
from . import others as peers

_WIDE, _HIGH, _LEFT, _RIGHT, _TOP, _BELOW = 760, 420, 64, 250, 36, 44
_COLOURS = {
    growth.WARM: "#0b6e4f",
    growth.HELD_WARM: "#4caf87",
    growth.COLD: "#1f4e9c",
    growth.HELD_COLD: "#7aa6e8",
    growth.CHAIN: "#c0392b",
}


def svg(rows: list[dict[str, Any]]) -> str:
    """The rows of growth by blocks."""
    lines = {
        series: [(row["size"], row["us"]["median"]) for row in rows if row["series"] == series]
        for series in _COLOURS
    }
    verify = next(row["us"]["median"] for row in rows if row["series"] == peers.VERIFY)
    values = [us for points in lines.values() for _, us in points] + [verify]
    low, high = int(log10(min(values))), int(log10(max(values))) + 1

    def x(blocks: float) -> float:
        return _LEFT + log2(blocks) / log2(growth.BLOCKS[-1]) * (_WIDE - _LEFT - _RIGHT)

    def y(us: float) -> float:
        return _TOP + (high - log10(us)) / (high - low) * (_HIGH - _TOP - _BELOW)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDE} {_HIGH}" font-family="sans-serif" '
        f'font-size="12"><rect width="{_WIDE}" height="{_HIGH}" fill="#fff"/>',
        _text(_LEFT, 20, "Microseconds of one decision, by blocks of the token", size=14),
    ]
    for power in range(low, high + 1):
        parts.append(_line(_LEFT, y(10**power), _WIDE - _RIGHT, y(10**power), "#ddd"))
        parts.append(_text(_LEFT - 8, y(10**power) + 4, f"{10**power:,}", anchor="end"))
    for blocks in growth.BLOCKS:
        parts.append(_text(x(blocks), _HIGH - _BELOW + 18, str(blocks), anchor="middle"))
    parts.append(_line(_LEFT, y(verify), _WIDE - _RIGHT, y(verify), "#888", dashed=True))
    ends = [(y(verify), "one Ed25519 verify", "#888")]
    for series, points in lines.items():
        if points:
            path = " ".join(f"{x(blocks):.1f},{y(us):.1f}" for blocks, us in points)
            colour = _COLOURS[series]
            parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
            ends.append((y(points[-1][1]), series, colour))
    below = 0.0
    for height, words, colour in sorted(ends):
        below = max(height + 4, below + 15)  # words never lie on each other
        parts.append(_text(_WIDE - _RIGHT + 8, below, words, colour=colour))
    return "\n".join([*parts, "</svg>"]) + "\n"


def _line(x: float, y: float, to_x: float, to_y: float, colour: str, *, dashed: bool = False) -> str:
    dash = ' stroke-dasharray="4 4"' if dashed else ""
    return f'<line x1="{x:.1f}" y1="{y:.1f}" x2="{to_x:.1f}" y2="{to_y:.1f}" stroke="{colour}"{dash}/>'


def _text(
    x: float, y: float, words: str, *, anchor: str = "start", size: int = 12, colour: str = "#222"
) -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" fill="{colour}"'
    return f"<text {place}>{escape(words)}</text>"
