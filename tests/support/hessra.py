"""Hessra's own Datalog, version 2, written by hand: what its tokens say and what its verifiers ask."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from biscuit_auth import AuthorizationError, AuthorizerBuilder, Biscuit, BiscuitBuilder, BlockBuilder, Fact
from biscuit_auth import KeyPair as BiscuitKeyPair
from biscuit_auth import PrivateKey as BiscuitPrivateKey
from biscuit_auth import PublicKey as BiscuitPublicKey
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from hessra_agents import PublicKey

CAPABILITY = """
    right({subject}, {resource}, {operation});
    check if resource($res), operation($op), right($sub, $res, $op);
    check if time($time), $time < {expiration};
"""
ANCHOR = 'check if designation("anchor", {anchor});'
DESIGNATION = "check if designation({label}, {value});"
LATENT = "check if activation($a) trusting {activator};"

IDENTITY = """
    subject({subject});
    check if actor($a), $a == {subject};
    check if time($time), $time < {expiration};
"""
DELEGATABLE = """
    subject({subject});
    check if actor($a), $a == {subject} || $a.starts_with({subject} + ":");
    check if time($time), $time < {expiration};
"""
DELEGATION = """
    check if actor($a), $a == {identity} || $a.starts_with({identity} + ":");
    check if time($time), $time < {expiration};
"""
JUST_IN_TIME = "check if time($time), $time < {expiration};"

CONTEXT = """
    context({subject});
    check if time($time), $time < {expiration};
"""
LABEL = "reject if exposure({label}); exposed_label({label});"
EXPOSURE = "exposure_source({source}); exposure_time({now});"


class Root:
    """A root key as Hessra has it: P-256 or Ed25519, and no id in its tokens."""

    def __init__(self, pair: BiscuitKeyPair) -> None:
        self.pair = pair
        self.public = PublicKey.parse(repr(pair.public_key))

    @classmethod
    def ed25519(cls) -> Root:
        """An Ed25519 root."""
        return cls(BiscuitKeyPair())

    @classmethod
    def p256(cls) -> Root:
        """A P-256 root, from PKCS#8 as OpenSSL writes it."""
        private = ec.generate_private_key(ec.SECP256R1())
        pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
        key = BiscuitPrivateKey.from_pem(pem)  # type: ignore[attr-defined]  # missing in the library's stub
        return cls(BiscuitKeyPair.from_private_key(key))

    def issue(self, source: str, /, **params: object) -> Biscuit:
        """A token with this first block."""
        return BiscuitBuilder(source, *_split(params)).build(self.pair.private_key)

    def read(self, token: str) -> Biscuit:
        """The token with its signatures checked."""
        return Biscuit.from_base64(token, self.pair.public_key)


def append(token: Biscuit, source: str, /, **params: object) -> Biscuit:
    """The token with an unsigned block."""
    return token.append(BlockBuilder(source, *_split(params)))


def attest(token: Biscuit, pair: BiscuitKeyPair, source: str, /, **params: object) -> Biscuit:
    """The token with a block that ``pair`` signs."""
    block = BlockBuilder(source, *_split(params))
    signed = token.third_party_request().create_block(pair.private_key, block)
    return token.append_third_party(pair.public_key, signed)


def authorized(
    token: Biscuit, source: str, facts: tuple[tuple[str, ...], ...] = (), **params: object
) -> bool:
    """Whether the Datalog engine permits; ``facts`` are a predicate and its texts."""
    builder = AuthorizerBuilder(source, params)
    for predicate, *values in facts:
        names = {f"v{i}": value for i, value in enumerate(values)}
        builder.add_fact(Fact(f"{predicate}({', '.join(f'{{{name}}}' for name in names)})", names))
    limits = builder.limits()  # type: ignore[attr-defined]
    limits.max_time = timedelta(seconds=10)
    builder.set_limits(limits)  # type: ignore[attr-defined]
    authorizer = builder.build(token)
    try:
        authorizer.authorize()
    except AuthorizationError as error:
        if "limit" in str(error):
            raise
        return False
    return True


def capability_verifier(
    token: Biscuit, resource: str, operation: str, *, now: int, designations: Mapping[str, str] | None = None
) -> bool:
    """Whether Hessra's ``CapabilityVerifier`` honours it."""
    return authorized(
        token,
        "time({now}); resource({resource}); operation({operation}); allow if true;",
        tuple(("designation", label, value) for label, value in (designations or {}).items()),
        now=now,
        resource=resource,
        operation=operation,
    )


def identity_verifier(token: Biscuit, identity: str, *, now: int) -> bool:
    """Whether Hessra's ``IdentityVerifier`` accepts the identity."""
    return authorized(token, "time({now}); actor({identity}); allow if true;", now=now, identity=identity)


def context_verifier(token: Biscuit, *excluded: str, now: int) -> bool:
    """Whether Hessra's ``ContextVerifier`` finds none of the excluded labels."""
    return authorized(token, "time({now}); allow if true;", tuple(("exposure", e) for e in excluded), now=now)


def _split(params: dict[str, object]) -> tuple[dict[str, object], dict[str, BiscuitPublicKey]]:
    keys = {name: value for name, value in params.items() if isinstance(value, BiscuitPublicKey)}
    return {name: value for name, value in params.items() if name not in keys}, keys
