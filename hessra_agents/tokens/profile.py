"""Admission: what a capability may say, and what it does say, before any Datalog runs.

The Datalog engine holds the interpreter while it works and its time limit interrupts nothing, so six
hundred bytes can stop a process for seconds. Admission therefore reads the blocks first (`wire`) and lets
through only these shapes; all else is refused as ``outside_profile`` and never reaches the engine:

    first block      right(subject, object, operation)  1 to 128, all of one subject
                     check if resource($r), operation($o), right($s, $r, $o)     exactly once
                     check if time($t), $t < N                                   at least once
    any block        check if time($t), $t < N   or   $t >= N
                     check if designation(label, value)
                     check if designation(label, value) trusting {key} [or ... for approvals]
                     check if activation($a) trusting {key}
                     check if <branch> [or <branch> ...]                         arguments
    signed block     designation(label, value)   activation(N)                   as facts
    branch           resource(object), then facts about arguments with a literal key and one test each

In the first block every branch says which argument names there may be. A signed block that states
``holder`` is a delegation: it has exactly that fact, by the key and for the handle of the last holder
check, and exactly one holder check of its own under a fresh handle. No handle occurs twice.

What admission reads is data; the decision, the explanation of a refusal and the description of a token
all use that data.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..clauses import Branch, Clause, Pattern, Test
from ..errors import Denied, Reason
from ..facts import SIGNATURES
from .protobuf import outside
from .wire import MAX_CHECKS, Op, Predicate, Query, RawBlock, Var

__all__ = ["ANCHOR", "APPROVED", "HOLDER", "MAX_CHECKS", "MAX_EACH", "Attested", "Block", "Holder", "admit"]

MAX_EACH = 32
"""Tests on every element of a list, in a whole token."""

ANCHOR, HOLDER, APPROVED = "anchor", "holder", "approved"
RESERVED = frozenset({HOLDER, APPROVED})
"""Labels that only a checked statement earns."""

_HANDLE = re.compile(r"[0-9a-f]{32}")
_LESS, _AT_MOST, _AT_LEAST, _CONTAINS, _STARTS, _ENDS, _ALL = 0, 2, 3, 5, 6, 7, 25
_NEGATE = 0
_NOT = Op("unary", code=_NEGATE)
_BELOW, _NOT_BELOW = Op("binary", code=_LESS), Op("binary", code=_AT_LEAST)
_COMPARISONS = {_AT_MOST: "at_most", _AT_LEAST: "at_least", _STARTS: "starts", _ENDS: "ends"}


@dataclass(frozen=True, slots=True)
class Attested:
    """A designation that a named key must state: (label, value) by ``key`` (32 bytes, Ed25519)."""

    label: str
    value: str
    key: bytes


@dataclass(frozen=True, slots=True)
class Holder:
    """Who may use the token from this block on: a key, asked for under a handle."""

    handle: str
    key: bytes


@dataclass(frozen=True, slots=True)
class Block:
    """What one block says.

    ``patterns`` must all hold, each by one branch; ``attested`` must all hold, each by one alternative.
    ``states`` are designations that the block's signer vouches for.
    """

    id: str
    signer: bytes | None
    rights: tuple[tuple[str, str, str], ...] = ()
    expires: int | None = None
    starts: int | None = None
    designations: tuple[tuple[str, str], ...] = ()
    attested: tuple[tuple[Attested, ...], ...] = ()
    activators: tuple[bytes, ...] = ()
    patterns: tuple[Pattern, ...] = ()
    states: tuple[tuple[str, str], ...] = ()
    activates: bool = False

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
    each = [t for b in blocks for p in b.patterns for r in p for c in r.clauses for t in c.tests if t.each]
    if len(each) > MAX_EACH:
        raise Denied(Reason.TOO_LARGE, detail="tests on every element")
    _check_first(blocks[0])
    _check_handles(blocks)
    return blocks


def _block(raw: RawBlock, *, first: bool) -> Block:
    rights, states, activates = _facts(raw, first=first)
    expires: list[int] = []
    starts: list[int] = []
    designations: list[tuple[str, str]] = []
    attested: list[tuple[Attested, ...]] = []
    activators: list[bytes] = []
    patterns: list[Pattern] = []
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
        else:
            patterns.append(_pattern(check, first=first))
    if first and right_checks != 1:
        raise outside("the first block checks no right, or more than once")
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
            raise outside(f"a fact that its block may not state: {name}")
    return tuple(rights), tuple(states), activates


def _right_check(query: Query) -> None:
    """``resource($r), operation($o), right($s, $r, $o)``, of three variables."""
    (_, resource), (_, operation), (_, right) = query.body
    if {type(term) for term in resource + operation + right} != {Var} or len(right) != 3:
        raise outside("another check of a right")
    if (resource, operation) != (right[1:2], right[2:]) or len(set(right)) != 3:
        raise outside("another check of a right")
    if query.expressions or query.trusting:
        raise outside("another check of a right")


def _time(query: Query) -> tuple[int, bool]:
    """(N, True) of ``$t < N``; (N, False) of ``$t >= N``."""
    ((_, terms),) = query.body
    if len(terms) == len(query.expressions) == 1 and len(query.expressions[0]) == 3 and not query.trusting:
        variable, bound, comparison = query.expressions[0]
        if _is(variable, terms[0]) and type(bound.value) is int and comparison in (_BELOW, _NOT_BELOW):
            return bound.value, comparison == _BELOW
    raise outside("another check of the time")


def _is(step: Op, variable: object) -> bool:
    """Whether a step is this variable; the integer that is the number of its symbol is not."""
    return type(step.value) is type(variable) is Var and step.kind == "value" and step.value == variable


def _designation(query: Query) -> tuple[str, str]:
    ((_, terms),) = query.body
    if [type(term) for term in terms] != [str, str] or query.expressions or terms[0] in RESERVED:
        raise outside("another designation")
    return str(terms[0]), str(terms[1])


def _attested(check: tuple[Query, ...]) -> tuple[Attested, ...]:
    found = []
    for query in check:
        names = [name for name, _ in query.body]
        terms = query.body[0][1] if names == ["designation"] else ()
        if [type(t) for t in terms] != [str, str] or query.expressions or len(query.trusting) != 1:
            raise outside("another designation by a key")
        found.append(Attested(str(terms[0]), str(terms[1]), query.trusting[0]))
    if len(found) > 1 and any(one.label != APPROVED for one in found):
        raise outside("a choice of designations")
    if any(one.label == ANCHOR for one in found):
        raise outside("an audience by a key")
    if any(one.label in RESERVED and not _HANDLE.fullmatch(one.value) for one in found):
        raise outside("a handle that is not 128 bits in hex")
    return tuple(found)


def _activation(query: Query) -> bytes:
    ((_, terms),) = query.body
    if len(terms) != 1 or not isinstance(terms[0], Var) or query.expressions or len(query.trusting) != 1:
        raise outside("another check of an activation")
    return query.trusting[0]


def _pattern(check: tuple[Query, ...], *, first: bool) -> Pattern:
    branches = tuple([_branch(query) for query in check])
    for branch in branches:
        if first and not branch.closes:
            raise outside("a first block that leaves argument names open")
    return branches


def _branch(query: Query) -> Branch:
    if not query.body or query.trusting:
        raise outside("a check that names no object, or trusts a key")
    (name, terms), *rest = query.body
    if name != "resource" or len(terms) != 1 or type(terms[0]) is not str:
        raise outside(f"a check of another shape, on {name}")
    bound: dict[Var, tuple[int, int]] = {}
    heads = [_head(predicate, index, bound) for index, predicate in enumerate(rest)]
    tests: list[list[Test]] = [[] for _ in heads]
    for expression in query.expressions:
        clause, test = _test(expression, bound)
        tests[clause].append(test)
    clauses = [Clause(*head, tuple(found)) for head, found in zip(heads, tests, strict=True)]
    for one in clauses:
        if not one.well_formed():
            raise outside("a test that does not fit its fact")
    return Branch(terms[0], tuple(clauses))


def _head(
    predicate: Predicate, index: int, bound: dict[Var, tuple[int, int]]
) -> tuple[str, str, str | int | bool | bytes | None]:
    """Predicate, key and literal of a clause; its variables go to ``bound``, each once."""
    name, terms = predicate
    types = SIGNATURES.get(name)
    if types is None:
        raise outside(f"an unknown predicate: {name}")
    key = "" if name == "arg_names" else terms[0] if terms else None
    values = terms if name == "arg_names" else terms[1:]
    if type(key) is not str or len(values) != len(types):
        raise outside(f"{name} with other terms")
    if len(values) == 1 and not isinstance(values[0], (Var, frozenset)):
        return name, key, values[0]
    for position, value in enumerate(values):
        if not isinstance(value, Var) or value in bound:
            raise outside("a variable that is used twice, or none where one must be")
        bound[value] = (index, position)
    return name, key, None


def _test(ops: tuple[Op, ...], bound: dict[Var, tuple[int, int]]) -> tuple[int, Test]:
    """One test of a clause, from an expression in postfix form."""
    lacks = len(ops) == 4 and ops[3] == _NOT
    if len(ops) != 3 + lacks or ops[2].kind != "binary":
        raise outside("another expression")
    left, right, code = ops[0], ops[1], ops[2].code
    if lacks and code != _CONTAINS:
        raise outside("another negation")
    if code == _CONTAINS:
        if isinstance(left.value, frozenset) and not lacks:
            return _on(bound, right, "in", left.value)
        return _on(bound, left, "lacks" if lacks else "has", right.value)
    if code == _ALL and right.kind == "closure" and len(right.body) == 3:
        variable, literal, comparison = right.body
        if _is(variable, right.value) and comparison.kind == "binary":
            return _on(bound, left, _COMPARISONS.get(comparison.code, ""), literal.value, each=True)
    return _on(bound, left, _COMPARISONS.get(code, ""), right.value if right.kind == "value" else None)


def _on(
    bound: dict[Var, tuple[int, int]], variable: Op, op: str, operand: object, *, each: bool = False
) -> tuple[int, Test]:
    value = variable.value
    if type(value) is not Var or variable.kind != "value" or value not in bound:
        raise outside("a test on no variable of its branch")
    if type(operand) not in (str, int, frozenset):
        raise outside("a test against another kind of value")
    clause, index = bound[value]
    return clause, Test(op, operand, index, each)  # type: ignore[arg-type]


def _check_first(first: Block) -> None:
    if not first.rights or len({subject for subject, _, _ in first.rights}) != 1:
        raise outside("the first block names no right, or rights of several subjects")
    if len({resource for _, resource, _ in first.rights}) != len(first.rights):
        raise outside("one object under two operations, or twice")
    if first.expires is None:
        raise outside("the first block does not expire")


def _check_handles(blocks: tuple[Block, ...]) -> None:
    """No handle twice, and every change of holder signed by the holder before."""
    holder: Holder | None = None
    owners: dict[str, tuple[int, bytes]] = {}
    for index, block in enumerate(blocks):
        checks = [one[0] for one in block.attested if one[0].label == HOLDER]
        stated = [value for label, value in block.states if label == HOLDER]
        if any(label in (APPROVED, ANCHOR) for label, _ in block.states):
            raise outside("a block that states what only a statement earns")
        if holder is None:
            valid = not stated and len(checks) <= 1
        else:
            signed = block.signer == holder.key and stated == [holder.handle] and len(block.states) == 1
            valid = (signed and len(checks) == 1) or (not stated and not checks)
        if not valid:
            raise outside("a change of holder that its holder did not sign")
        for one in (alternative for check in block.attested for alternative in check):
            if one.label == HOLDER and one.value in owners:
                raise outside("a handle that was used before")
            if one.label in RESERVED and owners.setdefault(one.value, (index, one.key)) != (index, one.key):
                raise outside("a handle that was used before")
        if checks:
            holder = Holder(checks[0].value, checks[0].key)
