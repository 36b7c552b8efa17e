"""The relay between a client and a server, frame by frame, and whatever either does to it."""

from __future__ import annotations

import fcntl
import json
import logging
import math
import os
import resource
import socket
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import aclosing, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import anyio
import pytest

from hessra_agents import Call, Denied, KeyPair, Ledger, Reason, grant, must
from hessra_agents.mcp import DenialFormat, RequestAuthorizer, method
from hessra_agents.mcp.authorization.catalog import list_all
from hessra_agents.mcp.authorization.pins import Pins
from hessra_agents.mcp.proxy import process as processes
from hessra_agents.mcp.proxy import stdio as relaying
from hessra_agents.mcp.proxy.stdio import proxy_stdio
from hessra_agents.mcp.transport import stdio as pipes
from hessra_agents.mcp.transport.long_line import LongLine
from hessra_agents.mcp.transport.messages import VERSION
from hessra_agents.mcp.transport.stdio import ChildProcess, LineReader, LineWriter, StartError
from tests.support.clocks import pass_time, time_flies
from tests.support.ledgers import Store
from tests.support.processes import PATIENCE
from tests.support.world import World

pytestmark = pytest.mark.anyio

SERVER = str(Path(__file__).parents[1] / "support" / "odd_server.py")
CAPABILITY, PROOF = "dev.hessra/capability", "dev.hessra/proof"
MODERN = {VERSION: "2026-07-28"}
TOOLS = ("echo", "silent", "crash", "junk", "odd", "flood", "changes", "asks", "late", "big")


class Line:
    """A client that writes and reads frames."""

    def __init__(self, world: World, folder: Path) -> None:
        self.log = folder / "log"
        tools = (grant(name, x=must.optional()) for name in TOOLS)
        self.token = world.issue(*tools, method("notifications/do")).token
        self.status: int | None = None
        self.over = anyio.Event()
        self._number = 0
        from_us, self._to = os.pipe()
        fcntl.fcntl(self._to, fcntl.F_SETPIPE_SZ, 1 << 20)  # a test writes without waiting
        self._from, to_us = os.pipe()
        self.ends: tuple[int, ...] = from_us, to_us
        self._lines = LineReader(self._from, 1 << 28)

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-S", SERVER, str(self.log), *words]

    def send(self, message: Mapping[str, Any] | bytes) -> None:
        data = message if isinstance(message, bytes) else json.dumps({"jsonrpc": "2.0", **message}).encode()
        assert os.write(self._to, data + b"\n") == len(data) + 1

    async def raw(self) -> bytes:
        line = await self._lines.__anext__()
        assert isinstance(line, bytes)
        return line

    async def receive(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(await self.raw())
        return found

    def ask(self, method: str, meta: Mapping[str, Any] | None = None, **params: Any) -> int:
        self._number += 1
        given = {**params, "_meta": {CAPABILITY: self.token} if meta is None else meta}
        self.send({"id": self._number, "method": method, "params": given})
        return self._number

    def call(self, name: str, meta: Mapping[str, Any] | None = None, **arguments: Any) -> int:
        return self.ask("tools/call", meta, name=name, arguments=arguments)

    async def ended(self) -> None:
        await self.over.wait()

    async def send_large(self, data: bytes) -> None:
        with memoryview(data + b"\n") as rest:
            while rest:
                await anyio.wait_writable(self._to)
                rest = rest[os.write(self._to, rest[:4096]) :]

    def hang_up(self) -> None:
        if self._to >= 0:
            os.close(self._to)
        self._to = -1

    def got(self) -> list[dict[str, Any]]:
        """What the server got."""
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    async def until_got(self, found: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        while True:
            for one in self.got() if self.log.exists() else []:
                if found(one):
                    return one
            await anyio.sleep(0.005)

    def let_late_answers_go(self) -> None:
        Path(f"{self.log}.go").touch()

    def close(self) -> None:
        self.hang_up()
        for fd in (self._from, *self.ends):
            with suppress(OSError):
                os.close(fd)


@asynccontextmanager
async def relayed(
    world: World, folder: Path, *words: str, gate: RequestAuthorizer | None = None, **options: Any
) -> AsyncIterator[Line]:
    """A client before the odd server; at the end it hangs up, and the relay must end, too."""
    line = Line(world, folder)

    async def run() -> None:
        stdin, stdout = line.ends
        line.status = await proxy_stdio(
            gate or RequestAuthorizer(world.guard),
            line.command(*words),
            stdin=stdin,
            stdout=stdout,
            **options,
        )
        os.close(stdout)
        line.ends = (stdin,)
        line.over.set()

    try:
        async with anyio.create_task_group() as group:
            group.start_soon(run)
            yield line
            line.hang_up()
            await line.ended()
    finally:
        line.close()


def is_dead(process: int) -> bool:
    """Whether it has ended; nobody may have asked yet how."""
    about = Path(f"/proc/{process}/stat")
    return not about.exists() or about.read_text().rpartition(")")[2].split()[0] == "Z"


async def test_a_permitted_call_reaches_the_server_without_anything_of_ours(
    world: World, tmp_path: Path
) -> None:
    """What is known to nobody here goes on; the answer comes as the server wrote it."""
    async with relayed(world, tmp_path) as line:
        meta = {CAPABILITY: line.token, "a/b": 1, "baggage": "k=v"}
        line.ask("tools/call", meta, name="echo", arguments={"x": 1}, new=[{}])
        assert (
            await line.raw()
            == b'{"jsonrpc": "2.0",  "id":  1, "result": {"n": 1.50,   "new": null}, "more": 1}'
        )
    *_, call = line.got()
    assert call["params"] == {"name": "echo", "arguments": {"x": 1}, "new": [{}], "_meta": {"baggage": "k=v"}}
    assert line.token not in line.log.read_text()
    assert line.status == 0


def _frame(params: str, method: str = "tools/call") -> str:
    return f'{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{params}}}'


def _call(more: str) -> str:
    return _frame(f'{{"name":"echo","_meta":{{"dev.hessra/capability":"TOKEN"}},{more}}}')


NAMED = '{"name":"echo",'
META = '"_meta":{"dev.hessra/capability":"TOKEN"}'
BAD = {
    "not JSON": ("{", None, -32700),
    "not utf-8": ("\udcff", None, -32700),
    "a batch": ("[" + _call('"arguments":{}') + "]", None, -32600),
    "a number": ("7", None, -32600),
    "another protocol": ('{"jsonrpc":"1.0","id":1,"method":"ping"}', None, -32600),
    "no method": ('{"jsonrpc":"2.0","id":1}', 1, -32600),
    "a method twice": ('{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/call"}', None, -32700),
    "an argument twice": (_call('"arguments":{"x":1,"x":2}'), None, -32700),
    "another spelling": ('{"jsonrpc":"2.0","id":1,"Method":"tools/call","method":"ping"}', 1, -32600),
    "another spelling of a name": (_call('"Name":"silent","arguments":{}'), 1, -32600),
    "an id that is null": ('{"jsonrpc":"2.0","id":null,"method":"ping"}', None, -32600),
    "an id that is true": ('{"jsonrpc":"2.0","id":true,"method":"ping"}', None, -32600),
    "an id that is a fraction": ('{"jsonrpc":"2.0","id":1.5,"method":"ping"}', None, -32600),
    "an id that is long": ('{"jsonrpc":"2.0","id":"' + "x" * 257 + '","method":"ping"}', None, -32600),
    "an id that is half of a character": ('{"jsonrpc":"2.0","id":"\\ud800","method":"ping"}', None, -32600),
    "a notification with an id": ('{"jsonrpc":"2.0","id":1,"method":"notifications/x"}', 1, -32600),
    "params that are a list": (_frame("[]"), 1, -32602),
    "too deep": (_call('"arguments":{"x":' + "[" * 99 + "]" * 99 + "}"), None, -32700),
    "not a number": (_call('"arguments":{"x":NaN}'), 1, "malformed"),
    "not a number elsewhere": (_call('"other":NaN'), 1, -32600),
    "too large": (_call('"arguments":{"x":"' + "y" * (5 << 20) + '"}'), None, -32600),
    "half of a character": (_call('"arguments":{"x":"\\ud800"}'), 1, "malformed"),
    "too many digits": (_call('"arguments":{"x":' + "9" * 500 + "}"), 1, "malformed"),
    "arguments that are a list": (_call('"arguments":[]'), 1, "malformed"),
    "arguments that are a text": (_call('"arguments":"{}"'), 1, "malformed"),
    "a name that is a number": (_frame(f'{{"name":7,{META}}}'), 1, "malformed"),
    "no name": (_frame(f"{{{META}}}"), 1, "malformed"),
    "meta that is a text": (_frame('{"name":"echo","_meta":"TOKEN"}'), 1, "malformed"),
    "meta that is a list": (_frame('{"name":"echo","_meta":["TOKEN"]}'), 1, "malformed"),
    "a capability that is a number": (_frame(NAMED + '"_meta":{"dev.hessra/capability":7}}'), 1, "malformed"),
    "a capability that is none": (_frame(NAMED + '"_meta":{"dev.hessra/capability":"x"}}'), 1, "malformed"),
    "a proof that is none": (_frame(NAMED + META[:-1] + ',"dev.hessra/proof":"x"}}'), 1, "malformed"),
    "no capability": (_frame('{"name":"echo"}'), 1, "no_capability"),
    "an unknown tool": (_frame(f'{{"name":"nonesuch",{META}}}'), 1, "not_granted"),
    "an argument too many": (_call('"arguments":{"y":1}'), 1, "unnamed_argument"),
    "an argument of another type": (_call('"arguments":{"x":"1"}'), 1, "malformed"),
    "an unknown method": (_frame(f"{{{META}}}", "v/undo"), 1, 403),
    "an unknown method without a capability": (_frame("{}", "v/do"), 1, 403),
    "a resource without a capability": (_frame('{"uri":"file:///x"}', "resources/read"), 1, 403),
    "a resource that is not granted": (_frame(f'{{"uri":"file:///x",{META}}}', "resources/read"), 1, 403),
    "a prompt that is not granted": (_frame(f'{{"name":"echo",{META}}}', "prompts/get"), 1, 403),
}  # fmt: skip


async def test_bad_input_is_answered_and_goes_no_further(world: World, tmp_path: Path) -> None:
    async with relayed(world, tmp_path) as line:
        for name, (text, id, answer) in BAD.items():
            await line.send_large(text.replace("TOKEN", line.token).encode(errors="surrogateescape"))
            told = await line.receive()
            assert told["id"] == id, name
            if isinstance(answer, int):
                assert told["error"]["code"] == answer, (name, told)
            else:
                assert told["result"]["isError"], name
                assert told["result"]["_meta"]["dev.hessra/denial"]["reason"] == answer, (name, told)
        line.call("echo")
        assert "result" in await line.receive()
    assert [one["method"] for one in line.got() if one["method"] != "tools/list"] == ["tools/call"]


async def test_a_refusal_is_told_in_the_words_of_its_era(world: World, tmp_path: Path) -> None:
    async with relayed(world, tmp_path) as line:
        line.call("echo", {})
        assert "resultType" not in (await line.receive())["result"]
        line.call("echo", MODERN)
        assert (await line.receive())["result"]["resultType"] == "complete"


@pytest.mark.parametrize(("form", "code"), [(DenialFormat.ERROR, 403), (DenialFormat.UNKNOWN, -32602)])
async def test_a_refusal_is_told_in_the_form_that_was_chosen(
    world: World, tmp_path: Path, form: DenialFormat, code: int
) -> None:
    async with relayed(world, tmp_path, denial_format=form) as line:
        line.call("echo", {})
        assert (await line.receive())["error"]["code"] == code


async def test_a_server_that_says_nothing_is_waited_for_no_longer_than_the_timeout(
    world: World, tmp_path: Path
) -> None:
    """It is told that nobody waits any more, and its late answer goes nowhere."""
    async with relayed(world, tmp_path, timeout=300) as line:
        id = line.call("late")
        await line.until_got(lambda one: one["method"] == "tools/call")
        pass_time(300)
        assert "no answer within 300 seconds" in (await line.receive())["error"]["message"]
        line.let_late_answers_go()
        told = await line.until_got(lambda one: one["method"] == "notifications/cancelled")
        assert told["params"]["requestId"] == id
        again = line.call("echo")
        assert (await line.receive())["id"] == again


async def test_a_server_that_does_not_list_its_tools_gets_no_calls(world: World, tmp_path: Path) -> None:
    """Nor does it hold up a client for longer than the timeout; many who wait do not add up."""
    async with relayed(world, tmp_path, "mute", timeout=300) as line:
        ids = {line.call("echo") for _ in range(100)}
        ids.add(line.ask("initialize"))
        await line.until_got(lambda one: one["method"] == "initialize")
        pass_time(300)  # once, for all of them
        assert {(await line.receive())["id"] for _ in range(101)} == ids
    assert "tools/call" not in {one["method"] for one in line.got()}
    assert "initialize" not in {one.get("params", {}).get("requestId") for one in line.got()}


async def test_a_slow_request_holds_up_nobody(world: World, tmp_path: Path) -> None:
    async with relayed(world, tmp_path) as line:
        line.call("silent")
        quick = line.call("echo")
        assert (await line.receive())["id"] == quick


async def test_requests_go_on_in_the_order_in_which_they_came(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relaying, "_TURN", PATIENCE)
    async with relayed(world, tmp_path) as line:
        line.ask("initialize", {})
        line.send({"method": "notifications/initialized"})
        line.call("echo", x=0)
        for _ in range(2):
            await line.receive()
        for number in range(1, 40):
            line.call("echo", x=number)
        for _ in range(39):
            await line.receive()
    asked = [one for one in line.got() if one["method"] != "tools/list"]
    assert [one["method"] for one in asked[:2]] == ["initialize", "notifications/initialized"]
    assert [one["params"]["arguments"]["x"] for one in asked[2:]] == [*range(40)]


async def test_a_request_that_the_client_gives_up_has_no_answer(world: World, tmp_path: Path) -> None:
    """The server is told so, and little else; the id stays in use, since the answer may still come."""
    async with relayed(world, tmp_path) as line:
        id = line.call("silent")
        await line.until_got(lambda one: one["method"] == "tools/call")
        given = {"requestId": str(id), "reason": "t" * 9000, "more": "x" * 9000}
        line.send({"method": "notifications/cancelled", "params": given})
        told = await line.until_got(lambda one: one["method"] == "notifications/cancelled")
        assert told["params"] == {"requestId": id, "reason": "t" * 200}
        line.send({"id": id, "method": "ping"})
        assert (await line.receive())["error"]["message"] == "the id is in use for another request"
        other = line.call("echo")
        assert (await line.receive())["id"] == other


@pytest.mark.parametrize("same", [lambda id: id, str])
async def test_an_id_that_is_in_use_is_refused_without_answering_the_first(
    world: World, tmp_path: Path, same: Callable[[int], object]
) -> None:
    async with relayed(world, tmp_path) as line:
        id = line.call("late")
        await line.until_got(lambda one: one["method"] == "tools/call")
        line.send({"id": same(id), "method": "ping"})
        line.send({"id": same(id), "method": "ping", "params": []})
        for code in (-32600, -32602):
            told = await line.receive()
            assert (told["id"], told["error"]["code"]) == (None, code)
        line.let_late_answers_go()
        assert (await line.receive())["result"] == {"n": 1.5, "new": None}


async def test_what_a_client_gives_up_must_be_its_own(world: World, tmp_path: Path) -> None:
    """Neither what the relay itself asked, nor a handshake, which cannot be given up."""
    async with relayed(world, tmp_path, "mute", timeout=300) as line:
        handshake = line.ask("initialize", {})
        line.call("echo")
        asked = await line.until_got(lambda one: one["method"] == "tools/list")
        for id in (asked["id"], handshake, 999):
            line.send({"method": "notifications/cancelled", "params": {"requestId": id}})
        line.send({"id": asked["id"], "method": "ping"})
        assert (await line.receive())["error"]["message"] == "the id is in use for another request"
        async with time_flies():
            assert handshake in {(await line.receive())["id"] for _ in range(2)}
    got = [one["params"]["requestId"] for one in line.got() if one["method"] == "notifications/cancelled"]
    assert handshake not in got
    assert 999 not in got


async def test_a_server_that_crashes_ends_the_relay_with_its_status(world: World, tmp_path: Path) -> None:
    async with relayed(world, tmp_path) as line:
        waiting, crashing = line.call("silent"), line.call("crash")
        errors = {told["id"]: told["error"]["message"] for told in [await line.receive() for _ in range(2)]}
        assert errors == dict.fromkeys((waiting, crashing), "the server ended")
        with pytest.raises(StopAsyncIteration):
            await line.raw()
    assert line.status == 7


async def test_a_call_that_the_server_did_not_answer_is_on_record_as_failed(tmp_path: Path) -> None:
    """Of one that it ended in, and one that it answered."""
    world = World(ledger=Ledger.open(tmp_path / "hessra.db"))
    async with aclosing(world.ledger), relayed(world, tmp_path) as line:
        for name in ("echo", "crash"):
            line.call(name)
            await line.receive()
    records = Store("sqlite", str(tmp_path / "hessra.db"), tmp_path).records()
    assert [one["outcome"] for one in records if "outcome" in one] == ["done", "failed"]


async def test_a_call_is_not_given_back_because_the_relay_ended_the_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its client can bring that about, with more cancellations than the server takes while it works."""
    monkeypatch.setattr(pipes, "_PUSHED", 100)
    monkeypatch.setattr(pipes, "_LEAVES", 0.1)
    world = World(ledger=Ledger.open(tmp_path / "hessra.db"))
    async with aclosing(world.ledger), relayed(world, tmp_path) as line:
        call = line.call("late")
        await line.until_got(lambda one: one["method"] == "tools/call")
        ping = line.ask("ping", text="x" * 100_000)  # more than fits into a pipe
        line.send({"method": "notifications/cancelled", "params": {"requestId": ping, "reason": "y" * 200}})
        told = await line.receive()
        assert (told["id"], told["error"]["message"]) == (call, "the server ended")
    records = Store("sqlite", str(tmp_path / "hessra.db"), tmp_path).records()
    assert [one["outcome"] for one in records if "outcome" in one] == ["cancelled"]


async def test_the_servers_own_status_is_the_relays(world: World, tmp_path: Path) -> None:
    async with relayed(world, tmp_path, "three") as line:
        pass
    assert line.status == 3


async def test_a_server_is_gone_when_it_has_ended_whatever_it_leaves_behind(
    world: World, tmp_path: Path
) -> None:
    line = Line(world, tmp_path)
    stdin, stdout = line.ends
    left = ["sh", "-c", "sleep 600 & exit 5"]
    assert await proxy_stdio(RequestAuthorizer(world.guard), left, stdin=stdin, stdout=stdout) == 5
    line.close()


async def test_a_server_that_does_not_end_is_ended_with_all_that_it_started(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipes, "_LEAVES", 0.1)
    monkeypatch.setattr(pipes, "_STOPS", PATIENCE)
    async with relayed(world, tmp_path, "deaf", "parent") as line:
        child = (await line.until_got(lambda one: "child" in one))["child"]
        line.hang_up()
        await line.until_got(lambda one: one.get("method") == "stop")
        pass_time(PATIENCE)
    assert line.status == 128 + 9
    assert is_dead(child)


async def test_a_relay_that_is_cancelled_ends_the_server(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = Line(world, tmp_path)
    async with anyio.create_task_group() as group:
        stdin, stdout = line.ends
        command = line.command("parent")
        group.start_soon(
            lambda: proxy_stdio(RequestAuthorizer(world.guard), command, stdin=stdin, stdout=stdout)
        )
        child = (await line.until_got(lambda one: "child" in one))["child"]
        group.cancel_scope.cancel()
    assert is_dead(child)
    line.close()


async def test_a_client_that_leaves_in_the_middle_of_a_call_ends_it(world: World, tmp_path: Path) -> None:
    async with relayed(world, tmp_path) as line:
        line.call("silent")
        await line.until_got(lambda one: one["method"] == "tools/call")
    assert line.status == 0


async def test_a_client_that_does_not_listen_any_more_ends_the_relay(world: World, tmp_path: Path) -> None:
    async with relayed(world, tmp_path) as line:
        os.close(line._from)
        line._from = line.ends[0]  # closed once more, which does no harm
        line.call("flood")
        await line.until_got(lambda one: one["method"] == "tools/call")
        line.send(b"{")
        await line.ended()
    assert line.status == 0


async def test_what_is_no_message_is_left_out(
    world: World, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with relayed(world, tmp_path) as line:
        id = line.call("junk")
        assert (await line.receive())["id"] == id
    assert [one.getMessage() for one in caplog.records if one.levelno == logging.WARNING] == [
        "a line that the server wrote is not JSON: left out",
        "a line that the server wrote is not one message: left out",
        "a line that the server wrote is not one message: left out",
        "a line that the server wrote is neither a request nor a response: left out",
    ]


async def test_an_answer_that_nobody_asked_for_goes_nowhere(world: World, tmp_path: Path) -> None:
    """And what two readers would read differently is written anew."""
    async with relayed(world, tmp_path) as line:
        id = line.call("odd")
        assert (
            await line.raw()
            == json.dumps({"jsonrpc": "2.0", "id": id, "result": {"odd": 1}}, separators=(",", ":")).encode()
        )


async def test_a_server_cannot_pose_as_its_guard(world: World, tmp_path: Path) -> None:
    async with relayed(world, tmp_path, "forges") as line:
        line.call("echo")
        assert (await line.receive())["error"]["data"] == {"own": 1}
        assert (await line.receive())["result"] == {"_meta": {"own": 1}}


async def test_a_message_of_the_server_is_one_line_to_every_reader(world: World, tmp_path: Path) -> None:
    async with relayed(world, tmp_path, "breaks") as line:
        line.call("echo")
        raw = await line.raw()
    assert len(raw.decode().splitlines()) == 1
    assert json.loads(raw)["result"] == {"text": "a\u2028b"}


async def test_a_server_that_takes_nothing_holds_up_no_later_request(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with relayed(world, tmp_path, "stuck", timeout=300) as line:
        await line.send_large(_frame(f'{{"x":"{"y" * (2 << 20)}"}}', "ping").encode())
        for _ in range(100):
            line.send({"method": "notifications/initialized"})
        line.send({"id": 2, "method": "ping"})
        async with time_flies(pace=2):  # a timeout for each of them would take longer than a test may
            assert [(await line.receive())["id"] for _ in range(2)] == [1, 2]
        monkeypatch.setattr(pipes, "_LEAVES", 0.1)


@pytest.mark.parametrize(
    ("count", "long", "said"),
    [(3000, "", "4,096 items"), (1, "x" * 3_000_000, "8 MiB"), (0, "x" * 5_000_000, "8 MiB")],
    ids=["many", "large", "cursors"],
)
async def test_a_list_without_measure_is_given_up_soon(count: int, long: str, said: str) -> None:
    """The refusal says which measure."""
    asked: list[str] = []

    async def ask(method: str, params: dict[str, Any]) -> dict[str, Any]:
        asked.append(method)
        tools = [{"name": f"{len(asked)} {number}{long}"} for number in range(count)]
        return {"result": {"tools": tools, "nextCursor": f"{len(asked)}{long}"}}

    with pytest.raises(Denied) as caught:
        await list_all(ask, "tools/list", {})
    assert (caught.value.reason, len(asked)) == (Reason.UNAVAILABLE, 2)
    assert said in str(caught.value)


async def test_a_message_of_the_server_that_is_too_large_is_left_out(world: World, tmp_path: Path) -> None:
    """Its own request is told so at once, whatever else waits."""
    async with relayed(world, tmp_path, timeout=math.inf, max_answer=69_000) as line:
        silent, big = line.call("silent"), line.call("big")
        told = await line.receive()
        assert (told["id"], told["error"]["message"]) == (big, "the server's message is too large")
        assert silent != big
    async with relayed(world, tmp_path, max_answer=71_000) as line:
        line.call("big")
        assert len((await line.receive())["result"]["text"]) == 70_000


async def test_the_only_request_that_waits_is_told_at_once_that_its_answer_is_too_large(
    world: World, tmp_path: Path
) -> None:
    """The server has acted, as far as anybody knows: the call is not on record as failed."""
    world = World(ledger=Ledger.open(tmp_path / "hessra.db"))
    async with (
        aclosing(world.ledger),
        relayed(world, tmp_path, timeout=math.inf, max_answer=69_000) as line,
    ):
        id = line.call("big")
        told = await line.receive()
        assert (told["id"], told["error"]["message"]) == (id, "the server's message is too large")
    records = Store("sqlite", str(tmp_path / "hessra.db"), tmp_path).records()
    assert [one["outcome"] for one in records if "outcome" in one] == ["cancelled"]


async def test_a_limit_for_answers_is_positive(world: World) -> None:
    with pytest.raises(ValueError, match="max_answer"):
        await proxy_stdio(RequestAuthorizer(world.guard), ["true"], max_answer=0)


async def test_every_word_about_a_request_buys_time(world: World, tmp_path: Path) -> None:
    """By the token of its progress, whatever else waits."""
    async with relayed(world, tmp_path, "progresses", timeout=300) as line:
        other = line.call("silent")
        id = line.call("echo", {CAPABILITY: line.token, "progressToken": "p"})
        late = []
        while "result" not in (told := await line.receive()):
            if "error" in told:
                late.append(told["id"])
            else:
                pass_time(200)
                line.send({"method": "notifications/progress", "params": {}})
        assert (told["id"], late) == (id, [other])


async def test_a_question_to_a_person_buys_ten_minutes(world: World, tmp_path: Path) -> None:
    """For everything that waits, because it may be about any of it."""
    async with relayed(world, tmp_path, timeout=300) as line:
        silent, asks = line.call("silent"), line.call("asks")
        assert (await line.receive())["method"] == "sampling/createMessage"
        pass_time(599)
        line.send({"id": "q1", "result": {}})
        assert (await line.receive())["id"] == asks
        pass_time(1)
        told = await line.receive()
        assert (told["id"], told["error"]["message"]) == (silent, "there was no answer within 300 seconds")


async def test_a_client_that_does_not_read_for_a_while_gets_everything(world: World, tmp_path: Path) -> None:
    """Nine megabytes, while the relay keeps no more than one and blocks nobody."""
    async with relayed(world, tmp_path) as line:
        id = line.call("flood")
        await line.until_got(lambda one: one["method"] == "tools/call")
        await anyio.sleep(0.2)
        numbers = [(await line.receive())["params"]["number"] for _ in range(1000)]
        assert numbers == [*range(1000)]
        assert (await line.receive())["id"] == id


async def test_the_last_words_of_a_server_are_heard(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a client that has nothing more to ask, and reads a little later."""
    for module in (relaying, processes):
        monkeypatch.setattr(module, "_LAST_WORDS", PATIENCE)
    async with relayed(world, tmp_path) as line:
        line.call("flood", x=90)
        await line.until_got(lambda one: one["method"] == "tools/call")
        line.hang_up()
        await anyio.sleep(0.3)
        assert [(await line.receive())["method"] for _ in range(90)] == ["notifications/message"] * 90
        assert (await line.receive())["id"] == 1


async def test_a_server_cannot_answer_what_it_was_not_asked_yet(world: World, tmp_path: Path) -> None:
    async with relayed(world, tmp_path, "guesses") as line:
        line.call("echo")
        assert "n" in (await line.receive())["result"]


async def test_a_list_shows_what_the_capability_reaches(world: World, tmp_path: Path) -> None:
    async with relayed(world, tmp_path) as line:
        line.ask("tools/list", {})
        bare = (await line.receive())["result"]
        assert bare["tools"] == []
        assert bare["nextCursor"] == "2"
        token = world.issue(grant("late", x=3)).token
        line.ask("tools/list", {CAPABILITY: token}, cursor="2")
        shown = (await line.receive())["result"]
        assert [tool["name"] for tool in shown["tools"]] == ["late"]
        assert shown["tools"][0]["inputSchema"]["properties"]["x"]["const"] == 3
        assert (shown["cacheScope"], shown["ttlMs"]) == ("private", 0)


async def test_the_relays_own_questions_are_the_callers_in_all_but_the_id(
    world: World, tmp_path: Path
) -> None:
    """All pages, in the era of the call; without the capability, and without its progress."""
    async with relayed(world, tmp_path) as line:
        line.let_late_answers_go()
        line.call("late", {CAPABILITY: line.token, "progressToken": 7, **MODERN})
        assert "result" in await line.receive()
    first, second, call = line.got()
    assert first["params"] == {"_meta": MODERN}
    assert second["params"] == {"_meta": MODERN, "cursor": "2"}
    assert call["params"]["_meta"] == {"progressToken": 7, **MODERN}
    assert 1 << 30 <= first["id"] < 1 << 31
    assert first["id"] != second["id"]


async def test_a_definition_that_changes_is_neither_shown_nor_called(world: World, tmp_path: Path) -> None:
    """A rug pull: the tool is what it was when it was approved, or it is not there."""
    schema = {"type": "object", "properties": {"x": {"type": "integer"}}}
    pins = Pins.of("odd", [{"name": name, "inputSchema": schema} for name in TOOLS])
    async with relayed(world, tmp_path, gate=RequestAuthorizer(world.guard, pins=pins)) as line:
        line.ask("tools/list")
        assert len((await line.receive())["result"]["tools"]) == 5
        line.call("changes")
        assert (await line.receive())["method"] == "notifications/tools/list_changed"
        assert "result" in await line.receive()
        line.call("echo")
        assert "has changed since it was approved" in (await line.receive())["result"]["content"][0]["text"]
        line.ask("tools/list")
        assert (await line.receive())["result"]["tools"] == []


async def test_what_the_server_asks_goes_to_the_client_and_back(world: World, tmp_path: Path) -> None:
    async with relayed(world, tmp_path) as line:
        line.call("asks")
        asked = await line.raw()
        assert b'"params": {"unknown": [1.5]}' in asked
        line.send({"id": "q1", "result": {"unknown": {"a": 1}, "_meta": {CAPABILITY: "x", "y": 1}}})
        answer = (await line.receive())["result"]["got"]
        assert answer == {"jsonrpc": "2.0", "id": "q1", "result": {"unknown": {"a": 1}, "_meta": {"y": 1}}}


async def test_an_answer_to_no_question_goes_nowhere(world: World, tmp_path: Path) -> None:
    """Nor does a second answer to the same question, or one to a question that the server took back."""
    async with relayed(world, tmp_path, "recalls") as line:
        line.send({"id": "q1", "result": {}})
        line.call("echo")
        asked = [await line.receive() for _ in range(3)]
        assert [one["id"] for one in asked[:2]] == ["q1", "q2"]
        assert asked[2]["params"] == {"requestId": "q2"}
        for id in ("q1", "q1", "q2"):
            line.send({"id": id, "result": {}})
        assert "result" in await line.receive()
    assert [one["id"] for one in line.got() if "method" not in one] == ["q1"]


async def test_what_the_server_asks_without_end_is_refused(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "MAX_QUESTIONS", 1)
    async with relayed(world, tmp_path, "recalls") as line:
        line.call("echo")
        assert (await line.receive())["id"] == "q1"
        told = await line.until_got(lambda one: one.get("id") == "q2")
        assert told["error"]["message"] == "there is no client that could be asked"


async def test_a_notification_that_the_protocol_does_not_know_needs_a_capability(
    world: World, tmp_path: Path
) -> None:
    async with relayed(world, tmp_path) as line:
        for name in ("notifications/undo", "notifications/do", "notifications/roots/list_changed"):
            line.send({"method": name, "params": {"_meta": {CAPABILITY: line.token}}})
        line.ask("ping", {})
        await line.receive()
    told = ["notifications/do", "notifications/roots/list_changed", "ping"]
    assert [one["method"] for one in line.got()] == told
    assert line.token not in line.log.read_text()


async def test_a_request_without_an_id_goes_nowhere(world: World, tmp_path: Path) -> None:
    """Not even one that needs no capability: its answer would belong to nobody, and would not be filtered."""
    async with relayed(world, tmp_path) as line:
        for name in ("initialize", "tools/list", "resources/list", "ping", "logging/setLevel"):
            line.send({"method": name, "params": {}})
        line.ask("ping", {})
        await line.receive()
    assert [one.get("id") for one in line.got()] == [1]


async def test_a_call_that_wants_no_answer_is_no_call(world: World, tmp_path: Path) -> None:
    """And keeps nobody else from calling."""
    async with relayed(world, tmp_path) as line:
        line.send({"method": "tools/call", "params": {"name": "echo", "_meta": {CAPABILITY: line.token}}})
        line.call("echo")
        assert "result" in await line.receive()
        line.send({"method": "tools/call", "params": {"name": "echo", "_meta": {CAPABILITY: line.token}}})
        line.ask("ping", {})
        await line.receive()
    assert [one["method"] for one in line.got()].count("tools/call") == 1


async def test_the_same_proved_request_again_has_the_same_answer(world: World, tmp_path: Path) -> None:
    """Under its own id, and the tool runs once."""
    key = KeyPair.generate()
    capability = world.issue(grant("echo", x=must.optional()), holder=key.public)
    proof = capability.prove(Call.of("echo", {"x": 1}), key=key, audience="mail", now=world.now)
    meta = {CAPABILITY: capability.token, PROOF: proof.token}
    async with relayed(world, tmp_path) as line:
        first = line.call("echo", meta, x=1)
        answer = await line.receive()
        second = line.call("echo", meta, x=1)
        assert await line.receive() == {**answer, "id": second}
        line.call("echo", meta, x=2)
        assert (await line.receive())["result"]["isError"]
    assert first != second
    assert [one["method"] for one in line.got()].count("tools/call") == 1


async def test_arguments_are_parsed_once_behind_the_message(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the frozen bytes that were decided on, for the server alone."""
    copies: list[Call] = []
    copy = Call.arguments

    def counted(call: Call) -> Any:
        copies.append(call)
        return copy.__get__(call)

    monkeypatch.setattr(Call, "arguments", property(counted))
    async with relayed(world, tmp_path) as line:
        line.call("echo", x=1)
        await line.receive()
        assert [one.tool for one in copies] == ["echo"]


async def test_a_ledger_that_takes_its_time_holds_up_nobody(tmp_path: Path) -> None:
    class Slow(Ledger):
        async def admit(self, permit: Any, op: bytes) -> None:
            if permit.call.arguments.get("x") == 1:
                await anyio.sleep_forever()

    world = World(ledger=Slow.memory())
    async with relayed(world, tmp_path, timeout=300) as line:
        slow, quick = line.call("echo", x=1), line.call("echo", x=2)
        assert (await line.receive())["id"] == quick
        pass_time(300)
        assert (await line.receive())["id"] == slow
    assert [one["params"]["arguments"]["x"] for one in line.got() if one["method"] == "tools/call"] == [2]


async def test_requests_may_come_from_a_file(world: World, tmp_path: Path) -> None:
    """Which no event loop can wait for; so may answers go into one."""
    line = Line(world, tmp_path)
    asked = tmp_path / "asked"
    frames = [{"jsonrpc": "2.0", "id": n, "method": "ping", "params": {"x": "y" * 9000}} for n in range(99)]
    asked.write_text("\n".join(map(json.dumps, frames)))
    with asked.open("rb") as stdin, (tmp_path / "told").open("wb") as stdout:
        gate = RequestAuthorizer(world.guard)
        status = await proxy_stdio(gate, line.command(), stdin=stdin.fileno(), stdout=stdout.fileno())
    told = [json.loads(one)["id"] for one in (tmp_path / "told").read_text().splitlines()]
    assert (status, told) == (0, [*range(99)])
    line.close()


async def test_a_server_that_cannot_be_started_is_no_server(world: World, tmp_path: Path) -> None:
    for command in (["/nonesuch"], [str(tmp_path)]):
        with pytest.raises(StartError):
            await proxy_stdio(RequestAuthorizer(world.guard), command)


def taken_descriptors() -> list[int]:
    """All that there still are."""
    taken: list[int] = []
    with suppress(OSError):
        while True:
            taken.append(os.dup(0))
    return taken


async def test_a_start_that_fails_keeps_no_descriptors() -> None:
    """Whichever of those that it needs is the first that is missing."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(map(int, os.listdir("/proc/self/fd"))) + 9, hard))
    held = taken_descriptors()
    try:
        for free in range(1, 8):
            os.close(held.pop())
            with pytest.raises(StartError):
                async with ChildProcess.start(["cat"], max_bytes=1):
                    pass
            found = taken_descriptors()
            for fd in found:
                os.close(fd)
            assert len(found) == free
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for fd in held:
            os.close(fd)


async def test_tokens_are_in_no_log_at_any_level(
    world: World, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with relayed(world, tmp_path) as line:
        for name in ("echo", "junk", "odd", "nonesuch"):
            line.call(name)
            await line.receive()
        line.send(f'{{"id": "{line.token}"'.encode())
        await line.receive()
    assert line.token[:40] not in caplog.text


async def test_too_many_requests_that_wait_are_refused(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not kept: a client cannot fill the memory with them."""
    monkeypatch.setattr(processes, "MAX_WAITING", 20_000)
    async with relayed(world, tmp_path) as line:
        for _ in range(5):
            line.call("silent")
        told = await line.receive()
        assert (told["id"], told["error"]["code"]) == (4, -32603)


async def test_a_pipe_takes_all_or_nothing_of_a_line() -> None:
    """Who waits to write and is cancelled has written nothing."""
    read, write = os.pipe()
    outlet = LineWriter(write)
    for _ in range(3):
        outlet.send_nowait(b"x" * 600_000)
    with anyio.move_on_after(0.05) as scope:
        await outlet.send(b"never")
    assert scope.cancelled_caught
    lines = LineReader(read, 1 << 20)
    async with anyio.create_task_group() as group:
        group.start_soon(outlet.run)
        assert [await lines.__anext__() for _ in range(3)] == [b"x" * 600_000] * 3
        await outlet.send(b"last")
        assert await lines.__anext__() == b"last"
        outlet.close()
    with pytest.raises(anyio.BrokenResourceError):
        await outlet.send(b"nobody reads")
    os.close(read)


async def test_what_is_written_without_waiting_has_a_limit() -> None:
    """A reader that never takes it counts as gone."""
    read, write = os.pipe()
    outlet = LineWriter(write)
    for _ in range(5):
        assert not outlet.broken
        outlet.send_nowait(b"x" * 1_000_000)
    with pytest.raises(anyio.BrokenResourceError):
        await outlet.send(b"nobody reads")
    os.close(read)
    os.close(write)


async def test_of_a_line_that_is_too_long_its_ends_are_kept() -> None:
    read, write = os.pipe()
    lines = LineReader(read, 2000)
    for size in (2001, 50_000):
        os.write(write, b"a" * 1024 + b"x" * (size - 2048) + b"z" * 1024 + b"\nnext\n")
        assert await lines.__anext__() == LongLine(b"a" * 1024, b"z" * 1024)
        assert await lines.__anext__() == b"next"
    os.close(write)
    with pytest.raises(StopAsyncIteration):
        await lines.__anext__()
    os.close(read)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 10_000])
async def test_however_bytes_are_cut_the_lines_are_the_same(size: int) -> None:
    """Those that are blank are left out."""
    data = b"\n\n \r\n{}\r\n\r\n" + b"a" * 1024 + b"x" * 5000 + b"z" * 1024 + b"\n\nlast"
    read, write = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)  # each piece is read by itself

    async def send() -> None:
        with write:
            for at in range(0, len(data), size):
                await anyio.wait_writable(write)
                write.send(data[at : at + size])

    with read:
        async with anyio.create_task_group() as group:
            group.start_soon(send)
            found = [line async for line in LineReader(read.fileno(), 2000)]
    assert found == [b"{}\r", LongLine(b"a" * 1024, b"z" * 1024), b"last"]


async def test_a_file_takes_a_large_line_too(tmp_path: Path) -> None:
    with (tmp_path / "file").open("wb") as file:
        outlet = LineWriter(file.fileno())
        async with anyio.create_task_group() as group:
            group.start_soon(outlet.run)
            await outlet.send(b"x" * 1_000_000)
            await outlet.flush()
            group.cancel_scope.cancel()
    assert (tmp_path / "file").stat().st_size == 1_000_001
