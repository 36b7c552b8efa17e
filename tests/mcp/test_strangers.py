"""What people without a capability get of a proxy over HTTP: a handshake, and no place for long."""

from __future__ import annotations

import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import httpx2
import pytest
from anyio.abc import SocketStream
from mcp import StdioServerParameters

from hessra_agents import grant, must
from hessra_agents.cli.inputs import web_origin
from hessra_agents.cli.terminal import UsageError
from hessra_agents.mcp import RequestAuthorizer
from hessra_agents.mcp.proxy import http_upstream
from hessra_agents.mcp.proxy.http_upstream import proxy_http
from hessra_agents.mcp.proxy.process_upstream import proxy_process
from hessra_agents.mcp.transport import http_checks, http_response, http_server
from hessra_agents.mcp.transport.http_server import HttpServer
from tests.support.clocks import backend, pass_time
from tests.support.http_world import JSON, HttpWorld, Recorded, post, request, routing, said, served
from tests.support.mcp_world import READ
from tests.support.processes import PATIENCE

pytestmark = pytest.mark.anyio

HELLO = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
PAGE = "https://desk.example"


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    """The server that runs the applications knows no other loop."""
    return backend("asyncio")


@pytest.fixture
def files() -> HttpWorld:
    """A server of files, and a gate for it."""
    return HttpWorld()


def note(method: str, **params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "method": method, "params": params}


def methods(upstream: Recorded) -> list[str]:
    """The messages that a server got, by their methods; other requests by their verbs."""
    found = []
    for sent in upstream.requests:
        body = sent.strip().rpartition(b"\n")[2]
        verb = sent.partition(b" ")[0].decode()
        found.append(str(json.loads(body).get("method", "an answer")) if verb == "POST" else verb)
    return found


@asynccontextmanager
async def watched(files: HttpWorld, **options: Any) -> AsyncIterator[tuple[str, Recorded]]:
    """The guard in front of a server whose requests are recorded."""
    upstream = Recorded(files.bare.streamable_http_app())
    async with served(upstream) as behind, served(proxy_http(files.gate, behind, **options)) as url:
        yield url, upstream


async def opened(url: str) -> dict[str, str]:
    """The headers of a session in which nothing was shown."""
    hello = await post(url, request("initialize", HELLO), JSON)
    headers = {**JSON, "mcp-session-id": hello.headers["mcp-session-id"]}
    assert (await post(url, note("notifications/initialized"), headers)).status_code == 202
    assert "result" in said(await post(url, request("ping", {}), headers))
    return headers


HANDSHAKE = ["initialize", "notifications/initialized", "ping"]
LEVEL = request("logging/setLevel", {"level": "debug"})
QUIET = [
    note("notifications/cancelled", requestId=1),
    note("notifications/progress", progressToken=1, progress=1),
    note("notifications/roots/list_changed"),
    {"jsonrpc": "2.0", "id": 1, "result": {}},
]


async def test_without_a_capability_only_a_handshake_reaches_the_server(files: HttpWorld) -> None:
    """The server's key is the proxy's: strangers do not use it for more."""
    async with watched(files) as (url, upstream), httpx2.AsyncClient(timeout=None) as client:
        headers = await opened(url)
        told = [await post(url, message, headers) for message in QUIET]
        assert [one.status_code for one in told] == [202, 202, 202, 403]
        denied = said(await post(url, LEVEL, headers))["error"]["data"]["dev.hessra/denial"]
        assert denied["reason"] == "no_capability"
        for kind in ("tools", "resources", "prompts"):
            assert said(await post(url, request(f"{kind}/list", {}), headers))["result"][kind] == []
        assert (await client.delete(url, headers=headers)).status_code == 403
        assert (await client.get(url, headers=JSON)).status_code == 405
        async with anyio.create_task_group() as group:

            async def listen() -> None:
                assert (await client.get(url, headers=headers)).status_code == 403
                group.cancel_scope.cancel()

            group.start_soon(listen)
            while True:
                await anyio.sleep(0.01)
                pass_time(http_upstream._STREAM_WAITS)
    assert methods(upstream) == HANDSHAKE


@pytest.mark.parametrize("way", ["a list", "a call", "a bound proxy"])
async def test_in_a_session_in_which_a_capability_was_honored_all_goes_on(files: HttpWorld, way: str) -> None:
    """But for the cancellation of what does not run there."""
    capability = files.issue()
    if way == "a bound proxy":
        toolbox = files.guard.toolbox(files.issue(bearer=True))
        files.gate = RequestAuthorizer(files.guard, default_toolbox=toolbox)
    async with watched(files) as (url, upstream), httpx2.AsyncClient(timeout=None) as client:
        headers = await opened(url)
        params = {"_meta": files.meta(capability)}
        if way == "a list":
            assert said(await post(url, request("tools/list", params), headers))["result"]["tools"]
        elif way == "a call":
            call = {**params, "name": "read_file", "arguments": {"path": "/srv/a.txt"}}
            assert "isError" not in said(await post(url, request("tools/call", call), headers))
        before = len(methods(upstream))
        for message in (*QUIET, LEVEL, request("tools/list", {})):
            await post(url, message, headers)
        assert (await client.delete(url, headers=headers)).status_code == 200
    told = [str(one.get("method", "an answer")) for one in (*QUIET[1:], LEVEL, request("tools/list", {}))]
    assert methods(upstream)[before:] == [*told, "DELETE"]


async def test_a_request_without_an_id_does_not_reach_the_server(files: HttpWorld) -> None:
    """Not of the handshake, and not with a capability."""
    capability = files.issue()
    async with watched(files) as (url, upstream):
        headers = await opened(url)
        for name in ("initialize", "server/discover", "ping", "tools/list", "logging/setLevel", "tools/call"):
            asked = note(name, name="read_file", arguments=READ, _meta=files.meta(capability))
            assert (await post(url, asked, headers)).status_code == 202
    assert methods(upstream) == HANDSHAKE


async def test_a_stream_waits_until_a_capability_is_honored(files: HttpWorld) -> None:
    """SDKs ask for it before anything else."""
    capability = files.issue(grant("change"), grant("read_file", path=must.under("/srv")))
    async with watched(files) as (url, upstream), httpx2.AsyncClient(timeout=PATIENCE) as client:
        headers = await opened(url)
        async with anyio.create_task_group() as group:
            streaming = anyio.Event()

            async def listen() -> None:
                async with client.stream("GET", url, headers=headers) as stream:
                    assert stream.status_code == 200
                    streaming.set()

            group.start_soon(listen)
            await post(url, request("ping", {}), headers)
            assert "GET" not in methods(upstream)
            params = {"_meta": files.meta(capability)}
            await post(url, request("tools/list", params), headers)
            await streaming.wait()
            group.cancel_scope.cancel()


async def test_of_the_headers_only_those_go_on_that_are_named(files: HttpWorld) -> None:
    call = files.call(files.issue())
    given = {f"{name}": "of-the-caller" for name in ("mcp-tenant", "mcp-api-key", "mcp-param-x", "baggage")}
    async with watched(files) as (url, upstream):
        with files.runs("read_file"):
            await post(url, call, {**routing(call), **given, "traceparent": "kept"})
    sent = b"\n".join(upstream.requests).decode()
    assert "traceparent: kept" in sent
    assert "mcp-name: read_file" in sent
    assert "of-the-caller" not in sent


# memory, time and connections


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[SocketStream]:
    """A connection by hand."""
    port = int(url.split(":")[2].partition("/")[0])
    async with await anyio.connect_tcp("127.0.0.1", port) as stream:
        yield stream


HEAD = (
    b"POST /mcp HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
    b"content-length: 9000000\r\n\r\n"
)


async def test_a_body_has_a_deadline(files: HttpWorld) -> None:
    """Which no byte moves."""
    async with watched(files) as (url, upstream), connected(url) as stream:
        await stream.send(HEAD)
        answer = b""
        while not answer:
            with anyio.move_on_after(http_checks.BODY_SECONDS / 2):
                answer = await stream.receive()
            await stream.send(b" ")
            pass_time(http_checks.BODY_SECONDS / 2)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert upstream.requests == []


async def test_large_requests_that_wait_have_one_limit_together(
    files: HttpWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Small ones come through meanwhile, and what has its answer counts no more."""
    monkeypatch.setattr(http_response, "_LARGE_REQUESTS", 1)
    large = request("ping", {"text": "x" * (3 << 20)})
    async with watched(files) as (url, _), connected(url) as stream:
        headers = await opened(url)
        for _ in range(3):
            assert "result" in said(await post(url, large, headers))
        await stream.send(HEAD + b" " * (2 << 20))
        while (refused := await post(url, large, headers)).status_code != 503:
            pass  # the guard has not read all of it yet
        assert "too many large requests" in said(refused)["error"]["message"]
        assert "result" in said(await post(url, request("ping", {}), headers))


@asynccontextmanager
async def listening(files: HttpWorld) -> AsyncIterator[str]:
    """The proxy as the command serves it."""
    app = proxy_process(files.gate, StdioServerParameters(command="cat"))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = HttpServer(app)
        async with anyio.create_task_group() as group:
            group.start_soon(server.serve, [listener])
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/mcp"
            server.end()


async def closed(stream: SocketStream) -> bool:
    """Whether the other side has closed a connection; what it says before is passed over."""
    try:
        while True:
            await stream.receive()
    except (anyio.EndOfStream, anyio.BrokenResourceError):
        return True


async def test_a_connection_without_a_request_is_closed(files: HttpWorld) -> None:
    """A new one, one with half of a request, and one that has had an answer and sends half of another."""
    half = b"POST /mcp HTTP/1.1\r\nhost: "
    for sent in (b"", half, b"GET /mcp HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n" + half):
        async with listening(files) as url, connected(url) as stream:
            if sent:
                await stream.send(sent)
            if sent.startswith(b"GET"):
                assert await stream.receive()
            await anyio.sleep(0.05)  # until the proxy has read it
            pass_time(http_server.HEAD_SECONDS)
            assert await closed(stream)


async def test_there_are_only_so_many_connections(files: HttpWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_server, "max_connections", lambda: 2)
    get = b"GET /mcp HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n"
    async with listening(files) as url, connected(url) as first, connected(url) as second:
        for stream in (first, second):
            await stream.send(get)
            assert (await stream.receive()).startswith(b"HTTP/1.1 4")
        async with connected(url) as third:
            assert await closed(third)
        await first.send(get)
        assert (await first.receive()).startswith(b"HTTP/1.1 4")


# pages


async def test_a_page_of_a_listed_origin_may_ask_and_read(files: HttpWorld) -> None:
    """A browser asks first whether it may."""
    async with watched(files, origins=[PAGE]) as (url, upstream), httpx2.AsyncClient() as client:
        asks = {"access-control-request-method": "POST"}
        asks["access-control-request-headers"] = "content-type,mcp-session-id,mcp-param-path,x-other"
        allowed = await client.options(url, headers={"origin": PAGE, **asks})
        assert allowed.status_code == 204
        assert allowed.headers["access-control-allow-origin"] == PAGE
        names = allowed.headers["access-control-allow-headers"].split(", ")
        assert {"content-type", "mcp-session-id", "mcp-protocol-version", "mcp-param-path"} <= {*names}
        assert "x-other" not in names
        hello = await post(url, request("initialize", HELLO), {**JSON, "origin": PAGE})
        assert hello.headers["access-control-allow-origin"] == PAGE
        assert "mcp-session-id" in hello.headers["access-control-expose-headers"]
        assert (hello.headers["vary"], "result" in said(hello)) == ("origin", True)
        for origin in ("https://evil.example", "null"):
            refused = await client.options(url, headers={"origin": origin, **asks})
            assert refused.status_code == 403
            other = await post(url, request("initialize", HELLO), {**JSON, "origin": origin})
            assert other.status_code == 403
            for response in (refused, other):
                assert "access-control-allow-origin" not in response.headers
        moved = await client.options(url, headers={"origin": PAGE, "host": "evil.example", **asks})
        assert moved.status_code == 421
    assert methods(upstream) == ["initialize"]


async def test_without_listed_origins_no_page_is_answered(files: HttpWorld) -> None:
    async with watched(files) as (url, _), httpx2.AsyncClient() as client:
        asks = {"origin": PAGE, "access-control-request-method": "POST"}
        assert (await client.options(url, headers=asks)).status_code == 403
        assert (await client.options(url, headers=JSON)).status_code == 405


ORIGINS = ("https://desk.example", "http://localhost:3000", "http://[::1]:3000")
NO_ORIGINS = (
    "https://desk.example:443",
    "http://desk.example:80",
    "https://a@b",
    "null",
    "*",
    "https://[x",
    "",
)


@pytest.mark.parametrize("text", ORIGINS)
async def test_an_origin_is_written_as_a_browser_does(text: str) -> None:
    """Any other spelling would match no page."""
    assert web_origin(text, "--origin") == text
    wrong = [f"{text}/", f"{text}/page", text.upper(), text.partition("//")[2], text.replace("http", "ftp")]
    for other in (*wrong, *NO_ORIGINS):
        with pytest.raises(UsageError, match=r"^--origin: not the origin of a web page$"):
            web_origin(other, "--origin")
