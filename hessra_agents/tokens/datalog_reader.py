"""Patterns, read back from the checks of a token: what its blocks say about arguments."""

from __future__ import annotations

from ..call.facts import SIGNATURES
from ..grants.clauses import SOURCED, Branch, Clause, Pattern, Source, Test
from ..grants.provenance import Selector
from .format.blocks import Op, Predicate, Query, Var
from .format.protobuf import outside_profile

__all__ = ["AT_LEAST", "CONTAINS", "LESS", "NOT", "is_variable", "read_pattern"]

LESS, _AT_MOST, AT_LEAST, CONTAINS, _STARTS, _ENDS, _ALL = 0, 2, 3, 5, 6, 7, 25
"""Operators, by their numbers on the wire."""

_NEGATE = 0
NOT = Op("unary", code=_NEGATE)
_COMPARISONS = {_AT_MOST: "at_most", AT_LEAST: "at_least", _STARTS: "starts", _ENDS: "ends"}


def read_pattern(check: tuple[Query, ...], *, first: bool) -> Pattern:
    """The pattern of one check; in the first block each branch must close the names of arguments.

    Raises:
        Denied: ``outside_profile``.
    """
    branches = tuple([_branch(query) for query in check])
    for branch in branches:
        if first and not branch.closes:
            raise outside_profile("a first block that leaves argument names open")
    return branches


def _branch(query: Query) -> Branch:
    if not query.body or query.trusting:
        raise outside_profile("a check that names no object, or trusts a key")
    (name, terms), *rest = query.body
    if name != "resource" or len(terms) != 1 or type(terms[0]) is not str:
        raise outside_profile(f"a check of another shape, on {name}")
    bound: dict[Var, tuple[int, int]] = {}
    heads = [_head(predicate, index, bound) for index, predicate in enumerate(rest)]
    tests: list[list[Test]] = [[] for _ in heads]
    for expression in query.expressions:
        clause, test = _test(expression, bound)
        tests[clause].append(test)
    clauses = [Clause(*head, tuple(found)) for head, found in zip(heads, tests, strict=True)]
    for one in clauses:
        if not one.well_formed():
            raise outside_profile("a test that does not fit its fact")
    return Branch(terms[0], tuple(clauses))


def _head(
    predicate: Predicate, index: int, bound: dict[Var, tuple[int, int]]
) -> tuple[str, str, str | int | bool | bytes | Source | None]:
    """Predicate, key and literal of a clause; its variables go to ``bound``, each once."""
    name, terms = predicate
    if name in SOURCED:
        return name, *_sourced(terms)
    types = SIGNATURES.get(name)
    if types is None:
        raise outside_profile(f"an unknown predicate: {name}")
    key = "" if name == "arg_names" else terms[0] if terms else None
    values = terms if name == "arg_names" else terms[1:]
    if type(key) is not str or len(values) != len(types):
        raise outside_profile(f"{name} with other terms")
    if len(values) == 1 and not isinstance(values[0], (Var, frozenset)):
        return name, key, values[0]
    for position, value in enumerate(values):
        if not isinstance(value, Var) or value in bound:
            raise outside_profile("a variable that is used twice, or none where one must be")
        bound[value] = (index, position)
    return name, key, None


def _sourced(terms: tuple[object, ...]) -> tuple[str, Source]:
    """Key and source of a value that a session must have seen."""
    if [type(term) for term in terms] != [str, str, str]:
        raise outside_profile("results with other terms")
    key, tool, selector = map(str, terms)
    try:
        Selector.read(selector)
    except ValueError as error:
        raise outside_profile("a selector of another form") from error
    return key, Source(tool, selector)


def _test(ops: tuple[Op, ...], bound: dict[Var, tuple[int, int]]) -> tuple[int, Test]:
    """One test of a clause, from an expression in postfix form."""
    lacks = len(ops) == 4 and ops[3] == NOT
    if len(ops) != 3 + lacks or ops[2].kind != "binary":
        raise outside_profile("another expression")
    left, right, code = ops[0], ops[1], ops[2].code
    if lacks and code != CONTAINS:
        raise outside_profile("another negation")
    if code == CONTAINS:
        if isinstance(left.value, frozenset) and not lacks:
            return _on(bound, right, "in", left.value)
        return _on(bound, left, "lacks" if lacks else "has", right.value)
    if code == _ALL and right.kind == "closure" and len(right.body) == 3:
        variable, literal, comparison = right.body
        if is_variable(variable, right.value) and comparison.kind == "binary":
            return _on(bound, left, _COMPARISONS.get(comparison.code, ""), literal.value, each=True)
    return _on(bound, left, _COMPARISONS.get(code, ""), right.value if right.kind == "value" else None)


def _on(
    bound: dict[Var, tuple[int, int]], variable: Op, op: str, operand: object, *, each: bool = False
) -> tuple[int, Test]:
    value = variable.value
    if type(value) is not Var or variable.kind != "value" or value not in bound:
        raise outside_profile("a test on no variable of its branch")
    if type(operand) not in (str, int, frozenset):
        raise outside_profile("a test against another kind of value")
    clause, index = bound[value]
    return clause, Test(op, operand, index, each)  # type: ignore[arg-type]


def is_variable(step: Op, variable: object) -> bool:
    """Whether a step is this variable; the integer that is the number of its symbol is not."""
    return type(step.value) is type(variable) is Var and step.kind == "value" and step.value == variable
