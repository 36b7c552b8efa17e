"""Require that an argument is a value which an earlier call of this session returned, at a named place.

    grant("send_email", to=from_result("search_contacts", "$[*].email", where={"name": "Sarah Baker"}))

A task often cannot name a value before it has read something; its capability then names the value's origin.
A *selector* says which values of a result are meant: by a path, and by conditions on the fields beside the
last name of the path. The path is JSONPath (RFC 9535) with names, indices and ``[*]`` only. Any holder who
narrows a capability may write a selector; it looks at each value of a result at most once.

Each result is searched by itself: ``largest`` is the largest of one result. An agent that chooses what it
searches for also chooses what the result holds, so grant the reading call with exact arguments as well.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias, cast

from ..call.canonical import Json, MalformedError, encode, parse, to_json
from .clauses import Clause, Source
from .describe import describe_clauses
from .grants import tool_name
from .vocabulary.constraints import Constraint

__all__ = ["MAX_PATH", "Selector", "from_result"]

MAX_PATH = 256
"""Characters of a path."""

MAX_TEXT = 1024
"""Characters of a selector, as the token writes it."""

MAX_CONDITIONS = 8

ITSELF = "@"
"""The name that conditions use for the value itself."""

_NAME = r"\.[A-Za-z_][A-Za-z0-9_]*|\['(?:[^'\\\x00-\x1f]|\\['\\])+'\]"
_STEP = rf"(?P<name>{_NAME})|\[\*\]|\[(?:0|-?[1-9][0-9]{{0,5}})\]"
_PATH = rf"\$(?:{_STEP.replace('?P<name>', '?:')})*"  # `re` compiles it at the first use

Scalar: TypeAlias = "bool | int | float | str | None"


@dataclass(frozen=True, slots=True)
class Selector:
    """The values of a result that are meant.

    ``where``, ``starts``, ``largest`` and ``smallest`` are about the fields beside the last name of the
    path, or, as ``@``, about the value itself. ``unique``: no value is meant if there are several.
    ``untrusted``: values of results that others could write are meant as well.

    Raises:
        ValueError: the path or a condition has another form.
    """

    path: str
    where: tuple[tuple[str, Scalar], ...] = ()
    starts: tuple[tuple[str, str], ...] = ()
    largest: str | None = None
    smallest: str | None = None
    unique: bool = False
    untrusted: bool = False

    def __post_init__(self) -> None:
        if type(self.path) is not str or len(self.path) > MAX_PATH or not re.fullmatch(_PATH, self.path):
            raise ValueError("a path consists of names, [*] and indices, such as $[*].email")
        edges = [name for name in (self.largest, self.smallest) if name is not None]
        names = [name for name, _ in (*self.where, *self.starts)] + edges
        if len(names) > MAX_CONDITIONS or not all(type(name) is str and name for name in names):
            raise ValueError(f"a condition names a field, and there are at most {MAX_CONDITIONS} conditions")
        if {*names} - {ITSELF} and not self._split()[1]:
            raise ValueError("conditions are about fields beside the path's last name, and it has no name")
        if any(isinstance(value, (list, dict)) for _, value in self.where):
            raise ValueError("where compares strings, numbers, booleans and None")
        if not all(type(prefix) is str and prefix for _, prefix in self.starts):
            raise ValueError("a prefix must be a string of at least one character")
        if type(self.unique) is not bool or type(self.untrusted) is not bool:
            raise ValueError("unique and untrusted must be True or False")

    @property
    def text(self) -> str:
        """Return the one text of this selector: canonical JSON, without the fields that are not set."""
        fields: dict[str, Any] = {name: getattr(self, name) for name in self.__dataclass_fields__}
        fields |= {"where": dict(self.where), "starts": dict(self.starts)}
        return encode({name: value for name, value in fields.items() if value}).decode()

    @staticmethod
    @lru_cache(maxsize=256)
    def read(text: str) -> Selector:
        """Read the text of a selector.

        Raises:
            ValueError: the text is not a selector, or not in its one spelling.
        """
        fields: Any = parse(text) if len(text) <= MAX_TEXT else None
        if not isinstance(fields, dict) or not fields.keys() <= Selector.__dataclass_fields__.keys():
            raise ValueError("a selector of another form")
        for name in ("where", "starts"):
            if not isinstance(fields.setdefault(name, {}), dict):
                raise ValueError("conditions of another form")
            fields[name] = tuple(fields[name].items())
        selector = Selector(fields.pop("path", ""), **fields)
        if selector.text != text:
            raise ValueError("a selector in another spelling")
        return selector

    def values(self, result: Json) -> list[Json]:
        """Return the values of one result that are meant; none if a condition cannot be decided."""
        above, below = map(_steps, self._split())
        matches: list[_Match] = [
            (holder, value)
            for holder in _follow([result], above)
            if self._fits((holder, None), itself=False)
            for value in _follow([holder], below)
            if self._fits((holder, value), itself=True)
        ]
        if self.largest is not None:
            matches = _outermost(matches, self.largest, max)
        if self.smallest is not None:
            matches = _outermost(matches, self.smallest, min)
        values = [value for _, value in matches]
        return [] if self.unique and len({encode(value) for value in values}) != 1 else values

    def _split(self) -> tuple[str, str]:
        """Return the path before its last name, and the rest; without a name, the whole path and nothing."""
        names = [step.start() for step in re.compile(_STEP).finditer(self.path, 1) if step["name"]]
        at = names[-1] if names else len(self.path)
        return self.path[:at], self.path[at:]

    def _fits(self, match: _Match, *, itself: bool) -> bool:
        """Return whether the conditions on the value itself are met, or those on the fields beside it."""
        exact = [(_field(match, name), value) for name, value in self.where if (name == ITSELF) == itself]
        prefixed = [(_field(match, name), text) for name, text in self.starts if (name == ITSELF) == itself]
        # values of different types are never equal: 1 is not "1", and True is not 1
        return all(type(field) is type(value) and field == value for field, value in exact) and all(
            isinstance(field, str) and field.startswith(prefix) for field, prefix in prefixed
        )


_Match: TypeAlias = "tuple[Any, Any]"
"""The object that has the last name of the path, and the value."""

_MISSING = object()


def _field(match: _Match, name: str) -> Any:
    """Return a field beside the value, or the value itself for ``@``."""
    holder, value = match
    if name == ITSELF:
        return value
    return holder.get(name, _MISSING) if isinstance(holder, dict) else _MISSING


def _outermost(matches: list[_Match], name: str, edge: Callable[[Iterable[Any]], Any]) -> list[_Match]:
    """Return the matches with the largest or smallest field; none unless all are numbers, or all strings."""
    fields = [_field(match, name) for match in matches]
    numbers = all(type(value) in (int, float) for value in fields)
    if not fields or not (numbers or all(type(value) is str for value in fields)):
        return []
    outermost = edge(fields)
    return [match for match, value in zip(matches, fields, strict=True) if value == outermost]


@lru_cache(maxsize=256)
def _steps(path: str) -> tuple[str | int | None, ...]:
    """Return the steps of a path: a name, an index, or None for ``[*]``."""
    return tuple([_step(step[0]) for step in re.finditer(_STEP, path)])


def _step(text: str) -> str | int | None:
    if text[0] == ".":
        return text[1:]
    if text[1] == "'":
        return re.sub(r"\\(.)", r"\1", text[2:-2])
    return None if text == "[*]" else int(text[1:-1])


def _follow(values: list[Json], steps: Iterable[str | int | None]) -> list[Json]:
    for step in steps:
        if step is None:
            inner = [v.values() if isinstance(v, dict) else v for v in values if isinstance(v, (dict, list))]
            values = [*itertools.chain(*inner)]
        elif isinstance(step, str):
            values = [v[step] for v in values if isinstance(v, dict) and step in v]
        else:
            values = [v[step] for v in values if isinstance(v, list) and -len(v) <= step < len(v)]
    return values


def from_result(
    tool: str | Callable[..., Any],
    path: str,
    *,
    where: Mapping[str, object] | None = None,
    starts_with: Mapping[str, str] | None = None,
    largest: str | None = None,
    smallest: str | None = None,
    unique: bool = False,
    untrusted: bool = False,
) -> Constraint:
    """Require a value that an earlier call of this tool returned at this place of its result.

    The earlier call was permitted and completed in the same session. The constraint joins others with ``&``
    and may stand in `must.each` and `must.fields`. Without a session, the guard refuses the call. In
    conditions, ``@`` is the value itself: ``starts_with={"@": "External"}``.

    Args:
        tool: the tool's name, or its function.
        path: the place in the result (RFC 9535), of names, indices and ``[*]``: ``$[*].email``,
            ``$["e-mail"]``.
        where: fields beside the last name of the path, and their exact values.
        starts_with: fields beside the last name of the path, and the beginnings of their strings.
        largest: of the values that are left, only the one with the largest number or string in this field.
        smallest: the same with the smallest.
        unique: only if exactly one value is left.
        untrusted: accept values of a tool whose results others can write (``guard.tool(untrusted=True)``).

    Raises:
        ValueError: the path or a condition has another form.
    """
    try:
        exact = tuple((name, to_json(value)) for name, value in (where or {}).items())
    except MalformedError as error:
        raise ValueError(f"where cannot hold this value: {error}") from error
    prefixes = tuple((starts_with or {}).items())
    selector = Selector(_usual_path(path), cast(Any, exact), prefixes, largest, smallest, unique, untrusted)
    source = Source(tool_name(tool), selector.text)
    if len(source.selector) > MAX_TEXT:
        raise ValueError(f"a selector has at most {MAX_TEXT} characters")
    words = describe_clauses([Clause("result_of", "it", source)])
    return Constraint(words, lambda at: (((Clause("result_of", at.key, source),),),))


_SPELLINGS = re.compile(
    r"""\['(?:[^'\\]|\\.)*'\]"""  # as it is
    r"""|\["(?P<name>(?:[^"\\\x00-\x1f]|\\["\\])+)"\]"""
    r"""|\.(?P<short>(?=[0-9A-Z_a-z]*[\u0080-\U0010ffff])[A-Z_a-z\u0080-\U0010ffff][0-9A-Z_a-z\u0080-\U0010ffff]*)"""
)


def _usual_path(path: str) -> str:
    """Return a path with names in single quotes where they are in double quotes, or not ASCII.

    Anything else is left as it is: whoever reads the path refuses it if it is not one.

    Source: RFC 9535, 2.3.1.
    """
    return _SPELLINGS.sub(_quoted, path)


def _quoted(step: re.Match[str]) -> str:
    name = step["short"]
    if step["name"] is not None:
        name = step["name"].replace(r"\"", '"').replace("'", r"\'")
    return step[0] if name is None else f"['{name}']"
