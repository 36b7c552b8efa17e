"""Hold every name in the prose to what exists: modules, classes, parameters, commands, options, files."""

from __future__ import annotations

import importlib
import inspect
import re
import tomllib
from functools import cache
from typing import Any

import pytest
import typer.main
from typer.core import TyperGroup

import hessra_agents
import hessra_agents.ledger
import hessra_agents.mcp
from hessra_agents import Reason
from hessra_agents.cli.app import app

from .pages import PAGES, ROOT, Page

THINGS: dict[str, Any] = {
    "authority": hessra_agents.Authority,
    "capability": hessra_agents.Capability,
    "denied": hessra_agents.Denied(Reason.EXPIRED),
    "desk": hessra_agents.Toolbox,
    "guard": hessra_agents.Guard,
    "key": hessra_agents.KeyPair,
    "ledger": hessra_agents.Ledger,
    "must": hessra_agents.must,
    "request": hessra_agents.ledger.ApprovalRequest,
    "session": hessra_agents.Session,
    "toolbox": hessra_agents.Toolbox,
    "trust": hessra_agents.Trust,
    "hessra_agents": hessra_agents,
    **{name: getattr(hessra_agents, name) for name in hessra_agents.__all__},
    **{name: getattr(hessra_agents.mcp, name) for name in hessra_agents.mcp.__all__},
}
"""The first parts that a dotted name in the prose may have."""

INSTANCES = {
    (hessra_agents.Guard, "ledger"): hessra_agents.Ledger,
    (hessra_agents.Toolbox, "session"): hessra_agents.Session,
}
"""Attributes whose value, not the property, is meant by what follows."""

ELSEWHERE = {"--ignore-scripts", "--no-deps", "--wheel-dir"}
"""Options of other programs."""

WORDS = {
    "FAQ", "OpenFGA", "human-in-the-loop", "information flow", "prompt injection", "quickstart", "quota",
    "rate limit", "taint", "threat model", "troubleshooting",
}  # fmt: skip
"""The words that people search for."""

pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


@cache
def commands() -> dict[tuple[str, ...], Any]:
    """Return every command and group by the words that call it."""
    found: dict[tuple[str, ...], Any] = {}

    def walk(command: Any, words: tuple[str, ...]) -> None:
        found[words] = command
        if isinstance(command, TyperGroup):
            for name, inner in command.commands.items():
                walk(inner, (*words, name))

    walk(typer.main.get_command(app), ())
    return found


def options(command: Any) -> set[str]:
    """Return the options of one command."""
    return {"--help"} | {name for one in command.params for name in one.opts if name.startswith("-")}


def parameters() -> set[str]:
    """Return the name of every parameter of what is public."""
    found: set[str] = set()
    modules = (hessra_agents, hessra_agents.mcp, hessra_agents.ledger)
    for thing in (getattr(module, name) for module in modules for name in module.__all__):
        functions = (
            [one for kind in thing.__mro__ for one in vars(kind).values()]
            if inspect.isclass(thing)
            else [thing]
        )
        for function in (getattr(one, "__func__", one) for one in functions):
            if inspect.isfunction(function):
                found |= set(inspect.signature(function).parameters)
    return found


def resolve(name: str) -> None:
    """Follow a dotted name from what its first part stands for, and fail where it leads nowhere."""
    first, *rest = name.split(".")
    thing = THINGS[first]
    for part in rest:
        if inspect.ismodule(thing) and not hasattr(thing, part):
            thing = importlib.import_module(f"{thing.__name__}.{part}")
        elif inspect.isclass(thing) and not hasattr(thing, part):  # which each instance has
            assert re.search(rf"\bself\.{part}\b|^    {part}:", inspect.getsource(thing), re.MULTILINE), name
            return
        else:
            thing = INSTANCES.get((thing, part)) or getattr(thing, part)


@pages
def test_every_dotted_name_is_there(page: Page) -> None:
    """`guard.ledger.revoke`, `hessra_agents.mcp.GuardMiddleware`: each leads somewhere."""
    starts = "|".join(THINGS)
    for span in page.spans:
        for name in re.findall(
            rf"(?<![\w./\"'-])((?:{starts})(?:\.[a-zA-Z_]\w*)+)(?![\w/]|\.(?:db|key|token))", span
        ):
            if not re.search(r"\.(?:json|toml|token|key|db|py|pem|sql)$", name):
                resolve(name)


@pages
def test_every_parameter_is_there(page: Page) -> None:
    """`approval_timeout=` is a parameter of something public."""
    known = parameters()
    for span in page.spans:
        if found := re.fullmatch(r"(\w+)=", span):
            assert found[1] in known, span


@pages
def test_every_command_and_option_is_there(page: Page) -> None:
    """`hessra-agents log verify --checkpoint FILE`, in prose or in a block, is a command with that option."""
    blocks = [block.text.replace("\\\n", " ") for block in page.code("sh", "text", "ini")]
    if page.name != "docs/reference/cli.md":  # which is the help itself
        for text in (*blocks, *page.spans):
            for line in re.split(r"[\n|;]", text):
                _check(line)
    every = {name for command in commands().values() for name in options(command)}
    for option in re.findall(r"`(--[a-z][a-z-]*)", page.prose):
        assert option in every | ELSEWHERE, option


def _check(line: str) -> None:
    for found in re.findall(r"hessra-agents((?: [^`]*)?)", line):
        words = found.split(" -- ")[0].split()
        path: tuple[str, ...] = ()
        while words and isinstance(commands()[path], TyperGroup) and re.fullmatch(r"[a-z]+", words[0]):
            path = (*path, words.pop(0))
            assert path in commands(), line
        known = options(commands()[path])
        for word in words:
            if re.fullmatch(r"--[a-z-]+", word):
                assert word in known, line


@pages
def test_every_file_is_there(page: Page) -> None:
    """A path of the repository, and a test in it, exists; a ``::name`` is of the file before."""
    text = ""
    for span in page.spans:
        found = re.fullmatch(
            r"((?:tests|hessra_agents|benchmarks|examples|docs|constraints)/[\w./-]+)?(?:::(\w+))?", span
        )
        if found and span:
            path = ROOT / found[1] if found[1] else None
            assert path is None or path.exists(), span
            text = path.read_text() if path is not None and path.is_file() else text
            assert not found[2] or f"def {found[2]}(" in text, span


@pages
def test_every_link_within_the_repository_leads_somewhere(page: Page) -> None:
    """A relative link has its file. (``make docs`` checks the anchors.)"""
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)\s]*)?\)", page.prose):
        assert "://" in target or (page.path.parent / target).exists(), target


@pages
def test_every_code_of_a_refusal_is_one(page: Page) -> None:
    """`refused: ... [constraint]`, as a refusal ends, names a reason."""
    if page.name != "docs/reference/cli.md":
        for code in re.findall(r"(?<=[\w.] )\[([a-z]+(?:_[a-z]+)*)\](?![\w(\]:])", page.text):
            assert code in set(Reason), code


@pages
def test_every_extra_is_there(page: Page) -> None:
    """`pip install '.[all]'` names extras that the package has."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        known = set(tomllib.load(file)["project"]["optional-dependencies"])
    for extras in re.findall(r"(?:'\.|\.whl|hessra-agents)\[([a-z,]+)\]", page.text):
        assert set(extras.split(",")) <= known, extras
    for extra in re.findall(r"the extra `(\w+)`", page.text):
        assert extra in known, extra


@pages
def test_every_make_target_is_there(page: Page) -> None:
    """`make docs` is a target."""
    targets = set(re.findall(r"^([a-z]+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for target in re.findall(r"`make ([a-z]+)`", page.text):
        assert target in targets, target


def test_what_people_search_for_is_said() -> None:
    """The words of the field occur, where they are true."""
    text = "\n".join(page.text for page in PAGES).lower()
    assert not {word for word in WORDS if word.lower() not in text}


def test_no_page_says_where_it_was_made() -> None:
    """No page names a machine's folders; the only hosts are those of standards, examples and this machine."""
    hosts = {
        "www.biscuitsec.org",
        "hessra.net",
        "modelcontextprotocol.io",
        "www.rfc-editor.org",
        "c2sp.org",
        "semver.org",
    }
    for page in PAGES:
        assert not re.search(r"(?<![\w.])/(?:work|tmp/w|home|root)/", page.text), page.name
        for host in re.findall(r"https?://([^/\s)\"'`]+)", page.prose):
            assert host in hosts | {"github.com"}, (page.name, host)
