"""What docs/efficacy.md tells of the published cases of delegation, from the kept results alone."""

from __future__ import annotations

from typing import Any

from .tables import CENTS, agents, delegation

__all__ = ["text"]


def text(found: dict[str, Any]) -> str:
    """What was run, what our side cannot say, and the tables."""
    cases = "\n".join([delegation(found), _weaknesses(found["weaknesses"])])
    return "\n\n".join([_intro(found), _unsaid(found["sides"]["ours"]), cases, agents(found)])


def _intro(found: dict[str, Any]) -> str:
    calls, chains, tasks = _size(found["sides"]["ours"])
    return (
        f"The cases are those that [tenuo]({found['source']}) publishes for itself, not ours: {calls} calls"
        f" that a broad parent may make, asked by the child that it delegates to; {chains} uses of a chain of"
        f" delegations, most of them forged; and {tasks} tasks of agents whose data holds an injection. The"
        " calls are scripted and no model is asked: without a guard every attack wins by construction. A call"
        " of a child counts only where its parent could make the same one."
    )


def _size(side: dict[str, Any]) -> tuple[int, int, int]:
    calls = sum(
        one[what]["of"] for one in side["delegated"] if one["name"] != CENTS for what in ("attacks", "honest")
    )
    return calls, len(side["uses"]), len({one["task"] for one in side["agents"]})


def _unsaid(side: dict[str, Any]) -> str:
    amounts = [str(ask["arguments"]["amount"]) for one in side["delegated"] for ask in one["unsaid"]]
    uses = [use for one in side["chains"] for use in one["unsaid"]]
    return (
        f"*Not expressible* with ours: bounds of numbers that are not whole (so {' and '.join(amounts)} count"
        " neither as refused nor as done, and the scenario is played again in cents), and a delegation that"
        f" forbids a further one (*{', '.join(uses)}*): whoever holds a capability may hand on less of it."
    )


def _weaknesses(found: dict[str, Any]) -> str:
    return (
        f"| {len(found['cves'])} published weaknesses of MCP servers, replayed by `{found['run_by']}`:"
        f" {', '.join(found['cves'])} | {found['attacks']} attacks, held by `tests/real/test_cves.py` and"
        " `test_guarded.py` | - | - | - |"
    )
