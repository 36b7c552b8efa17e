"""State typed facts about the arguments of one call.

A fact is ``predicate(key, value...)``. The key is an argument's name, or a pointer to a place inside an
argument (RFC 6901: ``/options/force``); ``/argv/2:``, the list from index 2 on, is our one addition.
Every place has exactly one *primary* fact, by its JSON type, so that no value can be read as another
type. *Derived* facts are stated beside it, only for a value that already has the form they name.

    primary   arg_str  arg_int  arg_bool  arg_null  arg_json (sha256 of the canonical JSON)
    derived   arg_scalar (canonical JSON text of a scalar)   arg_len (characters, or elements)
              arg_path  arg_url (origin, path)  arg_email (address, domain)
              arg_argv (program of a command)  arg_operand (a word that is not an option)
              arg_fields (names of an object)
    of lists  arg_strs  arg_ints  arg_paths  arg_urls  arg_emails  arg_lens  arg_operands (as sets)
    call      arg_names (no key)

`fact` is total: for any key it returns the values or None.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import TypeAlias

from . import formats
from .canonical import Json, encode

__all__ = ["INT64", "MAX_ELEMENTS", "SIGNATURES", "Values", "escape", "fact", "has"]

Value: TypeAlias = "str | int | bool | bytes | frozenset[str] | frozenset[int]"
Values: TypeAlias = "tuple[Value, ...]"

INT64 = 1 << 63
"""Datalog integers have 64 bits; a larger integer has no fact but its digest."""

MAX_ELEMENTS = 512
"""Elements of a list. A longer list has no list facts, so every constraint on its elements fails: this
bounds the work of a check."""

SIGNATURES: dict[str, tuple[str, ...]] = {
    "arg_names": ("strs",),
    "arg_fields": ("strs",),
    "arg_str": ("str",),
    "arg_int": ("int",),
    "arg_bool": ("bool",),
    "arg_null": ("bool",),
    "arg_json": ("bytes",),
    "arg_scalar": ("str",),
    "arg_len": ("int",),
    "arg_path": ("str",),
    "arg_url": ("str", "str"),
    "arg_email": ("str", "str"),
    "arg_argv": ("str",),
    "arg_operand": ("str",),
    "arg_strs": ("strs",),
    "arg_ints": ("ints",),
    "arg_paths": ("strs",),
    "arg_urls": ("strs", "strs"),
    "arg_emails": ("strs", "strs"),
    "arg_lens": ("ints",),
    "arg_operands": ("strs",),
}
"""Every predicate, with the types of its values after the key."""


def fact(arguments: dict[str, Json], predicate: str, key: str) -> Values | None:
    """Return the values of ``predicate(key, ...)`` for these canonical arguments, or None if not stated."""
    if predicate == "arg_names":
        return (frozenset(arguments),)
    try:
        value = _at(arguments, key)
    except LookupError:
        return None
    return _FACTS[predicate](value)


def has(arguments: dict[str, Json], key: str) -> bool:
    """Return whether these arguments have a value at this place."""
    try:
        _at(arguments, key)
    except LookupError:
        return False
    return True


def _at(arguments: dict[str, Json], key: str) -> Json:
    return arguments[key] if key[:1] != "/" else _resolve(arguments, key)


def escape(name: str) -> str:
    """Return a name as one step of a pointer (RFC 6901, 3)."""
    return name.replace("~", "~0").replace("/", "~1")


def _resolve(arguments: dict[str, Json], pointer: str) -> Json:
    value: Json = arguments
    steps = pointer[1:].split("/")
    if len(steps) == 1:
        raise LookupError  # an argument has one key, its name, and no pointer beside it
    for step in steps:
        if isinstance(value, dict):
            value = value[step.replace("~1", "/").replace("~0", "~")]
        elif isinstance(value, list):
            value = _element(value, step)
        else:
            raise LookupError
    return value


def _element(value: list[Json], step: str) -> Json:
    index, tail = (step[:-1], True) if step[-1:] == ":" else (step, False)
    # RFC 6901, 4: digits without leading zeros
    if not (index.isascii() and index.isdigit()) or (index[0] == "0" and index != "0") or len(index) > 6:
        raise LookupError
    if tail:
        if int(index) > len(value):
            raise LookupError
        return value[int(index) :]
    return value[int(index)]


def _is_int(value: Json) -> bool:
    return type(value) is int and -INT64 <= value < INT64


def _str(value: Json) -> Values | None:
    return (value,) if type(value) is str else None


def _int(value: Json) -> Values | None:
    return (value,) if type(value) is int and _is_int(value) else None


def _bool(value: Json) -> Values | None:
    return (value,) if type(value) is bool else None


def _null(value: Json) -> Values | None:
    return (True,) if value is None else None


def _json(value: Json) -> Values | None:
    if type(value) is str or type(value) is bool or value is None or _is_int(value):
        return None
    return (hashlib.sha256(encode(value)).digest(),)


def _scalar(value: Json) -> Values | None:
    return None if isinstance(value, (list, dict)) else (encode(value).decode(),)


def _len(value: Json) -> Values | None:
    return (len(value),) if isinstance(value, (str, list)) else None


def _path(value: Json) -> Values | None:
    path = formats.path(value) if type(value) is str else None
    return None if path is None else (path,)


def _url(value: Json) -> Values | None:
    return formats.url(value) if type(value) is str else None


def _email(value: Json) -> Values | None:
    return formats.email(value) if type(value) is str else None


def _argv(value: Json) -> Values | None:
    program = formats.argv(value)
    return None if program is None else (program,)


def _operand(value: Json) -> Values | None:
    return (value,) if type(value) is str and formats.operand(value) else None


def _fields(value: Json) -> Values | None:
    return (frozenset(value),) if isinstance(value, dict) else None


def _each(of_element: Callable[[Json], Values | None], arity: int = 1) -> Callable[[Json], Values | None]:
    """Return the function for a list's fact: the elements' facts as sets, if every element has that fact."""

    def of_list(value: Json) -> Values | None:
        if not isinstance(value, list) or len(value) > MAX_ELEMENTS:
            return None
        rows = []
        for element in value:
            row = of_element(element)
            if row is None:
                return None
            rows.append(row)
        columns: list[Value] = [frozenset(row[i] for row in rows) for i in range(arity)]  # type: ignore[misc]
        return tuple(columns)

    return of_list


_FACTS: dict[str, Callable[[Json], Values | None]] = {
    "arg_str": _str,
    "arg_int": _int,
    "arg_bool": _bool,
    "arg_null": _null,
    "arg_json": _json,
    "arg_scalar": _scalar,
    "arg_len": _len,
    "arg_path": _path,
    "arg_url": _url,
    "arg_email": _email,
    "arg_argv": _argv,
    "arg_operand": _operand,
    "arg_fields": _fields,
    "arg_strs": _each(_str),
    "arg_ints": _each(_int),
    "arg_paths": _each(_path),
    "arg_urls": _each(_url, 2),
    "arg_emails": _each(_email, 2),
    "arg_lens": _each(_len),
    "arg_operands": _each(_operand),
}
