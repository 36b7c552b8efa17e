"""Write the table of the corpora in docs/evidence/corpora.md: ``python -m tests.corpora.table``."""

from __future__ import annotations

import re
from pathlib import Path

from .archives import CORPORA
from .judges import JUDGES, Verdict

__all__ = ["PAGE", "verdicts", "written"]

PAGE = Path(__file__).parents[2] / "docs/evidence/corpora.md"
_SECTION = re.compile(r"(?<=<!-- corpora: begin -->\n\n).*?(?=\n\n<!-- corpora: end -->)", re.DOTALL)


def verdicts() -> dict[str, Verdict]:
    """Judge every corpus."""
    return {name: judge() for name, judge in JUDGES.items()}


def written(page: str, found: dict[str, Verdict]) -> str:
    """Return the page with the table of these verdicts."""
    lines = ["| corpus | cases | what must hold | contradictions | found |", "|---|---|---|---|---|"]
    for name, verdict in found.items():
        corpus = CORPORA[name.partition(":")[0]]
        lines.append(
            f"| [{name}]({corpus.source}) | {verdict.cases:,} | {verdict.held} "
            f"| {len(verdict.contradictions)} | {verdict.found} |"
        )
    text, times = _SECTION.subn(lambda _: "\n".join(lines), page)
    if times != 1:
        raise ValueError("the page has no place for the table")
    return text


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text(), verdicts()))
