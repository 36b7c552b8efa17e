"""Read the bytes of a Biscuit strictly, and return what its blocks say as plain data.

Source: Biscuit specification 3.3, ``schema.proto``. The messages are read by `protobuf`, at most
`MAX_FIELDS` fields of them. What our profile has no use for is refused here and in `terms`: rules, block
scopes, contexts, dates, nulls, arrays, maps, bytes in sets, foreign functions.

A `TokenDialect` lists the few other things that tokens of another kind may hold; a capability holds none.

No signature is checked here: the caller passes the bytes of a verified token (`Capability.parse`).
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from typing import NamedTuple

from ...errors import Denied, Reason
from ...grants.vocabulary.constraints import MAX_BRANCHES
from .protobuf import Reader, Shape, Span, number, outside_profile, raw_bytes, span, submessage, text
from .terms import CHOICE, CLOSURE, Op, Predicate, TermReader, expression, predicate

__all__ = [
    "Query",
    "RawBlock",
    "TokenDialect",
    "decode_base64url",
    "decode_token",
    "read_blocks",
    "read_envelope",
]

MAX_BYTES = 16 * 1024
MAX_BLOCKS = 16
MAX_CHECKS = 512
MAX_FIELDS = 7168

# fmt: off
_DEFAULT_SYMBOLS = (
    "read", "write", "resource", "operation", "right", "time", "role", "owner",
    "tenant", "namespace", "user", "team", "service", "admin", "email", "group",
    "member", "ip_address", "client", "client_ip", "domain", "path",
    "version", "cluster", "node", "hostname", "nonce", "query",
)
# fmt: on
_FIRST_SYMBOL = 1024
_DEFAULTS = dict(enumerate(_DEFAULT_SYMBOLS))
_QUERY = _DEFAULT_SYMBOLS.index("query")
_KEY_BYTES = (32, 33)  # by algorithm: Ed25519, secp256r1 (compressed)
_CHECK_IF, _REJECT_IF = 0, 2
_HEAD = bytes([1 << 3, _QUERY])


@dataclass(frozen=True, slots=True)
class TokenDialect:
    """The parts that tokens of one kind may have and capabilities may not; by default none."""

    choices: bool = False
    """Whether an expression may hold ``a || b``, whose right side is a closure without a parameter."""
    rejects: bool = False
    """Whether a block may hold ``reject if``, which is returned apart from the checks."""
    p256_signers: bool = False
    """Whether a P-256 key may sign a block."""


CAPABILITY = TokenDialect()


class Query(NamedTuple):
    """One alternative of a check; ``trusting`` are the public keys of its scope."""

    body: tuple[Predicate, ...]
    expressions: tuple[tuple[Op, ...], ...]
    trusting: tuple[bytes, ...]


class RawBlock(NamedTuple):
    """One block: its external signer (None if it has none), its facts and its checks.

    ``id`` names the block: the revocation id (hex of its signature) of an unsigned block, the sha256 of
    the *external* signature of a signed one, because whoever holds the parent can append the same signed
    payload again under a new ephemeral key. ECDSA signatures can be changed by anyone without breaking
    them: the first block of a P-256 root is named by the sha256 of its content and next key, and a block
    that a P-256 key signed by the sha256 of its content, that key and the name of the block before.
    """

    id: str
    signer: bytes | None
    facts: tuple[Predicate, ...]
    checks: tuple[tuple[Query, ...], ...]
    rejects: tuple[tuple[Query, ...], ...] = ()


class _Blocks(TermReader):
    """Reads one token by its dialect, with the tables of the block that is being read."""

    __slots__ = ("dialect", "keys")

    def __init__(self, data: bytes, dialect: TokenDialect = CAPABILITY) -> None:
        super().__init__(data, MAX_FIELDS, CHOICE if dialect.choices else CLOSURE)
        self.dialect = dialect
        self.keys: list[bytes] = []


def decode_token(token: str) -> bytes:
    """Return the bytes of a token that is written as base64url.

    Raises:
        Denied: ``malformed`` or ``too_large``, in the words of a capability.
    """
    if not isinstance(token, str):
        raise Denied(Reason.MALFORMED, "a capability must be a string")
    if len(token) > MAX_BYTES * 4 // 3 + 4:
        raise Denied(Reason.TOO_LARGE, f"a capability is at most {MAX_BYTES} bytes")
    try:
        return decode_base64url(token)
    except ValueError:
        mark = ", it begins with a byte order mark (BOM)" * (token[:1] == "\ufeff")
        raise Denied(Reason.MALFORMED, f"the capability is not base64url{mark}") from None


def decode_base64url(text: str) -> bytes:
    """Decode base64url (RFC 4648, 5), with or without padding.

    Raises:
        ValueError: a character is outside the alphabet, or the length is impossible.
    """
    data = text.encode("ascii")
    return base64.b64decode(data + b"=" * (-len(data) % 4), altchars=b"-_", validate=True)


def read_envelope(data: bytes) -> int | None:
    """Return the root key id of a token, or None if it carries none; no signature is checked yet.

    Raises:
        Denied: ``too_large`` (bytes, blocks), ``malformed`` (not a Biscuit).
    """
    _check_size(data)
    try:
        key_id, *_ = Reader(data, MAX_FIELDS).message(0, len(data), _ENVELOPE)
    except Denied as error:
        reason = error.reason if error.reason is Reason.TOO_LARGE else Reason.MALFORMED
        raise Denied(reason, detail=error.detail) from None
    if key_id and key_id[0] >= 1 << 32:
        raise Denied(Reason.MALFORMED, detail="root key id")
    return key_id[0] if key_id else None


def read_blocks(
    data: bytes, *, p256_root: bool = False, dialect: TokenDialect = CAPABILITY
) -> list[RawBlock]:
    """Return the blocks of a token whose signatures were verified.

    Raises:
        Denied: ``outside_profile`` or ``too_large``.
    """
    _check_size(data)
    reader = _Blocks(data, dialect)
    _, first, further, _ = reader.message(0, len(data), _ENVELOPE)
    symbols = dict(_DEFAULTS)
    keys: list[bytes] = []
    blocks: list[RawBlock] = []
    for index, (at, end) in enumerate([*first, *further]):
        [block], [next_key], [signature], external, _ = reader.message(at, end, _SIGNED)
        # refuse ECDSA: anyone could change a signature by this key, and with it the next block's id
        _key(reader, *next_key)
        if external:
            if index == 0:
                raise outside_profile("the first block has an external signature")
            [(by, signer)] = external
            name = hashlib.sha256(by).hexdigest()
            if len(signer) != _KEY_BYTES[0]:
                name = _digest(raw_bytes(reader, *block), signer, blocks[-1].id.encode())
            # a signed block has tables of its own, so that its signer need not know the token
            reader.symbols, reader.keys = dict(_DEFAULTS), []
        else:
            signer, name = None, signature.hex()
            if index == 0 and p256_root:
                name = _digest(raw_bytes(reader, *block), raw_bytes(reader, *next_key))
            reader.symbols, reader.keys = symbols, keys
        blocks.append(_block(reader, block, name, signer))
    return blocks


def _digest(*parts: bytes) -> str:
    return hashlib.sha256(b"".join(len(part).to_bytes(4, "big") + part for part in parts)).hexdigest()


def _check_size(data: bytes) -> None:
    if len(data) > MAX_BYTES:
        raise Denied(Reason.TOO_LARGE, detail="bytes of a token")


def _external(reader: _Blocks, at: int, end: int) -> tuple[bytes, bytes]:
    """Read an external signature and its key."""
    [signature], [key] = reader.message(at, end, _EXTERNAL)
    return signature, key


def _key(reader: _Blocks, at: int, end: int) -> bytes:
    algorithm: int
    key: bytes
    [algorithm], [key] = reader.message(at, end, _KEY)
    known = _KEY_BYTES if reader.dialect.p256_signers else _KEY_BYTES[:1]
    if algorithm >= len(known) or len(key) != known[algorithm]:
        raise outside_profile("a key that is not Ed25519")
    return key


_ENVELOPE: Shape = (
    number(1),
    submessage(2, span, min_count=1),
    submessage(3, span, max_count=MAX_BLOCKS - 1, name="further blocks"),
    submessage(4, span, min_count=1),
)
_SIGNED: Shape = (
    submessage(1, span, min_count=1),
    submessage(2, span, min_count=1),
    submessage(3, raw_bytes, min_count=1),
    submessage(4, _external),
    number(5),
)
_EXTERNAL: Shape = (submessage(1, raw_bytes, min_count=1), submessage(2, _key, min_count=1))
_KEY: Shape = (number(1, least=1), submessage(2, raw_bytes, min_count=1))


def _block(reader: _Blocks, where: Span, name: str, signer: bytes | None) -> RawBlock:
    declared, [version], fact_spans, check_spans, keys = reader.message(*where, _BLOCK)
    if not 3 <= version <= 6:
        raise outside_profile("a block of an unknown version")
    symbols = reader.symbols
    distinct = set(declared)
    if len(distinct) != len(declared) or not distinct.isdisjoint(symbols.values()):
        raise outside_profile("a symbol is declared twice")
    symbols.update(enumerate(declared, _FIRST_SYMBOL + len(symbols) - len(_DEFAULTS)))
    reader.keys += keys
    # checks come before the keys that they name, so they are read only now
    facts = [reader.parts(at, end, _FACT)[0] for at, end in fact_spans]
    checks: list[tuple[Query, ...]] = []
    rejects: list[tuple[Query, ...]] = []
    for at, end in check_spans:
        kind, queries = _check(reader, at, end)
        (checks if kind == _CHECK_IF else rejects).append(queries)
    return RawBlock(name, signer, tuple(facts), tuple(checks), tuple(rejects))


def _check(reader: _Blocks, at: int, end: int) -> tuple[int, tuple[Query, ...]]:
    """Return the kind of a check, and its alternatives."""
    queries, kinds = reader.message(at, end, _CHECK)
    kind = kinds[0] if kinds else _CHECK_IF
    if kind != _CHECK_IF and not (kind == _REJECT_IF and reader.dialect.rejects):
        raise outside_profile("a check other than 'check if'")
    return kind, tuple(queries)


def _query(reader: _Blocks, at: int, end: int) -> Query:
    _, body, expressions, trusting = reader.message(at, end, _RULE)
    return Query(tuple(body), tuple(expressions), tuple(trusting))


def _head(reader: _Blocks, at: int, end: int) -> None:
    # a head with variables would make the engine print to standard output
    if reader.data[at:end] != _HEAD:
        raise outside_profile("a query with a head")
    reader.left -= 1


def _scope(reader: _Blocks, at: int, end: int) -> bytes:
    index: int
    [[index]] = reader.message(at, end, _SCOPE)
    if index >= len(reader.keys):
        raise outside_profile("an unknown key")
    return reader.keys[index]


_BLOCK: Shape = (
    submessage(1, text, max_count=2048, name="symbols"),
    number(3, least=1),
    submessage(4, span, max_count=128, name="facts"),
    submessage(6, span, max_count=MAX_CHECKS, name="checks"),
    submessage(8, _key, max_count=64, name="keys"),
)
_FACT = submessage(1, predicate, min_count=1)
_CHECK: Shape = (submessage(1, _query, min_count=1, max_count=MAX_BRANCHES, name="branches"), number(2))
_RULE: Shape = (
    submessage(1, _head, min_count=1),
    submessage(2, predicate, max_count=128, name="facts in a branch"),
    submessage(3, expression, max_count=128, name="tests in a branch"),
    submessage(4, _scope, max_count=2, name="keys of a check"),
)
_SCOPE: Shape = (number(2, least=1),)
