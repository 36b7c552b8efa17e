"""A small world for each test, on asyncio and on trio; and what every process of a run begins with."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest
from coverage import Coverage
from hypothesis import HealthCheck, settings

from hessra_agents.ledger.store import writer
from tests import faults
from tests.faults import pytest_terminal_summary as pytest_terminal_summary
from tests.faults import pytest_testnodedown as pytest_testnodedown
from tests.support import clocks, folders, processes
from tests.support.postgres import Postgres
from tests.support.world import World

# HESSRA_SOAK=1 tries each property with 25 times as many cases as otherwise. How long a case takes does
# not matter: the machine may be busy.
untimed = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("test", untimed, max_examples=100)
settings.register_profile("soak", untimed, max_examples=2_500)
settings.load_profile("soak" if os.environ.get("HESSRA_SOAK") else "test")

# For the same reason a ledger has more than its two seconds to answer; tests of a deadline set one.
writer.DEADLINE = processes.PATIENCE

# Which signals are ignored is inherited, and a shell has its background jobs ignore SIGINT. A signal that is
# handled, if only by doing nothing, is back at its default in every program that a test starts.
for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGTERM):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, lambda *_: None)


def pytest_configure(config: pytest.Config) -> None:
    """Keep files in memory; measure what the tests run, and not what they start."""
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", folders.light())
    if hasattr(config, "workerinput") or not config.getoption("numprocesses", None):
        for name in ("COVERAGE_PROCESS_START", "COVERAGE_PROCESS_CONFIG"):
            os.environ.pop(name, None)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write down what this process measured and counted, while the one that started it waits for that."""
    faults.hand_over(session)
    measured = Coverage.current()
    if measured is not None:
        measured.stop()
        measured.save()


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    """Every test marked ``anyio`` runs on both event loops."""
    return clocks.backend(request.param)


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
