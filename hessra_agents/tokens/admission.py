"""Admission: what a capability may say, and what it does say, before any Datalog runs.

The Datalog engine holds the interpreter while it works and its time limit interrupts nothing, so six
hundred bytes can stop a process for seconds. Admission therefore reads the blocks first (`wire`) and lets
through only these shapes; all else is refused as ``outside_profile`` and never reaches the engine:

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

In the first block every branch says which argument names there may be. A signed block that states
``holder`` is a delegation: it has exactly that fact, by the key and for the handle of the last holder
check, and exactly one holder check of its own under a fresh handle. No handle occurs twice. What a session
has seen needs no handle: it is true of this call, or it is not, whatever block asks.

What admission reads is data; the decision, the explanation of a refusal and the description of a token
all use that data.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..errors import Denied, Reason
from ..grants.clauses import Pattern, Source
from ..grants.labels import is_text
from ..grants.limits import Limit
from .datalog_reader import AT_LEAST, CONTAINS, LESS, NOT, is_variable, read_pattern
from .format.blocks import MAX_CHECKS, Op, Query, RawBlock, Var
from .format.protobuf import outside_profile

__all__ = [
    "ANCHOR",
    "APPROVED",
    "HOLDER",
    "MAX_CHECKS",
    "MAX_EACH",
    "MAX_LIMITS",
    "Block",
    "RequiredAttestation",
]
__all__ += ["Holder", "admit"]

MAX_EACH = 32
"""Tests on every element of a list, in a whole token."""

MAX_LIMITS = 16
"""Limits of a whole token: one call charges each of them."""

MAX_SOURCES = 16
"""Different places in results that a whole token asks about, and patterns of labels."""

ANCHOR, HOLDER, APPROVED = "anchor", "holder", "approved"
RESERVED = frozenset({HOLDER, APPROVED})
"""Labels that only a checked statement earns."""

_HANDLE = re.compile(r"[0-9a-f]{32}")
_HAS = Op("binary", code=CONTAINS)
_BELOW, _NOT_BELOW = Op("binary", code=LESS), Op("binary", code=AT_LEAST)


@dataclass(frozen=True, slots=True)
class RequiredAttestation:
    """A designation that a named key must state: (label, value) by ``key`` (32 bytes, Ed25519).

    An approval may be asked for calls ``tools`` some objects only (None: all).
    """

    label: str
    value: str
    key: bytes
    tools: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Holder:
    """Who may use the token from this block on: a key, asked for under a handle."""

    handle: str
    key: bytes


@dataclass(frozen=True, slots=True)
class Block:
    """What one block says.

    ``patterns`` must all hold, each by one branch; ``attested`` must all hold, each by one alternative.
    ``issued`` is the earliest moment that the block names as its start, ``starts`` the latest. ``limits`` are
    counted, each under its handle; of ``clear`` patterns of labels the session must have seen nothing, for
    calls of some objects (None: all). ``states`` are designations that the signer vouches for.
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
        """The holder that this block names, if it names one."""
        found = [Holder(a.value, a.key) for one in self.attested for a in one if a.label == HOLDER]
        return found[0] if found else None


def admit(raw: list[RawBlock]) -> tuple[Block, ...]:
    """What these blocks say.

    Raises:
        Denied: ``outside_profile`` or ``too_large``.
    """
    if sum([len(block.checks) for block in raw]) > MAX_CHECKS:
        raise Denied(Reason.TOO_LARGE, detail="checks of a token")
    blocks = tuple([_block(block, first=index == 0) for index, block in enumerate(raw)])
    clauses = [c for b in blocks for p in b.patterns for r in p for c in r.clauses]
    each = sum([sum([test.each for test in one.tests]) + (one.fact == "results_of") for one in clauses])
    if each > MAX_EACH:
        raise Denied(Reason.TOO_LARGE, detail="tests on every element")
    if sum([len(block.limits) for block in blocks]) > MAX_LIMITS:
        raise Denied(Reason.TOO_LARGE, detail="limits of a token")
    sources = {clause.equal for clause in clauses if isinstance(clause.equal, Source)}
    if max(len(sources), sum([len(block.clear) for block in blocks])) > MAX_SOURCES:
        raise Denied(Reason.TOO_LARGE, detail="questions about a session")
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
    counted: list[tuple[str, Limit]] = []
    clear: list[tuple[str, frozenset[str] | None]] = []
    right_checks = 0
    for check in raw.checks:
        query = check[0]
        names = [name for name, _ in query.body]
        alone = len(check) == 1
        if names == ["resource", "operation", "right"] and alone and first:
            _right_check(query)
            right_checks += 1
        elif names == ["time"] and alone:
            bound, limits = _time(query)
            (expires if limits else starts).append(bound)
        elif names == ["designation"] and not query.trusting and alone:
            designations.append(_designation(query))
        elif names == ["designation"]:
            attested.append(_attested(check))
        elif names == ["activation"] and alone:
            activators.append(_activation(query))
        elif names == ["limit"]:
            counted.append(_limit(check))
        elif names == ["exposure_clear"]:
            clear.append(_clear(check))
        else:
            patterns.append(read_pattern(check, first=first))
    if first and right_checks != 1:
        raise outside_profile("the first block checks no right, or more than once")
    return Block(
        raw.id,
        raw.signer,
        rights,
        min(expires, default=None),
        max(starts, default=None),
        tuple(designations),
        tuple(attested),
        tuple(activators),
        tuple(patterns),
        states,
        activates,
        tuple(counted),
        min(starts, default=None),
        tuple(clear),
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


def _right_check(query: Query) -> None:
    """``resource($r), operation($o), right($s, $r, $o)``, of three variables."""
    (_, resource), (_, operation), (_, right) = query.body
    if {type(term) for term in resource + operation + right} != {Var} or len(right) != 3:
        raise outside_profile("another check of a right")
    if (resource, operation) != (right[1:2], right[2:]) or len(set(right)) != 3:
        raise outside_profile("another check of a right")
    if query.expressions or query.trusting:
        raise outside_profile("another check of a right")


def _time(query: Query) -> tuple[int, bool]:
    """(N, True) of ``$t < N``; (N, False) of ``$t >= N``."""
    ((_, terms),) = query.body
    if len(terms) == len(query.expressions) == 1 and len(query.expressions[0]) == 3 and not query.trusting:
        variable, bound, comparison = query.expressions[0]
        if (
            is_variable(variable, terms[0])
            and type(bound.value) is int
            and comparison in (_BELOW, _NOT_BELOW)
        ):
            return bound.value, comparison == _BELOW
    raise outside_profile("another check of the time")


def _designation(query: Query) -> tuple[str, str]:
    ((_, terms),) = query.body
    if [type(term) for term in terms] != [str, str] or query.expressions or terms[0] in RESERVED:
        raise outside_profile("another designation")
    return str(terms[0]), str(terms[1])


def _attested(check: tuple[Query, ...]) -> tuple[RequiredAttestation, ...]:
    found = []
    check, of = _scope(check)
    for query in check:
        names = [name for name, _ in query.body]
        terms = query.body[0][1] if names == ["designation"] else ()
        if [type(t) for t in terms] != [str, str] or query.expressions or len(query.trusting) != 1:
            raise outside_profile("another designation by a key")
        found.append(RequiredAttestation(str(terms[0]), str(terms[1]), query.trusting[0], of))
    if (len(found) > 1 or of is not None) and any(one.label != APPROVED for one in found):
        raise outside_profile("a choice of designations")
    if any(one.label == ANCHOR for one in found):
        raise outside_profile("an audience by a key")
    if any(one.label in RESERVED and not _HANDLE.fullmatch(one.value) for one in found):
        raise outside_profile("a handle that is not 128 bits in hex")
    return tuple(found)


def _limit(check: tuple[Query, ...]) -> tuple[str, Limit]:
    (query, *more), of = _scope(check)
    ((_, terms),) = query.body
    if [type(t) for t in terms] != [str, str, int] or query.expressions or query.trusting or more:
        raise outside_profile("another limit")
    handle, kind, most = terms
    found = Limit.parse(str(kind), most, of)  # type: ignore[arg-type]
    if found is None or not _HANDLE.fullmatch(str(handle)):
        raise outside_profile("a limit that cannot be counted")
    return str(handle), found


def _clear(check: tuple[Query, ...]) -> tuple[str, frozenset[str] | None]:
    (query, *more), of = _scope(check)
    ((_, terms),) = query.body
    if len(terms) != 1 or not is_text(terms[0]) or query.expressions or query.trusting or more:
        raise outside_profile("another question about exposure")
    return str(terms[0]), of


def _scope(check: tuple[Query, ...]) -> tuple[tuple[Query, ...], frozenset[str] | None]:
    """The check without its last alternative ``resource($r), !{objects}.contains($r)``, and those objects."""
    body, steps, trusting = check[-1]
    if len(check) == 1 or [name for name, _ in body] != ["resource"]:
        return check, None
    ((_, terms),) = body
    if len(terms) == len(steps) == 1 and len(steps[0]) == 4 and not trusting:
        named, variable, contains, negated = steps[0]
        objects = named.value
        right = contains == _HAS and negated == NOT and is_variable(variable, terms[0])
        # of no object at all would be a check that never asks for anything
        if right and objects and isinstance(objects, frozenset) and {type(one) for one in objects} == {str}:
            return check[:-1], objects  # type: ignore[return-value]
    raise outside_profile("another choice of objects")


def _activation(query: Query) -> bytes:
    ((_, terms),) = query.body
    if len(terms) != 1 or not isinstance(terms[0], Var) or query.expressions or len(query.trusting) != 1:
        raise outside_profile("another check of an activation")
    return query.trusting[0]


def _check_first(first: Block) -> None:
    if not first.rights or len({subject for subject, _, _ in first.rights}) != 1:
        raise outside_profile("the first block names no right, or rights of several subjects")
    if len({resource for _, resource, _ in first.rights}) != len(first.rights):
        raise outside_profile("one object under two operations, or twice")
    if first.expires is None:
        raise outside_profile("the first block does not expire")


def _check_handles(blocks: tuple[Block, ...]) -> None:
    """No handle twice, and every change of holder signed by the holder before."""
    holder: Holder | None = None
    owners: dict[str, tuple[int, bytes]] = {}
    counted: set[str] = set()
    for index, block in enumerate(blocks):
        checks = [one[0] for one in block.attested if one[0].label == HOLDER]
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
        for one in (alternative for check in block.attested for alternative in check):
            if one.label == HOLDER and one.value in owners:
                raise outside_profile("a handle that was used before")
            if one.label in RESERVED and owners.setdefault(one.value, (index, one.key)) != (index, one.key):
                raise outside_profile("a handle that was used before")
        for handle, _ in block.limits:
            if owners.setdefault(handle, (index, b"")) != (index, b"") or handle in counted:
                raise outside_profile("a handle that was used before")
            counted.add(handle)
        if checks:
            holder = Holder(checks[0].value, checks[0].key)
