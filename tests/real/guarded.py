"""The server with one of everything, guarded in its own process and bound to one capability.

``python -m tests.real.guarded --port 8000 --trust trust.json --capability capability.token``
"""

from __future__ import annotations

import argparse
from pathlib import Path

from hessra_agents import Guard, Ledger, Trust
from hessra_agents.mcp import GuardMiddleware

from .everything import build, serve
from .grants import AUDIENCE


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--trust", type=Path, required=True)
    parser.add_argument("--capability", type=Path, required=True)
    given = parser.parse_args()
    guard = Guard(Trust.load(given.trust), audience=AUDIENCE, ledger=Ledger.memory())
    protection = GuardMiddleware(guard, default_toolbox=guard.toolbox(given.capability.read_text()))
    serve(build(extensions=[protection], middleware=[protection]), given.port)


if __name__ == "__main__":
    main()
