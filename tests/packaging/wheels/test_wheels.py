"""The wheel as others install it: alone, with each extra, beside agent frameworks, at the ends of its ranges.

    $ make wheels

It needs a package index, and takes from it what is newest today.
"""

from __future__ import annotations

import re
import shutil
import tomllib
import zipfile
from pathlib import Path

import pytest

from .conftest import ROOT, Install, output, resolved

pytestmark = pytest.mark.timeout(900)  # downloads are the network's matter

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]
NEEDS = {re.split("[>=<]", requirement)[0]: requirement for requirement in PROJECT["dependencies"]}

GUARDED_CALL = Path(__file__).parent / "guarded_call.py"
MCP_EXAMPLE = ROOT / "examples" / "agents" / "mcp_server.py"

CORE = [
    "attacks",
    "call",
    "grants",
    "guard",
    "keys",
    "ledger/test_limits.py",
    "ledger/test_records.py",
    "tokens",
    "tools",
    "verify",
]
"""The tests that need neither MCP nor the command line."""

TOOLS = [
    "anthropic",
    "coverage",
    "hypothesis",
    "jsonpath-rfc9535",
    "jsonschema",
    "openai",
    "opentelemetry-sdk",
    "pytest",
    "pytest-asyncio",
    "pytest-timeout",
    "trio",
]
"""What these tests run on."""


def test_the_wheel_holds_the_package_and_what_it_reads(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        metadata = archive.read(next(name for name in names if name.endswith("/METADATA"))).decode()
    held = {name for name in names if not re.match(r"hessra_agents-[0-9.]+\.dist-info/", name)}
    tracked = output("git", "ls-files", "hessra_agents", cwd=ROOT).split()
    assert held == set(tracked)
    needed = set(re.findall(r"^Requires-Dist: ([a-z0-9-]+)[^;\n]*$", metadata, re.MULTILINE))
    assert needed == {"anyio", "biscuit-python", "cryptography", "mcp", "pydantic"}
    assert set(re.findall(r"^Provides-Extra: (\S+)$", metadata, re.MULTILINE)) == EXTRAS.keys()


def test_alone_it_guards_a_call_and_the_command_names_its_extra(wheel: Path, install: Install) -> None:
    alone = install(wheel)

    assert alone.says(GUARDED_CALL) == "permitted, refused\n"
    assert not alone.installed().keys() & {"typer", "rich", "asyncpg", "keyring", "fastmcp", "openai"}
    said = "hessra-agents: the command line needs rich and typer: pip install 'hessra-agents[cli]'\n"
    assert alone.command("--version", status=3) == said
    assert alone.says("-m", "hessra_agents.cli", "--version", status=3) == said


def test_beside_an_older_mcp_sdk_the_extra_is_named(wheel: Path, install: Install) -> None:
    """The command line works but for the commands that need a newer one."""
    older = install(f"{wheel}[cli]", "mcp<2")

    assert older.says(GUARDED_CALL) == "permitted, refused\n"
    assert older.command("--version") == f"{PROJECT['version']}\n"
    version = older.installed()["mcp"]
    said = (
        f"hessra_agents.mcp needs httpx2 and mcp>=2.3,<3 ({version} is installed): "
        "pip install 'hessra-agents[mcp]'\n"
    )
    assert older.command("mcp", "inspect", "--", "true", status=3) == f"hessra-agents: {said}"
    assert older.says("-c", "import hessra_agents.mcp", status=1).endswith(f"MissingExtraError: {said}")


NO_DATABASE = """
import anyio
from hessra_agents import Ledger
from hessra_agents.ledger import LedgerError
try:
    anyio.run(Ledger.open("postgresql://127.0.0.1:1/none").start)
except LedgerError as error:
    print(error)
"""


@pytest.mark.parametrize("extra", EXTRAS)
def test_each_extra_brings_what_its_part_needs(wheel: Path, install: Install, extra: str) -> None:
    made = install(f"{wheel}[{extra}]")
    has = EXTRAS.keys() if extra == "all" else {extra}

    assert made.says(GUARDED_CALL) == "permitted, refused\n"
    for module in has & {"anthropic", "fastmcp", "keyring", "openai"}:
        made.says("-c", f"import {module}")
    if has & {"mcp", "fastmcp"}:
        made.says("-c", "import hessra_agents.mcp.proxy.http_app, hessra_agents.mcp.proxy.http_upstream")
        made.says(MCP_EXAMPLE)
    if "cli" in has:
        assert made.command("--version") == f"{PROJECT['version']}\n"
        assert "26 as expected" in made.command("demo")
    if "postgres" in has:
        assert made.says("-c", NO_DATABASE).startswith("postgresql://127.0.0.1:1")
    if "otel" in has:
        made.says("-c", f"import opentelemetry.trace, runpy; runpy.run_path({str(GUARDED_CALL)!r})")


@pytest.mark.parametrize("framework", ["crewai", "strands-agents"])
def test_an_agent_framework_at_its_newest_fits_beside_it(
    wheel: Path, install: Install, tmp_path: Path, framework: str
) -> None:
    """Nobody gets an older framework because of us, and we run on what it leaves us."""
    beside = resolved([f"hessra-agents[cli] @ {wheel.as_uri()}", framework])
    assert beside[framework] == resolved([framework])[framework]

    pins = tmp_path / "pins.txt"
    pins.write_text("\n".join(f"{name}=={version}" for name, version in beside.items()))
    # CrewAI brings 140 packages that do not matter here: what matters is what it leaves to us
    framework_too = [framework] if framework == "strands-agents" else []
    made = install(f"{wheel}[cli]", *framework_too, "-c", pins)
    installed = made.installed()
    assert {name: beside[name] for name in NEEDS} == {name: installed[name] for name in NEEDS}
    if framework_too:
        made.says("-c", "import strands, hessra_agents")
    assert made.says(GUARDED_CALL) == "permitted, refused\n"


@pytest.mark.parametrize("end", ["oldest", "newest"])
def test_the_tests_of_the_core_hold_at_both_ends_of_the_ranges(
    wheel: Path, install: Install, tmp_path: Path, end: str
) -> None:
    """With pydantic, the MCP SDK, anyio and the others, each as old or as new as it may be."""
    resolution = "lowest-direct" if end == "oldest" else "highest"
    ours = resolved(NEEDS.values(), "--resolution", resolution)
    if end == "oldest":
        floors = {name: re.search(r">=([0-9.]+)", requirement) for name, requirement in NEEDS.items()}
        assert all(f"{ours[name]}.0.0".startswith(floor[1]) for name, floor in floors.items() if floor)
    pinned = (ROOT / "constraints" / "dev.txt").read_text()
    # a tool may be pinned for each version of Python
    tools = [line for name in TOOLS for line in re.findall(rf"^{name}==[^\\\n]+", pinned, re.MULTILINE)]
    assert {tool.partition("==")[0] for tool in tools} == set(TOOLS)

    made = install(wheel, *tools, *(f"{name}=={ours[name]}" for name in NEEDS))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    shutil.copytree(ROOT / "tests", tmp_path / "tests", ignore=shutil.ignore_patterns("node_modules", "real"))
    options = ["-q", "-p", "no:cacheprovider", "-k", "not postgresql"]
    said = output(made.python, "-m", "pytest", *options, *(f"tests/{name}" for name in CORE), cwd=tmp_path)
    found = re.search(r"([0-9]+) passed", said)
    assert found is not None
    assert int(found[1]) > 2_000, said[-200:]
    assert "skipped" not in said
