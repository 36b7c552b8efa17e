"""Find the first of many values that a clause about all of them refuses, so that a refusal can name it."""

from __future__ import annotations

from collections.abc import Iterator

from ..call.call import Call
from ..call.places import MAX_ELEMENTS, MISSING, SPREADS, escape, find, unescape
from ..errors import Denied
from ..grants.clauses import Clause, Results
from ..grants.vocabulary.elements import of_one

__all__ = ["first_at_fault"]

_LIST, _OBJECT = f"a list of at most {MAX_ELEMENTS} elements", f"an object of at most {MAX_ELEMENTS} fields"


def first_at_fault(
    clause: Clause, call: Call, results: Results | None, looks: Iterator[int]
) -> tuple[str, Clause | str] | None:
    """Return the key of the first value at fault, with what it must be: a clause about it, or words.

    Return None if the clause is about a value as a whole, or no single value is found at fault; each value
    that is looked at is one of ``looks``.
    """
    key = clause.key
    many = "/~" in key and any(step in SPREADS for step in key.split("/"))
    if not many:
        if key[-1:] == ":" or clause.fact == "arg_fields" or of_one(clause, key) is None:
            return None
        key = f"{key if key[:1] == '/' else '/' + escape(key)}/~*"
    for _, (place, container) in zip(looks, _places(key, call), strict=False):
        if container:
            return (place, container) if many else None
        single = clause if clause.fact == "arg_count" else of_one(clause, place)
        if single is None:
            return None
        try:
            if not (call.has(place) if clause.fact == "arg_count" else single.holds(call, results)):
                return place, single
        except Denied:  # too much work, for what is only said
            return None
    return None


def _places(key: str, call: Call) -> Iterator[tuple[str, str]]:
    """Return the keys of the single values at a key of many; of a place that has none, what it must be."""
    steps = key[1:].split("/")
    at = next((index for index, step in enumerate(steps) if step in SPREADS or step.endswith("~?")), None)
    if at is None:
        yield key, ""
        return
    step, rest = steps[at], "".join(f"/{step}" for step in steps[at + 1 :])
    head = "/" + "/".join(steps[:at])
    value = call.values.get(unescape(steps[0]), MISSING) if at == 1 else find(call.values, head)[0]
    if step not in SPREADS:
        name = step.removesuffix("~?")
        if type(value) is not dict or unescape(name) in value:
            yield from _places(f"{head}/{name}{rest}", call)
        return
    if type(value) is not (list if step == "~*" else dict) or len(value) > MAX_ELEMENTS:
        yield (head if at > 1 else unescape(steps[0])), _LIST if step == "~*" else _OBJECT
    elif step != "~k":  # the name of a field is no place
        for name in map(str, range(len(value))) if step == "~*" else map(escape, value):
            yield from _places(f"{head}/{name}{rest}", call)
