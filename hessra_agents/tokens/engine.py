"""The Datalog engine, asked after our own decision to permit; and the library's failures, translated."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator
from typing import Any

from biscuit_auth import AuthorizationError, AuthorizerBuilder, Biscuit, Fact

from ..call import Call
from ..clauses import Pattern
from ..errors import Denied, Reason
from .profile import ANCHOR

__all__ = ["ENGINE_LIMIT", "authorize", "foreign", "limited", "rejected"]

_OVERRUN = "Reached Datalog execution limits"

ENGINE_LIMIT = dt.timedelta(milliseconds=250)
"""The library's own limit, 1 ms, refuses honest calls on a busy machine. Admission bounds the work."""


def foreign(error: BaseException) -> BaseException:
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
        overrun = _OVERRUN in str(error)
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
