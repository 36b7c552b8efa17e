"""The figures of the documents are those of the kept results."""

from __future__ import annotations

import pytest

from benchmarks.kept import COST, EFFICACY, ESCALATION, newest
from benchmarks.written import DOCUMENTS, TOP, made


def test_every_table_and_drawing_is_what_the_newest_results_make_it() -> None:
    for path, text in made().items():
        assert path.read_text("utf-8") == text, f"{path}: run python -m benchmarks.written"


def test_every_document_that_is_written_has_a_section() -> None:
    assert [(TOP / name).read_text("utf-8").count(": begin -->") for name in DOCUMENTS] == [1, 2, 1]


@pytest.mark.parametrize("kind", [COST, EFFICACY, ESCALATION])
def test_the_results_are_of_a_whole_run_of_a_commit(kind: str) -> None:
    """Neither of a quick one, nor of a tree that nobody else has."""
    found = newest(kind)
    assert not found.get("quick")
    assert "dirty" not in found["machine"]["commit"]
