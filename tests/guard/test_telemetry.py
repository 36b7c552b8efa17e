"""What OpenTelemetry is told of a guard, and what it is not."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from typing import Any

import anyio
import pytest
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from hessra_agents import Call, Denied, KeyPair, Ledger, grant, must
from hessra_agents.grants.grants import resource
from hessra_agents.guard import telemetry as tracing
from hessra_agents.ledger.model import DeniedCall
from tests.support.world import ANA, EVE, MAIL, World

pytestmark = pytest.mark.anyio
KEY = KeyPair.generate()
SPANS, READER = InMemorySpanExporter(), InMemoryMetricReader()


class Failing(SpanProcessor):
    """A processor that a program has set and that does not work, once it is told to fail."""

    fails = False

    def on_start(self, span: Any, parent_context: Any = None) -> None:
        if self.fails:
            raise RuntimeError("no room for spans")


FAILING = Failing()


@pytest.fixture(scope="module", autouse=True)
def _provider() -> Iterator[None]:
    """Providers that are there for the tests of this file alone: those of a process can be set only once."""
    tracers = TracerProvider(shutdown_on_exit=False)
    tracers.add_span_processor(SimpleSpanProcessor(SPANS))
    tracers.add_span_processor(FAILING)
    meters = MeterProvider([READER], shutdown_on_exit=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trace, "get_tracer_provider", lambda: tracers)
        patch.setattr(metrics, "get_meter_provider", lambda: meters)
        patch.setattr(metrics, "get_meter", meters.get_meter)
        patch.setattr(tracing, "LOOK_EVERY", 0)  # earlier tests have looked a moment ago
        patch.setattr(tracing, "_provided", False)
        tracing._tracer.cache_clear()
        tracing._instruments.cache_clear()
        yield
    tracing._tracer.cache_clear()
    tracing._instruments.cache_clear()
    meters.shutdown()


@pytest.fixture(autouse=True)
def _fresh() -> None:
    SPANS.clear()


def spans() -> list[ReadableSpan]:
    """Of guarded calls, in the order in which they ended."""
    return [one for one in SPANS.get_finished_spans() if one.name == "hessra.call"]


def measured(name: str) -> list[Any]:
    """The points of a metric."""
    data = READER.get_metrics_data()
    return [
        point
        for resource in (data.resource_metrics if data else ())
        for scope in resource.scope_metrics
        for metric in scope.metrics
        if metric.name == name
        for point in metric.data.data_points
    ]


async def test_a_call_is_one_span(world: World) -> None:
    """It says what was called, for whom, where and with which verdict."""
    await world.call(world.issue())
    (one,) = spans()
    assert dict(one.attributes or {}) == {
        "hessra.object": "tool:send_email",
        "hessra.operation": "invoke",
        "hessra.verdict": "permitted",
        "hessra.audience": "mail",
        "hessra.subject": "agent:desk",
    }


async def test_a_refused_call_is_one_span(world: World) -> None:
    """With the reason's code, and nobody's name: a subject that was not verified is not told."""
    with pytest.raises(Denied):
        await world.call(world.issue(), arguments={"to": EVE, "body": "hi"})
    (one,) = spans()
    assert one.attributes is not None
    assert one.attributes["hessra.verdict"] == "constraint"
    assert "hessra.subject" not in one.attributes


async def test_a_resource_of_a_template_is_told_by_its_template(world: World) -> None:
    """What stands for a variable is an argument, and no argument is told."""
    made = world.issue(resource("crm://customers/{id}", id=must.matches("[0-9]{1,8}")))
    for uri in ("crm://customers/17", "crm://customers/x"):
        with suppress(Denied):
            async with world.guard.permit(made, Call.of(uri, {}, kind="resource", operation="read")):
                pass
    assert [dict(one.attributes or {})["hessra.object"] for one in spans()] == [
        "resource:crm://customers/{id}"
    ] * 2


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_refusal_that_asyncio_cancels_leaves_no_span_behind(anyio_backend: str) -> None:
    """The record of the refusal is finished before the cancellation is raised."""

    class Recording(Ledger):
        keeps_records = True

        async def record_denial(self, denied: DeniedCall, operation_id: bytes) -> None:
            """Take as long as the test wants."""
            recording.set()
            await go.wait()
            recorded.append(denied.denied.reason)

    world, recording, go = World(ledger=Recording.memory()), asyncio.Event(), asyncio.Event()
    recorded: list[str] = []
    call = asyncio.create_task(world.call(world.issue(), arguments=MAIL | {"to": EVE}))
    await recording.wait()
    call.cancel()
    await anyio.wait_all_tasks_blocked()
    assert not call.done()
    go.set()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert recorded == ["constraint"]
    (span,) = spans()
    assert (span.attributes or {})["hessra.verdict"] == "constraint"


async def test_a_span_holds_no_secret(world: World) -> None:
    """No argument, token, proof or key is in it, refused or not, nor what a failing tool says."""
    held = world.issue(holder=KEY.public)
    proof = world.prove(held, KEY, arguments={"to": ANA, "body": "canary-body"})
    await world.call(held, arguments={"to": ANA, "body": "canary-body"}, proof=proof)
    with pytest.raises(Denied):
        await world.call(held, arguments={"to": "canary@evil.example", "body": "canary-body"})

    @world.guard.tool
    async def fail() -> None:
        raise ValueError("canary-text")

    with pytest.raises(ValueError, match="canary"):
        await world.call(world.issue(grant(fail)), "fail", {})
    told = "".join(one.to_json() for one in spans())
    assert len(spans()) == 3
    assert "ValueError" in told
    for secret in ("canary", held.token[:40], proof.token[:40], KEY.public.data.hex()):
        assert secret not in told


async def test_what_a_tool_traces_is_inside(world: World) -> None:
    """A tool's own span is the child of the call's, and the caller's span is current again after it."""

    @world.guard.tool
    async def traced() -> None:
        with trace.get_tracer("tool").start_as_current_span("inner"):
            pass

    with trace.get_tracer("agent").start_as_current_span("agent") as agent:
        await world.call(world.issue(grant(traced)), "traced", {})
        assert trace.get_current_span() is agent
    inner = next(one for one in SPANS.get_finished_spans() if one.name == "inner")
    (call,) = spans()
    assert inner.parent is not None
    assert call.parent is not None
    assert inner.parent.span_id == call.context.span_id
    assert call.parent.span_id == agent.get_span_context().span_id


async def test_a_generator_leaves_no_span_behind(world: World) -> None:
    """Its span ends with it, wherever that is, and is nobody's parent after it."""

    @world.guard.tool
    async def count(upto: int) -> AsyncIterator[int]:
        for number in range(upto):
            yield number

    box = world.guard.toolbox(world.issue(grant(count, upto=must.anything())))
    assert [number async for number in box.bind(count)(3)] == [0, 1, 2]
    assert len(spans()) == 1
    assert not trace.get_current_span().is_recording()


async def test_verdicts_are_counted(world: World) -> None:
    """One counter, by verdict and guard; how long the ledger took; how old the list of revocations is."""

    def counted() -> dict[str, int]:
        return {p.attributes["verdict"]: p.value for p in measured("hessra.decisions")}

    before = counted()
    await world.call(world.issue())
    for _ in range(2):
        with pytest.raises(Denied):
            await world.call(world.issue(), arguments={**MAIL, "to": EVE})
    after = counted()
    assert {k: v - before.get(k, 0) for k, v in after.items()} == {
        **dict.fromkeys(after, 0),
        "permitted": 1,
        "constraint": 2,
    }
    assert sum(point.count for point in measured("hessra.ledger.wait")) >= 1
    assert all(0 <= point.value < 60 for point in measured("hessra.revocations.age"))
    assert measured("hessra.revocations.age")


async def test_tracing_that_fails_changes_nothing(world: World) -> None:
    """Neither a permitted call nor a refused one."""
    FAILING.fails = True
    try:
        assert await world.call(world.issue()) == f"sent to {ANA}"
        with world.refuses("constraint"):
            await world.call(world.issue(), arguments={**MAIL, "to": EVE})
    finally:
        FAILING.fails = False
    assert trace.get_current_span() is trace.INVALID_SPAN


@pytest.mark.parametrize("imported", ["", "import opentelemetry.trace, opentelemetry.metrics"])
def test_nothing_is_imported_for_it(imported: str) -> None:
    """A program without OpenTelemetry gets none of it, and one with the API alone records nothing."""
    code = f"""{imported}
import sys, asyncio, datetime, hessra_agents as h
authority = h.Authority.ephemeral()
guard = h.Guard(authority.trust, audience="a", ledger=h.Ledger.memory())
@guard.tool
async def f() -> int: return 1
held = authority.issue("agent:a", h.grant(f), ttl=datetime.timedelta(minutes=1), audience="a")
assert asyncio.run(guard.toolbox(held).call("f", {{}})) == 1
print(*(name for name in sys.modules if name.startswith("opentelemetry")))
"""
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert bool(run.stdout.strip()) == bool(imported)
    assert "opentelemetry.sdk" not in run.stdout
