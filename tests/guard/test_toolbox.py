"""What an agent holds: calls, bound functions, schemas, answers, and toolboxes for sub-agents."""

from __future__ import annotations

import copy
import inspect
import json
import pickle
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio
import pytest

from hessra_agents import Call, Denied, KeyPair, Ledger, Session, Trust, grant, limit, must
from hessra_agents.ledger.model import DeniedCall
from hessra_agents.verify.verifier import Possession
from tests.support.world import ANA, BO, EVE, MAIL, World

pytestmark = pytest.mark.anyio


async def test_a_sub_agent_gets_less_and_the_parent_keeps_its_own(world: World) -> None:
    """A delegated toolbox reaches what it was given; the delegator's is as it was."""
    desk = world.guard.toolbox(world.issue())
    mailer = desk.delegate("agent:desk:mailer", grant("send_email", to=ANA), ttl=timedelta(minutes=1))
    assert await mailer.call("send_email", MAIL) == f"sent to {ANA}"
    with world.refuses("constraint", ANA):
        await mailer.call("send_email", MAIL | {"to": BO})
    assert await desk.call("send_email", MAIL | {"to": BO}) == f"sent to {BO}"
    assert mailer.name == "agent:desk:mailer"


async def test_a_sub_agent_has_limits_of_its_own(world: World) -> None:
    """Beside those of its parent, which are shared."""
    desk = world.guard.toolbox(world.issue(limit(calls=3)))
    once = desk.delegate("agent:desk:mailer", grant("send_email"), limit(calls=1))
    assert await once.call("send_email", MAIL)
    with world.refuses("spent"):
        await once.call("send_email", MAIL)
    narrowed = desk.attenuate(limit(calls=1))
    assert await narrowed.call("send_email", MAIL)
    with world.refuses("spent"):
        await narrowed.call("send_email", MAIL)
    assert await desk.call("send_email", MAIL)
    with world.refuses("spent"):
        await desk.call("send_email", MAIL)


async def test_a_sub_agent_never_exceeds_its_parent(world: World) -> None:
    """A grant that is wider than the parent's gives no more than the parent has."""
    desk = world.guard.toolbox(world.issue())
    wide = desk.delegate(
        "agent:desk:x", grant("send_email", to=must.anything()), grant("read_file", path="/etc/shadow")
    )
    assert wide.tools == ("send_email",)
    with world.refuses("constraint"):
        await wide.call("send_email", MAIL | {"to": EVE})
    with world.refuses("not_granted"):
        await wide.call("read_file", {"path": "/etc/shadow"})


async def test_a_sub_agent_ends_by_its_own_clock(world: World) -> None:
    """The child's expiry ends the child; the parent's ends both."""
    desk = world.guard.toolbox(world.issue(ttl=timedelta(seconds=60)))
    short = desk.delegate("agent:desk:a", grant("send_email"), ttl=timedelta(seconds=10))
    long = desk.delegate("agent:desk:b", grant("send_email"), ttl=timedelta(hours=1))
    world.now += 10
    with world.refuses("expired"):
        await short.call("send_email", MAIL)
    assert await long.call("send_email", MAIL)
    world.now += 50
    with world.refuses("expired"):
        await long.call("send_email", MAIL)


async def test_a_sub_agents_token_is_useless_without_its_key(world: World) -> None:
    """Each sub-agent has a key of its own; the token alone, and the parent's key, are refused."""
    key = KeyPair.generate()
    desk = world.guard.toolbox(world.issue(holder=key.public), key=key)
    mailer = desk.delegate("agent:desk:mailer", grant("send_email", to=ANA))
    with world.refuses("not_holder"):
        await world.call(mailer.capability)
    with world.refuses("not_holder"):
        world.guard.toolbox(mailer.capability, key=key)


async def test_delegation_goes_as_deep_as_the_agents_do(world: World) -> None:
    """Every level narrows the one above it."""
    box = world.guard.toolbox(world.issue())
    name = "agent:desk"
    for level in range(4):
        name = f"{name}:{level}"
        box = box.delegate(name, grant("send_email", body=must.max_length(8 - level)))
    assert await box.call("send_email", {"to": ANA, "body": "12345"})
    with world.refuses("constraint", "at most 5"):
        await box.call("send_email", {"to": ANA, "body": "123456"})


@pytest.mark.parametrize(
    "name", ["mailer", "agent:desk", "agent:desk:", "agent:desk::a", "agent:deskmailer", ""]
)
async def test_a_sub_agent_is_named_below_its_parent(world: World, name: str) -> None:
    """Names are hierarchical, so that a record says who stood behind a call."""
    with pytest.raises(ValueError, match="agent:desk:<name>"):
        world.guard.toolbox(world.issue()).delegate(name, grant("send_email"))


async def test_a_delegation_grants_something(world: World) -> None:
    """A sub-agent without a grant would be the parent again."""
    with pytest.raises(ValueError, match="grant"):
        world.guard.toolbox(world.issue()).delegate("agent:desk:a")


async def test_a_delegation_names_tools_that_exist(world: World) -> None:
    """A misspelt tool would look like a delegation that worked."""
    with pytest.raises(ValueError, match="send_mail"):
        world.guard.toolbox(world.issue()).delegate("agent:desk:a", grant("send_mail"))


async def test_a_toolbox_proves_calls_to_a_guard_elsewhere(world: World) -> None:
    """A sub-agent that was delegated here can call a guard in another process."""
    mailer = world.guard.toolbox(world.issue()).delegate("agent:desk:mailer", grant("send_email", to=ANA))
    proof = mailer.prove("send_email", MAIL, audience="mail")
    assert await world.call(mailer.capability, proof=proof) == f"sent to {ANA}"
    with pytest.raises(ValueError, match="no holder"):
        world.guard.toolbox(world.issue()).prove("send_email", MAIL, audience="mail")


async def test_a_bound_function_has_the_same_signature(world: World) -> None:
    """bind gives the tool's own face, with this authority in it and no other."""
    send = world.guard.toolbox(world.issue()).bind(world.send_email)
    assert inspect.iscoroutinefunction(send)
    assert inspect.signature(send) == inspect.signature(world.send_email)
    assert await send(ANA, "hi") == await send(to=ANA, body="hi") == f"sent to {ANA}"
    with pytest.raises(TypeError):
        await send(ANA)  # type: ignore[call-arg]
    with world.refuses("unnamed_argument", "'cc'"):
        await send(ANA, "hi", cc=EVE)


async def test_a_bound_sync_tool_is_awaited(world: World) -> None:
    """A sync tool becomes a coroutine function when it is bound."""
    pay = world.guard.toolbox(world.issue(grant("pay", amount=must.at_most(5)))).bind(world.pay)
    assert await pay(3) == 3


async def test_two_bound_functions_do_not_share_authority(world: World) -> None:
    """Concurrent calls each carry their own capability."""
    ana = world.guard.toolbox(world.issue(grant("send_email", to=ANA, body="x"))).bind(world.send_email)
    bo = world.guard.toolbox(world.issue(grant("send_email", to=BO, body="x"))).bind(world.send_email)
    verdicts: dict[str, object] = {}

    async def attempt(name: str, send: Any, to: str) -> None:
        try:
            verdicts[name] = await send(to=to, body="x")
        except Denied as denied:
            verdicts[name] = denied.reason

    async with anyio.create_task_group() as group:
        group.start_soon(attempt, "ana to ana", ana, ANA)
        group.start_soon(attempt, "ana to bo", ana, BO)
        group.start_soon(attempt, "bo to bo", bo, BO)
        group.start_soon(attempt, "bo to ana", bo, ANA)
    assert verdicts == {
        "ana to ana": f"sent to {ANA}",
        "ana to bo": "constraint",
        "bo to bo": f"sent to {BO}",
        "bo to ana": "constraint",
    }


async def test_what_is_not_a_tool_cannot_be_bound(world: World) -> None:
    """A function that the guard does not know carries no authority."""

    async def stranger() -> None: ...

    with pytest.raises(ValueError, match="stranger"):
        world.guard.toolbox(world.issue()).bind(stranger)


async def test_a_toolbox_is_not_pickled(world: World) -> None:
    """A toolbox holds a key: it does not end up in a checkpoint by accident."""
    with pytest.raises(TypeError):
        pickle.dumps(world.guard.toolbox(world.issue()))
    with pytest.raises(TypeError):
        pickle.dumps(KeyPair.generate())


async def test_attenuate_keeps_the_agent_and_narrows_its_tools(world: World) -> None:
    """The same agent with less."""
    key = KeyPair.generate()
    desk = world.guard.toolbox(world.issue(holder=key.public), key=key).attenuate(grant("send_email", to=ANA))
    assert await desk.call("send_email", MAIL)
    with world.refuses("constraint"):
        await desk.call("send_email", MAIL | {"to": BO})


CALLS: dict[str, Callable[[str, dict[str, Any]], dict[str, Any]]] = {
    "openai": lambda n, a: {
        "id": "c1",
        "type": "function",
        "function": {"name": n, "arguments": json.dumps(a)},
    },
    "openai-responses": lambda n, a: {
        "type": "function_call",
        "call_id": "c1",
        "name": n,
        "arguments": json.dumps(a),
    },
    "anthropic": lambda n, a: {"type": "tool_use", "id": "c1", "name": n, "input": a},
    "mcp": lambda n, a: {"method": "tools/call", "params": {"name": n, "arguments": a}},
}


def told(answer: dict[str, Any]) -> str:
    """The text of an answer, whatever its shape."""
    content: Any = answer.get("content", answer.get("output"))
    return content if isinstance(content, str) else str(content[0]["text"])


@pytest.mark.parametrize("shape", CALLS)
async def test_a_models_calls_are_answered_in_their_own_shape(world: World, shape: str) -> None:
    """Permitted, refused, unknown and unreadable calls all get an answer, in order, and in parallel."""
    make = CALLS[shape]
    calls = [make("send_email", MAIL), make("send_email", MAIL | {"to": EVE}), make("launch", {})]
    good, refused, unknown = await world.guard.toolbox(world.issue()).answer(calls)
    assert told(good) == f"sent to {ANA}"
    assert told(refused).startswith("refused: send_email: argument 'to' is not allowed")
    assert "[not_granted]" in told(unknown)
    assert [ran[0] for ran in world.ran] == ["send_email"]
    if shape == "anthropic":
        assert (good["tool_use_id"], good["is_error"], refused["is_error"]) == ("c1", False, True)
    if shape == "openai":
        assert (good["role"], good["tool_call_id"]) == ("tool", "c1")
    if shape == "openai-responses":
        assert (good["type"], good["call_id"]) == ("function_call_output", "c1")
    if shape == "mcp":
        assert (good["isError"], refused["isError"]) == (False, True)


@pytest.mark.parametrize(
    "call",
    [
        {"id": "1", "function": {"name": "send_email", "arguments": '{"to": '}},
        {"id": "1", "function": {"name": "send_email", "arguments": '{"to": "a", "to": "b"}'}},
        {"id": "1", "function": {"name": "send_email", "arguments": 5}},
        {"id": "1", "function": {"name": "send_email", "arguments": "[]"}},
        {"id": "1", "function": {"name": ["send_email"], "arguments": "{}"}},
        {"id": "1", "function": {"arguments": "{}"}},
        {"type": "tool_use", "id": "1", "name": "send_email", "input": [1]},
        {"type": "tool_use", "id": "1", "name": "send_email", "input": "{}"},
        {"type": "tool_use", "id": "1", "name": "x" * 10_000, "input": {}},
    ],
)
async def test_a_call_that_cannot_be_read_is_answered_as_a_refusal(
    world: World, call: dict[str, Any]
) -> None:
    """A model that writes nonsense gets an answer that it can read, and nothing runs."""
    (answer,) = await world.guard.toolbox(world.issue()).answer([call])
    assert told(answer).startswith("refused: ")
    assert world.ran == []


@pytest.mark.parametrize(
    "call", [{}, {"name": "send_email"}, 5, None, "send_email", {"function": "send_email"}]
)
async def test_what_is_no_call_has_no_answer(world: World, call: object) -> None:
    """Without a shape there is no form to answer in: the program is told, and nothing runs."""
    with pytest.raises(ValueError, match="shape"):
        await world.guard.toolbox(world.issue()).answer([call])


async def test_a_failing_tool_is_answered_without_its_secrets(world: World) -> None:
    """A tool's own exception becomes an error result; its text stays in the log."""

    @world.guard.tool
    async def fail() -> None:
        raise RuntimeError("password=hunter2")

    (answer,) = await world.guard.toolbox(world.issue(grant("fail"))).answer([CALLS["anthropic"]("fail", {})])
    assert answer["is_error"]
    assert "RuntimeError" in told(answer)
    assert "hunter2" not in told(answer)


async def test_sdk_objects_are_read_like_dictionaries(world: World) -> None:
    """A provider's own message objects can be passed as they are."""
    from pydantic import BaseModel

    class Block(BaseModel):
        type: str = "tool_use"
        id: str = "t1"
        name: str = "send_email"
        input: dict[str, str] = dict(MAIL)

    (answer,) = await world.guard.toolbox(world.issue()).answer([Block()])
    assert told(answer) == f"sent to {ANA}"


async def test_results_that_are_no_text_become_json(world: World) -> None:
    """A model reads text: other results are canonical JSON."""

    @world.guard.tool
    async def report() -> dict[str, Any]:
        return {"b": [1, None], "a": 1.5}

    (answer,) = await world.guard.toolbox(world.issue(grant("report"))).answer(
        [CALLS["openai"]("report", {})]
    )
    assert told(answer) == '{"a":1.5,"b":[1,null]}'


async def test_schemas_say_what_is_granted(world: World) -> None:
    """Only reachable tools, only named arguments, and their bounds as JSON Schema."""
    capability = world.issue(
        grant("send_email", to=must.one_of(ANA, BO), body=must.max_length(9), cc=must.optional(BO)),
        grant("pay", amount=must.between(1, 5)),
    ).attenuate(grant("pay", amount=must.at_most(3)), grant("send_email", to=ANA))
    pay, send = world.guard.toolbox(capability).schemas("mcp")
    assert pay["name"] == "pay"
    assert pay["inputSchema"] == {
        "type": "object",
        "properties": {"amount": {"type": "integer", "minimum": 1, "maximum": 3}},
        "required": ["amount"],
        "additionalProperties": False,
    }
    assert send["inputSchema"]["properties"]["to"] == {"type": "string", "const": ANA}
    assert send["inputSchema"]["properties"]["body"]["maxLength"] == 9
    assert send["inputSchema"]["properties"]["cc"]["const"] == BO
    assert send["inputSchema"]["required"] == ["to", "body"]


@pytest.mark.parametrize(
    ("shape", "path"),
    [
        ("openai", ["function", "parameters"]),
        ("openai-responses", ["parameters"]),
        ("anthropic", ["input_schema"]),
        ("mcp", ["inputSchema"]),
    ],
)
async def test_one_schema_in_four_wrappings(world: World, shape: str, path: list[str]) -> None:
    """The providers differ in their wrapping alone."""
    toolbox = world.guard.toolbox(world.issue())
    (found,) = toolbox.schemas(shape)
    for step in path:
        found = found[step]
    (mcp,) = toolbox.schemas("mcp")
    assert found == mcp["inputSchema"]


async def test_an_unknown_shape_is_an_error(world: World) -> None:
    """A misspelt shape gives no schema at all."""
    with pytest.raises(ValueError, match="openai-responses"):
        world.guard.toolbox(world.issue()).schemas("gemini")


async def test_a_function_is_a_tool_by_what_it_is_not_by_its_name(world: World) -> None:
    """Another function of the same name is no tool, and an added one is found under the name it was given."""

    def make(said: str) -> Any:
        async def delete(path: str) -> str:
            return f"{said} {path}"

        found: Any = delete
        return found

    first, second, stranger = make("first"), make("second"), make("stranger")
    world.guard.add(first, name="first_delete")
    world.guard.add(second, name="delete")
    box = world.guard.toolbox(world.issue(grant("first_delete", path="/a"), grant("delete", path="/a")))
    bound: Any = box.bind(first)
    assert await bound(path="/a") == await box.call(first, {"path": "/a"}) == "first /a"
    assert await box.call("delete", {"path": "/a"}) == "second /a"
    with pytest.raises(ValueError, match="delete"):
        box.bind(stranger)
    with pytest.raises(ValueError, match="delete"):
        await box.call(stranger, {"path": "/a"})


async def test_an_added_method_gets_its_object_once(world: World) -> None:
    """Passed as a function, a bound method is called with the arguments of the call and no others."""

    class Box:
        async def put(self, to: str = "ana", body: str = "hi") -> tuple[str, str]:
            return to, body

    mine = Box()
    world.guard.add(mine.put)
    desk = world.guard.toolbox(world.issue(grant("put", body=must.anything())))
    assert await desk.call(mine.put, {"body": "x"}) == ("ana", "x")
    assert await desk.bind(mine.put)(body="y") == ("ana", "y")


async def test_a_root_that_is_removed_ends_what_it_signed(world: World) -> None:
    """Toolboxes that are open are read again when the guard's trust changes."""
    desk = world.guard.toolbox(world.issue())
    block = desk.permit(Call.of("send_email", MAIL))
    kept, world.guard.trust = world.guard.trust, Trust()
    with world.refuses("unknown_root"):
        await desk.call("send_email", MAIL)
    with world.refuses("unknown_root"):
        desk.decide(Call.of("send_email", MAIL))
    with world.refuses("unknown_root"):
        async with block:
            world.ran.append(("in the block", {}))
    world.guard.trust = kept
    assert await desk.call("send_email", MAIL)


async def test_the_refusals_to_a_toolbox_whose_root_was_removed_are_on_record(world: World) -> None:
    refused: list[str] = []

    class Recording(Ledger):
        async def record_denial(self, denied: DeniedCall, operation_id: bytes) -> None:
            refused.append(str(denied.denied))

    ledger = Recording.memory()
    ledger._keeps_records = True
    world.guard.settings.ledger = ledger
    desk = world.guard.toolbox(world.issue())
    world.guard.trust = Trust()
    with world.refuses("unknown_root"):
        await desk.call("send_email", MAIL)
    assert len(refused) == 1
    assert refused[0].startswith("send_email: ")


async def test_a_tools_own_refusal_is_told_as_a_failure(world: World) -> None:
    """A tool that ran and was refused elsewhere is not told as a call that did not run."""

    @world.guard.tool
    async def order() -> str:
        world.ran.append(("order", {}))
        await world.send_email(EVE, "hi")
        return "never"

    desk = world.guard.toolbox(world.issue(grant("order")))
    (answer,) = await desk.answer([CALLS["anthropic"]("order", {})])
    assert told(answer) == "error: the tool failed with Denied"
    with pytest.raises(Denied) as caught:
        await desk.call("order", {})
    assert caught.value.from_tool
    assert (
        copy.copy(caught.value).reason == pickle.loads(pickle.dumps(caught.value)).reason == "no_capability"
    )


async def test_a_sub_agent_can_be_given_nothing_of_the_hosts(world: World) -> None:
    """An empty mapping is not the parent's values."""

    @world.guard.tool(inject=["db"])
    async def read(db: str) -> str:
        return db

    desk = world.guard.toolbox(world.issue(grant("read")), inject={"db": "orders"})
    assert await desk.delegate("agent:desk:a", grant("read")).call("read", {}) == "orders"
    with world.refuses("unavailable"):
        await desk.delegate("agent:desk:b", grant("read"), inject={}).call("read", {})


@pytest.mark.parametrize(
    "message",
    [
        {"role": "assistant", "content": None, "tool_calls": [CALLS["openai"]("send_email", MAIL)]},
        {
            "role": "assistant",
            "content": [{"type": "text", "text": "a"}, CALLS["anthropic"]("send_email", MAIL)],
        },
        {
            "output": [
                {"type": "reasoning"},
                CALLS["openai-responses"]("send_email", MAIL),
                {"type": "message"},
            ]
        },
        [{"type": "thinking", "thinking": "..."}, CALLS["anthropic"]("send_email", MAIL)],
        SimpleNamespace(
            tool_calls=[
                SimpleNamespace(
                    id="1", function=SimpleNamespace(name="send_email", arguments=json.dumps(MAIL))
                )
            ]
        ),
        CALLS["mcp"]("send_email", MAIL),
    ],
)
async def test_a_whole_message_is_answered(world: World, message: object) -> None:
    """The calls in a message are run; its text and its reasoning are passed over."""
    (answer,) = await world.guard.toolbox(world.issue()).answer(message)
    assert told(answer) == f"sent to {ANA}"


@pytest.mark.parametrize(
    "message",
    [
        None,
        [],
        {"role": "assistant", "content": "no calls"},
        {"tool_calls": []},
        [{"type": "image_url"}],
        {"role": "user", "content": [CALLS["anthropic"]("send_email", MAIL)]},
        {"type": "mcp_tool_result", "content": [CALLS["anthropic"]("send_email", MAIL)]},
        [{"type": "tool_result", "content": [CALLS["anthropic"]("send_email", MAIL)]}],
        [{"role": "user", "content": [CALLS["anthropic"]("send_email", MAIL)]}],
    ],
)
async def test_a_message_without_calls_has_no_answers(world: World, message: object) -> None:
    """As OpenAI's ``tool_calls``, None where there are none."""
    assert await world.guard.toolbox(world.issue()).answer(message) == []


async def test_a_call_without_arguments_may_say_nothing(world: World) -> None:
    """Some models write an empty text there, and some languages write an empty object as a list."""
    nothings: list[Any] = ["", " ", "null", "[]", [], None, "{}", {}]
    for nothing in nothings:
        calls: list[dict[str, Any]] = [
            {"id": "1", "function": {"name": "now", "arguments": nothing}},
            {"type": "function_call", "call_id": "1", "name": "now", "arguments": nothing},
            {"type": "tool_use", "id": "1", "name": "now", "input": nothing},
            {"method": "tools/call", "params": {"name": "now", "arguments": nothing}},
        ]
        answers = await world.guard.toolbox(world.issue(grant("now"))).answer(calls)
        assert [told(answer) for answer in answers] == ["0"] * 4


@pytest.mark.parametrize("wrong", [[1], "[1]", 5, True, "5", '"{}"', "{"])
async def test_arguments_that_are_no_object_are_refused_with_what_to_do(world: World, wrong: Any) -> None:
    """In the form of each provider; nothing runs."""
    calls: list[dict[str, Any]] = [
        {"id": "1", "function": {"name": "now", "arguments": wrong}},
        {"type": "function_call", "call_id": "1", "name": "now", "arguments": wrong},
        {"type": "tool_use", "id": "1", "name": "now", "input": wrong},
        {"method": "tools/call", "params": {"name": "now", "arguments": wrong}},
    ]
    for answer in await world.guard.toolbox(world.issue(grant("now"))).answer(calls):
        assert told(answer).startswith("refused: now: ")
        assert told(answer).endswith("[malformed]")
    assert world.ran == []


async def test_a_decorated_method_gets_its_object_by_add(world: World) -> None:
    """Until then no model is told of it; afterwards it is called by name, on that object."""

    class Box:
        def __init__(self, owner: str) -> None:
            self.owner = owner

        @world.guard.tool
        async def peek(self, label: str) -> str:
            return f"{self.owner}:{label}"

    mine, other = Box("ana"), Box("bo")
    capability = world.issue(grant("peek", label="a"))
    assert world.guard.toolbox(capability).tools == ()
    world.guard.add(mine.peek)
    desk = world.guard.toolbox(capability)
    assert desk.tools == ("peek",)
    assert await desk.call("peek", {"label": "a"}) == "ana:a"
    with pytest.raises(ValueError, match="object already"):
        world.guard.add(other.peek)


async def test_an_object_that_is_named_is_the_one_that_is_called(world: World) -> None:
    """An added object is the one that calls by name run on; a method of another object stays with that."""

    class Box:
        def __init__(self, owner: str) -> None:
            self.owner = owner

        @world.guard.tool
        async def send(self) -> str:
            return f"from {self.owner}"

    ana, bo = Box("ana"), Box("bo")
    desk = world.guard.toolbox(world.issue(grant("send")))
    bound: Any = desk.bind(bo.send)
    assert await bound() == "from bo"
    world.guard.add(ana.send)
    assert await desk.call("send", {}) == await desk.call(ana.send, {}) == "from ana"
    assert await bound() == await desk.call(bo.send, {}) == "from bo"
    later: Any = desk.bind(bo.send)
    assert await later() == "from bo"


async def test_a_toolbox_keeps_its_session(world: World) -> None:
    """Another session would have seen nothing."""
    desk = world.guard.toolbox(world.issue())
    with pytest.raises(AttributeError):
        desk.session = Session()  # type: ignore[misc]


async def test_a_proof_is_made_with_the_key(world: World) -> None:
    """To say that the key was shown is not to show it, and what is no proof is refused as such."""
    key = KeyPair.generate()
    held = world.issue(holder=key.public)
    assert held.holder is not None
    with pytest.raises(TypeError, match="shown with the key"):
        Possession(held.holder.handle)
    for proof in ({"call": b""}, 5, held):
        with world.refuses("malformed"):
            await world.guard.call(held, "send_email", MAIL, proof=proof)  # type: ignore[arg-type]
    assert await world.guard.call(held, "send_email", MAIL, proof=Possession.show(held, key))


async def test_a_toolbox_is_for_its_guard(world: World) -> None:
    """A capability for another guard is told when the toolbox is made."""
    for audience in (None, "files"):
        with world.refuses("wrong_audience"):
            world.guard.toolbox(world.issue(audience=audience))


async def test_a_delegation_names_arguments_that_exist(world: World) -> None:
    """A misspelt argument would make a sub-agent that can do nothing."""
    with pytest.raises(ValueError, match="too"):
        world.guard.toolbox(world.issue()).delegate("agent:desk:a", grant("send_email", too=ANA))


@pytest.mark.parametrize("name", ["a b", "", "x" * 129, "<lambda>", "a\nb", "é"])
async def test_a_tools_name_is_one_that_models_can_write(world: World, name: str) -> None:
    """Providers take letters, digits and a few signs."""

    async def tool() -> None: ...

    if name:
        with pytest.raises(TypeError, match="name"):
            world.guard.add(tool, name=name)


async def test_a_key_is_kept_in_a_file(tmp_path: Path) -> None:
    """A holder's key is saved and loaded, sealed or not."""
    folder = tmp_path / "keys"
    folder.mkdir(mode=0o700)
    key = KeyPair.generate()
    key.save(folder / "a.pem")
    key.save(folder / "b.pem", passphrase=b"secret")
    assert KeyPair.load(folder / "a.pem").public == key.public
    assert KeyPair.load(folder / "b.pem", passphrase=b"secret").public == key.public
    with pytest.raises(ValueError):
        KeyPair.load(folder / "b.pem")


async def test_a_token_from_a_file_ends_in_a_line_break(world: World) -> None:
    """White space at the ends is no part of a token."""
    assert await world.guard.toolbox(world.issue().token + "\n").call("send_email", MAIL)


@pytest.mark.parametrize("odd", [None, "", 0, False])
async def test_approvals_that_are_no_list_are_refused_even_if_they_are_nothing(
    world: World, odd: Any
) -> None:
    desk = world.guard.toolbox(world.issue())
    with world.refuses("malformed", "the approvals must be a list"):
        await desk.call("send_email", MAIL, approvals=odd)
    assert await desk.call("send_email", MAIL, approvals=[])
