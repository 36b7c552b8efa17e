"""The routes of a call over MCP to the one tool `workload.pay`: bare, and guarded in each way that there is.

*Bound*: the client sends no capability; the guard holds one, with its holder's key, and has read it.
*With a proof*: the client sends the capability with each call, and a new proof by its holder's key.

Servers and proxies are processes of their own on this machine. All servers and clients are the SDK's, with
what they do by default; those of `fastmcp_routes` are FastMCP's.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import anyio
from mcp import Client, StdioServerParameters
from mcp.types import CallToolResult

from hessra_agents import Call
from hessra_agents.mcp import presenting
from hessra_agents.mcp.acts import CAPABILITY, PROOF

from . import workload as work
from .latency import Arguments, Route
from .ours import Ours
from .server import kept, protection, server

ROOT = Path(__file__).parent.parent
DIRECT, STREAMS = "in memory, direct", "in memory, streams"
STDIO, HTTP = "stdio", "HTTP"

BARE, BOUND, PROVED = "bare", "guarded, bound", "guarded, with a proof"
RELAYED, RELAYED_PROVED = "relay, bound", "relay, with a proof"

_PATIENCE = 30  # seconds until a server listens


def call(client: Client, meta: Callable[[Arguments], Any] | None = None) -> Callable[..., Any]:
    """Call the tool, with such a ``_meta``."""

    async def called(arguments: Arguments) -> CallToolResult:
        return await client.call_tool("pay", arguments, meta=meta(arguments) if meta else None)

    return called


def shown(here: Ours) -> Callable[[Arguments], Any]:
    """What the client sends with a call where no transport does it: the capability and a new proof."""

    def meta(arguments: Arguments) -> Any:
        proof = here.held.prove(Call.of("pay", arguments), key=here.key, audience=work.AUDIENCE)
        return {CAPABILITY: here.held.token, PROOF: proof.token}

    return meta


class Clients(AsyncExitStack):
    """Clients that are open until the end of the block."""

    async def open(self, target: Any, mode: Literal["auto", "legacy"] = "auto") -> Client:
        """Connect, and ask for the tools, as every client does."""
        client = await self.enter_async_context(Client(target, mode=mode, cache=None))
        await client.list_tools()
        return client


@asynccontextmanager
async def direct(here: Ours) -> AsyncIterator[list[Route]]:
    """Client and server in one event loop, without messages: what the SDK does since 2026-07-28."""
    guarded = server(protection(here.guard, here.held.token, here.key))
    async with Clients() as clients:
        client = await clients.open(guarded)
        yield [
            Route(BARE, call(await clients.open(server()))),
            Route(BOUND, call(client), BARE),
            Route(PROVED, call(client, shown(here)), BARE),
        ]


@asynccontextmanager
async def streams(here: Ours) -> AsyncIterator[list[Route]]:
    """Client and server in one event loop, with messages over streams in memory."""
    guarded = server(protection(here.guard, here.held.token, here.key))
    proving = presenting(guarded, here.held, key=here.key)
    async with Clients() as clients:
        yield [
            Route(BARE, call(await clients.open(server(), "legacy"))),
            Route(BOUND, call(await clients.open(guarded, "legacy")), BARE),
            Route(PROVED, call(await clients.open(proving, "legacy")), BARE),
        ]


@asynccontextmanager
async def stdio(here: Ours) -> AsyncIterator[list[Route]]:
    """A server that is a command: bare, guarded by itself, and behind the relay and the bridge."""
    with _folder(here) as folder, _listening([*_proxy(folder), "--listen", "{}", "--", *_SERVER]) as url:
        bare, guarded = _command(*_SERVER), _command(*_SERVER, "--guarded", str(folder))
        relay = _command(*_proxy(folder), "--", *_SERVER)
        async with Clients() as clients:

            async def route(name: str, target: Any, beside: str | None = BARE) -> Route:
                return Route(name, call(await clients.open(target)), beside)

            def proving(target: Any) -> Any:
                return presenting(target, here.held, key=here.key)

            yield [
                await route(BARE, bare, None),
                await route(BOUND, guarded),
                await route(PROVED, proving(guarded)),
                await route(RELAYED, relay),
                await route(RELAYED_PROVED, proving(relay)),
                await route("HTTP bridge, bound", url),
                await route("HTTP bridge, with a proof", proving(url)),
            ]


@asynccontextmanager
async def http(here: Ours) -> AsyncIterator[list[Route]]:
    """A server over streamable HTTP: bare, guarded by itself, and behind the reverse proxy."""
    with (
        _folder(here) as folder,
        _listening([*_SERVER, "--port", "{port}"]) as bare,
        _listening([*_SERVER, "--port", "{port}", "--guarded", str(folder)]) as guarded,
        _listening([*_proxy(folder), "--listen", "{}", "--upstream", bare]) as proxied,
    ):
        async with Clients() as clients:

            async def route(name: str, url: str, beside: str | None = BARE, *, proving: bool = False) -> Route:
                target = presenting(url, here.held, key=here.key) if proving else url
                return Route(name, call(await clients.open(target)), beside)

            yield [
                await route(BARE, bare, None),
                await route(BOUND, guarded),
                await route(PROVED, guarded, proving=True),
                await route("reverse proxy, bound", proxied),
                await route("reverse proxy, with a proof", proxied, proving=True),
            ]
