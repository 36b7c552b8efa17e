"""Run every program, grant file and shell line of the README and the documents, as they stand.

A block of ``python`` without a title is a program. A block with a title is a file that the reader saves; the
blocks of ``sh`` of a page then run in order, in one folder that holds those files. A block of ``text``
is shown and not run: it has a placeholder in it, or needs a server that is not here.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from .pages import PAGES, Page

LANGUAGES = {"python", "sh", "toml", "text", "json", "sql", "ini", "yaml", "dockerfile", "datalog"}
PROGRAMS = [
    pytest.param(block.text, id=f"{page.name}-{index}")
    for page in PAGES
    for index, block in enumerate(page.code("python"))
    if not block.title
]
WALKS = [pytest.param(page, id=page.name) for page in PAGES if page.code("sh")]


def _run(command: list[str], folder: Path) -> str:
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    run = subprocess.run(
        command, capture_output=True, text=True, timeout=120, cwd=folder, env=environment, check=False
    )
    assert run.returncode == 0, run.stderr
    return run.stdout


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_pasted_program_runs(program: str, tmp_path: Path) -> None:
    """A program runs in an empty folder, and prints the refusals that its comments show."""
    output = _run([sys.executable, "-c", program], tmp_path)
    for shown in re.findall(r"print\(denied(?:\.reason)?\)[ ]+# (.*?)(?:\.\.\..*)?$", program, re.MULTILINE):
        assert shown.strip() in output


@pytest.mark.parametrize("page", WALKS)
def test_the_commands_of_a_page_run(page: Page, tmp_path: Path) -> None:
    """The shell lines of a page run in order, beside the files that the page shows."""
    for block in page.blocks:
        if block.title:
            (tmp_path / block.title).write_text(block.text)
    lines = "\n".join(block.text for block in page.code("sh"))
    _run(["bash", "-euo", "pipefail", "-c", lines], tmp_path)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_block_says_what_it_is(page: Page) -> None:
    """A block has a language, a block with a title is used by a command of its page, and TOML can be read."""
    lines = "\n".join(block.text for block in page.code("sh", "python"))
    for block in page.blocks:
        assert block.language in LANGUAGES, block.text
        if block.title:
            assert block.title in lines or block.title.removesuffix(".py") in lines, block.title
        if block.language == "toml":
            tomllib.loads(block.text)
