"""A store whose files are damaged: cut, or one bit flipped; and who notices."""

from __future__ import annotations

import random
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from hessra_agents import Denied, KeyPair, Ledger, grant, limit, must
from hessra_agents.ledger import LedgerError
from hessra_agents.ledger.log.reader import Logs
from hessra_agents.ledger.log.verify import verify
from hessra_agents.ledger.store.connection import StoreError
from tests.support.ledgers import opened_ledger
from tests.support.world import World

Damage = Callable[[bytearray, random.Random], str]
"""Damages bytes, and says where."""

KEY = KeyPair.generate()
UNNOTICED, UNUSED, UNCHECKED = (
    "unnoticed",
    "in bytes that hold nothing",
    "in a value that no hash or index has",
)
COPY = "in the store's copy of a checkpoint, which the next one replaces"
OPENING, CALLING, VERIFYING = "at opening", "by the next call", "by log verify"


def flip(data: bytearray, pick: random.Random) -> str:
    """One bit is another."""
    at = pick.randrange(len(data))
    data[at] ^= 1 << pick.randrange(8)
    return f"byte {at}"


def cut(data: bytearray, pick: random.Random) -> str:
    """The end is missing."""
    at = pick.randrange(len(data))
    del data[at:]
    return f"from {at} on"


class Filled:
    """A store of some calls, with its signed head; copied, and each copy damaged."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder
        self.world = World()

    async def fill(self, calls: int, *, log: bool) -> None:
        """So many calls; ``log`` keeps what was written in the write-ahead log, as after a crash."""
        world = World(ledger=Ledger.open(self.folder / "hessra.db", state_dir=self.folder / "log"))
        world.authority, world.guard.trust = self.world.authority, self.world.authority.trust
        pay = grant("pay", amount=must.anything())
        self.held = self.world.issue(pay, limit(sum_of="amount", at_most=10_000_000), holder=KEY.public)
        await world.guard.ledger.revoke(self.world.issue(pay))
        for number in range(calls):
            paid = {"amount": number}
            await world.call(self.held, "pay", paid, proof=world.prove(self.held, KEY, "pay", paid))
        with closing(sqlite3.connect(self.folder / "hessra.db")) as other:
            other.execute("begin")
            other.execute("select count(*) from entry").fetchall()
            if not log:
                other.close()  # who closes last has the log written into the database
            await world.ledger.aclose()
            self.files = {path.name: path.read_bytes() for path in self.folder.iterdir() if path.is_file()}
        self.contents = contents(self.folder / "hessra.db")

    async def notices(self, name: str, damage: Damage, pick: random.Random, folder: Path) -> tuple[str, str]:
        """Who notices the damage of a copy, and where it is."""
        where = self._copied(name, damage, pick, folder)
        try:
            return await self._noticed(folder), f"{name}, {where}"
        finally:
            shutil.rmtree(folder)

    def _copied(self, name: str, damage: Damage, pick: random.Random, folder: Path) -> str:
        folder.mkdir()
        shutil.copytree(self.folder / "log", folder / "log")
        where = ""
        for path, data in self.files.items():
            found = bytearray(data)
            if path == name:
                where = damage(found, pick)
            if not path.endswith("-shm"):
                (folder / path).write_bytes(found)
                (folder / path).chmod(0o600)
        return where

    async def _noticed(self, folder: Path) -> str:
        where, state = folder / "hessra.db", folder / "log"
        found = contents(folder / "hessra.db", copy=True)
        try:
            ledger = opened_ledger(where, state_dir=state)
        except LedgerError:
            return OPENING
        world = World(ledger=ledger)
        world.authority, world.guard.trust = self.world.authority, self.world.authority.trust
        paid = {"amount": 1}
        try:
            await world.call(self.held, "pay", paid, proof=world.prove(self.held, KEY, "pay", paid))
        except Denied:
            return CALLING
        finally:
            await ledger.aclose()
        try:
            with Logs(where, state_dir=state) as logs:
                if any(one.findings for one in verify(logs)):
                    return VERIFYING
        except (LedgerError, StoreError, ValueError):
            return VERIFYING
        if found == self.contents:
            return UNUSED
        different = {name for name in found if found[name] != self.contents.get(name)}
        if different == {"checkpoint"}:
            return COPY
        if all(_checked(found, table) == _checked(self.contents, table) for table in different):
            return UNCHECKED
        return f"{UNNOTICED}: {', '.join(sorted(different))}"

    def well(self, damage: Damage, pick: random.Random, folder: Path) -> str:
        """What SQLite itself says of a copy with a damaged write-ahead log."""
        folder.mkdir()
        log = bytearray(self.files["hessra.db-wal"])
        damage(log, pick)
        (folder / "hessra.db").write_bytes(self.files["hessra.db"])
        (folder / "hessra.db-wal").write_bytes(log)
        with closing(sqlite3.connect(folder / "hessra.db")) as db:
            ((said,),) = db.execute("pragma integrity_check").fetchall()
        return str(said)


CHECKED = {"entry": 5, "revocation": 3, "used": 0, "refundable": 0, "capability": 0}
"""So many columns of a table are in a hash or in an index."""


def _checked(found: dict[str, Any], table: str) -> Any:
    return [row[: CHECKED.get(table)] for row in found[table]] if table in CHECKED else found[table]


def contents(path: Path, *, copy: bool = False) -> dict[str, Any]:
    """All that is in the tables, as somebody reads it who knows SQLite alone; or of a copy of the files."""
    if copy:
        folder = path.parent / "read"
        folder.mkdir()
        for one in path.parent.glob("hessra.db*"):
            shutil.copy2(one, folder)
        path = folder / path.name
    found: dict[str, Any] = {}
    with closing(sqlite3.connect(path)) as db:
        db.text_factory = bytes
        with suppress(sqlite3.Error, UnicodeError):
            names = [name for (name,) in db.execute("select name from sqlite_master where type = 'table'")]
            for name in names:
                text = name.decode(errors="replace")
                try:
                    found[text] = sorted(db.execute(f'select * from "{text}"').fetchall(), key=repr)
                except (sqlite3.Error, UnicodeError) as error:
                    found[text] = str(error)
            found["integrity"] = db.execute("pragma integrity_check").fetchall()
    return found
