"""Tells OpenTelemetry what a guard does, where the program that it is part of uses OpenTelemetry.

    hessra.call              a span from the decision to the outcome, around what the tool itself traces
    hessra.decisions         how many calls got which verdict: ``permitted``, or the reason of a refusal
    hessra.ledger.wait       seconds that a call waited for the ledger to admit it
    hessra.revocations.age   seconds since a guard last read what was revoked; past 5 it refuses

Said are the object, the subject, the guard's name and the verdict: no argument, token or key, ever. Where
the program has set no provider, nothing is done but to look now and then whether it has. What fails here is
logged, and changes no decision.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterable
from functools import cache, wraps
from typing import TYPE_CHECKING, Any, ParamSpec
from weakref import WeakSet

from ..call.call import Call

if TYPE_CHECKING:
    from opentelemetry.metrics import CallbackOptions, Counter, Histogram, Observation
    from opentelemetry.trace import Tracer

    from .remembering import Remembers

__all__ = ["LOOK_EVERY", "CallSpan", "call_span"]

_NAME = "hessra_agents"
_LONGEST = 256

LOOK_EVERY = 1.0
"""Seconds between two looks for a provider."""

_provided = False
_looked = float("-inf")
_guards: WeakSet[Remembers] = WeakSet()

P = ParamSpec("P")

_log = logging.getLogger("hessra_agents")


def call_span(guard: Remembers, call: Call) -> CallSpan | None:
    """What tells of this call, from now on; None where nobody hears it."""
    return CallSpan(guard, call) if "opentelemetry" in sys.modules and _heard() else None


def _heard() -> bool:
    """Whether the program has set a provider. Once set, it stays; until then, asking costs a little."""
    global _looked
    if not _provided and time.monotonic() - _looked >= LOOK_EVERY:
        _looked = time.monotonic()
        _look()
    return _provided


def _aside(tell: Callable[P, None]) -> Callable[P, None]:
    """A failure is logged and goes no further."""

    @wraps(tell)
    def told(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            tell(*args, **kwargs)
        except Exception as error:
            _log.warning("OpenTelemetry fails", exc_info=error)

    return told


@_aside
def _look() -> None:
    global _provided
    from opentelemetry import metrics, trace

    # the API's own providers are there before a program sets any, and keep nothing
    tracers, meters = type(trace.get_tracer_provider()), type(metrics.get_meter_provider())
    _provided = not (
        tracers.__module__.startswith("opentelemetry.trace")
        and meters.__module__.startswith("opentelemetry.metrics")
    )


class CallSpan:
    """Tells of one call, whose span is the current one until `end`."""

    __slots__ = ("_context", "_guard", "_span", "_token", "_waits")

    def __init__(self, guard: Remembers, call: Call) -> None:
        self._guard = guard
        self._span: Any = None
        self._waits: float | None = None
        self._begin(call)

    @_aside
    def _begin(self, call: Call) -> None:
        span = _tracer().start_span("hessra.call")
        if span.is_recording():
            from opentelemetry import context, trace

            span.set_attribute("hessra.object", _cut(call.resource))
            span.set_attribute("hessra.operation", _cut(call.operation))
            span.set_attribute("hessra.audience", self._guard.audience)
            self._context = trace.set_span_in_context(span)
            self._token = context.attach(self._context)
            self._span = span

    def waits(self) -> None:
        """The ledger is asked from now on, until the verdict."""
        self._waits = time.perf_counter()

    @_aside
    def decided(self, verdict: str, subject: str = "") -> None:
        """What the guard said; the subject if it was verified."""
        decisions, wait = _instruments()
        if self._guard not in _guards:
            _guards.add(self._guard)
        audience = self._guard.audience
        decisions.add(1, {"verdict": verdict, "audience": audience})
        if self._waits is not None:
            wait.record(time.perf_counter() - self._waits, {"audience": audience})
        if self._span is not None:
            self._span.set_attribute("hessra.verdict", verdict)
            if subject:
                self._span.set_attribute("hessra.subject", _cut(subject))

    @_aside
    def end(self, error: BaseException | None = None) -> None:
        """The call is over. Of an exception its kind is said: its text may hold anything."""
        if self._span is None:
            return
        from opentelemetry import context, trace

        if context.get_current() is self._context:  # a generator may be closed by another task
            context.detach(self._token)
        if error is not None:
            self._span.set_attribute("error.type", type(error).__name__)
            self._span.set_status(trace.StatusCode.ERROR)
        self._span.end()


@cache
def _tracer() -> Tracer:
    """One that finds the program's provider, even if that is set later."""
    from opentelemetry import trace

    return trace.get_tracer(_NAME)


@cache
def _instruments() -> tuple[Counter, Histogram]:
    from opentelemetry import metrics

    meter = metrics.get_meter(_NAME)
    meter.create_observable_gauge(
        "hessra.revocations.age", [_ages], "s", "since what was revoked was last read"
    )
    decisions = meter.create_counter("hessra.decisions", "{call}", "calls by verdict")
    return decisions, meter.create_histogram("hessra.ledger.wait", "s", "calls waiting for the ledger")


def _ages(_: CallbackOptions) -> Iterable[Observation]:
    from opentelemetry.metrics import Observation

    ages = [
        (guard._ledger.revoked.age, guard.audience) for guard in list(_guards) if guard._ledger is not None
    ]
    return [Observation(age, {"audience": audience}) for age, audience in ages]


def _cut(text: str) -> str:
    """A name that somebody else chose, in a length that is fit for a label."""
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
