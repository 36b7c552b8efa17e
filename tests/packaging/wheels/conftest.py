"""The wheel, and empty environments to install it into; uv shares its downloads among them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
UV = ROOT / ".venv-lock" / "bin" / "uv"


def output(*command: str | Path, cwd: Path | None = None, status: int = 0) -> str:
    """Run a command and return what it says: its standard output, or its standard error if it is to fail."""
    known = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PYTEST"))}
    done = subprocess.run(command, cwd=cwd, env=known, capture_output=True, text=True, check=False)
    assert done.returncode == status, f"{command}: {done.returncode}\n{done.stdout[-8000:]}\n{done.stderr}"
    return done.stderr if status else done.stdout


def resolved(requirements: Iterable[str | Path], *options: str) -> dict[str, str]:
    """Return the version of each package that an installer takes for these requirements, by name."""
    stated = "\n".join(map(str, requirements))
    done = subprocess.run(
        [
            UV,
            "pip",
            "compile",
            "-q",
            "--no-header",
            "--no-annotate",
            "--python",
            sys.executable,
            *options,
            "-",
        ],
        input=stated,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{stated}\n{done.stderr}"
    return dict(re.findall(r"^([a-z0-9.-]+)(?:\[[a-z,-]+\])?==(\S+)", done.stdout, re.MULTILINE))


@dataclass(frozen=True)
class Environment:
    """An environment in which some packages are installed, and nothing else."""

    folder: Path

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.folder / "bin" / "python"

    def says(self, *arguments: str | Path, status: int = 0) -> str:
        """Run its interpreter elsewhere than in this repository."""
        return output(self.python, *arguments, cwd=self.folder, status=status)

    def command(self, *arguments: str | Path, status: int = 0) -> str:
        """Run ``hessra-agents`` as it is installed."""
        return output(self.folder / "bin" / "hessra-agents", *arguments, cwd=self.folder, status=status)

    def installed(self) -> dict[str, str]:
        """Return the version of every package, by name."""
        listed = output(UV, "pip", "freeze", "-q", "--python", self.python)
        return dict(re.findall(r"^([a-z0-9.-]+)==(\S+)$", listed, re.MULTILINE))


Install = Callable[..., Environment]


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package as it is published, built by the pinned hatchling."""
    folder = tmp_path_factory.mktemp("dist")
    output(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder, cwd=ROOT)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture
def install() -> Iterator[Install]:
    """Make an empty environment, and install these requirements; it is removed after the test.

    It lies beside the other environments, since files of tests may lie in memory.
    """
    room = ROOT / ".venv-wheels"
    room.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=room) as folder:

        def install(*requirements: str | Path) -> Environment:
            made = Environment(Path(folder) / "environment")
            output(UV, "venv", "-q", "--python", sys.executable, made.folder)
            output(UV, "pip", "install", "-q", "--python", made.python, *requirements)
            return made

        yield install
