"""The frontier as a picture: contested attacks that are stopped, against tasks in which a person is asked."""

from __future__ import annotations

from typing import Any
from xml.sax.saxutils import escape

__all__ = ["frontier"]

WIDE, HIGH = 860, 400
LEFT, TOP, RIGHT, BELOW = 60, 24, 400, 48

_HEAD = f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDE} {HIGH}" font-family="sans-serif"\
 font-size="12">
<rect width="{WIDE}" height="{HIGH}" fill="white"/>"""


def frontier(found: dict[str, Any]) -> str:
    """An SVG of all rungs, numbered; those that need the ground truth are hollow."""
    rows = [row for row in found["rows"] if row["order"] == "hijack"]
    most = max(row["contested"] for row in rows)
    asked = max(len(row["asked_tasks"]) for row in rows)
    wide, high = WIDE - LEFT - RIGHT, HIGH - TOP - BELOW
    end = max(10, -(-asked // 10) * 10)
    parts = [_HEAD, f'<path d="M{LEFT} {TOP}v{high}h{wide}" fill="none" stroke="black"/>']
    for ask in range(0, end + 1, 10):
        x = LEFT + wide * ask / end
        parts.append(f'<text x="{x:.0f}" y="{HIGH - BELOW + 18}" text-anchor="middle">{ask}</text>')
    for stopped in (0, most // 2, most):
        y = TOP + high * (1 - stopped / most)
        parts.append(f'<text x="{LEFT - 8}" y="{y + 4:.0f}" text-anchor="end">{stopped}</text>')
    tasks = rows[0]["tasks"]
    parts.append(
        f'<text x="{LEFT}" y="{HIGH - 8}">tasks in which a person is asked, of {tasks}</text>'
        f'<text x="{LEFT + 8}" y="{TOP - 8}">contested attacks that are stopped, of {most}</text>'
    )
    places: dict[tuple[float, float], list[int]] = {}
    for number, row in enumerate(rows, 1):
        at = (LEFT + wide * len(row["asked_tasks"]) / end, TOP + high * (1 - row["contested_stopped"] / most))
        places.setdefault(at, []).append(number)
        hollow = row["rung"] == "exact"
        fill = "none" if hollow else "#1f5fa8"
        parts.append(f'<circle cx="{at[0]:.1f}" cy="{at[1]:.1f}" r="5" fill="{fill}" stroke="#1f5fa8"/>')
        words = escape(f"{number}  {row['words']}: {row['won']} won")
        parts.append(f'<text x="{WIDE - RIGHT + 16}" y="{TOP + 20 * number}" font-size="11">{words}</text>')
    for (x, y), numbers in places.items():
        parts.append(f'<text x="{x + 9:.0f}" y="{y + 4:.0f}">{", ".join(map(str, numbers))}</text>')
    return "\n".join([*parts, "</svg>\n"])
