"""Keys in a folder: a crash at any system call, a full disk, and several processes at once."""

from __future__ import annotations

import itertools
import os
import shutil
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hessra_agents import Authority, Capability, PublicKey
from hessra_agents.authority.keyring import RootKey
from hessra_agents.keys.keyfile import KeyFileError
from hessra_agents.keys.trust import KINDS
from tests.authority.test_keystore import MAIL, PUBLISH, START, TTL, Step, files, needed, opened, rotated

SYSTEM_CALLS = ("open", "fchmod", "fsync", "replace", "unlink", "mkdir", "listdir")
CRASHED, REFUSED = 9, 3
STATES: dict[Step, list[str]] = {
    "prepare": ["active"] * 3 + ["prepared"] * 3,
    "activate": ["retiring"] * 3 + ["active"] * 3,
    "retire": ["active"] * 3,
}


def in_process(act: Callable[[], Any], *, dies_at: int = 0) -> int:
    """Fork a process for ``act`` and return its number.

    It exits with 0, REFUSED for a step that is not possible, or CRASHED where it dies without any clean-up:
    before its system call number ``dies_at``.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # fork beside threads, from Python 3.12 on
        child = os.fork()
    if child:
        return child
    count = itertools.count(1)

    def mortal(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            if next(count) == dies_at:
                os._exit(CRASHED)
            return real(*args, **options)

        return call

    try:
        for name in SYSTEM_CALLS:
            setattr(os, name, mortal(getattr(os, name)))
        act()
        os._exit(0)
    except KeyFileError:
        os._exit(1)
    except ValueError:
        os._exit(REFUSED)
    finally:
        os._exit(2)


def outcome(child: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def check(root: Authority, before: tuple[RootKey, ...], after: list[str], ids: dict[int, PublicKey]) -> bool:
    """Zero or one step happened, every kind can sign with a trusted key, no id means two keys."""
    listed = root.keys()
    for key in listed:
        assert ids.setdefault(key.id, key.public) == key.public
    for kind in KINDS:
        key_id, pair = root.signer(kind)
        assert root.trust.key(kind, key_id) == pair.public
    if listed == before:
        return False
    assert [key.state for key in listed] == after
    return True


@pytest.mark.parametrize("step", STATES)
@pytest.mark.parametrize("fault", ["crash", "full disk"])
def test_a_fault_anywhere_leaves_zero_or_one_completed_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: Step, fault: str
) -> None:
    """The process dies, or the system refuses, at each call in turn; what is left signs, and goes on."""
    base = tmp_path / "base"
    before = rotated(base, *list(STATES)[: list(STATES).index(step)]).keys()
    seen: set[bool] = set()
    for number in itertools.count(1):
        path = tmp_path / str(number)
        shutil.copytree(base, path)
        if fault == "crash":
            code = outcome(in_process(lambda path=path: rotated(path, step), dies_at=number))  # type: ignore[misc]
            finished = code == 0
            assert code in {0, CRASHED}
        else:
            finished = not fails(monkeypatch, lambda path=path: rotated(path, step), number)  # type: ignore[misc]
        ids: dict[int, PublicKey] = {}
        happened = check(opened(path), before, STATES[step], ids)
        seen.add(happened)
        assert needed(opened(path)) <= files(path)
        root = opened(path) if happened else rotated(path, step)
        assert check(root, before, STATES[step], ids)
        rotated(path, "activate" if step == "prepare" else "prepare")
        assert files(path) == needed(opened(path))  # no private key is left that nobody needs
        shutil.rmtree(path)
        if finished:
            break
    assert number > 10
    assert seen == {False, True}


def fails(monkeypatch: pytest.MonkeyPatch, act: Callable[[], Any], number: int) -> bool:
    """Run with an error of the system at call ``number``; whether there was one, told as `KeyFileError`."""
    count = itertools.count(1)

    def full(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            if next(count) == number:
                raise OSError(28, "No space left on device")
            return real(*args, **options)

        return call

    with monkeypatch.context() as patch:
        for name in SYSTEM_CALLS:
            patch.setattr(os, name, full(getattr(os, name)))
        try:
            act()
        except KeyFileError as error:
            assert "No space left" in str(error)  # noqa: PT017
            return True
    return False


def test_a_crash_while_the_folder_is_made_is_mended_when_it_is_opened(tmp_path: Path) -> None:
    """At each call in turn: the next one to open it finds or makes one active key of every kind."""
    for number in itertools.count(1):
        path = tmp_path / str(number)
        code = outcome(in_process(lambda path=path: opened(path), dies_at=number))  # type: ignore[misc]
        root = opened(path)
        assert [key.state for key in list(root.keys())] == ["active"] * 3
        token = root.issue("agent:desk", MAIL, ttl=TTL).token
        assert Capability.parse(token, root.trust).subject == "agent:desk"
        assert files(path) == needed(root)
        if code == 0:
            break
    assert number > 20


@pytest.mark.parametrize("step", STATES)
def test_of_several_processes_one_does_the_step(tmp_path: Path, step: Step) -> None:
    """Four start together: one succeeds, three are refused, and nobody undoes the other's work."""
    rotated(tmp_path / "keys", *list(STATES)[: list(STATES).index(step)])
    ready, start = os.pipe()

    def act() -> None:
        os.close(start)
        os.read(ready, 1)  # until the starter closes its end
        rotated(tmp_path / "keys", step)

    children = [in_process(act) for _ in range(4)]
    os.close(start)
    os.close(ready)
    assert sorted(outcome(child) for child in children) == [0, REFUSED, REFUSED, REFUSED]
    root = opened(tmp_path / "keys")
    assert [key.state for key in list(root.keys())] == STATES[step]
    assert files(tmp_path / "keys") == needed(root)


def test_several_processes_make_one_folder(tmp_path: Path) -> None:
    """Whoever comes second opens what the first one made."""
    children = [in_process(lambda: opened(tmp_path / "keys").signer("capability")) for _ in range(4)]
    assert [outcome(child) for child in children] == [0] * 4
    assert [key.id for key in list(opened(tmp_path / "keys").keys())] == [1, 2, 3]


def test_signing_goes_on_while_another_process_rotates(tmp_path: Path) -> None:
    """A key that is deleted between reading the keyring and the file is no failure."""
    root, now = opened(tmp_path / "keys"), START

    def act() -> None:
        for turn in range(15):
            root.rotate("prepare", kind="capability", now=now + turn * PUBLISH)
            root.rotate("activate", kind="capability", now=now + (turn + 1) * PUBLISH)

    child = in_process(act)
    issued: list[Capability] = []
    while os.waitpid(child, os.WNOHANG)[0] == 0:
        issued.append(root.issue("agent:desk", MAIL, ttl=TTL))
    assert root.signer("capability")[0] == 18
    for one in issued:
        assert Capability.parse(one.token, root.trust).subject == "agent:desk"
    assert issued


def test_signing_goes_on_while_another_thread_rotates() -> None:
    """Keys in memory are replaced whole: a thread that signs sees the old ones or the new ones."""
    root = Authority.ephemeral(clock=lambda: START)

    def act() -> None:
        for turn in range(100):
            root.rotate("prepare", now=START + turn * PUBLISH)
            root.rotate("activate", now=START + (turn + 1) * PUBLISH)

    thread = threading.Thread(target=act)
    thread.start()
    issued: list[Capability] = []
    while thread.is_alive():
        issued.append(root.issue("agent:desk", MAIL, ttl=TTL))
    assert root.signer("capability")[0] == 301
    for one in issued:
        assert Capability.parse(one.token, root.trust).subject == "agent:desk"
