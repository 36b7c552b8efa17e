"""The tables of what a ledger costs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

_WIDE = 48


def text(found: dict[str, Any]) -> str:
    """All of them."""
    parts = [_head(found), _durable(found), _spending(found), _reaching(found), _lookup(found)]
    return "\n\n".join([*parts, _loading(found), _proofs(found)])


def _head(found: dict[str, Any]) -> str:
    busy = " to ".join(str(found[when]["load"][0]) for when in ("start", "end"))
    versions = ", ".join(f"{name} {one}" for name, one in found["method"]["versions"].items())
    sync = found["sync_us"]
    return (
        f"the ledger, load {busy}, {versions}\n"
        f"the disk takes {sync['median']:.0f} us to make 4 KiB last, p95 {sync['p95']:.0f}"
    )


def _line(name: str, values: Sequence[object]) -> str:
    return f"{name:{_WIDE}}" + "".join(f"{_short(one):>11}" for one in values)


def _short(one: object) -> str:
    return f"{one:.{2 if one < 1000 else 0}f}" if isinstance(one, float) else str(one)


def _durable(found: dict[str, Any]) -> str:
    titles = ("median us", "p95", "added us", "p95", "in all us", "calls/s")
    lines = [
        "added: by the medians within each block, beside no ledger; in all: the block's time for each call",
        _line("a guarded call, by callers at once", titles),
    ]
    for row in found["durable"]:
        added, in_all = row.get("added_us", {}), row.get("added_in_all_us", {})
        values = (*_two(row["us"]), *_two(added), in_all.get("median", ""), row["calls_per_second"])
        lines.append(_line(f"  {row['callers']:3} callers, {row['store']}", values))
    return "\n".join(lines)


def _two(tail: dict[str, Any]) -> tuple[Any, Any]:
    return tail.get("median", ""), tail.get("p95", "")


def _spending(found: dict[str, Any]) -> str:
    titles = ("spends/s", "caller ms", "p95", "worst", "wait ms", "worst wait")
    lines = [_line("limits: 10 callers a process; wait: for the file", titles)]
    for row in found["spending"]:
        caller, waits = row["caller_ms"], row["process_waits_ms"] or {}
        values = (row["spends_per_second"], *_two(caller), caller["worst"], waits.get("median", "-"))
        name = f"  {row['store']}, {row['processes']} x {row['budgets']}"
        lines.append(_line(name, (*values, waits.get("worst", "-"))))
    return "\n".join(lines)


def _reaching(found: dict[str, Any]) -> str:
    lines = [_line("revocation to refusal in other processes", ("median ms", "p95", "p99", "worst"))]
    for row in found["reaching"]:
        lines.append(_line(f"  {row['store']}, {row['how']}", tuple(row["ms"].values())))
    return "\n".join(lines)


def _lookup(found: dict[str, Any]) -> str:
    lines = [_line("nothing is revoked", ("median us", "p10", "p90"))]
    for row in found["lookup"]:
        if row["group"] == "revocation":
            lines.append(_line(f"  {row['name']}", [row["us"][one] for one in ("median", "p10", "p90")]))
    return "\n".join(lines)


def _loading(found: dict[str, Any]) -> str:
    lines = [_line("a list, in a fresh process", ("seconds", "MB"))]
    for row in found["loading"]:
        lines.append(_line(f"  {row['library']}, {row['revoked']:,} revoked", (row["seconds"], row["mb"])))
    return "\n".join(lines)


def _proofs(found: dict[str, Any]) -> str:
    proofs, verify = found["proofs"], found["verify"]
    lines = [_line(f"proofs, {proofs['records']:,} records", ("median us", "p95", "p99", "worst"))]
    lines += [_line(f"  {name}", tuple(tail.values())) for name, tail in proofs["us"].items()]
    lines.append(_line("a whole log, 100,000 records", ("seconds",)))
    lines += [_line(f"  {name}", (one,)) for name, one in verify["seconds_per_100000"].items()]
    return "\n".join(lines)
