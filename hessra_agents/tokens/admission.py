"""Admit capabilities: what one may say, and what it does say, before any Datalog runs.

The Datalog engine holds the interpreter while it works and its time limit interrupts nothing, so six
hundred bytes can stop a process for seconds. Admission therefore reads the blocks first (`format.blocks`)
and admits only these shapes; all else is refused as ``outside_profile`` and never reaches the engine:

    first block      right(subject, object, operation)  1 to 128, all of one subject
                     check if resource($r), operation($o), right($s, $r, $o)     exactly once
                     check if time($t), $t < N                                   at least once
    any block        check if time($t), $t < N   or   $t >= N
                     check if designation(label, value)
                     check if designation(label, value) trusting {key} [or ... for approvals] [or elsewhere]
                     check if limit(handle, kind, most) [or elsewhere]
                     check if exposure_clear(pattern of labels) [or elsewhere]
                     check if activation($a) trusting {key}
                     check if <branch> [or <branch> ...]                         arguments
    signed block     designation(label, value)   activation(N)                   as facts
    branch           resource(object), then facts about arguments with a literal key and one test each,
                     or result_of(key, tool, selector), results_of(key, tool, selector), all literal
    elsewhere        resource($r), !{objects}.contains($r)

In the first block every branch closes the argument names. A signed block that states ``holder`` is a
delegation: it has exactly that fact, signed by the key and for the handle of the last holder check, and
exactly one holder check of its own under a fresh handle. No handle serves two purposes. Conditions on
exposure need no handle: what the session has seen is the same for every block.

Admission returns data, and the decision, the explanation of a refusal and the description of a token all
use that data.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..errors import Denied, Reason
from ..grants.clauses import Pattern, sources
from ..grants.labels import is_text
from ..grants.limits import Limit
from .datalog_reader import HAS, NOT, read_pattern, read_time
from .format.blocks import MAX_CHECKS, Query, RawBlock
from .format.protobuf import outside_profile
from .format.terms import Op, Var

__all__ = ["ANCHOR", "APPROVED", "HOLDER", "RESERVED", "Block", "Holder", "RequiredAttestation", "admit"]

MAX_EACH = 32
"""Tests on every element of a list, in a whole token."""

MAX_LIMITS = 16
"""Limits in a whole token; a call charges each of them."""

MAX_SOURCES = 16
"""Different sources of values in a whole token, and likewise patterns of excluded labels."""

ANCHOR, HOLDER, APPROVED = "anchor", "holder", "approved"
RESERVED = frozenset({HOLDER, APPROVED})
"""Labels that only a checked statement earns."""

_HANDLE = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class RequiredAttestation:
    """A designation that a named key must state: (label, value) by ``key`` (32 bytes, Ed25519).

    An approval may be required for calls of some objects only: ``tools`` (None: of all).
    """

    label: str
    value: str
    key: bytes
    tools: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Holder:
    """The key that may use the token from this block on, and the handle under which it is required."""

    handle: str
    key: bytes


@dataclass(frozen=True, slots=True)
class Block:
    """The content of one block. Times are Unix seconds.

    ``patterns`` must all hold, each by one branch; ``attested`` must all hold, each by one alternative.
    ``issued`` is the earliest start that the block names, ``starts`` the latest. ``limits`` are counted,
    each under its handle. ``clear`` are patterns of labels that the session must not have seen, for calls
    of some objects (None: of all). ``states`` are designations that the signer vouches for.
    """

    id: str
    signer: bytes | None
    rights: tuple[tuple[str, str, str], ...] = ()
    expires: int | None = None
    starts: int | None = None
    designations: tuple[tuple[str, str], ...] = ()
    attested: tuple[tuple[RequiredAttestation, ...], ...] = ()
    activators: tuple[bytes, ...] = ()
    patterns: tuple[Pattern, ...] = ()
    states: tuple[tuple[str, str], ...] = ()
    activates: bool = False
    limits: tuple[tuple[str, Limit], ...] = ()
    issued: int | None = None
    clear: tuple[tuple[str, frozenset[str] | None], ...] = ()

    @property
    def holder(self) -> Holder | None:
        """The holder that this block names, or None."""
        holders = [Holder(a.value, a.key) for check in self.attested for a in check if a.label == HOLDER]
        return holders[0] if holders else None


def admit(raw: list[RawBlock]) -> tuple[Block, ...]:
    """Return what these blocks say.

    Raises:
        Denied: ``outside_profile`` or ``too_large``.
    """
    if sum([len(block.checks) for block in raw]) > MAX_CHECKS:
        raise Denied(Reason.TOO_LARGE, detail="checks in a token")
    blocks = tuple([_block(block, first=index == 0) for index, block in enumerate(raw)])
    clauses = [
        c for block in blocks for pattern in block.patterns for branch in pattern for c in branch.clauses
    ]
    each = sum([sum([test.each for test in c.tests]) + (c.fact == "results_of") for c in clauses])
    if each > MAX_EACH:
        raise Denied(Reason.TOO_LARGE, detail="tests on every element")
    if sum([len(block.limits) for block in blocks]) > MAX_LIMITS:
        raise Denied(Reason.TOO_LARGE, detail="limits in a token")
    asked = sources(pattern for block in blocks for pattern in block.patterns)
    if max(len(asked), sum([len(block.clear) for block in blocks])) > MAX_SOURCES:
        raise Denied(Reason.TOO_LARGE, detail="conditions on a session")
    _check_first(blocks[0])
    _check_handles(blocks)
    return blocks


def _block(raw: RawBlock, *, first: bool) -> Block:
    rights, states, activates = _facts(raw, first=first)
    expires: list[int] = []
    starts: list[int] = []
    designations: list[tuple[str, str]] = []
    attested: list[tuple[RequiredAttestation, ...]] = []
    activators: list[bytes] = []
    patterns: list[Pattern] = []
    limits: list[tuple[str, Limit]] = []
    clear: list[tuple[str, frozenset[str] | None]] = []
    right_checks = 0
    for check in raw.checks:
        query = check[0]
        names = [name for name, _ in query.body]
        alone = len(check) == 1
        if names == ["resource", "operation", "right"] and alone and first:
            _check_right(query)
            right_checks += 1
        elif names == ["time"] and alone:
            moment, is_end = _time(query)
            (expires if is_end else starts).append(moment)
        elif names == ["designation"] and not query.trusting and alone:
            designations.append(_designation(query))
        elif names == ["designation"]:
            attested.append(_attested(check))
        elif names == ["activation"] and alone:
            activators.append(_activation(query))
        elif names == ["limit"]:
            limits.append(_limit(check))
        elif names == ["exposure_clear"]:
            clear.append(_clear(check))
        else:
            patterns.append(read_pattern(check, first=first))
    if first and right_checks != 1:
        raise outside_profile("the first block does not check the right exactly once")
    return Block(
        raw.id,
        raw.signer,
        rights=rights,
        expires=min(expires, default=None),
        starts=max(starts, default=None),
        designations=tuple(designations),
        attested=tuple(attested),
        activators=tuple(activators),
        patterns=tuple(patterns),
        states=states,
        activates=activates,
        limits=tuple(limits),
        issued=min(starts, default=None),
        clear=tuple(clear),
    )


def _facts(
    raw: RawBlock, *, first: bool
) -> tuple[tuple[tuple[str, str, str], ...], tuple[tuple[str, str], ...], bool]:
    rights, states, activates = [], [], False
    for name, terms in raw.facts:
        kinds = [type(term) for term in terms]
        if first and name == "right" and kinds == [str, str, str]:
            rights.append((str(terms[0]), str(terms[1]), str(terms[2])))
        elif raw.signer and name == "designation" and kinds == [str, str]:
            states.append((str(terms[0]), str(terms[1])))
        elif raw.signer and name == "activation" and kinds == [int]:
            activates = True
        else:
            raise outside_profile(f"a fact that its block may not state: {name}")
    return tuple(rights), tuple(states), activates


def _check_right(query: Query) -> None:
    """Refuse anything but ``resource($r), operation($o), right($s, $r, $o)`` with three variables."""
    (_, resource), (_, operation), (_, right) = query.body
    variables = {type(term) for term in resource + operation + right} == {Var}
    joined = (resource, operation) == (right[1:2], right[2:]) and len(right) == len(set(right)) == 3
    if not (variables and joined) or query.expressions or query.trusting:
        raise outside_profile("an unsupported check of a right")


def _time(query: Query) -> tuple[int, bool]:
    bound = read_time(query)
    if bound is None:
        raise outside_profile("an unsupported check of the time")
    return bound


def _designation(query: Query) -> tuple[str, str]:
    match query:
        case Query(((_, (str(label), str(value))),), (), ()) if label not in RESERVED:
            return label, value
    raise outside_profile("an unsupported designation")


def _attested(check: tuple[Query, ...]) -> tuple[RequiredAttestation, ...]:
    found = []
    check, tools = _scope(check)
    for query in check:
        match query:
            case Query((("designation", (str(label), str(value))),), (), (key,)):
                found.append(RequiredAttestation(label, value, key, tools))
            case _:
                raise outside_profile("an unsupported designation by a key")
    if (len(found) > 1 or tools is not None) and any(a.label != APPROVED for a in found):
        raise outside_profile("a choice of designations")
    if any(a.label == ANCHOR for a in found):
        raise outside_profile("an audience by a key")
    if any(a.label in RESERVED and not _HANDLE.fullmatch(a.value) for a in found):
        raise outside_profile("a handle that is not 128 bits in hex")
    return tuple(found)


def _limit(check: tuple[Query, ...]) -> tuple[str, Limit]:
    (query, *more), tools = _scope(check)
    match query:
        case Query(((_, (str(handle), str(kind), int(most))),), (), ()) if type(most) is int and not more:
            limit = Limit.parse(kind, most, tools)
            if limit is not None and _HANDLE.fullmatch(handle):
                return handle, limit
    raise outside_profile("an unsupported limit")


def _clear(check: tuple[Query, ...]) -> tuple[str, frozenset[str] | None]:
    (query, *more), tools = _scope(check)
    match query:
        case Query(((_, (str(labels),)),), (), ()) if is_text(labels) and not more:
            return labels, tools
    raise outside_profile("an unsupported condition on exposure")


def _scope(check: tuple[Query, ...]) -> tuple[tuple[Query, ...], frozenset[str] | None]:
    """Split off the last alternative ``resource($r), !{objects}.contains($r)``, and return those objects."""
    last = check[-1]
    if len(check) == 1 or [name for name, _ in last.body] != ["resource"]:
        return check, None
    match last:
        case Query(
            ((_, (Var() as variable,)),),
            ((Op("value", frozenset() as tools), Op("value", Var() as element), *rest),),
            (),
        ) if element == variable and rest == [HAS, NOT] and {type(tool) for tool in tools} == {str}:
            # not an empty set: that would be a check that requires nothing
            return check[:-1], tools
    raise outside_profile("an unsupported choice of objects")


def _activation(query: Query) -> bytes:
    match query:
        case Query(((_, (Var(),)),), (), (key,)):
            return key
        case _:
            raise outside_profile("an unsupported check of an activation")


def _check_first(first: Block) -> None:
    if len({subject for subject, _, _ in first.rights}) != 1:
        raise outside_profile("the first block names no right, or rights of several subjects")
    if len({resource for _, resource, _ in first.rights}) != len(first.rights):
        raise outside_profile("an object is granted twice")
    if first.expires is None:
        raise outside_profile("the first block does not expire")


def _check_handles(blocks: tuple[Block, ...]) -> None:
    """Refuse a handle that is used twice, and a change of holder that the holder before did not sign."""
    holder: Holder | None = None
    used: set[str] = set()
    for block in blocks:
        checks = [check[0] for check in block.attested if check[0].label == HOLDER]
        stated = [value for label, value in block.states if label == HOLDER]
        if any(label in (APPROVED, ANCHOR) for label, _ in block.states):
            raise outside_profile("a block that states what only a statement earns")
        if holder is None:
            valid = not stated and len(checks) <= 1
        else:
            signed = block.signer == holder.key and stated == [holder.handle] and len(block.states) == 1
            valid = (signed and len(checks) == 1) or (not stated and not checks)
        if not valid:
            raise outside_profile("a change of holder that its holder did not sign")
        # several checks of one block may name one approver, under one handle
        approvers = {(a.value, a.key) for check in block.attested for a in check if a.label == APPROVED}
        handles = [check.value for check in checks] + [handle for handle, _ in (*approvers, *block.limits)]
        if len(set(handles)) < len(handles) or not used.isdisjoint(handles):
            raise outside_profile("a handle that was used before")
        used.update(handles)
        holder = block.holder or holder
