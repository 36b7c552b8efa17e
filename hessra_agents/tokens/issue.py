"""Issue a capability: write its first block and sign it with a root key."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta

from biscuit_auth import BiscuitBuilder, Check, Fact

from ..grants.conditions import Condition
from ..grants.grants import Grant
from ..keys.keys import KeyPair, PublicKey
from .admission import RequiredAttestation
from .builder import add_conditions, add_holder, unix_now
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
    last: bool = False,
    hops: int | None = None,
    only_to: Iterable[PublicKey] | None = None,
    authority: str | None = None,
    approvals: Iterable[tuple[RequiredAttestation, ...]] = (),
    activator: PublicKey | None = None,
    now: int | None = None,
) -> Capability:
    """Return a new capability, signed by a root key. `Authority.issue` is the usual way to get one.

    Args:
        key_id: the root key's id in `Trust`; None for guards that know one key without an id.
        authority: the identifier under which guards count the issuer's budgets.
        approvals: further checks, each of which one of its keys must approve.
        activator: whose activation the capability waits for (`hessra.latent`).

    The other parameters are those of `Authority.issue`.

    Raises:
        TypeError: ``holder`` is not a public key.
        ValueError: no subject, no grant, a bound on handing on without a holder, or more than one token can
            hold.
    """
    conditions = tuple(conditions)
    grants = [condition for condition in conditions if isinstance(condition, Grant)]
    if not subject:
        raise ValueError("a capability needs a subject, such as agent:desk")
    if not grants:
        raise ValueError("a capability needs at least one grant, such as grant(tool, argument=constraint)")
    if holder is not None and not isinstance(holder, PublicKey):
        raise TypeError("a holder must be a PublicKey: key.public, or PublicKey.parse(text)")
    builder = BiscuitBuilder("check if resource($r), operation($o), right($s, $r, $o);")
    for resource, operation in dict.fromkeys((grant.resource, grant.operation) for grant in grants):
        terms = {"s": subject, "r": resource, "o": operation}
        builder.add_fact(Fact("right({s}, {r}, {o})", terms))
    # the time of issue is a start as well: a revocation may end what was issued before a given time
    for start in dict.fromkeys((unix_now(now), not_before)):
        if start is not None:
            builder.add_check(Check("check if time($t), $t >= {n}", {"n": start}))
    hops = 0 if last and hops is None else hops
    if holder is not None:
        add_holder(builder, holder, hops=hops, only_to=only_to)
    elif hops is not None or only_to is not None:
        raise ValueError("anyone may hand on a bearer capability: name its holder")
    for alternatives in approvals:
        builder.add_check(attested_check(alternatives))
    if activator is not None:
        scope = {"k": activator.for_biscuit()}
        builder.add_check(Check("check if activation($a) trusting {k}", {}, scope))
    add_conditions(
        builder, conditions, ttl=ttl, audience=audience, designations=designations, now=now, tools=None
    )
    if key_id is not None:
        builder.set_root_key_id(key_id)
    return Capability.build(
        lambda: builder.build(key.for_biscuit().private_key), key.public, authority, conditions
    )
