"""Programs that others wrote, started the way their users start them.

Everything here takes a command or a URL, so that what stands behind a guard is tested as what does not:
a guard's command goes in front of the server's (``[*guard, *server.command]``), or its URL replaces the
server's. ``make real`` installs what the commands name.
"""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Literal, TypeVar

from tests.support.network import held_port

ROOT = Path(__file__).parents[2]
NODE = str(ROOT / ".venv-node/bin/node")
MODULES = Path(__file__).parent / "node_modules"
NPM = MODULES / "@modelcontextprotocol"
EVERYTHING = (sys.executable, "-m", "tests.real.everything")
"""Our own server with one of everything; it serves standard input and output, or ``--port N``."""

Era = Literal["legacy", "modern"]
Version = Literal["2025-11-25", "2026-07-28"]
Target = str | Sequence[str]
"""A server: its URL, or the command that starts it."""

ENVIRONMENT = {**os.environ, "MCP_INSPECTOR_SECRET_STORE": "memory", "NO_COLOR": "1"}
PATIENCE = 60.0  # seconds that any of these programs gets before it is killed

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Call:
    """A tool and its arguments; ``{tmp}`` in a text stands for the folder of the test."""

    tool: str
    arguments: Mapping[str, Any] = field(default_factory=dict)

    def at(self, tmp: Path) -> Call:
        return Call(self.tool, placed(dict(self.arguments), tmp))


def placed(value: T, tmp: Path) -> T:
    """Return a JSON value, or a command, with ``{tmp}`` replaced in each text."""
    found: Any = value
    if isinstance(value, str):
        found = value.replace("{tmp}", str(tmp))
    elif isinstance(value, dict):
        found = {key: placed(each, tmp) for key, each in value.items()}
    elif isinstance(value, list | tuple):
        found = type(value)(placed(each, tmp) for each in value)
    return found  # type: ignore[no-any-return]


@contextmanager
def serving(command: Sequence[str], path: str = "/mcp") -> Iterator[str]:
    """Run a server until the end of the block; yield its URL once it listens. PORT stands for its port."""
    with held_port() as held:
        port = held.getsockname()[1]
        words = [word.replace("PORT", str(port)) for word in command]
        process = subprocess.Popen(words, cwd=ROOT, env=ENVIRONMENT, stdin=subprocess.DEVNULL)
        try:
            wait_until_it_listens(process, port)
            yield f"http://127.0.0.1:{port}{path}"
        finally:
            stop(process)


@contextmanager
def everything(*options: str) -> Iterator[str]:
    """Serve our own server with one of everything over HTTP; give its URL."""
    with serving([*EVERYTHING, "--port", "PORT", *options]) as url:
        yield url


def wait_until_it_listens(process: subprocess.Popen[Any], port: int) -> None:
    end = time.monotonic() + PATIENCE
    while process.poll() is None and time.monotonic() < end:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise ChildProcessError(f"{process.args!r} does not listen on {port}; exit status {process.poll()}")


def stop(process: subprocess.Popen[Any]) -> int:
    """End a process by its id, with force if it does not end by itself; return its exit status."""
    process.terminate()
    try:
        return process.wait(timeout=5)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


class Conversation:
    """JSON-RPC over the standard input and output of a process, frame by frame.

    Nothing is validated: servers that a strict client refuses to talk to are tested too.
    """

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._sent = 0

    def request(self, method: str, params: Mapping[str, Any]) -> dict[str, Any]:
        """Return the whole answer, with its ``result`` or its ``error``."""
        self._sent += 1
        self.send({"jsonrpc": "2.0", "id": self._sent, "method": method, "params": params})
        for line in self._pipe(self._process.stdout):
            frame: dict[str, Any] = json.loads(line)
            if frame.get("id") == self._sent and "method" not in frame:
                return frame
        raise EOFError(f"no answer to {method}; exit status {self._process.poll()}")

    def call(self, call: Call, meta: Mapping[str, Any] | None = None) -> tuple[bool, str]:
        """Call a tool; return whether it was done, and what was answered."""
        params = {"name": call.tool, "arguments": call.arguments} | ({"_meta": meta} if meta else {})
        answer = self.request("tools/call", params)
        result = answer.get("result", {})
        done = "result" in answer and not result.get("isError")
        return done, json.dumps(answer.get("error") or result)

    def send(self, frame: Mapping[str, Any]) -> None:
        pipe = self._pipe(self._process.stdin)
        pipe.write(json.dumps(frame) + "\n")
        pipe.flush()

    def _pipe(self, pipe: IO[str] | None) -> IO[str]:
        if pipe is None:
            raise ValueError("the process has no pipes")
        return pipe


@contextmanager
def conversation(command: Sequence[str], version: str = "2025-11-25") -> Iterator[Conversation]:
    """Start a server on standard input and output and shake hands; it is killed when it takes too long."""
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, env=ENVIRONMENT, stdin=pipe, stdout=pipe, text=True) as process:
        watchdog = threading.Timer(PATIENCE, process.kill)
        watchdog.start()
        try:
            spoken = Conversation(process)
            spoken.request(
                "initialize",
                {
                    "protocolVersion": version,
                    "capabilities": {},
                    "clientInfo": {"name": "frames", "version": "1"},
                },
            )
            spoken.send({"jsonrpc": "2.0", "method": "notifications/initialized"})
            yield spoken
        finally:
            watchdog.cancel()
            stop(process)


@dataclass(frozen=True, slots=True)
class Score:
    """What one scenario of the conformance suite found."""

    passed: int
    complaints: tuple[str, ...]
    """Failures and warnings."""


def conformance(url: str, version: Version) -> dict[str, Score]:
    """Run every scenario of the conformance suite for a version against a server; return what each found."""
    with tempfile.TemporaryDirectory() as out:
        suite = [NODE, str(MODULES / ".bin/conformance"), "server", "--suite", "all", "-o", out]
        run([*suite, "--url", url, "--spec-version", version], timeout=5 * PATIENCE)
        return {scenario(folder): score(folder / "checks.json") for folder in sorted(Path(out).iterdir())}


def scenario(folder: Path) -> str:
    """``server-tools-list-2026-01-01T...`` is the folder of ``tools-list``."""
    return re.sub(r"-\d{4}-\d\d-\d\dT.*$", "", folder.name).removeprefix("server-")


def score(file: Path) -> Score:
    checks = json.loads(file.read_text())
    bad = [check for check in checks if check["status"] in ("FAILURE", "WARNING")]
    return Score(
        passed=sum(check["status"] == "SUCCESS" for check in checks),
        complaints=tuple(f"{check['id']}: {check.get('errorMessage')}" for check in bad),
    )


def inspector(target: Target, era: Era, method: str, *options: str) -> tuple[int, Any]:
    """Run the Inspector's command line against a server; return its exit status and ``result`` or ``error``.

    It exits with 0, or with 5 when a tool answers that it failed. The server is named in a file, because the
    Inspector's own command line would lose the server's ``--``.
    """
    server = {"type": "http", "url": target} if isinstance(target, str) else commanded(target)
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder, "servers.json")
        config.write_text(json.dumps({"mcpServers": {"it": server}}))
        command = [NODE, str(MODULES / ".bin/mcp-inspector"), "--cli", "--config", str(config)]
        command += ["--server", "it", "--protocol-era", era, "--format", "json", "--method", method, *options]
        done = run(command)
    return done.returncode, json.loads(done.stdout or done.stderr.splitlines()[-1])


def commanded(command: Sequence[str]) -> dict[str, Any]:
    return {"command": command[0], "args": list(command[1:])}


def typescript(target: Target, era: Era, call: Call, meta: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """List a server's tools and call one with the TypeScript SDK; return what ``client.mjs`` says."""
    server = {"url": target} if isinstance(target, str) else {"command": list(target)}
    asked = server | {"era": era, "tool": call.tool, "arguments": dict(call.arguments), "meta": meta or {}}
    done = run([NODE, str(Path(__file__).parent / "client.mjs")], text=json.dumps(asked))
    if done.returncode:
        raise ChildProcessError(done.stderr)
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def run(
    command: Sequence[str], *, text: str = "", timeout: float = PATIENCE
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end."""
    return subprocess.run(
        command,
        cwd=ROOT,
        env=ENVIRONMENT,
        input=text,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
