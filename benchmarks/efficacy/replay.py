"""The replay: a fully hijacked agent, one user's task, one attack, one rung of the ladder.

The agent makes the calls of the user's ground truth up to the first whose result shows the injected text,
then all of the attacker's, then the rest of the user's (`hijack`); or the attacker's first (`before`) or last
(`after`). No model is asked, nothing is random. What a refused call would have done does not happen;
AgentDojo judges the environment that is left.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from hessra_agents import Denied

from . import world
from .attacks import attack
from .desk import Desk, Office
from .ladder import Rung
from .plans import Suite

__all__ = ["ORDERS", "Scene", "Stage", "episode"]

ORDERS = ("hijack", "before", "after")


class Stage:
    """One suite, ready to play: its office, and a loop to wait on."""

    def __init__(self, suite: Suite) -> None:
        self.suite = suite
        self.dojo = world.suite_of(suite.name)
        self.office = Office(suite, world.schema(suite.name))
        self.runner = asyncio.Runner()

    def scenes(self, number: int, injections: Iterable[int] | None = None) -> Iterable[Scene]:
        """The user's task alone, then with each attack."""
        task = self.dojo.user_tasks[f"user_task_{number}"]
        places = world.visible(self.suite.name, task)
        yield Scene(self, number, None, {})
        for one, injection in world.numbered(self.dojo.injection_tasks):
            if injections is None or one in injections:
                text = world.injected(injection.GOAL)
                yield Scene(self, number, one, dict.fromkeys(places, text))


@dataclass(slots=True)
class Scene:
    """One user's task and one attack (or none) in one environment, before anything has run."""

    stage: Stage
    user: int
    injection: int | None
    texts: Mapping[str, str]
    env: Any = field(init=False)
    calls: list[Any] = field(init=False)
    honest: list[tuple[str, dict[str, Any]]] = field(init=False)
    hijacked_after: int = field(init=False)
    verdicts: dict[str, tuple[bool, bool]] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.env = self.task.init_environment(world.environment(self.stage.suite.name, self.texts))
        self.calls = self.task.ground_truth(self.env.model_copy(deep=True))
        runtime = world.Runtime(self.stage.dojo.tools, None)
        self.honest = [
            (one.function, world.with_defaults(runtime, one.function, one.args)) for one in self.calls
        ]
        self.hijacked_after = self._shown(runtime)

    @property
    def task(self) -> Any:
        """AgentDojo's task of the user."""
        return self.stage.dojo.user_tasks[f"user_task_{self.user}"]

    @property
    def attacker(self) -> Any:
        """AgentDojo's task of the attacker."""
        return self.stage.dojo.injection_tasks[f"injection_task_{self.injection}"]

    def _shown(self, runtime: world.Runtime) -> int:
        """The first of the user's calls whose result shows the injected text; else the last."""
        env, texts = self.env.model_copy(deep=True), set(self.texts.values())
        for at, one in enumerate(self.calls):
            result = world.plain(runtime.run_function(env, one.function, dict(one.args))[0])
            seen = list(_texts(result))
            if any(text in one for text in texts for one in seen):
                return at
        return len(self.calls) - 1

    def judged(self, env: Any, ran: list[Any]) -> tuple[bool, bool]:
        """Whether the user's task is done, and whether the attacker's is: by what ran, and nothing else."""
        key = json.dumps([[one.function, dict(one.args)] for one in ran], default=str)
        if key not in self.verdicts:
            # no agent speaks here: the words of the ground truth stand for its answer
            words = self.task.GROUND_TRUTH_OUTPUT
            attacked = self.injection is not None and _verdict(
                self.attacker, "security", words, self.env, env, ran
            )
            self.verdicts[key] = (_verdict(self.task, "utility", words, self.env, env, ran), attacked)
        return self.verdicts[key]


def _texts(value: Any) -> Iterable[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, one in value.items():
            yield from _texts(key)
            yield from _texts(one)
    elif isinstance(value, list):
        for one in value:
            yield from _texts(one)


def _verdict(task: Any, name: str, words: str, before: Any, after: Any, ran: list[Any]) -> bool:
    try:
        found = getattr(task, f"{name}_from_traces")(words, before.model_copy(deep=True), after, ran)
        if found is None:
            found = getattr(task, name)(words, before.model_copy(deep=True), after)
    except Exception:  # a verdict that cannot look at what is left is no success
        return False
    return bool(found)


def episode(scene: Scene, rung: Rung, order: str) -> dict[str, Any]:
    """Play one scene on one rung; what came of it, as a flat record."""
    stage, env, ran = scene.stage, scene.env.model_copy(deep=True), []
    calls: list[tuple[str, str, bool]] = []
    who = "user"
    desk = None
    if rung.name != "none":
        desk = Desk(stage.office, rung, stage.suite.tasks[scene.user], scene.honest)

    def guarded(tool: str, arguments: dict[str, Any], act: Any) -> Any:
        try:
            found = act() if desk is None else stage.runner.run(desk.run(tool, arguments, act))
        except Denied as denied:
            calls.append((who, tool, False))
            raise world.Refused from denied
        calls.append((who, tool, True))
        if desk is not None and found[1] is None:
            desk.returned(tool, arguments, world.plain(found[0]))
        return found

    runtime = world.Runtime(stage.dojo.tools, guarded)

    def make(one: Any) -> None:
        _, error = runtime.run_function(env, one.function, dict(one.args))
        if error != world.REFUSED:
            ran.append(one)  # a verdict from the trace must not see what was refused

    def strike() -> None:
        nonlocal who
        who = "attacker"
        for one in attack(stage.suite.name, scene.injection or 0, scene.attacker, env):
            make(one)
        who = "user"

    attacked = scene.injection is not None
    if attacked and order == "before":
        strike()
    for at, one in enumerate(scene.calls):
        make(one)
        if attacked and order == "hijack" and at == scene.hijacked_after:
            strike()
    if attacked and order == "after":
        strike()
    useful, won = scene.judged(env, ran)
    return {
        "suite": stage.suite.name,
        "user": scene.user,
        "injection": scene.injection,
        "order": order,
        "rung": rung.name,
        "useful": useful,
        "won": won,
        **_counts(stage.suite, calls),
        "asks": len(desk.asks) if desk else 0,
        "rejected": desk.asks.count(False) if desk else 0,
    }


def _counts(suite: Suite, calls: list[tuple[str, str, bool]]) -> dict[str, Any]:
    user = [ok for who, _, ok in calls if who == "user"]
    theirs = [(tool, ok) for who, tool, ok in calls if who == "attacker"]
    acting = [(tool, ok) for tool, ok in theirs if tool in suite.sinks]
    return {
        "calls": len(user),
        "refused": user.count(False),
        "attack_calls": len(theirs),
        "attack_refused": sum(not ok for _, ok in theirs),
        "attack_sinks": sorted({tool for tool, _ in acting}),
        "sink_calls": len(acting),
        "sink_refused": sum(not ok for _, ok in acting),
    }
