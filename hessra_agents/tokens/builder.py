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
from ..grants.grants import Grant
from ..grants.joining import join
from ..grants.limits import Limit
from ..keys.keys import KeyPair, PublicKey
from .admission import ANCHOR, APPROVED, HOLDER, MAX_NEXT, RESERVED, RequiredAttestation
from .datalog_writer import add_choice, add_pattern, attested_check, exposure_check, limit_check
from .format.blocks import MAX_BLOCKS

__all__ = [
    "add_conditions",
    "add_holder",
    "argument_of",
    "designation_fact",
    "new_handle",
    "sign_block",
    "ttl_seconds",
    "unix_now",
]


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


def add_holder(
    builder: BiscuitBuilder | BlockBuilder,
    key: PublicKey,
    *,
    name: str | None = None,
    hops: int | None = None,
    only_to: Iterable[PublicKey] | None = None,
    idle: bool = False,
) -> None:
    """Name the next holder in a block, and what the holder is called and may hand on.

    Args:
        name: what the holder's name adds to the name before (`is_name`); None to add nothing.
        hops: how often the token may be handed on from here; None for any number.
        only_to: the keys to which the holder may hand it on; None for any.
        idle: whether the holder may only hand it on.

    Raises:
        TypeError: a key is not a public key.
        ValueError: the number or the list is not one that a guard reads.
    """
    builder.add_check(attested_check([RequiredAttestation(HOLDER, new_handle(), key.data)]))
    if name is not None:
        builder.add_fact(Fact("known_as({n})", {"n": name}))
    if hops is not None:
        if type(hops) is not int or not 0 <= hops < MAX_BLOCKS:
            raise ValueError(f"hops must be an integer from 0 to {MAX_BLOCKS - 1}")
        builder.add_fact(Fact("hops({n})", {"n": hops}))
    keys = [] if only_to is None else [*only_to]
    if only_to is not None:
        if not all(isinstance(one, PublicKey) for one in keys):
            raise TypeError("only_to must be a list of PublicKey: key.public, or PublicKey.parse(text)")
        if not 1 <= len(keys) <= MAX_NEXT:
            raise ValueError(f"only_to must have 1 to {MAX_NEXT} keys; last=True forbids to hand on")
        builder.add_fact(Fact("only_to({k})", {"k": {one.data.hex() for one in keys}}))
    if idle:
        if only_to is None or key in keys:
            raise ValueError("an idle holder needs only_to=, keys of others: it would hand on to itself")
        builder.add_fact(Fact("idle(true)"))


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
                if condition.budget is not None and tools is not None:
                    raise ValueError("only an authority names a budget: give it to issue, or omit budget=")
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
        if tools is None and isinstance(other, ApprovalRule):
            _check_unless(other, grants)
    # a resource that takes no arguments needs no pattern: any verifier of designated resources honors it
    bare = all(grant.resource.startswith("resource:") and not grant.constraints for grant in grants)
    if grants and not (tools is None and bare):
        pattern, choices = join(grants, closed=tools is None)
        add_pattern(builder, pattern)
        for choice in choices:
            add_choice(builder, choice)


def _check_sum(limit: Limit, place: str, grants: Iterable[Grant]) -> None:
    """Refuse a limited tool that has no such argument: no call of it could pass."""
    name = argument_of(place)
    for grant in grants:
        limited = limit.tools is None or grant.resource in limit.tools
        if limited and name not in dict(grant.constraints):
            hint = "name the limited tools with tools=..."
            raise ValueError(f"{grant.tool} has no argument {name!r} to sum up: {hint}")


def _check_unless(rule: ApprovalRule, grants: Iterable[Grant]) -> None:
    """Refuse arguments that none of the tools has: every call would need the approval."""
    named = [one for one in grants if rule.tools is None or one.resource in rule.tools]
    known = {name for one in named for name, _ in one.constraints}
    unknown = sorted({argument_of(clause.key) for clause in rule.unless} - known)
    if unknown:
        raise ValueError(f"unless: no granted tool has an argument {unknown[0]!r}")


def argument_of(place: str) -> str:
    """Return the argument that contains a place: ``order`` for ``/order/amount``."""
    if not place.startswith("/"):
        return place
    return place.split("/")[1].replace("~1", "/").replace("~0", "~")


def _add_approvals(builder: BiscuitBuilder | BlockBuilder, rule: ApprovalRule) -> None:
    # one handle for each key: an approver signs one statement, whatever checks it serves
    handles = {key: new_handle() for key in rule.keys}
    for choice in rule.choices():
        keys = [
            RequiredAttestation(APPROVED, handles[key], key.data, rule.tools, rule.unless) for key in choice
        ]
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
