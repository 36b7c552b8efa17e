"""``python -m benchmarks.written``: write the tables and drawings of docs/evidence from kept results.

What stands between ``<!-- NAME: begin -->`` and ``<!-- NAME: end -->`` is made of the newest results alone; a
test holds it to them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from . import costs
from .efficacy import markdown as efficacy
from .efficacy import plot as frontier
from .escalation import markdown as escalation
from .kept import COST, EFFICACY, ESCALATION, newest
from .speed import plot as blocks

__all__ = ["made", "write"]

TOP = Path(__file__).parents[1]
DOCUMENTS = ("docs/evidence/index.md", "docs/evidence/efficacy.md", "docs/evidence/performance.md")

_Make = Callable[[dict[str, Any]], str]
_SECTIONS: dict[str, tuple[str, _Make]] = {
    "efficacy": (EFFICACY, efficacy.whole),
    "ladder": (EFFICACY, efficacy.short),
    "escalation": (ESCALATION, escalation.text),
    "cost": (COST, costs.text),
}
_DRAWINGS: dict[str, tuple[str, _Make]] = {
    "docs/evidence/efficacy.svg": (EFFICACY, frontier.frontier),
    "docs/evidence/cost.svg": (COST, lambda run: blocks.svg(run["speed"]["growth"]["blocks"])),
}


def made() -> dict[Path, str]:
    """Every document and drawing, as the newest results make it."""
    texts = {TOP / name: _document((TOP / name).read_text("utf-8")) for name in DOCUMENTS}
    return texts | {TOP / name: _of(*how) for name, how in _DRAWINGS.items()}


def write() -> None:
    """Write them."""
    for path, text in made().items():
        path.write_text(text, "utf-8")


def _document(text: str) -> str:
    def section(match: re.Match[str]) -> str:
        name = match[1]
        return f"<!-- {name}: begin -->\n\n{_of(*_SECTIONS[name])}\n\n<!-- {name}: end -->"

    return re.sub(r"<!-- (\w+): begin -->.*?<!-- \1: end -->", section, text, flags=re.DOTALL)


def _of(kind: str, make: _Make) -> str:
    return make(newest(kind))


if __name__ == "__main__":
    write()
