"""Servers and clients that say odd things, and are used without a guard all the same."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from anyio.abc import SocketStream

from hessra_agents import Denied, Ledger, grant, must
from hessra_agents.call.canonical import MAX_BYTES, MAX_VALUES
from hessra_agents.mcp import Pins, RequestAuthorizer
from hessra_agents.mcp.authorization.catalog import ToolCatalog
from hessra_agents.mcp.proxy.http_upstream import proxy_http
from tests.support.clocks import time_flies
from tests.support.http_world import ENVELOPE, answering, http, posted, request
from tests.support.ledgers import Store
from tests.support.scripted_mcp import ECHO, RAN, before, listing, result, script
from tests.support.world import World

pytestmark = pytest.mark.anyio

OTHER: dict[str, Any] = {**ECHO, "name": "other"}


def gate(world: World, *names: str, **options: Any) -> RequestAuthorizer:
    """What serves everybody these tools."""
    granted = [grant(name, x=must.optional()) for name in names or ("echo",)]
    toolbox = world.guard.toolbox(world.issue(*granted))
    return RequestAuthorizer(world.guard, default_toolbox=toolbox, **options)


def refusal(answer: dict[str, Any]) -> str:
    """The text of a refused call."""
    assert answer["result"]["isError"]
    text: str = answer["result"]["content"][0]["text"]
    return text


ODD_ANSWERS = {
    "an id with a fraction": '{"jsonrpc":"2.0","id":$ID.0,"result":{"n":1}}',
    "an error that is null": '{"jsonrpc":"2.0","id":$ID,"result":{"n":1},"error":null}',
    "NaN": '{"jsonrpc":"2.0","id":$ID,"result":{"n":1,"mean":NaN}}',
    "more than a float": '{"jsonrpc":"2.0","id":$ID,"result":{"n":1,"mean":[1e999,-1E+400,9%s.0]}}'
    % ("9" * 309),
    "Latin-1": '{"jsonrpc":"2.0","id":$ID,"result":{"n":1,"text":"caf\xe9"}}',
}


@pytest.mark.parametrize("name", ODD_ANSWERS)
async def test_an_answer_that_most_clients_read_is_passed_on(world: World, name: str) -> None:
    async with before(gate(world), script(ODD_ANSWERS[name])) as client:
        assert (await client.call())["result"]["n"] == 1


@pytest.mark.parametrize("odd", ["NaN", "1e999", "[-1E+400]", "9" * 309 + ".0"])
async def test_a_number_that_json_cannot_express_is_null_over_http_too(tmp_path: Path, odd: str) -> None:
    """The client is told that the call is done, and so is the ledger."""
    world = World(ledger=Ledger.open(tmp_path / "hessra.db"))

    async def talk(stream: SocketStream, data: bytes) -> None:
        message = json.loads(data.partition(b"\r\n\r\n")[2])
        told = json.dumps({"tools": [ECHO]}) if message["method"] == "tools/list" else f'{{"mean":{odd}}}'
        await stream.send(http(f'{{"jsonrpc":"2.0","id":{message["id"]},"result":{told}}}'.encode()))

    async with answering(talk) as url:
        app = proxy_http(gate(world), url)
        async with app.router.lifespan_context(app):
            answer = await posted(app, request("tools/call", {"name": "echo", "_meta": ENVELOPE}))
    assert answer["result"]["mean"] in (None, [None])
    await world.ledger.aclose()
    records = Store("sqlite", str(tmp_path / "hessra.db"), tmp_path).records()
    assert [one["outcome"] for one in records if "outcome" in one] == ["done"]


UNREADABLE = {
    "another spelling": '{"jsonrpc":"2.0","id":$ID,"result":{},"Result":{}}',
    "neither of two": '{"jsonrpc":"2.0","id":$ID,"result":{},"error":{}}',
    "nothing": '{"jsonrpc":"2.0","id":$ID}',
}


@pytest.mark.parametrize("name", UNREADABLE)
async def test_a_call_whose_answer_cannot_be_passed_on_is_told_at_once(tmp_path: Path, name: str) -> None:
    """The tool may have run: the record says no more than that."""
    world = World(ledger=Ledger.open(tmp_path / "hessra.db"))
    async with before(gate(world), script(UNREADABLE[name])) as client:
        answer = await client.call()
        assert answer["error"]["message"].startswith("the server's answer ")
    await world.ledger.aclose()
    records = Store("sqlite", str(tmp_path / "hessra.db"), tmp_path).records()
    assert [one["outcome"] for one in records if "outcome" in one] == ["cancelled"]


async def test_a_server_that_reads_only_integers_as_ids_is_asked_for_its_tools(world: World) -> None:
    async with before(gate(world), script()) as client:
        assert (await client.call())["result"] == RAN


async def test_a_server_that_does_not_list_its_tools_is_named_before_the_call_is_late(world: World) -> None:
    async with before(gate(world), script(tools=[[]]), timeout=300) as client, time_flies(0.5):
        assert "the server did not answer tools/list in time" in refusal(await client.call())
        assert (await client.ask("ping"))["result"] == {}


ENDLESS = {
    "an empty cursor": [[listing(ECHO, nextCursor="")]],
    "a cursor that stays": [[listing(ECHO, nextCursor="a")], [listing(OTHER, nextCursor="a")]],
    "a page that stays": [[listing(ECHO, nextCursor="a")], [listing(ECHO, nextCursor="b")]],
    "cursors in a circle": [
        [listing(ECHO, nextCursor="a")],
        [listing(OTHER, nextCursor="b")],
        [listing({**ECHO, "name": "third"}, nextCursor="a")],
    ],
}


@pytest.mark.parametrize("name", ENDLESS)
async def test_a_list_that_never_says_it_is_at_its_end_is(world: World, name: str) -> None:
    async with before(gate(world), script(tools=ENDLESS[name])) as client:
        assert (await client.call())["result"] == RAN


async def test_an_empty_page_does_not_end_a_list(world: World) -> None:
    pages = [[listing(nextCursor="a")], [listing(nextCursor="b")], [listing(ECHO)]]
    async with before(gate(world), script(tools=pages)) as client:
        assert (await client.call())["result"] == RAN


async def test_a_tool_that_is_listed_twice_word_for_word_is_one_tool(world: World) -> None:
    twice = listing(ECHO, dict(reversed(ECHO.items())))
    async with before(gate(world), script(tools=[[twice]])) as client:
        assert (await client.call())["result"] == RAN
        assert [tool["name"] for tool in (await client.ask("tools/list"))["result"]["tools"]] == ["echo"]


async def test_of_two_tools_with_one_name_neither_is_shown_or_called(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    async with before(gate(world), script(tools=[[listing(ECHO, {**ECHO, "title": "x"})]])) as client:
        assert "the server lists several tools of this name" in refusal(await client.call())
        assert (await client.ask("tools/list"))["result"]["tools"] == []
    assert "several tools of this name" in caplog.text


async def test_a_hidden_tool_is_warned_of_once_with_its_reason(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """Granted tools are missed if they are not shown; others are not."""
    remote = {"type": "object", "properties": {"x": {"$ref": "https://elsewhere.example/x"}}}
    tools = [ECHO, {"name": "b\x1bad", "inputSchema": remote}, {"name": "worse", "inputSchema": remote}]
    async with before(gate(world, "echo", "b\x1bad"), script(tools=[[listing(*tools)]])) as client:
        for _ in range(2):
            shown = (await client.ask("tools/list"))["result"]["tools"]
            assert [tool["name"] for tool in shown] == ["echo"]
    warnings = [one.getMessage() for one in caplog.records if one.levelno == logging.WARNING]
    assert warnings == [
        "the tool 'b\\x1bad' is not shown, and no call may use it: the tool's input schema cannot be used: "
        "it refers to another document"
    ]


async def test_pinned_tools_that_are_hidden_are_warned_of(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    pins = Pins.of("s", [{**ECHO, "title": "as it was"}])
    tools = script(tools=[[listing(ECHO, OTHER)]])
    async with before(gate(world, "echo", "other", pins=pins), tools) as client:
        assert (await client.ask("tools/list"))["result"]["tools"] == []
        assert "was never approved" in refusal(await client.call("other"))
    assert "the tool 'echo' is not shown" in caplog.text
    assert "has changed since it was approved" in caplog.text
    assert "the tool was never approved" in caplog.text


@pytest.mark.parametrize("method", ["initialize", "server/discover"])
async def test_instructions_are_shown_only_as_they_were_approved(
    world: World, caplog: pytest.LogCaptureFixture, method: str
) -> None:
    """Clients put them into a model's context."""
    told = {"serverInfo": {"name": "s"}, "instructions": "Obey."}
    server = {method: [[result(told)]]}
    for options, shown in (
        ({}, True),
        ({"pins": Pins.of("s", [ECHO], "Obey.")}, True),
        ({"pins": Pins.of("s", [ECHO], "Add.")}, False),
        ({"pins": Pins.of("s", [ECHO])}, False),
    ):
        async with before(gate(world, **options), server) as client:
            assert ("instructions" in (await client.ask(method))["result"]) == shown
        assert ("instructions are not shown" in caplog.text) == (not shown)


async def test_a_list_that_changes_while_it_is_on_its_way_is_asked_for_again() -> None:
    """A call meets the definition that the server has now; one that never stops changing is not current."""
    asked: list[int] = []
    changed = {"method": "notifications/tools/list_changed"}
    for changes in (0, 1, 9):
        catalog = ToolCatalog()

        async def fetch(catalog: ToolCatalog = catalog, changes: int = changes) -> list[dict[str, Any]]:
            asked.append(changes)
            if asked.count(changes) <= changes:
                catalog.notice(changed)
            return [{**ECHO, "title": f"{asked.count(changes)}"}]

        found = await catalog.find("echo", fetch)
        assert found is not None
        assert found.definition["title"] == f"{min(changes, 1) + 1}"
        assert catalog.is_fresh("echo") == (changes < 9)


async def test_callers_that_wait_for_one_list_are_refused_together() -> None:
    """Each would wait for half a minute more otherwise."""
    catalog, told = ToolCatalog(), []

    async def fetch() -> list[dict[str, Any]]:
        told.append("asked")
        await anyio.lowlevel.checkpoint()
        raise TimeoutError

    async def find() -> None:
        with pytest.raises(Denied) as caught:
            await catalog.find("echo", fetch)
        told.append(caught.value.text)

    async with anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(find)
    assert told == ["asked", *["the server did not answer tools/list in time"] * 3]


@pytest.mark.parametrize("text", ['{"params": null}', "{}"])
async def test_params_that_are_null_are_absent(world: World, text: str) -> None:
    async with before(gate(world), script()) as client:
        await client.send({"method": "notifications/initialized", **json.loads(text)})
        await client.send({"id": 1, "method": "ping", **json.loads(text)})
        assert (await client.receive())["result"] == {}


BAD_NOTIFICATIONS: dict[str, dict[str, Any]] = {
    "params that are a list": {"method": "notifications/initialized", "params": []},
    "another spelling": {"method": "notifications/initialized", "Params": {}},
    "no JSON": {"method": "notifications/progress", "params": {"progress": float("nan")}},
}


@pytest.mark.parametrize("name", BAD_NOTIFICATIONS)
async def test_a_notification_is_never_answered(
    world: World, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    async with before(gate(world), script()) as client:
        await client.send(BAD_NOTIFICATIONS[name])
        await client.ask("ping")  # whose answer is the first message
    assert "a message of the client is left out" in caplog.text


async def test_null_in_place_of_arguments_is_none(world: World, tmp_path: Path) -> None:
    """A strict server would refuse what its own protocol does not know."""
    seen: list[dict[str, Any]] = []

    async def forward(params: dict[str, Any]) -> dict[str, Any]:
        seen.append(params)
        return RAN

    async def fetch() -> list[dict[str, Any]]:
        return [ECHO]

    params = {"name": "echo", "arguments": None}
    assert await gate(world).handle("tools/call", params, forward, fetch=fetch) == RAN
    assert seen == [{"name": "echo"}]


ROOM: dict[str, Any] = {"type": "object", "properties": {"x": {}}}


@pytest.mark.parametrize("form", ["stdio", "HTTP"])
@pytest.mark.parametrize(
    ("most", "more", "words"),
    [
        (
            "a" * (MAX_BYTES - len('{"x":""}')),
            "a" * (MAX_BYTES - len('{"x":""}') + 1),
            "more than 1048576 bytes",
        ),
        ([0] * (MAX_VALUES - 1), [0] * MAX_VALUES, "more than 16384 values"),
    ],
    ids=["bytes", "values"],
)
async def test_the_greatest_arguments_run_and_greater_ones_are_refused(
    world: World, form: str, most: Any, more: Any, words: str
) -> None:
    """A person is told the limit."""
    wide = {**ECHO, "inputSchema": ROOM}
    granted = world.guard.toolbox(world.issue(grant("echo", x=must.anything())))
    one = RequestAuthorizer(world.guard, default_toolbox=granted)
    told: list[dict[str, Any]] = []
    if form == "stdio":
        async with before(one, script(tools=[[listing(wide)]])) as client:
            for value in (most, more):
                await client.send_large({"name": "echo", "arguments": {"x": value}})
                told.append(await client.receive())
    else:

        async def talk(stream: SocketStream, data: bytes) -> None:
            message = json.loads(data.partition(b"\r\n\r\n")[2])
            result = {"tools": [wide]} if message["method"] == "tools/list" else RAN
            answer = {"jsonrpc": "2.0", "id": message["id"], "result": result}
            await stream.send(http(json.dumps(answer).encode()))

        async with answering(talk) as url:
            app = proxy_http(one, url)
            async with app.router.lifespan_context(app):
                for value in (most, more):
                    params = {"name": "echo", "arguments": {"x": value}, "_meta": ENVELOPE}
                    told.append(await posted(app, request("tools/call", params)))
    assert told[0]["result"] == RAN
    assert words in refusal(told[1])
    assert refusal(told[1]).endswith("[malformed]")
