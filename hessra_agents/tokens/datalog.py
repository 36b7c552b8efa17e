"""Clauses as Datalog, and the engine that runs it.

Everything that a caller chose goes in as a parameter, never as text. The operators are those of Datalog
3.0, so that every Biscuit implementation reads a bearer capability; only a test on every element of a
list needs a closure (3.3), and ``trusting`` makes 3.1.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator
from typing import Any

from biscuit_auth import (
    AuthorizationError,
    AuthorizerBuilder,
    Biscuit,
    BiscuitBuilder,
    BlockBuilder,
    Check,
    Fact,
)
from biscuit_auth import (
    PublicKey as BiscuitPublicKey,
)

from ..call import Call
from ..clauses import Branch, Pattern, Test
from ..errors import Denied, Reason
from ..facts import SIGNATURES
from .keys import PublicKey
from .profile import ANCHOR, Attested

__all__ = ["ENGINE_LIMIT", "add_pattern", "attested_check", "authorize", "foreign", "limited", "rejected"]

ENGINE_LIMIT = dt.timedelta(milliseconds=250)
"""The library's own limit, 1 ms, refuses honest calls on a busy machine. Admission bounds the work."""

_TEXTS = {
    "in": "{{{p}}}.contains({v})",
    "has": "{v}.contains({{{p}}})",
    "lacks": "!{v}.contains({{{p}}})",
    "starts": "{v}.starts_with({{{p}}})",
    "ends": "{v}.ends_with({{{p}}})",
    "at_least": "{v} >= {{{p}}}",
    "at_most": "{v} <= {{{p}}}",
}


def foreign(error: BaseException) -> BaseException:
    """The error itself if it must pass; the library's panics derive from BaseException and must not."""
    if isinstance(error, (KeyboardInterrupt, SystemExit, GeneratorExit, MemoryError)):
        raise error
    return error


def add_pattern(builder: BiscuitBuilder | BlockBuilder, pattern: Pattern) -> None:
    """Add the check that one branch of the pattern matches."""
    params: dict[str, object] = {}
    queries = [_query(branch, params) for branch in pattern]
    builder.add_check(Check("check if " + " or ".join(queries), params))


def attested_check(alternatives: Iterable[Attested]) -> Check:
    """The check that a named key states a designation."""
    params: dict[str, object] = {}
    keys: dict[str, BiscuitPublicKey] = {}
    texts = []
    for index, one in enumerate(alternatives):
        params |= {f"l{index}": one.label, f"v{index}": one.value}
        keys[f"k{index}"] = PublicKey(one.key).for_biscuit()
        texts.append(f"designation({{l{index}}}, {{v{index}}}) trusting {{k{index}}}")
    return Check("check if " + " or ".join(texts), params, keys)


def _query(branch: Branch, params: dict[str, object]) -> str:
    def param(value: object) -> str:
        name = f"p{len(params)}"
        params[name] = set(value) if isinstance(value, frozenset) else value
        return name

    predicates, expressions = [f"resource({{{param(branch.resource)}}})"], []
    for clause in branch.clauses:
        terms = [f"{{{param(clause.key)}}}"] if clause.key else []
        if clause.equal is not None:
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


def authorize(
    biscuit: Biscuit,
    call: Call,
    *,
    now: int,
    audience: str,
    designations: Iterable[tuple[str, str]],
    patterns: Iterable[Pattern],
) -> None:
    """Let the engine decide: it is the definition that the decision on decoded data must agree with.

    It is told the time, the object, the operation, the audience, the designations that were earned, and
    every fact about the call that the token's patterns ask for. It needs the right; it never says
    ``allow if true``.

    Raises:
        Denied: ``unavailable``; the engine was asked only after our own decision to permit, so its
            refusal, its overrun and its failures are all a fault of the guard.
    """
    builder = AuthorizerBuilder(
        "time({now}); resource({resource}); operation({operation}); designation({anchor}, {audience});"
        "allow if right($subject, {resource}, {operation});",
        {
            "now": now,
            "resource": call.resource,
            "operation": call.operation,
            "anchor": ANCHOR,
            "audience": audience,
        },
    )
    try:
        for label, value in designations:
            builder.add_fact(Fact("designation({l}, {v})", {"l": label, "v": value}))
        for fact in _facts(call, patterns):
            builder.add_fact(fact)
        limited(builder).build(biscuit).authorize()
    except AuthorizationError as error:
        overrun = "limit" in str(error)
        detail = "the Datalog engine ran over its limit" if overrun else "the Datalog engine refuses"
        raise Denied(Reason.UNAVAILABLE, detail=detail) from error
    except BaseException as error:
        raise Denied(Reason.UNAVAILABLE, detail="the Datalog engine failed") from foreign(error)


def limited(builder: AuthorizerBuilder) -> AuthorizerBuilder:
    """The same builder under our time limit."""
    settable: Any = builder  # the type stubs lag behind the library
    limits = settable.limits()
    limits.max_time = ENGINE_LIMIT
    settable.set_limits(limits)
    return builder


def _facts(call: Call, patterns: Iterable[Pattern]) -> Iterator[Fact]:
    wanted = {
        (clause.fact, clause.key)
        for pattern in patterns
        for branch in pattern
        if branch.resource == call.resource
        for clause in branch.clauses
    }
    for name, key in wanted:
        values = call.fact(name, key)
        if values is None:
            continue
        params: dict[str, object] = {"k": key} if key else {}
        params |= {f"v{i}": set(v) if isinstance(v, frozenset) else v for i, v in enumerate(values)}
        yield Fact(f"{name}({', '.join(f'{{{p}}}' for p in params)})", params)


def rejected(error: BaseException) -> Denied:
    """The refusal of a token that the library does not read."""
    return Denied(Reason.BAD_SIGNATURE, detail=type(foreign(error)).__name__)
