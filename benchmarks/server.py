"""The server that is called: ``python -m benchmarks.server [--port N] [--guarded FOLDER]``.

It has the one tool `workload.pay`, and speaks over standard input and output, or over HTTP. What its guard
needs is in a folder that `children.kept` wrote.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import uvicorn
from mcp.server import MCPServer

from hessra_agents import Guard, KeyPair, Ledger, Trust
from hessra_agents.mcp import GuardMiddleware

from . import workload as work


def server(protection: GuardMiddleware | None = None) -> MCPServer:
    """One that is guarded, or bare."""
    ours = [] if protection is None else [protection]
    made = MCPServer("bank", extensions=[*ours], middleware=[*ours], log_level="ERROR")
    made.add_tool(work.pay)
    return made


def _protection(folder: Path) -> GuardMiddleware:
    trust, key = Trust.load(folder / "trust.json"), KeyPair.load(folder / "holder.key")
    guard = Guard(trust, audience=work.AUDIENCE, ledger=Ledger.memory())
    return GuardMiddleware(guard, default_toolbox=guard.toolbox((folder / "capability").read_text(), key=key))


def main() -> None:
    """Serve until the client leaves, or until a signal."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.server", description=__doc__)
    parser.add_argument("--port", type=int, metavar="N", help="serve over HTTP")
    parser.add_argument("--guarded", type=Path, metavar="FOLDER")
    options = parser.parse_args()
    made = server(None if options.guarded is None else _protection(options.guarded))
    if options.port is None:
        made.run()
    else:
        uvicorn.run(made.streamable_http_app(), port=options.port, log_level="error", access_log=False)


if __name__ == "__main__":
    main()
