"""Read a tool's type hints, and check that a value passed through them unchanged.

1. A bound must stand at the top of a parameter's type: in `Annotated`, also behind a type alias, a `NewType`
   or `Required`, and beside ``None`` (then null is also allowed). Deeper it would be lost, so it is refused.
2. A type that is read only while the tool runs (`Iterable`), or from JSON inside a string (`Json`), is
   refused: the checks would not see the value.
3. A union that contains itself in two ways is refused without a discriminator: to find that a value is of
   none of its choices would take time that doubles with each level.
4. The value that reaches the tool equals the requested value: no ``inf`` for a long number, no ``True`` for
   ``1``, no date for a number in quotes, no member dropped.
"""

from __future__ import annotations

import dataclasses
import functools
import operator
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, time, timedelta
from decimal import Decimal
from enum import Enum
from ipaddress import IPv4Address, IPv6Address
from pathlib import PurePath
from types import NoneType, UnionType
from typing import Annotated, Any, NotRequired, Required, Union, get_args, get_origin, get_type_hints
from uuid import UUID

from typing_extensions import is_typeddict

from ..call.canonical import Json, MalformedError, encode, to_json
from ..grants.provenance import from_result
from ..grants.vocabulary.constraints import Constraint
from ..grants.vocabulary.must import must

__all__ = ["annotated_constraint", "equals_request", "is_lossless", "refuse_hidden_readings"]
__all__ += ["refuse_recursive_unions"]

_BARE = [getattr(must, name) for name in dir(must) if not name.startswith("_")]
_BARE += [must, Constraint, from_result]


def annotated_constraint(hint: object) -> Constraint | None:
    """Return the bound of a parameter, from its type; None if there is none.

    Raises:
        TypeError: a bound stands where it would be lost.
    """
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        for extra in arguments[1:]:
            if not isinstance(extra, Constraint):
                _refuse_deeper(extra)
        inner = annotated_constraint(arguments[0])
        bounds = [inner] if inner is not None else []
        bounds += [extra for extra in arguments[1:] if isinstance(extra, Constraint)]
        return functools.reduce(operator.and_, bounds) if bounds else None
    if origin in (Required, NotRequired):
        return annotated_constraint(arguments[0])
    for step in ("__value__", "__supertype__"):  # of a type alias, of a NewType
        if hasattr(hint, step):
            return annotated_constraint(getattr(hint, step))
    if origin in (Union, UnionType) and len(arguments) == 2 and NoneType in arguments:
        inner = annotated_constraint(arguments[arguments[0] is NoneType])
        return None if inner is None else must.nullable(inner)
    _refuse_deeper(hint)
    return None


def _refuse_deeper(hint: object) -> None:
    waiting = [hint]
    seen: dict[int, object] = {id(None): None}
    while waiting:
        part = waiting.pop()
        if any(part is one for one in _BARE):
            raise TypeError("a bound must be called: must.email('acme.com'), not must.email")
        if isinstance(part, Constraint):
            raise TypeError(
                "a bound inside a type or a group would be lost: write it directly in the Annotated of the"
                " whole parameter (must.each, must.fields)"
            )
        if id(part) not in seen:
            seen[id(part)] = part  # kept alive, so that no other object gets its id
            waiting += _parts(part)


def _parts(hint: Any) -> Iterator[object]:
    if isinstance(hint, (list, tuple, set, frozenset)) or _is_group(hint):
        yield from hint
    if isinstance(hint, dict):
        yield from hint.values()
    yield from (get_origin(hint), *get_args(hint))
    for step in ("__value__", "__supertype__", "__bound__", "__constraints__"):
        yield getattr(hint, step, None)
    if isinstance(hint, dataclasses.InitVar):
        yield hint.type
    if not isinstance(hint, type):
        return
    fields = getattr(hint, "__pydantic_fields__", None)
    if fields is not None:
        for field in fields.values():
            yield from (field.annotation, *field.metadata)
    elif dataclasses.is_dataclass(hint) or is_typeddict(hint) or hasattr(hint, "_fields"):
        yield from get_type_hints(hint, include_extras=True).values()


def _is_group(hint: object) -> bool:
    """Return whether this is a `GroupedMetadata` of annotated_types, whose members count one by one."""
    return hasattr(type(hint), "__is_annotated_types_grouped_metadata__")


def refuse_hidden_readings(name: str, schema: Mapping[str, Any]) -> None:
    """Refuse a parameter whose pydantic schema reads another name, fills in a value, or reads late.

    Raises:
        TypeError: the parameter is refused.
    """
    if "validation_alias" in schema:
        raise TypeError(f"{name} has an alias: a capability names the parameter itself")
    own = schema["schema"]
    while own["type"] == "nullable" or (own["type"].startswith("function-") and "schema" in own):
        own = own["schema"]
    if own["type"] == "default":
        raise TypeError(f"{name} has a default in Field(): write it as the parameter's default, {name}=...")
    refuse_late_readings(name, own)


def refuse_late_readings(name: str, schema: object) -> None:
    """Refuse types whose values pydantic reads while the tool runs, or from inside a string.

    Raises:
        TypeError: the schema contains such a type.
    """
    kinds = [node.get("type") for node in _nodes(schema)]
    if "generator" in kinds:
        raise TypeError(f"{name}: an Iterable is read while the tool runs, unchecked: write list[...]")
    if "json" in kinds:
        raise TypeError(f"{name}: a Json string hides its value from the capability: use the value's type")


def refuse_recursive_unions(name: str, definitions: Sequence[Mapping[str, Any]]) -> None:
    """Refuse a union of which two choices, both objects or both lists, contain the union again.

    Raises:
        TypeError: the definitions of the pydantic schema contain such a union.
    """
    defined = {definition["ref"]: definition for definition in definitions}
    inner = {ref: _references(definition) for ref, definition in defined.items()}
    for ref, definition in defined.items():
        for union in [node for node in _nodes(definition) if node.get("type") == "union"]:
            choices = [choice[0] if isinstance(choice, tuple) else choice for choice in union["choices"]]
            recursive = [choice for choice in choices if ref in _reached(_references(choice), inner)]
            if len({_is_object(choice, defined) for choice in recursive}) < len(recursive):
                raise TypeError(
                    f"{name}: a union that contains itself in two ways needs a discriminator, because a wrong"
                    " value takes time that doubles with each level: give each model a field such as"
                    " kind: Literal['not'], and write Annotated[..., Field(discriminator='kind')]"
                )


def _nodes(schema: object) -> Iterator[dict[str, Any]]:
    """Yield every schema inside a pydantic schema, without following references."""
    if isinstance(schema, (list, tuple)):
        for part in schema:
            yield from _nodes(part)
    if isinstance(schema, dict):
        yield schema
        beside = _BESIDE if isinstance(schema.get("type"), str) else ()
        for key, part in schema.items():
            if key not in beside:
                yield from _nodes(part)


_BESIDE = ("metadata", "default", "serialization", "config")


def _references(schema: object) -> set[str]:
    return {node["schema_ref"] for node in _nodes(schema) if node.get("type") == "definition-ref"}


def _reached(references: set[str], inner: Mapping[str, set[str]]) -> set[str]:
    reached: set[str] = set()
    waiting = [*references]
    while waiting:
        reference = waiting.pop()
        if reference not in reached:
            reached.add(reference)
            waiting += inner[reference]
    return reached


def _is_object(schema: Mapping[str, Any], defined: Mapping[str, Mapping[str, Any]]) -> bool:
    """Return whether this reads JSON objects, not lists, behind references and wrappers."""
    for _ in range(len(defined) + 9):
        if schema["type"] == "definition-ref":
            schema = defined[schema["schema_ref"]]
        elif "schema" in schema and schema["type"].startswith(("nullable", "function-")):
            schema = schema["schema"]
    return schema["type"] not in ("list", "tuple", "set", "frozenset")


def is_lossless(schema: Mapping[str, Any]) -> bool:
    """Return whether values of this pydantic schema always equal the JSON, so that none need be compared."""
    kind = schema["type"]
    if not schema.get("strict", True):
        return False
    if kind == "str":
        return not schema.keys() & {"strip_whitespace", "to_lower", "to_upper", "coerce_numbers_to_str"}
    if kind == "literal":
        return all(type(value) is str for value in schema["expected"])
    if kind == "nullable":
        return is_lossless(schema["schema"])
    if kind == "list":
        return is_lossless(schema.get("items_schema", _ANY))
    if kind == "dict":
        keys = schema.get("keys_schema", _ANY)
        return keys["type"] == "str" and is_lossless(keys) and is_lossless(schema.get("values_schema", _ANY))
    if kind == "union":
        choices = [choice[0] if isinstance(choice, tuple) else choice for choice in schema["choices"]]
        return all(map(is_lossless, choices))
    return kind in ("int", "bool", "none", "any")


_ANY = {"type": "any"}


def equals_request(requested: Json, value: Any) -> bool:
    """Return whether a validated value equals the requested value.

    Another spelling of the same value passes if the type's own constructor reads it (`UUID`, `Decimal`,
    paths) or ISO 8601 does (dates, times). Fields that a model fills in by itself are not compared.
    """
    if isinstance(value, Enum):
        return equals_request(requested, value.value)
    if isinstance(value, _secrets()):
        return equals_request(requested, value.get_secret_value())
    if getattr(type(value), "__pydantic_root_model__", False):
        return equals_request(requested, value.root)
    if isinstance(requested, dict):
        members = _members(value)
        return all(
            name in members and equals_request(member, members[name]) for name, member in requested.items()
        )
    if isinstance(requested, list):
        if isinstance(value, (set, frozenset)):
            return _same_elements(requested, value)
        alike = isinstance(value, (list, tuple, deque)) and len(requested) == len(value)
        return alike and all(map(equals_request, requested, value))
    if requested is None or isinstance(requested, bool) or isinstance(value, bool):
        return requested is value
    if isinstance(requested, str):
        return _equals_string(requested, value)
    if isinstance(value, Decimal):
        return value == Decimal(repr(requested))
    # Python compares an int with a float exactly: 2**53 + 1 equals no double
    return isinstance(value, (int, float)) and value == requested


@functools.cache
def _secrets() -> tuple[type[Any], ...]:
    from pydantic import Secret, SecretBytes, SecretStr  # import modules that only a tool's schema needs

    return Secret, SecretBytes, SecretStr


def _same_elements(requested: list[Json], value: set[Any] | frozenset[Any]) -> bool:
    try:
        return sorted(map(encode, requested)) == sorted(encode(to_json(element)) for element in value)
    except MalformedError:
        return False


def _equals_string(requested: str, value: Any) -> bool:
    kind = type(value)
    try:
        if isinstance(value, (date, time)):
            return bool(kind.fromisoformat(requested) == value)
        if isinstance(value, (UUID, Decimal, PurePath, IPv4Address, IPv6Address)):
            return bool(kind(requested) == value)
    except (ValueError, ArithmeticError):
        return False
    if isinstance(value, timedelta):
        return requested.lstrip("+-").startswith("P")  # ISO 8601, not a number of seconds
    if isinstance(value, bytes):
        return requested.encode() == value
    if hasattr(kind, "unicode_string"):  # a URL of pydantic, which writes an empty path as one slash
        return str(value) in (requested, f"{requested}/")
    return isinstance(value, str) and str.__str__(value) == requested


def _members(value: Any) -> Mapping[str, Any]:
    """Return the members of an object by the names from which they are read."""
    if isinstance(value, dict):
        return {str(key.value if isinstance(key, Enum) else key): member for key, member in value.items()}
    kind = type(value)
    fields = getattr(kind, "__pydantic_fields__", None)
    if fields is not None:
        names = {name: name for name in fields}
        for name, field in fields.items():
            aliases = getattr(field.validation_alias, "choices", [field.validation_alias])
            names |= {alias: name for alias in aliases if isinstance(alias, str)}
        own = {read: getattr(value, name) for read, name in names.items() if hasattr(value, name)}
        return (getattr(value, "__pydantic_extra__", None) or {}) | own
    if dataclasses.is_dataclass(value):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    return value._asdict() if hasattr(kind, "_asdict") else {}
