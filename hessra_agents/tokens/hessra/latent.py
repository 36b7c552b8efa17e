"""Issue latent capabilities, which are useless until a named key activates them.

    order = latent("agent:desk", [grant("wipe")], activator=boss.public, key=root, key_id=1, ttl=a_day)
    order = activate(order, key=boss, ttl=timedelta(minutes=5), facet="order-17")
    order = complete(order, key=boss, facet="order-17")

`activate` adds a block that the activator signs: it states ``activation``, expires, and may require a
*facet*, which `complete` states in a last block by the same key. So the activator can keep a capability from
being used while it is under way, and can decide about each use.

Each signature is for one token: a block that is taken from it fits no other. A completed capability is like
any other until it expires; that it is used only once is up to the activator, or to a limit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta

from biscuit_auth import BlockBuilder, Check, Fact

from ...grants.grants import Grant
from ...grants.labels import is_text
from ...keys.keys import KeyPair, PublicKey
from ..admission import RequiredAttestation
from ..builder import designation_fact, ttl_seconds, unix_now
from ..capability import Capability
from ..datalog_writer import attested_check
from ..issue import issue

__all__ = ["FACET", "activate", "complete", "latent"]

FACET = "facet"
"""The label of the designation that completes an activated capability."""


def latent(
    subject: str,
    grants: Iterable[Grant],
    *,
    activator: PublicKey,
    key: KeyPair,
    key_id: int | None,
    ttl: timedelta,
    audience: str | None = None,
    holder: PublicKey | None = None,
    designations: Mapping[str, str] | None = None,
    now: int | None = None,
) -> Capability:
    """Return a capability that guards refuse as not yet valid until ``activator`` signs its activation.

    Args:
        activator: the key that decides when the capability may be used; it needs no other right.
        subject, grants, key, key_id, ttl, audience, holder, designations, now: see `issue.issue`.

    Raises:
        ValueError: no subject, no grant, or more than one token can hold.
    """
    return issue(
        subject,
        grants,
        key=key,
        key_id=key_id,
        ttl=ttl,
        audience=audience,
        holder=holder,
        designations=designations,
        activator=activator,
        now=now,
    )


def activate(
    capability: Capability,
    *,
    key: KeyPair,
    ttl: timedelta,
    facet: str | None = None,
    now: int | None = None,
) -> Capability:
    """Return a copy that is activated for a time.

    Args:
        capability: a capability, attenuated or not, that requires an activation by ``key``.
        key: the activator's key.
        ttl: time from now after which the copy is refused; it cannot outlive the original.
        facet: a fresh name; the copy stays useless until `complete` states it.
        now: Unix seconds; the clock's if omitted.

    Raises:
        ValueError: the capability requires no activation by this key, or the facet is not a printable
            string.
    """
    if not any(key.public.data in block.activators for block in capability.blocks):
        raise ValueError("this capability requires no activation by this key")
    start = unix_now(now)
    block = BlockBuilder("")
    block.add_fact(Fact("activation({n})", {"n": start}))
    if facet is not None:
        if not is_text(facet):
            raise ValueError("a facet must be a printable string of 1 to 256 characters")
        block.add_check(attested_check([RequiredAttestation(FACET, facet, key.public.data)]))
    block.add_check(Check("check if time($t), $t < {n}", {"n": start + ttl_seconds(ttl)}))
    return capability.with_signed_block(key, block)


def complete(capability: Capability, *, key: KeyPair, facet: str) -> Capability:
    """Return a copy in which the activator states the facet, so that it can be used.

    Raises:
        ValueError: the capability does not require this facet by this key.
    """
    required = RequiredAttestation(FACET, facet, key.public.data)
    if not any((required,) == check for block in capability.blocks for check in block.attested):
        raise ValueError("this capability does not require this facet by this key")
    block = BlockBuilder("")
    block.add_fact(designation_fact(FACET, facet))
    return capability.with_signed_block(key, block)
