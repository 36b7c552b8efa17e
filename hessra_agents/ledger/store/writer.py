"""The thread that writes: every caller waits for its own commit, and one commit serves many callers.

A transaction is written once, as *steps*: a generator that yields statements by name and is sent their rows.
The writer takes what waits, runs it in one transaction, each under a savepoint of its own, commits, and only
then answers. Whoever has gone in the meantime is told so: what was written for it is undone.

Rules:

* Nobody waits longer than `DEADLINE`. Then the answer is ``unavailable``, and the store says later what was
  written: nothing, or a call that is permitted and did not run.
* A failed commit may have been a commit. What was in it is tried once more, told to look first.
* The queue is bounded: past `MOST_WAITING` a caller is refused at once.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar

import anyio
from anyio.lowlevel import current_token

from ...errors import Denied, Reason
from .connection import Steps, StoreConnection, StoreError, Transaction, run_steps, run_transaction
from .queue import QueuedTransaction, WaitGroup

__all__ = ["DEADLINE", "MOST_WAITING", "Writer"]

DEADLINE = 2.0
"""Seconds that a caller waits at most."""

MOST_WAITING = 4096
"""Transactions that wait at a time."""

LINGER = 0.1
"""Seconds that steps which nobody waits for are left to the next commit, at most."""

_MOST_TOGETHER = 512

T = TypeVar("T")

_log = logging.getLogger("hessra_agents")


class Writer:
    """Runs steps against one connection, in a thread of its own.

    ``between`` is called by that thread when nothing waits, and after every commit: it may run steps of its
    own. ``failed`` is told when a transaction is lost, before it is rolled back.
    """

    def __init__(
        self,
        connection: StoreConnection,
        *,
        poll: float,
        between: Callable[[Writer], None],
        failed: Callable[[], None],
    ) -> None:
        self._connection = connection
        self._poll = poll
        self._between = between
        self._failed = failed
        self._waiting: deque[QueuedTransaction[Any]] = deque()
        self._unsure: deque[QueuedTransaction[Any]] = deque(maxlen=MOST_WAITING)
        self._turns: dict[Any, WaitGroup] = {}  # of event loops that will wake the thread when they are over
        self._awaited = False
        self._down = False
        self._closing = False
        self._pid = os.getpid()
        self._thread = threading.Thread(target=self._work, name="hessra-ledger", daemon=True)
        self._thread.start()

    async def submit(
        self,
        steps: Callable[[bool], Steps[T]],
        *,
        locks: tuple[bytes, ...] = (),
        undo: Callable[[bool], Steps[Any]] | None = None,
    ) -> T:
        """Run steps and wait until they are committed.

        Args:
            steps: makes the generator; told whether an earlier try may have been committed.
            locks: names that no other transaction may hold meanwhile.
            undo: steps that take it back, if the caller has gone when it is committed.

        Raises:
            Denied: whatever the steps raise, or ``unavailable``.
            ValueError: likewise.
        """
        turn = self._turn()
        job = QueuedTransaction(steps, locks, undo, turn)
        self._put(job)
        try:
            await turn.until(job)
        except BaseException:
            if job.leave():
                self._undo(job)
            raise
        if not job.done:
            if job.leave():
                self._undo(job)
            raise Denied(Reason.UNAVAILABLE, detail="the ledger did not answer in time")
        if job.error is not None:
            raise job.error
        return job.result  # type: ignore[return-value]

    @property
    def notified(self) -> bool:
        """Whether the store has said since the last time that something was revoked."""
        return self._connection.notified()

    def submit_nowait(self, steps: Callable[[bool], Steps[Any]]) -> None:
        """Have steps run after what was submitted before, with the next commit, and do not wait.

        Raises:
            Denied: ``unavailable``; they will not run.
        """
        self._put(QueuedTransaction(steps))

    def _put(self, job: QueuedTransaction[Any]) -> None:
        if os.getpid() != self._pid:
            raise Denied(Reason.UNAVAILABLE, detail="the ledger was opened before a fork: open it again")
        if self._closing:
            raise Denied(Reason.UNAVAILABLE, detail="the ledger is closed")
        if len(self._waiting) >= MOST_WAITING:
            raise Denied(Reason.UNAVAILABLE, detail="too many calls wait for the ledger")
        self._waiting.append(job)

    def _turn(self) -> WaitGroup:
        """The loop's turn. When all who can submit now have, the thread is woken: one commit serves them.

        A thread that is woken by the first of them fights with the others for the interpreter.
        """
        native: Any = current_token().native_token
        turn = self._turns.get(native)
        if turn is None:
            turn = self._turns[native] = WaitGroup(native, DEADLINE)
            soon = getattr(native, "call_soon", None) or native.run_sync_soon
            soon(self._over, native)
        return turn

    def _over(self, native: Any) -> None:
        del self._turns[native]
        self._wake()

    def _wake(self) -> None:
        self._awaited = True
        self._connection.wake()

    def _undo(self, job: QueuedTransaction[Any]) -> None:
        if job.undo is not None:
            self._waiting.append(QueuedTransaction(job.undo))
            self._wake()

    def run(self, steps: Callable[[bool], Steps[T]]) -> T:
        """Run steps now, in a transaction of their own; for the writer's own thread, or before it works.

        Raises:
            StoreError: the store did not.
        """
        try:
            found = run_transaction(self._connection, steps(False))
        except BaseException:
            self._failed()
            raise
        self._is_up()
        return found

    async def aclose(self) -> None:
        """Write what waits, and end the thread."""
        self._closing = True
        if os.getpid() == self._pid:
            self._connection.wake()
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(self._thread.join, DEADLINE * 2)

    # --- the thread

    def _work(self) -> None:
        self._connection.fair = True
        try:
            while not self._closing or self._waiting:
                self._round()
        finally:
            self._closing = True
            self._connection.close()

    def _round(self) -> None:
        try:
            if not self._awaited and not self._closing:
                self._connection.wait(min(self._poll, LINGER))
            self._awaited = False
            jobs = self._next()
            # too many for one commit, or lost once: they do not linger
            self._awaited |= bool(self._waiting)
            if jobs:
                self._batch(jobs)
            self._between(self)
        except StoreError as error:
            self._is_down(error)
        except Exception:
            _log.exception("the ledger's writer failed")
            time.sleep(self._poll)

    def _next(self) -> list[QueuedTransaction[Any]]:
        jobs: list[QueuedTransaction[Any]] = []
        while self._waiting and len(jobs) < _MOST_TOGETHER:
            if self._waiting[0].again:
                # what was lost once is tried alone: one of them may be what the store refuses
                return jobs or [self._waiting.popleft()]
            jobs.append(self._waiting.popleft())
        return jobs

    def _is_down(self, error: StoreError) -> None:
        if not self._down:
            _log.warning("the ledger's store fails, calls are refused until it is back: %s", error)
        self._down = True

    def _is_up(self) -> None:
        if self._down:
            _log.warning("the ledger's store is back")
        self._down = False
        # what may have been written for callers that were refused
        self._awaited |= bool(self._unsure)
        self._waiting.extend(self._unsure)
        self._unsure.clear()

    def _batch(self, jobs: list[QueuedTransaction[Any]]) -> None:
        for job in jobs:
            if job.left and job.again:  # an earlier try may have been written
                self._undo(job)
        jobs = [job for job in jobs if not job.left]
        settled: list[tuple[QueuedTransaction[Any], Any, BaseException | None]] = []
        try:
            transaction = Transaction(self._connection, sorted({name for job in jobs for name in job.locks}))
            for job in jobs:
                settled.append((job, *_one(transaction, job)))
            transaction.commit()
        except StoreError as error:
            self._failed()
            self._connection.rollback()
            self._is_down(error)
            self._lost(jobs, error)
            return
        except BaseException:
            self._failed()
            self._connection.rollback()
            self._answer([(job, None, Denied(Reason.UNAVAILABLE)) for job in jobs])
            raise
        self._is_up()
        self._answer(settled)

    def _lost(self, jobs: list[QueuedTransaction[Any]], error: StoreError) -> None:
        """Try once more what was not tried twice."""
        once = [job for job in jobs if not job.again]
        gone = Denied(Reason.UNAVAILABLE, detail=f"the ledger's store failed: {error}")
        gone.__cause__ = error
        self._unsure.extend(QueuedTransaction(job.undo) for job in jobs if job.again and job.undo is not None)
        self._answer([(job, None, gone) for job in jobs if job.again])
        for job in once:
            job.again = True
        self._awaited = True
        self._waiting.extendleft(reversed(once))

    def _answer(self, settled: list[tuple[QueuedTransaction[Any], Any, BaseException | None]]) -> None:
        turns: dict[WaitGroup, None] = {}
        for job, result, error in settled:
            if job.turn is None:
                continue  # nobody waits for it
            if job.finish(result, error):
                turns[job.turn] = None
            elif error is None:
                self._undo(job)
        for turn in turns:
            turn.wake()


def _one(transaction: Transaction, job: QueuedTransaction[T]) -> tuple[T | None, BaseException | None]:
    """What became of a job; nothing of it is left if it is an error."""
    transaction.savepoint()
    try:
        return run_steps(transaction, job.steps(job.again)), None
    except (Denied, ValueError) as error:
        transaction.rollback_to_savepoint()
        return None, error
