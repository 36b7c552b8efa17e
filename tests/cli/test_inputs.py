"""The command line's door: every mistake is told in one line, with a hint on a line of its own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hessra_agents.cli import inputs
from hessra_agents.cli.terminal import UsageError
from tests.cli.test_commands import CALL, NOW, Line


@pytest.fixture
def line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Line:
    """A command line at a moment that stands still."""
    return Line(tmp_path, monkeypatch)


MISTAKES: dict[str, tuple[str, str | bytes, int, str]] = {
    "no command like that": ("inspekt", "", 2, "no such command 'inspekt'"),
    "no option like that": ("inspect --tokens x", "", 2, "no such option: --tokens"),
    "an option without value": ("inspect --token", "", 2, "option '--token' requires an argument"),
    "a missing option": ("issue roots a --ttl 1m --audience x", "", 2, "missing option '--grants'"),
    "an unknown step": ("keys rotate roots forward", "", 2, "invalid value for 'STEP'"),
    "no token": ("inspect", "", 2, "standard input: no token found"),
    "only blanks": ("inspect", "\n \n", 2, "standard input: no token found"),
    "two tokens": ("inspect", "a\nb\n", 2, "standard input: 2 lines found"),
    "binary": ("inspect", b"\xff\x00", 2, "standard input: not valid UTF-8"),
    "a byte order mark": ("inspect", b"\xef\xbb\xbfAAAA", 2, "standard input: begins with a byte order mark"),
    "UTF-16": ("inspect", "AAAA".encode("utf-16"), 2, "standard input: begins with a byte order mark"),
    "grants with a byte order mark": (
        "issue roots a --ttl 1m --audience x --grants marked",
        "",
        2,
        "--grants: begins with a byte order mark",
    ),
    "arguments with a byte order mark": (
        "explain t --arguments marked --token bearer",
        "",
        2,
        "--arguments: begins with a byte order mark",
    ),
    "huge": ("inspect", "A" * (1 << 20), 2, "standard input: larger than 65536 bytes"),
    "too large a token": ("inspect", "A" * 40_000, 1, "refused: a capability is at most"),
    "the same, with trust": ("inspect --trust trust.json", "A" * 40_000, 1, "refused: a capability is at"),
    "garbage": ("inspect", "not a token", 1, "refused: the capability is not base64url"),
    "letters": ("inspect", "ünïcödé", 1, "refused: the capability is not base64url"),
    "garbage in base64": ("inspect", "AAAA", 1, "refused: the call, capability or statement"),
    "the same, with trust ": ("inspect --trust trust.json", "AAAA", 1, "refused: the call, capability"),
    "a foreign root": (
        "inspect --trust trust.json --token foreign",
        "",
        1,
        "refused: the capability was changed, or it is from another authority",
    ),
    "a foreign root, narrowed": (
        "attenuate --trust trust.json --ttl 1m --token foreign",
        "",
        1,
        "refused: the capability was changed, or it is from another authority",
    ),
    "no such file": ("inspect --token nowhere", "", 2, "--token: no such file or directory"),
    "a folder": ("inspect --token roots", "", 2, "--token: is a directory"),
    "no such trust": ("inspect --trust nowhere", "AAAA", 2, "--trust: no such file or directory"),
    "trust that is grants": (
        "inspect --trust grants.toml",
        "AAAA",
        2,
        "grants.toml is not a file of trusted",
    ),
    "trust that is huge": (
        "inspect --trust huge",
        "AAAA",
        2,
        "huge is not a file of trusted keys: it is larger than",
    ),
    "trust that is a key": (
        "inspect --trust hold/key.pem",
        "AAAA",
        2,
        "hold/key.pem is not a file of trusted",
    ),
    "grants that are a token": (
        "issue roots a --ttl 1m --audience x --grants bearer",
        "",
        2,
        "this is not TOML",
    ),
    "grants that are binary": (
        "issue roots a --ttl 1m --audience x --grants bytes",
        "",
        2,
        "--grants: not valid UTF-8",
    ),
    "grants that are a key": (
        "issue roots a --ttl 1m --audience x --grants hold/key.pem",
        "",
        2,
        "this is not TOML",
    ),
    "no subject": ("issue roots '' --grants grants.toml --ttl 1m --audience x", "", 2, "a capability needs"),
    "a time without unit": (
        "issue roots a --grants grants.toml --ttl 10 --audience x",
        "",
        2,
        "--ttl: not a duration",
    ),
    "no time at all": (
        "attenuate --trust trust.json --ttl '' --token bearer",
        "",
        2,
        "--ttl: not a duration",
    ),
    "a time of nothing": (
        "attenuate --trust trust.json --ttl 0s --token bearer",
        "",
        2,
        "ttl must be at least one second",
    ),
    "a moment without zone": (
        "issue roots a --grants grants.toml --ttl 1m --audience x --not-before 2026-01-01T18:00",
        "",
        2,
        "--not-before: not a time with a time zone",
    ),
    "a moment that is none": (
        "issue roots a --grants grants.toml --ttl 1m --audience x --not-before soon",
        "",
        2,
        "--not-before: not a time",
    ),
    "a start that is a time ago": (
        "issue roots a --grants grants.toml --ttl 1m --audience x --not-before 2h",
        "",
        2,
        "--not-before: not a time",
    ),
    "a key that is none": (
        "issue roots a --grants grants.toml --ttl 1m --audience x --holder ana",
        "",
        2,
        "--holder: a public key is written ed25519/",
    ),
    "a key for anybody": (
        f"issue roots a --grants grants.toml --ttl 1m --audience x --holder ed25519/{'0' * 64}",
        "",
        2,
        "--holder: a public key that anyone can sign for",
    ),
    "a designation without value": (
        "attenuate --trust trust.json --designation tenant --token bearer",
        "",
        2,
        "--designation: must be written",
    ),
    "a designation given twice": (
        "attenuate --trust trust.json --designation a=1 --designation a=2 --token bearer",
        "",
        2,
        "--designation: a is given twice",
    ),
    "a designation that is reserved": (
        "attenuate --trust trust.json --designation holder=me --token bearer",
        "",
        2,
        "the label 'holder' is",
    ),
    "nothing to narrow": ("attenuate --trust trust.json --token bearer", "", 2, "nothing to narrow"),
    "a call that is no JSON": ("explain t {to:1} --token bearer", "", 2, "the call: not JSON text"),
    "a call that is a list": (
        "explain t [] --token bearer",
        "",
        2,
        "the call: the arguments are not an object",
    ),
    "a call with a name twice": (
        """explain t '{"a":1,"a":2}' --token bearer""",
        "",
        2,
        "the call: a name given twice",
    ),
    "a call without tool": ("explain '' --token bearer", "", 2, "the call: a tool's name"),
    "a proof that is none": (
        "verify --trust trust.json --audience mail send_email --proof bearer --token held --json",
        "",
        1,
        "",
    ),
    "proof and proof": (
        "verify --trust trust.json --audience mail t",
        "a\nb\nc",
        2,
        "standard input: 3 lines",
    ),
    "a proof for a bearer": (
        f"prove --key hold/key.pem --audience mail {CALL} --token bearer",
        "",
        2,
        "this cap",
    ),
    "a key for a bearer": (
        "delegate --trust trust.json --to @other --key hold/key.pem --grants grants.toml --token bearer",
        "",
        2,
        "this capability has no holder",
    ),
    "a key file that is none": (
        f"prove --key hold/text --audience mail {CALL} --token held",
        "",
        2,
        "hold/text: is not a PEM file",
    ),
    "a key file that others read": (
        f"prove --key hold/open.pem --audience mail {CALL} --token held",
        "",
        2,
        "hold/open.pem: others can reach",
    ),
    "a key file in an open folder": (
        f"prove --key open/key.pem --audience mail {CALL} --token held",
        "",
        2,
        "open: others can replace files in it",
    ),
    "a key file that is a link": (
        f"prove --key hold/link.pem --audience mail {CALL} --token held",
        "",
        2,
        "hold/link.pem: is a symbolic",
    ),
    "a key file that is not there": (
        f"prove --key hold/no.pem --audience mail {CALL} --token held",
        "",
        2,
        "hold/no.pem: is not there",
    ),
    "a key file that is there": (
        "keys new hold/key.pem --no-passphrase",
        "",
        2,
        "hold/key.pem: is there already",
    ),
    "a sealed key": (
        f"prove --key hold/sealed.pem --audience mail {CALL} --token held",
        "",
        2,
        "hold/sealed.pem: is sealed",
    ),
    "a passphrase for a key in the clear": (
        f"prove --key hold/key.pem --passphrase-file pass --audience mail {CALL} --token held",
        "",
        2,
        "hold/key.pem: is not sealed",
    ),
    "two ways to seal": (
        "keys new hold/a.pem --no-passphrase --passphrase-file pass",
        "",
        2,
        "give either --passphrase-file or",
    ),
    "an empty passphrase": (
        "keys new hold/a.pem --passphrase-file empty",
        "",
        2,
        "--passphrase-file: must be one line",
    ),
    "a passphrase of two lines": (
        "keys new hold/a.pem --passphrase-file grants.toml",
        "",
        2,
        "--passphrase-file",
    ),
    "an authority that is none": ("keys list hold", "", 2, "hold: not an authority"),
    "an authority that others reach": ("keys list open", "", 2, "open: others can reach it"),
    "a place that cannot be written": (
        "trust roots --out no/where",
        "",
        2,
        "--out: no such file or directory",
    ),
    "a place that is a folder": (
        "trust roots --out hold",
        "",
        2,
        "--out: is there and is not a regular file",
    ),
    "arguments twice": (
        f"explain {CALL} --arguments call.json --token bearer",
        "",
        2,
        "the arguments are given twice",
    ),
    "arguments and a token in one place": (
        "explain send_email --arguments -",
        "{}",
        2,
        "--arguments: standard input carries the token",
    ),
    "arguments that are huge": (
        "explain send_email --arguments huge --token bearer",
        "",
        2,
        "--arguments: larger than",
    ),
    "arguments that are binary": (
        "explain send_email --arguments bytes --token bearer",
        "",
        2,
        "the call: ",
    ),
    "no such arguments": (
        "explain send_email --arguments nowhere --token bearer",
        "",
        2,
        "--arguments: no such file or directory",
    ),
    "a key to show that is not there": ("keys show hold/no.pem", "", 2, "hold/no.pem: is not there"),
    "a sealed key to show": ("keys show hold/sealed.pem", "", 2, "hold/sealed.pem: is sealed"),
    "an unknown model": ("demo --model nobody", "", 2, ""),
}


def spoil(line: Line) -> None:
    """Put beside the files that a command needs those that it cannot use."""
    Path("huge").write_text(" " * ((1 << 20) + 1))
    Path("bytes").write_bytes(b"\xff\xff")
    Path("marked").write_bytes(b"\xef\xbb\xbf{}")
    Path("empty").write_text("")
    Path("empty").chmod(0o600)
    Path("open").mkdir()
    Path("open").chmod(0o777)
    Path("open/keyring.json").write_text("{}")
    Path("hold/text").write_text("no key")
    Path("hold/text").chmod(0o600)
    line.holder.save("hold/open.pem")
    Path("hold/open.pem").chmod(0o644)
    Path("hold/link.pem").symlink_to("key.pem")


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_one_line_and_an_exit_code(line: Line, name: str) -> None:
    """Refused input is 1, bad input is 2; nothing is printed that a pipe could take for an answer."""
    spoil(line)
    typed, stdin, code, text = MISTAKES[name]

    done = line(typed, stdin)

    assert done.code == code
    if "--json" in typed:
        assert json.loads(done.out)["reason"] == "malformed"
    else:
        assert done.out == ""
        assert len(done.said) == 1
        assert done.said[0].startswith("hessra-agents")
        assert text in done.said[0]
        assert not done.said[0].endswith(".")
    assert "Traceback" not in done.err


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2027-01-15T08:00:00Z", NOW),
        ("2027-01-15T09:00:00+01:00", NOW),
        ("2027-01-15", NOW - 8 * 3600),
        ("90m", NOW - 5400),
        ("1d2h", NOW - 26 * 3600),
    ],
)
def test_a_time_is_written_as_people_write_it(line: Line, text: str, seconds: int) -> None:
    """One parser for every option that takes a time."""
    assert inputs.timestamp(text, "--since").timestamp() == seconds


@pytest.mark.parametrize(
    "text", ["", "soon", "2h ago", "2027-02-30", "999999d", "18:00", "2027-01-15T08:00", "5"]
)
def test_a_time_that_is_none_is_refused_with_the_forms_there_are(line: Line, text: str) -> None:
    with pytest.raises(UsageError, match="--since: not a time") as caught:
        inputs.timestamp(text, "--since")
    assert "7d" in caught.value.hint


@pytest.mark.parametrize(
    "typed", ["inspect --trust trust.json", f"verify --trust trust.json --audience mail {CALL}"]
)
def test_a_bad_signature_may_be_another_authoritys(line: Line, typed: str) -> None:
    """Key ids begin at 1 everywhere, so a token of the test environment looks like a forged one."""
    done = line(f"{typed} --token foreign")
    assert done.code == 1
    assert "or it is from another authority than the --trust file" in done.err.splitlines()[-1]
