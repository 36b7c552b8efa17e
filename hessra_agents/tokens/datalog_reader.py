"""Read back what the checks of a token say: patterns about arguments, and bounds on the time."""

from __future__ import annotations

from ..call.facts import SIGNATURES
from ..grants.clauses import SOURCED, Branch, Clause, Pattern, Source, Test
from ..grants.provenance import Selector
from .format.blocks import Query
from .format.protobuf import outside_profile
from .format.terms import Op, Predicate, Var

__all__ = ["HAS", "NOT", "read_pattern", "read_time"]

_LESS, _AT_MOST, _AT_LEAST, _CONTAINS, _STARTS, _ENDS, _ALL = 0, 2, 3, 5, 6, 7, 25
"""Operators, by their numbers on the wire."""

_NEGATE = 0
NOT, HAS = Op("unary", code=_NEGATE), Op("binary", code=_CONTAINS)
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


def read_pattern(check: tuple[Query, ...], *, first: bool) -> Pattern:
    """Return the pattern of one check; in the first block each branch must close the argument names.

    Raises:
        Denied: ``outside_profile``.
    """
    branches = tuple([_branch(query) for query in check])
    if first and not all(branch.closes for branch in branches):
        raise outside_profile("a first block that leaves argument names open")
    return branches


def _branch(query: Query) -> Branch:
    if not query.body or query.trusting:
        raise outside_profile("a check that names no object, or trusts a key")
    (name, terms), *rest = query.body
    if name != "resource" or len(terms) != 1 or type(terms[0]) is not str:
        raise outside_profile(f"an unsupported check on {name}")
    bound: dict[Var, tuple[int, int]] = {}
    heads = [_head(predicate, index, bound) for index, predicate in enumerate(rest)]
    tests: list[list[Test]] = [[] for _ in heads]
    for expression in query.expressions:
        index, test = _test(expression, bound)
        tests[index].append(test)
    clauses = [Clause(*head, tuple(own)) for head, own in zip(heads, tests, strict=True)]
    if not all(clause.well_formed() for clause in clauses):
        raise outside_profile("a test that does not fit its fact")
    return Branch(terms[0], tuple(clauses))


def _head(
    predicate: Predicate, index: int, bound: dict[Var, tuple[int, int]]
) -> tuple[str, str, str | int | bool | bytes | Source | None]:
    """Return predicate, key and literal of a clause, and add its variables to ``bound``, each once.

    ``bound`` maps a variable to the index of its clause and to its position there.
    """
    name, terms = predicate
    if name in SOURCED:
        return name, *_sourced(terms)
    types = SIGNATURES.get(name)
    if types is None:
        raise outside_profile(f"an unknown predicate: {name}")
    key = "" if name == "arg_names" else terms[0] if terms else None
    values = terms if name == "arg_names" else terms[1:]
    if type(key) is not str or len(values) != len(types):
        raise outside_profile(f"{name} with unexpected terms")
    if len(values) == 1 and not isinstance(values[0], (Var, frozenset)):
        return name, key, values[0]
    for position, value in enumerate(values):
        if not isinstance(value, Var) or value in bound:
            raise outside_profile("a variable is used twice, or missing")
        bound[value] = (index, position)
    return name, key, None


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
    lacks = len(ops) == 4 and ops[3] == NOT
    if len(ops) != 3 + lacks or ops[2].kind != "binary":
        raise outside_profile("an unsupported expression")
    left, right, code = ops[0], ops[1], ops[2].code
    if lacks and code != _CONTAINS:
        raise outside_profile("an unsupported negation")
    if code == _CONTAINS:
        if isinstance(left.value, frozenset) and not lacks:
            return _on(bound, right, "in", left.value)
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
