"""Step 5, of limits: what one call takes of each. Whether there is as much left is for whoever counts."""

from __future__ import annotations

import sys

from ..call.call import Call, digest
from ..errors import Denied, Problem, Reason
from ..grants.describe import describe_limit, describe_place
from ..tokens.capability import Capability
from .permit import LimitCharge

__all__ = ["limit_charges"]


def limit_charges(
    capability: Capability, call: Call
) -> tuple[tuple[LimitCharge, ...], tuple[tuple[str, str, int], ...]]:
    """What the call takes of each limit, and the limits as the engine is told them.

    Raises:
        Denied: ``constraint`` or ``missing_argument``, where there is nothing that could be added up.
    """
    charges: list[LimitCharge] = []
    counted: list[tuple[str, str, int]] = []
    until = sys.maxsize
    for block in capability.blocks:
        # what derives from a block expires no later than it, so its budget need not be kept longer
        until = min(until, block.expires or until)
        for handle, one in block.limits:
            if one.tools is None or call.resource in one.tools:
                name = digest("hessra-agents/limit/1", block.id.encode(), bytes.fromhex(handle))
                amount = 1 if one.argument is None else _amount(call, one.argument)
                words = describe_limit(one)
                charges.append(LimitCharge(name, amount, one.at_most, one.window, one.refund, until, words))
                counted.append((handle, one.spelling, one.at_most))
    return tuple(charges), tuple(counted)


def _amount(call: Call, argument: str) -> int:
    """What is added to a sum: never less than nothing, so that no call gives anything back."""
    values = call.fact("arg_int", argument)
    if values is None:
        missing = call.fact("arg_scalar", argument) is None and call.fact("arg_json", argument) is None
        reason = Reason.MISSING_ARGUMENT if missing else Reason.CONSTRAINT
        problem = Problem(reason, describe_place(argument), "a whole number, whose sum is limited")
        raise Denied(reason, problems=[problem])
    amount = values[0]
    if type(amount) is not int or amount < 0:
        problem = Problem(Reason.CONSTRAINT, describe_place(argument), "at least 0, its sum is limited")
        raise Denied(Reason.CONSTRAINT, problems=[problem])
    return amount
