"""Calls of the system that fail: strace attaches to a process, and has its n-th call of a kind fail."""

from __future__ import annotations

import re
import signal
import subprocess
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.support.processes import PATIENCE, state


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens at which calls: ``Fault("pwrite64", "error=EIO", "3")``, "3+" for all from the third."""

    call: str
    what: str
    when: str

    @property
    def arguments(self) -> list[str]:
        return [f"--trace={self.call}", f"--inject={self.call}:{self.what}:when={self.when}"]


class Trace:
    """What strace saw, once it has ended."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def injected(self) -> int:
        """How many calls failed, or killed."""
        text = self._path.read_text("utf-8", "replace")
        return text.count("(INJECTED)") + text.count("+++ killed by SIGKILL +++")

    def places(self, folder: Path) -> dict[str, list[int]]:
        """The calls on files of a folder: of each kind, which of those that a thread made."""
        seen: Counter[tuple[str, str]] = Counter()
        found: defaultdict[str, set[int]] = defaultdict(set)
        for line in self._path.read_text("utf-8", "replace").splitlines():
            match = re.match(r"(\d+) +(\w+)\(", line)
            if match:
                seen[match[1], match[2]] += 1
                if str(folder) in line:
                    found[match[2]].add(seen[match[1], match[2]])
        return {name: sorted(places) for name, places in found.items()}


@contextmanager
def traced(pid: int, out: Path, *arguments: str) -> Iterator[Trace]:
    """Inside of the block, strace holds the process and all its threads.

    Raises:
        RuntimeError: tracing is not allowed here, and the tests cannot tell what they claim.
    """
    tracer = subprocess.Popen(
        ["strace", "-f", "-o", str(out), "-p", str(pid), *arguments],
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert tracer.stderr is not None
    try:
        said = tracer.stderr.readline()
        if "attached" not in said:
            raise RuntimeError(f"strace cannot trace here: {said}")
        yield Trace(out)
    finally:
        start = time.monotonic()
        while tracer.poll() is None:  # it may not hear of a signal, or wait for a thread that was killed
            seconds = 0.3 if state(pid)[0] in "XZ" else PATIENCE / 2
            tracer.send_signal(signal.SIGINT if time.monotonic() < start + seconds else signal.SIGKILL)
            with suppress(subprocess.TimeoutExpired):
                tracer.wait(0.1)
        tracer.stderr.close()
