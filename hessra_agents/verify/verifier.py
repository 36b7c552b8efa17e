"""The verifier: one capability, one call, one moment; a `Permit`, or `Denied`.

Procedure. Signatures and admission come before (`Capability.parse`); revocation, replay and everything
else that needs memory come after (`Ledger.admit`).

1. Time. No block has expired, and none is still to come.
2. Place. The first block names this guard, and each designation that the guard requires; every one that
   any block names is one the guard states. (What only a later block names, its holder may have chosen.)
3. Possession. The last holder proves this very call to this guard now; every earlier holder signed the
   block that handed on.
4. Right. The first block grants this operation on this object.
5. Arguments. Every pattern of every block matches, and so does the tool's own. The first block closes the
   names; where it has no pattern there may be no arguments. Where a value must come from an earlier result,
   or the session must not have seen something, its keeper tells; without one, neither holds. What limits of
   the blocks will take of this call can be told; whether there is as much left is for whoever counts.
6. Attestations. Every other check on a key is met: by an approval of this very call, or by a block which
   that key signed.
7. If the guard is strict, the Datalog engine, told the same facts, permits too. It is the definition; that
   steps 1 to 6 decide as it does is held over random capabilities and calls (tests/laws/test_laws.py).

What would have been allowed is told from step 4 on, when signature and holder are proved.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType

from ..call.call import Call
from ..errors import Denied, Problem, Reason
from ..grants.clauses import Pattern, Results
from ..grants.describe import safe_word
from ..grants.labels import label_means
from ..keys.keys import KeyPair, PublicKey
from ..tokens.admission import ANCHOR, APPROVED, HOLDER, RESERVED
from ..tokens.capability import Capability
from ..tokens.engine import authorize
from ..tokens.statements import Approval, Proof
from .attestations import check_attestations
from .charges import limit_charges
from .explain import ORDER, explain
from .matcher import CompiledCapability, matches, program
from .permit import _SEAL, Permit, UsedStatement

__all__ = ["PROOF_WINDOW", "Possession", "check_audience", "check_time", "verify"]

PROOF_WINDOW = 30
"""Seconds that the clock of a holder or issuer may differ from the guard's. An expiry is exact."""

_NOTHING: Mapping[str, str] = MappingProxyType({})

_public = lru_cache(maxsize=256)(PublicKey)  # the same holders prove one call after the other


@dataclass(frozen=True, slots=True)
class Possession:
    """The holder's key was shown in this process: one challenge, signed and checked.

    Where key and guard share a process, a proof for each call proves nothing more.
    """

    handle: str

    @classmethod
    def show(cls, capability: Capability, key: KeyPair) -> Possession:
        """Sign a fresh challenge with the key and check it against the capability's holder.

        Raises:
            Denied: ``not_holder``.
        """
        challenge = b"hessra-agents/possession/1" + os.urandom(32)
        holder = capability.holder
        if holder is None or not PublicKey(holder.key).signed(key.sign(challenge), challenge):
            raise Denied(Reason.NOT_HOLDER, "the key is not the one that holds this capability")
        return cls(holder.handle)


def verify(
    capability: Capability,
    call: Call,
    *,
    now: int,
    audience: str,
    proof: Proof | Possession | None = None,
    approvals: Iterable[Approval] = (),
    designations: Mapping[str, str] = _NOTHING,
    require_designations: bool = True,
    bounds: tuple[Pattern, ...] = (),
    cross_check: bool = False,
    results: Results | None = None,
    labels: Collection[str] | None = None,
) -> Permit:
    """Permit this call, or refuse it. Pure: it reads no clock and remembers nothing.

    Args:
        capability: signatures checked and admitted.
        call: canonical (`Call.of`).
        now: Unix seconds by the guard's clock.
        audience: the guard's own name.
        proof: the holder's, if the capability has a holder.
        approvals: of this call, if the capability asks for any.
        designations: labels and values that the guard states beside its name.
        require_designations: whether the issuer must have named each of those labels, too.
        bounds: the tool's own patterns, whatever the capability says.
        cross_check: ask the Datalog engine, too, and refuse where it does.
        results: tells which values the session has seen, and where; without, none.
        labels: what the session has seen, by its names; None where nobody knows.

    Raises:
        Denied: with the reason of the first step that fails.
    """
    found = program(capability)
    try:
        # where the program cannot say yes, the step itself tells what is wrong
        moment = now if found.starts <= now < capability.expires else check_time(capability, now)
        if designations or found.guard != audience:
            check_audience(capability, audience, designations, require_designations=require_designations)
        handle, spends = _check_possession(capability, call, proof, audience, now)
        if found.rights.get(call.resource) != call.operation:
            _check_right(capability, call)
        _check_arguments(found, capability, call, bounds, results)
        clear = check_exposure(capability, call, labels) if found.watched else []
        charges, counted = limit_charges(capability, call) if found.limited else ((), ())
        approved: set[str] = set()
        votes: tuple[tuple[bytes, UsedStatement], ...] = ()
        if approvals or not found.settled:
            approved, votes = check_attestations(capability, call, tuple(approvals), now)
        if cross_check:
            earned = [(HOLDER, handle)] if handle else []
            earned += [(APPROVED, one) for one in approved]
            authorize(
                capability.biscuit,
                call,
                now=moment,
                audience=audience,
                designations=[*_stated(capability, designations), *earned],
                patterns=[pattern for block in capability.blocks for pattern in block.patterns],
                limits=counted,
                results=results,
                clear=clear,
            )
    except Denied as denied:
        raise denied.for_tool(call.tool) from denied.__cause__
    if votes:
        spends += tuple(spent for _, spent in votes)
    approvers = tuple(key for key, _ in votes) if votes else ()
    return Permit(call, capability, audience, now, spends, charges, approvers, _SEAL)


def check_time(capability: Capability, now: int) -> int:
    """Step 1: the moment of the call, moved to a start that is at most a clock's difference away.

    Raises:
        Denied: ``not_yet_valid`` or ``expired``.
    """
    moment = max([now, *[block.starts for block in capability.blocks if block.starts is not None]])
    if now < moment - PROOF_WINDOW:
        raise Denied(Reason.NOT_YET_VALID, "the capability is not valid yet")
    for index, block in enumerate(capability.blocks):
        if block.expires is not None and not moment < block.expires:
            raise Denied(Reason.EXPIRED, "the capability has expired", detail=f"block {index}")
    return moment


def check_audience(
    capability: Capability, audience: str, designations: Mapping[str, str], *, require_designations: bool
) -> None:
    """Step 2: the capability is for this guard.

    Raises:
        Denied: ``wrong_audience``.
    """
    named = [pair for block in capability.blocks for pair in block.designations]
    first = {label for label, _ in capability.blocks[0].designations}
    if ANCHOR not in first:
        raise Denied(Reason.WRONG_AUDIENCE, "the capability names no guard: issue it with an audience")
    stated = {**dict(_stated(capability, designations)), ANCHOR: audience}
    for label, value in named:
        if stated.get(label) != value:
            what = "is meant for another guard" if label == ANCHOR else f"is for another {label}"
            raise Denied(Reason.WRONG_AUDIENCE, f"the capability {what}")
    missing = designations.keys() - first
    if missing and require_designations:
        raise Denied(Reason.WRONG_AUDIENCE, f"the capability does not say which {min(missing)} it is for")


def _stated(capability: Capability, designations: Mapping[str, str]) -> list[tuple[str, str]]:
    if not designations:
        return []
    # never a label for which the token asks for a key: the engine lets the verifier's own facts satisfy
    # every 'trusting' check
    keyed = {one.label for b in capability.blocks for check in b.attested for one in check} | RESERVED
    return [(label, value) for label, value in designations.items() if label not in keyed and label != ANCHOR]


def _check_possession(
    capability: Capability, call: Call, proof: Proof | Possession | None, audience: str, now: int
) -> tuple[str | None, tuple[UsedStatement, ...]]:
    """Step 3: the last handle, and the proof to remember."""
    holder = capability.holder
    if holder is None:
        if proof is not None:
            raise Denied(Reason.NOT_HOLDER, "the capability names no holder, so it takes no proof")
        return None, ()
    if proof is None:
        raise Denied(Reason.NOT_HOLDER, "the call needs a proof by the capability's holder")
    if isinstance(proof, Possession):
        if proof.handle != holder.handle:
            raise Denied(Reason.NOT_HOLDER, "the proof is for another capability")
        return holder.handle, ()
    if proof.call != call.digest:
        raise Denied(Reason.WRONG_CALL, "the proof was made for another call")
    if proof.time < now - PROOF_WINDOW:
        raise Denied(Reason.EXPIRED, f"the proof is older than {PROOF_WINDOW} seconds")
    if proof.time > now + PROOF_WINDOW:
        raise Denied(Reason.NOT_YET_VALID, "the proof comes from a clock that is ahead")
    key = _public(holder.key)
    if not proof.signed_by(key, ids=capability.ids, handle=holder.handle, audience=audience):
        raise Denied(Reason.NOT_HOLDER, "the proof was not made by this capability's holder for this guard")
    used = UsedStatement("proof", holder.key + proof.nonce, proof.time + PROOF_WINDOW + 1)
    return holder.handle, (used,)


def _check_right(capability: Capability, call: Call) -> None:
    """Step 4."""
    if (capability.subject, call.resource, call.operation) not in capability.blocks[0].rights:
        kind = call.resource.partition(":")[0]
        names = [name.partition(":")[2] for name in capability.tools if name.startswith(f"{kind}:")]
        granted = ", ".join(names) or "none"
        raise Denied(Reason.NOT_GRANTED, f"the capability does not name this {kind}, granted: {granted}")


def _check_arguments(
    found: CompiledCapability,
    capability: Capability,
    call: Call,
    bounds: tuple[Pattern, ...],
    results: Results | None,
) -> None:
    """Step 5."""
    fits = matches(found.about(call.resource), call, results) and (found.closed or not call.values)
    if fits and not bounds:
        return
    problems = [p for bound in bounds for p in explain(bound, call, block=-1, results=results)]
    if fits and not problems:
        return
    if not found.closed:
        problems += [Problem(Reason.UNNAMED_ARGUMENT, name) for name in sorted(call.names)]
    for index, block in enumerate(capability.blocks):
        for pattern in block.patterns:
            problems += explain(pattern, call, block=index, results=results)
    if not problems:
        raise Denied(Reason.UNAVAILABLE, detail="a pattern that was compiled says another thing")
    unique = list({(p.reason, p.argument, p.allowed): p for p in problems}.values())
    reason = min([problem.reason for problem in unique], key=ORDER.index)
    blocks = ", ".join(sorted({"the tool" if p.block < 0 else f"block {p.block}" for p in unique}))
    raise Denied(reason, problems=unique, detail=f"narrowed by {blocks}")


def check_exposure(capability: Capability, call: Call, labels: Collection[str] | None) -> list[str]:
    """Step 5, of the session: the patterns of labels that are asked for, of which it has seen nothing.

    Raises:
        Denied: ``exposed``.
    """
    clear = [
        pattern
        for block in capability.blocks
        for pattern, of in block.clear
        if of is None or call.resource in of
    ]
    if clear and labels is None:
        raise Denied(Reason.EXPOSED, "nobody here knows what the session has seen")
    for pattern in clear:
        seen = [label for label in labels or () if label_means(pattern, label)]
        if seen:
            text = f"the session has seen {safe_word(pattern)}, which rules out this call"
            raise Denied(Reason.EXPOSED, text, detail=f"seen: {', '.join(sorted(seen))}")
    return clear
