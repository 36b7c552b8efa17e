"""Write the grant file that a person begins with, from what a server says of itself.

Every argument of every tool is named, with the tightest constraint that the tool's schema gives. Where it
gives none, the file says ``{ CHOOSE = "a string" }``: such a file is not accepted until somebody has decided.
An argument that no grant names is not granted, so a person deletes what is not needed and decides the rest.

    print(grant_template("files", tools))

Names and descriptions are the server's: they are quoted, in one line, and a description is only in a comment.
An optional argument beyond the sixth is written as a comment, because each doubles the ways that a capability
has to list. So is a tool without arguments, which would be granted although nobody decided anything, and one
that the server calls destructive.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

from ...call.call import MAX_ARGUMENTS, Call
from ...call.canonical import MalformedError
from ...call.facts import INT64
from ...grants.grant_file.writer import Form, GrantEntry, exact, one_of, write_grants
from ...grants.vocabulary.must import must
from ...tools.input_schema.reader import ClosedSchema, Schema, SchemaError
from ...tools.schema_words import TYPE_WORDS

__all__ = ["grant_template"]

MAX_DEPTH = 6
"""Depth of nested schemas that are spelled out."""

MAX_QUOTED = 200
"""Characters that are quoted of a server's own words."""

Definition = Mapping[str, Any]


def grant_template(
    server: str,
    tools: Iterable[Definition],
    resources: Iterable[Definition] = (),
    prompts: Iterable[Definition] = (),
    *,
    under: str | None = None,
) -> str:
    """Return the text of a grant file for everything that a server offers, from the items of its lists.

    Args:
        under: the folder in which the paths must be that tools get, as far as names tell that they are paths.
    """
    entries: list[GrantEntry] = []
    passed: list[str] = []
    for tool in tools:
        _add(entries, passed, "tool", tool.get("name"), tool, under)
    for one in resources:
        _add(entries, passed, "resource", one.get("uri"), one)
    for one in prompts:
        _add(entries, passed, "prompt", one.get("name"), one)
    head = [
        f"What the server {_quoted(server)} offers. Quoted words in comments are the server's own.",
        "Delete what is not needed; write a constraint in place of every CHOOSE, such as",
        '    { under = "/srv/data" }   { one_of = ["a", "b"] }   { max_length = 200 }   { anything = true }',
        *(f"Not granted: {words}" for words in passed),
    ]
    return write_grants(entries, head=head)


def _add(
    entries: list[GrantEntry],
    passed: list[str],
    kind: str,
    name: object,
    definition: Definition,
    under: str | None = None,
) -> None:
    """Add one entry, or in words why there is none."""
    try:
        if not isinstance(name, str):
            raise MalformedError("its name is not a string")
        Call.of(name, {}, kind=kind)
        if any((one.kind, one.name) == (kind, name) for one in entries):
            raise MalformedError("its name is used twice")
        made = {"prompt": _prompt, "tool": _tool}.get(kind, lambda _: {})(definition)
        if under is not None:
            made = {
                one: (_below(under, one, form), optional, words)
                for one, (form, optional, words) in made.items()
            }
    except (MalformedError, SchemaError) as fault:
        passed.append(f"{kind} {_quoted(name)}: {fault}")
        return
    entries.append(_entry(kind, name, definition, made))


def _tool(definition: Definition) -> dict[str, tuple[Form, bool, str]]:
    """Return for each argument its form, whether it may be omitted, and the server's description."""
    dialect = ClosedSchema.of(definition.get("inputSchema"))
    told, required = dialect.document.get("properties", {}), dialect.root.get("required", [])
    found = {}
    for name in [*told, *sorted(dialect.names - told.keys())]:
        schema = dialect.properties.get(name, True)
        form = _form(dialect, schema, optional=name not in required)
        words = told[name].get("description", "") if isinstance(told.get(name), dict) else ""
        found[name] = (form, name not in required, words)
    return found


def _prompt(definition: Definition) -> dict[str, tuple[Form, bool, str]]:
    found: dict[str, tuple[Form, bool, str]] = {}
    given = definition.get("arguments") or []
    if not isinstance(given, list):
        raise MalformedError("its arguments are not a list")
    for one in given:
        if not isinstance(one, Mapping) or not isinstance(one.get("name"), str):
            raise MalformedError("an argument has no name")
        found[one["name"]] = (
            {"CHOOSE": TYPE_WORDS["string"]},
            one.get("required") is not True,
            one.get("description", ""),
        )
    return found


def _entry(
    kind: str, name: str, definition: Definition, made: dict[str, tuple[Form, bool, str]]
) -> GrantEntry:
    arguments: dict[str, Form] = {}
    omitted: dict[str, Form] = {}
    notes: dict[str, str] = {}
    for argument, (form, optional, words) in made.items():
        if words:
            notes[argument] = _quoted(words)
        if optional:
            form = {"optional": form}
        try:
            Call.of(name, {argument: None})
        except MalformedError:
            omitted[argument], notes[argument] = form, "no capability can name this argument"
            continue
        if len(arguments) == MAX_ARGUMENTS:
            omitted[argument] = form
        else:
            arguments[argument] = form
    about = definition.get("description")
    quoted = _quoted(about) if about else ""
    withheld = _withheld(definition, arguments) if kind == "tool" else ""
    return GrantEntry(kind, name, arguments, quoted, notes, omitted, withheld)


def _withheld(definition: Definition, arguments: Mapping[str, Form]) -> str:
    """Return why a tool is not granted before somebody has decided so."""
    hints = definition.get("annotations")
    if isinstance(hints, Mapping) and hints.get("destructiveHint") is True:
        return "the server calls it destructive"
    return "" if arguments else "it takes no arguments, so the whole tool would be granted"


_PATHS = frozenset({"path", "file", "filename", "filepath", "dir", "directory", "folder"})
_PATHS_OF_MOVES = frozenset({"source", "destination", "src", "dst"})


def _below(folder: str, name: str, form: Form) -> Form:
    """Return a form that nobody has chosen as one below a folder, if the argument's name is a path's."""
    words = re.findall("[a-z]+", re.sub("([a-z])([A-Z])", r"\1 \2", name).lower())
    last = words[-1] if words else ""
    if last.removesuffix("s") not in _PATHS and last not in _PATHS_OF_MOVES:
        return form
    if form == {"CHOOSE": TYPE_WORDS["string"]}:
        return {"under": folder}
    if form == {"CHOOSE": TYPE_WORDS["array"]}:
        return {"each": {"of": {"under": folder}, "empty": False}}
    return form


def _form(dialect: ClosedSchema, schema: Schema, *, optional: bool = False, depth: int = 0) -> Form:
    """Return the tightest form that a schema gives, or a form that a person must choose."""
    schema = _followed(dialect, schema)
    told = None if isinstance(schema, bool) else _told(dialect, schema, optional, depth)
    return {"CHOOSE": _words(schema)} if told is None else told


def _followed(dialect: ClosedSchema, schema: Schema) -> Schema:
    """Return the schema that a schema refers to, if it does nothing else."""
    for _ in range(MAX_DEPTH):
        if isinstance(schema, bool) or not {"$ref"} <= schema.keys() <= {"$ref", *_CLOSED}:
            break
        closed = {word: schema[word] for word in _CLOSED if word in schema}
        target = dialect.definitions[schema["$ref"]]
        schema = target if isinstance(target, bool) else {**target, **closed}
    return schema


def _told(dialect: ClosedSchema, schema: dict[str, Any], optional: bool, depth: int) -> Form | None:
    if depth > MAX_DEPTH:
        return None
    if "const" in schema:
        return exact(schema["const"])
    if "enum" in schema:
        return one_of(schema["enum"]) if schema["enum"] and all(map(_is_scalar, schema["enum"])) else None
    if "anyOf" in schema:
        rest = [one for one in schema["anyOf"] if one != {"type": ["null"]}]
        if optional and len(rest) == 1:  # null says no more than leaving the argument out
            form = _form(dialect, rest[0], depth=depth + 1)
            return None if _is_open(form) else form
        return None
    types = [name for name in schema.get("type", ()) if not (optional and name == "null")]
    if types == ["boolean"]:
        return one_of([True, False])
    if types == ["integer"]:
        return _bounds(schema)
    if types == ["number"]:
        return _numbers(schema)
    if types == ["string"]:
        return {"max_length": schema["maxLength"]} if schema.get("maxLength", INT64) < INT64 else None
    if types == ["array"]:
        return _elements(dialect, schema, depth)
    if types == ["object"]:
        return _fields(dialect, schema, depth)
    return None


def _bounds(schema: dict[str, Any]) -> Form | None:
    lows = [math.ceil(schema["minimum"])] if "minimum" in schema else []
    lows += [math.floor(schema["exclusiveMinimum"]) + 1] if "exclusiveMinimum" in schema else []
    highs = [math.floor(schema["maximum"])] if "maximum" in schema else []
    highs += [math.ceil(schema["exclusiveMaximum"]) - 1] if "exclusiveMaximum" in schema else []
    if not all(-INT64 <= edge < INT64 for edge in [*lows, *highs]):
        return None
    if lows and highs:
        return {"between": [max(lows), min(highs)]} if max(lows) <= min(highs) else None
    if lows or highs:
        return {"at_least": max(lows)} if lows else {"at_most": min(highs)}
    return None


def _numbers(schema: dict[str, Any]) -> Form | None:
    words = {"low": "minimum", "above": "exclusiveMinimum", "high": "maximum", "below": "exclusiveMaximum"}
    ends = {end: schema[word] for end, word in words.items() if word in schema}
    if ends.keys() >= {"low", "above"}:
        del ends["low" if ends["above"] >= ends["low"] else "above"]
    if ends.keys() >= {"high", "below"}:
        del ends["high" if ends["below"] <= ends["high"] else "below"]
    try:
        must.number(**ends)
    except ValueError:  # more decimal places than a token holds
        return None
    return {"number": ends} if ends else None


def _elements(dialect: ClosedSchema, schema: dict[str, Any], depth: int) -> Form | None:
    if "items" not in schema or "prefixItems" in schema:
        return None
    form = _form(dialect, schema["items"], depth=depth + 1)
    empty = schema.get("minItems", 0) == 0
    most = {"max_length": schema["maxItems"]} if schema.get("maxItems", INT64) < INT64 else {}
    values = form.get("one_of") if isinstance(form, dict) else [form]
    if values is None:
        bounded = isinstance(form, dict) and form.keys() <= {"between", "at_least", "at_most", "max_length"}
        return {"each": {"of": form, "empty": empty}, **most} if bounded else None
    texts = all(type(value) is str for value in values)
    numbers = all(type(value) is int and -INT64 <= value < INT64 for value in values)
    return {"subset_of": {"values": values, "empty": empty}, **most} if texts or numbers else None


def _fields(dialect: ClosedSchema, schema: dict[str, Any], depth: int) -> Form | None:
    members = schema.get("properties", {})
    closed = any(schema.get(word) is False for word in _CLOSED)
    if not members or not closed or members.keys() - set(schema.get("required", ())) or "" in members:
        return None  # an optional field would double the ways again
    return {"fields": {name: _form(dialect, one, depth=depth + 1) for name, one in members.items()}}


_CLOSED = ("additionalProperties", "unevaluatedProperties")


def _is_scalar(value: object) -> bool:
    return not isinstance(value, (list, dict))


def _is_open(form: Form) -> bool:
    return isinstance(form, dict) and "CHOOSE" in form


def _words(schema: Schema) -> str:
    if isinstance(schema, bool):
        return "any value"
    kinds = [_words(one) for one in schema["anyOf"]] if "anyOf" in schema else []
    kinds += [TYPE_WORDS[name] for name in schema.get("type", ())]
    return " or ".join(dict.fromkeys(kinds)) or "any value"


def _quoted(text: object) -> str:
    """Return the server's words in quotes, which nothing in the words can close unseen."""
    words = str(text)
    shown = words[:MAX_QUOTED].replace("\\", "\\\\").replace('"', '\\"')
    more = f" (and {len(words) - MAX_QUOTED} more characters)" if len(words) > MAX_QUOTED else ""
    return f'"{shown}"{more}'
