"""A client with raw messages, the stdio proxy, and a server that says what it is told to."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import anyio

from hessra_agents.mcp.proxy.stdio import SupportsAuthorize, proxy_stdio
from hessra_agents.mcp.transport.stdio import LineReader

SERVER = str(Path(__file__).with_name("scripted_server.py"))
SCHEMA: dict[str, Any] = {"type": "object", "properties": {"x": {"type": "integer"}}}
ECHO: dict[str, Any] = {"name": "echo", "inputSchema": SCHEMA}
RAN = {"content": [{"type": "text", "text": "ran"}]}

Script = Mapping[str, Sequence[Sequence[str]]]


def result(value: object) -> str:
    """The line that answers with this result."""
    return f'{{"jsonrpc":"2.0","id":$ID,"result":{json.dumps(value)}}}'


def listing(*tools: Mapping[str, Any], **more: Any) -> str:
    """The line that lists these tools."""
    return result({"tools": tools, **more})


def script(*called: str, tools: Sequence[Sequence[str]] = ((listing(ECHO),),)) -> Script:
    """A server that lists its tools so, and says this to each call."""
    return {"tools/list": tools, "tools/call": [called or [result(RAN)]], "ping": [[result({})]]}


def command(script: Script) -> list[str]:
    """The command of a server that follows the script."""
    return [sys.executable, "-S", SERVER, json.dumps(script)]


class RawClient:
    """Writes messages to a proxy, and reads what comes back."""

    def __init__(self, to: int, lines: LineReader) -> None:
        self._to = to
        self._lines = lines
        self._id = 0

    async def send(self, message: Mapping[str, Any]) -> None:
        """Write a message."""
        await anyio.wait_writable(self._to)
        os.write(self._to, json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")

    async def send_large(self, params: Mapping[str, Any]) -> None:
        """Write a call of any size; its answer is the next message."""
        self._id += 1
        message = {"jsonrpc": "2.0", "id": self._id, "method": "tools/call", "params": params}
        with memoryview(json.dumps(message).encode() + b"\n") as rest:
            while rest:
                await anyio.wait_writable(self._to)
                rest = rest[os.write(self._to, rest[:4096]) :]

    async def receive(self) -> dict[str, Any]:
        """Read the next message."""
        line = await self._lines.__anext__()
        assert isinstance(line, bytes)
        found: dict[str, Any] = json.loads(line)
        return found

    async def ask(self, method: str, **params: Any) -> dict[str, Any]:
        """Send a request, and return the next message, which answers it."""
        self._id += 1
        await self.send({"id": self._id, "method": method, "params": params})
        found = await self.receive()
        assert found["id"] == self._id
        return found

    async def call(self, name: str = "echo", **arguments: Any) -> dict[str, Any]:
        """Call a tool."""
        return await self.ask("tools/call", name=name, arguments=arguments)


@asynccontextmanager
async def before(gate: SupportsAuthorize, script: Script, **options: Any) -> AsyncIterator[RawClient]:
    """A client before the proxy before the scripted server; at the end of the block all end."""
    (stdin, to), (from_, stdout) = os.pipe(), os.pipe()
    try:
        async with anyio.create_task_group() as group:

            async def run() -> None:
                await proxy_stdio(gate, command(script), stdin=stdin, stdout=stdout, **options)

            group.start_soon(run)
            yield RawClient(to, LineReader(from_, 1 << 20))
            os.close(to)
            to = -1
    finally:
        for fd in (stdin, to, from_, stdout):
            with suppress(OSError):
                os.close(fd)
