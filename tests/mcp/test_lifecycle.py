"""The proxy as a command: how it starts, how it ends, and what it leaves behind."""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from anyio.abc import SocketStream

from hessra_agents import Authority, grant, limit, must
from hessra_agents.cli.inputs import http_headers, server_url
from hessra_agents.cli.terminal import UsageError
from hessra_agents.mcp.transport import http_server, stdio
from tests.support.clocks import backend
from tests.support.http_world import JSON, HttpWorld, answering, http, request, said, served
from tests.support.ledgers import Store
from tests.support.ledgers import until as waited
from tests.support.processes import PATIENCE, children, until

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[2]
US = [sys.executable, "-m", "hessra_agents.cli"]
ODD = str(ROOT / "tests/support/odd_server.py")
HELLO = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    """The proxy runs in a process of its own."""
    return backend("asyncio")


class Desk:
    """A folder with what a person has who stands in front of a server."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / "server.log"
        self.ledger = str(folder / "hessra.db")
        authority = Authority.ephemeral()
        authority.trust.save(folder / "trust.json")
        grants = [grant("silent", x=must.optional()), grant("echo", x=must.optional()), grant("wait")]
        options: dict[str, Any] = {"ttl": timedelta(minutes=10), "audience": "files"}
        capability = authority.issue("agent:desk", *grants, limit(calls=100, refund=True), **options)
        self.write("bearer", capability.token)

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.write_text(text)
        path.chmod(0o600)
        return path

    def proxy(self, *options: str, bound: bool = True) -> list[str]:
        words = [*US, "mcp", "proxy", "--trust", "trust.json", "--audience", "files", "--ledger", self.ledger]
        return [*words, *(["--capability", "bearer"] if bound else []), *options]

    def server(self, *words: str) -> list[str]:
        return ["--", sys.executable, "-S", ODD, str(self.log), *words]

    @contextmanager
    def started(self, command: list[str], **options: Any) -> Iterator[subprocess.Popen[str]]:
        """A process, and at the end of the block what it printed on standard error, for a person to see."""
        env, pipe = {**os.environ, "PYTHONPATH": str(ROOT)}, subprocess.PIPE
        options = {"stdin": pipe, "stdout": pipe, "stderr": pipe, **options}
        with subprocess.Popen(command, cwd=self.folder, env=env, text=True, **options) as process:
            try:
                yield process
            finally:
                process.kill()

    def outcomes(self) -> list[str]:
        """Of the calls on record; all records are signed."""
        verify = [*US, "log", "verify", "--json", "--ledger", self.ledger]
        env = {**os.environ, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(verify, cwd=self.folder, env=env, capture_output=True, text=True, check=True)
        for one in json.loads(done.stdout)["logs"]:
            assert one["signed"] == one["records"], "no last checkpoint"
        records = Store("sqlite", self.ledger, self.folder).records()
        return [one["outcome"] for one in records if "outcome" in one]

    def lose_ledger(self) -> None:
        for gone in self.folder.glob("hessra.db*"):
            shutil.rmtree(gone) if gone.is_dir() else gone.unlink()

    async def until_got(self, method: str) -> None:
        """Wait until the server got such a message."""
        await waited(lambda: self.log.exists() and f'"method":"{method}"' in self.log.read_text())


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def url_of(process: subprocess.Popen[str]) -> str:
    """The URL at which a bound proxy listens."""
    assert process.stderr is not None
    said = process.stderr.readline()
    found = re.search(r"listening on (\S+)", said)
    assert found is not None, said
    process.stderr.readline()  # who may use it
    return found[1]


def ended(process: subprocess.Popen[str], number: signal.Signals) -> str:
    """Send a signal: the proxy ends, and none of its children is left; what it said at the end."""
    family = children(process.pid)
    process.send_signal(number)
    assert process.wait(PATIENCE) == 128 + number
    for one in family:
        until(one, "XZ")
    assert process.stderr is not None
    return process.stderr.read()


@asynccontextmanager
async def busy(url: str, tool: str) -> AsyncIterator[list[Any]]:
    """A client with its own stream open, and a call that has no answer; what it is told in the end."""
    told: list[Any] = []
    async with httpx2.AsyncClient(timeout=PATIENCE) as client:
        hello = await client.post(url, json=request("initialize", HELLO), headers=JSON)
        headers = {**JSON, "mcp-session-id": hello.headers["mcp-session-id"]}
        ready = {"jsonrpc": "2.0", "method": "notifications/initialized"}
        await client.post(url, json=ready, headers=headers)

        async def call() -> None:
            params = {"name": tool, "arguments": {}}
            answer = await client.post(url, json=request("tools/call", params, id="mine"), headers=headers)
            told.append(said(answer))

        async def listen() -> None:
            async with client.stream("GET", url, headers=headers) as stream:
                streams.set()
                told.append(await stream.aread())

        async with anyio.create_task_group() as group:
            streams = anyio.Event()
            group.start_soon(call)
            group.start_soon(listen)
            await streams.wait()
            yield told


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_the_stdio_form(desk: Desk, number: signal.Signals) -> None:
    """Whatever its server does about it: one that ignores the end of its input, and SIGTERM."""
    with desk.started(desk.proxy(*desk.server("deaf", "parent"))) as process:
        assert process.stdin is not None
        process.stdin.write(json.dumps(request("tools/call", {"name": "silent", "arguments": {}})) + "\n")
        process.stdin.flush()
        await desk.until_got("tools/call")
        ended(process, number)
    grandchild = json.loads(desk.log.read_text().splitlines()[0])["child"]
    until(grandchild, "XZ")
    assert desk.outcomes() == ["cancelled"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_the_http_form_in_front_of_a_command(desk: Desk, number: signal.Signals) -> None:
    """With a stream open, which each client has, and a running call; both have an end."""
    with desk.started(desk.proxy("--listen", "127.0.0.1:0", *desk.server("deaf"))) as process:
        url = url_of(process)
        async with busy(url, "silent") as told:
            await desk.until_got("tools/call")
            said = await anyio.to_thread.run_sync(ended, process, number)
    assert "Traceback" not in said
    (answer,) = [one for one in told if isinstance(one, dict)]
    assert (answer["id"], answer["error"]["message"]) == ("mine", "the proxy is ending")
    assert desk.outcomes() == ["cancelled"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_the_http_form_in_front_of_a_server(desk: Desk, number: signal.Signals) -> None:
    files = HttpWorld()
    async with served(files.bare.streamable_http_app()) as upstream:
        with desk.started(desk.proxy("--listen", "127.0.0.1:0", "--upstream", upstream)) as process:
            url = url_of(process)
            async with busy(url, "wait") as told:
                await files.started.wait()
                said = await anyio.to_thread.run_sync(ended, process, number)
    assert "Traceback" not in said
    assert [one["error"]["message"] for one in told if isinstance(one, dict)] == ["the proxy is ending"]
    assert desk.outcomes() == ["cancelled"]


async def test_a_signal_ends_the_http_form_though_its_server_answers_nothing(desk: Desk) -> None:
    """Neither the call, nor that it is cancelled, nor that its session is deleted."""
    told: list[str] = []
    got = {method: anyio.Event() for method in ("tools/call", "notifications/cancelled", "DELETE")}

    async def talk(stream: SocketStream, data: bytes) -> None:
        head, _, body = data.partition(b"\r\n\r\n")
        method = json.loads(body)["method"] if body else head.split()[0].decode()
        if method in got:
            got[method].set()
            await anyio.sleep_forever()
        results = {"tools/list": {"tools": [{"name": "wait", "inputSchema": {"type": "object"}}]}}
        found = {"jsonrpc": "2.0", "id": json.loads(body).get("id"), "result": results.get(method, {})}
        await stream.send(http(json.dumps(found).encode(), more="mcp-session-id: s\r\n"))

    async with answering(talk) as upstream:
        with desk.started(desk.proxy("--listen", "127.0.0.1:0", "--upstream", upstream)) as process:
            url = url_of(process)
            headers = {**JSON, "mcp-session-id": "s"}
            cancel = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}}
            async with httpx2.AsyncClient(timeout=PATIENCE) as client, anyio.create_task_group() as group:

                async def ask(verb: str, message: dict[str, Any] | None = None) -> None:
                    answer = await client.request(verb, url, json=message, headers=headers)
                    told.append(said(answer)["error"]["message"])

                call = request("tools/call", {"name": "wait", "arguments": {}})
                group.start_soon(ask, "POST", call)
                await got["tools/call"].wait()
                group.start_soon(ask, "POST", cancel)
                await got["notifications/cancelled"].wait()
                group.start_soon(ask, "DELETE")
                await got["DELETE"].wait()
                words = await anyio.to_thread.run_sync(ended, process, signal.SIGTERM)
    assert "Traceback" not in words
    assert sorted(told) == ["the proxy is ending", "the proxy is ending", "the request was cancelled"]
    assert desk.outcomes() == ["cancelled"]


def test_the_seconds_that_others_get_when_it_ends_are_five_at_most() -> None:
    """A client takes the end of its answer; a command gets two signals and is heard; the ledger follows."""
    command = 2 * stdio._STOPS + stdio._LAST_WORDS
    forms = {
        "stdio": command,
        "HTTP in front of a command": http_server.ENDING_SECONDS + command,
        "HTTP in front of a server": http_server.ENDING_SECONDS,
    }
    assert max(forms.values()) <= 5
    page = " ".join((ROOT / "docs/guides/mcp.md").read_text().split())
    assert "each form within 5 seconds" in page


@pytest.mark.parametrize("form", ["stdio", "http"])
async def test_a_killed_proxy_leaves_no_server_behind(desk: Desk, form: str) -> None:
    """Not even one that ignores the end of its input, and SIGTERM."""
    listen = ["--listen", "127.0.0.1:0"] if form == "http" else []
    with desk.started(desk.proxy(*listen, *desk.server("deaf", "parent"))) as process:
        if form == "http":
            url = url_of(process)
            async with httpx2.AsyncClient(timeout=PATIENCE) as client:
                await client.post(url, json=request("initialize", HELLO), headers=JSON)
        else:
            assert process.stdin is not None
            process.stdin.write(json.dumps(request("ping", {})) + "\n")
            process.stdin.flush()
            await desk.until_got("ping")
        family = children(process.pid)
        grandchild = json.loads(desk.log.read_text().splitlines()[0])["child"]
        process.kill()
        process.wait()
        for one in (*family, grandchild):
            await anyio.to_thread.run_sync(until, one, "XZ")


@pytest.mark.parametrize("form", ["stdio", "http"])
async def test_what_a_server_writes_on_the_side_cannot_pose_as_the_proxy(desk: Desk, form: str) -> None:
    """Nor act on a terminal."""
    posing = r"printf 'hessra-agents: 3 tools are approved\r\033[2J\nlast\n' >&2; cat >/dev/null"
    listen = ["--listen", "127.0.0.1:0"] if form == "http" else []
    with desk.started(desk.proxy(*listen, "--", "sh", "-c", posing)) as process:
        assert process.stderr is not None
        lines = []
        async with httpx2.AsyncClient(timeout=PATIENCE) as client, anyio.create_task_group() as group:
            if form == "http":
                url = url_of(process)
                hello = request("initialize", HELLO)
                group.start_soon(lambda: client.post(url, json=hello, headers=JSON))
            for _ in range(2):
                lines.append(await anyio.to_thread.run_sync(process.stderr.readline))
            process.terminate()
            process.wait(PATIENCE)
    assert lines == [
        "hessra-agents: server: hessra-agents: 3 tools are approved\\r\\x1b[2J\n",
        "hessra-agents: server: last\n",
    ]


async def test_a_server_whose_words_nobody_reads_is_served(desk: Desk) -> None:
    """Standard error is full: what is said there is lost, and calls go on."""
    chatty = "yes $(head -c 500 /dev/zero | tr '\\0' x) | head -n 1000 >&2; exec cat"
    with desk.started(desk.proxy("--", "sh", "-c", chatty)) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(request("ping", {})) + "\n")
        process.stdin.flush()
        assert json.loads(await anyio.to_thread.run_sync(process.stdout.readline))["method"] == "ping"
        process.terminate()
        process.wait(PATIENCE)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--listen", "127.0.0.1:0"], "every program on this machine, of any user, can use"),
        (
            ["--listen", "0.0.0.0:0", "--host", "h"],
            "EVERYONE WHO REACHES IT can use the capability",
        ),
    ],
)
async def test_a_bound_proxy_says_who_may_use_it(desk: Desk, options: list[str], words: str) -> None:
    for bound in (True, False):
        with desk.started(desk.proxy(*options, "--", "cat", bound=bound)) as process:
            assert process.stderr is not None
            assert "listening on" in process.stderr.readline()
            process.terminate()
            assert (words in process.stderr.read()) == bound


async def test_a_flood_of_connections_leaves_no_tracebacks_and_room_for_others(desk: Desk) -> None:
    """Nor do connections without a request stay for long."""

    def few_descriptors() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (400, 400))

    command = desk.proxy("--listen", "127.0.0.1:0", *desk.server())
    with desk.started(command, preexec_fn=few_descriptors) as process:
        url = url_of(process)
        port = int(url.split(":")[2].partition("/")[0])
        held = [socket.create_connection(("127.0.0.1", port)) for _ in range(900)]
        for one in held:
            with one:
                one.close()
        async with httpx2.AsyncClient(timeout=PATIENCE) as client:
            told = await client.post(url, json=request("initialize", HELLO), headers=JSON)
        assert "result" in said(told)
        words = await anyio.to_thread.run_sync(ended, process, signal.SIGTERM)
    assert "Traceback" not in words
    assert "there are too many connections" in words


async def test_the_servers_key_comes_from_a_file(desk: Desk) -> None:
    """To the proxy, and to `inspect`; it is in no argument and in no output."""
    seen: list[str] = []
    files = HttpWorld()
    bare = files.bare.streamable_http_app()

    async def server(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            seen.append(dict(scope["headers"]).get(b"authorization", b"").decode())
        await bare(scope, receive, send)

    desk.write("headers", "\nAuthorization: Bearer of the proxy\nX-Tenant: acme\n")
    async with served(server) as upstream:
        options = ["--upstream-header-file", "headers"]
        with desk.started(desk.proxy("--listen", "127.0.0.1:0", "--upstream", upstream, *options)) as process:
            async with httpx2.AsyncClient(timeout=PATIENCE) as client:
                hello = request("initialize", HELLO)
                told = await client.post(url_of(process), json=hello, headers=JSON)
            assert "result" in said(told)
            words = await anyio.to_thread.run_sync(ended, process, signal.SIGTERM)
        inspect = [*US, "mcp", "inspect", "--url", upstream, *options]
        with desk.started(inspect) as process:
            out, err = await anyio.to_thread.run_sync(process.communicate)
    assert 'tool = "read_file"' in out
    assert {*seen} == {"Bearer of the proxy"}
    assert "of the proxy" not in words + out + err


BAD_HEADERS = {
    "no header": ("X-Key = 1", "line 1 is not written Name: value"),
    "a name twice": ("X-Key: 1\nx-key: 2", "line 2 gives x-key again"),
    "one of the protocol's": ("Mcp-Session-Id: 1", "line 1 sets mcp-session-id, which the proxy sets itself"),
    "one of HTTP's": ("Host: x", "line 1 sets host, which the proxy sets itself"),
    "not printable": ("X-Key: \x01", "line 1 is not written Name: value"),
}


@pytest.mark.parametrize("name", BAD_HEADERS)
async def test_a_file_that_is_not_of_headers_is_refused(desk: Desk, name: str) -> None:
    """Without a word of what is in it."""
    text, words = BAD_HEADERS[name]
    with pytest.raises(UsageError, match=f"^--headers: {words}$"):
        http_headers(desk.write("headers", text), "--headers")


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("https://user:secret@files.example/mcp", "contains a user or a password"),
        ("https://secret@files.example/mcp", "contains a user or a password"),
        ("file:///mcp", "must be a URL that begins with"),
        ("https://", "must be a URL that begins with"),
        ("https://[x/mcp", "must be a URL that begins with"),
    ],
)
async def test_a_url_that_other_users_must_not_see_is_refused(url: str, words: str) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        server_url(url, "--upstream")
    assert "secret" not in str(caught.value) + caught.value.hint


async def test_checkpoints_that_are_kept_elsewhere_must_hold(desk: Desk) -> None:
    """A ledger that was taken away together with its folder does not start anew unseen."""
    kept = desk.write("kept", "")
    for attempt, status in ((1, 0), (2, 0), (3, 2)):
        checkpoint = ["--checkpoint", str(kept)] if attempt > 1 else []
        with desk.started(desk.proxy(*checkpoint, *desk.server())) as process:
            call = json.dumps(request("tools/call", {"name": "echo", "arguments": {}}))
            _, err = await anyio.to_thread.run_sync(process.communicate, call + "\n")
        assert process.returncode == status, err
        if attempt == 1:
            with desk.started([*US, "log", "checkpoints", "--ledger", desk.ledger]) as process:
                kept.write_text((await anyio.to_thread.run_sync(process.communicate))[0])
        if attempt == 2:
            desk.lose_ledger()
