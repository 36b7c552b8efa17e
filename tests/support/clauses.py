"""Every kind of clause that admission lets through, over a few literals, and values to ask them about."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any

from hessra_agents.call.facts import SIGNATURES
from hessra_agents.grants.clauses import TESTS, Clause, Test

OPERANDS: list[Any] = [
    "a", "ab", "/a/", "https://a.example", 0, 1, 2, -1, frozenset(), frozenset({"a"}), frozenset({"a", "ab"}),
    frozenset({1}), frozenset({0, 2}),
]  # fmt: skip
VALUES: list[Any] = [
    "a", "ab", "", "/a/b", "https://a.example/x", "a@b.example", 0, 1, 2**70, True, False, None, 1.5, [],
    ["a"], ["a", "ab"], [1], [0, 2], [1, "a"], {"a": 1}, 1.25, -0.01, 2e-9, 1e300,
    "1970-01-02", "1970-01-01T00:00:01Z", "1970-01-01T00:00:01.5Z",
    {"a": {}, "ab": ["a"]}, [{"a": 1}, {}], [{"a": "a"}, {"a": ["a"]}], [["a"]],
]  # fmt: skip
PARAMETERS = (None, 0, 2, "a", "[a-z]{1,3}")


KEYS = ("a", "", "/a/0", "/a/~*", "/a/~v", "/a/~*/a~?", "/a/~w/0")


def clauses() -> list[Clause]:
    """All that is well formed, of these literals and tests: on the argument `a`, and on places in it."""
    found = []
    for fact, key in product(SIGNATURES, KEYS):
        literals = [*OPERANDS, True, False, bytes(32)]
        found += [Clause(fact, key, one) for one in literals if not isinstance(one, frozenset)]
        found.append(Clause(fact, key))
        for op, operand, index, each in product(TESTS, OPERANDS, (0, 1), (False, True)):
            found.append(Clause(fact, key, None, (Test(op, operand, index, each),)))
    asked = [replace(one, parameter=parameter) for one in found for parameter in PARAMETERS]
    return [one for one in asked if one.well_formed()]
