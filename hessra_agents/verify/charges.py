"""Compute what a call takes from each limit (step 5). Whether that much is left is the ledger's to decide."""

from __future__ import annotations

import sys

from ..call.call import Call, digest
from ..errors import Denied, Problem, Reason
from ..grants.describe import describe_limit, describe_place
from ..tokens.capability import Capability
from .permit import LimitCharge

__all__ = ["limit_charges", "limit_counter"]


def limit_charges(
    capability: Capability, call: Call
) -> tuple[tuple[LimitCharge, ...], tuple[tuple[str, str, int], ...]]:
    """Return what the call takes from each limit, and the limits as facts for the engine.

    Raises:
        Denied: ``constraint`` or ``missing_argument``, if a limited argument cannot be added up.
    """
    charges: list[LimitCharge] = []
    facts: list[tuple[str, str, int]] = []
    until = sys.maxsize
    for block in capability.blocks:
        # what derives from a block expires no later than the block, so its budget need not be kept longer
        until = min(until, block.expires or until)
        for handle, limit in block.limits:
            if limit.tools is None or call.resource in limit.tools:
                name = limit_counter(block.id, handle)
                amount = 1 if limit.argument is None else _amount(call, limit.argument)
                words = describe_limit(limit)
                charges.append(
                    LimitCharge(name, amount, limit.at_most, limit.window, limit.refund, until, words)
                )
                facts.append((handle, limit.spelling, limit.at_most))
    return tuple(charges), tuple(facts)


def limit_counter(block_id: str, handle: str) -> bytes:
    """Return the name of a limit's budget, which everything derived from the limit's block shares."""
    return digest("hessra-agents/limit/1", block_id.encode(), bytes.fromhex(handle))


def _amount(call: Call, argument: str) -> int:
    """Return what a call adds to a sum; never negative, so that no call increases a budget."""
    values = call.fact("arg_int", argument)
    amount = values[0] if values is not None else None
    if type(amount) is int and amount >= 0:
        return amount
    missing = amount is None and not call.has(argument)
    reason = Reason.MISSING_ARGUMENT if missing else Reason.CONSTRAINT
    allowed = "an integer of at least 0, because its sum is limited"
    raise Denied(reason, problems=[Problem(reason, describe_place(argument), allowed)])
