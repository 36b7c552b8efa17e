"""The table."""

from __future__ import annotations

from typing import Any

from . import tables, wide
from . import workload as work
from .speed import tables as of_speed

_WIDE = 48


def text(found: dict[str, Any]) -> str:
    """All that was found, for a terminal."""
    parts = [_head(found)]
    if "timings" in found:
        parts += [_timings(found), _tokens(found), _imports(found["imports"]), _memory(found["memory"])]
    if "mcp" in found:
        parts.append(_mcp(found["mcp"]))
    if "ledger" in found:
        parts.append(tables.text(found["ledger"]))
    if "speed" in found:
        parts.append(of_speed.text(found["speed"]))
    if "wide" in found:
        parts.append(wide.text(found["wide"]))
    return "\n\n".join([*filter(None, parts), _targets(found["targets"])])


def _head(found: dict[str, Any]) -> str:
    machine, start, end = found["machine"], found["start"], found["end"]
    versions = ", ".join(f"{name} {one}" for name, one in machine["versions"].items() if one)
    busy = " to ".join(str(when["load"][0]) for when in (start, end))
    lines = [
        f"{start['date']}  commit {machine['commit']}" + ("  (quick: rough)" if found["quick"] else ""),
        f"{machine['cpu']}, {machine['cores']} cores, load {busy}, {machine['system']}",
        f"Python {machine['python']}, {machine['openssl']}",
        versions,
    ]
    return "\n".join(lines)


def _timings(found: dict[str, Any]) -> str:
    titles = ("median us", "p10", "p90", "x verify")
    lines = ["x verify: how many Ed25519 verifies of `cryptography` it takes, within each round"]
    group = None
    for row in found["timings"]:
        if row["group"] != group:
            group = row["group"]
            lines += ["", f"{group:{_WIDE}}" + "".join(f"{title:>11}" for title in titles)]
        us, ratio = row["us"], row["per_ed25519_verify"]["median"]
        numbers = (us["median"], us["p10"], us["p90"], ratio)
        lines.append(f"  {row['name']:{_WIDE - 2}}" + "".join(f"{one:11.2f}" for one in numbers))
    return "\n".join(lines)


def _tokens(found: dict[str, Any]) -> str:
    title = "characters of a token, by delegations"
    lines = [f"{title:{_WIDE}}" + "".join(f"{count:11}" for count in work.DELEGATIONS)]
    for name, sizes in found["token_characters_by_delegations"].items():
        lines.append(f"  {name:{_WIDE - 2}}" + "".join(f"{size:11}" for size in sizes))
    return "\n".join(lines)


def _imports(found: dict[str, Any]) -> str:
    lines = [f"{'import':{_WIDE}}" + "".join(f"{one:>11}" for one in ("median ms", "p10", "p90", "MB"))]
    for name, ms in found["ms"].items():
        lines.append(f"  {name:{_WIDE - 2}}" + _three(ms) + f"{found['resident_mb'].get(name, 0):11.1f}")
    lines += [f"  {'added ' + name:{_WIDE - 2}}" + _three(ms) for name, ms in found["added_ms"].items()]
    packages = ", ".join(found["packages"])
    return "\n".join([*lines, f"  packages beyond pydantic and biscuit: {packages}"])


def _three(spread: dict[str, float]) -> str:
    return "".join(f"{spread[name]:11.1f}" for name in ("median", "p10", "p90"))


def _memory(found: dict[str, int]) -> str:
    if not found:
        return ""
    lines = [f"{'resident bytes of one that is held':{_WIDE}}"]
    return "\n".join(lines + [f"  {name:{_WIDE - 2}}{size:11}" for name, size in found.items()])


def _mcp(found: dict[str, Any]) -> str:
    busy = " to ".join(str(found[when]["load"][0]) for when in ("start", "end"))
    verify = found["ed25519_verify_us"]["median"]
    lines = [
        f"calls over MCP, load {busy}; meanwhile an Ed25519 verify of `cryptography` takes {verify:.0f} us",
        "added: beside the bare call of the same group, by the medians within each block",
    ]
    group = None
    for row in found["latency"]:
        if row["group"] != group:
            group = row["group"]
            titles = ("median us", "p10", "p90", "added us", "p10", "p90", "x bare")
            lines += ["", f"{group:{_WIDE}}" + "".join(f"{title:>11}" for title in titles)]
        spreads = [row["us"], row["added_us"]] if "beside" in row else [row["us"]]
        ratio = f"{row['ratio']['median']:11.2f}" if "beside" in row else ""
        lines.append(f"  {row['name']:{_WIDE - 2}}" + "".join(map(_three, spreads)) + ratio)
    return "\n".join(lines)


def _targets(found: list[dict[str, Any]]) -> str:
    lines = [f"{'targets':{_WIDE}}{'measured':>11}{'below':>9}"]
    words = {True: "reached", False: "NOT REACHED", None: "a peer is missing"}
    for one in found:
        measured = one["measured"]
        value = measured["median"] if isinstance(measured, dict) else measured
        shown = "-" if value is None else f"{value:.2f}" if isinstance(value, float) else str(value)
        note = f"  ({one['note']})" if one["note"] else ""
        lines.append(
            f"  {one['name']:{_WIDE - 2}}{shown:>11}{one['below']:>9}  {words[one['reached']]}{note}"
        )
    return "\n".join(lines)
