"""The peers: raw Ed25519 of `cryptography`, PyJWT, and tenuo where it is installed.

Tenuo does the same work: the same function and constraints, its warrant and key given to its decorator, its
audit log off. It has no constraint on length and takes CEL for it. In one process its decorator signs a
proof of possession and checks it with the key beside it, for every call; our toolbox does so once.
"""

from __future__ import annotations

import importlib
import os
import time
from dataclasses import dataclass
from functools import partial
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from . import workload as work
from .clock import ED25519_VERIFY, Operation

GUARDED_CALL = "tenuo: @guard"
LIFE = 3600  # seconds


def cold(blocks: int) -> str:
    """The name of the operation: from the text of a chain to an answer."""
    return f"tenuo: cold, {blocks:2} warrant{'s' if blocks > 1 else ''}"


@dataclass(frozen=True, slots=True)
class Peers:
    """What is installed here."""

    tenuo: Tenuo | None

    def operations(self) -> list[Operation]:
        """All of them."""
        return [*_ed25519(), *_pyjwt(), *(self.tenuo.operations() if self.tenuo else [])]


def installed() -> Peers:
    """Tenuo is optional."""
    try:
        library = importlib.import_module("tenuo")
    except ImportError:
        return Peers(None)
    return Peers(Tenuo(library))


def _ed25519() -> list[Operation]:
    key, message = Ed25519PrivateKey.generate(), os.urandom(300)
    verify = partial(key.public_key().verify, key.sign(message), message)
    return [
        Operation("peers", "cryptography: Ed25519 sign", partial(key.sign, message)),
        Operation("peers", ED25519_VERIFY, verify),
    ]


def _pyjwt() -> list[Operation]:
    key = Ed25519PrivateKey.generate()
    claims = {"sub": "agent:desk", "aud": "mail", "exp": int(time.time()) + LIFE, "tools": ["send_email"]}
    token = jwt.encode(claims, key, algorithm="EdDSA")
    decode = partial(jwt.decode, token, key.public_key(), algorithms=["EdDSA"], audience="mail")
    return [
        Operation("peers", "PyJWT: EdDSA encode", partial(jwt.encode, claims, key, algorithm="EdDSA")),
        Operation("peers", "PyJWT: EdDSA decode", decode),
    ]


class Tenuo:
    """A root, holders, and a chain of warrants."""

    def __init__(self, library: Any) -> None:
        self.library = library
        self.root = library.SigningKey.generate()
        self.keys = [library.SigningKey.generate() for _ in range(max(work.BLOCKS))]
        library.configure(trusted_roots=[self.root.public_key], audit_log=False)
        self.authorizer = library.Authorizer(trusted_roots=[self.root.public_key])
        self.payment = (
            library.Warrant.mint_builder()
            .capability(
                "pay",
                to=library.OneOf([work.ANA, work.BO]),
                memo=library.Pattern(f"{work.MEMO}*"),
                amount=library.Range(min=0, max=work.MOST),
            )
            .holder(self.keys[0].public_key)
            .ttl(LIFE)
            .mint(self.root)
        )
        trusted = {"keypair": self.keys[0], "trusted_roots": [self.root.public_key]}
        self.guarded = library.guard(self.payment, tool="pay", **trusted)(work.pay)

    def mint(self) -> Any:
        """The first warrant of the chain."""
        builder = self._mail(self.library.Warrant.mint_builder(), [work.ANA, work.BO])
        builder = builder.capability("read_file", path=self.library.Subpath(work.FOLDER))
        return builder.holder(self.keys[0].public_key).ttl(LIFE).mint(self.root)

    def _mail(self, builder: Any, receivers: list[str]) -> Any:
        return builder.capability(
            "send_email",
            to=self.library.OneOf(receivers),
            subject=self.library.Wildcard(),
            body=self.library.CEL(f"size(value) <= {work.BODY}"),
        )

    def grant(self, parent: Any, depth: int) -> Any:
        """One delegation; a child restates every constraint."""
        builder = self._mail(parent.grant_builder(), [work.ANA])
        return builder.holder(self.keys[depth].public_key).ttl(LIFE).grant(self.keys[depth - 1])

    def chain(self, warrants: int) -> list[Any]:
        """So many warrants, the root's first."""
        chain = [self.mint()]
        for depth in range(1, warrants):
            chain.append(self.grant(chain[-1], depth))
        return chain

    def sizes(self) -> list[int]:
        """Characters of the chain that is sent (base64) after each number of delegations."""
        return [len(self.library.encode_warrant_stack(self.chain(1 + count))) for count in work.DELEGATIONS]

    def sign(self, warrant: Any, key: Any, tool: str, arguments: dict[str, Any]) -> tuple[bytes]:
        """The proof of possession for one call."""
        return (bytes(warrant.sign(key, tool, arguments, int(time.time()))),)

    def middleware(self) -> Any:
        """For a server of FastMCP."""
        library = importlib.import_module("tenuo.mcp")
        return library.TenuoMiddleware(library.MCPVerifier(authorizer=self.authorizer))

    def presented(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """What its client sends with a call of ``pay``: the warrant, and a new proof of possession."""
        text = importlib.import_module("tenuo.meta").argument_json(arguments)
        sign = importlib.import_module("tenuo_core").sign_meta
        return {"tenuo": sign([self.payment], self.keys[0], "pay", text, int(time.time()), None)}

    def operations(self) -> list[Operation]:
        """All of them."""
        group, first = "peers: tenuo", self.mint()
        authorize, payment, key = self.authorizer.authorize_one, self.payment, self.keys[0]
        return [
            Operation(group, "tenuo: mint", self.mint),
            Operation(group, "tenuo: grant", partial(self.grant, first, 1)),
            Operation(
                group, "tenuo: proof of possession", partial(self.sign, first, key, "send_email", work.MAIL)
            ),
            *[self._cold(blocks) for blocks in work.BLOCKS],
            Operation(
                group,
                "tenuo: authorize with a proof",
                lambda signature: authorize(payment, "pay", work.PAYMENT, signature=signature),
                partial(self.sign, payment, key, "pay", work.PAYMENT),
            ),
            Operation(group, GUARDED_CALL, partial(self.guarded, **work.PAYMENT)),
        ]

    def _cold(self, blocks: int) -> Operation:
        chain = self.chain(blocks)
        text = self.library.encode_warrant_stack(chain)
        read, check = self.library.decode_warrant_stack_base64, self.authorizer.check_chain
        return Operation(
            "peers: tenuo",
            cold(blocks),
            lambda signature: check(read(text), "send_email", work.MAIL, signature=signature),
            partial(self.sign, chain[-1], self.keys[blocks - 1], "send_email", work.MAIL),
        )


async def check(tenuo: Tenuo) -> None:
    """Its guard runs the tool, and refuses what is outside."""
    assert await tenuo.guarded(**work.PAYMENT) == work.ANA
    try:
        await tenuo.guarded(**work.OUTSIDE)
    except tenuo.library.AuthorizationDenied:
        return
    raise AssertionError("tenuo permits what it must refuse: the comparison is wrong")
