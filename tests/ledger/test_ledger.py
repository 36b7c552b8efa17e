"""A ledger in memory when it is full, and a ledger's file that must not be used."""

from __future__ import annotations

import os
import shutil
import sqlite3
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest

from hessra_agents import Denied, KeyPair, Ledger, Reason, limit
from hessra_agents.ledger import LedgerError
from hessra_agents.tlog.notes import Checkpoint, sign
from hessra_agents.verify.permit import Permit
from tests.support.ledgers import Store, memory_of, opened_ledger
from tests.support.world import ANA, MAIL, World

pytestmark = pytest.mark.anyio
KEY = KeyPair.generate()
STRANGER = 54321


async def test_two_equal_calls_with_two_proofs_both_run(world: World) -> None:
    """Honest repetition is no replay: each proof has a nonce of its own."""
    held = world.issue(holder=KEY.public)
    for _ in range(3):
        assert await world.call(held, proof=world.prove(held, KEY)) == f"sent to {ANA}"


async def test_of_many_equal_proofs_at_once_one_runs(world: World) -> None:
    """A proof that is sent a hundred times side by side makes one call."""
    held = world.issue(holder=KEY.public)
    proof = world.prove(held, KEY)
    verdicts: list[Any] = []

    async def attempt() -> None:
        try:
            verdicts.append(await world.call(held, proof=proof))
        except Denied as denied:
            verdicts.append(denied.reason)

    async with anyio.create_task_group() as group:
        for _ in range(100):
            group.start_soon(attempt)
    assert sorted(map(str, verdicts)) == ["replayed"] * 99 + [f"sent to {ANA}"]
    assert len(world.ran) == 1


async def test_a_full_memory_refuses_and_recovers() -> None:
    """When no more can be remembered no more is let through, until what was remembered expires."""
    world = World(ledger=Ledger.memory(capacity=2))
    held = world.issue(holder=KEY.public)
    for _ in range(2):
        await world.call(held, proof=world.prove(held, KEY))
    with world.refuses("unavailable", "full"):
        await world.call(held, proof=world.prove(held, KEY))
    assert await world.call(world.issue()) == f"sent to {ANA}", "a bearer call needs no memory"
    world.now += 61
    assert await world.call(held, proof=world.prove(held, KEY)) == f"sent to {ANA}"
    assert len(memory_of(world.ledger)) == 1


async def test_a_memory_forgets_what_has_expired() -> None:
    """Also of bearers' calls: whoever can narrow a capability a thousand times does not fill it for good."""
    world = World()
    held = world.issue(limit(calls=1_000))
    for number in range(100):
        world.now += 1
        await world.call(held.attenuate(ttl=timedelta(seconds=2 + number % 2), now=world.now))
    store: Any = memory_of(world.ledger)._store
    for table in ("capability", "capability_mark"):
        ((kept,),) = store._db.execute(f"select count(*) from {table}").fetchall()
        assert kept < 60, table


async def test_a_refused_call_uses_nothing_up(world: World) -> None:
    """A call that is refused for another reason leaves its proof unused."""
    held = world.issue(holder=KEY.public)
    proof = world.prove(held, KEY)
    with world.refuses("wrong_call"):
        await world.call(held, arguments={"to": ANA, "body": "other"}, proof=proof)
    assert await world.call(held, proof=proof) == f"sent to {ANA}"


async def test_a_memory_holds_at_least_one() -> None:
    """A ledger that could remember nothing is a mistake."""
    with pytest.raises(ValueError, match="at least one"):
        Ledger.memory(0)


async def test_only_the_verifier_makes_a_permit(world: World) -> None:
    """A permit is not made by accident."""
    from hessra_agents import Call

    with pytest.raises(TypeError):
        Permit(Call.of("send_email", MAIL), world.issue(), "mail", 0, (), (), ())


async def test_the_window_of_a_proof_is_thirty_seconds(world: World) -> None:
    """At its edges a proof is good, one second beyond it is not."""
    held = world.issue(holder=KEY.public)
    for shift in (-30, 0, 30):
        assert await world.call(held, proof=world.prove(held, KEY, now=world.now + shift))
    world.ran.clear()
    for shift, reason in ((-31, Reason.EXPIRED), (31, Reason.NOT_YET_VALID)):
        with world.refuses(reason):
            await world.call(held, proof=world.prove(held, KEY, now=world.now + shift))


# A file that must not be used


def kept(path: Path, calls: int = 3) -> None:
    """A ledger file with the records of some calls, closed."""
    world = World(ledger=Ledger.open(path))

    async def work() -> None:
        for _ in range(calls):
            await world.call(world.issue())
        await world.ledger.aclose()

    anyio.run(work)


def refused(path: Path, *said: str) -> None:
    """It is not opened, the text says why, and nothing of it stays behind: repaired, it opens."""
    with pytest.raises(LedgerError) as caught:
        opened_ledger(path)
    assert str(path.name) in str(caught.value) or "log hessra-agents/" in str(caught.value)
    for words in said:
        assert words in str(caught.value)


def opens(path: Path) -> None:
    anyio.run(opened_ledger(path).aclose)


def altered(path: Path, *statements: str) -> None:
    """As whoever can write the file does it."""
    db = sqlite3.connect(path, isolation_level=None)
    for one in statements:
        db.execute(one)
    db.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A ledger file that was used."""
    found = tmp_path / "hessra.db"
    kept(found)
    return found


def test_a_file_is_for_its_owner_alone(path: Path) -> None:
    """It is made so, and refused when it is not; so is the log's folder."""
    parts = [path, Path(f"{path}.log"), Path(f"{path}.log/0"), Path(f"{path}.log/0/key")]
    for part in (*parts, Path(f"{path}.lock"), Path(f"{path}.log/0/checkpoint")):
        assert part.stat().st_mode & 0o077 == 0, part
    for part, mode in ((path, 0o640), (path, 0o602), (parts[1], 0o750), (parts[2], 0o701)):
        before = part.stat().st_mode
        part.chmod(mode)
        with pytest.raises(LedgerError, match=r"others|nobody else|chmod"):
            opened_ledger(path)
        part.chmod(before)
    opens(path)


@pytest.mark.parametrize("suffix", ["-wal", "-shm", "-journal", ".lock"])
def test_what_another_user_put_beside_a_file_is_not_used(tmp_path: Path, suffix: str) -> None:
    """It would be read as part of the ledger, or what is written would be read by its owner."""
    beside = tmp_path / f"hessra.db{suffix}"
    beside.touch()
    beside.chmod(0o666)
    with pytest.raises(LedgerError, match=rf"hessra.db{suffix}: others can reach it"):
        opened_ledger(tmp_path / "hessra.db")
    assert beside.read_bytes() == b""
    beside.unlink()
    beside.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(LedgerError, match="is a symbolic link"):
        opened_ledger(tmp_path / "hessra.db")
    assert not (tmp_path / "elsewhere").exists()
    beside.unlink()
    opens(tmp_path / "hessra.db")


def test_a_folder_where_every_user_can_replace_files_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    with pytest.raises(LedgerError, match=r"every user can replace the files in it.*chmod o-w"):
        opened_ledger(tmp_path / "hessra.db")
    assert list(tmp_path.iterdir()) == []
    tmp_path.chmod(0o1777)
    opens(tmp_path / "hessra.db")


def test_the_key_of_a_log_is_there_only_when_it_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process may read it at any moment; what a crash left of one is in nobody's way."""
    save, key, seen = KeyPair.save, tmp_path / "hessra.db.log/0/key", list[bool]()

    def watched(pair: KeyPair, path: str | Path) -> None:
        save(pair, path)
        seen.append(key.exists())

    monkeypatch.setattr(KeyPair, "save", watched)
    key.parent.mkdir(mode=0o700, parents=True)
    key.parent.parent.chmod(0o700)
    key.with_name("key.new").write_bytes(b"half a k")
    opens(tmp_path / "hessra.db")
    assert seen == [False]
    assert [one.name for one in key.parent.glob("key*")] == ["key"]


def test_a_file_of_another_user_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    me = os.geteuid()
    if me == 0:  # whose files everybody trusts
        os.chown(path, STRANGER, -1)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: me + 1)
    refused(path, "belongs to another user")


def test_a_link_is_refused(path: Path, tmp_path: Path) -> None:
    """Wherever it leads."""
    for number, target in enumerate((path, tmp_path / "nothing", tmp_path)):
        link = tmp_path / f"link{number}.db"
        link.symlink_to(target)
        refused(link, "symbolic link")
    assert not (tmp_path / "nothing").exists()


@pytest.mark.parametrize(
    "statement",
    [
        "alter table spent add column more text",
        "drop index used_until",
        "create index more on spent (kind)",
        "create trigger more after insert on used begin delete from used; end",
        "create view more as select * from spent",
        "create table more (x)",
        "drop table capability_mark",
    ],
)
def test_a_file_whose_tables_were_altered_is_refused(path: Path, statement: str) -> None:
    altered(path, statement)
    refused(path, "altered")


def test_a_file_of_a_newer_version_or_of_other_migrations_is_refused(path: Path) -> None:
    altered(path, "pragma user_version = 99")
    refused(path, "newer version")
    altered(path, "pragma user_version = 3")
    opens(path)
    altered(path, "update migration set checksum = 'x'")
    refused(path, "other migrations")


@pytest.mark.parametrize(
    "statement",
    [
        "alter table spent add column more text",
        "alter table used drop constraint used_amount_check",
        "alter table revocation alter column reason drop not null",
        "drop index used_until",
        "create index more on spent (kind)",
        "create trigger more before insert on used for each row execute function"
        " suppress_redundant_updates_trigger()",
        "create rule more as on insert to used do instead nothing",
        "create policy more on used using (false)",
        "create view more as select * from spent",
        "create table more (x int)",
        "drop table capability_mark",
    ],
)
def test_a_database_whose_tables_were_altered_is_refused(dsn: str, tmp_path: Path, statement: str) -> None:
    """No guard starts on it, and none is started by it."""
    store = Store("postgresql", dsn, tmp_path)
    store.open()
    store.close()
    store.sql(statement)
    with pytest.raises(LedgerError, match="altered"):
        store.open()


def test_a_database_of_a_newer_version_or_of_other_migrations_is_refused(dsn: str, tmp_path: Path) -> None:
    store = Store("postgresql", dsn, tmp_path)
    store.open()
    store.close()
    store.sql("insert into migration values (99, 'x', 'x')")
    with pytest.raises(LedgerError, match="newer version"):
        store.open()
    store.sql("delete from migration where number = 99")
    store.sql("update migration set checksum = 'x'")
    with pytest.raises(LedgerError, match="other migrations"):
        store.open()


def test_a_file_of_something_else_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    for number, statements in enumerate(
        (
            ["create table notes (text)"],
            ["pragma application_id = 5"],
            ["create table notes (text)", "vacuum"],
        )
    ):
        other = tmp_path / f"other{number}.db"
        other.touch(mode=0o600)
        altered(other, *statements)
        refused(other, "another program")
        assert sqlite3.connect(other).execute("select count(*) from sqlite_master").fetchone()[0] <= 1
    text = tmp_path / "notes.txt"
    text.touch(mode=0o600)
    text.write_bytes(b"These are my notes.\n" * 100)
    refused(text, "not a database")
    assert text.read_bytes() == b"These are my notes.\n" * 100


def test_a_file_that_is_gone_or_empty_or_an_old_copy_is_noticed(path: Path, tmp_path: Path) -> None:
    """The folder of the log outlives it and says what it held."""
    old = tmp_path / "old.db"
    shutil.copy(path, old)
    kept(path)
    path.rename(tmp_path / "aside.db")
    refused(path, "has 0 records", "its last checkpoint covers 12")
    path.unlink()
    path.touch(mode=0o600)
    refused(path, "has 0 records")
    shutil.copy(old, path)
    refused(path, "has 6 records", "its last checkpoint covers 12")
    shutil.copy(tmp_path / "aside.db", path)
    opens(path)


def test_a_record_that_was_edited_is_noticed(path: Path) -> None:
    """One letter of one record."""
    altered(
        path,
        "update entry set body = cast(replace(cast(body as text), 'desk', 'disk') as blob) where idx = 2",
    )
    refused(path, "does not hold the 6 records")


@pytest.mark.parametrize("what", ["another key", "nobody", "another log", "cut", "empty"])
def test_a_checkpoint_that_the_log_did_not_sign_is_refused(path: Path, what: str) -> None:
    checkpoint, key = Path(f"{path}.log/0/checkpoint"), KeyPair.load(f"{path}.log/0/key")
    text, stranger = checkpoint.read_text(), KeyPair.generate()
    origin = text.partition("\n")[0]
    other = Checkpoint("hessra-agents/0000000000000000", 6, b"0" * 32)
    found = {
        "another key": sign(Checkpoint(origin, 6, b"0" * 32).text, origin, stranger),
        "nobody": Checkpoint(origin, 6, b"0" * 32).text,
        "another log": sign(other.text, other.origin, key),
        "cut": text[:-20],
        "empty": "",
    }
    checkpoint.write_text(found[what])
    with pytest.raises(LedgerError, match="its checkpoint is"):
        opened_ledger(path)
    checkpoint.write_text(text)
    opens(path)


def test_a_place_where_no_file_can_be_is_refused(tmp_path: Path) -> None:
    """A folder, a missing folder, one that takes no files, and an address of another kind."""
    folder = tmp_path / "folder"
    folder.mkdir(mode=0o700)
    refused(folder)
    refused(tmp_path / "missing" / "hessra.db")
    refused(Path("/proc/hessra.db"))
    for address in ("", "mysql://host/db", "sqlite://hessra.db", "file://hessra.db"):
        with pytest.raises(LedgerError, match="the path of a file, or a postgresql:// address"):
            opened_ledger(address)


def test_every_process_writes_a_log_of_its_own(path: Path) -> None:
    """Two at a time have two; the next one takes the first that is free."""
    first, second = opened_ledger(path), opened_ledger(path)
    assert sorted(one.name for one in Path(f"{path}.log").iterdir()) == ["0", "1"]
    for one in (first, second):
        anyio.run(one.aclose)
    kept(path)
    assert sorted(one.name for one in Path(f"{path}.log").iterdir()) == ["0", "1"]


def taken_away(path: Path, how: str) -> None:
    copy = path.with_name("copy.db")
    shutil.copy(path, copy)
    if how == "deleted":
        path.unlink()
    elif how == "replaced":
        copy.rename(path)
        for rest in ("-wal", "-shm"):
            Path(f"{path}{rest}").unlink()
    else:
        path.rename(path.with_name("away.db"))


@pytest.mark.parametrize("how", ["deleted", "replaced", "moved away"])
async def test_a_file_that_is_taken_away_while_it_is_used_is_noticed(path: Path, how: str) -> None:
    """What is written from then on would be lost with the process."""
    world = World(ledger=Ledger.open(path))
    held = world.issue()
    await world.call(held)
    taken_away(path, how)
    with world.refuses("unavailable"):
        await world.call(held)
    await world.ledger.aclose()


def delete(where: Path) -> None:
    """The file and all beside it."""
    for one in where.parent.glob(f"{where.name}*"):
        shutil.rmtree(one) if one.is_dir() else one.unlink()


async def test_a_checkpoint_that_is_kept_elsewhere_is_held_against_the_log(tmp_path: Path) -> None:
    """Whoever deletes store and folder together is found by someone who kept a checkpoint."""
    where, kept = tmp_path / "hessra.db", tmp_path / "checkpoints"
    world = World(ledger=Ledger.open(where))
    await world.call(world.issue())
    await world.ledger.aclose()
    kept.write_text((tmp_path / "hessra.db.log" / "0" / "checkpoint").read_text())
    await opened_ledger(where, checkpoints=kept).aclose()
    delete(where)
    await opened_ledger(where).aclose()
    with pytest.raises(LedgerError, match="not of a log of"):
        opened_ledger(where, checkpoints=kept)
    with pytest.raises(LedgerError, match="No such file"):
        opened_ledger(where, checkpoints=tmp_path / "none")


async def test_closing_twice_closes_nothing_of_anybody_else(tmp_path: Path) -> None:
    """The number of the lock's file may be another file's by then."""
    ledger = opened_ledger(tmp_path / "hessra.db")
    await ledger.aclose()
    others = [os.open(os.devnull, os.O_RDONLY) for _ in range(8)]
    await ledger.aclose()
    for one in others:
        os.close(one)


async def test_a_log_whose_first_record_was_lost_is_made_again(tmp_path: Path) -> None:
    """Its own row went with the transaction; what comes later is not a log that nobody names."""
    where = tmp_path / "hessra.db"
    ledger = opened_ledger(where)
    world = World(ledger=ledger)
    shutil.move(where, tmp_path / "away")
    with world.refuses("unavailable"):
        await world.call(world.issue())
    shutil.move(tmp_path / "away", where)
    while not world.ran:
        try:
            await world.call(world.issue())
        except Denied:
            await anyio.sleep(0.05)
    await ledger.aclose()
    db = sqlite3.connect(where)
    assert db.execute("select count(*) from entry where log not in (select id from log)").fetchone() == (0,)
    db.close()


async def test_a_refused_call_forgets_nothing_that_is_still_there() -> None:
    """What a memory holds is counted right, also after calls that it refused."""
    world = World(ledger=Ledger.memory(4))
    once = world.issue(limit(calls=1), holder=KEY.public)
    held = world.issue(holder=KEY.public)
    await world.call(once, proof=world.prove(once, KEY))
    for _ in range(3):
        world.now += 62
        await world.call(held, proof=world.prove(held, KEY))
        world.now += 62
        with world.refuses("spent"):
            await world.call(once, proof=world.prove(once, KEY))
        memory: Any = memory_of(world.ledger)
        [(rows,)] = memory._store._db.execute("select count(*) from spent").fetchall()
        assert (len(memory), rows) == (0, 0)


async def test_a_memory_that_is_full_of_narrowed_capabilities_refuses(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It does not grow with what a bearer makes of a capability, and others' time makes room again."""
    monkeypatch.setattr("hessra_agents.ledger.memory.MAX_BYTES", 1 << 18)
    world = World(ledger=Ledger.memory(1))
    capability = world.issue(limit(calls=10**6))
    reasons: list[Reason] = []
    for _ in range(600):
        narrowed = capability.attenuate(limit(calls=5), ttl=timedelta(seconds=90), now=world.now)
        try:
            await world.call(narrowed)
        except Denied as denied:
            reasons.append(denied.reason)
    assert {*reasons} == {Reason.UNAVAILABLE}
    world.now += 91
    assert await world.call(world.issue(limit(calls=1))) == f"sent to {ANA}"
