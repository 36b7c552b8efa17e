"""Define the keyring: which root keys exist, what each may do, and when that may change. Pure.

    prepare     a new key is published; it signs nothing
    activate    from now on only the prepared key signs; the key before it is retiring, but still trusted
    retire      a retiring key is no longer trusted

1. There is exactly one active key for each kind of token, at any time.
2. A key is activated only when every guard can know it: `publish` after it was prepared.
3. A key is retired only when its last token has expired: the longest lifetime and the clocks'
   `PROOF_WINDOW` after it last signed.
4. An id never means two keys: one counter serves all kinds, and it never goes back.

A step returns a new keyring or raises, and a file that breaks a rule is not read.
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
from ..keys.trust import KINDS, Trust, is_authority
from ..tokens.statements import PROOF_WINDOW

__all__ = ["Keyring", "RootKey"]

_VERSION = 1


@dataclass(frozen=True, slots=True)
class RootKey:
    """The public half of one root key. Times are Unix seconds; None means not yet."""

    kind: str
    id: int
    public: PublicKey
    prepared_at: int
    activated_at: int | None = None
    retiring_at: int | None = None

    def __post_init__(self) -> None:
        times = [self.prepared_at, self.activated_at, self.retiring_at]
        if self.kind not in KINDS:
            raise ValueError(f"{self.kind!r} is not a kind of token: {', '.join(KINDS)}")
        if not _is_time(self.prepared_at) or not all(t is None or _is_time(t) for t in times):
            raise ValueError("times must be Unix seconds as integers")
        if self.retiring_at is not None and self.activated_at is None:
            raise ValueError(f"key {self.id} is retiring but was never active")

    @property
    def state(self) -> str:
        """``prepared``, ``active`` or ``retiring``."""
        if self.retiring_at is not None:
            return "retiring"
        return "prepared" if self.activated_at is None else "active"


@dataclass(frozen=True, slots=True)
class Keyring:
    """All root keys of one authority. A new keyring has none, until `begin` adds a key of every kind.

    Raises:
        ValueError: a rule of this module is broken.
    """

    publish: int
    """The longest time for which a guard may use an old copy of the public keys, in seconds."""

    longest_ttl: int
    """The longest lifetime of a token, in seconds."""

    next_id: int = 1
    keys: tuple[RootKey, ...] = ()
    authority: str = ""
    """The identifier under which guards count this authority's budgets; rotations keep it."""

    def __post_init__(self) -> None:
        for number in (self.publish, self.longest_ttl, self.next_id, *(key.id for key in self.keys)):
            if type(number) is not int or not 1 <= number < 1 << 32:
                raise ValueError("a keyring's numbers must be integers from 1 to 2**32 - 1")
        if any(key.id >= self.next_id for key in self.keys):
            raise ValueError("a key's id is not below next_id")
        if len({key.id for key in self.keys}) < len(self.keys):
            raise ValueError("two keys have the same id")
        if len({key.public for key in self.keys}) < len(self.keys):
            raise ValueError("a key has two ids")
        if (self.keys or self.authority) and not is_authority(self.authority):
            raise ValueError("an authority is named by 32 hex digits")
        for kind in KINDS if self.keys else ():
            states = [key.state for key in self.keys if key.kind == kind]
            if states.count("active") != 1 or states.count("prepared") > 1:
                raise ValueError(f"one {kind} key must be active and at most one prepared, not {states}")

    @property
    def trust(self) -> Trust:
        """The public keys that a guard trusts, in every state."""
        public = {kind: {key.id: key.public for key in self.keys if key.kind == kind} for kind in KINDS}
        authorities = dict.fromkeys(public["capability"].values(), self.authority)
        return Trust(public["capability"], public["identity"], public["context"], authorities=authorities)

    def find(self, kind: str, state: str) -> RootKey | None:
        """Return the key of this kind in the state ``prepared`` or ``active``, or None."""
        return next((key for key in self.keys if (key.kind, key.state) == (kind, state)), None)

    def begin(self, new: Mapping[str, PublicKey], now: int, *, authority: str) -> Keyring:
        """Return this keyring with the first key of every kind, active at once: no guard knows it yet.

        Args:
            new: the keys by kind.
            now: Unix seconds.
            authority: 32 hex digits that no other authority has.
        """
        added = tuple(replace(key, activated_at=now) for key in self._added(new, now))
        return replace(self, keys=added, next_id=self.next_id + len(added), authority=authority)

    def prepare(self, new: Mapping[str, PublicKey], now: int) -> Keyring:
        """Return this keyring with a new, prepared key of each of these kinds.

        Raises:
            ValueError: a key of one of the kinds is prepared already.
        """
        for kind in new:
            prepared = self.find(kind, "prepared")
            if prepared is not None:
                raise ValueError(f"{kind} key {prepared.id} is prepared already: activate it")
        added = self._added(new, now)
        return replace(self, keys=self.keys + added, next_id=self.next_id + len(added))

    def _added(self, new: Mapping[str, PublicKey], now: int) -> tuple[RootKey, ...]:
        return tuple(RootKey(kind, self.next_id + i, key, now) for i, (kind, key) in enumerate(new.items()))

    def without(self, keys: Collection[RootKey]) -> Keyring:
        """Return this keyring without these keys, such as a prepared key whose private half was lost."""
        return replace(self, keys=tuple(key for key in self.keys if key not in keys))

    def activate(self, kinds: Collection[str], now: int) -> Keyring:
        """Return this keyring with the prepared key of each of these kinds in place of the active key.

        Raises:
            ValueError: no key of one of the kinds is prepared, or a guard may not know it yet.
        """
        for kind in kinds:
            prepared = self.find(kind, "prepared")
            if prepared is None:
                raise ValueError(f"no {kind} key is prepared")
            possible = prepared.prepared_at + self.publish
            if now < possible:
                raise ValueError(f"{kind} key {prepared.id} can be activated from {_when(possible)} on")

        def after(key: RootKey) -> RootKey:
            if key.kind in kinds and key.state == "active":
                return replace(key, retiring_at=now)
            if key.kind in kinds and key.state == "prepared":
                return replace(key, activated_at=now)
            return key

        return replace(self, keys=tuple(after(key) for key in self.keys))

    def retire(self, kinds: Collection[str], now: int) -> Keyring:
        """Return this keyring without the retiring keys of these kinds whose last token has expired.

        Raises:
            ValueError: no key of one of the kinds can be retired now.
        """
        ended: list[RootKey] = []
        for kind in kinds:
            possible = {
                key: key.retiring_at + self.longest_ttl + PROOF_WINDOW
                for key in self.keys
                if key.kind == kind and key.retiring_at is not None
            }
            if not possible:
                raise ValueError(f"no {kind} key is retiring: activate the next one first")
            ended += (key for key, moment in possible.items() if moment <= now)
            first = min(possible, key=lambda key: possible[key])
            if now < possible[first]:
                raise ValueError(f"{kind} key {first.id} can be retired from {_when(possible[first])} on")
        return self.without(ended)

    def write(self) -> bytes:
        """Return this keyring as JSON, which holds public keys only."""
        keys = [{**asdict(key), "public": str(key.public)} for key in self.keys]
        return json.dumps({"version": _VERSION, **asdict(self), "keys": keys}, indent=2).encode() + b"\n"

    @classmethod
    def read(cls, data: bytes) -> Keyring:
        """Read a keyring that `write` wrote.

        Raises:
            ValueError: the data is anything else, has an unknown field, or lacks a field.
        """
        version, publish, longest_ttl, next_id, keys, authority = _fields(
            parse(data), "version", "publish", "longest_ttl", "next_id", "keys", "authority"
        )
        if version != _VERSION or not isinstance(keys, list):
            raise ValueError(f"not a keyring of version {_VERSION}")
        return cls(publish, longest_ttl, next_id, tuple(_root_key(key) for key in keys), authority)


def _root_key(data: object) -> RootKey:
    names = "kind", "id", "public", "prepared_at", "activated_at", "retiring_at"
    kind, number, public, *times = _fields(data, *names)
    return RootKey(kind, number, PublicKey.parse(public), *times)


def _fields(data: Any, *names: str) -> list[Any]:
    """Return the values of exactly these fields; the caller checks their types."""
    if not isinstance(data, dict) or data.keys() != set(names):
        raise ValueError(f"the fields are not exactly {', '.join(names)}")
    return [data[name] for name in names]


def _is_time(moment: object) -> bool:
    return type(moment) is int and 0 <= moment < 1 << 37  # a year below 10,000, whatever is added


def _when(moment: int) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat()
