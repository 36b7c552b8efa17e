"""The examples are programs: each runs, ends in its own assertions, and prints what its list promises."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from ..support.examples import FOLDER, LISTED, last_line_fits

ELSEWHERE = "mcp_team.py"  # stands on servers of others: tests/real runs it
EXAMPLES = sorted(path.name for path in FOLDER.glob("[!_]*.py"))


def test_each_example_is_listed_once() -> None:
    assert sorted(LISTED) == EXAMPLES
    assert len(EXAMPLES) >= 9


@pytest.mark.parametrize("name", [name for name in EXAMPLES if name != ELSEWHERE])
def test_an_example_runs_and_ends_as_the_list_says(name: str) -> None:
    """An example opens with the attack that it stops, runs offline, and asserts what it claims."""
    text = (FOLDER / name).read_text()
    assert "assert " in text
    assert text.startswith('"""')
    run = subprocess.run(
        [sys.executable, FOLDER / name], check=True, timeout=60, capture_output=True, text=True
    )
    assert last_line_fits(name, run.stdout), run.stdout


def test_the_team_says_what_it_needs() -> None:
    """Without the servers that it stands on, the example says so in one line."""
    absent = {**os.environ, "MCP_FILES": "/there/is/no/server", "MCP_GIT": "/there/is/no/server"}
    run = subprocess.run(
        [sys.executable, FOLDER / ELSEWHERE], env=absent, timeout=60, capture_output=True, text=True
    )
    assert run.returncode == 1
    assert run.stderr.count("\n") == 1
    assert "make real" in run.stderr
