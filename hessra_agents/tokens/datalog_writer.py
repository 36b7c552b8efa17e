"""Write clauses as Datalog.

Everything that a caller chooses goes in as a parameter, never as source text. The operators are those of
Datalog 3.0, so every Biscuit implementation reads a bearer capability; only a test on every element of a
list needs a closure (3.3), and ``trusting`` needs 3.1.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable

from biscuit_auth import (
    BiscuitBuilder,
    BlockBuilder,
    Check,
)
from biscuit_auth import (
    PublicKey as BiscuitPublicKey,
)

from ..call.facts import SIGNATURES
from ..grants.clauses import Choice, Clause, Pattern, Source, Test
from ..grants.limits import Limit
from ..keys.keys import PublicKey
from .admission import RequiredAttestation

__all__ = ["add_choice", "add_pattern", "attested_check", "exposure_check", "limit_check"]

_TEXTS = {
    "in": "{{{p}}}.contains({v})",
    "not_in": "!{{{p}}}.contains({v})",
    "has": "{v}.contains({{{p}}})",
    "lacks": "!{v}.contains({{{p}}})",
    "starts": "{v}.starts_with({{{p}}})",
    "ends": "{v}.ends_with({{{p}}})",
    "at_least": "{v} >= {{{p}}}",
    "at_most": "{v} <= {{{p}}}",
}


def add_pattern(builder: BiscuitBuilder | BlockBuilder, pattern: Pattern) -> None:
    """Add a check that one branch of the pattern matches."""
    params: dict[str, object] = {}
    queries = [_query(branch.clauses, params, branch.resource) for branch in pattern]
    builder.add_check(_check(queries, None, params))


def add_choice(builder: BiscuitBuilder | BlockBuilder, choice: Choice) -> None:
    """Add a check that one way of the choice holds, for calls of its objects."""
    params: dict[str, object] = {}
    queries = [_query(way, params) for way in choice.ways]
    builder.add_check(_check(queries, choice.tools, params))


def attested_check(alternatives: Iterable[RequiredAttestation]) -> Check:
    """Return a check that one of these keys states its designation.

    Raises:
        ValueError: the alternatives are about different calls, which one check cannot express.
    """
    params: dict[str, object] = {}
    keys: dict[str, BiscuitPublicKey] = {}
    queries: list[str] = []
    scopes = set()
    for index, alternative in enumerate(alternatives):
        params |= {f"l{index}": alternative.label, f"v{index}": alternative.value}
        keys[f"k{index}"] = PublicKey(alternative.key).for_biscuit()
        queries.append(f"designation({{l{index}}}, {{v{index}}}) trusting {{k{index}}}")
        scopes.add((alternative.tools, alternative.unless))
    if len(scopes) != 1:
        raise ValueError("all keys of one check must be required for the same calls")
    tools, unless = scopes.pop()
    queries += [_query(unless, params)] if unless else []
    return _check(queries, tools, params, keys)


def limit_check(handle: str, limit: Limit) -> Check:
    """Return a check that a ledger has counted this limit, under this handle or as its budget."""
    params: dict[str, object] = {"h": limit.budget or handle, "k": limit.spelling, "n": limit.at_most}
    return _check([f"{limit.predicate}({{h}}, {{k}}, {{n}})"], limit.tools, params)


def exposure_check(pattern: str, tools: frozenset[str] | None) -> Check:
    """Return a check that the session has seen no label that this pattern matches."""
    return _check(["exposure_clear({p})"], tools, {"p": pattern})


def _check(
    queries: list[str],
    tools: frozenset[str] | None,
    params: dict[str, object],
    keys: dict[str, BiscuitPublicKey] | None = None,
) -> Check:
    """Return a check of these alternatives that only calls of some objects must meet (None: all calls)."""
    if tools is not None:
        params["of"] = set(tools)
        queries = [*queries, "resource($r), !{of}.contains($r)"]
    return Check("check if " + " or ".join(queries), params, keys)


def _query(clauses: Iterable[Clause], params: dict[str, object], resource: str | None = None) -> str:
    """Return the text of one alternative, which names its object unless ``resource`` is omitted."""

    def param(value: object) -> str:
        name = f"p{len(params)}"
        params[name] = set(value) if isinstance(value, frozenset) else value
        return name

    predicates = [] if resource is None else [f"resource({{{param(resource)}}})"]
    expressions: list[str] = []
    variables = itertools.count()
    for clause in clauses:
        terms = [f"{{{param(clause.key)}}}"] if clause.key else []
        terms += [] if clause.parameter is None else [f"{{{param(clause.parameter)}}}"]
        if isinstance(clause.equal, Source):
            terms += [f"{{{param(clause.equal.tool)}}}", f"{{{param(clause.equal.selector)}}}"]
        elif clause.equal is not None:
            terms.append(f"{{{param(clause.equal)}}}")
        else:
            names = [f"$v{next(variables)}" for _ in SIGNATURES[clause.fact]]
            terms += names
            expressions += [
                _expression(test, names[test.index], param(test.operand)) for test in clause.tests
            ]
        predicates.append(f"{clause.fact}({', '.join(terms)})")
    return ", ".join(predicates + expressions)


def _expression(test: Test, variable: str, param: str) -> str:
    if test.each:
        return f"{variable}.all($x -> {_TEXTS[test.op].format(v='$x', p=param)})"
    return _TEXTS[test.op].format(v=variable, p=param)
