"""What a guarded call costs, as README tells it: Markdown, of one kept run of ``make bench`` alone."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .speed import cases, growth
from .speed import others as peers

__all__ = ["text"]

Run = dict[str, Any]

CALLS = {
    cases.BARE: "the function alone",
    cases.HELD: "**guarded: capability and key in process**",
    cases.MEMORY: "the same, with a ledger in memory",
    cases.PROVED: "guarded, with the proof of another process",
    cases.COLD: "guarded, the capability read for the first time",
    cases.REFUSED: "refused: an argument outside of the grant",
    cases.WRONG_TOOL: "refused: a tool that is not granted",
    peers.TENUO: "`tenuo`, `@guard`: signs and checks a proof",
    peers.AUTHORIZE: "`tenuo`, `authorize`: checks a proof",
    "PyJWT: EdDSA, claims checked": "PyJWT: one EdDSA signature, claims checked",
    "pymacaroons: 5 caveats, HMAC": "pymacaroons: five caveats, a shared secret",
    "cedarpy: 1 policy, no signature": "cedarpy: one policy, no signature",
    peers.VERIFY: "one raw Ed25519 verify of `cryptography`",
}
"""What is told of, in the words of the README."""


def text(run: Run) -> str:
    """The section, without its heading."""
    parts = [_machine(run), _calls(run), _blocks(run), _else(run), *_wide(run), *_mcp(run), *_ledger(run)]
    return "\n\n".join(parts)


def _machine(run: Run) -> str:
    machine, load = run["machine"], [run[when]["load"][0] for when in ("start", "end")]
    processor = machine["cpu"].replace("(R)", "").removesuffix(" Processor")
    return (
        f"On {machine['cores']} cores of an {processor} virtual machine, load {load[0]} to {load[1]}, Python"
        f" {machine['python']}; one caller, each call timed alone, all kinds in turn. The peers do other"
        " work, which the words name."
    )


def _calls(run: Run) -> str:
    rows = {row["name"]: row["us"] for row in run["speed"]["calls"] if row["callers"] == 1}
    verify = rows[peers.VERIFY]["median"]
    return _table(
        ("one call, an async tool of three arguments", "median µs", "p95", "in Ed25519 verifies"),
        (
            (words, _figure(us["median"]), _figure(us["p95"]), f"{us['median'] / verify:.2f}")
            for name, words in CALLS.items()
            for us in (rows[name],)
        ),
    )


def _blocks(run: Run) -> str:
    told = {
        growth.WARM: "a guarded call",
        growth.COLD: "a capability read and verified for the first time",
        growth.HELD_COLD: "the same, delegated, with a proof",
        growth.CHAIN: "`tenuo`: a chain from its text, with a proof",
    }
    rows = {(row["series"], row["size"]): row["us"]["median"] for row in run["speed"]["growth"]["blocks"]}
    return _table(
        ("median µs, by blocks", *map(str, growth.BLOCKS)),
        ((words, *[_figure(rows[series, size]) for size in growth.BLOCKS]) for series, words in told.items()),
    )


def _else(run: Run) -> str:
    grown = run["speed"]["growth"]
    revoked = max(row["size"] for row in grown["revocations"])

    def ends(of: str, least: str, most: str) -> str:
        rows = [row for row in grown[of] if row["series"] == growth.WARM]
        first, last = (pick(rows, key=lambda row: row["size"]) for pick in (min, max))
        return f"{_figure(first['us']['median'])} µs {least} and {_figure(last['us']['median'])} {most}"

    held = {row["name"]: row["longest_step_us"]["p99"] for row in run["speed"]["held"]}
    added = run["speed"]["imports"]["added_ms"]["to pydantic and biscuit, processor"]["median"]
    size = run["token_characters_by_delegations"]["hessra_agents"][4]
    one, mebibyte = held["a call of three arguments"], held["arguments of 1 MiB"] / 1000
    return (
        f"A guarded call takes {ends('grants', 'with one grant', 'with 100')};"
        f" {ends('arguments', 'with one argument', 'with 20')};"
        f" {ends('bytes of arguments', 'with 100 bytes of arguments', 'with 1 MiB')}."
        f" A decision takes {ends('revocations', 'with nothing revoked', f'with {revoked:,} revocations')}."
        f" The longest that one step of a call holds the event loop is {_figure(one)} µs (p99),"
        f" {mebibyte:.1f} ms with arguments of 1 MiB. A token of four delegations has {size:,} characters."
        f" The import adds {added:.0f} ms to that of pydantic and biscuit."
    )


def _wide(run: Run) -> Iterable[str]:
    if "wide" not in run:  # results of before it was measured
        return
    found = run["wide"]
    sizes, role = found["characters"], found["role_of_30_tools"]
    yield _table(
        ("characters of a token, by optional arguments with a bound", *sizes, "30 tools alike"),
        (
            (words, *[f"{both[index]:,}" for both in (*sizes.values(), role["alike"])])
            for index, words in enumerate(
                ("issued, bound to a holder", "delegated once with the same grants")
            )
        ),
    )
    worst = max(one["ms"] for one in found["admission"].values())
    us = found["decision_us"]
    yield (
        f"Thirty tools of which no bound is another's take two capabilities, of {role['different_in_two']:,}"
        f" characters at most. To admit the largest token of the costliest kind takes {_figure(worst)} ms of"
        f" the processor, a decision {_figure(us['all'])} µs with five such arguments given and"
        f" {_figure(us['none'])} µs with none, a refusal that explains 90 wrong arguments"
        f" {_figure(found['refusal_ms'])} ms."
    )


def _mcp(run: Run) -> Iterable[str]:
    found = run["mcp"]
    rows = {(row["group"], row["name"]): row for row in found["latency"]}

    def cell(group: str, name: str) -> str:
        return f"{rows[group, name]['ratio']['median']:.1f}" if (group, name) in rows else ""

    def added(group: str, name: str) -> str:
        return f"{rows[group, name]['added_us']['median'] / 1000:.2f} ms"

    bound, proof = "guarded, bound", "guarded, with a proof"
    memory, fast, stdio, http = (
        "in memory, direct",
        "FastMCP, in memory, direct",
        "stdio",
        "streamable HTTP",
    )
    relay, reverse = "behind the relay, ", "behind the reverse proxy, "
    yield (
        "A call of MCP with the guard, as multiples of the same call without one; a proof is signed by the"
        " client and verified by the guard for each call:"
    )
    yield _table(
        ("", "bound to a capability", "with a proof"),
        (
            ("in memory", cell(memory, bound), cell(memory, proof)),
            ("FastMCP in memory, `protect`", cell(fast, bound), cell(fast, proof)),
            ("the same with `tenuo`'s middleware", "", cell(fast, "tenuo's middleware, with a proof")),
            ("stdio, the server guards itself", cell(stdio, bound), cell(stdio, proof)),
            ("stdio, behind the proxy", cell(stdio, relay + "bound"), cell(stdio, relay + "with a proof")),
            ("HTTP, the server guards itself", cell(http, bound), cell(http, proof)),
            ("HTTP, behind the proxy", cell(http, reverse + "bound"), cell(http, reverse + "with a proof")),
        ),
    )
    yield (
        f"In memory the guard adds {added(memory, bound)} to a call, {added(memory, proof)} with a proof; the"
        f" proxy over stdio adds {added(stdio, relay + 'bound')}, and {added(stdio, relay + 'with a proof')}."
    )


def _ledger(run: Run) -> Iterable[str]:
    found = run["ledger"]
    rows = {(row["store"], row["callers"]): row for row in found["durable"]}
    stores = {
        "SQLite FULL": "SQLite, `durable=True`",
        "SQLite NORMAL": "SQLite, `durable=False`",
        "PostgreSQL": "PostgreSQL on the same machine",
    }
    yield (
        "A ledger makes every decision last before the tool runs; the disk takes"
        f" {found['sync_us']['median'] / 1000:.2f} ms to make 4 KiB last:"
    )
    yield _table(
        ("", "added to a call, median ms: 1 / 10 / 100 callers", "calls a second: 1 / 10 / 100"),
        (
            (
                words,
                " / ".join(_figure(rows[store, n]["added_us"]["median"] / 1000) for n in (1, 10, 100)),
                " / ".join(f"{rows[store, n]['calls_per_second']:,}" for n in (1, 10, 100)),
            )
            for store, words in stores.items()
        ),
    )
    spent = {(row["store"], row["processes"], row["budgets"]): row for row in found["spending"]}
    ours, busy = (spent["SQLite FULL", 8, f"one budget{how}"] for how in ("", ", busy handler alone"))
    reach = {(row["store"], row["how"]): row["ms"]["p99"] for row in found["reaching"]}
    last = max(row["revoked"] for row in found["loading"])
    us = {row["name"]: row["us"]["median"] for row in found["lookup"]}
    theirs = [next(us[name] for name in us if "authorize" in name and f" {n:,} " in name) for n in (0, last)]
    proofs, proof = found["proofs"]["records"], found["proofs"]["us"]["inclusion"]["median"]
    waits, longest = (one["process_waits_ms"]["worst"] for one in (ours, busy))
    yield (
        f"8 processes on one file spend {ours['spends_per_second']:,} times a second from one budget; the"
        f" longest that one waited for the file was {waits:.0f} ms ({longest:,.0f} ms with SQLite's own way"
        f" to wait). From `revoke` to the refusal of a call in another process it takes"
        f" {_figure(reach['SQLite FULL', 'calls'])} ms on SQLite and"
        f" {_figure(reach['PostgreSQL', 'calls'])} ms on PostgreSQL, p99. `tenuo`'s `authorize` takes"
        f" {_figure(theirs[0])} µs with none revoked, and {_figure(theirs[1])} µs with {last:,}."
        f" A proof that a record is in a log of {proofs:,} takes {_figure(proof)} µs."
    )


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = [list(head)]
    lines += [["---"] * len(lines[0]), *map(list, rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _figure(value: float) -> str:
    """With two figures that count, or whole."""
    if value >= 10:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 1 else f"{value:.2f}"
