"""The commands about a log, where its key is not, or is damaged."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from tests.cli.test_cli import Shell
from tests.cli.test_cli import shell as shell
from tests.cli.test_ledger import called as called
from tests.cli.test_ledger import guarded, three_calls


@pytest.mark.parametrize("store", ["sqlite", "postgresql"])
def test_an_auditor_on_another_machine_needs_the_store_and_a_key(
    called: Shell, store: str, request: pytest.FixtureRequest
) -> None:
    """The folder of the logs is somewhere else: what is signed comes from the store, and they are told."""
    if store == "postgresql":
        called.environment["HESSRA_LEDGER"] = request.getfixturevalue("dsn")
        guarded(called.environment["HESSRA_LEDGER"], three_calls, state_dir=called.folder / "own")
    called.play(f"""
        $ hessra-agents log keys --state-dir {"own" if store == "postgresql" else "hessra.db.log"} > log.keys
        $ hessra-agents log checkpoints --state-dir elsewhere > checkpoints
        2| hessra-agents: hessra-agents/...: its checkpoint is the store's, signed by hessra-agents/...
        2| hessra-agents: hint: compare this key with the one that log keys prints on the machine of its guard
        $ head -n 2 checkpoints
        hessra-agents/...
        5
        $ hessra-agents log export out --state-dir elsewhere 2>/dev/null
        out/...: 5 records of hessra-agents/...
        $ hessra-agents log verify --state-dir elsewhere
        hessra-agents/...: consistent, but signed by nobody that is known here; 0 of 5 records signed
        only the store says that hessra-agents/... is its key: compare it with ... and name it with --keys
        [1]
        $ hessra-agents log verify --state-dir elsewhere --keys log.keys --checkpoint checkpoints
        hessra-agents/...: valid; 5 of 5 records signed
        $ export -n HESSRA_LEDGER; hessra-agents log verify out --keys log.keys --checkpoint checkpoints
        out/...: valid, 5 records of hessra-agents/...
        """)


def test_an_auditor_is_told_of_a_log_whose_key_is_known_and_that_is_not_there(called: Shell) -> None:
    """Whoever can write the store, or has the exports, could leave out a whole log."""
    called.play("""
        $ hessra-agents log keys > log.keys; hessra-agents log export out >/dev/null
        $ mv hessra.db.log first; hessra-agents revoke --subject agent:ana --yes >/dev/null 2>&1
        [1]
        $ hessra-agents log keys >> log.keys; wc -l < log.keys
        2
        """)
    with closing(sqlite3.connect(called.folder / "hessra.db")) as db, db:
        for table, column in (("entry", "log"), ("checkpoint", "log"), ("log", "id")):
            db.execute(f"delete from {table} where {column} = 2")
    called.play("""
        $ hessra-agents log verify --keys log.keys --state-dir first
        hessra-agents/...: valid; 5 of 5 records signed
        2| hessra-agents: hessra-agents/...: its key was named, and nothing of this log is here: it has ...
        $ export -n HESSRA_LEDGER; hessra-agents log verify out --keys log.keys
        out/...: valid, 5 records of hessra-agents/...
        2| hessra-agents: hessra-agents/...: its key was named, and nothing of this log is here: it has ...
        """)


def test_a_command_that_has_nothing_to_print_says_so(called: Shell) -> None:
    """An empty file of checkpoints would be kept, and protect nothing. Keys are never the store's."""
    with closing(sqlite3.connect(called.folder / "hessra.db")) as db, db:
        called.play("""
            $ hessra-agents log keys --state-dir elsewhere
            2| hessra-agents: no key was found: run this where the guard runs, as its user, or name its ...
            [1]
            """)
        db.execute("delete from checkpoint")
    called.play("""
        $ hessra-agents log checkpoints --state-dir elsewhere
        2| hessra-agents: no checkpoint was found: run this where the guard runs, as its user, or name its ...
        [1]
        $ hessra-agents log export out --state-dir elsewhere
        2| hessra-agents: hessra-agents/...: omitted, since there is no checkpoint of it, ...
        2| hessra-agents: no checkpoint was found: run this where the guard runs, as its user, or name its ...
        [1]
        """)


@pytest.mark.parametrize("damage", [": >", "truncate -s 60", "chmod 640"])
def test_no_command_waits_for_a_damaged_key(called: Shell, damage: str) -> None:
    """Each says what is damaged; a fork sets it aside."""
    called.play(f"""
        $ {damage} hessra.db.log/0/key; hessra-agents log list | cut -f 2-3
        5	0
        $ hessra-agents log tail 2>&1 | wc -l
        3
        $ hessra-agents log checkpoints
        2| hessra-agents: hessra-agents/...: its key is damaged: ...
        2| hessra-agents: no checkpoint was found: run this where the guard runs, as its user, or name its ...
        [1]
        $ hessra-agents log verify
        hessra-agents/...: not what was signed; 0 of 5 records signed
        its key is damaged: ...
        [1]
        $ hessra-agents revoke --subject agent:desk --yes 2>&1 | grep -e damaged -e epoch
        hessra-agents: the ledger: hessra.db.log/0: its key is damaged: ...; ...'hessra-agents log fork'
        subject agent:desk revoked; in force for all new calls (epoch 1)
        $ hessra-agents log fork --reason 'a bad sector' --yes 2>/dev/null
        hessra-agents/...: ended; its key and checkpoint are in hessra.db.log/broken-1
        $ hessra-agents log verify
        hessra-agents/...: consistent, but signed by nobody that is known here; 0 of 5 records signed
        it was forked, and its records may be anything: a bad sector
        hessra-agents/...: valid; 2 of 2 records signed
        """)
