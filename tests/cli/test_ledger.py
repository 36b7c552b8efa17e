"""The commands about a ledger: what is taken back, approved, looked up, proved and checked."""

from __future__ import annotations

import io
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import closing, redirect_stderr
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client

from hessra_agents import Denied, KeyPair, Ledger, approved_by, grant, must
from hessra_agents.cli.escaping import visible
from hessra_agents.cli.terminal import Progress
from tests.cli.test_cli import Shell
from tests.cli.test_cli import shell as shell
from tests.cli.test_commands import Line
from tests.cli.test_commands import line as line
from tests.cli.test_mcp import Place, listening, text_of
from tests.cli.test_mcp import place as place
from tests.cli.test_terminal import typed_at
from tests.support.ledgers import until
from tests.support.world import ANA, MAIL, World

PASSWORD = "canary-password"
ODD = 'pay \u202eeve\u202c \u200b\u3164\u2800\ufe0f\U000e0041\u00a0\x1b[2J \\u200b "x"\nnext'


def guarded(where: str | Path, work: Callable[[World], Awaitable[Any]], **options: Any) -> Any:
    """What is done with a guard on this ledger, at this moment."""

    async def inside() -> Any:
        world = World(ledger=Ledger.open(where, **options))
        world.now = int(time.time())
        try:
            return await work(world)
        finally:
            await world.ledger.aclose()

    return anyio.run(inside)


async def three_calls(world: World) -> str:
    """Two that are permitted and one that is not; the token."""
    capability = world.issue()
    for number in range(2):
        await world.call(capability, arguments={"to": ANA, "body": f"mail {number}"})
    with pytest.raises(Denied):
        await world.call(capability, arguments={"to": "eve@evil.example", "body": "x"})
    return capability.token


def waiting(where: Path, key: KeyPair, arguments: dict[str, Any]) -> tuple[str, World, str]:
    """A request for an approval by this key; the world that asks, and the capability."""

    async def ask(world: World) -> tuple[str, World, str]:
        granted = grant("send_email", to=must.anything(), body=must.anything())
        capability = world.issue(granted, approved_by(key.public))
        with pytest.raises(Denied) as denied:
            await world.call(capability, arguments=arguments)
        assert denied.value.request is not None
        return denied.value.request, world, capability.token

    found: tuple[str, World, str] = guarded(where, ask)
    return found


def again(where: Path, before: World, token: str, arguments: dict[str, Any]) -> str:
    """The call once more, by a guard of the same authority."""

    async def call(world: World) -> str:
        world.guard.trust = before.authority.trust
        try:
            return str(await world.call(token, arguments=arguments))
        except Denied as denied:
            return str(denied.reason)

    return str(guarded(where, call))


@pytest.fixture
def called(shell: Shell) -> Shell:
    """A shell beside a ledger of three calls."""
    (shell.folder / "token").write_text(guarded(shell.folder / "hessra.db", three_calls))
    shell.environment["HESSRA_LEDGER"] = "hessra.db"
    return shell


def test_what_happened_is_looked_up(called: Shell) -> None:
    """In the order of time; by what a record says, and by what a call carried."""
    called.play("""
        $ hessra-agents log list
        hessra-agents/...	5	5	...
        $ hessra-agents log tail
        ... UTC	...	0	permitted, done	agent:desk	send_email	signed
        ... UTC	...	2	permitted, done	agent:desk	send_email	signed
        ... UTC	...	4	refused: constraint	agent:desk	send_email	signed
        $ hessra-agents log tail -n 1 --json | grep -c '"verdict": "constraint"'
        1
        $ hessra-agents log search --argument 'body=mail 1' --subject agent:desk --verdict permitted
        ... UTC	...	2	permitted, done	agent:desk	send_email	signed
        $ hessra-agents log search --tool pay
        $ hessra-agents log search --since 2126-01-01T00:00:00Z
        $ hessra-agents log search -n 1
        ... UTC	...	4	refused: constraint	agent:desk	send_email	signed
        2| hessra-agents: showing the last 1 of more records: --limit N shows more
        $ hessra-agents log show $(hessra-agents log list | cut -f1) 2 | grep -v -e ' [bc][la]' -e op
        hessra-agents/... 2: permitted, done
        ... UTC, signed
        arguments: {"body": "...", "to": "..."}
        at: ...
        audience: "mail"
        kind: "decision"
        object: "tool:send_email"
        subject: "agent:desk"
        verdict: "permitted"
        arguments stored as keyed hashes only
        $ hessra-agents log show x 2
        2| hessra-agents: there is no such log: `hessra-agents log list` lists them
        [2]
        """)


def test_a_call_without_an_outcome_is_told_as_that(called: Shell) -> None:
    """It still runs, or the process ended: nobody knows, and the record says so."""
    with sqlite3.connect(called.folder / "hessra.db") as db:
        db.execute("delete from entry where idx = 3")
    called.play("""
        $ hessra-agents log tail | sed -n 2p
        ... UTC	...	2	permitted, no outcome: running, or the process ended	agent:desk	send_email	signed
        """)


def test_a_record_that_nobody_signed_for_is_told_as_that(called: Shell) -> None:
    """The store alone vouches for it: its checkpoint is older, or its key is elsewhere."""
    with closing(sqlite3.connect(called.folder / "hessra.db")) as db, db:
        db.execute("insert into entry select log, 5, x'00', kind, body, null, mac from entry where idx = 4")
    called.play("""
        $ hessra-agents log tail | cut -f 3,7
        0	signed
        2	signed
        4	signed
        5	not yet signed for
        $ hessra-agents log show $(hessra-agents log list | cut -f1) 5 | sed -n 2p
        ... UTC, not yet signed for
        $ mkdir -m 700 other; hessra-agents log search --state-dir other | cut -f 3,7 | tail -n 1
        5	no key here
        $ hessra-agents log tail -n 1 --json | grep -c '"signed": false'
        1
        """)


@pytest.mark.parametrize("store", ["sqlite", "postgresql"])
def test_a_log_is_followed(called: Shell, store: str, request: pytest.FixtureRequest) -> None:
    """Each record as it comes, a line each, until Ctrl-C; with --json an object each."""
    where, state = str(called.folder / "hessra.db"), called.folder / "hessra.db.log"
    if store == "postgresql":
        where, state = request.getfixturevalue("dsn"), called.folder / "state"
        called.environment["HESSRA_LEDGER"] = where
        guarded(where, three_calls, state_dir=state)

    def start(*options: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "hessra_agents.cli", "log", "tail", "-f", "-n", "1", *options]
        command += ["--state-dir", str(state)]
        return subprocess.Popen(
            command, cwd=called.folder, env=called.environment, text=True, stdout=subprocess.PIPE
        )

    def words(running: subprocess.Popen[str]) -> str:
        assert running.stdout is not None
        line = running.stdout.readline()
        return str(json.loads(line)["words"] if line.startswith("{") else " ".join(line.split("\t")[3:6]))

    def stop(running: subprocess.Popen[str]) -> int:
        running.send_signal(signal.SIGINT)
        running.communicate()
        return running.returncode

    async def use(world: World) -> None:
        for options, about in ((), " agent:desk send_email"), (("--json",), ""):
            running = start(*options)
            try:
                await anyio.to_thread.run_sync(words, running)
                await world.call(world.issue())
                said = [await anyio.to_thread.run_sync(words, running) for _ in range(2)]
            finally:
                code = await anyio.to_thread.run_sync(stop, running)
            assert (said, code) == (["permitted" + about, "ended: done" + about], 130)

    guarded(where, use, state_dir=state)


class Terminal(io.StringIO):
    """Standard error at a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("err", [Terminal(), io.StringIO()], ids=["terminal", "pipe"])
def test_progress_is_shown_at_a_terminal_from_the_third_second_on(err: io.StringIO) -> None:
    """And is gone at the end."""
    clock = iter([0.0, 1.9, 2.1, 3.0])
    with redirect_stderr(err), Progress(lambda: next(clock)) as progress:
        for done in (1, 2, 1003):
            progress("x", done, 2000)
    line = "hessra-agents: x: 2 of 2,000 records"
    assert err.getvalue() == (f"\r{line}\r{' ' * len(line)}\r" if isinstance(err, Terminal) else "")


def test_an_auditor_checks_a_proof_and_an_export_offline(called: Shell) -> None:
    """With the verifier keys, and a checkpoint that was kept."""
    called.play("""
        $ hessra-agents log keys > log.keys; hessra-agents log checkpoints > checkpoints
        $ hessra-agents log prove $(hessra-agents log list | cut -f1) 4 > proof
        $ hessra-agents log export out
        out/...: 5 records of hessra-agents/...
        $ export -n HESSRA_LEDGER; hessra-agents log verify proof --keys log.keys | grep -e cont -e verdict
        hessra-agents/... contains this as record 4 of the first 5
        verdict: "constraint"
        $ hessra-agents log verify out --keys log.keys --checkpoint checkpoints
        out/...: valid, 5 records of hessra-agents/...
        $ hessra-agents log verify out/* --verifier $(cat log.keys)
        out/...: valid, 5 records of hessra-agents/...
        $ sed -i s/^index.4/index\\ 3/ proof; hessra-agents log verify proof --keys log.keys
        the proof: does not show that the log holds this record: the proof is too short
        [1]
        $ sed -i s/constraint/permission/ out/*/tile/entries/000.p/5
        $ hessra-agents log verify out --keys log.keys
        out/...: tile/entries/000.p/5: record 4 is not the one whose hash is in ...
        [1]
        $ hessra-agents log verify out
        2| hessra-agents: no verifier key is named
        2| hessra-agents: hint: give --keys FILE, written by `log keys`
        [2]
        """)


def test_verify_tells_which_record_was_changed(called: Shell) -> None:
    """In the store itself; and an older checkpoint tells of one that was written anew."""
    called.play("""
        $ hessra-agents log checkpoints > checkpoints; hessra-agents log verify --checkpoint checkpoints
        hessra-agents/...: valid; 5 of 5 records signed
        $ hessra-agents log verify --json | cut -c -20
        {"holds": true, "log
        $ sed s/^5$/4/ checkpoints > lie; hessra-agents log verify --checkpoint lie
        2| hessra-agents: --checkpoint: hessra-agents/...: a signature that claims a known ...
        2| hessra-agents: hint: give the logs' verifier keys with --keys FILE
        [2]
        """)
    with sqlite3.connect(called.folder / "hessra.db") as db:
        db.execute("update entry set body = cast(replace(cast(body as text), 'done', 'fail') as blob)")
    called.play("""
        $ hessra-agents log verify
        hessra-agents/...: not what was signed; 0 of 5 records signed
        its checkpoint covers 5 records that differ from these: one of the records 0 to 4 was changed, or ...
        [1]
        $ hessra-agents log prove $(hessra-agents log list | cut -f1) 1
        2| hessra-agents: refused: the proof: does not show that the log holds this record: ...
        2| hessra-agents: hint: run hessra-agents log verify
        [1]
        $ hessra-agents revoke --subject agent:desk --yes
        2| hessra-agents: the ledger: the log hessra-agents/... does not hold the 5 records that ...
        [2]
        $ hessra-agents log fork --reason 'a test' --yes
        hessra-agents/...: ended; its key and checkpoint are in hessra.db.log/broken-1
        2| hessra-agents: hessra-agents/...: does not hold the 5 records that its checkpoint covers
        2| hessra-agents: hint: revocations and uses after this store was written are lost: revoke again
        $ hessra-agents revoke --subject agent:desk --yes 2>/dev/null
        subject agent:desk revoked; in force for all new calls (epoch 1)
        $ hessra-agents log search --since 2020-01-01T00:00:00Z | cut -f 4,6 | grep -v send | sort
        a log was forked	hessra-agents/...
        revoked	subject agent:desk
        $ hessra-agents log verify | sort
        it was forked, and its records may be anything: a test
        hessra-agents/...: ...
        hessra-agents/...: ...
        hessra-agents/...: ...
        """)


def test_what_is_erased_is_gone_and_the_log_holds(called: Shell) -> None:
    called.play("""
        $ hessra-agents log erase $(hessra-agents log list | cut -f1) 2
        2| hessra-agents: no terminal to ask for confirmation, so nothing was done
        2| hessra-agents: hint: --yes confirms
        [2]
        $ hessra-agents log erase $(hessra-agents log list | cut -f1) 2 --yes
        hessra-agents/... 2: erased
        $ hessra-agents log search --argument 'body=mail 1'
        $ hessra-agents log show $(hessra-agents log list | cut -f1) 2 | tail -n 1
        arguments erased
        $ hessra-agents log tail -n 1
        ... UTC	...	5	arguments were erased		hessra-agents/...	signed
        $ hessra-agents log erase $(hessra-agents log list | cut -f1) 2 --yes
        hessra-agents/... 2: nothing left to erase
        $ hessra-agents log verify
        hessra-agents/...: valid; 6 of 6 records signed
        """)


def test_what_cannot_be_erased_from_the_disk_is_told(called: Shell) -> None:
    with closing(sqlite3.connect(called.folder / "hessra.db")) as reader:
        reader.execute("begin")
        reader.execute("select count(*) from entry").fetchall()
        called.play("""
            $ hessra-agents log erase $(hessra-agents log list | cut -f1) 2 --yes
            hessra-agents/... 2: erased
            2| hessra-agents: not gone from the disk yet: another program reads hessra.db, so its ...
            2| hessra-agents: hint: end that program, and run this command again
            [1]
            """)
    called.play("""
        $ hessra-agents log erase $(hessra-agents log list | cut -f1) 2 --yes
        hessra-agents/... 2: nothing left to erase
        """)


async def old_calls(world: World) -> None:
    """Enough for two tiles, from a hundred days ago."""
    now, world.now = world.now, world.now - 100 * 86_400
    capability = world.issue()
    for _ in range(270):
        await world.call(capability)
    world.now = now


def test_old_records_are_pruned_and_an_auditor_is_content(shell: Shell) -> None:
    """After they were archived; what is left verifies, and so does a new export."""
    guarded(shell.folder / "hessra.db", old_calls)
    shell.environment["HESSRA_LEDGER"] = "hessra.db"
    shell.play("""
        $ hessra-agents log keys > log.keys; hessra-agents log checkpoints > checkpoints
        $ hessra-agents log prune --before 200d --archive archive
        hessra-agents/...: 0 of 540 records are pruned
        nothing to prune: only whole tiles of 256 signed records go, each older than ...
        $ hessra-agents log prune --before 90d --archive archive
        2| hessra-agents: no terminal to ask for confirmation, so nothing was done
        2| hessra-agents: hint: --yes confirms
        [2]
        $ hessra-agents log prune --before 90d --archive archive --yes
        hessra-agents/...: 512 of 540 records are pruned
        $ hessra-agents log prune --before 90d --archive archive --yes
        hessra-agents/...: 512 of 541 records are pruned
        nothing to prune: ...
        $ hessra-agents log tail -n 1
        ... UTC	...	540	records were pruned		hessra-agents/...	signed
        $ hessra-agents log verify --checkpoint checkpoints
        hessra-agents/...: valid; 541 of 541 records signed
        the first 512 records were pruned on ...: they were archived, and their hashes are here
        $ hessra-agents log show $(hessra-agents log list | cut -f1) 7
        2| hessra-agents: record 7 was pruned, and all before record 512: they were archived
        [2]
        $ hessra-agents log prove $(hessra-agents log list | cut -f1) 7
        2| hessra-agents: record 7 was pruned, and all before record 512: they were archived
        [2]
        $ hessra-agents log prove $(hessra-agents log list | cut -f1) 520 > proof
        $ hessra-agents log export new
        new/...: 541 records of hessra-agents/...
        the first 512 records were pruned on ...: they were archived, and their hashes are here
        $ export -n HESSRA_LEDGER; hessra-agents log verify proof --keys log.keys | head -n 1
        hessra-agents/... contains this as record 520 of the first 541
        $ hessra-agents log verify archive --keys log.keys --checkpoint checkpoints
        archive/...: valid, 540 records of hessra-agents/...
        $ hessra-agents log verify new --keys log.keys --checkpoint checkpoints
        new/...: valid, 541 records of hessra-agents/...
        the first 512 records were pruned on ...: they were archived, and their hashes are here
        $ rm new/*/pruning; hessra-agents log verify new --keys log.keys
        new/...: tile/entries/000: is missing; look for it in another copy, or export the log again
        [1]
        """)


def test_a_log_is_pruned_where_its_key_is(shell: Shell) -> None:
    guarded(shell.folder / "hessra.db", old_calls)
    shell.environment["HESSRA_LEDGER"] = "hessra.db"
    shell.play("""
        $ mkdir -m 700 other
        $ hessra-agents log prune --before 90d --no-archive --yes --state-dir other
        2| hessra-agents: hessra-agents/...: left as it is, since its key is not on this machine
        $ hessra-agents log prune --before 90d --no-archive --yes --json
        {"logs": [{"log": "hessra-agents/...", "pruned": 512, "records": 540}]}
        $ hessra-agents log verify
        hessra-agents/...: valid; 541 of 541 records signed
        the first 512 records were pruned on ...: not all of them were archived, and their ...
        """)


# Taking back


def test_what_a_revocation_ends_is_shown_before_it_happens(called: Shell) -> None:
    """Without a terminal nothing happens without --yes; afterwards the token is refused."""
    called.play("""
        $ hessra-agents revoke --token token
        2| hessra-agents: this ends 1 live capability with 0 holders' keys and 0 open approval requests, ...
        2| hessra-agents: no terminal to ask for confirmation, so nothing was done
        2| hessra-agents: hint: --yes confirms
        [2]
        $ hessra-agents log tail | grep -c revoked
        0
        [1]
        $ hessra-agents revoke --token - --yes --reason lost --json < token 2>/dev/null | tr , '\\n'
        {"revoked": "block ..."
        "epoch": 1
        "capabilities": 1
        "holders": 0
        "requests": 0
        "matched": true}
        $ hessra-agents revoke --token token --yes 2>/dev/null | grep epoch
        block ... revoked; in force for all new calls (epoch 1)
        $ hessra-agents log tail | cut -f 4 | tail -n 1
        revoked
        $ hessra-agents revoke --subject agent --root x --yes
        2| hessra-agents: give exactly one of --token, --block, --subject, --holder, --root and --before
        [2]
        $ hessra-agents revoke --subject agent:nobody
        2| hessra-agents: nothing on this ledger matches subject agent:nobody
        2| hessra-agents: hint: the names that this ledger has seen are agent:desk
        2| hessra-agents: no terminal to ask for confirmation, so nothing was done
        2| hessra-agents: hint: --yes confirms
        [2]
        $ hessra-agents revoke --subject agent:nobody --yes 2>/dev/null
        nothing matched; subject agent:nobody is revoked all the same, for all new calls (epoch 2)
        [1]
        $ hessra-agents revoke --before 2126-01-01 --yes
        2| hessra-agents: --before: lies in the future: all that is issued until then would be revoked as well
        2| hessra-agents: hint: --even-future confirms that
        [2]
        $ hessra-agents unrevoke
        2| hessra-agents: no such command 'unrevoke'...
        2| hessra-agents: hint: run hessra-agents --help
        [2]
        """)


@pytest.mark.parametrize(("answer", "code"), [("yes", 0), ("no", 1), ("", 1), ("yess", 1)])
def test_a_person_is_asked(called: Shell, answer: str, code: int) -> None:
    """Only yes is yes."""
    done = typed_at(called.folder, [answer], "revoke --subject agent:desk --ledger hessra.db")
    assert (done.returncode, "epoch 1" in done.stdout) == (code, code == 0)


EVERY = {
    "subject": "--subject agent",
    "before": "--before 2126-01-01T00:00:00Z --even-future",
    "root": "--root {root}",
    "holder": "--holder {holder}",
    "block": "--block {block}",
}


@pytest.mark.parametrize("what", ["a record", "the checkpoint"])
def test_a_damaged_log_keeps_nobody_from_revoking(shell: Shell, what: str) -> None:
    """While the guard runs whose log it is: nobody else may start, and what it permits must have an end."""
    where, checkpoint = shell.folder / "hessra.db", shell.folder / "hessra.db.log/0/checkpoint"

    async def use(world: World) -> None:
        held = world.issue()
        await world.call(held)
        # the checkpoint covers both records of the call: the guard has no reason to write it again
        await until(lambda: checkpoint.exists() and checkpoint.read_text().splitlines()[1] == "2")
        if what == "the checkpoint":
            checkpoint.write_text("nonsense")
        else:
            with closing(sqlite3.connect(where)) as db, db:
                db.execute("update entry set body = x'7b7d' where idx = 0")
        assert shell.run("hessra-agents approvals --ledger hessra.db")[-1] == "[2]"
        said = shell.run("hessra-agents revoke --subject agent:desk --yes --ledger hessra.db")
        assert any(line.startswith("2| hessra-agents: the ledger: ") for line in said)
        assert not said[-1].startswith("["), "it did not fail"
        with world.refuses("revoked"):
            await world.call(held)

    guarded(where, use)


def test_a_damaged_log_is_not_gone_on_with_to_revoke(shell: Shell) -> None:
    """Once nobody writes it, the next who opens the ledger would: then the break comes first."""

    async def use(world: World) -> None:
        await world.call(world.issue())

    guarded(shell.folder / "hessra.db", use)
    (shell.folder / "hessra.db.log/0/checkpoint").write_text("nonsense")
    said = shell.run("hessra-agents revoke --subject agent:desk --yes --ledger hessra.db")
    assert said[-1] == "[2]"


@pytest.mark.parametrize("what", EVERY)
def test_everything_that_can_be_named_is_revoked(shell: Shell, what: str) -> None:
    """The same token, refused for each of them."""
    holder, where = KeyPair.generate(), shell.folder / "hessra.db"

    async def use(world: World) -> tuple[World, Any]:
        held = world.issue(holder=holder.public)
        await world.call(held, proof=world.prove(held, holder))
        return world, held

    async def reuse(world: World) -> str:
        world.guard.trust = before.authority.trust
        with pytest.raises(Denied) as denied:
            await world.call(held, proof=world.prove(held, holder))
        return str(denied.value.reason)

    before, held = guarded(where, use)
    (root,) = before.authority.trust.capability.values()
    (found,) = shell.run(f"hessra-agents log search --holder {holder.public} --ledger hessra.db | cut -f 2,3")
    assert f'  holder: "{holder.public}"' in shell.run(f"hessra-agents log show {found} --ledger hessra.db")
    named = EVERY[what].format(root=root, holder=holder.public, block=held.ids[0])
    said = shell.run(f"hessra-agents revoke {named} --yes --ledger hessra.db")
    assert "2| hessra-agents: this ends 1 live capability with 1 holder's key" in said[1]
    assert guarded(where, reuse) == "revoked"


# Approving


def test_an_approver_sees_the_call_and_approves_it_once(shell: Shell) -> None:
    """With the approver's own key, for this very call."""
    key, where = KeyPair.generate(), shell.folder / "hessra.db"
    key.save(shell.folder / "keys" / "bo.pem")
    KeyPair.generate().save(shell.folder / "keys" / "eve.pem")
    request, world, token = waiting(where, key, MAIL)
    shell.environment |= {"HESSRA_LEDGER": "hessra.db", "R": request}
    shell.play("""
        $ hessra-agents approvals
        ...	"agent:desk"	call "send_email"	...	0 of 1
        $ hessra-agents approvals $R
        request ..., open, ... left (until ... UTC)
        "agent:desk" wants to call "send_email"
        "body": "hi"
        "to": "ana@acme.com"
        digest ...
        approver ed25519/...: no vote yet
        0 of 1 approvals; 1 more needed, by ed25519/...
        $ hessra-agents approve $R --key keys/eve.pem --yes 2>&1 | tail -n 1
        hessra-agents: this request does not ask this key
        [2]
        $ hessra-agents approve $R --key keys/bo.pem 2>&1 | tail -n 2
        hessra-agents: no terminal to ask for confirmation, so nothing was done
        hessra-agents: hint: --yes confirms
        [2]
        $ hessra-agents approve $R --key keys/bo.pem --yes
        approved: request ...
        all approvals are given: the call may go now
        2| hessra-agents: request ..., open, ...
        2| hessra-agents: "agent:desk" wants to call "send_email"
        2| hessra-agents:   "body": "hi"
        2| hessra-agents:   "to": "ana@acme.com"
        2| hessra-agents: digest ...
        2| hessra-agents: approver ed25519/...: no vote yet
        2| hessra-agents: 0 of 1 approvals; 1 more needed, by ed25519/...
        $ hessra-agents approve $R --key keys/bo.pem --yes 2>/dev/null
        approved already by this key: request ...
        all approvals are given: the call may go now
        $ hessra-agents approvals $R | tail -n 2
        approver ed25519/...: approves
        all approvals are given: the call may go now
        $ hessra-agents approvals
        2| hessra-agents: no open requests
        $ hessra-agents approvals --json
        {"requests": []}
        """)
    assert again(where, world, token, {**MAIL, "body": "other"}) == "not_approved"
    assert again(where, world, token, MAIL) == f"sent to {ANA}"
    assert again(where, world, token, MAIL) == "not_approved"
    assert "used" in shell.run("hessra-agents approvals $R")[0]


def test_one_rejection_ends_a_request(shell: Shell) -> None:
    key, where = KeyPair.generate(), shell.folder / "hessra.db"
    key.save(shell.folder / "keys" / "bo.pem")
    request, world, token = waiting(where, key, MAIL)
    shell.environment |= {"HESSRA_LEDGER": "hessra.db", "R": request}
    shell.play("""
        $ hessra-agents reject $R --key keys/bo.pem --yes 2>/dev/null
        rejected: request ...
        $ hessra-agents approvals
        2| hessra-agents: no open requests
        $ hessra-agents log tail | cut -f 4-6 | tail -n 1
        rejected by ed25519/...	agent:desk	send_email
        $ hessra-agents approve $R --key keys/bo.pem --yes 2>&1 | tail -n 1
        hessra-agents: this request is over
        [2]
        $ hessra-agents approvals 0123456789abcdef
        2| hessra-agents: no such request
        2| hessra-agents: hint: hessra-agents approvals lists the open requests
        [2]
        """)
    assert again(where, world, token, MAIL) == "not_approved"


def test_approvers_have_names_and_are_told_what_is_missing(shell: Shell) -> None:
    """Two of three: after each vote, how many more and by whom; a rejection has a reason."""
    where, people = shell.folder / "hessra.db", {name: KeyPair.generate() for name in ("ana", "bo", "cy")}
    for name, pair in people.items():
        pair.save(shell.folder / "keys" / name)
    listed = "".join(f'{name} = "{pair.public}"\n' for name, pair in people.items())
    (shell.folder / "people.toml").write_text(listed)

    async def ask(world: World) -> str:
        granted = grant("send_email", to=must.anything(), body=must.anything())
        rule = approved_by(*(pair.public for pair in people.values()), need=2)
        with pytest.raises(Denied) as denied:
            await world.call(world.issue(granted, rule))
        return str(denied.value.request)

    shell.environment |= {"HESSRA_LEDGER": "hessra.db", "R": guarded(where, ask), "P": "--people people.toml"}
    shell.play("""
        $ hessra-agents approve $R --key keys/ana --yes $P 2>/dev/null | sed 's/ed25519.[0-9a-f]*/KEY/g'
        approved: request ...
        1 of 2 approvals; 1 more needed, by any of ... (KEY), ... (KEY)
        $ hessra-agents approvals $P | cut -f 5
        1 of 2
        $ hessra-agents approvals $R $P | grep approver.ana
        approver ana (ed25519/...): approves
        $ hessra-agents approvals $R $P --json | tr , '\\n' | grep -e need -e given -e complete -e name | sort
        "complete": false
        "given": 1
        "name": "..."
        "name": "..."
        "name": "..."
        "needs": [{"need": 2
        $ hessra-agents reject $R --key keys/bo --reason 'not before Monday' --yes $P 2>/dev/null
        rejected: request ...
        $ hessra-agents approvals $R $P | grep approver.bo
        approver bo (ed25519/...): rejects, because: 'not before Monday'
        $ echo 'ana = 1' > people.toml; hessra-agents approvals $P
        2| hessra-agents: --people: ana: must be a public key
        2| hessra-agents: hint: write ana = "ed25519/..."
        [2]
        """)


def test_nothing_in_a_call_is_hidden_from_its_approver(shell: Shell) -> None:
    """Neither what cannot be seen, nor what is long or has the shape of a secret."""
    key, long = KeyPair.generate(), "A1" * 3000
    key.save(shell.folder / "keys" / "bo.pem")
    request, _, _ = waiting(shell.folder / "hessra.db", key, {"to": ODD, "body": long})
    for typed in (f"approvals {request}", f"approve {request} --key keys/bo.pem"):
        said = "\n".join(shell.run(f"hessra-agents {typed} --ledger hessra.db"))
        assert f'"body": "{long}"' in said
        assert (
            r'"to": "pay \u202eeve\u202c \u200b\u3164\u2800\ufe0f\U000e0041\u00a0\u001b[2J '
            r'\\u200b \"x\"\nnext"'
        ) in said
        assert {c for c in said if not c.isprintable()} == {"\n"}


def test_an_escape_is_not_taken_for_what_it_spells() -> None:
    assert visible("\u200b") == r'"\u200b"'
    assert visible(r"\u200b") == r'"\\u200b"'
    assert visible({"a\u00ad": [1, "é\u3164"]}) == r'{"a\u00ad": [1, "é\u3164"]}'


# Where the ledger is


def test_a_password_in_an_argument_is_refused_and_not_repeated(line: Line) -> None:
    for address in (
        f"postgresql://hessra:{PASSWORD}@127.0.0.1/x",
        f"postgresql://127.0.0.1/x?user=a&password={PASSWORD}",
        f"postgresql://127.0.0.1/x?user=a&p%61ssword={PASSWORD}",
        f"host=127.0.0.1 password={PASSWORD}",
        f"postgres://[{PASSWORD}",
    ):
        for command in ("log list", "revoke --subject a --yes", "mcp proxy --trust t --audience a"):
            done = line(f"{command} --ledger '{address}'")
            assert done.said[0] == (
                "hessra-agents: --ledger: contains a password, which other programs can read there: "
                "change the password"
            )
            assert done.code == 2
            assert PASSWORD not in done.out + done.err


def test_a_password_is_in_no_message(shell: Shell, dsn: str) -> None:
    """Whether the server is not there, or does not take it, or is given none; and what to do is said."""
    password = dsn.split("@")[0].rpartition(":")[2]
    wrong = dsn.replace(password, PASSWORD)
    gone = f"postgresql://hessra:{PASSWORD}@127.0.0.1:1/x"
    none = dsn.replace(f":{password}", "")
    for address, remedy in ((wrong, "~/.pgpass"), (gone, "no server answers"), (none, "PGPASSWORD")):
        (shell.folder / "address").write_text(address + "\n")
        (shell.folder / "address").chmod(0o600)
        for command in ("log list", "log verify", "approvals", "revoke --subject a --yes"):
            said = shell.run(f"hessra-agents {command} --ledger-file address")
            assert "the ledger: postgresql://127.0.0.1:" in said[0]
            assert remedy in said[0]
            assert said[-1] == "[2]"
            assert PASSWORD not in "".join(said)


def test_postgresql_is_named_by_a_file_or_the_environment(shell: Shell, dsn: str) -> None:
    """The same commands on a server; others see neither address nor password."""
    guarded(dsn, three_calls, state_dir=shell.folder / "state")
    (shell.folder / "address").write_text(dsn + "\n")
    shell.environment["HESSRA_LEDGER"] = dsn
    shell.play("""
        $ hessra-agents log tail --state-dir state | cut -f 4
        permitted, done
        permitted, done
        refused: constraint
        $ hessra-agents log verify --state-dir state
        hessra-agents/...: valid; 5 of 5 records signed
        $ hessra-agents revoke --subject agent:desk --yes --state-dir state 2>/dev/null
        subject agent:desk revoked; in force for all new calls (epoch 1)
        $ export -n HESSRA_LEDGER; hessra-agents log list --ledger-file address --state-dir state | wc -l
        1
        2| hessra-agents: --ledger-file: other users can read this file: run chmod 600 on it
        $ hessra-agents log verify --ledger-file address --state-dir other 2>/dev/null | tail -n 1
        only the store says that hessra-agents/... is its key: compare it with ... and name it with --keys
        [1]
        """)


FIELDS = {
    "log list": "logs",
    "log tail": "records",
    "log search --verdict permitted": "records",
    "log show $O 0": "log index outcome words signed record erased",
    "log prove $O 0": "log index proof",
    "log verify": "absent holds logs",
    "log verify out --keys keys": "absent holds logs",
    "log verify prove --keys keys": "holds log index signed record",
    "log export out": "exports",
    "log checkpoints": "checkpoints",
    "log keys": "keys",
    "log erase $O 0 --yes": "log index erased scrubbed",
    "log prune --before 1d --no-archive --yes": "logs",
    "approvals": "requests",
    "revoke --subject agent --yes 2>/dev/null": "revoked epoch capabilities holders requests matched",
}


def test_with_json_every_answer_is_one_object(called: Shell) -> None:
    """The names of its fields are stable, and a program needs nothing else."""
    origin = called.run("hessra-agents log list")[0].split()[0]
    called.environment["O"] = origin
    for name in ("keys", "prove $O 0", "export out"):
        called.run(f"hessra-agents log {name} > {name.split()[0]}")
    for typed, names in FIELDS.items():
        (answer,) = called.run(f"hessra-agents {typed} --json")
        assert set(json.loads(answer)) == {*names.split()}, typed


MISTAKES = {
    "log list": "no ledger is named",
    "log list --ledger none.db": "the ledger: none.db: no such file",
    "revoke --subject a --yes --ledger none.db": "the ledger: none.db: no such file",
    "approvals --ledger ''": "no ledger is named",
    "log list --ledger mysql://host/x": "the ledger: a ledger is the path of a file, or a postgresql:...",
    "log list --ledger desk.toml": "the ledger: desk.toml: others can reach it (mode 0644): run ...",
    "log list --ledger-file none": "--ledger-file: no such file or directory",
    "log list --ledger-file desk.toml": "--ledger-file: must be one line with the address of a ledger",
    "log list --ledger x --ledger-file y": "give either --ledger or --ledger-file, not both",
    "log list --state-dir x": "--state-dir requires a ledger, and none is named",
    "log verify none --keys desk.toml": "the proof: no such file or directory",
    "log verify desk.toml --keys desk.toml": "the proof: not one that `log prove` wrote",
    "log search --since yesterday --ledger x": "--since: not a time with a time zone",
    "log search --verdict refused --ledger x": "--verdict: no such verdict",
    "log prune --before 1d --ledger x": "give either --archive DIR or --no-archive",
    "log prune --before 1d --no-archive --archive y --ledger x": "give either --archive DIR or ...",
    "log prune --before 1m --no-archive --ledger x": "--before: records of the last 120 seconds are kept",
    "log search --argument x --ledger x": "--argument: must be written label=value",
    "revoke --holder x --ledger x": "--holder: ...",
    "revoke --root x --ledger x": "--root: ...",
    "revoke --block x --ledger x": "a block is named by 64 or 128 lower-case hex digits",
    "revoke --ledger x": "give exactly one of --token, ...",
}


@pytest.mark.parametrize("typed", MISTAKES)
def test_a_mistake_is_told_and_makes_nothing(shell: Shell, typed: str) -> None:
    """A name that is not there is no new ledger."""
    before = {*os.listdir(shell.folder)}
    said = shell.run(f"chmod 644 desk.toml; hessra-agents {typed}")
    words = MISTAKES[typed].removesuffix("...")
    told = [line for line in said[:-1] if "hint:" not in line and "other users can read" not in line]
    assert [words in line for line in told] == [True]
    assert said[-1] == "[2]"
    assert {*os.listdir(shell.folder)} == before


# The proxy


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_proxy_remembers_and_hears_of_revocations(place: Place, anyio_backend: str) -> None:
    """Through its end; and while it runs, of what another process takes back."""
    options = ["--capability", "bearer", "--ledger", "proxy.db"]
    async with Client(place.parameters(place.proxy(*options))) as client:
        assert text_of(await client.call_tool("add", {"a": 2, "b": 3})) == "5"
        us = [sys.executable, "-m", "hessra_agents.cli"]
        revoking = [*us, "revoke", "--subject", "agent:desk", "--yes", "--ledger", "proxy.db"]
        done = await anyio.to_thread.run_sync(lambda: place.run(*revoking))
        assert "epoch 1" in done.stdout, done.stderr
        assert "revoked" in text_of(await client.call_tool("add", {"a": 2, "b": 3}))
    told = place.run(*us, "log", "tail", "--json", "--ledger", "proxy.db")
    words = [one["words"] for one in json.loads(told.stdout)["records"]]
    assert sorted(words) == ["permitted, done", "refused: revoked", "revoked"]
    assert place.run(*us, "log", "verify", "--ledger", "proxy.db").returncode == 0


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_proxy_that_serves_http_signs_its_log_when_it_ends(place: Place, anyio_backend: str) -> None:
    """A signal leaves it the time to write what waits."""
    options = ["--listen", "127.0.0.1:0", "--capability", "bearer", "--ledger", "http.db"]
    with listening(place, place.proxy(*options)) as url:
        async with Client(url) as client:
            for _ in range(3):
                await client.call_tool("add", {"a": 2, "b": 3})
    told = place.run(
        sys.executable, "-m", "hessra_agents.cli", "log", "list", "--json", "--ledger", "http.db"
    )
    (log,) = json.loads(told.stdout)["logs"]
    assert (log["records"], log["signed"]) == (6, 6)


def test_a_server_does_not_see_where_the_ledger_is(place: Place, dsn: str) -> None:
    spy = ["sh", "-c", "env >seen; cat /proc/$$/cmdline /proc/$PPID/cmdline >>seen; cat >>seen"]
    options = ["--state-dir", "proxy-state"]
    done = place.run(*place.proxy(*options, command=spy), HESSRA_LEDGER=dsn)
    assert done.returncode == 0, done.stderr
    seen = (place.folder / "seen").read_text()
    assert "postgresql" not in seen + done.stderr
    assert "HESSRA_LEDGER" not in seen


def test_a_ledger_in_a_clients_configuration_is_the_one_of_this_folder(place: Place) -> None:
    us = [sys.executable, "-m", "hessra_agents.cli", "mcp", "config", "cursor", "sums", "--"]
    proxy = ["--trust", "trust.json", "--audience", "sums", "--ledger"]
    for given, written in (
        ("proxy.db", str(place.folder / "proxy.db")),
        ("postgresql://h/x", "postgresql://h/x"),
    ):
        pasted = json.loads(place.run(*us, *proxy, given, "--", sys.executable, "server.py").stdout)
        arguments = pasted["mcpServers"]["sums"]["args"]
        assert arguments[arguments.index("--ledger") + 1] == written
