"""Latent capabilities: of no use until a named key activates them, and perhaps completes them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from hessra_agents import Call, Capability, Denied, KeyPair, Reason, Trust, grant, must
from hessra_agents.tokens.hessra.latent import activate, complete, latent
from hessra_agents.tokens.issue import issue
from hessra_agents.verify.permit import Permit
from hessra_agents.verify.verifier import verify
from tests.support import forge

NOW = 1_800_000_000
ROOT, BOSS, DESK, THIEF = (KeyPair.generate() for _ in range(4))
TRUST = Trust(capability={1: ROOT.public})
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
WIPE = Call.of("wipe", {"disk": "sda"})


def order(**options: Any) -> Capability:
    """A capability to wipe one of two disks, which BOSS must activate."""
    return latent(
        "agent:desk",
        [grant("wipe", disk=must.one_of("sda", "sdb"))],
        activator=BOSS.public,
        key=ROOT,
        key_id=1,
        ttl=HOUR,
        audience="ops",
        now=NOW,
        **options,
    )


def permitted(capability: Capability | str, call: Call = WIPE, now: int = NOW, **options: Any) -> Permit:
    """The verifier's permit for a call under the capability, as it comes over the wire."""
    token = capability if isinstance(capability, str) else capability.token
    return verify(Capability.parse(token, TRUST), call, now=now, audience="ops", **options)


def refused(reason: Reason, capability: Capability | str, call: Call = WIPE, now: int = NOW) -> None:
    """Check that the call is refused for this reason."""
    with pytest.raises(Denied) as caught:
        permitted(capability, call, now)
    assert caught.value.reason == reason, repr(caught.value)


def test_a_latent_capability_waits_for_its_activation() -> None:
    """Not yet valid before; then it permits what it always said, and no more."""
    refused(Reason.NOT_YET_VALID, order())
    active = activate(order(), key=BOSS, ttl=MINUTE, now=NOW)
    assert permitted(active).call == WIPE
    refused(Reason.CONSTRAINT, active, Call.of("wipe", {"disk": "sdc"}))
    refused(Reason.NOT_GRANTED, active, Call.of("format", {"disk": "sda"}))


def test_an_activation_ends() -> None:
    """The original stays, and can be activated again."""
    capability = order()
    active = activate(capability, key=BOSS, ttl=MINUTE, now=NOW)
    permitted(active, now=NOW + 59)
    refused(Reason.EXPIRED, active, now=NOW + 60)
    permitted(activate(capability, key=BOSS, ttl=MINUTE, now=NOW + 60), now=NOW + 60)


def test_nobody_else_activates() -> None:
    """Not with another key, not with the root key, not unsigned, not with an activation of another token."""
    capability = order()
    for key in (THIEF, ROOT, DESK):
        with pytest.raises(ValueError, match="no activation by this key"):
            activate(capability, key=key, ttl=MINUTE)
        refused(Reason.NOT_YET_VALID, forge.append_signed(capability, key, "activation(1)"))
    permitted(forge.append_signed(capability, BOSS, "activation(1)"))
    refused(Reason.OUTSIDE_PROFILE, forge.append_source(capability, "activation(1)"))
    refused(Reason.OUTSIDE_PROFILE, forge.append_signed(capability, BOSS, 'activation("now")'))
    own = {"k": THIEF.public}
    asked = "activation(1); check if activation($a) trusting {k}"
    refused(Reason.NOT_YET_VALID, forge.append_signed(capability, THIEF, asked, own))
    taken = forge.blocks(activate(order(), key=BOSS, ttl=MINUTE, now=NOW))[0][1]
    signed, rest = forge.blocks(capability)
    refused(Reason.BAD_SIGNATURE, forge.build([*signed, taken], rest))


def test_whoever_holds_it_narrows_it_before_and_after() -> None:
    """An activation of the narrowed copy says nothing about the wide one."""
    narrow = order().attenuate(grant("wipe", disk="sda"))
    active = activate(narrow, key=BOSS, ttl=MINUTE, now=NOW)
    permitted(active)
    refused(Reason.CONSTRAINT, active, Call.of("wipe", {"disk": "sdb"}))
    refused(Reason.NOT_YET_VALID, narrow)
    refused(Reason.EXPIRED, active.attenuate(ttl=timedelta(seconds=5), now=NOW), now=NOW + 5)


def test_an_activated_capability_with_a_holder_still_needs_its_proof() -> None:
    """Activation is no possession, and possession no activation."""
    capability = order(holder=DESK.public)
    active = activate(capability, key=BOSS, ttl=MINUTE, now=NOW)
    refused(Reason.NOT_HOLDER, active)
    permitted(active, proof=active.prove(WIPE, key=DESK, audience="ops", now=NOW))
    with pytest.raises(Denied) as caught:
        permitted(capability, proof=capability.prove(WIPE, key=DESK, audience="ops", now=NOW))
    assert caught.value.reason == Reason.NOT_YET_VALID


def test_a_facet_keeps_it_back_until_its_activator_lets_go() -> None:
    """Only that key completes it, only with that name, and the guard's own word does not count."""
    active = activate(order(), key=BOSS, ttl=MINUTE, facet="order-17", now=NOW)
    refused(Reason.WRONG_AUDIENCE, active)
    refused(Reason.WRONG_AUDIENCE, forge.append_signed(active, THIEF, 'designation("facet", "order-17")'))
    refused(Reason.OUTSIDE_PROFILE, forge.append_source(active, 'designation("facet", "order-17")'))
    refused(Reason.WRONG_AUDIENCE, forge.append_signed(active, BOSS, 'designation("facet", "order-18")'))
    with pytest.raises(Denied):
        permitted(active, designations={"facet": "order-17"})
    done = complete(active, key=BOSS, facet="order-17")
    permitted(done)
    refused(Reason.EXPIRED, done, now=NOW + 60)
    for key, facet in ((THIEF, "order-17"), (BOSS, "order-18"), (BOSS, "")):
        with pytest.raises(ValueError, match="does not require this facet"):
            complete(active, key=key, facet=facet)


def test_there_is_nothing_to_sign_where_nothing_is_asked_for() -> None:
    """No activator, no facet, or one that is no text."""
    plain = issue("agent:desk", [grant("wipe")], key=ROOT, key_id=1, ttl=HOUR)
    with pytest.raises(ValueError, match="no activation by this key"):
        activate(plain, key=BOSS, ttl=MINUTE)
    with pytest.raises(ValueError, match="a facet must be"):
        activate(order(), key=BOSS, ttl=MINUTE, facet="")
    active = activate(order(), key=BOSS, ttl=MINUTE, now=NOW)
    with pytest.raises(ValueError, match="does not require this facet"):
        complete(active, key=BOSS, facet="order-17")
