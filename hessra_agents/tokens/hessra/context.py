"""Context tokens: what a session has seen, signed by whoever keeps the session.

    context = issue_context("agent:desk", key=root, key_id=2, ttl=timedelta(hours=1))
    context = context.expose({"PII:email"}, source="data:customers", key=root)
    context.verify("agent:desk", {"PII:*"}, now)                      # raises Denied [exposed]

The wire is Hessra's, version 3 (`context_profile`). The rules of use:

1. A context only grows; a fork has seen everything that its parent has. Only the root key adds labels.
2. An older copy stays valid, so whoever keeps the session keeps the newest context and takes none from
   the session itself.
3. Whoever verifies names the subject. The engine is asked for ``context(subject)`` and never says ``allow
   if true``: a token without any reject would otherwise pass for a clean context.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import timedelta

from biscuit_auth import Biscuit, BiscuitBuilder, BlockBuilder, Check, Fact

from ...errors import Denied, Reason
from ...grants.labels import is_label, is_text, label_matches, label_members, normalize_labels
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
from .context_admission import CONTEXT, ContextBlock, admit

__all__ = ["INHERITED", "Context", "issue_context"]

INHERITED = "inherited"
"""The source of labels that came from another context."""

_KIND = "context"


@dataclass(frozen=True, slots=True, eq=False)
class Context:
    """What a session has seen: a Biscuit that was verified and admitted.

    It protects from a session that hides what it saw: labels cannot be taken out, only the issuer adds
    them, and a fork inherits them. It does not protect from an older copy of the same context, nor from
    data that came in without a label.
    """

    _verified: VerifiedToken = field(repr=False)
    subject: str
    """Whose session it is."""
    expires: int
    """Unix seconds."""
    blocks: tuple[ContextBlock, ...] = field(repr=False)
    """What each block says, the first one first."""

    @classmethod
    def parse(cls, token: str, trust: Trust) -> Context:
        """Read a context: signatures from a trusted root key, then admission. Time is not looked at.

        Raises:
            Denied: ``malformed``, ``too_large``, ``unknown_root``, ``bad_signature``, ``outside_profile``.
        """
        verified = VerifiedToken.parse(token, trust, _KIND, CONTEXT)
        try:
            return cls(verified, *admit(verified))
        except Denied as denied:
            raise in_words_of(denied, _KIND) from None

    @property
    def token(self) -> str:
        """The context as text (base64url with padding)."""
        return self._verified.token

    @property
    def labels(self) -> frozenset[str]:
        """What the issuer says was seen; compound labels as they are."""
        return frozenset(label for block in self.blocks for label in block.labels)

    @property
    def sources(self) -> frozenset[str]:
        """Where it came from; a source is not paired with a label."""
        return frozenset(source for block in self.blocks for source in block.sources)

    @property
    def ids(self) -> tuple[str, ...]:
        """The id of each block."""
        return tuple(block.id for block in self.blocks)

    def matching(self, patterns: Iterable[str]) -> frozenset[str]:
        """The labels that a pattern means; a compound label also by any of its members.

        Raises:
            TypeError: the patterns are one text.
            ValueError: a pattern is empty or unprintable.
        """
        found = normalize_labels(patterns, "patterns of labels")
        return frozenset(
            label
            for label in self.labels
            if any(label_matches(pattern, one) for pattern in found for one in (label, *label_members(label)))
        )

    def verify(self, subject: str, excluded: Iterable[str], now: int) -> None:
        """Return if this is the context of that subject now, and it has seen nothing of what is excluded.

        1. It has not expired.
        2. It is the subject's.
        3. No label is one that an excluded pattern means.
        4. The Datalog engine, told of every excluded label that is no pattern, permits too.

        Args:
            subject: whose session the caller deals with.
            excluded: labels or patterns such as ``PII:*``; none excludes nothing.
            now: Unix seconds by the verifier's clock.

        Raises:
            Denied: ``expired``, ``not_holder``, ``exposed``, ``unavailable``.
            TypeError, ValueError: ``excluded`` is no collection of patterns.
        """
        patterns = normalize_labels(excluded, "excluded labels")
        refuse_expired([self.expires], now, _KIND)
        if subject != self.subject:
            raise Denied(Reason.NOT_HOLDER, "the context belongs to another session")
        seen = self.matching(patterns)
        if seen:
            raise Denied(Reason.EXPOSED, detail=f"seen: {', '.join(sorted(seen))}")
        source = "time({now}); allow if context({subject});"
        params = {"now": now, "subject": subject}
        decide(
            self._verified.biscuit, source, params, [("exposure", one) for one in patterns if "*" not in one]
        )

    def expose(self, labels: Iterable[str], *, source: str, key: KeyPair, now: int | None = None) -> Context:
        """Return this context with what was seen now.

        Labels and a source that it already has add nothing, and it is returned as it is. When it has no
        room for one more block, its blocks are first folded into one (`compact`).

        Args:
            labels: at least one, plain or compound.
            source: where they come from, such as ``data:customers``.
            key: the root key that issued this context; after a rotation, `compact` under the new key first.
            now: Unix seconds; the clock's if left out.

        Raises:
            ValueError: no label, one of another form, another key, or more labels or sources than are read.
            Denied: ``expired``.
        """
        found = _labels(labels)
        if not found:
            raise ValueError("name what was seen: at least one label")
        if not is_text(source):
            raise ValueError("name the source of what was seen")
        if key.public != self._verified.root:
            raise ValueError("only the key that issued a context adds to it")
        moment_now = unix_now(now)
        refuse_expired([self.expires], moment_now, _KIND)
        if self.labels.issuperset(found) and source in self.sources:
            return self
        block = BlockBuilder("")
        _state(block, found, [source], moment_now)
        try:
            return _made(lambda: sign(self._verified.biscuit, key, block), key.public)
        except ValueError:  # no room for one more block
            folded = self.compact(key=key, key_id=self._verified.key_id, now=moment_now)
            return _made(lambda: sign(folded._verified.biscuit, key, block), key.public)

    def fork(
        self, subject: str, *, key: KeyPair, key_id: int | None, ttl: timedelta, now: int | None = None
    ) -> Context:
        """Return a context for a child session, which has seen everything that this one has.

        Args:
            subject: whose session the child is.
            key: a root key that signs contexts, not necessarily the one that issued this context.
            key_id: its id in `Trust`.
            ttl: time from now after which the child's is refused, but never later than this one.
            now: Unix seconds; the clock's if left out.

        Raises:
            ValueError: no subject, or more labels or sources than are read.
            Denied: ``expired``.
        """
        moment_now = unix_now(now)
        expires = min(moment_now + ttl_seconds(ttl), self.expires)
        return self._again(subject, key=key, key_id=key_id, expires=expires, now=moment_now)

    def compact(self, *, key: KeyPair, key_id: int | None, now: int | None = None) -> Context:
        """Return this context in one block: all labels and sources, the same subject, the same expiry.

        Which source and which time went with which block is lost. To make a session last longer, issue a
        new context with these labels and sources.

        Raises:
            ValueError: more labels or sources than are read.
            Denied: ``expired``.
        """
        return self._again(self.subject, key=key, key_id=key_id, expires=self.expires, now=unix_now(now))

    def _again(self, subject: str, *, key: KeyPair, key_id: int | None, expires: int, now: int) -> Context:
        refuse_expired([self.expires], now, _KIND)
        sources = self.sources | {INHERITED} if self.labels else self.sources
        return _issue(subject, key, key_id, expires, sorted(self.labels), sorted(sources), now)


def issue_context(
    subject: str,
    *,
    key: KeyPair,
    key_id: int | None,
    ttl: timedelta,
    labels: Iterable[str] = (),
    sources: Iterable[str] = (),
    now: int | None = None,
) -> Context:
    """A new context, signed by a root key that signs contexts and nothing else.

    Args:
        subject: whose session it is.
        key: the root key.
        key_id: the root key's id in `Trust`; None for verifiers that know one key without an id.
        ttl: time from now after which it is refused.
        labels: what the session has seen already, plain or compound.
        sources: where that came from.
        now: Unix seconds; the clock's if left out.

    Raises:
        ValueError: no subject, or a label or source of another form.
    """
    moment_now = unix_now(now)
    found, origins = _labels(labels), normalize_labels(sources, "sources")
    return _issue(subject, key, key_id, moment_now + ttl_seconds(ttl), found, origins, moment_now)


def _issue(
    subject: str,
    key: KeyPair,
    key_id: int | None,
    expires: int,
    labels: list[str],
    sources: list[str],
    now: int,
) -> Context:
    if not is_text(subject):
        raise ValueError("a subject is printable text of 1 to 256 characters")
    builder = BiscuitBuilder("")
    builder.add_fact(Fact("context({s})", {"s": subject}))
    builder.add_check(expiry_check(expires))
    if labels or sources:
        _state(builder, labels, sources, now)
    return _made(lambda: sign_first_block(builder, key, key_id), key.public)


def _made(make: Callable[[], Biscuit], root: PublicKey) -> Context:
    verified = VerifiedToken.built(make, root, _KIND, CONTEXT)
    try:
        return Context(verified, *admit(verified))
    except Denied as denied:
        raise ValueError(f"nobody would read this context: {denied.detail}") from denied


def _state(builder: BiscuitBuilder | BlockBuilder, labels: list[str], sources: list[str], now: int) -> None:
    for label in labels:
        builder.add_check(Check("reject if exposure({l})", {"l": label}))
        builder.add_fact(Fact("exposed_label({l})", {"l": label}))
    for source in sources:
        builder.add_fact(Fact("exposure_source({s})", {"s": source}))
    builder.add_fact(Fact("exposure_time({n})", {"n": now}))


def _labels(labels: Iterable[str]) -> list[str]:
    found = normalize_labels(labels, "labels")
    if not all(map(is_label, found)):
        raise ValueError("a label is plain text without '&' and '*', or a compound of several in order")
    return found
