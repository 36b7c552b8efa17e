"""Store a keyring and its private keys in memory, or in a folder.

    keyring.json        which keys exist, and in what state; every step replaces it whole
    capability-1.pem    a private key that signs now or will sign; deleted when the next key signs
    keyring.lock        locked by a process that changes the folder

A step happens when keyring.json is replaced. Private keys are written before that and deleted after it, so a
crash leaves at most a private key that the keyring does not name; the next step deletes it. Signing takes no
lock: it reads the keyring each time, so a step of another process takes effect at once.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from ..files import PrivateFolder
from ..keys.keyfile import KeyFileError, key_folder
from ..keys.keys import KeyPair, PublicKey
from ..keys.trust import KINDS
from .keyring import Keyring, RootKey

__all__ = ["FolderKeys", "KeyStore", "MemoryKeys"]

MAX_BYTES = 1 << 18
"""The largest keyring.json: about a thousand keys."""

_KEYRING, _LOCK = "keyring.json", "keyring.lock"
_KEY_FILE = re.compile(rf"({'|'.join(KINDS)})-[1-9][0-9]*\.pem")


class KeyStore(Protocol):
    """A keyring and its private keys. The caller of `add`, `write` and `clean` must hold `locked`."""

    def read(self) -> Keyring:
        """Return the keyring as it is now."""
        ...

    def has(self, key: RootKey) -> bool:
        """Return whether the private key exists."""
        ...

    def pair(self, key: RootKey) -> KeyPair:
        """Return the private key.

        Raises:
            KeyFileError: it does not exist, or cannot be used.
        """
        ...

    def locked(self) -> AbstractContextManager[object]:
        """Keep other threads and processes from changing the keyring."""
        ...

    def add(self, ring: Keyring, pairs: Mapping[str, KeyPair]) -> None:
        """Store these private keys, which ``ring`` names; ``ring`` is not written yet."""
        ...

    def write(self, ring: Keyring) -> None:
        """Replace the keyring: the step happens here."""
        ...

    def clean(self, ring: Keyring) -> None:
        """Delete each private key that signs neither now nor later."""
        ...


def _make_keys(store: KeyStore, ring: Keyring, now: int) -> None:
    pairs = {kind: KeyPair.generate() for kind in KINDS}
    public = {kind: pair.public for kind, pair in pairs.items()}
    ring = ring.begin(public, now, authority=os.urandom(16).hex())
    store.add(ring, pairs)
    store.write(ring)


def _signing(ring: Keyring) -> list[RootKey]:
    return [key for key in ring.keys if key.state != "retiring"]


class MemoryKeys:
    """Keys in memory, which end with the process."""

    def __init__(self, ring: Keyring, now: int) -> None:
        self._pairs: dict[PublicKey, KeyPair] = {}
        self._ring, self._lock = ring, threading.Lock()
        _make_keys(self, ring, now)

    def __repr__(self) -> str:
        return "in memory"

    def read(self) -> Keyring:
        """Return the keyring as it is now."""
        return self._ring

    def has(self, key: RootKey) -> bool:
        """Return whether the private key exists."""
        return key.public in self._pairs

    def pair(self, key: RootKey) -> KeyPair:
        """Return the private key."""
        try:
            return self._pairs[key.public]
        except KeyError:
            raise KeyFileError(f"{key.kind} key {key.id} no longer signs") from None

    def locked(self) -> AbstractContextManager[object]:
        """Keep other threads from changing the keyring."""
        return self._lock

    def add(self, ring: Keyring, pairs: Mapping[str, KeyPair]) -> None:
        """Store these private keys."""
        self._pairs = {**self._pairs, **{pair.public: pair for pair in pairs.values()}}

    def write(self, ring: Keyring) -> None:
        """Replace the keyring."""
        self._ring = ring

    def clean(self, ring: Keyring) -> None:
        """Delete each private key that signs neither now nor later."""
        signing = {key.public for key in _signing(ring)}
        self._pairs = {public: pair for public, pair in self._pairs.items() if public in signing}


@dataclass(slots=True, repr=False)
class FolderKeys:
    """Keys in a private folder; a private key is read when it is first used."""

    path: Path
    passphrase: bytes | None
    _pairs: dict[PublicKey, KeyPair] = field(default_factory=dict)
    _last: tuple[bytes, Keyring] | None = None

    def __repr__(self) -> str:
        return repr(str(self.path))

    def begin(self, fresh: Keyring, now: int) -> None:
        """Create the keyring from ``fresh``, with a key of every kind.

        It is written without keys first, so that private keys without a keyring are never deleted.

        Raises:
            KeyFileError: the folder has an authority already, or cannot be used.
        """
        with key_folder(self.path, create=True) as folder, folder.locked(_LOCK):
            if self._has_keyring(folder) and self.read().keys:
                raise KeyFileError(f"{self.path}: is an authority already: open it, or name another folder")
            folder.replace(_KEYRING, fresh.write())
            self.clean(fresh)
            _make_keys(self, fresh, now)

    def check(self) -> None:
        """Check that the folder has an authority.

        Raises:
            KeyFileError: it has none, or it cannot be used.
        """
        make = "`hessra-agents keys init` or Authority.create makes one"
        if not os.path.lexists(self.path):
            raise KeyFileError(f"{self.path}: not an authority: {make}")
        with key_folder(self.path) as folder:
            if not self._has_keyring(folder):
                raise KeyFileError(f"{self.path}: not an authority: {make}")
        if not self.read().keys:
            raise KeyFileError(f"{self.path}: its creation was interrupted: create it again")

    def _has_keyring(self, folder: PrivateFolder) -> bool:
        names = folder.names()
        if _KEYRING not in names and any(_KEY_FILE.fullmatch(name) for name in names):
            raise KeyFileError(f"{self.path}: has private keys but no {_KEYRING}: restore that file")
        return _KEYRING in names

    def read(self) -> Keyring:
        """Return the keyring as it is now."""
        with key_folder(self.path) as folder:
            data = folder.read(_KEYRING, MAX_BYTES)
        last = self._last
        if last is None or last[0] != data:
            try:
                last = self._last = data, Keyring.read(data)
            except ValueError as error:
                raise KeyFileError(f"{self.path / _KEYRING}: cannot be used: {error}") from error
            self._forget(last[1])
        return last[1]

    def has(self, key: RootKey) -> bool:
        """Return whether the file of the private key exists."""
        with key_folder(self.path) as folder:
            return _file(key) in folder.names()

    def pair(self, key: RootKey) -> KeyPair:
        """Return the private key, which is read once."""
        pair = self._pairs.get(key.public)
        if pair is None:
            path = self.path / _file(key)
            if not self.has(key):
                raise KeyFileError(
                    f"{path}: does not exist, but {_KEYRING} names it: restore it from a backup"
                )
            pair = KeyPair.load(path, passphrase=self.passphrase)
            if pair.public != key.public:
                raise KeyFileError(f"{path}: is not the key that {_KEYRING} names: restore it from a backup")
            self._pairs[key.public] = pair
        return pair

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes and threads from changing the folder."""
        with key_folder(self.path) as folder, folder.locked(_LOCK):
            yield

    def add(self, ring: Keyring, pairs: Mapping[str, KeyPair]) -> None:
        """Write these private keys; each is read back from its file when it is used."""
        files = {key.public: _file(key) for key in ring.keys}
        for pair in pairs.values():
            pair.save(self.path / files[pair.public], passphrase=self.passphrase)

    def write(self, ring: Keyring) -> None:
        """Replace keyring.json."""
        with key_folder(self.path) as folder:
            folder.replace(_KEYRING, ring.write())

    def clean(self, ring: Keyring) -> None:
        """Delete each private key that signs neither now nor later."""
        named = {_file(key) for key in _signing(ring)}
        with key_folder(self.path) as folder:
            folder.remove(n for n in folder.names() if _KEY_FILE.fullmatch(n) and n not in named)
        self._forget(ring)

    def _forget(self, ring: Keyring) -> None:
        signing = {key.public for key in _signing(ring)}
        self._pairs = {public: pair for public, pair in self._pairs.items() if public in signing}


def _file(key: RootKey) -> str:
    return f"{key.kind}-{key.id}.pem"
