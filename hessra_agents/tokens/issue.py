"""Issuing: the first block of a capability, signed by a root key."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta

from biscuit_auth import BiscuitBuilder, Check, Fact

from ..grants.grants import Grant
from ..keys.keys import KeyPair, PublicKey
from .admission import HOLDER, RequiredAttestation
from .builder import Condition, add_conditions, new_handle, unix_now
from .capability import Capability
from .datalog_writer import attested_check

__all__ = ["issue"]


def issue(
    subject: str,
    conditions: Iterable[Condition],
    *,
    key: KeyPair,
    key_id: int | None,
    ttl: timedelta,
    audience: str | None = None,
    holder: PublicKey | None = None,
    not_before: int | None = None,
    designations: Mapping[str, str] | None = None,
    approvals: Iterable[tuple[RequiredAttestation, ...]] = (),
    activator: PublicKey | None = None,
    now: int | None = None,
) -> Capability:
    """A new capability, signed by a root key. `Authority.issue` is the usual way to get one.

    Raises:
        ValueError: no subject, no grant, or more than one token can hold.
    """
    found = tuple(conditions)
    grants = [one for one in found if isinstance(one, Grant)]
    if not subject or not grants:
        raise ValueError("a capability needs a subject and at least one grant")
    if holder is not None and not isinstance(holder, PublicKey):
        raise TypeError("a holder is a PublicKey: key.public, or PublicKey.parse(text)")
    builder = BiscuitBuilder("check if resource($res), operation($op), right($sub, $res, $op);")
    for resource, operation in dict.fromkeys((one.resource, one.operation) for one in grants):
        terms = {"s": subject, "r": resource, "o": operation}
        builder.add_fact(Fact("right({s}, {r}, {o})", terms))
    # the moment of issue, too: what was issued before a moment can be revoked by it
    for start in dict.fromkeys((unix_now(now), not_before)):
        if start is not None:
            builder.add_check(Check("check if time($t), $t >= {n}", {"n": start}))
    if holder is not None:
        builder.add_check(attested_check([RequiredAttestation(HOLDER, new_handle(), holder.data)]))
    for alternatives in approvals:
        builder.add_check(attested_check(alternatives))
    if activator is not None:
        scope = {"k": activator.for_biscuit()}
        builder.add_check(Check("check if activation($a) trusting {k}", {}, scope))
    add_conditions(builder, found, ttl=ttl, audience=audience, designations=designations, now=now, tools=None)
    if key_id is not None:
        builder.set_root_key_id(key_id)
    return Capability.build(lambda: builder.build(key.for_biscuit().private_key), key.public)
