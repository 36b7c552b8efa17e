"""Rotation: no honest token is refused, no step comes too early, and no id means two keys."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hessra_agents import Authority, Capability, Denied, KeyPair, PublicKey, Reason, Trust, grant
from hessra_agents.authority.keyring import Keyring, RootKey
from hessra_agents.keys.trust import KINDS

Step = Literal["prepare", "activate", "retire"]
STEPS: tuple[Step, ...] = ("prepare", "activate", "retire")
START, PUBLISH, LONGEST, SKEW = 1_800_000_000, 300, 3600, 30
MAIL = grant("send_email", to="ana@acme.com")


class Desk:
    """An authority, its clock, every trust that it published, and every token that it issued."""

    def __init__(self) -> None:
        self.now = START
        self.root = Authority.ephemeral(
            propagation_delay=timedelta(seconds=PUBLISH),
            max_ttl=timedelta(seconds=LONGEST),
            clock=lambda: self.now,
        )
        self.published = [(START, self.root.trust)]
        self.issued: list[Capability] = []

    def rotate(self, step: Step, kind: str | None = None) -> None:
        self.root.rotate(step, kind=kind)
        self.published.append((self.now, self.root.trust))

    def issue(self, ttl: int = LONGEST) -> Capability:
        self.issued.append(self.root.issue("agent:desk", MAIL, ttl=timedelta(seconds=ttl)))
        return self.issued[-1]

    def states(self, kind: str = "capability") -> list[str]:
        listed = self.root.keys()
        return [key.state for key in listed if key.kind == kind]

    def oldest_trust(self) -> Trust:
        """What a guard may still use: the last that was published `PUBLISH` ago."""
        known = [trust for moment, trust in self.published if moment <= self.now - PUBLISH]
        return known[-1] if known else self.published[0][1]

    def check(self) -> None:
        """Every token that has not expired verifies with the oldest trust in use, and with the newest."""
        self.issued = [one for one in self.issued if one.expires is not None and one.expires > self.now]
        for one in self.issued:
            for trust in (self.oldest_trust(), self.root.trust):
                assert Capability.parse(one.token, trust).ids == one.ids
        for kind in KINDS:
            assert self.states(kind).count("active") == 1
            key_id, pair = self.root.signer(kind)
            assert self.root.trust.key(kind, key_id) == pair.public


def possible_at(act: Callable[[], None]) -> int:
    """From when on the step is possible, as its refusal says."""
    with pytest.raises(ValueError, match="from") as caught:
        act()
    said = re.search(r"from (\S+) on", str(caught.value))
    assert said is not None
    return int(datetime.fromisoformat(said[1]).astimezone(UTC).timestamp())


def test_a_prepared_key_is_trusted_and_signs_nothing() -> None:
    """Guards learn the new key before any token needs it."""
    desk = Desk()
    before = desk.root.signer("capability")
    desk.rotate("prepare")
    assert desk.states() == ["active", "prepared"]
    assert set(desk.root.trust.capability) == {1, 4}
    assert desk.root.signer("capability") == before


def test_activation_before_every_guard_can_know_the_key_is_impossible() -> None:
    """It is refused until `publish` after the preparation, and the refusal says so; then it works."""
    desk = Desk()
    desk.rotate("prepare")
    for wait in (0, 1, PUBLISH - 1):
        desk.now = START + wait
        assert possible_at(lambda: desk.rotate("activate")) == START + PUBLISH
        assert desk.states() == ["active", "prepared"]
    desk.now = START + PUBLISH
    desk.rotate("activate")
    assert desk.states() == ["retiring", "active"]
    assert desk.root.signer("capability")[0] == 4


def test_a_retiring_key_is_trusted_until_its_last_token_has_expired() -> None:
    """Its token verifies to the end; retirement is impossible before that, and refuses the token after."""
    desk = Desk()
    desk.rotate("prepare")
    desk.now += PUBLISH
    last = desk.issue()
    desk.rotate("activate")
    for wait in (0, LONGEST - 1, LONGEST + SKEW - 1):
        desk.now = START + PUBLISH + wait
        assert possible_at(lambda: desk.rotate("retire")) == START + PUBLISH + LONGEST + SKEW
        assert Capability.parse(last.token, desk.root.trust).ids == last.ids
    desk.now += 1
    desk.rotate("retire")
    assert desk.states() == ["active"]
    with pytest.raises(Denied) as caught:
        Capability.parse(last.token, desk.root.trust)
    assert caught.value.reason == Reason.UNKNOWN_ROOT


def test_a_step_that_has_nothing_to_do_is_refused() -> None:
    """No second prepared key, no activation of nothing, no retirement of the key that signs."""
    desk = Desk()
    with pytest.raises(ValueError, match="no capability key is prepared"):
        desk.rotate("activate")
    with pytest.raises(ValueError, match="no capability key is retiring"):
        desk.rotate("retire")
    desk.rotate("prepare")
    with pytest.raises(ValueError, match="is prepared already"):
        desk.rotate("prepare")
    unknown: list[tuple[Any, str | None]] = [("burn", None), ("prepare", "session")]
    for step, kind in unknown:
        with pytest.raises(ValueError, match="steps are"):
            desk.rotate(step, kind)
    assert desk.states() == ["active", "prepared"]


def test_a_step_is_done_for_all_named_kinds_or_for_none() -> None:
    """One kind rotates alone; a step for all kinds waits for the last of them."""
    desk = Desk()
    desk.rotate("prepare", "identity")
    assert desk.states() == ["active"]
    assert desk.states("identity") == ["active", "prepared"]
    desk.now += PUBLISH
    before = desk.root.keys()
    for step in STEPS:
        with pytest.raises(ValueError, match=r"identity key 4 is prepared|no capability key"):
            desk.rotate(step)
        assert desk.root.keys() == before
    desk.rotate("activate", "identity")
    assert [desk.root.signer(kind)[0] for kind in KINDS] == [1, 4, 3]


def test_only_the_retiring_keys_whose_time_has_come_are_retired() -> None:
    """Of two retiring keys the older one goes first."""
    desk = Desk()
    for _ in range(2):
        desk.rotate("prepare", "capability")
        desk.now += PUBLISH
        desk.rotate("activate", "capability")
    desk.now = START + PUBLISH + LONGEST + SKEW
    desk.rotate("retire", "capability")
    assert desk.states() == ["retiring", "active"]
    assert possible_at(lambda: desk.rotate("retire", "capability")) == desk.now + PUBLISH


def test_every_token_verifies_through_a_hundred_rotations() -> None:
    """Whatever guard, with whatever trust it may still use, at whatever moment: no honest refusal."""
    desk, dice = Desk(), random.Random(1)
    ids: dict[int, PublicKey] = {}
    done = 0
    while done < 100:
        desk.now += dice.choice((0, 1, 60, PUBLISH, PUBLISH, 900))
        desk.issue(dice.choice((1, PUBLISH, LONGEST)))
        for step in dice.sample(STEPS, 3):
            try:
                desk.rotate(step, "capability")
                done += step == "activate"
            except ValueError:
                continue
        desk.check()
        listed = desk.root.keys()
        for key in listed:
            assert ids.setdefault(key.id, key.public) == key.public
    assert len(set(ids.values())) == len(ids) >= 103


WAITS = st.sampled_from((0, 1, 299, 300, 3600))
PLANS = st.lists(st.tuples(WAITS, st.sampled_from(STEPS), st.none() | st.sampled_from(KINDS)))


@settings(max_examples=60)
@given(PLANS)
def test_no_order_of_steps_breaks_the_rules(plan: list[tuple[int, Step, str | None]]) -> None:
    """Random steps at random times: one key signs, tokens verify, and a refused step changes nothing."""
    desk = Desk()
    for wait, step, kind in plan:
        desk.now += wait
        desk.issue()
        before = desk.root.keys()
        try:
            desk.rotate(step, kind)
        except ValueError:
            assert desk.root.keys() == before
        desk.check()


def ring(**changes: Any) -> dict[str, Any]:
    keys = [RootKey(kind, i, KeyPair.generate().public, START, START) for i, kind in enumerate(KINDS, 1)]
    text: dict[str, Any] = json.loads(Keyring(PUBLISH, LONGEST, 4, tuple(keys), "0a" * 16).write())
    return text | changes


def changed(index: int = 0, **fields: Any) -> dict[str, Any]:
    data = ring()
    data["keys"][index] |= fields
    return data


def added(**fields: Any) -> dict[str, Any]:
    data = ring(next_id=9)
    new = {"id": 5, "public": str(KeyPair.generate().public), "activated_at": None}
    data["keys"] += [data["keys"][0] | new | fields]
    return data


ACTIVE: dict[str, Any] = {"activated_at": START}
RETIRING: dict[str, Any] = {"activated_at": START, "retiring_at": START}


@pytest.mark.parametrize("data", [ring(), added(), added(**RETIRING), ring(next_id=7), ring(keys=[])])
def test_a_keyring_is_read_as_it_was_written(data: dict[str, Any]) -> None:
    """Reading and writing is one and the same keyring."""
    found = Keyring.read(json.dumps(data).encode())
    assert json.loads(found.write()) == data
    assert Keyring.read(found.write()) == found


def twice() -> dict[str, Any]:
    data = ring()
    data["keys"][1]["public"] = data["keys"][0]["public"]
    return data


WRONG: dict[str, Any] = {
    "an unknown field": ring(note="x"),
    "an unknown field of a key": changed(note="x"),
    "another version": ring(version=2),
    "no authority": ring(authority=""),
    "an authority of another form": ring(authority="0A" * 16),
    "an authority that is a number": ring(authority=7),
    "a missing kind": ring(keys=ring()["keys"][:2]),
    "two active keys": added(**ACTIVE),
    "two prepared keys": ring(next_id=9, keys=[*added()["keys"], added(id=6)["keys"][3]]),
    "no active key": changed(retiring_at=START),
    "an id twice": added(id=1),
    "an id that is still to come": added(id=9),
    "a key twice": twice(),
    "an unknown kind": changed(kind="session"),
    "a truth value as id": changed(id=True),
    "a text as id": changed(id="1"),
    "an id of more than 32 bits": ring(next_id=1 << 32),
    "a time that is a text": changed(prepared_at="now"),
    "a time that is missing": changed(prepared_at=None),
    "a time out of the calendar": changed(activated_at=1 << 60),
    "a key that retires and was never active": added(retiring_at=START),
    "no public key": changed(public="ed25519/00"),
    "a key that anybody can sign for": changed(public="ed25519/" + "00" * 32),
    "no wait": ring(publish=0),
    "a fraction": ring(longest_ttl=1.5),
    "no list": ring(keys={}),
    "no object": [],
}


@pytest.mark.parametrize("data", WRONG.values(), ids=WRONG.keys())
def test_a_keyring_that_breaks_a_rule_is_not_read(data: Any) -> None:
    """Two signers, none, a repeated id, an unknown field: nothing is guessed."""
    with pytest.raises(ValueError):
        Keyring.read(json.dumps(data).encode())


def test_a_name_given_twice_is_not_read() -> None:
    """Two readers could take it differently."""
    text = json.dumps(ring()).encode()
    assert Keyring.read(text).next_id == 4
    with pytest.raises(ValueError, match="twice"):
        Keyring.read(text.replace(b'"next_id": 4', b'"next_id": 4, "next_id": 9'))
