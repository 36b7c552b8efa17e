"""Our decision and the Datalog engine's, over random authority and random calls: no difference.

The engine is the definition. Where we permit, `verify(..., cross_check=True)` asks it and refuses as
``unavailable`` if it would not; where we refuse, the engine is told here what the guard knows, and has to
refuse, too. Where a guard asks for more than Datalog can say, `more_than_the_engine` names what.

30,000 decisions; with `HESSRA_SOAK=1` a million. A difference is told with the seed that makes it again.
"""

from __future__ import annotations

import os
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from random import Random

import pytest

from hessra_agents import Approval, Call, Capability, Denied, KeyPair, Reason, Session
from hessra_agents.call.canonical import encode, to_json, to_json_fast
from hessra_agents.call.places import find
from hessra_agents.grants.clauses import Results
from hessra_agents.grants.labels import label_means
from hessra_agents.grants.limits import Limit
from hessra_agents.tokens.admission import APPROVED, HOLDER
from hessra_agents.tokens.engine import authorize
from hessra_agents.tokens.statements import PROOF_WINDOW, Proof
from hessra_agents.verify.verifier import Possession, verify
from tests.support.random_authority import NOW, SESSIONS, VOTERS, called, written

SOAK = bool(os.environ.get("HESSRA_SOAK"))
CALLS = 100  # of one chain of tokens
TOKENS = (1_000_000 if SOAK else 30_000) // CALLS
SHARES = 2
"""Tests that the tokens are divided among: they run side by side."""


@dataclass(frozen=True)
class Told:
    """What a guard knows of one call beside the call."""

    now: int
    designations: dict[str, str]
    require: bool
    proof: Proof | Possession | None
    holds: bool
    """Whether that proves the holder, by how it was made."""
    approvals: list[Approval]
    session: Session | None

    @property
    def results(self) -> Results | None:
        return None if self.session is None else self.session.result_lookup()

    @property
    def labels(self) -> frozenset[str] | None:
        return None if self.session is None else self.session.labels


def told(rng: Random, capability: Capability, key: KeyPair | None, call: Call) -> Told:
    """A moment, a place, statements: mostly good ones."""
    now = NOW + rng.choice((0, 20))
    if rng.random() < 0.08:
        block = rng.choice(capability.blocks)
        near = [one for one in (block.starts, block.expires, block.issued) if one is not None] or [NOW]
        now = rng.choice(near) + rng.choice((-PROOF_WINDOW - 1, -PROOF_WINDOW, -1, 0, 1))
    named = {label: value for block in capability.blocks for label, value in block.designations}
    named.pop("anchor", None)
    other = rng.choice(({}, {"tenant": "acme"}, {"region": "eu", "tenant": "acme"}, {"tenant": "other"}))
    proof, holds = shown(rng, capability, key, call, now)
    votes: list[Approval] = []
    if any(one.label == APPROVED for b in capability.blocks for check in b.attested for one in check):
        for voter in VOTERS:
            with suppress(ValueError):  # it is not asked
                about = call if rng.random() < 0.9 else Call.of("send", {"a": "other"})
                since = now if rng.random() < 0.97 else now - 300
                if rng.random() < 0.85:
                    votes += capability.approve(about, key=voter, now=since)
    return Told(
        now,
        named if rng.random() < 0.95 else other,
        rng.random() < 0.1,
        proof,
        holds,
        votes,
        rng.choice(SESSIONS),
    )


def shown(
    rng: Random, capability: Capability, key: KeyPair | None, call: Call, now: int
) -> tuple[Proof | Possession | None, bool]:
    if key is None or capability.holder is None:
        return None, False
    if rng.random() < 0.93:
        return Possession.show(capability, key), True
    if rng.random() < 0.3:
        return None, False
    skew = rng.choice((0, 0, PROOF_WINDOW, PROOF_WINDOW + 1, -PROOF_WINDOW, -PROOF_WINDOW - 1))
    place = rng.choice(("here", "here", "here", "elsewhere"))
    proof = capability.prove(call, key=key, audience=place, now=now + skew)
    return proof, abs(skew) <= PROOF_WINDOW and place == "here"


def differs(capability: Capability, call: Call, known: Told) -> tuple[Reason | None, bool]:
    """Our verdict, and whether the engine's is another one."""
    try:
        verify(
            capability,
            call,
            now=known.now,
            audience="here",
            proof=known.proof,
            approvals=known.approvals,
            designations=known.designations,
            require_designations=known.require,
            cross_check=True,
            results=known.results,
            labels=known.labels,
        )
    except Denied as denied:
        if denied.reason is Reason.UNAVAILABLE:
            return denied.reason, True
        more = more_than_the_engine(capability, call, known, denied.reason)
        return denied.reason, not more and engine(capability, call, known)
    return None, False


def more_than_the_engine(capability: Capability, call: Call, known: Told, reason: Reason) -> bool:
    """Whether this refusal rests on what a guard asks beyond Datalog."""
    first = {label for label, _ in capability.blocks[0].designations}
    if reason is Reason.WRONG_AUDIENCE:  # the issuer must name the guard, and what it requires
        return "anchor" not in first or (known.require and not known.designations.keys() <= first)
    if reason is Reason.UNNAMED_ARGUMENT:  # a first block without patterns leaves no arguments
        return capability.blocks[0].objects is None and bool(call.values)
    if reason in (Reason.NOT_APPROVED, Reason.WRONG_CALL, Reason.EXPIRED):  # one bad approval ends the call
        return len(good(capability, call, known)) < len(known.approvals)
    return False


def good(capability: Capability, call: Call, known: Told) -> list[Approval]:
    """The approvals that count: of this call, in time, by somebody who is not involved."""
    asked = [one for block in capability.blocks for check in block.attested for one in check]
    involved = {one.key for one in asked if one.label == HOLDER} | {b.signer for b in capability.blocks}
    return [
        vote
        for vote in known.approvals
        if vote.call == call.digest and known.now < vote.expires and vote.key.data not in involved
    ]


def engine(capability: Capability, call: Call, known: Told) -> bool:
    """What the engine says, told all that the guard knows."""
    start = max([known.now, *(b.starts for b in capability.blocks if b.starts is not None)])
    keyed = {one.label for b in capability.blocks for check in b.attested for one in check}
    earned = [pair for pair in known.designations.items() if pair[0] not in keyed]
    earned += [(APPROVED, vote.handle) for vote in good(capability, call, known)]
    if known.holds and capability.holder is not None:
        earned.append((HOLDER, capability.holder.handle))
    try:
        authorize(
            capability.biscuit,
            call,
            now=start if start <= known.now + PROOF_WINDOW else known.now,
            audience="here",
            designations=earned,
            patterns=capability.asked(call.resource),
            limits=[
                (one.predicate, handle, one.spelling, one.at_most)
                for block in capability.blocks
                for handle, one in block.limits
                if countable(one, call)
            ],
            results=known.results,
            clear=[one for block in capability.blocks for one, _ in block.clear if unseen(one, known.labels)],
        )
    except Denied:
        return False
    return True


def unseen(pattern: str, labels: frozenset[str] | None) -> bool:
    """Whether the session is known to have seen nothing of this."""
    return labels is not None and not any(label_means(pattern, one) for one in labels)


def countable(one: Limit, call: Call) -> bool:
    """Whether something of this call can be added up: 1, or a number of so many places, not negative."""
    if one.argument is None:
        return True
    value = call.values.get(one.argument)
    if one.argument[0] == "/":
        value, _ = find(call.values, one.argument)
    if type(value) not in (int, float):
        return False
    amount = Decimal(repr(value)) * 10**one.places
    return bool(0 <= amount < 2**63 and amount == int(amount))


def decided(seed: int) -> Counter[Reason | None]:
    """All decisions on one random chain."""
    rng, verdicts = Random(seed), Counter[Reason | None]()
    found = written(rng)
    for number in range(CALLS):
        capability, key = found.chain[-1] if rng.random() < 0.6 else rng.choice(found.chain)
        call = called(rng, found, capability)
        known = told(rng, capability, key, call)
        verdict, differ = differs(capability, call, known)
        assert not differ, f"seed {seed}, call {number}: {verdict}\n{capability.describe()}\n{call}\n{known}"
        verdicts[verdict] += 1
    return verdicts


@pytest.mark.parametrize("share", range(SHARES))
def test_our_decision_and_the_datalog_engine_never_differ(share: int) -> None:
    """And the decisions are worth comparing: many of each kind, permitted ones above all."""
    verdicts = Counter[Reason | None]()
    for seed in range(share, TOKENS, SHARES):
        verdicts += decided(seed)
    assert verdicts.total() == TOKENS * CALLS // SHARES
    assert verdicts[None] > 0.15 * verdicts.total()
    for reason in (Reason.CONSTRAINT, Reason.MISSING_ARGUMENT, Reason.UNNAMED_ARGUMENT, Reason.NOT_GRANTED,
                   Reason.NOT_APPROVED, Reason.NOT_HOLDER, Reason.EXPIRED, Reason.NOT_YET_VALID,
                   Reason.WRONG_AUDIENCE, Reason.WRONG_CALL, Reason.EXPOSED):  # fmt: skip
        assert verdicts[reason] > 0.0005 * verdicts.total(), (reason, verdicts)


def test_the_short_way_to_canonical_arguments_is_the_long_way() -> None:
    """What `to_json_fast` makes of most arguments is what the rules make of them, to the byte."""
    rng, short = Random(0), 0
    letters = [chr(code) for code in range(128)] + ["\u00e9", "\U0001f600", "\ud800"]
    for _ in range(5_000):
        texts = ["".join(rng.choices(letters, k=rng.randint(0, 3))) for _ in range(4)]
        values = [*texts, rng.randint(-(2**54), 2**54), rng.choice((True, False, None, 0, 1, -1, 0.5, [1]))]
        given = {rng.choice(texts): rng.choice(values) for _ in range(rng.randint(0, 4))}
        found = to_json_fast(given)
        if found is not None:
            short += 1
            assert repr(found[0]) == repr(to_json(given))
            assert found[1] == encode(to_json(given))
    assert short > 1_000
