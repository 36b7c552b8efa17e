"""Hold the root keys, and sign the first block of every capability.

    authority = Authority.create("keys/")         # from then on Authority.open("keys/")
    authority.trust.save("trust.json")            # all that a guard needs
    capability = authority.issue("agent:desk", grant("send_email", to="ana@acme.com"),
        ttl=timedelta(minutes=10), audience="mail")

Keys live in memory (`Authority.ephemeral`) or in a folder (`Authority.create`). `Authority.rotate` replaces
them in three steps with enforced waits, so that no valid token is refused meanwhile.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

from ..grants.conditions import Condition
from ..grants.durations import write_duration
from ..keys.keyfile import KeyFileError
from ..keys.keys import KeyPair, PublicKey
from ..keys.trust import KINDS, Trust
from ..tokens.builder import ttl_seconds
from ..tokens.capability import Capability
from ..tokens.issue import issue
from .keyring import Keyring, RootKey
from .keystore import FolderKeys, KeyStore, MemoryKeys

__all__ = ["Authority"]

_PUBLISH = timedelta(minutes=5)
_LONGEST_TTL = timedelta(hours=24)


class Authority:
    """The root keys of every kind of token, and the right to sign with them.

    Code that can reach this object can issue anything; a guard gets only its `trust`. Does not protect from
    code in the same process, nor from a wrong clock, which times the waits of a rotation.
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
        """Create an authority whose keys end with this object; the arguments are those of `create`."""
        return cls(
            MemoryKeys(Keyring(ttl_seconds(propagation_delay), ttl_seconds(max_ttl)), int(clock())), clock
        )

    @classmethod
    def create(
        cls,
        path: str | Path,
        *,
        passphrase: str | bytes | None = None,
        propagation_delay: timedelta = _PUBLISH,
        max_ttl: timedelta = _LONGEST_TTL,
        clock: Callable[[], float] = time.time,
    ) -> Authority:
        """Create an authority in a folder, with an active key of every kind.

        Args:
            path: a folder of mode 0700 that holds nothing else; created if it does not exist.
            passphrase: encrypts the private keys.
            propagation_delay: the longest time for which a guard may use an old copy of the public keys.
            max_ttl: the longest lifetime of a token. Both are fixed for the folder, because the waits of its
                rotations depend on them.
            clock: returns Unix seconds.

        Raises:
            KeyFileError: the folder has an authority already, other users can reach it, or its content cannot
                be used.
        """
        folder = FolderKeys(Path(path), _secret(passphrase))
        folder.begin(Keyring(ttl_seconds(propagation_delay), ttl_seconds(max_ttl)), int(clock()))
        return cls(folder, clock)

    @classmethod
    def open(
        cls,
        path: str | Path,
        *,
        passphrase: str | bytes | None = None,
        clock: Callable[[], float] = time.time,
    ) -> Authority:
        """Open the authority that `create` or ``hessra-agents keys init`` made in a folder.

        Args:
            path: the folder.
            passphrase: decrypts the private keys. A wrong one is noticed when a key is first used.
            clock: returns Unix seconds.

        Raises:
            KeyFileError: the folder has no authority, other users can reach it, or it cannot be used.
        """
        folder = FolderKeys(Path(path), _secret(passphrase))
        folder.check()
        return cls(folder, clock)

    def __repr__(self) -> str:
        return f"Authority({self._keys})"

    def __reduce__(self) -> str:
        raise TypeError("an authority cannot be pickled: open its folder in the other process")

    @property
    def trust(self) -> Trust:
        """The public keys that a guard trusts: prepared, active and retiring, as they are now."""
        return self._keys.read().trust

    @property
    def propagation_delay(self) -> timedelta:
        """The longest time for which a guard may use an old copy of the public keys."""
        return timedelta(seconds=self._keys.read().publish)

    @property
    def max_ttl(self) -> timedelta:
        """The longest lifetime of a token, which callers of `signer` must respect as well."""
        return timedelta(seconds=self._keys.read().longest_ttl)

    def keys(self) -> tuple[RootKey, ...]:
        """Return every root key with its kind, id, state, public key and times, without private keys."""
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
        last: bool = False,
        hops: int | None = None,
        only_to: Iterable[PublicKey] | None = None,
        now: int | None = None,
    ) -> Capability:
        """Issue a capability.

        Args:
            subject: the agent that may use it, such as ``agent:desk``.
            conditions: grants, each of one tool with constraints on its arguments, everything else is
                refused; and what bounds every call: `limit`, `approved_by`, `clear_of`.
            ttl: time from now after which it is refused; whole seconds, at least 1 s.
            audience: the guard that may honor it.
            holder: the key that must prove every call; if omitted, anyone who has the token may use it.
            not_before: when it starts, with a time zone; rounded up to whole seconds.
            designations: further labels that a guard must state, with these values.
            last: whether the holder may not hand it on.
            hops: how often it may be handed on from here, if not without end.
            only_to: the keys that the holder may hand it on to, if not any.
            now: Unix seconds; the clock's if omitted.

        Raises:
            TypeError: a condition, the holder or the ttl has another type.
            ValueError: there is no subject or no grant, the ttl is longer than `max_ttl` or ends before
                ``not_before``, or the conditions are more than one token can hold.
            KeyFileError: the root key cannot be read.
        """
        seconds = self._now(now)  # before the key is chosen: no token of a key outlives the key's plan
        longest = self._keys.read().longest_ttl
        if ttl_seconds(ttl) > longest:
            most = write_duration(longest)
            raise ValueError(f"ttl must be at most {most}, the max_ttl that this authority was created with")
        start = None if not_before is None else _start(not_before)
        if start is not None and start >= seconds + ttl_seconds(ttl):
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
            last=last,
            hops=hops,
            only_to=only_to,
            authority=self._keys.read().authority,
            now=seconds,
        )

    def signer(self, kind: str) -> tuple[int, KeyPair]:
        """Return the id and the key pair that sign this kind of token now; call it for every token.

        Raises:
            ValueError: there is no such kind of token.
            KeyFileError: the private key does not exist, or cannot be read.
        """
        if kind not in KINDS:
            raise ValueError(f"{kind!r} is not a kind of token: {', '.join(KINDS)}")
        while True:
            ring = self._keys.read()
            key = _active(ring, kind)
            try:
                return key.id, self._keys.pair(key)
            except KeyFileError:
                if self._keys.read() == ring:  # else the key was replaced meanwhile
                    raise

    def rotate(
        self,
        step: Literal["prepare", "activate", "retire"],
        *,
        kind: str | None = None,
        now: int | None = None,
    ) -> None:
        """Do one step of a rotation for one kind of token, or for all kinds or none of them.

        ``prepare``, publish `trust` to the guards, wait; ``activate``, wait; ``retire``, publish `trust`.
        The waits are enforced. To give up a prepared key, delete its file and prepare again.

        Args:
            kind: ``capability``, ``identity`` or ``context``; all kinds if omitted.
            now: Unix seconds; the clock's if omitted.

        Raises:
            ValueError: the step is not possible, or not yet; the text then says from when.
            KeyFileError: a file cannot be used; trying again is safe.
        """
        kinds = KINDS if kind is None else (kind,)
        if step not in {"prepare", "activate", "retire"} or not {*kinds} <= {*KINDS}:
            raise ValueError(f"steps are prepare, activate, retire; kinds are {', '.join(KINDS)}")
        with self._keys.locked():
            seconds = self._now(now)
            ring = self._keys.read()
            self._keys.clean(ring)
            if step == "prepare":
                ring = self._prepare(ring, kinds, seconds)
            elif step == "activate":
                ring = ring.activate(kinds, seconds)
                for activated in kinds:
                    self._keys.pair(_active(ring, activated))  # a key that cannot sign is not activated
            else:
                ring = ring.retire(kinds, seconds)
            self._keys.write(ring)
            self._keys.clean(ring)

    def _prepare(self, ring: Keyring, kinds: tuple[str, ...], now: int) -> Keyring:
        for key in ring.keys:
            if key.state == "active" and self._keys.has(key):
                self._keys.pair(key)  # the new key must be encrypted with the passphrase of the others
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
        raise ValueError("the passphrase is not valid Unicode: pass bytes")  # the codec's error would show it
    secret = passphrase.encode() if isinstance(passphrase, str) else passphrase
    if secret == b"":
        raise ValueError("an empty passphrase encrypts nothing: pass a passphrase, or None")
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
