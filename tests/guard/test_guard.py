"""The guard runs what a capability names, and nothing else."""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Annotated, Any, get_type_hints

import anyio
import pytest

from hessra_agents import Authority, Call, Denied, Guard, KeyPair, Ledger, Reason, grant, limit, must
from hessra_agents.ledger import Outcome
from hessra_agents.verify.permit import Permit
from tests.support.world import ANA, BO, EVE, MAIL, World

pytestmark = pytest.mark.anyio


class Remembering(Ledger):
    """A ledger in memory that is told of outcomes."""

    @property
    def keeps_records(self) -> bool:
        return True


async def test_a_named_call_runs_once(world: World) -> None:
    """What the capability names is permitted, and the tool gets exactly those arguments."""
    assert await world.call(world.issue()) == f"sent to {ANA}"
    assert world.ran == [("send_email", MAIL)]


async def test_a_call_that_is_not_named_does_not_run(world: World) -> None:
    """Another argument is refused, with what would have been allowed and without the refused value."""
    with world.refuses("constraint", "argument 'to'", ANA, BO) as _:
        await world.call(world.issue(), arguments={"to": EVE, "body": "hi"})
    with pytest.raises(Denied) as caught:
        await world.call(world.issue(), arguments={"to": EVE, "body": "hi"})
    assert EVE not in str(caught.value)


async def test_a_guarded_function_is_refused_without_a_capability(world: World) -> None:
    """To call the function itself is refused, whatever its kind."""
    with world.refuses("no_capability"):
        await world.send_email(ANA, "hi")
    with world.refuses("no_capability"):
        world.pay(1)
    for nothing in (None, ""):
        with world.refuses("no_capability"):
            await world.call(nothing)


async def test_every_failing_argument_is_told_at_once(world: World) -> None:
    """A refusal names each argument that fails, so that one answer is enough to mend the call."""
    capability = world.issue(grant("pay", amount=must.at_most(5), currency=must.one_of("EUR", "USD")))
    with world.refuses("constraint", "'amount'", "at most 5", "'currency'", "'EUR'"):
        await world.call(capability, "pay", {"amount": 6, "currency": "GBP"})


async def test_the_toolbox_holds_the_tools_that_the_capability_reaches(world: World) -> None:
    """An agent sees the tools that it may call and no others."""
    desk = world.guard.toolbox(world.issue())
    assert desk.tools == ("send_email",)
    assert await desk.call("send_email", MAIL) == f"sent to {ANA}"
    with world.refuses("not_granted", "send_email"):
        await desk.call("read_file", {"path": "/etc/passwd"})


async def test_an_unknown_tool_is_refused_like_an_ungranted_one(world: World) -> None:
    """A name that no tool has is a refusal, not a crash."""
    with world.refuses("not_granted"):
        await world.call(world.issue(), "launch", {})


async def test_a_sync_tool_runs_in_a_thread(world: World) -> None:
    """A plain function is a tool too."""
    assert await world.call(world.issue(grant("pay", amount=must.at_most(5))), "pay", {"amount": 5}) == 5


def _exits(kind: type[BaseException]) -> Any:
    def exits() -> None:
        raise kind

    return exits


def _async_exits(kind: type[BaseException]) -> Any:
    async def exits() -> None:
        raise kind

    return exits


def _stream_exits(kind: type[BaseException]) -> Any:
    async def exits() -> AsyncIterator[int]:
        yield 1
        raise kind

    return exits


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (_exits, SystemExit),
        (_async_exits, SystemExit),
        (_stream_exits, SystemExit),
        (_exits, GeneratorExit),
        (_exits, asyncio.CancelledError),
    ],
)
async def test_a_tool_that_ends_the_program_has_failed(
    make: Callable[[type[BaseException]], Any], kind: type[BaseException]
) -> None:
    """As argparse does over an option that a model chose: told like any failure, and given back like one."""
    world = World()
    world.guard.add(make(kind))
    desk = world.guard.toolbox(
        world.issue(grant("exits"), grant("now"), limit(calls=1, refund=True, tools="exits"))
    )
    for _ in range(2):
        with pytest.raises(RuntimeError, match=f"exits raised {kind.__name__}"):
            await desk.call("exits", {})
    calls: list[dict[str, Any]] = [
        {"type": "tool_use", "id": name, "name": name, "input": {}} for name in ("exits", "now")
    ]
    answers = await desk.answer(calls)
    assert [one["content"] for one in answers] == ["error: the tool failed with ToolExitError", "0"]


async def test_an_interrupt_in_a_tool_ends_the_program() -> None:
    """It is the user's, not the tool's."""
    world = World()
    await world.ledger.start()
    world.guard.add(_async_exits(KeyboardInterrupt))
    call = world.guard.toolbox(world.issue(grant("exits"))).call("exits", {})
    with pytest.raises(KeyboardInterrupt):
        call.send(None)


async def test_what_hides_that_it_is_async_is_no_tool(world: World) -> None:
    """A plain wrapper around an async function would return before anything has run."""

    async def fetch_all(url: str) -> str:
        return url

    @functools.wraps(fetch_all)
    def traced(url: str) -> Any:
        return fetch_all(url)

    @functools.wraps(fetch_all)
    async def timed(url: str) -> str:
        return await fetch_all(url)

    with pytest.raises(TypeError, match="fetch_all is a plain function around an async one"):
        world.guard.add(traced)
    world.guard.add(timed)
    assert await world.guard.toolbox(world.issue(grant("fetch_all", url="x"))).call("fetch_all", {"url": "x"})


@pytest.mark.parametrize("way", ["athrow", "aclose"])
async def test_a_stream_that_its_caller_breaks_off_gives_nothing_back(way: str) -> None:
    """Nor does it where the tool fails over that."""
    world = World()

    @world.guard.tool
    async def letters() -> AsyncIterator[int]:
        try:
            for number in range(3):
                world.ran.append(("letters", {}))
                yield number
        finally:
            raise ZeroDivisionError

    desk = world.guard.toolbox(world.issue(grant("letters"), limit(calls=1, refund=True)))
    stream: Any = desk.bind(letters)()
    assert await anext(stream) == 0
    with pytest.raises(ZeroDivisionError):
        await (stream.athrow(ValueError()) if way == "athrow" else stream.aclose())
    with world.refuses("spent"):
        await desk.call("letters", {})


async def test_a_tool_that_fails_because_it_was_cancelled_gives_nothing_back() -> None:
    """Who ended the call decides what it was."""
    world = World()

    @world.guard.tool
    async def pay_slowly() -> None:
        try:
            scope.cancel()
            await anyio.sleep_forever()
        finally:
            raise ZeroDivisionError

    desk = world.guard.toolbox(world.issue(grant("pay_slowly"), limit(calls=1, refund=True)))
    with anyio.CancelScope() as scope, pytest.raises(ZeroDivisionError):
        await desk.call("pay_slowly", {})
    with world.refuses("spent"):
        await desk.call("pay_slowly", {})


async def test_a_sync_tool_that_returns_an_awaitable_fails(world: World) -> None:
    """It would never run, and be recorded as done."""

    async def later() -> int:
        return 1

    def now_or_later() -> Any:
        return later()

    world.guard.add(now_or_later)
    with pytest.raises(TypeError, match="async"):
        await world.guard.toolbox(world.issue(grant("now_or_later"))).call("now_or_later", {})


async def test_the_functions_own_face_stays() -> None:
    """Signature, docstring, type hints and kind of a guarded function are those of the function."""
    guard = Guard(Authority.ephemeral().trust, audience="here")

    async def greet(name: str, times: int = 1) -> str:
        """Say hello."""
        return name * times

    guarded = guard.tool(greet)
    assert inspect.iscoroutinefunction(guarded)
    assert inspect.signature(guarded) == inspect.signature(greet)
    assert guarded.__doc__ == "Say hello."
    assert get_type_hints(guarded) == {"name": str, "times": int, "return": str}
    assert not hasattr(guarded, "__wrapped__")


async def test_an_async_generator_yields_as_it_goes(world: World) -> None:
    """A generator tool is decided at its first step; bound it yields, called it gives a list."""

    @world.guard.tool
    async def count(to: int) -> AsyncIterator[int]:
        for number in range(to):
            world.ran.append(("count", {"at": number}))
            yield number

    desk = world.guard.toolbox(world.issue(grant("count", to=must.at_most(3))))
    assert await desk.call("count", {"to": 3}) == [0, 1, 2]
    world.ran.clear()
    stream = desk.bind(count)
    refused: Any = stream(to=4)
    with world.refuses("constraint"):
        await anext(refused)
    seen = []
    async for number in stream(to=2):
        seen.append((number, len(world.ran)))
    assert seen == [(0, 1), (1, 2)]


async def test_a_method_is_bound_with_its_object(world: World) -> None:
    """A decorated method is a tool; the object travels with the bound method, never with the call."""

    class Box:
        def __init__(self, owner: str) -> None:
            self.owner = owner

        @world.guard.tool
        async def open_box(self, label: str) -> str:
            return f"{self.owner}:{label}"

        async def close(self, label: str) -> str:
            return f"closed {self.owner}:{label}"

    mine = Box("ana")
    world.guard.add(mine.close)
    desk = world.guard.toolbox(world.issue(grant("open_box", label="a"), grant("close", label="a")))
    assert await desk.bind(mine.open_box)(label="a") == "ana:a"
    assert await desk.bind(mine.open_box)("a") == "ana:a"
    assert await desk.call("close", {"label": "a"}) == "closed ana:a"
    with world.refuses("constraint"):
        await desk.bind(mine.open_box)("b")
    with world.refuses("unavailable"):
        await desk.call("open_box", {"label": "a"})


async def test_what_the_host_injects_no_caller_can_set(world: World) -> None:
    """An injected parameter is in no schema and no fact; a call that names it is refused."""

    @world.guard.tool(inject=["db"])
    async def query(table: str, db: object) -> str:
        return f"{table} of {db}"

    capability = world.issue(grant("query", table=must.anything()))
    desk = world.guard.toolbox(capability, inject={"db": "orders"})
    assert await desk.call("query", {"table": "t"}) == "t of orders"
    assert "db" not in str(desk.schemas())
    with world.refuses("unnamed_argument", "'db'"):
        await desk.call("query", {"table": "t", "db": "mine"})
    with world.refuses("unavailable", "db"):
        await world.guard.toolbox(capability).call("query", {"table": "t"})


async def test_a_tools_own_bound_holds_whatever_the_capability_says(world: World) -> None:
    """A constraint in Annotated narrows every capability."""

    @world.guard.tool
    async def notify(
        to: Annotated[str, must.email("acme.com")], note: Annotated[str, "a string"] = ""
    ) -> str:
        return to

    desk = world.guard.toolbox(world.issue(grant("notify", to=must.anything())))
    assert await desk.call("notify", {"to": ANA}) == ANA
    with world.refuses("constraint", "acme.com"):
        await desk.call("notify", {"to": EVE})


async def test_types_are_strict(world: World) -> None:
    """A number as text, a boolean as a number, null for a string: refused before anything runs."""
    capability = world.issue(grant("pay", amount=must.anything(), currency=must.optional()))
    for amount in ("5", True, 5.5, None, [5], {"n": 5}):
        with world.refuses("malformed", "'amount'"):
            await world.call(capability, "pay", {"amount": amount})
    assert await world.call(capability, "pay", {"amount": 5.0}) == 5, "1.0 is the integer 1"


async def test_a_refused_call_is_refused_for_the_grant_before_its_spelling(world: World) -> None:
    """An ungranted tool is told as such even when its arguments are wrong, too."""
    with world.refuses("not_granted"):
        await world.call(world.issue(), "pay", {"amount": "many"})


async def test_arguments_are_frozen_when_the_call_is_decided(world: World) -> None:
    """What a caller changes later reaches neither the decision nor the tool."""
    value: dict[str, Any] = {"a": [1]}
    seen: list[Any] = []

    @world.guard.tool
    async def slow(value: Any) -> None:
        seen.append(value)

    class Changing(Remembering):
        async def admit(self, permit: Permit, op: bytes) -> None:
            value["a"].append("evil")

        def record(self, permit: Permit, op: bytes, outcome: Outcome) -> None:
            pass

    guard = Guard(world.authority.trust, audience="mail", ledger=Changing.memory(), clock=lambda: world.now)
    guard.add(slow_body := _collector(seen))
    capability = world.issue(grant(slow_body, value={"a": [1]}))
    await guard.toolbox(capability).call("collect", {"value": value})
    assert seen == [{"a": [1]}]
    assert value == {"a": [1, "evil"]}
    assert seen[0] is not value


def _collector(seen: list[Any]) -> Any:
    async def collect(value: Any) -> None:
        seen.append(value)

    return collect


async def test_the_decision_is_taken_when_the_call_runs(world: World) -> None:
    """A coroutine made before expiry and awaited after it is refused."""
    send = world.guard.toolbox(world.issue(ttl=timedelta(seconds=10))).bind(world.send_email)
    pending = send(to=ANA, body="hi")
    world.now += 10
    with world.refuses("expired"):
        await pending


async def test_a_tools_own_exception_passes_through(world: World) -> None:
    """What the tool raises is the caller's to see, unchanged."""

    class OwnError(Exception):
        pass

    @world.guard.tool
    async def fail() -> None:
        raise OwnError

    with pytest.raises(OwnError):
        await world.guard.toolbox(world.issue(grant("fail"))).call("fail", {})


async def test_the_guards_own_failure_refuses(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """A ledger that breaks refuses the call with a constant text; the cause is in the log alone."""

    class Broken(Remembering):
        async def admit(self, permit: Permit, op: bytes) -> None:
            raise RuntimeError("the disk with the secret is gone")

        def record(self, permit: Permit, op: bytes, outcome: Outcome) -> None:
            raise RuntimeError

    guard = Guard(world.authority.trust, audience="mail", ledger=Broken.memory(), clock=lambda: world.now)
    seen: list[Any] = []
    guard.add(_collector(seen))
    with pytest.raises(Denied) as caught:
        await guard.toolbox(world.issue(grant("collect", value=1))).call("collect", {"value": 1})
    assert caught.value.reason is Reason.UNAVAILABLE
    assert "secret" not in str(caught.value)
    assert "secret" in caplog.text
    assert seen == []


async def test_the_outcome_is_recorded_even_when_the_call_is_cancelled(world: World) -> None:
    """Done, failed and cancelled calls each leave their outcome; cancellation itself passes through."""
    outcomes: list[Outcome] = []

    class Recording(Remembering):
        async def admit(self, permit: Permit, op: bytes) -> None:
            await anyio.lowlevel.checkpoint()

        def record(self, permit: Permit, op: bytes, outcome: Outcome) -> None:
            outcomes.append(outcome)

    guard = Guard(world.authority.trust, audience="mail", ledger=Recording.memory(), clock=lambda: world.now)

    @guard.tool
    async def work(how: str) -> None:
        if how == "fail":
            raise ZeroDivisionError
        if how == "wait":
            scope.cancel()
            await anyio.sleep_forever()

    desk = guard.toolbox(world.issue(grant("work", how=must.anything())))
    await desk.call("work", {"how": "well"})
    with pytest.raises(ZeroDivisionError):
        await desk.call("work", {"how": "fail"})
    with anyio.CancelScope() as scope:
        await desk.call("work", {"how": "wait"})
    assert scope.cancelled_caught
    assert outcomes == [Outcome.DONE, Outcome.FAILED, Outcome.CANCELLED]


async def test_a_cancelled_sync_tool_is_awaited_then_recorded(world: World) -> None:
    """A thread cannot be stopped, so its end is waited for and the outcome is the truth."""
    import threading

    started, ended = threading.Event(), threading.Event()

    @world.guard.tool
    def block() -> None:
        started.set()
        ended.wait()
        world.ran.append(("block", {}))

    desk = world.guard.toolbox(world.issue(grant("block")))
    async with anyio.create_task_group() as group:
        group.start_soon(desk.call, "block", {})
        await anyio.to_thread.run_sync(started.wait)
        group.cancel_scope.cancel()
        ended.set()
    assert world.ran == [("block", {})]


@pytest.mark.parametrize("kind", ["args", "kwargs", "generator", "class", "lambda", "type"])
async def test_what_cannot_be_named_cannot_be_guarded(world: World, kind: str) -> None:
    """A function whose arguments no capability could name is refused when it is registered."""

    def many(*values: int) -> None: ...
    def named(**values: int) -> None: ...
    def steps() -> Any:
        yield 1

    def handle(file: _Opaque) -> None: ...

    wrong: dict[str, Any] = {"args": many, "kwargs": named, "generator": steps, "class": World}
    wrong |= {"type": handle, "lambda": "not a function"}
    with pytest.raises(TypeError):
        world.guard.add(wrong[kind])


class _Opaque:
    """A type that has no JSON form."""


async def test_a_name_is_taken_once(world: World) -> None:
    """Two tools of one name would make a grant mean two things."""
    with pytest.raises(ValueError, match="send_email"):
        world.guard.add(_named_send_email())
    with pytest.raises(ValueError, match="guarded already"):
        world.guard.add(world.send_email)


def _named_send_email() -> Any:
    async def send_email(to: str) -> None: ...

    return send_email


async def test_a_guard_needs_a_name(world: World) -> None:
    """A guard without an audience could not tell a capability that is meant for another."""
    with pytest.raises(ValueError, match="audience"):
        Guard(world.authority.trust, audience="")
    with pytest.raises(TypeError):
        Guard(world.authority, audience="mail")  # type: ignore[arg-type]


async def test_a_guard_states_what_it_stands_for(world: World) -> None:
    """A guard of one tenant refuses capabilities of another tenant, and those that name none."""
    acme = World(designations={"tenant": "acme"})
    assert await acme.call(acme.issue(designations={"tenant": "acme"})) == f"sent to {ANA}"
    for designations in ({"tenant": "evil"}, {}, {"tenant": "acme", "zone": "eu"}):
        with acme.refuses("wrong_audience"):
            await acme.call(acme.issue(designations=designations))


async def test_a_proof_needs_a_ledger(world: World) -> None:
    """A guard that remembers nothing could not tell a replay, so it takes no proofs."""
    guard = Guard(world.authority.trust, audience="mail", clock=lambda: world.now)
    guard.add(_collector([]))
    key = KeyPair.generate()
    held = world.issue(grant("collect", value=1), holder=key.public)
    proof = world.prove(held, key, "collect", {"value": 1})
    with pytest.raises(Denied, match="ledger") as caught:
        await guard.call(held.token, "collect", {"value": 1}, proof=proof)
    assert caught.value.reason is Reason.UNAVAILABLE
    await guard.toolbox(held, key=key).call("collect", {"value": 1})


async def test_another_authoritys_capability_object_is_not_trusted(world: World) -> None:
    """A Capability object is read again: that somebody verified it is not enough."""
    other = World()
    with world.refuses("bad_signature"):
        await world.guard.call(other.issue(), "send_email", MAIL)
    with world.refuses("bad_signature"):
        world.guard.toolbox(other.issue())


async def test_no_secret_is_in_a_repr(world: World) -> None:
    """Neither tokens nor keys appear where logs and tracebacks print objects."""
    key = KeyPair.generate()
    held = world.issue(holder=key.public)
    toolbox = world.guard.toolbox(held, key=key)
    raw = key.private.private_bytes_raw().hex()
    proof = world.prove(held, key)
    call = Call.of("send_email", {"to": ANA, "body": "the secret"})
    permit = world.guard.decide(world.issue(), call)
    for shown in map(repr, (key, held, toolbox, world.guard, world.authority, proof, call, permit)):
        assert raw not in shown
        assert "the secret" not in shown
        assert ANA not in shown
        assert held.token[:40] not in shown
        assert proof.token[10:50] not in shown
