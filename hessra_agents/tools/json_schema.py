"""Write tool schemas for models: JSON Schema of the reachable tools, narrowed to what is granted.

A narrowed schema is a hint that spares a model refused calls. It protects nothing: the guard decides. What it
admits, the guard permits as far as JSON Schema can say it (tests/laws/test_schemas.py lists what it cannot).
If several arguments decide together, as in several grants of one tool, each is narrowed only by what holds
whatever the others are: providers allow no alternatives at the top of a schema.
"""

from __future__ import annotations

import copy
import itertools
import re
from collections.abc import Iterable, Sequence
from typing import Any

from ..call.call import Call
from ..call.places import escape, unescape
from ..grants.clauses import Pattern
from ..grants.describe import describe_clauses, describe_place
from ..grants.grants import Grant
from ..grants.vocabulary.constraints import Alternatives, Place
from .clause_schema import Way, schema_of
from .schema_join import Schema, beside, joined
from .schema_words import at_place, describe_schema
from .tool import Tool

__all__ = ["SHAPES", "check_grant", "narrowed", "own_schema", "wrapped"]

SHAPES = ("openai", "openai-responses", "anthropic", "mcp")

_NAMES = {
    "openai": r"[a-zA-Z0-9_-]{1,64}",
    "openai-responses": r"[a-zA-Z0-9_-]{1,64}",
    "anthropic": r"[a-zA-Z0-9_-]{1,128}",
}
"""The names of tools that a provider's API takes; it refuses the whole request for any other."""


_ARGUMENT = re.compile(r"[a-zA-Z0-9_.-]{1,64}")


def narrowed(schema: Schema, resource: str, patterns: Sequence[Pattern]) -> Schema:
    """Return a copy of a schema of arguments, closed, and narrowed to what all these patterns grant."""
    schema = copy.deepcopy(schema)
    properties: Schema = schema.setdefault("properties", {})
    opened = schema.get("additionalProperties", False)
    schema["additionalProperties"] = False
    required = set(schema.get("required", ()))
    for pattern in patterns:
        ways = [Way.of(branch.clauses) for branch in pattern if branch.resource == resource]
        if not ways:
            continue
        listed = [way.listed for way in ways]
        names = None if None in listed else frozenset().union(*(own or () for own in listed))
        if opened is not False:  # the schema allows any name: list the granted names
            for name in sorted(frozenset().union(*(own or () for own in listed))):
                properties.setdefault(name, {} if opened is True else copy.deepcopy(opened))
        for name in [*properties]:
            members = [_member(way, name) for way in ways]
            if (names is not None and name not in names) or all(
                one is None or one.omitted for one in members
            ):
                del properties[name]
                continue
            properties[name] = _narrow(properties[name], schema_of(members), schema)
            if all(one is not None and one.required for one in members):
                required.add(name)
    for name in properties.keys() & required:
        properties[name].pop(
            "default", None
        )  # the function has one, and the capability wants to see the value
    schema["required"] = [name for name in properties if name in required]
    if not schema["required"]:
        del schema["required"]
    _complete(schema)
    return schema


def own_schema(tool: Tool) -> Schema:
    """Return the schema of a tool's arguments, narrowed to the tool's own bounds."""
    return narrowed(tool.schema, f"tool:{tool.name}", tool.bounds)


def check_grant(granted: Grant, schema: Schema, bounds: Iterable[Pattern] = ()) -> None:
    """Check that a call that fits this schema of arguments can meet a grant.

    Args:
        granted: the grant.
        schema: of all arguments.
        bounds: the tool's own bounds, by which literals are checked.

    Raises:
        ValueError: the tool has no such argument, or a constraint can never be met; the message says what the
            argument takes.
    """
    unknown = sorted({name for name, _ in granted.constraints}.difference(schema["properties"]))
    if unknown and not schema.get("additionalProperties", False):
        raise ValueError(f"{granted.tool} has no argument {', '.join(map(repr, unknown))}")
    for name, constraint in granted.constraints:
        own = schema["properties"].get(name, {})
        for part in constraint.parts(Place.argument(name)):
            ways = [_member(Way.of(clauses), name) for clauses in part]
            if all(way is None or way.omitted for way in ways):
                if name in schema.get("required", ()):
                    raise ValueError(f"{granted.tool} cannot be called without {name!r}")
                continue
            wanted = schema_of(ways)
            takes = _outside(granted.tool, name, wanted, bounds)
            both = joined(own, wanted, schema)
            if both is None:
                takes = _never_met(part, name, schema)
            own = both or {}
            if takes is not None:
                raise ValueError(f"{granted.tool}: {name!r} can never be {constraint}{takes}")


def _never_met(part: Alternatives, name: str, schema: Schema) -> str:
    """Return what the schema says, in words, of the place where no way can be met."""
    whole = schema["properties"][name]
    inner, place = whole, "it"
    for clause in itertools.chain(*part):
        way = _member(Way.of([clause]), name)
        if clause.key[:1] == "/" and joined(whole, schema_of([way]), schema) is None:
            steps = [unescape(step).removesuffix("~?") for step in clause.key[1:].split("/")]
            numbered = [0 if step == "~*" else int(step) if step.isdecimal() else step for step in steps[1:]]
            inner, taken = at_place(whole, schema, numbered)
            place = describe_place("/" + "/".join([name, *taken])) if taken else "it"
            break
    words = describe_schema(inner, schema)
    return f": {place} takes {words}" if words else ""


def _outside(tool: str, name: str, wanted: Schema, bounds: Iterable[Pattern]) -> str | None:
    """Return what the tool's own bounds require, in words, if they refuse every value that is wanted."""
    values = [wanted["const"]] if "const" in wanted else wanted.get("enum", [])
    for bound in bounds:
        clauses = [[c for c in branch.clauses if c.key == name] for branch in bound]
        calls = [Call.of(tool, {name: value}) for value in values]
        ways = [own for own in clauses if own]
        if values and ways and not any(all(c.holds(call) for c in own) for own in ways for call in calls):
            return f": it takes {' or '.join(map(describe_clauses, ways))}"
    return None


def _member(way: Way, name: str) -> Way | None:
    """Return what a way requires of an argument, or None if the way requires that it is omitted."""
    listed = way.listed
    if listed is not None and name not in listed:
        return None
    return way.members.get(escape(name), Way())


def _narrow(own: Schema, wanted: Schema, document: Schema) -> Schema:
    if not wanted:
        return own
    both = joined(own, wanted, document)
    if both is None:
        return beside(own, wanted)
    if both.get("default", ...) is None and both.get("type", "null") != "null" and "null" not in both["type"]:
        del both["default"]
    return both


def _complete(schema: Schema) -> None:
    """Give every list ``items``, which providers require, and drop definitions that nothing refers to."""
    if not any("$ref" in one for one in _schemas({**schema, "$defs": {}})):
        schema.pop("$defs", None)
    for one in _schemas(schema):
        types = one.get("type")
        if "items" not in one and (types == "array" or (isinstance(types, list) and "array" in types)):
            first = [own for own in one.get("prefixItems", ()) if isinstance(own, dict)]
            different = [own for index, own in enumerate(first) if own not in first[:index]]
            one["items"] = different[0] if len(different) == 1 else {"anyOf": different} if different else {}


def _schemas(schema: object) -> Iterable[Schema]:
    """Yield a schema and every schema inside it."""
    waiting = [schema]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            yield one
            for word in ("properties", "$defs", "definitions", "patternProperties", "dependentSchemas"):
                waiting += one[word].values() if isinstance(one.get(word), dict) else []
            for word in ("anyOf", "allOf", "oneOf", "prefixItems"):
                waiting += one[word] if isinstance(one.get(word), list) else []
            waiting += [one.get(word) for word in ("items", "additionalProperties", "not", "contains")]


def wrapped(provider: str, tool: Tool, parameters: dict[str, Any]) -> dict[str, Any]:
    """Return the definition of a tool in the shape of a provider's API.

    Raises:
        ValueError: the provider is not one of `SHAPES`, or its API does not take the name of the tool
            or of an argument.
    """
    if provider in _NAMES and not re.fullmatch(_NAMES[provider], tool.name):
        longest = _NAMES[provider].rpartition(",")[2].rstrip("}")
        raise ValueError(
            f"{provider} takes names of tools of at most {longest} letters, digits, _ and -:"
            f" add {tool.name!r} to the guard under another name"
        )
    odd = [name for name in parameters["properties"] if not _ARGUMENT.fullmatch(name)]
    if provider == "anthropic" and odd:
        raise ValueError(
            f"anthropic takes names of arguments of at most 64 letters, digits, _ . and -: {tool.name!r} has"
            f" {odd[0]!r}"
        )
    about = {"name": tool.name, "description": tool.description}
    if provider == "openai":
        return {"type": "function", "function": {**about, "parameters": parameters}}
    if provider == "openai-responses":
        return {"type": "function", **about, "parameters": parameters, "strict": False}
    if provider == "anthropic":
        return {**about, "input_schema": parameters}
    if provider == "mcp":
        return {**about, "inputSchema": parameters}
    raise ValueError(f"unknown provider; choose from {', '.join(SHAPES)}")
