"""The PostgreSQL of the tests, and the network that fails, do what they say."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import asyncpg
import pytest

from tests.support import processes
from tests.support.network import BlackHole, Pipe
from tests.support.postgres import Postgres

on_asyncio = pytest.mark.asyncio  # asyncpg knows no other loop

LATE = 0.2
"""Seconds after which an answer that has not come is not coming."""

CUT = (ConnectionError, asyncpg.PostgresConnectionError)

MAY_I_ENCRYPT = bytes.fromhex("0000000804d2162f")
"""PostgreSQL's SSLRequest: our server answers N."""


def through(dsn: str, port: int) -> str:
    """The same database by way of another port."""
    before, _, after = dsn.rpartition(":")
    return f"{before}:{port}/{after.partition('/')[2]}"


@asynccontextmanager
async def connected(dsn: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(dsn, timeout=processes.PATIENCE)
    try:
        yield connection
    finally:
        connection.terminate()


async def asked(dsn: str, question: str) -> object:
    async with connected(dsn) as connection:
        return await connection.fetchval(question)


def ask(dsn: str, question: str) -> object:
    return asyncio.run(asked(dsn, question))


def command_lines() -> list[bytes]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            found.append(path.read_bytes())
    return found


def test_every_fresh_database_is_empty_and_its_owner_is_no_superuser(postgres: Postgres) -> None:
    tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"
    one, other = postgres.fresh(), postgres.fresh()
    ask(one, "CREATE TABLE mine (x int)")
    assert (ask(one, tables), ask(other, tables)) == (1, 0)
    assert ask(one, "SELECT rolsuper FROM pg_roles WHERE rolname = current_user") is False


def test_a_wrong_password_is_refused(postgres: Postgres) -> None:
    dsn = postgres.fresh()
    with pytest.raises(asyncpg.InvalidPasswordError):
        ask(dsn.replace("@", "x@"), "SELECT 1")


def test_the_password_is_in_no_command_line_and_no_log(postgres: Postgres) -> None:
    password = postgres.fresh().split(":")[2].partition("@")[0]
    told = command_lines()
    assert len(password) == 32
    assert any(b"hessra-postgres-" in line for line in told)
    assert not any(password.encode() in line for line in told)
    assert password not in postgres.log()


def test_the_server_syncs_and_listens_on_loopback_alone_and_is_never_root(postgres: Postgres) -> None:
    assert ask(postgres.dsn, "SHOW fsync") == "on"
    assert ask(postgres.dsn, "SHOW listen_addresses") == "127.0.0.1"
    assert ask(postgres.dsn, "SHOW unix_socket_directories") == ""
    assert Path(f"/proc/{postgres.pid}").stat().st_uid != 0


@pytest.mark.parametrize("end", ["stop fast", "stop immediate", "kill"])
def test_what_was_committed_outlives_the_end_of_the_server(postgres: Postgres, end: str) -> None:
    dsn = postgres.fresh()
    ask(dsn, "CREATE TABLE kept AS SELECT 7 AS x")
    assert postgres.pid
    family = [postgres.pid, *processes.children(postgres.pid)]
    {
        "stop fast": postgres.stop,
        "stop immediate": lambda: postgres.stop("immediate"),
        "kill": postgres.kill,
    }[end]()
    assert {processes.state(one)[0] for one in family} <= {"X", "Z"}
    with pytest.raises(ConnectionRefusedError):
        ask(dsn, "SELECT 1")
    postgres.start()
    assert ask(dsn, "SELECT x FROM kept") == 7


def test_a_frozen_server_can_be_stopped(postgres: Postgres) -> None:
    postgres.freeze()
    postgres.stop()
    assert postgres.pid is None


def test_a_test_finds_the_server_running_whatever_the_one_before_did(dsn: str) -> None:
    assert ask(dsn, "SELECT 1") == 1


@on_asyncio
async def test_a_frozen_server_answers_nothing_until_it_is_thawed(postgres: Postgres, dsn: str) -> None:
    async with connected(dsn) as connection:
        postgres.freeze()
        late = asyncio.create_task(connection.fetchval("SELECT 1"))
        with pytest.raises(TimeoutError):
            await asyncpg.connect(dsn, timeout=LATE)
        assert not late.done()
        postgres.thaw()
        assert await late == 1


@on_asyncio
async def test_a_black_hole_lets_connect_and_never_answers() -> None:
    with BlackHole() as hole:
        reader, writer = await asyncio.open_connection("127.0.0.1", hole.port)
        writer.write(MAY_I_ENCRYPT)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(1), LATE)
        writer.close()


@on_asyncio
async def test_a_pipe_carries_what_it_is_given(postgres: Postgres, dsn: str) -> None:
    with Pipe(postgres.port) as pipe:
        async with connected(through(dsn, pipe.port)) as connection:
            assert await connection.fetchval("SELECT repeat('x', 1000000)") == "x" * 1_000_000
            await connection.close()


@on_asyncio
async def test_a_stalled_pipe_delivers_all_when_it_is_healed(postgres: Postgres, dsn: str) -> None:
    with Pipe(postgres.port) as pipe:
        async with connected(through(dsn, pipe.port)) as connection:
            pipe.stall()
            late = asyncio.create_task(connection.fetchval("SELECT 1"))
            assert await asyncio.wait([late], timeout=LATE) == (set(), {late})
            pipe.heal()
            assert await late == 1


@on_asyncio
async def test_a_pipe_that_holds_answers_leaves_a_commit_done_and_unknown(
    postgres: Postgres, dsn: str
) -> None:
    await asked(dsn, "CREATE TABLE spent (x int)")
    with Pipe(postgres.port) as pipe:
        async with connected(through(dsn, pipe.port)) as connection:
            pipe.stall(requests=False)
            late = asyncio.create_task(connection.execute("INSERT INTO spent VALUES (1)"))
            async with asyncio.timeout(processes.PATIENCE):
                while not await asked(dsn, "SELECT count(*) FROM spent"):
                    assert not late.done()
            pipe.cut()
            with pytest.raises(CUT):
                await late


@on_asyncio
async def test_a_cut_pipe_resets_the_connected_and_the_new_until_it_is_healed(
    postgres: Postgres, dsn: str
) -> None:
    with Pipe(postgres.port) as pipe:
        reader, writer = await asyncio.open_connection("127.0.0.1", pipe.port)
        writer.write(MAY_I_ENCRYPT)
        assert await reader.read(1) == b"N"
        pipe.cut()
        with pytest.raises(ConnectionResetError):
            await reader.read(1)
        writer.close()
        with pytest.raises(CUT):
            await asked(through(dsn, pipe.port), "SELECT 1")
        pipe.heal()
        assert await asked(through(dsn, pipe.port), "SELECT 1") == 1


@pytest.mark.parametrize("act", ["thaw", "freeze"])
@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda end: end.name)
def test_nothing_is_left_however_the_tests_end(end: signal.Signals, act: str) -> None:
    script = f"""if True:
        from tests.support.postgres import Postgres
        with Postgres() as server:
            server.{act}()
            print(server.pid, server._watcher.pid, server._folder, flush=True)
            input()
    """
    with subprocess.Popen(
        [sys.executable, "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        assert process.stdout
        pid, watcher, folder = process.stdout.readline().split()
        family = [int(pid), *processes.children(int(pid))]
        assert len(family) > 4
        process.send_signal(end)
        processes.until(int(watcher), "XZ")
    assert not os.path.exists(folder)
    assert {processes.state(one)[0] for one in family} <= {"X", "Z"}
