"""Run the Datalog engine after our own decision to permit, and translate the library's failures."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from typing import Any

from biscuit_auth import AuthorizationError, AuthorizerBuilder, Biscuit, Fact

from ..call.call import Call
from ..call.facts import PARAMETERS, SIGNATURES
from ..errors import Denied, Reason
from ..grants.clauses import Pattern, Results, Source
from .admission import ANCHOR

__all__ = ["ENGINE_LIMIT", "as_bad_signature", "authorize", "reraise_fatal", "run_engine"]

_OVERRUN = "Reached Datalog execution limits"

ENGINE_LIMIT = dt.timedelta(milliseconds=250)
"""The library's own limit, 1 ms, refuses honest calls on a busy machine. Admission bounds the work."""


def reraise_fatal(error: BaseException) -> BaseException:
    """Return the error, or raise it if it must pass; the library's panics, BaseExceptions, must not."""
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
    limits: Iterable[tuple[str, str, str, int]] = (),
    results: Results | None = None,
    clear: Iterable[str] = (),
) -> None:
    """Let the engine decide. It is the definition that the decision on decoded data must agree with.

    The engine is given the time, the object, the operation, the audience, the earned designations, the
    limits that a ledger will count (predicate, handle or name, kind, most), the patterns of labels that the
    session has not seen, and every fact that the token's patterns require about the call and the origin of
    its values. It requires the right; its policy is never ``allow if true``.

    Raises:
        Denied: ``unavailable`` (see `run_engine`).
    """

    def prepare() -> Any:
        builder: Any = AuthorizerBuilder()  # Any: the type stubs lag behind the library
        builder.merge(_of_every_call(call.resource, call.operation, audience))
        builder.add_fact(_time(now))
        for label, value in designations:
            builder.add_fact(_designation(label, value))
        for predicate, handle, kind, most in limits:
            builder.add_fact(Fact(f"{predicate}({{h}}, {{k}}, {{n}})", {"h": handle, "k": kind, "n": most}))
        for pattern in clear:
            builder.add_fact(Fact("exposure_clear({p})", {"p": pattern}))
        for fact in _facts(call, patterns, results):
            builder.add_fact(fact)
        return builder

    run_engine(prepare, biscuit)


def run_engine(prepare: Callable[[], Any], biscuit: Biscuit) -> None:
    """Have the engine authorize a token by the authorizer that ``prepare`` returns, within our time limit.

    Raises:
        Denied: ``unavailable``; the engine runs only after our own decision to permit, so its refusal, its
            overrun and its failures are all a fault of the guard.
    """
    try:
        builder = prepare()
        limits = builder.limits()
        limits.max_time = ENGINE_LIMIT
        builder.set_limits(limits)
        builder.build(biscuit).authorize()
    except AuthorizationError as error:
        overrun = _OVERRUN in str(error)
        detail = "the Datalog engine ran over its limit" if overrun else "the Datalog engine refuses"
        raise Denied(Reason.UNAVAILABLE, detail=detail) from error
    except BaseException as error:
        raise Denied(Reason.UNAVAILABLE, detail="the Datalog engine failed") from reraise_fatal(error)


# Only what the calls of one tool, one capability or one second have in common is cached: no verdict, and no
# argument's value.


@lru_cache(maxsize=256)
def _of_every_call(resource: str, operation: str, audience: str) -> AuthorizerBuilder:
    """Return the facts and the policy that all calls of one tool to one guard share, to merge from."""
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


_TEMPLATES = {
    name: f"{name}({', '.join(['{key}', *['{parameter}'] * (name in PARAMETERS)])}"
    + "".join(f", {{v{index}}}" for index in range(len(types)))
    + ")"
    for name, types in SIGNATURES.items()
}
"""Each fact about an argument, with placeholders for the key, the parameter and the values."""


def _facts(call: Call, patterns: Iterable[Pattern], results: Results | None) -> Iterator[Fact]:
    branches = [branch for pattern in patterns for branch in pattern if branch.resource == call.resource]
    clauses = {clause for branch in branches for clause in branch.clauses}
    for clause in clauses:
        if isinstance(clause.equal, Source) and clause.holds(call, results):
            params = {"k": clause.key, "t": clause.equal.tool, "s": clause.equal.selector}
            yield Fact(f"{clause.fact}({{k}}, {{t}}, {{s}})", params)
    asked = {(c.fact, c.key, c.parameter) for c in clauses if not isinstance(c.equal, Source)}
    for name, key, parameter in asked:
        if name == "arg_names":
            yield _names(call.names)
            continue
        values = call.fact(name, key, parameter)
        if values is None:
            continue
        terms: dict[str, object] = {"key": key} | ({} if parameter is None else {"parameter": parameter})
        for index, value in enumerate(values):
            terms[f"v{index}"] = set(value) if isinstance(value, frozenset) else value
        yield Fact(_TEMPLATES[name], terms)


def as_bad_signature(error: BaseException) -> Denied:
    """Return the refusal of a token that the library rejects."""
    text = "the capability was changed, or it is from another authority than this guard trusts"
    return Denied(Reason.BAD_SIGNATURE, text, detail=type(reraise_fatal(error)).__name__)
