"""Share a guard's threads, in which plain functions run, between agents.

A call of a plain function takes a `ThreadPlace` before the ledger admits it, so what waits has used up
nothing. One agent gets at most half of the places and half of the queue; a place that is given back goes to
the waiting agent that has the fewest. The thread gives the place back when it ends, whatever became of the
call. All toolboxes and event loops that use the guard share its places.

What a plain function calls in its turn never waits for the place of that function: where no other is free, it
runs in a place that its caller lends, one call at a time.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable, Hashable
from contextvars import ContextVar
from functools import partial
from typing import Any, TypeVar

import anyio
from anyio import to_thread
from anyio.lowlevel import checkpoint_if_cancelled, current_token

from ..cancellation import run_to_end
from ..errors import Denied, Reason

__all__ = ["MAX_WAITING", "THREADS", "ThreadPlace", "ToolThreads"]

THREADS = 40
"""Plain functions that run at a time, unless a guard says otherwise."""

MAX_WAITING = 1000
"""Calls of plain functions that wait for a place."""

T = TypeVar("T")


class ToolThreads:
    """The places of one guard.

    Args:
        places: plain functions that may run at a time.

    Raises:
        ValueError: there would be no place.
    """

    def __init__(self, places: int = THREADS) -> None:
        if type(places) is not int or places < 1:
            raise ValueError("a guard needs at least one thread for plain functions")
        self._free = places
        self._share = max(1, places // 2)
        self._lock = threading.Lock()
        self._running: Counter[Hashable] = Counter()
        self._waiting: dict[Hashable, deque[ThreadPlace]] = {}
        self._left: deque[ThreadPlace] = deque()

    def request(self, agent: Hashable) -> ThreadPlace:
        """Return a place for a call of this agent: a free one, or one to `ThreadPlace.wait` for.

        Raises:
            Denied: ``unavailable``: too many calls wait already.
        """
        try:
            with self._lock:
                return self._request(agent)
        finally:
            self._settle()

    def _request(self, agent: Hashable) -> ThreadPlace:
        place = ThreadPlace(self, agent)
        if self._free and self._running[agent] < self._share:
            self._take(place)
            return place
        caller = _caller.get()
        if caller is not None and caller.lent is not self and not caller.ended:
            return caller.lent.request(agent)
        waiting = sum(map(len, self._waiting.values()))
        own = len(self._waiting.get(agent, ()))
        if waiting >= MAX_WAITING or own >= MAX_WAITING // 2:
            running = self._running.total()
            text = f"{running} calls of plain functions run and {waiting} wait: make the call again later"
            raise Denied(Reason.UNAVAILABLE, text)
        self._waiting.setdefault(agent, deque()).append(place)
        return place

    def leave(self, place: ThreadPlace) -> None:
        """Take back a place, or the wait for it; only for `ThreadPlace`. May be called from any thread."""
        self._left.append(place)
        self._settle()

    def _settle(self) -> None:
        """Take back the places that were left, or leave that to the thread that holds the lock.

        That may be this thread: the garbage collector ends an abandoned call wherever it is.
        """
        while self._left and self._lock.acquire(blocking=False):
            try:
                while self._left:
                    self._take_back(self._left.popleft())
            finally:
                self._lock.release()

    def _take_back(self, place: ThreadPlace) -> None:
        if not place.granted:
            self._waiting[place.agent].remove(place)
            if not self._waiting[place.agent]:
                del self._waiting[place.agent]
            return
        self._put_back(place)
        while self._free and (agent := self._next()) is not None:
            queue = self._waiting.pop(agent)
            first = queue.popleft()
            if queue:
                self._waiting[agent] = queue  # behind the others
            self._take(first)
            if not first.wake():
                self._put_back(first)

    def _next(self) -> Hashable | None:
        """Return the waiting agent that has the fewest places, and has not its share."""
        agents = [agent for agent in self._waiting if self._running[agent] < self._share]
        return min(agents, key=lambda agent: self._running[agent], default=None)

    def _take(self, place: ThreadPlace) -> None:
        place.granted = True
        self._free -= 1
        self._running[place.agent] += 1

    def _put_back(self, place: ThreadPlace) -> None:
        self._free += 1
        self._running[place.agent] -= 1
        if not self._running[place.agent]:
            del self._running[place.agent]


class ThreadPlace:
    """A place in which one call can run, once."""

    __slots__ = ("_claim", "_ended", "_loop", "_threads", "_turn", "agent", "granted", "lent")

    def __init__(self, threads: ToolThreads, agent: Hashable) -> None:
        self._threads = threads
        self._claim = threading.Lock()  # taken by the thread that begins, or by a caller that leaves before
        self._ended = threading.Event()
        self._loop: Any = current_token().native_token
        self._turn = anyio.Event()
        self.agent = agent
        self.granted = False
        """Whether the place is there; if not, the call must `wait`."""
        self.lent: ToolThreads
        """The one place for what the function calls; there once it runs."""

    @property
    def ended(self) -> bool:
        """Whether the function has ended, or will not begin."""
        return self._ended.is_set()

    async def wait(self) -> None:
        """Wait for the place; a caller that is cancelled leaves the queue."""
        try:
            await self._turn.wait()
        except BaseException:
            self.give_back()
            raise

    def wake(self) -> bool:
        """End the wait, from any thread.

        Returns:
            False if the caller's event loop has ended, so that nobody else will give the place back.
        """
        soon = getattr(self._loop, "call_soon_threadsafe", None) or self._loop.run_sync_soon
        try:
            soon(self._turn.set)
        except RuntimeError:
            return not self._claim.acquire(blocking=False)
        return True

    def give_back(self) -> None:
        """Give the place back, unless a thread has begun, which does so itself; twice is fine."""
        if self._claim.acquire(blocking=False):
            self._ended.set()
            self._threads.leave(self)

    async def run(self, function: Callable[[], T]) -> T:
        """Run a function in the thread, and return what it returns.

        A cancellation is raised when the thread has ended; one that comes before the thread has begun is
        raised without the function being called.
        """
        try:
            await checkpoint_if_cancelled()
            work = partial(to_thread.run_sync, self._in_thread, function, limiter=anyio.CapacityLimiter(1))
            return await run_to_end(work, on_cancel=self.give_back)
        except anyio.get_cancelled_exc_class():
            self.give_back()
            if not self._ended.is_set():
                # the event loop ends, and has cancelled what waited for the thread
                await run_to_end(partial(to_thread.run_sync, self._ended.wait))
            raise
        finally:
            self.give_back()

    def _in_thread(self, function: Callable[[], T]) -> T:
        if not self._claim.acquire(blocking=False):
            raise RuntimeError("the caller had gone")  # whose cancellation counts for more
        self.lent = ToolThreads(1)
        _caller.set(self)  # in the thread's own copy of the context, which its event loops and tasks copy
        try:
            return function()
        finally:
            self._ended.set()
            self._threads.leave(self)


_caller: ContextVar[ThreadPlace | None] = ContextVar("hessra_agents_caller", default=None)
"""The place of the plain function that makes a call, however indirectly."""
