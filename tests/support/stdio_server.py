"""The small MCP world as a command, unguarded: ``python stdio_server.py [old]``.

With ``old`` it answers as servers do that know only the handshake.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from mcp.server import MCPServer

from tests.support.http_world import HttpWorld


def old() -> None:
    """A server of 2025-11-25 in a few lines, which keeps what it is told."""
    for line in sys.stdin:
        message = json.loads(line)
        answer: dict[str, object]
        match message.get("method"):
            case "initialize":
                told = {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}}
                answer = {"result": {**told, "serverInfo": {"name": "old", "version": "1"}}}
            case "tools/list":
                schema = {"type": "object", "properties": {"path": {"type": "string"}}}
                answer = {"result": {"tools": [{"name": "read_file", "inputSchema": schema}]}}
            case "tools/call":
                answer = {"result": {"content": [{"type": "text", "text": json.dumps(message["params"])}]}}
            case _:
                answer = {"error": {"code": -32601, "message": "Method not found"}}
        if "id" in message:
            print(json.dumps({"jsonrpc": "2.0", "id": message["id"], **answer}), flush=True)


def main() -> None:
    if "old" in sys.argv:
        old()
        return
    server = MCPServer("files", log_level="CRITICAL")
    world = HttpWorld()
    world.register(server)
    world.register_slow(server)

    @server.tool()
    def crash() -> str:
        """End the whole process."""
        os._exit(3)

    @server.tool()
    def large() -> str:
        """More than is taken."""
        return "a" * (1 << 20)

    @server.tool()
    def environment() -> str:
        """What the process was given."""
        return " ".join(sorted(os.environ))

    @server.tool()
    def process() -> str:
        """Which process this is."""
        return str(os.getpid())

    server.run("stdio")


if __name__ == "__main__":
    main()
