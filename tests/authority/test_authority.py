"""The authority signs capabilities within its bounds, and shows no private key."""

from __future__ import annotations

import copy
import pickle
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from hessra_agents import Authority, Call, Capability, Denied, KeyPair, Reason, approved_by, grant, must
from hessra_agents.keys.keyfile import KeyFileError
from hessra_agents.keys.trust import KINDS
from hessra_agents.verify.verifier import verify
from tests.keys.test_keyfile import secrets, told

NOW = 1_800_000_000
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
MAIL = grant("send_email", to="ana@acme.com", body=must.anything())
CALL = Call.of("send_email", {"to": "ana@acme.com", "body": "hi"})
OTHER = Call.of("send_email", {"to": "eve@evil.example", "body": "hi"})


def authority(**options: Any) -> Authority:
    return Authority.ephemeral(clock=lambda: NOW + 0.75, **options)


def permitted(capability: Capability, *, now: int = NOW, **options: Any) -> None:
    assert verify(capability, CALL, now=now, audience="mail", **options).call == CALL


def refused(capability: Capability, reason: Reason, *, now: int = NOW, **options: Any) -> None:
    with pytest.raises(Denied) as caught:
        verify(capability, CALL, now=now, audience="mail", **options)
    assert caught.value.reason == reason


def test_an_issued_capability_permits_what_its_grants_name() -> None:
    """The token that is issued is read with the authority's trust, and permits the named call only."""
    root = authority()
    token = root.issue("agent:desk", MAIL, ttl=MINUTE, audience="mail").token
    found = Capability.parse(token, root.trust)
    assert verify(found, CALL, now=NOW, audience="mail").subject == "agent:desk"
    with pytest.raises(Denied):
        verify(found, OTHER, now=NOW, audience="mail")


def test_another_authority_is_not_trusted() -> None:
    """Two authorities use the same ids and different keys."""
    token = authority().issue("agent:desk", MAIL, ttl=MINUTE, audience="mail").token
    with pytest.raises(Denied) as caught:
        Capability.parse(token, authority().trust)
    assert caught.value.reason == Reason.BAD_SIGNATURE


def test_a_capability_ends_with_its_ttl() -> None:
    """It is good until the second before ttl is over, counted from the clock or from the given now."""
    root = authority()
    for now in (None, NOW + 500):
        start = NOW if now is None else now
        capability = root.issue("agent:desk", MAIL, ttl=MINUTE, audience="mail", now=now)
        permitted(capability, now=start + 59)
        refused(capability, Reason.EXPIRED, now=start + 60)


def test_no_capability_lives_longer_than_the_longest_ttl() -> None:
    """The bound itself is issued and one second more is not; 24 hours unless the authority says else."""
    for root, longest in ((authority(), 24 * HOUR), (authority(max_ttl=MINUTE), MINUTE)):
        assert root.max_ttl == longest
        assert root.issue("agent:desk", MAIL, ttl=longest).expires == NOW + longest.total_seconds()
        with pytest.raises(ValueError, match="ttl must be at most"):
            root.issue("agent:desk", MAIL, ttl=longest + timedelta(seconds=1))
        with pytest.raises(ValueError, match="at least one second"):
            root.issue("agent:desk", MAIL, ttl=timedelta(0))


def test_a_capability_starts_when_it_is_told_to() -> None:
    """not_before has a zone and is rounded up to whole seconds."""
    root = authority()
    start = datetime.fromtimestamp(NOW + 99, timezone(timedelta(hours=2))) + timedelta(milliseconds=1)
    capability = root.issue("agent:desk", MAIL, ttl=HOUR, audience="mail", not_before=start)
    assert capability.blocks[0].starts == NOW + 100
    permitted(capability, now=NOW + 100)
    refused(capability, Reason.NOT_YET_VALID, now=NOW + 69)


def test_a_start_without_zone_or_after_the_end_is_refused() -> None:
    """Nobody knows when a naive time is; a capability that ends before it starts is a mistake."""
    root, end = authority(), datetime.fromtimestamp(NOW + 60, UTC)
    with pytest.raises(ValueError, match="time zone"):
        root.issue("agent:desk", MAIL, ttl=MINUTE, not_before=end.replace(tzinfo=None))
    with pytest.raises(ValueError, match="before it starts"):
        root.issue("agent:desk", MAIL, ttl=MINUTE, not_before=end)
    last = root.issue("agent:desk", MAIL, ttl=MINUTE, not_before=end - timedelta(seconds=1))
    assert last.blocks[0].starts == NOW + 59


@pytest.mark.parametrize("what", ["send_email", MAIL.constraints, None, [MAIL]])
def test_a_capability_is_made_of_grants(what: Any) -> None:
    """A name, a list or nothing in the place of a grant is an error, not a wider capability."""
    with pytest.raises(TypeError, match="grant"):
        authority().issue("agent:desk", MAIL, what, ttl=MINUTE)


def test_a_capability_needs_a_subject_and_a_grant() -> None:
    """Empty never means anything."""
    with pytest.raises(ValueError, match="at least one grant"):
        authority().issue("agent:desk", ttl=MINUTE)
    with pytest.raises(ValueError, match="subject"):
        authority().issue("", MAIL, ttl=MINUTE)


def test_what_is_asked_for_reaches_the_token() -> None:
    """Holder, designations and approvals are checks of the first block; a guard refuses without them."""
    root, holder, boss = authority(), KeyPair.generate(), KeyPair.generate()
    bound = root.issue("agent:desk", MAIL, ttl=MINUTE, audience="mail", holder=holder.public)
    proof = bound.prove(CALL, key=holder, audience="mail", now=NOW)
    permitted(bound, proof=proof)
    refused(bound, Reason.NOT_HOLDER)
    team = root.issue("agent:desk", MAIL, ttl=MINUTE, audience="mail", designations={"team": "blue"})
    permitted(team, designations={"team": "blue"})
    refused(team, Reason.WRONG_AUDIENCE, designations={"team": "red"})
    careful = root.issue("agent:desk", MAIL, approved_by(boss.public), ttl=MINUTE, audience="mail")
    (vote,) = careful.approve(CALL, key=boss, now=NOW)
    permitted(careful, approvals=[vote])
    refused(careful, Reason.NOT_APPROVED)


def test_every_kind_of_token_has_a_key_of_its_own() -> None:
    """Three kinds, three ids, three keys; trust knows each under its kind only."""
    root = authority()
    signers = {kind: root.signer(kind) for kind in KINDS}
    assert len({key_id for key_id, _ in signers.values()}) == 3
    assert len({pair.public for _, pair in signers.values()}) == 3
    for kind, (key_id, pair) in signers.items():
        assert dict(getattr(root.trust, kind)) == {key_id: pair.public}
    listed = root.keys()
    assert [(key.kind, key.state) for key in listed] == [(kind, "active") for kind in KINDS]
    with pytest.raises(ValueError, match="not a kind of token"):
        root.signer("session")


@pytest.mark.parametrize("passphrase", ["", b"", "\udcff words"])
def test_a_passphrase_that_seals_nothing_is_refused(tmp_path: Path, passphrase: Any) -> None:
    """An empty variable must not leave keys unsealed, and no message shows what was given."""
    with pytest.raises(ValueError, match="passphrase") as caught:
        Authority.create(tmp_path / "keys", passphrase=passphrase)
    assert not (tmp_path / "keys").exists()
    assert "udcff" not in told(caught.value)


def test_a_sealed_folder_signs_with_its_passphrase_only(tmp_path: Path) -> None:
    """Text and bytes are the same passphrase; without it, or with another, nothing is signed."""
    made = Authority.create(tmp_path / "keys", passphrase="häuser")
    token = made.issue("agent:desk", MAIL, ttl=MINUTE).token
    same = Authority.open(tmp_path / "keys", passphrase="häuser".encode())
    assert Capability.parse(token, same.trust).subject == "agent:desk"
    assert same.signer("capability")[1].public == same.trust.capability[1]
    for other in (None, "Häuser"):
        unable = Authority.open(tmp_path / "keys", passphrase=other)
        assert unable.trust == same.trust  # public keys need none
        with pytest.raises(KeyFileError, match="passphrase"):
            unable.issue("agent:desk", MAIL, ttl=MINUTE)
        with pytest.raises(KeyFileError, match="passphrase"):
            unable.rotate("prepare")
    assert len(same.keys()) == 3


def test_no_text_shows_a_private_key_or_a_passphrase(tmp_path: Path) -> None:
    """Canary: every repr, every error, the keyring and what cannot be pickled are free of secrets."""
    words = "correct horse battery staple"
    root = Authority.create(tmp_path / "keys", passphrase=words)
    pairs = [root.signer(kind)[1] for kind in KINDS]
    texts = [repr(root), str(root), repr(vars(root)), repr(root.keys()), repr(root.trust), repr(pairs)]
    texts += [
        repr(authority()),
        repr(root.issue("agent:desk", MAIL, ttl=MINUTE)),
        str(root.signer("context")),
    ]
    texts.append((tmp_path / "keys" / "keyring.json").read_text())

    def error(act: Any) -> None:
        with pytest.raises((ValueError, TypeError)) as caught:
            act()
        texts.append(told(caught.value))

    error(lambda: pickle.dumps(root))
    error(lambda: copy.deepcopy(root))
    error(lambda: copy.copy(authority()))
    error(lambda: root.issue("", MAIL, ttl=MINUTE))
    error(lambda: root.issue("agent:desk", MAIL, ttl=1000 * HOUR))
    error(lambda: root.rotate("activate"))
    error(lambda: root.rotate("retire"))
    error(lambda: Authority.open(tmp_path / "keys", passphrase=words + "!").issue("a", MAIL, ttl=MINUTE))
    error(lambda: Authority.create(tmp_path / "keys", passphrase=words))
    (tmp_path / "keys" / "keyring.json").write_text("{}")
    error(lambda: root.issue("agent:desk", MAIL, ttl=MINUTE))
    (tmp_path / "keys").chmod(0o755)
    error(lambda: root.issue("agent:desk", MAIL, ttl=MINUTE))
    shown = "\n".join(texts)
    for secret in [*(text for pair in pairs for text in secrets(pair)), words]:
        assert secret not in shown
