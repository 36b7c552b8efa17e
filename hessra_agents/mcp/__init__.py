"""Capabilities for the Model Context Protocol: guard a server, use a client, stand in front of any server.

guard = Guard(Trust.load("trust.json"), audience="files", ledger=Ledger.memory())
protection = GuardMiddleware(guard)
server = MCPServer("files", extensions=[protection], middleware=[protection])

async with Client(with_capability("https://files.example/mcp", capability, key=key)) as client: ...
"""

from ..extras import require

# Before what follows, which an older MCP SDK lacks: a guard may be installed beside one.
require("mcp", "httpx2", "mcp>=2.3,<3", "starlette", "uvicorn", purpose="hessra_agents.mcp")

from ..grants.grants import method, prompt, resource
from .authorization.authorizer import RequestAuthorizer
from .authorization.denials import DenialFormat
from .authorization.pins import Pins
from .client import with_capability
from .server import GuardMiddleware, guard_server

__all__ = [
    "DenialFormat",
    "GuardMiddleware",
    "Pins",
    "RequestAuthorizer",
    "guard_server",
    "method",
    "prompt",
    "resource",
    "with_capability",
]
