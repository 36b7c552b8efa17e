"""Law: whatever is written to a reader of MCP, it fails only as it says, and serves the next honest call.

The frames are seeded: bytes, and messages of JSON-RPC that are changed, cut, nested, said twice or spliced.

`HESSRA_SOAK=1` sends twenty times as many.
"""

from __future__ import annotations

import json
import logging
import os
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

import anyio
import httpx2
import pytest

from hessra_agents.mcp.transport.messages import (
    InvalidMessageError,
    UpstreamMessageError,
    parse_upstream,
    read_message,
    write_message,
)
from tests.mcp.test_stdio_proxy import relayed
from tests.support.clocks import backend
from tests.support.http_world import JSON, HttpWorld, post
from tests.support.world import World

TIMES = 20 if os.environ.get("HESSRA_SOAK") else 1

HONEST: tuple[dict[str, Any], ...] = (
    {"id": 1, "method": "tools/call", "params": {"name": "echo", "arguments": {"x": 1}, "_meta": {"a": 1}}},
    {"id": "a", "method": "ping"},
    {"id": 2, "method": "tools/list", "params": {"cursor": "c"}},
    {"id": 3, "method": "resources/read", "params": {"uri": "file:///a"}},
    {"id": 4, "method": "prompts/get", "params": {"name": "hello", "arguments": {"name": "x"}}},
    {"id": 5, "method": "vendor/do", "params": {"deep": [{"er": [None, 1.5]}]}},
    {"method": "notifications/progress", "params": {"progressToken": 1, "progress": 0.5}},
    {"method": "notifications/cancelled", "params": {"requestId": 1}},
    {"id": 6, "result": {"content": [{"type": "text", "text": "x"}], "isError": False}},
    {"id": 7, "error": {"code": -32600, "message": "x", "data": {"dev.hessra/denial": {}}}},
)
ODD: tuple[Any, ...] = (
    *(None, True, 0, -1, 1.5, 2.0, 1 << 53, -(1 << 63), 10**400, float("nan"), float("inf")),
    *("", "x", "\x00", "\ud800", "\u2028", "e\u0301", "2.0", "tools/call", "__proto__", "x" * 10_000),
    *([], {}, [[]], [None] * 100, {"": ""}, {"method": "ping"}, {"jsonrpc": "2.0", "id": 1}),
)
PIECES = (
    b'"',
    b"{",
    b"}",
    b"[",
    b",",
    b":",
    b"\\",
    b"\\u",
    b"\r",
    b"\x00",
    b"\xff",
    b"\xef\xbb\xbf",
    b"1e999",
)


def changed(rng: Random, value: Any) -> Any:
    """The value with something in it replaced, removed, added or spelled differently."""
    if isinstance(value, dict) and value and rng.random() < 0.8:
        name = rng.choice([*value])
        do = rng.choice(("into", "into", "drop", "spell", "add"))
        rest = {key: one for key, one in value.items() if key != name}
        if do == "into":
            return {**value, name: changed(rng, value[name])}
        if do == "drop":
            return rest
        if do == "spell":
            return {**value, rng.choice((name.upper(), name.title(), f"{name} ")): value[name]}
        return {**value, rng.choice((*"ab", "method", "id", "result", "error", "params")): rng.choice(ODD)}
    if isinstance(value, list) and value and rng.random() < 0.5:
        return [*value[1:], changed(rng, value[0])]
    return rng.choice(ODD)


def frame(rng: Random) -> bytes:
    """One frame, in one line."""
    if rng.random() < 0.1:
        return rng.randbytes(rng.choice((0, 1, 7, 300))).replace(b"\n", b" ")
    message: Any = {"jsonrpc": "2.0", **rng.choice(HONEST)}
    for _ in range(rng.choice((0, 1, 1, 1, 2, 3))):
        message = changed(rng, message)
    if rng.random() < 0.05:
        message = [message] * rng.choice((1, 2))
    data = json.dumps(message, ensure_ascii=rng.random() < 0.5).encode(errors="surrogatepass")
    do = rng.choice(("", "", "", "cut", "splice", "twice", "deep"))
    at = rng.randrange(len(data) + 1)
    if do == "cut":
        return data[:at]
    if do == "splice":
        return data[:at] + rng.choice(PIECES) + data[at:]
    if do == "twice":
        return data[:-1] + b',"method":"ping","id":9,"params":{"a":1,"a":2}}'
    if do == "deep":
        depth = rng.choice((20, 40, 2_000, 50_000))
        return data[:-1] + b',"params":' + b"[" * depth + b"]" * depth + b"}"
    return data


@pytest.mark.parametrize(
    ("read", "error"), [(read_message, InvalidMessageError), (parse_upstream, UpstreamMessageError)]
)
def test_a_reader_fails_only_as_it_says(read: Callable[[bytes], Any], error: type[Exception]) -> None:
    """And what it has read and can write is read again as the same."""
    rng, seen = Random(0), Counter[str]()
    for _ in range(5_000 * TIMES):
        data = frame(rng)
        try:
            message = read(data).message
        except error:
            seen["refused"] += 1
            continue
        seen["read"] += 1
        with suppress(InvalidMessageError):  # it holds what JSON cannot express
            assert read(write_message(message)).message == message
            seen["written"] += 1
    assert min(seen["refused"], seen["written"]) > 500 * TIMES


@pytest.mark.anyio
async def test_a_relay_serves_an_honest_call_after_any_frames(tmp_path: Path) -> None:
    """In the midst of them, and its server got only what is one message to every reader."""
    rng = Random(1)
    async with relayed(World(), tmp_path) as line:

        async def write() -> None:
            for number in range(400 * TIMES):
                await line.send_large(frame(rng))
                if number % 100 == 99:
                    meta = {"dev.hessra/capability": line.token}
                    params = {"name": "echo", "arguments": {"x": number}, "_meta": meta}
                    honest = {"jsonrpc": "2.0", "id": f"honest {number}", "method": "tools/call"}
                    await line.send_large(json.dumps({**honest, "params": params}).encode())

        async with anyio.create_task_group() as group:
            group.start_soon(write)
            answered = 0
            while answered < 4 * TIMES:
                told = await line.receive()
                assert told["jsonrpc"] == "2.0"
                if str(told.get("id")).startswith("honest"):
                    assert not told["result"].get("isError"), told
                    answered += 1
    for got in line.got():
        assert read_message(json.dumps(got)).message == got


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", [backend("asyncio")])  # the server knows no other loop
async def test_a_gate_serves_an_honest_call_after_any_frames(caplog: pytest.LogCaptureFixture) -> None:
    """Whatever headers they come with."""
    files, rng = HttpWorld(), Random(2)
    names = (b"mcp-method", b"mcp-name", b"mcp-protocol-version", b"mcp-session-id", b"accept", b"origin")
    values = (b"", b"x", b"tools/call", b"2026-07-28", b"\xff", b"*", b"9" * 5_000)
    usual = [(name.encode(), value.encode()) for name, value in JSON.items()]
    async with files.reversed() as url, httpx2.AsyncClient(timeout=None) as client:
        for _ in range(200 * TIMES):
            odd = [(rng.choice(names), rng.choice(values)) for _ in range(rng.choice((0, 0, 1, 2)))]
            response = await client.post(url, content=frame(rng), headers=[*usual, *odd])
            assert response.status_code < 500, response.text
        assert [one.getMessage() for one in caplog.records if one.levelno >= logging.ERROR] == []
        with files.runs("read_file"):
            assert (await post(url, files.call(files.issue()))).status_code == 200
