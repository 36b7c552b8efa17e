"""Read a URI by a resource template in the one way that there is, or not at all.

    read_uri("crm://customers/{id}", "crm://customers/17")     # {"id": "17"}

A template is one of RFC 6570, level 1, that names every variable once and begins with a literal; what stands
between two variables holds a character that no value can have. A value has 1 to 256 of the characters that a
URI never encodes (letters, digits, ``-._~``), and is neither ``.`` nor ``..``. So no URI can be read in two
ways, nothing is decoded, and expanding the template again gives the same URI.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

from .call import Call

__all__ = ["as_granted", "read_uri", "variables"]

_VARIABLE = re.compile(r"\{([A-Za-z0-9_]+)\}")
_VALUE = r"[A-Za-z0-9._~-]"


def variables(template: str) -> tuple[str, ...] | None:
    """Return the variables of a template, at least one; None if the string is not such a template."""
    read = _read(template)
    return None if read is None else read[0]


def read_uri(template: str, uri: str) -> dict[str, str] | None:
    """Return the value of each variable in a URI; None if the URI does not come from the template."""
    names, pattern = _read(template) or ((), None)
    found = pattern.fullmatch(uri) if pattern else None
    if found is None or not {".", ".."}.isdisjoint(found.groups()):
        return None
    return dict(zip(names, found.groups(), strict=True))


def as_granted(call: Call, rights: Iterable[tuple[str, str, str]]) -> Call:
    """Return the call as a capability with these rights (subject, object, operation) names it.

    The reading of a URI that only a template grants becomes a call of the template, with the values in the
    URI as arguments. If two templates fit, none does. Every other call is returned as it is.
    """
    if call.operation != "read":
        return call
    objects = [granted for _, granted, _ in rights if granted.startswith("resource:")]
    read = [(one.partition(":")[2], read_uri(one, call.resource)) for one in objects]
    fitting = [(template, values) for template, values in read if values is not None]
    if call.resource in objects or len(fitting) != 1:
        return call
    template, values = fitting[0]
    return Call.of(template, values, kind="resource", operation="read")


@lru_cache(maxsize=256)
def _read(template: str) -> tuple[tuple[str, ...], re.Pattern[str]] | None:
    pieces = _VARIABLE.split(template)
    literals, names = pieces[::2], tuple(pieces[1::2])
    between = [one for one in literals[1:-1] if re.fullmatch(f"{_VALUE}*", one)]
    if not names or not literals[0] or between or len(set(names)) < len(names):
        return None
    if any("{" in literal or "}" in literal for literal in literals):
        return None
    return names, re.compile(f"({_VALUE}{{1,256}})".join(map(re.escape, literals)))
