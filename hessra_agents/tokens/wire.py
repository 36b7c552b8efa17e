"""A strict reader of a Biscuit's bytes: what the blocks say, as plain data.

Source: Biscuit specification 3.3, ``schema.proto``. Protobuf readers resolve some things in silence
(unknown fields, a singular field given twice, several members of a oneof, long varints), and a gap
between two readers is a hole. So this reader has three rules:

1. Every field is known, in ascending order, once unless it repeats, and every varint is minimal.
2. What our profile has no use for is refused here: rules, block scopes, contexts, dates, nulls, arrays,
   maps, bytes in sets, regular expressions, arithmetic, foreign functions.
3. At most `MAX_FIELDS` fields are read, whatever the bytes say.

A `Dialect` says which few things more a token of another kind may hold; a capability holds none of them.

It checks no signature: it is given the bytes of a token that was verified (`capability.parse`).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TypeAlias

from ..errors import Denied, Reason

__all__ = ["CAPABILITY", "MAX_BLOCKS", "MAX_BYTES", "MAX_FIELDS", "Dialect", "Op", "Predicate", "Query"]
__all__ += ["RawBlock", "Term", "Var", "read_blocks", "read_envelope"]

MAX_BYTES = 16 * 1024
MAX_BLOCKS = 16
MAX_FIELDS = 4096

_VARINT, _BYTES = 0, 2
# fmt: off
_DEFAULT_SYMBOLS = (
    "read", "write", "resource", "operation", "right", "time", "role", "owner",
    "tenant", "namespace", "user", "team", "service", "admin", "email", "group",
    "member", "ip_address", "client", "client_ip", "domain", "path",
    "version", "cluster", "node", "hostname", "nonce", "query",
)
# fmt: on
_FIRST_SYMBOL = 1024
_QUERY = _DEFAULT_SYMBOLS.index("query")
_KEY_BYTES = (32, 33)  # by algorithm: Ed25519, secp256r1 (compressed)
_CHECK_IF, _REJECT_IF = 0, 2


class Var(int):
    """A variable, by its symbol."""

    __slots__ = ()


Term: TypeAlias = "str | int | bool | bytes | frozenset[str] | frozenset[int] | Var"
Predicate: TypeAlias = "tuple[str, tuple[Term, ...]]"


@dataclass(frozen=True, slots=True)
class Dialect:
    """What tokens of one kind may hold beyond what capabilities may: by default nothing."""

    choices: bool = False
    """``a || b`` in an expression, whose right side is a closure without a parameter."""
    rejects: bool = False
    """``reject if``, kept apart from the checks."""
    p256_signers: bool = False
    """Blocks that a P-256 key signed."""


CAPABILITY = Dialect()


@dataclass(frozen=True, slots=True)
class Op:
    """One step of an expression in postfix form: a value, a unary or binary operator, or a closure."""

    kind: str
    value: Term | None = None
    code: int = -1
    body: tuple[Op, ...] = ()


@dataclass(frozen=True, slots=True)
class Query:
    """One alternative of a check. ``trusting`` holds the public keys of its scope."""

    body: tuple[Predicate, ...]
    expressions: tuple[tuple[Op, ...], ...]
    trusting: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class RawBlock:
    """One block: who signed it beside the chain (None: nobody), its facts and its checks.

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


def outside(detail: str) -> Denied:
    """The refusal of what is not in the profile."""
    return Denied(Reason.OUTSIDE_PROFILE, detail=detail)


class _Reader:
    """One token's bytes, their dialect, and how many fields may still be read."""

    __slots__ = ("data", "dialect", "left")

    def __init__(self, data: bytes, dialect: Dialect = CAPABILITY) -> None:
        self.data = data
        self.dialect = dialect
        self.left = MAX_FIELDS

    def varint(self, at: int, end: int) -> tuple[int, int]:
        data = self.data
        if at >= end:
            raise outside("a number is cut off")
        byte = data[at]
        if byte < 0x80:
            return byte, at + 1
        value, shift, at = byte & 0x7F, 7, at + 1
        while True:
            if at >= end or shift > 63:
                raise outside("a number is cut off or too long")
            byte = data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                if byte == 0 or value >> 64:
                    raise outside("a number is not minimal")
                return value, at
            shift += 7

    def fields(self, span: tuple[int, int], shape: _Shape) -> list[tuple[int, int, int]]:
        """The fields of one message: (number, value, 0), or (number, start, end) of bytes."""
        at, end = span
        found, last = [], 0
        while at < end:
            tag, at = self.varint(at, end)
            number = tag >> 3
            rule = shape.get(number)
            if rule is None or rule[0] != tag & 7:
                raise outside(f"field {number} is not in the profile")
            if number < last or (number == last and not rule[1]):
                raise outside(f"field {number} is repeated or out of order")
            last = number
            self.left -= 1
            if self.left < 0:
                raise Denied(Reason.TOO_LARGE, detail="too many fields")
            value, at = self.varint(at, end)
            if rule[0] == _VARINT:
                found.append((number, value, 0))
            else:
                if at + value > end:
                    raise outside("a field is cut off")
                found.append((number, at, at + value))
                at += value
        return found

    def message(self, span: tuple[int, int], shape: _Shape) -> dict[int, list[tuple[int, int]]]:
        """The fields of one message by number."""
        found: dict[int, list[tuple[int, int]]] = {}
        for number, start, end in self.fields(span, shape):
            found.setdefault(number, []).append((start, end))
        for number, rule in shape.items():
            if rule[2] and number not in found:
                raise outside(f"field {number} is missing")
        return found

    def text(self, span: tuple[int, int]) -> str:
        try:
            return self.data[span[0] : span[1]].decode()
        except UnicodeDecodeError:
            raise outside("a text is not UTF-8") from None

    def only(self, span: tuple[int, int], shape: _Shape) -> tuple[int, int, int]:
        """The one field of a oneof."""
        found = self.fields(span, shape)
        if len(found) != 1:
            raise outside("a choice has none or several members")
        return found[0]


# number: (wire type, may repeat, must be there); what is not listed is refused
_Shape: TypeAlias = "dict[int, tuple[int, bool, bool]]"
_ENVELOPE: _Shape = {1: (_VARINT, False, False), 2: (_BYTES, False, True), 3: (_BYTES, True, False)}
_ENVELOPE[4] = (_BYTES, False, True)
_SIGNED: _Shape = {n: (_BYTES, False, n < 4) for n in (1, 2, 3, 4)} | {5: (_VARINT, False, False)}
_EXTERNAL: _Shape = {1: (_BYTES, False, True), 2: (_BYTES, False, True)}
_KEY: _Shape = {1: (_VARINT, False, True), 2: (_BYTES, False, True)}
_BLOCK: _Shape = dict.fromkeys((1, 4, 6, 8), (_BYTES, True, False)) | {3: (_VARINT, False, True)}
_FACT: _Shape = {1: (_BYTES, False, True)}
_CHECK: _Shape = {1: (_BYTES, True, True), 2: (_VARINT, False, False)}
_RULE: _Shape = {1: (_BYTES, False, True), 2: (_BYTES, True, False), 3: (_BYTES, True, False)}
_RULE[4] = (_BYTES, True, False)
_SCOPE: _Shape = {2: (_VARINT, False, True)}
_PREDICATE: _Shape = {1: (_VARINT, False, True), 2: (_BYTES, True, False)}
_TERM: _Shape = dict.fromkeys((1, 2, 3, 6), (_VARINT, False, False))
_TERM |= dict.fromkeys((5, 7), (_BYTES, False, False))
_SET: _Shape = {1: (_BYTES, True, False)}
_EXPRESSION: _Shape = {1: (_BYTES, True, True)}
_OP: _Shape = dict.fromkeys((1, 2, 3, 4), (_BYTES, False, False))
_OPERATOR: _Shape = {1: (_VARINT, False, True)}
_CLOSURE: _Shape = {1: (_VARINT, False, True), 2: (_BYTES, True, True)}
_CHOICE: _Shape = _CLOSURE | {1: (_VARINT, False, False)}


def read_envelope(data: bytes) -> int | None:
    """The root key id of a token, read before its signatures are: None if it carries none.

    Raises:
        Denied: ``too_large`` (bytes, blocks), ``malformed`` (not a Biscuit).
    """
    if len(data) > MAX_BYTES:
        raise Denied(Reason.TOO_LARGE, detail="bytes of a token")
    try:
        found = _Reader(data).message((0, len(data)), _ENVELOPE)
    except Denied as error:
        raise Denied(Reason.MALFORMED, detail=error.detail) from None
    _count(found)
    key_id = found.get(1)
    if key_id and key_id[0][0] >= 1 << 32:
        raise Denied(Reason.MALFORMED, detail="root key id")
    return key_id[0][0] if key_id else None


def read_blocks(data: bytes, *, p256_root: bool = False, dialect: Dialect = CAPABILITY) -> list[RawBlock]:
    """The blocks of a token whose signatures were verified.

    Raises:
        Denied: ``outside_profile`` or ``too_large``.
    """
    reader = _Reader(data, dialect)
    envelope = reader.message((0, len(data)), _ENVELOPE)
    _count(envelope)
    symbols, keys = list[str](), list[bytes]()
    blocks = list[RawBlock]()
    for index, span in enumerate([envelope[2][0], *envelope.get(3, [])]):
        signed = reader.message(span, _SIGNED)
        signature = data[slice(*signed[3][0])]
        if 4 in signed:
            if index == 0:
                raise outside("the first block is signed from outside")
            external = reader.message(signed[4][0], _EXTERNAL)
            name = hashlib.sha256(data[slice(*external[1][0])]).hexdigest()
            signer = _key(reader, external[2][0])
            if len(signer) != _KEY_BYTES[0]:
                name = _digest(data[slice(*signed[1][0])], signer, blocks[-1].id.encode())
            # a signed block has tables of its own, so that its signer need not know the token
            blocks.append(_block(reader, signed[1][0], [], [], name, signer))
        else:
            name = signature.hex()
            if index == 0 and p256_root:
                name = _digest(data[slice(*signed[1][0])], data[slice(*signed[2][0])])
            blocks.append(_block(reader, signed[1][0], symbols, keys, name, None))
    return blocks


def _digest(*parts: bytes) -> str:
    return hashlib.sha256(b"".join(len(part).to_bytes(4, "big") + part for part in parts)).hexdigest()


def _count(envelope: dict[int, list[tuple[int, int]]]) -> None:
    if len(envelope.get(3, ())) >= MAX_BLOCKS:
        raise Denied(Reason.TOO_LARGE, detail="blocks of a token")


def _block(
    reader: _Reader,
    span: tuple[int, int],
    symbols: list[str],
    keys: list[bytes],
    name: str,
    signer: bytes | None,
) -> RawBlock:
    found = reader.message(span, _BLOCK)
    if not 3 <= found[3][0][0] <= 6:
        raise outside("a block of an unknown version")
    symbols += [reader.text(span) for span in found.get(1, ())]
    if len({*symbols, *_DEFAULT_SYMBOLS}) != len(symbols) + len(_DEFAULT_SYMBOLS):
        raise outside("a symbol is declared twice")
    keys += [_key(reader, span) for span in found.get(8, ())]
    facts = [_predicate(reader, reader.only(s, _FACT)[1:], symbols) for s in found.get(4, ())]
    checks, rejects = list[tuple[Query, ...]](), list[tuple[Query, ...]]()
    for kind, queries in (_check(reader, s, symbols, keys) for s in found.get(6, ())):
        (checks if kind == _CHECK_IF else rejects).append(queries)
    return RawBlock(name, signer, tuple(facts), tuple(checks), tuple(rejects))


def _key(reader: _Reader, span: tuple[int, int]) -> bytes:
    found = reader.message(span, _KEY)
    key = reader.data[slice(*found[2][0])]
    algorithm = found[1][0][0]
    known = _KEY_BYTES if reader.dialect.p256_signers else _KEY_BYTES[:1]
    if algorithm >= len(known) or len(key) != known[algorithm]:
        raise outside("a key that is not Ed25519")
    return key


def _check(
    reader: _Reader, span: tuple[int, int], symbols: list[str], keys: list[bytes]
) -> tuple[int, tuple[Query, ...]]:
    """The kind of a check, and its alternatives."""
    found = reader.message(span, _CHECK)
    kind = found[2][0][0] if 2 in found else _CHECK_IF
    if kind != _CHECK_IF and not (kind == _REJECT_IF and reader.dialect.rejects):
        raise outside("a check other than 'check if'")
    return kind, tuple(_query(reader, s, symbols, keys) for s in found[1])


def _query(reader: _Reader, span: tuple[int, int], symbols: list[str], keys: list[bytes]) -> Query:
    found = reader.message(span, _RULE)
    # a head with variables would make the engine print to standard output
    if reader.fields(found[1][0], _PREDICATE) != [(1, _QUERY, 0)]:
        raise outside("a query with a head")
    scopes = [reader.only(s, _SCOPE)[1] for s in found.get(4, ())]
    if any(index >= len(keys) for index in scopes):
        raise outside("an unknown key")
    return Query(
        tuple(_predicate(reader, s, symbols) for s in found.get(2, ())),
        tuple(_expression(reader, s, symbols) for s in found.get(3, ())),
        tuple(keys[index] for index in scopes),
    )


def _symbol(index: int, symbols: list[str]) -> str:
    own = index - _FIRST_SYMBOL
    if 0 <= own < len(symbols):
        return symbols[own]
    if index < len(_DEFAULT_SYMBOLS):
        return _DEFAULT_SYMBOLS[index]
    raise outside("an unknown symbol")


def _predicate(reader: _Reader, span: tuple[int, int], symbols: list[str]) -> Predicate:
    found = reader.message(span, _PREDICATE)
    terms = tuple(_term(reader, s, symbols) for s in found.get(2, ()))
    return _symbol(found[1][0][0], symbols), terms


def _term(reader: _Reader, span: tuple[int, int], symbols: list[str]) -> Term:
    number, start, end = reader.only(span, _TERM)
    if number == 3:
        return _symbol(start, symbols)
    if number == 1:
        return Var(start)
    if number == 2:
        return start - (1 << 64) if start >> 63 else start
    if number == 5:
        return reader.data[start:end]
    if number == 6:
        if start > 1:
            raise outside("a truth value that is neither 0 nor 1")
        return start == 1
    return _set(reader, (start, end), symbols)


def _set(reader: _Reader, span: tuple[int, int], symbols: list[str]) -> frozenset[str] | frozenset[int]:
    terms = [_term(reader, (start, end), symbols) for _, start, end in reader.fields(span, _SET)]
    kinds = {type(term) for term in terms}
    values = frozenset(terms)
    if len(kinds) > 1 or not kinds <= {str, int} or len(values) != len(terms):
        raise outside("a set of anything but different texts or whole numbers")
    return values  # type: ignore[return-value]


def _expression(reader: _Reader, span: tuple[int, int], symbols: list[str]) -> tuple[Op, ...]:
    ops = []
    for _, start, end in reader.fields(span, _EXPRESSION):
        number, *inner = reader.only((start, end), _OP)
        at = (inner[0], inner[1])
        if number == 1:
            ops.append(Op("value", _term(reader, at, symbols)))
        elif number == 4:
            ops.append(_closure(reader, at, symbols))
        else:
            kind = "unary" if number == 2 else "binary"
            ops.append(Op(kind, code=reader.only(at, _OPERATOR)[1]))
    return tuple(ops)


def _closure(reader: _Reader, span: tuple[int, int], symbols: list[str]) -> Op:
    found = reader.message(span, _CHOICE if reader.dialect.choices else _CLOSURE)
    body = []
    for at in found[2]:
        number, start, end = reader.only(at, _OP)
        if number == 1:
            body.append(Op("value", _term(reader, (start, end), symbols)))
        elif number == 3:
            body.append(Op("binary", code=reader.only((start, end), _OPERATOR)[1]))
        else:
            raise outside("a closure that holds more than one comparison")
    return Op("closure", Var(found[1][0][0]) if 1 in found else None, body=tuple(body))
