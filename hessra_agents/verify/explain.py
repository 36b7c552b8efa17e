"""Explain why a pattern does not match: every argument that fails, with what would have been allowed."""

from __future__ import annotations

from ..call.call import Call
from ..errors import Problem, Reason
from ..grants.clauses import Branch, Clause, Pattern, Results, Source, by_argument
from ..grants.describe import describe_clauses, describe_place, safe_word

__all__ = ["ORDER", "explain"]

ORDER = (Reason.NOT_GRANTED, Reason.UNNAMED_ARGUMENT, Reason.MISSING_ARGUMENT, Reason.CONSTRAINT)
"""The reason that a refusal gives when arguments fail for several: the first in this order."""

_MOST_NAMES = 32


def explain(pattern: Pattern, call: Call, *, block: int, results: Results | None = None) -> list[Problem]:
    """Return the problems of the branches that come nearest to the call; none if a branch matches."""
    candidates = [branch for branch in pattern if branch.resource == call.resource]
    if not candidates:
        return [Problem(Reason.NOT_GRANTED, block=block)]
    failing = [(branch, branch.failing(call, results)) for branch in candidates]
    if not all(clauses for _, clauses in failing):
        return []
    tried = [_problems(branch, clauses, call, results) for branch, clauses in failing]
    least = min(map(len, tried))
    by_place: dict[str, tuple[Reason, list[str]]] = {}
    for reason, place, allowed in (p for problems in tried if len(problems) == least for p in problems):
        known, words = by_place.setdefault(place, (reason, []))
        if allowed and allowed not in words:
            words.append(allowed)
        if ORDER.index(reason) > ORDER.index(known):
            by_place[place] = (reason, words)
    # a place inside a value that fails as a whole adds nothing
    inside = tuple([f"{place}/" for place in by_place])
    outer = [(place, *found) for place, found in by_place.items() if not place.startswith(inside)]
    problems = [Problem(reason, place, " or ".join(words), block) for place, reason, words in outer]
    # a pattern that fails always has a problem
    return problems or [Problem(Reason.CONSTRAINT, block=block)]


def _problems(
    branch: Branch, failing: tuple[Clause, ...], call: Call, results: Results | None
) -> list[tuple[Reason, str, str]]:
    problems = [p for c in failing if c.fact in ("arg_names", "arg_fields") for p in _names(c, call)]
    by_place = by_argument(branch.clauses)
    for key in by_argument(failing):
        reason = Reason.CONSTRAINT if call.has(key) else Reason.MISSING_ARGUMENT
        origins = [c.equal for c in failing if c.key == key and isinstance(c.equal, Source)]
        stored = all(results and results(b"", origin) for origin in origins)
        allowed = describe_clauses(by_place[key]) + ("" if stored else ", but no such result is stored")
        problems.append((reason, describe_place(key), allowed))
    return problems


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
            extra = sorted(str(name) for name in present - test.operand)[:_MOST_NAMES]
            problems += [(Reason.UNNAMED_ARGUMENT, prefix + safe_word(name), "") for name in extra]
        elif test.op == "has" and test.operand not in present:
            problems.append((Reason.MISSING_ARGUMENT, f"{prefix}{safe_word(str(test.operand))}", "anything"))
        elif test.op == "lacks" and test.operand in present:
            problems.append((Reason.UNNAMED_ARGUMENT, f"{prefix}{safe_word(str(test.operand))}", "omitted"))
    return problems
