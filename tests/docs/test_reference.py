"""Hold the reference pages to the code: every constraint, reason and extra is there, and nothing else is."""

from __future__ import annotations

import re
import tomllib

import hessra_agents
from hessra_agents import Reason, must

from .pages import ROOT, Page


def _page(name: str) -> str:
    return Page(ROOT / "docs" / name).text


def test_the_constraint_table_is_whole() -> None:
    """Every constraint is in the table, and nothing else is."""
    public = {name for name in dir(must) if not name.startswith("_")}
    assert set(re.findall(r"`must\.(\w+)\(", _page("reference/constraints.md"))) == public


def test_the_table_of_reasons_is_whole() -> None:
    """Every stable code is a row of the table, and nothing else is."""
    rows = re.findall(
        r"^\| \[`(\w+)`\]\(\.\./guides/troubleshooting\.md#\1\)", _page("reference/reasons.md"), re.MULTILINE
    )
    assert sorted(rows) == sorted(Reason)


def test_every_reason_has_an_entry_in_troubleshooting() -> None:
    """Each code is a heading of the guide."""
    headings = re.findall(r"^## (.+)$", _page("guides/troubleshooting.md"), re.MULTILINE)
    assert sorted(set(headings) - {"Without a code"}) == sorted(Reason)


def test_the_table_of_extras_is_whole() -> None:
    """Each extra is in the table of the deployment guide."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        extras = set(tomllib.load(file)["project"]["optional-dependencies"])
    table = _page("guides/deployment.md").partition("| extra | brings |")[2].partition("\n\n")[0]
    assert {
        name
        for row in table.split("\n")
        for name in re.findall(r"`([a-z]+)`", row.split("|")[1] if row else "")
    } == extras


def test_the_wheel_is_that_of_this_version() -> None:
    """The name of the wheel in the deployment guide has the package's version."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        version = tomllib.load(file)["project"]["version"]
    assert re.findall(r"hessra_agents-([^-]+)-py3-none-any", _page("guides/deployment.md")) == [version]


def test_every_promise_names_its_test() -> None:
    """Each row of the promises names a test. (That it is there, `test_names` checks.)"""
    rows = re.findall(r"^\| (?!promise \||---)(.+?) \| (.+) \|$", _page("evidence/promises.md"), re.MULTILINE)
    assert len(rows) >= 40
    assert not [promise for promise, tests in rows if "`tests/" not in tests]


def test_the_package_says_the_same() -> None:
    """The package's own first page names what it exports."""
    assert hessra_agents.__doc__
    assert "guard.toolbox(capability)" in hessra_agents.__doc__
