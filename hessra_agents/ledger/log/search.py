"""Search records; a decision is shown together with how its call ended."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from ...call.canonical import Json
from ..records import matches
from .reader import Log, Logs, Record

__all__ = ["NO_OUTCOME", "RecordMatch", "RecordQuery", "latest", "paired", "search"]

NO_OUTCOME = "no outcome: running, or the process ended"

_DONE = {
    "vote": "a vote on a request",
    "revocation": "revoked",
    "break": "a log was forked",
    "outcome": "the outcome of a call",
}
_FORMER_VERDICTS = {"not_granted": "wrong_tool"}
"""Reason codes by which older ledgers recorded the same refusal."""


@dataclass(frozen=True, slots=True)
class RecordMatch:
    """A record that is not an outcome, with the outcome of its call if there is one."""

    record: Record
    outcome: str | None = None

    @property
    def verdict(self) -> str:
        """The decision or the outcome, in words."""
        fields = self.record.fields
        if fields.get("kind") != "decision":
            return _DONE.get(str(fields.get("kind")), "cannot be read")
        if fields.get("verdict") != "permitted":
            return f"refused: {fields.get('verdict')}"
        return f"permitted, {self.outcome or NO_OUTCOME}"


@dataclass(frozen=True, slots=True)
class RecordQuery:
    """The records to look for; a condition that is None is not applied.

    Args:
        subject: this subject and those below it.
        tool: the name of a tool, or another object with its prefix.
        verdict: ``permitted``, or the reason of a refusal.
        since, until: Unix seconds, the first included and the last not.
        arguments: values that the call carried, found by the keyed hashes of each record.
    """

    subject: str | None = None
    tool: str | None = None
    verdict: str | None = None
    since: int | None = None
    until: int | None = None
    arguments: tuple[tuple[str, Json], ...] = ()

    def __call__(self, record: Record) -> bool:
        """Return whether a record meets every condition."""
        fields = record.fields
        subject, at = str(fields.get("subject", "")), fields.get("at")
        at = at if type(at) is int else 0
        verdicts = (self.verdict, _FORMER_VERDICTS.get(self.verdict or "", self.verdict))
        return (
            (self.subject is None or subject == self.subject or subject.startswith(f"{self.subject}:"))
            and (self.tool is None or fields.get("object") in (self.tool, f"tool:{self.tool}"))
            and (self.verdict is None or fields.get("verdict") in verdicts)
            and (self.since is None or at >= self.since)
            and (self.until is None or at < self.until)
            and all(matches(record.body, record.opening, name, value) for name, value in self.arguments)
        )


def paired(
    records: Iterable[Record], wanted: Callable[[Record], bool] = lambda record: True
) -> list[RecordMatch]:
    """Return the wanted records of one log, each with its outcome, which comes later in the same log."""
    found: list[RecordMatch] = []
    place: dict[bytes, int] = {}
    for record in records:
        if record.kind == "outcome":
            at = place.get(record.operation_id)
            if at is not None:
                found[at] = replace(found[at], outcome=str(record.fields.get("outcome")))
        elif wanted(record):
            place[record.operation_id] = len(found)
            found.append(RecordMatch(record))
    return found


def search(logs: Logs, wanted: RecordQuery) -> list[RecordMatch]:
    """Return the wanted records of all logs, in the order of time."""
    return _in_time(one for log in logs.all() for one in paired(logs.records(log), wanted))


def latest(logs: Logs, max_items: int) -> list[RecordMatch]:
    """Return the last records of all logs together."""
    return _in_time(one for log in logs.all() for one in _end(logs, log, max_items))[-max_items:]


def _end(logs: Logs, log: Log, max_items: int) -> list[RecordMatch]:
    length = 2 * max_items + 64
    while True:
        start = max(0, log.size - length)
        found = paired(logs.records(log, start))
        if start == 0 or len(found) >= max_items:
            return found[-max_items:]
        length *= 4


def _in_time(found: Iterable[RecordMatch]) -> list[RecordMatch]:
    def moment(one: RecordMatch) -> tuple[int, str, int]:
        at = one.record.fields.get("at")
        return at if type(at) is int else 0, one.record.origin, one.record.index

    return sorted(found, key=moment)
