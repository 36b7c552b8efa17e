"""A session: what one agent has seen. Results of its calls, and the labels of what they exposed it to.

A toolbox has one. A guard that is called over a wire is given one for each agent that it talks to:

    session = Session()
    await guard.call(token, "search_contacts", {"name": "Sarah"}, session=session)
    await guard.call(token, "send_email", {...}, session=session)     # to=from_result("search_contacts", ...)

Results are kept as JSON text, the form in which a model sees them, made when the tool returns: what is
changed later changes nothing here. Memory is bounded: the oldest fall out, and a result over the bound is
not kept. What is not kept selects no value, so the call that asks for one is refused. The same call, made
again, replaces what it returned before.
"""

from __future__ import annotations

import hashlib
import logging
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

if TYPE_CHECKING:
    from ..keys.keys import KeyPair
    from ..tokens.hessra.context import Context

__all__ = ["MAX_KEPT", "MAX_RESULT", "MAX_RESULTS", "MAX_WORK", "Session"]

MAX_RESULTS = 64
"""Results that a session keeps."""

MAX_RESULT = 256 << 10
"""Bytes of one result, and of the arguments it is of; a larger one is not kept."""

MAX_KEPT = 4 << 20
"""Bytes of all results together."""

MAX_WORK = 1 << 15
"""Values of results that one decision looks through; what was found is remembered, so the next goes on."""

_MOST_FOUND = 1 << 15
"""Selected values that are remembered."""

_log = logging.getLogger("hessra_agents")


@dataclass(slots=True, eq=False)
class _Result:
    tool: str
    text: bytes
    untrusted: bool
    size: int
    found: dict[Source, frozenset[bytes]] = field(default_factory=dict)


class Session:
    """What one agent has seen; make one for each, and hand it to `Guard.toolbox` or `Guard.call`.

    It ends where the object does: who gives the same agent a new one has forgotten what it saw.

    Args:
        labels: what the agent has seen before, by its labels.
    """

    def __init__(self, labels: Iterable[str] = ()) -> None:
        self._labels = set(normalize_labels(labels, "labels"))
        self._kept: dict[tuple[str, bytes], _Result] = {}
        self._bytes = 0
        self._found = 0

    def __repr__(self) -> str:
        return f"Session({len(self._kept)} results, labels={sorted(self._labels)})"

    @property
    def labels(self) -> frozenset[str]:
        """The labels of what was seen, by this agent and all that it shares them with (`fork`)."""
        return frozenset(self._labels)

    def expose(self, labels: Iterable[str]) -> None:
        """Remember that this was seen; there is no way back.

        Raises:
            TypeError, ValueError: it is no collection of labels.
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
        """Remember what a call returned. A guard does it for its own tools; this is for `Guard.permit`.

        Args:
            tool: its name, or the function.
            result: what has a JSON form; anything else is not kept.
            call: what was called: made again, it replaces this result.
            untrusted: others can write it, so only ``from_result(..., untrusted=True)`` reads it.
        """
        name = tool if isinstance(tool, str) else tool_name(tool)
        place = (name, os.urandom(16) if call is None else call.canonical_json)
        if place in self._kept:
            self._forget(place)
        large = isinstance(result, (str, bytes)) and len(result) > MAX_RESULT
        try:
            text = b"" if large else to_json(result, bytes_mode="base64")
        except Exception:  # whatever a serializer of its own raises
            _log.info("a result of %r has no JSON form, so no argument can follow it", name)
            return
        size = len(text) + len(place[1])
        if not text or size > MAX_RESULT:
            return
        self._kept[place] = _Result(name, text, untrusted, size)
        self._bytes += size
        while len(self._kept) > MAX_RESULTS or self._bytes > MAX_KEPT:
            self._forget(next(iter(self._kept)))

    def result_lookup(self) -> Results:
        """What tells one decision whether a kept result holds a value where a source says.

        It raises `Denied` (``too_large``) where more is to be looked through than `MAX_WORK`.
        """
        left = [MAX_WORK]
        told: dict[tuple[bytes, Source], bool] = {}

        def holds(value: bytes, source: Source) -> bool:
            asked = (value, source)
            if asked not in told:
                trusting = Selector.read(source.selector).untrusted
                told[asked] = any(
                    value in self._selected(one, source, left)
                    for one in reversed(self._kept.values())
                    if one.tool == source.tool and (trusting or not one.untrusted)
                )
            return told[asked]

        return holds

    def fork(self, share_results: Iterable[str | Callable[..., Any]] = ()) -> Session:
        """The session of an agent that this one talks to: results of its own, and the labels of both.

        What one of them sees, the other may be told: each label is at once a label of both.

        Args:
            share_results: tools whose kept results are handed over, as they are now.
        """
        named = {tool_name(one) for one in share_results}
        child = Session()
        child._labels = self._labels
        child._kept = {
            place: replace(one, found={}) for place, one in self._kept.items() if one.tool in named
        }
        child._bytes = sum(one.size for one in child._kept.values())
        return child

    def context(
        self, subject: str, *, key: KeyPair, key_id: int | None, ttl: timedelta, now: int | None = None
    ) -> Context:
        """The labels as a signed context, for another process to `resume` from; results stay behind.

        Its id, ``context.ids[-1]``, is the head: keep it where the agent cannot write.

        Args:
            subject: whose session it is.
            key: a root key that signs contexts and nothing else.
            key_id: its id in `Trust`.
            ttl: time from now until it is refused.
            now: Unix seconds; the clock's if left out.

        Raises:
            ValueError: no subject, or more labels than are read.
        """
        from ..tokens.hessra.context import issue_context  # only who carries a session needs it

        return issue_context(subject, key=key, key_id=key_id, ttl=ttl, labels=self.labels, now=now)

    @classmethod
    def resume(cls, context: Context, subject: str, *, head: str, now: int) -> Session:
        """A session that has seen what the context says.

        Args:
            context: read by `Context.parse`.
            subject: whose session it must be.
            head: the id of the newest context of that session; an older one may know of less.
            now: Unix seconds.

        Raises:
            Denied: ``expired``, ``not_holder``, or ``replayed`` where it is not the newest.
        """
        context.verify(subject, (), now)
        if context.ids[-1] != head:
            raise Denied(Reason.REPLAYED, "this is not the newest context of the session")
        return cls(context.labels)

    def _forget(self, place: tuple[str, bytes]) -> None:
        gone = self._kept.pop(place, None)
        if gone is not None:
            self._bytes -= gone.size
            if gone.found:
                self._found -= sum(map(len, gone.found.values())) + len(gone.found)

    def _selected(self, result: _Result, source: Source, left: list[int]) -> frozenset[bytes]:
        found = result.found.get(source)
        if found is None:
            # at least as many as there are values in it
            work = 1 + sum(map(result.text.count, (b",", b"[", b"{")))
            if work > MAX_WORK:
                return frozenset()  # no decision looks through it, and none waits for that
            left[0] -= work
            if left[0] < 0:
                raise Denied(Reason.TOO_LARGE, "too much of what the session has seen is asked for")
            found = _values(result.text, source.selector)
            self._found += len(found) + 1
            if self._found > _MOST_FOUND:
                for one in self._kept.values():
                    one.found.clear()
                self._found = len(found) + 1
            result.found[source] = found
        return found


def _values(text: bytes, selector: str) -> frozenset[bytes]:
    """The values that are meant, by the sha256 of their canonical JSON."""
    try:
        values = Selector.read(selector).values(parse(text))
    except MalformedError:  # a number that is not finite, too many values
        return frozenset()
    return frozenset([hashlib.sha256(encode(one)).digest() for one in values])
