"""Which values of the tables do not stand in the prompt word for word: what a reviewer should look at.

They are dates and times that the prompt says in other words, and flags. None is taken from a result.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import Any

from . import world
from .ladder import Schema
from .plans import Suite, Task

__all__ = ["derived"]


def derived(suite: Suite, schema: Schema) -> list[str]:
    """Pinned values that are neither in the prompt nor the tool's default, with task and argument."""
    found = []
    for number, task in suite.tasks.items():
        prompt = _plain(world.suite_of(suite.name).user_tasks[f"user_task_{number}"].PROMPT)
        for tool, name, value in _pinned(task, schema):
            if not _stands(value, prompt):
                found.append(f"{suite.name} {number}: {tool}.{name} = {value!r}")
    return list(dict.fromkeys(found))


def _pinned(task: Task, schema: Schema) -> Iterator[tuple[str, str, Any]]:
    for step in task.steps:
        for name, value in step.args.items():
            if value == schema[step.tool][name]:
                continue
            for leaf in value if isinstance(value, list) else [value]:
                if isinstance(leaf, str | int | float):
                    yield step.tool, name, leaf


def _stands(value: str | float, prompt: str) -> bool:
    if isinstance(value, bool):
        return False
    if isinstance(value, str):
        return _plain(value) in prompt
    numbers = [float(one) for one in re.findall(r"\d+(?:\.\d+)?", prompt)]
    return float(value) in numbers


def _plain(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).lower().split())
