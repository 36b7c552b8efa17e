"""Write conditions into a block: what issuing, attenuating and delegating have in common."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from datetime import timedelta

from biscuit_auth import Biscuit, BiscuitBuilder, BlockBuilder, Check, Fact

from ..grants.approvals import ApprovalRule
from ..grants.conditions import Condition
from ..grants.exposure import NoExposure
from ..grants.grants import Grant, pattern
from ..grants.limits import Limit
from ..keys.keys import KeyPair
from .admission import ANCHOR, APPROVED, RESERVED, RequiredAttestation
from .datalog_writer import add_pattern, attested_check, exposure_check, limit_check

__all__ = ["add_conditions", "designation_fact", "new_handle", "sign_block", "ttl_seconds", "unix_now"]


def new_handle() -> str:
    """Return a fresh name for one holder or approver check: 128 random bits in hex."""
    return os.urandom(16).hex()


def ttl_seconds(ttl: timedelta) -> int:
    """Return a lifetime in whole seconds, rounded down.

    Raises:
        TypeError: it is not a timedelta.
        ValueError: it is shorter than one second.
    """
    if not isinstance(ttl, timedelta):
        raise TypeError("ttl must be a timedelta, such as timedelta(minutes=10)")
    if ttl < timedelta(seconds=1):
        raise ValueError("ttl must be at least one second")
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

    Args:
        tools: the objects that earlier blocks leave; None for the first block, which closes the names.

    Raises:
        TypeError: something is not a condition.
        ValueError: a label is reserved, a condition is about an object that is not granted, or the
            conditions are more than one block can hold.
    """
    if ttl is not None:
        builder.add_check(Check("check if time($time), $time < {n}", {"n": unix_now(now) + ttl_seconds(ttl)}))
    if ANCHOR in (designations or {}):
        raise ValueError("name the guard with audience=, not with a designation")
    for label, value in {**(designations or {}), **({ANCHOR: audience} if audience else {})}.items():
        if label in RESERVED:
            raise ValueError(f"the label {label!r} is reserved")
        builder.add_check(Check("check if designation({l}, {v})", {"l": label, "v": value}))
    grants: list[Grant] = []
    others: list[Limit | ApprovalRule | NoExposure] = []
    for condition in conditions:
        match condition:
            case Grant():
                grants.append(condition)
            case Limit():
                builder.add_check(limit_check(new_handle(), condition))
                others.append(condition)
            case ApprovalRule():
                _add_approvals(builder, condition)
                others.append(condition)
            case NoExposure():
                for labels in condition.patterns:
                    builder.add_check(exposure_check(labels, condition.tools))
                others.append(condition)
            case _:
                allowed = "a condition is grant(...), limit(...), approved_by(...) or clear_of(...)"
                raise TypeError(f"{allowed}, not {type(condition).__name__}")
    granted = frozenset(grant.resource for grant in grants) or frozenset(tools or ())
    for other in others:
        unknown = sorted((other.tools or frozenset()) - granted)
        if unknown:
            raise ValueError(f"{unknown[0]} is not granted, so no condition can be about it")
        if tools is None and isinstance(other, Limit) and other.argument:
            _check_sum(other, other.argument, grants)
    # a resource that takes no arguments needs no pattern: any verifier of designated resources honors it
    bare = all(grant.resource.startswith("resource:") and not grant.constraints for grant in grants)
    if grants and not (tools is None and bare):
        add_pattern(builder, pattern(tuple(grants), closed=tools is None))


def _check_sum(limit: Limit, place: str, grants: Iterable[Grant]) -> None:
    """Refuse a limited tool that has no such argument: no call of it could pass."""
    name = _argument_of(place)
    for grant in grants:
        limited = limit.tools is None or grant.resource in limit.tools
        if limited and name not in dict(grant.constraints):
            hint = "name the limited tools with tools=..."
            raise ValueError(f"{grant.tool} has no argument {name!r} to sum up: {hint}")


def _argument_of(place: str) -> str:
    """Return the argument that contains a place: ``order`` for ``/order/amount``."""
    if not place.startswith("/"):
        return place
    return place.split("/")[1].replace("~1", "/").replace("~0", "~")


def _add_approvals(builder: BiscuitBuilder | BlockBuilder, rule: ApprovalRule) -> None:
    # one handle for each key: an approver signs one statement, whatever checks it serves
    handles = {key: new_handle() for key in rule.keys}
    for choice in rule.choices():
        keys = [RequiredAttestation(APPROVED, handles[key], key.data, rule.tools) for key in choice]
        builder.add_check(attested_check(keys))


def designation_fact(label: str, value: str) -> Fact:
    """Return the fact of a designation that the signer of a block vouches for."""
    return Fact("designation({l}, {v})", {"l": label, "v": value})


def sign_block(biscuit: Biscuit, key: KeyPair, block: BlockBuilder) -> Biscuit:
    """Return the token with one more block, which ``key`` signs for this token alone."""
    pair = key.for_biscuit()
    signed = biscuit.third_party_request().create_block(pair.private_key, block)
    return biscuit.append_third_party(pair.public_key, signed)


def unix_now(now: int | None) -> int:
    """Return ``now``, or the time of this process's clock if it is None, in whole Unix seconds."""
    return int(time.time() if now is None else now)
