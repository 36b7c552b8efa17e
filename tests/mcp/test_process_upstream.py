"""A guard in front of a command, for clients over HTTP: one process for each session, one for all others."""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import anyio
import httpx2
import pytest
from mcp import Client, MCPError, StdioServerParameters
from mcp.client.context import ClientRequestContext
from mcp.types import ElicitRequestParams, ElicitResult

from hessra_agents import Capability, grant, limit, must
from hessra_agents.mcp import RequestAuthorizer, with_capability
from hessra_agents.mcp.proxy import process_upstream as upstream
from hessra_agents.mcp.proxy.process_upstream import proxy_process
from tests.support.clocks import backend, pass_time, time_flies
from tests.support.http_world import ENVELOPE, JSON, HttpWorld, post, request, routing, said, served
from tests.support.ledgers import until
from tests.support.mcp_world import ERAS, READ, refused, text_of
from tests.support.processes import PATIENCE

pytestmark = pytest.mark.anyio

each_era = pytest.mark.parametrize("era", ERAS)

TOOLS = ("wait", "ask", "count", "change", "extra", "crash", "large", "environment", "process")


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    """The server that runs the applications knows no other loop."""
    return backend("asyncio")


@pytest.fixture
def files() -> HttpWorld:
    """An authority, and a gate."""
    return HttpWorld()


def allowed(files: HttpWorld) -> Capability:
    return files.issue(*(grant(name) for name in TOOLS), grant("read_file", path=must.under("/srv")))


@asynccontextmanager
async def through(
    files: HttpWorld,
    era: str,
    *arguments: str,
    capability: Capability | None = None,
    callback: Any = None,
    **options: Any,
) -> AsyncIterator[Client]:
    """A client that presents a capability to the guard in front of the command."""
    async with files.bridged(*arguments, **options) as url:
        target = with_capability(url, capability or allowed(files), key=files.key)
        async with Client(target, mode=era, elicitation_callback=callback) as client:
            yield client


@each_era
async def test_a_named_call_runs_and_no_other_does(files: HttpWorld, era: str) -> None:
    async with files.bridged() as url:
        async with Client(with_capability(url, files.issue(), key=files.key), mode=era) as client:
            assert [tool.name for tool in (await client.list_tools()).tools] == ["read_file"]
            assert text_of(await client.call_tool("read_file", READ)) == "text of /srv/a.txt"
            refused(await client.call_tool("read_file", {"path": "/etc/passwd"}), "constraint")
            refused(await client.call_tool("add", {"a": 1}), "not_granted")
        async with Client(url, mode=era) as client:
            assert (await client.list_tools()).tools == []
            refused(await client.call_tool("read_file", READ), "no_capability")


async def test_an_old_server_is_reached_by_clients_that_know_both_eras(files: HttpWorld) -> None:
    async with through(files, "auto", "old", capability=files.issue()) as client:
        assert client.session.protocol_version == "2025-11-25"
        seen = json.loads(text_of(await client.call_tool("read_file", READ)))
        refused(await client.call_tool("read_file", {"path": "/etc/passwd"}), "constraint")
    assert seen == {"name": "read_file", "arguments": READ}


async def test_the_same_request_again_gets_its_answer(files: HttpWorld) -> None:
    call = files.call(files.issue())
    async with files.bridged() as url:
        first, again = said(await post(url, call)), said(await post(url, {**call, "id": 2}))
        call["params"]["task"] = {}
        replayed = said(await post(url, call))
    assert again == {**first, "id": 2}
    assert replayed["result"]["_meta"]["dev.hessra/denial"]["reason"] == "replayed"


@each_era
async def test_a_bound_gate_serves_clients_that_present_nothing(files: HttpWorld, era: str) -> None:
    files.gate = RequestAuthorizer(files.guard, default_toolbox=files.guard.toolbox(files.issue(bearer=True)))
    async with files.bridged() as url, Client(url, mode=era) as client:
        assert text_of(await client.call_tool("read_file", READ)) == "text of /srv/a.txt"
        refused(await client.call_tool("read_file", {"path": "/etc/passwd"}), "constraint")
        called = request("tools/call", {"name": "read_file", "arguments": READ, "_meta": ENVELOPE})
        response = await post(url, called, routing(called) | {"origin": "http://evil.example"})
        assert response.status_code == 403


async def yes(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
    """Agree to everything."""
    return ElicitResult(action="accept", content={"yes": True})


async def test_what_a_server_asks_is_answered_by_the_client(files: HttpWorld) -> None:
    async with through(files, "legacy", callback=yes) as client:
        assert text_of(await client.call_tool("ask", {})) == "accept True"


async def test_a_list_that_has_changed_is_asked_for_again(files: HttpWorld) -> None:
    async with through(files, "legacy") as client:
        await client.call_tool("change", {})
        assert text_of(await client.call_tool("extra", {})) == "extra"


async def test_each_session_has_the_tools_of_its_own_process(files: HttpWorld) -> None:
    """A tool that one session has switched on is there for it, whatever the others list."""
    bound = files.guard.toolbox(files.issue(grant("change"), grant("extra"), bearer=True))
    files.gate = RequestAuthorizer(files.guard, default_toolbox=bound)
    async with (
        files.bridged() as url,
        Client(url, mode="legacy") as one,
        Client(url, mode="legacy") as other,
    ):
        await one.call_tool("change", {})
        for _ in range(2):
            refused(await other.call_tool("extra", {}), "not_granted", "there is no such tool")
            assert text_of(await one.call_tool("extra", {})) == "extra"


@each_era
async def test_what_a_tool_says_meanwhile_comes_through(files: HttpWorld, era: str) -> None:
    heard: list[float] = []

    async def heard_of(progress: float, total: float | None, message: str | None) -> None:
        heard.append(progress)

    async with through(files, era) as client:
        result = await client.call_tool("count", {}, progress_callback=heard_of)
    assert (text_of(result), heard) == ("counted", [1])


async def test_each_session_has_a_process_of_its_own(files: HttpWorld) -> None:
    found = set()
    async with files.bridged() as url:
        for era in ("legacy", "legacy", "auto", "auto"):
            async with Client(with_capability(url, allowed(files), key=files.key), mode=era) as client:
                found.add(text_of(await client.call_tool("process", {})))
    assert len(found) == 3
    for process in found:
        with pytest.raises(ProcessLookupError):
            os.kill(int(process), 0)


async def test_clients_of_one_process_do_not_hear_each_other(files: HttpWorld) -> None:
    """They choose the same ids and the same tokens of progress."""
    heard: dict[str, list[str]] = {}
    capability = allowed(files)

    async def one(url: str, tool: str, arguments: dict[str, Any]) -> None:
        call = files.call(capability, tool, arguments)
        call["params"]["_meta"]["progressToken"] = 1
        response = await post(url, call)
        heard[tool] = [line for line in response.text.splitlines() if "progress" in line]
        assert said(response)["id"] == 1

    async with files.bridged() as url, anyio.create_task_group() as group:
        for tool, arguments in (("count", {}), ("read_file", READ), ("process", {})):
            group.start_soon(one, url, tool, arguments)
    assert [tool for tool, lines in heard.items() if lines] == ["count"]
    assert json.loads(heard["count"][0].removeprefix("data: "))["params"]["progressToken"] == 1


async def test_a_crash_is_told_at_once_and_the_next_request_starts_anew(files: HttpWorld) -> None:
    capability = allowed(files)
    async with files.bridged() as url:
        async with anyio.create_task_group() as group:
            told: list[Any] = []

            async def wait() -> None:
                told.append(said(await post(url, files.call(capability, "wait", {}))))

            group.start_soon(wait)
            told.append(said(await post(url, files.call(capability, "crash", {}))))
        assert [one["error"]["message"] for one in told] == ["the server ended"] * 2
        assert "result" in said(await post(url, files.call(capability)))


async def test_a_session_ends_with_its_process(files: HttpWorld) -> None:
    async with through(files, "legacy") as client:
        with pytest.raises(MCPError, match="the server ended"):
            await client.call_tool("crash", {})
        with pytest.raises(MCPError, match="no such session"):
            await client.call_tool("read_file", READ)


@each_era
async def test_a_silent_server_is_given_up(files: HttpWorld, era: str) -> None:
    def call(tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
        envelope = ENVELOPE if headers is None else {}
        meta = {**envelope, **files.meta(allowed(files), tool, arguments)}
        return request("tools/call", {"name": tool, "arguments": arguments, "_meta": meta})

    async with files.bridged(timeout=300) as url:
        headers = await opened(url) if era == "legacy" else None
        assert "result" in said(await post(url, call("read_file", READ), headers))
        async with time_flies():
            told = said(await post(url, call("wait", {}), headers))
    assert told["error"]["message"] == "the server did not answer in 300 seconds"


async def test_a_huge_answer_fails_the_call_alone(files: HttpWorld) -> None:
    async with files.bridged(max_answer=1 << 19) as url:
        before = said(await post(url, files.call(allowed(files), "process", {})))["result"]
        told = said(await post(url, files.call(allowed(files), "large", {})))
        assert told["error"]["message"] == "the server's message is too large"
        assert said(await post(url, files.call(allowed(files), "process", {})))["result"] == before


async def test_the_process_gets_nothing_of_our_secrets(
    files: HttpWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HESSRA_CAPABILITY", "secret")
    async with files.bridged() as url:
        told = said(await post(url, files.call(allowed(files), "environment", {})))
    names = told["result"]["content"][0]["text"].split()
    assert "PATH" in names
    assert not [name for name in names if "HESSRA" in name]


async def test_no_repr_shows_the_environment_of_the_server(files: HttpWorld) -> None:
    """Starlette puts the endpoint into the scope of every request, which logs and debuggers print."""
    server = StdioServerParameters(command="server", env={"KEY": "a secret"})
    (route,) = proxy_process(files.gate, server).routes
    assert "a secret" not in repr(getattr(route, "endpoint"))  # noqa: B009 -- a route of another kind has none


async def test_tokens_do_not_reach_the_process() -> None:
    files = HttpWorld(forwarded_meta=("dev.acme/trace",))
    capability = files.issue(grant("meta"))
    async with files.bridged() as url:
        for era in ERAS:
            async with Client(with_capability(url, capability, key=files.key), mode=era) as client:
                seen = text_of(await client.call_tool("meta", {}, meta={"dev.acme/trace": "kept"}))  # type: ignore[arg-type]
                assert "kept" in seen
                assert "hessra" not in seen
                assert capability.token[-40:] not in seen


async def opened(url: str) -> dict[str, str]:
    """A session by hand: the headers that name it."""
    told = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
    response = await post(url, request("initialize", told), JSON)
    assert "result" in said(response)
    return {**JSON, "mcp-session-id": response.headers["mcp-session-id"]}


async def test_a_session_is_reached_by_its_id_alone(files: HttpWorld) -> None:
    async with files.bridged("old") as url, httpx2.AsyncClient() as client:
        first, second = await opened(url), await opened(url)
        ids = {first["mcp-session-id"], second["mcp-session-id"]}
        assert [len(id) for id in ids] == [32, 32]
        ping = request("ping", {})
        assert (await post(url, ping, JSON)).status_code == 400
        assert (await post(url, ping, {**JSON, "mcp-session-id": "x" * 32})).status_code == 404
        assert (await client.delete(url, headers=first)).status_code == 200
        assert (await post(url, ping, first)).status_code == 404
        assert (await client.get(url, headers=first)).status_code == 404
        assert (await post(url, ping, second)).status_code == 200


async def test_there_are_only_so_many_sessions(files: HttpWorld) -> None:
    """A session that has ended, or in which no capability was honored, makes room for another one."""
    shown = request("tools/list", {"_meta": files.meta(files.issue())})
    async with files.bridged("old", max_sessions=2) as url, httpx2.AsyncClient(timeout=PATIENCE) as client:
        strange, first = await opened(url), await opened(url)
        assert "result" in said(await post(url, shown, first))
        second = await opened(url)
        assert (await post(url, request("ping", {}), strange)).status_code == 404
        assert "result" in said(await post(url, shown, second))
        assert (await post(url, request("initialize", {}), JSON)).status_code == 503
        assert (await client.delete(url, headers=first)).status_code == 200
        third = await opened(url)
        for headers, status in ((first, 404), (second, 200), (third, 200)):
            assert (await post(url, request("ping", {}), headers)).status_code == status


async def test_a_handshake_that_fails_takes_a_place_until_its_process_has_ended(
    files: HttpWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else strangers could start any number of processes."""
    for wait in ("_LEAVES", "_STOPS"):
        monkeypatch.setattr(f"hessra_agents.mcp.transport.stdio.{wait}", 0.1)
    refuse = """
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
say(id=id, error={"code": 1, "message": str(os.getpid())})
sys.stdout.flush()
time.sleep(600)
"""
    found: list[int] = []
    async with commanded(files, refuse, max_sessions=1) as url:
        for _ in range(3):
            told = said(await post(url, request("initialize", {}), JSON))
            for process in found:
                with pytest.raises(ProcessLookupError):
                    os.kill(process, 0)
            found.append(int(told["error"]["message"]))


@pytest.mark.parametrize("known", [None, "tools/call", "tools/list"])
async def test_a_session_in_which_no_capability_was_honored_ends_soon(
    files: HttpWorld, known: str | None
) -> None:
    """Whatever it does: whoever has no capability could else take all the places there are."""
    async with files.bridged("old", max_sessions=1) as url, httpx2.AsyncClient(timeout=PATIENCE) as client:
        headers = await opened(url)
        params = {"name": "read_file", "arguments": READ, "_meta": files.meta(files.issue())}
        if known is not None:
            assert "result" in said(await post(url, request(known, params), headers))
        async with client.stream("GET", url, headers=headers) as stream:
            pass_time(upstream._UNHONORED / 2)
            assert (await post(url, request("ping", {}), headers)).status_code == 200
            pass_time(upstream._UNHONORED / 2)
            if known is None:
                assert await stream.aread() == b""
            status = (await post(url, request("ping", {}), headers)).status_code
    assert status == (404 if known is None else 200)


async def test_a_session_that_nobody_uses_ends(files: HttpWorld) -> None:
    async with files.bridged("old", idle_timeout=50) as url:
        headers = await opened(url)
        shown = {"_meta": files.meta(files.issue())}
        assert "result" in said(await post(url, request("tools/list", shown), headers))
        for idle, status in ((30, 200), (30, 200), (50, 404)):
            pass_time(idle)
            assert (await post(url, request("ping", {}), headers)).status_code == status


async def test_an_answer_to_no_question_goes_nowhere(files: HttpWorld) -> None:
    async with files.bridged("old") as url:
        headers = await opened(url)
        answer = {"jsonrpc": "2.0", "id": 1, "result": {}}
        assert (await post(url, answer, headers)).status_code == 400
        modern = {**JSON, "mcp-protocol-version": "2026-07-28"}
        assert (await post(url, answer, modern)).status_code == 400


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"accept": "application/json"}, 406),
        ({"accept": "text/html"}, 406),
        ({"mcp-protocol-version": "2025-11-25"}, 400),
        ({"mcp-method": "tools/list"}, 400),
        ({"host": "evil.example"}, 421),
        ({"content-type": "text/plain"}, 415),
    ],
    ids=str,
)
async def test_bad_requests_are_refused(files: HttpWorld, headers: dict[str, str], status: int) -> None:
    call = files.call(files.issue())
    async with files.bridged("old") as url:
        response = await post(url, call, routing(call) | headers)
    assert (response.status_code, "error" in said(response)) == (status, True)


async def test_nobody_shakes_hands_with_the_process_of_all(files: HttpWorld) -> None:
    """It would decide the era of everybody else's requests."""
    hello = request("initialize", {"protocolVersion": "2025-11-25", "_meta": ENVELOPE})
    async with files.bridged() as url:
        assert (await post(url, hello)).status_code == 404
        assert "result" in said(await post(url, files.call(files.issue())))


async def test_a_command_that_cannot_be_started_is_told(files: HttpWorld) -> None:
    app = proxy_process(files.gate, StdioServerParameters(command="/nowhere/at/all"))
    async with served(app) as url:
        told = said(await post(url, request("ping", {"_meta": ENVELOPE})))
        assert told["error"]["message"] == "the server cannot be started"
        told = said(await post(url, request("initialize", {}), JSON))
        assert told["error"]["message"] == "the server cannot be started"


async def test_a_command_that_says_nothing_that_is_a_message_is_told(files: HttpWorld) -> None:
    chatter = "import sys; print('hello'); print('[]', flush=True); sys.stdin.read(10)"
    app = proxy_process(files.gate, StdioServerParameters(command=sys.executable, args=["-c", chatter]))
    async with served(app) as url:
        told = said(await post(url, request("ping", {"_meta": ENVELOPE})))
    assert told["error"]["message"] == "the server ended"


async def test_what_is_said_before_anybody_listens_is_kept(files: HttpWorld) -> None:
    say = """
import json, sys
for line in sys.stdin:
    message = json.loads(line)
    if "id" in message:
        print(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": {}}), flush=True)
    for n in (1, 2):
        print(json.dumps({"jsonrpc": "2.0", "method": "notifications/n", "params": {"n": n}}), flush=True)
"""
    app = proxy_process(files.gate, StdioServerParameters(command=sys.executable, args=["-c", say]))
    async with served(app) as url, httpx2.AsyncClient() as client:
        headers = await opened(url)
        async with client.stream("GET", url, headers=headers) as stream:
            assert (await client.get(url, headers=headers)).status_code == 409
            lines = (line async for line in stream.aiter_lines() if line.startswith("data"))
            found = [json.loads((await anext(lines))[6:])["params"]["n"] for _ in range(2)]
    assert found == [1, 2]


async def test_a_client_that_leaves_cancels_its_call(files: HttpWorld) -> None:
    """The server is told, by the id that the request has there."""
    tell = """
import json, sys
same = None
for line in sys.stdin:
    message = json.loads(line)
    tool = {"name": "wait", "inputSchema": {"type": "object"}}
    told = {"id": message.get("id")}
    match message["method"]:
        case "tools/list":
            told["result"] = {"tools": [tool]}
        case "tools/call":
            waits = message["id"]
            told = {"method": "notifications/progress", "params": {"progressToken": waits}}
        case "notifications/cancelled":
            same = message["params"]["requestId"] == waits
            continue
        case "ping":
            told["result"] = {"same": same}
    print(json.dumps({"jsonrpc": "2.0", **told}), flush=True)
"""
    call = files.call(files.issue(grant("wait")), "wait", {})
    app = proxy_process(files.gate, StdioServerParameters(command=sys.executable, args=["-c", tell]))
    async with served(app) as url, httpx2.AsyncClient() as client:
        async with client.stream("POST", url, content=json.dumps(call), headers=routing(call)) as stream:
            await anext(stream.aiter_lines())
        ping = request("ping", {"_meta": ENVELOPE})
        while (same := said(await post(url, ping))["result"]["same"]) is None:
            pass
        assert same is True


async def test_what_a_server_asks_while_we_ask_waits_for_the_client(files: HttpWorld) -> None:
    """A question that came up while the guard asked for the tools is not lost with that request."""
    ask = """
import json, sys
held = None
for line in sys.stdin:
    message = json.loads(line)
    told = {"id": message.get("id"), "result": {}}
    match message.get("method"):
        case "tools/list":
            print(json.dumps({"jsonrpc": "2.0", "id": "q", "method": "roots/list"}), flush=True)
            told["result"] = {"tools": [{"name": "process", "inputSchema": {"type": "object"}}]}
        case "tools/call":
            held = message["id"]
            continue
        case None:
            told = {"id": held, "result": message["result"]}
    print(json.dumps({"jsonrpc": "2.0", **told}), flush=True)
"""
    params = {"name": "process", "arguments": {}, "_meta": files.meta(allowed(files), "process", {})}
    app = proxy_process(files.gate, StdioServerParameters(command=sys.executable, args=["-c", ask]))
    async with served(app) as url, httpx2.AsyncClient() as client, anyio.create_task_group() as group:
        headers = await opened(url)
        told: list[Any] = []

        async def call() -> None:
            told.append(said(await post(url, request("tools/call", params), headers)))

        async with client.stream("GET", url, headers=headers) as stream:
            group.start_soon(call)
            lines = (line async for line in stream.aiter_lines() if line.startswith("data"))
            assert json.loads((await anext(lines))[6:])["id"] == "q"
        answer = {"jsonrpc": "2.0", "id": "q", "result": {"roots": []}}
        while not (await post(url, answer, headers)).is_success:
            pass
    assert told[0]["result"] == {"roots": []}


def commanded(files: HttpWorld, code: str, **options: Any) -> Any:
    """The guard in front of a server of a few lines, each turn of which may set what is told."""
    head = """
import json, sys
def say(**message):
    sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\\n")
held = None
for line in sys.stdin:
    message = json.loads(line)
    method, id, params = message.get("method"), message.get("id"), message.get("params", {})
    schema = {"type": "object"}
    told = {"tools": [{"name": name, "inputSchema": schema} for name in ("wait", "count")]}
"""
    tail = """
    if id is not None and method:
        say(id=id, result=told)
    sys.stdout.flush()
"""
    lines = "".join(f"    {line}\n" for line in code.strip().splitlines())
    command = StdioServerParameters(command=sys.executable, args=["-c", head + lines + tail])
    return served(proxy_process(files.gate, command, **options))


async def test_whoever_hears_much_costs_nobody_the_answer(files: HttpWorld) -> None:
    burst = """
if method == "tools/call":
    token = params["_meta"]["progressToken"]
    for step in range(1 if params["name"] == "wait" else 4000):
        say(method="notifications/progress", params={"progressToken": token, "progress": step})
    if params["name"] == "wait":
        held, id = id, None
    else:
        say(id=held, result=told)
"""
    wait, count = (files.call(allowed(files), name, {}) for name in ("wait", "count"))
    for call in (wait, count):
        call["params"]["_meta"]["progressToken"] = "p"
    async with commanded(files, burst) as url, httpx2.AsyncClient(timeout=PATIENCE) as client:
        body = json.dumps(wait)
        async with client.stream("POST", url, content=body, headers=routing(wait)) as stream:
            lines = (line async for line in stream.aiter_lines() if line.startswith("data"))
            await anext(lines)
            assert "result" in said(await post(url, count))
            assert "result" in json.loads((await anext(lines))[6:])


async def test_a_cancellation_says_no_more_than_it_must(files: HttpWorld) -> None:
    tell = """
if method == "ping":
    say(method="notifications/progress", params={"progressToken": params["_meta"]["progressToken"]})
    id = None
if method == "notifications/cancelled":
    say(method="notifications/seen", params=params)
"""
    ping = request("ping", {"_meta": {"progressToken": 1}}, id="mine")
    params = {"requestId": "mine", "reason": "a" * 4000, "more": "b"}
    cancel = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params}
    async with commanded(files, tell) as url, httpx2.AsyncClient(timeout=PATIENCE) as client:
        headers = await opened(url)
        async with client.stream("POST", url, content=json.dumps(ping), headers=headers) as stream:
            await anext(stream.aiter_lines())
            assert (await post(url, cancel, headers)).status_code == 202
        async with client.stream("GET", url, headers=headers) as stream:
            lines = (line async for line in stream.aiter_lines() if line.startswith("data"))
            seen = json.loads((await anext(lines))[6:])["params"]
    assert seen.pop("requestId") > 0
    assert seen == {"reason": "a" * 200}


async def test_a_cancellation_ends_the_request_that_it_names(files: HttpWorld) -> None:
    """``7`` and ``"7"`` are two requests of a client, whatever a server thinks of that."""
    wait = """
if method == "ping":
    say(method="notifications/progress", params={"progressToken": params["_meta"]["progressToken"]})
    id = None
"""
    async with commanded(files, wait) as url, httpx2.AsyncClient(timeout=PATIENCE) as client:
        headers = await opened(url)

        def asked(id: object) -> Any:
            ping = request("ping", {"_meta": {"progressToken": 1}}, id=id)
            return client.stream("POST", url, content=json.dumps(ping), headers=headers)

        async with asked(7) as first, asked("7") as second:
            await anext(first.aiter_lines())
            lines = (line async for line in second.aiter_lines() if line.startswith("data"))
            await anext(lines)
            note = {"method": "notifications/cancelled", "params": {"requestId": "7"}}
            await post(url, {"jsonrpc": "2.0", **note}, headers)
            assert json.loads((await anext(lines))[6:])["id"] == "7"


async def test_a_server_that_asks_and_does_not_read_is_ended(files: HttpWorld) -> None:
    ask = """
if method == "ping":
    for number in range(200_000):
        say(id=str(number) * 40, method="roots/list")
"""
    async with commanded(files, ask) as url:
        headers = await opened(url)
        told = said(await post(url, request("ping", {}), headers))
        assert told["error"]["message"] == "the server ended"
        assert (await post(url, request("ping", {}), headers)).status_code == 404


@pytest.mark.parametrize("cancelled", [True, False])
async def test_a_call_that_is_broken_off_is_not_given_back(files: HttpWorld, cancelled: bool) -> None:
    """By its client, or by the proxy that stops waiting: only the tool's own failure gives a limit back."""
    options: dict[str, Any] = {"ttl": timedelta(minutes=9), "audience": "files", "holder": files.key.public}
    once = limit(calls=1, refund=True)
    capability = files.authority.issue("agent:desk", grant("wait"), once, **options)
    wait = """
if method == "tools/call":
    say(method="notifications/progress", params={"progressToken": params["_meta"]["progressToken"]})
    id = None
"""
    async with commanded(files, wait, timeout=300) as url, httpx2.AsyncClient(timeout=None) as client:
        headers = await opened(url)
        params = {"name": "wait", "arguments": {}, "_meta": files.meta(capability, "wait", {})}
        params["_meta"]["progressToken"] = 1
        body = json.dumps(request("tools/call", params, id="mine"))
        async with client.stream("POST", url, content=body, headers=headers) as stream:
            lines = (line async for line in stream.aiter_lines() if line.startswith("data"))
            await anext(lines)
            if cancelled:
                note = {"method": "notifications/cancelled", "params": {"requestId": "mine"}}
                await post(url, {"jsonrpc": "2.0", **note}, headers)
                told = await anext(lines)
            else:
                async with time_flies():
                    told = await anext(lines)
        words = "the request was cancelled" if cancelled else "the server did not answer in 300 seconds"
        assert json.loads(told[6:])["error"]["message"] == words
        params["_meta"] = files.meta(capability, "wait", {})
        again = said(await post(url, request("tools/call", params), headers))
        assert again["result"]["_meta"]["dev.hessra/denial"]["reason"] == "spent"


async def test_large_answers_on_their_way_have_one_limit_together(
    files: HttpWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A small answer comes through meanwhile."""
    large = """
if method == "tools/call" and params["name"] == "wait":
    told = {"text": "a" * (1 << 20)}
"""
    monkeypatch.setattr("hessra_agents.mcp.transport.http_response._LARGE_ANSWERS", 0)
    async with commanded(files, large) as url:
        told = said(await post(url, files.call(allowed(files), "wait", {})))
        assert told["error"]["message"] == "too many large answers are on their way: try again later"
        assert "result" in said(await post(url, files.call(allowed(files), "count", {})))
    monkeypatch.undo()
    async with commanded(files, large, max_answer=2 << 20) as url:
        for _ in range(8):  # each gives back what it held
            assert "result" in said(await post(url, files.call(allowed(files), "wait", {})))


@pytest.mark.parametrize("order", ['id=id, result={"text": text}', 'result={"text": text}, id=id'])
async def test_an_answer_that_is_too_large_is_told_to_its_own_request(files: HttpWorld, order: str) -> None:
    """At once, whatever else waits in the session; wherever the server writes the id."""
    large = f"""
if method == "tools/call":
    if params["name"] == "wait":
        text = "a" * 9000
        sys.stdout.write(json.dumps(dict({order}, jsonrpc="2.0")) + "\\n")
    id = None
"""
    capability = files.issue(grant("wait"), grant("count"))
    told: list[Any] = []

    async with commanded(files, large, timeout=math.inf, max_answer=4096) as url:
        headers = await opened(url)

        async def call(tool: str) -> None:
            params = {"name": tool, "arguments": {}, "_meta": files.meta(capability, tool, {})}
            told.append(said(await post(url, request("tools/call", params, id=tool), headers)))

        async with anyio.create_task_group() as group:
            group.start_soon(call, "count")
            await call("wait")
            group.cancel_scope.cancel()
    assert [(one["id"], one["error"]["message"]) for one in told] == [
        ("wait", "the server's message is too large")
    ]


async def test_five_megabytes_reach_a_client_of_the_sdk(files: HttpWorld) -> None:
    """Its servers send a text twice: as content, and as structured content."""

    @files.bare.tool()
    async def large() -> str:
        """Return much."""
        return "a" * 5_000_000

    capability = files.issue(grant("large"))
    async with (
        files.reversed() as url,
        Client(with_capability(url, capability, key=files.key), mode="auto") as client,
    ):
        assert len(text_of(await client.call_tool("large", {}))) == 5_000_000


async def test_a_question_to_a_person_buys_ten_minutes(files: HttpWorld) -> None:
    """For everything that waits in the session, because it may be about any of it."""
    ask = """
if method == "tools/call":
    if params["name"] == "wait":
        say(id="q", method="elicitation/create", params={})
        held = id
    id = None
elif method is None:
    say(id=held, result={"content": []})
"""
    capability = files.issue(grant("wait"), grant("count"))
    told: list[Any] = []
    async with commanded(files, ask, timeout=300) as url, httpx2.AsyncClient(timeout=None) as client:
        headers = await opened(url)

        async def call(tool: str) -> None:
            params = {"name": tool, "arguments": {}, "_meta": files.meta(capability, tool, {})}
            told.append(said(await post(url, request("tools/call", params, id=tool), headers)))

        async with (
            client.stream("GET", url, headers=headers) as stream,
            anyio.create_task_group() as group,
        ):
            group.start_soon(call, "count")
            group.start_soon(call, "wait")
            lines = (line async for line in stream.aiter_lines() if line.startswith("data"))
            assert json.loads((await anext(lines))[6:])["id"] == "q"
            pass_time(599)
            answer = {"jsonrpc": "2.0", "id": "q", "result": {"action": "accept"}}
            assert (await post(url, answer, headers)).status_code == 202
            await until(lambda: told)
            pass_time(1)
    assert [(one["id"], "result" in one) for one in told] == [("wait", True), ("count", False)]


async def test_a_server_has_ended_whatever_it_leaves_behind(files: HttpWorld) -> None:
    """A program that it started and that holds its output keeps no request waiting."""
    leave = """
if method == "ping":
    import os, subprocess
    subprocess.Popen(["sleep", "600"])
    os._exit(0)
"""
    async with commanded(files, leave) as url:
        headers = await opened(url)
        told = said(await post(url, request("ping", {}), headers))
        assert told["error"]["message"] == "the server ended"


async def test_what_waits_for_nobody_is_bounded(files: HttpWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hessra_agents.mcp.proxy.pending.MAX_BYTES", 3000)
    chat = """
if method == "initialize":
    say(id=id, result=told)
    for size in (2000, 2001, 100):
        say(method="notifications/n", params={"n": size, "text": "a" * size})
    id = None
"""
    async with commanded(files, chat) as url, httpx2.AsyncClient(timeout=PATIENCE) as client:
        headers = await opened(url)
        async with client.stream("GET", url, headers=headers) as stream:
            lines = (line async for line in stream.aiter_lines() if line.startswith("data"))
            found = [json.loads((await anext(lines))[6:])["params"]["n"] for _ in range(2)]
    assert found == [2000, 100]


async def test_a_session_is_named_before_anything_is_said(files: HttpWorld) -> None:
    chat = """
if method == "initialize":
    say(method="notifications/n")
"""
    async with commanded(files, chat) as url:
        headers = await opened(url)
        assert "result" in said(await post(url, request("ping", {}), headers))
