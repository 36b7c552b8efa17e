"""What identity and context tokens share: how one is read, its expiry, and the run of the engine.

No capability is read or decided with this module; it is outside of the audited path of a call.
"""

from __future__ import annotations

import base64
import binascii
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from biscuit_auth import (
    AuthorizationError,
    AuthorizerBuilder,
    Biscuit,
    BiscuitBuilder,
    BlockBuilder,
    Check,
    Fact,
)

from ...errors import Denied, Reason
from ...keys.keys import KeyPair, PublicKey
from ...keys.trust import Trust
from ..engine import as_bad_signature, reraise_fatal, with_time_limit
from ..format.blocks import MAX_BYTES, Op, Query, RawBlock, TokenDialect, Var, read_blocks, read_envelope

__all__ = [
    "VerifiedToken",
    "decide",
    "expiry",
    "expiry_check",
    "refuse_expired",
    "sign",
    "sign_first_block",
    "unix_now",
]
__all__ += ["in_words_of"]

_LESS = 0
_TEXTS = {
    Reason.MALFORMED: "the {kind} token cannot be read",
    Reason.TOO_LARGE: "the {kind} token is too large",
    Reason.OUTSIDE_PROFILE: "the {kind} token says something that is not read here",
    Reason.UNKNOWN_ROOT: "the {kind} token comes from no root key that is trusted for it",
    Reason.BAD_SIGNATURE: "the signatures of the {kind} token do not hold",
}


@dataclass(frozen=True, slots=True)
class VerifiedToken:
    """A token of one kind whose signatures hold, and its blocks as data. ``repr`` shows no token."""

    kind: str
    root: PublicKey
    key_id: int | None
    biscuit: Biscuit = field(repr=False)
    blocks: tuple[RawBlock, ...] = field(repr=False)

    @classmethod
    def parse(cls, token: str, trust: Trust, kind: str, dialect: TokenDialect) -> VerifiedToken:
        """Read a token that a trusted root key of this kind signed.

        Raises:
            Denied: ``malformed``, ``too_large``, ``unknown_root``, ``bad_signature``, ``outside_profile``.
        """
        try:
            data = _decode(token)
            return cls.of(data, trust.key(kind, read_envelope(data)), kind, dialect)
        except Denied as denied:
            raise in_words_of(denied, kind) from denied.__cause__

    @classmethod
    def of(cls, data: bytes, root: PublicKey, kind: str, dialect: TokenDialect) -> VerifiedToken:
        """Check the signatures of these bytes and read them.

        Raises:
            Denied: as for `parse`, in the words of capabilities.
        """
        key_id = read_envelope(data)
        try:
            biscuit = Biscuit.from_bytes(data, root.for_biscuit())
        except BaseException as error:
            raise as_bad_signature(error) from reraise_fatal(error)
        # the library's own bytes, so that both readers read the same
        own = bytes(biscuit.to_bytes())
        blocks = read_blocks(own, p256_root=root.algorithm != "ed25519", dialect=dialect)
        return cls(kind, root, key_id, biscuit, tuple(blocks))

    @classmethod
    def built(
        cls, make: Callable[[], Biscuit], root: PublicKey, kind: str, dialect: TokenDialect
    ) -> VerifiedToken:
        """What ``make`` builds, read as everybody will read it.

        Raises:
            ValueError: it cannot be built, or nobody would read it.
        """
        try:
            return cls.of(bytes(make().to_bytes()), root, kind, dialect)
        except Denied as denied:
            raise ValueError(f"nobody would read this {kind} token: {denied.detail}") from denied
        except BaseException as error:
            raise ValueError(f"the {kind} token cannot be built") from reraise_fatal(error)

    @property
    def token(self) -> str:
        """The token as text (base64url with padding)."""
        return self.biscuit.to_base64()


def in_words_of(denied: Denied, kind: str) -> Denied:
    """The same refusal in words about this kind of token."""
    text = _TEXTS.get(denied.reason, denied.text).format(kind=kind)
    return Denied(denied.reason, text, detail=denied.detail)


def _decode(token: str) -> bytes:
    if not isinstance(token, str):
        raise Denied(Reason.MALFORMED, detail="not a text")
    if len(token) > MAX_BYTES * 4 // 3 + 4:
        raise Denied(Reason.TOO_LARGE, detail="characters of a token")
    try:
        text = token.encode("ascii")
        return base64.b64decode(text + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (ValueError, binascii.Error):
        raise Denied(Reason.MALFORMED, detail="not base64url") from None


def unix_now(now: int | None) -> int:
    """Unix seconds: those given, or the clock's."""
    return int(time.time()) if now is None else now


def expiry(check: tuple[Query, ...]) -> int | None:
    """N of ``check if time($t), $t < N``; None of any other check."""
    match check:
        case (
            Query(
                (("time", (Var() as variable,)),),
                ((Op("value", Var() as left), Op("value", bound), Op("binary", None, code)),),
                (),
            ),
        ) if left == variable and type(bound) is int and code == _LESS:
            return bound
        case _:
            return None


def expiry_check(expires: int) -> Check:
    """``check if time($time), $time < N``."""
    return Check("check if time($time), $time < {n}", {"n": expires})


def refuse_expired(expires: Iterable[int], now: int, kind: str) -> None:
    """Nothing, while no block has expired.

    Raises:
        Denied: ``expired``.
    """
    for index, bound in enumerate(expires):
        if not now < bound:
            raise Denied(Reason.EXPIRED, f"the {kind} token has expired", detail=f"block {index}")


def sign_first_block(builder: BiscuitBuilder, key: KeyPair, key_id: int | None) -> Biscuit:
    """The token of this first block, signed by a root key."""
    if key_id is not None:
        builder.set_root_key_id(key_id)
    return builder.build(key.for_biscuit().private_key)


def sign(biscuit: Biscuit, key: KeyPair, block: BlockBuilder) -> Biscuit:
    """The token with one more block, signed by ``key`` for this token alone."""
    pair = key.for_biscuit()
    signed = biscuit.third_party_request().create_block(pair.private_key, block)
    return biscuit.append_third_party(pair.public_key, signed)


def decide(
    biscuit: Biscuit, source: str, params: Mapping[str, object], facts: Iterable[tuple[str, str]] = ()
) -> None:
    """Let the engine decide by this authorizer; ``facts`` are (predicate, text) that it is told beside.

    Raises:
        Denied: ``unavailable``. The engine is asked only after the decision on decoded data has permitted,
            so its refusal, its overrun and its failures are all our own fault.
    """
    try:
        builder = AuthorizerBuilder(source, params)
        for predicate, value in facts:
            builder.add_fact(Fact(f"{predicate}({{v}})", {"v": value}))
        with_time_limit(builder).build(biscuit).authorize()
    except AuthorizationError as error:
        overrun = "limit" in str(error)
        detail = "the Datalog engine ran over its limit" if overrun else "the Datalog engine refuses"
        raise Denied(Reason.UNAVAILABLE, detail=detail) from error
    except BaseException as error:
        raise Denied(Reason.UNAVAILABLE, detail="the Datalog engine failed") from reraise_fatal(error)
