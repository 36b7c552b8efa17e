"""Arguments that follow data: a value that an earlier call of this session returned, at a named place.

    grant("send_email", to=from_result("search_contacts", "$[*].email", where={"name": "Sarah Baker"}))

What a task cannot name before it reads, its capability names by where it comes from. A *selector* says which
values of a result are meant: a path, and conditions on the fields beside its last name. The path is JSONPath
(RFC 9535) of names, indices and ``[*]`` alone, and a result is bounded, so the work is: whoever narrows a
capability writes selectors, too.

Each result is judged by itself: ``largest`` is the largest of one answer. Where an agent chooses what it asks
for, it chooses what the answer holds, so grant the call that reads with exact arguments, too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from ..call.canonical import Json, MalformedError, encode, parse, to_json
from .clauses import Clause, Source
from .constraints import Constraint
from .describe import describe_clauses
from .grants import tool_name

if TYPE_CHECKING:
    from jsonpath_rfc9535 import JSONPathQuery

__all__ = ["MAX_PATH", "Selector", "from_result"]

MAX_PATH = 256
"""Code points of a path."""

MAX_TEXT = 1024
"""Code points of a selector, as a token says it."""

MAX_CONDITIONS = 8

ITSELF = "@"
"""In conditions, the value itself."""

_NAME = r"\.[A-Za-z_][A-Za-z0-9_]*|\['(?:[^'\\\x00-\x1f]|\\['\\])+'\]"
_STEP = re.compile(rf"(?P<name>{_NAME})|\[\*\]|\[(?:0|-?[1-9][0-9]{{0,5}})\]")
_PATH = re.compile(rf"\$(?:{_STEP.pattern.replace('?P<name>', '?:')})*")

Scalar: TypeAlias = "bool | int | float | str | None"


@dataclass(frozen=True, slots=True)
class Selector:
    """Which values of a result are meant.

    ``where``, ``starts``, ``largest`` and ``smallest`` are about the fields beside the last name of the
    path, or, as ``@``, about the value itself. ``unique``: none is meant if there are several.
    ``untrusted``: also of results that others could write.

    Raises:
        ValueError: it is not of this form.
    """

    path: str
    where: tuple[tuple[str, Scalar], ...] = ()
    starts: tuple[tuple[str, str], ...] = ()
    largest: str | None = None
    smallest: str | None = None
    unique: bool = False
    untrusted: bool = False

    def __post_init__(self) -> None:
        if type(self.path) is not str or len(self.path) > MAX_PATH or not _PATH.fullmatch(self.path):
            raise ValueError("a path is of names, [*] and indices, such as $[*].email")
        edges = [name for name in (self.largest, self.smallest) if name is not None]
        names = [name for name, _ in (*self.where, *self.starts)] + edges
        if len(names) > MAX_CONDITIONS or not all(type(name) is str and name for name in names):
            raise ValueError(f"a condition names a field, and there are at most {MAX_CONDITIONS}")
        if {*names} - {ITSELF} and not self._split()[1]:
            raise ValueError("conditions are about the fields beside the last name of the path: it has none")
        if any(isinstance(value, (list, dict)) for _, value in self.where):
            raise ValueError("where compares texts, numbers, truth values and None")
        if not all(type(prefix) is str and prefix for _, prefix in self.starts):
            raise ValueError("starts takes a text of at least one character for each field")
        if type(self.unique) is not bool or type(self.untrusted) is not bool:
            raise ValueError("unique and untrusted are True or False")

    @property
    def text(self) -> str:
        """The one text of this selector: canonical JSON, without what it does not say."""
        said: dict[str, Json] = {
            "path": self.path,
            "where": dict(self.where),
            "starts": dict(self.starts),
        }
        said |= {"largest": self.largest, "smallest": self.smallest}
        said |= {"unique": self.unique, "untrusted": self.untrusted}
        return encode({name: value for name, value in said.items() if value}).decode()

    @staticmethod
    @lru_cache(maxsize=256)
    def read(text: str) -> Selector:
        """The selector of this text.

        Raises:
            ValueError: it is none, or not in its one spelling.
        """
        said: Any = parse(text) if len(text) <= MAX_TEXT else None
        if not isinstance(said, dict) or not said.keys() <= Selector.__dataclass_fields__.keys():
            raise ValueError("a selector of another form")
        for name in ("where", "starts"):
            if not isinstance(said.setdefault(name, {}), dict):
                raise ValueError("conditions of another form")
            said[name] = tuple(said[name].items())
        found = Selector(said.pop("path", ""), **said)
        if found.text != text:
            raise ValueError("a selector in another spelling")
        return found

    def values(self, result: Json) -> list[Json]:
        """The values that are meant, of one result; none where a condition cannot be told."""
        above, below = self._split()
        query = _query(f"${below}")
        found: list[_Found] = [
            (holder.value, node.value)
            for holder in _query(above).finditer(result)
            for node in query.finditer(cast(Any, holder.value))
        ]
        found = [one for one in found if self._fits(one)]
        if self.largest is not None:
            found = _outermost(found, self.largest, max)
        if self.smallest is not None:
            found = _outermost(found, self.smallest, min)
        values = [value for _, value in found]
        return [] if self.unique and len({encode(value) for value in values}) != 1 else values

    def _split(self) -> tuple[str, str]:
        """The path before its last name, and the rest from there; without a name all of it is before."""
        names = [step.start() for step in _STEP.finditer(self.path, 1) if step["name"]]
        at = names[-1] if names else len(self.path)
        return self.path[:at], self.path[at:]

    def _fits(self, found: _Found) -> bool:
        exact = [(_field(found, name), value) for name, value in self.where]
        texts = [(_field(found, name), prefix) for name, prefix in self.starts]
        # no value is equal to one of another type: 1 is no "1", and True is no 1
        return all(type(field) is type(value) and field == value for field, value in exact) and all(
            isinstance(field, str) and field.startswith(prefix) for field, prefix in texts
        )


_Found: TypeAlias = "tuple[Any, Any]"
"""A value, after what the last name of the path is a name in."""

_MISSING = object()


def _field(found: _Found, name: str) -> Any:
    """A field beside the value, or the value itself."""
    holder, value = found
    if name == ITSELF:
        return value
    return holder.get(name, _MISSING) if isinstance(holder, dict) else _MISSING


def _outermost(found: list[_Found], name: str, which: Callable[[Iterable[Any]], Any]) -> list[_Found]:
    """Those whose field is the largest, or smallest; none if they are not all numbers, or all texts."""
    fields = [_field(one, name) for one in found]
    numbers = all(type(value) in (int, float) for value in fields)
    if not fields or not (numbers or all(type(value) is str for value in fields)):
        return []
    most = which(fields)
    return [one for one, value in zip(found, fields, strict=True) if value == most]


@lru_cache(maxsize=256)
def _query(path: str) -> JSONPathQuery:
    from jsonpath_rfc9535 import compile  # only who follows data needs it

    return compile(path)


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
    """A value that an earlier call of this tool, permitted and completed in this session, returned there.

    It joins others with ``&`` and stands in `must.each` and `must.fields`. A guard that is told of no session
    refuses. In conditions ``@`` is the value itself: ``starts_with={"@": "External"}``.

    Args:
        tool: its name, or the function.
        path: where in the result (RFC 9535), of names, indices and ``[*]``: ``$[*].email``.
        where: fields beside the last name of the path, and what they are exactly.
        starts_with: fields beside it, and how their texts begin.
        largest: only where this field, a number or a text, is the largest of all that are left.
        smallest: or the smallest.
        unique: only if there is one such value.
        untrusted: also from a tool whose results others can write (``guard.tool(untrusted=True)``).

    Raises:
        ValueError: the path or a condition is of another form.
    """
    try:
        exact = tuple((name, to_json(value)) for name, value in (where or {}).items())
    except MalformedError as error:
        raise ValueError(f"where cannot hold this value: {error}") from error
    selector = Selector(
        path,
        exact,  # type: ignore[arg-type]
        tuple((starts_with or {}).items()),
        largest,
        smallest,
        unique,
        untrusted,
    )
    source = Source(tool_name(tool), selector.text)
    if len(source.selector) > MAX_TEXT:
        raise ValueError(f"a selector is at most {MAX_TEXT} characters long")
    words = describe_clauses([Clause("result_of", "it", source)])
    return Constraint(words, lambda at: ((Clause("result_of", at.key, source),),))
