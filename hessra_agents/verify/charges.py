"""Compute what a call takes from each limit (step 5). Whether that much is left is the ledger's to decide."""

from __future__ import annotations

import sys

from ..call.call import Call, digest
from ..errors import Denied, Problem, Reason
from ..grants.describe import describe_limit, describe_place
from ..grants.limits import Limit
from ..tokens.capability import Capability
from .permit import LimitCharge

__all__ = ["amount_of", "limit_charges", "limit_counter"]

_NO_AUTHORITY = (
    "the guard's trust names no authority beside the root key, so it cannot count the budget:"
    " give it the trust that the authority writes"
)


def limit_charges(
    capability: Capability, call: Call
) -> tuple[tuple[LimitCharge, ...], tuple[tuple[str, str, str, int], ...]]:
    """Return what the call takes from each limit, and the limits as facts for the engine.

    Raises:
        Denied: ``constraint`` or ``missing_argument``, if a limited argument cannot be added up;
            ``unavailable``, if the guard does not know whose budget it is.
    """
    charges: list[LimitCharge] = []
    facts: list[tuple[str, str, str, int]] = []
    until = sys.maxsize
    for block in capability.blocks:
        # what derives from a block expires no later than the block, so its budget need not be kept longer
        until = min(until, block.expires or until)
        for handle, limit in block.limits:
            if limit.tools is None or call.resource in limit.tools:
                name = limit_counter(limit, handle, block.id, capability.authority)
                if name is None:
                    raise Denied(Reason.UNAVAILABLE, _NO_AUTHORITY)
                amount, most, words = _charged(call, limit), limit.at_most, describe_limit(limit)
                kept = until if limit.budget is None else sys.maxsize
                charges.append(
                    LimitCharge(name, amount, most, limit.window, limit.refund, kept, words, limit.places)
                )
                facts.append((limit.predicate, handle, limit.spelling, limit.at_most))
    return tuple(charges), tuple(facts)


def limit_counter(limit: Limit, handle: str, block_id: str, authority: str | None) -> bytes | None:
    """Return the name under which a limit is counted; None for a budget of an authority that is not known.

    What derives from the block of a limit shares its count. A named budget is shared by all that the
    authority issues. ``authority`` is what the guard's trust says, and never what a token says.
    """
    if limit.budget is None:
        return digest("hessra-agents/limit/1", block_id.encode(), bytes.fromhex(handle))
    if authority is None:
        return None
    return digest("hessra-agents/budget/1", bytes.fromhex(authority), handle.encode(), limit.unit.encode())


def amount_of(call: Call, limit: Limit) -> int | None:
    """Return what a call takes from a limit, in units of its last decimal place; None if that cannot be said.

    It is never negative, so that no call increases a budget, and never rounded, so that none is free.
    """
    if limit.argument is None:
        return 1
    fact, places = ("arg_fixed", limit.places) if limit.places else ("arg_int", None)
    values = call.fact(fact, limit.argument, places)
    amount = values[0] if values is not None else None
    return amount if type(amount) is int and amount >= 0 else None


def _charged(call: Call, limit: Limit) -> int:
    amount = amount_of(call, limit)
    if amount is not None:
        return amount
    place = limit.argument or ""
    reason = Reason.CONSTRAINT if call.has(place) else Reason.MISSING_ARGUMENT
    number = f"a number with at most {limit.places} decimal places" if limit.places else "an integer"
    allowed = f"{number} of at least 0, because its sum is limited"
    raise Denied(reason, problems=[Problem(reason, describe_place(place), allowed)])
