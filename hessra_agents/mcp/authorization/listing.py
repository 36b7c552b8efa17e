"""Show a caller the tools, resources and prompts of a server that its capability reaches.

A filtered list keeps a model from asking in vain, and hides what the caller need not know. It is not a
security boundary: the decision is made at the call.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ...call.call import Call
from ...call.templates import read_uri
from ...errors import Denied
from ...grants.clauses import Pattern
from ...guard.guard import Guard
from ...guard.members import united
from ...tokens.capability import Capability
from ...verify.matcher import compiled, matches
from .catalog import ToolCatalog, ToolDefinition
from .requests import LISTS

__all__ = ["NOTHING", "Visibility", "filtered"]


@dataclass(frozen=True, slots=True)
class Visibility:
    """The objects that capabilities reach, each with patterns that every permitted call of it matches."""

    objects: Mapping[str, tuple[Pattern, ...]]

    @classmethod
    def of(cls, guard: Guard, capabilities: Iterable[Capability | str | None]) -> Visibility:
        """Return the visibility that those of these capabilities give that the guard honors now.

        Raises:
            Denied: the guard honors none.
        """
        honored, refused = [], []
        for one in capabilities:
            try:
                honored.append(guard.check_capability(one))
            except Denied as denied:
                refused.append(denied)
        if not honored:
            raise refused[0]
        names = dict.fromkeys(name for one in honored for name in one.tools)
        return cls({name: united(honored, name) for name in names})


NOTHING = Visibility({})


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
    elif method == "resources/list":
        kept = [one for one in items if _readable(one.get("uri"), reach)]
    else:
        kept = [one for one in items if f"prompt:{one.get('name')}" in reach.objects]
    told = {**result, place: kept}
    if "cacheScope" in told or "ttlMs" in told:
        # another capability on the same connection sees another list
        told |= {"cacheScope": "private", "ttlMs": 0}
    return told


def _narrowed(name: str, tool: ToolDefinition, reach: Visibility) -> dict[str, Any]:
    return {
        **tool.definition,
        "inputSchema": tool.schema().narrowed(reach.objects[f"tool:{name}"], f"tool:{name}"),
    }


def _readable(uri: object, reach: Visibility) -> bool:
    """Return whether a capability may read a URI; what only the session knows counts as met."""
    if not isinstance(uri, str):
        return False
    if f"resource:{uri}" in reach.objects:
        return True
    for name, patterns in reach.objects.items():
        values = read_uri(name, f"resource:{uri}")
        if values is not None:
            call = Call.of(name.partition(":")[2], values, kind="resource", operation="read")
            return matches(compiled(patterns), call, lambda value, source: True)
    return False


def _fits(template: object, uri: str) -> bool:
    """Return whether a URI, or a template that is granted, may come from a template of the server.

    That is one of RFC 6570, each expression standing for any string.
    """
    if not isinstance(template, str) or len(template) > 1024:
        return False
    literals = re.split(r"\{[^{}]*\}", template)
    return uri.startswith(literals[0]) and uri.endswith(literals[-1]) and all(one in uri for one in literals)
