"""Count the work of a piece of code, in units that do not depend on the machine or on what else it does.

    with counted() as work:
        guard.decide(token, call)
    assert work.units < allowed

A *unit* is a line of Python that begins, in any module of any library (also each turn of a loop or of a
comprehension), or `PER_UNIT` bytes or elements that a method of a string, list, set or dict goes through.
Only this thread is counted.

Not seen: what a C function does with its arguments (a hash, the decoder of JSON), and operators on large
values (a slice, ``+``, ``in``). So a law in units is held against the processor's clock
where nothing else disturbs it: `benchmarks/units.py`, and the laws under ``HESSRA_SOAK``.
"""

from __future__ import annotations

import gc
import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any

__all__ = ["PER_MILLISECOND", "PER_UNIT", "Work", "counted", "timed"]

PER_MILLISECOND = 30_000
"""Units that take at most a millisecond on a machine of 2024; measured by `benchmarks/units.py`."""

PER_UNIT = 64
"""Bytes or elements of a value that one method goes through."""

_LINEAR = frozenset(
    [
        "copy",
        "count",
        "find",
        "index",
        "rfind",
        "encode",
        "decode",
        "split",
        "rsplit",
        "splitlines",
        "partition",
        "rpartition",
        "replace",
        "strip",
        "rstrip",
        "lstrip",
        "removesuffix",
        "removeprefix",
        "translate",
        "lower",
        "upper",
        "casefold",
        "isascii",
        "isprintable",
        "isalnum",
        "join",
        "sort",
        "extend",
        "update",
        "union",
        "intersection",
        "difference",
        "issubset",
        "issuperset",
        "isdisjoint",
        "hex",
        "format",
    ]
)
_PATTERN = 8
"""How much longer a regular expression takes for a character than a method that copies it."""

_SIZED = (str, bytes, bytearray, list, tuple, dict, set, frozenset)


@dataclass
class Work:
    """What was counted; complete when the block has ended."""

    lines: int = 0
    data: int = 0

    @property
    def units(self) -> int:
        """The work in units."""
        return self.lines + self.data // PER_UNIT

    @property
    def milliseconds(self) -> float:
        """The time that so many units take at most."""
        return self.units / PER_MILLISECOND


@contextmanager
def counted() -> Iterator[Work]:
    """Count what this thread does while the block runs."""
    work = Work()

    def trace(_: FrameType, event: str, __: object) -> Any:
        work.lines += event in ("line", "call")
        return trace

    def profile(frame: FrameType, event: str, function: Any) -> None:
        if event == "c_call" and function.__name__ in _LINEAR:
            owner = function.__self__
            if isinstance(owner, _SIZED):
                work.data += len(owner)
        elif event == "c_call" and isinstance(getattr(function, "__self__", None), re.Pattern):
            # which string it goes through is not told: the longest of those that are named here
            texts = [len(value) for value in frame.f_locals.values() if isinstance(value, (str, bytes))]
            work.data += _PATTERN * max(texts, default=0)

    tracing, profiling = sys.gettrace(), sys.getprofile()
    sys.settrace(trace)
    sys.setprofile(profile)
    try:
        yield work
    finally:
        sys.setprofile(profiling)
        sys.settrace(tracing)


def timed(run: Callable[[], object], times: int = 3) -> float:
    """Return the milliseconds of processor time that this thread takes for it, at best, uncollected."""
    taken = []
    collecting = gc.isenabled()
    gc.disable()
    try:
        for _ in range(times):
            began = time.thread_time()
            run()
            taken.append(time.thread_time() - began)
    finally:
        if collecting:
            gc.enable()
    return 1000 * min(taken)
