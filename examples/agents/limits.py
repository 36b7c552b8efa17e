"""A stolen capability that may spend and be used so often, and is taken back; all of it outlives the process.

An agent may pay 500 at most in one hour, and call at most ten times. Someone who copies its capability makes
the payments small, delegates it to helpers, starts the guard again: all of them draw on the one budget, which
is kept in a file. Then everything of the agent is revoked, by another process, and its next call is refused.
What was tried is on record, refusals included: one changed byte in a record shows.
"""

import sqlite3
import sys
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio

from hessra_agents import Authority, Denied, Guard, Ledger, Toolbox, grant, limit, must

authority = Authority.ephemeral()
paid: list[int] = []


def opened(store: Path) -> Guard:
    """Return a guard as it starts, with what was remembered before."""
    guard = Guard(authority.trust, audience="bank", ledger=Ledger.open(store))

    @guard.tool
    async def pay(cents: int) -> int:
        """Pay an amount."""
        paid.append(cents)
        return cents

    return guard


async def refused(box: Toolbox, cents: int) -> str:
    """Why a payment is refused."""
    try:
        await box.call("pay", {"cents": cents})
    except Denied as denied:
        print("refused:", denied)
        return str(denied.reason)
    return "paid"


async def main(store: Path) -> None:
    capability = authority.issue(
        "agent:desk",
        grant("pay", cents=must.at_least(1)),
        limit(sum_of="cents", at_most=500, per=timedelta(hours=1)),
        limit(calls=10),
        ttl=timedelta(hours=8),
        audience="bank",
    )
    guard = opened(store)
    desk = guard.toolbox(capability)
    await desk.call("pay", {"cents": 200})
    helpers = [desk.delegate(f"agent:desk:{i}", grant("pay")) for i in range(3)]
    results = [await refused(one, 200) for one in helpers]  # not 200 for each of them
    assert results == ["paid", "spent", "spent"]
    assert await refused(desk, -400) == "constraint"  # nothing is ever given back by spending

    # the process ends and another starts
    await guard.ledger.aclose()
    guard = opened(store)
    desk = guard.toolbox(capability)
    assert await refused(desk, 101) == "spent"
    assert await refused(desk, 100) == "paid"
    assert sum(paid) == 500

    # taken back by another process, on the same file
    print("revoking ends", await guard.ledger.revocation_impact(subject="agent:desk"))
    command = [sys.executable, __file__, str(store), "agent:desk"]
    epoch = int((await anyio.run_process(command)).stdout)
    await guard.ledger.wait_for_epoch(epoch)
    assert await refused(desk, 1) == "revoked"
    assert await refused(desk.delegate("agent:desk:late", grant("pay")), 1) == "revoked"
    await guard.ledger.aclose()

    # an auditor looks at the file, before and after somebody makes a payment look smaller
    assert await holds(store)
    with closing(sqlite3.connect(store)) as database:
        smaller = """replace(cast(body as text), '"amount":200', '"amount":100')"""
        changed = f"update entry set body = cast({smaller} as blob) where idx = 0"
        database.execute(changed)
        database.commit()
    assert not await holds(store)


async def holds(store: Path) -> bool:
    """Whether the record is the one that was written."""
    command = [sys.executable, "-m", "hessra_agents.cli", "log", "verify", "--ledger", str(store)]
    run = await anyio.run_process(command, check=False)
    print(run.stderr.decode() + run.stdout.decode(), end="")
    return run.returncode == 0


async def revoke(store: Path, subject: str) -> None:
    """Do what the operator's process does."""
    guard = opened(store)
    print(await guard.ledger.revoke(subject=subject, reason="its capability was copied"))
    await guard.ledger.aclose()


if __name__ == "__main__":
    if len(sys.argv) == 3:
        anyio.run(revoke, Path(sys.argv[1]), sys.argv[2])
    else:
        with TemporaryDirectory() as folder:
            anyio.run(main, Path(folder) / "hessra.db")
