"""Describe a capability in words: who may do what, until when, and who narrowed it.

One condition is one line, whatever the token says: its strings are plain words or quoted (`safe_word`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import comb

from ..grants.describe import describe_limit, quote, safe_word
from ..grants.describe_grants import describe_branch, describe_way
from ..grants.limits import Limit
from .admission import ANCHOR, APPROVED, HOLDER, Block, RequiredAttestation
from .revocation_ids import agent_name

__all__ = [
    "IDLE",
    "ApprovalView",
    "approvals_of",
    "block_lines",
    "describe",
    "describe_agent",
    "grant_lines",
    "hops_line",
    "is_vouched",
    "name_line",
    "only_to_line",
    "refunded",
    "summary",
    "voters",
]

_SHOWN_TOOLS = 12

IDLE = "the holder makes no call, and only hands on"


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
        named = [] if block.known_as is None else [name_line(blocks[: index + 1])]
        parts += [f"  {line}" for line in (*named, *block_lines(block))]
    return "\n".join(parts)


def is_vouched(blocks: Sequence[Block]) -> bool:
    """Return whether holders vouch for a name: the issuer named the first, and each signed for the next.

    A bearer capability can be bound to a holder by anyone, under any name, so nobody vouches for that name.
    """
    return not any(block.holder and block.signer is None for block in blocks[1:])


def name_line(blocks: Sequence[Block]) -> str:
    """Return the name that the last of these blocks gives its holder, and whether that is only a claim."""
    name = safe_word(agent_name(blocks))
    return f"known as {name}" if is_vouched(blocks) else f"says it is {name}, for which nobody vouches"


def describe_agent(
    subject: str, known_as: str | None, *, vouched: bool, show: Callable[[str], str] = safe_word
) -> str:
    """Return who uses a capability: ``agent:desk:mailer``, or ``agent:desk (says it is agent:desk:mailer)``.

    Args:
        subject: to whom it was issued.
        known_as: the name of its holder, if that is another.
        vouched: whether a holder vouches for that name.
        show: returns a name as it is shown.
    """
    if known_as is None or vouched:
        return show(known_as or subject)
    return f"{show(subject)} (says it is {show(known_as)})"


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
    if block.hops is not None:
        yield hops_line(block.hops)
    if block.only_to is not None:
        yield only_to_line(block.only_to)
    if block.idle:
        yield IDLE
    for check in block.attested:
        label, by = check[0].label, f"by ed25519/{check[0].key.hex()}"
        if label != APPROVED:
            yield f"held {by}" if label == HOLDER else f"where {safe_word(label)} is stated {by}"
    for view in approvals_of(block):
        unless = f", unless {view.unless}" if view.unless else ""
        yield f"each call{_of(view.of.tools)} approved by {voters(view)}{unless}"
    for _, limit in block.limits:
        yield f"{describe_limit(limit)}{_of(limit.tools)}{refunded(limit)}"
    for labels, tools in block.clear:
        calls = "" if tools is None else f", for calls{_of(tools)}"
        yield f"only while the session has not seen {safe_word(labels)}{calls}"
    for key in block.activators:
        yield f"activated by ed25519/{key.hex()}"
    for place, line in enumerate(grant_lines(block)):
        yield f"{'or ' if place else 'only '}{line}"


def hops_line(hops: int) -> str:
    """Return how often a capability may be handed on from here."""
    return "not handed on" if hops == 0 else f"handed on at most {hops} time{'s' * (hops != 1)}"


def only_to_line(keys: frozenset[str]) -> str:
    """Return to whom a holder may hand on."""
    return "handed on only to " + " or ".join(f"ed25519/{key}" for key in sorted(keys))


def grant_lines(block: Block) -> Iterator[str]:
    """Yield each way to call each tool, with what its arguments must be, a line each."""
    for branch, besides in block.grants():
        if all(besides):
            yield describe_branch(branch, besides)


@dataclass(frozen=True, slots=True)
class ApprovalView:
    """The approvals that a block requires: ``need`` of these keys, for calls that ``of`` concerns."""

    keys: tuple[str, ...]
    need: int
    of: RequiredAttestation

    @property
    def unless(self) -> str:
        """The calls that need no approval, in words; empty if there are none."""
        return describe_way(self.of.unless)


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
            yield ApprovalView(members, len(members) - size + 1, next(iter(group[0])))
        else:
            yield from [ApprovalView(_keys(keys), 1, next(iter(keys))) for keys in group]


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
