"""Hold that generated files are up to date, and that the texts of pictures are read strictly."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from hessra_agents import Reason
from scripts.architecture import FLOORS
from scripts.pictures import draw
from scripts.reference import PUBLIC
from tests import test_architecture

ROOT = Path(__file__).parents[2]
PICTURES = sorted((ROOT / "docs/pictures").glob("*.txt"))
SMALL = """\
size 200 x 100
title A
box a 10 10 50 40: A | small
box b 100 10 50 40: B
arrow a.right -> b.left: to
"""


def test_what_is_generated_is_up_to_date() -> None:
    """References, pictures and ARCHITECTURE.md are what `make generate` writes, in a process of its own."""
    run = subprocess.run(
        [sys.executable, "-m", "scripts.generate", "--check"],
        cwd=ROOT, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert (run.returncode, run.stdout) == (0, ""), run.stderr + run.stdout


@pytest.mark.parametrize("name", PUBLIC)
def test_each_public_name_is_in_the_reference(name: str) -> None:
    page = (ROOT / "docs/reference/python.md").read_text()
    module = importlib.import_module(name)
    assert {f"{name}.{one}" for one in module.__all__} == set(
        re.findall(rf"^::: ({re.escape(name)}\.\w+)$", page, re.MULTILINE)
    )


def test_the_floors_are_those_that_imports_are_held_to() -> None:
    assert list(test_architecture.FLOORS) == FLOORS


def test_what_is_audited_and_public_is_as_the_page_says() -> None:
    """Each file that ARCHITECTURE.md names is there, and it names each public module."""
    page = (ROOT / "ARCHITECTURE.md").read_text()
    audited = page.partition("## What to read to audit")[2].partition("A test keeps")[0]
    paths = re.findall(r"`([\w/.]+)`", audited)
    assert len(paths) >= 16
    assert [path for path in paths if not (ROOT / "hessra_agents" / path).exists()] == []
    assert all(f"`{name}`" in page.partition("## What is public")[2] for name in PUBLIC)


@pytest.mark.parametrize("source", PICTURES, ids=[path.stem for path in PICTURES])
def test_a_picture_is_whole(source: Path) -> None:
    """A picture is well-formed, says in words what it shows, and asks for nothing from elsewhere."""
    svg = source.with_suffix(".svg").read_text()
    title = ElementTree.fromstring(svg).find("{http://www.w3.org/2000/svg}title")
    assert title is not None
    assert title.text
    assert len(title.text) > 100
    assert "prefers-color-scheme:dark" in svg
    assert re.findall(r"https?://(?!www\.w3\.org/2000/svg)|url\(|@import|href", svg) == []


def test_the_refusals_of_the_path_exist() -> None:
    """Each reason code in the picture is one."""
    labels = re.findall(r"-x [\w.@]+: (.+)", (ROOT / "docs/pictures/call.txt").read_text())
    codes = {code for label in labels for code in label.split(", ")} - {"..."}
    assert len(codes) >= 10
    assert codes <= set(Reason)


def test_a_picture_has_its_boxes_and_arrows() -> None:
    svg = draw(SMALL)
    assert svg.count("<rect") == 3  # and the ground
    assert svg.count("<polygon") == 1
    assert draw(SMALL.replace("->", "<->")).count("<polygon") == 2
    assert 'class="line refused"' in draw(SMALL.replace("->", "-x"))
    assert "A &lt;b&gt;" in draw(SMALL.replace("A | small", "A <b>"))


@pytest.mark.parametrize(
    "change",
    [
        ("size 200 x 100\n", ""),
        ("title A\n", ""),
        ("box b 100", "box a 100"),
        ("box b 100", "box b 180"),
        ("box b 100", "bax b 100"),
        ("b.left", "c.left"),
        ("b.left", "b.lift"),
        ("->", "=>"),
    ],
    ids=lambda change: change[1] or "nothing",
)
def test_a_text_that_is_no_picture_is_refused(change: tuple[str, str]) -> None:
    """A mistake in the text is an error with its line, never half a picture."""
    assert change[0] in SMALL
    with pytest.raises(ValueError, match=r"line \d|a picture has"):
        draw(SMALL.replace(*change))
