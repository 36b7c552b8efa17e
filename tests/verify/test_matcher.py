"""What is compiled says what its clause says: all that admission lets through, on every kind of value."""

from __future__ import annotations

import pytest
from biscuit_auth import BlockBuilder

from hessra_agents import Call
from hessra_agents.call.facts import SIGNATURES
from hessra_agents.grants.clauses import Branch
from hessra_agents.verify.matcher import compiled, matches
from tests.support.clauses import VALUES, clauses
from tests.support.world import MAIL, World

CALLS = [Call.of("t", {"a": value}) for value in VALUES] + [
    Call.of("t", one) for one in ({}, {"ab": 1, "a": 2})
]


def test_every_clause_is_compiled_to_what_it_says() -> None:
    found = clauses()
    assert len(found) > 500
    assert {one.fact for one in found} == SIGNATURES.keys()
    wrong = [
        (one, call.canonical_json)
        for one in found
        for call in CALLS
        if matches(compiled([(Branch("tool:t", (one,)),)]), call) is not one.holds(call)
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
