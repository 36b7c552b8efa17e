"""What others call invalid is refused, what they expect passes, and the page says what was found."""

from __future__ import annotations

import dataclasses
import zipfile
from pathlib import Path

import pytest

from .archives import CORPORA
from .judges import JUDGES, Verdict
from .table import PAGE, verdicts, written


@pytest.fixture(scope="module")
def found() -> dict[str, Verdict]:
    return verdicts()


@pytest.mark.parametrize("name", JUDGES)
def test_no_case_contradicts(name: str, found: dict[str, Verdict]) -> None:
    """The law of each corpus, whose cases were all judged."""
    assert found[name].cases > 100
    assert found[name].contradictions == []


def test_the_page_says_what_was_found(found: dict[str, Verdict]) -> None:
    page = PAGE.read_text()
    assert page == written(page, found), "run python -m tests.corpora.table"


@pytest.mark.parametrize("name", sorted(CORPORA.keys() - {"function-calls"}))
def test_each_archive_has_a_licence_and_is_named(name: str) -> None:
    corpus = CORPORA[name]
    with zipfile.ZipFile(corpus.path) as archive:
        assert "LICENSE" in archive.namelist() or corpus.path.with_name(f"{name}.LICENSE.md").exists()
    readme = (Path(__file__).parent / "README.md").read_text()
    assert all(part in readme for part in (corpus.source, corpus.version, corpus.licence, corpus.digest))


def test_another_file_is_not_judged(tmp_path: Path) -> None:
    """A corpus that somebody changed is an error, not another verdict."""
    other = tmp_path / "other.zip"
    with zipfile.ZipFile(other, "w") as archive:
        archive.writestr("cts.json", "{}")
    with pytest.raises(ValueError, match="is not the file that was judged"):
        dataclasses.replace(CORPORA["jsonpath-compliance"], path=other).json("cts.json")
