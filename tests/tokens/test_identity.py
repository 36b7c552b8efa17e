"""Identities: who may claim to be whom, with which token, until when."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from biscuit_auth import Biscuit, BiscuitBuilder, BlockBuilder
from hypothesis import given, settings
from hypothesis import strategies as st

from hessra_agents import Denied, KeyPair, Reason, Trust, grant
from hessra_agents.tokens import engine
from hessra_agents.tokens.hessra.common import decide
from hessra_agents.tokens.hessra.context import issue_context
from hessra_agents.tokens.hessra.identity import Identity, issue_identity
from hessra_agents.tokens.issue import issue
from tests.support import forge, hessra

NOW = 1_800_000_000
ROOT, THIEF = KeyPair.generate(), KeyPair.generate()
TRUST = Trust(identity={1: ROOT.public})
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)


def desk(*, delegatable: bool = True, ttl: timedelta = HOUR) -> Identity:
    """The identity ``agent:desk``."""
    return issue_identity("agent:desk", key=ROOT, key_id=1, ttl=ttl, delegatable=delegatable, now=NOW)


def read(token: str) -> Identity:
    """The token as a verifier reads it."""
    return Identity.parse(token, TRUST)


def refused(reason: Reason, identity: Identity, claimed: str, now: int = NOW) -> Denied:
    """Check that the claim is refused for this reason, after the wire too."""
    with pytest.raises(Denied) as caught:
        read(identity.token).verify(claimed, now)
    assert caught.value.reason == reason, repr(caught.value)
    return caught.value


def appended(identity: Identity, source: str, signer: KeyPair | None = None) -> str:
    """The token with a block of any Datalog, as whoever has it can append one."""
    biscuit = Biscuit.from_base64(identity.token, ROOT.public.for_biscuit())
    block = BlockBuilder(source)
    if signer is None:
        return biscuit.append(block).to_base64()
    pair = signer.for_biscuit()
    signed = biscuit.third_party_request().create_block(pair.private_key, block)
    return biscuit.append_third_party(pair.public_key, signed).to_base64()


def issued(source: str) -> str:
    """A token of the identity root with any first block."""
    builder = BiscuitBuilder(source)
    builder.set_root_key_id(1)
    return builder.build(ROOT.for_biscuit().private_key).to_base64()


# --- who may claim what

CHAINS: dict[str, tuple[str, ...]] = {
    "base": (),
    "delegated": ("agent:desk:mailer",),
    "sub-delegated": ("agent:desk:mailer", "agent:desk:mailer:draft"),
    "two levels at once": ("agent:desk:mailer:draft",),
}
CLAIMS = [
    ("base", "agent:desk", True),
    ("base", "agent:desk:mailer", True),
    ("base", "agent:desk:mailer:draft", True),
    ("base", "agent", False),
    ("base", "agent:other", False),
    ("base", "agent:desktop", False),
    ("base", "agent:desk2:mailer", False),
    ("base", "Agent:desk", False),
    ("delegated", "agent:desk:mailer", True),
    ("delegated", "agent:desk:mailer:draft", True),
    ("delegated", "agent:desk", False),
    ("delegated", "agent:desk:reader", False),
    ("delegated", "agent:desk:mailers", False),
    ("sub-delegated", "agent:desk:mailer:draft", True),
    ("sub-delegated", "agent:desk:mailer", False),
    ("sub-delegated", "agent:desk:mailer:send", False),
    ("sub-delegated", "agent:desk", False),
    ("two levels at once", "agent:desk:mailer:draft", True),
    ("two levels at once", "agent:desk:mailer", False),
]


@pytest.mark.parametrize(("chain", "claimed", "proved"), CLAIMS)
def test_a_token_proves_its_last_identity_and_those_below_it(chain: str, claimed: str, proved: bool) -> None:
    """Neither parents nor siblings nor names that only begin alike."""
    identity = desk()
    for name in CHAINS[chain]:
        identity = identity.delegate(name, ttl=MINUTE, now=NOW)
    if proved:
        read(identity.token).verify(claimed, NOW)
    else:
        refused(Reason.NOT_HOLDER, identity, claimed)


def test_an_identity_that_is_not_delegatable_proves_its_subject_alone() -> None:
    """Its own check asks for the subject and nothing below."""
    identity = desk(delegatable=False)
    read(identity.token).verify("agent:desk", NOW)
    refused(Reason.NOT_HOLDER, identity, "agent:desk:mailer")
    with pytest.raises(ValueError, match="subject alone"):
        identity.delegate("agent:desk:mailer", ttl=MINUTE, now=NOW)


@pytest.mark.parametrize(
    "to", ["agent:desk", "agent:other", "agent:desktop", "agent:desk:", "agent:desk::x", ""]
)
def test_only_an_identity_below_can_be_delegated_to(to: str) -> None:
    """And the first segment below may not be empty."""
    with pytest.raises(ValueError, match="below agent:desk"):
        desk().delegate(to, ttl=MINUTE, now=NOW)


@pytest.mark.parametrize(
    "name", ["", ":", "agent:", ":agent", "agent::desk", "a\nb", "a\u202eb", "\ud800", "a" * 257]
)
def test_a_name_with_an_empty_segment_or_unprintable_is_none(name: str) -> None:
    """It is neither issued nor taken as a claim."""
    with pytest.raises(ValueError, match="segments"):
        issue_identity(name, key=ROOT, key_id=1, ttl=HOUR)
    refused(Reason.MALFORMED, desk(), name)


@pytest.mark.parametrize("key_id", [-1, 1 << 32])
def test_a_key_id_is_a_number_of_32_bits(key_id: int) -> None:
    """Any other is refused where the token is made."""
    with pytest.raises(ValueError, match="cannot be built"):
        issue_identity("agent:desk", key=ROOT, key_id=key_id, ttl=HOUR)


def test_a_claim_that_is_no_text_is_malformed() -> None:
    """None is what a caller has who forgot to ask for the claim."""
    refused(Reason.MALFORMED, desk(), None)  # type: ignore[arg-type]


def test_names_are_the_subject_and_then_each_delegation() -> None:
    """They come from admission, and just-in-time blocks add none."""
    identity = desk().delegate("agent:desk:mailer", ttl=MINUTE, now=NOW).just_in_time(NOW)
    assert read(identity.token).names == ("agent:desk", "agent:desk:mailer")
    assert read(identity.token).subject == "agent:desk"


# --- until when


def test_an_identity_expires_with_the_first_of_its_blocks() -> None:
    """A delegation cannot outlive its original, nor the original lend its life to the delegation."""
    short = desk().delegate("agent:desk:mailer", ttl=MINUTE, now=NOW)
    short.verify("agent:desk:mailer", NOW + 59)
    refused(Reason.EXPIRED, short, "agent:desk:mailer", NOW + 60)
    long = desk(ttl=MINUTE).delegate("agent:desk:mailer", ttl=HOUR, now=NOW)
    assert (short.expires, long.expires) == (NOW + 60, NOW + 60)
    refused(Reason.EXPIRED, long, "agent:desk:mailer", NOW + 60)


def test_a_just_in_time_copy_lives_five_seconds() -> None:
    """Its original lives on."""
    identity = desk()
    copy = identity.just_in_time(NOW)
    read(copy.token).verify("agent:desk:mailer", NOW + 4)
    refused(Reason.EXPIRED, copy, "agent:desk", NOW + 5)
    read(identity.token).verify("agent:desk", NOW + 5)


def test_an_expired_identity_is_not_delegated() -> None:
    """The copy is verified before it is handed out."""
    with pytest.raises(Denied) as caught:
        desk(ttl=MINUTE).delegate("agent:desk:mailer", ttl=HOUR, now=NOW + 60)
    assert caught.value.reason == Reason.EXPIRED


# --- what no identity may hold

DELEGATED = (
    'check if actor($a), $a == "{0}" || $a.starts_with("{0}" + ":"); check if time($time), $time < 1900000000'
)
APPENDED = [
    ("a name spoofed beside one's own", 'check if actor($a), $a == "admin" || $a == "agent:desk"'),
    (
        "the same with a time",
        'check if actor($a), $a == "admin" || $a == "agent:desk"; check if time($t), $t < 9',
    ),
    ("a delegation to a stranger", DELEGATED.format("admin")),
    ("a delegation to a sibling", DELEGATED.format("agent:other")),
    ("a delegation to a parent", DELEGATED.format("agent")),
    ("a delegation to a name that begins alike", DELEGATED.format("agent:desktop")),
    ("a delegation to an empty segment", DELEGATED.format("agent:desk:")),
    ("a delegation without a time", DELEGATED.format("agent:desk:x").split(";")[0]),
    (
        "a delegation to one identity alone",
        'check if actor($a), $a == "agent:desk:x"; check if time($t), $t < 9',
    ),
    ("two delegations at once", DELEGATED.format("agent:desk:x") + ";" + DELEGATED.format("agent:desk:y")),
    (
        "two names in one check",
        DELEGATED.format("agent:desk:x").replace('"agent:desk:x" +', '"agent:desk:y" +'),
    ),
    ("another separator", DELEGATED.format("agent:desk:x").replace('":"', '"/"')),
    ("no separator", DELEGATED.format("agent:desk:x").replace(' + ":"', ' + ""')),
    (
        "two names and one time",
        DELEGATED.format("agent:desk:x") + '; check if actor($a), $a == "agent:desk:y"',
    ),
    ("both instead of either", DELEGATED.format("agent:desk:x").replace("||", "&&")),
    ("a choice of queries", 'check if actor("agent:desk:x") or actor("admin"); check if time($t), $t < 9'),
    ("a subject", 'subject("admin"); check if time($t), $t < 1900000000'),
    ("an actor", 'actor("agent:desk"); check if time($t), $t < 1900000000'),
    ("a rule", "actor($s) <- subject($s); check if time($t), $t < 1900000000"),
    ("a time that is always met", "check if time($time), 5 < 1900000000"),
    ("a time from below", "check if time($t), $t > 5"),
    ("a time as a date", "check if time($t), $t < 2030-01-01T00:00:00Z"),
    ("a time by a key", "check if time($t), $t < 1900000000 trusting authority"),
    ("all instead of some", "check all time($t), $t < 1900000000"),
    ("a reject", 'reject if actor("x")'),
    ("two times", "check if time($t), $t < 9; check if time($t), $t < 8"),
    ("nothing", ""),
]


@pytest.mark.parametrize("signer", [None, THIEF], ids=["unsigned", "signed"])
@pytest.mark.parametrize(("what", "source"), APPENDED, ids=[what for what, _ in APPENDED])
def test_a_block_of_another_shape_is_refused(what: str, source: str, signer: KeyPair | None) -> None:
    """Before the engine runs, whoever signed it."""
    with pytest.raises(Denied) as caught:
        read(appended(desk(), source, signer))
    assert caught.value.reason == Reason.OUTSIDE_PROFILE, what


def test_a_delegation_is_signed_and_the_subject_must_allow_it() -> None:
    """The very block that a signer may add: unsigned, on its subject alone, beside another delegation."""
    source = DELEGATED.format("agent:desk:mailer")
    read(appended(desk(), source, THIEF)).verify("agent:desk:mailer", NOW)
    sideways = desk().delegate("agent:desk:reader", ttl=MINUTE, now=NOW)
    for token in (
        appended(desk(), source),
        appended(desk(delegatable=False), source, THIEF),
        appended(sideways, source, THIEF),
    ):
        with pytest.raises(Denied) as caught:
            read(token)
        assert caught.value.reason == Reason.OUTSIDE_PROFILE


ACTOR = 'check if actor($a), $a == "agent:desk"; '
TIME = "check if time($time), $time < 1900000000; "
FIRST = [
    ("no subject", ACTOR + TIME),
    ("two subjects", 'subject("agent:desk"); subject("admin"); ' + ACTOR + TIME),
    ("another subject than the actor", 'subject("admin"); ' + ACTOR + TIME),
    ("a subject that is no text", "subject(5); " + ACTOR + TIME),
    ("no actor", 'subject("agent:desk"); ' + TIME),
    ("no time", 'subject("agent:desk"); ' + ACTOR),
    ("a fact more", 'subject("agent:desk"); property("delegatable"); ' + ACTOR + TIME),
    ("a check more", 'subject("agent:desk"); check if domain("x"); ' + ACTOR + TIME),
    ("an empty segment", 'subject("agent:"); ' + ACTOR.replace("agent:desk", "agent:") + TIME),
    ("strict equality", 'subject("agent:desk"); ' + ACTOR.replace("==", "===") + TIME),
    ("the older domain", 'subject("acme", "agent:desk"); ' + ACTOR + TIME),
]


@pytest.mark.parametrize(("what", "source"), FIRST, ids=[what for what, _ in FIRST])
def test_a_first_block_of_another_shape_is_refused(what: str, source: str) -> None:
    """Although the identity root itself signed it."""
    assert read(issued('subject("agent:desk"); ' + ACTOR + TIME)).names == ("agent:desk",)
    with pytest.raises(Denied) as caught:
        read(issued(source))
    assert caught.value.reason == Reason.OUTSIDE_PROFILE, what


def test_no_other_kind_of_token_is_an_identity() -> None:
    """Even if one key signed them all, which `Trust` refuses to be told."""
    capability = issue("agent:desk", [grant("wipe")], key=ROOT, key_id=1, ttl=HOUR, now=NOW)
    context = issue_context("agent:desk", key=ROOT, key_id=1, ttl=HOUR, now=NOW)
    for token in (capability.token, context.token):
        with pytest.raises(Denied) as caught:
            read(token)
        assert caught.value.reason == Reason.OUTSIDE_PROFILE
        assert "identity token" in str(caught.value)
    with pytest.raises(ValueError, match="two kinds"):
        Trust(identity={1: ROOT.public}, context={1: ROOT.public})


def test_only_the_root_key_of_that_id_counts() -> None:
    """Another root, another id, no id, and a signature that does not hold."""
    stranger = issue_identity("agent:desk", key=THIEF, key_id=1, ttl=HOUR)
    signed, rest = forge.blocks(desk().token)
    changed = forge.build([signed[0].replace(b"agent:desk", b"agent:boss")], rest)
    table = [
        (stranger.token, Reason.BAD_SIGNATURE),
        (changed, Reason.BAD_SIGNATURE),
        (issue_identity("agent:desk", key=ROOT, key_id=2, ttl=HOUR).token, Reason.UNKNOWN_ROOT),
        (issue_identity("agent:desk", key=ROOT, key_id=None, ttl=HOUR).token, Reason.UNKNOWN_ROOT),
        ("", Reason.MALFORMED),
        ("agent:desk", Reason.MALFORMED),
        ("é", Reason.MALFORMED),
        ("A" * 30_000, Reason.TOO_LARGE),
    ]
    for token, reason in table:
        with pytest.raises(Denied) as caught:
            read(token)
        assert caught.value.reason == reason, token[:20]
    with pytest.raises(Denied, match="cannot be read"):
        read(None)  # type: ignore[arg-type]


def test_a_delegation_is_not_taken_off_or_moved() -> None:
    """The last block cannot be dropped, and fits no other token."""
    identity = desk()
    child = identity.delegate("agent:desk:mailer", ttl=MINUTE, now=NOW)
    signed, rest = forge.blocks(child.token)
    other, own = forge.blocks(desk().token)
    for token in (
        forge.build(signed[:1], rest),
        forge.build([other[0], signed[1]], rest),
        forge.build(signed, own),
    ):
        with pytest.raises(Denied) as caught:
            read(token)
        assert caught.value.reason == Reason.BAD_SIGNATURE


# --- ids, limits, texts


def test_each_block_has_an_id_that_copies_keep() -> None:
    """So revoking the first ends all that was delegated from it."""
    identity = desk()
    child = identity.delegate("agent:desk:mailer", ttl=MINUTE, now=NOW)
    assert child.ids[:1] == identity.ids
    assert read(child.token).ids == child.ids
    assert len({*child.ids, *identity.delegate("agent:desk:mailer", ttl=MINUTE, now=NOW).ids}) == 3


def test_as_many_blocks_as_are_read_can_be_made() -> None:
    """And no more."""
    identity = desk()
    for _ in range(15):
        identity = identity.just_in_time(NOW)
    read(identity.token).verify("agent:desk", NOW)
    with pytest.raises(ValueError, match="a verifier would not read"):
        identity.just_in_time(NOW)


def test_a_refusal_names_nobody() -> None:
    """Neither the claim nor whom the token is for, and a repr holds no token."""
    denied = refused(Reason.NOT_HOLDER, desk(), "agent:boss")
    assert str(denied) == "the claimed identity is not proved [not_holder]"
    assert desk().token not in repr(desk())
    assert repr(desk()) == f"Identity(names=('agent:desk',), expires={NOW + 3600})"


def test_the_engine_must_permit_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever was decoded; and an engine that runs over its limit is no refusal of the claim."""
    identity = desk()
    wrong = Identity(identity._verified, (replace(identity.blocks[0], name="agent:boss"),))
    with pytest.raises(Denied) as caught:
        wrong.verify("agent:boss", NOW)
    assert caught.value.reason == Reason.UNAVAILABLE
    context = issue_context("agent:desk", key=ROOT, key_id=1, ttl=HOUR, now=NOW)
    with pytest.raises(Denied) as caught:
        Identity(context._verified, identity.blocks).verify("agent:desk", NOW)
    assert caught.value.detail == "the Datalog engine refuses"
    with pytest.raises(Denied) as caught:
        decide(identity._verified.biscuit, "no datalog", {})
    assert caught.value.detail == "the Datalog engine failed"
    monkeypatch.setattr(engine, "ENGINE_LIMIT", timedelta(0))
    assert "over its limit" in refused(Reason.UNAVAILABLE, identity, "agent:desk").detail


SEGMENTS = st.lists(st.sampled_from(["a", "b", "ab"]), min_size=1, max_size=4).map(":".join)
BELOW = st.lists(st.sampled_from(["a", "b"]), max_size=2)


@settings(max_examples=300)
@given(SEGMENTS, BELOW, SEGMENTS, st.booleans(), st.sampled_from([NOW, NOW + 59, NOW + 60]))
def test_the_engine_alone_decides_the_same(
    subject: str, below: list[str], claimed: str, delegatable: bool, now: int
) -> None:
    """Any chain and any claim: what we prove is what Datalog proves."""
    identity = issue_identity(subject, key=ROOT, key_id=1, ttl=MINUTE, delegatable=delegatable, now=NOW)
    for count in range(len(below) if delegatable else 0):
        identity = identity.delegate(":".join([subject, *below[: count + 1]]), ttl=HOUR, now=NOW)
    policies = """
        time({now}); actor({c});
        allow if subject($s), {c} == $s;
        allow if subject($s), {c}.starts_with($s + ":");
    """
    biscuit = Biscuit.from_base64(identity.token, ROOT.public.for_biscuit())
    if hessra.authorized(biscuit, policies, now=now, c=claimed):
        read(identity.token).verify(claimed, now)
    else:
        refused(Reason.EXPIRED if now == NOW + 60 else Reason.NOT_HOLDER, identity, claimed, now)
