"""What a record is: canonical JSON, in whatever way it was written."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hessra_agents import Call, Denied, Reason
from hessra_agents.call.canonical import encode, parse
from hessra_agents.ledger import records
from hessra_agents.ledger.model import DeniedCall, Outcome, new_operation_id

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


@pytest.mark.parametrize("outcome", Outcome)
def test_an_outcome_is_canonical(outcome: Outcome) -> None:
    op = new_operation_id()
    body = records.outcome_record(op, 1_700_000_000, outcome)
    said: dict[str, Any] = {"kind": "outcome", "op": op.hex(), "at": 1_700_000_000, "outcome": str(outcome)}
    assert body == encode(said)
