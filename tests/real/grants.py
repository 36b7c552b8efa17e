"""Capabilities for the tests with real servers, as files that a command line takes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from hessra_agents import Authority, Capability, Grant, grant, must
from hessra_agents.mcp import method, prompt, resource

from .rigs import Call
from .surface import OTHER_REQUESTS, PROMPTS, REFUSED_REQUESTS, RESOURCES, SUBSCRIPTIONS, TOOL_CALLS

AUDIENCE = "real"


def surface() -> list[Grant]:
    """All that the conformance suite asks for, each argument as it sends it, and nothing else."""
    found = [grant(name, arguments) for name, arguments in TOOL_CALLS if name != MISMATCHED]
    found.append(grant(MISMATCHED, region=must.anything()))
    found.append(grant("json_schema_2020_12_tool", {name: must.optional() for name in LISTED}))
    found += [resource(uri) for uri in (*RESOURCES, *SUBSCRIPTIONS)]
    found += [prompt(name, arguments) for name, arguments in PROMPTS]
    found += [method(name, params) for name, params in OTHER_REQUESTS if name in NAMED]
    return found + [method(name) for name in REFUSED_REQUESTS if name not in OPEN]


LISTED = ("name", "address", "contactMethod", "phone", "email")
"""Arguments of a tool that the suite wants to see whole, and never calls."""

MISMATCHED = "test_custom_header"
"""Called with other arguments, too, in requests that an unguarded server refuses for their headers alone."""

NAMED = ("completion/complete", "subscriptions/listen")
OPEN = ("initialize", "logging/setLevel", "ping")


def exactly(*calls: Call) -> list[Grant]:
    """Grants of exactly these calls."""
    return [grant(call.tool, dict(call.arguments)) for call in calls]


@dataclass(frozen=True, slots=True)
class Issued:
    """A capability, and the files that a proxy is started with."""

    capability: Capability
    trust: Path
    token: Path

    @property
    def bound(self) -> list[str]:
        """Options of a proxy that serves clients which present nothing."""
        return [*self.guarded, "--capability", str(self.token)]

    @property
    def guarded(self) -> list[str]:
        """Options of a proxy that asks its clients for a capability."""
        return ["--trust", str(self.trust), "--audience", AUDIENCE]


def issue(folder: Path, *grants: Grant) -> Issued:
    """A bearer capability in a folder."""
    authority = Authority.ephemeral()
    capability = authority.issue("agent:test", *grants, ttl=timedelta(minutes=10), audience=AUDIENCE)
    trust, token = folder / "trust.json", folder / "capability.token"
    authority.trust.save(trust)
    token.touch(mode=0o600)
    token.write_text(capability.token)
    return Issued(capability, trust, token)
