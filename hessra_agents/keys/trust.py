"""Trust: the public root keys that a verifier starts from, by kind of token and key id.

    trust = Trust.load("trust.json")

The id that a token carries picks the key within its kind and decides nothing else: it is not signed. An
unknown id is refused, and no other key is tried. Tokens made by other programs may carry no id: only the
one key that ``without_id`` names for their kind is used for them.

Beside a key of capabilities stands the identifier of its authority, under which named budgets are counted
(`grants.limits`): 128 random bits in hex, the same for all keys of one authority.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from ..call.canonical import parse
from ..errors import Denied, Reason
from .keys import PublicKey

__all__ = ["KINDS", "Trust", "is_authority"]

KINDS = ("capability", "identity", "context")
MAX_BYTES = 1 << 20
"""The size of a file of trusted keys."""


@dataclass(frozen=True, slots=True)
class Trust:
    """Public keys by id, for each kind of token; a key belongs to one kind only.

    Protects from tokens of any other root. Does not protect from a root key that leaked: remove it here.

    Raises:
        ValueError: a key is used for two kinds, an id is not an unsigned 32-bit integer, or an authority's
            identifier is not 32 hex digits beside a key of capabilities.
    """

    capability: Mapping[int, PublicKey] = field(default_factory=dict)
    identity: Mapping[int, PublicKey] = field(default_factory=dict)
    context: Mapping[int, PublicKey] = field(default_factory=dict)
    without_id: Mapping[str, PublicKey] = field(default_factory=dict)
    authorities: Mapping[PublicKey, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        seen: dict[bytes, str] = {}
        for kind in KINDS:
            keys: Mapping[int, PublicKey] = getattr(self, kind)
            object.__setattr__(self, kind, MappingProxyType(dict(keys)))
            legacy = [self.without_id[kind]] if kind in self.without_id else []
            for key in (*keys.values(), *legacy):
                if seen.setdefault(key.data, kind) != kind:
                    raise ValueError("one key is used for two kinds of tokens")
            if any(type(i) is not int or not 0 <= i < 1 << 32 for i in keys):
                raise ValueError("a key id is an unsigned 32-bit integer")
        if not self.without_id.keys() <= set(KINDS):
            raise ValueError(f"kinds of tokens are {', '.join(KINDS)}")
        if not all(seen.get(key.data) == "capability" for key in self.authorities) or not all(
            is_authority(one) for one in self.authorities.values()
        ):
            raise ValueError("an authority is named by 32 hex digits, beside a key of capabilities")
        object.__setattr__(self, "without_id", MappingProxyType(dict(self.without_id)))
        object.__setattr__(self, "authorities", MappingProxyType(dict(self.authorities)))

    def key(self, kind: str, key_id: int | None) -> PublicKey:
        """Return the root key for this kind and id.

        Raises:
            Denied: ``unknown_root``.
        """
        keys: Mapping[int, PublicKey] = getattr(self, kind)
        found = self.without_id.get(kind) if key_id is None else keys.get(key_id)
        if found is None:
            raise Denied(Reason.UNKNOWN_ROOT, detail=f"no {kind} key with id {key_id}")
        return found

    def save(self, path: str | Path) -> None:
        """Write the public keys as JSON that every user can read; the file is on disk when this returns.

        Raises:
            OSError: the file cannot be written, or the path is not a regular file but a folder, a link, a
                pipe or a device.
        """
        from ..files import replace_file  # a guard reads its trust, and writes none

        replace_file(Path(path), self.text.encode(), mode=0o644)

    @property
    def text(self) -> str:
        """The public keys as JSON, which `parse` reads: for an address from which guards fetch them."""
        kinds = {kind: {str(i): self._entry(k) for i, k in getattr(self, kind).items()} for kind in KINDS}
        without_id = {kind: self._entry(key) for kind, key in self.without_id.items()}
        return json.dumps({**kinds, "without_id": without_id}, indent=2) + "\n"

    def _entry(self, key: PublicKey) -> str | dict[str, str]:
        known = self.authorities.get(key)
        return str(key) if known is None else {"key": str(key), "authority": known}

    @classmethod
    def load(cls, path: str | Path) -> Trust:
        """Read a file that `save` wrote.

        Raises:
            ValueError: the file cannot be read, is larger than 1 MiB, or is not a file of trusted keys.
        """
        try:
            with open(path, "rb") as file:
                text = file.read(MAX_BYTES + 1)  # a device may have no end
            return cls.parse(text)
        except OSError as error:
            raise ValueError(f"{path}: the trusted keys cannot be read: {error.strerror}") from error
        except ValueError as error:
            raise ValueError(f"{path} is not a file of trusted keys: {error}") from error

    @classmethod
    def parse(cls, text: str | bytes) -> Trust:
        """Read the keys that `text` wrote.

        Raises:
            ValueError: it is not such a text, or is larger than 1 MiB.
        """
        if len(text) > MAX_BYTES:
            raise ValueError(f"it is larger than {MAX_BYTES} bytes")
        data = parse(text)
        if not isinstance(data, dict) or not data.keys() <= {*KINDS, "without_id"}:
            raise ValueError("it has the fields capability, identity, context and without_id")
        authorities: dict[PublicKey, str] = {}
        tables = {name: _keys(data.get(name, {}), authorities) for name in (*KINDS, "without_id")}
        kinds = {kind: {_id(i): key for i, key in tables[kind].items()} for kind in KINDS}
        return cls(**kinds, without_id=tables["without_id"], authorities=authorities)


def is_authority(value: object) -> bool:
    """Return whether this is the identifier of an authority: 128 bits in hex."""
    return isinstance(value, str) and bool(re.fullmatch(r"[0-9a-f]{32}", value))


def _id(text: str) -> int:
    """Read a key id in its one spelling; ``int`` alone would read ``" 0_1 "`` as 1."""
    if not re.fullmatch(r"0|[1-9][0-9]{0,9}", text):
        raise ValueError("a key id is written in decimal digits")
    return int(text)


def _keys(table: object, authorities: dict[PublicKey, str]) -> dict[str, PublicKey]:
    """Read keys by id, each a text or ``{"key": ..., "authority": ...}``; add the authorities."""
    if not isinstance(table, dict):
        raise ValueError("each field is an object of keys by id")
    found = {}
    for name, entry in table.items():
        named = isinstance(entry, dict) and entry.keys() == {"key", "authority"}
        key = found[str(name)] = PublicKey.parse(entry["key"] if named else entry)
        if named and authorities.setdefault(key, entry["authority"]) != entry["authority"]:
            raise ValueError("one key is of two authorities")
    return found
