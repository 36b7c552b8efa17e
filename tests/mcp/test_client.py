"""A client presents its capability: one fresh proof for each request on the wire."""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import pytest
from mcp import Client, StdioServerParameters
from mcp.client import ClientRequestContext
from mcp.server.mcpserver import Elicit, Resolve
from mcp.types import ElicitRequestParams, ElicitResult
from pydantic import BaseModel

from hessra_agents import Call, Denied, KeyPair, Proof, grant, must
from hessra_agents.mcp import with_capability
from hessra_agents.tokens.credential import Credential
from tests.support.mcp_world import ERAS, READ, McpWorld, refused, text_of

pytestmark = pytest.mark.anyio


@pytest.fixture
def files() -> McpWorld:
    return McpWorld()


class Confirm(BaseModel):
    """What a person answers."""

    ok: bool


async def ask(path: str) -> Elicit[Confirm]:
    """The server's question to the person behind the client."""
    return Elicit(f"delete {path}?", Confirm)


async def answer(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
    """The person says yes."""
    return ElicitResult(action="accept", content={"ok": True})


@pytest.mark.parametrize("era", ERAS)
async def test_a_question_in_several_rounds_is_proved_in_each(files: McpWorld, era: str) -> None:
    @files.server.tool()
    async def delete(path: str, confirmed: Annotated[Confirm, Resolve(ask)]) -> str:
        files.ran.append(("delete", {"path": path}))
        return f"{path} {confirmed.ok}"

    capability = files.issue(grant("delete", path=must.under("/tmp")))
    async with files.client(capability, era, elicitation_callback=answer) as client:
        with files.runs("delete"):
            assert text_of(await client.call_tool("delete", {"path": "/tmp/x"})) == "/tmp/x True"
        with files.runs():
            refused(await client.call_tool("delete", {"path": "/etc/x"}), "constraint")


SERVER = """
import sys
from mcp.server import MCPServer
from hessra_agents import Guard, Ledger, Trust
from hessra_agents.mcp import GuardMiddleware

protection = GuardMiddleware(Guard(Trust.load(sys.argv[1]), audience="files", ledger=Ledger.memory()))
server = MCPServer("files", extensions=[protection], middleware=[protection], log_level="CRITICAL")

@server.tool()
async def read_file(path: str) -> str:
    return f"text of {path}"

server.run("stdio")
"""


@pytest.mark.parametrize("era", ERAS)
async def test_a_capability_crosses_to_another_process(files: McpWorld, era: str, tmp_path: Path) -> None:
    files.authority.trust.save(tmp_path / "trust.json")
    (tmp_path / "server.py").write_text(SERVER)
    command = StdioServerParameters(
        command=sys.executable, args=[str(tmp_path / "server.py"), str(tmp_path / "trust.json")]
    )
    async with Client(with_capability(command, files.issue(), key=files.key), mode=era) as client:
        assert text_of(await client.call_tool("read_file", READ)) == "text of /srv/a.txt"
        refused(await client.call_tool("read_file", {"path": "/srv/../etc/passwd"}), "constraint")
    async with Client(command, mode=era) as client:
        refused(await client.call_tool("read_file", READ), "no_capability")


@pytest.mark.parametrize("era", ERAS)
async def test_a_delegated_capability_is_presented_by_its_own_holder(files: McpWorld, era: str) -> None:
    helper = KeyPair.generate()
    narrower = files.issue().delegate(
        grant("read_file", path=must.under("/srv/public")),
        to=helper.public,
        key=files.key,
        ttl=timedelta(minutes=1),
    )
    async with Client(with_capability(files.server, narrower.token, key=helper), mode=era) as client:
        with files.runs("read_file"):
            await client.call_tool("read_file", {"path": "/srv/public/a"})
        with files.runs():
            refused(await client.call_tool("read_file", READ), "constraint")


async def test_a_wrong_presentation_is_noticed_before_anything_is_sent(files: McpWorld) -> None:
    capability = files.issue()
    wrong: list[tuple[Any, dict[str, Any], str]] = [
        (capability, {}, "pass its key"),
        (capability, {"key": KeyPair.generate()}, "pass its key"),
        ("nonsense", {}, "cannot be read"),
        (files.issue(bearer=True).token[:-20], {}, "cannot be read"),
    ]
    for token, options, said in wrong:
        with pytest.raises(ValueError, match=said):
            with_capability(files.server, token, **options)


def test_a_holder_proves_what_its_guard_verifies(files: McpWorld) -> None:
    """`Credential` trusts no root key, and its proofs are those of `Capability.prove`."""
    capability, call = files.issue(), Call.of("read_file", READ)
    proof = Credential.of(capability.token, key=files.key).prove(call)
    assert isinstance(proof, Proof)
    files.guard.decide(capability, call, proof=proof)
    elsewhere = Credential.of(capability.token, key=files.key, audience="mail").prove(call)
    with pytest.raises(Denied):
        files.guard.decide(capability, call, proof=elsewhere)
    assert Credential.of(files.issue(bearer=True).token).prove(call) is None
    assert capability.token not in repr(Credential.of(capability.token, key=files.key))
