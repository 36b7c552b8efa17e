"""State typed facts about the arguments of one call.

A fact is ``predicate(key, value...)``; ``predicate(key, parameter, value...)`` for a few whose question
needs a literal of its own. The key is that of a place (see `places`): an argument's name, or a pointer to a
place inside an argument. Every place has exactly one *primary* fact, by its JSON type, so that no value can
be read as another type. *Derived* facts are stated beside it, only for a value that already has the form
they name.

    primary   arg_str  arg_int  arg_bool  arg_null  arg_json (sha256 of the canonical JSON)
    derived   arg_scalar (canonical JSON text of a scalar)   arg_len (characters, or elements)
              arg_path  arg_parent (its folder)  arg_relpath (a relative path)
              arg_url, arg_ip_url (origin, path)  arg_email (address, domain)
              arg_argv (program of a command)  arg_operand (a word that is not an option)
              arg_fields (names of an object)   arg_size (how many names)
              arg_distinct (true, of a list without equal elements)
              arg_number (a number rounded down and up, in units of 10**-parameter)
              arg_fixed (a number of so many units exactly)
              arg_date (days since 1970-01-01)  arg_instant (Unix seconds, rounded down and up)
              arg_matches (a string that matches the parameter)   arg_same (as the place that it names)
              arg_host (a host name)  arg_hex (hexadecimal digits): in lower case, which means the same
    of lists  arg_strs  arg_ints  arg_scalars  arg_paths  arg_parents  arg_relpaths  arg_urls  arg_ip_urls
              arg_emails  arg_lens  arg_operands, each as a set
    ranges    the least and the greatest value of a fact: arg_range (of arg_int)  arg_len_range
              arg_size_range  arg_number_range  arg_fixed_range  arg_date_range  arg_instant_range (of an
              empty list, the greatest and the least integer, so that every bound holds)  arg_each_matches
    of many   the facts of lists   arg_fields (every name in any of the objects)   arg_count (how many values)
    call      arg_names (no key)
    results   digest (sha256 of the canonical JSON)   digests (of each element); no token names these two

`fact` is total: for any value it returns the values or None.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any, TypeAlias

from . import dates, formats
from .canonical import Json, encode
from .matching import is_pattern, matches_pattern
from .numbers import INT64, in_units, is_places
from .places import MAX_ELEMENTS, Many, is_key

__all__ = ["INT64", "OF_MANY", "PARAMETERS", "SIGNATURES", "WORK", "Values", "fact", "work"]

Value: TypeAlias = "str | int | bool | bytes | frozenset[str] | frozenset[int]"
Values: TypeAlias = "tuple[Value, ...]"


_FORMS: dict[str, Callable[[str], Value | tuple[Value, ...] | None]] = {
    "arg_path": formats.path,
    "arg_parent": formats.parent,
    "arg_relpath": formats.relative_path,
    "arg_url": formats.url,
    "arg_ip_url": formats.ip_url,
    "arg_email": formats.email,
    "arg_host": formats.host,
    "arg_hex": formats.hexadecimal,
    "arg_date": dates.day,
    "arg_instant": dates.instant,
}
"""How to read a string that has a canonical form."""

_LISTED = ("arg_path", "arg_parent", "arg_relpath", "arg_url", "arg_ip_url", "arg_email")

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
    "arg_lens": ("ints",),
    "arg_operands": ("strs",),
    "arg_number": ("int", "int"),
    "arg_fixed": ("int",),
    "arg_date": ("int",),
    "arg_instant": ("int", "int"),
    "arg_size": ("int",),
    "arg_distinct": ("bool",),
    "arg_scalars": ("strs",),
    "arg_range": ("int", "int"),
    "arg_len_range": ("int", "int"),
    "arg_size_range": ("int", "int"),
    "arg_number_range": ("int", "int", "int", "int"),
    "arg_fixed_range": ("int", "int"),
    "arg_date_range": ("int", "int"),
    "arg_instant_range": ("int", "int", "int", "int"),
    "arg_count": ("int",),
    "arg_matches": (),
    "arg_each_matches": (),
    "arg_same": (),
    "arg_host": ("str",),
    "arg_hex": ("str",),
    "arg_parent": ("str",),
    "arg_relpath": ("str",),
    "arg_ip_url": ("str", "str"),
}
SIGNATURES |= {f"{name}s": ("strs",) * len(SIGNATURES[name]) for name in _LISTED}
"""Every predicate, with the types of its values after the key and the parameter."""

_SETS = ("arg_strs", "arg_ints", "arg_scalars", "arg_lens", *(f"{name}s" for name in _LISTED))
_RANGES = ("arg_range", "arg_len_range", "arg_size_range", "arg_number_range", "arg_fixed_range")
OF_MANY = frozenset({"arg_fields", "arg_operands", "arg_count", "arg_each_matches", "digests", "results_of"})
OF_MANY |= {*_SETS, *_RANGES, "arg_date_range", "arg_instant_range"}
"""The facts that a place of many values can have: never one of a single value."""

PARAMETERS: dict[str, Callable[[object], bool]] = {
    "arg_number": is_places,
    "arg_fixed": is_places,
    "arg_number_range": is_places,
    "arg_fixed_range": is_places,
    "arg_matches": is_pattern,
    "arg_each_matches": is_pattern,
    "arg_same": lambda key: type(key) is str and key != "" and is_key(key),
}
"""The predicates that have a parameter, each with whether a literal can be it."""


def fact(value: Json, predicate: str, parameter: int | str | None = None) -> Values | None:
    """Return the values of ``predicate(key, ...)`` for the value at the key, or None if not stated."""
    if type(value) is Many and predicate not in OF_MANY:
        return None
    if parameter is not None:
        return _PARAMETRIC[predicate](value, parameter)
    return _FACTS[predicate](value)


def work(value: Json, predicate: str) -> int:
    """Return about how much work a fact is: in bytes of text, where to encode one byte is 1."""
    if isinstance(value, str):
        return WORK[predicate] * (_TEXT + _length(value, predicate))
    if predicate in _WHOLE:
        return WORK[predicate] * _size(value)
    # of a longer list nothing is looked at, and of elements only texts, and the names in an object
    elements = value if isinstance(value, list) and len(value) <= MAX_ELEMENTS else []
    sizes = [_length(e, predicate) for e in elements if type(e) is str]
    sizes += [_NAME * len(e) for e in elements if type(e) is dict]
    return WORK[predicate] * (_VALUE * len(elements) + sum(sizes))


def _length(text: str, predicate: str) -> int:
    # paths are compared in their compatibility form, in which one letter may be 18
    return len(text) if WORK[predicate] < 6 or text.isascii() else _LETTERS * len(text)


_VALUE, _TEXT, _NAME, _LETTERS = 512, 64, 32, 12
_WHOLE = frozenset({"arg_json", "arg_argv", "digest", "digests", "arg_distinct", "arg_same"})
WORK = dict.fromkeys((*_WHOLE, "arg_scalar", *OF_MANY - {"arg_count", "results_of"}), 1)
WORK |= {"arg_argv": 4, "arg_matches": 8, "arg_each_matches": 8, "arg_host": 6, "arg_hex": 6}
WORK |= dict.fromkeys([f"{name}{s}" for name in _LISTED for s in ("", "s")], 6)


def _size(value: Json) -> int:
    if isinstance(value, str):
        return _TEXT + len(value)
    if isinstance(value, dict):
        return _VALUE + sum(map(len, value)) + sum(map(_size, value.values()))
    return _VALUE + (sum(map(_size, value)) if isinstance(value, list) else 0)


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


def _argv(value: Json) -> Values | None:
    program = formats.argv(value)
    return None if program is None else (program,)


def _operand(value: Json) -> Values | None:
    return (value,) if type(value) is str and formats.operand(value) else None


def _fixed(value: Json, places: int) -> Values | None:
    units = in_units(value, places)
    return units[:1] if units is not None and units[0] == units[1] else None


def _matches(value: Json, pattern: str) -> Values | None:
    return () if type(value) is str and matches_pattern(value, pattern) else None


def _each_matches(value: Json, pattern: str) -> Values | None:
    return None if _columns(lambda element: _matches(element, pattern), 0, value) is None else ()


def _same(values: Json, _: str) -> Values | None:
    """Compare the two values that `Call.fact` has looked up."""
    assert isinstance(values, list)
    return () if encode(values[0]) == encode(values[1]) else None


def _fields(value: Json) -> Values | None:
    if type(value) is Many:
        return (frozenset[str]().union(*value),) if set(map(type, value)) <= {dict} else None
    return (frozenset(value),) if isinstance(value, dict) else None


def _size_of_object(value: Json) -> Values | None:
    return (len(value),) if isinstance(value, dict) else None


def _count(value: Json) -> Values | None:
    return (len(value),) if type(value) is Many else None


def _distinct(value: Json) -> Values | None:
    if not isinstance(value, list) or len(value) > MAX_ELEMENTS:
        return None
    return (True,) if len({encode(element) for element in value}) == len(value) else None


def _each(of_element: Callable[[Json], Values | None], arity: int = 1) -> Callable[[Json], Values | None]:
    """Return the function for a list's fact: the elements' facts as sets, if every element has that fact."""

    def of_list(value: Json) -> Values | None:
        columns = _columns(of_element, arity, value)
        return None if columns is None else tuple([frozenset(column) for column in columns])

    return of_list


def _range(of_element: Callable[[Json], Values | None], arity: int = 1) -> Callable[[Json], Values | None]:
    """Return the function for the least and the greatest of each value of the elements' facts."""

    def of_list(value: Json) -> Values | None:
        columns = _columns(of_element, arity, value)
        if columns is None:
            return None
        ends = [(min(column, default=INT64 - 1), max(column, default=-INT64)) for column in columns]
        return tuple([end for both in ends for end in both])

    return of_list


def _columns(of_element: Callable[[Json], Values | None], arity: int, value: Json) -> list[list[Any]] | None:
    """Return the values of a fact of every element of a list; None if an element does not have it."""
    if not isinstance(value, list) or len(value) > MAX_ELEMENTS:
        return None
    rows = []
    for element in value:
        row = of_element(element)
        if row is None:
            return None
        rows.append(row)
    return [[row[i] for row in rows] for i in range(arity)]


def _form(name: str) -> Callable[[Json], Values | None]:
    """Return the function for the fact of a string in a canonical form."""

    def of_string(value: Json) -> Values | None:
        found = _FORMS[name](value) if type(value) is str else None
        return found if found is None or isinstance(found, tuple) else (found,)

    return of_string


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
    "arg_argv": _argv,
    "arg_operand": _operand,
    "arg_fields": _fields,
    "arg_strs": _each(_str),
    "arg_ints": _each(_int),
    "arg_lens": _each(_len),
    "arg_operands": _each(_operand),
    "arg_size": _size_of_object,
    "arg_distinct": _distinct,
    "arg_scalars": _each(_scalar),
    "arg_range": _range(_int),
    "arg_len_range": _range(_len),
    "arg_size_range": _range(_size_of_object),
    "arg_date_range": _range(_form("arg_date")),
    "arg_instant_range": _range(_form("arg_instant"), 2),
    "arg_count": _count,
    **{name: _form(name) for name in _FORMS},
    **{f"{name}s": _each(_form(name), len(SIGNATURES[name])) for name in _LISTED},
}

_PARAMETRIC: dict[str, Callable[[Json, Any], Values | None]] = {
    "arg_number": in_units,
    "arg_fixed": _fixed,
    "arg_number_range": lambda value, places: _range(lambda one: in_units(one, places), 2)(value),
    "arg_fixed_range": lambda value, places: _range(lambda one: _fixed(one, places))(value),
    "arg_matches": _matches,
    "arg_each_matches": _each_matches,
    "arg_same": _same,
}
