"""Search records, and follow them; a decision is shown together with how its call ended.

Every log is read from its end, page by page, and the logs are merged by time. So the last few records are
found without reading the others, and no more than a page of each log is in memory.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from ...call.canonical import Json, encode
from ...keys.keys import PublicKey
from ...tlog.proofs import MAX_SIZE
from ..records import SALT, argument_hash, matches, time_of
from .reader import Log, Logs, Record

__all__ = ["FORMER_VERDICTS", "NO_OUTCOME", "RecordMatch", "RecordQuery", "added", "described", "search"]

NO_OUTCOME = "no outcome: running, or the process ended"

_PAGE = 256
_WORDS = {
    "revocation": "revoked",
    "break": "a log was forked",
    "erase": "arguments were erased",
    "prune": "records were pruned",
}
FORMER_VERDICTS = {"not_granted": "wrong_tool"}
"""Reason codes by which older ledgers recorded the same refusal."""


@dataclass(frozen=True, slots=True)
class RecordMatch:
    """A record as it is shown to a person.

    ``verdict`` is the decision or the event in words, ``signed`` whether a checkpoint covers the record (None
    if the log's key is not here), ``outcome`` how a permitted call ended, ``call`` the decision about it.
    """

    record: Record
    verdict: str
    signed: bool | None
    outcome: str | None = None
    call: Record | None = None


@dataclass(frozen=True, slots=True)
class RecordQuery:
    """The records to look for; a condition that is None is not applied.

    Args:
        subject: this name and those below it, of a subject or of a holder.
        tool: the name of a tool, or another object with its prefix.
        verdict: ``permitted``, or the reason of a refusal.
        since, before: Unix seconds, the first included and the last not.
        holder: the key that the caller held.
        block: the id of a block of the capability.
        arguments: values that the call carried, found by the keyed hashes of each record.
    """

    subject: str | None = None
    tool: str | None = None
    verdict: str | None = None
    since: int | None = None
    before: int | None = None
    holder: PublicKey | None = None
    block: str | None = None
    arguments: tuple[tuple[str, Json], ...] = ()

    def __call__(self, record: Record) -> bool:
        """Return whether a record meets every condition."""
        fields, at = record.fields, _moment(record)[0]
        names = [str(fields[field]) for field in ("subject", "known_as") if field in fields]
        blocks = fields.get("blocks")
        verdicts = (self.verdict, FORMER_VERDICTS.get(self.verdict or "", self.verdict))
        return (
            (self.subject is None or any(f"{name}:".startswith(f"{self.subject}:") for name in names))
            and (self.tool is None or fields.get("object") in (self.tool, f"tool:{self.tool}"))
            and (self.verdict is None or fields.get("verdict") in verdicts)
            and (self.since is None or at >= self.since)
            and (self.before is None or at < self.before)
            and (self.holder is None or fields.get("holder") == str(self.holder))
            and (self.block is None or (isinstance(blocks, list) and self.block in blocks))
            and all(matches(fields, record.opening, name, value) for name, value in self.arguments)
        )

    def rules_out(self) -> Callable[[Record], bool]:
        """Return a function that says of most other records, by their bytes, that they are not wanted.

        That is much faster than parsing them all. It may let others pass, and rules out none that is wanted.
        """
        since, before = self.since or 0, MAX_SIZE if self.before is None else self.before
        parts = [
            *([encode(self.subject)[:-1]] if self.subject is not None else ()),
            *([encode(self.tool)[1:]] if self.tool is not None else ()),
            *([self.holder.data.hex().encode()] if self.holder is not None else ()),
            *([encode(self.block)] if self.block is not None else ()),
        ]

        def ruled_out(record: Record) -> bool:
            body, at = record.body, time_of(record.body)
            if not all(part in body for part in parts) or not since <= (at or 0) < before:
                return True
            salt = (record.opening or b"")[:SALT]
            return not all(argument_hash(salt, *one).encode() in body for one in self.arguments)

        return ruled_out


def search(
    logs: Logs,
    wanted: RecordQuery,
    max_items: int = 1000,
    *,
    within: list[Log] | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> list[RecordMatch]:
    """Return the last wanted records, oldest first; an outcome is shown with its decision.

    Args:
        logs: the store's logs.
        wanted: what to look for.
        max_items: how many records to return at most.
        within: the logs to search; by default all.
        progress: called with a word, the number of records looked at, and their total.
    """
    among = logs.all() if within is None else within
    total, done, ruled_out = sum(log.size for log in among), 0, wanted.rules_out()

    def backwards(log: Log) -> Iterator[tuple[Record, Log]]:
        nonlocal done
        for stop in range(log.size, log.pruned, -_PAGE):
            start = max(stop - _PAGE, log.pruned)
            for record in logs.events(log, start, stop):
                if not ruled_out(record) and wanted(record):
                    yield record, log
            done += stop - start
            if progress is not None:
                progress("searched", done, total)

    newest = heapq.merge(*map(backwards, among), key=lambda one: _moment(one[0]), reverse=True)
    found = sorted(islice(newest, max_items), key=lambda one: _moment(one[0]))
    return [described(logs, log, record) for record, log in found]


def described(logs: Logs, log: Log, record: Record) -> RecordMatch:
    """Return a record with its verdict in words and, if a call was permitted, with how it ended."""
    fields = record.fields
    if fields.get("verdict") != "permitted":
        return RecordMatch(record, _words(fields), log.covers(record.index), call=record)
    ended = logs.of_operation(log, record.operation_id, "outcome")
    outcome = None if ended is None else str(ended.fields.get("outcome"))
    verdict = f"permitted, {outcome or NO_OUTCOME}"
    return RecordMatch(record, verdict, log.covers(record.index), outcome, record)


def added(logs: Logs, seen: dict[int, int]) -> Iterator[RecordMatch]:
    """Return the records beyond those seen, in the order of each log, outcomes as records of their own.

    Args:
        logs: the store's logs.
        seen: how many records of each log were seen, by its number; brought up to date.
    """
    for log in logs.all():
        for record in logs.records(log, seen.get(log.number, 0)):
            call, outcome = record, None
            if record.kind == "outcome":
                call = logs.of_operation(log, record.operation_id, "decision") or record
                outcome = str(record.fields.get("outcome"))
            yield RecordMatch(record, _words(record.fields), log.covers(record.index), outcome, call)
            seen[log.number] = record.index + 1


def _words(fields: dict[str, Any]) -> str:
    """Return what a record by itself says."""
    kind, verdict = str(fields.get("kind")), fields.get("verdict")
    if kind == "decision":
        times = f", {fields['count']} times" if "count" in fields else ""
        return "permitted" if verdict == "permitted" else f"refused: {verdict}{times}"
    if kind == "outcome":
        return f"ended: {fields.get('outcome')}"
    if kind == "vote":
        return f"{'approved' if fields.get('approves') else 'rejected'} by {fields.get('by')}"
    return _WORDS.get(kind, "cannot be read")


def _moment(record: Record) -> tuple[int, str, int]:
    at = record.fields.get("at")
    return at if type(at) is int else 0, record.origin, record.index
