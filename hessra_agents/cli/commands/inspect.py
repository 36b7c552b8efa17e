"""The command ``inspect``: describe a capability, block by block."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .. import inputs
from ..options import Json, LedgerOptions, MaybeTrust, Token, with_ledger
from ..terminal import CommandResult

if TYPE_CHECKING:
    from ...tokens.admission import Block

__all__ = ["inspect"]


@with_ledger
def inspect(
    ledger: LedgerOptions, token: Token = None, trust: MaybeTrust = None, json: Json = False
) -> CommandResult:
    """Describe what a capability allows, block by block.

    Shows what the issuer granted, what each later block took away, and how much time is left. Without
    --trust the signatures are not checked, and the first line says so. With --ledger, also shows whether it
    is revoked and what is left of its limits.
    """
    from ...grants.describe import safe_word
    from ..ledger_answers import known_status, status_fields, status_lines
    from ..token_view import TokenView, format_duration, format_time

    place = ledger.optional_location()
    found = TokenView.of(inputs.token(token), trust)
    known = known_status(place, found)
    now = inputs.now()
    fields = {**found.fields(now), **status_fields(known)}
    holder = f"held by {found.holder}" if found.holder else "usable by any bearer"
    time = f"expires in {format_duration(found.expires - now)}" if found.expires > now else "expired"
    lines = [
        (0, found.note),
        (0, f"{found.agent}, {holder}, {time} ({format_time(found.expires)})"),
        *(status_lines(known, found) if known else []),
        (0, "allows " + (", ".join(map(safe_word, fields["tools"])) or "nothing")),
    ]
    blocks = []
    before = {resource for _, resource, _ in found.blocks[0].rights}
    for index, after in enumerate(found.reachable()):
        shown, described = _block(found.blocks[: index + 1], sorted(before - after))
        blocks.append(shown)
        lines += described
        before = after
    lines += [] if known else status_lines(known, found)
    return CommandResult({**fields, "blocks": blocks}, lines, as_json=json)


def _block(chain: tuple[Block, ...], dropped: list[str]) -> tuple[dict[str, Any], list[tuple[int, str]]]:
    """Return the last block of a chain for a program, and as lines for a person."""
    from ...grants.describe import describe_limit, safe_word
    from ...tokens.admission import ANCHOR, APPROVED, HOLDER
    from ...tokens.describe import (
        IDLE,
        approvals_of,
        grant_lines,
        hops_line,
        name_line,
        only_to_line,
        refunded,
        voters,
    )
    from ...tokens.revocation_ids import agent_name
    from ..token_view import author, format_object, format_time, tool_names

    def names(objects: frozenset[str] | None) -> list[str] | None:
        return None if objects is None else tool_names(objects)

    def of(objects: frozenset[str] | None) -> str:
        return "" if objects is None else f" of {', '.join(map(format_object, sorted(objects)))}"

    index, block = len(chain) - 1, chain[-1]
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
        "known_as": None if block.known_as is None else agent_name(chain),
        "hops": block.hops,
        "idle": block.idle,
        "only_to": None if block.only_to is None else [f"ed25519/{key}" for key in sorted(block.only_to)],
        "designations": [{"label": label, "value": value} for label, value in block.designations],
        "approvals": [
            {
                "keys": list(one.keys),
                "need": one.need,
                "of": names(one.of.tools),
                "unless": one.unless or None,
            }
            for one in approvals
        ],
        "limits": [
            {
                "counts": "calls" if one.argument is None else "sum",
                "argument": one.argument,
                "most": one.at_most,
                "places": one.places,
                "window": one.window or None,
                "of": names(one.tools),
                "refund": one.refund,
                "budget": one.budget,
            }
            for _, one in block.limits
        ],
        "clear_of": [{"labels": labels, "of": names(objects)} for labels, objects in block.clear],
        "drops": tool_names(dropped),
        "grants": list(grant_lines(block)),
    }
    rights = [
        format_object(resource)
        if operation == "invoke"
        else f"{safe_word(operation)} {format_object(resource)}"
        for _, resource, operation in block.rights
    ]
    said = [f"grants {', '.join(rights)}"] if rights else []
    said += [f"drops {', '.join(map(format_object, dropped))}"] if dropped else []
    said += [f"issued {format_time(issued)}"] if issued is not None else []
    said += [f"not before {format_time(start)}"] if start is not None else []
    said += [f"expires {format_time(block.expires)}"] if block.expires is not None else []
    for label, value in block.designations:
        word = safe_word(value)
        said.append(f"audience {word}" if label == ANCHOR else f"only where {safe_word(label)} is {word}")
    said += [f"holder {shown['holder']}"] if holder else []
    said += [] if block.known_as is None else [name_line(chain)]
    said += [] if block.hops is None else [hops_line(block.hops)]
    said += [] if block.only_to is None else [only_to_line(block.only_to)]
    said += [IDLE] if block.idle else []
    for one in approvals:
        unless = f", unless {one.unless}" if one.unless else ""
        said.append(f"each call{of(one.of.tools)} requires approval by {voters(one)}{unless}")
    said += [f"{describe_limit(one)}{of(one.tools)}{refunded(one)}" for _, one in block.limits]
    said += [
        f"no call{of(of_)} once the session has seen anything labeled {safe_word(seen)}"
        for seen, of_ in block.clear
    ]
    for check in block.attested:
        if check[0].label not in (HOLDER, APPROVED):
            statement = f"{safe_word(check[0].label)} is {safe_word(check[0].value)}"
            said.append(f"only where ed25519/{check[0].key.hex()} states that {statement}")
    said += [f"requires activation by ed25519/{key.hex()}" for key in block.activators]
    lines = [(1, f"block {index}, {words}"), *((2, one) for one in said)]
    lines += [(2, f"{'or' if place else 'only'} {one}") for place, one in enumerate(shown["grants"])]
    return shown, lines if len(lines) > 1 else [*lines, (2, "adds no restriction")]
