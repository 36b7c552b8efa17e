"""The words in which the authority of a task is written down, before the task runs and from its prompt alone.

    2: task(
        "the rent, by what the landlord's notice says",
        step("read_file", file_path="landlord-notices.txt"),
        step("get_scheduled_transactions"),
        step("update_scheduled_transaction", id=from_result(..., where={"subject": "Rent"}), amount=ASK),
    )

An argument is one of these:

- a plain value, or a constraint of `must`: the prompt fixes it;
- `from_result`: it is whatever an earlier permitted call returned at a named place;
- `formula`: trusted code computes it from such a result, by a rule that the prompt spells out;
- `ASK`: no rule can pin it, so a person has to;
- `TEXT`: free text, or a detail that decides nothing about who, where, which or how much;
- `ANY`: of a call that only reads.

An argument that is left out keeps the tool's default, exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import hessra_agents
from hessra_agents import must
from hessra_agents.grants.provenance import Selector
from hessra_agents.grants.vocabulary.constraints import Constraint

__all__ = ["ANY", "ASK", "TEXT", "Either", "Follows", "Formula", "Open", "Step", "Suite", "Task"]
__all__ += ["either", "formula", "from_result", "on", "step", "suite", "task"]


class Open(Enum):
    """Why an argument is left open by rules."""

    ASK = "ask"
    TEXT = "text"
    ANY = "any"


ASK, TEXT, ANY = Open.ASK, Open.TEXT, Open.ANY


@dataclass(frozen=True, slots=True)
class Follows:
    """A value that an earlier permitted call of ``tool`` returned where ``selector`` says."""

    tool: str
    selector: Selector
    constraint: Constraint = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Formula:
    """What ``rule`` computes from each value of ``source``."""

    source: Follows
    rule: Callable[[Any], object] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Either:
    """One of several constraints."""

    choices: tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Step:
    """One call of the task: its tool, and what each argument must be."""

    tool: str
    args: Mapping[str, object]

    def asks(self) -> bool:
        """Whether an argument of it is for a person to decide."""
        return ASK in self.args.values()


@dataclass(frozen=True, slots=True)
class Task:
    """The calls that one task of a user needs; ``about`` says in our words what it is."""

    about: str
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Suite:
    """The tables of one suite.

    ``scopes`` are those that a vendor would plausibly publish, tools by scope; what is in none only reads.
    ``sinks`` are the tools that act or send, with the arguments that say who, where, which or how much.
    ``outward`` are those of them whose text somebody else reads. ``untrusted`` are the tools whose results
    hold what others may have written.
    """

    name: str
    scopes: Mapping[str, tuple[str, ...]]
    sinks: Mapping[str, frozenset[str]]
    outward: frozenset[str]
    untrusted: frozenset[str]
    tasks: Mapping[int, Task]


def from_result(tool: str, path: str, *, each: bool = False, **conditions: Any) -> Follows:
    """What `hessra_agents.from_result` means; with ``each``, the argument is a list of such values.

    Conditions are its own: ``where``, ``starts_with``, ``largest``, ``smallest``, ``unique``, ``untrusted``.
    """
    constraint = hessra_agents.from_result(tool, path, **conditions)
    where, starts = conditions.pop("where", {}), conditions.pop("starts_with", {})
    selector = Selector(path, tuple(where.items()), tuple(starts.items()), **conditions)
    return Follows(tool, selector, must.each(constraint) if each else constraint)


def formula(source: Follows, rule: Callable[[Any], object]) -> Formula:
    """See `Formula`."""
    return Formula(source, rule)


def either(*choices: object) -> Either:
    """See `Either`."""
    return Either(choices)


def on(day: str) -> object:
    """A time on this day, ``2024-05-20``; of ``05-20`` in any year that the suites play in."""
    if len(day) == len("2024-05-20"):
        return must.starts_with(f"{day} ")
    return either(*(must.starts_with(f"{year}-{day} ") for year in (2023, 2024, 2025)))


def step(tool: str, **args: object) -> Step:
    """See `Step`."""
    return Step(tool, args)


def task(about: str, *steps: Step) -> Task:
    """See `Task`."""
    return Task(about, steps)


def suite(
    name: str,
    *,
    scopes: Mapping[str, str],
    sinks: Mapping[str, str],
    outward: str,
    untrusted: str,
    tasks: Mapping[int, Task],
) -> Suite:
    """A `Suite`, with names in texts, separated by blanks."""
    return Suite(
        name,
        {scope: tuple(tools.split()) for scope, tools in scopes.items()},
        {tool: frozenset(args.split()) for tool, args in sinks.items()},
        frozenset(outward.split()),
        frozenset(untrusted.split()),
        tasks,
    )
