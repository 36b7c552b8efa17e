"""Present a capability from an MCP client.

One changed line:

    async with Client(with_capability("https://files.example/mcp", capability, key=key)) as client:
        await client.call_tool("read_file", {"path": "/srv/data/a.txt"})

Every request that needs a capability carries it in its ``_meta``, with a fresh proof: one for each request on
the wire, so that questions in several rounds and requests that are sent again work like any other.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from typing import Any, TypeAlias

from mcp import StdioServerParameters, stdio_client
from mcp.client import Transport
from mcp.client._memory import InMemoryTransport
from mcp.client._transport import TransportStreams, WriteStream
from mcp.client.streamable_http import streamable_http_client
from mcp.server import MCPServer, Server
from mcp.shared.message import SessionMessage
from mcp.types import JSONRPCNotification, JSONRPCRequest

from ..call.canonical import MalformedError
from ..keys.keys import KeyPair
from ..tokens.capability import Capability
from ..tokens.credential import Credential
from .authorization.requests import CAPABILITY, LISTS, PROOF, requested_call
from .transport.redaction import keep_tokens_out_of_logs

__all__ = ["with_capability"]

Target: TypeAlias = "Transport | StdioServerParameters | Server[Any] | MCPServer | str"


def with_capability(
    server: Target,
    capability: Capability | str,
    *,
    key: KeyPair | None = None,
    audience: str | None = None,
) -> AbstractAsyncContextManager[TransportStreams]:
    """Return a transport whose requests carry this capability: pass it to `mcp.Client`.

    An attacker who reads the messages on their way reads the capability: over HTTP use TLS, and a capability
    with a holder, whose copy is useless without the holder's key.

    Args:
        server: a URL, the command of a server, any transport of the SDK, or a server in this process.
        capability: the capability or its text. Its signatures are for the guard to check.
        key: the holder's key, if the capability has a holder.
        audience: the name of the server's guard; if omitted, the audience that the capability names.

    Raises:
        ValueError: the capability cannot be read, names no guard, or the key is not its holder's.
    """
    text = capability.token if isinstance(capability, Capability) else capability
    credential = Credential.of(text, key=key, audience=audience)
    keep_tokens_out_of_logs()
    return _with_credential(_transport(server), credential)


@asynccontextmanager
async def _with_credential(transport: Transport, credential: Credential) -> AsyncIterator[TransportStreams]:
    async with transport as (read, write):
        yield read, _CapabilityTransport(write, credential)


def _transport(server: Target) -> Transport:
    if isinstance(server, str):
        return streamable_http_client(server)
    if isinstance(server, StdioServerParameters):
        return stdio_client(server)
    if isinstance(server, (Server, MCPServer)):
        return InMemoryTransport(server)
    return server


class _CapabilityTransport:
    """A write stream that adds a capability and a proof to the requests that it sends."""

    def __init__(self, inner: WriteStream[SessionMessage], credential: Credential) -> None:
        self._inner = inner
        self._credential = credential

    async def send(self, item: SessionMessage, /) -> None:
        message = item.message
        if isinstance(message, (JSONRPCRequest, JSONRPCNotification)):
            params = self._presented(message.method, message.params)
            if params is not None:
                item = replace(item, message=message.model_copy(update={"params": params}))
        await self._inner.send(item)

    def _presented(self, method: str, params: dict[str, Any] | None) -> dict[str, Any] | None:
        """Return the parameters with capability and proof; None if the request needs none."""
        given = params or {}
        try:
            call = requested_call(method, given)
        except MalformedError:
            return None  # the guard refuses the request, whatever it carries
        if call is None and method not in LISTS:
            return None
        proof = None if call is None else self._credential.prove(call)
        shown = {CAPABILITY: self._credential.token} | ({} if proof is None else {PROOF: proof.token})
        return {**given, "_meta": {**(given.get("_meta") or {}), **shown}}

    async def aclose(self) -> None:
        await self._inner.aclose()

    async def __aenter__(self) -> _CapabilityTransport:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()
