"""Describe a capability in words: who may do what, until when, and who narrowed it.

One condition is one line, whatever the token says: its strings are plain words or quoted (`safe_word`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from math import comb

from ..grants.describe import describe_branch, describe_limit, quote, safe_word
from ..grants.limits import Limit
from .admission import ANCHOR, APPROVED, HOLDER, Block, RequiredAttestation

__all__ = ["ApprovalView", "approvals_of", "block_lines", "describe", "refunded", "summary", "voters"]

_SHOWN_TOOLS = 12


def summary(subject: str, objects: tuple[str, ...], expires: int) -> str:
    """Return who may call what until when, in the form of a ``repr``; at most a dozen tools are named."""
    tools = [quote(name.removeprefix("tool:")) for name in objects]
    if len(tools) > _SHOWN_TOOLS:
        tools[_SHOWN_TOOLS:] = [f"and {len(tools) - _SHOWN_TOOLS} more"]
    end = _moment(expires, "%Y-%m-%dT%H:%M:%SZ")
    return f"subject={quote(subject)}, tools=[{', '.join(tools)}], expires={end!r}"


def describe(blocks: tuple[Block, ...]) -> str:
    """Return a paragraph of lines for every block."""
    parts = []
    for index, block in enumerate(blocks):
        parts.append(f"block {index}, {_author(index, block)}")
        parts += [f"  {line}" for line in block_lines(block)]
    return "\n".join(parts)


def block_lines(block: Block) -> Iterator[str]:
    """Yield what one block says, a line for each of its conditions."""
    if block.rights:
        yield f"to {safe_word(block.rights[0][0])}"
        yield "for " + ", ".join(
            f"{safe_word(resource)} ({safe_word(operation)})" for _, resource, operation in block.rights
        )
    issued = block.issued if block.rights else None
    if issued is not None:
        yield f"issued {_moment(issued)}"
    if block.starts not in (None, issued):
        yield f"not before {_moment(block.starts)}"
    if block.expires is not None:
        yield f"until {_moment(block.expires)}"
    for label, value in block.designations:
        shown = quote(value)
        yield f"for the guard {shown}" if label == ANCHOR else f"where {safe_word(label)} is {shown}"
    for check in block.attested:
        label, by = check[0].label, f"by ed25519/{check[0].key.hex()}"
        if label != APPROVED:
            yield f"held {by}" if label == HOLDER else f"where {safe_word(label)} is stated {by}"
    for view in approvals_of(block):
        yield f"each call{_of(view.tools)} approved by {voters(view)}"
    for _, limit in block.limits:
        yield f"{describe_limit(limit)}{_of(limit.tools)}{refunded(limit)}"
    for labels, tools in block.clear:
        calls = "" if tools is None else f", for calls{_of(tools)}"
        yield f"only while the session has not seen {safe_word(labels)}{calls}"
    for key in block.activators:
        yield f"activated by ed25519/{key.hex()}"
    for pattern in block.patterns:
        for place, branch in enumerate(pattern):
            yield f"{'or ' if place else 'only '}{describe_branch(branch)}"


@dataclass(frozen=True, slots=True)
class ApprovalView:
    """The approvals that a block requires: ``need`` of these keys, for calls of ``tools`` (None: of all)."""

    keys: tuple[str, ...]
    need: int
    tools: frozenset[str] | None


def approvals_of(block: Block) -> Iterator[ApprovalView]:
    """Yield the approvals that a block requires, as k of n where its checks amount to that."""
    groups: list[list[frozenset[RequiredAttestation]]] = []
    for check in block.attested:
        if check[0].label == APPROVED:
            # the checks of one `approved_by` have handles in common, and no others have
            keys = frozenset(check)
            related = [group for group in groups if not all(map(keys.isdisjoint, group))]
            groups = [group for group in groups if group not in related]
            groups.append([*(other for group in related for other in group), keys])
    for group in groups:
        members, size = _keys(*group), len(group[0])
        sizes = {len(keys) for keys in group}
        # that many different sets of one size are all the sets of that size
        whole = sizes == {size} and len({*group}) == len(group) == comb(len(members), size)
        if whole and len({*members}) == len(members):
            yield ApprovalView(members, len(members) - size + 1, *{a.tools for a in group[0]})
        else:
            yield from [ApprovalView(_keys(keys), 1, *{a.tools for a in keys}) for keys in group]


def _keys(*checks: frozenset[RequiredAttestation]) -> tuple[str, ...]:
    required = sorted(frozenset[RequiredAttestation]().union(*checks), key=lambda a: (a.key, a.value))
    return tuple([f"ed25519/{a.key.hex()}" for a in required])


def voters(view: ApprovalView) -> str:
    """Return the approvers in words: ``A``, ``A or B``, ``2 of A, B, C``."""
    return " or ".join(view.keys) if view.need == 1 else f"{view.need} of {', '.join(view.keys)}"


def refunded(limit: Limit) -> str:
    """Return what happens to a charge if the tool fails."""
    return ", refunded if the tool fails" if limit.refund else ""


def _of(objects: frozenset[str] | None) -> str:
    return "" if objects is None else " of " + ", ".join(map(safe_word, sorted(objects)))


def _author(index: int, block: Block) -> str:
    if index == 0:
        return "by the issuer"
    if block.signer is None:
        return "added by a bearer, not signed"
    act = "delegated" if any(label == HOLDER for label, _ in block.states) else "added"
    return f"{act} by ed25519/{block.signer.hex()}"


def _moment(seconds: int, form: str = "%Y-%m-%d %H:%M:%S UTC") -> str:
    try:
        return dt.datetime.fromtimestamp(seconds, dt.UTC).strftime(form)
    except (OverflowError, ValueError, OSError):
        return f"second {seconds}"
