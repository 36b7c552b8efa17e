"""A ledger on every major version of PostgreSQL that is supported: the tables are the same on each of them.

Debian's is the oldest. The newer ones are programs that npm installs, which bring no clients.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hessra_agents.ledger import LedgerError
from tests.support.ledgers import Store
from tests.support.postgres import Postgres

pytestmark = pytest.mark.anyio
MODULES = Path(__file__).with_name("node_modules")
ALTERED = [
    "alter table used drop constraint used_amount_check",
    "alter table revocation alter column reason drop not null",
    "alter table spent drop constraint spent_pkey",
    "alter table spent add column more text",
    "drop index used_until",
]


@pytest.fixture(scope="module", params=["postgres-16", "postgres-17", "postgres-18"])
def newer(request: pytest.FixtureRequest) -> Iterator[Postgres]:
    """A server of a newer version."""
    with Postgres(MODULES / request.param) as server:
        yield server


async def used(store: Store) -> None:
    """A call is made on a ledger that is opened, and one that is opened again refuses its proof."""
    world = store.world()
    await world.call(world.issue())
    await world.ledger.aclose()


async def test_a_ledger_is_made_and_opened_again(newer: Postgres, tmp_path: Path) -> None:
    store = Store("postgresql", newer.fresh(), tmp_path)
    for _ in range(2):
        await used(store)
    assert len(store.records()) == 4


async def test_a_ledger_goes_on_after_an_upgrade(postgres: Postgres, newer: Postgres, tmp_path: Path) -> None:
    """As it is usually done: dumped from the old server, restored on the new one."""
    old = Store("postgresql", postgres.fresh(), tmp_path)
    await used(old)
    new = Store("postgresql", newer.restored(old.where), tmp_path)
    await used(new)
    assert len(new.records()) == 4
    assert new.sql("select shape from migration") == old.sql("select shape from migration")


@pytest.mark.parametrize("statement", ALTERED)
async def test_tables_that_were_altered_are_refused_here_too(
    newer: Postgres, tmp_path: Path, statement: str
) -> None:
    store = Store("postgresql", newer.fresh(), tmp_path)
    await used(store)
    store.sql(statement)
    with pytest.raises(LedgerError, match="altered"):
        store.open()
