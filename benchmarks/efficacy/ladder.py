"""The ladder: from no guard to exact calls, what a capability says of the same task.

Each rung turns the table of a task into grants of the real authority. From `prompt` on, an argument that the
tables leave open is open only as far as the rung's own means reach; `exact` alone may use the values of the
ground truth, and is a ceiling.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

from hessra_agents import Grant, grant, limit, must
from hessra_agents.grants.limits import Limit

from .plans import ASK, TEXT, Either, Follows, Formula, Open, Step, Suite, Task

__all__ = ["LADDER", "Results", "Rung", "Schema", "Terms", "asked_steps", "computes", "conditions"]
__all__ += ["granted", "is_open", "tells", "terms"]

Schema = Mapping[str, Mapping[str, Any]]
"""Of each tool, its parameters with their defaults (`...`: it has none)."""

Results = Mapping[str, list[Any]]
"""What the permitted calls of a session returned, by tool."""


@dataclass(frozen=True, slots=True)
class Rung:
    """One kind of authority.

    ``names``: of tools only, by scope or by task. ``counted``: sinks as often as the task needs them.
    ``follows``: arguments that follow data are bound. ``asks``: a person decides what is left open of
    authority. ``texts``: and sees the texts for others, too, of tasks in which a person is asked at all.
    ``formulas``: trusted code computes what the prompt spells out. ``exposure``: once a session has read what
    others may have written, a person sees every text for others. ``exact``: the calls of the ground truth.
    """

    name: str
    words: str
    names: str = ""
    counted: bool = False
    follows: bool = False
    asks: bool = False
    texts: bool = False
    formulas: bool = False
    exposure: bool = False
    exact: bool = False


_DATA = Rung("data", "arguments that follow data", counted=True, follows=True)
_APPROVALS = replace(_DATA, name="approvals", words="data, and a person for what no rule pins", asks=True)
_TEXTS = replace(
    _APPROVALS, name="texts", words="and for the texts of tasks that are asked anyway", texts=True
)
_LEAN = replace(_TEXTS, name="lean", words="and formulas in place of questions", formulas=True)

LADDER = (
    Rung("none", "no guard"),
    Rung("scopes", "scopes of the services", names="scope"),
    Rung("tools", "names of the task's tools", names="tool"),
    Rung("counts", "names, with counts", names="tool", counted=True),
    Rung("prompt", "arguments that the prompt fixes"),
    _DATA,
    replace(_DATA, name="formulas", words="data, and formulas that the prompt spells out", formulas=True),
    _APPROVALS,
    _TEXTS,
    _LEAN,
    replace(_LEAN, name="exposure", words="and for all texts after what strangers wrote", exposure=True),
    Rung("exact", "exact calls (ceiling)", exact=True),
)


@dataclass(frozen=True, slots=True)
class Terms:
    """The steps of one task on one rung: those that run, those that a person is asked about.

    ``exposed`` run until the session has read what strangers write, and are asked about from then on.
    """

    plain: tuple[Step, ...]
    asked: tuple[Step, ...]
    exposed: tuple[Step, ...]


def terms(rung: Rung, suite: Suite, task: Task, schema: Schema, exact: Iterable[Step] = ()) -> Terms:
    """What this rung issues for the task; ``exact`` are the calls of its ground truth."""
    asked = asked_steps(rung, suite, task) if rung.asks else ()
    kept = [one for one in _steps(rung, suite, task, schema, exact) if one not in asked]
    exposed = [one for one in kept if rung.exposure and tells(suite, one)]
    return Terms(tuple(one for one in kept if one not in exposed), asked, tuple(exposed))


def conditions(rung: Rung, suite: Suite, steps: Iterable[Step], schema: Schema) -> list[Grant | Limit]:
    """The grants of these steps and, where the rung counts, how often a tool that acts may be called."""
    steps = list(steps)
    counts = Counter(one.tool for one in steps if one.tool in suite.sinks) if rung.counted else Counter[str]()
    grants = [one for step in _distinct(steps) for one in granted(rung, step, schema)]
    return [*grants, *(limit(calls=count, tools=tool) for tool, count in counts.items())]


def _steps(rung: Rung, suite: Suite, task: Task, schema: Schema, exact: Iterable[Step]) -> tuple[Step, ...]:
    if rung.exact:
        return tuple(exact)
    if not rung.names:
        return task.steps
    tools = [one.tool for one in task.steps]  # as often as it is called: that is what counts
    if rung.names == "scope":
        scope = {tool: name for name, members in suite.scopes.items() for tool in members}
        held = {scope.get(tool) for tool in tools}
        tools = [tool for tool in schema if scope.get(tool) in held]
    return tuple(Step(tool, dict.fromkeys(schema[tool], Open.ANY)) for tool in tools)


def asked_steps(rung: Rung, suite: Suite, task: Task) -> tuple[Step, ...]:
    """The steps that a person is asked about, whatever the session has read."""
    asked = {id(one) for one in task.steps if is_open(rung, suite, one)}
    if asked and rung.texts:
        asked |= {id(one) for one in task.steps if tells(suite, one)}
    return tuple(one for one in task.steps if id(one) in asked)


def is_open(rung: Rung, suite: Suite, step: Step) -> bool:
    """Whether rules leave an argument that is authority to whoever makes the call."""
    authority = suite.sinks.get(step.tool, frozenset())
    if rung.names:
        return bool(authority)
    return any(_is_wide(rung, value) for name, value in step.args.items() if name in authority)


def _is_wide(rung: Rung, value: object) -> bool:
    if isinstance(value, Follows):
        return not rung.follows
    return isinstance(value, Open) or (isinstance(value, Formula) and not rung.formulas)


def tells(suite: Suite, step: Step) -> bool:
    """Whether the call carries free text that somebody else reads."""
    return step.tool in suite.outward and any(value in (TEXT, ASK) for value in step.args.values())


def computes(rung: Rung, step: Step) -> bool:
    """Whether an argument of it is computed from what the session has read."""
    return any(isinstance(one, Formula) and not _is_wide(rung, one) for one in step.args.values())


def _distinct(steps: Iterable[Step]) -> list[Step]:
    found: list[Step] = []
    for one in steps:
        if one not in found:
            found.append(one)
    return found


def granted(rung: Rung, step: Step, schema: Schema, results: Results | None = None) -> list[Grant]:
    """The grants of one step: one, or one of each choice.

    ``results`` are those of the session, by tool; with them a formula is computed, without it is open.
    """
    choices: dict[str, list[object]] = {}
    for name, default in schema[step.tool].items():
        choices[name] = _choices(rung, step.args.get(name, default), results)
    return [grant(step.tool, dict(zip(choices, one, strict=True))) for one in product(*choices.values())]


def _choices(rung: Rung, value: object, results: Results | None) -> list[object]:
    """The constraints of which one must hold: none if what a formula is of is not there yet."""
    if value is ...:
        raise ValueError("a table leaves out an argument that has no default")
    if isinstance(value, Either):
        return list(value.choices)
    if isinstance(value, Open) or _is_wide(rung, value):
        return [must.anything()]
    if isinstance(value, Follows):
        return [value.constraint]
    if isinstance(value, Formula):
        return [must.anything()] if results is None else _computed(value, results)
    return [value]


def _computed(value: Formula, results: Results) -> list[object]:
    source = value.source
    read = [one for result in results.get(source.tool, ()) for one in source.selector.values(result)]
    computed = [value.rule(one) for one in read]
    return [one for each in computed for one in (each if isinstance(each, list) else [each])]
