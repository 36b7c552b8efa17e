"""Laws, as properties over random capabilities, random narrowings and random calls.

`HESSRA_SOAK=1` runs twenty times as many cases or more (`make soak`).
"""

from __future__ import annotations

import json
import os
import string
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any

from hypothesis import given, reject, settings
from hypothesis import strategies as st

from hessra_agents import (
    Approval,
    Call,
    Capability,
    Denied,
    Grant,
    KeyPair,
    Reason,
    Trust,
    approved_by,
    grant,
    limit,
    must,
)
from hessra_agents.call.call import digest
from hessra_agents.call.canonical import MalformedError
from hessra_agents.call.facts import PARAMETERS, SIGNATURES
from hessra_agents.grants.conditions import Condition
from hessra_agents.grants.vocabulary.constraints import Constraint
from hessra_agents.tokens.engine import authorize
from hessra_agents.tokens.issue import issue
from hessra_agents.verify.permit import Permit
from hessra_agents.verify.verifier import Possession, verify

ROOT = KeyPair.generate()
KEYS = [KeyPair.generate() for _ in range(3)]
APPROVERS = [*KEYS[:1], *(KeyPair.generate() for _ in range(2))]
"""One of them is handed capabilities, too."""
TRUST = Trust({1: ROOT.public})
NOW = 1_800_000_000
CALLS_A_CHAIN = 25
CASES = 100_000 if os.environ.get("HESSRA_SOAK") else 5_000

TOOLS = ("send", "pay")
NAMES = ("a", "b", "c")
TEXTS = (
    "",
    "x",
    "xy",
    "yx",
    "/d",
    "/d/e",
    "/d2",
    "a@x.de",
    "b@x.de",
    "a@y.de",
    "https://h.de/p",
    "https://h.de/q/",
)
scalars = st.one_of(
    st.sampled_from(TEXTS), st.integers(-2, 3), st.booleans(), st.none(), st.sampled_from([0.5, 2**63, 1e300])
)
values: st.SearchStrategy[Any] = st.one_of(
    scalars,
    st.lists(st.sampled_from(TEXTS), max_size=3),
    st.lists(st.integers(-1, 2), max_size=3),
    st.lists(scalars, max_size=2),
    st.dictionaries(st.sampled_from(["f", "g", "a/b"]), scalars, max_size=2),
    st.just(["/bin/ls", "x"]),
    st.just(["/bin/ls", "-x", "x"]),
)
plain_constraints = st.one_of(
    values.map(must.exact),
    st.lists(scalars, min_size=1, max_size=3).map(lambda v: must.one_of(*v)),
    st.just(must.anything()),
    st.sampled_from(["x", "/d", "a"]).map(must.starts_with),
    st.sampled_from(["x", "e", ".de"]).map(must.ends_with),
    st.sampled_from(["/", "/d", "/d/e"]).map(must.under),
    st.tuples(st.integers(-2, 1), st.integers(1, 3)).map(lambda v: must.between(*v)),
    st.integers(-1, 2).map(must.at_least),
    st.integers(-1, 2).map(must.at_most),
    st.integers(0, 3).map(must.max_length),
    st.sampled_from([("x.de",), ("a@x.de",), ("a@x.de", "y.de")]).map(lambda v: must.email(*v)),
    st.sampled_from(["/", "/p"]).map(lambda path: must.url("h.de", under=path)),
    st.booleans().map(lambda empty: must.subset_of("x", "xy", "/d", empty=empty)),
    st.booleans().map(lambda empty: must.each(must.between(0, 1), empty=empty)),
    st.sampled_from([must.starts_with("x"), must.under("/d"), must.email("x.de"), must.max_length(2)]).map(
        must.each
    ),
    st.sampled_from([must.command("/bin/ls", "x"), must.command("/bin/ls", rest=must.ends_with("x"))]),
)
constraints: st.SearchStrategy[Constraint] = st.one_of(
    plain_constraints,
    plain_constraints.map(must.optional),
    st.just(must.optional()),
    st.tuples(plain_constraints, plain_constraints).map(lambda both: both[0] & both[1]),
    st.dictionaries(st.sampled_from(["f", "g", "a/b"]), plain_constraints, max_size=2).map(must.fields),
)
grants: st.SearchStrategy[Grant] = st.builds(
    grant, st.sampled_from(TOOLS), st.dictionaries(st.sampled_from(NAMES), constraints, max_size=3)
)
loose: st.SearchStrategy[Grant] = st.builds(
    grant, st.sampled_from(TOOLS), st.just(dict.fromkeys(NAMES, must.optional()))
)
calls: st.SearchStrategy[Call] = st.builds(
    Call.of, st.sampled_from(TOOLS), st.dictionaries(st.sampled_from(NAMES), values, max_size=3)
)

scopes = st.none() | st.sampled_from([("send",), ("pay",), TOOLS])
windows = st.sampled_from([None, timedelta(seconds=1), timedelta(days=366)])
limits = st.one_of(
    st.builds(limit, calls=st.integers(1, 9), per=windows, tools=scopes, refund=st.booleans()),
    st.builds(
        limit,
        sum_of=st.sampled_from([*NAMES, "/a/f", "/b/a~1b", "/c/0"]),
        at_most=st.sampled_from([1, 2**53 - 1]),
        per=windows,
        tools=scopes,
    ),
)
approvals = st.integers(1, 3).flatmap(
    lambda n: st.builds(
        lambda need, of: approved_by(*(key.public for key in APPROVERS[:n]), need=need, tools=of),
        st.integers(1, n),
        scopes,
    )
)
conditions: st.SearchStrategy[list[Condition]] = st.lists(st.one_of(limits, limits, approvals), max_size=2)


@st.composite
def chains(draw: st.DrawFn, beside: bool = False) -> list[tuple[Capability, KeyPair | None]]:
    """A capability, and what its holders made of it: each with the key of its holder.

    ``beside`` the grants there may be limits and approvals in every block.
    """
    more = conditions if beside else st.just([])
    some = st.one_of(loose, grants) if beside else grants
    granted: list[Condition] = [*draw(st.lists(some, min_size=1, max_size=3)), *draw(more)]
    options: dict[str, Any] = {"ttl": timedelta(minutes=10), "audience": "here", "now": NOW}
    try:
        first = issue("agent:desk", granted, key=ROOT, key_id=1, **options)
    except ValueError:
        reject()  # more than a guard reads: choices multiply
    chain: list[tuple[Capability, KeyPair | None]] = [(first, None)]
    for _ in range(draw(st.integers(1, 3))):
        above, key = chain[-1]
        narrower = [*draw(st.lists(some, max_size=2)), *draw(more)]
        ttl = draw(st.sampled_from([None, timedelta(minutes=1), timedelta(days=1)]))
        to = draw(st.none() | st.sampled_from(KEYS))
        try:
            if to is not None:
                chain.append((above.delegate(*narrower, to=to.public, key=key, ttl=ttl, now=NOW), to))
            elif narrower or ttl:
                chain.append((above.attenuate(*narrower, ttl=ttl, now=NOW), key))
        except ValueError:
            reject()
    return chain


def permitted(
    capability: Capability,
    key: KeyPair | None,
    call: Call,
    now: int = NOW,
    voters: Sequence[KeyPair] = (),
) -> Permit:
    """The permit of a call that these keys approve, where the capability asks them."""
    possession = None if key is None else Possession.show(capability, key)
    votes = approved(capability, call, voters)
    return verify(capability, call, now=now, audience="here", proof=possession, approvals=votes)


def approved(capability: Capability, call: Call, voters: Sequence[KeyPair]) -> list[Approval]:
    """The approvals of these keys, of those that are asked."""
    found: list[Approval] = []
    for voter in voters:
        with suppress(ValueError):
            found += capability.approve(call, key=voter, now=NOW)
    return found


def decide(
    capability: Capability,
    key: KeyPair | None,
    call: Call,
    now: int = NOW,
    voters: Sequence[KeyPair] = (),
) -> Reason | None:
    """The reason of a refusal, or None: permitted."""
    try:
        permitted(capability, key, call, now, voters)
    except Denied as denied:
        return denied.reason
    return None


@settings(max_examples=CASES // CALLS_A_CHAIN)
@given(
    chains(),
    st.lists(calls, min_size=CALLS_A_CHAIN, max_size=CALLS_A_CHAIN),
    st.sampled_from([0, 59, 60, 599, 600]),
)
def test_what_a_child_allows_its_parent_allows(
    chain: list[tuple[Capability, KeyPair | None]], tried: list[Call], later: int
) -> None:
    """Only narrower: no block that a holder adds lets a call pass that the token above it refused."""
    for call in tried:
        verdicts = [decide(capability, key, call, NOW + later) for capability, key in chain]
        assert Reason.UNAVAILABLE not in verdicts, "our decision permits and the engine refuses"
        refused = False
        for verdict in verdicts:
            assert not (refused and verdict is None)
            refused = refused or verdict is not None


@given(chains(), st.lists(calls, min_size=CALLS_A_CHAIN, max_size=CALLS_A_CHAIN))
def test_our_decision_and_the_datalog_engine_agree(
    chain: list[tuple[Capability, KeyPair | None]], tried: list[Call]
) -> None:
    """The decision on decoded data is the engine's, call by call, in both directions."""
    capability, key = chain[-1]
    for call in tried:
        ours = decide(capability, key, call) is None
        assert ours == engine(capability, call), (capability.describe(), call)


def engine(capability: Capability, call: Call, voters: Sequence[KeyPair] = ()) -> bool:
    """What the Datalog engine says, told of the limits that can be counted and the approvals that hold."""
    asked = [one for block in capability.blocks for check in block.attested for one in check]
    involved = {one.key for one in asked if one.label == "holder"} | {b.signer for b in capability.blocks}
    votes = [v for v in approved(capability, call, voters) if v.key.data not in involved]
    earned = [("approved", vote.handle) for vote in votes]
    counted = [one for block in capability.blocks for one in block.limits if countable(one[1].argument, call)]
    holder = capability.holder
    try:
        authorize(
            capability.biscuit,
            call,
            now=NOW,
            audience="here",
            designations=[*([("holder", holder.handle)] if holder else []), *earned],
            patterns=capability.asked(call.resource),
            limits=[(one.predicate, handle, one.spelling, one.at_most) for handle, one in counted],
        )
    except Denied:
        return False
    return True


def countable(argument: str | None, call: Call) -> bool:
    """Whether something of this call can be added up: 1, or an integer that is not negative."""
    if argument is None:
        return True
    (amount,) = call.fact("arg_int", argument) or (-1,)
    return isinstance(amount, int) and amount >= 0


bounded = st.builds(
    Call.of,
    st.sampled_from(TOOLS),
    st.dictionaries(
        st.sampled_from(NAMES),
        st.one_of(values, st.integers(0, 3), st.just({"f": 1, "a/b": 2}), st.just([3])),
        max_size=3,
    ),
)


@settings(max_examples=CASES // CALLS_A_CHAIN)
@given(
    chains(beside=True),
    st.lists(bounded, min_size=CALLS_A_CHAIN, max_size=CALLS_A_CHAIN),
    st.lists(st.sampled_from(APPROVERS), unique_by=id),
)
def test_limits_and_approvals_only_narrow_and_the_engine_agrees(
    chain: list[tuple[Capability, KeyPair | None]], tried: list[Call], voters: list[KeyPair]
) -> None:
    """Whatever is counted or asked in which block: a child allows what its parent allows, and takes more."""
    for call in tried:
        refused, taken = False, set[tuple[bytes, int, int, int]]()
        for capability, key in chain:
            found = decide(capability, key, call, voters=voters)
            assert found is not Reason.UNAVAILABLE, "our decision permits and the engine refuses"
            if found is not None:
                refused = True
                assert alone(found, capability, call, voters) or not engine(capability, call, voters)
                continue
            assert not refused
            charges = permitted(capability, key, call, voters=voters).charges
            takes = {(one.counter, one.amount, one.at_most, one.window) for one in charges}
            assert len(takes) == len(charges)
            assert takes >= taken
            taken = takes


def alone(reason: Reason, capability: Capability, call: Call, voters: Sequence[KeyPair]) -> bool:
    """Whether we refuse more than the engine: an approval by somebody who is involved ends the call."""
    return reason is Reason.NOT_APPROVED and bool(approved(capability, call, voters))


@given(chains(beside=True))
def test_what_was_written_is_what_is_read(chain: list[tuple[Capability, KeyPair | None]]) -> None:
    """Admission reads back from the bytes exactly the clauses that the grants wrote."""
    for capability, _ in chain:
        again = Capability.parse(capability.token, TRUST)
        assert again.blocks == capability.blocks
        assert again.token == capability.token
        assert again.describe() == capability.describe()


@given(st.dictionaries(st.sampled_from(NAMES), constraints, max_size=3))
def test_a_grants_clauses_survive_the_wire(arguments: dict[str, Constraint]) -> None:
    """Constraint, token and admission have one form: what `must` says is what a guard evaluates."""
    one = grant("send", arguments)
    made = issue("a", [one], key=ROOT, key_id=1, ttl=timedelta(minutes=1), now=NOW)
    told = made.about("tool:send")
    assert [[set(branch.clauses) for branch in pattern] for pattern in told] == [
        [set(branch.clauses) for branch in pattern] for pattern in one.patterns(closed=True)
    ]


json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.text(string.ascii_letters + "/_é\ud800", max_size=4), json_values, max_size=4))
def test_digest_and_facts_are_total_and_stable(arguments: dict[str, Any]) -> None:
    """Every value is Malformed, or has one digest and its facts, whatever the order of its names."""
    try:
        call = Call.of("t", arguments)
    except MalformedError:
        return
    again = Call.of("t", json.dumps(arguments, indent=2))
    turned = Call.of("t", dict(reversed(arguments.items())))
    assert call.digest == again.digest == turned.digest
    assert call.canonical_json == again.canonical_json
    for name in [*arguments, "/x/0", "/x/1:", "/a/b/c"]:
        for predicate in SIGNATURES:
            fits = PARAMETERS.get(predicate)
            parameter = None if fits is None else next(one for one in (2, "a") if fits(one))
            assert call.fact(predicate, name, parameter) == again.fact(predicate, name, parameter)
    for name in arguments:
        primary = [
            p for p in ("arg_str", "arg_int", "arg_bool", "arg_null", "arg_json") if call.fact(p, name)
        ]
        assert len(primary) == 1


@given(st.lists(st.binary(max_size=6), max_size=4), st.lists(st.binary(max_size=6), max_size=4))
def test_two_lists_of_parts_have_two_digests(left: list[bytes], right: list[bytes]) -> None:
    """No two different lists of parts are hashed as the same bytes."""
    assert (digest("d", *left) == digest("d", *right)) == (left == right)


@given(st.binary(max_size=400))
def test_any_bytes_in_a_tokens_place_are_refused(data: bytes) -> None:
    """Parsing is total: a capability, or Denied."""
    import base64

    for text in (base64.urlsafe_b64encode(data).decode(), data.decode("latin-1")):
        try:
            Capability.parse(text, TRUST)
        except Denied:
            continue
        raise AssertionError("random bytes were a capability")


@given(chains(), st.integers(0, 1 << 20), st.integers(0, 7))
def test_no_flipped_bit_changes_what_a_token_says(
    chain: list[tuple[Capability, KeyPair | None]], place: int, bit: int
) -> None:
    """A token with any bit flipped is refused, or says and is named exactly as before."""
    import base64

    capability = chain[-1][0]
    data = bytearray(base64.urlsafe_b64decode(capability.token))
    data[place % len(data)] ^= 1 << bit
    try:
        found = Capability.parse(base64.urlsafe_b64encode(data).decode(), TRUST)
    except Denied:
        return
    assert found.blocks == capability.blocks
