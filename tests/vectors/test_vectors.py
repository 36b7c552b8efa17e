"""The frozen vectors come out as they were frozen: what is on the wire has not changed.

If one of these fails, tokens and statements that are out in the world would be read differently.
``tests/vectors/README.md`` says what the files hold; ``tests/interop`` runs them through another
implementation.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial

import pytest

from hessra_agents import Capability, Denied, Reason
from hessra_agents.call.canonical import parse
from hessra_agents.call.facts import SIGNATURES
from hessra_agents.tokens.engine import authorize
from hessra_agents.tokens.statements import Approval, Proof
from tests.support import forge
from tests.vectors import capabilities, run, sessions
from tests.vectors.material import KEYS, member
from tests.vectors.run import Row

CALLS, FACTS, CAPABILITIES = run.load("calls"), run.load("facts"), run.load("capabilities")
TOKENS = {name: run.load(name) for name in ("capabilities", "identities", "contexts")}
HANDLE = re.compile(rb"[0-9a-f]{32}")
ASKED = [(kind, case["name"]) for kind, file in TOKENS.items() for case in file["cases"]]


def named(file: Row) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("name", [case["name"] for case in file["cases"]])


def the_case(file: Row, name: str) -> Row:
    return next(case for case in file["cases"] if case["name"] == name)


@named(CALLS)
def test_canonical_text_and_digest_of_a_call(name: str) -> None:
    case = the_case(CALLS, name)
    assert run.canonical(case) == {
        key: case[key] for key in ("verdict", "canonical", "digest") if key in case
    }


@named(FACTS)
def test_every_fact_that_is_stated_for_a_place(name: str) -> None:
    case = the_case(FACTS, name)
    arguments = parse(case["arguments"])
    assert isinstance(arguments, dict)
    assert run.facts_at(arguments, case["key"]) == case["facts"]


def test_every_predicate_is_stated_in_some_vector_and_absent_in_another() -> None:
    assert {name: list(types) for name, types in SIGNATURES.items()} == FACTS["predicates"]
    for predicate in SIGNATURES:
        assert {predicate in case["facts"] for case in FACTS["cases"]} == {True, False}, predicate


@pytest.mark.parametrize(("kind", "name"), ASKED)
def test_the_decision(kind: str, name: str) -> None:
    case = the_case(TOKENS[kind], name)
    assert run.verdict(TOKENS[kind], case) == case["verdict"]


@pytest.mark.parametrize(("kind", "name"), ASKED)
def test_the_engine_told_the_same_text(kind: str, name: str) -> None:
    case = the_case(TOKENS[kind], name)
    assert run.authorizer(TOKENS[kind], case) == case["authorizer"]
    assert run.engine(TOKENS[kind], case) == case["engine"]


@named(CAPABILITIES)
def test_the_engine_told_only_what_a_guard_tells_it(name: str) -> None:
    """The text of a vector states every fact about the call, a guard only those that the token asks for."""
    case = the_case(CAPABILITIES, name)
    token = CAPABILITIES["tokens"][case["token"]]
    call = run.call_of(case)
    assert call.digest.hex() == case["digest"]
    try:
        capability = Capability.parse(token["token"], run.trust_of(CAPABILITIES, token))
    except Denied:
        return  # no engine is asked
    told = partial(
        authorize,
        capability.biscuit,
        call,
        now=case["moment"] if "moment" in case else case["now"],
        audience=case["audience"],
        designations=[*case.get("designations", {}).items(), *run.earned(case)],
        patterns=[pattern for block in capability.blocks for pattern in block.patterns],
        limits=[(one["handle"], one["kind"], one["most"]) for one in case.get("limits", [])],
        results=run.session_of(case["session"]).result_lookup() if "session" in case else None,
        clear=[one["pattern"] for one in case["told"]["clear"] if one["holds"]] if "told" in case else [],
    )
    if case["engine"] == "allow":
        told()
    else:
        with pytest.raises(Denied, match="unavailable"):
            told()


@pytest.mark.parametrize("kind", TOKENS)
def test_datalog_allows_what_is_permitted_and_every_other_difference_is_explained(kind: str) -> None:
    for case in TOKENS[kind]["cases"]:
        permitted, allowed = case["verdict"] == "permitted", case["engine"] == "allow"
        assert allowed or not permitted, case["name"]
        assert ("differs" in case) == (allowed and not permitted), case["name"]


@pytest.mark.parametrize("kind", TOKENS)
def test_block_ids_and_versions_are_those_of_the_bytes(kind: str) -> None:
    for token in TOKENS[kind]["tokens"].values():
        if "ids" in token:
            found = run.shape(token["token"], p256_root=token["root"] == "p256 root")
            assert found == {"ids": token["ids"], "datalog": token["datalog"]}, token["about"]


def test_tokens_say_what_they_said_when_they_are_made_again() -> None:
    """Every block has the same bytes, but for handles; keys and signatures are new each time."""
    files = (capabilities.freeze(again=True), *sessions.freeze(again=True))
    for kind, file in zip(TOKENS, files, strict=True):
        assert file.made.keys() == TOKENS[kind]["tokens"].keys()
        for name, made in file.made.items():
            frozen = TOKENS[kind]["tokens"][name]
            if "ids" in frozen:
                assert contents(made) == contents(frozen["token"]), f"{kind}: {name}"


def contents(token: str) -> list[bytes]:
    signed, _ = forge.blocks(token)
    return [HANDLE.sub(b"handle", member(block, 1)) for block in signed]


def test_an_argument_needs_no_datalog_but_3_0_except_for_tests_on_every_element() -> None:
    tokens = CAPABILITIES["tokens"]
    permitted = [case for case in CAPABILITIES["cases"] if case["verdict"] == "permitted"]
    closures = {case["token"] for case in permitted if "3.3" in tokens[case["token"]]["datalog"]}
    assert closures == {"each email", "each text", "each integer", "each path", "each url"} | {
        "command with further words",
        "command with any words",
    }


def test_statements_are_read_and_written_as_they_were() -> None:
    for row in statements():
        if "audience" in row:
            proof = Proof.parse(row["text"])
            again = {name: row[name] for name in ("key", "ids", "handle", "audience")}
            assert run.proof_row(proof, **again) | {"holds": row["holds"]} == row
        else:
            approval = Approval.parse(row["text"])
            again = {name: row[name] for name in ("key", "ids")}
            assert run.approval_row(approval, **again) | {"holds": row["holds"]} == row


def test_statements_are_signed_as_they_were() -> None:
    """Ed25519 signs the same message the same way every time."""
    for row in statements():
        assert KEYS[row["key"]].sign(bytes.fromhex(row["message"])).hex() == row["signature"]


def statements() -> Iterator[Row]:
    for case in CAPABILITIES["cases"]:
        for row in ([case["proof"]] if "proof" in case else []) + case.get("approvals", []):
            if "signature" in row:
                yield row


def test_every_reason_that_a_decision_gives_occurs() -> None:
    given = {case["verdict"] for file in TOKENS.values() for case in file["cases"]} - {"permitted"}
    needs_memory = {Reason.REPLAYED, Reason.REVOKED, Reason.STALE, Reason.SPENT}
    assert {*Reason} - {Reason(one) for one in given} == {
        Reason.NO_CAPABILITY,
        Reason.UNAVAILABLE,
        *needs_memory,
    }
