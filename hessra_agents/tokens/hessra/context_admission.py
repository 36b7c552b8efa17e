"""Admit context tokens: what one may say, and what it does say, before any Datalog runs.

    first block      context(subject)
                     check if time($t), $t < N
    any block        reject if exposure(label)       and with each of them
                     exposed_label(label)
                     exposure_source(source)         one or more
                     exposure_time(N)

A block after the first is signed by the root key itself, and states at least one label. All else is refused
before any Datalog runs: an unsigned block, a block by another key, and a ``reject if`` of any other shape.

The rules of ``reject if``, which denies where it matches:

1. An absent fact passes it. So the engine's policy also requires ``context(subject)``: a token that holds
   no context cannot pass by having no rejects.
2. ``reject if a or b`` denies only when both match, and so does ``reject if a, b``. So a reject has one
   query of one predicate. Version 2.0 had a form of two for rules about several labels; it is refused.

Hessra's version 3 has this shape, and so has its version 2.0 except for the form named above.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...errors import Denied, Reason
from ...grants.labels import is_label, is_text
from ..format.blocks import Query, RawBlock, TokenDialect
from ..format.protobuf import outside_profile
from ..format.terms import Predicate
from .common import VerifiedToken, expiry

__all__ = ["CONTEXT", "MAX_LABELS", "ContextBlock", "admit"]

CONTEXT = TokenDialect(rejects=True, p256_signers=True)

MAX_LABELS = 64
"""Labels in one token, counted in each block that states them. A block with that many holds 62 sources."""


@dataclass(frozen=True, slots=True)
class ContextBlock:
    """The data that one block says was seen: labels, where they came from, and when (Unix seconds)."""

    id: str
    labels: frozenset[str]
    sources: frozenset[str]
    time: int | None


def admit(verified: VerifiedToken) -> tuple[str, int, tuple[ContextBlock, ...]]:
    """Return the subject, the expiry and the blocks of a context.

    Raises:
        Denied: ``outside_profile`` or ``too_large``.
    """
    if sum(len(block.rejects) for block in verified.blocks) > MAX_LABELS:
        raise Denied(Reason.TOO_LARGE, detail="labels in a token")
    first, *rest = verified.blocks
    match first.facts:
        case (("context", (str() as subject,)), *facts) if is_text(subject):
            blocks = [_block(first, facts)]
        case _:
            raise outside_profile("the first block does not begin with one context")
    expires = expiry(first.checks[0]) if len(first.checks) == 1 else None
    if expires is None:
        raise outside_profile("the first block checks anything but one expiry")
    for raw in rest:
        if raw.signer != verified.root.data or raw.checks:
            raise outside_profile("a block that the issuer did not sign, or that has a check")
        block = _block(raw, raw.facts)
        if not block.labels or len(block.sources) != 1 or block.time is None:
            raise outside_profile("an exposure without a label, one source and a time")
        blocks.append(block)
    return subject, expires, tuple(blocks)


def _block(raw: RawBlock, facts: Sequence[Predicate]) -> ContextBlock:
    labels, sources, times = list[str](), list[str](), list[int]()
    for fact in facts:
        match fact:
            case ("exposed_label", (str() as label,)) if is_label(label):
                labels.append(label)
            case ("exposure_source", (str() as source,)) if is_text(source):
                sources.append(source)
            case ("exposure_time", (int() as time,)) if type(time) is int:
                times.append(time)
            case _:
                raise outside_profile("a fact that a context may not state")
    rejected = [_rejected(check) for check in raw.rejects]
    if len(times) > 1 or set(rejected) != set(labels):
        raise outside_profile("labels and rejects that differ, or more than one time")
    return ContextBlock(raw.id, frozenset(labels), frozenset(sources), times[0] if times else None)


def _rejected(check: tuple[Query, ...]) -> str:
    """Return the label of ``reject if exposure(label)``."""
    match check:
        case (Query((("exposure", (str() as label,)),), (), ()),):
            return label
        case _:
            raise outside_profile("an unsupported reject")
