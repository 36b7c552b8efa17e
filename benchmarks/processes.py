"""`Process`: another Python process that is told and answers in lines of JSON, ended by its id."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from .children import ROOT

_PATIENCE = 30.0  # seconds


class Process:
    """``python -m benchmarks.<module>``: its standard input and output."""

    def __init__(self, module: str) -> None:
        self._popen = subprocess.Popen(
            [sys.executable, "-m", f"benchmarks.{module}"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def tell(self, what: object) -> None:
        """Write one line."""
        assert self._popen.stdin is not None
        self._popen.stdin.write(json.dumps(what) + "\n")
        self._popen.stdin.flush()

    def hear(self) -> Any:
        """Read one line."""
        assert self._popen.stdout is not None
        line = self._popen.stdout.readline()
        if not line:
            raise ChildProcessError(f"{self._popen.args!r} has ended")
        return json.loads(line)

    def end(self) -> None:
        """It ends when its standard input does."""
        self._popen.terminate()
        try:
            self._popen.communicate(timeout=_PATIENCE)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            self._popen.communicate()


@contextmanager
def started(module: str, count: int, first: object) -> Iterator[list[Process]]:
    """So many processes, each told ``first`` and ready."""
    with ExitStack() as stack:
        found = []
        for _ in range(count):
            found.append(Process(module))
            stack.callback(found[-1].end)
        for some in (found[:1], found[1:]):  # the first one makes the store's tables
            for one in some:
                one.tell(first)
            for one in some:
                one.hear()
        yield found


def told() -> Any:
    """In such a process: the next line that it is told."""
    line = sys.stdin.readline()
    if not line:
        sys.exit()
    return json.loads(line)


def answer(what: object) -> None:
    """In such a process: say it."""
    print(json.dumps(what), flush=True)
