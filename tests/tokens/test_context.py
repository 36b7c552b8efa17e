"""Contexts: what a session has seen, who may say so, and what that rules out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from biscuit_auth import Biscuit, BiscuitBuilder, BlockBuilder
from hypothesis import given, settings
from hypothesis import strategies as st

from hessra_agents import Denied, KeyPair, Reason, Trust, grant
from hessra_agents.tokens import engine
from hessra_agents.tokens.builder import sign_block
from hessra_agents.tokens.hessra.context import INHERITED, Context, issue_context
from hessra_agents.tokens.hessra.context_admission import MAX_LABELS
from hessra_agents.tokens.hessra.identity import issue_identity
from hessra_agents.tokens.issue import issue
from tests.support import forge, hessra

NOW = 1_800_000_000
ROOT, NEXT, THIEF = (KeyPair.generate() for _ in range(3))
TRUST = Trust(context={1: ROOT.public, 2: NEXT.public})
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)


def desk(*labels: str, ttl: timedelta = HOUR) -> Context:
    """The context of ``agent:desk``, which has seen these labels."""
    return issue_context("agent:desk", key=ROOT, key_id=1, ttl=ttl, labels=labels, now=NOW)


def saw(context: Context, *labels: str, source: str = "data:customers") -> Context:
    """The context after its keeper saw these labels go by."""
    return context.expose(labels, source=source, key=ROOT, now=NOW)


def read(token: str) -> Context:
    """The token as a verifier reads it."""
    return Context.parse(token, TRUST)


def refused(
    reason: Reason, context: Context, *excluded: str, subject: str = "agent:desk", now: int = NOW
) -> Denied:
    """Check that the context is refused for this reason, after the wire too."""
    with pytest.raises(Denied) as caught:
        read(context.token).verify(subject, excluded, now)
    assert caught.value.reason == reason, repr(caught.value)
    return caught.value


def permitted(context: Context, *excluded: str, subject: str = "agent:desk", now: int = NOW) -> None:
    """Check that the context rules nothing out, after the wire too."""
    read(context.token).verify(subject, excluded, now)


def issued(source: str) -> str:
    """A token of the context root with any first block."""
    builder = BiscuitBuilder(source)
    builder.set_root_key_id(1)
    return builder.build(ROOT.for_biscuit().private_key).to_base64()


def appended(context: Context, source: str, signer: KeyPair | None = None) -> str:
    """The token with a block of any Datalog."""
    biscuit = Biscuit.from_base64(context.token, ROOT.public.for_biscuit())
    if signer is None:
        return biscuit.append(BlockBuilder(source)).to_base64()
    return sign_block(biscuit, signer, BlockBuilder(source)).to_base64()


# --- what was seen rules out


def test_what_was_seen_rules_out_and_nothing_else_does() -> None:
    """By its name, or by a pattern that means it."""
    context = saw(desk(), "PII:email")
    permitted(context)
    permitted(context, "PII:SSN", "untrusted_input", "pii:email", "PII")
    refused(Reason.EXPOSED, context, "PII:email")
    refused(Reason.EXPOSED, context, "untrusted_input", "PII:*")
    permitted(desk(), "PII:*", "*")


def test_a_refusal_says_what_was_seen_to_the_operator_alone() -> None:
    """A model learns that the session has seen too much, not what."""
    denied = refused(Reason.EXPOSED, desk("PII:SSN"), "*")
    assert str(denied) == "the session has seen data that rules out this call [exposed]"
    assert denied.detail == "seen: PII:SSN"


def test_labels_and_sources_only_grow() -> None:
    """Those of the first block and of every later one, with the ids that the copies keep."""
    first = issue_context(
        "agent:desk", key=ROOT, key_id=1, ttl=HOUR, labels={"a"}, sources={"start"}, now=NOW
    )
    context = saw(saw(first, "b", "c"), "b", source="tool:fetch")
    found = read(context.token)
    assert found.labels == {"a", "b", "c"}
    assert found.sources == {"start", "data:customers", "tool:fetch"}
    assert found.ids[:1] == first.ids
    assert found.ids == context.ids
    assert [block.time for block in found.blocks] == [NOW] * 3


def test_seeing_the_same_again_adds_no_block() -> None:
    """A session that reads one source all day stays small; a new source or a new label is written."""
    context = saw(desk(), "a")
    assert saw(context, "a") is context
    assert len(saw(context, "a", source="other").blocks) == 3
    assert len(saw(context, "a", "b").blocks) == 3


def test_a_session_may_see_more_than_its_blocks_can_hold() -> None:
    """They are folded into one, and nothing is lost."""
    context = desk()
    for count in range(40):
        context = saw(context, f"label:{count}", source=f"source:{count}")
    assert len(context.ids) <= 16
    assert read(context.token).labels == {f"label:{count}" for count in range(40)}
    assert read(context.token).sources >= {f"source:{count}" for count in range(40)}
    refused(Reason.EXPOSED, context, "label:0")
    with pytest.raises(ValueError, match="a verifier would not read"):
        saw(context, *(f"more:{count}" for count in range(100)))


def test_a_context_expires_and_then_grows_no_more() -> None:
    """An expired one cannot be extended, forked or folded."""
    context = desk(ttl=MINUTE)
    permitted(context, now=NOW + 59)
    refused(Reason.EXPIRED, context, now=NOW + 60)
    acts: list[Callable[[], Context]] = [
        lambda: context.expose(["a"], source="s", key=ROOT, now=NOW + 60),
        lambda: context.fork("agent:x", key=ROOT, key_id=1, ttl=HOUR, now=NOW + 60),
        lambda: context.compact(key=ROOT, key_id=1, now=NOW + 60),
    ]
    for act in acts:
        with pytest.raises(Denied) as caught:
            act()
        assert caught.value.reason == Reason.EXPIRED


@pytest.mark.parametrize("subject", ["agent:other", "agent", "agent:desk:mailer", "", "agent:desk "])
def test_a_context_speaks_for_its_own_session(subject: str) -> None:
    """Another session's clean context clears nobody, and the refusal names neither."""
    permitted(desk())
    denied = refused(Reason.NOT_HOLDER, desk(), subject=subject)
    assert str(denied) == "the context belongs to another session [not_holder]"


def test_an_older_copy_is_as_clean_as_it_was() -> None:
    """What does not hold: nothing in a token can say that there is a newer one, so its keeper must."""
    older = desk()
    refused(Reason.EXPOSED, saw(older, "PII:email"), "PII:*")
    permitted(older, "PII:*")


# --- forks and folding


def test_a_fork_has_seen_what_its_parent_has() -> None:
    """Handing a task to a child washes nothing off; what the child sees, the parent does not."""
    parent = saw(desk("a"), "PII:email")
    child = parent.fork("agent:desk:mailer", key=ROOT, key_id=1, ttl=MINUTE, now=NOW)
    assert read(child.token).labels == {"a", "PII:email"}
    assert child.sources == {"data:customers", INHERITED}
    assert len(child.ids) == 1
    refused(Reason.EXPOSED, child, "PII:*", subject="agent:desk:mailer")
    refused(Reason.NOT_HOLDER, child)
    permitted(parent, "secret")
    refused(Reason.EXPOSED, saw(child, "secret"), "secret", subject="agent:desk:mailer")


def test_a_fork_does_not_outlive_its_parent() -> None:
    """It may end earlier."""
    parent = desk(ttl=MINUTE)
    assert parent.fork("x", key=ROOT, key_id=1, ttl=HOUR, now=NOW).expires == NOW + 60
    assert parent.fork("x", key=ROOT, key_id=1, ttl=timedelta(seconds=5), now=NOW).expires == NOW + 5
    clean = desk().fork("x", key=ROOT, key_id=1, ttl=MINUTE, now=NOW)
    assert (clean.labels, clean.sources) == (frozenset(), frozenset())


def test_folding_keeps_everything_but_the_blocks() -> None:
    """Also when the root key was changed in between; the expiry stays, so folding is no renewal."""
    context = saw(saw(desk("a"), "b"), "c", source="other")
    folded = read(context.compact(key=NEXT, key_id=2, now=NOW + 9).token)
    assert (folded.subject, folded.expires, len(folded.ids)) == (context.subject, context.expires, 1)
    assert folded.labels == context.labels
    assert folded.sources == context.sources | {INHERITED}
    with pytest.raises(ValueError, match="only the key that issued"):
        saw(folded, "d")
    assert "d" in folded.expose(["d"], source="s", key=NEXT, now=NOW).labels


# --- what no context may hold

EXPOSURE = 'exposure_source("s"); exposure_time(5); reject if exposure("a"); exposed_label("a")'


@pytest.mark.parametrize("signer", [None, THIEF, NEXT], ids=["unsigned", "stranger", "another root"])
def test_only_the_issuing_key_says_what_was_seen(signer: KeyPair | None) -> None:
    """The very block that the issuer may add is refused from anybody else."""
    assert read(appended(desk(), EXPOSURE, ROOT)).labels == {"a"}
    with pytest.raises(Denied) as caught:
        read(appended(desk(), EXPOSURE, signer))
    assert caught.value.reason == Reason.OUTSIDE_PROFILE


BLOCKS = [
    ("a reject without its label", EXPOSURE.replace('exposed_label("a")', "")),
    ("a label without its reject", EXPOSURE.replace('reject if exposure("a");', "")),
    ("a reject beside its label", EXPOSURE + '; reject if exposure("b")'),
    (
        "a label that a key says",
        EXPOSURE.replace('exposure("a");', f'exposure("a") trusting {THIEF.public};'),
    ),
    ("a reject of another label", EXPOSURE.replace('exposure("a")', 'exposure("b")')),
    ("either of two labels", EXPOSURE.replace('if exposure("a")', 'if exposure("a") or exposure("b")')),
    ("two labels together", EXPOSURE + '; reject if exposure("a"), exposure("b")'),
    ("any label", EXPOSURE.replace('if exposure("a")', "if exposure($a)")),
    ("a label with a condition", EXPOSURE.replace('if exposure("a")', 'if exposure($a), $a === "a"')),
    ("a label by a key", EXPOSURE.replace('if exposure("a")', 'if exposure("a") trusting authority')),
    ("another reject", EXPOSURE + '; reject if context("agent:desk")'),
    ("a check", EXPOSURE + '; check if exposure("a")'),
    ("a time", EXPOSURE + "; check if time($t), $t < 1900000000"),
    ("another subject", EXPOSURE + '; context("agent:other")'),
    ("another fact", EXPOSURE + '; taint("a")'),
    ("a rule", EXPOSURE + '; exposed_label("b") <- context($s)'),
    ("no source", EXPOSURE.replace('exposure_source("s");', "")),
    ("two sources", EXPOSURE + '; exposure_source("t")'),
    ("no time of exposure", EXPOSURE.replace("exposure_time(5);", "")),
    ("two times of exposure", EXPOSURE + "; exposure_time(6)"),
    ("a time as text", EXPOSURE.replace("exposure_time(5)", 'exposure_time("5")')),
    ("no label", 'exposure_source("s"); exposure_time(5)'),
    ("an empty label", EXPOSURE.replace('"a"', '""')),
    ("a compound out of order", EXPOSURE.replace('"a"', '"b&a"')),
    ("a label with a star", EXPOSURE.replace('"a"', '"PII:*"')),
    ("a label on two lines", EXPOSURE.replace('"a"', '"a\\nb"')),
]


@pytest.mark.parametrize(("what", "source"), BLOCKS, ids=[what for what, _ in BLOCKS])
def test_a_block_of_another_shape_is_refused(what: str, source: str) -> None:
    """Although the issuing key itself signed it."""
    with pytest.raises(Denied) as caught:
        read(appended(desk(), source, ROOT))
    assert caught.value.reason == Reason.OUTSIDE_PROFILE, what


FIRST = [
    ("no subject", "check if time($t), $t < 1900000000"),
    ("two subjects", 'context("agent:desk"); context("x"); check if time($t), $t < 1900000000'),
    ("a subject that is no text", "context(5); check if time($t), $t < 1900000000"),
    ("no time", 'context("agent:desk")'),
    ("two times", 'context("agent:desk"); check if time($t), $t < 1900000000; check if time($t), $t < 9'),
    ("a time that is always met", 'context("agent:desk"); check if time($time), 5 < 1900000000'),
    ("another check", 'context("agent:desk"); check if context("agent:desk")'),
    ("an older label", 'context("agent:desk"); check if time($t), $t < 1900000000; taint("a")'),
]


@pytest.mark.parametrize(("what", "source"), FIRST, ids=[what for what, _ in FIRST])
def test_a_first_block_of_another_shape_is_refused(what: str, source: str) -> None:
    """Although the context root itself signed it."""
    permitted(read(issued('context("agent:desk"); check if time($t), $t < 1900000000')))
    with pytest.raises(Denied) as caught:
        read(issued(source))
    assert caught.value.reason == Reason.OUTSIDE_PROFILE, what


def test_no_other_kind_of_token_is_a_context() -> None:
    """A token without rejects would pass for a clean one if anything but a context were asked for."""
    capability = issue("agent:desk", [grant("wipe")], key=ROOT, key_id=1, ttl=HOUR, now=NOW)
    identity = issue_identity("agent:desk", key=ROOT, key_id=1, ttl=HOUR, now=NOW)
    for token in (capability.token, identity.token):
        with pytest.raises(Denied) as caught:
            read(token)
        assert caught.value.reason == Reason.OUTSIDE_PROFILE
        assert "context token" in str(caught.value)


def test_the_last_thing_seen_cannot_be_taken_off() -> None:
    """Nor put back from another session, nor changed."""
    context = saw(desk(), "PII:email")
    signed, rest = forge.blocks(context.token)
    other, own = forge.blocks(desk().token)
    changed = [signed[0], signed[1].replace(b"PII:email", b"PII:other")]
    for token in (
        forge.build(signed[:1], rest),
        forge.build(signed[:1], own),
        forge.build([other[0], signed[1]], rest),
        forge.build(changed, rest),
    ):
        with pytest.raises(Denied) as caught:
            read(token)
        assert caught.value.reason == Reason.BAD_SIGNATURE


def test_more_labels_than_are_read_are_refused() -> None:
    """64 in one token; the engine's work grows with labels times exclusions."""
    many = [f"l{count}" for count in range(MAX_LABELS + 1)]
    assert len(desk(*many[:MAX_LABELS]).labels) == MAX_LABELS
    with pytest.raises(ValueError, match="a verifier would not read"):
        desk(*many)
    rules = "".join(f'reject if exposure("{one}"); exposed_label("{one}");' for one in many)
    with pytest.raises(Denied) as caught:
        read(issued('context("agent:desk"); check if time($t), $t < 1900000000; ' + rules))
    assert caught.value.reason == Reason.TOO_LARGE


# --- labels that are no labels


def test_a_compound_label_is_ruled_out_by_itself_and_by_its_members() -> None:
    """Who has seen both has seen each."""
    context = saw(desk(), "PII:SSN&financial:acct")
    for pattern in ("PII:SSN&financial:acct", "PII:*", "PII:SSN", "financial:acct", "*&*", "fin*"):
        refused(Reason.EXPOSED, context, pattern)
    permitted(context, "acct", "PII:SSN&other")
    permitted(saw(desk(), "PII:SSN", "financial:acct"), "PII:SSN&financial:acct")


@pytest.mark.parametrize("labels", [[""], ["b&a"], ["a&"], ["a*"], ["a\n"], [5]])
def test_only_labels_of_that_form_are_written(labels: list[str]) -> None:
    """At issue and later."""
    with pytest.raises(ValueError, match="label"):
        desk(*labels)
    with pytest.raises(ValueError, match="label"):
        saw(desk(), *labels)


def test_one_text_is_not_a_set_of_labels() -> None:
    """Its letters would exclude nothing that was seen; and nothing seen is no exposure."""
    with pytest.raises(TypeError, match="a list of strings"):
        desk("PII:email").verify("agent:desk", "PII:*", NOW)
    with pytest.raises(TypeError, match="a list of strings"):
        desk().expose("PII:email", source="s", key=ROOT)
    with pytest.raises(ValueError, match="at least one label"):
        desk().expose([], source="s", key=ROOT)
    with pytest.raises(ValueError, match="source"):
        desk().expose(["a"], source="", key=ROOT)
    with pytest.raises(ValueError, match="excluded labels"):
        desk().verify("agent:desk", [""], NOW)
    with pytest.raises(ValueError, match="subject"):
        issue_context("", key=ROOT, key_id=1, ttl=HOUR)


# --- the engine


def test_the_engine_must_permit_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever was decoded; and an engine that runs over its limit is no finding about the session."""
    context = desk("PII:email")
    for wrong, subject, excluded in (
        (replace(context, subject="agent:x"), "agent:x", ["a"]),
        (replace(context, blocks=()), "agent:desk", ["PII:email"]),
        (replace(context, expires=NOW + 9999), "agent:desk", ["a"]),
    ):
        with pytest.raises(Denied) as caught:
            wrong.verify(subject, excluded, NOW + 3600 if wrong.expires > context.expires else NOW)
        assert caught.value.reason == Reason.UNAVAILABLE
    monkeypatch.setattr(engine, "ENGINE_LIMIT", timedelta(0))
    assert "over its limit" in refused(Reason.UNAVAILABLE, context).detail


def test_a_reject_of_alternatives_would_deny_only_when_both_match() -> None:
    """Why such a reject is refused at admission."""
    token = Biscuit.from_base64(
        issued('context("a"); reject if exposure("a") or exposure("b")'), ROOT.public.for_biscuit()
    )
    assert hessra.context_verifier(token, "a", now=NOW)
    assert not hessra.context_verifier(token, "a", "b", now=NOW)


LABELS = st.sets(st.sampled_from(["a", "b", "PII:a", "PII:b", "a/b"]), max_size=4)


@settings(max_examples=200)
@given(LABELS, st.lists(LABELS.filter(bool), max_size=3), LABELS)
def test_the_engine_alone_decides_the_same(
    first: set[str], later: list[set[str]], excluded: set[str]
) -> None:
    """Any labels in any blocks: what we find exposed is what Datalog rejects."""
    context = desk(*first)
    for labels in later:
        context = saw(context, *labels)
    token = Biscuit.from_base64(context.token, ROOT.public.for_biscuit())
    if hessra.context_verifier(token, *excluded, now=NOW):
        permitted(context, *excluded)
    else:
        refused(Reason.EXPOSED, context, *excluded)
