"""Present a capability from an MCP client.

One changed line:

    async with Client(with_capability("https://files.example/mcp", capability, key=key)) as client:
        await client.call_tool("read_file", {"path": "/srv/data/a.txt"})

Every request that needs a capability carries it in its ``_meta``, with a fresh proof: one for each request on
the wire, so that questions in several rounds and requests that are sent again work like any other.

Of several capabilities a request carries one: the first that seems to permit the call, by what the client can
tell. If the guard answers that it is spent or revoked, the call did not run, and the next one is presented. A
request that lists carries all of them, and no proof.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from typing import Any, TypeAlias

import anyio
from mcp import StdioServerParameters, stdio_client
from mcp.client import Transport
from mcp.client._memory import InMemoryTransport
from mcp.client._transport import ReadStream, TransportStreams, WriteStream
from mcp.client.streamable_http import streamable_http_client
from mcp.server import MCPServer, Server
from mcp.shared.message import SessionMessage
from mcp.types import JSONRPCError, JSONRPCNotification, JSONRPCRequest, JSONRPCResponse, RequestId

from ..call.call import Call
from ..call.canonical import MalformedError
from ..call.templates import as_granted
from ..errors import Reason
from ..guard.members import MAX_MEMBERS
from ..keys.keys import KeyPair
from ..tokens.admission import APPROVED, Block
from ..tokens.capability import Capability
from ..tokens.credential import Credential
from ..verify.matcher import compiled, matches
from .authorization.denials import DENIAL
from .authorization.requests import CAPABILITY, LISTS, PROOF, requested_call
from .transport.redaction import keep_tokens_out_of_logs

__all__ = ["with_capability"]

_MOST_RETRIES = 1024
"""Open requests that may be sent again with another capability."""

Target: TypeAlias = "Transport | StdioServerParameters | Server[Any] | MCPServer | str"


def with_capability(
    server: Target,
    *capabilities: Capability | str,
    key: KeyPair | None = None,
    audience: str | None = None,
) -> AbstractAsyncContextManager[TransportStreams]:
    """Return a transport whose requests carry one of these capabilities: pass it to `mcp.Client`.

    An attacker who reads the messages on their way reads the capability: over HTTP use TLS, and a capability
    with a holder, whose copy is useless without the holder's key.

    Args:
        server: a URL, the command of a server, any transport of the SDK, or a server in this process.
        capabilities: the capability or its text, or up to eight of them. The guard checks their signatures.
        key: the holder's key, if a capability has a holder.
        audience: the name of the server's guard; if omitted, the audience that the capabilities name.

    Raises:
        ValueError: a capability cannot be read, names no guard or another guard than the first, or the key is
            not its holder's; or there is no capability, or more than eight.
    """
    if not 1 <= len(capabilities) <= MAX_MEMBERS:
        raise ValueError(f"a client presents 1 to {MAX_MEMBERS} capabilities, not {len(capabilities)}")
    texts = [one.token if isinstance(one, Capability) else one for one in capabilities]
    credentials = tuple([Credential.of(text, key=key, audience=audience) for text in texts])
    if len({one.audience for one in credentials}) > 1:
        raise ValueError("these capabilities name different guards: a server has one")
    keep_tokens_out_of_logs()
    return _with_credentials(_transport(server), credentials)


@asynccontextmanager
async def _with_credentials(
    transport: Transport, credentials: tuple[Credential, ...]
) -> AsyncIterator[TransportStreams]:
    async with transport as (read, write):
        sent = _Presenting(write, credentials)
        yield (read if len(credentials) == 1 else _Answers(read, sent)), sent


def _transport(server: Target) -> Transport:
    if isinstance(server, str):
        return streamable_http_client(server)
    if isinstance(server, StdioServerParameters):
        return stdio_client(server)
    if isinstance(server, (Server, MCPServer)):
        return InMemoryTransport(server)
    return server


class _Presenting:
    """A write stream that adds a capability and a proof to the requests that it sends."""

    def __init__(self, inner: WriteStream[SessionMessage], credentials: tuple[Credential, ...]) -> None:
        self._inner = inner
        self._credentials = credentials
        self._retries: dict[RequestId, tuple[SessionMessage, list[Credential]]] = {}

    async def send(self, item: SessionMessage, /) -> None:
        message = item.message
        if isinstance(message, (JSONRPCRequest, JSONRPCNotification)):
            if message.method == "notifications/cancelled":
                self._retries.pop((message.params or {}).get("requestId", ""), None)
            await self._present(item, self._credentials)
        else:
            await self._inner.send(item)

    async def sent_again(self, answer: SessionMessage) -> bool:
        """Send the request of this answer with the next capability, if its own is spent or revoked."""
        message = answer.message
        if not isinstance(message, (JSONRPCResponse, JSONRPCError)) or message.id is None:
            return False
        request, left = self._retries.pop(message.id, (None, []))
        if request is None or _refused_for(message) not in (Reason.SPENT, Reason.REVOKED):
            return False
        await self._present(request, left)
        return True

    async def _present(self, item: SessionMessage, credentials: Sequence[Credential]) -> None:
        message = item.message
        assert isinstance(message, (JSONRPCRequest, JSONRPCNotification))
        given = message.params or {}
        try:
            call = requested_call(message.method, given)
        except MalformedError:
            await self._inner.send(item)  # the guard refuses the request, whatever it carries
            return
        shown: dict[str, Any] = {}
        if call is not None:
            credential, *left = _in_turn(credentials, call)
            if left and isinstance(message, JSONRPCRequest):
                self._retries[message.id] = item, left
                if len(self._retries) > _MOST_RETRIES:  # requests that were never answered
                    self._retries.pop(next(iter(self._retries)))
            proof = credential.prove(call)
            shown = {CAPABILITY: credential.token} | ({} if proof is None else {PROOF: proof.token})
        elif message.method in LISTS:
            tokens = [credential.token for credential in credentials]
            shown = {CAPABILITY: tokens if len(tokens) > 1 else tokens[0]}
        if shown:
            params = {**given, "_meta": {**(given.get("_meta") or {}), **shown}}
            item = replace(item, message=message.model_copy(update={"params": params}))
        await self._inner.send(item)

    async def aclose(self) -> None:
        await self._inner.aclose()

    async def __aenter__(self) -> _Presenting:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


class _Answers:
    """A read stream without the refusals after which a request was sent again."""

    def __init__(self, inner: ReadStream[SessionMessage | Exception], sent: _Presenting) -> None:
        self._inner = inner
        self._sent = sent

    @property
    def last_context(self) -> Any:
        """What the SDK asks of its own streams: the context of the sender."""
        return getattr(self._inner, "last_context", None)

    async def receive(self) -> SessionMessage | Exception:
        while True:
            item = await self._inner.receive()
            if isinstance(item, Exception) or not await self._sent.sent_again(item):
                return item

    async def aclose(self) -> None:
        await self._inner.aclose()

    def __aiter__(self) -> _Answers:
        return self

    async def __anext__(self) -> SessionMessage | Exception:
        try:
            return await self.receive()
        except anyio.EndOfStream:
            raise StopAsyncIteration from None

    async def __aenter__(self) -> _Answers:
        await self._inner.__aenter__()
        return self

    async def __aexit__(self, *error: Any) -> bool | None:
        return await self._inner.__aexit__(*error)


def _in_turn(credentials: Sequence[Credential], call: Call) -> list[Credential]:
    """Return the capabilities in the order in which to present them, without those that are of no use.

    What only the guard knows counts as met: what the session has seen, and what was used up or revoked.
    """
    if len(credentials) == 1:
        return [*credentials]
    now = int(time.time())
    useful = [one for one in credentials if _permits(one.blocks, call, now)]
    return sorted(useful, key=lambda one: _cost(one.blocks, call)) or [
        next((one for one in credentials if _names(one.blocks, call)), credentials[0])
    ]


def _names(blocks: Sequence[Block], call: Call) -> bool:
    call = as_granted(call, blocks[0].rights)
    rights = {(resource, operation) for _, resource, operation in blocks[0].rights}
    later = [block.objects for block in blocks if block.objects is not None]
    return (call.resource, call.operation) in rights and all(call.resource in objects for objects in later)


def _permits(blocks: Sequence[Block], call: Call, now: int) -> bool:
    if not _names(blocks, call):
        return False
    call = as_granted(call, blocks[0].rights)
    patterns = [pattern for block in blocks for pattern in block.about(call.resource)]
    live = all((block.starts or 0) <= now < (block.expires or now + 1) for block in blocks)
    return live and matches(compiled(patterns), call, lambda value, source: True)


def _cost(blocks: Sequence[Block], call: Call) -> tuple[bool, bool]:
    """Return whether a call needs an approval, and whether it is taken from a limit."""
    checks = [check[0] for block in blocks for check in block.attested if check[0].label == APPROVED]
    limits = [limit for block in blocks for _, limit in block.limits]
    bound = [[one.tools is None or call.resource in one.tools for one in every] for every in (checks, limits)]
    return any(bound[0]), any(bound[1])


def _refused_for(answer: JSONRPCResponse | JSONRPCError) -> object:
    """Return the reason of a refusal; None of any other answer. A guard lets no server pose as itself."""
    held = answer.result.get("_meta") if isinstance(answer, JSONRPCResponse) else answer.error.data
    told = held.get(DENIAL) if isinstance(held, dict) else None
    return told.get("reason") if isinstance(told, dict) else None
