"""Capabilities of Hessra's open core, version 2: read here as they are meant; and ours, read there.

There are no public fixtures of that version, so each token is built from its Datalog, written by hand.
Roots are Ed25519 and P-256, and no token carries a key id.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from biscuit_auth import Biscuit
from biscuit_auth import KeyPair as BiscuitKeyPair

from hessra_agents import Call, Capability, Denied, Grant, KeyPair, Reason, Trust, grant, must
from hessra_agents.tokens.hessra.latent import activate, complete, latent
from hessra_agents.tokens.issue import issue
from hessra_agents.verify.verifier import verify
from tests.support import hessra

NOW = 1_800_000_000
LATER = NOW + 300
HOUR = timedelta(hours=1)
READ = Call.of("acme/orders", {}, kind="resource", operation="read")
OTHER = BiscuitKeyPair()


@dataclass
class Elsewhere:
    """A root of an authority that runs Hessra, and a verifier here that trusts it without an id."""

    capability: hessra.Root
    trust: Trust = field(init=False)

    def __post_init__(self) -> None:
        self.trust = Trust(without_id={"capability": self.capability.public})

    def orders(self, *more: str, **params: object) -> Biscuit:
        """A capability to read the orders of Acme, with more in its first block."""
        found = {"subject": "agent:desk", "resource": "resource:acme/orders", "operation": "read"} | params
        return self.capability.issue(hessra.CAPABILITY + "".join(more), **{"expiration": LATER} | found)

    def anchored(self) -> Biscuit:
        """The same, for the guard ``shop``."""
        return self.orders(hessra.ANCHOR, anchor="shop")

    def read(self, token: Biscuit) -> Capability:
        """A capability of theirs, as we read it."""
        return Capability.parse(token.to_base64(), self.trust)

    def honoured(self, token: Biscuit, call: Call = READ, now: int = NOW, **options: Any) -> None:
        """Our verifier's permit, or `Denied`."""
        verify(self.read(token), call, now=now, audience="shop", **options)

    def refused(
        self, reason: Reason, token: Biscuit, call: Call = READ, now: int = NOW, **options: Any
    ) -> None:
        """Check that our verifier refuses for this reason."""
        with pytest.raises(Denied) as caught:
            self.honoured(token, call, now, **options)
        assert caught.value.reason == reason, repr(caught.value)


@pytest.fixture(params=["ed25519", "p256"])
def elsewhere(request: pytest.FixtureRequest) -> Elsewhere:
    """An authority with roots of one algorithm."""
    return Elsewhere(getattr(hessra.Root, request.param)())


# --- their capabilities, read here


def test_an_anchored_capability_is_honoured_as_it_is_there(elsewhere: Elsewhere) -> None:
    """For its object and operation, before its time, at its anchor, and without any argument."""
    token = elsewhere.anchored()
    anchor = {"anchor": "shop"}
    assert hessra.capability_verifier(token, "resource:acme/orders", "read", now=NOW, designations=anchor)
    elsewhere.honoured(token)
    assert elsewhere.read(token).subject == "agent:desk"
    elsewhere.refused(Reason.EXPIRED, token, now=LATER)
    elsewhere.refused(
        Reason.NOT_GRANTED, token, Call.of("acme/orders", {}, kind="resource", operation="write")
    )
    elsewhere.refused(
        Reason.NOT_GRANTED, token, Call.of("other/orders", {}, kind="resource", operation="read")
    )
    elsewhere.refused(Reason.WRONG_AUDIENCE, elsewhere.orders(hessra.ANCHOR, anchor="bank"))
    elsewhere.refused(
        Reason.UNNAMED_ARGUMENT, token, Call.of("acme/orders", {"id": 1}, kind="resource", operation="read")
    )


def test_one_that_names_no_guard_is_refused_here(elsewhere: Elsewhere) -> None:
    """There it would pass at every verifier; and what its holder adds makes no refused call pass."""
    token = elsewhere.orders()
    assert hessra.capability_verifier(token, "resource:acme/orders", "read", now=NOW)
    elsewhere.refused(Reason.WRONG_AUDIENCE, token)
    elsewhere.refused(Reason.WRONG_AUDIENCE, hessra.append(token, hessra.ANCHOR, anchor="shop"))


def test_a_designation_must_be_stated_and_one_that_is_stated_must_be_asked_for(elsewhere: Elsewhere) -> None:
    """The second is ours: a capability for every tenant is not one for Acme, unless the guard says so."""
    token = hessra.append(elsewhere.anchored(), hessra.DESIGNATION, label="tenant", value="acme")
    elsewhere.honoured(token, designations={"tenant": "acme"}, require_designations=False)
    elsewhere.refused(Reason.WRONG_AUDIENCE, token, designations={"tenant": "acme"})
    other = {"tenant": "other"}
    elsewhere.refused(Reason.WRONG_AUDIENCE, token, designations=other, require_designations=False)
    elsewhere.refused(Reason.WRONG_AUDIENCE, token)
    elsewhere.refused(Reason.WRONG_AUDIENCE, token, designations={"tenant": "other"})
    elsewhere.refused(Reason.WRONG_AUDIENCE, elsewhere.anchored(), designations={"tenant": "acme"})


def test_a_narrower_time_and_an_engine_facet_count(elsewhere: Elsewhere) -> None:
    """As blocks that the holder appends, or the engine at mint."""
    short = hessra.append(elsewhere.anchored(), "check if time($t), $t < {expiration};", expiration=NOW + 5)
    elsewhere.honoured(short, now=NOW + 4)
    elsewhere.refused(Reason.EXPIRED, short, now=NOW + 5)
    facet = hessra.append(elsewhere.anchored(), hessra.DESIGNATION, label="facet", value="1b4e28ba")
    elsewhere.honoured(facet, designations={"facet": "1b4e28ba"}, require_designations=False)
    elsewhere.refused(Reason.WRONG_AUDIENCE, facet)


def test_a_designation_by_a_key_is_met_by_that_key(elsewhere: Elsewhere) -> None:
    """Not by another, and not by what the guard itself says."""
    pair = BiscuitKeyPair()
    asks = "check if designation({label}, {value}) trusting {pk};"
    token = elsewhere.orders(
        hessra.ANCHOR, asks, anchor="shop", label="user", value="ana", pk=pair.public_key
    )
    states = "designation({label}, {value});"
    elsewhere.refused(Reason.WRONG_AUDIENCE, token)
    elsewhere.refused(Reason.WRONG_AUDIENCE, token, designations={"user": "ana"})
    elsewhere.refused(Reason.WRONG_AUDIENCE, hessra.attest(token, OTHER, states, label="user", value="ana"))
    elsewhere.refused(Reason.WRONG_AUDIENCE, hessra.attest(token, pair, states, label="user", value="bo"))
    elsewhere.honoured(hessra.attest(token, pair, states, label="user", value="ana"))


def test_a_latent_capability_goes_through_activation_and_completion(elsewhere: Elsewhere) -> None:
    """Each as Hessra's engine writes it."""
    pair = BiscuitKeyPair()
    token = elsewhere.orders(hessra.ANCHOR, hessra.LATENT, anchor="shop", activator=pair.public_key)
    elsewhere.refused(Reason.NOT_YET_VALID, token)
    activation = """
        activation({now});
        check if designation("facet", {id}) trusting {pk};
        check if time($t), $t < {end};
    """
    params: dict[str, object] = {"now": NOW, "id": "f-1", "pk": pair.public_key, "end": NOW + 60}
    elsewhere.refused(Reason.NOT_YET_VALID, hessra.attest(token, OTHER, activation, **params))
    active = hessra.attest(token, pair, activation, **params)
    elsewhere.refused(Reason.WRONG_AUDIENCE, active)
    done = hessra.attest(active, pair, 'designation("facet", {id});', id="f-1")
    elsewhere.honoured(done)
    elsewhere.refused(Reason.EXPIRED, done, now=NOW + 60)


TIME = "check if time($time), $time < 1900000000;"
RIGHT = "check if resource($res), operation($op), right($sub, $res, $op);"
FOREIGN = [
    ("authz 0.6", TIME + RIGHT.replace("check if", "check if subject($sub),")),
    ("older still, without a check of its right", TIME),
    ("cap 1.0 with a namespace", TIME + RIGHT + 'check if namespace("shop");'),
]


@pytest.mark.parametrize(("what", "source"), FOREIGN, ids=[what for what, _ in FOREIGN])
def test_older_formats_are_refused(elsewhere: Elsewhere, what: str, source: str) -> None:
    """They ask for other facts, or for too little."""
    right = 'right("agent:desk", "resource:acme/orders", "read");'
    elsewhere.refused(Reason.WRONG_AUDIENCE, elsewhere.capability.issue(right + TIME + RIGHT))
    token = elsewhere.capability.issue(right + source)
    elsewhere.refused(Reason.OUTSIDE_PROFILE, token)


def test_a_context_is_no_capability_here_although_it_is_one_there(elsewhere: Elsewhere) -> None:
    """Their verifier says ``allow if true``, and a context carries nothing but a time to check."""
    root = elsewhere.capability
    context = root.issue(hessra.CONTEXT, subject="agent:desk", expiration=LATER)
    identity = root.issue(hessra.DELEGATABLE, subject="agent:desk", expiration=LATER)
    assert hessra.capability_verifier(context, "resource:anything", "delete", now=NOW)
    elsewhere.refused(Reason.OUTSIDE_PROFILE, context)
    elsewhere.refused(Reason.OUTSIDE_PROFILE, identity)


# --- ours, read there


def ours(*grants: Grant, **options: Any) -> Biscuit:
    """A bearer capability of ours for the guard ``shop``."""
    root = KeyPair.generate()
    made = issue("agent:desk", grants, key=root, key_id=7, ttl=HOUR, audience="shop", now=NOW, **options)
    return Biscuit.from_base64(made.token, root.public.for_biscuit())


def test_a_capability_for_a_tool_with_arguments_is_refused_there() -> None:
    """Who cannot check arguments must not let them pass."""
    token = ours(grant("send_email", to="ana@acme.com", body=must.anything()))
    anchor = {"anchor": "shop"}
    assert not hessra.capability_verifier(token, "tool:send_email", "invoke", now=NOW, designations=anchor)


def test_a_capability_for_a_designated_resource_is_honoured_there() -> None:
    """It names no arguments, so there is nothing that they could not check; and only as far as it goes."""
    token = ours(Grant("resource:acme/orders", "read", ()), designations={"tenant": "acme"})
    stated = {"anchor": "shop", "tenant": "acme"}
    table = [
        (("resource:acme/orders", "read", NOW, stated), True),
        (("resource:acme/orders", "write", NOW, stated), False),
        (("resource:other", "read", NOW, stated), False),
        (("resource:acme/orders", "read", NOW + 3600, stated), False),
        (("resource:acme/orders", "read", NOW, stated | {"anchor": "bank"}), False),
        (("resource:acme/orders", "read", NOW, stated | {"tenant": "other"}), False),
        (("resource:acme/orders", "read", NOW, {"anchor": "shop"}), False),
    ]
    for (resource, operation, now, designations), honoured in table:
        found = hessra.capability_verifier(token, resource, operation, now=now, designations=designations)
        assert found is honoured, (resource, operation, now, designations)


def test_our_latent_capability_waits_there_too() -> None:
    """For the activator's block, and for the facet."""
    root, boss = KeyPair.generate(), KeyPair.generate()
    made = latent(
        "agent:desk",
        [Grant("resource:acme/orders", "read", ())],
        activator=boss.public,
        key=root,
        key_id=None,
        ttl=HOUR,
        audience="shop",
        now=NOW,
    )
    active = activate(made, key=boss, ttl=timedelta(minutes=1), facet="f-1", now=NOW)
    done = complete(active, key=boss, facet="f-1")
    for capability, now, honoured in (
        (made, NOW, False),
        (active, NOW, False),
        (done, NOW, True),
        (done, NOW + 60, False),
    ):
        found = hessra.capability_verifier(
            capability.biscuit, "resource:acme/orders", "read", now=now, designations={"anchor": "shop"}
        )
        assert found is honoured
