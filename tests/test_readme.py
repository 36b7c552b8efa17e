"""The README is one page. What it says is held by the tests in ``tests/docs``, as every other page is."""

from __future__ import annotations

from pathlib import Path

README = Path(__file__).parent.parent / "README.md"


def test_the_readme_is_one_page() -> None:
    """It stays under 8,192 bytes; everything else is in docs."""
    assert len(README.read_bytes()) < 8192
