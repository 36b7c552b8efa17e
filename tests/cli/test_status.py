"""What an operator asks a ledger at night: is it revoked, what is left, what did it do, who is below it."""

from __future__ import annotations

import json
import os
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from hessra_agents import KeyPair, approved_by, grant, limit, must
from tests.cli.test_cli import Shell
from tests.cli.test_cli import shell as shell
from tests.cli.test_ledger import guarded
from tests.support.world import MAIL, World

CALL = f"send_email '{json.dumps(MAIL)}'"
TWENTY = (grant("send_email", to=must.anything(), body=must.anything()), limit(calls=20))


def eight_calls(shell: Shell, where: str | Path, **options: Any) -> None:
    """Of twenty, two of them by a sub-agent."""

    async def use(world: World) -> None:
        world.authority.trust.save(shell.folder / "trust.json")
        capability = world.issue(*TWENTY)
        (shell.folder / "token").write_text(capability.token)
        desk = world.guard.toolbox(capability)
        mailer = desk.delegate("agent:desk:mailer", grant("send_email"), limit(calls=5))
        for caller in [desk] * 6 + [mailer] * 2:
            await caller.call("send_email", MAIL)
        (shell.folder / "mailer").write_text(mailer.capability.token)

    guarded(where, use, **options)


@pytest.fixture
def used(shell: Shell) -> Shell:
    """A shell beside a ledger with eight calls."""
    eight_calls(shell, shell.folder / "hessra.db")
    return shell


def test_without_a_ledger_every_command_says_what_it_did_not_ask(used: Shell) -> None:
    for typed in (f"verify --trust trust.json --audience mail {CALL}", "inspect", f"explain {CALL}"):
        said = used.run(f"hessra-agents {typed} --token token")
        assert said[-1] == "revocations and limits were not asked: pass --ledger"
        (answer,) = used.run(f"hessra-agents {typed} --token token --json")
        assert (json.loads(answer)["revoked_by"], json.loads(answer)["limits_left"]) == (None, None)


def test_with_a_ledger_they_say_what_is_left_and_what_is_revoked(used: Shell) -> None:
    """The same answer, whichever command is asked, and whichever way the ledger is named."""
    used.play(f"""
        $ hessra-agents verify --trust trust.json --audience mail --token token {CALL} --ledger hessra.db
        permitted: send_email for agent:desk, ... left (...)
        not revoked
        12 of 20 calls left: at most 20 calls
        $ HESSRA_LEDGER=hessra.db hessra-agents inspect --trust trust.json < token | sed -n 3,4p
        not revoked
        12 of 20 calls left: at most 20 calls
        $ hessra-agents explain {CALL} --token token --ledger hessra.db | tail -n 3
        signatures not checked, so anyone may have written this: give --trust FILE
        not revoked, unless its root key is: give --trust FILE
        12 of 20 calls left: at most 20 calls
        $ hessra-agents revoke --subject agent:desk --reason 'it leaked' --yes --ledger hessra.db 2>/dev/null
        subject agent:desk revoked; in force for all new calls (epoch 1)
        $ hessra-agents verify --trust trust.json --audience mail --token token {CALL} --ledger hessra.db
        refused: send_email: the capability has been revoked [revoked]
        revoked ... UTC, 'it leaked': subject agent:desk
        [1]
        $ hessra-agents inspect --token token --ledger hessra.db | sed -n 3p
        revoked ... UTC, 'it leaked': subject agent:desk
        $ hessra-agents explain {CALL} --token token --ledger hessra.db 2>&1 | sed -n 1,2p
        refused: send_email
        revoked ... UTC, 'it leaked': subject agent:desk [revoked]
        [1]
        """)


def test_asking_uses_nothing_up_and_begins_no_log(used: Shell) -> None:
    before = sorted(os.listdir(used.folder / "hessra.db.log"))
    for _ in range(2):
        said = used.run(
            f"hessra-agents verify --trust trust.json --audience mail --token token {CALL} --ledger hessra.db"
        )
        assert said[2] == "12 of 20 calls left: at most 20 calls"
    assert sorted(os.listdir(used.folder / "hessra.db.log")) == before


def test_verify_refuses_what_a_guard_on_this_ledger_would_refuse(shell: Shell) -> None:
    """A limit that is used up, a proof that was used; and it finds the approvals that are there."""
    holder, boss = KeyPair.generate(), KeyPair.generate()

    async def use(world: World) -> None:
        world.authority.trust.save(shell.folder / "trust.json")
        once = world.issue(*TWENTY[:1], limit(calls=1))
        await world.call(once)
        held = world.issue(*TWENTY[:1], holder=holder.public)
        proof = world.prove(held, holder)
        await world.call(held, proof=proof)
        asked = world.issue(*TWENTY[:1], approved_by(boss.public))
        with world.refuses("not_approved"):
            await world.call(asked)
        (request,) = await world.ledger.requests()
        await world.ledger.approve(request, key=boss)
        for name, text in {
            "once": once.token,
            "held": f"{held.token}\n{proof.token}",
            "asked": asked.token,
        }.items():
            (shell.folder / name).write_text(text)

    guarded(shell.folder / "hessra.db", use)
    verify = f"hessra-agents verify --trust trust.json --audience mail --ledger hessra.db {CALL}"
    shell.play(f"""
        $ {verify} < once
        refused: send_email: used up: at most 1 call, 0 left [spent]
        [1]
        $ hessra-agents explain --ledger hessra.db {CALL} < once | sed -n 2p
        0 of 1 calls left: at most 1 call [spent]
        [1]
        $ {verify} < held
        refused: send_email: the proof was used before [replayed]
        [1]
        $ {verify} < asked | head -n 1
        permitted: send_email for agent:desk, ...
        """)


def test_an_amount_is_told_with_its_decimal_places(shell: Shell) -> None:
    """By every command; a program gets units, and how many places they have."""

    async def use(world: World) -> None:
        world.authority.trust.save(shell.folder / "trust.json")
        paid = limit(sum_of="value", at_most=Decimal("5000.00"))
        held = world.issue(grant("store", value=must.number(high=9999.99)), paid)
        await world.call(held, "store", {"value": 4987.5})
        (shell.folder / "token").write_text(held.token)

    guarded(shell.folder / "hessra.db", use)
    shell.environment["HESSRA_LEDGER"] = "hessra.db"
    verify = "hessra-agents verify --trust trust.json --audience mail --token token"
    shell.play(f"""
        $ hessra-agents limits
        agent:desk	sum of value at most 5000.00	4987.50	12.50
        $ hessra-agents limits --json
        {{"limits": [{{..."most": 500000, "used": 498750, "left": 1250, "places": 2, ...}}], ...}}
        $ hessra-agents status --token token | grep left
        12.50 of 5000.00 left: sum of value at most 5000.00
        $ hessra-agents inspect --token token | grep sum
        12.50 of 5000.00 left: sum of value at most 5000.00
            sum of value at most 5000.00
        $ {verify} store '{{"value": 12.51}}'
        refused: store: used up: sum of value at most 5000.00, 12.50 left [spent]
        [1]
        $ {verify} store '{{"value": 12.5}}' | head -n 1
        permitted: store for agent:desk, ...
        $ hessra-agents explain --token token store '{{"value": 12.51}}' | grep spent
        12.50 of 5000.00 left: sum of value at most 5000.00 [spent]
        [1]
        """)


def test_status_is_one_command_for_the_night(used: Shell) -> None:
    used.play("""
        $ hessra-agents status --ledger hessra.db --token token --trust trust.json -n 3
        signatures valid, from a trusted root key
        agent:desk, usable by any bearer, expires in ... (... UTC)
        not revoked
        12 of 20 calls left: at most 20 calls
        used at this ledger, with what was built on it
        agent:desk, any bearer, expires in ...
        agent:desk (says it is agent:desk:mailer), held by ed25519/..., expires in ...
        last records
        ... UTC  permitted, done  agent:desk  send_email
        ... UTC  permitted, done  agent:desk (says it is agent:desk:mailer)  send_email
        ... UTC  permitted, done  agent:desk (says it is agent:desk:mailer)  send_email
        $ hessra-agents status --ledger hessra.db --token - < mailer | sed -n 4,8p
        12 of 20 calls left: at most 20 calls
        3 of 5 calls left: at most 5 calls
        used at this ledger, with what was built on it
        agent:desk (says it is agent:desk:mailer), held by ed25519/..., expires in ...
        last records
        $ hessra-agents status --ledger hessra.db | grep -v UTC
        revocations, the last ones
        none
        limits that are used up
        none
        requests for approval
        none
        capabilities that were used and have not expired
        agent:desk, any bearer, expires in ...
        agent:desk (says it is agent:desk:mailer), held by ed25519/..., expires in ...
        last records
        $ hessra-agents revoke --token mailer --yes --ledger hessra.db 2>/dev/null > /dev/null
        $ hessra-agents status --ledger hessra.db --token token | sed -n 3p
        not revoked, unless its root key is: give --trust FILE
        $ hessra-agents status --ledger hessra.db --token mailer | sed -n 3p
        revoked ... UTC: block ...
        [1]
        $ hessra-agents status --ledger hessra.db | grep "^ *agent:desk"
        agent:desk, any bearer, expires in ...
        agent:desk (says it is agent:desk:mailer), held by ed25519/..., revoked
        """)
    (answer,) = used.run("hessra-agents status --ledger hessra.db --token mailer --json | cat")[:1]
    fields = json.loads(answer)
    assert [entry["kind"] for entry in fields["revoked_by"]] == ["block"]
    assert [use["left"] for use in fields["limits_left"]] == [12, 3]
    assert len(fields["records"]) == 2
    assert "below" in fields["seen"][0]
    assert fields["seen"][0]["revoked"]


def test_what_was_issued_before_a_revoked_moment_is_shown_as_revoked(used: Shell) -> None:
    used.play("""
        $ hessra-agents revoke --before 1d --yes --ledger hessra.db > /dev/null 2>&1
        [1]
        $ hessra-agents status --ledger hessra.db | grep "^ *agent:desk"
        agent:desk, any bearer, ...
        agent:desk (says it is agent:desk:mailer), held by ed25519/..., ...
        $ hessra-agents status --ledger hessra.db | grep -c "revoked$"
        0
        [1]
        $ hessra-agents revoke --before 2099-01-01 --even-future --yes --ledger hessra.db > /dev/null 2>&1
        $ hessra-agents status --ledger hessra.db | grep "^ *agent:desk"
        agent:desk, any bearer, revoked
        agent:desk (says it is agent:desk:mailer), held by ed25519/..., revoked
        """)


def test_what_was_revoked_and_what_is_left_are_lists(used: Shell) -> None:
    used.play("""
        $ hessra-agents revocations --ledger hessra.db
        $ hessra-agents revoke --before 1d --yes --reason moved --ledger hessra.db > /dev/null 2>&1
        [1]
        $ hessra-agents revoke --subject agent:desk --yes --ledger hessra.db > /dev/null 2>&1
        $ hessra-agents revocations --ledger hessra.db
        2	... UTC	subject agent:desk
        1	... UTC	everything issued before ... UTC	moved
        $ hessra-agents revocations -n 1 --json --ledger hessra.db
        {"revocations": [{"epoch": 2, "kind": "subject", "revoked": "subject agent:desk", "reason": "", ...}]}
        $ hessra-agents limits --ledger hessra.db
        agent:desk	at most 20 calls	8	12
        agent:desk	at most 5 calls	2	3
        $ hessra-agents limits --json --ledger hessra.db | cut -c -60
        {"limits": [{"limit": "at most 20 calls", "most": 20, "used"...
        """)


def test_postgresql_answers_the_same(shell: Shell, dsn: str) -> None:
    eight_calls(shell, dsn, state_dir=shell.folder / "state")
    shell.environment["HESSRA_LEDGER"] = dsn
    shell.play(f"""
        $ hessra-agents verify --trust trust.json --audience mail --token token {CALL} --state-dir state
        permitted: send_email for agent:desk, ... left (...)
        not revoked
        12 of 20 calls left: at most 20 calls
        $ hessra-agents status --token mailer -n 1 --state-dir state | sed -n 4,8p
        12 of 20 calls left: at most 20 calls
        3 of 5 calls left: at most 5 calls
        used at this ledger, with what was built on it
        agent:desk (says it is agent:desk:mailer), held by ed25519/..., expires in ...
        last records
        $ hessra-agents limits --state-dir state
        agent:desk	at most 20 calls	8	12
        agent:desk	at most 5 calls	2	3
        $ hessra-agents revoke --subject agent:desk --yes --state-dir state > /dev/null 2>&1
        $ hessra-agents revocations --state-dir state
        1	... UTC	subject agent:desk
        $ hessra-agents verify --trust trust.json --audience mail --token token {CALL} --state-dir state
        refused: send_email: the capability has been revoked [revoked]
        revoked ... UTC: subject agent:desk
        [1]
        """)


def test_a_status_of_a_ledger_that_is_not_there_makes_none(shell: Shell) -> None:
    assert shell.run("hessra-agents status --ledger none.db") == [
        "2| hessra-agents: the ledger: none.db: no such file",
        "[2]",
    ]
    assert not (shell.folder / "none.db").exists()


def test_a_sub_agent_is_named_handed_on_to_and_revoked_from_the_shell(shell: Shell) -> None:
    """The holder's name is in its token, in what was used and in the log, and a revocation finds it."""
    holder, mailer = KeyPair.generate(), KeyPair.generate()

    async def use(world: World) -> None:
        world.authority.trust.save(shell.folder / "trust.json")
        key = shell.folder / "secret"
        key.mkdir(mode=0o700)
        holder.save(key / "key.pem")
        held = world.issue(*TWENTY, holder=holder.public)
        (shell.folder / "held").write_text(held.token)
        delegate = "hessra-agents delegate --trust trust.json --token held --key secret/key.pem"
        (shell.folder / "grants.toml").write_text('[[grant]]\ntool = "send_email"\n')
        shell.play(f"""
            $ {delegate} --to {mailer.public} \
              --grants grants.toml --name agent:desk:mailer --last > mailer
            $ {delegate} --to {mailer.public} \
              --grants grants.toml --name agent:ceo
            2| hessra-agents: the name must be agent:desk:<name>, where <name> is ...
            [2]
            $ {delegate} --to {mailer.public} \
              --grants grants.toml --hops 2 --only-to {holder.public} --only-to {mailer.public} > two
            """)
        named = world.guard.read((shell.folder / "mailer").read_text().strip())
        await world.call(named, proof=world.prove(named, mailer))

    guarded(shell.folder / "hessra.db", use)
    shell.play(f"""
        $ hessra-agents inspect --token mailer | sed -n 2p
        agent:desk:mailer, held by {mailer.public}, expires in ...
        $ hessra-agents inspect --token mailer | grep -e known -e handed
        known as agent:desk:mailer
        not handed on
        $ hessra-agents inspect --token two | grep handed
        handed on at most 2 times
        handed on only to ed25519/... or ed25519/...
        $ hessra-agents status --ledger hessra.db | grep "^ *agent:desk"
        agent:desk:mailer, held by ed25519/..., expires in ...
        $ hessra-agents log search --subject agent:desk:mailer --ledger hessra.db | cut -f 5 | tail -n 1
        agent:desk:mailer
        $ hessra-agents revoke --subject agent:desk:mailr --ledger hessra.db --yes
        nothing matched; subject agent:desk:mailr is revoked all the same, for all new calls (epoch 1)
        2| hessra-agents: nothing on this ledger matches subject agent:desk:mailr
        2| hessra-agents: hint: the names that this ledger has seen are agent:desk:mailer
        [1]
        $ hessra-agents revoke --subject agent:desk:mailer --ledger hessra.db --yes
        subject agent:desk:mailer revoked; in force for all new calls (epoch 2)
        2| hessra-agents: this ends 1 live capability with 1 holder's key and 0 open approval requests, ...
        """)


def test_a_budget_is_shown_with_what_is_left_of_it_by_whatever_capability(shell: Shell) -> None:
    """The trust file says whose it is; without one the budget is not asked, and that is said."""

    async def use(world: World) -> None:
        world.authority.trust.save(shell.folder / "trust.json")
        for name in ("first", "second"):
            held = world.issue(*TWENTY[:1], limit(calls=3, budget="mails"))
            await world.call(held)
            (shell.folder / name).write_text(held.token)

    guarded(shell.folder / "hessra.db", use)
    shell.play("""
        $ hessra-agents inspect --token first --trust trust.json --ledger hessra.db | sed -n 4p
        1 of 3 calls left: budget mails: at most 3 calls
        $ hessra-agents inspect --token first --ledger hessra.db | sed -n 4p
        its budgets were not asked: give --trust FILE, a file that names the authority
        $ hessra-agents inspect --token first | grep "^ *budget"
        budget mails: at most 3 calls
        $ hessra-agents limits --ledger hessra.db | cut -f 2-
        budget mails: at most 3 calls...2...1
        """)
