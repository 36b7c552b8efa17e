"""Refuse calls once the session has seen data that they could give away.

    @guard.tool(exposes_labels=["PII:email"])          # a session that has called it has seen that
    async def read_customers(...): ...

    authority.issue("agent:desk", grant(read_customers, ...), grant(send_email, ...),
                    clear_of("PII:*", tools="send_email"), ...)

Constraints on arguments are not enough here: a message to the right person may still give away what it
quotes. So tools declare by labels what their results hold, the session (`guard.session`) remembers these
labels, and a capability says which labels rule out which calls. The labels are Hessra's (`labels`);
``untrusted`` is the label of tools whose results others can write.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from .grants import tool_resources
from .labels import normalize_labels

__all__ = ["UNTRUSTED", "NoExposure", "clear_of"]

UNTRUSTED = "untrusted"
"""The label of results that others could write."""


@dataclass(frozen=True, slots=True)
class NoExposure:
    """Labels of which the session must have seen none; ``tools`` are the objects (None: all)."""

    patterns: tuple[str, ...]
    tools: frozenset[str] | None = None


def clear_of(
    *labels: str, tools: str | Callable[..., Any] | Iterable[str | Callable[..., Any]] | None = None
) -> NoExposure:
    """Refuse calls, with ``exposed``, once their session has seen any of these labels.

    Args:
        labels: labels as tools declare them; ``*`` stands for any characters, as in ``PII:*``.
        tools: the tools whose calls are refused; if omitted, every object that the capability names.

    Raises:
        ValueError: there is no label, or a label is not a string of 1 to 256 printable characters.
    """
    if not labels:
        raise ValueError("give at least one label, or a pattern such as 'PII:*'")
    return NoExposure(tuple(normalize_labels(labels, "labels")), tool_resources(tools))
