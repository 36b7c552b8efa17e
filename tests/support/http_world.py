"""A server of MCP over HTTP with a guard in front of it, for clients and for requests made by hand."""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import httpx2
import uvicorn
from anyio.abc import SocketStream
from mcp import Client, StdioServerParameters
from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from mcp.types import ToolListChangedNotification
from pydantic import BaseModel
from starlette.types import ASGIApp, Receive, Scope, Send

from hessra_agents import Capability, grant, must
from hessra_agents.mcp import RequestAuthorizer, with_capability
from hessra_agents.mcp.proxy.http_upstream import proxy_http
from hessra_agents.mcp.proxy.process_upstream import proxy_process
from tests.support.mcp_world import READ, McpWorld

MODERN, LEGACY = "2026-07-28", "2025-11-25"
SERVER = Path(__file__).with_name("stdio_server.py")

ENVELOPE: dict[str, Any] = {
    "io.modelcontextprotocol/protocolVersion": MODERN,
    "io.modelcontextprotocol/clientCapabilities": {},
}
JSON = {"content-type": "application/json", "accept": "application/json, text/event-stream"}


class Answer(BaseModel):
    """What a person is asked for."""

    yes: bool


class HttpWorld(McpWorld):
    """The small MCP world, whose server is not guarded itself."""

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.gate = RequestAuthorizer(self.guard, **options)
        self.bare = MCPServer("files", log_level="CRITICAL")
        self.started, self.cancelled = anyio.Event(), anyio.Event()
        self.register(self.bare)
        self.register_slow(self.bare)

    def register_slow(self, server: MCPServer) -> None:
        """Tools that take their time, or ask."""
        ran = self.ran

        @server.tool()
        async def wait() -> str:
            """Never return."""
            self.started.set()
            try:
                await anyio.sleep_forever()
            finally:
                self.cancelled.set()
            return ""

        @server.tool()
        async def ask(ctx: Context) -> str:
            """Ask the client."""
            ran.append(("ask", {}))
            found = await ctx.elicit("really?", Answer)
            return f"{found.action} {found.data.yes if found.action == 'accept' else ''}"

        @server.tool()
        async def count(ctx: Context) -> str:
            """Tell of progress."""
            await ctx.report_progress(1, 2, "half")
            return "counted"

        @server.tool()
        async def change(ctx: Context) -> str:
            """Offer one more tool, and say so."""

            @server.tool()
            async def extra() -> str:
                """A tool that was not there before."""
                ran.append(("extra", {}))
                return "extra"

            await ctx.session.send_notification(ToolListChangedNotification())
            return "changed"

    @asynccontextmanager
    async def reversed(self, *, json_response: bool = False, **options: Any) -> AsyncIterator[str]:
        """The server, and the guard in front of it; gives the guard's URL."""
        bare = self.bare.streamable_http_app(json_response=json_response)
        async with served(bare) as upstream, served(proxy_http(self.gate, upstream, **options)) as url:
            yield url

    @asynccontextmanager
    async def presented(self, capability: Capability, era: str, **options: Any) -> AsyncIterator[Client]:
        """A client that presents a capability to the guard in front of the server."""
        async with self.reversed() as url:
            target = with_capability(url, capability, key=self.key)
            async with Client(target, mode=era, **options) as client:
                yield client

    @asynccontextmanager
    async def bridged(self, *arguments: str, **options: Any) -> AsyncIterator[str]:
        """The guard in front of the server's command."""
        command = StdioServerParameters(command=sys.executable, args=[str(SERVER), *arguments])
        async with served(proxy_process(self.gate, command, **options)) as url:
            yield url

    def call(
        self,
        capability: Capability,
        tool: str = "read_file",
        arguments: Mapping[str, Any] = READ,
        **more: Any,
    ) -> dict[str, Any]:
        """A proved call as it goes over the wire in the era without sessions."""
        meta = {**ENVELOPE, **self.meta(capability, tool, arguments)}
        return request("tools/call", {"name": tool, "arguments": dict(arguments), "_meta": meta, **more})


def request(method: str, params: Mapping[str, Any], id: object = 1) -> dict[str, Any]:
    """A request."""
    return {"jsonrpc": "2.0", "id": id, "method": method, "params": dict(params)}


def routing(message: Mapping[str, Any]) -> dict[str, str]:
    """The headers of a request in the era without sessions."""
    name = message["params"].get("name", message["params"].get("uri"))
    named = {} if name is None else {"mcp-name": str(name)}
    return {**JSON, "mcp-protocol-version": MODERN, "mcp-method": str(message["method"]), **named}


async def post(
    url: str, message: Any, headers: Mapping[str, str] | None = None, **options: Any
) -> httpx2.Response:
    """Send a request as it is."""
    content = message if isinstance(message, bytes) else json.dumps(message).encode()
    given = routing(message) if headers is None else headers
    async with httpx2.AsyncClient(timeout=None) as client:
        return await client.post(url, content=content, headers=dict(given), **options)


def said(response: httpx2.Response) -> dict[str, Any]:
    """The last message of a response."""
    text = response.text
    if response.headers["content-type"] == "text/event-stream":
        text = [line for line in text.splitlines() if line.startswith("data: {")][-1].removeprefix("data: ")
    found: dict[str, Any] = json.loads(text)
    return found


async def posted(app: ASGIApp, message: dict[str, Any]) -> dict[str, Any]:
    """Send a request to an application without a connection, and return its answer."""
    body = json.dumps(message).encode()
    headers = {"host": "localhost", **routing(message)}
    scope: dict[str, Any] = {
        "type": "http", "method": "POST", "path": "/mcp", "query_string": b"", "app": app,
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
    }  # fmt: skip
    sent, told = False, b""

    async def receive() -> dict[str, Any]:
        nonlocal sent
        if sent:
            await anyio.sleep_forever()  # the client stays
        sent = True
        return {"type": "http.request", "body": body}

    async def send(part: Any) -> None:
        nonlocal told
        await anyio.lowlevel.checkpoint()  # as to a client that takes its time
        told += part.get("body", b"")

    await app(scope, receive, send)
    found: dict[str, Any] = json.loads(told)
    return found


def everything_permitted(world: McpWorld) -> Capability:
    """A capability for the tools that take their time."""
    return world.issue(
        *(grant(name) for name in ("wait", "ask", "count", "change", "extra", "crash", "large", "silent")),
        grant("read_file", path=must.under("/srv")),
    )


@asynccontextmanager
async def served(app: ASGIApp) -> AsyncIterator[str]:
    """Serve an application until the end of the block."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        config = uvicorn.Config(
            app, log_level="critical", lifespan="on", ws="none", timeout_graceful_shutdown=5
        )
        ready, stop = anyio.Event(), anyio.Event()

        class Server(uvicorn.Server):
            async def main_loop(self) -> None:
                """Wait for the end of the block, rather than look for it every now and then."""
                ready.set()
                await stop.wait()

        async with anyio.create_task_group() as group:
            group.start_soon(Server(config).serve, [listening])
            await ready.wait()
            try:
                yield f"http://127.0.0.1:{listening.getsockname()[1]}/mcp"
            finally:
                stop.set()


@asynccontextmanager
async def answering(talk: Callable[[SocketStream, bytes], Awaitable[None]]) -> AsyncIterator[str]:
    """A server of bare TCP that gets whole HTTP requests and may answer anything."""

    async def handle(stream: SocketStream) -> None:
        with suppress(anyio.EndOfStream, anyio.BrokenResourceError):  # a client may leave at any time
            async with stream:
                await exchange(stream)

    async def exchange(stream: SocketStream) -> None:
        data = b""
        while b"\r\n\r\n" not in data:
            data += await stream.receive()
        head, _, body = data.partition(b"\r\n\r\n")
        length = next(
            (int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")),
            0,
        )
        while len(body) < length:
            body += await stream.receive()
        await talk(stream, head + b"\r\n\r\n" + body)

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    async with listener, anyio.create_task_group() as group:
        group.start_soon(listener.serve, handle)
        yield f"http://127.0.0.1:{listener.extra(anyio.abc.SocketAttribute.local_port)}/mcp"
        group.cancel_scope.cancel()


def http(body: bytes, kind: str = "application/json", status: str = "200 OK", more: str = "") -> bytes:
    """An HTTP response."""
    head = f"HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n{more}"
    return head.encode() + b"connection: close\r\n\r\n" + body


class Recorded:
    """An application that keeps the raw requests which another one gets."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.requests: list[bytes] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        index = len(self.requests)
        self.requests.append(b"")

        def keep(data: bytes) -> None:
            self.requests[index] += data + b"\n"

        keep(scope["method"].encode() + b" " + scope["raw_path"] + b"?" + scope["query_string"])
        for name, value in scope["headers"]:
            keep(name + b": " + value)

        async def received() -> Any:
            message = await receive()
            keep(message.get("body", b""))
            return message

        await self._app(scope, received, send)
