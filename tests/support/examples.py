"""The list of examples, and the last line that it says each prints."""

from __future__ import annotations

import re
from pathlib import Path

__all__ = ["FOLDER", "LISTED", "last_line_fits"]

FOLDER = Path(__file__).parents[2] / "examples/agents"
_ROWS = [
    [cell.strip().removeprefix("`").removesuffix("`") for cell in line.strip("|").split(" | ")]
    for line in (FOLDER / "README.md").read_text().splitlines()
    if line.startswith("| `")
]
LISTED = [program for program, *_ in _ROWS]
_LAST_LINES = {program: last for program, _, _, last in _ROWS}


def last_line_fits(program: str, output: str) -> bool:
    """Say whether the last line is the one of the list, where an ellipsis stands for anything."""
    parts = (re.escape(part) for part in _LAST_LINES[program].split("…"))
    return re.fullmatch(".+".join(parts), output.rstrip().splitlines()[-1].strip()) is not None
