"""Join the grants of one block: one pattern, and the choices beside it.

A tool with one grant has one branch, and a choice for each part of the grant that can be met in several ways.
Equal choices of several tools are one choice. If a tool has several grants, a call must satisfy one of them:

1. What all its grants require alike is written once.
2. If one argument tells the grants apart, as ``folder`` does in ``grant("mail", folder="a", ...)`` and
   ``grant("mail", folder="b", ...)``, each grant has its branch, and its choices hold unless the argument has
   another grant's value.
3. Otherwise the grants are multiplied out, in the shorter of two ways: every combination is a branch, or
   (A and B) or (C and D) is (A or C) and (A or D) and (B or C) and (B or D).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

from .clauses import Branch, Choice, Clause, Pattern, Test
from .grants import Grant
from .vocabulary.constraints import MAX_BRANCHES, Alternatives, Parts, combine, gathered

__all__ = ["join"]


def join(grants: Sequence[Grant], *, closed: bool) -> tuple[Pattern, tuple[Choice, ...]]:
    """Return a pattern and choices that together permit what one of these grants permits.

    Args:
        grants: of any number of tools.
        closed: whether an argument that a grant does not name must be omitted.

    Raises:
        ValueError: an object is granted under two operations, which a branch cannot tell apart, or the
            grants are more than a guard reads.
    """
    if len({one.resource for one in grants}) != len({(one.resource, one.operation) for one in grants}):
        raise ValueError("an object is granted under two operations: issue two capabilities")
    branches: list[Branch] = []
    choices: dict[Alternatives, list[str]] = {}
    for resource in dict.fromkeys(one.resource for one in grants):
        own = dict.fromkeys(one.parts(closed=closed) for one in grants if one.resource == resource)
        skeletons, *rest = _one_of(resource, list(own))
        branches += [Branch(resource, clauses) for clauses in skeletons]
        for part in rest:
            choices.setdefault(part, []).append(resource)
    if len(branches) > MAX_BRANCHES:
        raise ValueError(
            f"these grants need {len(branches)} branches, and a guard reads at most {MAX_BRANCHES}"
        )
    return tuple(branches), tuple(Choice(frozenset(tools), part) for part, tools in choices.items())


def _one_of(resource: str, grants: list[Parts]) -> Parts:
    """Return parts that hold if all parts of one grant hold; the first part is the skeletons."""
    if len(grants) == 1:
        return grants[0]
    shared = [part for part in grants[0][1:] if all(part in grant[1:] for grant in grants)]
    rests = [(grant[0], *(part for part in grant[1:] if part not in shared)) for grant in grants]
    joined = _told_apart(rests) or min(_combined(rests), _crossed(rests), key=_length)
    if not joined or max(map(len, joined)) > MAX_BRANCHES:
        raise ValueError(
            f"the grants of {resource.partition(':')[2]} multiply to more than a guard reads:"
            " give the grants one argument with different exact values, or issue two capabilities"
        )
    return (*joined, *shared)


def _told_apart(grants: list[Parts]) -> Parts | None:
    """Return the parts if one argument tells the grants apart, else None."""
    for place in _values(grants[0]):
        found = [_values(grant).get(place) for grant in grants]
        sets = [values for values in found if values is not None]
        every: frozenset[object] = frozenset().union(*sets)
        if len(sets) < len(grants) or sum(map(len, sets)) != len(every):
            continue
        parts: list[Alternatives] = [tuple(grant[0][0] for grant in grants)]
        for grant, values in zip(grants, sets, strict=True):
            others = Clause(*place, None, (Test("in", every - values),))  # type: ignore[arg-type]
            parts += [(*part, (others,)) for part in grant[1:]]
        return tuple(parts)
    return None


def _values(grant: Parts) -> dict[tuple[str, str], frozenset[object]]:
    """Return the places to which the skeleton leaves only a few values, with those values."""
    found: dict[tuple[str, str], frozenset[object]] = {}
    for clause in grant[0][0]:
        listed = [test.operand for test in clause.tests if test.op == "in"]
        if clause.fact in ("arg_str", "arg_int") and (clause.equal is not None or listed):
            found[clause.fact, clause.key] = (
                frozenset({clause.equal}) if clause.equal is not None else frozenset(listed[0])  # type: ignore[arg-type]
            )
    return found


def _combined(grants: list[Parts]) -> Parts:
    """Return one part: every combination of every grant. Empty if they are too many."""
    if sum(math.prod(map(len, grant)) for grant in grants) > MAX_BRANCHES:
        return ()
    return (tuple(dict.fromkeys(gathered(way) for grant in grants for way in combine(*grant))),)


def _crossed(grants: list[Parts]) -> Parts:
    """Return one part for every combination of one part of each grant. Empty if they are too many."""
    if math.prod(map(len, grants)) > MAX_BRANCHES:
        return ()
    skeletons, *rest = (
        _without_needless(tuple(itertools.chain(*parts))) for parts in itertools.product(*grants)
    )
    return (skeletons, *dict.fromkeys(part for part in rest if () not in part))


def _without_needless(part: Alternatives) -> Alternatives:
    """Return the part without an alternative that requires all that another one requires, and more."""
    sets = {way: frozenset(way) for way in part}
    return tuple(way for way, own in sets.items() if not any(other < own for other in sets.values()))


def _length(parts: Parts) -> float:
    """Return about how long the parts are in a token, to compare; what cannot be written is endless."""
    return sum(3 + sum(1 + 2 * len(way) for way in part) for part in parts) if parts else math.inf
