"""Read the README and the documents as the tests need them: pages, their blocks of code, their prose."""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass
from pathlib import Path

__all__ = ["PAGES", "ROOT", "Block", "Page"]

ROOT = Path(__file__).parents[2]

_FENCE = re.compile(r"^([ ]*)```([a-z]*)([^\n`]*)\n(.*?)^\1```$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A block of code: its language, its title (the file a reader saves it as), and its text."""

    language: str
    title: str
    text: str


@dataclass(frozen=True)
class Page:
    """One Markdown file."""

    path: Path

    @property
    def name(self) -> str:
        """Return the path from the top of the repository."""
        return self.path.relative_to(ROOT).as_posix()

    @property
    def text(self) -> str:
        """Return the whole file."""
        return self.path.read_text("utf-8")

    @property
    def blocks(self) -> list[Block]:
        """Return the fenced blocks of code, in order."""
        return [
            Block(language, _title(attributes), textwrap.dedent(text))
            for _, language, attributes, text in _FENCE.findall(self.text)
        ]

    @property
    def prose(self) -> str:
        """Return the page without its blocks of code."""
        return _FENCE.sub("", self.text)

    def code(self, *languages: str) -> list[Block]:
        """Return the blocks in these languages."""
        return [block for block in self.blocks if block.language in languages]

    @property
    def spans(self) -> list[str]:
        """Return what stands between backticks in the prose."""
        return re.findall(r"(?<!`)`([^`\n]+(?:\n[^`\n]+)?)`(?!`)", self.prose)


def _title(attributes: str) -> str:
    found = re.search(r'title="([^"]+)"', attributes)
    return found[1] if found else ""


PAGES = [Page(ROOT / "README.md"), *map(Page, sorted((ROOT / "docs").rglob("*.md")))]
