"""Attack the log of a ledger: change what is in its store, and see whether anybody finds it."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import anyio

from hessra_agents.ledger import LedgerError
from tests.ledger.test_log import TAMPERED, Place
from tests.support.ledgers import opened_ledger

__all__ = ["logs"]

CALLS = 300
"""As many as `TAMPERED` is made for."""

MADE_UP = (
    "insert into entry (log, idx, op, kind, body, mac) values (1, 600, x'07', 'decision',"
    ' cast(\'{"kind":"decision","op":"07"}\' as blob), null)'
)


async def logs() -> AsyncIterator[tuple[str, str]]:
    changes = {what: statements for what, (statements, _) in TAMPERED.items()}
    with tempfile.TemporaryDirectory() as folder:
        whole = Place(f"{folder}/whole/hessra.db", Path(folder, "whole", "state"))
        await anyio.Path(folder, "whole").mkdir(mode=0o700)
        await anyio.to_thread.run_sync(whole.fill, CALLS)
        for number, (what, statements) in enumerate({**changes, "a record is made up": MADE_UP}.items()):
            copy = Path(folder, str(number))
            shutil.copytree(Path(folder, "whole"), copy)
            place = Place(str(copy / "hessra.db"), copy / "state")
            for one in statements.split(";"):
                place.sql(one)
            yield f"{what}, and verified", "finding" if place.findings() else "passed"
            yield f"{what}, and a guard starts", await _starts(place)


async def _starts(place: Place) -> str:
    try:
        async with aclosing(opened_ledger(place.where, state_dir=place.state)):
            return "passed"
    except LedgerError:
        return "LedgerError"
