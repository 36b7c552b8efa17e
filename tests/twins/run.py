"""Try every twin, and print the table: ``python -m tests.twins.run [WORDS]``, or ``make twins``.

For each twin with these words in its name, in a copy of the tree: its test must fail, and the attacker must
get something that the whole package refuses, within a minute. Exits with 1 if a twin survives.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .deciding import DECIDING
from .enforcing import ENFORCING
from .reading import READING
from .remembering import REMEMBERING
from .twin import Twin

__all__ = ["TWINS", "main"]

TOP = Path(__file__).parents[2]
SECONDS = 60.0
"""For the attacker, by a clock that the machine's load stretches."""

TWINS = (*READING, *DECIDING, *REMEMBERING, *ENFORCING)

BEFORE = {"malformed", "too_large", "outside_profile", "bad_signature", "unknown_root"}
"""Refusals before any decision: whatever else becomes of such a call is work that was not to be done."""

NOTHING = ("issue", "wait", "see", "retrust", "forget", "narrow")
"""Steps of a story that attack nothing."""


@dataclass(frozen=True)
class Verdict:
    """What became of a twin: the first test that failed, and the attack that won; empty if none."""

    twin: Twin
    failed: str
    won: str


@contextmanager
def weakened(twin: Twin | None) -> Iterator[Path]:
    """A copy of the tree, in which the package is the twin."""
    with tempfile.TemporaryDirectory() as folder:
        for name in ("hessra_agents", "tests", "examples", "benchmarks"):
            ignore = shutil.ignore_patterns("__pycache__", "node_modules", ".*")
            shutil.copytree(TOP / name, Path(folder) / name, ignore=ignore)
        shutil.copy(TOP / "pyproject.toml", folder)
        for edit in twin.edits if twin else ():
            path = Path(folder) / "hessra_agents" / edit.file
            path.write_text(edit.made(path.read_text()))
        yield Path(folder)


def environment(folder: Path) -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1", "PYTHONHASHSEED": "0"}


def noticed(folder: Path, test: str) -> str:
    """Return the first test that fails, or nothing."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-x",
        "-q",
        "-n0",
        "-p",
        "no:cacheprovider",
        "--no-header",
        "--tb=no",
    ]
    run = subprocess.run(
        [*command, test], cwd=folder, env=environment(folder), capture_output=True, text=True
    )
    if run.returncode not in (0, 1):
        raise RuntimeError(run.stdout + run.stderr)
    failed = [line for line in run.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    return failed[0].partition(" ")[2].partition(" - ")[0] if failed else ""


def attack(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield each attack and its outcome."""
    command = [sys.executable, "-W", "ignore", "-m", "tests.twins.attacker", str(SECONDS)]
    with subprocess.Popen(
        command,
        cwd=folder,
        env=environment(folder),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                name, outcome = json.loads(line)
                yield name, outcome
        finally:
            process.kill()


def wins(refused: str, outcome: str) -> bool:
    """Return whether a twin does what the whole package refused: it runs the call, or does work for it."""
    (step, _, reason), (same, _, _) = refused.rpartition(": "), outcome.rpartition(": ")
    if outcome == refused or step in NOTHING or step != same or gives(refused):
        return False
    return gives(outcome) or reason in BEFORE


def gives(outcome: str) -> bool:
    """Return whether something was allowed."""
    return outcome.rpartition(": ")[2] in ("ran", "passed", "permitted", "admitted", "read")


def tried(twin: Twin, known: dict[str, str]) -> Verdict:
    with weakened(twin) as folder:
        failed = noticed(folder, twin.test)
        won = ""
        for name, outcome in attack(folder):
            refused = known.get(name)
            if refused is not None and wins(refused, outcome):
                won = f"{name}: {outcome}, not {refused}"
                break
    return Verdict(twin, failed, won)


def main(words: str = "") -> int:
    """Try the twins, print the table, and return the exit code."""
    twins = [twin for twin in TWINS if words in twin.name]
    with weakened(None) as folder, ThreadPoolExecutor(2) as pool:
        once, again = pool.map(lambda _: dict(attack(folder)), range(2))
    # an outcome that hangs on a clock or on a random name says nothing
    known = {name: outcome for name, outcome in once.items() if again.get(name) == outcome}
    print(f"{len(twins)} twins; the whole package was asked {len(known):,} times\n")
    print("| twin | refusal that is gone | noticed by | won by |\n|---|---|---|---|", flush=True)
    survived = 0
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for verdict in pool.map(lambda twin: tried(twin, known), twins):
            survived += not (verdict.failed and verdict.won)
            failed, won = verdict.failed or "**no test**", verdict.won or "**no attack**"
            print(f"| {verdict.twin.name} | {verdict.twin.reason} | {failed} | {won} |", flush=True)
    print(f"\n{len(twins) - survived} of {len(twins)} twins were noticed and beaten")
    return int(bool(survived))


if __name__ == "__main__":
    sys.exit(main(" ".join(sys.argv[1:])))
