"""Looking for records: a decision is told together with what became of its call."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from ...call.canonical import Json
from ..records import matches
from .reader import Log, Logs, Record

__all__ = ["NO_OUTCOME", "RecordMatch", "RecordQuery", "latest", "paired", "search"]

_DONE = {
    "vote": "a vote on a request",
    "revocation": "revoked",
    "break": "a log was broken off",
    "outcome": "the outcome of a call",
}
NO_OUTCOME = "no outcome: running, or the process ended"


@dataclass(frozen=True, slots=True)
class RecordMatch:
    """A record that is no outcome, and the outcome of its call if there is one."""

    record: Record
    outcome: str | None = None

    @property
    def verdict(self) -> str:
        """What was decided or done, in words."""
        said = self.record.said
        if said.get("kind") != "decision":
            return _DONE.get(str(said.get("kind")), "cannot be read")
        if said.get("verdict") != "permitted":
            return f"refused: {said.get('verdict')}"
        return f"permitted, {self.outcome or NO_OUTCOME}"


@dataclass(frozen=True, slots=True)
class RecordQuery:
    """Which records are looked for; what is None is not asked.

    Args:
        subject: this one and those below it.
        verdict: ``permitted``, or the reason of a refusal.
        since, until: Unix seconds, the first included and the last not.
        arguments: values that the call carried, found by the keyed hash of each record.
    """

    subject: str | None = None
    tool: str | None = None
    verdict: str | None = None
    since: int | None = None
    until: int | None = None
    arguments: tuple[tuple[str, Json], ...] = ()

    def __call__(self, record: Record) -> bool:
        """Whether a record is one of those."""
        said = record.said
        subject, at = str(said.get("subject", "")), said.get("at")
        at = at if type(at) is int else 0
        return (
            (self.subject is None or subject == self.subject or subject.startswith(f"{self.subject}:"))
            and (self.tool is None or said.get("object") in (self.tool, f"tool:{self.tool}"))
            and (self.verdict is None or said.get("verdict") == self.verdict)
            and (self.since is None or at >= self.since)
            and (self.until is None or at < self.until)
            and all(matches(record.body, record.opening, name, value) for name, value in self.arguments)
        )


def paired(
    records: Iterable[Record], wanted: Callable[[Record], bool] = lambda record: True
) -> list[RecordMatch]:
    """Those of one log's records that are wanted, with their outcomes, which come later in the same log."""
    found: list[RecordMatch] = []
    place: dict[bytes, int] = {}
    for record in records:
        if record.kind == "outcome":
            at = place.get(record.operation_id)
            if at is not None:
                found[at] = replace(found[at], outcome=str(record.said.get("outcome")))
        elif wanted(record):
            place[record.operation_id] = len(found)
            found.append(RecordMatch(record))
    return found


def search(logs: Logs, wanted: RecordQuery) -> list[RecordMatch]:
    """What is wanted of all logs, in the order of time."""
    return _in_time(one for log in logs.all() for one in paired(logs.records(log), wanted))


def latest(logs: Logs, max_items: int) -> list[RecordMatch]:
    """The last records of all logs together."""
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
        at = one.record.said.get("at")
        return at if type(at) is int else 0, one.record.origin, one.record.index

    return sorted(found, key=moment)
