"""Read, build and decide identity and context tokens: what the two kinds share.

No capability is read or decided with this module; it lies outside the audited path of a call.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from biscuit_auth import AuthorizerBuilder, Biscuit, BiscuitBuilder, Check, Fact

from ...errors import Denied, Reason
from ...keys.keys import KeyPair, PublicKey
from ...keys.trust import Trust
from ..datalog_reader import read_time
from ..engine import as_bad_signature, reraise_fatal, run_engine
from ..format.blocks import Query, RawBlock, TokenDialect, decode_token, read_blocks, read_envelope

__all__ = [
    "TokenKind",
    "VerifiedToken",
    "decide",
    "expiry",
    "expiry_check",
    "refuse_expired",
    "sign_first_block",
]

T = TypeVar("T")

_TEXTS = {
    Reason.MALFORMED: "the {kind} token cannot be read",
    Reason.TOO_LARGE: "the {kind} token is too large",
    Reason.OUTSIDE_PROFILE: "the {kind} token says something that is not supported",
    Reason.UNKNOWN_ROOT: "the {kind} token is not signed by a root key that is trusted for it",
    Reason.BAD_SIGNATURE: "the {kind} token's signature is not valid",
}


@dataclass(frozen=True, slots=True)
class VerifiedToken:
    """A token whose signatures were verified, and its blocks as data. ``repr`` shows no token."""

    root: PublicKey
    key_id: int | None
    biscuit: Biscuit = field(repr=False)
    blocks: tuple[RawBlock, ...] = field(repr=False)

    @property
    def token(self) -> str:
        """The token as base64url with padding."""
        return self.biscuit.to_base64()


@dataclass(frozen=True, slots=True)
class TokenKind(Generic[T]):
    """One kind of token: its name, its dialect, and its admission, which returns what a token says."""

    name: str
    dialect: TokenDialect
    admit: Callable[[VerifiedToken], T]

    def read(self, token: str, trust: Trust) -> tuple[VerifiedToken, T]:
        """Read a token that a trusted root key of this kind signed, and return it with what it says.

        Raises:
            Denied: ``malformed``, ``too_large``, ``unknown_root``, ``bad_signature``, ``outside_profile``.
        """
        try:
            data = decode_token(token)
            return self._verified(data, trust.key(self.name, read_envelope(data)))
        except Denied as denied:
            text = _TEXTS.get(denied.reason, denied.text).format(kind=self.name)
            raise Denied(denied.reason, text, detail=denied.detail) from denied.__cause__

    def built(self, make: Callable[[], Biscuit], root: PublicKey) -> tuple[VerifiedToken, T]:
        """Return the token that ``make`` builds, read as every verifier reads it.

        Raises:
            ValueError: it cannot be built, or a verifier would not read it.
        """
        try:
            return self._verified(bytes(make().to_bytes()), root)
        except Denied as denied:
            raise ValueError(f"a verifier would not read this {self.name} token: {denied.detail}") from denied
        except BaseException as error:
            raise ValueError(f"the {self.name} token cannot be built") from reraise_fatal(error)

    def _verified(self, data: bytes, root: PublicKey) -> tuple[VerifiedToken, T]:
        key_id = read_envelope(data)
        try:
            biscuit = Biscuit.from_bytes(data, root.for_biscuit())
        except BaseException as error:
            raise as_bad_signature(error) from reraise_fatal(error)
        # the library's own bytes, so that both readers read the same
        own = bytes(biscuit.to_bytes())
        blocks = read_blocks(own, p256_root=root.algorithm != "ed25519", dialect=self.dialect)
        verified = VerifiedToken(root, key_id, biscuit, tuple(blocks))
        return verified, self.admit(verified)


def expiry(check: tuple[Query, ...]) -> int | None:
    """Return N for ``check if time($t), $t < N``; None for any other check."""
    bound, is_end = (read_time(check[0]) if len(check) == 1 else None) or (None, False)
    return bound if is_end else None


def expiry_check(expires: int) -> Check:
    """Return ``check if time($time), $time < N``."""
    return Check("check if time($time), $time < {n}", {"n": expires})


def refuse_expired(expires: Iterable[int], now: int, kind: str) -> None:
    """Refuse a token of which a block has expired.

    Raises:
        Denied: ``expired``.
    """
    for index, bound in enumerate(expires):
        if not now < bound:
            raise Denied(Reason.EXPIRED, f"the {kind} token has expired", detail=f"block {index}")


def sign_first_block(builder: BiscuitBuilder, key: KeyPair, key_id: int | None) -> Biscuit:
    """Return the token of this first block, signed by a root key."""
    if key_id is not None:
        builder.set_root_key_id(key_id)
    return builder.build(key.for_biscuit().private_key)


def decide(
    biscuit: Biscuit, source: str, params: Mapping[str, object], facts: Iterable[tuple[str, str]] = ()
) -> None:
    """Let the engine decide by this authorizer; ``facts`` are (predicate, string) to add to it.

    Raises:
        Denied: ``unavailable``; the decision on decoded data has permitted before (`run_engine`).
    """

    def prepare() -> AuthorizerBuilder:
        builder = AuthorizerBuilder(source, params)
        for predicate, value in facts:
            builder.add_fact(Fact(f"{predicate}({{v}})", {"v": value}))
        return builder

    run_engine(prepare, biscuit)
