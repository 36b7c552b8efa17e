"""Hold what a capability says about arguments, as data.

A *branch* names one object and holds a list of *clauses*; it matches a call when every clause holds. A
clause requires one typed fact (see `facts`) and *tests* its values. A *pattern* is a list of branches of
which one must match. A *choice* is a list of *ways* of which one must hold, for calls of some objects: about
one object it is a pattern. Constraints are written as clauses, tokens carry clauses, admission reads clauses
back, the decision evaluates them and a refusal explains them: there is no second form.

Every test is positive: a fact that is not stated makes the clause fail.

Two facts are not about the call alone: ``result_of`` states that a value came from an earlier result of this
session, ``results_of`` that every element of a list did. The session answers for both (`Results`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeAlias

from ..call.call import Call
from ..call.facts import OF_MANY, PARAMETERS, SIGNATURES, Values
from ..call.places import is_key

__all__ = [
    "SOURCED",
    "SPARES_NOTHING",
    "TESTS",
    "Branch",
    "Choice",
    "Clause",
    "Operand",
    "Pattern",
    "Results",
    "Source",
    "Test",
]
__all__ += ["by_argument", "sources"]

SOURCED = frozenset({"result_of", "results_of"})
"""The facts that only a session can state."""

SPARES_NOTHING = SOURCED | {"arg_names"}
"""Facts by which no call is spared an approval: that an argument is absent, and what a session has seen."""

Operand: TypeAlias = "str | int | frozenset[str] | frozenset[int]"

TESTS: dict[str, frozenset[tuple[str, str]]] = {
    "in": frozenset({("str", "strs"), ("int", "ints"), ("strs", "strs"), ("ints", "ints")}),
    "not_in": frozenset({("str", "strs"), ("int", "ints")}),
    "has": frozenset({("strs", "str"), ("str", "str")}),
    "lacks": frozenset({("strs", "str")}),
    "starts": frozenset({("str", "str")}),
    "ends": frozenset({("str", "str")}),
    "at_least": frozenset({("int", "int")}),
    "at_most": frozenset({("int", "int")}),
}
"""Each test with the types that it accepts: (type of the fact's value, type of the operand)."""

_HOLDS: dict[str, Callable[..., bool]] = {
    "in": lambda value, operand: value <= operand if isinstance(value, frozenset) else value in operand,
    "not_in": lambda value, operand: value not in operand,
    "has": lambda value, operand: operand in value,
    "lacks": lambda value, operand: operand not in value,
    "starts": lambda value, operand: value.startswith(operand),
    "ends": lambda value, operand: value.endswith(operand),
    "at_least": lambda value, operand: value >= operand,
    "at_most": lambda value, operand: value <= operand,
}


@dataclass(frozen=True, slots=True)
class Test:
    """A test on one value of a fact; with ``each``, on every element of a set."""

    __test__ = False  # pytest would take the name for that of a test case

    op: str
    operand: Operand
    index: int = 0
    each: bool = False

    def fits(self, types: tuple[str, ...]) -> bool:
        """Return whether this test can be applied to a fact whose values have these types."""
        if self.index >= len(types):
            return False
        kind = types[self.index]
        if self.each:
            if kind not in ("strs", "ints") or self.op in ("in", "not_in", "has", "lacks"):
                return False
            kind = kind[:-1]
        return (kind, _type(self.operand)) in TESTS.get(self.op, ())

    def holds(self, values: Values) -> bool:
        """Return whether these values pass. The caller has checked their types with `fits`."""
        holds, value = _HOLDS[self.op], values[self.index]
        if self.each:
            return all(holds(element, self.operand) for element in value)  # type: ignore[union-attr]
        return holds(value, self.operand)


@dataclass(frozen=True, slots=True)
class Source:
    """The origin of a value: a tool, and the places in its results (the text of a `Selector`)."""

    tool: str
    selector: str


Results: TypeAlias = "Callable[[bytes, Source], bool]"
"""Returns whether a session has seen a value, named by the sha256 of its canonical JSON, at this source; for
an empty name, whether it stores any result in which the source may be looked for."""


@dataclass(frozen=True, slots=True)
class Clause:
    """A fact that must be stated about the call, and be equal to ``equal`` or pass every test.

    A few facts have a ``parameter`` (see `PARAMETERS`), which is a part of the question.
    """

    fact: str
    key: str = ""
    equal: str | int | bool | bytes | Source | None = None
    tests: tuple[Test, ...] = ()
    parameter: int | str | None = None

    def well_formed(self) -> bool:
        """Return whether predicate, key, literal and tests fit together, so that evaluation cannot fail."""
        if not is_key(self.key, many=self.fact in OF_MANY) or not self._has_its_parameter():
            return False
        sourced = isinstance(self.equal, Source)
        if sourced or self.fact in SOURCED:
            return sourced and self.fact in SOURCED and bool(self.key) and not self.tests
        types = SIGNATURES.get(self.fact)
        if types is None or (self.key == "") != (self.fact == "arg_names"):
            return False
        if self.equal is None:
            return all(test.fits(types) for test in self.tests)
        return not self.tests and types == (_type(self.equal),)

    def _has_its_parameter(self) -> bool:
        fits = PARAMETERS.get(self.fact)
        return self.parameter is None if fits is None else fits(self.parameter)

    def holds(self, call: Call, results: Results | None = None) -> bool:
        """Return whether the call has this fact. Without a session, no value comes from a result."""
        if isinstance(self.equal, Source):
            if results is None:
                return False
            digests: Any = call.fact("digests" if self.fact == "results_of" else "digest", self.key)
            return digests is not None and all(results(digest, self.equal) for digest in digests)
        values = call.fact(self.fact, self.key, self.parameter)
        if values is None:
            return False
        if self.equal is not None:
            return values[0] == self.equal
        return not [test for test in self.tests if not test.holds(values)]


@dataclass(frozen=True, slots=True)
class Branch:
    """An object, with what its arguments must be."""

    resource: str
    clauses: tuple[Clause, ...] = ()

    def failing(self, call: Call, results: Results | None = None) -> tuple[Clause, ...]:
        """Return the clauses that a call of this object does not satisfy."""
        return tuple([clause for clause in self.clauses if not clause.holds(call, results)])

    @property
    def closes(self) -> bool:
        """Return whether the branch lists the argument names that may occur."""
        return any(c.fact == "arg_names" and any(t.op == "in" for t in c.tests) for c in self.clauses)


Pattern: TypeAlias = "tuple[Branch, ...]"


@dataclass(frozen=True, slots=True)
class Choice:
    """Require one of these ways in calls of ``tools``; other calls may be anything."""

    tools: frozenset[str]
    ways: tuple[tuple[Clause, ...], ...]

    def about(self, resource: str) -> Pattern:
        """Return the choice as a pattern of one object, which must be one of ``tools``."""
        return tuple([Branch(resource, way) for way in self.ways])


def sources(clauses: Iterable[Clause]) -> set[Source]:
    """Return the sources that these clauses ask for."""
    return {clause.equal for clause in clauses if isinstance(clause.equal, Source)}


def by_argument(clauses: Iterable[Clause]) -> dict[str, list[Clause]]:
    """Return the clauses about values, grouped by the place that they are about, in order."""
    groups: dict[str, list[Clause]] = {}
    for clause in clauses:
        if clause.fact not in ("arg_names", "arg_fields"):
            groups.setdefault(clause.key, []).append(clause)
    return groups


def _type(value: object) -> str:
    if isinstance(value, frozenset):
        return "ints" if value and all(type(v) is int for v in value) else "strs"
    return type(value).__name__
