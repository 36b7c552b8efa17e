"""Put a bound on every argument of a tool that somebody else describes, with calls on both sides of it.

A schema may be JSON Schema, or the dialect of the Berkeley Function Calling Leaderboard, whose types have the
names of several languages. What is optional there stays optional.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from hessra_agents import Grant, grant, must
from hessra_agents.grants.vocabulary.constraints import Constraint

__all__ = ["Bounded", "Unbounded", "bounded"]

Schema = Mapping[str, Any]


class Unbounded(Exception):  # noqa: N818 - a finding, and no error of this package
    """No constraint bounds what the schema describes; the argument and why."""


class Bounded(NamedTuple):
    """A grant, calls that it permits (the first with every argument), and calls that it refuses."""

    grant: Grant
    permitted: tuple[dict[str, Any], ...]
    refused: tuple[dict[str, Any], ...]


class _Bound(NamedTuple):
    """A constraint, a value that satisfies it, and one that does not, of the same type if there is one."""

    constraint: Constraint
    good: Any
    bad: Any


def bounded(tool: str, schema: Schema) -> Bounded:
    """Return a grant of the tool with a bound on every argument.

    Raises:
        Unbounded: an argument's schema says nothing that a constraint could bound.
    """
    bounds, required = _members(schema, schema, tool)
    whole = {name: bound.good for name, bound in bounds.items()}
    least = {name: value for name, value in whole.items() if name in required}
    wrong = [whole | {name: bound.bad} for name, bound in bounds.items()]
    lacking = [{other: v for other, v in whole.items() if other != name} for name in required]
    refused = (*wrong, *lacking, whole | {"not in the schema": 1})
    return Bounded(grant(tool, _optional(bounds, required)), (whole, least), refused)


def _members(schema: Schema, root: Schema, where: str) -> tuple[dict[str, _Bound], frozenset[str]]:
    members = schema.get("properties") or {}
    bounds = {name: _bound(one, root, f"{where}.{name}") for name, one in members.items()}
    return bounds, frozenset(schema.get("required") or ()) & bounds.keys()


def _optional(bounds: Mapping[str, _Bound], required: frozenset[str]) -> dict[str, object]:
    return {
        name: bound.constraint if name in required else must.optional(bound.constraint)
        for name, bound in bounds.items()
    }


def _bound(schema: Schema, root: Schema, where: str) -> _Bound:
    schema = _followed(schema, root)
    values = list(schema.get("enum") or ([schema["const"]] if "const" in schema else []))
    if values and not isinstance(values[0], list | dict):
        return _Bound(must.one_of(*values), values[0], f"{values[0]} and more")
    if values:
        return _Bound(must.exact(values[0]), values[0], [])
    kind = _TYPES.get(str(_type(schema)).lower())
    if kind == "list":
        element = _bound(schema.get("items") or {}, root, f"{where}[]")
        return _each(element)
    if kind == "object" and schema.get("properties"):
        bounds, required = _members(schema, root, where)
        good = {name: bound.good for name, bound in bounds.items()}
        return _Bound(must.fields(_optional(bounds, required)), good, good | {"not in the schema": 1})
    if kind == "object":
        inner = schema.get("additionalProperties")
        value = _bound(inner, root, f"{where}{{}}") if isinstance(inner, Mapping) and inner else None
        return _mapping(value)
    if kind is None:
        raise Unbounded(f"{where}: {schema.get('type')}")
    return next(bound for name, bound in _scalars(schema) if name == kind)


def _each(element: _Bound) -> _Bound:
    """Bound every element of a list, or, where the elements hold lists of lists, how many there are."""
    try:
        each = must.each(element.constraint)
    except ValueError:
        return _Bound(must.max_length(3), [element.good], [element.good] * 4)
    return _Bound(each, [element.good], [element.good, element.bad])


def _mapping(value: _Bound | None) -> _Bound:
    """Bound names and values of an object, or, where the values hold lists of lists, the names alone."""
    name, good = must.max_length(40), value.good if value else 1
    try:
        found = must.mapping(keys=name, values=value and value.constraint, at_most=3)
    except ValueError:
        found = must.mapping(keys=name, at_most=3)
    return _Bound(found, {"a": good}, {"a" * 41: good})


def _scalars(schema: Schema) -> Iterator[tuple[str, _Bound]]:
    shortest = max(1, int(schema.get("minLength", 1)))
    yield "string", _Bound(must.max_length(shortest + 80), "x" * shortest, "x" * (shortest + 81))
    least = int(schema.get("minimum", schema.get("exclusiveMinimum", 0))) + 1
    yield "integer", _Bound(must.between(least, least + 9), least, least + 10)
    yield "number", _Bound(must.number(least, least + 9.5), least + 0.25, least + 9.75)
    yield "boolean", _Bound(must.exact(True), True, False)
    yield "any", _Bound(must.one_of("auto", 1, None), "auto", "other")


_TYPES = {
    **dict.fromkeys(("string", "char"), "string"),
    **dict.fromkeys(("integer", "long"), "integer"),
    **dict.fromkeys(("number", "float", "double"), "number"),
    **dict.fromkeys(("array", "tuple", "arraylist"), "list"),
    **dict.fromkeys(("object", "dict", "hashmap"), "object"),
    **dict.fromkeys(("any", "", "none"), "any"),
    "boolean": "boolean",
}


def _type(schema: Schema) -> object:
    kind = schema.get("type")
    kinds = [one for one in kind if one != "null"] if isinstance(kind, list) else [kind]
    return kinds[0] if len(kinds) == 1 else "any"


def _followed(schema: object, root: Schema) -> Schema:
    """Return what a reference leads to, and of several forms the first that is not null."""
    for _ in range(8):
        if not isinstance(schema, Mapping):
            return {}
        forms = schema.get("anyOf") or schema.get("oneOf") or ()
        if isinstance(schema.get("$ref"), str):
            found: Any = root
            for step in schema["$ref"].removeprefix("#/").split("/"):
                found = found[step]
            schema = found
        elif forms:
            schema = next((one for one in forms if one.get("type") != "null"), {})
        else:
            return schema
    return {}
