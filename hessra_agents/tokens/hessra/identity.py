"""Issue and verify identity tokens: who an agent is, until when, and which agents act below it.

    identity = issue_identity("agent:desk", key=root, key_id=1, ttl=timedelta(hours=1), delegatable=True)
    mailer = identity.delegate("agent:desk:mailer", ttl=timedelta(minutes=5))
    Identity.parse(mailer.token, trust).verify("agent:desk:mailer", now)     # or raises Denied

Identities are hierarchical: ``agent:desk:mailer`` is below ``agent:desk``. The wire format is Hessra's,
version 2 (`identity_admission`). The rules of use:

1. The claim comes first. The verifier states which identity is claimed, and the token must prove it. The
   verifier never takes an identity from the token.
2. The engine is given ``actor`` and requires the subject: ``allow if subject($s), {c} == $s`` or
   ``{c}.starts_with($s + ":")``. Its policy is never ``allow if true``, so no token of another kind passes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

from biscuit_auth import BiscuitBuilder, BlockBuilder, Check, Fact

from ...errors import Denied, Reason
from ...keys.keys import KeyPair
from ...keys.trust import Trust
from ..builder import sign_block, ttl_seconds, unix_now
from .common import TokenKind, VerifiedToken, decide, expiry_check, refuse_expired, sign_first_block
from .identity_admission import IDENTITY, IdentityBlock, admit, is_below, well_formed

__all__ = ["JUST_IN_TIME", "Identity", "issue_identity"]

JUST_IN_TIME = timedelta(seconds=5)
"""How long a just-in-time copy lives."""

_KIND = TokenKind("identity", IDENTITY, admit)

_POLICIES = """
    time({now}); actor({claimed});
    allow if subject($s), {claimed} == $s;
    allow if subject($s), {claimed}.starts_with($s + ":");
"""


@dataclass(frozen=True, slots=True, eq=False)
class Identity:
    """Proof of an identity: a Biscuit that was verified and admitted.

    It protects a verifier from a claim to an identity that the issuer did not grant. It does not protect
    from theft: anyone who has the token has the identity until it expires, so hand on a `just_in_time` copy.
    A delegatable identity is valid for every identity below it, and a verifier cannot see whether it was
    handed down.
    """

    _verified: VerifiedToken = field(repr=False)
    blocks: tuple[IdentityBlock, ...] = field(repr=False)
    """The content of each block, the issuer's first."""

    @classmethod
    def parse(cls, token: str, trust: Trust) -> Identity:
        """Read an identity: check signatures from a trusted root key, then admit it. Time is not checked.

        Raises:
            Denied: ``malformed``, ``too_large``, ``unknown_root``, ``bad_signature``, ``outside_profile``.
        """
        return cls(*_KIND.read(token, trust))

    @property
    def token(self) -> str:
        """The identity as base64url with padding. Treat it as a password."""
        return self._verified.token

    @property
    def subject(self) -> str:
        """The agent that it was issued to."""
        return self.names[0]

    @property
    def names(self) -> tuple[str, ...]:
        """The subject, then each identity that it was delegated to. For records; `verify` decides."""
        return tuple(block.name for block in self.blocks if block.name is not None)

    @property
    def ids(self) -> tuple[str, ...]:
        """The id of each block; revoking one ends that block and everything built on it."""
        return tuple(block.id for block in self.blocks)

    @property
    def expires(self) -> int:
        """When the first of its blocks expires, in Unix seconds."""
        return min(block.expires for block in self.blocks)

    def __repr__(self) -> str:
        return f"Identity(names={self.names!r}, expires={self.expires})"

    def verify(self, claimed: str, now: int) -> None:
        """Return if this token proves the claimed identity now.

        1. No block has expired.
        2. Every block admits the claimed identity; the first admits its subject and identities below it.
        3. The Datalog engine permits as well.

        Args:
            claimed: the identity that the verifier's caller claims, such as ``agent:desk:mailer``.
            now: Unix seconds by the verifier's clock.

        Raises:
            Denied: ``malformed`` (the claim is not an identity), ``expired``, ``not_holder``,
                ``unavailable``.
        """
        if not well_formed(claimed):
            raise Denied(Reason.MALFORMED, "an identity must be a printable string of segments joined by ':'")
        refuse_expired((block.expires for block in self.blocks), now, _KIND.name)
        for index, block in enumerate(self.blocks):
            if not block.admits(claimed):
                raise Denied(Reason.NOT_HOLDER, "the claimed identity is not proved", detail=f"block {index}")
        decide(self._verified.biscuit, _POLICIES, {"now": now, "claimed": claimed})

    def delegate(self, to: str, *, ttl: timedelta, now: int | None = None) -> Identity:
        """Return a copy that is valid for an identity below this identity, and no longer for this identity.

        Anyone who has a delegatable identity may do this, with no key and no network.

        Args:
            to: below the last of `names`: ``agent:desk:mailer`` for ``agent:desk``.
            ttl: time from now after which the copy is refused; it cannot outlive the original.
            now: Unix seconds; the clock's if omitted.

        Raises:
            ValueError: this identity is not delegatable, ``to`` is not below it, or the copy is too large.
            Denied: ``expired``.
        """
        if not self.blocks[0].below:
            raise ValueError("this identity was issued for its subject alone")
        if not well_formed(to) or not is_below(to, self.names[-1]):
            raise ValueError(f"delegate to an identity below {self.names[-1]}")
        seconds = unix_now(now)
        block = BlockBuilder("")
        block.add_check(_actor_check(to, below=True))
        block.add_check(expiry_check(seconds + ttl_seconds(ttl)))
        copy = self._appended(block)
        copy.verify(to, seconds)
        return copy

    def just_in_time(self, now: int | None = None) -> Identity:
        """Return a copy that lives for 5 seconds: enough for one request, of little use to a thief.

        Raises:
            ValueError: the copy is too large.
        """
        block = BlockBuilder("")
        block.add_check(expiry_check(unix_now(now) + ttl_seconds(JUST_IN_TIME)))
        return self._appended(block)

    def _appended(self, block: BlockBuilder) -> Identity:
        biscuit, root = self._verified.biscuit, self._verified.root
        return Identity(*_KIND.built(lambda: sign_block(biscuit, KeyPair.generate(), block), root))


def issue_identity(
    subject: str,
    *,
    key: KeyPair,
    key_id: int | None,
    ttl: timedelta,
    delegatable: bool = False,
    now: int | None = None,
) -> Identity:
    """Return a new identity, signed by a root key that signs identities and nothing else.

    Args:
        subject: hierarchical, in segments joined by ``:``.
        key: the root key.
        key_id: the root key's id in `Trust`; None for verifiers that know one key without an id.
        ttl: time from now after which the identity is refused.
        delegatable: whether it is also valid for every identity below the subject.
        now: Unix seconds; the clock's if omitted.

    Raises:
        ValueError: the subject has an empty segment, or is not a printable string of 1 to 256 characters.
    """
    if not well_formed(subject):
        raise ValueError("a subject must be a printable string of segments joined by ':'")
    builder = BiscuitBuilder("")
    builder.add_fact(Fact("subject({s})", {"s": subject}))
    builder.add_check(_actor_check(subject, below=delegatable))
    builder.add_check(expiry_check(unix_now(now) + ttl_seconds(ttl)))
    return Identity(*_KIND.built(lambda: sign_first_block(builder, key, key_id), key.public))


def _actor_check(name: str, *, below: bool) -> Check:
    or_below = ' || $a.starts_with({name} + ":")' if below else ""
    return Check("check if actor($a), $a == {name}" + or_below, {"name": name})
