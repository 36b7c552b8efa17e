"""What an attacker does with a token: take it apart, and put blocks of their own making into it."""

from __future__ import annotations

import base64

from biscuit_auth import Biscuit, BlockBuilder
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hessra_agents import Capability, KeyPair, PublicKey

Fields = list[tuple[int, "int | bytes"]]


def varint(value: int) -> bytes:
    """A protobuf varint."""
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    found.append(value)
    return bytes(found)


def write(*fields: tuple[int, int | bytes]) -> bytes:
    """A protobuf message, its fields as given."""
    return b"".join(
        varint(n << 3) + varint(v) if isinstance(v, int) else varint(n << 3 | 2) + varint(len(v)) + v
        for n, v in fields
    )


def read(data: bytes) -> Fields:
    """The fields of a protobuf message."""

    def number(at: int) -> tuple[int, int]:
        value = shift = 0
        while True:
            byte = data[at]
            value |= (byte & 0x7F) << shift
            at, shift = at + 1, shift + 7
            if byte < 0x80:
                return value, at

    found: Fields = []
    at = 0
    while at < len(data):
        tag, at = number(at)
        value, at = number(at)
        if tag & 7:
            found.append((tag >> 3, data[at : at + value]))
            at += value
        else:
            found.append((tag >> 3, value))
    return found


def raw(capability: Capability | str) -> bytes:
    """A token's bytes."""
    token = capability if isinstance(capability, str) else capability.token
    return base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))


def text(data: bytes) -> str:
    """Bytes as a token."""
    return base64.urlsafe_b64encode(data).decode()


def blocks(capability: Capability | str) -> tuple[list[bytes], Fields]:
    """The signed blocks, and the rest of the envelope."""
    fields = read(raw(capability))
    return [bytes(v) for n, v in fields if n in (2, 3) and isinstance(v, bytes)], [
        (n, v) for n, v in fields if n not in (2, 3)
    ]


def build(signed: list[bytes], rest: Fields) -> str:
    """A token of these signed blocks."""
    ids = [f for f in rest if f[0] == 1]
    proof = [f for f in rest if f[0] == 4]
    return text(write(*ids, (2, signed[0]), *[(3, one) for one in signed[1:]], *proof))


def append_raw(capability: Capability | str, content: bytes) -> str:
    """Append a block of any bytes, signed as a holder of the token can: with the secret in its proof."""
    signed, rest = blocks(capability)
    proof = dict(read(bytes(dict(rest)[4])))
    secret = Ed25519PrivateKey.from_private_bytes(bytes(proof[1]))
    following = Ed25519PrivateKey.generate()
    key = following.public_key().public_bytes_raw()
    # Biscuit specification, "Signature (one block)", version 0: block, algorithm, next key
    signature = secret.sign(content + (0).to_bytes(4, "little") + key)
    block = write((1, content), (2, write((1, 0), (2, key))), (3, signature))
    rest = [(n, v) for n, v in rest if n != 4]
    return build([*signed, block], [*rest, (4, write((1, following.private_bytes_raw())))])


def append_source(capability: Capability, source: str, keys: dict[str, PublicKey] | None = None) -> str:
    """Append an unsigned block of Datalog."""
    scopes = {name: key.for_biscuit() for name, key in (keys or {}).items()}
    return capability.biscuit.append(BlockBuilder(source, {}, scopes)).to_base64()


def append_signed(
    capability: Capability, key: KeyPair, source: str, keys: dict[str, PublicKey] | None = None
) -> str:
    """Append a block of Datalog that ``key`` signs from outside."""
    scopes = {name: one.for_biscuit() for name, one in (keys or {}).items()}
    pair = key.for_biscuit()
    request = capability.biscuit.third_party_request()
    block = request.create_block(pair.private_key, BlockBuilder(source, {}, scopes))
    grown: Biscuit = capability.biscuit.append_third_party(pair.public_key, block)
    return grown.to_base64()
