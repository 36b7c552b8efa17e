"""Identities and contexts of Hessra's open core, read here; and ours, read there.

Built from their Datalog, written by hand, under Ed25519 and P-256 roots, without key ids.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

import pytest
from biscuit_auth import Biscuit
from biscuit_auth import KeyPair as BiscuitKeyPair
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from hessra_agents import Denied, KeyPair, PublicKey, Reason, Trust
from hessra_agents.tokens.format.blocks import TokenDialect, read_blocks
from hessra_agents.tokens.hessra.context import Context, issue_context
from hessra_agents.tokens.hessra.identity import Identity, issue_identity
from tests.support import forge, hessra

NOW = 1_800_000_000
LATER = NOW + 300
HOUR = timedelta(hours=1)
OTHER = BiscuitKeyPair()


@dataclass
class Roots:
    """Two roots of an authority that runs Hessra, and who trusts them here without ids."""

    identity: hessra.Root
    context: hessra.Root
    trust: Trust = field(init=False)

    def __post_init__(self) -> None:
        self.trust = Trust(without_id={"identity": self.identity.public, "context": self.context.public})


@pytest.fixture(params=["ed25519", "p256"])
def roots(request: pytest.FixtureRequest) -> Roots:
    """An authority with roots of one algorithm."""
    return Roots(*(getattr(hessra.Root, request.param)() for _ in range(2)))


def claim(roots: Roots, token: Biscuit, claimed: str, now: int = NOW) -> str:
    """The reason for which we refuse, or nothing."""
    try:
        Identity.parse(token.to_base64(), roots.trust).verify(claimed, now)
    except Denied as denied:
        return str(denied.reason)
    return ""


def test_their_identities_are_read_here(roots: Roots) -> None:
    """Base, for its subject alone, delegated, sub-delegated, just in time."""
    base = roots.identity.issue(hessra.DELEGATABLE, subject="agent:desk", expiration=LATER)
    alone = roots.identity.issue(hessra.IDENTITY, subject="agent:desk", expiration=LATER)
    child = hessra.attest(
        base, BiscuitKeyPair(), hessra.DELEGATION, identity="agent:desk:a", expiration=LATER
    )
    deep = hessra.attest(
        child, BiscuitKeyPair(), hessra.DELEGATION, identity="agent:desk:a:b", expiration=LATER
    )
    soon = hessra.attest(base, BiscuitKeyPair(), hessra.JUST_IN_TIME, expiration=NOW + 5)
    table = [
        (base, "agent:desk", NOW, ""),
        (base, "agent:desk:x", NOW, ""),
        (base, "agent:desktop", NOW, "not_holder"),
        (base, "agent:desk", LATER, "expired"),
        (alone, "agent:desk", NOW, ""),
        (alone, "agent:desk:x", NOW, "not_holder"),
        (child, "agent:desk:a", NOW, ""),
        (child, "agent:desk", NOW, "not_holder"),
        (child, "agent:desk:b", NOW, "not_holder"),
        (deep, "agent:desk:a:b", NOW, ""),
        (deep, "agent:desk:a", NOW, "not_holder"),
        (soon, "agent:desk", NOW + 4, ""),
        (soon, "agent:desk", NOW + 5, "expired"),
    ]
    for token, claimed, now, reason in table:
        assert claim(roots, token, claimed, now) == reason, (claimed, reason)
        assert hessra.identity_verifier(token, claimed, now=now) is (reason == "")
    assert claim(roots, roots.identity.issue(hessra.CONTEXT, subject="a", expiration=LATER), "a")


def test_our_identities_are_accepted_there() -> None:
    """With the same claims."""
    root = KeyPair.generate()
    identity = issue_identity("agent:desk", key=root, key_id=None, ttl=HOUR, delegatable=True, now=NOW)
    child = identity.delegate("agent:desk:a", ttl=HOUR, now=NOW).just_in_time(NOW)
    token = Biscuit.from_base64(child.token, root.public.for_biscuit())
    assert hessra.identity_verifier(token, "agent:desk:a:b", now=NOW + 4)
    assert not hessra.identity_verifier(token, "agent:desk", now=NOW + 4)
    assert not hessra.identity_verifier(token, "agent:desk:a", now=NOW + 5)


def exposed(roots: Roots) -> Biscuit:
    """A context of theirs, grown by its issuer."""
    root = roots.context
    source = hessra.CONTEXT + hessra.LABEL + hessra.EXPOSURE
    first = root.issue(source, subject="agent:desk", expiration=LATER, label="PII:SSN", source="db", now=NOW)
    more = hessra.EXPOSURE + hessra.LABEL
    return hessra.attest(first, root.pair, more, label="untrusted", source="web", now=NOW)


def test_their_contexts_are_read_here(roots: Roots) -> None:
    """Versions 2.0 and 3, labels of the first block and of those that the issuer's key signed, P-256 too."""
    token = exposed(roots)
    context = Context.parse(token.to_base64(), roots.trust)
    assert (context.subject, context.expires) == ("agent:desk", LATER)
    assert context.labels == {"PII:SSN", "untrusted"}
    assert context.sources == {"db", "web"}
    for excluded in ("PII:SSN", "untrusted"):
        assert not hessra.context_verifier(token, excluded, now=NOW)
        with pytest.raises(Denied) as caught:
            context.verify("agent:desk", [excluded], NOW)
        assert caught.value.reason == Reason.EXPOSED
    assert hessra.context_verifier(token, "PII:name", now=NOW)
    context.verify("agent:desk", ["PII:name"], NOW)
    clean = roots.context.issue(hessra.CONTEXT, subject="agent:desk", expiration=LATER)
    Context.parse(clean.to_base64(), roots.trust).verify("agent:desk", ["*"], NOW)


def test_what_others_say_was_seen_is_refused(roots: Roots) -> None:
    """There it counts for rejects and not for labels; here it is no context of its issuer any more."""
    token = hessra.attest(
        exposed(roots), OTHER, hessra.EXPOSURE + hessra.LABEL, label="x", source="web", now=NOW
    )
    p256 = hessra.Root.p256()
    foreign = hessra.attest(
        exposed(roots), p256.pair, hessra.EXPOSURE + hessra.LABEL, label="x", source="web", now=NOW
    )
    compound = roots.context.issue(
        hessra.CONTEXT + "reject if exposure({a}), exposure({b});",
        subject="s",
        expiration=LATER,
        a="a",
        b="b",
    )
    first = hessra.CONTEXT + 'exposure("a");'
    other = roots.context.issue(first, subject="s", expiration=LATER)
    for one in (token, foreign, compound, other):
        with pytest.raises(Denied) as caught:
            Context.parse(one.to_base64(), roots.trust)
        assert caught.value.reason == Reason.OUTSIDE_PROFILE


def test_our_contexts_are_read_there() -> None:
    """With a fork and its inherited labels."""
    root = KeyPair.generate()
    context = issue_context("agent:desk", key=root, key_id=None, ttl=HOUR, labels={"PII:SSN"}, now=NOW)
    context = context.expose({"a&b"}, source="web", key=root, now=NOW)
    fork = context.fork("agent:desk:a", key=root, key_id=None, ttl=HOUR, now=NOW)
    for one in (context, fork):
        token = Biscuit.from_base64(one.token, root.public.for_biscuit())
        assert hessra.context_verifier(token, "PII:name", now=NOW)
        assert not hessra.context_verifier(token, "PII:SSN", now=NOW)
        assert not hessra.context_verifier(token, "a&b", now=NOW)


# --- P-256


def test_a_tweaked_ecdsa_signature_does_not_change_a_blocks_name() -> None:
    """Anyone can turn ``s`` into ``n - s``; a revoked block must keep its name all the same."""
    roots = Roots(hessra.Root.p256(), hessra.Root.p256())
    clean = roots.context.issue(hessra.CONTEXT, subject="agent:desk", expiration=LATER)
    signed, rest = forge.blocks(clean.to_base64())
    tweaked = forge.build([_tweaked(signed[0])], rest)
    assert tweaked != clean.to_base64()
    ids = Context.parse(clean.to_base64(), roots.trust).ids
    assert Context.parse(tweaked, roots.trust).ids == ids
    grown = exposed(roots).to_base64()
    signed, rest = forge.blocks(grown)
    fields = [
        (n, _tweaked(bytes(v), 1) if n == 4 and isinstance(v, bytes) else v) for n, v in forge.read(signed[1])
    ]
    again = forge.raw(forge.build([signed[0], forge.write(*fields)], rest))
    dialect = TokenDialect(rejects=True, p256_signers=True)
    names = [
        [b.id for b in read_blocks(data, p256_root=True, dialect=dialect)]
        for data in (forge.raw(grown), again)
    ]
    assert names[0] == names[1]
    assert len({*names[0]}) == 2


def _tweaked(message: bytes, number: int = 3) -> bytes:
    """The message with the ECDSA signature in one of its fields turned into its twin."""
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    fields = []
    for n, value in forge.read(message):
        if n == number and isinstance(value, bytes):
            r, s = decode_dss_signature(value)
            value = encode_dss_signature(r, order - s)
        fields.append((n, value))
    return forge.write(*fields)


def test_only_the_entry_without_an_id_reads_tokens_without_one(roots: Roots) -> None:
    """And it reads no other kind."""
    token = roots.identity.issue(hessra.IDENTITY, subject="agent:desk", expiration=LATER).to_base64()
    assert Identity.parse(token, roots.trust).names == ("agent:desk",)
    keys: dict[int, PublicKey] = {0: roots.identity.public}
    table = [
        (Trust(identity=keys), Reason.UNKNOWN_ROOT),
        (Trust(without_id={"capability": roots.identity.public}), Reason.UNKNOWN_ROOT),
        (Trust(without_id={"identity": roots.context.public}), Reason.BAD_SIGNATURE),
    ]
    for trust, reason in table:
        with pytest.raises(Denied) as caught:
            Identity.parse(token, trust)
        assert caught.value.reason == reason
