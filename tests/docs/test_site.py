"""Every page is in the navigation of the site, and a page that loads something from elsewhere is found."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from .built import faults
from .pages import PAGES, ROOT


def test_every_page_is_in_the_navigation() -> None:
    """A page that is not in ``mkdocs.yml`` would not be found, and one that is only there would not build."""
    nav = (ROOT / "mkdocs.yml").read_text().partition("\nnav:\n")[2]
    listed = re.findall(r"([\w/-]+\.md)$", nav, re.MULTILINE)
    there = [page.name.removeprefix("docs/") for page in PAGES if page.name.startswith("docs/")]
    assert sorted(listed) == sorted(there)


@pytest.mark.parametrize(
    ("file", "text", "wrong"),
    [
        ("index.html", '<script src="assets/a.js"></script><a href="https://c2sp.org/x">a link</a>', False),
        ("index.html", '<script src="https://cdn.example/a.js"></script>', True),
        ("index.html", '<link rel="stylesheet" href="//fonts.example/a.css">', True),
        ("index.html", '<img src="http://img.example/a.png">', True),
        ("index.html", '<style>@import "https://fonts.example/a.css"</style>', True),
        ("index.html", '<pre class="mermaid"><code></code></pre>', True),
        ("assets.css", "body { background: url(https://img.example/a.png) }", True),
    ],
)
def test_what_a_page_loads_from_elsewhere_is_found(tmp_path: Path, file: str, text: str, wrong: bool) -> None:
    """A link is fine; a script, a style, an image or a font from another host is not."""
    (tmp_path / "index.html").write_text("<p>a page</p>")
    (tmp_path / file).write_text(text)
    assert bool(faults(tmp_path)) is wrong


def test_an_empty_site_is_a_fault(tmp_path: Path) -> None:
    """A site without pages was not built."""
    assert faults(tmp_path)
