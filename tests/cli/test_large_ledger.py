"""A command costs the same however long the logs are: what is read is counted, and not timed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from hessra_agents.cli import main
from hessra_agents.ledger import Outcome
from hessra_agents.ledger.log.appender import LogAppender
from hessra_agents.ledger.log.reader import Logs
from hessra_agents.ledger.model import new_operation_id
from hessra_agents.ledger.opened import open_checked
from hessra_agents.ledger.records import outcome_record
from hessra_agents.ledger.store.connection import Row, Steps, run_transaction
from hessra_agents.ledger.store.opening import store_at
from hessra_agents.ledger.store.sqlite import SQLite

COMMANDS = [
    "revoke --subject agent:{n} --yes",
    "revocations",
    "approvals",
    "log list",
    "log tail",
    "log checkpoints",
    "log show {log} 500",
    "log prove {log} 500",
    "log search --limit 10",
]
RECORDS = (2_000, 100_000)
ROWS = 4 * 256
"""Rows that a command may read more of a long log: the tiles of its right edge, on two levels."""

BYTES = 2 << 20
"""Bytes that a command may read more; the records are sixty million."""


def written(where: Path, count: int) -> Path:
    """A ledger whose log has that many records, which its process has signed for."""
    connection, folder = store_at(where, durable=False)
    _, appender, _ = open_checked(connection, folder)
    with closing(connection), closing(appender):
        for _ in range(0, count, 10_000):
            run_transaction(connection, calls(appender, min(count, 10_000) // 2))
    return where


def calls(appender: LogAppender, count: int) -> Steps[None]:
    """The records of so many calls, as long as those of a guard."""
    for _ in range(count):
        op = new_operation_id()
        body = f'{{"at":1,"detail":"{"x" * 500}","kind":"decision","op":"{op.hex()}","verdict":"permitted"}}'
        yield from appender.append("decision", op, body.encode(), None)
        yield from appender.append("outcome", op, outcome_record(op, 2, Outcome.DONE), None)


@dataclass
class Read:
    """What was read: rows of the store, and bytes of any file (proc(5), rchar)."""

    rows: int = 0
    bytes: int = 0


@contextmanager
def counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[Read]:
    """Count what is read until the end of the block."""
    read, real = Read(-0, -bytes_read()), SQLite.execute

    def execute(self: SQLite, statement: str, values: tuple[Any, ...]) -> list[Row]:
        found = real(self, statement, values)
        read.rows += len(found)
        return found

    with monkeypatch.context() as patch:
        patch.setattr(SQLite, "execute", execute)
        yield read
    read.bytes += bytes_read()


def bytes_read() -> int:
    return int(Path("/proc/self/io").read_text().split()[1])


@pytest.fixture(scope="module")
def ledgers(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("large")
    return [written(folder / f"{count}.db", count) for count in RECORDS]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_reads_no_more_of_a_long_log_than_of_a_short_one(
    command: str, ledgers: list[Path], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    found = []
    for n, where in enumerate([ledgers[0], *ledgers]):  # the first time only loads modules
        with Logs(where) as logs:
            (log,) = logs.all()
        line = command.format(n=f"{n}-{os.getpid()}", log=log.origin).split()
        with counted(monkeypatch) as read:
            assert main([*line, "--ledger", str(where)]) in (0, 1)
        found.append(read)
    _, short, long = found
    assert long.rows < short.rows + ROWS, (short, long)
    assert long.bytes < short.bytes + BYTES, (short, long)
    assert "failed" not in capfd.readouterr().err


def test_the_control_a_command_that_reads_a_whole_log_is_noticed(
    ledgers: list[Path], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with counted(monkeypatch) as read:
        assert main(["log", "verify", "--ledger", str(ledgers[1])]) == 0
    assert read.rows > RECORDS[1]
    assert read.bytes > BYTES
