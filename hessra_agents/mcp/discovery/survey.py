"""`Survey`: ask a server what it offers: its tools, resources and prompts, all pages of them.

The survey reads leniently, because a server that a strict client refuses may be one that somebody wants to
stand in front of.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import Any

import anyio
import httpx2
from mcp.client._transport import ReadStream, WriteStream
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.message import ClientMessageMetadata, SessionMessage
from mcp.types import JSONRPCError, JSONRPCNotification, JSONRPCRequest, JSONRPCResponse

from ...errors import Denied, Reason
from ..authorization.catalog import Ask, list_all
from ..proxy.pending import PendingRequest
from ..proxy.process import UpstreamProcess
from ..transport.messages import (
    MAX_ANSWER,
    VERSION,
    InvalidMessageError,
    RpcError,
    UpstreamMessage,
    write_message,
)
from ..transport.stdio import ChildProcess, StderrHandler

__all__ = ["Survey"]

_HANDSHAKE, _MODERN = "2025-11-25", "2026-07-28"
_US = {"name": "hessra-agents", "version": "1"}

Definition = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Survey:
    """What one server says of itself, and the definitions that its lists have."""

    server: str
    """The server's name for itself."""
    instructions: str | None
    """What clients put into a model's context."""
    tools: list[Definition]
    resources: list[Definition]
    prompts: list[Definition]

    @classmethod
    async def of_command(
        cls, command: Sequence[str], *, env: Mapping[str, str], seconds: float, on_stderr: StderrHandler
    ) -> Survey:
        """Start a server, ask it, and end it.

        Args:
            env: its environment.
            seconds: the time for all questions.
            on_stderr: called with the lines of the server's standard error.

        Raises:
            Denied: ``unavailable``: the server does not answer.
            StartError: the server cannot be started.
        """
        start = ChildProcess.start(command, env=env, max_bytes=MAX_ANSWER, on_stderr=on_stderr)
        async with start as child, _asking(child, seconds) as ask:
            try:
                with anyio.fail_after(seconds):
                    return await _surveyed(ask)
            except TimeoutError as error:
                raise Denied(Reason.UNAVAILABLE, "the server does not answer in time") from error

    @classmethod
    async def of_url(cls, url: str, *, seconds: float, headers: Mapping[str, str]) -> Survey:
        """Ask a server over HTTP.

        Args:
            headers: sent with every request, such as the server's own ``Authorization``.

        Raises:
            Denied: ``unavailable``: the server does not answer.
        """
        try:
            with anyio.fail_after(seconds):
                async with (
                    httpx2.AsyncClient(headers=dict(headers), timeout=seconds) as client,
                    streamable_http_client(url, http_client=client) as (read, write),
                ):
                    return await _surveyed(partial(_ask_over_http, read, write, count()))
        except Denied:
            raise
        except Exception as error:
            raise Denied(Reason.UNAVAILABLE, "the server does not answer over HTTP") from error


class _NoClient:
    async def hear(self, heard: UpstreamMessage, answered: PendingRequest | None) -> bool:
        return False


@asynccontextmanager
async def _asking(child: ChildProcess, seconds: float) -> AsyncIterator[Ask]:
    """Give a function that asks a child, which is ended behind the block."""
    process = UpstreamProcess(_NoClient(), timeout=seconds)

    async def ask(method: str, params: dict[str, Any]) -> dict[str, Any]:
        try:
            if method.startswith("notifications/"):
                await process.tell(write_message({"jsonrpc": "2.0", "method": method}))
                return {}
            return await process.ask(method, params)
        except (TimeoutError, RpcError, InvalidMessageError) as error:
            how = f"the server does not answer {method}"
            if process.ended:
                await child.exited()
                how = f"the server's command ended with status {child.status}, and did not answer {method}"
            raise Denied(Reason.UNAVAILABLE, how) from error

    try:
        async with anyio.create_task_group() as group:
            await group.start(process.run, child)
            yield ask
            process.end()
    except ExceptionGroup as several:
        raise several.exceptions[0] from None


async def _ask_over_http(
    read: ReadStream[SessionMessage | Exception],
    write: WriteStream[SessionMessage],
    numbers: Iterator[int],
    method: str,
    params: dict[str, Any],
) -> dict[str, Any]:
    if method.startswith("notifications/"):
        await write.send(SessionMessage(JSONRPCNotification(jsonrpc="2.0", method=method)))
        return {}
    headers = {"mcp-method": method, "mcp-protocol-version": _MODERN} if "_meta" in params else {}
    id = next(numbers)
    request = JSONRPCRequest(jsonrpc="2.0", id=id, method=method, params=params)
    await write.send(SessionMessage(request, ClientMessageMetadata(headers=headers)))
    async for item in read:
        if isinstance(item, Exception):
            raise item
        message = item.message
        if isinstance(message, (JSONRPCResponse, JSONRPCError)) and message.id == id:
            return message.model_dump(mode="json", by_alias=True, exclude_unset=True)
    raise EOFError


async def _surveyed(ask: Ask) -> Survey:
    """Shake hands, or find that the server does not shake hands any more; then ask for the lists it has."""
    params: dict[str, Any] = {}
    hello = {"protocolVersion": _HANDSHAKE, "capabilities": {}, "clientInfo": _US}
    said = (await ask("initialize", hello)).get("result")
    if isinstance(said, dict):
        await ask("notifications/initialized", {})
    else:
        client = "io.modelcontextprotocol/clientCapabilities"
        params = {"_meta": {VERSION: _MODERN, client: {}}}
        said = (await ask("server/discover", params)).get("result")
    if not isinstance(said, dict):
        raise Denied(Reason.UNAVAILABLE, "the server does not say what it is")
    offers = said.get("capabilities")
    lists = [
        await list_all(ask, f"{kind}/list", params) if isinstance(offers, dict) and kind in offers else []
        for kind in ("tools", "resources", "prompts")
    ]
    about, told = said.get("serverInfo"), said.get("instructions")
    name = about.get("name") if isinstance(about, dict) else None
    return Survey(
        name if isinstance(name, str) else "server", told if isinstance(told, str) else None, *lists
    )
