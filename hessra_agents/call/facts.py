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
    results   digest (sha256 of the canonical JSON)   digests (of each element); no token names these two

`fact` is total: for any value it returns the values or None. One place has one key (`is_key`).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from typing import TypeAlias

from . import formats
from .canonical import MAX_DEPTH, Json, encode

__all__ = ["INT64", "MAX_ELEMENTS", "SIGNATURES", "Values", "at", "escape", "fact", "is_key", "work"]

Value: TypeAlias = "str | int | bool | bytes | frozenset[str] | frozenset[int]"
Values: TypeAlias = "tuple[Value, ...]"

INT64 = 1 << 63
"""Datalog integers have 64 bits; a larger integer has no fact but its digest."""

MAX_ELEMENTS = 512
"""Elements of a list. A longer list has no list facts, so every constraint on its elements fails: this
bounds the work of a check."""

MAX_KEY = 1024
"""Characters of a key."""

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


def fact(value: Json, predicate: str) -> Values | None:
    """Return the values of ``predicate(key, ...)`` for the value at the key, or None if not stated."""
    return _FACTS[predicate](value)


def work(value: Json, predicate: str) -> int:
    """Return about how much work a fact is: in bytes of text, where to encode one byte is 1."""
    if predicate not in _WORK:
        return 0
    if isinstance(value, str):
        return _WORK[predicate] * (_TEXT + len(value))
    if predicate in _WHOLE:
        return _WORK[predicate] * _size(value)
    # of a longer list, and of elements that are no strings, nothing is looked at
    elements = value if isinstance(value, list) and len(value) <= MAX_ELEMENTS else []
    return _WORK[predicate] * sum([_VALUE + (len(e) if isinstance(e, str) else 0) for e in elements])


_VALUE, _TEXT = 512, 64
_WHOLE = frozenset({"arg_json", "arg_argv", "digest", "digests"})
_WORK = dict.fromkeys((*_WHOLE, "arg_scalar", "arg_strs", "arg_ints", "arg_lens", "arg_operands"), 1)
_WORK |= {"arg_argv": 4}
_WORK |= dict.fromkeys(("arg_path", "arg_paths", "arg_url", "arg_urls", "arg_email", "arg_emails"), 6)


def _size(value: Json) -> int:
    if isinstance(value, str):
        return _TEXT + len(value)
    if isinstance(value, dict):
        return _VALUE + sum(map(len, value)) + sum(map(_size, value.values()))
    return _VALUE + (sum(map(_size, value)) if isinstance(value, list) else 0)


_POINTER = re.compile(r"(?:/(?:[^/~]|~[01])*+)++")


def is_key(key: str) -> bool:
    """Return whether this can be the key of a fact: a name, or a pointer in its one spelling."""
    steps = key.count("/") if key[:1] == "/" else 0
    return len(key) <= MAX_KEY and steps <= MAX_DEPTH and (not steps or bool(_POINTER.fullmatch(key)))


def at(arguments: dict[str, Json], key: str) -> Json:
    """Return the value at a place; the empty key is the place of all arguments.

    Raises:
        LookupError: there is no value.
    """
    if key[:1] != "/":
        return arguments[key] if key else arguments
    value: Json = arguments
    *steps, last = key[1:].split("/")
    if not steps:
        raise LookupError  # an argument has one key, its name, and no pointer beside it
    for step in steps:
        value = _inside(value, step)
    if not isinstance(value, list) or last[-1:] != ":":
        return _inside(value, last)
    start = _index(last[:-1])  # the rest of a list is a place, and no place is inside it
    if start > len(value):
        raise LookupError
    return value[start:]


def escape(name: str) -> str:
    """Return a name as one step of a pointer (RFC 6901, 3)."""
    return name.replace("~", "~0").replace("/", "~1")


def _inside(value: Json, step: str) -> Json:
    if isinstance(value, dict):
        return value[step.replace("~1", "/").replace("~0", "~")]
    if isinstance(value, list):
        return value[_index(step)]
    raise LookupError


def _index(step: str) -> int:
    # RFC 6901, 4: digits without leading zeros
    if not (step.isascii() and step.isdigit()) or (step[0] == "0" and step != "0") or len(step) > 6:
        raise LookupError
    return int(step)


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
    return _digest(value)


def _digest(value: Json) -> Values:
    return (hashlib.sha256(encode(value)).digest(),)


def _digests(value: Json) -> Values | None:
    if not isinstance(value, list) or len(value) > MAX_ELEMENTS:
        return None
    return tuple([_digest(element)[0] for element in value])


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
    "digest": _digest,
    "digests": _digests,
    "arg_names": _fields,
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
