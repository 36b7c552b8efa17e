"""Files and arguments at the command line's door: what is read has a limit, what is written is whole."""

from __future__ import annotations

import json
import os
import re
import shlex
import stat
import tracemalloc
from pathlib import Path

import pytest

from hessra_agents import Trust
from tests.cli.test_commands import Line


@pytest.fixture
def line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Line:
    """A command line at a moment that stands still."""
    return Line(tmp_path, monkeypatch)


@pytest.mark.parametrize(
    "given",
    [
        ["issue", "roots", "a\udcff", "--grants", "grants.toml", "--ttl", "1m", "--audience", "x"],
        ["issue", "roots", "a", "--grants", "grants.toml", "--ttl", "1m", "--audience", "x\udcff"],
        ["attenuate", "--trust", "trust.json", "--designation", "a=\udcff", "--token", "bearer"],
        ["attenuate", "--trust", "trust.json", "--designation", "\udcff=a", "--token", "bearer"],
        ["prove", "--key", "hold/key.pem", "--audience", "\udcff", "t", "--token", "held"],
        ["verify", "--trust", "trust.json", "--audience", "\udcff", "t", "--token", "bearer"],
        ["explain", "t\udcff", "--token", "bearer"],
        ["explain", "t", '{"a": "\udcff"}', "--token", "bearer"],
        ["keys", "new", "hold/\udcff", "--no-passphrase"],
        ["\udcff"],
    ],
)
def test_an_argument_that_is_no_text_is_told(line: Line, given: list[str]) -> None:
    """A byte that is no utf-8 is not carried into tokens and files."""
    before = sorted(line.folder.rglob("*"))
    done = line(shlex.join(given))

    where = next(number for number, one in enumerate(given, 1) if "\udcff" in one)
    assert (done.code, done.out) == (2, "")
    assert done.err == f"hessra-agents: argument {where}: not valid UTF-8\n"
    assert sorted(line.folder.rglob("*")) == before


def test_arguments_come_from_a_file(line: Line) -> None:
    """What is typed shows in the process list; what is in a file does not."""
    told = "--token bearer --audience mail send_email --arguments"
    text = Path("call.json").read_text()

    assert line(f"verify --trust trust.json {told} call.json").code == 0
    assert line(f"explain {told} -", text).code == 0
    assert line(f"explain {told} -", '{"to": "eve@evil.example", "body": "hi"}').code == 1
    proved = line("prove --key hold/key.pem --audience mail --token held send_email --arguments call.json")
    Path("proof").write_text(proved.out)
    decided = line(
        "verify --trust trust.json --audience mail --token held --proof proof send_email --arguments -", text
    )
    assert decided.code == 0, decided


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="a device of Linux")
@pytest.mark.parametrize(
    "typed", ["inspect --trust /dev/zero", "inspect --token /dev/zero", "explain t --arguments /dev/zero"]
)
def test_a_file_without_end_is_not_read_to_its_end(line: Line, typed: str) -> None:
    """What is read has a limit, also where the file does not say how long it is."""
    tracemalloc.start()
    done = line(typed, "AAAA")
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert done.code == 2
    assert "larger than" in done.err
    assert most < 1 << 26


def test_a_trust_file_has_a_limit_and_one_spelling_of_ids(line: Line) -> None:
    """``int`` would take blanks, underscores and the digits of every script."""
    for key_id in (" 0_1 ", "\u0663", "01", "+1", "-1", "1.0", "", "0x1", "4294967296", "9" * 5000):
        Path("odd").write_text(json.dumps({"capability": {key_id: str(line.holder.public)}}))
        with pytest.raises(ValueError, match="a key id"):
            Trust.load("odd")
    for number in (0, 7, (1 << 32) - 1):
        Path("even").write_text(json.dumps({"capability": {str(number): str(line.holder.public)}}))
        assert [*Trust.load("even").capability] == [number]
    Path("long").write_bytes(Path("trust.json").read_bytes().ljust((1 << 20) + 1))
    with pytest.raises(ValueError, match="larger than"):
        Trust.load("long")
    for path in ("none.json", "."):
        with pytest.raises(ValueError, match=rf"^{re.escape(path)}: the trusted keys cannot be read: "):
            Trust.load(path)


def test_trust_is_written_over_regular_files_only(line: Line) -> None:
    """A pipe, a device, a link: whoever is at the other end would lose it without being told."""
    os.mkfifo("pipe")
    Path("folder").mkdir()
    Path("link").symlink_to("trust.json")
    Path("dangling").symlink_to("nowhere")
    before = {path: path.lstat().st_mode for path in line.folder.iterdir()}
    for name in ("pipe", "folder", "link", "dangling"):
        done = line(f"trust roots --out {name}")
        assert (done.code, done.said) == (2, ["hessra-agents: --out: is there and is not a regular file"])
    assert {path: path.lstat().st_mode for path in line.folder.iterdir()} == before


@pytest.mark.parametrize("mask", [0, 0o077])
def test_a_trust_file_is_written_by_its_owner_and_read_by_all(line: Line, mask: int) -> None:
    """Whatever the umask, and by way of a file whose name nobody can guess and prepare."""
    Path("victim").write_text("kept")
    Path(f".fresh.json.{os.getpid()}").symlink_to("victim")
    before = os.umask(mask)
    try:
        assert line("trust roots --out fresh.json").code == 0
        assert line("trust roots --out fresh.json").code == 0
    finally:
        os.umask(before)

    assert stat.S_IMODE(Path("fresh.json").stat().st_mode) == 0o644
    assert Trust.load("fresh.json") == line.authority.trust
    assert Path("victim").read_text() == "kept"
    assert list(line.folder.glob(".fresh.json.????????????????")) == []


def test_a_trust_file_that_cannot_be_written_leaves_nothing(line: Line) -> None:
    """Neither a part of the file nor a temporary one."""

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    line.patch.setattr(os, "fsync", full)
    before = sorted(line.folder.iterdir())

    assert line("trust roots --out fresh.json").said == ["hessra-agents: --out: no space left on device"]
    assert sorted(line.folder.iterdir()) == before


def test_the_public_key_of_a_key_file_is_shown(line: Line) -> None:
    """For whoever lost it, or was handed the file."""
    assert line("keys show hold/key.pem").out == f"{line.holder.public}\n"
    assert line("keys show hold/sealed.pem --passphrase-file pass").out == f"{line.holder.public}\n"
