"""The command line as a manual: scripts of commands, each with what it prints.

In a script a line after ``$`` is typed into a shell, the lines below it are its output (``...`` stands for
anything in a line) and ``[1]`` is its exit code where that is not 0. Standard error is shown after ``2|``.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import hessra_agents

ROOT = Path(hessra_agents.__file__).parents[1]

FILES = {
    "desk.toml": """
        [[grant]]
        tool = "send_email"
        [grant.arguments]
        to = { email = ["acme.com"] }
        body = { max_length = 2000 }
        [[grant]]
        tool = "read_file"
        [grant.arguments]
        path = { under = "/srv/data" }
        """,
    "ana.toml": """
        [[grant]]
        tool = "send_email"
        [grant.arguments]
        to = "ana@acme.com"
        """,
}


class Shell:
    """A folder, and a shell in it that has ``hessra-agents`` and no terminal."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        bin_folder = folder / "bin"
        bin_folder.mkdir()
        command = bin_folder / "hessra-agents"
        command.write_text(f'#!/bin/sh\nexec {sys.executable} -m hessra_agents.cli "$@"\n')
        command.chmod(0o755)
        self.environment = {"PATH": f"{bin_folder}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
        for name, text in FILES.items():
            (folder / name).write_text(text)

    def run(self, line: str) -> list[str]:
        """What one line prints, in the form of a script."""
        done = subprocess.run(
            ["bash", "-o", "pipefail", "-c", line],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            start_new_session=True,
            check=False,
        )
        told = done.stdout.splitlines() + [f"2| {one}" for one in done.stderr.splitlines()]
        return [*told, *([f"[{done.returncode}]"] if done.returncode else [])]

    def play(self, script: str) -> None:
        """Type every line of the script and compare."""
        lines = [line.strip() for line in script.strip().splitlines()]
        while lines:
            typed = lines.pop(0).removeprefix("$ ")
            expected = []
            while lines and not lines[0].startswith("$ "):
                expected.append(lines.pop(0))
            found = [line.strip() for line in self.run(typed)]
            assert len(found) == len(expected), (typed, found)
            for line, form in zip(found, expected, strict=True):
                pattern = ".*".join(map(re.escape, form.split("...")))
                assert re.fullmatch(pattern, line), (typed, line, form)


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """A shell in a new folder."""
    return Shell(tmp_path)


def test_an_authority_issues_and_a_guard_decides(shell: Shell) -> None:
    """From nothing to a permitted call and a refused one."""
    shell.play("""
        $ hessra-agents keys init roots --no-passphrase
        capability	1	active	...	ed25519/...
        identity	2	active	...	ed25519/...
        context	3	active	...	ed25519/...
        $ hessra-agents trust roots --out trust.json
        $ hessra-agents issue roots agent:desk --grants desk.toml --ttl 10m --audience mail > desk.token
        $ wc -l < desk.token
        1
        $ hessra-agents verify --trust trust.json --audience mail \
            send_email '{"to": "ana@acme.com", "body": "hi"}' < desk.token
        permitted: send_email for agent:desk, ... left (... UTC)
        revocations and limits were not asked: pass --ledger
        $ hessra-agents verify --trust trust.json --audience mail \
            send_email '{"to": "eve@evil.example", "body": "hi"}' < desk.token
        refused: send_email: argument 'to' is not allowed, granted: one email address at 'acme.com' ...
        [1]
        $ hessra-agents verify --trust trust.json --audience files --token desk.token \
            send_email '{"to": "ana@acme.com", "body": "hi"}'
        refused: send_email: the capability is meant for another guard [wrong_audience]
        [1]
        """)


def test_commands_pipe(shell: Shell) -> None:
    """Issue, narrow, look: a token goes from one to the next, and words about it go nowhere else."""
    shell.play("""
        $ hessra-agents keys init roots --no-passphrase > roots.txt
        $ hessra-agents trust roots --out trust.json
        $ hessra-agents issue roots agent:desk --grants desk.toml --ttl 10m --audience mail | \
            hessra-agents attenuate --trust trust.json --grants ana.toml --ttl 1m | \
            hessra-agents inspect --trust trust.json
        signatures valid, from a trusted root key
        agent:desk, usable by any bearer, expires in ... (... UTC)
        allows send_email
        block 0, by the issuer
        grants send_email, read_file
        issued ... UTC
        expires ... UTC
        audience mail
        only send_email(to: one email address at 'acme.com'; body: length at most 2000)
        or read_file(path: a path under /srv/data)
        block 1, added by a bearer, not signed
        drops read_file
        expires ... UTC
        only send_email(to: exactly 'ana@acme.com', other arguments unchanged)
        revocations and limits were not asked: pass --ledger
        $ hessra-agents issue roots agent:desk --grants desk.toml --ttl 10m --audience mail | \
            hessra-agents inspect | sed -n 1p
        signatures not checked, so anyone may have written this: give --trust FILE
        """)


def test_only_the_holder_delegates_and_proves(shell: Shell) -> None:
    """A key per agent; the token alone, or the proof for another call, is worth nothing."""
    shell.play("""
        $ hessra-agents keys init roots --no-passphrase > roots.txt
        $ hessra-agents trust roots --out trust.json
        $ mkdir -m 700 desk mailer
        $ hessra-agents keys new desk/key.pem --no-passphrase > desk.pub
        $ hessra-agents keys new mailer/key.pem --no-passphrase > mailer.pub
        $ hessra-agents issue roots agent:desk --grants desk.toml --ttl 10m --audience mail \
            --holder $(cat desk.pub) > desk.token
        $ hessra-agents delegate --trust trust.json --key desk/key.pem --to $(cat mailer.pub) \
            --grants ana.toml --ttl 1m < desk.token > mailer.token
        $ hessra-agents inspect --trust trust.json < mailer.token | grep -e '^agent' -e block
        agent:desk, held by ed25519/..., expires in ... (... UTC)
        block 0, by the issuer
        block 1, delegated by ed25519/...
        $ (cat mailer.token; hessra-agents prove --key mailer/key.pem --audience mail \
            send_email '{"to": "ana@acme.com", "body": "hi"}' < mailer.token) > proved
        $ hessra-agents verify --trust trust.json --audience mail \
            send_email '{"body": "hi", "to": "ana@acme.com"}' < proved
        permitted: send_email for agent:desk, ...
        revocations and limits were not asked: pass --ledger
        $ hessra-agents verify --trust trust.json --audience mail \
            send_email '{"to": "ana@acme.com", "body": "bye"}' < proved
        refused: send_email: the proof was made for another call [wrong_call]
        [1]
        $ hessra-agents verify --trust trust.json --audience mail \
            send_email '{"to": "ana@acme.com", "body": "hi"}' < mailer.token
        refused: send_email: the call needs a proof by the capability's holder [not_holder]
        [1]
        $ hessra-agents prove --key desk/key.pem --audience mail send_email < mailer.token
        2| hessra-agents: --key: not the key of this capability's holder
        [2]
        $ hessra-agents delegate --trust trust.json --to $(cat desk.pub) --grants ana.toml < mailer.token
        2| hessra-agents: this capability has a holder, and only the holder can delegate it
        2| hessra-agents: hint: give the holder's --key FILE
        [2]
        """)


def test_explain_says_which_block_stands_against_a_call(shell: Shell) -> None:
    """Every failing argument in every block, and the grant that comes nearest."""
    shell.play("""
        $ hessra-agents keys init roots --no-passphrase > roots.txt
        $ hessra-agents trust roots --out trust.json
        $ hessra-agents issue roots agent:desk --grants desk.toml --ttl 10m --audience mail | \
            hessra-agents attenuate --trust trust.json --grants ana.toml > desk.token
        $ hessra-agents explain --trust trust.json \
            send_email '{"to": "bo@acme.com", "body": "hi", "bcc": "x"}' < desk.token
        refused: send_email
        block 0, by the issuer: refuses it
        argument 'bcc' is not granted [unnamed_argument]
        nearest: send_email(to: one email address at 'acme.com'; body: length at most 2000)
        block 1, added by a bearer, not signed: refuses it
        argument 'to' is not allowed, granted: exactly 'ana@acme.com' [constraint]
        nearest: send_email(to: exactly 'ana@acme.com', other arguments unchanged)
        also required at runtime
        audience mail
        signatures valid, from a trusted root key
        revocations and limits were not asked: pass --ledger
        [1]
        $ hessra-agents explain --audience mail send_email '{"to": "ana@acme.com", "body": "hi"}' < desk.token
        allowed: send_email
        block 0, by the issuer: allows it
        allowed by: send_email(to: one email address at 'acme.com'; body: length at most 2000)
        block 1, added by a bearer, not signed: allows it
        allowed by: send_email(to: exactly 'ana@acme.com', other arguments unchanged)
        signatures not checked, so anyone may have written this: give --trust FILE
        revocations and limits were not asked: pass --ledger
        $ hessra-agents explain --audience files read_file '{"path": "/srv/data/a"}' < desk.token
        refused: read_file
        the capability is for the audience 'mail' [wrong_audience]
        block 0, by the issuer: allows it
        allowed by: read_file(path: a path under /srv/data)
        block 1, added by a bearer, not signed: refuses it
        the capability does not grant this [not_granted]
        grants only send_email
        signatures not checked, so anyone may have written this: give --trust FILE
        revocations and limits were not asked: pass --ledger
        [1]
        """)


def test_limits_and_approvals_stand_in_the_file_of_grants(shell: Shell) -> None:
    """At issue and at every narrowing; each block has budgets of its own."""
    shell.play("""
        $ hessra-agents keys init roots --no-passphrase > roots.txt
        $ hessra-agents trust roots --out trust.json
        $ mkdir -m 700 boss; hessra-agents keys new boss/key.pem --no-passphrase > boss.pub
        $ (cat desk.toml; printf '[[limit]]\\ncalls = 50\\nper = "1h"\\n') > counted.toml
        $ printf '[[limit]]\\ncalls = 1\\n[[approval]]\\nkeys = ["%s"]\\n' $(cat boss.pub) > once.toml
        $ hessra-agents issue roots agent:desk --grants counted.toml --ttl 10m --audience mail > desk.token
        $ hessra-agents attenuate --trust trust.json --grants once.toml < desk.token > once.token
        $ hessra-agents inspect --token once.token | grep -e block -e most -e approval
        block 0, by the issuer
        at most 50 calls in any 1h
        only send_email(to: one email address at 'acme.com'; body: length at most 2000)
        block 1, added by a bearer, not signed
        each call requires approval by ed25519/...
        at most 1 call
        $ hessra-agents explain --audience mail --token once.token \
            read_file '{"path": "/srv/data/a"}' | tail -6
        also required at runtime
        limit: at most 50 calls in any 1h
        approval by ed25519/...
        limit: at most 1 call
        signatures not checked, so anyone may have written this: give --trust FILE
        revocations and limits were not asked: pass --ledger
        $ printf '[[limit]]\\ncalls = 1\\nof = ["send_mail"]\\n' > typo.toml
        $ hessra-agents attenuate --trust trust.json --grants typo.toml < desk.token
        2| hessra-agents: tool:send_mail is not granted, so no condition can be about it
        [2]
        $ printf '[[limit]]\\ncall = 1\\n' > typo.toml
        $ hessra-agents attenuate --trust trust.json --grants typo.toml < desk.token
        2| hessra-agents: limit 1: unknown field 'call', did you mean 'calls'?
        [2]
        """)


def test_root_keys_rotate_in_steps_whose_waits_are_kept(shell: Shell) -> None:
    """Prepare, then wait until every guard can know the key."""
    shell.play("""
        $ hessra-agents keys init roots --no-passphrase --propagation-delay 1h --max-ttl 2h > roots.txt
        $ hessra-agents keys rotate roots prepare --kind capability
        capability	1	active	...
        identity	2	active	...
        context	3	active	...
        capability	4	prepared	...
        2| hessra-agents: next: run `hessra-agents trust roots --out trust.json`, ...; then activate, from ...
        $ hessra-agents keys rotate roots activate --kind capability
        2| hessra-agents: capability key 4 can be activated from ... on
        [2]
        $ hessra-agents keys list roots | cut -f 1-3
        capability	1	active
        identity	2	active
        context	3	active
        capability	4	prepared
        $ hessra-agents issue roots agent:desk --grants desk.toml --ttl 3h --audience mail
        2| hessra-agents: ttl must be at most 2h, the max_ttl that this authority was created with
        [2]
        """)


def test_a_passphrase_comes_from_a_file(shell: Shell) -> None:
    """Where there is no terminal, a private key in the clear must be asked for by name."""
    shell.play("""
        $ umask 077; echo correct horse > pass; echo wrong > other
        $ hessra-agents keys init roots
        2| hessra-agents: no terminal to ask for a passphrase
        2| hessra-agents: hint: give --passphrase-file FILE, or --no-passphrase for an unencrypted key
        [2]
        $ hessra-agents keys init roots --passphrase-file pass > roots.txt
        $ grep -l ENCRYPTED roots/*.pem | wc -l
        3
        $ hessra-agents issue roots agent:desk --grants desk.toml --ttl 10m --audience mail
        2| hessra-agents: roots/capability-1.pem: is sealed: give its passphrase
        2| hessra-agents: hint: where there is no terminal, give --passphrase-file FILE
        [2]
        $ hessra-agents issue roots agent:desk --grants desk.toml --ttl 10m --audience mail \
            --passphrase-file other
        2| hessra-agents: roots/capability-1.pem: the passphrase is wrong, or the file is damaged
        [2]
        $ hessra-agents issue roots agent:desk --grants desk.toml --ttl 10m --audience mail \
            --passphrase-file pass | hessra-agents inspect | sed -n 3p
        allows read_file, send_email
        $ chmod 644 pass; hessra-agents issue roots agent:desk --grants desk.toml --ttl 10m \
            --audience mail --passphrase-file pass > desk.token
        2| hessra-agents: --passphrase-file: other users can read this file: run chmod 600 on it
        """)


def test_nobody_makes_an_authority_by_a_slip(shell: Shell) -> None:
    """Only ``keys init`` makes one; a folder's name with a typing error is an error."""
    shell.play("""
        $ hessra-agents issue rots agent:desk --grants desk.toml --ttl 10m --audience mail
        2| hessra-agents: rots: not an authority: `hessra-agents keys init` or Authority.create makes one
        [2]
        $ ls -d rots
        2| ls: cannot access 'rots': No such file or directory
        [2]
        $ hessra-agents keys init roots --no-passphrase > roots.txt
        $ hessra-agents keys init roots --no-passphrase
        2| hessra-agents: roots: already an authority
        [2]
        """)
