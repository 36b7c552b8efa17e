"""Turn what one value must be into what each of many values must be, and back.

A fact about a list states what all its elements are: a set of them, or the least and the greatest. So a test
of every element needs no loop in the token, and one of the facts about a single value has no other meaning.
"""

from __future__ import annotations

from dataclasses import replace

from ...call.canonical import encode
from ...call.facts import OF_MANY
from ..clauses import Clause, Source, Test

__all__ = ["of_each", "of_one"]

_SETS = {
    "arg_str": "arg_strs",
    "arg_int": "arg_ints",
    "arg_scalar": "arg_scalars",
    "arg_path": "arg_paths",
    "arg_url": "arg_urls",
    "arg_email": "arg_emails",
    "arg_operand": "arg_operands",
    "arg_parent": "arg_parents",
    "arg_relpath": "arg_relpaths",
    "arg_ip_url": "arg_ip_urls",
    "arg_matches": "arg_each_matches",
    "result_of": "results_of",
}
_MEASURES = ("len", "size", "number", "fixed", "date", "instant")
_RANGES = {"arg_int": "arg_range"} | {f"arg_{name}": f"arg_{name}_range" for name in _MEASURES}
_SINGLE = {many: one for one, many in (*_SETS.items(), *_RANGES.items())} | {
    "arg_fields": "arg_fields",
    "arg_lens": "arg_len",
}
_BOUNDS = ("at_least", "at_most")


def of_each(clause: Clause) -> tuple[Clause, ...]:
    """Return the clauses that require of every value at the key what this clause requires of one.

    Raises:
        ValueError: no fact of many values says that.
    """
    if clause.fact in OF_MANY:
        return (clause,)
    if clause.fact in ("arg_bool", "arg_null"):
        value = encode(None if clause.fact == "arg_null" else clause.equal is True).decode()
        clause = replace(clause, fact="arg_scalar", equal=value)
    sets, ranges = _SETS.get(clause.fact, ""), _RANGES.get(clause.fact, "")
    if isinstance(clause.equal, Source):
        return (replace(clause, fact=sets),)
    tests = clause.tests
    if any(test.op in ("not_in", "has") for test in tests):
        raise ValueError("of every element of a list, one can say what it is, not what it is not or contains")
    if clause.equal is not None:
        same: object = clause.equal if ranges and not sets else frozenset({clause.equal})
        ops = _BOUNDS if ranges and not sets else ("in",)
        tests = tuple([Test(op, same) for op in ops])  # type: ignore[arg-type]
    bounds = [test for test in tests if ranges and test.op in _BOUNDS]
    others = [test for test in tests if test not in bounds]
    if not sets and (others or not ranges):
        raise ValueError(
            "every element of a list can be a string, a number, a boolean, null, a path, a URL, an email"
            " address, an object or a list without unique=True; not a command or an exact object or list"
        )
    found = []
    if bounds or not sets:
        ends = [replace(test, index=2 * test.index + _BOUNDS.index(test.op)) for test in bounds]
        found.append(Clause(ranges, clause.key, None, tuple(ends), clause.parameter))
    if others or (sets and not bounds):
        each = [test if test.op == "in" else replace(test, each=True) for test in others]
        found.append(Clause(sets, clause.key, None, tuple(each), clause.parameter))
    return tuple(found)


def of_one(clause: Clause, key: str) -> Clause | None:
    """Return what a clause about many values requires of the one at this key; None if it cannot be said."""
    fact, ranges = _SINGLE.get(clause.fact), clause.fact in _RANGES.values()
    if fact is None:
        return None
    tests = []
    for test in clause.tests:
        if ranges and (test.op not in _BOUNDS or test.index % 2 != _BOUNDS.index(test.op)):
            return None
        if test.op == "has" or (test.op == "lacks" and fact != "arg_fields"):
            return None
        each = test.each and fact == "arg_fields"  # which is a set of names, of one object as well
        tests.append(replace(test, index=test.index // 2 if ranges else test.index, each=each))
    return replace(clause, fact=fact, key=key, tests=tuple(tests))
