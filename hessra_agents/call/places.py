"""Find the places that facts are about, inside the arguments of one call.

A *key* is an argument's name, or a pointer to a place inside an argument (RFC 6901: ``/options/force``). A
few steps are our own. In RFC 6901 only 0 and 1 follow a ``~``, so the name of no field can spell them:

    /argv/2:          the list from index 2 on; no place is inside it
    /line/~w          the words of a plain command line, as a list
    /items/~*         every element of a list
    /labels/~k        every name in an object
    /labels/~v        every value in an object
    /items/~*/note~?  this field of those that have it; only behind one of the three above

``~*``, ``~k`` and ``~v`` lead to a place of *many* values, of which only facts about lists are stated. They
are at most `MAX_ELEMENTS` in all, and each of them has the place that the rest of the key names; otherwise
the key has no place. One place has one key (`is_key`), except that a list and all its elements have one each.
"""

from __future__ import annotations

import re
from typing import Any

from .canonical import MAX_DEPTH, Json

__all__ = ["MAX_ELEMENTS", "MAX_KEY", "MISSING", "SPREADS", "Many", "escape", "find", "is_key", "unescape"]

MAX_ELEMENTS = 512
"""Elements of a list, and values of a place of many. A longer list has no list facts, so every constraint on
its elements fails: this bounds the work of a check."""

MAX_KEY = 1024
"""Characters of a key."""

MAX_SPREADS = 2
"""Steps of one key that each lead to many values."""

SPREADS = ("~*", "~k", "~v")
"""The steps that lead to many values."""

MISSING = object()
"""No value is there."""

_STEP, _ELEMENT, _LINE = 64, 4, 8
"""Work of one step, of one element that is copied, and of one character that is split into words."""

_NAMES = re.compile(r"(?:/(?:[^/~]|~[01])*+)++")
# the characters that sh, shlex and cmd leave alone, with single blanks between words
_PLAIN_LINE = re.compile(r"[A-Za-z0-9_./:@+,=-]++(?: [A-Za-z0-9_./:@+,=-]++)*+")
_LONGEST_LINE = 8192


class Many(list[Any]):
    """The values of a place of many; no value of the call itself."""

    __slots__ = ()


def escape(name: str) -> str:
    """Return a name as one step of a pointer (RFC 6901, 3)."""
    return name.replace("~", "~0").replace("/", "~1")


def unescape(step: str) -> str:
    """Return the name that one step of a pointer spells."""
    return step.replace("~1", "/").replace("~0", "~")


def is_key(key: str, *, many: bool = False) -> bool:
    """Return whether this can be the key of a fact: a name, or a pointer in its one spelling.

    Args:
        many: whether it may be the key of many values.
    """
    steps = key[1:].split("/") if key[:1] == "/" else []
    if len(key) > MAX_KEY or len(steps) > MAX_DEPTH:
        return False
    if not steps or _NAMES.fullmatch(key):
        return True
    spreads = [index for index, step in enumerate(steps) if step in SPREADS]
    if len(spreads) > (MAX_SPREADS if many else 0) or steps[0] in (*SPREADS, "~w"):
        return False
    first = spreads[0] if spreads else len(steps)
    names = [step.removesuffix("~?") if index > first else step for index, step in enumerate(steps)]
    return all(name in (*SPREADS, "~w") or _NAMES.fullmatch(f"/{name}") for name in names)


def find(arguments: dict[str, Json], key: str) -> tuple[Any, int]:
    """Return the value at a pointer, or `MISSING`, and the work of looking there (see `facts.work`)."""
    *steps, last = key[1:].split("/")
    if not steps:  # an argument has one key, its name, and no pointer beside it
        return (MISSING if key else arguments), 0
    plain = "/~" not in key  # nearly always: names and indexes alone
    work = _STEP * len(steps) if plain else 0
    value: Any = arguments
    try:
        for step in steps:
            work += 0 if plain else _cost(value, step)
            value = _inside(value, step) if plain else _next(value, step)
        work += _cost(value, last)
        return _rest(value, last) if type(value) is list and last[-1:] == ":" else _next(value, last), work
    except LookupError:
        return MISSING, work


def _cost(value: Any, step: str) -> int:
    values = value if type(value) is Many else (value,)
    if step == "~w":
        return len(values) * _STEP + _LINE * sum([len(one) for one in values if type(one) is str])
    if type(value) is list and step[-1:] == ":":
        return _STEP + _ELEMENT * len(value)
    plain = type(value) is not Many or set(map(type, value)) == {dict}
    return _STEP * (1 + len(values) * (1 if plain else 8)) + (
        _ELEMENT * MAX_ELEMENTS if step in SPREADS else 0
    )


def _next(value: Any, step: str) -> Any:
    if step in SPREADS:
        return _spread(value if type(value) is Many else [value], step)
    if type(value) is not Many:
        return _words(value) if step == "~w" else _inside(value, step)
    if step == "~w":
        return Many(map(_words, value))
    name = unescape(step.removesuffix("~?"))
    if step.endswith("~?"):
        step, value = step[:-2], [one for one in value if type(one) is not dict or name in one]
    if set(map(type, value)) == {dict}:  # nearly always
        return Many([one[name] for one in value])
    return Many([_inside(one, step) for one in value])


def _spread(values: list[Any], step: str) -> Many:
    kind = list if step == "~*" else dict
    if not set(map(type, values)) <= {kind} or sum(map(len, values)) > MAX_ELEMENTS:
        raise LookupError
    found = Many()
    for one in values:
        found += one.values() if step == "~v" else one
    return found


def _words(value: Any) -> list[str]:
    if type(value) is not str or len(value) > _LONGEST_LINE or not _PLAIN_LINE.fullmatch(value):
        raise LookupError
    return value.split(" ")


def _rest(value: list[Any], step: str) -> list[Any]:
    start = _index(step[:-1])
    if start > len(value):
        raise LookupError
    return value[start:]


def _inside(value: Any, step: str) -> Any:
    if type(value) is dict:
        return value[unescape(step)]
    if type(value) is list:
        return value[_index(step)]
    raise LookupError


def _index(step: str) -> int:
    # RFC 6901, 4: digits without leading zeros
    if not (step.isascii() and step.isdigit()) or (step[0] == "0" and step != "0") or len(step) > 6:
        raise LookupError
    return int(step)
