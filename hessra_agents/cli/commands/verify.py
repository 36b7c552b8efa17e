"""The commands ``verify`` and ``explain``: decide a call as a guard does, and say why."""

from __future__ import annotations

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
    MaybeAudience,
    MaybeTrust,
    Token,
    Tool,
    Trust,
)
from ..terminal import DONE, REFUSED, CommandResult

if TYPE_CHECKING:
    from ...call.call import Call
    from ...errors import Problem
    from ...grants.clauses import Pattern
    from ..token_view import TokenView

__all__ = ["explain", "verify"]


def verify(
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

    Exit code 0 is permitted, 1 is refused. A proof follows the token on its own line:

    \b
      (cat desk.token; hessra-agents prove ... < desk.token) | hessra-agents verify ...

    Neither a ledger nor the tool is consulted, so the command does not check revocations, limits, whether a
    proof was used before (a guard accepts it once), or the tool's own types and bounds.
    """  # noqa: D301 -- \b keeps lines apart in the help
    from ...errors import Denied
    from ...grants.describe import safe_word
    from ...tokens.capability import Capability
    from ...tokens.statements import Proof
    from ...verify.verifier import verify as decided
    from ..token_view import format_duration, format_time

    call = inputs.call(tool, arguments, arguments_file, token)
    stated = inputs.pairs(designations, "--designation")
    text, statement = inputs.token_and_proof(token, proof)
    roots, now = inputs.trust(trust), inputs.now()
    try:
        shown = None if statement is None else Proof.parse(statement)
        capability = Capability.parse(text, roots)
        permit = decided(capability, call, now=now, audience=audience, proof=shown, designations=stated)
    except Denied as denied:
        denied.for_tool(call.tool)
        fields = {
            "permitted": False,
            "tool": call.tool,
            "reason": str(denied.reason),
            "text": denied.text,
            "detail": denied.detail,
            "problems": [_problem(one) for one in denied.problems],
        }
        more = f" ({denied.detail})" if denied.detail else ""
        return CommandResult(fields, [(0, f"refused: {denied}{more}")], code=REFUSED, as_json=json)
    fields = {
        "permitted": True,
        "tool": call.tool,
        "subject": permit.subject,
        "audience": permit.audience,
        "time": permit.time,
        "expires": permit.expires,
        "holder": None if permit.holder is None else f"ed25519/{permit.holder.hex()}",
        "blocks": list(permit.ids),
    }
    left = format_duration(permit.expires - now)
    line = f"permitted: {safe_word(call.tool)} for {safe_word(permit.subject)}, {left} left"
    return CommandResult(fields, [(0, f"{line} ({format_time(permit.expires)})")], as_json=json)


def explain(
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
    granted and the nearest grant; for an allowed call, the grant that allows it. Only the capability is
    consulted: what a guard requires besides is listed at the end, not checked.
    """
    from ...grants.describe import safe_word
    from ..token_view import TokenView

    call = inputs.call(tool, arguments, arguments_file, token)
    found = TokenView.of(inputs.token(token), trust)
    now = inputs.now()
    general = _general_problems(found, call, audience, now)
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
    fields = {
        **found.fields(now),
        "allowed": allowed,
        "tool": call.tool,
        "reasons": [str(one) for one in reasons],
        "problems": [_problem(one) for one in general],
        "blocks": [{**b, "problems": [_problem(p) for p in b["problems"]]} for b in blocks],
        "also": also,
    }
    return CommandResult(
        fields, [*head, *lines, *tail, (0, found.note)], code=DONE if allowed else REFUSED, as_json=json
    )


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


def _block(found: TokenView, index: int, call: Call) -> tuple[dict[str, Any], list[tuple[int, str]]]:
    """Return whether one block allows the call, for a program and as lines for a person."""
    from ...errors import Problem, Reason
    from ..token_view import author, format_object

    block = found.blocks[index]
    by, words = author(index, block)
    problems: list[Problem] = []
    if index == 0 and not block.patterns:
        problems = [Problem(Reason.UNNAMED_ARGUMENT, argument) for argument in sorted(call.names)]
    lines = [(2, f"{one} [{one.reason}]") for one in problems]
    matching: list[str] = []
    nearest: list[str] = []
    for pattern in block.patterns:
        failed, near = _pattern(pattern, call, index)
        problems += failed
        (nearest if failed else matching).extend(near)
        lines += [(2, f"{one} [{one.reason}]") for one in failed]
        lines += [(2, f"{'nearest' if failed else 'allowed by'}: {one}") for one in near]
        if not near:
            granted = sorted({format_object(branch.resource) for branch in pattern})
            lines.append((2, f"grants only {', '.join(granted)}"))
    allows = "allows it" if block.patterns or index == 0 else "does not restrict it"
    verdict = "refuses it" if problems else allows
    shown = {
        "index": index,
        "by": by,
        "allows": not problems,
        "problems": problems,
        "grants": matching,
        "nearest": nearest,
    }
    return shown, [(1, f"block {index}, {words}: {verdict}"), *lines]


def _pattern(pattern: Pattern, call: Call, index: int) -> tuple[list[Problem], list[str]]:
    """Return a pattern's problems and the nearest branches; or no problem and the branch that matches."""
    from ...grants.describe import describe_branch
    from ...verify.explain import explain as problems_of

    candidates = [
        (len(branch.failing(call)), branch) for branch in pattern if branch.resource == call.resource
    ]
    least = min((failing for failing, _ in candidates), default=0)
    near = [describe_branch(branch) for failing, branch in candidates if failing == least]
    problems = problems_of(pattern, call, block=index)
    return problems, near if problems else near[:1]


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
        required += [f"approval by {voters(one)}" for one in approvals_of(block) if within(one.tools)]
        required += [f"limit: {describe_limit(one)}" for _, one in block.limits if within(one.tools)]
        for check in block.attested:
            if check[0].label not in (HOLDER, APPROVED):
                required.append(f"ed25519/{check[0].key.hex()} states {safe_word(check[0].label)}")
        required += [f"activation by ed25519/{key.hex()}" for key in block.activators]
    if found.holder:
        required.append(f"proof by the holder {found.holder}")
    return list(dict.fromkeys(required))
