"""Signed notes and checkpoints (C2SP signed-note, tlog-checkpoint, tlog-cosignature).

    note = sign(Checkpoint("example.com/log", tree.size, tree.root()).text, "example.com/log", key)
    Checkpoint.verified(note, [verifier_key("example.com/log", key.public)])

A note is a text and the signatures under it; a checkpoint is a text that names a log, its size and its root.
A witness signs the checkpoint of another log, with the time at which it knew no larger one.

- Reading is strict: a note is accepted in exactly one spelling.
- A signature by an unknown key counts as absent; a bad signature by a known key invalidates the note.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256

from ..keys.keys import KeyPair, PublicKey
from .proofs import EMPTY, HASH, MAX_SIZE

__all__ = [
    "MAX_NOTE",
    "Checkpoint",
    "NoteError",
    "Signature",
    "cosign",
    "parse_verifier_key",
    "sign",
    "signatures",
    "split",
    "verifier_key",
    "verify",
]  # fmt: skip

MAX_NOTE = 256 * 1024
"""Characters of a note: room for its text and at least 16 signatures of any algorithm."""

_MAX_TIME = 2**63 - 1
_NOTE, _WITNESS = 0x01, 0x04  # signature types: Ed25519, and an Ed25519 cosignature with a time
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\ud800-\udfff]")
_WHOLE = re.compile(r"(?:[^\n]+\n)+\n(?:— [^\n]+\n)+")
_SIZE = re.compile(r"0|[1-9][0-9]{0,18}")


class NoteError(ValueError):
    """A note, a checkpoint or a verifier key that is malformed or must not be trusted."""


@dataclass(frozen=True, slots=True)
class Signature:
    """Who signed a note and, for a witness, when (Unix seconds)."""

    name: str
    time: int | None = None


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The state of a log: its name, the number of records, and the root of the tree over them.

    Raises:
        NoteError: a ValueError; a checkpoint cannot have such values.
    """

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        lines = (self.origin, *self.extensions)
        if not all(isinstance(line, str) and line and not _unwritable(line) for line in lines):
            raise NoteError("each line of a checkpoint is a non-empty string without control characters")
        if type(self.size) is not int or not 0 <= self.size <= MAX_SIZE:
            raise NoteError("a checkpoint's size is 0 to 2**63 - 1")
        if len(self.root) != HASH or (self.size == 0 and self.root != EMPTY):
            raise NoteError("a checkpoint's root is the hash of a tree")

    @property
    def text(self) -> str:
        """The text that is signed."""
        root = b64encode(self.root).decode()
        return "".join(f"{line}\n" for line in (self.origin, self.size, root, *self.extensions))

    @classmethod
    def parse(cls, text: str) -> Checkpoint:
        """Read a checkpoint from the text of a note; `verified` also checks who signed it.

        Raises:
            NoteError: the text is not a checkpoint in its one spelling.
        """
        lines = text.split("\n")
        if len(lines) < 4 or lines.pop() != "":
            raise NoteError("a checkpoint has three lines: origin, size and root")
        origin, size, root, *extensions = lines
        if not _SIZE.fullmatch(size):
            raise NoteError("a checkpoint's size is a decimal number without leading zeros")
        return cls(origin, int(size), _decoded(root), tuple(extensions))

    @classmethod
    def unverified(cls, note: str) -> Checkpoint:
        """Read the checkpoint of a note without checking who signed it.

        Raises:
            NoteError: this is not the note of a checkpoint.
        """
        return cls.parse(_parsed(note)[0])

    @classmethod
    def verified(cls, note: str, keys: Iterable[str]) -> Checkpoint:
        """Read the checkpoint of a note that the log itself signed, with a known key of the log's name.

        Raises:
            NoteError: none of the keys is the log's, or the note is invalid (`signatures`).
        """
        text, found = signatures(note, keys)
        checkpoint = cls.parse(text)
        if Signature(checkpoint.origin) not in found:
            raise NoteError("the log that the checkpoint names has not signed it with a known key")
        return checkpoint


def verifier_key(name: str, public: PublicKey, *, witness: bool = False) -> str:
    """Return the text that names a signer and its public key; ``witness`` for a signer that cosigns.

    Raises:
        NoteError: the name is empty or has a space, a plus or a control character; the key is not Ed25519.
    """
    if not _is_name(name):
        raise NoteError("a signer's name is non-empty, without spaces, plus signs and control characters")
    if public.algorithm != "ed25519":
        raise NoteError("notes are signed with Ed25519 keys")
    return str(_Verifier(name, _WITNESS if witness else _NOTE, public))


def parse_verifier_key(text: str) -> tuple[str, PublicKey]:
    """Return the name and the key of a verifier key.

    Raises:
        NoteError: the text is not a verifier key.
    """
    verifier = _Verifier.parse(text)
    return verifier.name, verifier.public


def sign(text: str, name: str, key: KeyPair) -> str:
    """Sign a text, and return the note.

    Raises:
        NoteError: the text does not end in a newline, or it or the name has characters that it cannot have.
    """
    verifier = _Verifier.parse(verifier_key(name, key.public))
    if not text.endswith("\n") or _unwritable(text.replace("\n", "")):
        raise NoteError("the text of a note ends in a newline and has no control characters")
    return text + "\n" + verifier.line(key.sign(text.encode()))


def cosign(note: str, name: str, key: KeyPair, *, time: int) -> str:
    """Return the note of a checkpoint with the signature of a witness at this time (Unix seconds) added.

    A witness first checks the log's own signature, and that the log extends the state that it knows.
    """
    text, _ = _parsed(note)
    Checkpoint.parse(text)
    if not 0 <= time <= _MAX_TIME:
        raise NoteError("the time of a cosignature is 0 to 2**63 - 1")
    verifier = _Verifier.parse(verifier_key(name, key.public, witness=True))
    return note + verifier.line(time.to_bytes(8, "big") + key.sign(_witnessed(text, time)))


def verify(note: str, keys: Iterable[str]) -> tuple[str, list[str]]:
    """Return the text of a note, and the names of the verifier keys that signed it.

    Raises:
        NoteError: none of the keys signed it, one of their signatures is bad, or this is not a note.
    """
    text, found = signatures(note, keys)
    return text, [signature.name for signature in found]


def signatures(note: str, keys: Iterable[str]) -> tuple[str, list[Signature]]:
    """Do as `verify`, with the times of witnesses; each signer appears once, in the order of the note.

    Raises:
        NoteError: as `verify`.
    """
    known: dict[tuple[str, bytes], _Verifier] = {}
    for verifier in map(_Verifier.parse, keys):
        if known.setdefault((verifier.name, verifier.id), verifier) != verifier:
            raise NoteError("two verifier keys have one name and one id")
    text, lines = _parsed(note)
    found: dict[_Verifier, Signature] = {}
    for name, data in lines:
        if (name, data[:4]) in known:
            verifier = known[name, data[:4]]
            found.setdefault(verifier, verifier.verified(text, data[4:]))
    if not found:
        raise NoteError("no known key has signed this note")
    return text, list(found.values())


def split(text: str) -> list[str]:
    """Return the notes of a text that is nothing but notes, one after another.

    Raises:
        NoteError: the text has no note, or something else beside them.
    """
    notes = _WHOLE.findall(text)
    if not notes or "".join(notes) != text:
        raise NoteError("this is not a list of signed notes")
    return notes


@dataclass(frozen=True, slots=True)
class _Verifier:
    """A public key, the name under which it signs, and the type of its signatures."""

    name: str
    kind: int
    public: PublicKey

    @property
    def id(self) -> bytes:
        return sha256(self.name.encode() + b"\n" + bytes([self.kind]) + self.public.data).digest()[:4]

    def __str__(self) -> str:
        return f"{self.name}+{self.id.hex()}+{b64encode(bytes([self.kind]) + self.public.data).decode()}"

    @classmethod
    def parse(cls, text: str) -> _Verifier:
        name, _, rest = text.partition("+")
        _, _, encoded = rest.partition("+")
        data = _decoded(encoded)
        if not _is_name(name) or len(data) != 33 or data[0] not in (_NOTE, _WITNESS):
            raise NoteError("this is not a verifier key: name+id+key, of an Ed25519 key")
        try:
            verifier = cls(name, data[0], PublicKey(data[1:]))
        except ValueError as error:
            raise NoteError("a verifier key without a safe public key") from error
        if str(verifier) != text:
            raise NoteError("the id of this verifier key does not match its name and key")
        return verifier

    def line(self, signature: bytes) -> str:
        return f"— {self.name} {b64encode(self.id + signature).decode()}\n"

    def verified(self, text: str, data: bytes) -> Signature:
        time, message = None, text.encode()
        if self.kind == _WITNESS:
            Checkpoint.parse(text)  # a witness signs nothing else
            time, data = int.from_bytes(data[:8], "big"), data[8:]
            if time > _MAX_TIME:
                raise NoteError("the time of a cosignature is 0 to 2**63 - 1")
            message = _witnessed(text, time)
        if not self.public.signed(data, message):
            raise NoteError("a signature that claims a known key does not hold")
        return Signature(self.name, time)


def _witnessed(text: str, time: int) -> bytes:
    return f"cosignature/v1\ntime {time}\n{text}".encode()


def _parsed(note: str) -> tuple[str, Sequence[tuple[str, bytes]]]:
    """Return the text of a note, and the name and the bytes of each signature line."""
    if len(note) > MAX_NOTE:
        raise NoteError("a note of more than 256 KiB")
    if _unwritable(note.replace("\n", "")):
        raise NoteError("a note has no control characters")
    before, blank, block = note.rpartition("\n\n")
    if not blank or not block.endswith("\n"):
        raise NoteError("a note is a text, an empty line and lines of signatures")
    return before + "\n", [_signature(line) for line in block[:-1].split("\n")]


def _signature(line: str) -> tuple[str, bytes]:
    dash, _, rest = line.partition(" ")
    name, _, encoded = rest.partition(" ")
    data = _decoded(encoded)
    if dash != "—" or not _is_name(name) or len(data) < 5:
        raise NoteError("a line of a note is not a signature")
    return name, data


def _unwritable(text: str) -> bool:
    return _CONTROL.search(text) is not None or "\n" in text


def _is_name(name: str) -> bool:
    return bool(name) and not _unwritable(name) and not any(c == "+" or c.isspace() for c in name)


def _decoded(text: str) -> bytes:
    """Decode canonical base64; other spellings of the same bytes are refused."""
    try:
        data = b64decode(text, validate=True)
    except ValueError:
        raise NoteError("this is not base64") from None
    if b64encode(data).decode() != text:
        raise NoteError("this is not the canonical base64 of its bytes")
    return data
