"""Say in a few words what a JSON Schema describes, for refusals: "a number from 0 to 99.9".

The schema may come from a foreign server, and the words reach a model. So they are our own, with numbers, and
with those listed values that are plain words.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from ..call.canonical import Json, encode, to_json
from ..grants.describe import is_plain_name
from .schema_join import resolved

__all__ = ["TYPE_WORDS", "at_place", "describe_schema", "unknown_member"]

TYPE_WORDS = {
    "string": "a string",
    "integer": "an integer",
    "number": "a number",
    "boolean": "a boolean",
    "null": "null",
    "array": "a list",
    "object": "an object",
}

_FORMATS = {
    "date": "a date, such as 2026-12-24",
    "date-time": "a time, such as 2026-12-24T10:00:00Z",
    "time": "a time of day, such as 10:00:00",
    "duration": "a duration, such as PT15M",
    "uuid": "a UUID",
    "uri": "a URL",
    "email": "an email address",
    "ipv4": "an IPv4 address",
    "ipv6": "an IPv6 address",
}

_MOST, _MOST_OPTIONS, _DEPTH = 8, 4, 4
_PLAIN_VALUE = re.compile(r"[\w.:/+-]{1,64}", re.ASCII)


def describe_schema(schema: Any, document: Mapping[str, Any], depth: int = _DEPTH) -> str:
    """Return what a value that fits the schema is, or an empty string if no words are known."""
    schema = resolved(schema, document)
    if not isinstance(schema, dict) or depth == 0:
        return ""
    values = [schema["const"]] if "const" in schema else schema.get("enum")
    if isinstance(values, list) and values:
        return _described_values(values)
    for word in ("anyOf", "oneOf"):
        options = schema.get(word)
        if isinstance(options, list) and options:
            found = [describe_schema(one, document, depth - 1) for one in options[: _MOST_OPTIONS + 1]]
            return " or ".join(dict.fromkeys(found)) if all(found) and len(options) <= _MOST_OPTIONS else ""
    types = schema.get("type")
    names = [types] if isinstance(types, str) else types if isinstance(types, list) else []
    return " or ".join(dict.fromkeys(_typed(name, schema) for name in names if name in TYPE_WORDS))


def at_place(schema: Any, document: Mapping[str, Any], steps: Sequence[str | int]) -> tuple[Any, list[str]]:
    """Return the schema at the end of these steps or of the first few, and the steps that were taken.

    A step is the index of an element or the name of a member. A name is repeated only if the schema has it;
    else it is ``*``. Of alternatives, the first that describes the step is followed; what names an
    alternative, as steps of pydantic do, is no step.
    """
    taken: list[str] = []
    schema = resolved(schema, document)
    for step in steps:
        found = _inside(schema, document, step)
        if found is not None:
            schema = resolved(found[1], document)
            taken.append(found[0])
        elif not (isinstance(schema, dict) and schema.keys() & {"anyOf", "oneOf"}):
            break
    return schema, taken


def unknown_member(schema: Any, document: Mapping[str, Any], value: Json) -> list[str | int] | None:
    """Return the steps to the first member of an object that the object's closed schema does not have."""
    schema = resolved(schema, document)
    if not isinstance(schema, dict) or not isinstance(value, (dict, list)):
        return None
    members = value.items() if isinstance(value, dict) else enumerate(value)
    for step, member in members:
        inside = _inside(schema, document, step)
        if inside is not None:
            below = unknown_member(inside[1], document, member)
            if below is not None:
                return [step, *below]
        elif schema.get("additionalProperties") is False and "properties" in schema:
            return [step]
    return None


def _inside(
    schema: Any, document: Mapping[str, Any], step: str | int, depth: int = _DEPTH
) -> tuple[str, Any] | None:
    """Return a step as it can be shown, and the schema behind it."""
    if not isinstance(schema, dict) or depth == 0:
        return None
    if isinstance(step, int):
        first = schema.get("prefixItems")
        inner = first[step] if isinstance(first, list) and step < len(first) else schema.get("items")
        found = None if inner is None else (str(step), inner)
    else:
        members, rest = schema.get("properties"), schema.get("additionalProperties")
        named = isinstance(members, dict) and step in members
        inner = members[step] if isinstance(members, dict) and named else rest
        found = (step if named and is_plain_name(step) else "*", inner) if isinstance(inner, dict) else None
    for word in ("anyOf", "oneOf"):
        options = schema.get(word)
        for one in options[:_MOST] if found is None and isinstance(options, list) else []:
            found = found or _inside(resolved(one, document), document, step, depth - 1)
    return found


def _described_values(values: list[Any]) -> str:
    if not all(_is_plain(value) for value in values[:_MOST]):
        return "one of the values that its schema lists" if len(values) > 1 else ""
    shown = [repr(one) if isinstance(one, str) else encode(to_json(one)).decode() for one in values[:_MOST]]
    more = f" or {len(values) - _MOST} more" if len(values) > _MOST else ""
    return f"{'exactly' if len(values) == 1 else 'one of'} {', '.join(shown)}{more}"


def _is_plain(value: object) -> bool:
    if isinstance(value, str):
        return _PLAIN_VALUE.fullmatch(value) is not None
    return value is None or (type(value) in (bool, int, float) and len(repr(value)) <= 24)


def _typed(name: str, schema: dict[str, Any]) -> str:
    noun = TYPE_WORDS[name]
    if name in ("integer", "number"):
        return _ranged(noun, schema)
    if name == "string":
        form = schema.get("format")
        noun = _FORMATS.get(form, noun) if isinstance(form, str) else noun
        return _sized(noun, schema, "Length", "character")
    if name == "array":
        return _sized(noun, schema, "Items", "element")
    if name == "object":
        names = schema.get("required")
        if (
            isinstance(names, list)
            and names
            and all(type(n) is str and is_plain_name(n) for n in names[:_MOST])
        ):
            return f"{noun} with {', '.join(names[:_MOST])}{' and more' if len(names) > _MOST else ''}"
    return noun


def _ranged(noun: str, schema: dict[str, Any]) -> str:
    ends = {end: schema.get(end) for end in ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")}
    low, high, above, below = (_number(end) for end in ends.values())
    if low and high:
        return f"{noun} from {low} to {high}"
    said = [f"at least {low}" if low else "", f"above {above}" if above else ""]
    said += [f"at most {high}" if high else "", f"below {below}" if below else ""]
    bounds = " and ".join(one for one in said if one)
    return f"{noun} {'of ' * bounds.startswith('at')}{bounds}".strip()


def _sized(noun: str, schema: dict[str, Any], kind: str, unit: str) -> str:
    low, high = _number(schema.get(f"min{kind}")), _number(schema.get(f"max{kind}"))
    if low == high and low:
        return f"{noun} of {low} {unit}{'s' * (low != '1')}"
    if low and high:
        return f"{noun} of {low} to {high} {unit}s"
    if high:
        return f"{noun} of at most {high} {unit}{'s' * (high != '1')}"
    return f"{noun} of at least {low} {unit}{'s' * (low != '1')}" if low and low != "0" else noun


def _number(value: object) -> str:
    return repr(value) if type(value) in (int, float) and len(repr(value)) <= 24 else ""
