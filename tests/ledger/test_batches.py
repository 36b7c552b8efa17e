"""One transaction serves many callers: what of one is refused, changed or left is not the others'."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import anyio
import pytest

from hessra_agents.errors import Denied, Reason
from hessra_agents.ledger import transactions as steps
from hessra_agents.ledger.revocations import Revocation, RevocationList
from hessra_agents.ledger.store import connection, queue, writer
from hessra_agents.ledger.store.connection import Steps, Transaction, run_in_thread, run_steps
from hessra_agents.ledger.store.opening import open_store
from hessra_agents.ledger.store.statements import statements
from tests.support.clocks import LoopTime, pass_time
from tests.support.ledgers import Store, held_up, once_each, shared, until
from tests.support.ledgers import anyio_backend as anyio_backend
from tests.support.ledgers import store as store

pytestmark = pytest.mark.anyio

BLOCK = Revocation.of(block="ab" * 64)


def statement(name: str, *values: Any) -> Steps[list[tuple[Any, ...]]]:
    """One statement."""
    return (yield name, values)


def record(index: int) -> Steps[Any]:
    """A record of an operation that is named like its place."""
    return statement("entry", 1, index, bytes([index]) * 16, "decision", b"{}", b"salt", b"mac")


def within(store: Store, work: Callable[[Transaction], None]) -> None:
    """Do something in one transaction, and commit it."""

    def alone() -> None:
        opened, _ = open_store(store.where, state_dir=store.folder / "log")
        try:
            transaction = Transaction(opened)
            work(transaction)
            transaction.commit()
        finally:
            opened.close()

    run_in_thread(alone)


@contextmanager
def job(transaction: Transaction) -> Iterator[None]:
    """What a refusal inside takes back."""
    transaction.savepoint()
    try:
        yield
    except Denied:
        transaction.rollback_to_savepoint()


@once_each
@pytest.mark.parametrize("written", [False, True], ids=["kept", "written"])
@pytest.mark.parametrize("spends", [False, True], ids=["recorded", "spent"])
def test_what_is_taken_back_takes_nothing_else_along(store: Store, written: bool, spends: bool) -> None:
    """Whether its records wait for the commit, or were written already because somebody read them."""

    def work(transaction: Transaction) -> None:
        with job(transaction):
            run_steps(transaction, record(0))
        with job(transaction):
            if spends:
                run_steps(transaction, statement("spend", "proof", b"one", 1 << 40))
            run_steps(transaction, record(1))
            if written:
                assert run_steps(transaction, statement("entry_of", 1, bytes([1]) * 16, "decision"))
            raise Denied(Reason.SPENT)
        with job(transaction):
            run_steps(transaction, statement("spend", "proof", b"two", 1 << 40))
            run_steps(transaction, record(1))

    within(store, work)
    assert [bytes(op)[0] for (op,) in store.sql("select op from entry order by idx")] == [0, 1]
    assert [bytes(name) for (name,) in store.sql("select name from spent")] == [b"two"]


@pytest.mark.parametrize("name", ["sqlite", "postgres"])
def test_a_transaction_knows_which_statements_read_what_it_keeps_back(name: str) -> None:
    """Records that are not written yet, and the state that it has read."""
    found = statements(name)
    reads = {one for one, text in found.items() if re.search(r"(from|join|update) entry\b", text)}
    assert reads == connection._READ_RECORDS
    assert {one for one, text in found.items() if text.startswith("update state")} == connection._CHANGE_STATE


@once_each
def test_an_erased_opening_is_back_if_the_erasing_is_taken_back(store: Store) -> None:
    within(store, lambda transaction: run_steps(transaction, record(0)))

    def work(transaction: Transaction) -> None:
        with job(transaction):
            assert run_steps(transaction, statement("erase", 1, 0))
            raise Denied(Reason.UNAVAILABLE)

    within(store, work)
    assert store.sql("select count(*) from entry where opening is not null") == [(1,)]


@once_each
def test_a_revocation_is_known_to_whoever_comes_after_it_in_the_same_transaction(store: Store) -> None:
    revoked = RevocationList()

    def work(transaction: Transaction) -> None:
        run_steps(transaction, steps.learn_revocations(revoked))
        with job(transaction):
            run_steps(transaction, steps.revoke(BLOCK, "", 1))
            run_steps(transaction, steps.learn_revocations(RevocationList()))
            raise Denied(Reason.UNAVAILABLE)
        run_steps(transaction, steps.learn_revocations(revoked))
        assert revoked.epoch == 0, "it was taken back"
        run_steps(transaction, steps.revoke(BLOCK, "", 1))
        run_steps(transaction, steps.learn_revocations(revoked))

    within(store, work)
    assert revoked.epoch == 1


@shared
async def test_who_watches_the_clock_may_leave(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those who submit together have one watch; whoever of them is left is refused when the time is up."""
    world = store.world()
    monkeypatch.setattr(queue, "time", LoopTime)
    for stays in range(3):
        with held_up(world.ledger) as reached:
            async with anyio.create_task_group() as group:
                scopes = [anyio.CancelScope() for _ in range(3)]
                refused: list[int] = []

                async def call(one: int, scopes: Any = scopes, refused: list[int] = refused) -> None:
                    with scopes[one], world.refuses("unavailable"):
                        await world.call(world.issue())
                    if not scopes[one].cancelled_caught:
                        refused.append(one)

                for one in range(3):
                    group.start_soon(call, one)
                await until(reached.is_set)
                for one in {0, 1, 2} - {stays}:
                    scopes[one].cancel()
                await anyio.wait_all_tasks_blocked()
                assert refused == []
                pass_time(writer.DEADLINE)
            assert refused == [stays]
    assert world.ran == []
