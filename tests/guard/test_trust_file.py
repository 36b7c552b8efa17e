"""A guard that follows a file of trusted keys: rotation and removal reach it while it runs."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from hessra_agents import Authority, Denied, Trust, grant
from hessra_agents.guard import trust_file
from tests.support.clocks import backend, pass_time
from tests.support.processes import PATIENCE
from tests.support.world import World

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    return backend(request.param)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "trust.json"


async def looked(until: Callable[[], bool]) -> None:
    """Have the half seconds between two looks pass until something holds."""
    with anyio.fail_after(PATIENCE * 1000):
        while not until():
            pass_time(trust_file.INTERVAL)
            await anyio.sleep(0.001)


async def test_a_new_key_is_known_and_a_removed_one_refused_while_the_guard_runs(file: Path) -> None:
    """In an open toolbox as well; the file is replaced in one step, as `Trust.save` does."""
    world, other = World(), Authority.ephemeral(clock=lambda: 1_800_000_000)
    world.authority.trust.save(file)
    async with world.guard.follow_trust(file):
        desk = world.guard.toolbox(world.issue(grant("now")))
        assert await desk.call("now", {}) == 0
        other.trust.save(file)
        await looked(lambda: world.guard.trust == other.trust)
        with pytest.raises(Denied) as denied:
            await desk.call("now", {})
        assert denied.value.reason in ("unknown_root", "bad_signature")
        world.authority.trust.save(file)
        await looked(lambda: world.guard.trust == world.authority.trust)
        assert await desk.call("now", {}) == 0


def become_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


def become_free(file: Path) -> None:
    if file.is_dir():
        file.rmdir()


def rewrite(file: Path, text: str) -> None:
    """In place, so that the file keeps its inode and even its time."""
    about = file.stat()
    file.write_text(text)
    os.utime(file, ns=(about.st_atime_ns, about.st_mtime_ns))


SPOILED: dict[str, Callable[[Path], object]] = {
    "gone": lambda file: file.unlink(),
    "cut": lambda file: file.write_bytes(file.read_bytes()[:-10]),
    "empty": lambda file: file.write_text(""),
    "without keys": lambda file: Trust().save(file),
    "a folder": become_folder,
    "not for us": lambda file: file.write_text("{}"),
    "another file": lambda file: file.write_text("[1]"),
}


@pytest.mark.parametrize("how", SPOILED)
async def test_what_cannot_be_used_changes_nothing_and_is_said_once(
    file: Path, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    world = World()
    world.authority.trust.save(file)
    caplog.set_level(logging.WARNING, "hessra_agents")
    async with world.guard.follow_trust(file) as follower:
        SPOILED[how](file)
        await looked(lambda: bool(caplog.records))
        for _ in range(3):
            follower.look()
        assert [str(file) in one.getMessage() for one in caplog.records] == [True]
        assert world.guard.trust == world.authority.trust
        become_free(file)
        other = Authority.ephemeral()
        other.trust.save(file)
        await looked(lambda: world.guard.trust == other.trust)


async def test_a_change_within_the_same_moment_is_seen(file: Path) -> None:
    """Written in place, of the same length, and with the time of the file before."""
    world, one, two = World(), Authority.ephemeral().trust, Authority.ephemeral().trust
    one.save(file)
    async with world.guard.follow_trust(file) as follower:
        rewrite(file, two.text)
        follower.look()
        assert world.guard.trust == two


async def test_a_file_is_read_only_when_it_changed(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world, reads = World(), []
    world.authority.trust.save(file)
    os.utime(file, (1, 1))
    load = Trust.load

    def counted(path: Path) -> Trust:
        reads.append(path)
        return load(path)

    monkeypatch.setattr(Trust, "load", counted)
    async with world.guard.follow_trust(file) as follower:
        reader = world.guard.settings.reader
        for _ in range(5):
            follower.look()
        assert len(reads) == 1
        assert world.guard.settings.reader is reader, "the capabilities that were read stay known"


async def test_a_guard_does_not_begin_with_a_file_that_it_cannot_use(file: Path) -> None:
    world = World()
    with pytest.raises(ValueError, match="cannot be read: No such file"):
        async with world.guard.follow_trust(file):
            raise AssertionError
    Trust().save(file)
    with pytest.raises(ValueError, match="names no key"):
        async with world.guard.follow_trust(file):
            raise AssertionError


async def test_an_error_of_the_block_passes_as_it_is(file: Path) -> None:
    """Not wrapped in a group; and a cancelled block ends."""
    world = World()
    world.authority.trust.save(file)
    with pytest.raises(LookupError, match="mine"):
        async with world.guard.follow_trust(file):
            raise LookupError("mine")
    with anyio.move_on_after(0.01) as scope:
        async with world.guard.follow_trust(file):
            await anyio.sleep_forever()
    assert scope.cancelled_caught


def test_trust_has_a_text_form() -> None:
    trust = Authority.ephemeral().trust
    assert Trust.parse(trust.text) == Trust.parse(trust.text.encode()) == trust
    with pytest.raises(ValueError, match="larger than"):
        Trust.parse(" " * ((1 << 20) + 1))
    for text in ("", "[]", '{"roots": {}}', '{"capability": {"01": "x"}}'):
        with pytest.raises(ValueError, match=r"\w"):
            Trust.parse(text)
