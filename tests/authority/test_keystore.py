"""Keys in a folder: which files there are, who follows whom, and a folder that was tampered with."""

from __future__ import annotations

import os
import re
import shutil
import stat
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Literal

import pytest

from hessra_agents import Authority, grant
from hessra_agents.authority.keyring import RootKey
from hessra_agents.authority.keystore import FolderKeys
from hessra_agents.keys.keyfile import KeyFileError

Step = Literal["prepare", "activate", "retire"]
START, PUBLISH = 1_800_000_000, 300
WHEN: dict[Step, int] = {
    "prepare": START,
    "activate": START + PUBLISH,
    "retire": START + PUBLISH + 24 * 3600 + 30,
}
MAIL, TTL = grant("send_email", to="ana@acme.com"), timedelta(minutes=1)


def opened(path: Path) -> Authority:
    """Open an authority that is there, or create it."""
    try:
        return Authority.open(path, clock=lambda: START)
    except KeyFileError as error:
        if not re.search("not an authority|interrupted", str(error)):
            raise
    with suppress(KeyFileError):  # another process may be faster
        return Authority.create(path, clock=lambda: START)
    return Authority.open(path, clock=lambda: START)


def rotated(path: Path, *steps: Step) -> Authority:
    root = opened(path)
    for step in steps:
        root.rotate(step, now=WHEN[step])
    return root


def files(path: Path) -> set[str]:
    return {one.name for one in path.glob("*.pem")}


def needed(root: Authority) -> set[str]:
    listed = root.keys()
    return {f"{key.kind}-{key.id}.pem" for key in listed if key.state != "retiring"}


def test_the_old_private_key_is_gone_when_the_new_one_signs(tmp_path: Path) -> None:
    """Preparation keeps both, activation deletes the old file: what signs no more cannot be stolen."""
    first = {"capability-1.pem", "identity-2.pem", "context-3.pem"}
    second = {"capability-4.pem", "identity-5.pem", "context-6.pem"}
    rotated(tmp_path / "keys", "prepare")
    assert files(tmp_path / "keys") == first | second
    root = rotated(tmp_path / "keys", "activate")
    assert files(tmp_path / "keys") == second
    assert set(root.trust.capability) == {1, 4}
    rotated(tmp_path / "keys", "retire")
    assert files(tmp_path / "keys") == second
    assert set(root.trust.capability) == {4}


def test_everything_in_the_folder_is_private(tmp_path: Path) -> None:
    """Folder 0700, every file 0600, whatever the umask."""
    umask = os.umask(0)
    try:
        rotated(tmp_path / "keys", "prepare", "activate")
    finally:
        os.umask(umask)
    assert stat.S_IMODE((tmp_path / "keys").stat().st_mode) == 0o700
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "keys").iterdir()}
    assert {"keyring.json", "keyring.lock", "capability-4.pem"} < set(modes)
    assert set(modes.values()) == {0o600}


def test_a_process_that_signs_follows_the_rotation_of_another(tmp_path: Path) -> None:
    """No restart, no delay: after activation elsewhere the next token is signed by the new key."""
    server, console = opened(tmp_path / "keys"), opened(tmp_path / "keys")
    assert server.signer("capability")[0] == 1
    console.rotate("prepare", now=WHEN["prepare"])
    assert server.signer("capability")[0] == 1
    assert server.trust == console.trust
    console.rotate("activate", now=WHEN["activate"])
    assert server.signer("capability")[0] == 4


def test_a_key_without_its_file_is_told_and_can_be_replaced(tmp_path: Path) -> None:
    """A lost prepared key is not activated and a lost active one does not sign; preparing mends both."""
    path = tmp_path / "keys"
    rotated(path, "prepare")
    (path / "capability-4.pem").unlink()
    with pytest.raises(KeyFileError, match=r"capability-4\.pem: does not exist, but keyring\.json names it"):
        rotated(path, "activate")
    (path / "capability-1.pem").unlink()
    with pytest.raises(KeyFileError, match=r"capability-1\.pem: does not exist, but keyring\.json names it"):
        opened(path).issue("agent:desk", MAIL, ttl=TTL)
    root = opened(path)
    root.rotate("prepare", kind="capability")
    assert set(root.trust.capability) == {1, 7}
    rotated(path, "activate")
    assert opened(path).signer("capability")[0] == 7


def test_a_key_that_was_lost_leaves_its_id_behind(tmp_path: Path) -> None:
    """The id of a prepared key that is given up, the highest so far, never comes back."""
    path = tmp_path / "keys"
    root = opened(path)
    for number in (4, 5, 6):
        root.rotate("prepare", kind="context")
        assert set(root.trust.context) == {3, number}
        (path / f"context-{number}.pem").unlink()


def test_a_key_that_is_replaced_while_it_is_looked_up_is_no_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between reading the keyring and the file another process activates: the new key signs."""
    path = tmp_path / "keys"
    server, console, real = opened(path), rotated(path, "prepare"), FolderKeys.has

    def late(store: FolderKeys, key: RootKey) -> bool:
        monkeypatch.undo()
        console.rotate("activate", now=WHEN["activate"])
        return real(store, key)

    monkeypatch.setattr(FolderKeys, "has", late)
    assert server.signer("capability")[0] == 4


def test_a_file_with_another_key_does_not_sign(tmp_path: Path) -> None:
    """A private key that the keyring does not name under this id is refused."""
    path = tmp_path / "keys"
    opened(path)
    shutil.copy(path / "identity-2.pem", path / "capability-1.pem")
    with pytest.raises(KeyFileError, match="not the key that"):
        opened(path).issue("agent:desk", MAIL, ttl=TTL)


def test_private_keys_without_a_keyring_are_not_taken_for_garbage(tmp_path: Path) -> None:
    """A lost keyring.json is told; a new one would delete the keys and give their ids to others."""
    path = tmp_path / "keys"
    opened(path)
    (path / "keyring.json").unlink()
    with pytest.raises(KeyFileError, match="restore that file"):
        opened(path)
    assert len(files(path)) == 3


def test_the_waits_of_a_folder_are_fixed_when_it_is_made(tmp_path: Path) -> None:
    """They are not said again, and a folder is not made twice."""
    path, hour = tmp_path / "keys", timedelta(hours=1)
    assert Authority.create(path, max_ttl=hour, propagation_delay=hour).max_ttl == hour
    assert (Authority.open(path).max_ttl, Authority.open(path).propagation_delay) == (hour, hour)
    with pytest.raises(KeyFileError, match="is an authority already"):
        Authority.create(path)


def test_a_misspelled_folder_makes_no_new_authority(tmp_path: Path) -> None:
    """Nobody notices a new one before every guard refuses what it signs."""
    Authority.create(tmp_path / "keys")
    (tmp_path / "empty").mkdir(0o700)
    for name in ("kyes", "empty", "keys/keys"):
        with pytest.raises(KeyFileError, match=r"not an authority: .*Authority\.create makes one"):
            Authority.open(tmp_path / name)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["empty", "keys"]
    assert list((tmp_path / "empty").iterdir()) == []


def link(path: Path) -> None:
    path.rename(path.with_suffix(".real"))
    path.symlink_to(path.with_suffix(".real"))


FAULTS: dict[str, Callable[[Path], object]] = {
    "a folder open to others": lambda path: path.chmod(0o750),
    "a keyring open to others": lambda path: (path / "keyring.json").chmod(0o644),
    "a keyring that is no JSON": lambda path: (path / "keyring.json").write_bytes(b"\xff{"),
    "a keyring that is too large": lambda path: (path / "keyring.json").write_bytes(b" " * (1 << 19)),
    "a keyring that is a link": lambda path: link(path / "keyring.json"),
    "a private key open to others": lambda path: (path / "capability-1.pem").chmod(0o640),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_folder_that_others_could_change_is_not_used(tmp_path: Path, fault: str) -> None:
    """Neither signing nor rotating starts from it, and the message names it."""
    path = tmp_path / "keys"
    opened(path)
    FAULTS[fault](path)
    for act in (lambda: opened(path).signer("capability"), lambda: rotated(path, "prepare")):
        with pytest.raises(KeyFileError, match=str(path)):
            act()
