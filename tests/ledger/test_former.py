"""A ledger that was written when `not_granted` was still called ``wrong_tool``.

``former.json`` has its database as SQL, with the key and the checkpoint of its log.
"""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import anyio
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hessra_agents import KeyPair, Ledger, grant, must
from hessra_agents.ledger.log.reader import Logs
from hessra_agents.ledger.log.search import RecordQuery, search
from hessra_agents.ledger.log.verify import verify
from tests.support.world import MAIL, World


@pytest.fixture
def former(tmp_path: Path) -> Path:
    found = json.loads(Path(__file__).with_name("former.json").read_text())
    where = tmp_path / "hessra.db"
    where.touch(0o600)
    with closing(sqlite3.connect(where)) as db:
        db.executescript(found["sql"])
    folder = tmp_path / "hessra.db.log" / "0"
    folder.mkdir(0o700, parents=True)
    folder.parent.chmod(0o700)
    KeyPair.of(Ed25519PrivateKey.from_private_bytes(bytes.fromhex(found["key"]))).save(folder / "key")
    (folder / "checkpoint").write_text(found["checkpoint"])
    return where


def verdicts(logs: Logs, verdict: str) -> list[str]:
    return [one.verdict for one in search(logs, RecordQuery(verdict=verdict))]


def test_a_former_ledger_is_read_shown_and_verified(former: Path) -> None:
    with Logs(former) as logs:
        (log,) = logs.all()
        said = [one.verdict for one in search(logs, RecordQuery())]
        assert said == ["permitted, done", "refused: wrong_tool", "refused: constraint"]
        call = logs.record(log, 0).call
        assert call is not None
        assert call.arguments == MAIL
        (report,) = verify(logs)
        assert (report.covered, report.findings) == (4, [])


def test_a_former_record_is_found_by_the_new_word_and_by_its_own(former: Path) -> None:
    with Logs(former) as logs:
        assert verdicts(logs, "not_granted") == verdicts(logs, "wrong_tool") == ["refused: wrong_tool"]
        assert verdicts(logs, "constraint") == ["refused: constraint"]


def test_a_former_ledger_goes_on(former: Path) -> None:
    """New records follow the former ones in the same log, and one question finds both."""

    async def work() -> None:
        world = World(ledger=Ledger.open(former))
        held = world.issue(grant("send_email", to=must.anything(), body=must.anything()))
        await world.call(held)
        with world.refuses("not_granted"):
            await world.call(held, "pay", {"amount": 1})
        await world.ledger.aclose()

    anyio.run(work)
    with Logs(former) as logs:
        assert verdicts(logs, "not_granted") == ["refused: wrong_tool", "refused: not_granted"]
        assert verdicts(logs, "wrong_tool") == ["refused: wrong_tool"]
        (report,) = verify(logs)
        assert (report.size, report.covered, report.findings) == (7, 7, [])
