"""Reading the logs of a store, beside the guards that write them.

    with Logs("hessra.db") as logs:
        for log in logs.all():
            for record in logs.records(log):
                ...

Nothing here takes a log's place or believes one: whether the records are those that were written, `verifying`
says. Each page is a transaction of its own, so that a long look keeps nobody waiting.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from ...call.call import Call
from ...call.canonical import parse
from ...keys.keys import KeyPair
from ...tlog import export
from ...tlog.merkle import WIDTH, inclusion, leaf_hash, tile_root
from ...tlog.notes import Checkpoint, NoteError, verifier_key
from ...tlog.proofs import HASH
from ..opening import open_store
from ..protocol import LedgerError
from ..store.connection import Steps, run_transaction
from .directory import LogSlot

__all__ = ["LocalLogState", "Log", "LogTiles", "Logs", "Record"]

PAGE = 1024
SALT = 16

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class LocalLogState:
    """What the folder beside a store keeps of one log: its key and, once it has one, its last head.

    ``note`` is the head as it was signed; ``problem`` is why it does not count.
    """

    folder: Path
    origin: str
    verifier: str
    note: str = ""
    head: Checkpoint | None = None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Log:
    """One log of a store; ``kept`` is None if its key is not in this folder, but on another machine."""

    number: int
    origin: str
    size: int
    kept: LocalLogState | None

    @property
    def checkpoint(self) -> Checkpoint | None:
        """The last signed head that is kept here."""
        return self.kept.head if self.kept else None


@dataclass(frozen=True, slots=True)
class Record:
    """One record as the store has it. Only ``body`` is in the log's tree."""

    origin: str
    index: int
    operation_id: bytes
    kind: str
    body: bytes
    opening: bytes | None

    @property
    def said(self) -> dict[str, Any]:
        """What the record says; nothing, if it cannot be read."""
        try:
            found = parse(self.body)
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}

    @property
    def clear(self) -> Call | None:
        """The call with its arguments, if they were kept in clear and are not erased.

        Raises:
            ValueError: what is kept is no call.
        """
        said = self.said
        if self.opening is None or len(self.opening) <= SALT or "call" not in said:
            return None
        kind, _, tool = str(said.get("object")).partition(":")
        return Call.of(tool, self.opening[SALT:], kind=kind, operation=str(said.get("operation")))


class Logs:
    """The logs of a store. For one thread; close it, or use it in a ``with``.

    Raises:
        LedgerError: the store cannot be opened, or must not be.
        StoreError: also by every method: the store did not answer.
    """

    def __init__(self, where: str | Path, *, state_dir: str | Path | None = None) -> None:
        self.connection, self.home, _ = open_store(where, state_dir=state_dir)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the store."""
        self.connection.close()

    def local_states(self) -> dict[str, LocalLogState]:
        """What the folder beside the store keeps of its logs, by origin."""
        found = {}
        for folder in sorted(self.home.folder.iterdir()) if self.home.folder.is_dir() else ():
            if re.fullmatch(r"\d+", folder.name) and (folder / "key").exists():
                one = _kept(folder)
                found[one.origin] = one
        return found

    def all(self) -> list[Log]:
        """Every log of the store. Heads are read first, so the store has what they cover."""
        kept = self.local_states()

        def steps() -> Steps[list[Log]]:
            found = []
            for number, origin in (yield "logs", ()):
                ((size,),) = yield "size", (number,)
                found.append(Log(int(number), origin, int(size), kept.get(origin)))
            return found

        return run_transaction(self.connection, steps())

    def log(self, name: str) -> Log:
        """The log of this origin, or of the only one that begins so after the slash.

        Raises:
            ValueError: there is none, or several.
        """
        logs = self.all()
        found = [one for one in logs if one.origin == name]
        found = found or [one for one in logs if name and one.origin.partition("/")[2].startswith(name)]
        if len(found) != 1:
            raise ValueError("several logs begin so" if found else "there is no such log")
        return found[0]

    def page(self, log: Log, start: int, stop: int) -> list[Record]:
        """The records from an index to another, as many of them as there are."""

        def steps() -> Steps[list[Record]]:
            rows = yield "entries", (log.number, start, stop)
            return [
                Record(log.origin, int(index), bytes(op), kind, bytes(body), opening and bytes(opening))
                for index, op, kind, body, opening in rows
            ]

        return run_transaction(self.connection, steps())

    def records(self, log: Log, start: int = 0) -> Iterator[Record]:
        """All records from an index on, to the size that the log had."""
        for at in range(start, log.size, PAGE):
            yield from self.page(log, at, min(at + PAGE, log.size))

    def record(self, log: Log, index: int) -> Record:
        """One record.

        Raises:
            ValueError: there is none.
        """
        found = self.page(log, index, index + 1) if 0 <= index < log.size else []
        if not found:
            raise ValueError(f"the log has {log.size} records, and none with this index")
        return found[0]

    def tile(self, log: Log, level: int, index: int) -> bytes | None:
        """A full tile as it is stored; None if it is not."""

        def steps() -> Steps[bytes | None]:
            rows = yield "tile_of", (log.number, level, index)
            return bytes(rows[0][0]) if rows else None

        return run_transaction(self.connection, steps())

    def proof(self, log: Log, index: int) -> str:
        """The proof that a log's last head covers this record, which is in it (C2SP tlog-proof).

        Raises:
            ValueError: the head does not cover the record, or the store does not lead to the head.
        """
        head, note, verifier = _head(log)
        if index >= head.size:
            raise ValueError(f"the log's head covers {head.size} records, and not yet this one")
        body = self.record(log, index).body
        try:
            hashes = inclusion(index, head.size, LogTiles(self, log))
        except LookupError as error:
            raise export.ExportError(f"the log {log.origin}: {error}: see log verify") from None
        lines = [f"extra {b64encode(body).decode()}", f"index {index}"]
        lines += [b64encode(one).decode() for one in hashes]
        text = "\n".join(["c2sp.org/tlog-proof@v1", *lines, "", note])
        export.check_proof(text, body, [verifier])
        return text

    def export(self, log: Log, folder: Path) -> Checkpoint:
        """Write what a log's last head covers as an export.

        Raises:
            ValueError: there is no head, or the records are not what it covers.
        """
        head, note, _ = _head(log)

        def entries(start: int, stop: int) -> list[bytes]:
            return [record.body for record in self.page(log, start, stop)]

        export.write(folder, log.origin, head.size, note, entries, LogTiles(self, log))
        return head

    def erase(self, log: Log, index: int) -> bool:
        """Erase what opens a record: its salt, and its arguments if they are kept; False if it is gone."""

        def steps() -> Steps[bool]:
            return bool((yield "erase", (log.number, index)))

        return run_transaction(self.connection, steps())


class LogTiles:
    """The tiles of a log (`merkle.Tiles`): full ones as they are stored, those at the edge computed once.

    So a proof reads a few tiles of any log. The first at a size also reads what is below the edge.
    """

    def __init__(self, logs: Logs, log: Log) -> None:
        self._logs, self._log = logs, log
        self._edge: dict[tuple[int, int], bytes] = {}

    def hashes(self, level: int, index: int, width: int) -> bytes:
        """The first hashes of a tile."""
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


def _kept(folder: Path) -> LocalLogState:
    try:
        key = KeyPair.load(folder / "key")
    except (ValueError, OSError) as error:
        raise LedgerError(f"{folder / 'key'}: {error}") from error
    origin = LogSlot(folder, key, -1).origin
    verifier = verifier_key(origin, key.public)
    path = folder / "checkpoint"
    note = ""
    try:
        note = path.read_text("utf-8")
        head = Checkpoint.verified(note, [verifier])
    except FileNotFoundError:
        return LocalLogState(folder, origin, verifier)
    except NoteError as error:
        return LocalLogState(
            folder, origin, verifier, note, problem=f"its head is not signed by its key: {error}"
        )
    except (OSError, UnicodeError):
        return LocalLogState(folder, origin, verifier, problem="its head cannot be read")
    if head.origin != origin:
        return LocalLogState(folder, origin, verifier, note, problem="its head is that of another log")
    return LocalLogState(folder, origin, verifier, note, head)


def _head(log: Log) -> tuple[Checkpoint, str, str]:
    if log.kept is None or log.kept.head is None:
        raise ValueError(f"no signed head of the log {log.origin} is kept here")
    return log.kept.head, log.kept.note, log.kept.verifier
