"""Where tests keep their files: in memory, if there is room, because SQLite and PostgreSQL sync every commit.

A process that is killed there leaves what it would leave on a disk. What only a disk shows, such as the calls
of the system that write to it, is tested in a folder on one.
"""

from __future__ import annotations

import os
import shutil
import tempfile

MEMORY = "/dev/shm"
ROOM = 2 << 30
"""Bytes: a server with a hundred databases takes less than half of it."""


def light() -> str:
    """A folder in which to sync costs nothing, or else the system's own for temporary files."""
    usable = os.access(MEMORY, os.W_OK | os.X_OK) and shutil.disk_usage(MEMORY).free > ROOM
    return MEMORY if usable else tempfile.gettempdir()
