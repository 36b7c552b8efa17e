"""Limit how often a capability may be used, and how much it may spend: bounds that need memory.

    authority.issue("agent:desk", grant("pay", amount=must.between(1, 500)),
                    limit(calls=50), limit(sum_of="amount", at_most=5000, per=timedelta(days=1)), ...)

A limit is a check of the block that it was put into, at issue or at any narrowing, so later blocks can only
add more limits. It is counted under that block's id: everything that is derived from the block shares one
budget. The guard's ledger counts; a guard without a ledger refuses the call.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from ..call.facts import is_key
from .grants import tool_resources

__all__ = ["MAX_MOST", "MAX_WINDOW", "Limit", "limit"]

MAX_MOST = 2**53 - 1
"""The largest limit: the largest integer that every JSON reader reads exactly."""

MAX_WINDOW = 366 * 86_400
"""The longest window, in seconds."""

_WINDOW = r"[0-9]{1,8}"
# refuses an argument whose name begins like a window: it could be read in two ways
_SUM = rf"sum:(?:({_WINDOW}):)?(?!{_WINDOW}:)(.+)"
_KIND = re.compile(rf"(refund:)?(?:calls(?::({_WINDOW}))?|{_SUM})", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Limit:
    """At most ``at_most`` calls, or at most ``at_most`` as the sum of one integer argument.

    ``argument`` is the argument that is summed (None: calls are counted). ``window`` is in seconds: the limit
    holds in *any* period of that length (0: in the whole life of the capability). ``refund``: a call whose
    tool fails is not counted. ``tools`` are the objects whose calls count (None: all); other calls are free.
    """

    at_most: int
    argument: str | None = None
    window: int = 0
    refund: bool = False
    tools: frozenset[str] | None = None

    @property
    def spelling(self) -> str:
        """Return what is counted, as the token spells it: ``calls``, ``calls:3600``, ``sum:amount``."""
        window = f"{self.window}:" if self.window else ""
        counted = f"calls:{window}"[:-1] if self.argument is None else f"sum:{window}{self.argument}"
        return f"refund:{counted}" if self.refund else counted

    @classmethod
    def parse(cls, kind: str, at_most: int, tools: frozenset[str] | None) -> Limit | None:
        """Return the limit that a token states, or None if this guard cannot count it."""
        match = _KIND.fullmatch(kind)
        if match is None or not 1 <= at_most <= MAX_MOST:
            return None
        refund, calls, spends, argument = match.groups()
        if argument and (not is_key(argument) or argument.rfind("/") == 0):
            return None  # no key; a pointer to a whole argument is none: its key is its name
        parsed = cls(at_most, argument, int(calls or spends or 0), bool(refund), tools)
        # one spelling: no leading zeros, no window of zero
        return parsed if parsed.spelling == kind and parsed.window <= MAX_WINDOW else None


def limit(
    *,
    calls: int | None = None,
    sum_of: str | None = None,
    at_most: int | None = None,
    per: timedelta | None = None,
    tools: str | Callable[..., Any] | Iterable[str | Callable[..., Any]] | None = None,
    refund: bool = False,
) -> Limit:
    """Limit the number of calls, or the sum of an argument; ``limit(calls=1)`` is single use.

    A call is charged before it runs, to all limits of its capability together or to none.

    Args:
        calls: the number of calls.
        sum_of: the integer argument that is added up, instead of ``calls`` (or the JSON pointer of a field,
            ``/order/amount``). A call in which it is negative, absent or not an integer is refused.
        at_most: the largest sum.
        per: the limit holds in any period of this length, in whole seconds; if omitted, in the whole life of
            the capability. Use falls out of the window in steps of a sixtieth of its length, never early.
        tools: the tools that are limited, by name or function; if omitted, every object that the capability
            names.
        refund: do not count a call whose tool raises. The tool may still have acted.

    Raises:
        TypeError: ``per`` is not a timedelta, or ``refund`` is not a boolean.
        ValueError: neither or both of ``calls`` and ``sum_of`` are given, or a number is not at least 1.
    """
    if not isinstance(per, timedelta | None) or type(refund) is not bool:
        raise TypeError("per must be a timedelta, such as timedelta(hours=1), and refund True or False")
    if (calls is None) == (sum_of is None) or (sum_of is None) != (at_most is None):
        raise ValueError("a limit needs calls=, or sum_of= with at_most=")
    most = calls if calls is not None else at_most
    if type(most) is not int or not 1 <= most <= MAX_MOST:
        raise ValueError("a limit must be an integer of at least 1")
    window = 0 if per is None else int(per.total_seconds())
    if per is not None and (timedelta(seconds=window) != per or not 1 <= window <= MAX_WINDOW):
        raise ValueError("a window must be of whole seconds, from 1 second to 366 days")
    made = Limit(most, sum_of, window, refund, tool_resources(tools))
    if Limit.parse(made.spelling, most, made.tools) != made:
        raise ValueError(f"sum_of must be an argument's name, or a pointer to a field of one: not {sum_of!r}")
    return made
