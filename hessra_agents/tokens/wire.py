"""A strict reader of a Biscuit's bytes: what the blocks say, as plain data.

Source: Biscuit specification 3.3, ``schema.proto``. The messages are read strictly (`protobuf`), at most
`MAX_FIELDS` fields of them. What our profile has no use for is refused here: rules, block scopes,
contexts, dates, nulls, arrays, maps, bytes in sets, foreign functions.

A `Dialect` says which few things more a token of another kind may hold; a capability holds none of them.

It checks no signature: it is given the bytes of a token that was verified (`capability.parse`).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TypeAlias

from ..errors import Denied, Reason
from ..grants import MAX_BRANCHES
from .protobuf import BYTES, VARINT, Field, Reader, Shape, outside

__all__ = [
    "CAPABILITY",
    "MAX_BLOCKS",
    "MAX_BYTES",
    "MAX_CHECKS",
    "MAX_FIELDS",
    "Dialect",
    "Op",
    "Predicate",
    "Query",
]
__all__ += ["RawBlock", "Term", "Var", "read_blocks", "read_envelope"]

MAX_BYTES = 16 * 1024
MAX_BLOCKS = 16
MAX_CHECKS = 128
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


class _Blocks(Reader):
    """One token's bytes, and what its kind may hold."""

    __slots__ = ("dialect",)

    def __init__(self, data: bytes, dialect: Dialect = CAPABILITY) -> None:
        super().__init__(data, MAX_FIELDS)
        self.dialect = dialect


_NUMBER, _PART = Field(VARINT, required=True), Field(BYTES, required=True)
_ENVELOPE: Shape = {
    1: Field(VARINT),
    2: _PART,
    3: Field(BYTES, MAX_BLOCKS - 1, name="further blocks"),
    4: _PART,
}
_SIGNED: Shape = {1: _PART, 2: _PART, 3: _PART, 4: Field(BYTES), 5: Field(VARINT)}
_EXTERNAL: Shape = {1: _PART, 2: _PART}
_KEY: Shape = {1: _NUMBER, 2: _PART}
_BLOCK: Shape = {
    1: Field(BYTES, 2048, name="texts"),
    3: _NUMBER,
    4: Field(BYTES, 128, name="facts"),
    6: Field(BYTES, MAX_CHECKS, name="checks"),
    8: Field(BYTES, 64, name="keys"),
}
_FACT: Shape = {1: _PART}
_CHECK: Shape = {1: Field(BYTES, MAX_BRANCHES, required=True, name="branches"), 2: Field(VARINT)}
_RULE: Shape = {
    1: _PART,
    2: Field(BYTES, 128, name="facts in a branch"),
    3: Field(BYTES, 128, name="tests in a branch"),
    4: Field(BYTES, 2, name="keys of a check"),
}
_SCOPE: Shape = {2: _NUMBER}
_PREDICATE: Shape = {1: _NUMBER, 2: Field(BYTES, 8, name="terms")}
_TERM: Shape = dict.fromkeys((1, 2, 3, 6), Field(VARINT)) | dict.fromkeys((5, 7), Field(BYTES))
_SET: Shape = {1: Field(BYTES, 1024, name="elements of a set")}
_EXPRESSION: Shape = {1: Field(BYTES, 32, required=True, name="steps of a test")}
_OP: Shape = dict.fromkeys((1, 2, 3, 4), Field(BYTES))
_OPERATOR: Shape = {1: _NUMBER}
_CLOSURE: Shape = {1: _NUMBER, 2: Field(BYTES, 8, required=True, name="steps of a closure")}
_CHOICE: Shape = _CLOSURE | {1: Field(VARINT)}


def read_envelope(data: bytes) -> int | None:
    """The root key id of a token, read before its signatures are: None if it carries none.

    Raises:
        Denied: ``too_large`` (bytes, blocks), ``malformed`` (not a Biscuit).
    """
    _check_size(data)
    try:
        found = _Blocks(data).message((0, len(data)), _ENVELOPE)
    except Denied as error:
        reason = error.reason if error.reason is Reason.TOO_LARGE else Reason.MALFORMED
        raise Denied(reason, detail=error.detail) from None
    key_id = found.get(1)
    if key_id and key_id[0][0] >= 1 << 32:
        raise Denied(Reason.MALFORMED, detail="root key id")
    return key_id[0][0] if key_id else None


def read_blocks(data: bytes, *, p256_root: bool = False, dialect: Dialect = CAPABILITY) -> list[RawBlock]:
    """The blocks of a token whose signatures were verified.

    Raises:
        Denied: ``outside_profile`` or ``too_large``.
    """
    _check_size(data)
    reader = _Blocks(data, dialect)
    envelope = reader.message((0, len(data)), _ENVELOPE)
    symbols, keys = list[str](), list[bytes]()
    blocks = list[RawBlock]()
    for index, span in enumerate([envelope[2][0], *envelope.get(3, [])]):
        signed = reader.message(span, _SIGNED)
        signature = data[slice(*signed[3][0])]
        # an ECDSA signature by the next key could be changed by anyone, and with it the next block's id
        _key(reader, signed[2][0])
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


def _check_size(data: bytes) -> None:
    if len(data) > MAX_BYTES:
        raise Denied(Reason.TOO_LARGE, detail="bytes of a token")


def _block(
    reader: _Blocks,
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


def _key(reader: _Blocks, span: tuple[int, int]) -> bytes:
    found = reader.message(span, _KEY)
    key = reader.data[slice(*found[2][0])]
    algorithm = found[1][0][0]
    known = _KEY_BYTES if reader.dialect.p256_signers else _KEY_BYTES[:1]
    if algorithm >= len(known) or len(key) != known[algorithm]:
        raise outside("a key that is not Ed25519")
    return key


def _check(
    reader: _Blocks, span: tuple[int, int], symbols: list[str], keys: list[bytes]
) -> tuple[int, tuple[Query, ...]]:
    """The kind of a check, and its alternatives."""
    found = reader.message(span, _CHECK)
    kind = found[2][0][0] if 2 in found else _CHECK_IF
    if kind != _CHECK_IF and not (kind == _REJECT_IF and reader.dialect.rejects):
        raise outside("a check other than 'check if'")
    return kind, tuple(_query(reader, s, symbols, keys) for s in found[1])


def _query(reader: _Blocks, span: tuple[int, int], symbols: list[str], keys: list[bytes]) -> Query:
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


def _predicate(reader: _Blocks, span: tuple[int, int], symbols: list[str]) -> Predicate:
    found = reader.message(span, _PREDICATE)
    terms = tuple(_term(reader, s, symbols) for s in found.get(2, ()))
    return _symbol(found[1][0][0], symbols), terms


def _term(reader: _Blocks, span: tuple[int, int], symbols: list[str]) -> Term:
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


def _set(reader: _Blocks, span: tuple[int, int], symbols: list[str]) -> frozenset[str] | frozenset[int]:
    terms = [_term(reader, (start, end), symbols) for _, start, end in reader.fields(span, _SET)]
    kinds = {type(term) for term in terms}
    values = frozenset(terms)
    if len(kinds) > 1 or not kinds <= {str, int} or len(values) != len(terms):
        raise outside("a set of anything but different texts or whole numbers")
    return values  # type: ignore[return-value]


def _expression(reader: _Blocks, span: tuple[int, int], symbols: list[str]) -> tuple[Op, ...]:
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


def _closure(reader: _Blocks, span: tuple[int, int], symbols: list[str]) -> Op:
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
