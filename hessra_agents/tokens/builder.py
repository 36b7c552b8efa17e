"""What issuing, attenuating and delegating have in common: conditions, written into a block."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from datetime import timedelta

from biscuit_auth import BiscuitBuilder, BlockBuilder, Check, Fact

from ..grants.approvals import ApprovalRule
from ..grants.exposure import NoExposure
from ..grants.grants import Grant, pattern
from ..grants.limits import Limit
from .admission import ANCHOR, APPROVED, RESERVED, RequiredAttestation
from .datalog_writer import add_pattern, attested_check, exposure_check, limit_check

__all__ = ["Condition", "add_conditions", "designation_fact", "new_handle", "ttl_seconds", "unix_now"]

Condition = Grant | Limit | ApprovalRule | NoExposure
"""What a block may ask for beside times and places."""


def new_handle() -> str:
    """A name for one holder or approver check: 128 random bits in hex, never used twice."""
    return os.urandom(16).hex()


def ttl_seconds(ttl: timedelta) -> int:
    """A lifetime in whole seconds, rounded down.

    Raises:
        ValueError: it is shorter than one second.
    """
    if not isinstance(ttl, timedelta):
        raise TypeError("ttl is a timedelta, such as timedelta(minutes=10)")
    if ttl < timedelta(seconds=1):
        raise ValueError("ttl is at least one second")
    return int(ttl.total_seconds())


def add_conditions(
    builder: BiscuitBuilder | BlockBuilder,
    conditions: Iterable[Condition],
    *,
    ttl: timedelta | None,
    audience: str | None,
    designations: Mapping[str, str] | None,
    now: int | None,
    tools: Iterable[str] | None,
) -> None:
    """Write these conditions into a block.

    ``tools`` are the objects that the blocks before leave; None for the first block, which closes the names.

    Raises:
        TypeError: something is no condition.
        ValueError: a label is reserved, a condition is of an object that no grant names, or the conditions
            are more than one block can hold.
    """
    if ttl is not None:
        builder.add_check(Check("check if time($time), $time < {n}", {"n": unix_now(now) + ttl_seconds(ttl)}))
    if ANCHOR in (designations or {}):
        raise ValueError("name the guard by audience, not by a designation")
    for label, value in {**(designations or {}), **({ANCHOR: audience} if audience else {})}.items():
        if label in RESERVED:
            raise ValueError(f"the label {label!r} is reserved")
        builder.add_check(Check("check if designation({l}, {v})", {"l": label, "v": value}))
    grants: list[Grant] = []
    asked: list[Limit | ApprovalRule | NoExposure] = []
    for one in conditions:
        match one:
            case Grant():
                grants.append(one)
            case Limit():
                builder.add_check(limit_check(new_handle(), one))
                asked.append(one)
            case ApprovalRule():
                _add_approvals(builder, one)
                asked.append(one)
            case NoExposure():
                for labels in one.patterns:
                    builder.add_check(exposure_check(labels, one.tools))
                asked.append(one)
            case _:
                made = "a capability is made of grant(...), limit(...), approved_by(...) and clear_of(...)"
                raise TypeError(f"{made}: not of {type(one).__name__}")
    named = frozenset(one.resource for one in grants) or frozenset(tools or ())
    for condition in asked:
        unknown = sorted((condition.tools or frozenset()) - named)
        if unknown:
            raise ValueError(
                f"no grant names {unknown[0]}, so nothing of it can be limited, approved or kept clear"
            )
        if tools is None and isinstance(condition, Limit) and condition.argument:
            _check_sum(condition, condition.argument, grants)
    # a resource that takes no arguments needs no pattern: any verifier of designated resources honours it
    bare = all(one.resource.startswith("resource:") and not one.constraints for one in grants)
    if grants and not (tools is None and bare):
        add_pattern(builder, pattern(tuple(grants), closed=tools is None))


def _check_sum(limit: Limit, place: str, grants: Iterable[Grant]) -> None:
    """A tool without the argument would be left without any call that passes."""
    name = _argument_of(place)
    for one in grants:
        limited = limit.tools is None or one.resource in limit.tools
        if limited and name not in dict(one.constraints):
            hint = "name the tools that are limited, tools=..."
            raise ValueError(f"{one.tool} has no argument {name!r} to sum up: {hint}")


def _argument_of(place: str) -> str:
    """The argument that a place is in: ``order`` of ``/order/amount``."""
    if not place.startswith("/"):
        return place
    return place.split("/")[1].replace("~1", "/").replace("~0", "~")


def _add_approvals(builder: BiscuitBuilder | BlockBuilder, asked: ApprovalRule) -> None:
    # one handle for each key: an approver signs one statement, whatever checks it serves
    handles = {key: new_handle() for key in asked.keys}
    for choice in asked.choices():
        named = [RequiredAttestation(APPROVED, handles[key], key.data, asked.tools) for key in choice]
        builder.add_check(attested_check(named))


def designation_fact(label: str, value: str) -> Fact:
    """A designation that the signer of a block vouches for."""
    return Fact("designation({l}, {v})", {"l": label, "v": value})


def unix_now(now: int | None) -> int:
    """This time, or the clock's: Unix seconds."""
    return int(time.time() if now is None else now)
