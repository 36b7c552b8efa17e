"""Compile patterns into closures that decide whether a call matches, as fast as Python can.

`explain` answers the same question in words, and runs when the closures say no. Both read the same clauses.
The tests hold both against the Datalog engine, which is the definition (tests/laws/test_laws.py); a guard
with ``cross_check`` runs the engine as well.
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
from .attestations import holder_handles

__all__ = ["CompiledCapability", "matches", "program"]

Holds: TypeAlias = "Callable[[Call, dict[str, Json], Results | None], bool]"
Compiled: TypeAlias = "tuple[tuple[tuple[Holds, ...], ...], ...]"
"""The patterns of one object: for each its branches, for each branch its tests."""


@dataclass(frozen=True, slots=True)
class CompiledCapability:
    """The blocks of one capability in the form that decides a call fastest.

    ``guard`` is the guard's name if the first block names a guard and no block another designation; else
    None. ``settled``: step 6
    requires only what admission has checked and step 3 proves. ``watched``: the capability has conditions
    on what the session has seen.
    """

    starts: int
    guard: str | None
    rights: Mapping[str, str]
    patterns: Callable[[str], tuple[Pattern, ...]]
    limited: bool
    settled: bool
    watched: bool
    _compiled: dict[str, Compiled] = field(default_factory=dict)

    def about(self, resource: str) -> Compiled:
        """Return the patterns of one granted object, compiled at its first call."""
        known = self._compiled.get(resource)
        if known is None:
            known = self._compiled[resource] = compiled(self.patterns(resource))
        return known


@lru_cache(maxsize=256)
def program(capability: Capability) -> CompiledCapability:
    """Compile a capability. The cache is by the object's identity, and holds no verdict."""
    blocks = capability.blocks
    named = {pair for block in blocks for pair in block.designations}
    ((label, value),) = named if len(named) == 1 else ((None, None),)
    anchored = label == ANCHOR and named == set(blocks[0].designations)
    return CompiledCapability(
        starts=max([block.starts for block in blocks if block.starts is not None], default=0),
        guard=value if anchored else None,
        rights={resource: operation for _, resource, operation in blocks[0].rights},
        patterns=capability.about,
        limited=any(block.limits for block in blocks),
        settled=_settled(capability),
        watched=any(block.clear for block in blocks),
    )


def _settled(capability: Capability) -> bool:
    handles = holder_handles(capability)
    return not any(block.activators for block in capability.blocks) and all(
        len(check) == 1 and check[0].label == HOLDER and check[0].value in handles
        for block in capability.blocks
        for check in block.attested
    )


def compiled(patterns: Iterable[Pattern]) -> Compiled:
    """Compile the patterns of one object."""
    return tuple(tuple(_branch(branch) for branch in pattern) for pattern in patterns)


def matches(patterns: Compiled, call: Call, results: Results | None = None) -> bool:
    """Return whether a branch of each pattern matches the call, whose object the patterns are about."""
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
    """Return closures for what nearly every capability says about an argument; else the clause itself."""
    key, equal = clause.key, clause.equal
    if any(test.each for test in clause.tests):
        return [lambda call, arguments, results: clause.holds(call, results)]
    if clause.fact == "arg_names":
        return [_NAMES[test.op](test.operand) for test in clause.tests]
    if key[:1] != "/" and clause.fact == "arg_str" and equal is not None:
        # no value of another type equals a string
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
"""How to get the value of a fact about an argument; None if the fact does not hold."""


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
"""Every test on the argument names, except tests on each of them."""


def _test(test: Test) -> Callable[[Any], bool]:
    operand: Any = test.operand
    return {
        "in": lambda value: value in operand,
        "not_in": lambda value: value not in operand,
        "has": lambda value: operand in value,
        "starts": lambda value: value.startswith(operand),
        "ends": lambda value: value.endswith(operand),
        "at_least": lambda value: value >= operand,
        "at_most": lambda value: value <= operand,
    }[test.op]
