"""Servers and proxies as processes of their own, on this machine only, ended by their ids."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from mcp import StdioServerParameters

from . import workload as work
from .ours import Ours

ROOT = Path(__file__).parent.parent

SERVER = (sys.executable, "-m", "benchmarks.server")
_PROXY = (sys.executable, "-m", "hessra_agents.cli", "mcp", "proxy")

_PATIENCE = 30.0  # seconds


@contextmanager
def kept(here: Ours) -> Iterator[Path]:
    """A folder with what a guard in another process needs."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        here.authority.trust.save(folder / "trust.json")
        here.key.save(folder / "holder.key")
        (folder / "capability").touch(mode=0o600)
        (folder / "capability").write_text(here.held.token)
        yield folder


def proxy(folder: Path, *options: str) -> list[str]:
    """The command of a proxy, bound to the capability that is kept there."""
    trusted = ["--trust", str(folder / "trust.json"), "--audience", work.AUDIENCE]
    bound = ["--capability", str(folder / "capability"), "--key", str(folder / "holder.key"), "--ttl", "30m"]
    return [*_PROXY, *trusted, *bound, *options]


def command(words: Sequence[str]) -> StdioServerParameters:
    """For a client that starts it."""
    return StdioServerParameters(command=words[0], args=[*words[1:]], cwd=ROOT)


@contextmanager
def listening(words: Sequence[str]) -> Iterator[str]:
    """A process that serves HTTP, with ``{port}`` replaced in its command; its URL, once it listens."""
    with socket.socket() as held:  # nobody else gets the port, and a server that reuses addresses may bind it
        held.bind(("127.0.0.1", 0))
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        port = held.getsockname()[1]
        filled = [word.replace("{port}", str(port)) for word in words]
        with subprocess.Popen(filled, cwd=ROOT, stdin=subprocess.DEVNULL) as process:
            try:
                _wait(process, port)
                yield f"http://127.0.0.1:{port}/mcp"
            finally:
                process.terminate()
                try:
                    process.wait(_PATIENCE)
                except subprocess.TimeoutExpired:
                    process.kill()


def _wait(process: subprocess.Popen[bytes], port: int) -> None:
    end = time.monotonic() + _PATIENCE
    while process.poll() is None and time.monotonic() < end:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise ChildProcessError(f"{process.args!r} does not listen on {port}; exit status {process.poll()}")
