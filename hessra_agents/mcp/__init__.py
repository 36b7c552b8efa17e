"""Capabilities for the Model Context Protocol: guard a server, present from a client, stand in front of any.

guard = Guard(Trust.load("trust.json"), audience="files", ledger=Ledger.memory())
protection = GuardMiddleware(guard)
server = MCPServer("files", extensions=[protection], middleware=[protection])

async with Client(with_capability("https://files.example/mcp", capability, key=key)) as client: ...
"""

from ..grants.grants import method, prompt, resource
from .authorization.authorizer import RequestAuthorizer
from .authorization.denials import DenialFormat
from .client import with_capability
from .server import GuardMiddleware, guard_server

__all__ = [
    "DenialFormat",
    "GuardMiddleware",
    "RequestAuthorizer",
    "guard_server",
    "method",
    "prompt",
    "resource",
    "with_capability",
]
