"""What a record is: canonical JSON, in whatever way it was written."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hessra_agents import Call, Denied, KeyPair, Reason, approved_by, limit
from hessra_agents.call.canonical import encode, parse
from hessra_agents.ledger import records
from hessra_agents.ledger.approval_requests import ApprovalRequest
from hessra_agents.ledger.model import DeniedCall, Outcome, new_operation_id
from tests.support.world import MAIL, World

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
NAMES = st.dictionaries(TEXT.filter(lambda name: name and name[0] != "/"), st.integers() | TEXT, max_size=4)


@given(NAMES, TEXT, TEXT)
def test_a_decision_is_canonical_whatever_its_names_and_texts_are(
    arguments: dict[str, Any], said: str, detail: str
) -> None:
    denied = Denied(Reason.CONSTRAINT, said, detail=detail)
    refusal = DeniedCall(denied, audience="mail", time=1, call=Call.of("pay", arguments), capability=None)
    body, _ = records.denial_record(refusal, new_operation_id(), keep_arguments=False)
    assert encode(parse(body)) == body


def test_names_are_sorted_by_utf_16_also_where_code_points_are_not() -> None:
    denied = Denied(Reason.CONSTRAINT)
    call = Call.of("pay", {"\ue000": 1, "\U0001f600": 2})
    refusal = DeniedCall(denied, audience="mail", time=1, call=call, capability=None)
    body, _ = records.denial_record(refusal, new_operation_id(), keep_arguments=False)
    assert body.index("\U0001f600".encode()) < body.index("\ue000".encode())


def test_a_key_has_one_spelling_in_every_record() -> None:
    """The one that every command takes: what a record says can be pasted behind --holder."""
    holder, boss = KeyPair.generate(), KeyPair.generate()
    world = World()
    held = world.issue(approved_by(boss.public), holder=holder.public)
    call = Call.of("send_email", MAIL)
    given: dict[str, Any] = {
        "proof": world.prove(held, holder),
        "approvals": held.approve(call, key=boss, now=world.now),
    }
    permit = world.guard.decide(held, call, **given)
    permitted = json.loads(records.permit_record(permit, new_operation_id(), keep_arguments=False)[0])
    refusal = DeniedCall(Denied(Reason.REVOKED), audience="mail", time=1, call=call, capability=held)
    refused = json.loads(records.denial_record(refusal, new_operation_id(), keep_arguments=False)[0])
    assert permitted["holder"] == refused["holder"] == str(holder.public)
    assert permitted["approved_by"] == [str(boss.public)]


def test_a_vote_says_who_voted_how_on_which_call() -> None:
    boss, world = KeyPair.generate(), World()
    capability = world.issue(approved_by(boss.public))
    request = ApprovalRequest.of(capability, Call.of("send_email", MAIL), now=world.now)
    vote = request.reject(boss, now=world.now, reason="not today")
    record = json.loads(records.vote_record(request, vote, new_operation_id(), 1))
    said = {name: record[name] for name in ("by", "approves", "reason", "subject", "object")}
    assert said == {
        "by": str(boss.public),
        "approves": False,
        "reason": "not today",
        "subject": "agent:desk",
        "object": "tool:send_email",
    }


def test_a_charge_says_which_limit_it_was() -> None:
    """So that what is left can be told without the token."""
    world = World()
    permit = world.guard.decide(world.issue(limit(calls=3)), Call.of("send_email", MAIL))
    body, _ = records.permit_record(permit, new_operation_id(), keep_arguments=False)
    (charge,) = json.loads(body)["charges"]
    said = tuple(charge[name] for name in ("limit", "at_most", "window", "places"))
    assert said == ("at most 3 calls", 3, 0, 0)
    assert encode(parse(body)) == body


@pytest.mark.parametrize("outcome", Outcome)
def test_an_outcome_is_canonical(outcome: Outcome) -> None:
    op = new_operation_id()
    body = records.outcome_record(op, 1_700_000_000, outcome)
    said: dict[str, Any] = {"kind": "outcome", "op": op.hex(), "at": 1_700_000_000, "outcome": str(outcome)}
    assert body == encode(said)
