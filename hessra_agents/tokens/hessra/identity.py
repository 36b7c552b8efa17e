"""Identity tokens: who somebody is, until when, and who acts below them.

    identity = issue_identity("agent:desk", key=root, key_id=1, ttl=timedelta(hours=1), delegatable=True)
    mailer = identity.delegate("agent:desk:mailer", ttl=timedelta(minutes=5))
    Identity.parse(mailer.token, trust).verify("agent:desk:mailer", now)     # or raises Denied

Identities are hierarchical: ``agent:desk:mailer`` is below ``agent:desk``. The wire is Hessra's, version 2
(`identity_profile`). The rules of use:

1. The claim comes first. Whoever verifies states which identity is claimed, and the token must bear it
   out. What a block says is never taken for who somebody is.
2. The engine is told ``actor`` and needs the subject: ``allow if subject($s), {c} == $s`` or
   ``{c}.starts_with($s + ":")``. It never says ``allow if true``, so no token of another kind passes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

from biscuit_auth import Biscuit, BiscuitBuilder, BlockBuilder, Check, Fact

from ...errors import Denied, Reason
from ...keys.keys import KeyPair, PublicKey
from ...keys.trust import Trust
from ..builder import ttl_seconds
from .common import (
    VerifiedToken,
    decide,
    expiry_check,
    in_words_of,
    refuse_expired,
    sign,
    sign_first_block,
    unix_now,
)
from .identity_admission import IDENTITY, IdentityBlock, admit, is_below, well_formed

__all__ = ["JUST_IN_TIME", "Identity", "issue_identity"]

JUST_IN_TIME = timedelta(seconds=5)
"""How long a just-in-time copy lives."""

_KIND = "identity"

_POLICIES = """
    time({now}); actor({claimed});
    allow if subject($s), {claimed} == $s;
    allow if subject($s), {claimed}.starts_with($s + ":");
"""


@dataclass(frozen=True, slots=True, eq=False)
class Identity:
    """Proof of an identity: a Biscuit that was verified and admitted.

    It protects from a claim to an identity that its issuer did not grant. It is a bearer token: whoever
    has the text is that identity until it expires, so hand on a `just_in_time` copy. A delegatable one
    is good for every identity below its own, and a verifier cannot see whether it was handed down.
    """

    _verified: VerifiedToken = field(repr=False)
    blocks: tuple[IdentityBlock, ...] = field(repr=False)
    """What each block says, the issuer's first."""

    @classmethod
    def parse(cls, token: str, trust: Trust) -> Identity:
        """Read an identity: signatures from a trusted root key, then admission. Time is not looked at.

        Raises:
            Denied: ``malformed``, ``too_large``, ``unknown_root``, ``bad_signature``, ``outside_profile``.
        """
        verified = VerifiedToken.parse(token, trust, _KIND, IDENTITY)
        try:
            return cls(verified, admit(verified.blocks))
        except Denied as denied:
            raise in_words_of(denied, _KIND) from None

    @property
    def token(self) -> str:
        """The identity as text (base64url with padding). Treat it as a password."""
        return self._verified.token

    @property
    def subject(self) -> str:
        """Whom it was issued to."""
        return self.names[0]

    @property
    def names(self) -> tuple[str, ...]:
        """The subject, then each identity that it was delegated to. For records; `verify` decides."""
        return tuple(block.name for block in self.blocks if block.name is not None)

    @property
    def ids(self) -> tuple[str, ...]:
        """The id of each block; revoking one ends it and everything built on it."""
        return tuple(block.id for block in self.blocks)

    @property
    def expires(self) -> int:
        """When the first of its blocks expires, in Unix seconds."""
        return min(block.expires for block in self.blocks)

    def __repr__(self) -> str:
        return f"Identity(names={self.names!r}, expires={self.expires})"

    def verify(self, claimed: str, now: int) -> None:
        """Return if this token bears out the claimed identity now; the caller says which one is claimed.

        1. No block has expired.
        2. Every block lets the claimed identity act; the first, only the subject and those below it.
        3. The Datalog engine permits too.

        Args:
            claimed: the identity that somebody acts as, such as ``agent:desk:mailer``.
            now: Unix seconds by the verifier's clock.

        Raises:
            Denied: ``malformed`` (no identity is claimed), ``expired``, ``not_holder``, ``unavailable``.
        """
        if not well_formed(claimed):
            raise Denied(Reason.MALFORMED, "an identity is printable text, in segments joined by ':'")
        refuse_expired((block.expires for block in self.blocks), now, _KIND)
        for index, block in enumerate(self.blocks):
            if not block.admits(claimed):
                raise Denied(
                    Reason.NOT_HOLDER, "the identity that is claimed is not proved", detail=f"block {index}"
                )
        decide(self._verified.biscuit, _POLICIES, {"now": now, "claimed": claimed})

    def delegate(self, to: str, *, ttl: timedelta, now: int | None = None) -> Identity:
        """Return a copy for an identity below this one, and no longer for this one.

        Anyone who has a delegatable identity may do this, with no key and no network.

        Args:
            to: below the last of `names`: ``agent:desk:mailer`` for ``agent:desk``.
            ttl: time from now after which the copy is refused; it cannot outlive the original.
            now: Unix seconds; the clock's if left out.

        Raises:
            ValueError: this identity is not delegatable, ``to`` is not below it, or the copy is too large.
            Denied: ``expired``.
        """
        if not self.blocks[0].below:
            raise ValueError("this identity was issued for its subject alone")
        if not well_formed(to) or not is_below(to, self.names[-1]):
            raise ValueError(f"delegate to an identity below {self.names[-1]}")
        moment_now = unix_now(now)
        block = BlockBuilder("")
        block.add_check(_actor_check(to, below=True))
        block.add_check(expiry_check(moment_now + ttl_seconds(ttl)))
        copy = self._with(block)
        copy.verify(to, moment_now)
        return copy

    def just_in_time(self, now: int | None = None) -> Identity:
        """Return a copy that lives for 5 seconds: enough for one request, of little use to a thief.

        Raises:
            ValueError: the copy is too large.
        """
        block = BlockBuilder("")
        block.add_check(expiry_check(unix_now(now) + ttl_seconds(JUST_IN_TIME)))
        return self._with(block)

    def _with(self, block: BlockBuilder) -> Identity:
        return _made(lambda: sign(self._verified.biscuit, KeyPair.generate(), block), self._verified.root)


def issue_identity(
    subject: str,
    *,
    key: KeyPair,
    key_id: int | None,
    ttl: timedelta,
    delegatable: bool = False,
    now: int | None = None,
) -> Identity:
    """A new identity, signed by a root key that signs identities and nothing else.

    Args:
        subject: hierarchical, in segments joined by ``:``.
        key: the root key.
        key_id: the root key's id in `Trust`; None for verifiers that know one key without an id.
        ttl: time from now after which it is refused.
        delegatable: also good for every identity below the subject.
        now: Unix seconds; the clock's if left out.

    Raises:
        ValueError: the subject has an empty segment, or is not printable text of 1 to 256 characters.
    """
    if not well_formed(subject):
        raise ValueError("a subject is printable text, in segments joined by ':'")
    builder = BiscuitBuilder("")
    builder.add_fact(Fact("subject({s})", {"s": subject}))
    builder.add_check(_actor_check(subject, below=delegatable))
    builder.add_check(expiry_check(unix_now(now) + ttl_seconds(ttl)))
    return _made(lambda: sign_first_block(builder, key, key_id), key.public)


def _made(make: Callable[[], Biscuit], root: PublicKey) -> Identity:
    verified = VerifiedToken.built(make, root, _KIND, IDENTITY)
    return Identity(verified, admit(verified.blocks))


def _actor_check(name: str, *, below: bool) -> Check:
    choice = ' || $a.starts_with({name} + ":")' if below else ""
    return Check("check if actor($a), $a == {name}" + choice, {"name": name})
