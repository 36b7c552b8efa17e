"""Signed notes and checkpoints: only what is signed by a known key, and written in the one way, is read."""

from __future__ import annotations

import json
import random
from base64 import b64decode, b64encode
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hessra_agents import KeyPair, PublicKey
from hessra_agents.tlog.merkle import EMPTY, check_consistency
from hessra_agents.tlog.notes import (
    MAX_NOTE,
    Checkpoint,
    NoteError,
    Signature,
    cosign,
    parse_verifier_key,
    sign,
    signatures,
    verifier_key,
    verify,
)
from tests.support.log_world import ROUNDS

PUBLISHED = json.loads((Path(__file__).parents[1] / "vectors" / "tlog" / "notes.json").read_text())
LOG, WITNESS, OTHER = KeyPair.generate(), KeyPair.generate(), KeyPair.generate()
NAME, WATCHER = "example.com/log", "witness.example/w1"
KEY = verifier_key(NAME, LOG.public)
WATCHED = verifier_key(WATCHER, WITNESS.public, witness=True)
CHECKPOINT = Checkpoint(NAME, 5, bytes(range(32)))
NOTE = sign(CHECKPOINT.text, NAME, LOG)
ROOT = b64encode(CHECKPOINT.root).decode()


def refused(note: str, *keys: str) -> bool:
    try:
        verify(note, keys or (KEY,))
    except NoteError:
        return True
    return False


@pytest.mark.parametrize("case", PUBLISHED, ids=[case["source"] for case in PUBLISHED])
def test_published_notes_are_read_as_published(case: dict[str, list[str]]) -> None:
    note = str(case["note"])
    if case["signed"]:
        assert verify(note, case["keys"]) == (note[: note.rindex("\n\n") + 1], case["signed"])
    else:
        assert refused(note, *case["keys"])


def test_a_published_consistency_proof_leads_from_one_checkpoint_to_the_next() -> None:
    old, new = (Checkpoint.verified(case["note"], case["keys"]) for case in PUBLISHED[2:4])
    proof = [b64decode(one) for one in PUBLISHED[3]["extends"]]
    check_consistency(old.size, old.root, new.size, new.root, proof)


def test_a_signed_checkpoint_is_read_with_the_public_key_alone() -> None:
    assert verify(NOTE, [KEY]) == (CHECKPOINT.text, [NAME])
    assert Checkpoint.verified(NOTE, [KEY]) == CHECKPOINT == Checkpoint.unverified(NOTE)
    assert parse_verifier_key(KEY) == (NAME, LOG.public)
    assert CHECKPOINT.text == f"{NAME}\n5\n{ROOT}\n"


def test_a_note_without_the_signature_of_a_known_key_is_refused() -> None:
    stranger = verifier_key(NAME, OTHER.public)
    assert refused(NOTE, stranger)
    assert refused(NOTE, verifier_key("example.com/log2", LOG.public))
    assert refused(NOTE, WATCHED)
    with pytest.raises(NoteError):
        verify(NOTE, [])
    assert verify(NOTE, [stranger, KEY])[1] == [NAME]


def test_a_signature_of_an_unknown_key_is_as_good_as_none() -> None:
    more = NOTE + sign(CHECKPOINT.text, NAME, OTHER).rsplit("\n\n")[1]
    assert verify(more, [KEY])[1] == [NAME]
    nonsense = NOTE + f"— someone.example {b64encode(b'12345').decode()}\n"
    assert verify(nonsense, [KEY])[1] == [NAME]


def test_one_bad_signature_of_a_known_key_spoils_the_note() -> None:
    bad = sign("another text\n", "b.example", OTHER).rsplit("\n\n")[1]
    both = [KEY, verifier_key("b.example", OTHER.public)]
    assert verify(NOTE + sign(CHECKPOINT.text, "b.example", OTHER).rsplit("\n\n")[1], both)[1] == [
        NAME,
        "b.example",
    ]
    assert refused(NOTE + bad, *both)
    assert not refused(NOTE + bad, KEY)
    assert refused(NOTE + sign("another text\n", NAME, LOG).rsplit("\n\n")[1])


def test_a_signer_is_told_once_and_sixteen_signers_are_read() -> None:
    line = NOTE.rsplit("\n\n")[1]
    assert verify(NOTE + line, [KEY, KEY])[1] == [NAME]
    pairs = [(f"w{number}", KeyPair.generate()) for number in range(16)]
    many = NOTE + "".join(sign(CHECKPOINT.text, name, pair).rsplit("\n\n")[1] for name, pair in pairs)
    assert verify(many, [verifier_key(name, pair.public) for name, pair in pairs])[1] == [
        name for name, _ in pairs
    ]
    assert refused(NOTE + line * (MAX_NOTE // len(line)))


def test_a_witness_says_when_it_saw_the_checkpoint() -> None:
    seen = cosign(NOTE, WATCHER, WITNESS, time=1_679_315_147)
    assert signatures(seen, [WATCHED, KEY])[1] == [Signature(NAME), Signature(WATCHER, 1_679_315_147)]
    assert verify(seen, [WATCHED])[1] == [WATCHER]
    assert cosign(NOTE, WATCHER, WITNESS, time=1_679_315_148) != seen
    assert refused(
        cosign(NOTE, WATCHER, OTHER, time=1) + seen.splitlines(keepends=True)[-1].replace("A", "B"), WATCHED
    )
    for time in (-1, 2**63):
        with pytest.raises(NoteError):
            cosign(NOTE, WATCHER, WITNESS, time=time)


def test_a_changed_time_is_found() -> None:
    head, name, data = cosign(NOTE, WATCHER, WITNESS, time=1000)[:-1].rsplit(" ", 2)
    raw = bytearray(b64decode(data))
    assert int.from_bytes(raw[4:12], "big") == 1000
    for at, value in ((11, 0), (4, 0x80), (4, 0xFF)):
        late = bytes([*raw[:at], value, *raw[at + 1 :]])
        assert refused(f"{head} {name} {b64encode(late).decode()}\n", WATCHED)
    assert not refused(f"{head} {name} {data}\n", WATCHED)


def witnessed(text: str, time: int) -> str:
    """What a witness would not sign."""
    signature = WITNESS.sign(f"cosignature/v1\ntime {time}\n{text}".encode())
    data = bytes.fromhex(WATCHED.split("+")[1]) + time.to_bytes(8, "big") + signature
    return f"{text}\n— {WATCHER} {b64encode(data).decode()}\n"


def test_a_witness_says_nothing_else_than_it_may() -> None:
    assert verify(witnessed(CHECKPOINT.text, 2**63 - 1), [WATCHED])[1] == [WATCHER]
    assert refused(witnessed(CHECKPOINT.text, 2**63), WATCHED)
    assert refused(witnessed("no checkpoint\n", 5), WATCHED)


@pytest.mark.parametrize("length", [0, 1, 63, 65, 128])
def test_a_signature_of_another_length_does_not_hold(length: int) -> None:
    head, data = NOTE[:-1].rsplit(" ", 1)
    raw = b64decode(data)
    other = (raw + raw)[: 4 + length] + (b"x" if length == 0 else b"")
    assert refused(f"{head} {b64encode(other).decode()}\n")


def test_a_witness_signs_checkpoints_only_and_does_not_speak_for_the_log() -> None:
    seen = cosign(NOTE, WATCHER, WITNESS, time=1)
    with pytest.raises(NoteError):
        Checkpoint.verified(seen, [WATCHED])
    for note in (sign("no checkpoint\n", NAME, LOG), NOTE[:-2], "x\n"):
        with pytest.raises(NoteError):
            cosign(note, WATCHER, WITNESS, time=1)
    own = cosign(NOTE.rsplit("\n\n")[0] + "\n\n" + NOTE.rsplit("\n\n")[1], NAME, LOG, time=1)
    log_as_witness = verifier_key(NAME, LOG.public, witness=True)
    assert signatures(own, [log_as_witness])[1] == [Signature(NAME, 1)]
    with pytest.raises(NoteError):
        Checkpoint.verified(own, [log_as_witness])


BROKEN = {
    "empty": "",
    "no signature": CHECKPOINT.text,
    "no signature line": CHECKPOINT.text + "\n",
    "no last newline": NOTE[:-1],
    "one more newline": NOTE + "\n",
    "no empty line": NOTE.replace("\n\n", "\n"),
    "carriage returns": NOTE.replace("\n", "\r\n"),
    "a tab": NOTE.replace("\n5\n", "\n5\t\n"),
    "a nul": NOTE.replace("\n5\n", "\n5\x00\n"),
    "half a character": NOTE.replace("\n5\n", "\n5\ud800\n"),
    "another dash": NOTE.replace("—", "–"),
    "a hyphen": NOTE.replace("—", "-"),
    "two spaces": NOTE.replace("— ", "—  "),
    "a space behind": NOTE[:-1] + " \n",
    "no padding": NOTE[:-2].rstrip("=") + "\n",
    "more padding": NOTE[:-1] + "=\n",
    "url-safe base64": NOTE[:-6] + "-_-=\n",
    "a line break in base64": NOTE[:-9] + "\n" + NOTE[-9:],
    "a signature of 4 bytes": NOTE + "— someone AAAAAA==\n",
    "no name": NOTE + "—  AAAAAAAA\n",
    "a name with a plus": NOTE + "— some+one AAAAAAAA\n",
    "a name with a wide space": NOTE + "— some\u3000one AAAAAAAA\n",
    "a line with a hyphen": NOTE + "- someone AAAAAAAA\n",
    "three parts": NOTE + "— someone AAAAAAAA AAAAAAAA\n",
    "a second line that is none": NOTE + "more text\n",
    "too long": "x" * MAX_NOTE + NOTE,
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_note_that_is_written_in_another_way_is_refused(name: str) -> None:
    assert not refused(NOTE + "— someone AAAAAAAA\n")
    assert refused(BROKEN[name])


def test_bits_that_base64_ignores_are_not_ignored() -> None:
    line = NOTE[:-1]
    assert line.endswith("=")
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    for other in range(64):
        twin = line[:-2] + alphabet[other] + "=\n"
        assert refused(twin) == (twin != NOTE)


def test_no_changed_note_is_accepted() -> None:
    rng, letters = random.Random(1), "\n 0aAZ=+/—.\u2028\x00é"
    for _ in range(ROUNDS):
        at, until = sorted(rng.choices(range(len(NOTE) + 1), k=2))
        part = rng.choice(["", rng.choice(letters), NOTE[at:until] * 2, NOTE[at:until][::-1]])
        changed = NOTE[:at] + part + NOTE[rng.choice([at, at + 1, until]) :]
        if changed != NOTE and not refused(changed):
            assert verify(changed, [KEY]) == (CHECKPOINT.text, [NAME])  # a line by somebody else came in
            assert changed.startswith(CHECKPOINT.text + "\n")
            assert changed.count("—") > NOTE.count("—")
    print(ROUNDS, "changed notes, none accepted as another text")


LINES = st.text(st.characters(exclude_categories=["Cs"], min_codepoint=32), min_size=1, max_size=20)


@given(LINES, st.integers(0, 2**63 - 1), st.binary(min_size=32, max_size=32), st.lists(LINES, max_size=3))
def test_every_checkpoint_is_read_as_it_was_written(
    origin: str, size: int, root: bytes, more: list[str]
) -> None:
    checkpoint = Checkpoint(origin, size, root if size else EMPTY, tuple(more))
    assert Checkpoint.parse(checkpoint.text) == checkpoint
    assert Checkpoint.unverified(sign(checkpoint.text, NAME, LOG)) == checkpoint


@given(st.text(max_size=80) | st.text("a\n015=AB", max_size=80).map(lambda text: f"{NAME}\n{text}\n"))
def test_whatever_is_read_as_a_checkpoint_has_no_other_spelling(text: str) -> None:
    try:
        checkpoint = Checkpoint.parse(text)
    except NoteError:
        return
    assert checkpoint.text == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        f"{NAME}\n5\n{ROOT}",
        f"{NAME}\n5\n",
        f"\n5\n{ROOT}\n",
        f"{NAME}\n\n5\n{ROOT}\n",
        f"{NAME}\n05\n{ROOT}\n",
        f"{NAME}\n+5\n{ROOT}\n",
        f"{NAME}\n-5\n{ROOT}\n",
        f"{NAME}\n 5\n{ROOT}\n",
        f"{NAME}\n5 \n{ROOT}\n",
        f"{NAME}\n5_0\n{ROOT}\n",
        f"{NAME}\n٥\n{ROOT}\n",
        f"{NAME}\n\n{ROOT}\n",
        f"{NAME}\n{2**63}\n{ROOT}\n",
        f"{NAME}\n{'9' * 5000}\n{ROOT}\n",
        f"{NAME}\n0\n{ROOT}\n",
        f"{NAME}\n5\n{ROOT[:-1]}\n",
        f"{NAME}\n5\n{ROOT[:40]}\n",
        f"{NAME}\n5\n{ROOT} \n",
        f"{NAME}\n5\n{b64encode(bytes(33)).decode()}\n",
        f"{NAME}\n5\n{CHECKPOINT.root.hex()}\n",
        f"{NAME}\n5\n{ROOT}\n\n",
        f"{NAME}\n5\n{ROOT}\nmore\n\nmore\n",
        f"{NAME}\r\n5\r\n{ROOT}\r\n",
    ],
)
def test_a_text_that_is_nearly_a_checkpoint_is_refused(text: str) -> None:
    with pytest.raises(NoteError):
        Checkpoint.parse(text)


def test_what_would_not_be_read_is_not_signed() -> None:
    p256 = PublicKey.parse("secp256r1/036b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296")
    for wrong in (
        lambda: sign("no newline", NAME, LOG),
        lambda: sign("a\tb\n", NAME, LOG),
        lambda: sign("text\n", "", LOG),
        lambda: sign("text\n", "a b", LOG),
        lambda: sign("text\n", "a+b", LOG),
        lambda: verifier_key("a\nb", LOG.public),
        lambda: verifier_key(NAME, p256),
        lambda: Checkpoint("", 0, EMPTY),
        lambda: Checkpoint("a\nb", 0, EMPTY),
        lambda: Checkpoint(NAME, -1, EMPTY),
        lambda: Checkpoint(NAME, True, EMPTY),
        lambda: Checkpoint(NAME, 1, b"short"),
        lambda: Checkpoint(NAME, 0, bytes(32)),
        lambda: Checkpoint(NAME, 1, EMPTY, ("",)),
    ):
        with pytest.raises(NoteError):
            wrong()


NO_KEYS = {
    "nothing": "",
    "a name": NAME,
    "spaces": KEY.replace("+", " "),
    "cut": KEY[:-1],
    "padded": KEY + "=",
    "the hash of another name": KEY.replace(NAME, "example.com/lag"),
    "no name": KEY.replace(NAME, ""),
    "a name with a space": KEY.replace(NAME, "a b"),
    "another hash": NAME + "+00000000+" + KEY.split("+", 2)[2],
    "a longer hash": "+".join([NAME, KEY.split("+")[1].upper() + "0", KEY.split("+", 2)[2]]),
    "no point of the curve": f"{NAME}+00000000+{b64encode(bytes([1]) + bytes(32)).decode()}",
    "another algorithm": f"{NAME}+00000000+{b64encode(bytes([6]) + LOG.public.data).decode()}",
    "no algorithm": f"{NAME}+00000000+{b64encode(LOG.public.data).decode()}",
}


@pytest.mark.parametrize("text", NO_KEYS.values(), ids=NO_KEYS)
def test_a_text_that_is_no_verifier_key_is_refused(text: str) -> None:
    for read in (parse_verifier_key, lambda key: verify(NOTE, [KEY, key])):
        with pytest.raises(NoteError):
            read(text)


def test_one_key_may_sign_under_two_names_but_not_two_keys_under_one() -> None:
    twin = verifier_key("twin.example", LOG.public)
    assert verify(NOTE, [twin, KEY, KEY])[1] == [NAME]
    assert KEY.split("+")[1] != twin.split("+")[1] != WATCHED.split("+")[1]
