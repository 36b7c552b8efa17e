"""Limit how often a capability may be used, and how much it may spend: bounds that need memory.

    authority.issue("agent:desk", grant("pay", amount=must.number(above=0, high=500, places=2)),
                    limit(calls=50),
                    limit(sum_of="amount", at_most=Decimal("5000.00"), per=timedelta(days=1)), ...)

A limit is a check of the block that it was put into, at issue or at any narrowing, so later blocks can only
add more limits. It is counted under that block's id: everything that is derived from the block shares one
budget. The guard's ledger counts; a guard without a ledger refuses the call.

A limit with a *budget* is counted under the name that the authority gives it, and not under its block: every
capability of that authority with this name, issued before or after, draws on the one budget. Only an
authority can name one, at issue.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

from ..call.numbers import MAX_PLACES, is_places
from ..call.places import is_key
from .grants import tool_resources
from .labels import is_name
from .vocabulary.measures import decimal_text, units

__all__ = ["MAX_MOST", "MAX_WINDOW", "Limit", "limit"]

MAX_MOST = 2**53 - 1
"""The largest limit: the largest integer that every JSON reader reads exactly."""

MAX_WINDOW = 366 * 86_400
"""The longest window, in seconds."""

_WINDOW = r"[0-9]{1,8}"
# refuses an argument whose name begins like a window: it could be read in two ways
_SUM = rf"sum(?:/([1-{MAX_PLACES}]))?:(?:({_WINDOW}):)?(?!{_WINDOW}:)(.+)"
_KIND = re.compile(rf"(refund:)?(?:calls(?::({_WINDOW}))?|{_SUM})", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Limit:
    """At most ``at_most`` calls, or at most ``at_most`` as the sum of one argument.

    A sum is in units of the last of ``places`` decimal places: of cents, for 2; of whole numbers, for 0.
    ``argument`` is the argument that is summed (None: calls are counted). ``window`` is in seconds: the limit
    holds in *any* period of that length (0: in the whole life of the capability). ``refund``: a call whose
    tool fails is not counted. ``tools`` are the objects whose calls count (None: all); other calls are free.
    ``budget`` is the name under which the authority's uses are counted (None: each block for itself).
    """

    at_most: int
    argument: str | None = None
    window: int = 0
    refund: bool = False
    tools: frozenset[str] | None = None
    places: int = 0
    budget: str | None = None

    @property
    def spelling(self) -> str:
        """Return what is counted, as the token spells it: ``calls``, ``calls:3600``, ``sum/2:amount``."""
        window = f"{self.window}:" if self.window else ""
        unit = f"sum/{self.places}" if self.places else "sum"
        counted = f"calls:{window}"[:-1] if self.argument is None else f"{unit}:{window}{self.argument}"
        return f"refund:{counted}" if self.refund else counted

    @property
    def predicate(self) -> str:
        """Return the fact that a guard states once the limit is counted."""
        return "limit" if self.budget is None else "budget"

    @property
    def unit(self) -> str:
        """Return what a budget counts: ``calls``, ``sum`` or ``sum/2``, of any argument, and its window."""
        summed = f"sum/{self.places}" if self.places else "sum"
        counted = "calls" if self.argument is None else summed
        return f"{counted}:{self.window}" if self.window else counted

    @classmethod
    def parse(cls, kind: str, at_most: int, tools: frozenset[str] | None) -> Limit | None:
        """Return the limit that a token states, or None if this guard cannot count it."""
        match = _KIND.fullmatch(kind)
        if match is None or not 1 <= at_most <= MAX_MOST:
            return None
        refund, calls, places, spends, argument = match.groups()
        if argument and (not is_key(argument) or argument.rfind("/") == 0):
            return None  # no key; a pointer to a whole argument is none: its key is its name
        parsed = cls(at_most, argument, int(calls or spends or 0), bool(refund), tools, int(places or 0))
        # one spelling: no leading zeros, no window of zero
        return parsed if parsed.spelling == kind and parsed.window <= MAX_WINDOW else None


def limit(
    *,
    calls: int | None = None,
    sum_of: str | None = None,
    at_most: int | float | Decimal | None = None,
    places: int | None = None,
    per: timedelta | None = None,
    tools: str | Callable[..., Any] | Iterable[str | Callable[..., Any]] | None = None,
    refund: bool = False,
    budget: str | None = None,
) -> Limit:
    """Limit the number of calls, or the sum of an argument; ``limit(calls=1)`` is single use.

    A call is charged before it runs, to all limits of its capability together or to none.

    Args:
        calls: the number of calls.
        sum_of: the argument that is added up, instead of ``calls`` (or the JSON pointer of a field,
            ``/order/amount``). A call in which it is negative, absent or has more than ``places`` decimal
            places is refused: nothing is rounded.
        at_most: the largest sum.
        places: how many decimal places an amount may have, 0 to 9; if omitted, as many as are written in
            ``at_most``: 2 in ``Decimal("5000.00")``, none in an integer. A float needs it.
        per: the limit holds in any period of this length, in whole seconds; if omitted, in the whole life of
            the capability. Use falls out of the window in steps of a sixtieth of its length, never early.
        tools: the tools that are limited, by name or function; if omitted, every object that the capability
            names.
        refund: do not count a call whose tool raises. The tool may still have acted.
        budget: a name for what is used up, such as ``eur:2027``, of up to 64 of ``A-Z a-z 0-9 . _ @ + -`` in
            up to four parts with ``:`` between. All capabilities of the authority that name it draw on it,
            also those that replace an expired one; calls and sums, and each ``per``, are counted apart.

    Raises:
        TypeError: ``per`` is not a timedelta, or ``refund`` is not a boolean.
        ValueError: neither or both of ``calls`` and ``sum_of`` are given, or a number is not at least 1.
    """
    if not isinstance(per, timedelta | None) or type(refund) is not bool:
        raise TypeError("per must be a timedelta, such as timedelta(hours=1), and refund True or False")
    if (calls is None) == (sum_of is None) or (sum_of is None) != (at_most is None):
        raise ValueError("a limit needs calls=, or sum_of= with at_most=")
    if sum_of is None and places is not None:
        raise ValueError("places are those of a sum: leave them out with calls=")
    most, scale = (calls, 0) if sum_of is None else _in_units(at_most, places)
    if type(most) is not int or not 1 <= most <= MAX_MOST:
        unit = ", in its last decimal place" if scale else ""
        raise ValueError(f"a limit must be an integer of at least 1{unit}")
    window = 0 if per is None else int(per.total_seconds())
    if per is not None and (timedelta(seconds=window) != per or not 1 <= window <= MAX_WINDOW):
        raise ValueError("a window must be of whole seconds, from 1 second to 366 days")
    if budget is not None and not (isinstance(budget, str) and is_name(budget)):
        raise ValueError("a budget's name is 1 to 64 of A-Z a-z 0-9 . _ @ + -, in up to four parts with ':'")
    made = Limit(most, sum_of, window, refund, tool_resources(tools), scale)
    if Limit.parse(made.spelling, most, made.tools) != made:
        raise ValueError(f"sum_of must be an argument's name, or a pointer to a field of one: not {sum_of!r}")
    return replace(made, budget=budget)


def _in_units(at_most: object, places: int | None) -> tuple[int, int]:
    """Return the largest sum in units of its last decimal place, and how many places it has."""
    text = decimal_text(at_most, "at_most")
    if places is None:
        places = len(text.partition(".")[2])
        if type(at_most) is float or (type(at_most) is Decimal and not places):
            raise ValueError("say how many decimal places an amount may have: places=2")
    if not is_places(places):
        raise ValueError(f"places must be an integer from 0 to {MAX_PLACES}")
    return units(text, places, "at_most"), places
