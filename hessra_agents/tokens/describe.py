"""A capability in words: who may do what, until when, and who narrowed it.

One condition is one line, whatever the token says: its texts are plain words or quoted (`words`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

from ..words import branch_words, limit_words, quoted, word
from .profile import ANCHOR, APPROVED, HOLDER, Block

__all__ = ["block_lines", "describe"]


def describe(blocks: tuple[Block, ...]) -> str:
    """Every block as a paragraph of lines."""
    parts = []
    for index, block in enumerate(blocks):
        parts.append(f"block {index}, {_author(index, block)}")
        parts += [f"  {line}" for line in block_lines(block)]
    return "\n".join(parts)


def block_lines(block: Block) -> Iterator[str]:
    """What one block says, a line for each of its conditions."""
    if block.rights:
        yield f"to {word(block.rights[0][0])}"
        yield "for " + ", ".join(
            f"{word(resource)} ({word(operation)})" for _, resource, operation in block.rights
        )
    if block.starts is not None:
        yield f"not before {_moment(block.starts)}"
    if block.expires is not None:
        yield f"until {_moment(block.expires)}"
    for label, value in block.designations:
        shown = quoted(value)
        yield f"for the guard {shown}" if label == ANCHOR else f"where {word(label)} is {shown}"
    for check in block.attested:
        keys = " or ".join(f"ed25519/{one.key.hex()}" for one in check)
        label = check[0].label
        words = {HOLDER: "held by", APPROVED: f"approved for each call{_of(check[0].of)} by"}
        yield f"{words.get(label) or f'where {word(label)} is stated by'} {keys}"
    for _, limit in block.limits:
        yield f"{limit_words(limit)}{_of(limit.of)}"
    for key in block.activators:
        yield f"activated by ed25519/{key.hex()}"
    for pattern in block.patterns:
        for place, branch in enumerate(pattern):
            yield f"{'or ' if place else 'only '}{branch_words(branch)}"


def _of(objects: frozenset[str] | None) -> str:
    return "" if objects is None else " of " + ", ".join(word(one) for one in sorted(objects))


def _author(index: int, block: Block) -> str:
    if index == 0:
        return "by the issuer"
    if block.signer is None:
        return "added by a bearer, signed by nobody"
    act = "delegated" if any(label == HOLDER for label, _ in block.states) else "added"
    return f"{act} by ed25519/{block.signer.hex()}"


def _moment(seconds: int) -> str:
    try:
        return dt.datetime.fromtimestamp(seconds, dt.UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (OverflowError, ValueError, OSError):
        return f"second {seconds}"
