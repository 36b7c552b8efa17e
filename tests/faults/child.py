"""A guard's process, to be killed: ``python -m tests.faults.child SOCKET``, which it is told and answers by.

It says what it has only once it has it. Its answers go through a socket and not a pipe or a file, so that a
fault in ``write`` or ``pwrite64`` meets the ledger alone.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import sqlite3
import sys
import time
import traceback
from typing import Any

import anyio

from hessra_agents import Call, Denied, Guard, Ledger, Trust
from hessra_agents.ledger import LedgerError, Outcome
from hessra_agents.ledger.store import opening, writer
from hessra_agents.ledger.store.sqlite import SQLite
from hessra_agents.verify.permit import Permit
from tests.support.ledgers import opened_ledger
from tests.support.processes import PATIENCE

CALL = Call.of("pay", {"amount": 1})


class Busy(SQLite):
    """Waits for the file as SQLite does by itself, without our queue."""

    def _connect(self) -> sqlite3.Connection:
        db = super()._connect()
        if self._gate >= 0:
            os.close(self._gate)
            self._gate = -1
            db.execute("pragma busy_timeout = 30000")
        return db


class Child:
    """Does what it is told, line by line."""

    def __init__(self, wire: socket.socket) -> None:
        self._wire = wire
        self._lines = wire.makefile("r")
        self._ledger: Ledger | None = None

    def hear(self) -> Any:
        line = self._lines.readline()
        return json.loads(line) if line else None

    def say(self, **what: Any) -> None:
        self._wire.sendall(json.dumps(what).encode() + b"\n")

    async def run(self) -> None:
        first = self.hear()
        self._trust, self._token, self._now = Trust.load(first["trust"]), first["token"], first["now"]
        if first["busy"]:
            opening.SQLite = Busy  # type: ignore[attr-defined]
        self.say(here=True)
        while (told := self.hear()) is not None:
            await getattr(self, told.pop("do"))(**told)

    async def open(self, where: str, state: str, durable: bool = True) -> None:
        """Open the ledger."""
        try:
            self._ledger = opened_ledger(where, state_dir=state, durable=durable)
        except LedgerError as error:
            self.say(refused=str(error))
        except BaseException:
            self.say(foreign=traceback.format_exc())
        else:
            guard = Guard(self._trust, audience="mail", ledger=self._ledger, clock=lambda: self._now)
            self._permit: Permit = guard.decide(self._token, CALL)
            self.say(opened=True)

    async def call(self, calls: int, callers: int = 1, stop: bool = False) -> None:
        """So many calls by each of so many callers; ``stop`` at the first that the limit refuses."""
        worst = 0.0

        async def caller() -> None:
            nonlocal worst
            for _ in range(calls):
                start = time.perf_counter()
                reason = await self._one(os.urandom(16))
                worst = max(worst, time.perf_counter() - start)
                if stop and reason == "spent":
                    return

        async with anyio.create_task_group() as group:
            for _ in range(callers):
                group.start_soon(caller)
        self.say(done=True, worst=worst)

    async def again(self, op: str) -> None:
        """The call that had this name, once more."""
        await self._one(bytes.fromhex(op))
        self.say(done=True)

    async def decide(self) -> None:
        """Decide a call and never make it."""
        await self._one(os.urandom(16), outcome=None)
        self.say(done=True)

    async def _one(self, op: bytes, outcome: Outcome | None = Outcome.DONE) -> str:
        assert self._ledger is not None
        try:
            await self._ledger.admit(self._permit, op)
            self.say(permitted=op.hex())
            if outcome is not None:
                self._ledger.record(self._permit, op, outcome)
        except Denied as denied:
            self.say(denied=str(denied.reason), op=op.hex())
            return str(denied.reason)
        except Exception:
            self.say(foreign=traceback.format_exc())
        return ""

    async def close(self) -> None:
        """Let go of the ledger."""
        if self._ledger is not None:
            await self._ledger.aclose()
        self.say(done=True)

    async def plain(self, where: str, most: int, calls: int) -> None:
        """The control: counted in a table, by whoever knows no transactions."""
        db = sqlite3.connect(where, isolation_level=None, timeout=30)
        for _ in range(calls):
            ((used,),) = db.execute("select used from plain").fetchall()
            if used >= most:
                break
            op = os.urandom(16).hex()
            self.say(permitted=op)
            db.execute("update plain set used = ?", (used + 1,))
            db.execute("insert into plain_op values (?)", (op,))
        self.say(done=True)


def main(wire: int) -> None:
    for name in ("hessra_agents", "asyncio"):
        logging.getLogger(name).addHandler(logging.NullHandler())
        logging.getLogger(name).propagate = False
    writer.DEADLINE = PATIENCE
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the tests
    anyio.run(Child(socket.socket(fileno=wire)).run)


if __name__ == "__main__":
    main(int(sys.argv[1]))
