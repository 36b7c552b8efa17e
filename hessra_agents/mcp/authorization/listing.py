"""Show a caller the tools, resources and prompts of a server that its capability reaches.

A filtered list keeps a model from asking in vain, and hides what the caller need not know. It is not a
security boundary: the decision is made at the call.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ...grants.clauses import Pattern
from ...grants.grants import Grant
from ...tokens.capability import Capability
from .catalog import ToolCatalog, ToolDefinition
from .requests import LISTS

__all__ = ["NOTHING", "Visibility", "filtered"]

_KEYS = {
    "resources/list": ("resource", "uri"),
    "prompts/list": ("prompt", "name"),
}


@dataclass(frozen=True, slots=True)
class Visibility:
    """The objects that a capability reaches, and the patterns that all of its blocks set."""

    objects: frozenset[str]
    patterns: tuple[Pattern, ...] = ()

    @classmethod
    def of(cls, capability: Capability) -> Visibility:
        """Return the visibility that a capability gives; a guard has checked the capability."""
        patterns = [pattern for block in capability.blocks for pattern in block.patterns]
        if not capability.blocks[0].patterns:
            # such a capability permits only calls without arguments
            rights = capability.blocks[0].rights
            patterns.append(tuple(b for _, o, op in rights for b in Grant(o, op, ()).branches(closed=True)))
        return cls(frozenset(capability.tools), tuple(patterns))


NOTHING = Visibility(frozenset())


def filtered(
    method: str, result: Mapping[str, Any], reach: Visibility, catalog: ToolCatalog
) -> dict[str, Any]:
    """Return a page of a list as this caller may see it.

    Args:
        method: one of `LISTS`.
        result: the page, as it goes over the wire.
        catalog: says which tools may be shown at all.
    """
    place = LISTS[method]
    found = result.get(place)
    items = [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []
    if method == "tools/list":
        tools = catalog.shown(items, lambda name: f"tool:{name}" in reach.objects)
        kept = [_narrowed(name, tool, reach) for name, tool in tools.items()]
    elif method == "resources/templates/list":
        uris = [name.removeprefix("resource:") for name in reach.objects if name.startswith("resource:")]
        kept = [one for one in items if any(_fits(one.get("uriTemplate"), uri) for uri in uris)]
    else:
        kind, key = _KEYS[method]
        kept = [one for one in items if f"{kind}:{one.get(key)}" in reach.objects]
    told = {**result, place: kept}
    if "cacheScope" in told or "ttlMs" in told:
        # another capability on the same connection sees another list
        told |= {"cacheScope": "private", "ttlMs": 0}
    return told


def _narrowed(name: str, tool: ToolDefinition, reach: Visibility) -> dict[str, Any]:
    return {**tool.definition, "inputSchema": tool.schema().narrowed(reach.patterns, f"tool:{name}")}


def _fits(template: object, uri: str) -> bool:
    """Return whether a URI may come from a template (RFC 6570), each expression standing for any string."""
    if not isinstance(template, str) or len(template) > 1024:
        return False
    literals = re.split(r"\{[^{}]*\}", template)
    return uri.startswith(literals[0]) and uri.endswith(literals[-1]) and all(one in uri for one in literals)
