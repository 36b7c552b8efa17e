"""What must hold of a store after any fault."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from hessra_agents.ledger.log.reader import Logs
from hessra_agents.ledger.log.verify import verify
from hessra_agents.tlog.merkle import leaf_hash
from tests.faults.workers import Scene
from tests.support.ledgers import opened_ledger
from tests.support.log_world import plain_root


@dataclass(frozen=True, slots=True)
class Left:
    """What a store has of the calls of a scene."""

    decided: set[str]
    outcomes: set[str]
    used: int


def left(scene: Scene) -> Left:
    """Read as by somebody who knows SQLite alone."""
    db = sqlite3.connect(scene.where)
    try:
        ops: dict[str, set[str]] = defaultdict(set)
        for op, kind in db.execute("select op, kind from entry"):
            ops[kind].add(op.hex())
        ((used,),) = db.execute("select coalesce(sum(amount), 0) from used")
    finally:
        db.close()
    return Left(ops["decision"], ops["outcome"], used)


def check(scene: Scene, permitted: Iterable[str]) -> Left:
    """Nothing acknowledged is lost, each is charged once, none over the limit; the logs are whole."""
    check_logs(scene)
    found = left(scene)
    assert set(permitted) <= found.decided, "what was acknowledged is lost"
    assert found.used == len(found.decided), "what is charged is what is recorded"
    assert found.used <= scene.most, "more is used than the limit"
    assert found.outcomes <= found.decided
    return found


def check_logs(scene: Scene) -> None:
    """Each log's tree is that of its records; its head covers the first of them, as RFC 6962 counts."""
    with Logs(scene.where, state_dir=scene.state) as logs:
        assert [text for one in verify(logs) for text in one.findings] == []
        for log in logs.all():
            leaves = [leaf_hash(record.body) for record in logs.records(log)]
            assert len(leaves) == log.size
            if log.checkpoint is not None:
                assert plain_root(leaves[: log.checkpoint.size]) == log.checkpoint.root


async def opens(scene: Scene) -> None:
    """The ledger opens and closes."""
    await opened_ledger(scene.where, state_dir=scene.state).aclose()
