"""Key files: private from their first moment, never written over, and no secret in any message."""

from __future__ import annotations

import base64
import os
import stat
import traceback
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, rsa, x25519
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hessra_agents import KeyPair, PublicKey, files
from hessra_agents.keys.keyfile import KeyFileError

WORDS = b"correct horse battery staple"
STRANGER = 54321
PEM = serialization.Encoding.PEM
PKCS8 = serialization.PrivateFormat.PKCS8
PLAIN = serialization.NoEncryption()


def secrets(pair: KeyPair, *passphrases: bytes) -> list[str]:
    """Every way in which a private key or a passphrase could show in a text."""
    raw = pair.private.private_bytes_raw()
    pem = pair.private.private_bytes(PEM, PKCS8, PLAIN).decode().splitlines()[1:-1]
    standard, url = base64.b64encode(raw).decode(), base64.urlsafe_b64encode(raw).decode()
    shown = [raw.hex(), standard.rstrip("="), url.rstrip("="), repr(raw)[2:-1], str(list(raw)), *pem]
    return shown + [text for one in passphrases for text in (one.decode(), one.hex())]


def told(error: BaseException) -> str:
    """All that anybody could print of an exception, its causes included."""
    text = "".join(traceback.format_exception(error))
    current: BaseException | None = error
    while current is not None:
        text += f"\n{current!r} {current} {current.args} {vars(current)}"
        current = current.__cause__ or current.__context__
    return text


def refused(act: Callable[[], Any], *said: str, pair: KeyPair | None = None) -> None:
    """``act`` raises `KeyFileError` with these words, and with no secret in any text of it."""
    with pytest.raises(KeyFileError) as caught:
        act()
    for words in said:
        assert words in str(caught.value)
    for secret in secrets(pair, WORDS) if pair else [WORDS.decode()]:
        assert secret not in told(caught.value)


@pytest.mark.parametrize("passphrase", [None, WORDS, b"\x00\xff", b"x" * 1023])
def test_a_key_comes_back_from_its_file(tmp_path: Path, passphrase: bytes | None) -> None:
    """What was written is read as the same key, plain or sealed."""
    pair = KeyPair.generate()
    pair.save(tmp_path / "keys" / "desk.pem", passphrase=passphrase)
    found = KeyPair.load(tmp_path / "keys" / "desk.pem", passphrase=passphrase)
    assert found.public == pair.public
    assert pair.public.signed(found.sign(b"text"), b"text")


def test_the_format_is_the_standard_one(tmp_path: Path) -> None:
    """The example of RFC 8410 is read, and other tools read what is written, plain and sealed."""
    example = b"MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC"
    put(tmp_path / "rfc.pem", b"-----BEGIN PRIVATE KEY-----\n" + example + b"\n-----END PRIVATE KEY-----\n")
    public = "19bf44096984cdfe8541bac167dc3b96c85086aa30b6b6cb0c5c38ad703166e1"
    assert KeyPair.load(tmp_path / "rfc.pem").public == PublicKey(bytes.fromhex(public))
    pair = KeyPair.generate()
    for name, passphrase in (("plain", None), ("sealed", WORDS)):
        pair.save(tmp_path / name, passphrase=passphrase)
        data = (tmp_path / name).read_bytes()
        found = serialization.load_pem_private_key(data, passphrase)
        assert isinstance(found, Ed25519PrivateKey)
        assert found.private_bytes_raw() == pair.private.private_bytes_raw()
        kind = b"ENCRYPTED PRIVATE KEY" if passphrase else b"PRIVATE KEY"
        assert data.startswith(b"-----BEGIN " + kind + b"-----\n")


def test_file_and_folder_are_private_from_their_first_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody else can open the file even while it is written, whatever the umask."""
    seen: list[tuple[int, int]] = []
    real = os.open

    def watched(path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        opened = real(path, flags, mode, dir_fd=dir_fd)
        if flags & os.O_CREAT:
            seen.append((flags, stat.S_IMODE(os.fstat(opened).st_mode)))
        return opened

    monkeypatch.setattr(os, "open", watched)
    before = os.umask(0)
    try:
        KeyPair.generate().save(tmp_path / "keys" / "desk.pem")
    finally:
        os.umask(before)
    ((flags, mode),) = seen
    assert mode == 0o600
    assert flags & os.O_EXCL
    assert flags & os.O_NOFOLLOW
    assert stat.S_IMODE((tmp_path / "keys").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "keys" / "desk.pem").stat().st_mode) == 0o600


def test_a_key_file_is_on_disk_when_write_returns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file, its folder, and for a new folder the one above it are synced."""
    synced: list[int] = []
    real = os.fsync

    def watched(opened: int) -> None:
        synced.append(os.fstat(opened).st_ino)
        real(opened)

    monkeypatch.setattr(os, "fsync", watched)
    folder = tmp_path / "keys"
    KeyPair.generate().save(folder / "desk.pem")
    assert synced == [path.stat().st_ino for path in (tmp_path, folder / "desk.pem", folder)]


def test_a_key_file_is_never_written_over(tmp_path: Path) -> None:
    """A second key under the same name is refused, also where a link points to nothing."""
    first, second = KeyPair.generate(), KeyPair.generate()
    first.save(tmp_path / "desk.pem")
    refused(lambda: second.save(tmp_path / "desk.pem"), "desk.pem", "never written over", pair=second)
    assert KeyPair.load(tmp_path / "desk.pem").public == first.public
    (tmp_path / "link.pem").symlink_to(tmp_path / "elsewhere.pem")
    refused(lambda: second.save(tmp_path / "link.pem"), "link.pem", pair=second)
    assert not (tmp_path / "elsewhere.pem").exists()


@pytest.mark.parametrize("call", ["fsync", "fchmod"])
def test_a_failed_write_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    """When the disk is full the half-written file goes, and writing again works."""
    pair = KeyPair.generate()

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, call, full)
        refused(lambda: pair.save(tmp_path / "desk.pem"), "desk.pem", "No space left", pair=pair)
    assert os.listdir(tmp_path) == []
    pair.save(tmp_path / "desk.pem")


MODES = [
    *((mode, 0o700, mode & 0o077 == 0) for mode in (0o600, 0o400, 0o640, 0o620, 0o610, 0o604, 0o602, 0o666)),
    *((0o600, mode, True) for mode in (0o500, 0o700, 0o710, 0o750, 0o701, 0o755, 0o1777, 0o1775)),
    *((0o600, mode, False) for mode in (0o720, 0o770, 0o775, 0o777, 0o702, 0o2775)),
]


@pytest.mark.parametrize(("file", "folder", "private"), MODES, ids=lambda value: f"{value:o}")
def test_a_key_that_others_can_reach_or_replace_is_not_read(
    tmp_path: Path, file: int, folder: int, private: bool
) -> None:
    """Any bit for group or others of the file, and a folder in which others can replace it.

    Nobody is told to change the mode of a folder: it may be a home, or ``/tmp``.
    """
    pair, path = KeyPair.generate(), tmp_path / "keys" / "desk.pem"
    pair.save(path)
    path.chmod(file)
    path.parent.chmod(folder)
    if private:
        assert KeyPair.load(path).public == pair.public
    else:
        what = "mkdir -m 700" if folder != 0o700 else "chmod 600"
        refused(lambda: KeyPair.load(path), str(path.parent), what, pair=pair)
        path.chmod(0o600)
    if private and folder & 0o200:
        pair.save(path.parent / "new.pem")
        assert stat.S_IMODE((path.parent / "new.pem").stat().st_mode) == 0o600
    elif not private and folder != 0o700:
        refused(lambda: pair.save(path.parent / "new.pem"), "mkdir -m 700", pair=pair)
        assert not (path.parent / "new.pem").exists()


@pytest.mark.parametrize("what", ["desk.pem", ""])
def test_a_key_of_another_user_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """A file or a folder that somebody else owns could change at any time; root could do that anyway."""
    pair, path = KeyPair.generate(), tmp_path / "keys" / "desk.pem"
    pair.save(path)
    if os.geteuid() == 0:
        monkeypatch.setattr(os, "geteuid", lambda: STRANGER)
        assert KeyPair.load(path).public == pair.public  # of root
        monkeypatch.undo()
        os.chown(path.parent / what, STRANGER, -1)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: STRANGER)
    refused(lambda: KeyPair.load(path), "another user", pair=pair)


def put(path: Path, data: bytes) -> None:
    path.touch(0o600)
    path.write_bytes(data)


def test_only_a_regular_file_is_read(tmp_path: Path) -> None:
    """Links, pipes, folders and what is not there are refused, without waiting and by name."""
    pair, path = KeyPair.generate(), tmp_path / "keys" / "desk.pem"
    pair.save(path)
    (tmp_path / "keys" / "link").symlink_to("desk.pem")
    (tmp_path / "way").symlink_to("keys")
    os.mkfifo(tmp_path / "pipe", 0o600)
    (tmp_path / "folder").mkdir(0o700)
    refused(lambda: KeyPair.load(tmp_path / "keys" / "link"), "link", "symbolic link", pair=pair)
    refused(lambda: KeyPair.load(tmp_path / "way" / "desk.pem"), "way", "link", pair=pair)
    refused(lambda: KeyPair.load(tmp_path / "pipe"), "pipe", "not a regular file")
    refused(lambda: KeyPair.load(tmp_path / "folder"), "folder")
    refused(lambda: KeyPair.load(path.parent / "other.pem"), "other.pem", "not there")
    refused(lambda: KeyPair.load(tmp_path / "none" / "desk.pem"), "none", "not there")
    refused(lambda: pair.save(tmp_path / "none" / "of" / "desk.pem"), "not there", pair=pair)


def pem(key: Any, form: serialization.PrivateFormat = PKCS8) -> bytes:
    data = key.private_bytes(PEM, form, PLAIN)
    assert isinstance(data, bytes)
    return data


def foreign() -> dict[str, tuple[bytes, str]]:
    ours = pem(Ed25519PrivateKey.generate())
    return {
        "rsa": (pem(rsa.generate_private_key(65537, 2048)), "only Ed25519"),
        "p-256": (pem(ec.generate_private_key(ec.SECP256R1())), "only Ed25519"),
        "ed448": (pem(ed448.Ed448PrivateKey.generate()), "only Ed25519"),
        "x25519": (pem(x25519.X25519PrivateKey.generate()), "only Ed25519"),
        "openssh": (pem(Ed25519PrivateKey.generate(), serialization.PrivateFormat.OpenSSH), "not a PEM file"),
        "two keys": (ours * 2, "not a PEM file"),
        "text before": (b"# my key\n" + ours, "not a PEM file"),
        "empty": (b"", "not a PEM file"),
        "cut": (ours[:60] + b"\n-----END PRIVATE KEY-----\n", "damaged"),
        "mixed": (ours.replace(b"BEGIN ", b"BEGIN ENCRYPTED "), "not a PEM file"),
        "large": (ours + b"\n" * 4096, "more than the"),
    }


def test_only_one_ed25519_key_is_read(tmp_path: Path) -> None:
    """Other kinds of keys, other formats, several keys and damaged files are refused."""
    for name, (data, said) in foreign().items():
        put(tmp_path / name, data)
        body = data.splitlines()[1:2]
        with pytest.raises(KeyFileError, match=said) as caught:
            KeyPair.load(tmp_path / name)
        assert name in str(caught.value)
        assert not body or body[0].decode() not in told(caught.value)


def test_a_sealed_key_needs_its_passphrase(tmp_path: Path) -> None:
    """No passphrase, a wrong one, an empty one, or one for a file without seal: each is told apart."""
    pair = KeyPair.generate()
    sealed, plain = tmp_path / "sealed.pem", tmp_path / "plain.pem"
    pair.save(sealed, passphrase=WORDS)
    pair.save(plain)
    refused(lambda: KeyPair.load(sealed), "sealed.pem", "give its passphrase", pair=pair)
    refused(lambda: KeyPair.load(sealed, passphrase=b""), "sealed.pem", "give its passphrase", pair=pair)
    refused(
        lambda: KeyPair.load(sealed, passphrase=WORDS + b"!"), "sealed.pem", "passphrase is wrong", pair=pair
    )
    refused(lambda: KeyPair.load(plain, passphrase=WORDS), "plain.pem", "is not sealed", pair=pair)
    for bad in (b"", WORDS * 100):
        refused(lambda bad=bad: pair.save(tmp_path / "new", passphrase=bad), "1 and 1,023", pair=pair)  # type: ignore[misc]
    assert not (tmp_path / "new").exists()
    body = pair.private.private_bytes(PEM, PKCS8, PLAIN).splitlines()[1]
    assert body in plain.read_bytes()
    assert body not in sealed.read_bytes()


def test_a_system_without_file_permissions_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing keeps others out of a file, no key is written."""
    monkeypatch.setattr(files, "os", SimpleNamespace(name="nt"))
    refused(lambda: KeyPair.generate().save(tmp_path / "desk.pem"), "POSIX")
