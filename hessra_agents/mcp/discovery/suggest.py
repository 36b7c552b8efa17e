"""Suggest the narrowest grants that would have allowed the calls of a session.

    print(suggest_grants(calls))                                 # a grant file

For each tool, each argument is bound to what it was in the calls:

1. one value: that value; a few: one of them; many integers: between the least and the greatest;
2. many strings: the folder of the paths, a common beginning, or their length; lists: the elements that they
   held; objects: field by field;
3. an argument that was not always there may be omitted.

Where no bound describes the values, or one grant would allow combinations of them that were not seen, a tool
gets several grants, if a few are enough. A grant that allows more than was seen says so in a comment;
``anything`` is the last resort, and marked. That a session made a call is no proof that the call was right: a
person must read the file before it is issued.
"""

from __future__ import annotations

import math
import os.path
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import TypeVar

from ...call import formats as shapes
from ...call.call import Call
from ...call.canonical import Json, encode
from ...call.facts import INT64
from ...call.places import MAX_ELEMENTS
from ...errors import Denied
from ...grants.grant_file.writer import Form, GrantEntry, exact, one_of, write_grants
from ...grants.grants import Grant
from ...grants.vocabulary.must import must

__all__ = ["not_allowed", "suggest_grants"]

FEW = 8
"""Values that are listed as they are."""

MAX_LISTED = 32
"""Strings that are listed, where no bound fits them better."""

MAX_GRANTS = 16
"""Grants for one object."""

MAX_START = 64
"""Characters of a common beginning."""

MAX_SPELLED = 1024
"""Characters of a value that is written into a grant; a longer one would fill the token."""

_KINDS = {"tool": "invoke", "resource": "read", "prompt": "get", "method": "call"}

T = TypeVar("T")

Told = tuple[Form, str]
"""A form of a constraint, and a note for a person where it allows more than was seen."""


def suggest_grants(calls: Iterable[Call], *, more: bool = False) -> str:
    """Return the text of a grant file that allows these calls, and little more.

    ``more``: it is written behind a file that allows others.
    """
    seen: dict[tuple[str, str], list[dict[str, Json]]] = {}
    count = 0
    for call in calls:
        kind = call.resource.partition(":")[0]
        if _KINDS.get(kind) == call.operation:
            count += 1
            seen.setdefault((kind, call.tool), []).append(call.arguments)
    entries = [entry for (kind, name), one in sorted(seen.items()) for entry in _entries(kind, name, one)]
    head = [
        f"The needs of {count} {'more ' if more else ''}calls in one session. "
        "Read this before you issue it: the calls may be wrong."
    ]
    return write_grants(entries, head=head)


def not_allowed(calls: Iterable[Call], grants: Iterable[Grant]) -> list[Call]:
    """Return the calls that none of the grants allows."""
    known = list(grants)
    return [call for call in calls if not any(_allows(one, call) for one in known)]


def _allows(made: Grant, call: Call) -> bool:
    if (made.resource, made.operation) != (call.resource, call.operation):
        return False
    try:
        patterns = made.patterns(closed=True)
        return all(any(not branch.failing(call) for branch in pattern) for pattern in patterns)
    except Denied:  # what such a grant asks about cannot be said of this call
        return False


def _entries(kind: str, name: str, seen: list[dict[str, Json]]) -> list[GrantEntry]:
    """Return the grants of one object: one, or a few where one would allow much that was not seen."""
    calls = _distinct(seen)
    found = _split(kind, name, calls, FEW, exact=True) or _split(kind, name, calls, MAX_GRANTS, exact=False)
    return found or [_entry(kind, name, seen, wide=True)]


def _split(
    kind: str, name: str, seen: list[dict[str, Json]], max_items: int, *, exact: bool
) -> list[GrantEntry]:
    """Return the narrow grants of these calls; none if that takes more than ``max_items``.

    ``exact``: no grant allows a combination of values that was not seen, where values can be listed.
    """
    apart = _apart(seen, exact=exact)
    if apart is None:
        return [_entry(kind, name, seen, wide=False)]
    groups: dict[bytes, list[dict[str, Json]]] = {}
    for call in seen:
        groups.setdefault(encode(apart(call)), []).append(call)
    if len(groups) > max_items:
        return []
    found: list[GrantEntry] = []
    for group in groups.values():
        made = _split(kind, name, group, max_items - len(found), exact=exact)
        if not made:
            return []
        found += made
    return found if len(found) <= max_items else []


def _apart(seen: list[dict[str, Json]], *, exact: bool) -> Callable[[dict[str, Json]], Json] | None:
    """Return a function that groups calls which one grant would describe badly; None if one is enough."""
    names = _names(seen)
    for name in names:
        if _told([call[name] for call in seen if name in call], wide=False) is None:
            return partial(_member, name)
    if exact and _is_free(seen, _forms(seen, wide=False)[0]):
        groups = {name: len(_distinct([_member(name, call) for call in seen])) for name in names}
        few = [name for name in names if 1 < groups[name] <= FEW]
        if few:
            return partial(_member, min(few, key=groups.__getitem__))
    return None


def _is_free(seen: list[dict[str, Json]], forms: Mapping[str, Form]) -> bool:
    """Return whether a grant with these forms allows combinations of values that were not seen."""
    counts = {name: _count(form) for name, form in forms.items()}
    varying = [name for name, count in counts.items() if count != 1]
    if len(varying) > 1 and any(counts[name] is None for name in varying):
        return True
    return math.prod(count or 1 for count in counts.values()) > len(_distinct(seen)) and len(varying) > 1


def _count(form: Form) -> int | None:
    """Return how many values a form allows; None if they are not listed."""
    if not isinstance(form, dict) or form.keys() & {"exact", "json"}:
        return 1
    if "one_of" in form:
        return len(form["one_of"])
    if "optional" in form:
        inner = _count(form["optional"])
        return None if inner is None else inner + 1
    return None


def _member(name: str, call: dict[str, Json]) -> Json:
    return [call[name]] if name in call else []


def _entry(kind: str, name: str, seen: list[dict[str, Json]], *, wide: bool) -> GrantEntry:
    arguments, notes = _forms(seen, wide=wide)
    free = _is_free(seen, arguments)
    about = _wider(_distinct(seen), "every combination of what these arguments may be") if free else ""
    return GrantEntry(kind, name, arguments, about, notes)


def _forms(seen: list[dict[str, Json]], *, wide: bool) -> tuple[dict[str, Form], dict[str, str]]:
    """Return a form for each argument, and the notes to them."""
    arguments: dict[str, Form] = {}
    notes: dict[str, str] = {}
    for argument in _names(seen):
        told = _told([call[argument] for call in seen if argument in call], wide=wide)
        form, note = told or _ANYTHING
        if _sometimes(argument, seen):
            form = {"optional": form}
        arguments[argument] = form
        if note:
            notes[argument] = note
    return arguments, notes


_ANYTHING: Told = ({"anything": True}, "ANYTHING AT ALL: no bound describes the values; decide yourself")


def _told(values: Sequence[Json], *, wide: bool) -> Told | None:
    """Return a form for the values of an argument; None where it takes ``anything`` or separate grants."""
    values = _distinct(values)
    if len(values) == 1 and not _is_long(values[0]):
        return exact(values[0]), ""
    if all(type(value) is str for value in values):
        return _texts([str(value) for value in values])
    if not any(isinstance(value, (list, dict)) for value in values):
        return _scalars(values)
    if len(values) <= FEW and not wide:
        return None
    if all(isinstance(value, list) for value in values):
        return _lists([value for value in values if isinstance(value, list)])
    if all(isinstance(value, dict) for value in values):
        return _objects([value for value in values if isinstance(value, dict)])
    return None


def _scalars(values: Sequence[Json]) -> Told | None:
    short = not any(map(_is_long, values))
    if len(values) <= FEW and short:
        return one_of(values), ""
    numbers = [value for value in values if type(value) is int and -INT64 <= value < INT64]
    if len(numbers) == len(values):
        return {"between": [min(numbers), max(numbers)]}, _wider(values, "all between these two")
    ends = [value for value in values if type(value) is int or type(value) is float]
    if len(ends) == len(values):
        with suppress(ValueError):  # more digits than a token holds
            low, high = min(ends), max(ends)
            must.number(low, high)
            return {"number": {"low": low, "high": high}}, _wider(values, "all between these two")
    return (one_of(values), "") if len(values) <= MAX_LISTED and short else None


def _texts(values: list[str]) -> Told:
    short = not any(map(_is_long, values))
    if len(values) <= FEW and short:
        return one_of(values), ""
    if len(values) > 1 and all(shapes.path(value) is not None for value in values):
        folder = os.path.commonpath(values)
        if folder != "/":
            return {"under": folder}, _wider(values, "every path in this folder")
    if len(values) <= MAX_LISTED and short:
        return one_of(values), ""
    longest = max(map(len, values))
    start = os.path.commonprefix(values)[:MAX_START]  # noqa: RUF071 -- of any strings, character by character
    if start.isalnum():  # of a path, a URL or an address, a beginning says nothing
        return {"starts_with": start, "max_length": longest}, _wider(values, "every string that begins so")
    return {"max_length": longest}, _wider(values, "EVERY string of this length")


def _lists(values: list[list[Json]]) -> Told | None:
    """Return a form for lists of the elements that the lists held, in any order."""
    elements = _distinct([element for value in values for element in value])
    alike = len({type(element) for element in elements}) == 1
    if not alike or type(elements[0]) not in (str, int) or max(map(len, values)) > MAX_ELEMENTS:
        return None
    told = _told(elements, wide=True)
    if told is None:
        return None
    form, empty = told[0], [] in values
    if not isinstance(form, dict):
        form = {"one_of": [form]}
    if "one_of" in form:
        if any(type(element) is int and not -INT64 <= element < INT64 for element in elements):
            return None
        form = {"subset_of": {"values": form["one_of"], "empty": empty}}
    else:
        form = {"each": {"of": form, "empty": empty}}
    return {**form, "max_length": max(map(len, values))}, _wider(values, "every list of such elements")


def _objects(values: list[dict[str, Json]]) -> Told | None:
    """Return a form with one constraint for each field."""
    names = _names(values)
    if "" in names:
        return None
    fields: dict[str, Form] = {}
    for name in names:
        told = _told([value[name] for value in values if name in value], wide=True)
        if told is None:
            return None
        fields[name] = {"optional": told[0]} if _sometimes(name, values) else told[0]
    return {"fields": fields}, _wider(values, "every combination of these fields")


def _distinct(values: Sequence[T]) -> list[T]:
    """Return each value once, in order; ``true`` and 1 are two values."""
    return list({encode(value): value for value in values}.values())  # type: ignore[arg-type]


def _names(seen: Iterable[dict[str, Json]]) -> list[str]:
    return list(dict.fromkeys(name for one in seen for name in one))


def _sometimes(name: str, seen: Sequence[dict[str, Json]]) -> bool:
    return not all(name in one for one in seen)


def _is_long(value: Json) -> bool:
    return isinstance(value, str) and len(value) > MAX_SPELLED


def _wider(values: Sequence[object], words: str) -> str:
    return f"wider than what was seen ({len(values)}): {words}"
