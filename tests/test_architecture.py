"""The shape of the package: imports go down only, and what is audited stays small."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import hessra_agents

ROOT = Path(hessra_agents.__file__).parent

FLOORS = {
    "errors": 0,
    "canonical": 0,
    "shapes": 0,
    "facts": 0,
    "call": 0,
    "limits": 0,
    "selectors": 0,
    "approving": 1,
    "exposure": 1,
    "clauses": 0,
    "constraints": 0,
    "must": 0,
    "grants": 0,
    "words": 0,
    "tokens": 1,
    "decide": 2,
    "ledger": 3,
    "session": 4,
    "narrowing": 4,
    "hints": 4,
    "tool": 4,
    "schema": 4,
    "doubles": 4,
    "running": 4,
    "registry": 4,
    "answers": 4,
    "toolbox": 4,
    "deciding": 4,
    "permitting": 4,
    "tracing": 4,
    "remembering": 4,
    "guard": 4,
    "authority": 4,
    "cli": 5,
    "mcp": 5,
    "adapters": 5,
}


def modules() -> dict[str, Path]:
    """Every module below the package, by its dotted name under it."""
    paths = {path.relative_to(ROOT).with_suffix(""): path for path in ROOT.rglob("*.py")}
    return {".".join(p for p in name.parts if p != "__init__"): path for name, path in paths.items()}


def imported(name: str, path: Path) -> set[str]:
    """What a module imports of this package at run time, as dotted names under it."""
    package = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
    found: set[str] = set()
    for node in ast.walk(_runtime(ast.parse(path.read_text()))):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = [part for part in package[: len(package) - node.level + 1] if part]
            target = [*base, *(node.module.split(".") if node.module else [])]
            found.add(".".join(target) if node.module else ".".join([*target, node.names[0].name]))
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("hessra_agents"):
            found.add((node.module or "").removeprefix("hessra_agents").lstrip("."))
    return found - {""}


def _runtime(tree: ast.Module) -> ast.Module:
    class Drop(ast.NodeTransformer):
        def visit_If(self, node: ast.If) -> ast.AST | list[ast.stmt]:
            return node.orelse if ast.unparse(node.test) == "TYPE_CHECKING" else self.generic_visit(node)

    found = Drop().visit(tree)
    assert isinstance(found, ast.Module)
    return found


def test_imports_go_down_only() -> None:
    """A module imports from its own floor or from one below, never from above."""
    upward = []
    for name, path in modules().items():
        if not name:
            continue
        own = FLOORS[name.split(".")[0]]
        for target in imported(name, path):
            if FLOORS[target.split(".")[0]] > own:
                upward.append(f"{name} -> {target}")
    assert upward == []


def test_only_tokens_import_the_biscuit_library() -> None:
    """One folder knows the library and its traps."""
    knowing = {
        name.split(".")[0]
        for name, path in modules().items()
        for node in ast.walk(ast.parse(path.read_text()))
        if (isinstance(node, ast.ImportFrom) and node.module == "biscuit_auth")
        or (isinstance(node, ast.Import) and any(alias.name == "biscuit_auth" for alias in node.names))
    }
    assert knowing == {"tokens"}


def test_what_decides_is_small_enough_to_audit() -> None:
    """Floors 0 to 2, without other kinds of tokens and what only writes or describes: under 3,000."""
    beside: tuple[str, ...] = (
        "tokens.identity",
        "tokens.context",
        "tokens.sessions",
        "tokens.held",
    )
    beside += (
        "tokens.latent",
        "tokens.keyfile",
        "tokens.describe",
        "tokens.datalog",
        "tokens.building",
        "tokens.issuing",
        "constraints",
        "grants",
        "words",
        "must",
        "approving",
        "exposure",
    )
    audited = [
        path
        for name, path in modules().items()
        if name and FLOORS[name.split(".")[0]] <= 2 and not name.startswith(beside)
    ]
    lines = sum(_code_lines(path) for path in audited)
    assert lines < 2_850, lines


def _code_lines(path: Path) -> int:
    """Lines that are neither blank nor documentation."""
    text = path.read_text()
    documented = {
        line
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
        for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }
    return sum(
        1
        for number, line in enumerate(text.splitlines(), 1)
        if number not in documented and line.strip() and not line.strip().startswith("#")
    )


def test_no_module_hides_a_second_idea() -> None:
    """A file of more than 350 lines asks to be two."""
    long = {name: len(path.read_text().splitlines()) for name, path in modules().items()}
    assert {name: lines for name, lines in long.items() if lines > 350} == {}


def test_the_import_brings_no_framework() -> None:
    """The package imports neither a server, nor a model's client, nor the command line's libraries."""
    code = "import sys, hessra_agents; print(*sorted({name.split('.')[0] for name in sys.modules}))"
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    brought = set(run.stdout.split())
    assert "hessra_agents" in brought
    assert not brought & {
        "mcp",
        "typer",
        "rich",
        "click",
        "starlette",
        "uvicorn",
        "openai",
        "anthropic",
        "httpx2",
        "trio",
        "jsonpath_rfc9535",
        "sqlite3",
        "opentelemetry",
        "annotated_types",  # pydantic's, as soon as a schema is built
    }


def test_all_names_what_is_public() -> None:
    """`__all__` is sorted, complete, and small enough to learn."""
    names = hessra_agents.__all__
    assert sorted(names, key=lambda n: (n[0].islower(), n)) == names
    assert all(hasattr(hessra_agents, name) for name in names)
    assert len(names) <= 30
