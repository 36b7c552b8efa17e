"""Capabilities for the Model Context Protocol: guard a server, present from a client, stand in front of any.

guard = Guard(Trust.load("trust.json"), audience="files", ledger=Ledger.memory())
protection = Protection(guard)
server = MCPServer("files", extensions=[protection], middleware=[protection])

async with Client(presenting("https://files.example/mcp", capability, key=key)) as client: ...
"""

from ..grants.grants import method, prompt, resource
from .authorization.authorizer import Gate
from .authorization.denials import Refusals
from .client import presenting
from .server import Protection, protect

__all__ = ["Gate", "Protection", "Refusals", "method", "presenting", "prompt", "protect", "resource"]
