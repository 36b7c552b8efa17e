"""Finish work before a cancellation of its caller is raised, whichever kind of cancellation it is.

anyio's shield holds off the scopes of anyio and trio. asyncio's own ways to cancel (``Task.cancel``, and with
it ``asyncio.timeout`` and ``asyncio.wait_for``) go through a shield, and end whatever the task waits for.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar

import anyio
from anyio.lowlevel import checkpoint_if_cancelled, current_token

if TYPE_CHECKING:
    import asyncio

__all__ = ["is_cancelled", "run_to_end"]

T = TypeVar("T")


async def run_to_end(
    work: Callable[[], Awaitable[T]], *, on_cancel: Callable[[], object] = lambda: None
) -> T:
    """Run work to its end and return its result; raise a cancellation that comes meanwhile only then.

    A cancellation counts for more than the result or the exception of the work. Not protected: an event loop
    of asyncio that ends cancels the work itself.

    Args:
        work: called once; on asyncio it runs as a task of its own.
        on_cancel: called as soon as asyncio cancels the caller, while the work goes on.
    """
    create_task = getattr(current_token().native_token, "create_task", None)
    try:
        with anyio.CancelScope(shield=True):
            result = await (work() if create_task is None else _outlast(create_task(work()), on_cancel))
    except Exception:
        await checkpoint_if_cancelled()
        raise
    await checkpoint_if_cancelled()
    return result


async def _outlast(task: asyncio.Task[T], on_cancel: Callable[[], object]) -> T:
    import asyncio  # loaded already, since this runs on it

    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as error:
            cancelled = error
            on_cancel()
    if cancelled is None:
        return task.result()
    if not task.cancelled():
        task.exception()  # else asyncio would report that nobody has seen it
    raise cancelled


def is_cancelled() -> bool:
    """Return whether the task that asks is being cancelled, by a scope or by asyncio itself."""
    if anyio.current_effective_deadline() == -math.inf:
        return True
    if not hasattr(current_token().native_token, "create_task"):
        return False
    import asyncio  # loaded already, since this runs on it

    task: asyncio.Task[Any] | None = asyncio.current_task()
    return task is not None and task.cancelling() > 0
