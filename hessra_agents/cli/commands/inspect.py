"""The command ``inspect``: a capability in words, block by block."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .. import inputs
from ..options import Json, MaybeTrust, Token
from ..terminal import CommandResult

if TYPE_CHECKING:
    from ...tokens.admission import Block

__all__ = ["inspect"]


def inspect(token: Token = None, trust: MaybeTrust = None, json: Json = False) -> CommandResult:
    """Say in words what a capability allows, block by block.

    Who granted what, what each block took away, and how much time is left. Without --trust the signatures
    are not checked, and the first line says so.
    """
    from ..token_view import TokenView, format_duration, format_time, name

    found = TokenView.of(inputs.token(token), trust)
    now = inputs.now()
    fields = found.fields(now)
    held = f"held by {found.holder}" if found.holder else "for whoever has the token"
    time = f"expires in {format_duration(found.expires - now)}" if found.expires > now else "has expired"
    lines = [
        (0, found.note),
        (0, f"{name(found.subject)}, {held}, {time} ({format_time(found.expires)})"),
        (0, "reaches " + (", ".join(map(name, fields["tools"])) or "no tool")),
    ]
    blocks = []
    before = {resource for _, resource, _ in found.blocks[0].rights}
    for index, (block, after) in enumerate(zip(found.blocks, found.reached(), strict=True)):
        dropped = sorted(before - after)
        shown, told = _block(index, block, dropped)
        blocks.append(shown)
        lines += told
        before = after
    return CommandResult({**fields, "blocks": blocks}, lines, as_json=json)


def _block(index: int, block: Block, dropped: list[str]) -> tuple[dict[str, Any], list[tuple[int, str]]]:
    """One block for a program, and as a branch of the tree."""
    from ...grants.describe import describe_limit
    from ...tokens.admission import ANCHOR, APPROVED, HOLDER
    from ...tokens.describe import approvals_of, refunded, voters
    from ..token_view import author, describe_way, format_object, format_time, name, things

    def of(objects: frozenset[str] | None) -> str:
        return "" if objects is None else f" of {', '.join(map(format_object, sorted(objects)))}"

    by, words = author(index, block)
    holder = block.holder
    issued = block.issued if index == 0 else None
    start = None if block.starts == issued else block.starts
    approvals = tuple(approvals_of(block))
    shown: dict[str, Any] = {
        "index": index,
        "id": block.id,
        "by": by,
        "rights": [{"resource": resource, "operation": operation} for _, resource, operation in block.rights],
        "issued": issued,
        "not_before": start,
        "expires": block.expires,
        "holder": None if holder is None else f"ed25519/{holder.key.hex()}",
        "designations": [{"label": label, "value": value} for label, value in block.designations],
        "approvals": [
            {"keys": list(asked.keys), "need": asked.need, "of": things(asked.tools)} for asked in approvals
        ],
        "limits": [
            {
                "counts": "calls" if one.argument is None else "sum",
                "argument": one.argument,
                "most": one.at_most,
                "window": one.window or None,
                "of": things(one.tools),
                "refund": one.refund,
            }
            for _, one in block.limits
        ],
        "clear_of": [{"labels": labels, "of": things(objects)} for labels, objects in block.clear],
        "drops": [one.removeprefix("tool:") for one in dropped],
        "grants": [[describe_way(branch) for branch in pattern] for pattern in block.patterns],
    }
    rights = [
        format_object(r) if o == "invoke" else f"{name(o)} {format_object(r)}" for _, r, o in block.rights
    ]
    said = [f"grants {', '.join(rights)}"] if rights else []
    said += [f"drops {', '.join(map(format_object, dropped))}"] if dropped else []
    said += [f"issued {format_time(issued)}"] if issued is not None else []
    said += [f"not before {format_time(start)}"] if start is not None else []
    said += [f"until {format_time(block.expires)}"] if block.expires is not None else []
    for label, value in block.designations:
        said.append(
            f"at the guard {name(value)}" if label == ANCHOR else f"where {name(label)} is {name(value)}"
        )
    said += [f"held by {shown['holder']}"] if holder else []
    said += [f"each call{of(asked.tools)} approved by {voters(asked)}" for asked in approvals]
    said += [f"{describe_limit(one)}{of(one.tools)}{refunded(one)}" for _, one in block.limits]
    said += [f"each call{of(of_)} while nothing of {name(one)} has been seen" for one, of_ in block.clear]
    for check in block.attested:
        if check[0].label not in (HOLDER, APPROVED):
            said.append(
                f"where ed25519/{check[0].key.hex()} states {name(check[0].label)} {name(check[0].value)}"
            )
    said += [f"activated by ed25519/{key.hex()}" for key in block.activators]
    lines = [(1, f"block {index}, {words}"), *((2, one) for one in said)]
    for pattern in shown["grants"]:
        lines += [(2, f"{'or' if place else 'only'} {one}") for place, one in enumerate(pattern)]
    return shown, lines if len(lines) > 1 else [*lines, (2, "takes nothing away")]
