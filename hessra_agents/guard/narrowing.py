"""Check what a toolbox hands on: a sub-agent's conditions, one exact call, and which capability grants it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..call.call import Call
from ..grants.clauses import Clause, Pattern, Source, Test
from ..grants.conditions import Condition
from ..grants.grants import Grant, grant
from ..grants.limits import Limit, limit
from ..grants.vocabulary.constraints import Constraint
from ..grants.vocabulary.must import must
from ..tokens.builder import argument_of
from ..tokens.capability import Capability
from ..tools.json_schema import check_grant, own_schema
from ..tools.tool import Tool

__all__ = ["check_conditions", "check_known", "exact_call", "handed_on"]

_MOST_CASES = 256
"""Combinations of alternatives and listed values of a grant that are looked at."""


def check_conditions(conditions: Iterable[object], tools: Mapping[str, Tool]) -> None:
    """Check that these conditions grant tools of the guard, with arguments that the tools take.

    Raises:
        ValueError: nothing is granted, a tool or an argument is unknown, or a constraint can never be met.
    """
    grants = [condition for condition in conditions if isinstance(condition, Grant)]
    if not grants:
        raise ValueError("a sub-agent needs at least one grant")
    unknown = sorted({granted.tool for granted in grants} - tools.keys())
    if unknown:
        raise ValueError(f"this guard has no tool {', '.join(map(repr, unknown))}")
    check_known(grants, tools)


def check_known(conditions: Iterable[object], tools: Mapping[str, Tool]) -> None:
    """Check those of these conditions that grant a tool of the guard.

    Raises:
        ValueError: an argument is unknown, or a constraint can never be met.
    """
    for granted in conditions:
        if isinstance(granted, Grant) and granted.tool in tools and granted.operation == "invoke":
            tool = tools[granted.tool]
            check_grant(granted, own_schema(tool), tool.bounds)


def exact_call(tool: Tool, values: Mapping[str, object]) -> tuple[Grant, Limit]:
    """Return conditions that permit one call with exactly these arguments; all others must be omitted.

    Raises:
        ValueError: the tool has no such argument, requires an argument that has no value here, or never takes
            such a value.
    """
    missing = sorted({*tool.schema.get("required", ())}.difference(values))
    if missing:
        raise ValueError(f"{tool.name} cannot be called without {', '.join(missing)}")
    if any(isinstance(value, Constraint) for value in values.values()):
        raise ValueError("narrow takes the values of one call, not constraints")
    rest = {name: must.omitted() for name in tool.schema["properties"] if name not in values}
    exact = grant(tool.name, {name: must.exact(value) for name, value in values.items()})
    check_grant(exact, own_schema(tool), tool.bounds)
    return grant(tool.name, {**dict(exact.constraints), **rest}), limit(calls=1)


def handed_on(
    capabilities: Sequence[Capability],
    conditions: Sequence[Condition],
    narrow: Callable[[Capability, Sequence[Condition]], Capability],
) -> list[Capability]:
    """Return the narrower copies of an agent's capabilities that together are what these conditions say.

    Each grant goes to the first capability that covers it; capabilities without a grant are dropped, unless
    there is no grant at all. The other conditions go to every copy that has one of their tools.

    Args:
        narrow: makes the copy of one capability, with its share of the conditions.

    Raises:
        ValueError: no capability alone covers a grant, or a limit would be counted once for each of several.
    """
    if len(capabilities) == 1:
        return [narrow(capabilities[0], conditions)]
    shares: dict[Capability, list[Condition]] = {one: [] for one in capabilities}
    for condition in conditions:
        if isinstance(condition, Grant):
            shares[_granting(capabilities, condition)].append(condition)
    if any(shares.values()):
        shares = {one: share for one, share in shares.items() if share}
    reached = {
        one: frozenset(c.resource for c in share if isinstance(c, Grant)) or frozenset(one.tools)
        for one, share in shares.items()
    }
    for condition in conditions:
        if isinstance(condition, Grant):
            continue
        own = {
            one: objects if condition.tools is None else objects & condition.tools
            for one, objects in reached.items()
        }
        unknown = sorted((condition.tools or frozenset()).difference(*own.values()))
        if unknown:
            raise ValueError(f"{unknown[0]} is not granted, so no condition can be about it")
        bound = {one: objects for one, objects in own.items() if objects}
        if isinstance(condition, Limit) and len(bound) > 1:
            raise ValueError(
                "several capabilities of this toolbox would each count this limit: name tools=... of one"
            )
        for one, objects in bound.items():
            shares[one].append(condition if condition.tools is None else replace(condition, tools=objects))
    return [narrow(one, share) for one, share in shares.items()]


def _granting(capabilities: Sequence[Capability], granted: Grant) -> Capability:
    naming = [one for one in capabilities if granted.resource in one.tools]
    if len(naming) == 1:
        return naming[0]
    if not naming:
        raise ValueError(f"{granted.resource} is not granted, so it cannot be handed on")
    covering = [one for one in naming if _covers(one.about(granted.resource), granted)]
    if not covering:
        raise ValueError(
            f"no capability of this toolbox alone covers this grant of {granted.tool}: split it into grants"
            " that are each within one"
        )
    return covering[0]


def _covers(patterns: Iterable[Pattern], granted: Grant) -> bool:
    """Return whether every call that matches the grant matches the patterns in the arguments that it names.

    The others keep their bounds. What cannot be told from the clauses counts as not covered.
    """
    cases = _cases(granted)
    return bool(cases) and all(
        any(all(map(case.requires, branch.clauses)) for branch in pattern)
        for case in cases
        for pattern in patterns
    )


def _cases(granted: Grant) -> list[_Case]:
    """Return the grant in every combination of its alternatives and of the values that it lists."""
    parts = [
        [case for branch in pattern for case in itertools.product(*map(_values, branch.clauses))]
        for pattern in granted.patterns(closed=False)
    ]
    found = [*itertools.islice(itertools.product(*parts), _MOST_CASES + 1)]
    return [_Case.of(granted, itertools.chain(*case)) for case in found] if len(found) <= _MOST_CASES else []


def _values(clause: Clause) -> list[Clause]:
    listed: Any = next((test.operand for test in clause.tests if test.op == "in"), None)
    if clause.fact not in ("arg_str", "arg_int") or listed is None:
        return [clause]
    values = [value for value in listed if all(test.holds((value,)) for test in clause.tests)]
    return [replace(clause, equal=value, tests=()) for value in values]


@dataclass(frozen=True, slots=True)
class _Case:
    """One way to satisfy a grant: all that it says of the arguments that it names."""

    named: frozenset[str]
    omitted: frozenset[object]
    clauses: frozenset[Clause]
    call: Call
    """A call with the arguments of which the case says the exact value."""

    @classmethod
    def of(cls, granted: Grant, clauses: Iterable[Clause]) -> _Case:
        found = frozenset(clauses)
        omitted = {t.operand for c in found if c.fact == "arg_names" for t in c.tests if t.op == "lacks"}
        exact = {
            c.key: None if c.fact == "arg_null" else c.equal
            for c in found
            if c.fact in _EXACT and c.equal is not None
        }
        values: dict[str, Any] = {key: value for key, value in exact.items() if not key.startswith("/")}
        named = frozenset(name for name, _ in granted.constraints)
        return cls(named, frozenset(omitted), found, Call.of(granted.tool, values))

    def requires(self, clause: Clause) -> bool:
        """Return whether a clause holds in every call of this case, if it is about a named argument."""
        if clause.fact == "arg_names":
            return all(map(self._names, clause.tests))
        argument = argument_of(clause.key)
        if argument not in self.named or clause in self.clauses:
            return True
        if argument in self.call.values:
            return clause.holds(self.call)
        alike = [
            c
            for c in self.clauses
            if (c.fact, c.key, c.parameter) == (clause.fact, clause.key, clause.parameter)
        ]
        return any(_implies(one, clause) for one in alike)

    def _names(self, test: Test) -> bool:
        if isinstance(test.operand, frozenset):
            return self.named - self.omitted <= test.operand
        if test.operand not in self.named:
            return True
        if test.op == "lacks":
            return test.operand in self.omitted
        return any(
            argument_of(c.key) == test.operand or Test("has", test.operand) in c.tests for c in self.clauses
        )


_EXACT = frozenset({"arg_str", "arg_int", "arg_bool", "arg_null"})

_TIGHTER: dict[str, Callable[[Any, Any], bool]] = {
    "in": lambda own, other: own <= other,
    "not_in": lambda own, other: own >= other,
    "has": lambda own, other: own == other,
    "lacks": lambda own, other: own == other,
    "starts": lambda own, other: own.startswith(other),
    "ends": lambda own, other: own.endswith(other),
    "at_least": lambda own, other: own >= other,
    "at_most": lambda own, other: own <= other,
}


def _implies(one: Clause, other: Clause) -> bool:
    """Return whether a clause implies another one about the same fact of the same place."""
    if isinstance(one.equal, Source) or other.equal is not None:
        return False
    if one.equal is not None:
        return all(test.index == 0 and test.holds((one.equal,)) for test in other.tests)
    return all(
        any(
            (own.op, own.index, own.each) == (test.op, test.index, test.each)
            and _TIGHTER[test.op](own.operand, test.operand)
            for own in one.tests
        )
        for test in other.tests
    )
