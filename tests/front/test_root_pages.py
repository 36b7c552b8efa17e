"""Hold that the root pages name what is there: files, targets, modules, the changelog's new names."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

from hessra_agents import Reason
from scripts.reference import PUBLIC

ROOT = Path(__file__).parents[2]
PAGES = ["ARCHITECTURE.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "examples/agents/README.md"]
TARGETS = set(re.findall(r"^([a-z]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))
SOURCE = "\n".join(path.read_text() for path in sorted((ROOT / "hessra_agents").rglob("*.py")))
CHANGELOG = (ROOT / "CHANGELOG.md").read_text()
RENAMED = re.findall(r"^\| (.+?) \| `(.+?)` \| `(.+?)` \|$", CHANGELOG, re.MULTILINE)

each_page = pytest.mark.parametrize("page", PAGES)


def text_of(page: str) -> str:
    """The page without its generated parts."""
    return re.sub(r"<!-- (\w+) -->.*?<!-- end of \1 -->", "", (ROOT / page).read_text(), flags=re.DOTALL)


def is_there(path: str) -> bool:
    """Whether a path exists in the repository, package or tests; an environment is made when needed."""
    tops = ROOT, ROOT / "hessra_agents", ROOT / "tests"
    return path.startswith(".venv") or any((top / path).exists() for top in tops)


@each_page
def test_each_link_leads_somewhere(page: str) -> None:
    """A link within the repository names a file that exists."""
    links = re.findall(r"\]\((?!https://)([^)]+)\)", text_of(page))
    assert [link for link in links if not ((ROOT / page).parent / link.split("#")[0]).exists()] == []


@each_page
def test_each_path_and_target_exists(page: str) -> None:
    """A path in code marks is there, `make NAME` is a target, and `python -m NAME` a module."""
    text = text_of(page)
    code = re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    paths = [one for one in code if re.fullmatch(r"\.?[\w-]+(/[\w.-]+)*(/|\.\w+)", one) and "/" in one]
    assert [path for path in paths if not is_there(path)] == []
    made = [one.removeprefix("make ").split() for one in code if re.fullmatch(r"make( [a-z]+)+", one)]
    made.append(re.findall(r"^make ([a-z]+)\b", text, re.MULTILINE))
    assert {name for names in made for name in names} <= TARGETS
    modules = re.findall(r"python -m ([\w.]+)", text)
    assert [name for name in modules if importlib.util.find_spec(name) is None] == []


def test_the_targets_of_contributing_are_all_that_there_are() -> None:
    """The table of targets leaves none out, but for what the page shows before."""
    named = set(re.findall(r"make ([a-z]+)", text_of("CONTRIBUTING.md")))
    assert TARGETS - named <= {"help", "clean", "dist"}


@each_page
def test_nothing_is_invented(page: str) -> None:
    """The root pages leave out what only an owner can say: an address, a place on a host."""
    text = (ROOT / page).read_text()
    assert re.findall(r"[\w.]+@[\w-]+\.\w+|github\.com/\S+", re.sub(r"`[^`\n]*`", "", text)) == []


def test_the_changelog_has_the_form_it_names() -> None:
    """The newest section comes first, and each section holds only the groups of the form."""
    sections = re.findall(r"^## (.+)$", CHANGELOG, re.MULTILINE)
    assert sections[0] == "[Unreleased]"
    groups = set(re.findall(r"^### (.+)$", CHANGELOG, re.MULTILINE))
    assert groups <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


@pytest.mark.parametrize(("of", "old", "new"), RENAMED, ids=[new for _, _, new in RENAMED])
def test_a_new_name_is_there(of: str, old: str, new: str) -> None:
    """What the changelog says that something is called now, it is called."""
    if of == "reason codes":
        assert new in set(Reason)
        assert old not in set(Reason)
    elif of == "commands":
        commands = (ROOT / "docs/reference/cli.md").read_text()
        assert f"`hessra-agents {new}`" in commands
        assert f"`hessra-agents {old}`" not in commands
    else:
        for word in re.findall(r"\w+", new.removeprefix("guard.ledger.")):
            assert re.search(rf"\b(def|class) {word}\b|\b{word}: ", SOURCE), word


def test_there_are_renames() -> None:
    assert len(RENAMED) > 30


@pytest.mark.parametrize("page", ["ARCHITECTURE.md", "docs/compatibility.md"])
def test_a_page_names_every_public_module(page: str) -> None:
    assert [module for module in PUBLIC if f"`{module}`" not in text_of(page)] == []
