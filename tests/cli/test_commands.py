"""The command line in this process, and what a program reads from it.

Other files use `Line` as well: a folder with everything that a command needs, at a moment that stands still.
"""

from __future__ import annotations

import io
import json
import os
import shlex
import subprocess
import sys
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from hessra_agents import Authority, KeyPair, grant, must
from hessra_agents.cli import inputs, main, terminal
from hessra_agents.cli import token_view as reading
from hessra_agents.grants.grant_file.reader import _READERS

NOW = 1_800_000_000
PASSPHRASE = "canary-passphrase"
CALL = """send_email '{"to": "ana@acme.com", "body": "hi"}'"""

GRANTS = """
[[grant]]
tool = "send_email"
[grant.arguments]
to = { email = ["acme.com"] }
body = { max_length = 2000 }
"""

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(terminal.__file__).parents[2])}
"""Of a process of its own, which buffers its output as usual."""
ENVIRONMENT.pop("PYTHONUNBUFFERED", None)


@dataclass
class Done:
    """What one command did."""

    code: int
    out: str
    err: str

    @property
    def said(self) -> list[str]:
        """The lines to people, without hints."""
        return [line for line in self.err.splitlines() if not line.startswith("hessra-agents: hint: ")]


class Line:
    """The command line in this process, in a folder with everything that a command needs."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.folder, self.patch = folder, patch
        self.errors: list[BaseException] = []
        patch.chdir(folder)
        patch.setattr(inputs, "now", lambda: NOW)
        patch.setattr(inputs, "_ask", lambda prompt: None)
        tell = terminal.report

        def told(error: BaseException) -> int:
            self.errors.append(error)
            return tell(error)

        patch.setattr(terminal, "report", told)
        self.authority = Authority.create("roots", clock=lambda: NOW)
        self.authority.trust.save("trust.json")
        self.holder, self.other = KeyPair.generate(), KeyPair.generate()
        self.holder.save("hold/key.pem")
        self.holder.save("hold/sealed.pem", passphrase=PASSPHRASE.encode())
        bounds = grant("send_email", to=must.email("acme.com"), body=must.max_length(2000))
        issued: dict[str, Any] = {"ttl": timedelta(minutes=10), "audience": "mail"}
        bearer = self.authority.issue("agent:desk", bounds, **issued)
        held = self.authority.issue("agent:desk", bounds, holder=self.holder.public, **issued)
        foreign = Authority.ephemeral(clock=lambda: NOW).issue("agent:desk", bounds, **issued)
        for name, text in {
            "bearer": bearer.token,
            "held": held.token,
            "foreign": foreign.token,
            "grants.toml": GRANTS,
            "pass": PASSPHRASE + "\n",
            "pub": str(self.holder.public),
            "call.json": shlex.split(CALL)[1],
        }.items():
            Path(name).write_text(text)
            Path(name).chmod(0o600)

    def __call__(self, line: str, stdin: str | bytes = "", *, terminal: bool = False) -> Done:
        data = stdin.encode() if isinstance(stdin, str) else stdin
        out, err = io.TextIOWrapper(io.BytesIO(), "utf-8"), io.TextIOWrapper(io.BytesIO(), "utf-8")
        self.patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data), "utf-8"))
        self.patch.setattr(sys, "stdout", out)
        self.patch.setattr(sys, "stderr", err)
        if terminal:
            self.patch.setattr(out, "isatty", lambda: True, raising=False)
        for name, pair in {"@pub": self.holder, "@other": self.other}.items():
            line = line.replace(name, str(pair.public))
        code = main(shlex.split(line))
        texts = []
        for stream in (out, err):
            stream.flush()
            stream.seek(0)
            texts.append(stream.read())
        return Done(code, *texts)

    def save(self, name: str, subject: str, *grants: Any, **options: Any) -> str:
        """A token in a file, written by the library."""
        told = {"ttl": timedelta(minutes=10), "audience": "mail", **options}
        token = self.authority.issue(subject, *grants, **told).token
        Path(name).write_text(token)
        return token


@pytest.fixture
def line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Line:
    """A command line at a moment that stands still."""
    return Line(tmp_path, monkeypatch)


COMMANDS = {
    "keys init new --no-passphrase": "keys",
    "keys init sealed --passphrase-file pass": "keys",
    "keys list roots": "keys",
    "keys new hold/new.pem --no-passphrase": "path public_key",
    "keys new hold/other.pem --passphrase-file pass": "path public_key",
    "keys show hold/key.pem": "path public_key",
    "keys show hold/sealed.pem --passphrase-file pass": "path public_key",
    "keys rotate roots prepare": "keys next",
    "trust roots --out new.json": "path keys",
    "issue roots agent:desk --grants grants.toml --ttl 10m --audience mail --holder @pub"
    " --not-before 2027-01-15T08:00:01Z --designation tenant=acme": (
        "token subject known_as holder audience expires tools"
    ),
    "attenuate --trust trust.json --ttl 1m --token bearer": "token subject known_as holder expires tools",
    "delegate --trust trust.json --to @pub --grants grants.toml --token bearer": (
        "token subject known_as holder expires tools"
    ),
    "delegate --trust trust.json --key hold/key.pem --to @other --grants grants.toml --token held": (
        "token subject known_as holder expires tools"
    ),
    f"prove --key hold/sealed.pem --passphrase-file pass --audience mail --token held {CALL}": (
        "proof tool audience expires"
    ),
    "inspect --token bearer": (
        "signatures subject known_as vouched holder expires seconds_left tools blocks revoked_by limits_left"
    ),
    "inspect --token held --trust trust.json": (
        "signatures subject known_as vouched holder expires seconds_left tools blocks revoked_by limits_left"
    ),
    f"verify --trust trust.json --audience mail --token bearer {CALL}": (
        "permitted tool subject audience time expires holder blocks revoked_by limits_left"
    ),
    "verify --trust trust.json --audience mail --token bearer send_email --arguments call.json": (
        "permitted tool subject audience time expires holder blocks revoked_by limits_left"
    ),
    "verify --trust trust.json --audience mail --token bearer send_email": (
        "permitted tool reason text detail problems revoked_by limits_left"
    ),
    f"explain --token bearer --audience mail {CALL}": (
        "signatures subject known_as vouched holder expires seconds_left tools allowed tool reasons problems "
        "blocks also revoked_by limits_left"
    ),
}


@pytest.mark.parametrize("typed", COMMANDS)
def test_with_json_every_answer_is_one_object(line: Line, typed: str) -> None:
    """The names of its fields are stable, and a program needs nothing else."""
    done = line(f"{typed} --json")
    answer = json.loads(done.out)

    assert set(answer) == {*COMMANDS[typed].split()}
    assert (done.code == 1) == (answer.get("permitted") is False)
    assert (done.out.count("\n"), done.err) == (1, "")


def test_the_fields_of_a_refusal(line: Line) -> None:
    """What a program acts on: the reason, and every argument with what is granted."""
    done = line("""verify --trust trust.json --audience mail send_email '{"to": 1}' --json --token bearer""")

    assert json.loads(done.out) == {
        "permitted": False,
        "tool": "send_email",
        "reason": "missing_argument",
        "text": "argument 'to' is not allowed, granted: one email address at 'acme.com'; "
        "argument 'body' is missing, granted: length at most 2000",
        "detail": "refused by block 0",
        "problems": [
            {
                "block": 0,
                "argument": "to",
                "reason": "constraint",
                "allowed": "one email address at 'acme.com'",
            },
            {"block": 0, "argument": "body", "reason": "missing_argument", "allowed": "length at most 2000"},
        ],
        "revoked_by": None,
        "limits_left": None,
    }


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("10m", 600), ("1h30m", 5400), ("2d", 172_800), ("1d1h1m1s", 90_061)]
)
def test_a_length_of_time_has_units(text: str, seconds: int) -> None:
    """A bare number would be read as seconds by one and as minutes by another."""
    assert inputs.duration(text, "--ttl") == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0s"), (59, "59s"), (60, "1m"), (61, "1m 1s"), (3600, "1h"), (3661, "1h 1m"), (90_000, "1d 1h")],
)
def test_time_left_has_two_units(seconds: int, words: str) -> None:
    """Enough to see whether it is a minute or a day."""
    assert reading.format_duration(seconds) == words


def test_a_time_beyond_every_calendar_is_a_number() -> None:
    """A token may say any 64-bit number."""
    assert reading.format_time(1 << 62) == f"second {1 << 62}"


def test_the_first_page_is_help(line: Line) -> None:
    """Without a command there is help on standard error, and nothing was done."""
    for typed in ("", "keys"):
        done = line(typed)
        assert (done.code, done.out) == (2, "")
        assert "Usage: hessra-agents" in done.err
    assert "Exit codes:" in line("--help").out
    assert line("--version").code == 0


def test_the_help_of_issue_has_every_constraint(line: Line) -> None:
    """A grant file can be written from the help alone."""
    text = line("issue --help").out

    assert [name for name in _READERS if name not in text] == []


@pytest.mark.parametrize("group", ["", "keys", "log", "mcp"])
def test_the_help_of_a_group_cuts_no_sentence(line: Line, group: str) -> None:
    """Each command is a whole line, in 80 columns."""
    line.patch.setenv("COLUMNS", "80")
    _, commands = line(f"{group} --help").out.split("Commands:\n")

    assert [text for text in commands.splitlines() if not text.endswith(".") or "..." in text] == []


@pytest.mark.parametrize(
    "typed",
    [
        "keys init new --publish 5m",
        "keys init new --longest-ttl 1h",
        "log list --state x",
        "log tail --most 5",
        "log verify --head x",
        "mcp proxy --refusals error",
        "mcp proxy --bearer-over-http",
        "log heads",
        "log break --reason x",
    ],
)
def test_a_former_name_is_an_error_that_names_the_new_one(line: Line, typed: str) -> None:
    """Of an option or a command: the new one is there."""
    done = line(typed)
    former, today = done.said[0].removeprefix("hessra-agents: ").split(" is now ")

    assert (done.code, terminal.RENAMED[former]) == (2, today)
    above = typed.split(f" {former}")[0]
    words = above.split(" ")[:2] if former.startswith("--") else [above]
    assert today in line(f"{' '.join(words)} --help").out


def test_a_former_name_of_another_command_is_not_explained(line: Line) -> None:
    """``issue`` never had it, and has not the new one."""
    done = line("issue keys agent:desk --longest-ttl 1h")
    assert (done.code, "is now" in done.said[0]) == (2, False)


def test_help_loads_no_more_than_it_needs() -> None:
    """It is there at once."""
    code = "import sys; from hessra_agents.cli import main; main(['--help']); print(*sys.modules)"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=True)

    assert not {"rich", "getpass", "hessra_agents.cli.token_view"} & {*done.stdout.splitlines()[-1].split()}
