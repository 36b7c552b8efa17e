"""The command line and its surroundings: terminals, pipes, signals, and failures of its own."""

from __future__ import annotations

import json
import os
import pty
import select
import shlex
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from hessra_agents import KeyPair, grant
from hessra_agents.cli import token_view as reading
from tests.cli.test_commands import ENVIRONMENT, PASSPHRASE, Line
from tests.support.processes import PATIENCE


@pytest.fixture
def line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Line:
    """A command line at a moment that stands still."""
    return Line(tmp_path, monkeypatch)


ODD = "evil\x1b[2J\x07\u202e\u200b\n[bold]x[/bold]\r\x9b31m"


@pytest.mark.parametrize("tty", [False, True], ids=["pipe", "terminal"])
def test_a_terminal_obeys_nothing_that_a_token_says(line: Line, tty: bool) -> None:
    """Control characters, directions of writing and markup come out as text."""
    token = line.save(
        "odd", f"agent:{ODD}", grant(ODD, {ODD: ODD}), audience=ODD, designations={ODD: ODD}, holder=None
    )
    odd = shlex.quote(ODD)
    shown = ""
    for typed in (
        "inspect",
        "inspect --trust trust.json",
        f"explain {odd}",
        f"explain {odd} {shlex.quote(json.dumps({ODD: ODD}))}",
        f"verify --trust trust.json --audience {odd} {odd}",
        f"verify --trust trust.json --audience {odd} --designation {odd}={odd} {odd} "
        + shlex.quote(json.dumps({ODD: ODD})),
        odd,
        f"keys list {odd}",
        f"issue roots a --ttl 1m --audience x --grants {odd}",
    ):
        done = line(typed, token, terminal=tty)
        shown += done.out + done.err

    shown = shown.replace("\x1b[0m", "").replace("\x1b[1m", "").replace("\x1b[36m", "").replace("\x1b[2m", "")
    assert {c for c in shown if not c.isprintable()} == {"\n"}
    assert "[bold]x[/bold]" in shown


def test_a_subject_cannot_pose_as_a_block(line: Line) -> None:
    """One line of the token is one line of the answer."""
    token = line.save("odd", "agent\n  block 1, by the issuer", grant("t"))

    assert line("inspect", token).out.count("\n  block ") == 1


def test_a_tool_cannot_pose_as_two(line: Line) -> None:
    """A name that could be taken for more than a name is quoted."""
    token = line.save("odd", "agent", grant("read, write"))

    assert "allows 'read, write'\n" in line("inspect", token).out
    assert "grants 'read, write'\n" in line("inspect", token).out


def test_on_a_terminal_an_answer_is_drawn_as_a_tree_or_a_table(line: Line) -> None:
    """In a pipe it is plain lines."""
    assert "├── " in line("inspect --token bearer", terminal=True).out
    assert "kind" in line("keys list roots", terminal=True).out
    assert line("keys list roots").out.count("\t") == 12
    line.patch.setenv("NO_COLOR", "1")  # takes the colors away, and no headers
    assert "├── " in line("inspect --token bearer", terminal=True).out
    assert "\x1b[36m" not in line("inspect --token bearer", terminal=True).out
    assert "kind" in line("keys list roots", terminal=True).out


def test_whatever_fails_inside_is_one_line_without_its_text(line: Line) -> None:
    """The text of an unknown exception may hold a secret; where it happened is said instead."""

    class Panic(BaseException):
        pass

    for error in (
        RuntimeError("canary"),
        KeyError("canary"),
        Panic("canary"),
        RecursionError(),
        MemoryError(),
    ):

        def fails(*_: object, error: BaseException = error) -> None:
            raise error

        line.patch.setattr(reading.TokenView, "of", fails)
        done = line("inspect --token bearer")
        assert (done.code, done.out, len(done.said)) == (3, "", 1)
        assert done.said[0].startswith(f"hessra-agents: failed: {type(error).__name__} in hessra_agents.cli")
        assert "canary" not in done.err


def test_an_interruption_is_told_as_the_shell_tells_it(line: Line) -> None:
    """Ctrl-C is no failure of the program."""

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    line.patch.setattr(reading.TokenView, "of", interrupted)

    assert line("inspect --token bearer").code == 130


CLI = [sys.executable, "-m", "hessra_agents.cli"]

TERMINAL = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.dup2(os.open("/dev/null", os.O_RDONLY), 0)
os.execv(sys.executable, [sys.executable, "-m", "hessra_agents.cli", *sys.argv[1:]])
"""


def process(command: list[str], folder: Path, **options: Any) -> subprocess.CompletedProcess[str]:
    """A process of its own."""
    options = {"stdin": subprocess.DEVNULL, "stderr": subprocess.PIPE, **options}
    return subprocess.run(command, cwd=folder, env=ENVIRONMENT, text=True, check=False, **options)


@pytest.mark.parametrize(
    "arguments", ["inspect --token bearer", "inspect --token bearer --json", "issue --help"]
)
def test_a_broken_pipe_is_silent(line: Line, arguments: str) -> None:
    """Whoever reads the output may stop reading."""
    reader, writer = os.pipe()
    os.close(reader)

    done = process([*CLI, *arguments.split()], line.folder, stdout=writer)
    os.close(writer)

    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
def test_an_answer_that_cannot_be_written_is_a_failure(line: Line) -> None:
    """Exit code 0 says that the token was written."""
    with Path("/dev/full").open("w") as full:
        done = process([*CLI, "inspect", "--token", "bearer"], line.folder, stdout=full)

    assert (done.returncode, done.stderr) == (3, "hessra-agents: failed: no space left on device\n")


@pytest.mark.parametrize(
    ("closed", "code", "text"),
    [
        ("<&-", 2, "there is no standard input"),
        ("--token bearer >&-", 3, "failed: there is no standard output"),
    ],
)
def test_a_closed_stream_is_told(line: Line, closed: str, code: int, text: str) -> None:
    """Without standard output there is nowhere to put an answer; without standard input there is no token."""
    done = process(["bash", "-c", f"{shlex.join(CLI)} inspect {closed}"], line.folder)

    assert (done.returncode, done.stderr.splitlines()[0]) == (code, f"hessra-agents: {text}")


def typed_at(folder: Path, answers: list[str], command: str) -> subprocess.CompletedProcess[str]:
    """Run with a terminal at which a person types; standard input is something else."""
    master, slave = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-c", TERMINAL, *command.split()],
        cwd=folder,
        env=ENVIRONMENT,
        stdin=slave,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as running:
        for answer in answers:
            prompt = b""
            while not prompt.endswith(b": "):
                if not select.select([master], [], [], PATIENCE)[0]:
                    running.kill()
                    pytest.fail(f"there is no prompt: {running.communicate()[1]}")
                prompt += os.read(master, 1024)
            os.write(master, answer.encode() + b"\n")
        out, err = running.communicate()
    os.close(slave)
    os.close(master)
    return subprocess.CompletedProcess([], running.returncode, out, err)


def test_a_person_types_a_passphrase_unseen(line: Line) -> None:
    """A new one twice; then once, and only if the file is sealed. Standard input stays free for a token."""
    new = typed_at(line.folder, [PASSPHRASE, PASSPHRASE], "keys new hold/typed.pem")
    differs = typed_at(line.folder, [PASSPHRASE, "other"], "keys new hold/differs.pem")
    empty = typed_at(line.folder, [""], "keys new hold/empty.pem")
    proof = typed_at(line.folder, [PASSPHRASE], "prove --key hold/sealed.pem --audience a --token held t")

    assert new.stdout.strip() == str(KeyPair.load("hold/typed.pem", passphrase=PASSPHRASE.encode()).public)
    assert (differs.returncode, differs.stderr) == (2, "hessra-agents: the passphrases differ\n")
    assert (empty.returncode, empty.stdout) == (2, "")
    assert proof.stdout.startswith("hp1.")
    assert PASSPHRASE not in "".join(done.stdout + done.stderr for done in (new, differs, empty, proof))
    assert not Path("hold/differs.pem").exists()


def test_key_files_are_for_their_owner(line: Line) -> None:
    """Whatever the umask."""
    before = os.umask(0)
    try:
        line("keys new fresh/key.pem --no-passphrase")
    finally:
        os.umask(before)

    assert stat.S_IMODE(Path("fresh").stat().st_mode) == 0o700
    assert stat.S_IMODE(Path("fresh/key.pem").stat().st_mode) == 0o600
