"""What a capability says about arguments, as data.

A *branch* names one object and holds a list of *clauses*; it matches a call when every clause holds. A
clause asks for one typed fact (see `facts`) and *tests* its values. A *pattern* is a list of branches of
which one must match. Constraints are written as clauses, tokens carry clauses, admission reads clauses
back, the decision evaluates them and a refusal explains them: there is no second form.

Every test is positive: a fact that is not stated makes the clause fail.

Two facts are not about the call alone: ``result_of`` says that a value came out of an earlier result of this
session, ``results_of`` that every element of a list did. Whoever keeps the session tells (`Results`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeAlias

from ..call.call import Call
from ..call.facts import MAX_ELEMENTS, SIGNATURES, Values, escape

__all__ = ["SOURCED", "TESTS", "Branch", "Clause", "Operand", "Pattern", "Results", "Source", "Test"]
__all__ += ["by_argument"]

SOURCED = frozenset({"result_of", "results_of"})
"""The facts that only a session can state."""

Operand: TypeAlias = "str | int | frozenset[str] | frozenset[int]"

TESTS: dict[str, frozenset[tuple[str, str]]] = {
    "in": frozenset({("str", "strs"), ("int", "ints"), ("strs", "strs"), ("ints", "ints")}),
    "has": frozenset({("strs", "str")}),
    "lacks": frozenset({("strs", "str")}),
    "starts": frozenset({("str", "str")}),
    "ends": frozenset({("str", "str")}),
    "at_least": frozenset({("int", "int")}),
    "at_most": frozenset({("int", "int")}),
}
"""Each test with the types that it takes: (type of the fact's value, type of the operand)."""

_HOLDS: dict[str, Callable[..., bool]] = {
    "in": lambda value, operand: value <= operand if isinstance(value, frozenset) else value in operand,
    "has": lambda value, operand: operand in value,
    "lacks": lambda value, operand: operand not in value,
    "starts": lambda value, operand: value.startswith(operand),
    "ends": lambda value, operand: value.endswith(operand),
    "at_least": lambda value, operand: value >= operand,
    "at_most": lambda value, operand: value <= operand,
}


@dataclass(frozen=True, slots=True)
class Test:
    """One test on one value of a fact; with ``each``, on every element of a set."""

    __test__ = False  # not a test case, whatever its name says

    op: str
    operand: Operand
    index: int = 0
    each: bool = False

    def fits(self, types: tuple[str, ...]) -> bool:
        """Whether this test may be asked of a fact whose values have these types."""
        if self.index >= len(types):
            return False
        kind = types[self.index]
        if self.each:
            if kind not in ("strs", "ints") or self.op in ("in", "has", "lacks"):
                return False
            kind = kind[:-1]
        return (kind, _type(self.operand)) in TESTS.get(self.op, ())

    def holds(self, values: Values) -> bool:
        """Whether these values pass; their types are known to fit."""
        holds, value = _HOLDS[self.op], values[self.index]
        if self.each:
            return all(holds(element, self.operand) for element in value)  # type: ignore[union-attr]
        return holds(value, self.operand)


@dataclass(frozen=True, slots=True)
class Source:
    """Where a value comes from: results of a tool, and which places in them (the text of a `Selector`)."""

    tool: str
    selector: str


Results: TypeAlias = "Callable[[bytes, Source], bool]"
"""Whether a session has seen this value, by the sha256 of its canonical JSON, come from there."""


@dataclass(frozen=True, slots=True)
class Clause:
    """One fact that must be stated about the call: equal to ``equal``, or passing every test."""

    fact: str
    key: str = ""
    equal: str | int | bool | bytes | Source | None = None
    tests: tuple[Test, ...] = ()

    def well_formed(self) -> bool:
        """Whether predicate, key, literal and tests fit together, so that no evaluation can go wrong."""
        if self.fact in SOURCED or isinstance(self.equal, Source):
            return (
                self.fact in SOURCED and isinstance(self.equal, Source) and bool(self.key) and not self.tests
            )
        types = SIGNATURES.get(self.fact)
        if types is None or (self.key == "") != (self.fact == "arg_names"):
            return False
        if self.equal is None:
            return all(test.fits(types) for test in self.tests)
        return not self.tests and types == (_type(self.equal),)

    def holds(self, call: Call, results: Results | None = None) -> bool:
        """Whether the call has this fact."""
        if isinstance(self.equal, Source):
            return results is not None and self._comes_from(self.equal, call, results)
        values = call.fact(self.fact, self.key)
        if values is None:
            return False
        if self.equal is not None:
            return values[0] == self.equal
        return not [test for test in self.tests if not test.holds(values)]

    def _comes_from(self, source: Source, call: Call, results: Results) -> bool:
        if self.fact == "result_of":
            one = _name_of(call, self.key)
            return one is not None and results(one, source)
        length = call.fact("arg_len", self.key)
        # a text has a length, too, and is no list
        if length is None or call.fact("arg_json", self.key) is None:
            return False
        (count,) = length
        if not isinstance(count, int) or count > MAX_ELEMENTS:
            return False
        list_ = self.key if self.key.startswith("/") else f"/{escape(self.key)}"
        names = [_name_of(call, f"{list_}/{index}") for index in range(count)]
        return all(one is not None and results(one, source) for one in names)

    @property
    def argument(self) -> str:
        """The argument or the place that this clause is about; for names, the first one it asks for."""
        return self.key


@dataclass(frozen=True, slots=True)
class Branch:
    """One object with what its arguments must be."""

    resource: str
    clauses: tuple[Clause, ...] = ()

    def failing(self, call: Call, results: Results | None = None) -> tuple[Clause, ...]:
        """The clauses that this call, of this very object, does not satisfy."""
        return tuple([clause for clause in self.clauses if not clause.holds(call, results)])

    @property
    def closes(self) -> bool:
        """Whether it says which argument names there may be."""
        return any(c.fact == "arg_names" and any(t.op == "in" for t in c.tests) for c in self.clauses)


Pattern: TypeAlias = "tuple[Branch, ...]"


def by_argument(clauses: Iterable[Clause]) -> dict[str, list[Clause]]:
    """Clauses about values, grouped by the place that they are about, in order."""
    groups: dict[str, list[Clause]] = {}
    for clause in clauses:
        if clause.fact not in ("arg_names", "arg_fields"):
            groups.setdefault(clause.key, []).append(clause)
    return groups


def _name_of(call: Call, key: str) -> bytes | None:
    """The sha256 of the canonical JSON of what is at this place."""
    scalar = call.fact("arg_scalar", key)
    if scalar is not None:
        return hashlib.sha256(str(scalar[0]).encode()).digest()
    whole = call.fact("arg_json", key)
    return whole[0] if whole is not None and isinstance(whole[0], bytes) else None


def _type(value: object) -> str:
    if isinstance(value, frozenset):
        return "ints" if value and all(type(v) is int for v in value) else "strs"
    return type(value).__name__
