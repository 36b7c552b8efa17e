"""What is compiled says what its clause says: all that admission lets through, on every kind of value."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
from biscuit_auth import BlockBuilder

from hessra_agents import Call
from hessra_agents.clauses import TESTS, Branch, Clause, Test
from hessra_agents.decide.compiled import compiled, matches
from hessra_agents.facts import SIGNATURES

from .world import MAIL, World

OPERANDS: list[Any] = [
    "a", "ab", "/a/", "https://a.example", 0, 1, 2, -1, frozenset(), frozenset({"a"}), frozenset({"a", "ab"}),
    frozenset({1}), frozenset({0, 2}),
]  # fmt: skip
VALUES: list[Any] = [
    "a", "ab", "", "/a/b", "https://a.example/x", "a@b.example", 0, 1, 2**70, True, False, None, 1.5, [],
    ["a"], ["a", "ab"], [1], [0, 2], [1, "a"], {"a": 1},
]  # fmt: skip
CALLS = [Call.of("t", {"a": value}) for value in VALUES] + [
    Call.of("t", one) for one in ({}, {"ab": 1, "a": 2})
]


def clauses() -> list[Clause]:
    """All that is well formed, of these literals and tests."""
    found = []
    for fact, key in product(SIGNATURES, ("a", "", "/a/0")):
        literals = [*OPERANDS, True, False, bytes(32)]
        found += [Clause(fact, key, one) for one in literals if not isinstance(one, frozenset)]
        found.append(Clause(fact, key))
        for op, operand, index, each in product(TESTS, OPERANDS, (0, 1), (False, True)):
            found.append(Clause(fact, key, None, (Test(op, operand, index, each),)))
    return [one for one in found if one.well_formed()]


def test_every_clause_is_compiled_to_what_it_says() -> None:
    found = clauses()
    assert len(found) > 500
    assert {one.fact for one in found} == SIGNATURES.keys()
    wrong = [
        (one, call.text)
        for one in found
        for call in CALLS
        if matches(compiled([(Branch("tool:t", (one,)),)], "tool:t"), call) is not one.holds(call)
    ]
    assert wrong == []


@pytest.mark.anyio
async def test_a_check_on_each_name_that_somebody_else_wrote_narrows(world: World) -> None:
    """`must` never writes it; another library may, and admission reads it."""
    block = BlockBuilder(
        'check if resource("tool:send_email"), arg_names($n), $n.all($x -> $x.starts_with("z"))'
    )
    with world.refuses("constraint"):
        await world.call(world.issue().biscuit.append(block).to_base64(), arguments=MAIL)
