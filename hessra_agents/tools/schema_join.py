"""Join two JSON Schemas: what both admit, written as a model reads it best.

`joined` merges keywords where it can and else writes ``allOf``, which says the same. It tells that nothing
is left where types, listed values or ranges show it. One of the schemas may be foreign: of references,
choices and depth only so many are looked at, and what is beyond that is left to ``allOf``.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

__all__ = ["Schema", "beside", "joined", "resolved"]

Schema: TypeAlias = "dict[str, Any]"

MAX_OPTIONS = 16
"""Combinations of the alternatives of two schemas."""

MAX_JOINS = 4096
"""Pairs of schemas that one join looks at."""

MAX_DEPTH = 96
"""Joins inside one another: arguments have 32 levels, each with alternatives."""

_NOTES = ("title", "description", "default", "examples", "deprecated", "readOnly", "writeOnly")
_UNSEEN = frozenset(
    {"$ref", "patternProperties", "unevaluatedProperties", "unevaluatedItems", "dependentSchemas"}
)
"""Keywords beside which ``properties`` and ``items`` mean something else."""

_OF = {
    word: types
    for words, types in {
        ("minLength", "maxLength", "pattern", "format"): {"string"},
        ("minItems", "maxItems", "items", "prefixItems", "uniqueItems", "contains"): {"array"},
        ("properties", "required", "additionalProperties", "propertyNames"): {"object"},
        ("minProperties", "maxProperties"): {"object"},
        ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"): {"number", "integer"},
    }.items()
    for word in words
}
"""The types that a keyword is about: it means nothing for others."""


def joined(one: Any, other: Any, document: Mapping[str, Any] | None = None) -> Schema | None:
    """Return a schema that admits what both of these admit, or None if they admit nothing together.

    Args:
        one: a schema, perhaps a foreign one; its notes come first.
        other: a schema.
        document: where references (``#/$defs/...``) point to.
    """
    return _Join(document or {}).both(one, other)


def resolved(schema: Any, document: Mapping[str, Any]) -> Any:
    """Return what a reference points to, with the notes beside it; with constraints beside it, itself."""
    for _ in range(8):
        ref = schema.get("$ref") if isinstance(schema, dict) else None
        if not isinstance(ref, str) or not ref.startswith("#/") or schema.keys() - {"$ref", *_NOTES}:
            break
        target: Any = document
        for step in ref[2:].split("/"):
            target = (
                target.get(step.replace("~1", "/").replace("~0", "~")) if isinstance(target, dict) else None
            )
        if not isinstance(target, dict):
            break
        schema = {**target, **{word: value for word, value in schema.items() if word != "$ref"}}
    return schema


def beside(one: Schema, other: Schema) -> Schema:
    """Return a schema that requires both; what ``other`` evaluates stays unevaluated for ``one``."""
    if one.keys() & {"unevaluatedItems", "unevaluatedProperties"}:
        return {"allOf": [one, other]}
    return {**one, "allOf": [*one.get("allOf", ()), other]}


@dataclass(slots=True)
class _Join:
    document: Mapping[str, Any]
    left: int = field(default=MAX_JOINS)
    depth: int = 0

    def both(self, one: Any, other: Any) -> Schema | None:
        self.left, self.depth = self.left - 1, self.depth + 1
        try:
            return self._both(one, other)
        finally:
            self.depth -= 1

    def _both(self, one: Any, other: Any) -> Schema | None:
        if one is False or other is False:
            return None
        one, other = ({} if side is True else resolved(side, self.document) for side in (one, other))
        if not one or not other:
            return dict(one or other)
        if self.left < 0 or self.depth > MAX_DEPTH or not isinstance(one, dict):
            return {"allOf": [one, other]}
        notes = {word: side[word] for side in (other, one) for word in _NOTES if word in side}
        words = [side["description"] for side in (one, other) if isinstance(side.get("description"), str)]
        if words:
            notes["description"] = "; ".join(dict.fromkeys(words))
        sides = [self._options({k: v for k, v in side.items() if k not in _NOTES}) for side in (one, other)]
        if len(sides[0]) * len(sides[1]) > MAX_OPTIONS:
            return {**beside(one, _without_notes(other)), **notes}
        found: list[Schema] = []
        for left in sides[0]:
            for right in sides[1]:
                merged = self._merged(left, right)
                if merged is not None and merged not in found:
                    found.append(merged)
        if not found:
            return None
        return {**(found[0] if len(found) == 1 else _any_of(found)), **notes}

    def _options(self, schema: Schema) -> list[Schema]:
        options = schema.get("anyOf")
        if not isinstance(options, list) or not 0 < len(options) <= MAX_OPTIONS:
            return [schema]
        rest = {word: value for word, value in schema.items() if word != "anyOf"}
        both = [self.both(rest, option) for option in options]
        return [one for one in both if one is not None]

    def _merged(self, one: Schema, other: Schema) -> Schema | None:
        """Join two schemas without alternatives."""
        if not one or not other:
            return dict(one or other)
        types = _common(one.get("type"), other.get("type"))
        if types == []:
            return None
        if (one.keys() | other.keys()) & _UNSEEN:
            return beside(one, other)
        merged = {**one, **({} if types is None else {"type": types[0] if len(types) == 1 else types})}
        for word, value in other.items():
            if word not in one:
                merged[word] = value
            elif word in _NUMBERS:
                merged[word] = _NUMBERS[word](one[word], value) if _are_numbers(one[word], value) else value
            elif word == "required":
                merged[word] = list(dict.fromkeys([*one[word], *value]))
            elif word == "allOf":
                merged[word] = [*one[word], *value]
            elif word not in (*_TOGETHER, "type") and one[word] != value:
                merged["allOf"] = [*merged.get("allOf", ()), {word: value}]
        listed = _listed(one), _listed(other)
        if listed != (None, None):
            own = [
                value
                for value in listed[0] or listed[1] or []
                if _admits(one, value) and _admits(other, value)
            ]
            if not own:
                return None
            merged.pop("enum", None)
            merged |= {"const": own[0]} if len(own) == 1 and _is_const(one, other) else {"enum": own}
            if "enum" in merged:
                merged.pop("const", None)
            if isinstance(merged.get("type"), list):
                del merged["type"]  # the values show their types
        if not self._objects(one, other, merged) or not self._lists(one, other, merged):
            return None
        known = {merged["type"]} if isinstance(merged.get("type"), str) else {*merged.get("type", ())}
        kept = {word: v for word, v in merged.items() if not known or word not in _OF or known & _OF[word]}
        empty = any(
            _are_numbers(kept.get(low), kept.get(high)) and kept[low] > kept[high] and known and known <= of
            for low, high, of in _RANGES
        )
        return None if empty else kept

    def _objects(self, one: Schema, other: Schema, merged: Schema) -> bool:
        """Merge what two schemas say of an object's members; return whether the required ones can be."""
        if not any(isinstance(side.get("properties", {}), dict) is False for side in (one, other)) and (
            "properties" in one
            or "properties" in other
            or {"additionalProperties"} <= one.keys() & other.keys()
        ):
            properties: Schema = {}
            closed = False in (one.get("additionalProperties"), other.get("additionalProperties"))
            sides = [
                (side.get("properties", {}), side.get("additionalProperties", True)) for side in (one, other)
            ]
            for name in dict.fromkeys([*sides[0][0], *sides[1][0]]):
                both = self.both(*(own.get(name, rest) for own, rest in sides))
                if both is None and name in merged.get("required", ()):
                    return False
                if both is not None or not closed:
                    properties[name] = False if both is None else both
            if properties or "properties" in merged:
                merged["properties"] = properties
            rest = self.both(sides[0][1], sides[1][1])
            merged["additionalProperties"] = False if rest is None else rest
            if rest == {}:
                del merged["additionalProperties"]
        return True

    def _lists(self, one: Schema, other: Schema, merged: Schema) -> bool:
        """Merge what two schemas say of a list's elements; return whether the required ones can be."""
        sides = [(side.get("prefixItems", []), side.get("items", True)) for side in (one, other)]
        if all(isinstance(own, list) and isinstance(rest, (dict, bool)) for own, rest in sides):
            prefix: list[Any] = []
            for index in range(max(len(own) for own, _ in sides)):
                both = self.both(*(own[index] if index < len(own) else rest for own, rest in sides))
                if both is None and merged.get("minItems", 0) > index:
                    return False
                prefix.append(False if both is None else both)
            rest = self.both(*(rest for _, rest in sides))
            if rest is None and merged.get("minItems", 0) > len(prefix):
                return False
            if prefix:
                merged["prefixItems"] = prefix
            if rest != {}:
                merged["items"] = False if rest is None else rest
        return True


_TOGETHER = ("const", "enum", "properties", "additionalProperties", "items", "prefixItems")
_NUMBERS: dict[str, Callable[[Any, Any], Any]] = {
    **dict.fromkeys(("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"), max),
    **dict.fromkeys(("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"), min),
}
_RANGES = [
    ("minimum", "maximum", {"number", "integer"}),
    ("minLength", "maxLength", {"string"}),
    ("minItems", "maxItems", {"array"}),
    ("minProperties", "maxProperties", {"object"}),
]


def _common(one: Any, other: Any) -> list[str] | None:
    """Return the types that both allow, of which an integer is a number; None if neither says."""
    lists = [[side] if isinstance(side, str) else side for side in (one, other) if side is not None]
    if len(lists) < 2 or not all(isinstance(side, list) for side in lists):
        return lists[0] if lists else None
    left, right = lists
    found = [t for t in left if t in right or (t == "integer" and "number" in right)]
    if "number" in left and "integer" in right and "integer" not in found and "number" not in right:
        found.append("integer")
    return found


def _any_of(options: list[Schema]) -> Schema:
    """Return one schema for several; a list of values if each lists its values."""
    # a client reads an extension, such as x-mcp-header, of the argument itself and not of an alternative
    shared = {w: v for w, v in options[0].items() if w[:2] == "x-" and all(o.get(w) == v for o in options)}
    if shared:
        return {**_any_of([{w: v for w, v in o.items() if w not in shared} for o in options]), **shared}
    listed = [_listed(one) if one.keys() <= {"type", "const", "enum"} else None for one in options]
    if all(values is not None for values in listed):
        values: list[Any] = []
        for value in (value for own in listed for value in own or ()):
            if not any(_same(value, known) for known in values):
                values.append(value)
        types = {one.get("type") for one in options if isinstance(one.get("type"), str)}
        return {"type": types.pop(), "enum": values} if len(types) == 1 else {"enum": values}
    return {"anyOf": options}


def _without_notes(schema: Schema) -> Schema:
    return {word: value for word, value in schema.items() if word not in _NOTES}


def _listed(schema: Schema) -> list[Any] | None:
    if "const" in schema:
        return [schema["const"]]
    return schema["enum"] if isinstance(schema.get("enum"), list) else None


def _is_const(one: Schema, other: Schema) -> bool:
    return "const" in one or "const" in other


def _are_numbers(*values: object) -> bool:
    return all(type(value) in (int, float) for value in values)


def _same(one: Any, other: Any) -> bool:
    """Return whether two JSON values are equal: ``true`` is not 1."""
    return one == other and (type(one) is bool) == (type(other) is bool)


_PYTHON = {
    "string": str,
    "boolean": bool,
    "array": list,
    "object": dict,
    "null": type(None),
}


def _is_type(value: Any, name: Any) -> bool:
    if name in ("integer", "number"):
        return type(value) is int or (type(value) is float and (name == "number" or value.is_integer()))
    return name not in _PYTHON or type(value) is _PYTHON[name]


def _admits(schema: Schema, value: Any) -> bool:
    """Return whether the simple keywords of a schema admit a value; others count as admitting it."""
    types = schema.get("type")
    if types is not None and not any(
        _is_type(value, t) for t in ([types] if isinstance(types, str) else types)
    ):
        return False
    listed = _listed(schema)
    if listed is not None and not any(_same(value, one) for one in listed):
        return False
    kind = _MEASURES.get(type(value))
    if kind is None:
        return True
    size: Any = value if kind == "imum" else len(value)
    ends = [(f"min{kind}", operator.ge), (f"max{kind}", operator.le)]
    ends += [("exclusiveMinimum", operator.gt), ("exclusiveMaximum", operator.lt)] if kind == "imum" else []
    within = all(test(size, schema[end]) for end, test in ends if _are_numbers(schema.get(end)))
    return within and (type(value) is not str or _matches(schema.get("pattern"), value))


_MEASURES: dict[type, str] = {str: "Length", list: "Items", dict: "Properties", int: "imum", float: "imum"}
"""The end of the keywords that bound a value's size."""


def _matches(pattern: Any, text: str) -> bool:
    """Return whether a string matches a pattern of our own; of others, only the plain ones are read."""
    if not isinstance(pattern, str) or len(text) > 256 or not _OWN_PATTERN.fullmatch(pattern):
        return True
    return re.search(re.sub(r"(?<!\\)\$$", r"\\Z", pattern), text) is not None


_OWN_PATTERN = re.compile(r"\^?(?:[A-Za-z0-9 /:@_-]|\\[.^$|?*+()\[\]{}\\])*\$?")
"""Expressions without repetition, which no text makes slow."""
