"""What is not installed is named, with the extra that brings it; and a guard needs none of it."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import hessra_agents
from hessra_agents import Authority
from hessra_agents.cli import main
from hessra_agents.extras import MissingExtraError, require

ROOT = Path(__file__).parents[2]
PACKAGE = Path(hessra_agents.__file__).parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]
OPTIONAL = sorted(
    {re.split("[>=<[]", requirement)[0] for requirements in EXTRAS.values() for requirement in requirements}
    - {"hessra-agents", "opentelemetry-api"}
)
"""The modules of all extras, but for OpenTelemetry, which a guard imports only after the program has."""


def python(code: str, *without: str) -> subprocess.CompletedProcess[str]:
    """Run a program to which these modules are not installed."""
    program = f"import sys\nsys.modules.update(dict.fromkeys({without!r}))\n{code}"
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)


# --- what a guard needs ---


def test_a_guard_needs_no_optional_package() -> None:
    """Every module but those of MCP and the command line, and a guarded call."""
    assert {"mcp", "starlette", "typer", "rich", "asyncpg", "keyring"} <= {*OPTIONAL}
    modules = [
        ".".join(["hessra_agents", *path.relative_to(PACKAGE).with_suffix("").parts])
        for path in PACKAGE.rglob("*.py")
        if path.relative_to(PACKAGE).parts[0] not in {"mcp", "cli"} and path.stem != "__init__"
    ]
    assert len(modules) > 60
    script = Path(__file__).parent / "wheels" / "guarded_call.py"
    code = f"import importlib, runpy\nfor name in {modules!r}: importlib.import_module(name)\n"
    code += f"runpy.run_path({str(script)!r}, run_name='__main__')\nassert 'opentelemetry' not in sys.modules"
    done = python(code, *OPTIONAL)
    assert (done.stderr, done.returncode) == ("", 0)
    assert done.stdout == "permitted, refused\n"


def test_a_tools_schema_is_read_and_checked_without_the_mcp_sdk() -> None:
    """Tools that are no functions of ours come from elsewhere, too."""
    done = python(
        "from hessra_agents import Call, Denied\n"
        "from hessra_agents.tools.input_schema.input_schema import InputSchema\n"
        "schema = InputSchema.of({'type': 'object', 'properties': {'n': {'type': 'integer'}}})\n"
        "schema.check(Call.of('t', {'n': 1}))\n"
        "try: schema.check(Call.of('t', {'n': 'x'}))\n"
        "except Denied as denied: print(denied.reason)",
        *OPTIONAL,
    )
    assert (done.stderr, done.stdout) == ("", "malformed\n")


# --- what is missing is named ---


def test_the_mcp_sdk_is_named_at_import() -> None:
    done = python("import hessra_agents.mcp.proxy.stdio", "mcp", "starlette")
    assert done.stderr.splitlines()[-1] == (
        "hessra_agents.extras.MissingExtraError: hessra_agents.mcp needs mcp>=2.3,<3 and starlette: "
        "pip install 'hessra-agents[mcp]'"
    )


@pytest.mark.parametrize(
    ("version", "fits"),
    [("1.30.0", False), ("2.2", False), ("2.3", True), ("2.3.0rc1", True), ("2.10.1", True), ("3.0", False)],
)
def test_another_version_of_the_mcp_sdk_is_named(
    monkeypatch: pytest.MonkeyPatch, version: str, fits: bool
) -> None:
    """Agent frameworks bring older ones."""
    monkeypatch.setattr(importlib.metadata, "version", lambda _: version)
    if fits:
        require("mcp", "mcp>=2.3,<3", purpose="this")
        return
    with pytest.raises(MissingExtraError) as raised:
        require("mcp", "mcp>=2.3,<3", purpose="this")
    assert str(raised.value) == (
        f"this needs mcp>=2.3,<3 ({version} is installed): pip install 'hessra-agents[mcp]'"
    )


@pytest.mark.parametrize("missing", [["typer"], ["rich"], ["rich", "typer"]], ids=" and ".join)
def test_the_command_line_names_its_extra(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], missing: list[str]
) -> None:
    for name in missing:
        monkeypatch.setitem(sys.modules, name, None)
    assert main(["--version"]) == 3
    said = (
        f"hessra-agents: the command line needs {' and '.join(missing)}: pip install 'hessra-agents[cli]'\n"
    )
    assert capsys.readouterr() == ("", said)


@pytest.mark.parametrize("command", ["inspect", "learn --out out.toml", "proxy --trust t.json --audience a"])
def test_commands_of_mcp_name_the_extra(command: str, tmp_path: Path) -> None:
    done = python(
        "import os\nfrom hessra_agents.cli import main\n"
        f"os.chdir({str(tmp_path)!r})\n"
        f"sys.exit(main(['mcp', *{command.split()!r}, '--', 'true']))",
        "mcp",
    )
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == (
        "hessra-agents: hessra_agents.mcp needs mcp>=2.3,<3: pip install 'hessra-agents[mcp]'\n"
    )


@pytest.mark.parametrize("extra", ["anthropic", "keyring", "openai", "postgres"])
def test_an_option_that_needs_an_extra_names_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, extra: str
) -> None:
    trust = tmp_path / "trust.json"
    Authority.ephemeral().trust.save(trust)
    proxy = [
        "mcp",
        "proxy",
        "--trust",
        str(trust),
        "--audience",
        "a",
        "--capability-keyring",
        "s/u",
        "--",
        "x",
    ]
    module, purpose, command = {
        "anthropic": ("anthropic", "a model of anthropic", ["demo", "--model", "anthropic:m"]),
        "keyring": ("keyring", "--capability-keyring", proxy),
        "openai": ("openai", "a model of openai", ["demo", "--model", "openai:m"]),
        "postgres": (
            "asyncpg",
            "a ledger on PostgreSQL",
            ["log", "list", "--ledger", "postgresql://127.0.0.1:1/none"],
        ),
    }[extra]
    monkeypatch.setitem(sys.modules, module, None)
    assert main(command) == 3
    said = f"hessra-agents: {purpose} needs {module}: pip install 'hessra-agents[{extra}]'\n"
    assert capsys.readouterr() == ("", said)


def test_a_program_learns_it_from_the_error() -> None:
    """`MissingExtraError` is an ImportError, so that programs can go on without a part."""
    done = python(
        "from hessra_agents import Ledger\n"
        "try: Ledger.open('postgresql://127.0.0.1:1/none')\n"
        "except ImportError as error: print(error)",
        "asyncpg",
    )
    assert done.stdout == "a ledger on PostgreSQL needs asyncpg: pip install 'hessra-agents[postgres]'\n"


# --- pyproject.toml, the code and the documents agree ---


def test_all_is_every_extra() -> None:
    others = ",".join(sorted(EXTRAS.keys() - {"all"}))
    assert EXTRAS["all"] == [f"hessra-agents[{others}]"]


def test_what_the_code_asks_for_is_what_the_extra_brings() -> None:
    calls = [
        node
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "require"
    ]
    stated = [
        [str(argument.value) for argument in call.args if isinstance(argument, ast.Constant)]
        for call in calls
    ]
    named = [words for words in stated if words]  # the demo asks for the SDK of the model that it was given
    assert {extra for extra, *_ in named} == {"cli", "keyring", "mcp", "postgres"}
    for extra, *requirements in named:
        brought = {re.split("[>=<]", requirement)[0]: requirement for requirement in EXTRAS[extra]}
        assert sorted(re.split("[>=<]", requirement)[0] for requirement in requirements) == sorted(brought)
        assert [one for one in requirements if ">" in one and one not in brought.values()] == []


def test_every_extra_that_a_text_names_exists() -> None:
    texts = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *PACKAGE.rglob("*.py")]
    named = {
        extra.strip()
        for path in texts
        for group in re.findall(r"hessra-agents\[([a-z, ]+)\]", path.read_text())
        for extra in group.split(",")
    }
    assert named <= EXTRAS.keys()


def test_pinned_files_name_no_package_index() -> None:
    pinned = [*ROOT.glob("constraints/*.txt")]
    assert len(pinned) >= 8
    for path in pinned:
        text = path.read_text()
        assert "://" not in text, path.name
        assert "index-url" not in text, path.name
