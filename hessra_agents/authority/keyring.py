"""The keyring: which root keys there are, what each may do, and when that may change. Pure.

    prepare     a new key is published; it signs nothing
    activate    the prepared key signs, from now on alone; the one before it is retiring, still trusted
    retire      a retiring key is trusted no more

1. There is exactly one active key for each kind of token, at any time.
2. A key is activated only when every guard can know it: `publish` after it was prepared.
3. A key is retired only when its last token has expired: the longest lifetime and the clocks'
   `PROOF_WINDOW` after it signed last.
4. An id never means two keys: one counter serves all kinds, and it never goes back.

A step makes a new keyring or raises; what is wrong cannot be read from a file either.
Source: SPIRE, local authorities (prepare, activate, revoke).
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any

from ..call.canonical import parse
from ..keys.keys import PublicKey
from ..keys.trust import KINDS, Trust
from ..verify.verifier import PROOF_WINDOW

__all__ = ["Keyring", "RootKey"]

_VERSION = 1


@dataclass(frozen=True, slots=True)
class RootKey:
    """The public half of one root key. Times are Unix seconds; None: not yet."""

    kind: str
    id: int
    public: PublicKey
    prepared_at: int
    activated_at: int | None = None
    retiring_at: int | None = None

    def __post_init__(self) -> None:
        times = [self.prepared_at, self.activated_at, self.retiring_at]
        if self.kind not in KINDS:
            raise ValueError(f"{self.kind!r} is no kind of token: {', '.join(KINDS)}")
        if not _is_time(self.prepared_at) or not all(t is None or _is_time(t) for t in times):
            raise ValueError("times are whole Unix seconds")
        if self.retiring_at is not None and self.activated_at is None:
            raise ValueError(f"key {self.id} retires and was never active")

    @property
    def state(self) -> str:
        """``prepared``, ``active`` or ``retiring``."""
        if self.retiring_at is not None:
            return "retiring"
        return "prepared" if self.activated_at is None else "active"


@dataclass(frozen=True, slots=True)
class Keyring:
    """All root keys of one authority. A new one, without keys, gets them all at once (`begin`).

    Raises:
        ValueError: a rule of this module does not hold.
    """

    publish: int
    """Seconds for which a guard may use an old copy of the public keys."""

    longest_ttl: int
    """Seconds; no token lives longer."""

    next_id: int = 1
    keys: tuple[RootKey, ...] = ()

    def __post_init__(self) -> None:
        for number in (self.publish, self.longest_ttl, self.next_id, *(key.id for key in self.keys)):
            if type(number) is not int or not 1 <= number < 1 << 32:
                raise ValueError("numbers of a keyring are whole, of 32 bits, and at least 1")
        if any(key.id >= self.next_id for key in self.keys):
            raise ValueError("an id is not below the next one")
        if len({key.id for key in self.keys}) < len(self.keys):
            raise ValueError("an id means two keys")
        if len({key.public for key in self.keys}) < len(self.keys):
            raise ValueError("one key has two ids")
        for kind in KINDS if self.keys else ():
            states = [key.state for key in self.keys if key.kind == kind]
            if states.count("active") != 1 or states.count("prepared") > 1:
                raise ValueError(f"one {kind} key is active and at most one prepared, here {states}")

    @property
    def trust(self) -> Trust:
        """What a guard needs: the public keys in every state."""
        public = {kind: {key.id: key.public for key in self.keys if key.kind == kind} for kind in KINDS}
        return Trust(public["capability"], public["identity"], public["context"])

    def find(self, kind: str, state: str) -> RootKey | None:
        """The key of this kind that is ``prepared`` or ``active``."""
        return next((key for key in self.keys if (key.kind, key.state) == (kind, state)), None)

    def begin(self, new: Mapping[str, PublicKey], now: int) -> Keyring:
        """The first key of every kind, active at once: no guard knows this authority yet."""
        added = tuple(replace(key, activated_at=now) for key in self._added(new, now))
        return replace(self, keys=added, next_id=self.next_id + len(added))

    def prepare(self, new: Mapping[str, PublicKey], now: int) -> Keyring:
        """Publish a new key of each of these kinds.

        Raises:
            ValueError: one is prepared already.
        """
        for kind in new:
            waiting = self.find(kind, "prepared")
            if waiting is not None:
                raise ValueError(f"{kind} key {waiting.id} is prepared already: activate it")
        added = self._added(new, now)
        return replace(self, keys=self.keys + added, next_id=self.next_id + len(added))

    def _added(self, new: Mapping[str, PublicKey], now: int) -> tuple[RootKey, ...]:
        return tuple(RootKey(kind, self.next_id + i, key, now) for i, (kind, key) in enumerate(new.items()))

    def without(self, keys: Collection[RootKey]) -> Keyring:
        """The keyring that never trusted these; of use for a prepared key that was lost."""
        return replace(self, keys=tuple(key for key in self.keys if key not in keys))

    def activate(self, kinds: Collection[str], now: int) -> Keyring:
        """Let the prepared key of each of these kinds sign in place of the active one.

        Raises:
            ValueError: none is prepared, or some guard may not know it yet.
        """
        for kind in kinds:
            waiting = self.find(kind, "prepared")
            if waiting is None:
                raise ValueError(f"no {kind} key is prepared")
            possible = waiting.prepared_at + self.publish
            if now < possible:
                raise ValueError(f"{kind} key {waiting.id} can be activated from {_when(possible)} on")

        def after(key: RootKey) -> RootKey:
            if key.kind in kinds and key.state == "active":
                return replace(key, retiring_at=now)
            if key.kind in kinds and key.state == "prepared":
                return replace(key, activated_at=now)
            return key

        return replace(self, keys=tuple(after(key) for key in self.keys))

    def retire(self, kinds: Collection[str], now: int) -> Keyring:
        """Trust the retiring keys of these kinds no more, as far as their last token has expired.

        Raises:
            ValueError: no key of one of these kinds can be retired now.
        """
        ended: list[RootKey] = []
        for kind in kinds:
            possible = {
                key: key.retiring_at + self.longest_ttl + PROOF_WINDOW
                for key in self.keys
                if key.kind == kind and key.retiring_at is not None
            }
            if not possible:
                raise ValueError(f"no {kind} key is retiring")
            ended += (key for key, moment in possible.items() if moment <= now)
            first = min(possible, key=lambda key: possible[key])
            if now < possible[first]:
                raise ValueError(f"{kind} key {first.id} can be retired from {_when(possible[first])} on")
        return self.without(ended)

    def write(self) -> bytes:
        """This keyring as JSON: public keys only."""
        keys = [{**asdict(key), "public": str(key.public)} for key in self.keys]
        return json.dumps({"version": _VERSION, **asdict(self), "keys": keys}, indent=2).encode() + b"\n"

    @classmethod
    def read(cls, data: bytes) -> Keyring:
        """What `write` wrote.

        Raises:
            ValueError: it says anything else, has a field that is unknown, or lacks one.
        """
        version, publish, longest_ttl, next_id, keys = _fields(
            parse(data), "version", "publish", "longest_ttl", "next_id", "keys"
        )
        if version != _VERSION or not isinstance(keys, list):
            raise ValueError(f"it is no keyring of version {_VERSION}")
        return cls(publish, longest_ttl, next_id, tuple(_root_key(key) for key in keys))


def _root_key(data: object) -> RootKey:
    names = "kind", "id", "public", "prepared_at", "activated_at", "retiring_at"
    kind, number, public, *times = _fields(data, *names)
    return RootKey(kind, number, PublicKey.parse(public), *times)


def _fields(data: Any, *names: str) -> list[Any]:
    """The values of exactly these fields; who gets them checks their types."""
    if not isinstance(data, dict) or data.keys() != set(names):
        raise ValueError(f"its fields are not exactly {', '.join(names)}")
    return [data[name] for name in names]


def _is_time(moment: object) -> bool:
    return type(moment) is int and 0 <= moment < 1 << 37  # in the calendar, whatever is added


def _when(moment: int) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat()
