"""Say which tools make a token too large, when it cannot be issued."""

from __future__ import annotations

from collections.abc import Iterable

from biscuit_auth import BiscuitBuilder

from ..grants.conditions import Condition
from ..grants.describe import safe_word
from ..grants.grants import Grant
from ..keys.keys import KeyPair
from .builder import add_conditions
from .format.blocks import MAX_BYTES

__all__ = ["too_large"]

_NAMED = 3


def too_large(size: int, conditions: Iterable[Condition]) -> str:
    """Return what is wrong with a token of this many bytes, and the tools that take most of them."""
    grants: dict[str, list[Grant]] = {}
    for condition in conditions:
        if isinstance(condition, Grant):
            grants.setdefault(condition.resource, []).append(condition)
    sizes = {resource: _bytes(own) for resource, own in grants.items()}
    largest = sorted(sizes, key=lambda resource: -sizes[resource])[:_NAMED]
    takes = [f"{safe_word(name.partition(':')[2])} takes {sizes[name]:,}" for name in largest]
    told = f"the token would have {size:,} bytes, at most {MAX_BYTES:,}"
    advice = "Issue several capabilities: a toolbox takes them together"
    return f"{told}{': ' if takes else ''}{', '.join(takes)}. {advice}"


def _bytes(grants: list[Grant]) -> int:
    """Return how many bytes of a token these grants take, apart from what they share with others."""
    key = KeyPair.generate().for_biscuit().private_key
    builder = BiscuitBuilder("")
    add_conditions(builder, grants, ttl=None, audience=None, designations=None, now=None, tools=None)
    return len(builder.build(key).to_bytes()) - len(BiscuitBuilder("").build(key).to_bytes())
