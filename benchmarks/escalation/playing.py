"""How the cases are played on either library, and what counts as a right answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from .cases import Ask, Between, Bound, Rights, Scenario, Use

__all__ = ["RAN", "UNSAID", "Crew", "Found", "Made", "Tally", "in_cents", "played", "used"]

RAN, UNSAID = "ran", "not expressible"
"""Outcomes of a use. Any other says why it was refused."""


class Crew(Protocol):
    """A parent and its child, as one of the two libraries has them."""

    async def parent(self, ask: Ask) -> bool:
        """Whether the tool's body runs when the parent asks."""

    async def child(self, ask: Ask) -> bool:
        """Whether it runs when the child asks."""


class Made(Protocol):
    """How a crew is made."""

    def __call__(self, parent: Rights, child: Rights, /) -> Crew:
        """A parent with these rights, which it has delegated to a child as those."""


@dataclass(frozen=True, slots=True)
class Tally:
    """How many were answered rightly, and how many could not be said at all."""

    right: int
    unsaid: int
    of: int

    def __str__(self) -> str:
        return f"{self.right} / {self.of}" + (f" ({self.unsaid} not expressible)" if self.unsaid else "")

    def __add__(self, other: Tally) -> Tally:
        return Tally(self.right + other.right, self.unsaid + other.unsaid, self.of + other.of)


@dataclass(frozen=True, slots=True)
class Found:
    """Of one group of cases: attacks that were refused, honest calls that were done, and what was unsaid."""

    name: str
    attacks: Tally
    honest: Tally
    unsaid: tuple[object, ...]


async def played(scenario: Scenario, made: Made) -> Found:
    """Every call, by the parent and by its child.

    A call that the parent's own authority cannot reach is unsaid, and neither refused nor done: nothing is
    shown by it about delegation.
    """
    crew = made(scenario.parent, scenario.child)
    unsaid: list[Ask] = []

    async def tally(asks: tuple[Ask, ...], *, runs: bool) -> Tally:
        right, before = 0, len(unsaid)
        for ask in asks:
            parent, child = await crew.parent(ask), await crew.child(ask)
            if parent:
                right += child is runs
            else:
                unsaid.append(ask)
        return Tally(right, len(unsaid) - before, len(asks))

    attacks = await tally(scenario.attacks, runs=False)
    honest = await tally(scenario.honest, runs=True)
    return Found(scenario.name, attacks, honest, tuple(unsaid))


def in_cents(scenario: Scenario) -> Scenario:
    """The same with every amount in whole cents: the bounds of money, and the money."""

    def bound(one: Bound) -> Bound:
        return Between(one.low * 100, one.high * 100) if isinstance(one, Between) else one

    def rights(found: Rights) -> Rights:
        return {tool: {name: bound(one) for name, one in each.items()} for tool, each in found.items()}

    def asks(found: tuple[Ask, ...]) -> tuple[Ask, ...]:
        cents = [{n: round(v * 100) if n == "amount" else v for n, v in a.arguments.items()} for a in found]
        return tuple(Ask(ask.tool, arguments) for ask, arguments in zip(found, cents, strict=True))

    return replace(
        scenario,
        name=f"{scenario.name}, in cents",
        parent=rights(scenario.parent),
        child=rights(scenario.child),
        attacks=asks(scenario.attacks),
        honest=asks(scenario.honest),
    )


def used(group: str, outcomes: Mapping[Use, str]) -> Found:
    """The uses of one group."""
    mine = {use: outcome for use, outcome in outcomes.items() if use.group == group}
    unsaid = [use for use, outcome in mine.items() if outcome == UNSAID]

    def tally(*, honest: bool) -> Tally:
        of = [outcome for use, outcome in mine.items() if use.honest is honest]
        right = [outcome for outcome in of if outcome != UNSAID and (outcome == RAN) is honest]
        return Tally(len(right), of.count(UNSAID), len(of))

    return Found(group, tally(honest=False), tally(honest=True), tuple(use.what for use in unsaid))
