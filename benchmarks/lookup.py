"""What it takes to know that nothing is revoked, whatever the list holds; tenuo's list at the same sizes.

*A block*: the marks of capabilities of 16 blocks are looked up, a sixteenth of the time is told; capabilities
and warrants take turns. *A call*: the whole decision
on one of 100 capabilities that were read, as tenuo's ``authorize_one`` decides on a warrant that was read.
Memory and the time to load are measured in fresh processes: ours opens an SQLite file with such a list, and
tenuo's reads a list from its bytes, verifies its signature and gives it to an authorizer.
"""

from __future__ import annotations

import json
import os
import resource
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Any

from hessra_agents import Capability, Guard, Ledger, Toolbox
from hessra_agents.ledger.revocations import RevocationList

from . import workload as work
from .children import ROOT
from .clock import Operation, Times, measure
from .ours import LIFE, Ours
from .peers import Peers, Tenuo
from .stores import NORMAL, Store, Stores

SIZES = (0, 1_000, 100_000, 1_000_000)
BLOCKS = 16
_MARK = 16  # bytes
_CHAINS, _HELD = 2_000, 100  # in turn, so that no processor's cache knows the answer
_ISSUED = int(time.time())


def a_block(size: int) -> str:
    """The name of the operation: our lookup."""
    return f"hessra_agents: {BLOCKS} blocks, {size:9,} revoked"


def a_call(size: int) -> str:
    """The name of the operation: our decision."""
    return f"hessra_agents: decide, {size:9,} revoked"


def their_lookup(size: int) -> str:
    """The name of the operation: whether one warrant is in tenuo's list."""
    return f"tenuo: is_revoked, {size:9,} revoked"


def their_call(size: int) -> str:
    """The name of the operation: tenuo's decision."""
    return f"tenuo: authorize, {size:9,} revoked"


async def timings(here: Ours, others: Peers, *, sizes: tuple[int, ...], rounds: int, batch_us: int) -> Times:
    """All sizes of both, interleaved."""
    operations = [*others.operations()[:2]]  # the yardstick
    marks = len(here.delegated(BLOCKS)[0].revocation_ids)
    chains = cycle([tuple(os.urandom(_MARK) for _ in range(marks)) for _ in range(_CHAINS)])
    capabilities = [here.bearer.attenuate(ttl=LIFE) for _ in range(_HELD)]
    for size in sizes:
        operations += _ours(here, size, chains, capabilities)
        if others.tenuo is not None:
            operations += _theirs(others.tenuo, size)
    return await measure(operations, rounds=rounds, batch_us=batch_us)


def _ours(
    here: Ours, size: int, chains: Iterator[tuple[bytes, ...]], capabilities: list[Capability]
) -> list[Operation]:
    revoked, ledger = RevocationList(float("inf")), Ledger.memory()
    for known in (revoked, ledger.revoked):
        known.apply(size, rows(size))
    guard = Guard(here.authority.trust, audience=work.AUDIENCE, ledger=ledger)
    toolboxes = [guard.toolbox(one) for one in capabilities]
    for one in toolboxes:
        one.decide(here.payment)  # what is compiled once
    held = cycle(toolboxes)
    return [
        Operation("revocation", a_block(size), revoked.check, lambda: (next(chains), _ISSUED)),
        Operation("revocation", a_call(size), Toolbox.decide, lambda: (next(held), here.payment)),
    ]


def rows(size: int) -> Iterator[tuple[int, str, bytes]]:
    """So many revocations of blocks that nobody has."""
    return ((number, "block", os.urandom(_MARK)) for number in range(1, size + 1))


def _theirs(tenuo: Tenuo, size: int) -> list[Operation]:
    library = tenuo.library
    listed = their_list(tenuo, size)
    authorizer = library.Authorizer(trusted_roots=[tenuo.root.public_key])
    authorizer.set_revocation_list(listed)
    payment, key = tenuo.payment, tenuo.keys[0]
    names = cycle([f"tnu_wrt_{os.urandom(16).hex()}" for _ in range(_CHAINS)])
    return [
        Operation("revocation", their_lookup(size), listed.is_revoked, lambda: (next(names),)),
        Operation(
            "revocation",
            their_call(size),
            lambda signature: authorizer.authorize_one(payment, "pay", work.PAYMENT, signature=signature),
            partial(tenuo.sign, payment, key, "pay", work.PAYMENT),
        ),
    ]


def their_list(tenuo: Tenuo, size: int) -> Any:
    """A signed list of so many warrants."""
    builder = tenuo.library.SignedRevocationList.builder()
    for _ in range(size):
        builder = builder.revoke(f"tnu_wrt_{os.urandom(16).hex()}")
    return builder.version(size + 1).build(tenuo.root)


def loading(others: Peers, stores: Stores, *, sizes: tuple[int, ...]) -> list[dict[str, Any]]:
    """Seconds and resident bytes, for each size and library."""
    found = []
    for size in sizes:
        store = stores.fresh(NORMAL)
        _fill(store, size)
        ours = _alone("ours", store.where, store.state)
        found.append({"library": "hessra_agents", "revoked": size, **ours})
        if others.tenuo is not None:
            path = stores.folder / "list"
            path.write_bytes(their_list(others.tenuo, size).to_bytes())
            key = others.tenuo.root.public_key.to_bytes().hex()
            theirs = _alone("theirs", str(path), key)
            found.append({"library": "tenuo", "revoked": size, **theirs})
    return found


def _fill(store: Store, size: int) -> None:
    """Such a list, written faster than by so many revocations."""
    opened = subprocess.run(
        [sys.executable, "-m", "benchmarks.lookup", "ours", store.where, store.state],
        check=True,
        capture_output=True,
        cwd=ROOT,
    )
    assert opened.returncode == 0
    written = ((n, kind, target, "", "", 0) for n, kind, target in rows(size))
    with sqlite3.connect(store.where) as db:
        db.executemany("insert into revocation values (?, ?, ?, ?, ?, ?)", written)
        db.execute("update state set epoch = ?", (size,))
    db.close()


# --- in a fresh process


def _alone(*arguments: str) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.lookup", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def _resident() -> int:
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    except OSError:
        return 0


def _load_ours(where: str, state: str) -> Any:
    ledger = Ledger.open(where, state_dir=state)
    assert ledger.revoked.epoch >= 0  # to ask opens it
    return ledger


def _load_theirs(path: str, key: str) -> Any:
    import tenuo

    root = tenuo.PublicKey.from_bytes(bytes.fromhex(key))
    listed = tenuo.SignedRevocationList.from_bytes(Path(path).read_bytes())
    listed.verify(root)
    authorizer = tenuo.Authorizer(trusted_roots=[root])
    authorizer.set_revocation_list(listed)
    return authorizer


def main() -> None:
    """Load one list."""
    which, *arguments = sys.argv[1:]
    if which == "theirs":
        import tenuo  # noqa: F401 -- not what is measured
    before, start = _resident(), time.perf_counter()
    held = (_load_ours if which == "ours" else _load_theirs)(*arguments)
    seconds = time.perf_counter() - start
    grown = _resident() - before
    known = held.revoked if isinstance(held, Ledger) else held.installed_revocation_list().revoked_ids
    print(json.dumps({"seconds": round(seconds, 4), "mb": round(grown / 1e6, 1), "known": len(known)}))


if __name__ == "__main__":
    main()
