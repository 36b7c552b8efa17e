"""Remember what one agent has seen: results of its calls, and the labels of what they exposed it to.

A toolbox has a session. A guard that is called over a network gets one for each agent that it talks to:

    session = Session()
    await guard.call(token, "search_contacts", {"name": "Sarah"}, session=session)
    await guard.call(token, "send_email", {...}, session=session)     # to=from_result("search_contacts", ...)

A result is stored as JSON, the form in which a model sees it, when the tool returns: later changes to the
object do not count. Memory is bounded: the oldest results are dropped, and a result over the bound is not
stored. A call that needs a value of a result that is not stored is refused. When the same call is made
again, its result replaces the earlier result.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from pydantic_core import to_json

from ..call.call import Call
from ..call.canonical import MalformedError, encode, parse
from ..errors import Denied, Reason
from ..grants.clauses import Results, Source
from ..grants.grants import tool_name
from ..grants.labels import normalize_labels
from ..grants.provenance import Selector
from .settings import log

if TYPE_CHECKING:
    from ..keys.keys import KeyPair
    from ..tokens.hessra.context import Context

__all__ = ["MAX_KEPT", "MAX_RESULT", "MAX_RESULTS", "MAX_WORK", "Session"]

MAX_RESULTS = 64
"""Results that a session stores."""

MAX_RESULT = 256 << 10
"""Bytes of one result with its arguments; a larger result is not stored."""

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
            result: a value with a JSON form; any other value is not stored.
            call: the call that returned it; a later result of an equal call replaces this result.
            untrusted: whether strangers can write the result, so that only
                ``from_result(..., untrusted=True)`` reads it.
        """
        name = tool if isinstance(tool, str) else tool_name(tool)
        place = (name, os.urandom(16) if call is None else call.canonical_json)
        if place in self._results:
            self._forget(place)
        large = isinstance(result, (str, bytes)) and len(result) > MAX_RESULT
        try:
            text = b"" if large else to_json(result, bytes_mode="base64")
        except Exception:  # the value's own serializer may raise anything
            log().info("a result of %r has no JSON form, so no argument can follow it", name)
            return
        size = len(text) + len(place[1])
        if not text or size > MAX_RESULT:
            return
        self._results[place] = _Result(name, text, untrusted, size)
        self._bytes += size
        while len(self._results) > MAX_RESULTS or self._bytes > MAX_KEPT:
            self._forget(next(iter(self._results)))

    def result_lookup(self) -> Results:
        """Return a function for one decision: whether a stored result holds a value at a given source.

        The function raises `Denied` (``too_large``) if it would have to search more than `MAX_WORK` values.
        """
        left = [MAX_WORK]
        answers: dict[tuple[bytes, Source], bool] = {}

        def holds(value: bytes, source: Source) -> bool:
            question = (value, source)
            if question not in answers:
                trusting = Selector.read(source.selector).untrusted
                answers[question] = any(
                    value in self._selected(result, source, left)
                    for result in reversed(self._results.values())
                    if result.tool == source.tool and (trusting or not result.untrusted)
                )
            return answers[question]

        return holds

    def fork(self, share_results: Iterable[str | Callable[..., Any]] = ()) -> Session:
        """Return a session for an agent that this agent talks to: with results of its own, and shared labels.

        Each may tell the other what it sees, so a label that one of them sees is at once a label of both.

        Args:
            share_results: tools whose results so far the other agent may use as well.
        """
        shared = {tool_name(tool) for tool in share_results}
        child = Session()
        child._labels = self._labels
        child._results = {
            place: replace(result, selected={})
            for place, result in self._results.items()
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
            # an upper bound of the number of values in the result
            work = 1 + sum(map(result.text.count, (b",", b"[", b"{")))
            if work > MAX_WORK:
                return frozenset()  # no decision searches it, so a later decision need not try
            left[0] -= work
            if left[0] < 0:
                raise Denied(Reason.TOO_LARGE, "the call depends on too much of what the session has seen")
            values = _values(result.text, source.selector)
            self._selected_count += len(values) + 1
            if self._selected_count > _MOST_SELECTED:
                for stored in self._results.values():
                    stored.selected.clear()
                self._selected_count = len(values) + 1
            result.selected[source] = values
        return values


def _values(text: bytes, selector: str) -> frozenset[bytes]:
    """Return the selected values, each as the sha256 of its canonical JSON."""
    try:
        values = Selector.read(selector).values(parse(text))
    except MalformedError:  # a number that is not finite, too many values
        return frozenset()
    return frozenset([hashlib.sha256(encode(value)).digest() for value in values])
