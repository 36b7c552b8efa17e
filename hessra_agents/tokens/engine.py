"""The Datalog engine, asked after our own decision to permit; and the library's failures, translated."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any

from biscuit_auth import AuthorizationError, AuthorizerBuilder, Biscuit, Fact

from ..call.call import Call
from ..call.facts import SIGNATURES
from ..errors import Denied, Reason
from ..grants.clauses import Pattern, Results, Source
from .admission import ANCHOR

__all__ = ["ENGINE_LIMIT", "as_bad_signature", "authorize", "reraise_fatal", "with_time_limit"]

_OVERRUN = "Reached Datalog execution limits"

ENGINE_LIMIT = dt.timedelta(milliseconds=250)
"""The library's own limit, 1 ms, refuses honest calls on a busy machine. Admission bounds the work."""


def reraise_fatal(error: BaseException) -> BaseException:
    """The error itself if it must pass; the library's panics derive from BaseException and must not."""
    if isinstance(error, (KeyboardInterrupt, SystemExit, GeneratorExit, MemoryError)):
        raise error
    return error


def authorize(
    biscuit: Biscuit,
    call: Call,
    *,
    now: int,
    audience: str,
    designations: Iterable[tuple[str, str]],
    patterns: Iterable[Pattern],
    limits: Iterable[tuple[str, str, int]] = (),
    results: Results | None = None,
    clear: Iterable[str] = (),
) -> None:
    """Let the engine decide: it is the definition that the decision on decoded data must agree with.

    It is told the time, the object, the operation, the audience, the designations that were earned, the
    limits that a ledger is going to count (handle, kind, most), the patterns of labels of which the session
    has seen nothing, and every fact about the call, and about where its values come from, that the token's
    patterns ask for. It needs the right; it never says ``allow if true``.

    Raises:
        Denied: ``unavailable``; the engine was asked only after our own decision to permit, so its
            refusal, its overrun and its failures are all a fault of the guard.
    """
    try:
        builder: Any = AuthorizerBuilder()
        builder.merge(_asked(call.resource, call.operation, audience))
        builder.add_fact(_time(now))
        for label, value in designations:
            builder.add_fact(_designation(label, value))
        for handle, kind, most in limits:
            builder.add_fact(Fact("limit({h}, {k}, {n})", {"h": handle, "k": kind, "n": most}))
        for pattern in clear:
            builder.add_fact(Fact("exposure_clear({p})", {"p": pattern}))
        for fact in _facts(call, patterns, results):
            builder.add_fact(fact)
        with_time_limit(builder).build(biscuit).authorize()
    except AuthorizationError as error:
        overrun = _OVERRUN in str(error)
        detail = "the Datalog engine ran over its limit" if overrun else "the Datalog engine refuses"
        raise Denied(Reason.UNAVAILABLE, detail=detail) from error
    except BaseException as error:
        raise Denied(Reason.UNAVAILABLE, detail="the Datalog engine failed") from reraise_fatal(error)


def with_time_limit(builder: AuthorizerBuilder) -> AuthorizerBuilder:
    """The same builder under our time limit."""
    settable: Any = builder  # the type stubs lag behind the library
    limits = settable.limits()
    limits.max_time = ENGINE_LIMIT
    settable.set_limits(limits)
    return builder


# What is kept between calls is what the calls of one tool, one capability or one second have in common: no
# verdict, and no argument's value.


@lru_cache(maxsize=256)
def _asked(resource: str, operation: str, audience: str) -> AuthorizerBuilder:
    """What the engine is told and asked in every call of one tool to one guard; it is only merged from."""
    return AuthorizerBuilder(
        "resource({resource}); operation({operation}); designation({anchor}, {audience});"
        "allow if right($subject, {resource}, {operation});",
        {"resource": resource, "operation": operation, "anchor": ANCHOR, "audience": audience},
    )


@lru_cache(maxsize=8)
def _time(now: int) -> Fact:
    return Fact("time({now})", {"now": now})


@lru_cache(maxsize=256)
def _designation(label: str, value: str) -> Fact:
    return Fact("designation({label}, {value})", {"label": label, "value": value})


@lru_cache(maxsize=256)
def _names(names: frozenset[str]) -> Fact:
    return Fact("arg_names({names})", {"names": set(names)})


_TEXTS = {
    name: f"{name}({{key}}, {', '.join(f'{{v{index}}}' for index in range(len(types)))})"
    for name, types in SIGNATURES.items()
}
"""Each fact about an argument, with places for the key and the values."""


def _facts(call: Call, patterns: Iterable[Pattern], results: Results | None) -> Iterator[Fact]:
    asked = {
        clause
        for pattern in patterns
        for branch in pattern
        if branch.resource == call.resource
        for clause in branch.clauses
    }
    for clause in asked:
        if isinstance(clause.equal, Source) and clause.holds(call, results):
            params = {"k": clause.key, "t": clause.equal.tool, "s": clause.equal.selector}
            yield Fact(f"{clause.fact}({{k}}, {{t}}, {{s}})", params)
    for name, key in {(one.fact, one.key) for one in asked if not isinstance(one.equal, Source)}:
        if name == "arg_names":
            yield _names(call.names)
            continue
        values = call.fact(name, key)
        if values is None:
            continue
        told: dict[str, object] = {"key": key}
        for index, value in enumerate(values):
            told[f"v{index}"] = set(value) if isinstance(value, frozenset) else value
        yield Fact(_TEXTS[name], told)


def as_bad_signature(error: BaseException) -> Denied:
    """The refusal of a token that the library does not read."""
    return Denied(Reason.BAD_SIGNATURE, detail=type(reraise_fatal(error)).__name__)
