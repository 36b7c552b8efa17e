"""Write what a tool returned as text for a model, within bounds.

A result is measured before anything is done with it, because its own serialization may be endless, or far
larger than its objects in memory: a list that holds one list twice, which holds another twice, and so on.
What can be read only once (a generator, an open file) is never read.
"""

from __future__ import annotations

import dataclasses
import json
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from decimal import Decimal
from enum import Enum
from itertools import islice
from json.encoder import encode_basestring
from math import isfinite
from pathlib import PurePath
from types import NoneType
from typing import Any

from pydantic_core import to_jsonable_python

from ..call.canonical import MAX_DEPTH

__all__ = ["ResultTooLargeError", "is_unread", "result_json", "result_text", "unread_error"]

MAX_TEXT = 8 << 20
"""Bytes of a result that a model is shown."""

MAX_SHOWN = 1 << 17
"""Elements and members of a result that a model is shown."""


class ResultTooLargeError(ValueError):
    """A result has more bytes or values than may be written."""


def is_unread(value: object) -> bool:
    """Return whether a value is an iterator, which a tool may not return.

    It has not run yet, and whoever reads it takes it from everybody else.
    """
    kind = type(value)
    return (hasattr(kind, "__next__") or hasattr(kind, "__anext__")) and not hasattr(kind, "__len__")


def unread_error(tool: str, returned: object) -> TypeError:
    """Return the error of a tool that returned an iterator, which was not read."""
    return TypeError(
        f"{tool} returned a {type(returned).__name__}, which can be read only once:"
        " return a list, or write the tool as an async generator"
    )


def result_text(value: object) -> str:
    """Return a tool's result as text for a model: a string unchanged, any other value as JSON.

    Raises:
        ResultTooLargeError: it has more than `MAX_TEXT` bytes or `MAX_SHOWN` values.
    """
    if not isinstance(value, str):
        return result_json(value, max_bytes=MAX_TEXT, max_values=MAX_SHOWN)[0]
    if len(value) > MAX_TEXT:
        raise ResultTooLargeError
    return _utf8(value)


def result_json(value: object, *, max_bytes: int, max_values: int) -> tuple[str, int]:
    """Return a tool's result as JSON, and about how many values it has.

    Models and dataclasses are written as pydantic writes them: by their own serializers, without excluded
    fields, with secrets masked. An element that has no JSON form, or that can be read only once, becomes
    the name of its type in angle brackets, never its ``repr``; bytes become base64; a lone surrogate
    becomes ``?``.

    Raises:
        ResultTooLargeError: it has more than ``max_bytes`` or ``max_values``. This is noticed early.
    """
    if type(value) is str and len(value) <= max_bytes:
        return _utf8(encode_basestring(value)), 1
    flat = _flat_size(value)
    if flat is not None and flat[0] <= max_bytes and flat[1] <= max_values:
        with suppress(ValueError):  # a number that is not finite, or too long to be written
            return _json_text(value), flat[1]
    measured = _Measure(max_bytes, max_values)
    if measured.is_plain(value):
        with suppress(Exception):  # an element's own serializer, a number that is not finite: keep the rest
            return _json_text(_jsonable(value)), measured.values
    return _json_text(_parts(value, ())), measured.values


_SMALL = frozenset({float, bool, NoneType})

_SHORT = 64
"""Elements or members of a result that is measured in one pass if there is nothing in them."""


def _flat_size(value: Any) -> tuple[int, int] | None:
    """Return the bytes and values of a short list or dict, as `_Measure` counts them; None for any other."""
    if type(value) not in (dict, list) or len(value) > _SHORT:
        return None
    size, parts = len(value), value
    if type(value) is dict:
        for name in value:
            if type(name) is not str:
                return None
            size += len(name)
        parts = value.values()
    for part in parts:
        kind = type(part)
        if kind is str:
            size += len(part)
        elif kind is int:
            size += 1 + part.bit_length() // 4
        elif kind in _SMALL:
            size += 8
        else:
            return None
    return size, 1 + len(value)


class _Measure:
    """Counts the bytes and values of a result, and stops at the first that is too many."""

    def __init__(self, max_bytes: int, max_values: int) -> None:
        self.bytes, self.values = 0, 1
        self._max_bytes, self._max_values = max_bytes, max_values

    def is_plain(self, value: object) -> bool:
        """Return whether pydantic may be given the value as a whole: nothing in it is too deep, or read once.

        Raises:
            ResultTooLargeError: it is too large.
        """
        level: list[Any] = [value]
        plain = True
        for depth in range(MAX_DEPTH + 1):
            parts: list[Any] = []
            for part in level:
                kind = type(part)
                if kind is str:
                    self.bytes += len(part)
                elif kind in _SMALL:
                    self.bytes += 8
                elif kind is int:
                    self.bytes += 1 + part.bit_length() // 4
                elif kind is dict and depth < MAX_DEPTH:
                    parts += self._few(part)
                    parts += islice(part.values(), self._max_values)
                else:
                    plain = plain and not hasattr(kind, "__next__")
                    if depth < MAX_DEPTH or not _is_container(part):
                        parts += self._inside(part)
                    else:
                        plain = False
            self._count(0)
            if not parts:
                break
            level = parts
        return plain

    def _inside(self, part: Any) -> list[Any]:
        if isinstance(part, str):
            self._count(len(part))
        elif isinstance(part, (bytes, bytearray)):
            self._count(2 * len(part))
        elif isinstance(part, int):
            self._count(1 + part.bit_length() // 4)
        elif isinstance(part, dict):
            return [*self._few(part), *islice(part.values(), self._max_values)]
        elif isinstance(part, (list, tuple, set, frozenset, deque)):
            return self._few(part)
        elif isinstance(part, Enum):
            return [part.value]
        elif dataclasses.is_dataclass(part) or hasattr(type(part), "__pydantic_fields__"):
            return self._few(_members(part))
        elif isinstance(part, Decimal):
            self._count(part.__sizeof__())
        elif isinstance(part, PurePath) or hasattr(type(part), "unicode_string"):  # a URL of pydantic
            self._count(len(str(part)))
        else:
            self._count(8)
        return []

    def _few(self, parts: Iterable[Any]) -> list[Any]:
        few = list(islice(parts, self._max_values + 1))
        self.values += len(few)
        self._count(len(few))
        return few

    def _count(self, size: int) -> None:
        self.bytes += size
        if self.bytes > self._max_bytes or self.values > self._max_values:
            raise ResultTooLargeError


def _is_container(value: object) -> bool:
    if isinstance(value, (dict, list, tuple, set, frozenset, deque)):
        return True
    return dataclasses.is_dataclass(value) or hasattr(type(value), "__pydantic_fields__")


def _members(value: Any) -> Iterator[Any]:
    yield from getattr(value, "__dict__", {}).values()
    yield from (getattr(value, "__pydantic_extra__", None) or {}).values()
    if "__slots__" in type(value).__dict__ and dataclasses.is_dataclass(value):
        yield from (getattr(value, field.name, None) for field in dataclasses.fields(value))


def _jsonable(value: object) -> object:
    return to_jsonable_python(value, fallback=_kind, bytes_mode="base64")


_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":"))


def _json_text(form: object) -> str:
    return _utf8(_ENCODER.encode(form))


def _parts(value: object, around: tuple[int, ...]) -> object:
    """Return the parts of a value that have a JSON form; ``around`` are the ids of its containers."""
    if value is None or isinstance(value, (str, bool)):
        return value
    if isinstance(value, float) and not isfinite(value):
        return str(float(value))
    if isinstance(value, int):
        return value if value.bit_length() < _MANY_BITS else _kind(value)
    if isinstance(value, (list, tuple, set, frozenset, dict)):
        if id(value) in around or len(around) == MAX_DEPTH:
            return _kind(value)
        within = (*around, id(value))
        if isinstance(value, dict):
            return {_name(key): _parts(member, within) for key, member in value.items()}
        return [_parts(element, within) for element in value]
    try:
        form = _jsonable(value) if _Measure(MAX_TEXT, MAX_SHOWN).is_plain(value) else _kind(value)
    except Exception:  # a serializer may raise anything
        return _kind(value)
    return _parts(form, around) if isinstance(form, (int, float, list, dict)) else form


_MANY_BITS = 10_000  # Python refuses to print an integer of more than 4300 digits


def _name(key: object) -> str:
    if isinstance(key, str):
        return key
    return str(_parts(key, ())) if isinstance(key, (int, float)) else _kind(key)


def _kind(value: object) -> str:
    return f"<{type(value).__name__}>"


def _utf8(text: str) -> str:
    return text if text.isascii() else text.encode(errors="replace").decode()
