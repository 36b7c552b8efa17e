"""What needs a fresh interpreter: time and memory of an import, and memory of what is held.

*Import.* Each statement runs in interpreters of its own, in turn with the others, with compiled modules in
a cache that a first run fills: wall time of the statement, and the processor time beside it, which a busy
machine changes less. ``import pydantic`` alone imports almost nothing, since pydantic loads its parts when
they are asked for; so what is added to it is told with and without those parts. Our own modules are what
``-X importtime`` counts for them, without what they import.

*Memory.* The growth of the resident set, from /proc; what a library in Rust holds is in it. Linux only.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from .clock import Spread
from .held import KINDS

ROOT = Path(__file__).parent.parent
FRAMEWORKS = frozenset(
    ["mcp", "typer", "click", "rich", "starlette", "uvicorn", "httpx", "httpx2", "openai", "anthropic"]
)

_LAZY = "import pydantic, biscuit_auth"
_BASE = "import biscuit_auth; from pydantic import ConfigDict, TypeAdapter, ValidationError"
_OURS = "import hessra_agents"

BASE, WITH_OURS = "pydantic and biscuit", "with hessra_agents"
LAZY, LAZY_WITH_OURS = "pydantic (lazy) and biscuit", "lazy, with hessra_agents"
_STATEMENTS = {BASE: _BASE, WITH_OURS: f"{_BASE}; {_OURS}", LAZY: _LAZY, LAZY_WITH_OURS: f"{_LAZY}; {_OURS}"}

_TIMED = """
from time import perf_counter_ns, process_time_ns
wall, cpu = perf_counter_ns(), process_time_ns()
{}
print((perf_counter_ns() - wall) / 1e6, (process_time_ns() - cpu) / 1e6)
"""
_GROWN = """
def pages():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1])
before = pages()
{}
after = pages()
import resource
print((after - before) * resource.getpagesize())
"""
_LOADED = """
import sys
{}
print(*sorted({{name.partition(".")[0] for name in sys.modules}} - sys.stdlib_module_names))
"""


def imports(*, runs: int, tenuo: bool) -> dict[str, Any]:
    """Milliseconds by statement, what hessra_agents adds to each base, and the packages it brings."""
    statements = _STATEMENTS | ({"tenuo": "import tenuo"} if tenuo else {})
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in statements}
    own: list[float] = []
    with TemporaryDirectory() as cache:
        for turn in range(runs + 1):
            found = {name: _timed(cache, statement) for name, statement in statements.items()}
            alone = _own_modules(cache)
            if turn:  # the first one filled the cache
                own.append(alone)
                for name, spent in found.items():
                    times[name].append(spent)
        loaded, base = _loaded(cache, _OURS), _loaded(cache, _BASE) | _loaded(cache, _LAZY)
        grown = {name: _grown(cache, statement) for name, statement in statements.items() if _has_proc()}
    return {
        "ms": {name: Spread.of([wall for wall, _ in found]).rounded() for name, found in times.items()},
        "cpu_ms": {name: Spread.of([cpu for _, cpu in found]).rounded() for name, found in times.items()},
        "added_ms": {
            f"to {BASE}": _added(times, WITH_OURS, BASE, 0),
            f"to {BASE}, processor": _added(times, WITH_OURS, BASE, 1),
            f"to {LAZY}": _added(times, LAZY_WITH_OURS, LAZY, 0),
            "own modules alone": Spread.of(own).rounded(),
        },
        "packages": sorted(name for name in loaded - base if name[0] != "_"),
        "frameworks": sorted(loaded & FRAMEWORKS),
        "resident_mb": grown,
    }


def _added(times: dict[str, list[tuple[float, float]]], name: str, base: str, at: int) -> dict[str, float]:
    pairs = zip(times[name], times[base], strict=True)
    return Spread.of([one[at] - other[at] for one, other in pairs]).rounded()


def _timed(cache: str, statement: str) -> tuple[float, float]:
    wall, cpu = _python(cache, "-c", _TIMED.format(statement)).split()
    return float(wall), float(cpu)


def _own_modules(cache: str) -> float:
    """Milliseconds in the bodies of our own modules."""
    spent = 0
    for line in _python(cache, "-X", "importtime", "-c", _OURS, errors=True).splitlines():
        own, _, name = (part.strip() for part in line.removeprefix("import time:").split("|"))
        if name.partition(".")[0] == "hessra_agents":
            spent += int(own)
    return spent / 1000


def _loaded(cache: str, statement: str) -> set[str]:
    return set(_python(cache, "-c", _LOADED.format(statement)).split())


def _grown(cache: str, statement: str) -> float:
    return round(int(_python(cache, "-c", _GROWN.format(statement))) / 1e6, 1)


def memory(*, count: int, tenuo: bool) -> dict[str, int]:
    """Resident bytes for each thing that is held, over ``count`` of them."""
    kinds = [kind for kind in KINDS if _has_proc() and (tenuo or not kind.startswith("tenuo"))]
    with TemporaryDirectory() as cache:
        return {kind: int(_python(cache, "-m", "benchmarks.held", kind, str(count))) for kind in kinds}


def _has_proc() -> bool:
    return Path("/proc/self/statm").exists()


def _python(cache: str, *arguments: str, errors: bool = False) -> str:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    environment["PYTHONPYCACHEPREFIX"] = cache
    found = subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, check=True, cwd=ROOT, env=environment
    )
    return found.stderr if errors else found.stdout
