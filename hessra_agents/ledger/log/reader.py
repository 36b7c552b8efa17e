"""Read the logs of a store, beside the guards that write them.

    with Logs("hessra.db") as logs:
        for log in logs.all():
            for record in logs.records(log):
                ...

Reading takes no log's place, and believes none: whether the records are those that were written is for
`verify` to say. Each page is read in a transaction of its own, so that a long search blocks no guard.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ...call.call import Call
from ...call.canonical import parse
from ...tlog import export
from ...tlog.merkle import WIDTH, inclusion, leaf_hash, tile_root
from ...tlog.notes import Checkpoint
from ...tlog.proofs import HASH
from ...tlog.pruning import Pruning
from ..records import SALT
from ..store.connection import Row, Steps, run_transaction
from ..store.opening import open_store
from .directory import LocalLogState, LogDirectory, LogState

__all__ = ["Log", "LogTiles", "Logs", "Record"]

PAGE = 1024

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Log:
    """One log of a store, and the ``state`` that its folder or else the store tells; None if neither does.

    ``pruning`` is what was pruned last, by a note that the log's key signed; None if nothing was.
    """

    number: int
    origin: str
    size: int
    state: LogState | None
    pruning: Pruning | None = None
    pruning_note: str = ""

    @property
    def pruned(self) -> int:
        """How many of the first records are there no longer, as the log's key signed."""
        return self.pruning.size if self.pruning else 0

    @property
    def local(self) -> LocalLogState | None:
        """The contents of the log's folder; None if its key is on another machine."""
        return self.state if isinstance(self.state, LocalLogState) else None

    @property
    def checkpoint(self) -> Checkpoint | None:
        """The last checkpoint; None if there is none that counts."""
        return self.state.checkpoint if self.state else None

    def covers(self, index: int) -> bool | None:
        """Return whether the last checkpoint covers a record; None if the log's key is not here."""
        if self.local is None:
            return None
        return self.checkpoint is not None and index < self.checkpoint.size

    def signed(self) -> tuple[Checkpoint, LogState]:
        """Return the last checkpoint, and the state that has its note and the verifier key.

        Raises:
            ValueError: there is no checkpoint of the log.
        """
        if self.state is None or self.state.checkpoint is None:
            raise ValueError(f"there is no checkpoint of the log {self.origin}, here or in the store")
        return self.state.checkpoint, self.state


@dataclass(frozen=True)
class Record:
    """One record as the store has it. Only ``body`` is in the log's tree."""

    origin: str
    index: int
    operation_id: bytes
    kind: str
    body: bytes
    opening: bytes | None
    mac: bytes = b""

    @cached_property
    def fields(self) -> dict[str, Any]:
        """The content of the record; empty if it cannot be read."""
        try:
            found = parse(self.body)
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}

    @property
    def call(self) -> Call | None:
        """The call with its arguments; None if they were not kept, or are erased.

        Raises:
            ValueError: what was kept is not a call.
        """
        if self.opening is None or len(self.opening) <= SALT or "call" not in self.fields:
            return None
        kind, _, tool = str(self.fields.get("object")).partition(":")
        return Call.of(tool, self.opening[SALT:], kind=kind, operation=str(self.fields.get("operation")))


class Logs:
    """The logs of a store. Used by one thread; close it, or use it in a ``with``.

    Raises:
        LedgerError: the store cannot be opened, or must not be.
        StoreError: also by every method: the store did not answer.
    """

    def __init__(self, where: str | Path, *, state_dir: str | Path | None = None) -> None:
        self.connection, folder = open_store(where, state_dir=state_dir)
        self.directory = LogDirectory(folder)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the store."""
        self.connection.close()

    def all(self) -> list[Log]:
        """Return every log of the store. Checkpoints are read first, so the store has what they cover."""
        local = {state.origin: state for state in self.directory.states()}

        def steps() -> Steps[list[Log]]:
            found = []
            stored = {row[0]: LogState.stored(*row) for row in (yield "checkpoints", ())}
            for number, origin in (yield "logs", ()):
                ((size,),) = yield "size", (number,)
                state = local.get(origin) or stored.get(origin)
                pruning = _pruning((yield "prunings", (number,)), state)
                found.append(Log(int(number), origin, int(size), state, *pruning))
            return found

        return run_transaction(self.connection, steps())

    def log(self, name: str) -> Log:
        """Return the log of this origin, or the only one whose origin begins so after the slash.

        Raises:
            ValueError: there is none, or there are several.
        """
        logs = self.all()
        found = [one for one in logs if one.origin == name]
        found = found or [one for one in logs if name and one.origin.partition("/")[2].startswith(name)]
        if len(found) != 1:
            finding = "several logs begin so" if found else "there is no such log"
            raise ValueError(f"{finding}: `hessra-agents log list` lists them")
        return found[0]

    def page(self, log: Log, start: int, stop: int) -> list[Record]:
        """Return the records from one index up to another, as many of them as there are."""
        return self._read(log, "entries", log.number, start, stop)

    def events(self, log: Log, start: int, stop: int) -> list[Record]:
        """Return the records from one index up to another that are no outcomes, the last first."""
        return self._read(log, "events", log.number, start, stop)

    def of_operation(self, log: Log, operation_id: bytes, kind: str) -> Record | None:
        """Return the record of this kind of one operation; None if there is none."""
        return next(iter(self._read(log, "of_operation", log.number, operation_id, kind)), None)

    def _read(self, log: Log, statement: str, *values: Any) -> list[Record]:
        def steps() -> Steps[list[Record]]:
            return [
                Record(
                    log.origin,
                    int(index),
                    bytes(op),
                    kind,
                    bytes(body),
                    opening and bytes(opening),
                    bytes(mac or b""),
                )
                for index, op, kind, body, opening, mac in (yield statement, values)
            ]

        return run_transaction(self.connection, steps())

    def records(self, log: Log, start: int = 0) -> Iterator[Record]:
        """Return all records from an index on, up to the size that the log had."""
        for at in range(max(start, log.pruned), log.size, PAGE):
            yield from self.page(log, at, min(at + PAGE, log.size))

    def record(self, log: Log, index: int) -> Record:
        """Return one record.

        Raises:
            ValueError: there is none with this index, or no longer.
        """
        if log.pruning is not None and 0 <= index < log.pruned:
            where = "they were archived" if log.pruning.archived else "not all of them were archived"
            raise ValueError(f"record {index} was pruned, and all before record {log.pruned}: {where}")
        found = self.page(log, index, index + 1) if 0 <= index < log.size else []
        if not found:
            raise ValueError(f"the log has {log.size} records, and none with this index")
        return found[0]

    def tile(self, log: Log, level: int, index: int) -> bytes | None:
        """Return a full tile as it is stored; None if it is not."""

        def steps() -> Steps[bytes | None]:
            rows = yield "tile_of", (log.number, level, index)
            return bytes(rows[0][0]) if rows else None

        return run_transaction(self.connection, steps())

    def proof(self, log: Log, index: int) -> str:
        """Return the proof that a log's last checkpoint covers a record, which it contains (C2SP tlog-proof).

        Raises:
            ValueError: the checkpoint does not cover the record, or the store does not lead to its root.
        """
        checkpoint, state = log.signed()
        if index >= checkpoint.size:
            raise ValueError(f"the log's checkpoint covers {checkpoint.size} records, and not yet this one")
        body = self.record(log, index).body
        try:
            hashes = inclusion(index, checkpoint.size, LogTiles(self, log))
        except LookupError as error:
            raise export.ExportError(f"the log {log.origin}: {error}: see log verify") from None
        lines = [f"extra {b64encode(body).decode()}", f"index {index}"]
        lines += [b64encode(one).decode() for one in hashes]
        text = "\n".join(["c2sp.org/tlog-proof@v1", *lines, "", state.note])
        export.check_proof(text, body, [state.verifier])
        return text

    def export(self, log: Log, folder: Path, progress: Progress | None = None) -> Checkpoint:
        """Write what a log's last checkpoint covers to a folder as an export.

        Args:
            log: the log.
            folder: the folder; an earlier export in it is extended.
            progress: called with the log's origin, the number of records written, and their total.

        Raises:
            ValueError: there is no checkpoint, or the records are not those that it covers.
        """
        checkpoint, state = log.signed()

        def entries(start: int, stop: int) -> list[bytes]:
            return [record.body for record in self.page(log, start, stop)]

        export.write(
            folder,
            log.origin,
            checkpoint.size,
            state.note,
            entries,
            LogTiles(self, log),
            pruned=log.pruned,
            pruning=log.pruning_note,
            progress=progress,
        )
        return checkpoint


def _pruning(rows: Sequence[Row], state: LogState | None) -> tuple[Pruning | None, str]:
    """Return what was pruned of a log last, with its note; what its key did not sign does not count."""
    if state is None or not state.verifier:
        return None, ""
    for upto, note in reversed(rows):
        with suppress(ValueError):
            pruning = Pruning.verified(note, [state.verifier])
            if pruning.checkpoint.origin == state.origin and pruning.size == upto:
                return pruning, note
    return None, ""


class LogTiles:
    """The tiles of a log (`merkle.Tiles`): full ones as they are stored, those at the edge computed once.

    So a proof reads a few tiles of any log. The first proof at a size also reads what is below the edge.
    """

    def __init__(self, logs: Logs, log: Log) -> None:
        self._logs, self._log = logs, log
        self._edge: dict[tuple[int, int], bytes] = {}

    def hashes(self, level: int, index: int, width: int) -> bytes:
        """Return the first hashes of a tile."""
        row = self._logs.tile(self._log, level, index) or self._edge.get((level, index), b"")
        if len(row) < width * HASH:
            row = self._computed(level, index, width)
            self._edge[level, index] = row
        return row[: width * HASH]

    def _computed(self, level: int, index: int, width: int) -> bytes:
        start = index * WIDTH
        if width == WIDTH:
            raise LookupError(f"tile {level}/{index} is missing")
        if level == 0:
            page = self._logs.page(self._log, start, start + width)
            return b"".join(leaf_hash(record.body) for record in page)
        below = (self.hashes(level - 1, at, WIDTH) for at in range(start, start + width))
        return b"".join(map(tile_root, below))
