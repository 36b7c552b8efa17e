"""Fixtures: a folder that the servers of others serve."""

from __future__ import annotations

from pathlib import Path

import pytest

from .servers import prepare


@pytest.fixture
def anyio_backend() -> str:
    """One event loop is enough: what is tested runs in processes of its own."""
    return "asyncio"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two repositories, a folder to serve and its neighbours, a database; some of it secret."""
    prepare(tmp_path)
    return tmp_path
