"""Report what a guard does to OpenTelemetry, if the program uses OpenTelemetry.

    hessra.call              a span from the decision to the outcome, around the tool's own spans
    hessra.decisions         the number of calls by verdict: ``permitted``, or the reason of a refusal
    hessra.ledger.wait       seconds that a call waited for the ledger to admit it
    hessra.revocations.age   seconds since a guard last read the revocations; after 5 s it refuses calls

Reported are the object, the subject, the guard's name and the verdict; never an argument, a token or a key.
While the program has set no provider, this module only checks now and then whether it has. A failure here is
logged, and changes no decision.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable
from functools import cache, wraps
from typing import TYPE_CHECKING, Any, ParamSpec
from weakref import WeakSet

from ..call.call import Call
from .settings import log

if TYPE_CHECKING:
    from opentelemetry.metrics import CallbackOptions, Counter, Histogram, Observation
    from opentelemetry.trace import Tracer

    from .settings import GuardSettings

__all__ = ["LOOK_EVERY", "CallSpan", "call_span"]

_NAME = "hessra_agents"
_LONGEST = 256

LOOK_EVERY = 1.0
"""Seconds between two checks for a provider."""

_provided = False
_looked = float("-inf")
_guards: WeakSet[GuardSettings] = WeakSet()

P = ParamSpec("P")


def call_span(guard: GuardSettings, call: Call) -> CallSpan | None:
    """Begin the span of a call; return None if the program has set no provider."""
    return CallSpan(guard, call) if "opentelemetry" in sys.modules and _has_provider() else None


def _has_provider() -> bool:
    """Return whether the program has set a provider; check at most once in `LOOK_EVERY` until it has."""
    global _looked
    if not _provided and time.monotonic() - _looked >= LOOK_EVERY:
        _looked = time.monotonic()
        _look()
    return _provided


def _logging_failures(report: Callable[P, None]) -> Callable[P, None]:
    """Wrap a function so that its failures are logged and go no further."""

    @wraps(report)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            report(*args, **kwargs)
        except Exception as error:
            log().warning("OpenTelemetry failed", exc_info=error)

    return wrapped


@_logging_failures
def _look() -> None:
    global _provided
    from opentelemetry import metrics, trace

    # the API's own providers exist before a program sets any, and record nothing
    tracers, meters = type(trace.get_tracer_provider()), type(metrics.get_meter_provider())
    _provided = not (
        tracers.__module__.startswith("opentelemetry.trace")
        and meters.__module__.startswith("opentelemetry.metrics")
    )


class CallSpan:
    """Reports one call, whose span is the current span until `end`."""

    __slots__ = ("_context", "_guard", "_span", "_token", "_waits")

    def __init__(self, guard: GuardSettings, call: Call) -> None:
        self._guard = guard
        self._span: Any = None
        self._waits: float | None = None
        self._begin(call)

    @_logging_failures
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

    @_logging_failures
    def names(self, call: Call) -> None:
        """Name the object as the capability does: a URI without what stands for a template's variables."""
        if self._span is not None:
            self._span.set_attribute("hessra.object", _cut(call.resource))

    def waits(self) -> None:
        """Measure the wait for the ledger, from now until the verdict."""
        self._waits = time.perf_counter()

    @_logging_failures
    def decided(self, verdict: str, subject: str = "") -> None:
        """Report the guard's verdict, and the subject if it was verified."""
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

    @_logging_failures
    def end(self, error: BaseException | None = None) -> None:
        """End the span. Only the type of an exception is reported, since its message may hold anything."""
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
    """Return a tracer that finds the program's provider, even if the program sets it later."""
    from opentelemetry import trace

    return trace.get_tracer(_NAME)


@cache
def _instruments() -> tuple[Counter, Histogram]:
    from opentelemetry import metrics

    meter = metrics.get_meter(_NAME)
    meter.create_observable_gauge(
        "hessra.revocations.age", [_ages], "s", "since the revocations were last read"
    )
    decisions = meter.create_counter("hessra.decisions", "{call}", "calls by verdict")
    return decisions, meter.create_histogram("hessra.ledger.wait", "s", "calls waiting for the ledger")


def _ages(_: CallbackOptions) -> Iterable[Observation]:
    from opentelemetry.metrics import Observation

    ages = [(guard.ledger.revoked.age, guard.audience) for guard in list(_guards) if guard.ledger is not None]
    return [Observation(age, {"audience": audience}) for age, audience in ages]


def _cut(text: str) -> str:
    """Return a name that comes from outside, cut to a length that is fit for an attribute."""
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
