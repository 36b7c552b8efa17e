"""Remember what one agent has seen: results of its calls, and the labels of what they exposed it to.

A toolbox has a session. A guard that is called over a network gets one for each agent that it talks to:

    session = Session()
    await guard.call(token, "search_contacts", {"name": "Sarah"}, session=session)
    await guard.call(token, "send_email", {...}, session=session)     # to=from_result("search_contacts", ...)

A result is stored as JSON, the form in which a model sees it, when the tool returns: later changes to the
object do not count. A string that is JSON text counts as that text, too. Memory is bounded: the oldest
results are dropped, and a result over the bound is not stored. A call that needs a value of a result that is
not stored is refused. When the same call is made again, its result replaces the earlier result.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from ..call.call import Call
from ..call.canonical import MAX_VALUES, Json, MalformedError, encode, parse, to_json
from ..errors import Denied, Reason
from ..grants.clauses import Pattern, Results, Source, sources
from ..grants.grants import tool_name
from ..grants.labels import normalize_labels
from ..grants.provenance import Selector
from ..tools.results import ResultTooLargeError, result_json
from .settings import log

if TYPE_CHECKING:
    from ..keys.keys import KeyPair
    from ..tokens.hessra.context import Context

__all__ = ["MAX_KEPT", "MAX_RESULT", "MAX_RESULTS", "MAX_WORK", "Session"]

MAX_RESULTS = 64
"""Results that a session stores."""

MAX_RESULT = 256 << 10
"""Bytes of one result with its arguments. A larger one is not stored, nor one of more than `MAX_VALUES`."""

MAX_KEPT = 4 << 20
"""Bytes of all results together."""

MAX_WORK = 1 << 15
"""Values that one decision may search; what it selects is cached, so the next decision can go on."""

_MOST_SELECTED = 1 << 15
"""Selected values that are cached."""


@dataclass(slots=True, eq=False)
class _Result:
    tool: str
    text: bytes
    untrusted: bool
    size: int
    values: int
    sources: frozenset[Source] | None = None  # the only ones that may be looked for in it; None: any
    selected: dict[Source, frozenset[bytes]] = field(default_factory=dict)


class Session:
    """The data that one agent has seen.

    Create a session for each agent, and pass it to `Guard.toolbox` or `Guard.call`. The memory ends with the
    object: an agent that gets a new session has seen nothing.

    Args:
        labels: labels of what the agent has seen before.
    """

    def __init__(self, labels: Iterable[str] = ()) -> None:
        self._labels = set(normalize_labels(labels, "labels"))
        self._results: dict[tuple[str, bytes], _Result] = {}
        self._bytes = 0
        self._selected_count = 0
        self._lock = threading.Lock()  # a plain function may make calls by an event loop of its own

    def __repr__(self) -> str:
        return f"Session({len(self._results)} results, labels={sorted(self._labels)})"

    @property
    def labels(self) -> frozenset[str]:
        """The labels of what this agent has seen, and every agent that shares labels with it (`fork`)."""
        return frozenset(self._labels)

    def expose(self, labels: Iterable[str]) -> None:
        """Remember that the agent has seen these labels; they cannot be removed.

        Raises:
            TypeError, ValueError: the argument is not a collection of labels.
        """
        self._labels.update(normalize_labels(labels, "labels"))

    def record_result(
        self,
        tool: str | Callable[..., Any],
        result: object,
        *,
        call: Call | None = None,
        untrusted: bool = False,
    ) -> None:
        """Remember what a call returned. A guard does so for its own tools; this is for `Guard.permit`.

        Args:
            tool: the tool's name, or the function.
            result: the value; a large one is not stored.
            call: the call that returned it; a later result of an equal call replaces this result.
            untrusted: whether strangers can write the result, so that only
                ``from_result(..., untrusted=True)`` reads it.
        """
        name = tool if isinstance(tool, str) else tool_name(tool)
        place = (name, os.urandom(16) if call is None else call.canonical_json)
        stored: _Result | None = None
        try:
            written, values = result_json(result, max_bytes=MAX_RESULT, max_values=MAX_VALUES)
        except ResultTooLargeError:
            log().info("a result of %r is too large to be stored, so no argument can follow it", name)
        else:
            text = written.encode()
            size = len(text) + len(place[1])
            if isinstance(result, str) and result.lstrip()[:1] in ("[", "{"):  # JSON of at most so many
                values += min(MAX_VALUES, sum(map(text.count, (b",", b"[", b"{"))))
            if size <= MAX_RESULT:
                stored = _Result(name, text, untrusted, size, values)
        with self._lock:
            if place in self._results:
                self._forget(place)
            if stored is None:
                return
            self._results[place] = stored
            self._bytes += stored.size
            while len(self._results) > MAX_RESULTS or self._bytes > MAX_KEPT:
                self._forget(next(iter(self._results)))

    def result_lookup(self) -> Results:
        """Return a function for one decision: whether a stored result holds a value at a given source.

        The function raises `Denied` (``too_large``) if it would have to search more than `MAX_WORK` values.
        """
        left = [MAX_WORK]
        known: dict[Source, tuple[set[bytes], Iterator[frozenset[bytes]]]] = {}

        def holds(value: bytes, source: Source) -> bool:
            if not value:
                return bool(self._results_of(source))
            if source not in known:
                # the newest first, each once, and no further than the decision needs
                results = self._results_of(source)
                known[source] = set[bytes](), (self._selected(one, source, left) for one in results)
            found, rest = known[source]
            while value not in found:
                more = next(rest, None)
                if more is None:
                    return False
                found |= more
            return True

        return holds

    def _results_of(self, source: Source) -> list[_Result]:
        trusting = Selector.read(source.selector).untrusted
        with self._lock:
            results = [*reversed(self._results.values())]
        return [
            result
            for result in results
            if result.tool == source.tool
            and (trusting or not result.untrusted)
            and (result.sources is None or source in result.sources)
        ]

    def fork(
        self, share_results: Iterable[str | Callable[..., Any]] = (), *, patterns: Iterable[Pattern] = ()
    ) -> Session:
        """Return a session for an agent that this agent talks to: with results of its own, and shared labels.

        Each may tell the other what it sees, so a label that one of them sees is at once a label of both.

        Args:
            share_results: tools whose results so far the other agent's arguments may follow as well.
            patterns: what the other agent's capability says. It follows shared results only by the sources
                that these name, so that it learns nothing else of them, whatever it narrows itself to.
        """
        shared = {tool_name(tool) for tool in share_results}
        asked = frozenset(sources(c for pattern in patterns for branch in pattern for c in branch.clauses))
        with self._lock:
            results = [*self._results.items()]
        child = Session()
        child._labels = self._labels
        child._results = {
            place: replace(
                result, selected={}, sources=asked if result.sources is None else asked & result.sources
            )
            for place, result in results
            if result.tool in shared
        }
        child._bytes = sum(result.size for result in child._results.values())
        return child

    def context(
        self, subject: str, *, key: KeyPair, key_id: int | None, ttl: timedelta, now: int | None = None
    ) -> Context:
        """Return the labels as a signed context, from which another process can `resume`, without results.

        The context's last id, ``context.ids[-1]``, is its head: store it where the agent cannot write.

        Args:
            subject: the agent whose session it is.
            key: a root key that signs contexts and nothing else.
            key_id: that key's id in `Trust`.
            ttl: time from now after which the context is refused.
            now: Unix seconds; the clock's if omitted.

        Raises:
            ValueError: there is no subject, or there are more labels than a token may have.
        """
        from ..tokens.hessra.context import issue_context  # needed only here

        return issue_context(subject, key=key, key_id=key_id, ttl=ttl, labels=self.labels, now=now)

    @classmethod
    def resume(cls, context: Context, subject: str, *, head: str, now: int) -> Session:
        """Return a session that has seen what the context says.

        Args:
            context: read by `Context.parse`.
            subject: the agent whose session it must be.
            head: the last id of the session's newest context; an older context may have fewer labels.
            now: Unix seconds.

        Raises:
            Denied: ``expired``, ``not_holder``, or ``replayed`` if it is not the newest context.
        """
        context.verify(subject, (), now)
        if context.ids[-1] != head:
            raise Denied(Reason.REPLAYED, "this is not the newest context of the session")
        return cls(context.labels)

    def _forget(self, place: tuple[str, bytes]) -> None:
        dropped = self._results.pop(place, None)
        if dropped is not None:
            self._bytes -= dropped.size
            if dropped.selected:
                self._selected_count -= sum(map(len, dropped.selected.values())) + len(dropped.selected)

    def _selected(self, result: _Result, source: Source, left: list[int]) -> frozenset[bytes]:
        values = result.selected.get(source)
        if values is None:
            left[0] -= result.values
            if left[0] < 0:
                raise Denied(Reason.TOO_LARGE, "the call depends on too much of what the session has seen")
            values = _values(result.text, source.selector)
            with self._lock:
                self._selected_count += len(values) + 1
                if self._selected_count > _MOST_SELECTED:
                    for stored in self._results.values():
                        stored.selected.clear()
                    self._selected_count = len(values) + 1
                result.selected[source] = values
        return values


def _values(text: bytes, selector: str) -> frozenset[bytes]:
    """Return the selected values, each as the sha256 of its canonical JSON."""
    result = json.loads(text, parse_float=lambda number: to_json(float(number)))  # written by `result_json`
    select = Selector.read(selector).values
    values: list[Json] = select(result)
    if isinstance(result, str) and result.lstrip()[:1] in ("[", "{"):
        with suppress(MalformedError):
            values += select(parse(result))
    return frozenset([hashlib.sha256(encode(value)).digest() for value in values])
