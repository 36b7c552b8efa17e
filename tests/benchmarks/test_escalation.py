"""The published cases of delegation, on our side: `benchmarks.escalation` without the peer."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from benchmarks.escalation import cases, markdown, multiagent, ours, structure
from benchmarks.escalation.__main__ import OURS, run
from benchmarks.escalation.cases import ANY, SCENARIOS, STRUCTURE
from benchmarks.escalation.multiagent import TASKS, replayed
from benchmarks.escalation.playing import RAN, UNSAID, Tally, in_cents, played, used
from benchmarks.escalation.tables import misses, table
from benchmarks.kept import ESCALATION, newest

pytestmark = pytest.mark.anyio

EMAIL, DOLLARS, FILES = SCENARIOS

REASONS = {
    "proved by the parent": "not_holder",
    "proved by a stranger": "not_holder",
    "a byte flipped": "bad_signature",
    "expired": "expired",
    "another root is trusted": "bad_signature",
    "made by the child itself": "bad_signature",
    "the order reversed": "bad_signature",
    "handed on, though it is the last": UNSAID,
    "a proof of 300 s ago": "expired",
    "a proof for another tool": "wrong_call",
    "a proof for other arguments": "wrong_call",
    "wider than its parent": "constraint",
    "spliced from another chain": "bad_signature",
    "the child twice": "bad_signature",
    "the parent twice": "bad_signature",
    "the middle left out": "bad_signature",
    "the child alone": "bad_signature",
}


async def test_a_child_is_refused_what_only_its_parent_may_and_does_its_own_work() -> None:
    found = [await played(one, ours.Crew) for one in (EMAIL, in_cents(DOLLARS), FILES)]
    assert sum((one.attacks for one in found), Tally(0, 0, 0)) == Tally(36, 0, 36)
    assert sum((one.honest for one in found), Tally(0, 0, 0)) == Tally(14, 0, 14)


async def test_amounts_that_are_no_whole_numbers_are_out_of_reach_of_every_bound() -> None:
    found = await played(DOLLARS, ours.Crew)
    assert (found.attacks, found.honest) == (Tally(6, 1, 7), Tally(5, 1, 6))
    assert [one.arguments["amount"] for one in found.unsaid if isinstance(one, cases.Ask)] == [50.01, 49.99]


async def test_a_child_with_all_that_its_parent_has_shows_that_the_attacks_are_real() -> None:
    for scenario in (EMAIL, in_cents(DOLLARS), FILES):
        found = await played(replace(scenario, child=scenario.parent), ours.Crew)
        assert (found.attacks.right, found.attacks.unsaid) == (0, 0)
        assert found.honest.right == found.honest.of


async def test_a_chain_is_used_by_its_holder_as_it_was_signed_or_not_at_all() -> None:
    outcomes = await structure.outcomes()
    assert {use.what: outcome for use, outcome in outcomes.items() if not use.honest} == REASONS
    found = [used(group, outcomes) for group in ("holder", "integrity", "chain")]
    assert [one.attacks for one in found] == [Tally(2, 0, 2), Tally(8, 1, 9), Tally(6, 0, 6)]
    assert [one.honest for one in found] == [Tally(1, 0, 1)] * 3


async def test_a_token_that_is_put_together_as_it_was_is_used() -> None:
    """The control: it is not by being taken apart that the others are refused."""
    chain = structure.Chain({"read_file": {"path": ANY}})
    assert await chain.forged(structure.READ, chain.build(*chain.blocks)) == RAN


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
async def test_an_injection_wins_unless_the_authority_is_that_of_the_task(task: multiagent.Task) -> None:
    found = [await replayed(task, authority, ours.Crew) for authority in multiagent.AUTHORITIES]
    assert [one.won for one in found] == [True, True, False]
    assert [one.done for one in found] == [True, True, True]
    assert [one.refused for one in found] == [0, 0, len(task.attacks)]


async def test_a_call_that_got_through_is_reported() -> None:
    found: Any = json.loads(json.dumps(await run(OURS)))
    assert misses(found) == []
    found["delegated"][0]["attacks"]["right"] -= 1
    found["agents"][-1]["won"] = True
    assert misses(found) == ["email: attacks 12 / 13", "api_monitoring: the attack won"]


def test_the_cases_are_as_many_as_were_published() -> None:
    assert [len(one.attacks) + len(one.honest) for one in SCENARIOS] == [17, 13, 20]
    assert [sum(use.honest is honest for use in STRUCTURE) for honest in (False, True)] == [17, 3]
    assert len(TASKS) == 8
    assert all(ANY in each.values() for one in SCENARIOS for each in one.parent.values())


def test_the_kept_results_are_ours_beside_theirs() -> None:
    found = newest(ESCALATION)
    assert {*found["sides"]} == {"ours", "theirs"}
    assert misses(found["sides"]["ours"]) == []
    assert "| **all, amounts in cents** | 52 / 53 (1 not expressible) |" in table(found)


def test_the_text_tells_whose_the_cases_are_and_what_cannot_be_said() -> None:
    found = newest(ESCALATION)
    text = markdown.text(found)
    assert found["source"] in text
    assert "50 calls" in text
    assert "8 tasks" in text
    assert "50.01 and 49.99" in text
    assert table(found).split("\n\n")[0] in text
    assert all(cve in text for cve in found["weaknesses"]["cves"])
