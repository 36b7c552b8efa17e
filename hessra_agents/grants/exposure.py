"""Exposure: calls that are refused once the session has seen what they could give away.

    @guard.tool(exposes_labels=["PII:email"])          # to have called it is to have seen that
    async def read_customers(...): ...

    authority.issue("agent:desk", grant(read_customers, ...), grant(send_email, ...),
                    clear_of("PII:*", tools="send_email"), ...)

What arguments cannot say, a text that is sent to the right person may still give away. So tools say by labels
what their results hold, the session (`session`) remembers, and a capability says which labels rule out which
calls. Labels are Hessra's (`tokens.labels`); ``untrusted`` is that of tools whose results others can write.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from .labels import normalize_labels
from .limits import tool_resources

__all__ = ["UNTRUSTED", "NoExposure", "clear_of"]

UNTRUSTED = "untrusted"
"""The label of what others could write."""


@dataclass(frozen=True, slots=True)
class NoExposure:
    """Require that the session has seen nothing these patterns mean; ``tools`` None: all."""

    patterns: tuple[str, ...]
    tools: frozenset[str] | None = None


def clear_of(
    *labels: str, tools: str | Callable[..., Any] | Iterable[str | Callable[..., Any]] | None = None
) -> NoExposure:
    """Calls are refused, as ``exposed``, once their session has seen any of these labels.

    Args:
        labels: as tools declare them; ``*`` stands for any characters, ``PII:*``.
        tools: the tools whose calls are refused; without, every object that the capability names.

    Raises:
        ValueError: no label, or one that is no printable text of 1 to 256 characters.
    """
    if not labels:
        raise ValueError("name at least one label, or a pattern such as 'PII:*'")
    return NoExposure(tuple(normalize_labels(labels, "labels")), tool_resources(tools))
