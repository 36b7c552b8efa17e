"""A tool's ``inputSchema`` as a strict gate for its arguments.

Servers convert what they get: ``"5"`` to 5, a text with JSON in it to a list, unknown arguments to nothing.
So what a guard decides on and what a tool receives could be two values. Here the arguments are checked as
they are written, before the decision:

1. Exact JSON types, and no argument that the schema does not describe, at the top and in every object below
   whose schema has ``properties`` and does not open itself. A schema without properties is a tool without
   arguments.
2. A text that a server could read as another value, and that the schema would allow as such, is refused: a
   server of the Python SDK reads ``'["/etc"]'`` as a list wherever a parameter is not exactly ``str``. The
   schema shows that where it admits lists, objects or null beside texts; a parameter without annotation is
   shown as a text and gives itself away by a title that is its bare name.
3. The schema is foreign, too, and can be hostile: no text of it is in a refusal but the names of arguments,
   and it cannot make the guard work without end (see `dialect`). ``pattern`` and ``format`` are not judged:
   what a text may be is said by the capability.

    InputSchema.of(tool["inputSchema"]).check(call)

Not protected: what a server makes of a value that its schema allows.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ...call.call import MAX_NAME, Call
from ...call.canonical import Json, MalformedError, to_json
from ...errors import Denied, Problem, Reason
from ...grants.clauses import Pattern
from ..json_schema import narrowed
from .reader import ClosedSchema, Schema, SchemaError
from .validator import SchemaValidator

__all__ = ["TYPE_WORDS", "InputSchema"]

MAX_TOLD = 16
"""Places that one refusal names."""

_OTHER = re.compile(r"[ \t\n\r]*+(?:[\[{0-9-]|true|false|null)")
"""How a text begins that JSON reads as something else than a text."""

TYPE_WORDS = {
    "string": "a text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "null": "null",
    "array": "a list",
    "object": "an object",
}


@dataclass(frozen=True, slots=True)
class InputSchema:
    """What one tool takes. Make one with `InputSchema.of`, once for each definition."""

    _dialect: ClosedSchema = field(repr=False)
    _texts: frozenset[str] = field(repr=False)
    """Arguments that are a text and nothing else, to the schema and to the server."""
    _untyped: frozenset[str] = field(repr=False)
    """Arguments that the schema calls a text and the server may read as anything."""

    @classmethod
    def of(cls, schema: object) -> InputSchema:
        """Read a tool's ``inputSchema``.

        Raises:
            Denied: ``unavailable``, where nothing could be checked against it.
        """
        try:
            dialect = ClosedSchema.of(schema)
        except SchemaError as fault:
            raise Denied(Reason.UNAVAILABLE, f"the tool's input schema cannot be used: {fault}") from None
        named = dialect.document.get("properties", {})
        untyped = frozenset(name for name, one in named.items() if _is_untyped(name, one))
        texts = {name for name, one in dialect.properties.items() if _only(one) == ["string"]}
        return cls(dialect, frozenset(texts) - untyped, untyped)

    def check(self, call: Call) -> None:
        """Let these arguments pass as they are written, or refuse them.

        Raises:
            Denied: ``unnamed_argument``, ``missing_argument`` or ``malformed``, in names and our own words;
                ``too_large``, where it would take too long to tell.
        """
        run, values = SchemaValidator(self._dialect), call.arguments
        if not run.fits(self._dialect.root, values):
            raise self._refused(call, run, values)
        self._refuse_second_readings(call, run, values)

    def narrowed(self, patterns: Sequence[Pattern], resource: str) -> dict[str, Any]:
        """The schema as a caller gets it: closed, and narrowed to what is granted.

        A hint that keeps a model from asking in vain; where the schema is odd, it says less.
        """
        schema = self._dialect.document
        own = schema.get("properties", {})
        described = {**own, **dict.fromkeys(sorted(self._dialect.names - own.keys()), True)}
        told = {name: {} if one is True else one for name, one in described.items() if one is not False}
        return narrowed({**schema, "properties": told}, resource, patterns)

    def _refuse_second_readings(self, call: Call, run: SchemaValidator, values: dict[str, Json]) -> None:
        read: dict[str, Json] = {}
        told: list[str] = []
        for name, value in values.items():
            if type(value) is str and name not in self._texts and _OTHER.match(value):
                try:
                    read[name] = _read(run, value)
                except MalformedError:  # JSON to some readers, and to us a value that could not be judged
                    told.append(name)
                except ValueError:
                    continue  # no JSON
        converted = (list, dict, type(None))
        told += [name for name in read if name in self._untyped and isinstance(read[name], converted)]
        ways = [{name: value} for name, value in read.items()] + ([read] if len(read) > 1 else [])
        for way in ways:
            run.spend(len(values) / 16)
            if run.fits(self._dialect.root, {**values, **way}):
                told += way
        if told:
            allowed = "no text that a server could read as another value"
            problems = [self._problem(Reason.MALFORMED, name, allowed) for name in dict.fromkeys(told)]
            raise Denied(Reason.MALFORMED, tool=call.tool, problems=problems[:MAX_TOLD])

    def _refused(self, call: Call, run: SchemaValidator, values: dict[str, Json]) -> Denied:
        """Why, in the names of arguments and our own words; whatever else may hold a value."""
        known, root = self._dialect.properties, self._dialect.root
        closed = any(root.get(word) is False for word in ("additionalProperties", "unevaluatedProperties"))
        problems = []
        if closed and values.keys() - self._dialect.names:
            problems.append(Problem(Reason.UNNAMED_ARGUMENT, None, "the tool has no such argument"))
        missing = [name for name in root.get("required", ()) if name not in values]
        problems += [self._problem(Reason.MISSING_ARGUMENT, name) for name in missing[:MAX_TOLD]]
        wrong = [name for name, one in known.items() if name in values and not run.fits(one, values[name])]
        problems += [self._problem(Reason.MALFORMED, name, _words(known[name])) for name in wrong[:MAX_TOLD]]
        if not problems:
            problems = [Problem(Reason.MALFORMED, None, "the arguments do not fit the tool's input schema")]
        return Denied(problems[0].reason, tool=call.tool, problems=problems[:MAX_TOLD])

    def _problem(self, reason: Reason, name: str, allowed: str = "") -> Problem:
        """A problem with an argument; a name that could be no argument's is not repeated."""
        told = name if name in self._dialect.names and len(name) <= MAX_NAME else None
        return Problem(reason, told, allowed)


def _read(run: SchemaValidator, text: str) -> Json:
    """What a careless reader of JSON makes of a text.

    Raises:
        MalformedError: a value that has no canonical form.
        ValueError: it is no JSON.
    """
    try:
        found = json.loads(text)
        run.weigh(found)
        return to_json(found)
    except RecursionError:  # another reader may go deeper
        raise MalformedError("too deep") from None


def _is_untyped(name: str, given: object) -> bool:
    """Whether the Python SDK shows a parameter without annotation like this."""
    return isinstance(given, dict) and given.get("type") == "string" and given.get("title") == name


def _only(schema: Schema) -> list[str]:
    """The types that a schema admits, if its own words say so."""
    return [] if isinstance(schema, bool) else schema.get("type", [])


def _words(schema: Schema) -> str:
    types = [] if isinstance(schema, bool) else [_only(one) for one in schema.get("anyOf", [schema])]
    simple = not isinstance(schema, bool) and schema.keys() <= {"type", "anyOf"} and all(types)
    if not simple:
        return "what its schema describes"
    return " or ".join(dict.fromkeys(TYPE_WORDS[name] for one in types for name in one))
