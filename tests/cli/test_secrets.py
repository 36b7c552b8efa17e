"""No secret goes in where others can read it, and none comes out."""

from __future__ import annotations

import base64
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer

from hessra_agents import KeyPair
from hessra_agents.cli import app
from tests.cli.test_commands import COMMANDS, PASSPHRASE, Line
from tests.cli.test_inputs import MISTAKES, spoil


@pytest.fixture
def line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Line:
    """A command line at a moment that stands still."""
    return Line(tmp_path, monkeypatch)


def test_no_argument_takes_a_token_a_proof_or_a_passphrase(line: Line) -> None:
    """What others can read in a process list is never secret: such options name files."""
    group: Any = typer.main.get_command(app.app)
    found = {}
    for name, command in {**group.commands, **group.commands["keys"].commands}.items():
        for option in getattr(command, "params", ()):
            if set(option.opts) & {"--token", "--proof", "--passphrase-file", "--key", "--trust"}:
                found[name, option.opts[0]] = option.metavar

    assert len(found) > 10
    assert set(found.values()) == {"FILE"}


@pytest.mark.parametrize(
    "form", ["inspect {}", "{}", "verify {} {} {}", "inspect --token {}", "explain t {}"]
)
def test_a_token_in_the_wrong_place_is_not_repeated(line: Line, form: str) -> None:
    """Messages end in logs."""
    token = Path("bearer").read_text()

    done = line(form.replace("{}", token))

    assert done.code == 2
    assert token[:40] not in done.err + done.out


WRONG_PLACES = [
    ["{}\nx"],
    ["{} x"],
    ["keys", "rotate", "roots", "{} "],
    ["keys", "rotate", "roots", "prepare", "--kind", "x{}\t"],
    ["keys", "list", "keys/{}"],
    ["keys", "list", "{}"],
    ["keys", "show", "x/{}"],
    ["keys", "new", "x/{}", "--no-passphrase"],
    ["keys", "init", "roots/{}", "--no-passphrase"],
    ["trust", "x/{}", "--out", "{}"],
    ["issue", "{}", "a", "--grants", "grants.toml", "--ttl", "1m", "--audience", "x"],
    ["issue", "roots", "a", "--grants", "{}", "--ttl", "1m", "--audience", "x"],
    ["issue", "roots", "a", "--grants", "grants.toml", "--ttl", "{}", "--audience", "x"],
    ["issue", "roots", "a", "--grants", "grants.toml", "--ttl", "1m", "--audience", "x", "--holder", "{}"],
    ["attenuate", "--trust", "./{}", "--ttl", "1m", "--token", "bearer"],
    ["attenuate", "--trust", "trust.json", "--designation", "{}=1", "--designation", "{}=2"],
    ["inspect", "--{}"],
    ["inspect", "--token={}"],
    ["prove", "t", "--key", "hold/{}", "--audience", "mail", "--token", "held"],
    ["explain", "t", '{"a": {}}', "--token", "bearer"],
    ["explain", "t", "{}", "--arguments", "{}", "--token", "bearer"],
    ["demo", "--model", "openai:{}"],
]


@pytest.mark.parametrize("form", WRONG_PLACES, ids=" ".join)
@pytest.mark.parametrize("secret", ["token", "key"])
def test_a_secret_is_in_no_message_and_no_hint(line: Line, form: list[str], secret: str) -> None:
    """Also with something around it, as a shell script with a mistake leaves it."""
    token, body = Path("bearer").read_text(), "MC4CAQAwBQYDK2VwBCIEI" + "Q/w+Zx9" * 6
    pem = f"-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n"
    value, hidden = (token, token[8:40]) if secret == "token" else (pem, body[20:40])

    done = line(shlex.join([one.replace("{}", value) for one in form]))

    assert done.code == 2
    assert done.out == ""
    assert hidden not in done.err


def test_a_message_still_names_what_is_wrong(line: Line) -> None:
    """Names and paths of an ordinary length are repeated."""
    assert (
        line("keys list no/such/folder")
        .said[0]
        .startswith("hessra-agents: no/such/folder: not an authority: ")
    )


@pytest.mark.parametrize("typed", [f"inspect {PASSPHRASE}", f"keys new hold/a.pem {PASSPHRASE}"])
def test_a_passphrase_in_the_wrong_place_is_not_repeated(line: Line, typed: str) -> None:
    """An argument too many is counted, not shown."""
    done = line(typed)

    assert done.said == ["hessra-agents: too many arguments"]
    assert PASSPHRASE not in done.err + done.out


def canaries(line: Line) -> list[str]:
    """Every text of every secret that is around."""
    found = [PASSPHRASE]
    pairs = [line.holder, *(line.authority.signer(kind)[1] for kind in ("capability", "identity", "context"))]
    for path in line.folder.glob("[!o]*/[!l]*.pem"):
        body = path.read_text().splitlines()[1:-1]
        found += body
        if path.stat().st_mode & 0o077 == 0 and "ENCRYPTED" not in path.read_text():
            pairs.append(KeyPair.load(path))
    for pair in pairs:
        secret = pair.private.private_bytes_raw()
        found += [secret.hex(), repr(secret)[2:-1], base64.b64encode(secret).decode()]
        found.append(base64.urlsafe_b64encode(secret).decode().rstrip("="))
    return found


def told(error: BaseException | None) -> str:
    """All that an exception and those behind it say."""
    if error is None:
        return ""
    return repr(error) + str(error) + repr(error.args) + told(error.__cause__ or error.__context__)


def test_no_command_shows_a_secret(line: Line) -> None:
    """Private keys and passphrases are in no output and in no exception, whether a command works or fails."""
    spoil(line)
    typed = [(one, "") for one in COMMANDS] + [(one[0], one[1]) for one in MISTAKES.values()]
    typed += [(f"inspect --token {path} --trust {path}", "") for path in ("hold/key.pem", "pass")]
    typed += [
        (f"verify --trust {path} --audience a t --token {path}", "") for path in ("hold/key.pem", "pass")
    ]
    typed += [(f"explain t --token held --trust {path}", "") for path in ("hold/key.pem", "pass")]
    shown = ""
    for text, stdin in typed:
        done = line(text, stdin)
        shown += done.out + done.err
    shown += "".join(told(error) for error in line.errors)

    assert len(line.errors) > 40
    assert [secret for secret in canaries(line) if secret in shown] == []
