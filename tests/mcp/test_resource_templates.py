"""Resources that a template grants: a URI has one reading, and a client proves what the guard decides."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from mcp import MCPError

from hessra_agents import Authority, Guard, KeyPair, Ledger, approved_by, limit, must
from hessra_agents.call.call import Call
from hessra_agents.mcp import RequestAuthorizer, resource
from hessra_agents.mcp.authorization.requests import CAPABILITY
from tests.support.mcp_world import ERAS, McpWorld
from tests.support.scripted_mcp import before, result

pytestmark = pytest.mark.anyio

NOTES = resource("file:///notes/{name}", name=must.matches("[a-z]{1,8}"))


@pytest.fixture
def files() -> McpWorld:
    """A guarded server of files."""
    return McpWorld()


@pytest.mark.parametrize("era", ERAS)
async def test_the_resources_of_a_template_are_read_and_no_others(files: McpWorld, era: str) -> None:
    async with files.client(files.issue(NOTES), era) as client:
        with files.runs("file:///notes"):
            await client.read_resource("file:///notes/ann")
        with files.runs():
            with pytest.raises(MCPError, match="argument 'name' is not allowed, granted: a string"):
                await client.read_resource("file:///notes/ann2")
            for uri in HOSTILE:
                with pytest.raises(MCPError, match="refused"):
                    await client.read_resource(uri)


HOSTILE = (
    "file:///notes/",
    "file:///notes/..",
    "file:///notes/.",
    "file:///notes/a/b",
    "file:///notes/a%2Fb",
    "file:///notes/%61",
    "file:///notes/a?x=1",
    "file:///notes/a#b",
    "file:///notes/A",
    "file:///notes//a",
    "FILE:///notes/a",
    "file:///notes/../secret",
    "file:///notes/{name}",
    "file:///notes/\N{CYRILLIC SMALL LETTER A}",
    "file:///notes/a\n",
    "file:///secret",
)


async def test_a_list_shows_the_resources_and_the_templates_that_can_be_read(files: McpWorld) -> None:
    async with files.client(files.issue(NOTES, resource("file:///{name}", name="a"))) as client:
        assert [str(one.uri) for one in (await client.list_resources()).resources] == ["file:///a"]
        (template,) = (await client.list_resource_templates()).resource_templates
        assert template.uri_template == "file:///notes/{name}"
    async with files.client(files.issue(resource("file:///{name}", name="b"))) as client:
        assert (await client.list_resources()).resources == []


async def test_a_uri_that_is_granted_itself_is_not_read_by_a_template(files: McpWorld) -> None:
    capability = files.issue(NOTES, resource("file:///notes/Ann"))
    async with files.client(capability) as client:
        with files.runs("file:///notes", "file:///notes"):
            await client.read_resource("file:///notes/Ann")
            await client.read_resource("file:///notes/ann")


async def test_narrowing_names_the_template(files: McpWorld) -> None:
    narrower = files.issue(NOTES).attenuate(resource("file:///notes/{name}", name="ann"))
    async with files.client(narrower) as client:
        with files.runs("file:///notes"):
            await client.read_resource("file:///notes/ann")
        with files.runs(), pytest.raises(MCPError, match="exactly 'ann'"):
            await client.read_resource("file:///notes/bob")


async def test_two_templates_that_fit_are_none(files: McpWorld) -> None:
    capability = files.issue(NOTES, resource("file:///{folder}/ann", folder="notes"))
    async with files.client(capability) as client:
        with files.runs(), pytest.raises(MCPError, match="does not grant this resource"):
            await client.read_resource("file:///notes/ann")
        with files.runs("file:///notes"):
            await client.read_resource("file:///notes/bob")


async def test_the_proxy_reads_a_uri_as_the_client_does() -> None:
    """The server gets the URI as it came."""
    files = McpWorld()
    authorizer = RequestAuthorizer(files.guard)
    capability = files.issue(resource("crm://customers/{id}", id=must.matches("[0-9]{1,8}")), bearer=True)
    answers = {"resources/read": [[result({"contents": []})]]}
    async with before(authorizer, answers) as client:
        shown = {CAPABILITY: capability.token}
        read = await client.ask("resources/read", uri="crm://customers/17", _meta=shown)
        assert read["result"] == {"contents": []}
        other = await client.ask("resources/read", uri="crm://customers/17x", _meta=shown)
        assert other["error"]["data"]["dev.hessra/denial"]["reason"] == "constraint"
        none = await client.ask("resources/read", uri="crm://customers/17/orders", _meta=shown)
        assert none["error"]["data"]["dev.hessra/denial"]["reason"] == "not_granted"


async def test_guard_proof_approval_and_limit_agree_on_the_reading() -> None:
    """The holder and the approver sign what the guard decides: the template with its values."""
    authority, key, boss = Authority.ephemeral(), KeyPair.generate(), KeyPair.generate()
    guard = Guard(authority.trust, audience="crm", ledger=Ledger.memory())
    capability = authority.issue(
        "agent:desk",
        resource("crm://customers/{id}", id=must.anything()),
        approved_by(boss.public),
        limit(calls=1),
        audience="crm",
        holder=key.public,
        ttl=timedelta(minutes=5),
    )
    call = Call.of("crm://customers/17", {}, kind="resource", operation="read")
    shown: Any = {
        "proof": capability.prove(call, key=key, audience="crm"),
        "approvals": capability.approve(call, key=boss),
    }
    async with guard.permit(capability, call, **shown) as permit:
        assert permit.call.resource == "resource:crm://customers/{id}"
        assert permit.call.arguments == {"id": "17"}
