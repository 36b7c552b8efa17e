"""Whether a value fits a schema of the `dialect`, in bounded time.

1. Exact types: nothing is coerced, ``true`` is no number, and a number with a fraction is no integer.
2. Total: the answer is yes or no. Beyond `MAX_STEPS`, or too deep, it is refused. Whatever grows with the
   schema or the value is counted: schemas asked, values compared, names looked up, digits divided.
3. Nothing here writes a text, so no text can hold a value.

Source: JSON Schema 2020-12, Core 10 and 11, Validation 6.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import repeat
from typing import Any

from ...call.canonical import Json, encode
from ...errors import Denied, Reason
from .reader import ClosedSchema, Schema

__all__ = ["MAX_STEPS", "SchemaValidator"]

MAX_STEPS = 20_000
"""Of the values of one call; a schema that is asked about a value is about one."""

_KINDS: dict[type, tuple[str, ...]] = {
    str: ("string",),
    int: ("integer", "number"),
    float: ("number",),
    bool: ("boolean",),
    type(None): ("null",),
    list: ("array",),
    dict: ("object",),
}


@dataclass(slots=True)
class SchemaValidator:
    """One call's values against one schema."""

    dialect: ClosedSchema
    left: float = field(default=MAX_STEPS)

    def fits(self, schema: Schema, value: Json) -> bool:
        """Whether the value is valid.

        Raises:
            Denied: ``too_large``, where that cannot be told in bounded time.
        """
        try:
            return self._fits(schema, value)
        except RecursionError:  # a schema that refers to itself without end
            raise _too_much() from None

    def _fits(self, schema: Schema, value: Json) -> bool:
        if isinstance(schema, bool):
            self.spend(1)
            return schema
        self.spend(1 + len(schema) / 8)
        return all(_WORDS[word](self, told, value, schema) for word, told in schema.items())

    def spend(self, steps: float) -> None:
        """Take these steps, or refuse: before the work, or no later than a step's worth into it."""
        self.left -= steps
        if self.left < 0:
            raise _too_much()

    def weigh(self, value: Json) -> None:
        """Take a step for each value in this one, and for what its texts are long."""
        waiting = [value]
        while waiting:
            one = waiting.pop()
            self.spend(1)
            if isinstance(one, str):
                self.spend(len(one) / _TEXT)
            elif isinstance(one, list):
                waiting += one
            elif isinstance(one, dict):
                self.spend(len(one) + sum(map(len, one)) / _TEXT)
                waiting += one.values()

    def described(self, schema: Schema, value: dict[str, Json], *, below: bool = True) -> set[str]:
        """The names that a schema which this object fits has something to say about."""
        if isinstance(schema, bool):
            return set()
        own = schema.get("properties", {})
        self.spend(1 + (len(own) + len(value)) / 16)
        if "additionalProperties" in schema or (below and "unevaluatedProperties" in schema):
            return set(value)
        names: set[str] = own.keys() & value.keys()
        for one in self._beside(schema, value):
            names |= self.described(one, value)
        return names

    def _beside(self, schema: dict[str, Any], value: Json) -> list[Schema]:
        """What applies in the same place, and holds."""
        found: list[Schema] = []
        if "$ref" in schema:
            found.append(self.dialect.definitions[schema["$ref"]])
        found += schema.get("allOf", ())
        for word in ("anyOf", "oneOf"):
            found += [one for one in schema.get(word, ()) if self._fits(one, value)]
        if "if" in schema:
            held = self._fits(schema["if"], value)
            found += [schema["if"], schema.get("then", True)] if held else [schema.get("else", True)]
        if isinstance(value, dict):
            named = schema.get("dependentSchemas", {})
            self.spend(len(named) / 16)
            found += [one for name, one in named.items() if name in value]
        return found


def _too_much() -> Denied:
    return Denied(Reason.TOO_LARGE, "the arguments are too large for the tool's input schema")


_TEXT = 512
"""Characters of a text that are compared or written in a step."""


def _same(run: SchemaValidator, told: Any, value: Any) -> bool:
    """Whether two values are one; as far as they are compared, it is counted."""
    run.spend(1 / 4)
    if type(told) is not type(value):  # Python takes 1 for true
        return False
    if isinstance(told, list):
        return len(told) == len(value) and all(map(_same, repeat(run), told, value))
    if isinstance(told, dict):
        run.spend(len(told) / 16)
        return told.keys() == value.keys() and all(_same(run, one, value[name]) for name, one in told.items())
    if isinstance(told, str):
        run.spend(len(told) / _TEXT / 64)
    return bool(told == value)


def _type(run: SchemaValidator, told: Any, value: Any, schema: Any) -> bool:
    return any(kind in told for kind in _KINDS[type(value)])


def _enum(run: SchemaValidator, told: Any, value: Any, schema: Any) -> bool:
    run.spend(len(told) / 16)
    if isinstance(value, (list, dict)):
        return any(_same(run, one, value) for one in told)
    return any(type(one) is type(value) and one == value for one in told)


def _multiple(run: SchemaValidator, told: Any, value: Any, schema: Any) -> bool:
    if not _is_number(value):
        return True
    if type(value) is int and type(told) is int:
        return bool(value % told == 0)
    run.spend(_FRACTION)  # by their decimal digits: 0.3 is three times 0.1
    return Fraction(repr(value)) % Fraction(repr(told)) == 0


_FRACTION = 16
"""Steps of a division by decimal digits."""


def _is_number(value: object) -> bool:
    return type(value) is int or type(value) is float


def _edge(holds: Callable[[Any, Any], bool]) -> Callable[..., bool]:
    return lambda run, told, value, schema: not _is_number(value) or holds(value, told)


def _size(kind: type[Any], holds: Callable[[int, int], bool]) -> Callable[..., bool]:
    return lambda run, told, value, schema: type(value) is not kind or holds(len(value), told)


def _at_least(value: Any, told: Any) -> bool:
    return bool(value >= told)


def _at_most(value: Any, told: Any) -> bool:
    return bool(value <= told)


def _unique(run: SchemaValidator, told: Any, value: Any, schema: Any) -> bool:
    if not told or not isinstance(value, list) or len(value) < 2:
        return True
    run.weigh(value)
    return len({encode(one) for one in value}) == len(value)


def _required(run: SchemaValidator, told: Any, value: Any, schema: Any) -> bool:
    if not isinstance(value, dict):
        return True
    run.spend(len(told) / 16)
    return all(name in value for name in told)


def _dependent_required(run: SchemaValidator, told: Any, value: Any, schema: Any) -> bool:
    if not isinstance(value, dict):
        return True
    run.spend(len(told) / 16)
    return all(_required(run, names, value, schema) for name, names in told.items() if name in value)


def _properties(run: SchemaValidator, told: Any, value: Any, schema: Any) -> bool:
    if not isinstance(value, dict):
        return True
    run.spend(len(value) / 16)
    return all(run._fits(told[name], one) for name, one in value.items() if name in told)


def _additional(run: SchemaValidator, told: Any, value: Any, schema: Any) -> bool:
    if not isinstance(value, dict):
        return True
    named = schema.get("properties", {})
    run.spend(len(value) / 16)
    return all(run._fits(told, one) for name, one in value.items() if name not in named)


def _unevaluated(run: SchemaValidator, told: Any, value: Any, schema: Any) -> bool:
    if not isinstance(value, dict):
        return True
    named = run.described(schema, value, below=False)
    run.spend(len(value) / 16)
    return all(run._fits(told, one) for name, one in value.items() if name not in named)


def _names(run: SchemaValidator, told: Any, value: Any, schema: Any) -> bool:
    return not isinstance(value, dict) or all(run._fits(told, name) for name in value)


def _dependent(run: SchemaValidator, told: Any, value: Any, schema: Any) -> bool:
    if not isinstance(value, dict):
        return True
    run.spend(len(told) / 16)
    return all(run._fits(one, value) for name, one in told.items() if name in value)


def _items(run: SchemaValidator, told: Any, value: Any, schema: Any) -> bool:
    if not isinstance(value, list):
        return True
    rest = range(len(schema.get("prefixItems", ())), len(value))  # no copy: the first may decide
    return all(run._fits(told, value[place]) for place in rest)


def _prefix(run: SchemaValidator, told: Any, value: Any, schema: Any) -> bool:
    return not isinstance(value, list) or all(map(run._fits, told, value))


def _contains(run: SchemaValidator, told: Any, value: Any, schema: Any) -> bool:
    if not isinstance(value, list):
        return True
    count = sum(run._fits(told, one) for one in value)
    return bool(schema.get("minContains", 1) <= count <= schema.get("maxContains", count))


def _ref(run: SchemaValidator, told: Any, value: Any, schema: Any) -> bool:
    return run._fits(run.dialect.definitions[told], value)


def _all_of(run: SchemaValidator, told: Any, value: Any, schema: Any) -> bool:
    return all(run._fits(one, value) for one in told)


def _any_of(run: SchemaValidator, told: Any, value: Any, schema: Any) -> bool:
    return any(run._fits(one, value) for one in told)


def _one_of(run: SchemaValidator, told: Any, value: Any, schema: Any) -> bool:
    return sum(run._fits(one, value) for one in told) == 1


def _not(run: SchemaValidator, told: Any, value: Any, schema: Any) -> bool:
    return not run._fits(told, value)


def _if(run: SchemaValidator, told: Any, value: Any, schema: Any) -> bool:
    return run._fits(schema.get("then" if run._fits(told, value) else "else", True), value)


def _told_elsewhere(run: SchemaValidator, told: Any, value: Any, schema: Any) -> bool:
    return True


_WORDS: dict[str, Callable[[SchemaValidator, Any, Any, Any], bool]] = {
    "type": _type,
    "const": lambda run, told, value, schema: _same(run, told, value),
    "enum": _enum,
    "multipleOf": _multiple,
    "minimum": _edge(_at_least),
    "maximum": _edge(_at_most),
    "exclusiveMinimum": _edge(lambda value, told: value > told),
    "exclusiveMaximum": _edge(lambda value, told: value < told),
    "minLength": _size(str, _at_least),
    "maxLength": _size(str, _at_most),
    "minItems": _size(list, _at_least),
    "maxItems": _size(list, _at_most),
    "minProperties": _size(dict, _at_least),
    "maxProperties": _size(dict, _at_most),
    "uniqueItems": _unique,
    "required": _required,
    "dependentRequired": _dependent_required,
    "properties": _properties,
    "additionalProperties": _additional,
    "unevaluatedProperties": _unevaluated,
    "propertyNames": _names,
    "dependentSchemas": _dependent,
    "items": _items,
    "prefixItems": _prefix,
    "contains": _contains,
    "minContains": _told_elsewhere,
    "maxContains": _told_elsewhere,
    "$ref": _ref,
    "allOf": _all_of,
    "anyOf": _any_of,
    "oneOf": _one_of,
    "not": _not,
    "if": _if,
    "then": _told_elsewhere,
    "else": _told_elsewhere,
}
