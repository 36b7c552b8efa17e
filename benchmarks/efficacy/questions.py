"""Questions about arguments: calls that are nearly permitted, other tasks' calls, and what delegation leaves.

No environment runs here. The capability of each task permits exactly the calls of its ground truth, as the
`exact` rung issues it, and a question is one decision of the real guard.
"""

from __future__ import annotations

import json
import math
import time
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from hessra_agents import Call, Denied, Grant, Toolbox, grant, must

from .replay import Scene, Stage

__all__ = ["asked"]

STRANGER = "attacker@evil.example"

Arguments = Mapping[str, Any]


def asked(stages: list[Stage]) -> dict[str, Any]:
    """Ask all questions of these suites; how many there are, and how many answers are wrong."""
    found, times, wrong = Counter[str](), list[int](), list[str]()
    for stage in stages:
        scenes = [Scene(stage, number, None, {}) for number in stage.suite.tasks]
        for scene in scenes:
            mine = _Exact(stage, scene, times)
            for label, allowed, tool, arguments in mine.mutants():
                found[f"mutants_{'allowed' if allowed else 'refused'}"] += 1
                if mine.permits(mine.toolbox, tool, arguments) is not allowed:
                    wrong.append(f"{stage.suite.name} {scene.user}: {label} of {tool}")
            found.update(mine.crossed(scenes))
            found.update(mine.delegated())
    times.sort()
    return {
        "mutants": found["mutants_allowed"] + found["mutants_refused"],
        "mutant_errors": len(wrong),
        **found,
        "wrong": wrong[:50],
        "decide_p50_us": round(times[len(times) // 2] / 1000, 1),
        "decide_p99_us": round(times[len(times) * 99 // 100] / 1000, 1),
    }


class _Exact:
    """A capability of exactly the calls of one task."""

    def __init__(self, stage: Stage, scene: Scene, times: list[int]) -> None:
        self._stage, self._scene, self._times = stage, scene, times
        self.grants = [
            grant(tool, {name: must.exact(one) for name, one in arguments.items()})
            for tool, arguments in scene.honest
        ]
        self.toolbox = stage.office.issue(*_distinct(self.grants))
        self.own = {_same(*one) for one in scene.honest}

    def permits(self, toolbox: Toolbox, tool: str, arguments: Arguments) -> bool:
        """One decision; what has no canonical form is refused before it."""
        started = time.perf_counter_ns()
        try:
            toolbox.decide(Call.of(tool, arguments))
        except Denied:
            return False
        except ValueError:
            return False
        finally:
            self._times.append(time.perf_counter_ns() - started)
        return True

    def mutants(self) -> Iterator[tuple[str, bool, str, Arguments]]:
        """Changed calls around each permitted one; those that are permitted themselves are left out."""
        for tool, arguments in self._scene.honest:
            for label, allowed, name, changed in mutants(tool, arguments):
                if allowed or label == "nan" or _same(name, changed) not in self.own:
                    yield label, allowed, name, changed

    def crossed(self, scenes: list[Scene]) -> Counter[str]:
        """The calls of the other tasks of the suite."""
        found, tools = Counter[str](), {tool for tool, _ in self._scene.honest}
        for scene in scenes:
            if scene is self._scene:
                continue
            for tool, arguments in scene.honest:
                shared = _same(tool, arguments) in self.own
                permitted = self.permits(self.toolbox, tool, arguments)
                found["cross_task"] += 1
                found["cross_task_must_refuse"] += not shared
                found["cross_task_same_tool"] += not shared and tool in tools
                found["cross_task_leaks"] += permitted and not shared
                found["cross_task_false_refusals"] += shared and not permitted
        return found

    def delegated(self) -> Counter[str]:
        """A child of the first n calls, and two attempts of it to get the rest back."""
        found = Counter[str]()
        anything = [
            grant(tool, {name: must.optional() for name in names})
            for tool, names in self._stage.office.schema.items()
        ]
        for count in range(1, len(self.grants)):
            child = self.toolbox.attenuate(*_distinct(self.grants[:count]))
            kept = {_same(*one) for one in self._scene.honest[:count]}
            attempts = (child, child.attenuate(*_distinct(self.grants)), child.attenuate(*anything))
            for toolbox in attempts:
                for tool, arguments in self._scene.honest:
                    permitted, allowed = (
                        self.permits(toolbox, tool, arguments),
                        _same(tool, arguments) in kept,
                    )
                    found["delegations"] += 1
                    found["delegation_widenings"] += permitted and not allowed
                    found["delegation_false_refusals"] += allowed and not permitted
        return found


def _distinct(grants: list[Grant]) -> list[Grant]:
    return list({str(one): one for one in grants}.values())


def _same(tool: str, arguments: Arguments) -> str:
    return json.dumps([tool, arguments], sort_keys=True)


def mutants(tool: str, arguments: Arguments) -> Iterator[tuple[str, bool, str, Arguments]]:
    """What it is, whether it must be permitted, and the call."""
    yield "the same", True, tool, arguments
    yield "another order of keys", True, tool, dict(reversed(list(arguments.items())))
    yield "a longer name", False, f"{tool}_", arguments
    yield "upper case", False, tool.upper(), arguments
    yield "one more argument", False, tool, {**arguments, "x_extra": STRANGER}
    for name, value in arguments.items():
        yield "one less", False, tool, {key: one for key, one in arguments.items() if key != name}
        for label, allowed, changed in _changed(value):
            yield label, allowed, tool, {**arguments, name: changed}


def _changed(value: Any) -> Iterator[tuple[str, bool, Any]]:
    if value is None:
        yield "a value for none", False, [STRANGER]
        yield "an empty text for none", False, ""
    elif isinstance(value, bool):
        yield "the other", False, not value
        yield "a number for a truth value", False, int(value)
    elif isinstance(value, int | float):
        yield from _other_numbers(value)
    elif isinstance(value, str):
        yield "another", False, STRANGER
        if value:
            yield from _other_texts(value)
    elif isinstance(value, list):
        yield "one more", False, [*value, STRANGER]
        yield "none", False, []
        if len(value) > 1:
            yield "one less of a list", False, value[1:]
            yield "another order", False, value[::-1]
        if value:
            yield "one twice", False, [*value, value[0]]
            yield "a list of it", False, [value]


def _other_numbers(value: float) -> Iterator[tuple[str, bool, Any]]:
    yield "one more", False, value + 1
    yield "much more", False, value * 1000 + 1
    yield "negative", False, -value - 1
    yield "the next float", False, math.nextafter(float(value), math.inf)
    yield "a text of it", False, str(value)
    yield "nan", False, float("nan")
    if float(value).is_integer():
        yield "the same as another type", True, int(value) if isinstance(value, float) else float(value)


def _other_texts(value: str) -> Iterator[tuple[str, bool, Any]]:
    yield "something behind", False, f"{value}.evil"
    yield "something before", False, f"x{value}"
    yield "shorter", False, value[:-1]
    yield "a blank behind", False, f"{value} "
    yield "a line break behind", False, f"{value}\n"
    yield "a zero behind", False, f"{value}\x00"
    yield "nothing visible within", False, f"{value[:1]}\u200b{value[1:]}"
    yield "a quote behind", False, f'{value}"'
    yield "a list of it", False, [value]
    wide = "".join(chr(ord(one) + 0xFEE0) if "!" <= one <= "~" else one for one in value)
    alike = value.translate(str.maketrans("aeo", "\u0430\u0435\u043e"))
    split = unicodedata.normalize("NFD", value)
    for label, changed in (
        ("full width", wide), ("look-alikes", alike), ("other case", value.swapcase()), ("decomposed", split)
    ):  # fmt: skip
        if changed != value:
            yield label, False, changed
