"""The ledger through crashes, disks that fail, files that are damaged, clocks that jump, servers that go.

Each fault has a control: the same fault on something that does without our protection, and shows it. A short
form runs with the other tests, HESSRA_SOAK=1 runs the whole; both tell at the end how often what was put in.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import resource
import shutil
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, closing, contextmanager, suppress
from datetime import timedelta
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio
import asyncpg
import pytest

from hessra_agents import Call, Capability, Denied, KeyPair, approved_by, limit
from hessra_agents.ledger import LedgerError, forgetting
from hessra_agents.ledger.log.reader import Logs
from hessra_agents.ledger.store import writer
from hessra_agents.ledger.store.connection import StoreError
from hessra_agents.tokens.revocation_ids import revocation_id
from tests.faults import COUNTED, SAID, SOAK, times
from tests.faults.checking import check, left
from tests.faults.damage import (
    CALLING,
    COPY,
    OPENING,
    UNCHECKED,
    UNUSED,
    VERIFYING,
    Damage,
    Filled,
    cut,
    flip,
)
from tests.faults.tracing import Fault, traced
from tests.faults.workers import Scene, Worker, workers
from tests.support.ledgers import Store, commits, once_each, opened_ledger, until
from tests.support.ledgers import anyio_backend as anyio_backend
from tests.support.ledgers import store as store
from tests.support.network import Pipe
from tests.support.postgres import Postgres
from tests.support.processes import PATIENCE
from tests.support.world import MAIL

pytestmark = pytest.mark.timeout(times(300, 7200))  # each test starts and ends many processes
on_asyncio = pytest.mark.asyncio
PROCESSES = 8
SYSTEM = "%file,%desc"
KILL = "signal=KILL"
WRITES = {
    "fchmod", "fdatasync", "flock", "fsync", "ftruncate", "mkdir", "openat", "pwrite64", "rename", "renameat",
    "unlink", "unlinkat", "write",
}  # fmt: skip
"""What the short form puts faults into."""
LOCKS = 24
"""Of all calls that lock, so many meet a fault, spread: SQLite waits for itself, 10 s, where one fails."""


@pytest.fixture
def disk() -> Iterator[Path]:
    """A folder on a disk: what is kept in memory needs no ``fdatasync``, and shows nothing of it."""

    with TemporaryDirectory(prefix="hessra-faults-", dir="/var/tmp") as folder:
        yield Path(folder)


# Killed


def test_killed_processes_lose_no_call_and_exceed_no_limit(disk: Path) -> None:
    """Whoever is killed is replaced, until the limit is used up: all is charged that was acknowledged."""
    goal = times(12, 1000)
    scene = Scene(disk / "store", goal * 8)
    kills, pick, permitted = goal, random.Random(4), set[str]()
    with ExitStack() as stack:

        def start() -> Worker:
            found = stack.enter_context(Worker(scene)).ready()
            assert found.open(scene) == ""
            found.tell("call", calls=6, callers=4)
            return found

        running = [start() for _ in range(PROCESSES)]
        while running and kills > 0:
            one = running.pop(0)
            enough = len(one.permitted) + pick.randrange(1, 12)
            one.hear_until("done", when=partial(has, one, enough))
            one.kill()
            assert not one.foreign
            permitted |= one.permitted
            kills -= 1
            running.append(start())
        for one in running:
            one.hear_until("done")
            permitted |= one.permitted
        one.does("call", calls=scene.most, stop=True)
        one.does("close")
        COUNTED["kills"] += goal - kills
        COUNTED["calls acknowledged before a kill, none lost"] += len(permitted)
        permitted |= one.permitted
    found = check(scene, permitted)
    assert found.used == scene.most, "all of the limit could be used"


def has(worker: Worker, enough: int) -> bool:
    return len(worker.permitted) >= enough


def test_the_control_a_counter_without_a_transaction_goes_wrong(disk: Path) -> None:
    """The same processes on a plain table: more runs than the limit, or less is counted than ran."""
    scene = Scene(disk / "store", 1)
    where = str(disk / "plain.db")
    with sqlite3.connect(where) as db:
        db.execute("pragma journal_mode = wal")
        db.execute("create table plain (used integer)")
        db.execute("create table plain_op (op text)")
        db.execute("insert into plain values (0)")
    with ExitStack() as stack:
        some = [stack.enter_context(Worker(scene)).ready() for _ in range(PROCESSES)]
        for one in some:
            one.tell("plain", where=where, most=100, calls=1000)
        for one in some:
            one.hear_until("done")
    ((used,),) = sqlite3.connect(where).execute("select used from plain").fetchall()
    ran = sum(len(one.permitted) for one in some)
    assert ran > used, "the fault that a ledger must not have"


def test_a_kill_between_decision_and_tool_is_told_as_it_was_and_charges_once(disk: Path) -> None:
    """The record says permitted, without an outcome; made again by its name, the call is charged once."""
    scene = Scene(disk / "store", 2)
    with workers(scene, 2) as (one, other):
        one.does("decide")
        one.kill()
        COUNTED["kills"] += 1
        (op,) = one.permitted
        before = check(scene, {op})
        assert (before.used, before.outcomes) == (1, set())
        other.does("again", op=op)
        assert left(scene).used == 1, "the same call, once"
        other.does("again", op=os.urandom(16).hex())
        assert left(scene).used == 2, "the control: another name is another call"
    check(scene, other.permitted)


def test_eight_processes_get_exactly_what_the_limit_has_and_none_waits_forever(disk: Path) -> None:
    """Their worst waits are told at the end, with our queue and, the control, with SQLite's own waiting."""
    for busy in (False, True):
        scene = Scene(disk / f"store-{busy}", PROCESSES * times(20, 300))
        with workers(scene, PROCESSES, busy=busy) as some:
            for one in some:
                one.tell("call", calls=scene.most // PROCESSES)
            worst = [one.hear_until("done")["worst"] for one in some]
            permitted = set[str]().union(*(one.permitted for one in some))
            assert not any(one.foreign for one in some)
        found = check(scene, permitted)
        if not busy:
            assert found.used == scene.most == len(permitted)
        how = "SQLite's busy handler alone" if busy else "our queue"
        SAID.append(
            f"the worst wait of {PROCESSES} processes that spend, with {how}: {max(worst) * 1000:.0f} ms"
        )


# Calls of the system that fail


def places_of(worker: Worker, scene: Scene, out: Path) -> tuple[dict[str, list[int]], ...]:
    """The calls of the system on a ledger's files: to open it, and to make six calls and close it."""
    with traced(worker.pid, out / "opening", "-y", f"--trace={SYSTEM}") as opening:
        assert worker.open(scene) == ""
    with traced(worker.pid, out / "serving", "-y", f"--trace={SYSTEM}") as serving:
        worker.does("call", calls=6)
        worker.does("close")
    return tuple(
        {call: at for call, at in trace.places(scene.state.parent).items() if SOAK or call in WRITES}
        for trace in (opening, serving)
    )


def some(call: str, places: list[int], short: int) -> list[int]:
    """So many of them, spread; all in the long run."""
    most = min(len(places), short if not SOAK else LOCKS if call == "fcntl" else len(places))
    return places[len(places) // most - 1 :: len(places) // most][:most]


def test_opening_meets_a_fault_in_every_call_of_the_system(disk: Path) -> None:
    """It opens or says why not; when the fault is over it opens, by the same process, and serves."""
    root = Scene(disk, 100)
    with Worker(root) as worker:
        # the first time, our own files are read; what is looked for is in those of the store
        worker.ready().open(root.beside("first"))
        worker.does("close")
        opening, _ = places_of(worker, root.beside("counted"), disk)
        assert {"openat", "pwrite64", "fdatasync", "flock", "fsync", "write", "mkdir"} <= opening.keys()
        refused = 0
        for number, fault in enumerate(faults(opening, 1)):
            scene = root.beside(str(number))
            with traced(worker.pid, disk / "trace", *fault.arguments) as trace:
                said = worker.open(scene)
                worker.does("close")
            COUNTED["injections"] += trace.injected > 0
            refused += bool(said)
            assert "foreign" not in said, (fault, said)
            assert worker.open(scene) == "", fault
            worker.does("call", calls=1)
            worker.does("close")
            assert len(worker.permitted) == 1, fault
            check(scene, worker.permitted)
        assert refused, "some were noticed"


def faults(places: dict[str, list[int]], short: int) -> Iterator[Fault]:
    """Once, and from there on, EIO and ENOSPC."""
    for call, found in places.items():
        for place in some(call, found, short):
            yield Fault(call, f"error={'ENOSPC' if place % 2 else 'EIO'}", str(place))
            yield Fault(call, "error=EIO", f"{place}+")
            yield from times(0, 1) * [Fault(call, "error=ENOSPC", f"{place}+")]


def test_serving_meets_a_fault_in_every_call_of_the_system(disk: Path) -> None:
    """Calls are permitted or ``unavailable``, and permitted again when it is over, by the same process."""
    root = Scene(disk, 1_000_000)
    with Worker(root) as worker:
        _, serving = places_of(worker.ready(), root.beside("counted"), disk)
        assert {"openat", "pwrite64", "fdatasync", "flock", "fsync", "write", "renameat"} <= serving.keys()
        scene = root.beside("served")
        assert worker.open(scene) == ""
        for fault in faults(serving, 2):
            with traced(worker.pid, disk / "trace", *fault.arguments) as trace:
                worker.does("call", calls=6)
            COUNTED["injections"] += trace.injected > 0
            assert resumes(worker), fault
            assert not worker.foreign, fault
        worker.does("close")
        assert set(worker.denied.values()) == {"unavailable"}
        found = check(scene, worker.permitted)
        SAID.append(
            f"faults while serving: {len(worker.permitted)} calls acknowledged, "
            f"{len(found.decided - worker.permitted)} written and not acknowledged, "
            f"{len(worker.denied)} refused as unavailable"
        )


def resumes(worker: Worker) -> bool:
    """Whether the process is served again, without a word from us."""
    before, end = len(worker.permitted), time.monotonic() + PATIENCE
    while len(worker.permitted) == before and time.monotonic() < end:
        assert worker.does("call", calls=1)
    return len(worker.permitted) > before


def test_a_kill_in_every_call_of_the_system_loses_nothing(disk: Path) -> None:
    root = Scene(disk, 1000)
    with Worker(root) as other:
        _, serving = places_of(other.ready(), root.beside("counted"), disk)
        unanswered = 0
        for number, (call, place) in enumerate(
            (kind, at) for kind, found in serving.items() for at in some(kind, found, 1)
        ):
            scene = root.beside(str(number))
            with Worker(root) as worker:
                assert worker.ready().open(scene) == ""
                with traced(worker.pid, disk / "trace", *Fault(call, KILL, str(place)).arguments) as trace:
                    worker.does("call", calls=6)
                    worker.does("close")
                COUNTED["kills"] += trace.injected > 0
            found = check(scene, worker.permitted)
            unanswered += len(found.decided - worker.permitted)
            assert other.open(scene) == ""
            other.does("call", calls=1)
            other.does("close")
            assert len(other.permitted) == 1
    SAID.append(f"kills in calls of the system: {unanswered} calls written and not acknowledged")


# A disk that is full


def test_a_full_disk_refuses_and_serves_again_when_there_is_room(disk: Path) -> None:
    """The ledger is all that is on a disk of 2 MiB, but for a file that grows to its end, and goes."""
    scene = Scene(disk / "store", 100_000)
    with small_disk(scene) as worker:
        worker.does("call", calls=5)
        room = Path(f"/proc/{worker.pid}/root{scene.where}")
        for _ in range(times(2, 20)):
            fill(room.with_name("ballast"))
            COUNTED["full disks"] += 1
            worker.denied.clear()
            worker.does("call", calls=3)
            assert list(worker.denied.values()) == ["unavailable"] * 3
            room.with_name("ballast").unlink()
            start = time.monotonic()
            assert resumes(worker)
            SAID.append(f"served again {(time.monotonic() - start) * 1000:.0f} ms after a full disk had room")
        worker.does("close")
        assert not worker.foreign
        inside = Scene(disk / "copy", 100_000)
        shutil.copytree(room.parent / "log", inside.state)
        shutil.copy2(room, inside.where)
        check(inside, worker.permitted)


@contextmanager
def small_disk(scene: Scene) -> Iterator[Worker]:
    """A process that alone sees a small file system, where it opens the ledger. It goes with the process."""
    folder = Path(scene.where).parent
    mount = f'mount -t tmpfs -o size=2m,mode=700 none "{folder}" && exec "$@"'
    allowed = () if os.getuid() == 0 else ("--user", "--map-root-user")
    trust = scene.trust.rename(scene.folder.with_name("trust.json"))
    scene.trust = trust
    with Worker(scene, under=["unshare", *allowed, "--mount", "sh", "-c", mount, "sh"]) as worker:
        assert worker.ready().open(scene) == ""
        yield worker


def fill(path: Path) -> None:
    """To the last byte."""
    with path.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))


# Files that are damaged, moved, or old


@on_asyncio
@pytest.mark.parametrize("damage", [flip, cut])
async def test_a_damaged_write_ahead_log_is_noticed_at_opening(disk: Path, damage: Damage) -> None:
    """SQLite drops the rest of such a log and says that all is well, as the control shows."""
    pick, filled = random.Random(6), Filled(disk / "store")
    await filled.fill(20, log=True)
    for number in range(times(30, 1000)):
        found, where = await filled.notices("hessra.db-wal", damage, pick, disk / str(number))
        COUNTED[f"write-ahead logs damaged and noticed ({damage.__name__})"] += 1
        assert found in (OPENING, COPY), where
    assert filled.well(damage, pick, disk / "control") == "ok", "the control: SQLite's own check"


@on_asyncio
async def test_a_damaged_page_is_noticed_or_holds_nothing(disk: Path) -> None:
    """Revocations, used statements and records are noticed, whichever bit is another. Not so what is in no
    hash and in no index: salts of records, sums of limits, words of a revocation, who held a capability.
    """
    pick, filled = random.Random(7), Filled(disk / "store")
    await filled.fill(times(20, 100), log=False)
    found: Counter[str] = Counter()
    for number in range(times(60, 1000)):
        said, where = await filled.notices("hessra.db", flip, pick, disk / str(number))
        found[said] += 1
        assert said in (OPENING, CALLING, VERIFYING, UNUSED, UNCHECKED, COPY), (said, where)
    assert found[OPENING] > found[CALLING] + found[VERIFYING]
    told = ", ".join(f"{count} {how}" for how, count in found.most_common())
    SAID.append(f"flipped bits in the database: {told}")


def test_a_file_that_is_taken_away_or_put_back_old_is_not_written_to(disk: Path) -> None:
    """What is written there would be acknowledged, and gone. With its file back the ledger serves again."""
    scene = Scene(disk / "store", 1000)
    with Worker(scene) as worker:
        assert worker.ready().open(scene) == ""
        worker.does("call", calls=5)
        with closing(sqlite3.connect(scene.where)) as db, closing(sqlite3.connect(disk / "old.db")) as old:
            db.backup(old)
        worker.does("call", calls=300)
        move(scene.folder, disk / "away")
        worker.does("call", calls=2)
        shutil.copy(disk / "old.db", scene.where)
        Path(scene.where).chmod(0o600)
        worker.does("call", calls=2)
        assert list(worker.denied.values()) == ["unavailable"] * 4
        move(scene.folder, disk / "nowhere")
        move(disk / "away", scene.folder)
        assert resumes(worker)
        assert not worker.foreign
        check(scene, worker.permitted)


def move(here: Path, there: Path) -> None:
    """The files of a store; its log stays."""
    there.mkdir(exist_ok=True)
    for one in here.glob("hessra.db*"):
        one.rename(there / one.name)


@pytest.mark.parametrize("kind", ["nfs", "nfs4", "cifs", "smb3", "9p", "ceph", "fuse.sshfs", "ext4", "tmpfs"])
def test_a_file_on_a_network_is_refused(disk: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """As the system's list of mounts has it; it has the folder's device, whatever was mounted over it."""
    device = disk.stat().st_dev
    mounts = f"36 35 {os.major(device)}:{os.minor(device)} / / rw,noatime master:1 - {kind} server:/x rw\n"
    read = Path.read_text
    told = lambda path, *rest: mounts if str(path) == "/proc/self/mountinfo" else read(path, *rest)  # noqa: E731
    monkeypatch.setattr(Path, "read_text", told)
    if kind in ("ext4", "tmpfs"):
        anyio.run(opened_ledger(disk / "hessra.db").aclose)
    else:
        with pytest.raises(LedgerError, match="network"):
            opened_ledger(disk / "hessra.db")
        assert not (disk / "hessra.db").exists()


def test_two_processes_write_two_logs(disk: Path) -> None:
    scene = Scene(disk / "store", 10)
    with workers(scene, 2) as (one, other):
        one.does("call", calls=2)
        other.does("call", calls=2)
        one.does("close")
        other.does("close")
        with Logs(scene.where, state_dir=scene.state) as logs:
            assert [log.size for log in logs.all()] == [4, 4]
    check(scene, one.permitted | other.permitted)


# Clocks that jump


@pytest.mark.anyio
@once_each
@pytest.mark.parametrize("jump", [-3600, 3600, -1_799_999_999, 251_602_300_799])
async def test_a_clock_that_jumps_frees_nothing(
    store: Store, monkeypatch: pytest.MonkeyPatch, jump: int
) -> None:
    """By an hour, to 1970 and to 9999, and back: no proof and no limit is new, what expired stays expired."""
    monkeypatch.setattr(forgetting, "EXPIRE_EVERY", 0.0)
    world = store.world()
    start, key = world.now, KeyPair.generate()
    held = world.issue(limit(calls=1), holder=key.public)
    proof = world.prove(held, key)
    await world.call(held, proof=proof)
    world.now = start + jump
    with world.refuses("expired" if jump > 0 else "not_yet_valid"):
        await world.call(held, proof=world.prove(held, key))
    later = world.issue()
    assert await world.call(later), "what is issued by the same clock is good"
    assert world.ledger.revoked.age < 1, "what is known of revocations has no age of its own"
    world.now = start
    with pytest.raises(Denied) as caught:
        await world.call(held, proof=proof)
    assert caught.value.reason in ("replayed", "stale", "spent")
    with pytest.raises(Denied) as caught:
        await world.call(held, proof=world.prove(held, key))
    assert caught.value.reason in ("stale", "spent")
    fresh = world.issue(limit(calls=1, per=timedelta(hours=1)), holder=key.public)
    assert await world.call(fresh, proof=world.prove(fresh, key)), "whose clock is right is not kept from it"
    assert len(world.ran) == 3


# A store that is gone, full or slow


@asynccontextmanager
async def fails(store: Store, how: str, postgres: Postgres) -> AsyncIterator[None]:
    """Inside of the block the store is gone, full or slow."""
    with ExitStack() as stack:
        if store.name == "sqlite" and how == "gone":
            move(store.folder, store.folder / "away")
            stack.callback(move, store.folder / "away", store.folder)
        elif store.name == "sqlite" and how == "full":
            limits = resource.getrlimit(resource.RLIMIT_FSIZE)
            resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
            stack.callback(resource.setrlimit, resource.RLIMIT_FSIZE, limits)
        elif store.name == "sqlite":
            other = stack.enter_context(closing(sqlite3.connect(store.where, isolation_level=None)))
            other.execute("begin immediate")
        elif how == "gone":
            postgres.kill()
            stack.callback(postgres.start)
        elif how == "full":
            store.sql(FULL)
            for table in ("entry", "request", "revocation"):
                called = "for each row execute function hessra.full_disk()"
                store.sql(f"create trigger full_disk before insert on hessra.{table} {called}")
            stack.callback(store.sql, "drop function hessra.full_disk cascade")
        else:
            postgres.freeze()
            stack.callback(postgres.thaw)
        yield


FULL = """create function hessra.full_disk() returns trigger language plpgsql
as 'begin raise exception using errcode = ''53100''; end'"""


@pytest.mark.anyio
@once_each
@pytest.mark.parametrize("how", ["gone", "full", "slow"])
async def test_what_works_without_the_store_and_what_is_refused(
    store: Store, postgres: Postgres, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """Reading and attenuating work; what has to be remembered is ``unavailable`` in time, and not done."""
    world, approver = store.world(), KeyPair.generate()
    held, asking = world.issue(limit(calls=3)), world.issue(approved_by(approver.public, tools="send_email"))
    await world.call(held)
    await until(lambda: store.sql("select 1 from entry where kind = 'outcome'"))
    waits: dict[str, float] = {}

    async def refused(what: str, attempt: Callable[[], Awaitable[object]]) -> None:
        start = time.monotonic()
        with pytest.raises(Denied) as caught:
            await attempt()
        waits[what] = time.monotonic() - start
        assert caught.value.reason == "unavailable", what

    async with fails(store, how, postgres):
        monkeypatch.setattr(world.ledger.revoked, "_bound", 3600.0)
        monkeypatch.setattr(writer, "DEADLINE", 0.5)
        with anyio.fail_after(PATIENCE):
            async with anyio.create_task_group() as group:
                group.start_soon(refused, "a limit", partial(world.call, held))
                group.start_soon(refused, "an approval", partial(world.call, asking))
                group.start_soon(refused, "a record", partial(world.call, world.issue()))
                group.start_soon(refused, "a revocation", partial(world.guard.ledger.revoke, held))
        assert world.guard.check_capability(held).subject == "agent:desk", (
            "what is known holds up to the bound"
        )
        Capability.parse(held.attenuate(limit(calls=1)).token, world.guard.trust)
        if how != "full":  # what only reads goes on there
            monkeypatch.setattr(world.ledger.revoked, "_bound", 0.05)
            await until(lambda: world.ledger.revoked.age > 0.05)
            with world.refuses("stale"):
                world.guard.check_capability(held)
    monkeypatch.undo()
    with anyio.fail_after(PATIENCE):
        await again(partial(world.call, world.issue()))
    COUNTED["outages"] += 1
    SAID.append(f"{store.name} {how}: refused after {max(waits.values()) * 1000:.0f} ms at most")
    await world.ledger.aclose()
    told = [one for one in store.records() if one["kind"] == "revocation"]
    assert (
        len(told) == len(store.sql("select 1 from revocation")) == store.sql("select epoch from state")[0][0]
    )
    assert len(world.ran) == 2
    permitted = [one for one in store.records() if one.get("verdict") == "permitted" and "charges" in one]
    ran = [one["op"] for one in store.records() if one.get("outcome") == "done"]
    assert sum(one["op"] in ran for one in permitted) == 1


@pytest.mark.anyio
@once_each
async def test_a_revocation_that_was_never_written_is_not_known(store: Store) -> None:
    """It was read by another call, in the transaction that it was lost with. The ledger serves again."""
    world = store.world()
    held = world.issue()
    reached, go = threading.Event(), threading.Event()

    def lost(real: Callable[[], None]) -> None:
        reached.set()
        go.wait(PATIENCE)
        raise StoreError("the disk is full")

    async def refused(attempt: Callable[[], Awaitable[object]]) -> None:
        with pytest.raises(Denied, match="unavailable"):
            await attempt()

    with commits(world.ledger, lost):
        async with anyio.create_task_group() as group:
            group.start_soon(refused, partial(world.call, held))
            await until(reached.is_set)
            group.start_soon(refused, partial(world.guard.ledger.revoke, subject="agent:desk"))
            group.start_soon(refused, partial(world.call, held))
            await anyio.wait_all_tasks_blocked()
            go.set()  # the next transaction has both
    with anyio.fail_after(PATIENCE):
        await again(partial(world.call, held))
    assert world.ledger.revoked.epoch == 0


# A server that goes away under load


ends: dict[str, Callable[[Postgres], None]] = {
    "fast": lambda server: server.stop("fast"),
    "immediate": lambda server: server.stop("immediate"),
    "kill": Postgres.kill,
    "freeze": Postgres.freeze,
}


@on_asyncio
@pytest.mark.parametrize("end", [*ends, "cut"])
async def test_calls_under_way_while_the_server_goes_away_are_charged_once(
    postgres: Postgres, dsn: str, tmp_path: Path, end: str
) -> None:
    """Eight tasks make each call again, by its name, until it is permitted, and go on until one is not."""
    tasks, calls = 8, times(8, 200)
    with Pipe(postgres.port) as pipe:
        place = Store("postgresql", dsn.replace(f":{postgres.port}/", f":{pipe.port}/"), tmp_path)
        world = place.world()
        held = world.issue(limit(calls=1_000_000))
        permit = world.guard.decide(held, Call.of("send_email", MAIL))
        permitted, refused = set[bytes](), Counter[str]()
        some, down, up = asyncio.Event(), asyncio.Event(), asyncio.Event()

        async def caller() -> None:
            for number in itertools.count():
                if number == calls // 2:
                    await down.wait()
                if number >= calls and up.is_set():
                    return
                op = os.urandom(16)
                while op not in permitted:
                    try:
                        await world.ledger.admit(permit, op)
                        permitted.add(op)
                    except Denied as denied:
                        refused[str(denied.reason)] += 1
                        up.set()
                some.set()

        loop, committing = asyncio.get_running_loop(), asyncio.Event()

        def unheard(real: Callable[[], None]) -> None:
            """The commit is done, and nobody hears of it."""
            if not committing.is_set():
                pipe.stall(requests=False)
                loop.call_soon_threadsafe(committing.set)
            real()

        async def outage() -> None:
            await some.wait()
            if end == "cut":
                with commits(world.ledger, unheard):
                    down.set()
                    await committing.wait()
                await until(lambda: store_has_more(dsn, len(permitted)))
                await asyncio.to_thread(pipe.cut)
            else:
                down.set()
                await asyncio.to_thread(partial(ends[end], postgres))
            await up.wait()  # somebody was refused
            await asyncio.to_thread(pipe.heal)
            postgres.thaw()
            await asyncio.to_thread(postgres.start)

        async with asyncio.timeout(PATIENCE * 4), asyncio.TaskGroup() as group:
            group.create_task(outage())
            for _ in range(tasks):
                group.create_task(caller())
        await world.ledger.aclose()
        COUNTED["servers ended"] += 1
        COUNTED["calls refused while a server was away, and made again"] += refused.total()
        assert refused.keys() <= {"unavailable", "stale"}
        ops = {one["op"] for one in place.records() if one["kind"] == "decision"}
        assert ops == {op.hex() for op in permitted}
        assert place.sql("select sum(amount)::int from used") == [(len(permitted),)], "each once"
        with world.refuses("unavailable"):
            await world.call(held)


def store_has_more(dsn: str, count: int) -> bool:
    """Whether more calls are written than were acknowledged."""
    found = Store("postgresql", dsn, Path()).sql("select count(*) from entry where kind = 'decision'")
    return bool(found[0][0] > count)


# News of revocations that is lost, doubled, out of order


HANG_UP = "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'hessra-agents'"


@on_asyncio
async def test_no_revocation_is_missed_whatever_becomes_of_the_news(dsn: str, tmp_path: Path) -> None:
    """Listeners are hung up on, and told what is not so, in any order, while two guards revoke."""
    place = Store("postgresql", dsn, tmp_path)
    world, other = place.world(), place.world()
    named = [f"agent:{number}" for number in range(times(24, 500))]
    for number, name in enumerate(named):
        place.sql("select pg_notify('hessra_revoked', n::text) from generate_series(9, 1, -1) n")
        if number % 4 == 0:
            place.sql(HANG_UP)
            COUNTED["listeners hung up on"] += 1
        revoke = (world, other)[number % 2].guard.ledger.revoke
        await again(partial(revoke, subject=name))
    with anyio.fail_after(PATIENCE):
        for one in (world, other):
            await again(partial(one.guard.ledger.wait_for_epoch, len(named)))
    marks = [revocation_id("subject", name.encode()) for name in named]
    for one in (world, other):
        assert one.ledger.revoked.epoch == len(named)
        for found in marks:
            with pytest.raises(Denied, match="revoked"):
                one.ledger.revoked.check([found], one.now)
        await one.ledger.aclose()


async def again(attempt: Callable[[], Awaitable[object]]) -> None:
    """Until it is done."""
    while True:
        try:
            await attempt()
            return
        except (Denied, TimeoutError):
            continue


@on_asyncio
async def test_the_control_a_feed_by_row_number_misses_what_commits_late(dsn: str) -> None:
    """Numbers are taken when a row is written, and seen when it is committed. Ours waits for that."""
    one, other = await asyncpg.connect(dsn), await asyncpg.connect(dsn)
    try:
        await one.execute("create table feed (number int generated always as identity, name text)")
        late = one.transaction()
        await late.start()
        await one.execute("insert into feed (name) values ('late')")
        await other.execute("insert into feed (name) values ('early')")
        last = await other.fetchval("select max(number) from feed where number > 0")
        await late.commit()
        assert await other.fetch("select name from feed where number > $1", last) == []
        assert await other.fetchval("select count(*) from feed") == 2, "it is there, and never read"
    finally:
        await one.close()
        await other.close()


@on_asyncio
async def test_a_revocation_that_commits_late_holds_up_the_next(dsn: str, tmp_path: Path) -> None:
    place = Store("postgresql", dsn, tmp_path)
    world = place.world()
    other = await asyncpg.connect(dsn, server_settings={"search_path": "hessra"})
    try:
        late = other.transaction()
        await late.start()
        await other.execute("select epoch from state for update")
        await other.execute("update state set epoch = epoch + 1")
        async with asyncio.TaskGroup() as group:
            early = group.create_task(world.guard.ledger.revoke(subject="agent:early"))
            await until(lambda: place.sql("select 1 from pg_locks where not granted") or early.done())
            assert not early.done()
            row = (1, "subject", revocation_id("subject", b"agent:late"), "subject agent:late", "", 0)
            await other.execute("insert into revocation values ($1, $2, $3, $4, $5, $6)", *row)
            await late.commit()
        assert early.result() == 2
        assert world.ledger.revoked.epoch in (0, 1, 2)
        await world.guard.ledger.wait_for_epoch(2)
    finally:
        other.terminate()
        await world.ledger.aclose()
