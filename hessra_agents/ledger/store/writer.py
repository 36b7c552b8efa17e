"""The thread that writes to a store. Every caller waits for its commit, and one commit serves many callers.

The writer runs all waiting steps in one transaction, each under a savepoint of its own, commits, and only
then answers. If a caller has left in the meantime, what was written for it is undone.

* No caller waits longer than `DEADLINE`. Then the answer is ``unavailable``, and the store shows later what
  was written: nothing, or a call that was permitted and did not run.
* A commit that fails may still have committed. Its steps are tried once more, and told to look first.
* The queue is bounded: past `MAX_WAITING`, callers are refused at once.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import anyio
from anyio.lowlevel import current_token

from ...cancellation import run_to_end
from ...errors import Denied, Reason
from ..model import LedgerError
from .connection import Steps, StoreConnection, StoreError, Transaction, run_steps, run_transaction
from .queue import QueuedTransaction, WaitGroup

__all__ = ["DEADLINE", "MAX_WAITING", "Writer"]

DEADLINE = 2.0
"""The most seconds that a caller waits."""

MAX_WAITING = 4096
"""The most transactions that wait at a time."""

LINGER = 0.1
"""The most seconds until steps that nobody waits for are committed."""

_MAX_TOGETHER = 512

T = TypeVar("T")

_log = logging.getLogger("hessra_agents")


class Writer:
    """Runs steps against one connection, in a thread of its own.

    That thread calls ``on_idle`` when nothing waits, and after every commit; it may `run` steps of its own.
    It calls ``on_rollback`` when a transaction fails, before it is rolled back, and ``on_close`` last of all,
    before it closes the connection.
    """

    def __init__(
        self,
        connection: StoreConnection,
        on_idle: Callable[[Writer], None],
        on_rollback: Callable[[], None],
        on_close: Callable[[], None],
    ) -> None:
        self._connection = connection
        self._on_idle = on_idle
        self._on_rollback = on_rollback
        self._on_close = on_close
        self._waiting: deque[QueuedTransaction[Any]] = deque()
        self._undos: deque[QueuedTransaction[Any]] = deque(maxlen=MAX_WAITING)
        self._groups: dict[Any, WaitGroup] = {}  # by event loop; each wakes the thread when its turn is over
        self._urgent = False  # whether the thread must not wait
        self.linger = LINGER
        """Seconds until ``on_idle`` is called again, if nothing comes."""
        self._down = False
        self._failure = ""  # the last that was logged
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
            steps: returns the generator; its argument says whether an earlier try may have been committed.
            locks: names that no other transaction may hold meanwhile.
            undo: steps that undo these, if the caller has left when they are committed.

        Raises:
            Denied: ``unavailable``, or as the steps raise.
            ValueError: as the steps raise.
        """
        group = self._group()
        job = QueuedTransaction(steps, locks, undo, group)
        self._put(job)
        try:
            await group.until(job)
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
        """Whether the store has notified of a revocation since the last look."""
        return self._connection.notified()

    def submit_nowait(self, steps: Callable[[bool], Steps[Any]]) -> None:
        """Queue steps for the next commit, after those submitted before, and do not wait.

        Raises:
            Denied: ``unavailable``: they will not run.
        """
        self._put(QueuedTransaction(steps))

    def _put(self, job: QueuedTransaction[Any]) -> None:
        if os.getpid() != self._pid:
            raise Denied(Reason.UNAVAILABLE, detail="the ledger was opened before a fork: open it again")
        if self._closing:
            raise Denied(Reason.UNAVAILABLE, detail="the ledger is closed")
        if len(self._waiting) >= MAX_WAITING:
            raise Denied(Reason.UNAVAILABLE, detail="too many calls wait for the ledger")
        self._waiting.append(job)

    def _group(self) -> WaitGroup:
        """Return the group of this turn of the event loop, at whose end the thread is woken.

        So one commit serves all that submit in the turn. A thread that the first of them woke would compete
        with the others for the interpreter.
        """
        native: Any = current_token().native_token
        group = self._groups.get(native)
        if group is None:
            group = self._groups[native] = WaitGroup(native, DEADLINE)
            soon = getattr(native, "call_soon", None) or native.run_sync_soon
            soon(self._end_turn, native)
        return group

    def _end_turn(self, native: Any) -> None:
        del self._groups[native]
        self._wake()

    def _wake(self) -> None:
        self._urgent = True
        self._connection.wake()

    def _undo(self, job: QueuedTransaction[Any]) -> None:
        if job.undo is not None:
            self._waiting.append(QueuedTransaction(job.undo))
            self._wake()

    def run(self, steps: Callable[[bool], Steps[T]]) -> T:
        """Run steps at once, in a transaction of their own; only for the writer's thread.

        Raises:
            StoreError: the store failed.
        """
        try:
            found = run_transaction(self._connection, steps(False))
        except BaseException:
            self._on_rollback()
            raise
        self._is_up()
        return found

    async def aclose(self) -> None:
        """Write what is waiting, and end the thread."""
        self._closing = True
        if os.getpid() == self._pid:
            self._connection.wake()
            await run_to_end(partial(anyio.to_thread.run_sync, self._thread.join, DEADLINE * 2))

    # --- in the thread

    def _work(self) -> None:
        self._connection.serving = True
        try:
            while not self._closing or self._waiting:
                self._round()
        finally:
            self._closing = True
            try:
                self._on_close()
            except StoreError as error:
                self._is_down(error)
            finally:
                self._connection.close()

    def _round(self) -> None:
        try:
            if not self._urgent and not self._closing:
                self._connection.wait(min(self._connection.poll, self.linger))
            self._urgent = False  # whether the thread must not wait
            jobs = self._next()
            # jobs that are left over, or failed once, do not wait
            self._urgent |= bool(self._waiting)
            if jobs:
                self._batch(jobs)
            self._on_idle(self)
        except StoreError as error:
            self._is_down(error)
        except Exception as error:
            if repr(error) != self._failure:  # once, and not as often as it is tried again
                self._failure = repr(error)
                shown = None if isinstance(error, LedgerError) else error  # its text says what to do
                _log.error("the ledger fails; calls are refused: %s", error, exc_info=shown)
            time.sleep(self._connection.poll)

    def _next(self) -> list[QueuedTransaction[Any]]:
        jobs: list[QueuedTransaction[Any]] = []
        while self._waiting and len(jobs) < _MAX_TOGETHER:
            if self._waiting[0].again:
                # a job that failed once is tried alone: it may be what the store refuses
                return jobs or [self._waiting.popleft()]
            jobs.append(self._waiting.popleft())
        return jobs

    def _is_down(self, error: StoreError) -> None:
        if not self._down:
            _log.warning("the ledger's store fails; calls are refused until it is back: %s", error)
        self._down = True

    def _is_up(self) -> None:
        if self._down:
            _log.warning("the ledger's store is back")
        self._down = False
        # undo what may have been written for callers that were refused
        self._urgent |= bool(self._undos)
        self._waiting.extend(self._undos)
        self._undos.clear()

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
            self._on_rollback()
            self._connection.rollback()
            self._is_down(error)
            self._lost(jobs, error)
            return
        except BaseException as error:
            self._on_rollback()
            self._connection.rollback()
            detail = str(error) if isinstance(error, LedgerError) else ""
            self._answer([(job, None, Denied(Reason.UNAVAILABLE, detail=detail)) for job in jobs])
            raise
        self._is_up()
        self._answer(settled)

    def _lost(self, jobs: list[QueuedTransaction[Any]], error: StoreError) -> None:
        """Try once more the jobs that were tried once; refuse the others."""
        once = [job for job in jobs if not job.again]
        gone = Denied(Reason.UNAVAILABLE, detail=f"the ledger's store failed: {error}")
        gone.__cause__ = error
        self._undos.extend(QueuedTransaction(job.undo) for job in jobs if job.again and job.undo is not None)
        self._answer([(job, None, gone) for job in jobs if job.again])
        for job in once:
            job.again = True
        self._urgent = True
        self._waiting.extendleft(reversed(once))

    def _answer(self, settled: list[tuple[QueuedTransaction[Any], Any, BaseException | None]]) -> None:
        groups: dict[WaitGroup, None] = {}
        for job, result, error in settled:
            if job.group is None:
                continue  # nobody waits for it
            if job.finish(result, error):
                groups[job.group] = None
            elif error is None:
                self._undo(job)
        for group in groups:
            group.wake()


def _one(transaction: Transaction, job: QueuedTransaction[T]) -> tuple[T | None, BaseException | None]:
    """Run a job, and return its result or its error; after an error, nothing of it is left."""
    transaction.savepoint()
    try:
        return run_steps(transaction, job.steps(job.again)), None
    except (Denied, ValueError) as error:
        transaction.rollback_to_savepoint()
        return None, error
