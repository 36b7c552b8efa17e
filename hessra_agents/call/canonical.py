"""One canonical form of every argument value.

What a capability allows, what holders and approvers sign, what is recorded and what the tool gets must be
one value with one spelling. `parse` reads JSON text and `to_json` Python values, by the same rules; `encode`
writes the bytes. Nothing is repaired: what two readers could take differently is `MalformedError`.

1. Text is read once: a name given twice, a byte after the value, a number that is not finite is refused.
2. ``1.0`` is the integer 1, ``-0.0`` is 0, and a bool is no integer. Integers keep all their digits; a
   double without a fraction is the integer that it prints as, up to 1e21.
3. Strings are Unicode text, left as they are (NUL, too); lone surrogates are refused.
4. At most `MAX_DEPTH` lists and objects inside each other, `MAX_VALUES` values, `MAX_BYTES` bytes.

    encode(parse('{"to": "ana@acme.com", "copies": 1.0}'))         # b'{"copies":1,"to":"ana@acme.com"}'
    encode(plain({"size": Decimal("1.10"), "in": Path("/data")}))  # b'{"in":"/data","size":"1.10"}'

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
MAX_DEPTH = 32  # lists and objects inside each other; [] has depth 1
MAX_VALUES = 1 << 14  # elements and members in all: bounds the time that one call can hold the interpreter
MAX_DIGITS = 400  # of an integer; no double has more than 309, and conversion takes quadratic time


def parse(text: str | bytes) -> Json:
    """Read JSON text strictly, once.

    Refused beside what is not JSON at all: a name given twice at any depth (RFC 8259, 4), ``NaN``, infinities
    and numbers that overflow to one, lone surrogates (8.2; also as escapes), a byte order mark (8.1), invalid
    UTF-8, and whatever exceeds a limit of this module. Size and depth are checked before the decoder runs.

    Raises:
        MalformedError: and nothing else, whatever the text.
    """
    return to_json(parse_lenient(text))


def parse_lenient(text: str | bytes, *, max_bytes: int = MAX_BYTES) -> object:
    """Read JSON text once, as `parse` does, without judging numbers, surrogates and how much there is in it.

    For a message of which some part is an argument: that part is judged when it becomes a call.

    Args:
        max_bytes: bytes of UTF-8.

    Raises:
        MalformedError: it is too large or too deep, not JSON, or gives a name twice.
    """
    try:
        _refuse_large(len(text), max_bytes)
        data = text.encode() if isinstance(text, str) else text
        _refuse_large(len(data), max_bytes)
        source = data.decode()
        _refuse_deep_nesting(source)
        return _DECODER.decode(source)
    except (json.JSONDecodeError, UnicodeError, RecursionError):  # the last: a stack that was almost full
        raise MalformedError("not json text in utf-8") from None


def to_json(value: object) -> Json:
    """The JSON form of a Python value: always fresh, shares nothing mutable with the caller.

    Beside JSON's own types: tuples, sets (sorted by canonical bytes), paths, UUIDs, enums (their value),
    decimals (their exact text), dates and times (an aware datetime in UTC), timedeltas (ISO 8601),
    dataclasses and pydantic models. Pydantic in strict JSON mode reads an equal value back: a model's
    fields go by the names that it is *validated* from, and their values by these same rules, not by the
    model's serializers, which may mask or drop them. Anything else is refused, as are keys but strings.

    Raises:
        MalformedError: no canonical form, too deep (so is what contains itself) or too large (noticed early).
    """
    fresh, size = _walked(value)
    if size > MAX_BYTES // 25:  # a float is counted as 1 byte, and prints in up to 24
        _refuse_large(len(encode(fresh)))
    return fresh


def to_json_and_text(value: object) -> tuple[Json, bytes]:
    """What `to_json` and then `encode` make of a value, which is written only once."""
    fresh, _ = _walked(value)
    text = encode(fresh)
    _refuse_large(len(text))
    return fresh, text


def encode(value: Json) -> bytes:
    """The canonical bytes of a value that `parse` or `to_json` returned.

    Names sorted by UTF-16 code units, no white space, the fewest escapes, numbers as in JavaScript (RFC
    8785, 3.2), but integers with all digits.
    """
    try:
        return _written(value).encode()
    except UnicodeEncodeError:
        raise MalformedError("a lone surrogate") from None


def to_json_fast(members: dict[Any, Any]) -> tuple[dict[str, Json], bytes] | None:
    """What ``plain`` and ``encode`` make of what most calls carry; None where it takes their rules.

    A few ASCII texts, small whole numbers, truth values and nulls are as they should be, within all limits.
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


_FEW, _SHORT, _SMALL = 64, 1 << 14, 1 << 53  # members, characters, whole numbers

_TOO_LONG = 10**MAX_DIGITS
_TOO_DEEP = f"more than {MAX_DEPTH} lists and objects inside each other"
_STRING_OR_BRACKET = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[\[\]{}]', re.DOTALL)


def _refuse_large(size: int, max_bytes: int = MAX_BYTES) -> None:
    if size > max_bytes:
        raise MalformedError(f"more than {max_bytes} bytes")


def _refuse_deep_nesting(source: str) -> None:
    # The decoder recurses on the C stack. It stops at the first fault of the text; up to there it sees
    # the very brackets that are counted here.
    if source.count("[") + source.count("{") <= MAX_DEPTH:
        return
    depth = 0
    for token in _STRING_OR_BRACKET.finditer(source):
        depth += (token[0] in "[{") - (token[0] in "]}")
        if depth > MAX_DEPTH:
            raise MalformedError(_TOO_DEEP)


def _unique(members: list[tuple[str, object]]) -> dict[str, object]:
    fresh = dict(members)
    if len(fresh) != len(members):
        raise MalformedError("a name given twice")
    return fresh


# `to_json` judges numbers; an integer is cut where it is too long anyway, before it costs quadratic time.
_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_int=lambda text: int(text[: MAX_DIGITS + 2]))


def _walked(value: object) -> tuple[Json, int]:
    walk = _Walk()
    try:
        return walk.value(value, 0), walk.size
    except RecursionError:  # an enum that is its own value, or the caller's own stack was almost full
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
        if not abs(value) < _TOO_LONG:  # so says NaN, too
            raise MalformedError(f"a number that is not finite, or has more than {MAX_DIGITS} digits")
        # Below 1e21 a double without a fraction is written in plain digits (ECMAScript, Number::toString),
        # so it is the integer of those digits: one spelling, one value.
        whole = isinstance(value, float) and value.is_integer() and abs(value) < 1e21
        return int(Decimal(repr(value))) if whole else value

    def elements(self, values: list[Any], depth: int) -> list[Json]:
        self.count(1 + len(values), depth, len(values))
        return [
            # what is counted already, and as short as a float
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
            if name in fresh:  # subclasses of str may differ and yet be spelled alike
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
            raise MalformedError(f"more than {MAX_VALUES} values")
        if depth > MAX_DEPTH:
            raise MalformedError(_TOO_DEEP)


def _simpler(value: Any) -> object:
    """One step nearer to JSON, for a closed table of types."""
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
        raise MalformedError("incomplete or out of range") from None
    raise MalformedError("a type without a json form")


def _model(model: Any) -> object:
    kind = type(model)
    if getattr(kind, "__pydantic_root_model__", False):
        return model.root
    config = getattr(kind, "model_config", None) or getattr(kind, "__pydantic_config__", {})
    own = getattr(kind, "__dataclass_fields__", {})  # a pydantic dataclass reads none that init leaves out
    named = {
        _read_as(name, field.validation_alias, config): getattr(model, name)
        for name, field in kind.__pydantic_fields__.items()
        if name not in own or own[name].init
    }
    return named | (getattr(model, "__pydantic_extra__", None) or {})


def _read_as(name: str, alias: Any, config: dict[str, Any]) -> str:
    # The alias goes first, as in the schema that a model reads. Recognised by shape, so that pydantic
    # need not be imported: AliasChoices has choices; an AliasPath points inside another member.
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
    raise MalformedError("not a value that parse or plain returned")
