"""The commands ``verify`` and ``explain``: decide a call as a guard does, and say why."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .. import inputs
from ..options import (
    Arguments,
    ArgumentsFile,
    Audience,
    Designations,
    Json,
    LedgerOptions,
    MaybeAudience,
    MaybeTrust,
    Token,
    Tool,
    Trust,
    with_ledger,
)
from ..terminal import DONE, REFUSED, CommandResult, refusal_hint, warn

if TYPE_CHECKING:
    from ...call.call import Call
    from ...errors import Problem
    from ...ledger.inspection import CapabilityStatus
    from ...tokens.admission import Block
    from ..token_view import TokenView

__all__ = ["explain", "verify"]


@with_ledger
def verify(
    ledger: LedgerOptions,
    tool: Tool,
    trust: Trust,
    audience: Audience,
    arguments: Arguments = None,
    arguments_file: ArgumentsFile = None,
    token: Token = None,
    proof: Annotated[
        Path | None,
        typer.Option(
            "--proof", metavar="FILE", help="Read the proof from a file, not from the line after the token."
        ),
    ] = None,
    designations: Designations = [],  # noqa: B006 -- typer reads it and never changes it
    json: Json = False,
) -> CommandResult:
    """Decide one call as a guard does.

    Exit code 0 is permitted, 1 is refused. A proof is in a file, or on the line after the token:

    \b
      hessra-agents prove ... --token desk.token > proof
      hessra-agents verify ... --token desk.token --proof proof

    With --ledger, the guards' ledger is asked as a guard asks it, and nothing is used up: revocations,
    limits, approvals, and whether a proof was used before. Without it none of these is checked. The tool's
    own types and bounds are not checked.
    """  # noqa: D301 -- \b keeps lines apart in the help
    from ...errors import Denied
    from ...grants.describe import safe_word
    from ...tokens.capability import Capability
    from ...tokens.statements import Approval, Proof
    from ...verify.verifier import verify as decided
    from ..ledger_answers import describe_revocation, inspecting, status_fields, status_lines
    from ..token_view import TokenView, format_duration, format_time

    call = inputs.call(tool, arguments, arguments_file, token)
    stated = inputs.pairs(designations, "--designation")
    text, statement = inputs.token_and_proof(token, proof)
    roots, now = inputs.trust(trust), inputs.now()
    place, known = ledger.optional_location(), None
    try:
        shown = None if statement is None else Proof.parse(statement)
        capability = Capability.parse(text, roots)
        with nullcontext() if place is None else inspecting(place) as asked:
            given: list[str] = []
            if asked is not None:
                known = asked.status(capability.blocks, capability.revocation_ids, capability.authority)
                given = asked.approvals(call, capability.ids)
            permit = decided(
                capability,
                call,
                now=now,
                audience=audience,
                proof=shown,
                approvals=[Approval.parse(one) for one in given],
                designations=stated,
            )
            if asked is not None:
                asked.check(permit)
    except Denied as denied:
        denied.for_tool(call.tool)
        fields = {
            "permitted": False,
            "tool": call.tool,
            "reason": str(denied.reason),
            "text": denied.text,
            "detail": denied.detail,
            "problems": [_problem(one) for one in denied.problems],
            **status_fields(known),
        }
        more = f" ({denied.detail})" if denied.detail else ""
        lines = [(0, f"refused: {denied}{more}")]
        if known is not None:
            lines += [(0, describe_revocation(entry)) for entry in known.revoked_by]
        if not json and (hint := refusal_hint(denied.reason)):
            warn(f"hint: {hint}")
        return CommandResult(fields, lines, code=REFUSED, as_json=json)
    fields = {
        "permitted": True,
        "tool": call.tool,
        "subject": permit.subject,
        "audience": permit.audience,
        "time": permit.time,
        "expires": permit.expires,
        "holder": None if permit.holder is None else f"ed25519/{permit.holder.hex()}",
        "blocks": list(permit.ids),
        **status_fields(known),
    }
    left = format_duration(permit.expires - now)
    line = f"permitted: {safe_word(call.tool)} for {safe_word(permit.subject)}, {left} left"
    lines = [(0, f"{line} ({format_time(permit.expires)})")]
    lines += status_lines(known, TokenView(capability.blocks, capability))
    return CommandResult(fields, lines, as_json=json)


@with_ledger
def explain(
    ledger: LedgerOptions,
    tool: Tool,
    arguments: Arguments = None,
    arguments_file: ArgumentsFile = None,
    token: Token = None,
    trust: MaybeTrust = None,
    audience: MaybeAudience = None,
    json: Json = False,
) -> CommandResult:
    """Explain why a call is allowed or refused.

    Exit code 0 is allowed, 1 is refused. For each block, shows every argument that fails, with what is
    granted and the nearest grant; for an allowed call, the grant that allows it. With --ledger, a revoked
    capability and a limit that is used up are told as well. What a guard requires besides is listed at the
    end, not checked.
    """
    from ...grants.describe import safe_word
    from ..ledger_answers import known_status, status_fields, status_lines
    from ..token_view import TokenView

    call = inputs.call(tool, arguments, arguments_file, token)
    place = ledger.optional_location()
    found = TokenView.of(inputs.token(token), trust)
    now, known = inputs.now(), known_status(place, found)
    general = [*_general_problems(found, call, audience, now), *_ledger_problems(found, call, known)]
    blocks, lines = [], []
    for index in range(len(found.blocks)):
        shown, described = _block(found, index, call)
        blocks.append(shown)
        lines += described
    allowed = not general and all(block["allows"] for block in blocks)
    also = _also_required(found, call, audience)
    reasons = dict.fromkeys(p.reason for p in (*general, *(p for b in blocks for p in b["problems"])))
    verdict = "allowed" if allowed else "refused"
    head = [(0, f"{verdict}: {safe_word(call.tool)}"), *((1, f"{one} [{one.reason}]") for one in general)]
    tail = [(0, "also required at runtime"), *((1, one) for one in also)] if also else []
    tail += [(0, found.note), *status_lines(known, found)]
    fields = {
        **found.fields(now),
        "allowed": allowed,
        "tool": call.tool,
        "reasons": [str(one) for one in reasons],
        "problems": [_problem(one) for one in general],
        "blocks": [{**b, "problems": [_problem(p) for p in b["problems"]]} for b in blocks],
        "also": also,
        **status_fields(known),
    }
    return CommandResult(fields, [*head, *lines, *tail], code=DONE if allowed else REFUSED, as_json=json)


def _problem(one: Problem) -> dict[str, Any]:
    return {"block": one.block, "argument": one.argument, "reason": str(one.reason), "allowed": one.allowed}


def _general_problems(found: TokenView, call: Call, audience: str | None, now: int) -> list[Problem]:
    """Return what refuses the call whatever its arguments are (steps 1, 2 and 4 of the verifier).

    The verifier's own steps need checked signatures and stop at the first problem; these do not.
    """
    from ...errors import Problem, Reason
    from ...grants.describe import quote
    from ...tokens.admission import ANCHOR
    from ...tokens.statements import PROOF_WINDOW
    from ..token_view import format_time

    problems = []
    guards = [value for block in found.blocks for label, value in block.designations if label == ANCHOR]
    for index, block in enumerate(found.blocks):
        if block.expires is not None and not now < block.expires:
            text = f"block {index} expired at {format_time(block.expires)}"
            problems.append(Problem(Reason.EXPIRED, allowed=text, block=index))
        if block.starts is not None and now < block.starts - PROOF_WINDOW:
            text = f"block {index} starts at {format_time(block.starts)}"
            problems.append(Problem(Reason.NOT_YET_VALID, allowed=text, block=index))
    if not guards:
        problems.append(Problem(Reason.WRONG_AUDIENCE, allowed="the capability has no audience"))
    elif len(set(guards)) > 1:
        text = "the capability has several audiences, and no guard is all of them"
        problems.append(Problem(Reason.WRONG_AUDIENCE, allowed=text))
    elif audience is not None and guards[0] != audience:
        text = f"the capability is for the audience {quote(guards[0])}"
        problems.append(Problem(Reason.WRONG_AUDIENCE, allowed=text))
    if not any(right[1:] == (call.resource, call.operation) for right in found.blocks[0].rights):
        problems.append(Problem(Reason.NOT_GRANTED, allowed="the issuer did not grant it"))
    return problems


def _ledger_problems(found: TokenView, call: Call, known: CapabilityStatus | None) -> list[Problem]:
    """Return what a ledger has against the call: a revocation, or too little left of a limit."""
    from ...errors import Problem, Reason
    from ...verify.charges import amount_of
    from ..ledger_answers import describe_limit_use, describe_revocation

    if known is None:
        return []
    problems = [Problem(Reason.REVOKED, allowed=describe_revocation(entry)) for entry in known.revoked_by]
    limits = [
        (index, limit)
        for index, block in enumerate(found.blocks)
        for _, limit in block.limits
        if limit.budget is None or found.authority
    ]
    for (index, limit), use in zip(limits, known.limits, strict=True):
        counts = limit.tools is None or call.resource in limit.tools
        if counts and (amount_of(call, limit) or 0) > use.left:
            problems.append(Problem(Reason.SPENT, allowed=describe_limit_use(use), block=index))
    return problems


def _block(found: TokenView, index: int, call: Call) -> tuple[dict[str, Any], list[tuple[int, str]]]:
    """Return whether one block allows the call, for a program and as lines for a person."""
    from ...verify.explain import explain as problems_of
    from ..token_view import author, format_object

    block = found.blocks[index]
    by, words = author(index, block)
    patterns = block.about(call.resource)
    problems = [problem for pattern in patterns for problem in problems_of(pattern, call, block=index)]
    lines = [(2, f"{one} [{one.reason}]") for one in problems]
    near = _nearest(block, call)
    lines += [(2, f"{'nearest' if problems else 'allowed by'}: {one}") for one in near]
    if patterns and not all(patterns):
        granted = sorted(map(format_object, block.objects or ()))
        lines.append((2, f"grants only {', '.join(granted)}"))
    allows = "allows it" if patterns else "does not restrict it"
    verdict = "refuses it" if problems else allows
    shown = {
        "index": index,
        "by": by,
        "allows": not problems,
        "problems": problems,
        "grants": [] if problems else near,
        "nearest": near if problems else [],
    }
    return shown, [(1, f"block {index}, {words}: {verdict}"), *lines]


def _nearest(block: Block, call: Call) -> list[str]:
    """Return the ways to call the tool that come nearest to the call, or the way that the call takes."""
    from ...grants.describe_grants import describe_branch

    ways = [(branch, besides) for branch, besides in block.grants() if branch.resource == call.resource]
    failing = [len(branch.failing(call)) for branch, _ in ways]
    least = min(failing, default=0)
    near = [describe_branch(*way) for way, count in zip(ways, failing, strict=True) if count == least]
    return near if least else near[:1]


def _also_required(found: TokenView, call: Call, audience: str | None) -> list[str]:
    """Return what a guard requires besides that the capability alone cannot show."""
    from ...grants.describe import describe_limit, safe_word
    from ...tokens.admission import ANCHOR, APPROVED, HOLDER
    from ...tokens.describe import approvals_of, voters

    def within(objects: frozenset[str] | None) -> bool:
        return objects is None or call.resource in objects

    required = []
    for block in found.blocks:
        for label, value in block.designations:
            if label != ANCHOR:
                required.append(f"designation {safe_word(label)} is {safe_word(value)}")
            elif audience is None:
                required.append(f"audience {safe_word(value)}")
        required += [f"approval by {voters(one)}" for one in approvals_of(block) if one.of.concerns(call)]
        required += [f"limit: {describe_limit(one)}" for _, one in block.limits if within(one.tools)]
        for check in block.attested:
            if check[0].label not in (HOLDER, APPROVED):
                required.append(f"ed25519/{check[0].key.hex()} states {safe_word(check[0].label)}")
        required += [f"activation by ed25519/{key.hex()}" for key in block.activators]
    if found.holder:
        required.append(f"proof by the holder {found.holder}")
    return list(dict.fromkeys(required))
