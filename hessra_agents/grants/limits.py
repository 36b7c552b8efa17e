"""Limits: bounds that need memory. How often a capability may be used, and how much it may spend.

    authority.issue("agent:desk", grant("pay", amount=must.between(1, 500)),
                    limit(calls=50), limit(sum_of="amount", at_most=5000, per=timedelta(days=1)), ...)

A limit is a check of the block that it was put into, at issue or at any narrowing, so it can only ever be
joined by more limits. It is counted under that block's id: everything that is derived from the block shares
the one budget. The guard's ledger counts; a guard that cannot count refuses.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from .grants import tool_name

__all__ = ["MAX_MOST", "MAX_WINDOW", "Limit", "limit", "tool_resources"]

MAX_MOST = 2**53 - 1
"""The largest limit: what every JSON reader counts exactly."""

MAX_WINDOW = 366 * 86_400
"""The longest window, in seconds."""

_WINDOW = r"[0-9]{1,8}"
# an argument's name that begins like a window could be read in two ways
_SUM = rf"sum:(?:({_WINDOW}):)?(?!{_WINDOW}:)(.+)"
_KIND = re.compile(rf"(refund:)?(?:calls(?::({_WINDOW}))?|{_SUM})", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Limit:
    """At most ``at_most`` calls, or at most ``at_most`` as the sum of one integer argument.

    ``argument`` is what is summed up (None: calls are counted). ``window`` is in seconds: in *any* stretch of
    that length (0: ever). ``refund``: a call whose tool fails is given back. ``tools`` are the objects whose
    calls count (None: all); others are not limited.
    """

    at_most: int
    argument: str | None = None
    window: int = 0
    refund: bool = False
    tools: frozenset[str] | None = None

    @property
    def spelling(self) -> str:
        """What is counted, as the token says it: ``calls``, ``calls:3600``, ``sum:amount``."""
        window = f"{self.window}:" if self.window else ""
        counted = f"calls:{window}"[:-1] if self.argument is None else f"sum:{window}{self.argument}"
        return f"refund:{counted}" if self.refund else counted

    @classmethod
    def parse(cls, kind: str, at_most: int, tools: frozenset[str] | None) -> Limit | None:
        """The limit that a token states, or None where it states none that this guard can count."""
        found = _KIND.fullmatch(kind)
        if found is None or not 1 <= at_most <= MAX_MOST:
            return None
        refund, calls, spends, argument = found.groups()
        if argument and argument[0] == "/" and argument.count("/") == 1:
            return None  # a pointer to an argument itself, which has one key: its name
        one = cls(at_most, argument, int(calls or spends or 0), bool(refund), tools)
        # one spelling: no leading zeros, no window of zero
        return one if one.spelling == kind and one.window <= MAX_WINDOW else None


def limit(
    *,
    calls: int | None = None,
    sum_of: str | None = None,
    at_most: int | None = None,
    per: timedelta | None = None,
    tools: str | Callable[..., Any] | Iterable[str | Callable[..., Any]] | None = None,
    refund: bool = False,
) -> Limit:
    """At most so many calls, or at most so much in all; ``limit(calls=1)`` is single use.

    What is charged is charged before the call runs, all limits of a capability together or none.

    Args:
        calls: how many calls.
        sum_of: or the integer argument that is added up (or a field's JSON pointer, ``/order/amount``); a
            call in which it is negative, absent or no integer is refused.
        at_most: the largest sum.
        per: in any stretch of this length, whole seconds; without, as long as the capability lives. What was
            used falls out of the window in steps of a sixtieth of it, never early.
        tools: the tools that are limited, by name or function; without, every object that the capability
            names.
        refund: give back what a call took when its tool raises. The tool may have acted all the same.

    Raises:
        TypeError: a window that is no timedelta, or a refund that is no truth value.
        ValueError: neither or both of ``calls`` and ``sum_of``, or a number that is not at least 1.
    """
    if not isinstance(per, timedelta | None) or type(refund) is not bool:
        raise TypeError("per is a timedelta, such as timedelta(hours=1), and refund is True or False")
    if (calls is None) == (sum_of is None) or (sum_of is None) != (at_most is None):
        raise ValueError("a limit has calls=, or sum_of= with at_most=")
    most = calls if calls is not None else at_most
    if type(most) is not int or not 1 <= most <= MAX_MOST:
        raise ValueError("a limit is a whole number of at least 1")
    window = 0 if per is None else int(per.total_seconds())
    if per is not None and (timedelta(seconds=window) != per or not 1 <= window <= MAX_WINDOW):
        raise ValueError("a window is a timedelta of whole seconds, of a year at most")
    found = Limit(most, sum_of, window, refund, tool_resources(tools))
    if Limit.parse(found.spelling, most, found.tools) != found:
        raise ValueError(f"sum_of is an argument's name, or a pointer to a field of one: not {sum_of!r}")
    return found


def tool_resources(
    tools: str | Callable[..., Any] | Iterable[str | Callable[..., Any]] | None,
) -> frozenset[str] | None:
    """The objects of these tools, None for all.

    Raises:
        ValueError: none is named.
    """
    if tools is None:
        return None
    tools = [tools] if isinstance(tools, str) or callable(tools) else list(tools)
    if not tools:
        raise ValueError("tools names at least one tool: leave it out for all of them")
    return frozenset(f"tool:{tool_name(one)}" for one in tools)
