"""Read back what the checks of a token say: about arguments, the time, limits, and labels."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from ..call.facts import PARAMETERS, SIGNATURES
from ..grants.clauses import SOURCED, SPARES_NOTHING, Branch, Choice, Clause, Pattern, Source, Test
from ..grants.labels import is_name, is_text
from ..grants.limits import Limit
from ..grants.provenance import Selector
from .format.blocks import Query
from .format.protobuf import outside_profile
from .format.terms import Op, Predicate, Var

__all__ = ["HANDLE", "read_activation", "read_choice", "read_clear", "read_limit"]
__all__ += ["read_attested", "read_moment", "read_pattern", "read_right", "read_scope", "read_time"]

HANDLE = re.compile(r"[0-9a-f]{32}")
"""The name of one holder, approver or limit: 128 bits in hex."""

_LESS, _AT_MOST, _AT_LEAST, _CONTAINS, _STARTS, _ENDS, _ALL = 0, 2, 3, 5, 6, 7, 25
"""Operators, by their numbers on the wire."""

_NEGATE = 0
_NOT, _HAS = Op("unary", code=_NEGATE), Op("binary", code=_CONTAINS)
_BELOW, _NOT_BELOW = Op("binary", code=_LESS), Op("binary", code=_AT_LEAST)
_COMPARISONS = {_AT_MOST: "at_most", _AT_LEAST: "at_least", _STARTS: "starts", _ENDS: "ends"}


def read_time(query: Query) -> tuple[int, bool] | None:
    """Return (N, True) for ``time($t), $t < N``, (N, False) for ``$t >= N``, None for any other query."""
    match query:
        case Query(
            (("time", (Var() as variable,)),),
            ((Op("value", Var() as left), Op("value", bound), comparison),),
            (),
        ) if left == variable and type(bound) is int and comparison in (_BELOW, _NOT_BELOW):
            return bound, comparison == _BELOW
    return None


def read_moment(query: Query) -> tuple[int, bool]:
    """Return the same, of a query that must be about the time.

    Raises:
        Denied: ``outside_profile``.
    """
    bound = read_time(query)
    if bound is None:
        raise outside_profile("an unsupported check of the time")
    return bound


def read_pattern(check: tuple[Query, ...], *, first: bool) -> Pattern:
    """Return the pattern of one check; in the first block each branch must close the argument names.

    Raises:
        Denied: ``outside_profile``.
    """
    branches = tuple([_branch(query) for query in check])
    if first and not all(branch.closes for branch in branches):
        raise outside_profile("a first block that leaves argument names open")
    return branches


def read_choice(ways: tuple[Query, ...], tools: frozenset[str] | None) -> Choice:
    """Return the choice of one check, for calls of these objects.

    Raises:
        Denied: ``outside_profile``.
    """
    if tools is None or not all(query.body for query in ways):
        raise outside_profile("a check that names no object, or a way without a fact")
    return Choice(tools, tuple([_clauses(query, query.body) for query in ways]))


def read_right(query: Query) -> None:
    """Refuse anything but ``resource($r), operation($o), right($s, $r, $o)`` with three variables.

    Raises:
        Denied: ``outside_profile``.
    """
    (_, resource), (_, operation), (_, right) = query.body
    variables = {type(term) for term in resource + operation + right} == {Var}
    joined = (resource, operation) == (right[1:2], right[2:]) and len(right) == len(set(right)) == 3
    if not (variables and joined) or query.expressions or query.trusting:
        raise outside_profile("an unsupported check of a right")


def read_attested(
    check: tuple[Query, ...],
) -> tuple[list[tuple[str, str, bytes]], frozenset[str] | None, tuple[Clause, ...]]:
    """Return the designations that keys must state, one of them: (label, value, key).

    Beside them return the objects of the calls (None: of all), and what calls must satisfy for which no key
    need state anything (none: there are no such calls): a way of facts about values.

    Raises:
        Denied: ``outside_profile``.
    """
    check, tools = read_scope(check)
    unless: tuple[Clause, ...] = ()
    if len(check) > 1 and not check[-1].trusting:
        unless, check = _clauses(check[-1], check[-1].body), check[:-1]
        if not unless or any(clause.fact in SPARES_NOTHING for clause in unless):
            raise outside_profile("an approval that is not needed, whatever the arguments")
    found = []
    for query in check:
        match query:
            case Query((("designation", (str(label), str(value))),), (), (key,)):
                found.append((label, value, key))
            case _:
                raise outside_profile("an unsupported designation by a key")
    return found, tools, unless


def read_limit(check: tuple[Query, ...]) -> tuple[str, Limit]:
    """Return the handle and the limit of one check; a budget has its name in place of a handle.

    Raises:
        Denied: ``outside_profile``.
    """
    (query, *more), tools = read_scope(check)
    match query:
        case Query(((name, (str(handle), str(kind), int(most))),), (), ()) if type(most) is int and not more:
            limit = Limit.parse(kind, most, tools)
            if limit is not None and name == "budget" and is_name(handle):
                return handle, replace(limit, budget=handle)
            if limit is not None and name == "limit" and HANDLE.fullmatch(handle):
                return handle, limit
    raise outside_profile("an unsupported limit")


def read_clear(check: tuple[Query, ...]) -> tuple[str, frozenset[str] | None]:
    """Return the pattern of labels that a session must not have seen, and the objects of the calls.

    Raises:
        Denied: ``outside_profile``.
    """
    (query, *more), tools = read_scope(check)
    match query:
        case Query(((_, (str(labels),)),), (), ()) if is_text(labels) and not more:
            return labels, tools
    raise outside_profile("an unsupported condition on exposure")


def read_activation(query: Query) -> bytes:
    """Return the key that must activate the capability.

    Raises:
        Denied: ``outside_profile``.
    """
    match query:
        case Query(((_, (Var(),)),), (), (key,)):
            return key
        case _:
            raise outside_profile("an unsupported check of an activation")


def read_scope(check: tuple[Query, ...]) -> tuple[tuple[Query, ...], frozenset[str] | None]:
    """Split off the last alternative ``resource($r), !{objects}.contains($r)``, and return those objects.

    Raises:
        Denied: ``outside_profile``.
    """
    last = check[-1]
    if len(check) == 1 or [name for name, _ in last.body] != ["resource"]:
        return check, None
    match last:
        case Query(
            ((_, (Var() as variable,)),),
            ((Op("value", frozenset() as tools), Op("value", Var() as element), *rest),),
            (),
        ) if element == variable and rest == [_HAS, _NOT] and {type(tool) for tool in tools} == {str}:
            # not an empty set: that would be a check that requires nothing
            return check[:-1], tools
    raise outside_profile("an unsupported choice of objects")


def _branch(query: Query) -> Branch:
    if not query.body:
        raise outside_profile("a check that names no object")
    (name, terms), *rest = query.body
    if name != "resource" or len(terms) != 1 or type(terms[0]) is not str:
        raise outside_profile(f"an unsupported check on {name}")
    return Branch(terms[0], _clauses(query, rest))


def _clauses(query: Query, body: Sequence[Predicate]) -> tuple[Clause, ...]:
    if query.trusting:
        raise outside_profile("a check on arguments that trusts a key")
    bound: dict[Var, tuple[int, int]] = {}
    heads = [_head(predicate, index, bound) for index, predicate in enumerate(body)]
    tests: list[list[Test]] = [[] for _ in heads]
    for expression in query.expressions:
        index, test = _test(expression, bound)
        tests[index].append(test)
    read = zip(heads, tests, strict=True)
    clauses = tuple([Clause(c.fact, c.key, c.equal, tuple(own), c.parameter) for c, own in read])
    if not all(clause.well_formed() for clause in clauses):
        raise outside_profile("a test that does not fit its fact")
    return clauses


def _head(predicate: Predicate, index: int, bound: dict[Var, tuple[int, int]]) -> Clause:
    """Return a clause without its tests, and add its variables to ``bound``, each once.

    ``bound`` maps a variable to the index of its clause and to its position there.
    """
    name, terms = predicate
    if name in SOURCED:
        place, source = _sourced(terms)
        return Clause(name, place, source)
    types = SIGNATURES.get(name)
    if types is None:
        raise outside_profile(f"an unknown predicate: {name}")
    key, values = ("", terms) if name == "arg_names" else (terms[0] if terms else None, terms[1:])
    parameter: object = None
    if name in PARAMETERS and values:
        parameter, values = values[0], values[1:]
    if type(key) is not str or len(values) != len(types):
        raise outside_profile(f"{name} with unexpected terms")
    if parameter is not None and type(parameter) is not int and type(parameter) is not str:
        raise outside_profile(f"{name} with an unexpected parameter")
    if len(values) == 1 and not isinstance(values[0], (Var, frozenset)):
        return Clause(name, key, values[0], (), parameter)
    for position, value in enumerate(values):
        if not isinstance(value, Var) or value in bound:
            raise outside_profile("a variable is used twice, or missing")
        bound[value] = (index, position)
    return Clause(name, key, None, (), parameter)


def _sourced(terms: tuple[object, ...]) -> tuple[str, Source]:
    """Return key and source of a value that must come from an earlier result."""
    if [type(term) for term in terms] != [str, str, str]:
        raise outside_profile("a result with unexpected terms")
    key, tool, selector = map(str, terms)
    try:
        Selector.read(selector)
    except ValueError as error:
        raise outside_profile("a selector that cannot be read") from error
    return key, Source(tool, selector)


def _test(ops: tuple[Op, ...], bound: dict[Var, tuple[int, int]]) -> tuple[int, Test]:
    """Return a test and the index of its clause, from an expression in postfix form."""
    lacks = len(ops) == 4 and ops[3] == _NOT
    if len(ops) != 3 + lacks or ops[2].kind != "binary":
        raise outside_profile("an unsupported expression")
    left, right, code = ops[0], ops[1], ops[2].code
    if lacks and code != _CONTAINS:
        raise outside_profile("an unsupported negation")
    if code == _CONTAINS:
        if isinstance(left.value, frozenset):
            return _on(bound, right, "not_in" if lacks else "in", left.value)
        return _on(bound, left, "lacks" if lacks else "has", right.value)
    if code == _ALL and right.kind == "closure" and len(right.body) == 3:
        variable, literal, comparison = right.body
        if _is_variable(variable, right.value) and comparison.kind == "binary":
            return _on(bound, left, _COMPARISONS.get(comparison.code, ""), literal.value, each=True)
    return _on(bound, left, _COMPARISONS.get(code, ""), right.value if right.kind == "value" else None)


def _on(
    bound: dict[Var, tuple[int, int]], variable: Op, op: str, operand: object, *, each: bool = False
) -> tuple[int, Test]:
    value = variable.value
    if type(value) is not Var or variable.kind != "value" or value not in bound:
        raise outside_profile("a test of something that is not a variable of its branch")
    if type(operand) not in (str, int, frozenset):
        raise outside_profile("a test against an unsupported type of value")
    clause, index = bound[value]
    return clause, Test(op, operand, index, each)  # type: ignore[arg-type]


def _is_variable(step: Op, variable: object) -> bool:
    """Return whether a step is this variable, and not the integer that equals the variable's number."""
    return type(step.value) is type(variable) is Var and step.kind == "value" and step.value == variable
