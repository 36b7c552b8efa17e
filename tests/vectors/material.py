"""What vectors are made of: keys that everybody knows, and tokens and statements by them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import biscuit_auth
from biscuit_auth import BiscuitBuilder
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from hessra_agents import Approval, Call, Capability, KeyPair, Proof
from hessra_agents.grants.conditions import Condition
from hessra_agents.tokens.admission import APPROVED
from hessra_agents.tokens.issue import issue
from tests.support import forge
from tests.vectors import run
from tests.vectors.run import Row

NOW = 1_800_000_000
HOUR = timedelta(hours=1)
AUTHORITY = hashlib.sha256(b"hessra-agents test authority").hexdigest()[:32]
"""The identifier of the authority whose root key is used here."""


def seed(name: str) -> bytes:
    """The private bytes of a test key: public knowledge, never to be trusted."""
    return hashlib.sha256(f"hessra-agents test key {name}".encode()).digest()


NAMES = ("root", "other root", *(f"holder {i}" for i in range(4)), *(f"approver {i}" for i in (1, 2, 3)))
NAMES += ("witness", "thief")
KEYS = {name: KeyPair.of(Ed25519PrivateKey.from_private_bytes(seed(name))) for name in NAMES}
ROOT, OTHER_ROOT, WITNESS, THIEF = KEYS["root"], KEYS["other root"], KEYS["witness"], KEYS["thief"]
HOLDERS = [KEYS[f"holder {i}"] for i in range(4)]
APPROVERS = [KEYS[f"approver {i}"] for i in (1, 2, 3)]

_P256 = ec.derive_private_key(int.from_bytes(seed("p256 root"), "big") >> 1, ec.SECP256R1())
_POINT = _P256.public_key().public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
P256_PUBLIC = f"secp256r1/{_POINT.hex()}"


def p256_root() -> Any:
    """A root key on another curve, as the Biscuit library has it."""
    library: Any = biscuit_auth  # its type stubs lag behind the library
    return library.PrivateKey.from_pem(
        _P256.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    )


# Tokens


def bearer(*conditions: Condition, **options: Any) -> Capability:
    """A capability of the root key, by default for the guard ``mail`` and for an hour."""
    given: dict[str, Any] = {"key": ROOT, "key_id": 1, "ttl": HOUR, "audience": "mail", "now": NOW} | options
    return issue("agent:desk", conditions, **given)


def used(source: str, keys: Mapping[str, KeyPair]) -> dict[str, KeyPair]:
    """The keys that occur in a Datalog source, by name."""
    return {name: pair for name, pair in keys.items() if f"{{{name}}}" in source}


def root_block(source: str, keys: Mapping[str, KeyPair] | None = None, *, private: Any = None) -> str:
    """A token with this Datalog as its first block, signed by the root key, or by another without an id."""
    builder = BiscuitBuilder(
        source, {}, {name: pair.public.for_biscuit() for name, pair in (keys or {}).items()}
    )
    if private is None:
        builder.set_root_key_id(1)
    return builder.build(private or ROOT.for_biscuit().private_key).to_base64()


def root_bytes(block: bytes) -> str:
    """A token with these bytes as its first block, signed by the root key."""
    following = Ed25519PrivateKey.generate()
    key = following.public_key().public_bytes_raw()
    # Biscuit specification, "Signature (one block)", version 0: block, algorithm, next key
    signature = ROOT.sign(block + (0).to_bytes(4, "little") + key)
    signed = forge.write((1, block), (2, forge.write((1, 0), (2, key))), (3, signature))
    last = forge.write((1, following.private_bytes_raw()))
    return forge.text(forge.write((1, 1), (2, signed), (4, last)))


def member(message: bytes, number: int) -> bytes:
    """The bytes of one field of a protobuf message."""
    return next(value for n, value in forge.read(message) if n == number and isinstance(value, bytes))


# Statements


def proof(
    capability: Capability,
    signer: str,
    *,
    holds: bool = True,
    audience: str = "mail",
    now: int = NOW,
    handle: str | None = None,
    ids: tuple[str, ...] | None = None,
    call: Call | None = None,
) -> Callable[[Call], Row]:
    """A proof by a key of ours, as its holder would make it, or with something else in it."""
    assert capability.holder
    chain, name = ids or capability.ids, handle or capability.holder.handle

    def make(of: Call) -> Row:
        made = Proof.make(call or of, ids=chain, handle=name, audience=audience, key=KEYS[signer], now=now)
        row = run.proof_row(made, key=signer, ids=chain, handle=name, audience=audience)
        return row | {"holds": holds}

    return make


def approval(
    capability: Capability,
    signer: str,
    *,
    holds: bool = True,
    expires: int = NOW + 300,
    ids: tuple[str, ...] | None = None,
    call: Call | None = None,
    handle: str | None = None,
) -> Callable[[Call], Row]:
    """An approval by a key of ours."""
    key = KEYS[signer]
    asked = [a for b in capability.blocks for check in b.attested for a in check if a.label == APPROVED]
    name = handle or next(a.value for a in asked if a.key == key.public.data)
    chain = ids or capability.ids

    def make(of: Call) -> Row:
        made = Approval.make(call or of, ids=chain, handle=name, key=key, expires=expires)
        return run.approval_row(made, key=signer, ids=chain) | {"holds": holds}

    return make


def votes(*made: Callable[[Call], Row]) -> Callable[[Call], list[Row]]:
    """Several approvals of one call."""
    return lambda call: [make(call) for make in made]
