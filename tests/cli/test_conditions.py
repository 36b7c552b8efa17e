"""Every command that takes a ledger, and whatever is wrong with one: a line that says what to do."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from hessra_agents import KeyPair, grant, limit, must
from hessra_agents.cli import main
from tests.cli.test_ledger import guarded, waiting
from tests.support.world import MAIL, World

COMMANDS = [
    "revoke --subject agent:desk --yes",
    "revocations",
    "limits",
    "status",
    "status --token token",
    "approvals",
    "approve 0123456789abcdef --key key --yes",
    "reject 0123456789abcdef --key key --yes",
    "log list",
    "log tail",
    "log tail --follow",
    "log search",
    "log show abc 0",
    "log prove abc 0",
    "log verify",
    "log export out",
    "log checkpoints",
    "log keys",
    "log erase abc 0 --yes",
    "log prune --before 2020-01-01 --no-archive --yes",
    "log fork --reason x --yes",
    "inspect --token token",
]
WRONG: dict[str, tuple[Callable[[Path], object], str]] = {
    "is not there": (lambda where: where.unlink(), "no such file"),
    "is empty": (lambda where: where.write_bytes(b""), "is empty"),
    "is a text": (
        lambda where: where.write_bytes(b"not a database, and longer than a header " * 40),
        "not a",
    ),
    "is a folder": (lambda where: replaced_by_a_folder(where), "folder"),
    "others can read it": (lambda where: where.chmod(0o644), "chmod 600"),
    "is newer": (lambda where: sql(where, "pragma user_version = 99"), "newer version"),
    "is another program's": (lambda where: sql(where, "pragma application_id = 5"), "another program"),
    "was altered": (lambda where: sql(where, "drop index spent_until"), "altered"),
    "has a hole": (lambda where: sql(where, "delete from revocation where epoch = 1"), "gap"),
}
"""What is wrong with a ledger, how it comes about, and a word of what is said."""

MEND_OR_LIST = ("log", "revocations", "limits", "status", "inspect")


def replaced_by_a_folder(where: Path) -> None:
    where.unlink()
    where.mkdir(mode=0o700)


def sql(where: Path, text: str) -> None:
    with closing(sqlite3.connect(where)) as db, db:
        db.execute(text)


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A ledger in the folder of the commands, with two calls, a request and two revocations."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HESSRA_LEDGER", "hessra.db")
    where, key = tmp_path / "hessra.db", KeyPair.generate()
    key.save(tmp_path / "key")

    async def calls(world: World) -> None:
        capability = world.issue(
            grant("send_email", to=must.anything(), body=must.anything()), limit(calls=9)
        )
        await world.call(capability)
        (tmp_path / "token").write_text(capability.token)
        await world.ledger.revoke(subject="agent:other")
        await world.ledger.revoke(before=1_000)

    guarded(where, calls)
    waiting(where, key, MAIL)
    return where


def run(command: str, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setenv("HESSRA_LEDGER", "hessra.db")  # each command takes it out of its environment
    return main(command.split())


def told(capfd: pytest.CaptureFixture[str]) -> list[str]:
    """What was said, without hints."""
    lines = capfd.readouterr().err.splitlines()
    return [line for line in lines if not line.startswith("hessra-agents: hint: ")]


@pytest.mark.parametrize("what", WRONG)
def test_every_command_says_in_one_line_what_is_wrong_with_a_ledger(
    what: str, ledger: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    make, word = WRONG[what]
    make(ledger)
    for command in COMMANDS:
        if what == "has a hole" and command.startswith(MEND_OR_LIST):
            continue  # they read no list of revocations as a whole
        told(capfd)
        code, lines = run(command, monkeypatch), told(capfd)
        assert code in (1, 2), (command, code)
        assert len(lines) == 1, (command, lines)
        assert word in lines[0], (command, lines)


def changed(table: str, old: str, new: str) -> str:
    """SQL that changes the JSON of every row."""
    return f"update {table} set body = cast(replace(cast(body as text), '{old}', '{new}') as blob)"


def added(body: str) -> str:
    """SQL that adds a record."""
    values = f"1, 90, cast('x' as blob), 'decision', cast('{body}' as blob)"
    return f"insert into entry (log, idx, op, kind, body) values ({values})"


def voted(statement: str) -> str:
    """SQL that adds a vote of somebody to each request."""
    return f"insert into vote select id, '{KeyPair.generate().public}', '{statement}' from request"


MADE_UP = {
    "a charge without a counter": changed("entry", '"counter"', '"count"'),
    "a charge of a string": changed("entry", '"at_most":9', '"at_most":"9"'),
    "charges that are a number": added('{"charges":5,"kind":"decision"}'),
    "a record that is none": added("["),
    "a record of odd fields": added(
        '{"at":"now","count":{},"kind":["decision"],"object":7,"subject":null,"verdict":{"a":1}}'
    ),
    "a request that is none": "update request set body = cast('{}' as blob)",
    "a request of numbers": changed("request", '"subject": ', '"subject": 5, "x": '),
    "a request that expires never": changed("request", '"expires": ', '"expires": null, "x": '),
    "a handle that is no hex": changed("request", '"approvers": [["', '"approvers": [["z'),
    "a request too deep": f"update request set body = cast('{'[' * 5000}' as blob)",
    "a vote that is none": voted("ha1.x"),
    "a vote of odd hex": voted("hr1.zz.q"),
    "a vote of nobody": "insert into vote select id, 'key', 'ha1.x' from request",
    "a revocation of any time": "update revocation set words = 'everything issued before x', at = 1 << 61",
    "a capability of no name": "update capability set subject = x'ff', holder = x'00', expires = 1 << 60",
}
"""What a writer of the store can put there, beside what guards wrote."""


FOREIGN = re.compile("UTF-8|Expecting|invalid literal|non-hexadecimal|NoneType|bug")
"""Words of exceptions that are not ours."""


@pytest.mark.parametrize("what", MADE_UP)
def test_no_row_that_somebody_made_up_makes_a_command_fail(
    what: str, ledger: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """It is refused or shown; a failure of ours would be code 3, or say that it is a bug."""
    sql(ledger, MADE_UP[what])
    for command in COMMANDS:
        if command in ("log tail --follow", "revoke --subject agent:desk --yes"):
            continue
        told(capfd)
        code = run(command, monkeypatch)
        lines = told(capfd)
        assert code in (0, 1, 2), (command, lines)
        assert not FOREIGN.search(" ".join(lines)), (command, lines)


def test_a_request_that_somebody_made_up_is_told_from_a_mistake(
    ledger: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    sql(ledger, MADE_UP["a request that is none"])
    for command in ("approvals", "status"):
        assert run(command, monkeypatch) in (1, 2)
        (line,) = told(capfd)
        assert "somebody else wrote to the store" in line
    sql(ledger, "delete from request")
    sql(ledger, MADE_UP["a charge of a string"])
    assert run("limits", monkeypatch) == 2
    (line,) = told(capfd)
    assert "is not one that a guard wrote" in line
    assert json.dumps(MAIL) not in line


def test_a_key_that_is_a_folder_is_told_by_its_name(
    ledger: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (ledger.parent / "folder").mkdir(mode=0o700)
    assert run("approve 0123456789abcdef --key folder --yes", monkeypatch) == 2
    assert told(capfd) == ["hessra-agents: folder: is a folder: name a file"]
