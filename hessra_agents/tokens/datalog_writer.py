"""Clauses as Datalog.

Everything that a caller chose goes in as a parameter, never as text. The operators are those of Datalog
3.0, so that every Biscuit implementation reads a bearer capability; only a test on every element of a
list needs a closure (3.3), and ``trusting`` makes 3.1.
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
    """Add the check that one branch of the pattern matches."""
    params: dict[str, object] = {}
    queries = [_query(branch, params) for branch in pattern]
    builder.add_check(Check("check if " + " or ".join(queries), params))


def attested_check(alternatives: Iterable[RequiredAttestation]) -> Check:
    """The check that a named key states a designation.

    Raises:
        ValueError: the alternatives are asked of different objects, which one check cannot say.
    """
    params: dict[str, object] = {}
    keys: dict[str, BiscuitPublicKey] = {}
    texts: list[str] = []
    scopes = set()
    for index, one in enumerate(alternatives):
        params |= {f"l{index}": one.label, f"v{index}": one.value}
        keys[f"k{index}"] = PublicKey(one.key).for_biscuit()
        texts.append(f"designation({{l{index}}}, {{v{index}}}) trusting {{k{index}}}")
        scopes.add(one.tools)
    if len(scopes) != 1:
        raise ValueError("one check asks all its keys of the same objects")
    return Check("check if " + " or ".join(texts + _elsewhere(scopes.pop(), params)), params, keys)


def limit_check(handle: str, limit: Limit) -> Check:
    """The check that a ledger has counted this limit."""
    params: dict[str, object] = {"h": handle, "k": limit.spelling, "n": limit.at_most}
    return Check(
        "check if " + " or ".join(["limit({h}, {k}, {n})", *_elsewhere(limit.tools, params)]), params
    )


def exposure_check(pattern: str, tools: frozenset[str] | None) -> Check:
    """The check that the session has seen nothing of what this pattern of labels means."""
    params: dict[str, object] = {"p": pattern}
    return Check("check if " + " or ".join(["exposure_clear({p})", *_elsewhere(tools, params)]), params)


def _elsewhere(tools: frozenset[str] | None, params: dict[str, object]) -> list[str]:
    """The last branch of what is asked of some objects only."""
    if tools is None:
        return []
    params["of"] = set(tools)
    return ["resource($r), !{of}.contains($r)"]


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
