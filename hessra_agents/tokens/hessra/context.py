"""Issue and verify context tokens: what a session has seen, signed by the keeper of the session.

    context = issue_context("agent:desk", key=root, key_id=2, ttl=timedelta(hours=1))
    context = context.expose({"PII:email"}, source="data:customers", key=root)
    context.verify("agent:desk", {"PII:*"}, now)                      # raises Denied [exposed]

The wire format is Hessra's, version 3 (`context_admission`). The rules of use:

1. A context only grows; a fork has seen everything that its parent has seen. Only the root key adds labels.
2. An older copy stays valid, so the keeper of a session stores its newest context, and accepts none from
   the session itself.
3. The verifier names the subject. The engine's policy requires ``context(subject)`` and is never ``allow if
   true``: otherwise a token without any reject would pass for a clean context.
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
from ..builder import sign_block, ttl_seconds, unix_now
from .common import TokenKind, VerifiedToken, decide, expiry_check, refuse_expired, sign_first_block
from .context_admission import CONTEXT, ContextBlock, admit

__all__ = ["INHERITED", "Context", "issue_context"]

INHERITED = "inherited"
"""The source of labels that came from another context."""

_KIND = TokenKind("context", CONTEXT, admit)


@dataclass(frozen=True, slots=True, eq=False)
class Context:
    """The data that a session has seen: a Biscuit that was verified and admitted.

    It protects from a session that hides what it saw: labels cannot be removed, only the issuer adds them,
    and a fork inherits them. It does not protect from an older copy of the same context, nor from data that
    came in without a label. ``repr`` shows subject and expiry.
    """

    _verified: VerifiedToken = field(repr=False)
    subject: str
    """The agent whose session it is."""
    expires: int
    """Unix seconds."""
    blocks: tuple[ContextBlock, ...] = field(repr=False)
    """The content of each block, in order."""

    @classmethod
    def parse(cls, token: str, trust: Trust) -> Context:
        """Read a context: check signatures from a trusted root key, then admit it. Time is not checked.

        Raises:
            Denied: ``malformed``, ``too_large``, ``unknown_root``, ``bad_signature``, ``outside_profile``.
        """
        verified, (subject, expires, blocks) = _KIND.read(token, trust)
        return cls(verified, subject, expires, blocks)

    @property
    def token(self) -> str:
        """The context as base64url with padding."""
        return self._verified.token

    @property
    def labels(self) -> frozenset[str]:
        """The labels that the session has seen, by its issuer; compound labels stay whole."""
        return frozenset(label for block in self.blocks for label in block.labels)

    @property
    def sources(self) -> frozenset[str]:
        """The origins of what was seen; the token does not say which label came from which source."""
        return frozenset(source for block in self.blocks for source in block.sources)

    @property
    def ids(self) -> tuple[str, ...]:
        """The id of each block."""
        return tuple(block.id for block in self.blocks)

    def matching(self, patterns: Iterable[str]) -> frozenset[str]:
        """Return the labels that a pattern matches, directly or by a member of a compound label.

        Raises:
            TypeError: the patterns are a single string.
            ValueError: a pattern is empty or unprintable.
        """
        wanted = normalize_labels(patterns, "patterns of labels")
        return frozenset(
            label
            for label in self.labels
            if any(
                label_matches(pattern, part) for pattern in wanted for part in (label, *label_members(label))
            )
        )

    def verify(self, subject: str, excluded: Iterable[str], now: int) -> None:
        """Return if this is the subject's context now, and the session has seen nothing that is excluded.

        1. The context has not expired.
        2. It is the subject's.
        3. No excluded pattern matches one of its labels.
        4. The Datalog engine, given every excluded label that is not a pattern, permits as well.

        Args:
            subject: the agent that the caller deals with.
            excluded: labels or patterns such as ``PII:*``; an empty collection excludes nothing.
            now: Unix seconds by the verifier's clock.

        Raises:
            Denied: ``expired``, ``not_holder``, ``exposed``, ``unavailable``.
            TypeError, ValueError: ``excluded`` is not a collection of patterns.
        """
        patterns = normalize_labels(excluded, "excluded labels")
        refuse_expired([self.expires], now, _KIND.name)
        if subject != self.subject:
            raise Denied(Reason.NOT_HOLDER, "the context belongs to another session")
        seen = self.matching(patterns)
        if seen:
            raise Denied(Reason.EXPOSED, detail=f"seen: {', '.join(sorted(seen))}")
        source = "time({now}); allow if context({subject});"
        facts = [("exposure", label) for label in patterns if "*" not in label]
        decide(self._verified.biscuit, source, {"now": now, "subject": subject}, facts)

    def expose(self, labels: Iterable[str], *, source: str, key: KeyPair, now: int | None = None) -> Context:
        """Return this context with labels that the session has now seen.

        If the context has all labels and the source already, it is returned unchanged. If it has no room
        for another block, its blocks are first folded into one (`compact`).

        Args:
            labels: at least one, plain or compound.
            source: where they come from, such as ``data:customers``.
            key: the root key that issued this context; after a rotation, `compact` under the new key first.
            now: Unix seconds; the clock's if omitted.

        Raises:
            ValueError: there is no label or no source, a label is malformed, the key is another, or the
                context would have more labels or sources than a token may.
            Denied: ``expired``.
        """
        new_labels = _labels(labels)
        if not new_labels:
            raise ValueError("name what was seen: at least one label")
        if not is_text(source):
            raise ValueError("name the source of what was seen")
        if key.public != self._verified.root:
            raise ValueError("only the key that issued a context can add to it")
        seconds = unix_now(now)
        refuse_expired([self.expires], seconds, _KIND.name)
        if self.labels.issuperset(new_labels) and source in self.sources:
            return self
        block = BlockBuilder("")
        _add_exposure(block, new_labels, [source], seconds)
        try:
            return _build(lambda: sign_block(self._verified.biscuit, key, block), key.public)
        except ValueError:  # no room for another block
            folded = self.compact(key=key, key_id=self._verified.key_id, now=seconds)
            return _build(lambda: sign_block(folded._verified.biscuit, key, block), key.public)

    def fork(
        self, subject: str, *, key: KeyPair, key_id: int | None, ttl: timedelta, now: int | None = None
    ) -> Context:
        """Return a context for a child session, which has seen everything that this session has seen.

        Args:
            subject: the agent of the child session.
            key: a root key that signs contexts, not necessarily the key that issued this context.
            key_id: that key's id in `Trust`.
            ttl: time from now after which the child is refused; it cannot outlive this context.
            now: Unix seconds; the clock's if omitted.

        Raises:
            ValueError: there is no subject, or there are more labels or sources than a token may have.
            Denied: ``expired``.
        """
        seconds = unix_now(now)
        expires = min(seconds + ttl_seconds(ttl), self.expires)
        return self._reissue(subject, key=key, key_id=key_id, expires=expires, now=seconds)

    def compact(self, *, key: KeyPair, key_id: int | None, now: int | None = None) -> Context:
        """Return this context in one block, with all labels and sources, the same subject and expiry.

        The pairing of sources and times with labels is lost. To make a session last longer, issue a new
        context with these labels and sources.

        Raises:
            ValueError: there are more labels or sources than a token may have.
            Denied: ``expired``.
        """
        return self._reissue(self.subject, key=key, key_id=key_id, expires=self.expires, now=unix_now(now))

    def _reissue(self, subject: str, *, key: KeyPair, key_id: int | None, expires: int, now: int) -> Context:
        refuse_expired([self.expires], now, _KIND.name)
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
    """Return a new context, signed by a root key that signs contexts and nothing else.

    Args:
        subject: the agent whose session it is.
        key: the root key.
        key_id: the root key's id in `Trust`; None for verifiers that know one key without an id.
        ttl: time from now after which the context is refused.
        labels: what the session has already seen, plain or compound.
        sources: where that came from.
        now: Unix seconds; the clock's if omitted.

    Raises:
        ValueError: there is no subject, or a label or source is malformed.
    """
    seconds = unix_now(now)
    expires = seconds + ttl_seconds(ttl)
    return _issue(
        subject, key, key_id, expires, _labels(labels), normalize_labels(sources, "sources"), seconds
    )


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
        raise ValueError("a subject must be a printable string of 1 to 256 characters")
    builder = BiscuitBuilder("")
    builder.add_fact(Fact("context({s})", {"s": subject}))
    builder.add_check(expiry_check(expires))
    if labels or sources:
        _add_exposure(builder, labels, sources, now)
    return _build(lambda: sign_first_block(builder, key, key_id), key.public)


def _build(make: Callable[[], Biscuit], root: PublicKey) -> Context:
    verified, (subject, expires, blocks) = _KIND.built(make, root)
    return Context(verified, subject, expires, blocks)


def _add_exposure(
    builder: BiscuitBuilder | BlockBuilder, labels: list[str], sources: list[str], now: int
) -> None:
    for label in labels:
        builder.add_check(Check("reject if exposure({l})", {"l": label}))
        builder.add_fact(Fact("exposed_label({l})", {"l": label}))
    for source in sources:
        builder.add_fact(Fact("exposure_source({s})", {"s": source}))
    builder.add_fact(Fact("exposure_time({n})", {"n": now}))


def _labels(labels: Iterable[str]) -> list[str]:
    normalized = normalize_labels(labels, "labels")
    if not all(map(is_label, normalized)):
        raise ValueError(
            "a label must be a plain string without '&' and '*', or a sorted compound of several"
        )
    return normalized
