"""What it takes to prove that a record is in a long log, that the log only grew, and to verify a whole log.

The log is in an SQLite file. The *first* proof at a size also computes the tiles at the tree's edge; those
after it read what is stored.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from hessra_agents.ledger import records
from hessra_agents.ledger.log import verify as verifying
from hessra_agents.ledger.log.appender import open_log
from hessra_agents.ledger.log.reader import Log, Logs, LogTiles
from hessra_agents.ledger.model import Outcome
from hessra_agents.ledger.store.connection import Transaction, run_steps
from hessra_agents.ledger.store.opening import open_store
from hessra_agents.tlog import export, merkle

from .ours import Ours
from .stores import NORMAL, Store, Stores
from .tail import Tail

_TOGETHER = 20_000  # records of a transaction

Written = tuple[str, bytes, bytes, bytes | None]
"""Kind, operation, record, opening."""


def measure(here: Ours, stores: Stores, *, long: int, whole: int, proofs: int) -> dict[str, Any]:
    """Proofs in a log of ``long`` outcomes; the verification of one of ``whole`` decisions and outcomes."""
    store = stores.fresh(NORMAL)
    seconds = _fill(store, islice(_outcomes(), long))
    with Logs(store.where, state_dir=store.state) as logs:
        (log,) = logs.all()
        us = _proofs(logs, log, proofs)
    found = {"records": long, "written_per_second": round(long / seconds), "us": us}
    return {"proofs": found, "verify": _verified(here, stores, whole)}


def _outcomes() -> Iterator[Written]:
    now = int(time.time())
    while True:
        op = os.urandom(16)
        yield "outcome", op, records.outcome_record(op, now, Outcome.DONE), None


def _calls(here: Ours) -> Iterator[Written]:
    permit = here.guard.toolbox(here.held, key=here.key).decide(here.payment)
    for kind, op, body, opening in _outcomes():
        yield "decision", op, *records.permit_record(permit, op, keep_arguments=False)
        yield kind, op, body, opening


def _fill(store: Store, written: Iterator[Written]) -> float:
    """Write these records to a new log with a head, as a guard does but many in a commit; the seconds."""
    connection, folder = open_store(store.where, durable=store.durable, state_dir=store.state)
    appender = open_log(connection, folder)
    start = time.perf_counter()
    while some := list(islice(written, _TOGETHER)):
        transaction = Transaction(connection)
        for one in some:
            run_steps(transaction, appender.append(*one))
        transaction.commit()
    seconds = time.perf_counter() - start
    appender.write_checkpoint(now=True)
    appender.close()
    connection.close()
    return seconds


def _proofs(logs: Logs, log: Log, count: int) -> dict[str, dict[str, float]]:
    order = random.Random(0)
    tiles = LogTiles(logs, log)
    root = merkle.root(log.size, tiles)

    def included() -> None:
        merkle.inclusion(order.randrange(log.size), log.size, tiles)

    def first() -> None:
        merkle.inclusion(order.randrange(log.size), log.size, LogTiles(logs, log))

    def grown() -> None:
        merkle.consistency(order.randrange(1, log.size), log.size, tiles)

    index = log.size // 3
    leaf = merkle.leaf_hash(logs.record(log, index).body)
    proof = merkle.inclusion(index, log.size, tiles)

    def checked() -> None:
        merkle.check_inclusion(leaf, index, log.size, proof, root)

    few = max(2, count // 20)
    return {
        "inclusion": _timed(included, count),
        "inclusion, the first": _timed(first, few),
        "consistency": _timed(grown, count),
        "inclusion, checked by who has it": _timed(checked, count),
    }


def _timed(call: Callable[[], None], count: int) -> dict[str, float]:
    found = []
    for _ in range(count):
        start = time.perf_counter_ns()
        call()
        found.append((time.perf_counter_ns() - start) / 1000)
    return Tail.of(found).rounded()


def _verified(here: Ours, stores: Stores, count: int) -> dict[str, Any]:
    """Seconds for the log in its store, and for an export of it that has the public key alone."""
    store = stores.fresh(NORMAL)
    _fill(store, islice(_calls(here), count))
    with Logs(store.where, state_dir=store.state) as logs:
        start = time.perf_counter()
        (checked,) = verifying.verify(logs)
        in_store = time.perf_counter() - start
        assert (checked.findings, checked.covered) == ([], count), f"the log is not right: {checked}"
        (log,) = logs.all()
        assert log.local is not None
        folder = Path(f"{store.state}.export")
        start = time.perf_counter()
        logs.export(log, folder)
        exported = time.perf_counter() - start
        start = time.perf_counter()
        assert export.check(folder, [log.local.verifier]).size == count
        offline = time.perf_counter() - start
    found = {"in its store": in_store, "an export, offline": offline, "to export it": exported}
    each = {name: round(one * 100_000 / count, 2) for name, one in found.items()}
    return {"records": count, "seconds_per_100000": each}
