"""The routes of a call over MCP to the tool `workload.pay`: bare, and guarded in every way there is.

*Bound*: the client sends no capability; the guard has read one, and holds its key. *With a proof*: the client
sends the capability with every call, and a new proof by its holder's key. One guard serves both.

Clients and servers are the SDK's, and FastMCP's in the last group, and do what they do by default; proxies
are those of ``hessra-agents mcp proxy``. Tenuo's middleware for FastMCP gets the same work as in `peers`; its
client signs a proof for every call, too. That it remembers signatures is off, as by default: two signatures
of the same call within one second are equal, and here the same call is made over and over.
"""

from __future__ import annotations

import importlib
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any, Literal

from mcp import Client
from mcp.types import CallToolResult

from hessra_agents import Call
from hessra_agents.mcp import GuardMiddleware, guard_server, with_capability
from hessra_agents.mcp.authorization.requests import CAPABILITY, PROOF

from . import workload as work
from .children import SERVER, command, kept, listening, proxy
from .latency import Arguments, Route
from .ours import Ours
from .peers import Tenuo
from .server import server

DIRECT, STREAMS, STDIO, HTTP = "in memory, direct", "in memory, streams", "stdio", "streamable HTTP"
FASTMCP = "FastMCP, in memory, direct"

BARE, BOUND, PROVED = "bare", "guarded, bound", "guarded, with a proof"
RELAYS = ("behind the relay, bound", "behind the relay, with a proof")
TENUO = "tenuo's middleware, with a proof"

Meta = Callable[[Arguments], Any]


class Routes(AsyncExitStack):
    """Routes by clients that stay connected until the end of the block."""

    def __init__(self, here: Ours) -> None:
        super().__init__()
        self._here = here
        self.found: list[Route] = []

    async def add(
        self,
        name: str,
        target: Any,
        *,
        beside: str | None = BARE,
        mode: Literal["auto", "legacy"] = "auto",
        proving: bool = False,
        meta: Meta | None = None,
    ) -> None:
        """Connect to a server, and ask for its tools as every client does.

        Args:
            proving: by a transport that sends the capability, and a proof with each call.
            meta: made for each call, and sent with it.
        """
        if proving:
            target = with_capability(target, self._here.held, key=self._here.key)
        client = await self.enter_async_context(Client(target, mode=mode, cache=None))
        await client.list_tools()

        async def call(arguments: Arguments) -> CallToolResult:
            return await client.call_tool("pay", arguments, meta=None if meta is None else meta(arguments))

        self.found.append(Route(name, call, beside))


@asynccontextmanager
async def direct(here: Ours) -> AsyncIterator[list[Route]]:
    """Client and server in one event loop, with no messages: how the SDK connects them in one process."""
    guarded = server(_protection(here))
    async with Routes(here) as routes:
        await routes.add(BARE, server(), beside=None)
        await routes.add(BOUND, guarded)
        await routes.add(PROVED, guarded, meta=_presented(here))  # there is no transport that could do it
        yield routes.found


@asynccontextmanager
async def streams(here: Ours) -> AsyncIterator[list[Route]]:
    """Client and server in one event loop, with the messages of a session between them."""
    guarded = server(_protection(here))
    async with Routes(here) as routes:
        await routes.add(BARE, server(), beside=None, mode="legacy")
        await routes.add(BOUND, guarded, mode="legacy")
        await routes.add(PROVED, guarded, mode="legacy", proving=True)
        yield routes.found


@asynccontextmanager
async def stdio(here: Ours) -> AsyncIterator[list[Route]]:
    """A server that is a command; it guards itself, or the relay or the HTTP bridge stands in front of it."""
    with kept(here) as folder, listening(proxy(folder, "--listen", "127.0.0.1:{port}", "--", *SERVER)) as url:
        guarded = command([*SERVER, "--guarded", str(folder)])
        relay = command(proxy(folder, "--", *SERVER))
        async with Routes(here) as routes:
            await routes.add(BARE, command(SERVER), beside=None)
            await routes.add(BOUND, guarded)
            await routes.add(PROVED, guarded, proving=True)
            await routes.add(RELAYS[0], relay)
            await routes.add(RELAYS[1], relay, proving=True)
            await routes.add("behind the HTTP bridge, bound", url)
            await routes.add("behind the HTTP bridge, with a proof", url, proving=True)
            yield routes.found


@asynccontextmanager
async def http(here: Ours) -> AsyncIterator[list[Route]]:
    """A server that listens; it guards itself, or the reverse proxy stands in front of it."""
    with (
        kept(here) as folder,
        listening([*SERVER, "--port", "{port}"]) as bare,
        listening([*SERVER, "--port", "{port}", "--guarded", str(folder)]) as guarded,
        listening(proxy(folder, "--listen", "127.0.0.1:{port}", "--upstream", bare)) as proxied,
    ):
        async with Routes(here) as routes:
            await routes.add(BARE, bare, beside=None)
            await routes.add(BOUND, guarded)
            await routes.add(PROVED, guarded, proving=True)
            await routes.add("behind the reverse proxy, bound", proxied)
            await routes.add("behind the reverse proxy, with a proof", proxied, proving=True)
            yield routes.found


@asynccontextmanager
async def fastmcp(here: Ours, tenuo: Tenuo | None) -> AsyncIterator[list[Route]]:
    """A server of FastMCP; our guard in it, or tenuo's middleware. None where FastMCP is not installed."""
    try:
        library = importlib.import_module("fastmcp")
    except ImportError:
        yield []
        return

    def made(**options: Any) -> Any:
        found = library.FastMCP("bank", **options)
        found.tool(work.pay)
        return found

    guarded = made()
    guard_server(guarded, here.guard, default_toolbox=here.guard.toolbox(here.held, key=here.key))
    async with Routes(here) as routes:
        await routes.add(BARE, made()._mcp_server, beside=None)
        await routes.add(BOUND, guarded._mcp_server)
        await routes.add(PROVED, guarded._mcp_server, meta=_presented(here))
        if tenuo is not None:
            theirs = made(middleware=[tenuo.middleware()])
            await routes.add(TENUO, theirs._mcp_server, meta=tenuo.presented)
        yield routes.found


def _protection(here: Ours) -> GuardMiddleware:
    return GuardMiddleware(here.guard, default_toolbox=here.guard.toolbox(here.held, key=here.key))


def _presented(here: Ours) -> Meta:
    """The capability, and a new proof for each call."""
    token = here.held.token

    def meta(arguments: Arguments) -> Any:
        proof = here.held.prove(Call.of("pay", arguments), key=here.key, audience=work.AUDIENCE)
        return {CAPABILITY: token, PROOF: proof.token}

    return meta


def groups(here: Ours, tenuo: Tenuo | None) -> dict[str, AbstractAsyncContextManager[list[Route]]]:
    """All routes, by what is measured together. Each group is opened, measured and closed by itself."""
    return {
        DIRECT: direct(here),
        STREAMS: streams(here),
        FASTMCP: fastmcp(here, tenuo),
        STDIO: stdio(here),
        HTTP: http(here),
    }
