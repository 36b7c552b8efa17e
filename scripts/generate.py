"""Write every generated page and picture anew: ``python -m scripts.generate``, or ``make generate``.

With ``--check``, name what is out of date, write nothing, and exit with 1 if there is anything.
"""

from __future__ import annotations

import sys
from pathlib import Path

from .architecture import architecture
from .pictures import draw
from .reference import command_line, python

__all__ = ["ROOT", "pages"]

ROOT = Path(__file__).resolve().parents[1]


def pages() -> dict[Path, str]:
    """Return the text of each generated file, by its path in the repository."""
    written = {
        ROOT / "docs/reference/cli.md": command_line(),
        ROOT / "docs/reference/python.md": python(),
        ROOT / "ARCHITECTURE.md": architecture((ROOT / "ARCHITECTURE.md").read_text()),
    }
    for source in sorted((ROOT / "docs/pictures").glob("*.txt")):
        try:
            written[source.with_suffix(".svg")] = draw(source.read_text())
        except ValueError as error:
            raise ValueError(f"{source.relative_to(ROOT)}: {error}") from None
    return written


def main(*, check: bool) -> int:
    """Write what has changed, and name it; if only to check, name it. Return the exit code."""
    changed = {p: text for p, text in pages().items() if not p.exists() or p.read_text() != text}
    for path, text in changed.items():
        print(f"{'out of date' if check else 'wrote'}: {path.relative_to(ROOT)}")
        if not check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    return int(check and bool(changed))


if __name__ == "__main__":
    sys.exit(main(check="--check" in sys.argv[1:]))
