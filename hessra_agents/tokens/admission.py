"""Admit capabilities: what one may say, and what it does say, before any Datalog runs.

The Datalog engine holds the interpreter while it works and its time limit interrupts nothing, so six
hundred bytes can stop a process for seconds. Admission therefore reads the blocks first (`format.blocks`)
and admits only these shapes; all else is refused as ``outside_profile`` and never reaches the engine:

    first block      right(subject, object, operation)  1 to 128, all of one subject
                     check if resource($r), operation($o), right($s, $r, $o)     exactly once
                     check if time($t), $t < N                                   at least once
                     check if budget(name, kind, most) [or elsewhere]
    any block        check if time($t), $t < N   or   $t >= N
                     check if designation(label, value)
                     check if designation(label, value) trusting {key}
                     check if designation("approved", handle) trusting {key} [or ...] [or way] [or elsewhere]
                     check if limit(handle, kind, most) [or elsewhere]
                     check if exposure_clear(pattern of labels) [or elsewhere]
                     check if activation($a) trusting {key}
                     check if <branch> [or <branch> ...]                         arguments: a pattern
                     check if <way> [or <way> ...] or elsewhere                  arguments: a choice
    signed block     designation(label, value)   activation(N)                   as facts
    with a holder    known_as(name)   hops(N)   only_to({keys})   idle(true)     as facts, each at most once
    branch           resource(object), then any number of facts as in a way
    way              facts about arguments with a literal key and tests of their values,
                     or result_of(key, tool, selector), results_of(key, tool, selector), all literal
    elsewhere        resource($r), !{objects}.contains($r)

In the first block every branch closes the argument names, and each object of a choice has a right. A
signed block that states ``holder`` is a delegation: it has exactly that fact, signed by the key and for the
handle of the last holder check, and exactly one holder check of its own under a fresh handle. No handle
serves two purposes. Conditions on exposure need no handle: what the session has seen is the same for every
block.

Four facts are about the holder whom their block names. It is *known as* a name below the name before (at
first the subject, which the first block names already): ``mailer`` is ``agent:desk:mailer``. At most N *hops*
follow, so the block of the next holder states fewer. The next holder's key is one that *only to* lists. An
*idle* holder makes no calls: it may hand on, only to others.

Admission returns data, and the decision, the explanation of a refusal and the description of a token all
use that data.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from ..call.call import Call
from ..call.facts import SIGNATURES
from ..errors import Denied, Reason
from ..grants.clauses import SOURCED, Branch, Choice, Clause, Pattern, Test, sources
from ..grants.labels import is_name
from ..grants.limits import Limit
from .datalog_reader import (
    HANDLE,
    read_activation,
    read_attested,
    read_choice,
    read_clear,
    read_limit,
    read_moment,
    read_pattern,
    read_right,
    read_scope,
)
from .format.blocks import MAX_CHECKS, Query, RawBlock
from .format.protobuf import outside_profile

__all__ = [
    "ANCHOR",
    "APPROVED",
    "HOLDER",
    "MAX_NEXT",
    "RESERVED",
    "Block",
    "Holder",
    "RequiredAttestation",
    "admit",
]

MAX_EACH = 32
"""Tests on every element of a list, in a whole token."""

MAX_LIMITS = 16
"""Limits in a whole token; a call charges each of them."""

MAX_SOURCES = 16
"""Different sources of values in a whole token, and likewise patterns of excluded labels."""

MAX_NEXT = 16
"""Keys to which a holder may be told to hand on."""

ANCHOR, HOLDER, APPROVED = "anchor", "holder", "approved"
RESERVED = frozenset({HOLDER, APPROVED})
"""Labels that only a checked statement earns."""

_ARGUMENTS = frozenset(SIGNATURES) | SOURCED

_NO_ARGUMENTS = Clause("arg_names", "", None, (Test("in", frozenset()),))

_KEY = re.compile(r"[0-9a-f]{64}")

_MARKS: dict[str, Callable[[Any], bool]] = {
    "known_as": lambda name: type(name) is str and is_name(name),
    "idle": lambda value: value is True,
    "hops": lambda number: type(number) is int and number >= 0,
    "only_to": lambda keys: (
        type(keys) is frozenset
        and 0 < len(keys) <= MAX_NEXT
        and all(type(key) is str and _KEY.fullmatch(key) for key in keys)
    ),
}
"""The facts about the holder whom a block names, and what each may say."""


@dataclass(frozen=True, slots=True)
class RequiredAttestation:
    """A designation that a named key must state: (label, value) by ``key`` (32 bytes, Ed25519).

    An approval may be required for calls of some objects only: ``tools`` (None: of all). It is not required
    of a call for which all clauses ``unless`` hold, if there are any.
    """

    label: str
    value: str
    key: bytes
    tools: frozenset[str] | None = None
    unless: tuple[Clause, ...] = ()

    def concerns(self, call: Call) -> bool:
        """Return whether it is required for this call."""
        if self.tools is not None and call.resource not in self.tools:
            return False
        return not self.unless or not all(clause.holds(call) for clause in self.unless)


@dataclass(frozen=True, slots=True)
class Holder:
    """The key that may use the token from this block on, and the handle under which it is required."""

    handle: str
    key: bytes
    idle: bool = False
    """Whether the holder may only hand on."""


@dataclass(frozen=True, slots=True)
class Block:
    """The content of one block. Times are Unix seconds.

    Patterns and choices must all hold, each by one branch or way: `about` tells those of one object.
    ``attested`` must all hold, each by one alternative. ``issued`` is the earliest start that the block
    names, ``starts`` the latest. ``limits`` are counted, each under its handle or the name of its budget.
    ``clear`` are patterns of labels that the session must not have seen, for calls of some objects (None: of
    all). ``states`` are designations that the signer vouches for. ``known_as`` is what the holder's name
    adds to the name before, ``hops`` how often the token may be handed on from here (None: any number of
    times), ``only_to`` the keys in hex to which the holder may hand it on (None: any).
    """

    id: str
    signer: bytes | None
    rights: tuple[tuple[str, str, str], ...] = ()
    expires: int | None = None
    starts: int | None = None
    designations: tuple[tuple[str, str], ...] = ()
    attested: tuple[tuple[RequiredAttestation, ...], ...] = ()
    activators: tuple[bytes, ...] = ()
    states: tuple[tuple[str, str], ...] = ()
    activates: bool = False
    limits: tuple[tuple[str, Limit], ...] = ()
    issued: int | None = None
    clear: tuple[tuple[str, frozenset[str] | None], ...] = ()
    known_as: str | None = None
    hops: int | None = None
    only_to: frozenset[str] | None = None
    idle: bool = False
    _patterns: tuple[Pattern, ...] = ()
    _choices: tuple[Choice, ...] = ()

    def about(self, resource: str) -> tuple[Pattern, ...]:
        """Return what calls of one object must match: all of these patterns, each by one branch.

        A pattern without a branch rules the object out. A first block without a pattern permits calls
        without arguments.
        """
        patterns = [tuple([b for b in pattern if b.resource == resource]) for pattern in self._patterns]
        if self.rights and not patterns:
            patterns.append((Branch(resource, (_NO_ARGUMENTS,)),))
        return (*patterns, *[choice.about(resource) for choice in self._choices if resource in choice.tools])

    def grants(self) -> Iterator[tuple[Branch, tuple[Pattern, ...]]]:
        """Yield each way to call each object that it is about, with what must hold besides."""
        named = dict.fromkeys(tool for choice in self._choices for tool in sorted(choice.tools))
        open_ones = tuple([Branch(tool, ()) for tool in named])
        first, *_ = self._patterns or (open_ones,)
        for branch in first:
            yield branch, self.about(branch.resource)[bool(self._patterns) :]

    @property
    def objects(self) -> frozenset[str] | None:
        """The objects that its patterns leave; None if it has no pattern, so that arguments are not named."""
        named = [frozenset([branch.resource for branch in pattern]) for pattern in self._patterns]
        return frozenset.intersection(*named) if named else None

    @property
    def clauses(self) -> list[Clause]:
        """Every clause of its patterns and choices, and of what no approval is needed for."""
        branches = [branch.clauses for pattern in self._patterns for branch in pattern]
        ways = [way for choice in self._choices for way in choice.ways]
        spared = [check[0].unless for check in self.attested]
        return [clause for clauses in (*branches, *ways, *spared) for clause in clauses]

    @property
    def holder(self) -> Holder | None:
        """The holder that this block names, or None."""
        named = [a for check in self.attested for a in check if a.label == HOLDER]
        return Holder(named[0].value, named[0].key, self.idle) if named else None


def admit(raw: list[RawBlock]) -> tuple[Block, ...]:
    """Return what these blocks say.

    Raises:
        Denied: ``outside_profile`` or ``too_large``.
    """
    if sum([len(block.checks) for block in raw]) > MAX_CHECKS:
        raise Denied(Reason.TOO_LARGE, detail="checks in a token")
    blocks = tuple([_block(block, first=index == 0) for index, block in enumerate(raw)])
    clauses = [clause for block in blocks for clause in block.clauses]
    each = sum([sum([test.each for test in c.tests]) + (c.fact == "results_of") for c in clauses])
    if each > MAX_EACH:
        raise Denied(Reason.TOO_LARGE, detail="tests on every element")
    if sum([len(block.limits) for block in blocks]) > MAX_LIMITS:
        raise Denied(Reason.TOO_LARGE, detail="limits in a token")
    if max(len(sources(clauses)), sum([len(block.clear) for block in blocks])) > MAX_SOURCES:
        raise Denied(Reason.TOO_LARGE, detail="conditions on a session")
    _check_first(blocks[0])
    _check_handles(blocks)
    _check_next_holders(blocks)
    return blocks


def _block(raw: RawBlock, *, first: bool) -> Block:
    rights, states, activates, marks = _facts(raw, first=first)
    expires: list[int] = []
    starts: list[int] = []
    designations: list[tuple[str, str]] = []
    attested: list[tuple[RequiredAttestation, ...]] = []
    activators: list[bytes] = []
    patterns: list[Pattern] = []
    choices: list[Choice] = []
    limits: list[tuple[str, Limit]] = []
    clear: list[tuple[str, frozenset[str] | None]] = []
    right_checks = 0
    for check in raw.checks:
        query = check[0]
        facts = [name for name, _ in query.body]
        alone = len(check) == 1
        if facts == ["resource", "operation", "right"] and alone and first:
            read_right(query)
            right_checks += 1
        elif facts == ["time"] and alone:
            moment, is_end = read_moment(query)
            (expires if is_end else starts).append(moment)
        elif facts == ["designation"] and not query.trusting and alone:
            designations.append(_designation(query))
        elif facts == ["designation"]:
            attested.append(_attested(check))
        elif facts == ["activation"] and alone:
            activators.append(read_activation(query))
        elif facts == ["limit"] or (facts == ["budget"] and first):
            limits.append(read_limit(check))
        elif facts == ["exposure_clear"]:
            clear.append(read_clear(check))
        elif facts and facts[0] in _ARGUMENTS:
            choices.append(read_choice(*read_scope(check)))
        else:
            patterns.append(read_pattern(check, first=first))
    if first and right_checks != 1:
        raise outside_profile("the first block does not check the right exactly once")
    if marks and not any(check[0].label == HOLDER for check in attested):
        raise outside_profile("a fact about a holder, in a block that names none")
    return Block(
        raw.id,
        raw.signer,
        rights=rights,
        expires=min(expires, default=None),
        starts=max(starts, default=None),
        designations=tuple(designations),
        attested=tuple(attested),
        activators=tuple(activators),
        states=states,
        activates=activates,
        limits=tuple(limits),
        issued=min(starts, default=None),
        clear=tuple(clear),
        _patterns=tuple(patterns),
        _choices=tuple(choices),
        **marks,
    )


def _facts(
    raw: RawBlock, *, first: bool
) -> tuple[tuple[tuple[str, str, str], ...], tuple[tuple[str, str], ...], bool, dict[str, Any]]:
    rights, states, activates = [], [], False
    marks: dict[str, Any] = {}
    for name, terms in raw.facts:
        kinds = [type(term) for term in terms]
        if first and name == "right" and kinds == [str, str, str]:
            rights.append((str(terms[0]), str(terms[1]), str(terms[2])))
        elif raw.signer and name == "designation" and kinds == [str, str]:
            states.append((str(terms[0]), str(terms[1])))
        elif raw.signer and name == "activation" and kinds == [int]:
            activates = True
        elif name in _MARKS and len(terms) == 1 and name not in marks and _MARKS[name](terms[0]):
            marks[name] = terms[0]
        else:
            raise outside_profile(f"a fact that its block may not state: {name}")
    if first and "known_as" in marks:
        raise outside_profile("a second name of the subject")
    return tuple(rights), tuple(states), activates, marks


def _designation(query: Query) -> tuple[str, str]:
    match query:
        case Query(((_, (str(label), str(value))),), (), ()) if label not in RESERVED:
            return label, value
    raise outside_profile("an unsupported designation")


def _attested(check: tuple[Query, ...]) -> tuple[RequiredAttestation, ...]:
    read, tools, unless = read_attested(check)
    found = [RequiredAttestation(label, value, key, tools, unless) for label, value, key in read]
    if (len(found) > 1 or tools is not None or unless) and any(a.label != APPROVED for a in found):
        raise outside_profile("a choice of designations")
    if any(a.label == ANCHOR for a in found):
        raise outside_profile("an audience by a key")
    if any(a.label in RESERVED and not HANDLE.fullmatch(a.value) for a in found):
        raise outside_profile("a handle that is not 128 bits in hex")
    return tuple(found)


def _check_first(first: Block) -> None:
    if len({subject for subject, _, _ in first.rights}) != 1:
        raise outside_profile("the first block names no right, or rights of several subjects")
    if len({resource for _, resource, _ in first.rights}) != len(first.rights):
        raise outside_profile("an object is granted twice")
    if first.expires is None:
        raise outside_profile("the first block does not expire")
    for choice in first._choices:
        if first.objects is None or not choice.tools <= {resource for _, resource, _ in first.rights}:
            raise outside_profile("a choice about an object that is not granted, or whose names are open")


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
        counted = [handle for handle, limit in block.limits if limit.budget is None]
        handles = [*[check.value for check in checks], *[handle for handle, _ in approvers], *counted]
        if len(set(handles)) < len(handles) or not used.isdisjoint(handles):
            raise outside_profile("a handle that was used before")
        used.update(handles)
        holder = block.holder or holder


def _check_next_holders(blocks: tuple[Block, ...]) -> None:
    """Refuse a holder to whom the holder before may not hand on."""
    hops, keys = None, None
    for block in blocks:
        holder = block.holder
        if holder is None:
            continue
        if hops is not None and (block.hops is None or block.hops >= hops):
            raise outside_profile("handed on more often than a holder may")
        if keys is not None and holder.key.hex() not in keys:
            raise outside_profile("handed on to a key that a holder may not hand on to")
        hops, keys = block.hops, block.only_to
        if holder.idle and (keys is None or holder.key.hex() in keys):
            raise outside_profile("an idle holder who may hand on to itself")
