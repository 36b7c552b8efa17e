"""Trust: the public root keys that a verifier starts from, by kind of token and key id.

    trust = Trust.load("trust.json")

The id that a token carries picks the key within its kind and decides nothing else: it is not covered by a
signature. An unknown id is refused; no other key is tried. Tokens made elsewhere may carry no id: one
entry named ``without_id`` for each kind, and nothing else, serves those.
"""

from __future__ import annotations

import errno
import json
import os
import re
import stat
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from ..call.canonical import MalformedError, parse
from ..errors import Denied, Reason
from .keys import PublicKey

__all__ = ["KINDS", "Trust"]

KINDS = ("capability", "identity", "context")
MAX_BYTES = 1 << 20
"""Of a file of trusted keys."""


@dataclass(frozen=True, slots=True)
class Trust:
    """Public keys by id, for each kind of token; one key is in one kind only.

    Protects from tokens of any other root. Does not protect from a root key that leaked: remove it here.

    Raises:
        ValueError: one key serves two kinds, or an id is no unsigned 32-bit number.
    """

    capability: Mapping[int, PublicKey] = field(default_factory=dict)
    identity: Mapping[int, PublicKey] = field(default_factory=dict)
    context: Mapping[int, PublicKey] = field(default_factory=dict)
    without_id: Mapping[str, PublicKey] = field(default_factory=dict)

    def __post_init__(self) -> None:
        seen: dict[bytes, str] = {}
        for kind in KINDS:
            keys: Mapping[int, PublicKey] = getattr(self, kind)
            object.__setattr__(self, kind, MappingProxyType(dict(keys)))
            legacy = [self.without_id[kind]] if kind in self.without_id else []
            for key in (*keys.values(), *legacy):
                if seen.setdefault(key.data, kind) != kind:
                    raise ValueError("one key serves two kinds of tokens")
            if any(type(i) is not int or not 0 <= i < 1 << 32 for i in keys):
                raise ValueError("a key id is a whole number of 32 bits")
        if not self.without_id.keys() <= set(KINDS):
            raise ValueError(f"kinds of tokens are {', '.join(KINDS)}")
        object.__setattr__(self, "without_id", MappingProxyType(dict(self.without_id)))

    def key(self, kind: str, key_id: int | None) -> PublicKey:
        """The root key for this kind and id.

        Raises:
            Denied: ``unknown_root``.
        """
        keys: Mapping[int, PublicKey] = getattr(self, kind)
        found = self.without_id.get(kind) if key_id is None else keys.get(key_id)
        if found is None:
            raise Denied(Reason.UNKNOWN_ROOT, detail=f"no {kind} key with id {key_id}")
        return found

    def save(self, path: str | Path) -> None:
        """Write the public keys as JSON, readable for everybody; it is on disk when this returns.

        Raises:
            OSError: it cannot be written, or the path is something else than a regular file: a folder, a
                link, a pipe, a device.
        """
        import tempfile  # brings compression and random numbers, which a verifier has no use for

        kinds = {kind: {str(i): str(k) for i, k in getattr(self, kind).items()} for kind in KINDS}
        text = json.dumps({**kinds, "without_id": {k: str(v) for k, v in self.without_id.items()}}, indent=2)
        target = Path(path)
        with suppress(FileNotFoundError):
            if not stat.S_ISREG(target.lstat().st_mode):
                raise FileExistsError(errno.EEXIST, "is there and is no regular file", str(target))
        # a guard that loads meanwhile reads the old file or the new one, never a part
        opened, fresh = tempfile.mkstemp(prefix=".trust-", dir=target.parent)
        try:
            with open(opened, "w", encoding="utf-8") as file:
                file.write(text + "\n")
                file.flush()
                os.fchmod(opened, 0o644)  # whatever the umask says
                os.fsync(opened)
            os.replace(fresh, target)
        except BaseException:
            with suppress(OSError):
                os.unlink(fresh)
            raise

    @classmethod
    def load(cls, path: str | Path) -> Trust:
        """Read what `save` wrote.

        Raises:
            ValueError: the file says anything else, or is larger than 1 MiB.
            OSError: it cannot be read.
        """
        try:
            with open(path, "rb") as file:
                text = file.read(MAX_BYTES + 1)  # a device may have no end
            if len(text) > MAX_BYTES:
                raise ValueError(f"it is larger than {MAX_BYTES} bytes")
            data = parse(text)
            if not isinstance(data, dict) or not data.keys() <= {*KINDS, "without_id"}:
                raise ValueError("fields")
            tables = {name: _keys(data.get(name, {})) for name in (*KINDS, "without_id")}
            kinds = {kind: {_id(i): key for i, key in tables[kind].items()} for kind in KINDS}
            return cls(**kinds, without_id=tables["without_id"])
        except (MalformedError, ValueError) as error:
            raise ValueError(f"{path} is no file of trusted keys: {error}") from error


def _id(text: str) -> int:
    """A key id, which has one spelling: ``int`` alone would take ``" 0_1 "`` for 1."""
    if not re.fullmatch(r"0|[1-9][0-9]{0,9}", text):
        raise ValueError("a key id is written in decimal digits")
    return int(text)


def _keys(table: object) -> dict[str, PublicKey]:
    if not isinstance(table, dict):
        raise ValueError("a table of keys by id")
    return {str(name): PublicKey.parse(text) for name, text in table.items()}
