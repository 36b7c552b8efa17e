"""An MCP server with the one tool ``pay``: ``python -m benchmarks.server [--port N] [--guarded FOLDER]``.

Over standard input and output, or over HTTP; guarded by what `kept` wrote to a folder.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import uvicorn
from mcp.server import MCPServer

from hessra_agents import Guard, KeyPair, Ledger, Trust
from hessra_agents.mcp import Protection

from . import workload as work
from .ours import Ours


def server(protection: Protection | None = None) -> MCPServer:
    """A server, guarded or bare."""
    ours = [] if protection is None else [protection]
    made = MCPServer("bank", extensions=ours, middleware=ours, log_level="ERROR")
    made.add_tool(work.pay)
    return made


def protection(guard: Guard, token: str, key: KeyPair) -> Protection:
    """Bound to a capability, for calls that carry none; those that carry one are decided by that."""
    return Protection(guard, bound=guard.toolbox(token, key=key))


def kept(here: Ours, folder: Path) -> None:
    """Write what a guard in another process needs."""
    here.authority.trust.save(folder / "trust.json")
    here.key.save(folder / "holder.key")
    (folder / "capability").touch(mode=0o600)
    (folder / "capability").write_text(here.held.token)


def _guarded(folder: Path) -> Protection:
    trust, key = Trust.load(folder / "trust.json"), KeyPair.load(folder / "holder.key")
    guard = Guard(trust, audience=work.AUDIENCE, ledger=Ledger.memory())
    return protection(guard, (folder / "capability").read_text(), key)


def main() -> None:
    """Serve until the client leaves, or for ever."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.server", description=__doc__)
    parser.add_argument("--port", type=int, help="over HTTP")
    parser.add_argument("--guarded", type=Path, metavar="FOLDER")
    options = parser.parse_args()
    made = server(_guarded(options.guarded) if options.guarded else None)
    if options.port is None:
        made.run()
    else:
        uvicorn.run(made.streamable_http_app(), port=options.port, log_level="error", access_log=False)


if __name__ == "__main__":
    main()
