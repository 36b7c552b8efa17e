"""Write the grant files that `reader` reads.

A *form* is a constraint in the data of a grant file: ``7``, ``{"one_of": ["a", "b"]}``,
``{"optional": {"under": "/srv"}}``. Names, values and notes may come from a server or a model, so every
string is written on one line, with unprintable characters escaped; a note stays inside its comment.

    entry = GrantEntry("tool", "read_file", {"path": {"under": "/srv"}}, notes={"path": "wider than seen"})
    read_grants(write_grants([entry]))
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from ...call.canonical import Json, encode

__all__ = ["Form", "GrantEntry", "comment", "exact", "one_of", "write_grants"]

Form: TypeAlias = "bool | int | float | str | dict[str, Any]"

MAX_NOTE = 500
"""Characters of a note."""


@dataclass(frozen=True, slots=True)
class GrantEntry:
    """A ``[[grant]]``: the object that is granted, a form for each argument, and notes for a person.

    The ``omitted`` arguments are written in comments only, so they are not granted; so is the whole grant if
    there is a reason for which it is ``withheld``.
    """

    kind: str
    name: str
    arguments: Mapping[str, Form] = field(default_factory=dict)
    about: str = ""
    notes: Mapping[str, str] = field(default_factory=dict)
    omitted: Mapping[str, Form] = field(default_factory=dict)
    withheld: str = ""


def write_grants(entries: Iterable[GrantEntry], *, head: Iterable[str] = ()) -> str:
    """Return the text of a grant file, with these comments at the top."""
    return "\n".join(["".join(f"{comment(line)}\n" for line in head), *map(_entry, entries)])


def comment(text: str) -> str:
    """Return a text as a comment of one line; nothing in the text can end the comment."""
    cut = text if len(text) <= MAX_NOTE else f"{text[:MAX_NOTE]} (and {len(text) - MAX_NOTE} more characters)"
    return f"# {_escaped(cut)}".rstrip()


def exact(value: Json) -> Form:
    """Return the form that requires exactly this value."""
    if isinstance(value, (list, dict)) and not _has_null(value):
        return {"exact": value}
    if value is None or isinstance(value, (list, dict)):
        return {"json": encode(value).decode()}
    return value


def one_of(values: Iterable[Json]) -> Form:
    """Return the form that requires one of these strings, numbers, booleans and nulls."""
    return {"one_of": [exact(value) for value in values]}


def _has_null(value: Json) -> bool:
    if isinstance(value, (list, dict)):
        return any(map(_has_null, value.values() if isinstance(value, dict) else value))
    return value is None


def _entry(entry: GrantEntry) -> str:
    lines = ["[[grant]]", *([comment(entry.about)] if entry.about else [])]
    lines.append(f"{entry.kind} = {_toml(entry.name)}")
    if entry.arguments:
        lines.append("[grant.arguments]")
    for name, form in [*entry.arguments.items(), *entry.omitted.items()]:
        if name in entry.notes:
            lines.append(comment(entry.notes[name]))
        lines.append(f"{'# ' if name in entry.omitted else ''}{_key(name)} = {_toml(form)}")
    if entry.withheld:
        withheld = f"Not granted, {entry.withheld}: remove the marks to grant it"
        lines = [comment(withheld), *(line if line.startswith("#") else f"# {line}" for line in lines)]
    return "\n".join(lines) + "\n"


def _toml(value: Any) -> str:
    """Return a value as TOML on one line."""
    if isinstance(value, str):
        return '"' + _escaped(value.replace("\\", "\\\\").replace('"', '\\"'), tab="\\t") + '"'
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, Mapping):
        inner = ", ".join(f"{_key(name)} = {_toml(one)}" for name, one in value.items())
        return f"{{ {inner} }}" if inner else "{}"
    return repr(value)  # an int or a finite float, which TOML writes as Python does


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _toml(name)


def _escaped(text: str, tab: str = " ") -> str:
    """Return the text with every unprintable character as an escape of TOML."""
    return "".join(
        c if c.isprintable() else {"\n": "\\n", "\t": tab}.get(c) or f"\\U{ord(c):08X}" for c in text
    )
