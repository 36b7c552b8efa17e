"""Patterns, compiled: closures that say only whether a call matches, as fast as Python can.

`explain` is the same question with an answer in words, and asked where this one says no. Both read the same
clauses; the Datalog engine, which is the definition, is held against both (tests/laws/test_laws.py), and runs
beside them where a guard is `strict`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, TypeAlias

from ..call.call import Call
from ..call.canonical import Json
from ..call.facts import INT64
from ..grants.clauses import Branch, Clause, Pattern, Results, Test
from ..tokens.admission import ANCHOR, HOLDER
from ..tokens.capability import Capability

__all__ = ["CompiledCapability", "matches", "program"]

Holds: TypeAlias = "Callable[[Call, dict[str, Json], Results | None], bool]"
Compiled: TypeAlias = "tuple[tuple[tuple[Holds, ...], ...], ...]"
"""Patterns of one object: of each the branches, of each the tests."""


@dataclass(frozen=True, slots=True)
class CompiledCapability:
    """What the blocks of one capability say, in the form in which a call asks for it.

    ``guard`` is the one guard that is named, where nothing else of its place is asked for. ``settled``:
    step 6 asks for nothing but what admission has seen and step 3 proves. ``watched``: it asks what the
    session has seen.
    """

    starts: int
    guard: str | None
    rights: Mapping[str, str]
    patterns: tuple[Pattern, ...]
    closed: bool
    limited: bool
    settled: bool
    watched: bool
    _ready: dict[str, Compiled] = field(default_factory=dict)

    def about(self, resource: str) -> Compiled:
        """What the patterns say of one object that is granted; compiled when it is called first."""
        found = self._ready.get(resource)
        if found is None:
            found = self._ready[resource] = compiled(self.patterns, resource)
        return found


@lru_cache(maxsize=256)
def program(capability: Capability) -> CompiledCapability:
    """The program of a capability: no verdict, and kept by the capability's identity."""
    blocks = capability.blocks
    rights = {resource: operation for _, resource, operation in blocks[0].rights}
    named = {pair for block in blocks for pair in block.designations}
    ((label, value),) = named if len(named) == 1 else ((None, None),)
    anchored = label == ANCHOR and named == set(blocks[0].designations)
    return CompiledCapability(
        max([block.starts for block in blocks if block.starts is not None], default=0),
        value if anchored else None,
        rights,
        tuple([pattern for block in blocks for pattern in block.patterns]),
        bool(blocks[0].patterns),
        any(block.limits for block in blocks),
        _settled(capability),
        any(block.clear for block in blocks),
    )


def _settled(capability: Capability) -> bool:
    handed_on = {value for b in capability.blocks for label, value in b.states if label == HOLDER}
    last = capability.holder
    known = handed_on | ({last.handle} if last else set())
    return not any(block.activators for block in capability.blocks) and all(
        len(check) == 1 and check[0].label == HOLDER and check[0].value in known
        for block in capability.blocks
        for check in block.attested
    )


def compiled(patterns: Iterable[Pattern], resource: str) -> Compiled:
    """The branches of each pattern that are about this object."""
    return tuple(
        tuple(_branch(branch) for branch in pattern if branch.resource == resource) for pattern in patterns
    )


def matches(patterns: Compiled, call: Call, results: Results | None = None) -> bool:
    """Whether one branch of each pattern matches the call, which is of their object."""
    arguments = call.values
    for pattern in patterns:
        for branch in pattern:
            for holds in branch:
                if not holds(call, arguments, results):
                    break
            else:
                break
        else:
            return False
    return True


def _branch(branch: Branch) -> tuple[Holds, ...]:
    return tuple(holds for clause in branch.clauses for holds in _clause(clause))


def _clause(clause: Clause) -> list[Holds]:
    """Closures for what nearly every capability says of an argument; the clause itself for the rest."""
    key, equal = clause.key, clause.equal
    if any(test.each for test in clause.tests):
        return [lambda call, arguments, results: clause.holds(call, results)]
    if clause.fact == "arg_names":
        return [_NAMES[test.op](test.operand) for test in clause.tests]
    if key[:1] != "/" and clause.fact == "arg_str" and equal is not None:
        # to which no value of another type is equal
        return [lambda call, arguments, results: arguments.get(key) == equal]
    if key[:1] != "/" and clause.fact in _READ:
        read = _READ[clause.fact]
        if equal is not None:
            return [_tested(key, read, lambda value: value == equal)]
        tests = [_test(test) for test in clause.tests] or [lambda value: True]
        return [_tested(key, read, test) for test in tests]
    return [lambda call, arguments, results: clause.holds(call, results)]


_READ: Mapping[str, Callable[[Json], Any]] = {
    "arg_str": lambda value: value if type(value) is str else None,
    "arg_int": lambda value: value if type(value) is int and -INT64 <= value < INT64 else None,
    "arg_len": lambda value: len(value) if type(value) is str or type(value) is list else None,
}
"""The value of a fact about an argument, None where it is not stated."""


def _tested(key: str, read: Callable[[Json], Any], test: Callable[[Any], bool]) -> Holds:
    def holds(call: Call, arguments: dict[str, Json], results: Results | None) -> bool:
        value = read(arguments.get(key))
        return value is not None and test(value)

    return holds


_NAMES: Mapping[str, Callable[[Any], Holds]] = {
    "in": lambda names: lambda call, arguments, results: arguments.keys() <= names,
    "has": lambda name: lambda call, arguments, results: name in arguments,
    "lacks": lambda name: lambda call, arguments, results: name not in arguments,
}
"""Every test that fits the names of arguments, but for those on each of them."""


def _test(test: Test) -> Callable[[Any], bool]:
    operand: Any = test.operand
    return {
        "in": lambda value: value in operand,
        "starts": lambda value: value.startswith(operand),
        "ends": lambda value: value.endswith(operand),
        "at_least": lambda value: value >= operand,
        "at_most": lambda value: value <= operand,
    }[test.op]
