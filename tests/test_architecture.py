"""The shape of the package: what a folder may import, what is audited, and how far a call travels.

ARCHITECTURE.md says it in words. Every import counts: at the top of a file, inside a function, and those for
types alone.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import hessra_agents
from hessra_agents import Ledger
from tests.support import stays

ROOT = Path(hessra_agents.__file__).parent

FLOORS = [
    "errors", "cancellation", "extras", "files", "call", "keys", "grants", "tools", "tokens", "tlog",
    "verify", "authority", "ledger", "guard", "mcp", "cli", "testing",
]  # fmt: skip
"""Low to high: a folder imports only from folders before it."""

WITHIN = {
    "ledger": [
        {"model", "revocations", "approval_requests"},
        {"records", "store", "log", "transactions", "forgetting", "strangers", "opened"},
        {"memory"},
        {"first_use"},
        {"inspection"},
        {"ledger"},
    ],
    "mcp": [{"transport"}, {"authorization"}, {"proxy", "server", "client"}, {"discovery"}],
    "guard": [
        {"threads", "settings", "session", "narrowing"},
        {"presented", "telemetry", "trust_file"},
        {"enforcement"},
        {"members"},
        {"invocation"},
        {"toolbox"},
        {"guard"},
    ],
}
"""Inside these folders likewise; the names of one set may import each other, in no circle."""

KNOWS = {
    "biscuit_auth": ("tokens/", "keys/biscuit.py"),
    "asyncpg": ("ledger/store/postgres.py",),
    "sqlite3": ("ledger/store/", "cli/demo/"),
    "opentelemetry": ("guard/telemetry.py",),
    "mcp": ("mcp/", "cli/commands/mcp.py", "cli/serving.py"),
    "starlette": ("mcp/", "cli/commands/mcp.py", "cli/serving.py"),
    "httpx2": ("mcp/", "cli/commands/mcp.py", "cli/serving.py"),
    "uvicorn": ("mcp/", "cli/serving.py"),
    "typer": ("cli/",),
    "rich": ("cli/",),
}
"""Who may import which library."""

AUDITED = (
    "errors", "call/", "keys/keys", "keys/biscuit", "keys/trust", "grants/clauses", "grants/limits",
    "grants/labels", "grants/provenance", "tokens/admission", "tokens/datalog_reader", "tokens/capability",
    "tokens/statements", "tokens/revocation_ids", "tokens/engine", "tokens/format/", "verify/",
)  # fmt: skip
"""What somebody reads who wants to audit a decision."""

PURE = ("call/", "grants/", "tokens/format/", "tokens/admission", "verify/")
"""What waits for nothing, opens nothing and reads no clock."""


@cache
def modules() -> dict[str, Path]:
    """Return every module of the package, by its path without ``.py``; a package by its folder."""
    named = {path.relative_to(ROOT).with_suffix("").as_posix(): path for path in ROOT.rglob("*.py")}
    return {name.removesuffix("/__init__").replace("__init__", ""): path for name, path in named.items()}


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


@cache
def imported(name: str) -> frozenset[str]:
    """The modules of this package that a module imports anywhere, each by its path."""
    path = modules()[name]
    package = name.split("/") if path.name == "__init__.py" else name.split("/")[:-1]
    package = [part for part in package if part]
    found: set[str] = set()
    for node in ast.walk(tree(path)):
        if not isinstance(node, ast.ImportFrom):
            continue
        if node.level:
            base = package[: len(package) - node.level + 1]
        elif (node.module or "").split(".")[0] == "hessra_agents":
            base = []
        else:
            continue
        stated = [part for part in (node.module or "").split(".") if part and part != "hessra_agents"]
        target = "/".join([*base, *stated])
        for alias in node.names:
            whole = f"{target}/{alias.name}".lstrip("/")
            found.add(whole if whole in modules() else target)
    return frozenset(found - {name, ""})


def libraries(path: Path) -> Iterator[str]:
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.ImportFrom) and not node.level:
            yield (node.module or "").split(".")[0]
        elif isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)


def floor(name: str) -> int:
    return FLOORS.index(name.split("/")[0])


def test_a_folder_imports_only_folders_below_it() -> None:
    """Rule 1: no two folders share a floor, and no import goes up."""
    upward = [
        f"{name} -> {target}"
        for name in modules()
        if name
        for target in imported(name)
        if floor(target) > floor(name)
    ]
    assert upward == []


def test_no_two_files_import_each_other() -> None:
    """Rule 2: there is no circle of imports, however long."""
    left = {name: set(imported(name)) for name in modules() if name}
    while True:
        # whoever imports nothing that is left, or is imported by nobody that is left, is in no circle
        wanted = set().union(*left.values())
        ended = [name for name, targets in left.items() if not targets & left.keys() or name not in wanted]
        if not ended:
            break
        for name in ended:
            del left[name]
    assert {name: sorted(targets & left.keys()) for name, targets in left.items()} == {}


@pytest.mark.parametrize("folder", WITHIN)
def test_inside_a_folder_imports_go_down_too(folder: str) -> None:
    """Rule 3: the rooms of the larger folders have an order of their own."""
    order = {room: level for level, rooms in enumerate(WITHIN[folder]) for room in rooms}
    inside = {name: name.split("/")[1] for name in modules() if name.startswith(f"{folder}/")}
    assert set(inside.values()) == order.keys(), "every room has a place"
    upward = [
        f"{name} -> {target}"
        for name, room in inside.items()
        for target in imported(name)
        if target in inside and order[inside[target]] > order[room]
    ]
    assert upward == []


@pytest.mark.parametrize("library", KNOWS)
def test_a_library_is_known_in_one_place(library: str) -> None:
    """Rule 4: whose traps these are is said by the folder."""
    allowed = tuple(place.removesuffix(".py") for place in KNOWS[library])
    knowing = [name for name, path in modules().items() if library in libraries(path)]
    assert [name for name in knowing if not name.startswith(allowed)] == []


def test_what_decides_waits_for_nothing_and_reads_no_clock() -> None:
    """Rule 5: the decision is a function of its arguments."""
    impure = []
    for name, path in modules().items():
        if not name.startswith(PURE):
            continue
        for node in ast.walk(tree(path)):
            waits = isinstance(node, (ast.AsyncFunctionDef, ast.Await, ast.AsyncFor, ast.AsyncWith))
            opens = isinstance(node, ast.Call) and ast.unparse(node.func) in {
                "open",
                "time.time",
                "time.monotonic",
            }
            if waits or opens:
                impure.append(f"{name}:{getattr(node, 'lineno', 0)}")
    assert impure == []


def test_what_is_audited_is_small() -> None:
    """Rule 6: who audits a decision reads less than 3,600 lines of code."""
    audited = [path for name, path in modules().items() if name.startswith(AUDITED)]
    assert all(any(name.startswith(part) for name in modules()) for part in AUDITED)
    lines = sum(_code_lines(path) for path in audited)
    assert lines < 3_600, lines


def _code_lines(path: Path) -> int:
    """Lines that are neither blank nor documentation."""
    documented = {
        line
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
        for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }
    return sum(
        1
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if number not in documented and line.strip() and not line.strip().startswith("#")
    )


def test_nobody_uses_the_private_names_of_another_file() -> None:
    """Rule 7: what starts with an underscore is used where it is defined."""
    foreign = []
    for name, path in modules().items():
        own = {found for node in ast.walk(tree(path)) for found in _defined(node)}
        foreign += [
            f"{name}:{node.lineno} {ast.unparse(node)}"
            for node in ast.walk(tree(path))
            if isinstance(node, ast.Attribute)
            and node.attr.startswith("_")
            and not node.attr.startswith("__")
            and node.attr not in own
        ]
        foreign += [
            f"{name}:{node.lineno} imports {alias.name}"
            for node in ast.walk(tree(path))
            if isinstance(node, ast.ImportFrom)
            and (node.level or (node.module or "").startswith("hessra_agents"))
            for alias in node.names
            if alias.name.startswith("_") and not alias.name.startswith("__")
        ]
    assert sorted(foreign) == []


def _defined(node: ast.AST) -> list[str]:
    """The private names that this piece of a file defines: methods, fields, slots, attributes of ``self``."""
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return [node.name]
    if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        return [node.target.id]
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.startswith("_"):
        return [node.value]
    if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
        return [node.attr] if isinstance(node.value, ast.Name) and node.value.id in {"self", "cls"} else []
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        return [node.id]
    return []


def test_no_file_hides_a_second_idea() -> None:
    """Rule 8: a file of more than 400 lines, or a folder of more than twelve files, asks to be two."""
    long = {name: len(path.read_text().splitlines()) for name, path in modules().items()}
    assert {name: lines for name, lines in long.items() if lines > 400} == {}
    files = Counter(
        str(path.parent.relative_to(ROOT)) for path in ROOT.rglob("*.py") if path.name != "__init__.py"
    )
    crowded = {folder: count for folder, count in files.items() if count > 12 and folder != "adapters"}
    assert crowded == {}
    assert files["."] <= 6


def test_no_two_classes_have_one_name() -> None:
    """Rule 8: who searches for a class finds it."""
    names = Counter(
        node.name
        for path in modules().values()
        for node in ast.walk(tree(path))
        if isinstance(node, ast.ClassDef)
    )
    assert {name: count for name, count in names.items() if count > 1} == {}


def test_an_exception_is_called_an_error() -> None:
    """All but `Denied`, which is an answer."""
    bases = {
        "Exception",
        "BaseException",
        "ValueError",
        "OSError",
        "TypeError",
        "RuntimeError",
        "LookupError",
    }
    odd = [
        node.name
        for path in modules().values()
        for node in ast.walk(tree(path))
        if isinstance(node, ast.ClassDef)
        and any(
            isinstance(base, ast.Name) and (base.id in bases or base.id.endswith("Error"))
            for base in node.bases
        )
        and not node.name.endswith("Error")
    ]
    assert odd == ["Denied"]


def test_a_call_does_not_wander(tmp_path: Path) -> None:
    """A recorded call changes module no more often than its steps explain."""
    assert len(stays.permitted_call()) <= 22
    assert len(stays.permitted_call(Ledger.open(tmp_path / "ledger.db"))) <= 59
    assert len(stays.proxied_call()) <= 72


def test_the_import_brings_what_a_guard_needs() -> None:
    """No framework, no issuing side, no store and no log: they are loaded by the programs that use them.

    The standard library's modules that take longest to load, and that a guard needs only later, neither.
    """
    base = _loaded("import biscuit_auth; from pydantic import ConfigDict, TypeAdapter, ValidationError")
    brought = _loaded("import hessra_agents") - base
    libraries = {name.partition(".")[0] for name in brought} - sys.stdlib_module_names
    assert libraries <= {"anyio", "sniffio", "hessra_agents"}
    assert not brought & {"asyncio", "cryptography", "email", "importlib.metadata", "logging", "sqlite3"}
    ours = {name.removeprefix("hessra_agents.") for name in brought if name.startswith("hessra_agents.")}
    assert {name.partition(".")[0] for name in ours} == {
        "call", "cancellation", "errors", "grants", "guard", "keys", "ledger", "tokens", "tools", "verify",
    }  # fmt: skip
    assert {name for name in ours if name.startswith("ledger")} == {"ledger", "ledger.model"}
    assert not ours & {"tokens.hessra", "tokens.issue", "tools.input_schema", "grants.grant_file"}


def test_what_is_loaded_on_use_is_there() -> None:
    """Each public name, of the package and of its ledger, in a program that imports nothing else."""
    for package in ("hessra_agents", "hessra_agents.ledger"):
        _loaded(f"import {package} as p; [getattr(p, name) for name in p.__all__]")
        _loaded(f"from {package} import *; Ledger.memory()")
    with pytest.raises(AttributeError, match="has no attribute 'Nothing'"):
        _ = hessra_agents.Nothing  # type: ignore[attr-defined]


def _loaded(statement: str) -> set[str]:
    """Return the names of all modules that a program has after this statement."""
    code = f"{statement}\nimport sys; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return set(run.stdout.split())


def test_all_names_what_is_public() -> None:
    """`__all__` is sorted, complete, and small enough to learn."""
    names = hessra_agents.__all__
    assert sorted(names, key=lambda n: (n[0].islower(), n)) == names
    assert all(hasattr(hessra_agents, name) for name in names)
    assert len(names) <= 30
