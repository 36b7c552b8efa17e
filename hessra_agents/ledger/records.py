"""Records: what a log says of a decision, an outcome, a revocation or a vote.

A record is canonical JSON. It holds no arguments, only keyed hashes of each argument and of the whole call,
under a salt of its own. The salt, with the arguments if the operator keeps them, is the record's *opening*,
kept beside the log: once it is erased, the log verifies as before and says nothing of what the call carried.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from typing import Any

from ..call.call import Call
from ..call.canonical import Json, encode
from ..tokens.capability import Capability
from ..tokens.describe import is_vouched
from ..verify.permit import Permit
from .approval_requests import ApprovalRequest, ApprovalVote
from .model import CountedRefusals, DeniedCall, Outcome
from .revocations import Revocation

__all__ = [
    "MAX_RECORD",
    "SALT",
    "Opening",
    "argument_hash",
    "commitment",
    "counted_record",
    "denial_record",
    "keyed_hash",
    "matches",
    "outcome_record",
    "permit_record",
    "revocation_record",
    "time_of",
    "vote_record",
]

MAX_RECORD = 65_535
"""Bytes of a record (C2SP tlog-tiles: an entry's length is a uint16)."""

SALT = 16
"""Bytes of a salt."""

_AT = re.compile(rb'[{,]"at":(\d{1,18})[,}]')  # an argument named "at" has a string there, its hash
_MAX_NAMES = 32
_MAX_TEXT = 256
_PLAIN = json.JSONEncoder(ensure_ascii=False, check_circular=False, sort_keys=True, separators=(",", ":"))

Opening = bytes
"""A salt and, if they are kept, the arguments of the call as canonical JSON."""


def commitment(opening: Opening) -> str:
    """Return what a record says of its opening, so that no other opens it: BLAKE2b, 16 bytes in hex."""
    return hashlib.blake2b(opening, digest_size=16).hexdigest()


def keyed_hash(salt: bytes, text: bytes) -> str:
    """Return BLAKE2b of the text under the salt (RFC 7693), 16 bytes in hex."""
    return hashlib.blake2b(text, key=salt, digest_size=16).hexdigest()


def permit_record(permit: Permit, operation_id: bytes, *, keep_arguments: bool) -> tuple[bytes, Opening]:
    """Return the record of a decision to permit a call, and its opening."""
    fields: dict[str, Any] = {
        "verdict": "permitted",
        "audience": permit.audience,
        **_agent(permit.capability),
        "blocks": list(permit.ids),
    }
    if permit.holder:
        fields["holder"] = _key(permit.holder)
    if permit.charges:
        fields["charges"] = [
            {
                "counter": one.counter.hex(),
                "amount": one.amount,
                "limit": one.words,
                "at_most": one.at_most,
                "window": one.window,
                "places": one.places,
            }
            for one in permit.charges
        ]
    if permit.approvers:
        fields["approved_by"] = [_key(key) for key in permit.approvers]
    return _decision(operation_id, permit.time, permit.call, fields, keep_arguments=keep_arguments)


def denial_record(refused: DeniedCall, operation_id: bytes, *, keep_arguments: bool) -> tuple[bytes, Opening]:
    """Return the record of a decision to refuse a call, and its opening."""
    denied, capability = refused.denied, refused.capability
    fields: dict[str, Any] = {
        "verdict": str(denied.reason),
        "audience": refused.audience,
        "detail": _cut(denied.detail),
        "text": _cut(denied.text),
    }
    if capability is not None:
        fields |= {**_agent(capability), "blocks": list(capability.ids)}
        fields |= {"holder": _key(capability.holder.key) if capability.holder else None}
    if refused.call is None:
        fields |= {"object": _cut(f"tool:{denied.tool}")}
    return _decision(
        operation_id,
        refused.time,
        refused.call,
        {k: v for k, v in fields.items() if v or v is False},
        keep_arguments=keep_arguments,
    )


def _agent(capability: Capability) -> dict[str, Any]:
    """Return who used a capability: its subject, and the name of its holder where a delegation gave one."""
    if capability.name == capability.subject:
        return {"subject": capability.subject}
    named = {"subject": capability.subject, "known_as": _cut(capability.name)}
    return named if is_vouched(capability.blocks) else {**named, "vouched": False}


def counted_record(refused: CountedRefusals, operation_id: bytes) -> tuple[bytes, Opening]:
    """Return one record of several refusals, and its opening; of what was sent it holds nothing."""
    denied = refused.refused.denied
    fields: dict[str, Any] = {"verdict": str(denied.reason), "audience": refused.refused.audience}
    fields |= {"detail": _cut(denied.detail), "text": _cut(denied.text), "object": _cut(refused.called)}
    fields = {name: value for name, value in fields.items() if value}
    if refused.count > 1:
        fields |= {"count": refused.count, "first": refused.first, "last": refused.refused.time}
    return _decision(operation_id, refused.refused.time, None, fields, keep_arguments=False)


def _decision(
    operation_id: bytes, time: int, call: Call | None, fields: Mapping[str, Any], *, keep_arguments: bool
) -> tuple[bytes, Opening]:
    salt = os.urandom(SALT)
    record: dict[str, Any] = {"kind": "decision", "op": operation_id.hex(), "at": time, **fields}
    if call is not None:
        record |= {
            "object": call.resource,
            "operation": call.operation,
            "call": keyed_hash(salt, call.digest),
        }
        record["arguments"] = _arguments(salt, call)
    opening = salt + (call.canonical_json if keep_arguments and call is not None else b"")
    record["opening"] = commitment(opening)
    return _encoded(record), opening


def _arguments(salt: bytes, call: Call) -> dict[str, str] | str:
    values = call.values
    if len(values) > _MAX_NAMES:
        return f"{len(values)} arguments"
    return {name: argument_hash(salt, name, value) for name, value in values.items()}


def argument_hash(salt: bytes, name: str, value: Json) -> str:
    """Return what a record says of one argument of its call."""
    return keyed_hash(salt, name.encode() + b"\0" + encode(value))


def time_of(body: bytes) -> int | None:
    """Return the time that a record states (Unix seconds), without parsing it; None if it states none."""
    found = _AT.search(body)
    return int(found[1]) if found else None


def outcome_record(operation_id: bytes, time: int, outcome: Outcome) -> bytes:
    """Return the record of how a permitted call ended."""
    return f'{{"at":{time},"kind":"outcome","op":"{operation_id.hex()}","outcome":"{outcome}"}}'.encode()


def revocation_record(
    revocation: Revocation, epoch: int, reason: str, operation_id: bytes, time: int
) -> bytes:
    """Return the record of a revocation."""
    fields = {
        "what": revocation.kind,
        "target": _cut(revocation.description),
        "epoch": epoch,
        "reason": _cut(reason),
    }
    return _encoded({"kind": "revocation", "op": operation_id.hex(), "at": time, **fields})


def vote_record(request: ApprovalRequest, vote: ApprovalVote, operation_id: bytes, time: int) -> bytes:
    """Return the record of an approver's vote."""
    fields = {"request": request.id, "by": str(vote.key), "approves": vote.approves, "reason": vote.reason}
    fields |= {"subject": request.subject, "object": request.resource, "operation": request.operation}
    fields |= {} if request.known_as is None else {"known_as": _cut(request.known_as)}
    return _encoded({"kind": "vote", "op": operation_id.hex(), "at": time, **fields})


def matches(fields: Mapping[str, Any], opening: Opening | None, name: str, value: Json) -> bool:
    """Return whether a record's call carried this value as this argument; False if the salt was erased."""
    hashes = fields.get("arguments")
    if opening is None or not isinstance(hashes, dict):
        return False
    return hashes.get(name) == argument_hash(opening[:SALT], name, value)


def _key(data: bytes) -> str:
    return f"ed25519/{data.hex()}"  # as `PublicKey` writes it, without checking once more that it is a key


def _cut(text: str) -> str:
    return text if len(text) <= _MAX_TEXT else text[: _MAX_TEXT - 1] + "…"


def _encoded(record: Mapping[str, Any]) -> bytes:
    named = record.get("arguments")
    # without floats, and with ASCII names, JSON has one form, which the standard encoder writes faster
    plain = not isinstance(named, dict) or "".join(named).isascii()
    body = _PLAIN.encode(record).encode() if plain else encode(dict(record))
    if len(body) > MAX_RECORD:
        # only names of blocks and arguments can be that long; it matters more that the decision is recorded
        short = {key: value for key, value in record.items() if key not in ("arguments", "blocks", "charges")}
        body = encode(short)
    return body
