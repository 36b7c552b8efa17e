"""The examples are programs: each runs, and ends in its own assertions."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent.parent / "examples" / "agents"
ELSEWHERE = ["mcp_team"]  # stands on servers of others: tests/real runs it
EXAMPLES = sorted(path for path in FOLDER.glob("[!_]*.py") if path.stem not in ELSEWHERE)


@pytest.mark.parametrize("path", EXAMPLES, ids=[path.stem for path in EXAMPLES])
def test_an_example_runs(path: Path) -> None:
    """An example opens with the attack that it stops, runs offline, and asserts what it claims."""
    text = path.read_text()
    assert "assert " in text
    assert text.startswith('"""')
    subprocess.run([sys.executable, str(path)], check=True, timeout=60, capture_output=True, text=True)


def test_there_are_examples() -> None:
    """A wrong folder would make the test above pass without running anything."""
    assert len(EXAMPLES) >= 4
