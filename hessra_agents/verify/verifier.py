"""Verify one call under one capability at one time: return a `Permit`, or raise `Denied`.

Procedure. Signatures and admission come before (`Capability.parse`); revocation, replay and everything
else that needs memory come after (`Ledger.admit`).

1. Time. No block has expired, and none is still to come.
2. Place. The first block names this guard, and each designation that the guard requires; the guard states
   every designation that any block names. (What only a later block names, its holder may have chosen.)
3. Possession. The last holder proves this very call to this guard now; every earlier holder signed the
   block that handed on.
4. Right. The first block grants this operation on this object.
5. Arguments. Every pattern of every block matches, and so does the tool's own. The first block closes the
   names; if it has no pattern, the call may have no arguments. Conditions on the session (`from_result`,
   `clear_of`) are answered by `results` and `labels`; without a session both fail. What the call takes from
   limits is computed here; whether that much is left is the ledger's to decide.
6. Attestations. Every other check on a key is met: by an approval of this very call, or by a block which
   that key signed.
7. With ``cross_check`` the Datalog engine, given the same facts, permits as well. It is the definition; that
   steps 1 to 6 decide as it does is tested with random capabilities and calls (tests/laws/test_laws.py).

A refusal says what would have been allowed from step 4 on, when signature and holder are proved.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from types import MappingProxyType

from ..call.call import Call
from ..errors import Denied, Reason
from ..grants.clauses import Pattern, Results
from ..grants.describe import safe_word
from ..grants.labels import label_means
from ..keys.keys import KeyPair, PublicKey
from ..tokens.admission import ANCHOR, APPROVED, HOLDER, RESERVED
from ..tokens.capability import Capability
from ..tokens.engine import authorize
from ..tokens.statements import PROOF_WINDOW, Approval, Proof
from .attestations import check_attestations
from .charges import limit_charges
from .explain import MAX_LOOKS, MAX_PLACES, ORDER, explain
from .matcher import CompiledCapability, matches, program
from .permit import VERIFIER_SEAL, Permit, UsedStatement

__all__ = ["Possession", "check_audience", "check_exposure", "check_time", "verify"]

_NOTHING: Mapping[str, str] = MappingProxyType({})

_public = lru_cache(maxsize=256)(PublicKey)  # the same holders prove one call after another


@dataclass(frozen=True, slots=True)
class Possession:
    """The holder's key was used in this process: one challenge, signed and checked.

    If key and guard share a process, a proof of each call would prove nothing more. Only `show` makes one;
    the seal protects from accidents, as a permit's does.
    """

    handle: str
    _seal: object = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if self._seal is not VERIFIER_SEAL:
            raise TypeError("a possession is shown with the key: Possession.show(capability, key)")

    @classmethod
    def show(cls, capability: Capability, key: KeyPair) -> Possession:
        """Sign a fresh challenge with the key and check it against the capability's holder.

        Raises:
            Denied: ``not_holder``.
        """
        challenge = b"hessra-agents/possession/1" + os.urandom(32)
        holder = capability.holder
        if holder is None or not PublicKey(holder.key).signed(key.sign(challenge), challenge):
            raise Denied(Reason.NOT_HOLDER, "the key is not the key of this capability's holder")
        return cls(holder.handle, VERIFIER_SEAL)


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
    """Permit this call, or refuse it. Pure: no clock is read, and nothing is remembered.

    Args:
        capability: its signatures are verified and its content is admitted.
        call: canonical (`Call.of`).
        now: Unix seconds by the guard's clock.
        audience: the guard's own name.
        proof: the holder's proof, if the capability has a holder.
        approvals: approvals of this call, if the capability requires any.
        designations: labels and values that the guard states in addition to its name.
        require_designations: whether the issuer must have named each of those labels as well.
        bounds: the tool's own patterns, which hold whatever the capability says.
        cross_check: run the Datalog engine as well, and refuse if it refuses.
        results: returns whether a value came from a given result; None without a session.
        labels: what the session has seen; None without a session.

    Raises:
        Denied: with the reason of the first step that fails.
    """
    compiled = program(capability)
    try:
        # the compiled form only permits: if it does not, the step itself says what is wrong
        moment = now if compiled.starts <= now < capability.expires else check_time(capability, now)
        if designations or compiled.guard != audience:
            check_audience(capability, audience, designations, require_designations=require_designations)
        handle, spends = _check_possession(capability, call, proof, audience, now)
        if compiled.rights.get(call.resource) != call.operation:
            _check_right(capability, call)
        _check_arguments(compiled, capability, call, bounds, results)
        clear = check_exposure(capability, call, labels) if compiled.watched else []
        charges, limits = limit_charges(capability, call) if compiled.limited else ((), ())
        approved: dict[str, tuple[bytes, UsedStatement]] = {}
        if approvals or not compiled.settled:
            approved = check_attestations(capability, call, tuple(approvals), now)
        if cross_check:
            earned = [(APPROVED, name) for name in approved] + ([(HOLDER, handle)] if handle else [])
            authorize(
                capability.biscuit,
                call,
                now=moment,
                audience=audience,
                designations=_stated(capability, designations) + earned,
                patterns=capability.asked(call.resource),
                limits=limits,
                results=results,
                clear=clear,
            )
    except Denied as denied:
        raise denied.for_tool(call.tool) from denied.__cause__
    approvers: tuple[bytes, ...] = ()
    if approved:
        approvers, used = zip(*approved.values(), strict=True)
        spends += used
    return Permit(call, capability, audience, now, spends, charges, approvers, VERIFIER_SEAL)


def check_time(capability: Capability, now: int) -> int:
    """Check step 1, and return the time of the call, moved to a start that the clocks may differ by.

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
    """Check step 2: the capability is for this guard.

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
            what = "guard" if label == ANCHOR else label
            raise Denied(Reason.WRONG_AUDIENCE, f"the capability is meant for another {what}")
    missing = designations.keys() - first
    if missing and require_designations:
        raise Denied(Reason.WRONG_AUDIENCE, f"the capability does not name the {min(missing)} that it is for")


def _stated(capability: Capability, designations: Mapping[str, str]) -> list[tuple[str, str]]:
    if not designations:
        return []
    # never a label that the token requires of a key: the engine lets the verifier's own facts satisfy every
    # 'trusting' check
    keyed = {a.label for block in capability.blocks for check in block.attested for a in check} | RESERVED
    return [(label, value) for label, value in designations.items() if label not in keyed and label != ANCHOR]


def _check_possession(
    capability: Capability, call: Call, proof: Proof | Possession | None, audience: str, now: int
) -> tuple[str | None, tuple[UsedStatement, ...]]:
    """Check step 3, and return the last holder's handle and the proof to remember."""
    holder = capability.holder
    if holder is None:
        if proof is not None:
            raise Denied(Reason.NOT_HOLDER, "the capability names no holder, so it takes no proof")
        return None, ()
    if holder.idle:
        raise Denied(Reason.NOT_HOLDER, "the holder of this capability may only hand it on")
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
    """Check step 4."""
    if (capability.subject, call.resource, call.operation) not in capability.blocks[0].rights:
        kind = call.resource.partition(":")[0]
        names = [name.partition(":")[2] for name in capability.tools if name.startswith(f"{kind}:")]
        granted = ", ".join(names) or "none"
        raise Denied(Reason.NOT_GRANTED, f"the capability does not grant this {kind}, granted: {granted}")


def _check_arguments(
    compiled: CompiledCapability,
    capability: Capability,
    call: Call,
    bounds: tuple[Pattern, ...],
    results: Results | None,
) -> None:
    """Check step 5."""
    fits = matches(compiled.about(call.resource), call, results)
    if fits and not bounds:
        return
    looks = iter(range(MAX_LOOKS))
    problems = [p for bound in bounds for p in explain(bound, call, block=-1, results=results, looks=looks)]
    if fits and not problems:
        return
    for index, pattern in ((i, p) for i, b in enumerate(capability.blocks) for p in b.about(call.resource)):
        if len(problems) < MAX_PLACES:
            problems += explain(pattern, call, block=index, results=results, looks=looks)
    if not problems:
        raise Denied(Reason.UNAVAILABLE, detail="a pattern matches, and its compiled form does not")
    if len(problems) > 1:
        problems = list({(p.reason, p.argument, p.allowed): p for p in problems}.values())
    reason = min([problem.reason for problem in problems], key=ORDER.index)
    who = ", ".join(sorted({"the tool" if p.block < 0 else f"block {p.block}" for p in problems}))
    if len(problems) > MAX_PLACES:
        problems = [problem for problem in problems if problem.reason is reason][:MAX_PLACES]
    raise Denied(reason, problems=problems, detail=f"refused by {who}")


def check_exposure(capability: Capability, call: Call, labels: Collection[str] | None) -> list[str]:
    """Check step 5's conditions on the session, and return the patterns of labels that it must not have seen.

    Args:
        labels: what the session has seen; None without a session.

    Raises:
        Denied: ``exposed``.
    """
    excluded = [(pattern, tools) for block in capability.blocks for pattern, tools in block.clear]
    clear = [pattern for pattern, tools in excluded if tools is None or call.resource in tools]
    if clear and labels is None:
        raise Denied(Reason.EXPOSED, "the guard does not know what the session has seen")
    for pattern in clear:
        seen = [label for label in labels or () if label_means(pattern, label)]
        if seen:
            text = f"the session has seen {safe_word(pattern)}, which rules out this call"
            raise Denied(Reason.EXPOSED, text, detail=f"seen: {', '.join(sorted(seen))}")
    return clear
