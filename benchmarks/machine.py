"""Where and when the numbers were made."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from cryptography.hazmat.backends.openssl import backend

_LIBRARIES = (
    "hessra-agents",
    "biscuit-python",
    "cryptography",
    "pydantic",
    "anyio",
    "mcp",
    "uvicorn",
    "PyJWT",
    "tenuo",
    "cedarpy",
    "fastmcp",
    "pymacaroons",
    "asyncpg",
)


def now() -> dict[str, Any]:
    """The date, and how busy the machine is: processes that ran in the last 1, 5 and 15 minutes."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "load": [round(one, 2) for one in os.getloadavg()],
    }


def describe() -> dict[str, Any]:
    """Processor, system, versions."""
    return {
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "openssl": backend.openssl_version_text(),
        "commit": _commit(),
        "versions": {name: _version(name) for name in _LIBRARIES},
    }


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    found = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return found[0] if found else platform.processor()


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _commit() -> str | None:
    command = ["git", "describe", "--always", "--dirty", "--exclude=*"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parent)
    except (OSError, subprocess.CalledProcessError):
        return None
    return found.stdout.strip()
