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
from hessra_agents.call.facts import OF_MANY, SIGNATURES
from hessra_agents.tokens.engine import authorize
from hessra_agents.tokens.statements import Approval, Proof
from tests.support import forge
from tests.vectors import asked, capabilities, run, sessions
from tests.vectors.material import KEYS, member
from tests.vectors.run import Row

CALLS, FACTS, CAPABILITIES = run.load("calls"), run.load("facts"), run.load("capabilities")
SECOND, ASKED_FACTS = run.load("capabilities-2"), run.load("facts-2")
TOKENS = {name: run.load(name) for name in ("capabilities", "capabilities-2", "identities", "contexts")}
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


@named(ASKED_FACTS)
def test_a_fact_that_is_stated_where_a_token_asks_for_it(name: str) -> None:
    case = the_case(ASKED_FACTS, name)
    assert asked.fact_of(case) == case["values"]


def test_every_predicate_is_stated_in_some_vector_and_absent_in_another() -> None:
    stated = FACTS["predicates"] | ASKED_FACTS["predicates"]
    assert stated == {name: list(types) for name, types in SIGNATURES.items()}
    for predicate in FACTS["predicates"]:
        assert {predicate in case["facts"] for case in FACTS["cases"]} == {True, False}, predicate
    for predicate in ASKED_FACTS["predicates"].keys() - FACTS["predicates"]:
        of_it = [case["values"] is None for case in ASKED_FACTS["cases"] if case["predicate"] == predicate]
        assert True in of_it or predicate in OF_MANY, predicate
        assert False in of_it, predicate


@pytest.mark.parametrize(("kind", "name"), ASKED)
def test_the_decision(kind: str, name: str) -> None:
    case = the_case(TOKENS[kind], name)
    assert run.verdict(TOKENS[kind], case) == case["verdict"]


@pytest.mark.parametrize(("kind", "name"), ASKED)
def test_the_engine_told_the_same_text(kind: str, name: str) -> None:
    case = the_case(TOKENS[kind], name)
    assert run.authorizer(TOKENS[kind], case) == case["authorizer"]
    assert run.engine(TOKENS[kind], case) == case["engine"]


@pytest.mark.parametrize(("kind", "name"), [one for one in ASKED if one[0].startswith("capabilities")])
def test_the_engine_told_only_what_a_guard_tells_it(kind: str, name: str) -> None:
    """The text of a vector states every fact about the call, a guard only those that the token asks for."""
    file = TOKENS[kind]
    case = the_case(file, name)
    token = file["tokens"][case["token"]]
    call = run.call_of(case)
    assert call.digest.hex() == case["digest"]
    try:
        capability = Capability.parse(token["token"], run.trust_of(file, token))
    except Denied:
        return  # no engine is asked
    told = partial(
        authorize,
        capability.biscuit,
        call,
        now=case["moment"] if "moment" in case else case["now"],
        audience=case["audience"],
        designations=[*case.get("designations", {}).items(), *run.earned(case)],
        patterns=capability.asked(call.resource),
        limits=[
            (
                "budget" if "budget" in one else "limit",
                one.get("budget") or one["handle"],
                one["kind"],
                one["most"],
            )
            for one in case.get("limits", [])
        ],
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


@pytest.fixture(scope="module")
def made_again() -> dict[str, dict[str, str]]:
    """The tokens of each file as they are made today; keys and signatures are new each time."""
    first, second = capabilities.freeze(again=True)
    files = (first, second, *sessions.freeze(again=True))
    made = {kind: file.made for kind, file in zip(TOKENS, files, strict=True)}
    assert all(made[kind].keys() == file["tokens"].keys() for kind, file in TOKENS.items())
    return made


@pytest.mark.parametrize("kind", [kind for kind in TOKENS if kind != "capabilities"])
def test_tokens_say_what_they_said_when_they_are_made_again(
    made_again: dict[str, dict[str, str]], kind: str
) -> None:
    """Every block has the same bytes, but for handles."""
    for name, frozen in TOKENS[kind]["tokens"].items():
        if "ids" in frozen:
            assert contents(made_again[kind][name]) == contents(frozen["token"]), name


def test_what_was_written_otherwise_once_means_the_same_today(made_again: dict[str, dict[str, str]]) -> None:
    """Every case of the first vectors that names no block: of today's tokens the same is decided."""
    tokens = {
        name: frozen | {"token": made, **({"ids": run.shape(made)["ids"]} if "ids" in frozen else {})}
        for name, frozen in CAPABILITIES["tokens"].items()
        for made in [made_again["capabilities"][name]]
        if frozen["root"] != "p256 root"
    }
    asked = [
        case
        for case in CAPABILITIES["cases"]
        if case["token"] in tokens and not {"proof", "approvals", "limits"} & case.keys()
    ]
    assert len(asked) > 500
    for case in asked:
        assert run.verdict(CAPABILITIES | {"tokens": tokens}, case) == case["verdict"], case["name"]


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
    for case in (*CAPABILITIES["cases"], *SECOND["cases"]):
        for row in ([case["proof"]] if "proof" in case else []) + case.get("approvals", []):
            if "signature" in row:
                yield row


def test_every_reason_that_a_decision_gives_occurs() -> None:
    given = {case["verdict"] for file in TOKENS.values() for case in file["cases"]} - {"permitted"}
    needs_memory = {Reason.REPLAYED, Reason.REVOKED, Reason.STALE, Reason.SPENT}
    assert {*Reason} - {Reason(one) for one in given} == {
        Reason.NO_CAPABILITY,
        *needs_memory,
    }
