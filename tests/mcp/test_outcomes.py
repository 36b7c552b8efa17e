"""The law of outcomes: what a call is on record as, and whether its limit is given back, by who ended it.

Only the server's own answer is ``done`` or ``failed``, and only ``failed`` gives back. What the caller or the
proxy broke off is ``cancelled``: nobody knows what the server has done, so nothing is given back. A server
that ends by itself in the middle of a call counts as one that failed.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Awaitable, Callable
from contextlib import aclosing, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from mcp import StdioServerParameters
from mcp.server import MCPServer
from mcp.shared.exceptions import MCPError
from starlette.types import ASGIApp, Receive, Scope, Send

from hessra_agents import Authority, Call, Denied, Guard, Ledger, grant, limit
from hessra_agents.mcp import GuardMiddleware, RequestAuthorizer
from hessra_agents.mcp.proxy.http_upstream import proxy_http
from hessra_agents.mcp.proxy.process_upstream import proxy_process
from hessra_agents.mcp.proxy.stdio import proxy_stdio
from tests.support.clocks import backend, pass_time
from tests.support.http_world import ENVELOPE, JSON, request, routing, served
from tests.support.ledgers import Store, until

pytestmark = pytest.mark.anyio

DONE, FAILED, CANCELLED = ("done", False), ("failed", True), ("cancelled", False)
"""The outcome, and whether the limit is given back."""

FORMS = ("in process", "GuardMiddleware", "stdio", "HTTP, command", "HTTP, server")
WAYS: dict[str, tuple[Any, ...]] = {
    # how the call ends, and what that is in each form; a text says why it cannot come about there
    "an answer": (DONE, DONE, DONE, DONE, DONE),
    "an answer that it failed": (FAILED, FAILED, FAILED, FAILED, FAILED),
    "an error": ("an exception is the answer that it failed", FAILED, FAILED, FAILED, FAILED),
    "the caller cancels": (CANCELLED, CANCELLED, CANCELLED, CANCELLED, CANCELLED),
    "the caller cancels in another spelling": ("there is no spelling",) * 2 + (CANCELLED,) * 3,
    "the caller cancels out of the session": (*("there is no session",) * 4, CANCELLED),
    "the client leaves": ("there is no client", CANCELLED, CANCELLED, CANCELLED, CANCELLED),
    "the session is deleted": (
        "there is no session",
        CANCELLED,
        "its session is its connection",
        CANCELLED,
        CANCELLED,
    ),
    "the session is idle": ("there is no session",) + ("a session with a running call is not idle",) * 4,
    "time is up": ("the caller cancels", "the client cancels", CANCELLED, CANCELLED, CANCELLED),
    "the answer is too large": ("no limit", "no limit", CANCELLED, CANCELLED, CANCELLED),
    "the stream is closed": (*("only a server over HTTP can",) * 4, CANCELLED),
    "the stream is closed for good": (*("only a server over HTTP can",) * 4, CANCELLED),
    "time is up for a gateway": (*("only a server over HTTP has one",) * 4, CANCELLED),
    "the server dies": (*("the guard dies with it: permitted, no outcome",) * 2, FAILED, FAILED, FAILED),
    "the proxy ends": (*("there is no proxy",) * 2, CANCELLED, CANCELLED, CANCELLED),
}

SERVER = """
import json, os, pathlib, sys
for line in sys.stdin:
    message = json.loads(line)
    told, error, method = {}, None, message.get("method")
    if method == "initialize":
        told = {"protocolVersion": "2025-11-25", "capabilities": {}, "serverInfo": {}}
    elif method == "tools/list":
        told = {"tools": [{"name": "act", "inputSchema": {"type": "object"}}]}
    elif method == "tools/call":
        pathlib.Path(sys.argv[1], "started").touch()
        way = sys.argv[2]
        if way == "the server dies":
            os._exit(1)
        error = {"code": 1, "message": "no"} if way == "an error" else None
        text = "a" * (9000 if way == "the answer is too large" else 1)
        told = {"content": [{"type": "text", "text": text}], "isError": way == "an answer that it failed"}
        if way not in ("an answer", "an answer that it failed", "an error", "the answer is too large"):
            continue
    if "id" in message:
        answer = {"error": error} if error else {"result": told}
        print(json.dumps({"jsonrpc": "2.0", "id": message["id"], **answer}), flush=True)
"""
OPTIONS: dict[str, Any] = {"timeout": 300, "max_answer": 4096}


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    """The server that runs the applications knows no other loop."""
    return backend("asyncio")


class Case:
    """A guard with a ledger, and a capability for one call, which is given back if the call fails."""

    def __init__(self, folder: Path, way: str) -> None:
        self.folder = folder
        self.way = way
        self.ledger = Ledger.open(folder / "hessra.db")
        authority = Authority.ephemeral()
        self.guard = Guard(authority.trust, audience="files", ledger=self.ledger)
        once = limit(calls=1, refund=True)
        options: dict[str, Any] = {"ttl": timedelta(hours=1), "audience": "files"}
        self.capability = authority.issue("agent:desk", grant("act"), once, **options)
        self.gate = RequestAuthorizer(self.guard, default_toolbox=self.guard.toolbox(self.capability))
        self.given_up = anyio.Event()
        """Set when the server is told that nobody wants the answer any more."""

    @property
    def command(self) -> list[str]:
        program = self.folder / "server.py"
        program.write_text(SERVER)
        return [sys.executable, "-S", str(program), str(self.folder), self.way]

    @property
    def cancels(self) -> dict[str, Any]:
        """What a client says that cancels its call."""
        id = 7.0 if self.way == "the caller cancels in another spelling" else 7
        return {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": id}}

    async def act(self) -> str:
        """The tool, where it is a function."""
        self.started.touch()
        if self.way == "an answer that it failed":
            raise ValueError("no")
        if self.way == "an error":
            raise MCPError(1, "no")
        if self.way != "an answer":
            await anyio.sleep_forever()
        return "a"

    @property
    def started(self) -> Path:
        return self.folder / "started"

    async def began(self) -> None:
        """Wait until the call has reached the server."""
        await until(self.started.exists)

    def outcomes(self) -> list[str]:
        """What is on record."""
        records = Store("sqlite", str(self.folder / "hessra.db"), self.folder).records()
        return [one["outcome"] for one in records if "outcome" in one]

    async def outcome(self) -> tuple[str, bool]:
        """The outcome that is on record, and whether another call is permitted."""
        await until(self.outcomes)
        (outcome,) = self.outcomes()
        permit = self.guard.permit(self.capability, Call.of("act", {}))
        try:
            await permit.__aenter__()
        except Denied as denied:
            return outcome, denied.reason != "spent"
        return outcome, True


async def in_process(case: Case) -> None:
    case.guard.add(case.act)
    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as group:

            async def cancel() -> None:
                await case.began()
                scope.cancel()

            if case.way == "the caller cancels":
                group.start_soon(cancel)
            with suppress(ValueError):
                await case.guard.toolbox(case.capability).call("act", {})


async def over_stdio(case: Case) -> None:
    stdin, to_proxy = os.pipe()
    from_proxy, stdout = os.pipe()
    ends = {to_proxy}
    async with anyio.create_task_group() as group:

        async def run() -> None:
            await proxy_stdio(case.gate, case.command, stdin=stdin, stdout=stdout, **OPTIONS)
            group.cancel_scope.cancel()

        group.start_soon(run)
        call = request("tools/call", {"name": "act", "arguments": {}}, id=7)
        os.write(to_proxy, json.dumps(call).encode() + b"\n")
        await case.began()
        if case.way.startswith("the caller cancels"):
            os.write(to_proxy, json.dumps(case.cancels).encode() + b"\n")
        elif case.way == "the client leaves":
            os.close(ends.pop())
        elif case.way == "time is up":
            pass_time(300)
        elif case.way == "the proxy ends":
            group.cancel_scope.cancel()
        await until(case.outcomes)
        group.cancel_scope.cancel()
    for end in (*ends, stdin, from_proxy, stdout):
        os.close(end)


async def over_http(case: Case, url: str, app: Any = None) -> None:
    """In a session, but for a client that leaves: in a session it can ask for the rest of the answer."""
    async with httpx2.AsyncClient(timeout=None) as client, anyio.create_task_group() as group:
        call = request("tools/call", {"name": "act", "arguments": {}}, id=7)
        headers = JSON
        if case.way == "the client leaves":
            call["params"]["_meta"] = ENVELOPE
            headers = routing(call)
        else:
            told = {"protocolVersion": "2025-11-25", "capabilities": {}}
            hello = request("initialize", {**told, "clientInfo": {"name": "t", "version": "1"}})
            opened = await client.post(url, json=hello, headers=JSON)
            if "mcp-session-id" in opened.headers:
                headers = {**JSON, "mcp-session-id": opened.headers["mcp-session-id"]}
        leaves = anyio.CancelScope()

        async def send() -> None:
            with leaves, suppress(httpx2.HTTPError):
                await client.post(url, json=call, headers=headers)

        group.start_soon(send)
        await case.began()
        if case.way.startswith("the caller cancels"):
            there = JSON if case.way.endswith("out of the session") else headers
            await client.post(url, json=case.cancels, headers=there)
            if there is JSON:
                assert not case.given_up.is_set()
                await client.post(url, json=case.cancels, headers=headers)
        elif case.way == "the client leaves":
            leaves.cancel()
        elif case.way == "the session is deleted":
            assert (await client.delete(url, headers=headers)).status_code == 200
        elif case.way == "time is up":
            pass_time(300)
        elif case.way == "the proxy ends":
            app.state.end_requests()
        await until(case.outcomes)
        group.cancel_scope.cancel()


async def middleware(case: Case) -> None:
    """Over HTTP, as the SDK serves it."""
    toolbox = case.guard.toolbox(case.capability)
    guarding = GuardMiddleware(case.guard, default_toolbox=toolbox)
    server = MCPServer("files", extensions=[guarding], middleware=[guarding], log_level="CRITICAL")
    server.tool(name="act")(case.act)
    async with served(server.streamable_http_app()) as url:
        await over_http(case, url)


async def in_front_of_a_command(case: Case) -> None:
    program, *rest = case.command
    app = proxy_process(case.gate, StdioServerParameters(command=program, args=rest), **OPTIONS)
    async with served(app) as url:
        await over_http(case, url, app)


async def in_front_of_a_server(case: Case) -> None:
    async with served(_server(case)) as upstream:
        app = proxy_http(case.gate, upstream, **OPTIONS)
        async with served(app) as url:
            await over_http(case, url, app)


def _server(case: Case) -> ASGIApp:
    """A server over HTTP, which answers what its client gives up with an error."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        if scope["method"] == "DELETE":
            case.given_up.set()
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body"})
            return

        async def answer(kind: str, body: bytes, length: int | None = None, status: int = 200) -> None:
            head = [(b"content-type", kind.encode()), (b"mcp-session-id", b"the-session")]
            if length is not None:
                head.append((b"content-length", str(length).encode()))
            await send({"type": "http.response.start", "status": status, "headers": head})
            await send({"type": "http.response.body", "body": body})

        message = json.loads((await receive())["body"])
        told: dict[str, Any] = {"result": {}}
        if message["method"] == "tools/list":
            told = {"result": {"tools": [{"name": "act", "inputSchema": {"type": "object"}}]}}
        if message["method"] == "tools/call":
            case.started.touch()
            text = "a" * (9000 if case.way == "the answer is too large" else 1)
            told["result"] = {"content": [{"type": "text", "text": text}]}
            if case.way == "an answer that it failed":
                told["result"]["isError"] = True
            elif case.way == "an error":
                told = {"error": {"code": 1, "message": "no"}}
            elif case.way == "the server dies":
                with suppress(Exception):
                    await answer("application/json", b"{", 100)
                raise ConnectionError
            elif case.way.startswith("the stream is closed"):
                event = b"id: 7\ndata:\n\n" if case.way == "the stream is closed" else b": no id\n\n"
                await answer("text/event-stream", event)
                return
            elif case.way == "time is up for a gateway":
                await answer("text/html", b"504", status=504)
                return
            elif case.way not in ("an answer", "the answer is too large"):
                await case.given_up.wait()
                told = {"error": {"code": 0, "message": "cancelled"}}
        if message["method"] == "notifications/cancelled":
            case.given_up.set()
        if "id" in message:
            told = {"jsonrpc": "2.0", "id": message["id"], **told}
        await answer("application/json", json.dumps(told).encode())

    return app


RUNS: dict[str, Callable[[Case], Awaitable[None]]] = dict(
    zip(FORMS, (in_process, middleware, over_stdio, in_front_of_a_command, in_front_of_a_server), strict=True)
)
POSSIBLE = [
    pytest.param(form, way, outcome, id=f"{form}: {way}")
    for way, outcomes in WAYS.items()
    for form, outcome in zip(FORMS, outcomes, strict=True)
    if not isinstance(outcome, str)
]


@pytest.mark.parametrize(("form", "way", "outcome"), POSSIBLE)
async def test_who_ended_a_call_says_what_it_was(
    tmp_path: Path, form: str, way: str, outcome: tuple[str, bool]
) -> None:
    case = Case(tmp_path, way)
    async with aclosing(case.ledger):
        await RUNS[form](case)
        assert await case.outcome() == outcome
