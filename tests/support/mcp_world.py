"""A small MCP world: a guarded server with a few tools, and a list of what really ran."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from typing import Any

from mcp import Client
from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from mcp.types import CallToolResult, TextContent

from hessra_agents import Authority, Call, Capability, Grant, Guard, KeyPair, Ledger, PublicKey, grant, must
from hessra_agents.mcp import GuardMiddleware, with_capability
from hessra_agents.mcp.authorization.requests import CAPABILITY, PROOF

ERAS = ("auto", "legacy")
"""`mcp.Client` modes: the protocol without a handshake, and the one with it."""

READ = {"path": "/srv/a.txt"}


class McpWorld:
    """An authority, a guard named ``files``, and a server behind it."""

    def __init__(self, **options: Any) -> None:
        self.ran: list[tuple[str, dict[str, Any]]] = []
        self.key = KeyPair.generate()
        self.authority = Authority.ephemeral()
        self.guard = Guard(self.authority.trust, audience="files", ledger=Ledger.memory())
        self.protection = GuardMiddleware(self.guard, **options)
        self.server = MCPServer(
            "files", extensions=[self.protection], middleware=[self.protection], log_level="CRITICAL"
        )
        self.register(self.server)

    def register(self, server: MCPServer) -> None:
        """The tools, resources and prompts."""
        ran = self.ran

        @server.tool()
        async def read_file(path: str) -> str:
            """Read a file."""
            ran.append(("read_file", {"path": path}))
            return f"text of {path}"

        @server.tool()
        async def add(a: int, b: int = 3) -> int:
            """Add."""
            ran.append(("add", {"a": a, "b": b}))
            return a + b

        @server.tool()
        async def note(text: str | None, more: Any = None) -> str:
            """Keep anything."""
            ran.append(("note", {"text": text, "more": more}))
            return "kept"

        @server.tool()
        async def meta(ctx: Context) -> str:
            """What the tool can see of the request."""
            ran.append(("meta", {}))
            request = ctx.request_context
            return f"{dict(request.meta or {})} {request.params}"

        @server.resource("file:///a")
        def a() -> str:
            ran.append(("file:///a", {}))
            return "A"

        @server.resource("file:///secret")
        def secret() -> str:
            ran.append(("file:///secret", {}))
            return "S"

        @server.resource("file:///notes/{name}")
        def notes(name: str) -> str:
            ran.append(("file:///notes", {"name": name}))
            return name

        @server.prompt()
        def hello(name: str) -> str:
            ran.append(("hello", {"name": name}))
            return f"hello {name}"

    def issue(
        self,
        *grants: Grant,
        holder: PublicKey | None = None,
        bearer: bool = False,
        audience: str = "files",
        ttl: timedelta = timedelta(minutes=10),
    ) -> Capability:
        """A capability of the world's key; by default to read below /srv."""
        given = grants or (grant("read_file", path=must.under("/srv")),)
        return self.authority.issue(
            "agent:desk",
            *given,
            ttl=ttl,
            audience=audience,
            holder=None if bearer else holder or self.key.public,
        )

    @asynccontextmanager
    async def client(
        self, capability: Capability, era: str = "auto", **options: Any
    ) -> AsyncIterator[Client]:
        """A client that presents a capability, as its holder."""
        key = self.key if capability.holder else None
        async with Client(with_capability(self.server, capability, key=key), mode=era, **options) as found:
            yield found

    def meta(
        self,
        capability: Capability,
        tool: str = "read_file",
        arguments: Mapping[str, Any] = READ,
        *,
        now: int | None = None,
        audience: str = "files",
        key: KeyPair | None = None,
    ) -> Any:
        """What a request carries, made by hand: to be sent as often and with whatever one likes."""
        shown = {CAPABILITY: capability.token}
        if capability.holder:
            proof = capability.prove(
                Call.of(tool, arguments), key=key or self.key, audience=audience, now=now
            )
            shown[PROOF] = proof.token
        return shown

    @contextmanager
    def runs(self, *names: str) -> Iterator[None]:
        """In the block these ran, once each, and nothing else did."""
        before = len(self.ran)
        yield
        assert [name for name, _ in self.ran[before:]] == list(names)


def text_of(result: CallToolResult) -> str:
    """The text of a result."""
    (content,) = result.content
    assert isinstance(content, TextContent)
    return content.text


def refused(result: CallToolResult, reason: str, *said: str) -> None:
    """The result is a refusal for this reason, in words and in its envelope."""
    text = text_of(result)
    assert result.is_error
    assert text.startswith("refused: ")
    assert text.endswith(f"[{reason}]"), text
    assert (result.meta or {})["dev.hessra/denial"]["reason"] == reason
    for words in said:
        assert words in text


Made = Callable[..., McpWorld]
