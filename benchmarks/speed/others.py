"""Peers on the same work: may this agent pay? One of two receivers, the text's beginning, an amount's bounds.

None of them is given less to do: each checks signatures or rules for every call, from what a server is
sent, and what it does not check itself (PyJWT knows nothing of arguments) a few lines here do. What is
missing here is left out.
"""

from __future__ import annotations

import importlib
import json
import os
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from .. import workload as work
from ..peers import GUARDED_CALL, LIFE, Peers
from .calling import Case, plain

VERIFY, SIGN = "cryptography: Ed25519 verify", "cryptography: Ed25519 sign"
TENUO = GUARDED_CALL
AUTHORIZE = "tenuo: authorize with a proof"


def cases(others: Peers) -> list[Case]:
    """All of them that are installed."""
    return [*_ed25519(), *_tenuo(others), *_pyjwt(), *_macaroons(), *_cedar()]


def _ed25519() -> Iterator[Case]:
    key, message = Ed25519PrivateKey.generate(), os.urandom(300)
    yield Case(VERIFY, plain(partial(key.public_key().verify, key.sign(message), message)))
    yield Case(SIGN, plain(partial(key.sign, message)))


def _tenuo(others: Peers) -> Iterator[Case]:
    tenuo = others.tenuo
    if tenuo is None:
        return
    authorize, payment, key = tenuo.authorizer.authorize_one, tenuo.payment, tenuo.keys[0]

    def authorized(signature: bytes) -> object:
        return authorize(payment, "pay", work.PAYMENT, signature=signature)

    yield Case(TENUO, partial(tenuo.guarded, **work.PAYMENT))
    yield Case(AUTHORIZE, plain(authorized), partial(tenuo.sign, payment, key, "pay", work.PAYMENT))


def _allowed(claims: dict[str, Any], arguments: dict[str, Any]) -> None:
    """What an application checks of a token's claims itself."""
    to, memo, amount = arguments["to"], arguments["memo"], arguments["amount"]
    if to not in claims["to"] or not memo.startswith(claims["memo"]) or not 0 <= amount <= claims["amount"]:
        raise PermissionError


def _pyjwt() -> Iterator[Case]:
    limits = {"to": [work.ANA, work.BO], "memo": work.MEMO, "amount": work.MOST, "tools": ["pay"]}
    claims = {"sub": work.AGENT, "aud": work.AUDIENCE, "exp": int(time.time()) + LIFE, **limits}
    private, secret = Ed25519PrivateKey.generate(), os.urandom(32)
    for algorithm, signs, checks in (("EdDSA", private, private.public_key()), ("HS256", secret, secret)):
        token = jwt.encode(claims, signs, algorithm=algorithm)
        decode = partial(jwt.decode, token, checks, algorithms=[algorithm], audience=work.AUDIENCE)
        yield Case(f"PyJWT: {algorithm}, claims checked", plain(lambda d=decode: _allowed(d(), work.PAYMENT)))


def _macaroons() -> Iterator[Case]:
    try:
        library = importlib.import_module("pymacaroons")
    except ImportError:
        return
    secret = os.urandom(32).hex()
    made = library.Macaroon(location=work.AUDIENCE, identifier=work.AGENT, key=secret)
    for caveat in (f"exp {int(time.time()) + LIFE}", "tool pay", f"to {work.ANA} {work.BO}",
                   f"memo {work.MEMO}", f"amount {work.MOST}"):  # fmt: skip
        made.add_first_party_caveat(caveat)
    text = made.serialize()

    def holds(caveat: str) -> bool:
        kind, _, value = caveat.partition(" ")
        given = work.PAYMENT
        found: bool = {
            "exp": lambda: time.time() < int(value),
            "tool": lambda: value == "pay",
            "to": lambda: given["to"] in value.split(),
            "memo": lambda: given["memo"].startswith(value),
            "amount": lambda: 0 <= given["amount"] <= int(value),
        }[kind]()  # type: ignore[no-untyped-call]
        return found

    def verified() -> object:
        verifier = library.Verifier()
        verifier.satisfy_general(holds)
        return verifier.verify(library.Macaroon.deserialize(text), secret)

    assert verified()
    yield Case("pymacaroons: 5 caveats, HMAC", plain(verified))


_POLICY = f"""permit(principal == Agent::"desk", action == Action::"pay", resource == Tool::"pay") when {{
  ["{work.ANA}", "{work.BO}"].contains(context.to) && context.memo like "{work.MEMO}*" &&
  context.amount >= 0 && context.amount <= {work.MOST} && context.now < {int(time.time()) + LIFE} }};"""


def _cedar() -> Iterator[Case]:
    try:
        library = importlib.import_module("cedarpy")
    except ImportError:
        return

    def asked(arguments: dict[str, Any]) -> bool:
        context = json.dumps({**arguments, "now": int(time.time())})
        request = {
            "principal": 'Agent::"desk"',
            "action": 'Action::"pay"',
            "resource": 'Tool::"pay"',
            "context": context,
        }
        return bool(library.is_authorized(request, _POLICY, "[]").allowed)

    assert asked(work.PAYMENT)
    assert not asked(work.OUTSIDE)
    yield Case("cedarpy: 1 policy, no signature", plain(partial(asked, work.PAYMENT)))
