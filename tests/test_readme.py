"""The README tells the truth: its programs run, its tests exist, its names are exported."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import hessra_agents
from hessra_agents import Reason, must

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
DOCS = [README, *(path.read_text() for path in sorted((ROOT / "docs").glob("*.md")))]
PROGRAMS = [program for text in DOCS for program in re.findall(r"```python\n(.*?)```", text, re.DOTALL)]


@pytest.mark.parametrize("program", PROGRAMS, ids=range(len(PROGRAMS)))
def test_a_pasted_program_runs(program: str, tmp_path: Path) -> None:
    """A snippet of the README or of a page in docs is a program that runs as it stands."""
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, cwd=tmp_path
    )
    assert run.returncode == 0, run.stderr
    for said in re.findall(r"print\(denied\)\s+# (.*?)(?:\.\.\..*)?$", program, re.MULTILINE):
        assert said in run.stdout


def test_the_commands_run_as_they_stand(tmp_path: Path) -> None:
    """The README's grant file and shell lines, pasted into an empty folder."""
    (grants,) = re.findall(r"```toml\n(.*?)```", README, re.DOTALL)
    (lines,) = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    (tmp_path / "desk.toml").write_text(grants)
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    run = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", lines],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=environment,
        timeout=60,
    )
    assert run.returncode == 0, run.stderr
    assert "permitted" in run.stdout


def test_every_test_that_the_readme_names_is_there() -> None:
    """A promise names the test that shows it, and the test exists."""
    named = re.findall(r"`(?=[a-z_/]*test_|::)([a-z_/]*test_\w+\.py)?(?:::(\w+))?`", README)
    assert len(named) >= 10
    text = ""
    for file, test in named:  # `::name` is of the file before
        text = (ROOT / "tests" / file).read_text() if file else text
        assert not test or f"def {test}(" in text, (file, test)


def test_the_constraint_table_is_whole() -> None:
    """Every constraint is in the table, and nothing else is."""
    public = {name for name in vars(must) if not name.startswith("_")}
    assert set(re.findall(r"`must\.(\w+)\(", README)) == public


def test_every_reason_is_told() -> None:
    """The README lists the stable codes, all of them."""
    assert all(f"`{reason}`" in README for reason in Reason)


def test_the_package_says_the_same() -> None:
    """The package's own first page names what it exports."""
    assert hessra_agents.__doc__
    assert "guard.toolbox(capability)" in hessra_agents.__doc__
