"""Explain why a pattern does not match: every argument that fails, with what would have been allowed."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace

from ..call.call import Call
from ..call.places import unescape
from ..errors import Problem, Reason
from ..grants.clauses import Branch, Clause, Pattern, Results, Source, by_argument
from ..grants.describe import describe_clauses, describe_place, safe_word, unknown_place
from ..grants.vocabulary.elements import of_one
from ..grants.vocabulary.forms import faults_of_form
from .elements import first_at_fault

__all__ = ["MAX_LOOKS", "MAX_PLACES", "ORDER", "explain"]

ORDER = (Reason.NOT_GRANTED, Reason.UNNAMED_ARGUMENT, Reason.MISSING_ARGUMENT, Reason.CONSTRAINT)
"""The reason that a refusal gives when arguments fail for several: the first in this order."""

MAX_PLACES = 32
"""Arguments, and places inside arguments, that one refusal names. Explaining stops there."""

MAX_LOOKS = 1024
"""Elements of lists that are looked at for one refusal."""


def explain(
    pattern: Pattern,
    call: Call,
    *,
    block: int,
    results: Results | None = None,
    looks: Iterator[int] | None = None,
) -> list[Problem]:
    """Return the problems of the branches that come nearest to the call; none if a branch matches.

    Each element of a list that is looked at, to name the first at fault, is one of ``looks``.
    """
    looks = iter(range(MAX_LOOKS)) if looks is None else looks
    candidates = [branch for branch in pattern if branch.resource == call.resource]
    if not candidates:
        return [Problem(Reason.NOT_GRANTED, block=block)]
    failing = [(branch, branch.failing(call, results)) for branch in candidates]
    if not all(clauses for _, clauses in failing):
        return []
    failing = sorted(failing, key=lambda pair: len(pair[1]))[:MAX_PLACES]
    tried = [_problems(branch, clauses, call, results, looks) for branch, clauses in failing]
    present = [problems for problems in tried if not any(p[2] == "omitted" for p in problems)]
    least = min(map(len, present or tried))
    by_place: dict[str, tuple[Reason, list[str]]] = {}
    for reason, place, allowed in (p for problems in tried if len(problems) <= least for p in problems):
        known, words = by_place.setdefault(place, (reason, []))
        if allowed and allowed not in words:
            words.append(allowed)
        if reason is not known and ORDER.index(reason) > ORDER.index(known):
            by_place[place] = (reason, words)
    for place in [place for place, (_, words) in by_place.items() if words == ["omitted"]]:
        if any(other.startswith((f"{place}/", f"{place} ")) for other in by_place):
            del by_place[place]  # what is wrong inside a value says more than that it may be omitted
    # a place inside a value that fails as a whole adds nothing
    inside = tuple([f"{place}/" for place in by_place])
    outer = [(place, *found) for place, found in by_place.items() if not place.startswith(inside)]
    problems = [Problem(reason, place, " or ".join(words), block) for place, reason, words in outer]
    # a pattern that fails always has a problem
    return problems or [Problem(Reason.CONSTRAINT, block=block)]


def _problems(
    branch: Branch, failing: tuple[Clause, ...], call: Call, results: Results | None, looks: Iterator[int]
) -> list[tuple[Reason, str, str]]:
    problems: list[tuple[Reason, str, str]] = []
    keys = {clause.key for clause in failing}
    about = by_argument([clause for clause in branch.clauses if clause.key in keys])
    told: list[Clause] = []
    bad = set[str]()
    for clause in failing:
        found = first_at_fault(clause, call, results, looks)
        if found is None:
            told.append(clause)
        elif isinstance(found[1], str):
            reason = _reason(call, found[0])
            problems.append((reason, describe_place(found[0]), found[1]))
            bad.add(found[0])
        else:
            told.append(replace(found[1], key=found[0]))
            if found[0] not in about:
                beside = [of_one(other, found[0]) for other in about.get(clause.key, ())]
                about[found[0]] = [one for one in beside if one is not None] or told[-1:]
    problems += [p for c in told if c.fact in ("arg_names", "arg_fields") for p in _names(c, call)]
    for key, failed in itertools.islice(by_argument(told).items(), MAX_PLACES):
        if key in bad:
            continue
        reason = _reason(call, key)
        origins = [c.equal for c in failed if isinstance(c.equal, Source)]
        stored = not origins or all(results and results(b"", origin) for origin in origins)
        allowed = describe_clauses(about[key]) + faults_of_form(failed, call)
        allowed += "" if stored else ", but no such result is stored"
        problems.append((reason, describe_place(key), allowed))
    return problems


def _reason(call: Call, key: str) -> Reason:
    """Return whether a value is wrong or missing; a line without words, which is not plain, is wrong."""
    line, words, _ = key.partition("/~w")
    there = call.has(unescape(line[1:]) if words and line.count("/") == 1 else line)
    return Reason.CONSTRAINT if there else Reason.MISSING_ARGUMENT


def _names(clause: Clause, call: Call) -> list[tuple[Reason, str, str]]:
    values = call.fact(clause.fact, clause.key)
    prefix = f"{describe_place(clause.key)}/" if clause.key else ""
    if values is None:
        reason = Reason.CONSTRAINT if call.has(clause.key) else Reason.MISSING_ARGUMENT
        return [(reason, describe_place(clause.key), "an object")]
    present = values[0]
    problems: list[tuple[Reason, str, str]] = []
    assert isinstance(present, frozenset)
    for test in clause.tests:
        if test.op == "in" and isinstance(test.operand, frozenset):
            extra = sorted(str(name) for name in present - test.operand)[:MAX_PLACES]
            shown = [unknown_place(prefix[:-1], name) if prefix else safe_word(name) for name in extra]
            problems += [(Reason.UNNAMED_ARGUMENT, place, "") for place in dict.fromkeys(shown)]
        elif test.op == "has" and test.operand not in present:
            problems.append((Reason.MISSING_ARGUMENT, f"{prefix}{safe_word(str(test.operand))}", "anything"))
        elif test.op == "lacks" and test.operand in present:
            problems.append((Reason.UNNAMED_ARGUMENT, f"{prefix}{safe_word(str(test.operand))}", "omitted"))
    return problems
