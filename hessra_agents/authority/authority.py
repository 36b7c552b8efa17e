"""The authority: it holds the root keys and signs the first block of every capability.

    authority = Authority.open("keys/")
    authority.trust.save("trust.json")            # all that a guard needs
    capability = authority.issue("agent:desk", grant("send_email", to="ana@acme.com"),
        ttl=timedelta(minutes=10), audience="mail")

Keys live in memory (`Authority.ephemeral`) or in a folder (`Authority.open`). They are replaced without one
honest refusal by three steps (`Authority.rotate`), whose waits are enforced.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

from ..keys.keyfile import KeyFileError
from ..keys.keys import KeyPair, PublicKey
from ..keys.trust import KINDS, Trust
from ..tokens.builder import Condition, ttl_seconds
from ..tokens.capability import Capability
from ..tokens.issue import issue
from .keyring import Keyring, RootKey
from .keystore import FolderKeys, KeyStore, MemoryKeys

__all__ = ["Authority"]

_PUBLISH = timedelta(minutes=5)
_LONGEST_TTL = timedelta(hours=24)


class Authority:
    """Root keys of every kind of token, and what is signed with them.

    Whoever can reach this object can issue anything; a guard gets only its `trust`. Does not protect from
    code in the same process, nor from a clock that is wrong: the waits of a rotation are counted by it.
    """

    def __init__(self, keys: KeyStore, clock: Callable[[], float]) -> None:
        self._keys, self._clock = keys, clock

    @classmethod
    def ephemeral(
        cls,
        *,
        propagation_delay: timedelta = _PUBLISH,
        max_ttl: timedelta = _LONGEST_TTL,
        clock: Callable[[], float] = time.time,
    ) -> Authority:
        """An authority whose keys end with this object; the arguments are those of `open`."""
        return cls(
            MemoryKeys(Keyring(ttl_seconds(propagation_delay), ttl_seconds(max_ttl)), int(clock())), clock
        )

    @classmethod
    def open(
        cls,
        path: str | Path,
        *,
        passphrase: str | bytes | None = None,
        propagation_delay: timedelta | None = None,
        max_ttl: timedelta | None = None,
        clock: Callable[[], float] = time.time,
    ) -> Authority:
        """The authority of this folder; without keys in it, a new one with an active key of every kind.

        Args:
            path: a folder for nothing else, 0700; made if it is not there.
            passphrase: seals the private keys, all or none. A wrong one is noticed when a key is used.
            propagation_delay: how long a guard may use an old copy of the public keys; 5 minutes unless
                given.
            max_ttl: no token lives longer; 24 hours unless given. Both are fixed for a folder, since
                the waits of its rotations follow from them.
            clock: the current time in Unix seconds.

        Raises:
            KeyFileError: others can reach the folder, or what is in it cannot be used.
            ValueError: the folder was made with another ``propagation_delay`` or ``max_ttl``.
        """
        folder = FolderKeys(Path(path), _secret(passphrase))
        fresh = Keyring(
            ttl_seconds(_PUBLISH if propagation_delay is None else propagation_delay),
            ttl_seconds(_LONGEST_TTL if max_ttl is None else max_ttl),
        )
        ring = folder.begun(fresh, int(clock()))
        for name, given, made, asked in (
            ("propagation_delay", propagation_delay, ring.publish, fresh.publish),
            ("max_ttl", max_ttl, ring.longest_ttl, fresh.longest_ttl),
        ):
            if given is not None and made != asked:
                fixed = timedelta(seconds=made)
                raise ValueError(f"{path}: was made with {name} {fixed}: open it with that, or without")
        return cls(folder, clock)

    def __repr__(self) -> str:
        return f"Authority({self._keys})"

    def __reduce__(self) -> str:
        raise TypeError("an authority is not pickled: open its folder there")

    @property
    def trust(self) -> Trust:
        """The public keys that a guard starts from: prepared, active and retiring. A copy of this moment."""
        return self._keys.read().trust

    @property
    def max_ttl(self) -> timedelta:
        """The bound of every lifetime; also of tokens that somebody else writes with a `signer`."""
        return timedelta(seconds=self._keys.read().longest_ttl)

    def keys(self) -> tuple[RootKey, ...]:
        """Every root key with its kind, id, state, public key and times; private keys stay here."""
        return self._keys.read().keys

    def issue(
        self,
        subject: str,
        *conditions: Condition,
        ttl: timedelta,
        audience: str | None = None,
        holder: PublicKey | None = None,
        not_before: datetime | None = None,
        designations: Mapping[str, str] | None = None,
        now: int | None = None,
    ) -> Capability:
        """A new capability.

        Args:
            subject: who may use it, such as ``agent:desk``.
            conditions: grants, each of one tool with what its arguments must be, all else is refused; and
                beside them what bounds every call: `limit`, `approved_by`.
            ttl: time from now after which it is refused; whole seconds, at least 1 s.
            audience: the guard that may honour it.
            holder: whose key every call must be proved with; without, whoever has the token may use it.
            not_before: when it starts, with a time zone; rounded up to whole seconds.
            designations: what else a guard must state.
            now: Unix seconds; the clock's unless given.

        Raises:
            TypeError: something that is neither grant, limit nor approvers.
            ValueError: no subject, no grant, a lifetime over `longest_ttl` or one that ends before
                ``not_before``, or more than one token can hold.
            KeyFileError: the root key cannot be read.
        """
        moment = self._now(now)  # before the key is chosen: no token of a key lives longer than planned
        longest = self._keys.read().longest_ttl
        if ttl_seconds(ttl) > longest:
            raise ValueError(f"ttl is at most {timedelta(seconds=longest)}, the longest of this authority")
        start = None if not_before is None else _start(not_before)
        if start is not None and start >= moment + ttl_seconds(ttl):
            raise ValueError("the capability would expire before it starts: ttl counts from now")
        key_id, pair = self.signer("capability")
        return issue(
            subject,
            conditions,
            key=pair,
            key_id=key_id,
            ttl=ttl,
            audience=audience,
            holder=holder,
            not_before=start,
            designations=designations,
            now=moment,
        )

    def signer(self, kind: str) -> tuple[int, KeyPair]:
        """The id and the key pair that sign this kind of token now. Ask anew for every token.

        Raises:
            KeyFileError: the private key is not there, or cannot be read.
        """
        if kind not in KINDS:
            raise ValueError(f"{kind!r} is no kind of token: {', '.join(KINDS)}")
        while True:
            ring = self._keys.read()
            key = _active(ring, kind)
            try:
                return key.id, self._keys.pair(key)
            except KeyFileError:
                if self._keys.read() == ring:  # else it was replaced just now
                    raise

    def rotate(
        self,
        step: Literal["prepare", "activate", "retire"],
        *,
        kind: str | None = None,
        now: int | None = None,
    ) -> None:
        """Do one step of a rotation, for one kind of token or for all: for each of them or for none.

        ``prepare``, publish `trust` to the guards, wait; ``activate``, wait; ``retire``, publish `trust`.
        The waits are enforced. To give up a prepared key, delete its file and prepare again.

        Raises:
            ValueError: the step is not possible, or not yet; then the text says from when on.
            KeyFileError: a file cannot be used; trying again is safe.
        """
        kinds = KINDS if kind is None else (kind,)
        if step not in {"prepare", "activate", "retire"} or not {*kinds} <= {*KINDS}:
            raise ValueError(f"steps are prepare, activate, retire; kinds are {', '.join(KINDS)}")
        with self._keys.locked():
            moment = self._now(now)
            ring = self._keys.read()
            self._keys.clean(ring)
            if step == "prepare":
                ring = self._prepared(ring, kinds, moment)
            elif step == "activate":
                ring = ring.activate(kinds, moment)
                for one in kinds:
                    self._keys.pair(_active(ring, one))  # what cannot sign is not activated
            else:
                ring = ring.retire(kinds, moment)
            self._keys.write(ring)
            self._keys.clean(ring)

    def _prepared(self, ring: Keyring, kinds: tuple[str, ...], now: int) -> Keyring:
        for key in ring.keys:
            if key.state == "active" and self._keys.has(key):
                self._keys.pair(key)  # the passphrase that seals the new key must be that of the others
        lost = [key for key in ring.keys if key.state == "prepared" and not self._keys.has(key)]
        pairs = {kind: KeyPair.generate() for kind in kinds}
        ring = ring.without([key for key in lost if key.kind in kinds])
        ring = ring.prepare({kind: pair.public for kind, pair in pairs.items()}, now)
        self._keys.add(ring, pairs)
        return ring

    def _now(self, now: int | None) -> int:
        return int(self._clock()) if now is None else now


def _secret(passphrase: str | bytes | None) -> bytes | None:
    if isinstance(passphrase, str) and any("\ud800" <= letter <= "\udfff" for letter in passphrase):
        raise ValueError("the passphrase is not Unicode text: give bytes")  # the codec's error would show it
    secret = passphrase.encode() if isinstance(passphrase, str) else passphrase
    if secret == b"":
        raise ValueError("an empty passphrase seals nothing: give one, or none")
    return secret


def _active(ring: Keyring, kind: str) -> RootKey:
    key = ring.find(kind, "active")
    if key is None:
        raise KeyFileError(f"there is no {kind} key yet")
    return key


def _start(moment: datetime) -> int:
    if moment.utcoffset() is None:
        raise ValueError("not_before needs a time zone, such as datetime(..., tzinfo=UTC)")
    return math.ceil(moment.timestamp())
