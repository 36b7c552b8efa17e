"""Write clauses as Datalog.

Everything that a caller chooses goes in as a parameter, never as source text. The operators are those of
Datalog 3.0, so every Biscuit implementation reads a bearer capability; only a test on every element of a
list needs a closure (3.3), and ``trusting`` needs 3.1.
"""

from __future__ import annotations

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
from ..grants.clauses import Branch, Pattern, Source, Test
from ..grants.limits import Limit
from ..keys.keys import PublicKey
from .admission import RequiredAttestation

__all__ = ["add_pattern", "attested_check", "exposure_check", "limit_check"]

_TEXTS = {
    "in": "{{{p}}}.contains({v})",
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
    queries = [_query(branch, params) for branch in pattern]
    builder.add_check(Check("check if " + " or ".join(queries), params))


def attested_check(alternatives: Iterable[RequiredAttestation]) -> Check:
    """Return a check that one of these keys states its designation.

    Raises:
        ValueError: the alternatives are about different objects, which one check cannot express.
    """
    params: dict[str, object] = {}
    keys: dict[str, BiscuitPublicKey] = {}
    queries: list[str] = []
    scopes = set()
    for index, alternative in enumerate(alternatives):
        params |= {f"l{index}": alternative.label, f"v{index}": alternative.value}
        keys[f"k{index}"] = PublicKey(alternative.key).for_biscuit()
        queries.append(f"designation({{l{index}}}, {{v{index}}}) trusting {{k{index}}}")
        scopes.add(alternative.tools)
    if len(scopes) != 1:
        raise ValueError("all keys of one check must be required for the same objects")
    return _check(queries, scopes.pop(), params, keys)


def limit_check(handle: str, limit: Limit) -> Check:
    """Return a check that a ledger has counted this limit."""
    params: dict[str, object] = {"h": handle, "k": limit.spelling, "n": limit.at_most}
    return _check(["limit({h}, {k}, {n})"], limit.tools, params)


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


def _query(branch: Branch, params: dict[str, object]) -> str:
    def param(value: object) -> str:
        name = f"p{len(params)}"
        params[name] = set(value) if isinstance(value, frozenset) else value
        return name

    predicates, expressions = [f"resource({{{param(branch.resource)}}})"], []
    for clause in branch.clauses:
        terms = [f"{{{param(clause.key)}}}"] if clause.key else []
        if isinstance(clause.equal, Source):
            terms += [f"{{{param(clause.equal.tool)}}}", f"{{{param(clause.equal.selector)}}}"]
        elif clause.equal is not None:
            terms.append(f"{{{param(clause.equal)}}}")
        else:
            names = [f"$v{len(predicates)}_{i}" for i in range(len(SIGNATURES[clause.fact]))]
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
