"""Check the site that ``make docs`` built: it loads nothing from elsewhere.

    python -m tests.docs.built build/site

A page may *link* to other sites. What a browser loads to show the page (scripts, styles, images, fonts) must
come from the site itself, so that the site works offline and tells nobody who reads it.
"""

from __future__ import annotations

import re
import sys
from html.parser import HTMLParser
from pathlib import Path

_LOADS = {"script": "src", "img": "src", "iframe": "src", "source": "src", "video": "src", "link": "href"}
_ELSEWHERE = re.compile(r"(?:[a-z]+:)?//", re.IGNORECASE)
_IN_STYLE = re.compile(r"(?:url\(|@import\s+)['\"]?((?:https?:)?//[^'\")\s]+)")


class _Page(HTMLParser):
    """Collect what a page loads."""

    def __init__(self) -> None:
        super().__init__()
        self.loads: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note the address that a tag loads."""
        address = dict(attrs).get(_LOADS.get(tag, ""))
        if address:
            self.loads.append(address)


def faults(site: Path) -> list[str]:
    """Return what is wrong with the site, one line each."""
    pages = sorted(site.rglob("*.html"))
    found = [] if pages else [f"{site}: no page"]
    for path in pages:
        page = _Page()
        text = path.read_text("utf-8")
        page.feed(text)
        outside = [address for address in page.loads if _ELSEWHERE.match(address)]
        found += [f"{path}: loads {address}" for address in (*outside, *_IN_STYLE.findall(text))]
        if 'class="mermaid"' in text:
            found.append(f"{path}: has a diagram whose program comes from elsewhere")
    for path in sorted(site.rglob("*.css")):
        found += [f"{path}: loads {address}" for address in _IN_STYLE.findall(path.read_text("utf-8"))]
    return found


if __name__ == "__main__":
    lines = faults(Path(sys.argv[1]))
    print(*lines, sep="\n", end="\n" if lines else "")
    sys.exit(bool(lines))
