"""Give every argument value one canonical form.

What a capability allows, what holders and approvers sign, what is recorded and what the tool gets must be
one value with one spelling. `parse` reads JSON text and `to_json` reads Python values, by the same rules;
`encode` writes the bytes. Nothing is repaired: a value that two readers could take differently raises
`MalformedError`.

1. Text is read once. A name given twice, a byte after the value, and a number that is not finite are refused.
2. ``1.0`` is the integer 1, ``-0.0`` is 0, and a boolean is not an integer. Integers keep all their digits; a
   double without a fraction is the integer that it prints as, up to 1e21.
3. Strings are Unicode text and stay unchanged, including NUL. Lone surrogates are refused.
4. At most `MAX_DEPTH` nested lists and objects, `MAX_VALUES` values and `MAX_BYTES` bytes.

    encode(parse('{"to": "ana@acme.com", "copies": 1.0}'))           # b'{"copies":1,"to":"ana@acme.com"}'
    encode(to_json({"size": Decimal("1.10"), "in": Path("/data")}))  # b'{"in":"/data","size":"1.10"}'

Source: RFC 8259 (JSON), RFC 7493 (I-JSON), RFC 8785 (canonical JSON; here integers print all their digits).
"""

from __future__ import annotations

import json
import re
from dataclasses import fields
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from json.encoder import encode_basestring as _quote  # escapes exactly what JSON.stringify escapes
from math import isfinite
from pathlib import PurePath
from typing import Any, TypeAlias
from uuid import UUID

from ..errors import MalformedError

__all__ = [
    "MAX_BYTES",
    "MAX_DEPTH",
    "MAX_VALUES",
    "Json",
    "MalformedError",
    "encode",
    "parse",
    "parse_lenient",
    "to_json",
]
__all__ += ["to_json_and_text", "to_json_fast"]

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"

MAX_BYTES = 1 << 20  # of JSON text, as it is read and as it is written
MAX_DEPTH = 32  # nested lists and objects; [] has depth 1
MAX_VALUES = 1 << 14  # elements and members in all: bounds the time that one call can occupy the interpreter
MAX_DIGITS = 400  # of an integer; no double has more than 309, and conversion takes quadratic time


def parse(text: str | bytes) -> Json:
    """Read JSON text strictly, once.

    Refused, besides text that is not JSON: a name given twice at any depth (RFC 8259, 4), ``NaN``, infinities
    and numbers that overflow to infinity, lone surrogates (8.2; also as escapes), a byte order mark (8.1),
    invalid UTF-8, and text over a limit of this module. Size and depth are checked before the decoder runs.

    Raises:
        MalformedError: the text is refused. No text raises any other exception.
    """
    return to_json(parse_lenient(text))


def parse_lenient(text: str | bytes, *, max_bytes: int = MAX_BYTES) -> object:
    """Read JSON text once, as `parse` does, without checking numbers, surrogates and the count of values.

    For a message that contains arguments: the arguments are checked when they become a call. Far more values
    than a call may have are refused before any is read.

    Args:
        max_bytes: the most bytes of UTF-8 that are read.

    Raises:
        MalformedError: the text is too large, too deep or not JSON, begins with a byte order mark, or gives a
            name twice.
    """
    try:
        _refuse_large(len(text), max_bytes)
        data = text.encode() if isinstance(text, str) else text
        _refuse_large(len(data), max_bytes)
        source = data.decode()
        _refuse_costly(source)
        return _DECODER.decode(source)
    except (json.JSONDecodeError, UnicodeError, RecursionError):  # the last if the stack was almost full
        raise MalformedError("not JSON text in UTF-8") from None


def to_json(value: object) -> Json:
    """Return the JSON form of a Python value: a fresh value that shares nothing mutable with the caller.

    Accepted besides JSON's own types: tuples, sets (sorted by canonical bytes), paths, UUIDs, enums (by their
    value), decimals (by their exact text), dates and times (an aware datetime in UTC), timedeltas (ISO
    8601), dataclasses and pydantic models. Pydantic in strict JSON mode reads an equal value back: a model's
    fields are written under the names that it is *validated* from, and their values by these same rules, not
    by the model's serializers, which may mask or drop them. Every other type is refused, and so is a key
    that is not a string.

    Raises:
        MalformedError: the value has no canonical form, is too deep (or contains itself), or is too large,
            which is noticed early.
    """
    fresh, size = _walked(value)
    if size > MAX_BYTES // 25:  # a float counts as 1 byte, and prints as up to 24
        _refuse_large(len(encode(fresh)))
    return fresh


def to_json_and_text(value: object) -> tuple[Json, bytes]:
    """Return the JSON form of a value and its canonical bytes, encoding the value only once."""
    fresh, _ = _walked(value)
    text = encode(fresh)
    _refuse_large(len(text))
    return fresh, text


def encode(value: Json) -> bytes:
    """Return the canonical bytes of a value that `parse` or `to_json` returned.

    Names are sorted by UTF-16 code units, without white space and with the fewest escapes; numbers are
    written as in JavaScript (RFC 8785, 3.2), but integers keep all their digits.

    Raises:
        MalformedError: the value did not come from `parse` or `to_json`, or has a lone surrogate.
    """
    try:
        return _written(value).encode()
    except UnicodeEncodeError:
        raise MalformedError("a lone surrogate") from None


def to_json_fast(members: dict[Any, Any]) -> tuple[dict[str, Json], bytes] | None:
    """Return what `to_json_and_text` returns, for the arguments of most calls; None if its rules are needed.

    A few ASCII strings, small integers, booleans and nulls are canonical already and within all limits.
    """
    if len(members) > _FEW:
        return None
    fresh = members.copy()  # another thread may change the caller's
    size = 0
    for name, value in fresh.items():
        if type(name) is not str or not name.isascii():
            return None
        kind = type(value)
        if kind is str:
            if not value.isascii():
                return None
            size += len(value)
        elif not (kind is int and -_SMALL < value < _SMALL) and kind is not bool and value is not None:
            return None
        size += len(name)
    if size > _SHORT:
        return None
    return fresh, _written(fresh).encode()


_FEW, _SHORT, _SMALL = 64, 1 << 14, 1 << 53  # members, characters, integers

_TOO_LONG = 10**MAX_DIGITS
_TOO_MANY = f"more than {MAX_VALUES} values"
_TOO_DEEP = f"more than {MAX_DEPTH} nested lists and objects"
_STRING = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)
_BRACKET = re.compile(r"[\[\]{}]")


def _refuse_large(size: int, max_bytes: int = MAX_BYTES) -> None:
    if size > max_bytes:
        raise MalformedError(f"more than {max_bytes} bytes")


def _refuse_costly(source: str) -> None:
    # The decoder recurses on the C stack, and calls back for each object and integer. It stops at the first
    # fault of the text, and up to there it sees exactly the commas and brackets that are counted here.
    if source[:1] == "\ufeff":
        raise MalformedError("a byte order mark (BOM) before the JSON text: leave it out")
    if source.count("[") + source.count("{") <= MAX_DEPTH and source.count(",") <= MAX_VALUES:
        return
    most = 2 * MAX_VALUES
    bare, strings = _STRING.subn("", source, 2 * most + 1)
    if strings > 2 * most or bare.count(",") + bare.count("[") + bare.count("{") > most:
        raise MalformedError(_TOO_MANY)
    depth = 0
    for bracket in _BRACKET.finditer(bare):
        depth += 1 if bracket[0] in "[{" else -1
        if depth > MAX_DEPTH:
            raise MalformedError(_TOO_DEEP)
        if depth < 0:
            return


def _unique(members: list[tuple[str, object]]) -> dict[str, object]:
    fresh = dict(members)
    if len(fresh) != len(members):
        raise MalformedError("a name given twice")
    return fresh


# `to_json` checks numbers. An integer that is too long for it is cut, before conversion costs quadratic time.
_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_int=lambda text: int(text[: MAX_DIGITS + 2]))


def _walked(value: object) -> tuple[Json, int]:
    walk = _Walk()
    try:
        return walk.value(value, 0), walk.size
    except RecursionError:  # an enum that is its own value, or the caller's stack was almost full
        raise MalformedError(_TOO_DEEP) from None


class _Walk:
    """One pass over a Python value."""

    size = 0  # bytes that the canonical form needs at least
    values = 0  # elements and members

    def value(self, value: Any, depth: int) -> Json:
        if type(value) is str:
            return self.text(value)
        if type(value) is dict:
            return self.members(value, depth + 1)
        if type(value) is list:
            return self.elements(value, depth + 1)
        if value is None or type(value) is bool:
            self.count(4)
            return value
        if type(value) is int or type(value) is float:
            return self.number(value)
        if issubclass(type(value), (set, frozenset)):
            return sorted(self.elements(list(value), depth + 1), key=encode)
        return self.value(_simpler(value), depth)

    def text(self, value: str) -> str:
        self.count(len(value) + 2)
        if not value.isascii():
            encode(value)  # refuses a lone surrogate
        return value

    def number(self, value: Any) -> int | float:
        self.count(value.bit_length() // 4 if isinstance(value, int) else 1)
        if not abs(value) < _TOO_LONG:  # also true of NaN
            raise MalformedError(f"a number that is not finite, or has more than {MAX_DIGITS} digits")
        # Below 1e21 a double without a fraction is written in plain digits (ECMAScript, Number::toString),
        # so it is the integer of those digits: one spelling, one value.
        whole = isinstance(value, float) and value.is_integer() and abs(value) < 1e21
        return int(Decimal(repr(value))) if whole else value

    def elements(self, values: list[Any], depth: int) -> list[Json]:
        self.count(1 + len(values), depth, len(values))
        return [
            # a small integer is counted already, and prints no longer than a float
            value if type(value) is int and -_SMALL < value < _SMALL else self.inside(index, value, depth)
            for index, value in enumerate(values.copy())
        ]

    def members(self, values: dict[Any, Any], depth: int) -> dict[str, Json]:
        self.count(1 + len(values), depth, len(values))
        fresh: dict[str, Json] = {}
        for key, value in values.copy().items():  # a copy: another thread may change the caller's
            if not isinstance(key, str):
                raise MalformedError("a key that is not a string")
            name = self.text(str.__str__(key))
            if name in fresh:  # subclasses of str may differ and still have the same spelling
                raise MalformedError("a name given twice")
            fresh[name] = self.inside(name, value, depth)
        return fresh

    def inside(self, step: str | int, value: object, depth: int) -> Json:
        try:
            return self.value(value, depth)
        except MalformedError as fault:
            raise fault.under(step) from None

    def count(self, size: int, depth: int = 0, values: int = 0) -> None:
        self.size += size
        self.values += values
        _refuse_large(self.size)
        if self.values > MAX_VALUES:
            raise MalformedError(_TOO_MANY)
        if depth > MAX_DEPTH:
            raise MalformedError(_TOO_DEEP)


def _simpler(value: Any) -> object:
    """Return a value one step nearer to JSON, for a closed table of types."""
    kind = type(value)  # not isinstance: an object may lie about its __class__
    try:
        for base, form in _FORMS.items():
            if issubclass(kind, base):
                return form(value)
        if hasattr(kind, "__pydantic_fields__"):
            return _model(value)
        if hasattr(kind, "__dataclass_fields__"):
            return {field.name: getattr(value, field.name) for field in fields(value) if field.init}
    except (AttributeError, OverflowError):  # a field that is not set; a time outside the calendar
        raise MalformedError("an incomplete value, or a time out of range") from None
    raise MalformedError("a type without a JSON form")


def _model(model: Any) -> object:
    kind = type(model)
    if getattr(kind, "__pydantic_root_model__", False):
        return model.root
    config = getattr(kind, "model_config", None) or getattr(kind, "__pydantic_config__", {})
    # A pydantic dataclass reads only the fields of init. Only pydantic's own record of a field says so
    # in every version: the dataclass's does not before pydantic 2.14.
    is_dataclass = hasattr(kind, "__dataclass_fields__")
    named = {
        _read_as(name, field.validation_alias, config): getattr(model, name)
        for name, field in kind.__pydantic_fields__.items()
        if not (is_dataclass and field.init is False)
    }
    return named | (getattr(model, "__pydantic_extra__", None) or {})


def _read_as(name: str, alias: Any, config: dict[str, Any]) -> str:
    # The alias comes first, as in the schema that a model reads. Aliases are recognized by their attributes,
    # so that pydantic need not be imported: AliasChoices has choices; an AliasPath points inside a member.
    aliases = [choice for choice in getattr(alias, "choices", [alias]) if isinstance(choice, str)]
    if aliases and config.get("validate_by_alias") is not False:
        return aliases[0]
    if alias is None or config.get("validate_by_name") or config.get("populate_by_name"):
        return name
    raise MalformedError("a field without a name of its own")


def _iso(value: Any) -> str:
    if isinstance(value, datetime) and value.utcoffset() is not None:
        value = value.astimezone(UTC)
    return str(value.isoformat()).replace("+00:00", "Z")


def _duration(value: timedelta) -> str:
    sign, size = ("-", -value) if value < timedelta() else ("", value)
    return f"{sign}P{size.days}DT{size.seconds}.{size.microseconds:06}S"  # no years: they have no length


def _exact(value: Decimal) -> str:
    if not value.is_finite():
        raise MalformedError("a number that is not finite")
    return str(value).upper()  # the ambient decimal context chooses between E and e


_FORMS: dict[Any, Any] = {  # types: the function that gives a simpler value
    Enum: lambda member: member.value,  # first: a member may also be a str or an int
    str: str.__str__,
    int: int.__int__,
    float: float.__float__,
    dict: dict,
    (list, tuple): list,
    (PurePath, UUID): str,
    Decimal: _exact,
    (date, time): _iso,
    timedelta: _duration,
}


def _written(value: Json) -> str:
    if type(value) is str:
        return _quote(value)
    if type(value) is dict:
        # UTF-16 code units (RFC 8785, 3.2.3): an astral character sorts before U+E000, unlike its code point.
        names = sorted(value, key=None if "".join(value).isascii() else lambda name: name.encode("utf-16-be"))
        return "{" + ",".join([f"{_quote(name)}:{_written(value[name])}" for name in names]) + "}"
    if type(value) is int:
        return str(value)
    if type(value) is list:
        return "[" + ",".join([_written(element) for element in value]) + "]"
    if type(value) is float and isfinite(value):
        # ECMAScript, Number::toString. Python finds the same shortest digits, and an exponent elsewhere.
        text = repr(value).removesuffix(".0")
        positional = "e" in text and -7 < int(text.partition("e")[2]) < 21
        return f"{Decimal(text):f}" if positional else text.replace("e-0", "e-")
    if value is None or type(value) is bool:
        return "null" if value is None else str(value).lower()
    raise MalformedError("not a value that parse or to_json returned")
