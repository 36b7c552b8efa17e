"""Check whether a value fits a schema of the dialect (`reader`), in bounded time.

1. Types must be exact: nothing is coerced, ``true`` is not a number, and a number with a fraction is not an
   integer.
2. The check always ends. Beyond `MAX_STEPS`, or too deep, the value is refused. All work that grows with the
   schema or the value is counted: schemas applied, values compared, names looked up, digits divided.
3. Nothing here writes a message, so no message can contain a value.

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
"""Steps for the values of one call; to apply a schema to a value takes about one step."""

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
    """A check of one call's values against one schema."""

    dialect: ClosedSchema
    left: float = field(default=MAX_STEPS)

    def fits(self, schema: Schema, value: Json) -> bool:
        """Return whether the value is valid.

        Raises:
            Denied: ``too_large``, if that cannot be decided in bounded time.
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
        return all(_WORDS[word](self, rule, value, schema) for word, rule in schema.items())

    def spend(self, steps: float) -> None:
        """Take these steps, before the work or at most one step into it.

        Raises:
            Denied: ``too_large``, if too few steps are left.
        """
        self.left -= steps
        if self.left < 0:
            raise _too_much()

    def weigh(self, value: Json) -> None:
        """Take a step for each value in this one, and steps for the length of its strings.

        Raises:
            Denied: ``too_large``, if too few steps are left.
        """
        waiting = [value]
        while waiting:
            part = waiting.pop()
            self.spend(1)
            if isinstance(part, str):
                self.spend(len(part) / _STRING)
            elif isinstance(part, list):
                waiting += part
            elif isinstance(part, dict):
                self.spend(len(part) + sum(map(len, part)) / _STRING)
                waiting += part.values()

    def described(self, schema: Schema, value: dict[str, Json], *, below: bool = True) -> set[str]:
        """Return the names that a schema describes, if the object fits it."""
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
        """Return the schemas that apply in the same place and that the value fits."""
        beside: list[Schema] = []
        if "$ref" in schema:
            beside.append(self.dialect.definitions[schema["$ref"]])
        beside += schema.get("allOf", ())
        for word in ("anyOf", "oneOf"):
            beside += [one for one in schema.get(word, ()) if self._fits(one, value)]
        if "if" in schema:
            held = self._fits(schema["if"], value)
            beside += [schema["if"], schema.get("then", True)] if held else [schema.get("else", True)]
        if isinstance(value, dict):
            dependent = schema.get("dependentSchemas", {})
            self.spend(len(dependent) / 16)
            beside += [one for name, one in dependent.items() if name in value]
        return beside


def _too_much() -> Denied:
    return Denied(Reason.TOO_LARGE, "the arguments are too large for the tool's input schema")


_STRING = 512
"""Characters of a string that are compared or written in one step."""


def _same(run: SchemaValidator, expected: Any, value: Any) -> bool:
    """Return whether two values are equal, and take steps for the comparison."""
    run.spend(1 / 4)
    if type(expected) is not type(value):  # Python takes 1 for true
        return False
    if isinstance(expected, list):
        return len(expected) == len(value) and all(map(_same, repeat(run), expected, value))
    if isinstance(expected, dict):
        run.spend(len(expected) / 16)
        return expected.keys() == value.keys() and all(
            _same(run, one, value[name]) for name, one in expected.items()
        )
    if isinstance(expected, str):
        run.spend(len(expected) / _STRING / 64)
    return bool(expected == value)


def _type(run: SchemaValidator, rule: Any, value: Any, schema: Any) -> bool:
    return any(kind in rule for kind in _KINDS[type(value)])


def _enum(run: SchemaValidator, rule: Any, value: Any, schema: Any) -> bool:
    run.spend(len(rule) / 16)
    if isinstance(value, (list, dict)):
        return any(_same(run, one, value) for one in rule)
    return any(type(one) is type(value) and one == value for one in rule)


def _multiple(run: SchemaValidator, rule: Any, value: Any, schema: Any) -> bool:
    if not _is_number(value):
        return True
    if type(value) is int and type(rule) is int:
        return bool(value % rule == 0)
    run.spend(_FRACTION)  # divided by decimal digits: 0.3 is three times 0.1
    return Fraction(repr(value)) % Fraction(repr(rule)) == 0


_FRACTION = 16
"""Steps for a division by decimal digits."""


def _is_number(value: object) -> bool:
    return type(value) is int or type(value) is float


def _edge(holds: Callable[[Any, Any], bool]) -> Callable[..., bool]:
    return lambda run, rule, value, schema: not _is_number(value) or holds(value, rule)


def _size(kind: type[Any], holds: Callable[[int, int], bool]) -> Callable[..., bool]:
    return lambda run, rule, value, schema: type(value) is not kind or holds(len(value), rule)


def _at_least(value: Any, rule: Any) -> bool:
    return bool(value >= rule)


def _at_most(value: Any, rule: Any) -> bool:
    return bool(value <= rule)


def _unique(run: SchemaValidator, rule: Any, value: Any, schema: Any) -> bool:
    if not rule or not isinstance(value, list) or len(value) < 2:
        return True
    run.weigh(value)
    return len({encode(one) for one in value}) == len(value)


def _required(run: SchemaValidator, rule: Any, value: Any, schema: Any) -> bool:
    if not isinstance(value, dict):
        return True
    run.spend(len(rule) / 16)
    return all(name in value for name in rule)


def _dependent_required(run: SchemaValidator, rule: Any, value: Any, schema: Any) -> bool:
    if not isinstance(value, dict):
        return True
    run.spend(len(rule) / 16)
    return all(_required(run, names, value, schema) for name, names in rule.items() if name in value)


def _properties(run: SchemaValidator, rule: Any, value: Any, schema: Any) -> bool:
    if not isinstance(value, dict):
        return True
    run.spend(len(value) / 16)
    return all(run._fits(rule[name], one) for name, one in value.items() if name in rule)


def _additional(run: SchemaValidator, rule: Any, value: Any, schema: Any) -> bool:
    if not isinstance(value, dict):
        return True
    named = schema.get("properties", {})
    run.spend(len(value) / 16)
    return all(run._fits(rule, one) for name, one in value.items() if name not in named)


def _unevaluated(run: SchemaValidator, rule: Any, value: Any, schema: Any) -> bool:
    if not isinstance(value, dict):
        return True
    named = run.described(schema, value, below=False)
    run.spend(len(value) / 16)
    return all(run._fits(rule, one) for name, one in value.items() if name not in named)


def _names(run: SchemaValidator, rule: Any, value: Any, schema: Any) -> bool:
    return not isinstance(value, dict) or all(run._fits(rule, name) for name in value)


def _dependent(run: SchemaValidator, rule: Any, value: Any, schema: Any) -> bool:
    if not isinstance(value, dict):
        return True
    run.spend(len(rule) / 16)
    return all(run._fits(one, value) for name, one in rule.items() if name in value)


def _items(run: SchemaValidator, rule: Any, value: Any, schema: Any) -> bool:
    if not isinstance(value, list):
        return True
    rest = range(len(schema.get("prefixItems", ())), len(value))  # no copy: the first element may decide
    return all(run._fits(rule, value[place]) for place in rest)


def _prefix(run: SchemaValidator, rule: Any, value: Any, schema: Any) -> bool:
    return not isinstance(value, list) or all(map(run._fits, rule, value))


def _contains(run: SchemaValidator, rule: Any, value: Any, schema: Any) -> bool:
    if not isinstance(value, list):
        return True
    count = sum(run._fits(rule, one) for one in value)
    return bool(schema.get("minContains", 1) <= count <= schema.get("maxContains", count))


def _ref(run: SchemaValidator, rule: Any, value: Any, schema: Any) -> bool:
    return run._fits(run.dialect.definitions[rule], value)


def _all_of(run: SchemaValidator, rule: Any, value: Any, schema: Any) -> bool:
    return all(run._fits(one, value) for one in rule)


def _any_of(run: SchemaValidator, rule: Any, value: Any, schema: Any) -> bool:
    return any(run._fits(one, value) for one in rule)


def _one_of(run: SchemaValidator, rule: Any, value: Any, schema: Any) -> bool:
    return sum(run._fits(one, value) for one in rule) == 1


def _not(run: SchemaValidator, rule: Any, value: Any, schema: Any) -> bool:
    return not run._fits(rule, value)


def _if(run: SchemaValidator, rule: Any, value: Any, schema: Any) -> bool:
    return run._fits(schema.get("then" if run._fits(rule, value) else "else", True), value)


def _read_by_another_word(run: SchemaValidator, rule: Any, value: Any, schema: Any) -> bool:
    return True


_WORDS: dict[str, Callable[[SchemaValidator, Any, Any, Any], bool]] = {
    "type": _type,
    "const": lambda run, rule, value, schema: _same(run, rule, value),
    "enum": _enum,
    "multipleOf": _multiple,
    "minimum": _edge(_at_least),
    "maximum": _edge(_at_most),
    "exclusiveMinimum": _edge(lambda value, rule: value > rule),
    "exclusiveMaximum": _edge(lambda value, rule: value < rule),
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
    "minContains": _read_by_another_word,
    "maxContains": _read_by_another_word,
    "$ref": _ref,
    "allOf": _all_of,
    "anyOf": _any_of,
    "oneOf": _one_of,
    "not": _not,
    "if": _if,
    "then": _read_by_another_word,
    "else": _read_by_another_word,
}
