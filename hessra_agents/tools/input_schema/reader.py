"""Read a server's schema into one closed dialect of JSON Schema.

A server's schema is foreign data: it may be written in an older draft, refer to any place, loop, or contain a
regular expression that never ends. The result is plain 2020-12, in which

1. objects are closed: if ``properties`` describe a value and nothing describes further names, there may be no
   further names. At the root there may be none even without ``properties``;
2. a reference points to a schema in the same document, by its place, its anchor or the document's ``$id``;
3. nothing costs more than its size: ``pattern``, ``patternProperties`` and ``unevaluatedItems`` are omitted,
   and so are the words that invert them (``not``, ``if``, ``oneOf``). So the dialect may allow more strings
   than the server's schema does; constraints on strings are in the capability;
4. every other word (``title``, ``format``, ``default``, ...) does not affect validity and is omitted;
5. a word whose value is null is absent, as is a whole schema that is null: generators write options so.

Drafts 4 to 2020-12 are read by the rules of the last: the words beside ``$ref`` also hold. Of draft 3,
``required`` within a property is read.

Source: JSON Schema 2020-12, Core 10 and 11, Validation 6.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeAlias, cast
from urllib.parse import unquote, urldefrag, urljoin

from ...call.canonical import MalformedError, encode, to_json

__all__ = ["ClosedSchema", "Schema", "SchemaError"]

Schema: TypeAlias = "bool | dict[str, Any]"

MAX_SCHEMA = 256 << 10
"""Bytes of a schema's canonical JSON."""

MAX_SUBSCHEMAS = 4096
"""Schemas inside one schema; to read one takes about 12 microseconds."""

MAX_REFERENCE = 512
"""Characters of a ``$ref``."""

TYPES = frozenset({"string", "integer", "number", "boolean", "null", "array", "object"})


class SchemaError(ValueError):
    """The value is not a schema, or not one that this dialect reads. The message repeats none of it."""


@dataclass(frozen=True, slots=True)
class ClosedSchema:
    """A schema of the dialect. ``definitions`` holds the schema for each ``$ref``."""

    document: dict[str, Any]
    """The schema as the server wrote it, without words that are null."""
    root: dict[str, Any]
    definitions: dict[str, Schema]
    names: frozenset[str]
    """Names of the members that the root describes, itself or by schemas that apply in the same place."""

    @property
    def properties(self) -> dict[str, Schema]:
        """Return the schemas of the members that the root itself describes."""
        return cast("dict[str, Schema]", self.root.get("properties", {}))

    @classmethod
    def of(cls, document: object) -> ClosedSchema:
        """Read a tool's ``inputSchema``.

        Raises:
            SchemaError: the schema does not describe an object, is not JSON Schema of a known draft, refers
                outside itself, or is too large.
        """
        try:
            given = _without_nulls(to_json({} if document is None else document))
        except MalformedError:
            raise SchemaError("it is too deep, too large or not JSON") from None
        if not isinstance(given, dict):
            raise SchemaError("it is not an object")
        text = encode(given)
        if len(text) > MAX_SCHEMA:
            raise SchemaError("it is too large")
        draft = given.get("$schema", "https://json-schema.org/draft/2020-12/schema")
        if not isinstance(draft, str) or not _DRAFT.fullmatch(draft):
            raise SchemaError("it is written in an unknown draft")
        loose = any(word in text for word in _OMITTED)
        reader = _SchemaReader(given, loose=loose, refers=b'"$ref":' in text)
        try:
            return cls(given, reader.root(), reader.definitions, reader.names())
        except RecursionError:  # a long chain of references
            raise SchemaError("it is too deep") from None


_DRAFT = re.compile(r"https?://json-schema\.org/((draft-0[467]|draft/(2019-09|2020-12))/)?schema#?")
_OMITTED = (b'"pattern":', b'"patternProperties":', b'"unevaluatedItems":')


def _is_number(value: object) -> bool:
    return type(value) in (int, float)


def _is_count(value: object) -> bool:
    return type(value) is int and value >= 0


def _length(value: object) -> int:
    """Return the number of elements of a list, or of an object and the lists in it."""
    if isinstance(value, dict):
        return len(value) + sum(len(member) for member in value.values() if isinstance(member, list))
    return len(value) if isinstance(value, list) else 0


def _once(names: list[str]) -> list[str]:
    return list(dict.fromkeys(names))


def _is_names(value: object) -> bool:
    return isinstance(value, list) and all(type(name) is str for name in value)


_SHAPES: dict[str, Callable[[Any], bool]] = {
    "const": lambda value: True,
    "enum": lambda value: isinstance(value, list),
    "multipleOf": lambda value: _is_number(value) and value > 0,
    "uniqueItems": lambda value: type(value) is bool,
    "required": _is_names,
    "dependentRequired": lambda value: isinstance(value, dict) and all(map(_is_names, value.values())),
    **dict.fromkeys(("maximum", "minimum", "exclusiveMaximum", "exclusiveMinimum"), _is_number),
    **dict.fromkeys(("maxLength", "minLength", "maxItems", "minItems"), _is_count),
    **dict.fromkeys(("maxProperties", "minProperties", "maxContains", "minContains"), _is_count),
}
"""The words that are kept unchanged, with a check of each word's value."""

_IN_PLACE = ("$ref", "allOf", "anyOf", "oneOf", "if", "then", "else", "dependentSchemas", "dependencies")
_UNREAD = ("$dynamicRef", "$recursiveRef")


@dataclass(slots=True)
class _SchemaReader:
    """A single pass over a document."""

    document: dict[str, Any]
    loose: bool
    """Whether a word is omitted: then the words that could invert it are omitted as well."""
    refers: bool
    """Whether there is a reference: an ``$id`` inside would change where it points to, and is refused."""
    definitions: dict[str, Schema] = field(default_factory=dict)
    _names: dict[tuple[int, bool], str] = field(default_factory=dict)
    """The name of each schema that is referred to, whatever the spelling of the reference."""
    _targets: dict[str, object] = field(default_factory=dict)
    _anchors: dict[str, list[object]] | None = None
    _left: float = MAX_SUBSCHEMAS

    def root(self) -> dict[str, Any]:
        read = self.schema(self.document)
        if isinstance(read, bool):
            raise SchemaError("it is not an object")
        if "object" not in read.setdefault("type", ["object"]):
            raise SchemaError("it does not describe an object")
        read["type"] = ["object"]
        return self._closed(read)

    def names(self) -> frozenset[str]:
        schemas = self._same_place(self.document)
        return frozenset(name for schema in schemas for name in schema.get("properties", ()))

    def schema(self, given: object, *, own: bool = True, close: bool = True) -> Schema:
        """Read one schema. ``own``: the schema describes a place of its own, so it is closed there."""
        self._spend(1)
        if isinstance(given, bool):
            return given
        if not isinstance(given, dict):
            raise SchemaError("a schema is neither an object nor true or false")
        if any(word in given for word in _UNREAD) or (
            self.refers and given is not self.document and not str(given.get("$id", "#")).startswith("#")
        ):
            raise SchemaError("it has a reference of a kind that is not read")
        given = _modern(given)
        read: dict[str, Any] = {}
        if "type" in given:
            read["type"] = _types(given["type"])
        for word, fits in _SHAPES.items():
            if word in given:
                self._spend(_length(given[word]) / 64)
                if not fits(given[word]):
                    raise SchemaError(f"{word} has an invalid value")
                read[word] = _once(given[word]) if word == "required" else given[word]
        self._applied(given, read, own=own, close=close)
        if own and close and self._describes(given):
            return self._closed(read)
        return read

    def _applied(self, given: dict[str, Any], read: dict[str, Any], *, own: bool, close: bool) -> None:
        """Read the words that contain other schemas."""
        if "$ref" in given:
            read["$ref"] = self._reference(given["$ref"], close)
        for word in ("allOf", "anyOf", "oneOf", "prefixItems"):
            if word in given:
                below = word == "prefixItems"
                read[word] = [self.schema(one, own=below, close=close) for one in _list(given[word])]
        for word in ("properties", "dependentSchemas"):
            if word in given:
                below = word == "properties"
                members = _object(given[word]).items()
                read[word] = {name: self.schema(one, own=below, close=close) for name, one in members}
        for word in ("items", "additionalProperties", "unevaluatedProperties"):
            if word in given:
                read[word] = self.schema(given[word], close=close)
        for word in ("not", "if", "contains", "propertyNames"):
            if word in given:  # to close an object here would allow what the schema refuses
                read[word] = self.schema(given[word], own=False, close=False)
        for word in ("then", "else"):
            if word in given and "if" in given:
                read[word] = self.schema(given[word], own=False, close=close)
        if "patternProperties" in given:
            matched = [self.schema(one, close=close) for one in _object(given["patternProperties"]).values()]
            others = read.get("additionalProperties", not (own and close))
            read["additionalProperties"] = {"anyOf": [*matched, others]}
        if self.loose:
            _loosen(read)

    def _spend(self, size: float) -> None:
        self._left -= size
        if self._left < 0:
            raise SchemaError("it is too large")

    def _closed(self, read: dict[str, Any]) -> dict[str, Any]:
        if "additionalProperties" in read or "unevaluatedProperties" in read:
            return read
        composed = any(word in read for word in _IN_PLACE)
        return {**read, "unevaluatedProperties" if composed else "additionalProperties": False}

    def _describes(self, given: dict[str, Any]) -> bool:
        """Return whether this schema has ``properties``, itself or by schemas for the same place."""
        return any("properties" in one for one in self._same_place(given))

    def _same_place(self, given: object) -> Iterator[dict[str, Any]]:
        """Yield this schema and the schemas that apply in the same place, each once."""
        seen: set[int] = set()
        waiting = [given]
        while waiting:
            schema = waiting.pop()
            self._spend(1 / 16)
            if not isinstance(schema, dict) or id(schema) in seen:
                continue
            seen.add(id(schema))
            yield schema
            for word in _IN_PLACE:
                inner = schema.get(word)
                if word == "$ref" and isinstance(inner, str):
                    waiting.append(self._target(inner))
                elif isinstance(inner, list):
                    waiting += inner
                elif isinstance(inner, dict):
                    named = word in ("dependentSchemas", "dependencies")
                    waiting += inner.values() if named else [inner]

    def _reference(self, ref: object, close: bool) -> str:
        """Return the name in ``definitions`` of the schema that a reference points to."""
        if not isinstance(ref, str):
            raise SchemaError("it has a reference of a kind that is not read")
        target = self._target(ref)
        known = (id(target), close)  # the document keeps the target alive
        if known not in self._names:
            name = self._names[known] = f"#/$defs/{len(self._names)}"
            self.definitions[name] = False  # until it is read, because it may refer to itself
            self.definitions[name] = self.schema(target, own=False, close=close)
        return self._names[known]

    def _target(self, ref: str) -> object:
        if ref not in self._targets:
            self._targets[ref] = self._resolve(ref)
        return self._targets[ref]

    def _resolve(self, ref: str) -> object:
        if len(ref) > MAX_REFERENCE:
            raise SchemaError("it has a reference of a kind that is not read")
        place, *steps = self._fragment(ref).split("/")
        value: Any = self.document
        if place:
            value, steps = self._anchored(place), []
        for step in steps:
            name = unquote(step).replace("~1", "/").replace("~0", "~")
            if isinstance(value, dict) and name in value:
                value = value[name]
            elif isinstance(value, list) and name.isascii() and name.isdigit() and int(name) < len(value):
                value = value[int(name)]
            else:
                raise SchemaError("it refers to a place that does not exist")
        return value

    def _fragment(self, ref: str) -> str:
        """Return what a reference names in this document."""
        own = self.document.get("$id")
        with suppress(ValueError):  # not a URL
            base = urldefrag(own).url if isinstance(own, str) else ""
            there, fragment = urldefrag(ref if ref.startswith("#") else urljoin(base, ref))
            if ref.startswith("#") or there == base:
                return fragment
        raise SchemaError("it refers to another document")

    def _anchored(self, name: str) -> object:
        """Return the schema with this anchor, which is ``$anchor``, or ``$id`` up to draft 7."""
        if self._anchors is None:
            self._anchors = {}
            waiting: list[object] = [self.document]
            while waiting:
                value = waiting.pop()
                self._spend(1 / 16)
                if isinstance(value, dict):
                    for anchor in (value.get("$anchor"), value.get("$id"), value.get("id")):
                        if isinstance(anchor, str):
                            self._anchors.setdefault(anchor.removeprefix("#"), []).append(value)
                    waiting += value.values()
                elif isinstance(value, list):
                    waiting += value
        found = self._anchors.get(name, [])
        if len(found) != 1:
            raise SchemaError("it refers to a place that does not exist")
        return found[0]


_VALUES = frozenset({"const", "default", "enum", "examples"})


def _without_nulls(value: Any) -> Any:
    """Return a schema without words that are null; what a word says about values is kept as it is."""
    if isinstance(value, list):
        return [_without_nulls(one) for one in value]
    if not isinstance(value, dict):
        return value
    return {
        word: one if word in _VALUES else _without_nulls(one)
        for word, one in value.items()
        if one is not None or word in ("const", "default")
    }


def _modern(given: dict[str, Any]) -> dict[str, Any]:
    """Return the schema in the words of 2020-12."""
    new = dict(given)
    if isinstance(given.get("required"), bool):  # draft 3: within a property, of the property
        del new["required"]
    members, others = given.get("properties"), new.get("required", [])
    if isinstance(members, dict) and isinstance(others, list):
        named = [n for n, one in members.items() if isinstance(one, dict) and one.get("required") is True]
        new |= {"required": others + named} if named else {}
    if isinstance(given.get("items"), list):  # up to 2019-09
        new["prefixItems"] = new.pop("items")
        if "additionalItems" in given:
            new["items"] = given["additionalItems"]
    old = _object(new.pop("dependencies", {}))  # up to draft 7
    lists = {name: value for name, value in old.items() if isinstance(value, list)}
    schemas = {name: value for name, value in old.items() if name not in lists}
    for word, members in (("dependentRequired", lists), ("dependentSchemas", schemas)):
        if members:
            new[word] = {**_object(new.get(word, {})), **members}
    for edge in ("minimum", "maximum"):  # draft 4
        exclusive = f"exclusive{edge.title()}"
        if isinstance(given.get(exclusive), bool):
            del new[exclusive]
            if given[exclusive] and edge in given:
                new[exclusive] = new.pop(edge)
    return new


def _loosen(read: dict[str, Any]) -> None:
    """Omit or loosen the words that would refuse the wrong values because another word is omitted."""
    read.pop("not", None)
    read.pop("maxContains", None)
    if "oneOf" in read:
        read.setdefault("allOf", []).append({"anyOf": read.pop("oneOf")})
    if "if" in read:
        held = {"allOf": [read.pop("if"), read.pop("then", True)]}
        read.setdefault("allOf", []).append({"anyOf": [held, read.pop("else", True)]})


def _types(given: object) -> list[str]:
    names = given if isinstance(given, list) else [given]
    if not names or not all(isinstance(name, str) and name in TYPES for name in names):
        raise SchemaError("type has an invalid value")
    return sorted(set(names))


def _list(given: object) -> list[Any]:
    if not isinstance(given, list) or not given:
        raise SchemaError("a list of schemas is empty or not a list")
    return given


def _object(given: object) -> dict[str, Any]:
    if not isinstance(given, dict):
        raise SchemaError("an object of schemas is not an object")
    return given
