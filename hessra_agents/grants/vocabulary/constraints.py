"""Represent what one argument must be, as clauses for a place.

A *place* is an argument, a field of an object, or a word of a command. A constraint has *parts*, which must
all hold; a part has *alternatives*, of which one must hold: a list of clauses. So a grant with twenty
optional arguments has twenty choices, and not a million combinations. `must` makes constraints; constraints
on the same argument join with ``&`` and ``|``.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from ...call.places import SPREADS, escape
from ..clauses import Clause, Test

__all__ = [
    "MAX_BRANCHES",
    "Alternatives",
    "Constraint",
    "Parts",
    "Place",
    "combine",
    "either",
    "gathered",
    "merged",
]

MAX_BRANCHES = 256
"""Branches of one pattern, or ways of one choice; admission refuses more."""

Alternatives = tuple[tuple[Clause, ...], ...]
Parts = tuple[Alternatives, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """The place of a value: its key in facts, and the fact that states whether the value is present."""

    key: str
    pointer: str
    name: str
    container: str = ""
    free: bool = False
    """Whether a string here may be any text, as far as is known: nothing says which there are."""

    @classmethod
    def argument(cls, name: str, *, free: bool = False) -> Place:
        """Return the place of a tool's argument."""
        return cls(name, "/" + escape(name), name, "", free)

    def member(self, name: str) -> Place:
        """Return the place of a field, or of a word, inside this place."""
        pointer = f"{self.pointer}/{escape(name)}"
        return Place(pointer, pointer, name, self.key, self.free)

    def spread(self, step: str) -> Place:
        """Return the place of all elements (``~*``), names (``~k``) or values (``~v``) in this place."""
        pointer = f"{self.pointer}/{step}"
        return Place(pointer, pointer, "", self.key, self.free)

    def if_present(self) -> Place:
        """Return the place of those many values that are there."""
        return replace(self, key=f"{self.key}~?", pointer=f"{self.pointer}~?")

    @property
    def many(self) -> bool:
        """Whether it is a place of many values."""
        return self.key[:1] == "/" and any(step in SPREADS for step in self.key.split("/"))

    def present(self) -> Clause:
        """Return a clause that requires a value here, or each of many."""
        return Clause("arg_count", self.key) if self.many else self.names(Test("has", self.name))

    def names(self, test: Test) -> Clause:
        """Return a clause that tests the names beside this place."""
        return Clause("arg_fields" if self.container else "arg_names", self.container, None, (test,))


@dataclass(frozen=True, slots=True)
class Constraint:
    """A constraint on one argument. Create it with `must`; ``str`` describes it.

    ``wants_value`` is False if the argument may be omitted.
    """

    words: str
    parts: Callable[[Place], Parts]
    wants_value: bool = True

    def __and__(self, other: Constraint) -> Constraint:
        """Return a constraint that requires both."""
        self._check_joined("&", other)
        return Constraint(
            f"{self.words} and {other.words}",
            lambda at: (*self.parts(at), *other.parts(at)),
        )

    def __or__(self, other: Constraint) -> Constraint:
        """Return a constraint that requires at least one of the two."""
        self._check_joined("|", other)
        return Constraint(
            f"({self.words} or {other.words})",
            lambda at: either(merged(self.parts(at)), merged(other.parts(at))),
        )

    def _check_joined(self, sign: str, other: object) -> None:
        if not isinstance(other, Constraint):
            raise TypeError(
                f"only constraints can be joined with '{sign}': write must.exact(...) for a value"
            )
        if not (self.wants_value and other.wants_value):
            raise ValueError(
                f"an optional argument cannot be joined with '{sign}': write must.optional(a {sign} b)"
            )

    def alternatives(self, at: Place) -> Alternatives:
        """Return every way to satisfy the constraint at a place.

        Raises:
            ValueError: there are more than `MAX_BRANCHES`.
        """
        return combine(*self.parts(at))

    def __str__(self) -> str:
        return self.words


def merged(parts: Iterable[Alternatives]) -> Parts:
    """Return the same parts: those that leave no choice joined into the first, and each other one once."""
    fixed: list[Clause] = []
    choices: dict[Alternatives, None] = {}
    for part in parts:
        if len(part) == 1:
            fixed += part[0]
        elif () not in part:  # an alternative that requires nothing always holds
            choices[tuple(map(gathered, part))] = None
    return ((gathered(fixed),), *choices)


def gathered(clauses: Iterable[Clause]) -> tuple[Clause, ...]:
    """Return the clauses with all tests of one fact in one clause: shorter tokens, fewer facts to compute."""
    found: dict[object, Clause] = {}
    for clause in clauses:
        place: object = (clause.fact, clause.key, clause.parameter) if clause.equal is None else clause
        known = found.get(place)
        if known is None:
            found[place] = clause
        elif clause.equal is None:
            more = tuple(test for test in clause.tests if test not in known.tests)
            found[place] = replace(known, tests=known.tests + more)
    return tuple(found.values())


def either(*ways: Parts) -> Parts:
    """Return parts that hold if all parts of one way hold: (A and B) or C is (A or C) and (B or C).

    Raises:
        ValueError: the ways multiply to more than `MAX_BRANCHES` parts.
    """
    kept = [tuple(part for part in way if () not in part) for way in ways]
    if math.prod(map(len, kept)) > MAX_BRANCHES:
        raise ValueError(f"these choices multiply to more than {MAX_BRANCHES} parts")
    return tuple(tuple(itertools.chain(*choice)) for choice in itertools.product(*kept))


def combine(*parts: Alternatives) -> Alternatives:
    """Return every way to satisfy all parts: each combination of one alternative of each part.

    Raises:
        ValueError: there are more than `MAX_BRANCHES` combinations.
    """
    if math.prod(map(len, parts)) > MAX_BRANCHES:
        raise ValueError(f"these choices multiply to more than {MAX_BRANCHES} branches")
    return tuple(tuple(itertools.chain(*choice)) for choice in itertools.product(*parts))
