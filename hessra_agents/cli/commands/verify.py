"""Commands that decide about a call: ``verify`` as a guard does, ``explain`` in all detail."""

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
    designations: Designations = [],  # noqa: B006 -- typer's way; nobody changes it
    json: Json = False,
) -> CommandResult:
    """Decide one call as a guard does.

    Permitted is exit code 0, refused is 1. A proof follows the token on a line of its own:

    \b
      (cat desk.token; hessra-agents prove ... < desk.token) | hessra-agents verify ...

    This decides and remembers nothing, so a proof is accepted here again and again; a guard takes it once.
    The tool's own types and bounds are the guard's to check.
    """  # noqa: D301 -- \b keeps lines apart in the help
    from ...errors import Denied
    from ...tokens.capability import Capability
    from ...tokens.statements import Proof
    from ...verify.verifier import verify as decided
    from ..token_view import format_duration, format_time, name

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
    line = f"permitted: {name(call.tool)} for {name(permit.subject)}, {left} left"
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
    """Say why a call is allowed or refused, block by block.

    Allowed is exit code 0, refused is 1. Every argument that fails in every block, with what would have
    been allowed and the grant that comes nearest; for an allowed call, the grant that allows it. It looks
    at what the capability says: what a guard will ask for beside that is listed, not asked for.
    """
    from ..token_view import TokenView, name

    call = inputs.call(tool, arguments, arguments_file, token)
    found = TokenView.of(inputs.token(token), trust)
    now = inputs.now()
    first = _outside(found, call, audience, now)
    blocks, lines = [], []
    for index in range(len(found.blocks)):
        shown, told = _block(found, index, call)
        blocks.append(shown)
        lines += told
    allowed = not first and all(block["allows"] for block in blocks)
    also = _also(found, call, audience)
    reasons = list(
        dict.fromkeys([one.reason for one in first] + [p.reason for b in blocks for p in b["problems"]])
    )
    verdict = "allowed" if allowed else "refused"
    head = [(0, f"{verdict}: {name(call.tool)}"), *((1, f"{one} [{one.reason}]") for one in first)]
    tail = [(0, "a guard also asks for"), *((1, one) for one in also)] if also else []
    fields = {
        **found.fields(now),
        "allowed": allowed,
        "tool": call.tool,
        "reasons": [str(one) for one in reasons],
        "problems": [_problem(one) for one in first],
        "blocks": [{**b, "problems": [_problem(p) for p in b["problems"]]} for b in blocks],
        "also": also,
    }
    return CommandResult(
        fields, [*head, *lines, *tail, (0, found.note)], code=DONE if allowed else REFUSED, as_json=json
    )


def _problem(one: Problem) -> dict[str, Any]:
    return {"block": one.block, "argument": one.argument, "reason": str(one.reason), "allowed": one.allowed}


def _outside(found: TokenView, call: Call, audience: str | None, now: int) -> list[Problem]:
    """What stands against every call at this time and place (steps 1, 2 and 4 of the verifier)."""
    from ...errors import Problem, Reason
    from ...grants.describe import quote
    from ...tokens.admission import ANCHOR
    from ...verify.verifier import PROOF_WINDOW
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
        problems.append(Problem(Reason.WRONG_AUDIENCE, allowed="it names no guard"))
    elif len(set(guards)) > 1:
        problems.append(
            Problem(Reason.WRONG_AUDIENCE, allowed="it names several guards, and no guard is all of them")
        )
    elif audience is not None and guards[0] != audience:
        problems.append(Problem(Reason.WRONG_AUDIENCE, allowed=f"it is for the guard {quote(guards[0])}"))
    if not any(right[1:] == (call.resource, call.operation) for right in found.blocks[0].rights):
        problems.append(Problem(Reason.NOT_GRANTED, allowed="the issuer granted other tools"))
    return problems


def _block(found: TokenView, index: int, call: Call) -> tuple[dict[str, Any], list[tuple[int, str]]]:
    """What one block says to this call: each of its patterns matches by one branch, or comes near."""
    from ...errors import Problem, Reason
    from ..token_view import author, format_object

    block = found.blocks[index]
    by, words = author(index, block)
    problems: list[Problem] = []
    if index == 0 and not block.patterns:
        problems = [Problem(Reason.UNNAMED_ARGUMENT, argument) for argument in sorted(call.names)]
    told = [(2, f"{one} [{one.reason}]") for one in problems]
    ways: list[str] = []
    nearest: list[str] = []
    for pattern in block.patterns:
        failed, near = _pattern(pattern, call, index)
        problems += failed
        (nearest if failed else ways).extend(near)
        told += [(2, f"{one} [{one.reason}]") for one in failed]
        told += [(2, f"{'nearest' if failed else 'by'}: {one}") for one in near]
        if not near:
            told.append(
                (2, "names only " + ", ".join(sorted({format_object(branch.resource) for branch in pattern})))
            )
    verdict = (
        "does not allow it"
        if problems
        else "allows it"
        if block.patterns or index == 0
        else "says nothing about it"
    )
    shown = {
        "index": index,
        "by": by,
        "allows": not problems,
        "problems": problems,
        "grants": ways,
        "nearest": nearest,
    }
    return shown, [(1, f"block {index}, {words}: {verdict}"), *told]


def _pattern(pattern: Pattern, call: Call, index: int) -> tuple[list[Problem], list[str]]:
    """The problems of one pattern with the branches that come nearest; or none, with the one that matches."""
    from ...verify.explain import explain as problems_of
    from ..token_view import describe_way

    candidates = [
        (len(branch.failing(call)), branch) for branch in pattern if branch.resource == call.resource
    ]
    least = min((failing for failing, _ in candidates), default=0)
    near = [describe_way(branch) for failing, branch in candidates if failing == least]
    problems = problems_of(pattern, call, block=index)
    return problems, near if problems else near[:1]


def _also(found: TokenView, call: Call, audience: str | None) -> list[str]:
    """What a guard asks for that no capability can say by itself."""
    from ...grants.describe import describe_limit
    from ...tokens.admission import ANCHOR, APPROVED, HOLDER
    from ...tokens.describe import approvals_of, voters
    from ..token_view import name

    def within(objects: frozenset[str] | None) -> bool:
        return objects is None or call.resource in objects

    asked = []
    for block in found.blocks:
        for label, value in block.designations:
            if label != ANCHOR:
                asked.append(f"that it stands where {name(label)} is {name(value)}")
            elif audience is None:
                asked.append(f"that it is the guard {name(value)}")
        asked += [f"an approval by {voters(one)}" for one in approvals_of(block) if within(one.tools)]
        asked += [f"that it counts: {describe_limit(one)}" for _, one in block.limits if within(one.tools)]
        for check in block.attested:
            if check[0].label not in (HOLDER, APPROVED):
                asked.append(f"that ed25519/{check[0].key.hex()} states {name(check[0].label)}")
        asked += [f"activation by ed25519/{key.hex()}" for key in block.activators]
    if found.holder:
        asked.append(f"a proof by the holder {found.holder}")
    return list(dict.fromkeys(asked))
