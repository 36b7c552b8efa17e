"""The path of a call, recorded: which module of the package does something, and which comes next.

    $ python -m tests.support.stays

A *stay* is a stretch of a call within one module. Each function of the package that begins or goes on is an
event (`sys.setprofile`, event ``call``); events in a row that belong to the same file are one stay. What the
tool, the libraries and other threads do is not recorded. Comprehensions, generators and lambdas belong to the
file they are written in. Each kind of call is made a few times, so that every cache is filled, and the
shortest recording counts: on a busy machine the event loop may look after something else in between.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from types import FrameType
from typing import Any

import anyio

import hessra_agents
from hessra_agents import Authority, Capability, Grant, Guard, Ledger, grant, must
from hessra_agents.mcp import RequestAuthorizer
from hessra_agents.mcp.authorization.requests import CAPABILITY
from hessra_agents.mcp.proxy.stdio import proxy_stdio

__all__ = ["Stay", "permitted_call", "proxied_call", "recorded"]

_ROOT = Path(hessra_agents.__file__).parent
_CALLS = 5
"""Calls of each kind, the first of which fills the caches."""

_SERVER = """
import json, sys
for line in sys.stdin:
    message = json.loads(line)
    schema = {"type": "object", "properties": {"path": {"type": "string"}}}
    tools = {"tools": [{"name": "read_file", "inputSchema": schema}]}
    text = {"content": [{"type": "text", "text": "text"}]}
    result = tools if message["method"] == "tools/list" else text
    print(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}), flush=True)
"""
"""An MCP server with one tool."""


@dataclass
class Stay:
    """Consecutive events in one module: its path below the package without ``.py``, and the functions."""

    module: str
    functions: list[str] = field(default_factory=list)


@contextmanager
def recorded() -> Iterator[list[Stay]]:
    """Record the stays of this thread while the block runs; the list is complete when the block has ended."""
    stays: list[Stay] = []
    modules: dict[str, str | None] = {}

    def module_of(file: str) -> str | None:
        path = Path(file)
        return path.relative_to(_ROOT).with_suffix("").as_posix() if path.is_relative_to(_ROOT) else None

    def profile(frame: FrameType, event: str, _: object) -> None:
        if event != "call":
            return
        file = frame.f_code.co_filename
        if file not in modules:
            modules[file] = module_of(file)
        module = modules[file]
        if module is None:
            return
        if not stays or stays[-1].module != module:
            stays.append(Stay(module))
        stays[-1].functions.append(frame.f_code.co_qualname)

    previous, collecting = sys.getprofile(), gc.isenabled()
    gc.disable()  # a finalizer that runs in between belongs to no call
    sys.setprofile(profile)
    try:
        yield stays
    finally:
        sys.setprofile(previous)
        if collecting:
            gc.enable()


def permitted_call(ledger: Ledger | None = None) -> list[Stay]:
    """Record `Toolbox.call` of a tool with two arguments, permitted, with this ledger or without one."""

    async def main() -> list[Stay]:
        authority = Authority.ephemeral()
        guard = Guard(authority.trust, audience="mail", ledger=ledger)

        @guard.tool
        async def send_email(to: str, body: str) -> str:
            """Send a mail."""
            return f"sent to {to}"

        capability = _issue(authority, grant(send_email, to="ana@acme.com", body=must.anything()), "mail")
        desk = guard.toolbox(capability)
        arguments = {"to": "ana@acme.com", "body": "hi"}
        calls = []
        for _ in range(_CALLS):
            with recorded() as stays:
                result = await desk.call("send_email", arguments)
            assert result == "sent to ana@acme.com"
            calls.append(stays)
        if ledger is not None:
            await ledger.aclose()
        return min(calls, key=len)

    return anyio.run(main)


def proxied_call() -> list[Stay]:
    """Record a ``tools/call`` through the stdio proxy, from the client's line to the answer.

    The guard has a ledger in memory; the request carries a bearer capability for paths below a folder.
    """

    async def main() -> list[Stay]:
        authority = Authority.ephemeral()
        guard = Guard(authority.trust, audience="files", ledger=Ledger.memory())
        capability = _issue(authority, grant("read_file", path=must.under("/srv")), "files")
        to_proxy, from_proxy = os.pipe(), os.pipe()

        async def proxy() -> None:
            command = [sys.executable, "-S", "-c", _SERVER]
            await proxy_stdio(RequestAuthorizer(guard), command, stdin=to_proxy[0], stdout=from_proxy[1])

        calls = []
        async with anyio.create_task_group() as group:
            group.start_soon(proxy)
            for number in range(_CALLS):
                line = _request(number, capability)
                await anyio.wait_all_tasks_blocked()
                with recorded() as stays:
                    os.write(to_proxy[1], line)
                    answer = await _answer(from_proxy[0])
                    await anyio.wait_all_tasks_blocked()
                assert answer["result"]["content"][0]["text"] == "text", answer
                calls.append(stays)
            os.close(to_proxy[1])
        for descriptor in (to_proxy[0], *from_proxy):
            os.close(descriptor)
        return min(calls, key=len)

    return anyio.run(main)


def _issue(authority: Authority, granted: Grant, audience: str) -> Capability:
    return authority.issue("agent:desk", granted, ttl=timedelta(minutes=10), audience=audience)


def _request(number: int, capability: Capability) -> bytes:
    params = {
        "name": "read_file",
        "arguments": {"path": f"/srv/{number}"},
        "_meta": {CAPABILITY: capability.token},
    }
    message = {"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": params}
    return json.dumps(message).encode() + b"\n"


async def _answer(descriptor: int) -> dict[str, Any]:
    line = b""
    while not line.endswith(b"\n"):
        await anyio.wait_readable(descriptor)
        line += os.read(descriptor, 1 << 16)
    answer: dict[str, Any] = json.loads(line)
    return answer


def main() -> None:
    """Print the three recorded calls."""
    with tempfile.TemporaryDirectory() as folder:
        calls: dict[str, Callable[[], list[Stay]]] = {
            "a permitted call without a ledger": permitted_call,
            "a permitted call over SQLite": lambda: permitted_call(Ledger.open(f"{folder}/ledger.db")),
            "a tools/call through the stdio proxy": proxied_call,
        }
        for title, record in calls.items():
            stays = record()
            events = sum(len(stay.functions) for stay in stays)
            modules = len({stay.module for stay in stays})
            print(f"{title}: {len(stays)} stays in {modules} modules, {events} events")
            for number, stay in enumerate(stays, 1):
                print(f"{number:4} {stay.module:34} {', '.join(dict.fromkeys(stay.functions))}")


if __name__ == "__main__":
    main()
