"""Fixtures: a small world for each test, on asyncio and on trio."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.faults import pytest_terminal_summary as pytest_terminal_summary
from tests.support.postgres import Postgres
from tests.support.world import World

# HESSRA_SOAK=1 runs the laws at full length, ten times as many cases as otherwise
settings.register_profile("test", deadline=None, max_examples=250)
settings.register_profile("soak", deadline=None, max_examples=2_500)
settings.load_profile("soak" if os.environ.get("HESSRA_SOAK") else "test")


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """Every test marked ``anyio`` runs on both event loops."""
    return str(request.param)


@pytest.fixture
def world() -> World:
    """A guard with a few tools, and the authority that it trusts."""
    return World()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """The server that all tests share: one that stops it may leave it so, the next starts it again."""
    with Postgres() as server:
        yield server


@pytest.fixture
def dsn(postgres: Postgres) -> str:
    """A new, empty database on a server that runs."""
    postgres.thaw()
    postgres.start()
    return postgres.fresh()
