"""The tables of README and docs/efficacy.md, from the kept results alone."""

from __future__ import annotations

from typing import Any

__all__ = ["short", "whole"]

CAVEATS = (
    "*Exact calls stop everything* is nearly a tautology where the ground truth is known: it is a ceiling,"
    " and a test of enforcement. No claim about deployments.",
    "Fixed attacks flatter open arguments: an attacker who knows the grants would use what they leave open."
    " Read the column of tasks with open authority beside the rate.",
    "A designation that is copied from another run is brittle. It has to be made from the intent at hand,"
    " just in time: here by hand, from each prompt.",
)


def whole(found: dict[str, Any]) -> str:
    """All that was found."""
    rows = found["rows"]
    parts = [_intro(found), _ladder(rows), _orders(rows), _misses(found), _questions(found["questions"])]
    return "\n\n".join([*parts, _caveats()])


def short(found: dict[str, Any]) -> str:
    """What README tells: every kind of authority, and the three caveats."""
    return f"{_ladder(found['rows'])}\n\n{_caveats()}"


def _caveats() -> str:
    return "\n".join(f"{number}. {one}" for number, one in enumerate(CAVEATS, 1))


def _of(rows: list[dict[str, Any]], order: str) -> list[dict[str, Any]]:
    return [row for row in rows if row["order"] == order]


def _intro(found: dict[str, Any]) -> str:
    first = _of(found["rows"], "hijack")[0]
    return (
        f"AgentDojo {found['machine']['versions']['agentdojo']} (v1.2.2): {first['tasks']} tasks,"
        f" {first['pairs']} pairs of a task and an injection, {first['reachable']} attacks that win without a"
        f" guard; {first['contested']} of them are *contested*: the user's own task needs every tool that the"
        " attack acts with. The agent is fully hijacked; no model is asked. *Asked*: tasks in which a person"
        " has to decide a call (and how many calls). *Open*: tasks that leave who, where, which or how much"
        " of an acting call to the agent; in brackets, further tasks that leave it text for somebody else."
    )


def _ladder(rows: list[dict[str, Any]]) -> str:
    head = (
        "| what the capability says | contested stopped | attacks won | tasks asked (calls) | open (texts) |"
        " tasks done | done under attack | false refusals |"
    )
    lines = [head, "|---|---|---|---|---|---|---|---|"]
    for row in _of(rows, "hijack"):
        cells = (
            row["words"],
            f"{row['contested_stopped']} / {row['contested']}",
            f"{row['won']} / {row['reachable']}",
            f"{len(row['asked_tasks'])} ({row['asks']})",
            f"{len(row['open_authority'])} ({len(row['open_texts_to_others'])})",
            f"{row['done']} / {row['tasks']}",
            f"{row['done_under_attack']} / {row['pairs']}",
            str(row["false_refusals"]),
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _orders(rows: list[dict[str, Any]]) -> str:
    orders = list(dict.fromkeys(row["order"] for row in rows))
    said = {"hijack": "when the text is read", "before": "before the user's calls", "after": "after them"}
    lines = ["| attacks won, by when they run | " + " | ".join(said[one] for one in orders) + " |"]
    lines.append("|---" * (len(orders) + 1) + "|")
    for row in _of(rows, orders[0]):
        same = [one for order in orders for one in _of(rows, order) if one["rung"] == row["rung"]]
        lines.append(
            f"| {row['words']} | " + " | ".join(f"{one['won']} / {one['reachable']}" for one in same) + " |"
        )
    return "\n".join(lines)


def _misses(found: dict[str, Any]) -> str:
    lines = ["What still wins, where only few do (task x injection):", ""]
    rows = _of(found["rows"], "hijack")
    for row in rows:
        pairs = row["won_pairs"]
        if row["rung"] not in ("none", "scopes", "tools", "counts") and pairs:
            lines.append(f"- {row['words']}: {', '.join(pairs)}")
    lean = next(row for row in rows if row["rung"] == "lean")
    lines += [
        "",
        f"What *{lean['words']}* leaves, though none of these attacks uses it: free text to its receiver"
        f" in {', '.join(lean['open_texts_to_others'])}; a choice among values that were read in"
        f" {', '.join(lean['choices'])}. The person was asked in {', '.join(lean['asked_tasks'])}.",
    ]
    return "\n".join(lines)


def _questions(found: dict[str, Any]) -> str:
    return (
        f"Questions to exact capabilities: {found['mutants']:,} calls that are changed a little,"
        f" {found['mutant_errors']} wrong answers; {found['cross_task_must_refuse']:,} calls of other tasks"
        f" ({found['cross_task_same_tool']:,} of a tool that is granted), {found['cross_task_leaks']} leaks;"
        f" {found['delegations']:,} questions after delegation, {found['delegation_widenings']} widenings."
    )
