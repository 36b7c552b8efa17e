"""Follow a file of trusted keys, so that a rotated or removed root key reaches a guard that runs.

    async with guard.follow_trust("trust.json"):
        await serve()

1. The file is looked at twice a second, and read when it has changed: a new key is known, and a removed one
   refused, within a second, in open toolboxes too.
2. A file that cannot be read, is not a file of trusted keys, or names no key changes nothing: the last good
   trust stays, and the log says so, once for each fault.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import anyio
from anyio.abc import TaskGroup

from ..keys.trust import KINDS, Trust
from .settings import GuardSettings, log

__all__ = ["TrustFollower"]

INTERVAL = 0.5
"""Seconds between two looks at the file."""

_SETTLED = 2.0
"""Seconds after which a file that is written again has another time, on every file system."""


class TrustFollower:
    """Keeps a guard's trust as a file says, from entering the block until leaving it; for one use."""

    def __init__(self, settings: GuardSettings, path: Path) -> None:
        self._settings, self._path = settings, path
        self._seen: tuple[int, ...] | None = None  # which file was read, and when it was written
        self._fault = ""
        self._group: TaskGroup | None = None

    async def __aenter__(self) -> Self:
        self._read()
        self._group = anyio.create_task_group()
        await self._group.__aenter__()
        self._group.start_soon(self._follow)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._group is not None
        self._group.cancel_scope.cancel()
        await self._group.__aexit__(None, None, None)  # an error of the block passes as it is

    def look(self) -> None:
        """Read the file now if it has changed. May be called from a signal handler."""
        try:
            self._read()
        except ValueError as error:
            if str(error) != self._fault:
                log().error("the trusted keys stay as they were: %s", error)
            self._fault = str(error)
        else:
            self._fault = ""

    def _read(self) -> None:
        try:
            about = os.stat(self._path)
        except OSError as error:
            raise ValueError(f"{self._path}: the trusted keys cannot be read: {error.strerror}") from error
        seen = (about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns, about.st_ctime_ns)
        if seen == self._seen:
            return
        self._seen = None
        trust = Trust.load(self._path)
        if not (trust.without_id or any(getattr(trust, kind) for kind in KINDS)):
            raise ValueError(f"{self._path} names no key")
        if trust != self._settings.trust:
            self._settings.trust = trust
            log().warning("the trusted keys were read again from %s", self._path)
        if time.time() - about.st_mtime > _SETTLED:
            self._seen = seen

    async def _follow(self) -> None:
        while True:
            await anyio.sleep(INTERVAL)
            self.look()
