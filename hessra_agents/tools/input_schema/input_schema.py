"""Check a call's arguments strictly against a tool's ``inputSchema``.

Servers convert what they receive: ``"5"`` to 5, a string that holds JSON to a list, unknown arguments to
nothing. So the value on which a guard decides could differ from the value that the tool gets. Here the
arguments are checked as they are written, before the decision:

1. JSON types must be exact, and the schema must describe every argument, at the top and in every object below
   whose schema has ``properties`` and does not allow others. A schema without properties means a tool without
   arguments.
2. A string that a server could read as another value is refused, if the schema would allow that value: a
   server of the Python SDK reads ``'["/etc"]'`` as a list wherever a parameter is not exactly ``str``. The
   schema shows such parameters: it allows lists, objects or null beside strings. A parameter without an
   annotation is shown as a string, and recognized by a title that is its bare name.
3. The schema comes from the server and may be hostile. A refusal repeats nothing of it but the names of
   arguments, bounds, and listed values that are plain words (see `schema_words`), and it cannot make the
   guard work without end (see `reader`). ``pattern`` and ``format`` are not checked: constraints on strings
   are in the capability.

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
from ...grants.describe import unknown_place
from ...grants.grants import Grant
from ..json_schema import check_grant, narrowed
from ..schema_words import at_place, describe_schema
from .reader import ClosedSchema, Schema, SchemaError
from .validator import SchemaValidator

__all__ = ["InputSchema"]

MAX_PROBLEMS = 16
"""Arguments that one refusal names."""

_REST = "unevaluatedProperties"

_OTHER = re.compile(r"[ \t\n\r]*+(?:[\[{0-9-]|true|false|null)")
"""The beginning of a string that JSON could read as a value of another type."""


@dataclass(frozen=True, slots=True)
class InputSchema:
    """The arguments that a tool accepts. Create it with `InputSchema.of`, once for each definition."""

    _schema: ClosedSchema = field(repr=False)
    _strings: frozenset[str] = field(repr=False)
    """Arguments that both the schema and the server read as strings only."""
    _untyped: frozenset[str] = field(repr=False)
    """Arguments that the schema shows as strings, and that the server may read as any value."""

    @classmethod
    def of(cls, schema: object) -> InputSchema:
        """Read a tool's ``inputSchema``.

        Raises:
            Denied: ``unavailable``, if arguments cannot be checked against the schema.
        """
        try:
            closed = ClosedSchema.of(schema)
        except SchemaError as fault:
            raise Denied(Reason.UNAVAILABLE, f"the tool's input schema cannot be used: {fault}") from None
        properties = closed.document.get("properties", {})
        untyped = frozenset(name for name, given in properties.items() if _is_untyped(name, given))
        strings = {name for name, own in closed.properties.items() if _types(own) == ["string"]}
        return cls(closed, frozenset(strings) - untyped, untyped)

    def check(self, call: Call) -> None:
        """Accept the call's arguments as they are written, or refuse them.

        Raises:
            Denied: ``unnamed_argument``, ``missing_argument`` or ``malformed``, in names and our own words;
                ``too_large``, if the check would take too long.
        """
        run, values = SchemaValidator(self._schema), call.values
        if not run.fits(self._schema.root, values):
            raise self._refused(call, run, values)
        self._refuse_second_readings(call, run, values)

    def check_grant(self, granted: Grant) -> None:
        """Check that a call that fits this schema can meet a grant.

        Raises:
            ValueError: there is no such argument, or a constraint can never be met.
        """
        check_grant(granted, self._shown())

    def narrowed(self, patterns: Sequence[Pattern], resource: str) -> dict[str, Any]:
        """Return the schema for a caller: closed, and narrowed to what is granted.

        This is a hint that spares a model refused calls. Of an unusual schema it shows less.
        """
        return narrowed(self._shown(), resource, patterns)

    def _shown(self) -> dict[str, Any]:
        schema = self._schema.document
        own = schema.get("properties", {})
        described = {**own, **dict.fromkeys(sorted(self._schema.names - own.keys()), True)}
        shown = {name: {} if one is True else one for name, one in described.items() if one is not False}
        return {**schema, "properties": shown}

    def _refuse_second_readings(self, call: Call, run: SchemaValidator, values: dict[str, Json]) -> None:
        read: dict[str, Json] = {}
        refused: list[str] = []
        for name, value in values.items():
            if type(value) is str and name not in self._strings and _OTHER.match(value):
                try:
                    read[name] = _read(run, value)
                except MalformedError:  # some readers take this for JSON, and we cannot check its value
                    refused.append(name)
                except ValueError:
                    continue  # not JSON
        converted = (list, dict, type(None))
        refused += [name for name in read if name in self._untyped and isinstance(read[name], converted)]
        readings = [{name: value} for name, value in read.items()] + ([read] if len(read) > 1 else [])
        for reading in readings:
            run.spend(len(values) / 16)
            if run.fits(self._schema.root, {**values, **reading}):
                refused += reading
        if refused:
            allowed = "a string that a server cannot read as another value"
            problems = [self._problem(Reason.MALFORMED, name, allowed) for name in dict.fromkeys(refused)]
            raise Denied(Reason.MALFORMED, tool=call.tool, problems=problems[:MAX_PROBLEMS])

    def _refused(self, call: Call, run: SchemaValidator, values: dict[str, Json]) -> Denied:
        """Return the refusal in names of arguments and our own words; every other text may hold a value."""
        known, root = self._schema.properties, self._schema.root
        closed = any(root.get(word) is False for word in ("additionalProperties", "unevaluatedProperties"))
        problems = []
        if closed and values.keys() - self._schema.names:
            problems.append(Problem(Reason.UNNAMED_ARGUMENT, None, "the tool has no such argument"))
        missing = [name for name in root.get("required", ()) if name not in values]
        problems += [self._problem(Reason.MISSING_ARGUMENT, name) for name in missing[:MAX_PROBLEMS]]
        wrong = [name for name, one in known.items() if name in values and not run.fits(one, values[name])]
        wrong = wrong[:MAX_PROBLEMS]
        problems += [self._fault(run, name, known[name], values[name]) for name in wrong]
        if not problems:
            problems = [Problem(Reason.MALFORMED, None, "the arguments do not fit the tool's input schema")]
        return Denied(problems[0].reason, tool=call.tool, problems=problems[:MAX_PROBLEMS])

    def _fault(self, run: SchemaValidator, name: str, schema: Schema, value: Json) -> Problem:
        """Return the problem of an argument, at the first place inside it that can be told."""
        steps: list[str | int] = []
        reason = Reason.MALFORMED
        while reason is Reason.MALFORMED:
            found = self._inside(run, schema, value)
            if found is None:
                break
            step, reason, schema, value = found
            steps.append(step)
        document = self._schema.document
        own = document["properties"][name]
        if reason is Reason.UNNAMED_ARGUMENT:
            _, taken = at_place(own, document, steps[:-1])
            return self._problem(reason, name, at=unknown_place("/".join(["", *taken]), steps[-1]))
        inner, taken = at_place(own, document, steps)
        words = describe_schema(inner, document) or "a value that its schema describes"
        return self._problem(reason, name, words * (reason is Reason.MALFORMED), at="/".join(["", *taken]))

    def _inside(
        self, run: SchemaValidator, schema: Schema, value: Json
    ) -> tuple[str | int, Reason, Schema, Json] | None:
        """Return the first member that is at fault: its step, why, and its schema and value if any."""
        closed = isinstance(schema, dict) and False in map(schema.get, ("additionalProperties", _REST))
        if isinstance(schema, dict) and "$ref" in schema and schema.keys() <= {"$ref", _REST}:
            schema = self._schema.definitions[schema["$ref"]]
        if not isinstance(schema, dict) or schema.keys() & {"anyOf", "allOf", "$ref"}:
            return None
        known, items = schema.get("properties", {}), schema.get("items")
        if isinstance(value, dict) and known:
            for name in value if closed else ():
                if name not in known:
                    return name, Reason.UNNAMED_ARGUMENT, True, None
            for name in schema.get("required", ()):
                if name not in value:
                    return name, Reason.MISSING_ARGUMENT, True, None
            for name, one in known.items():
                if name in value and not run.fits(one, value[name]):
                    return name, Reason.MALFORMED, one, value[name]
        if isinstance(value, list) and isinstance(items, dict) and "prefixItems" not in schema:
            for index, element in enumerate(value):
                if not run.fits(items, element):
                    return index, Reason.MALFORMED, items, element
        return None

    def _problem(self, reason: Reason, name: str, allowed: str = "", at: str = "") -> Problem:
        """Return a problem with an argument; a name that is not an argument's is not repeated."""
        argument = f"{name}{at}" if name in self._schema.names and len(name) <= MAX_NAME else None
        return Problem(reason, argument, allowed)


def _read(run: SchemaValidator, text: str) -> Json:
    """Return the value that a lenient reader of JSON finds in a string.

    Raises:
        MalformedError: the value has no canonical form.
        ValueError: the string is not JSON.
    """
    try:
        value = json.loads(text)
        run.weigh(value)
        return to_json(value)
    except RecursionError:  # another reader may go deeper
        raise MalformedError("too deep") from None


def _is_untyped(name: str, given: object) -> bool:
    """Return whether the Python SDK shows a parameter without annotation like this."""
    return isinstance(given, dict) and given.get("type") == "string" and given.get("title") == name


def _types(schema: Schema) -> list[str]:
    """Return the types that the schema's own ``type`` allows; none without it."""
    return [] if isinstance(schema, bool) else schema.get("type", [])
