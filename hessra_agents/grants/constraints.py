"""Represent what one argument must be, as clauses in one or more alternatives, for a place.

A *place* is an argument, a field of an object, or a word of a command. `must` makes constraints; constraints
on the same argument join with ``&``.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass

from ..call.facts import escape
from .clauses import Clause, Test

__all__ = ["MAX_BRANCHES", "Alternatives", "Constraint", "Place", "combine"]

MAX_BRANCHES = 256
"""Branches in one pattern; admission refuses more."""

Alternatives = tuple[tuple[Clause, ...], ...]


@dataclass(frozen=True, slots=True)
class Place:
    """The place of a value: its key in facts, and the fact that states whether the value is present."""

    key: str
    pointer: str
    name: str
    container: str = ""

    @classmethod
    def argument(cls, name: str) -> Place:
        """Return the place of a tool's argument."""
        return cls(name, "/" + escape(name), name)

    def member(self, name: str) -> Place:
        """Return the place of a field, or of a word, inside this place."""
        pointer = f"{self.pointer}/{escape(name)}"
        return Place(pointer, pointer, name, self.key)

    def names(self, test: Test) -> Clause:
        """Return a clause that tests the names beside this place."""
        return Clause("arg_fields" if self.container else "arg_names", self.container, None, (test,))


@dataclass(frozen=True, slots=True)
class Constraint:
    """A constraint on one argument. Create it with `must`; ``str`` describes it."""

    words: str
    alternatives: Callable[[Place], Alternatives]
    wants_value: bool = True

    def __and__(self, other: Constraint) -> Constraint:
        """Return a constraint that requires both."""
        if not (self.wants_value and other.wants_value):
            raise ValueError("an optional argument cannot be joined with '&': write must.optional(a & b)")
        return Constraint(
            f"{self.words} and {other.words}",
            lambda at: combine(self.alternatives(at), other.alternatives(at)),
        )

    def __str__(self) -> str:
        return self.words


def combine(*parts: Alternatives) -> Alternatives:
    """Return every way to satisfy all parts: each combination of one alternative of each part.

    Raises:
        ValueError: there are more than `MAX_BRANCHES` combinations.
    """
    if math.prod(map(len, parts)) > MAX_BRANCHES:
        raise ValueError(f"these choices multiply to more than {MAX_BRANCHES} branches")
    return tuple(tuple(itertools.chain(*choice)) for choice in itertools.product(*parts))
