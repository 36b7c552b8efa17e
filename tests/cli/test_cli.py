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
        $ hessra-agents verify --trust trust.json --audience mail \
            send_email '{"to": "eve@evil.example", "body": "hi"}' < desk.token
        refused: send_email: argument 'to' is not allowed, granted: one mail address at 'acme.com' ...
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
        the signatures hold, from a trusted root key
        agent:desk, for whoever has the token, expires in ... (... UTC)
        reaches send_email
        block 0, by the issuer
        grants send_email, read_file
        issued ... UTC
        until ... UTC
        at the guard mail
        only send_email(to: one mail address at 'acme.com'; body: at most 2000 long)
        or read_file(path: a path under /srv/data)
        block 1, narrowed by somebody who had it, signed by nobody
        drops read_file
        until ... UTC
        only send_email(to: exactly 'ana@acme.com', the rest as before)
        $ hessra-agents issue roots agent:desk --grants desk.toml --ttl 10m --audience mail | \
            hessra-agents inspect | sed -n 1p
        signatures were not checked, so anybody may have written this: give --trust FILE
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
        $ hessra-agents verify --trust trust.json --audience mail \
            send_email '{"to": "ana@acme.com", "body": "bye"}' < proved
        refused: send_email: the proof was made for another call [wrong_call]
        [1]
        $ hessra-agents verify --trust trust.json --audience mail \
            send_email '{"to": "ana@acme.com", "body": "hi"}' < mailer.token
        refused: send_email: the call needs a proof by the capability's holder [not_holder]
        [1]
        $ hessra-agents prove --key desk/key.pem --audience mail send_email < mailer.token
        2| hessra-agents: --key: is not the key of this capability's holder
        [2]
        $ hessra-agents delegate --trust trust.json --to $(cat desk.pub) --grants ana.toml < mailer.token
        2| hessra-agents: this capability has a holder, and only the holder delegates
        2| hessra-agents: hint: give its key with --key FILE
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
        block 0, by the issuer: does not allow it
        argument 'bcc' is not named [unnamed_argument]
        nearest: send_email(to: one mail address at 'acme.com'; body: at most 2000 long)
        block 1, narrowed by somebody who had it, signed by nobody: does not allow it
        argument 'to' is not allowed, granted: exactly 'ana@acme.com' [constraint]
        nearest: send_email(to: exactly 'ana@acme.com', the rest as before)
        a guard also asks for
        that it is the guard mail
        the signatures hold, from a trusted root key
        [1]
        $ hessra-agents explain --audience mail send_email '{"to": "ana@acme.com", "body": "hi"}' < desk.token
        allowed: send_email
        block 0, by the issuer: allows it
        by: send_email(to: one mail address at 'acme.com'; body: at most 2000 long)
        block 1, narrowed by somebody who had it, signed by nobody: allows it
        by: send_email(to: exactly 'ana@acme.com', the rest as before)
        signatures were not checked, so anybody may have written this: give --trust FILE
        $ hessra-agents explain --audience files read_file '{"path": "/srv/data/a"}' < desk.token
        refused: read_file
        it is for the guard 'mail' [wrong_audience]
        block 0, by the issuer: allows it
        by: read_file(path: a path under /srv/data)
        block 1, narrowed by somebody who had it, signed by nobody: does not allow it
        the capability does not name this tool [not_granted]
        names only send_email
        signatures were not checked, so anybody may have written this: give --trust FILE
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
        $ hessra-agents inspect --token once.token | grep -e block -e most -e approved
        block 0, by the issuer
        at most 50 calls in any 3600 s
        only send_email(to: one mail address at 'acme.com'; body: at most 2000 long)
        block 1, narrowed by somebody who had it, signed by nobody
        each call approved by ed25519/...
        at most 1 call
        $ hessra-agents explain --audience mail --token once.token \
            read_file '{"path": "/srv/data/a"}' | tail -5
        a guard also asks for
        that it counts: at most 50 calls in any 3600 s
        an approval by ed25519/...
        that it counts: at most 1 call
        signatures were not checked, so anybody may have written this: give --trust FILE
        $ printf '[[limit]]\\ncalls = 1\\nof = ["send_mail"]\\n' > typo.toml
        $ hessra-agents attenuate --trust trust.json --grants typo.toml < desk.token
        2| hessra-agents: no grant names tool:send_mail, so nothing of it can be limited, ...
        [2]
        $ printf '[[limit]]\\ncall = 1\\n' > typo.toml
        $ hessra-agents attenuate --trust trust.json --grants typo.toml < desk.token
        2| hessra-agents: limit 1: unknown field 'call', did you mean 'calls'?
        [2]
        """)


def test_root_keys_rotate_in_steps_whose_waits_are_kept(shell: Shell) -> None:
    """Prepare, then wait until every guard can know the key."""
    shell.play("""
        $ hessra-agents keys init roots --no-passphrase --publish 1h --longest-ttl 2h > roots.txt
        $ hessra-agents keys rotate roots prepare --kind capability
        capability	1	active	...
        identity	2	active	...
        context	3	active	...
        capability	4	prepared	...
        $ hessra-agents keys rotate roots activate --kind capability
        2| hessra-agents: capability key 4 can be activated from ... on
        [2]
        $ hessra-agents keys list roots | cut -f 1-3
        capability	1	active
        identity	2	active
        context	3	active
        capability	4	prepared
        $ hessra-agents issue roots agent:desk --grants desk.toml --ttl 3h --audience mail
        2| hessra-agents: ttl is at most 2:00:00, the longest of this authority
        [2]
        """)


def test_a_passphrase_comes_from_a_file(shell: Shell) -> None:
    """Where there is no terminal, a private key in the clear must be asked for by name."""
    shell.play("""
        $ umask 077; echo correct horse > pass; echo wrong > other
        $ hessra-agents keys init roots
        2| hessra-agents: there is no terminal to ask for a passphrase
        2| hessra-agents: hint: --passphrase-file FILE, or --no-passphrase for a private key in the clear
        [2]
        $ hessra-agents keys init roots --passphrase-file pass > roots.txt
        $ grep -l ENCRYPTED roots/*.pem | wc -l
        3
        $ hessra-agents issue roots agent:desk --grants desk.toml --ttl 10m --audience mail
        2| hessra-agents: roots/capability-1.pem: is sealed: give its passphrase
        2| hessra-agents: hint: --passphrase-file FILE, where there is no terminal
        [2]
        $ hessra-agents issue roots agent:desk --grants desk.toml --ttl 10m --audience mail \
            --passphrase-file other
        2| hessra-agents: roots/capability-1.pem: the passphrase is wrong, or the file is damaged
        [2]
        $ hessra-agents issue roots agent:desk --grants desk.toml --ttl 10m --audience mail \
            --passphrase-file pass | hessra-agents inspect | sed -n 3p
        reaches read_file, send_email
        $ chmod 644 pass; hessra-agents issue roots agent:desk --grants desk.toml --ttl 10m \
            --audience mail --passphrase-file pass > desk.token
        2| hessra-agents: --passphrase-file: other users can read this file
        """)


def test_nobody_makes_an_authority_by_a_slip(shell: Shell) -> None:
    """Only ``keys init`` makes one; a folder's name with a typing error is an error."""
    shell.play("""
        $ hessra-agents issue rots agent:desk --grants desk.toml --ttl 10m --audience mail
        2| hessra-agents: rots: is no authority
        2| hessra-agents: hint: to make one: hessra-agents keys init rots
        [2]
        $ ls -d rots
        2| ls: cannot access 'rots': No such file or directory
        [2]
        $ hessra-agents keys init roots --no-passphrase > roots.txt
        $ hessra-agents keys init roots --no-passphrase
        2| hessra-agents: roots: is an authority already
        [2]
        """)
