"""Records: what a log says of a decision, an outcome, a revocation or a vote.

A record is canonical JSON. It holds no arguments, only keyed hashes of each argument and of the whole call,
under a salt of its own. The salt, with the arguments if the operator keeps them, is the record's *opening*,
kept beside the log: once it is erased, the log verifies as before and says nothing of what the call carried.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from typing import Any

from ..call.call import Call
from ..call.canonical import Json, encode, parse
from ..verify.permit import Permit
from .approval_requests import ApprovalRequest, ApprovalVote
from .model import DeniedCall, Outcome
from .revocations import Revocation

__all__ = [
    "MAX_RECORD",
    "SALT",
    "Opening",
    "commitment",
    "denial_record",
    "keyed_hash",
    "matches",
    "outcome_record",
    "permit_record",
    "revocation_record",
    "vote_record",
]

MAX_RECORD = 65_535
"""Bytes of a record (C2SP tlog-tiles: an entry's length is a uint16)."""

SALT = 16
"""Bytes of a salt."""

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
        "subject": permit.subject,
        "blocks": list(permit.ids),
    }
    if permit.holder:
        fields["holder"] = permit.holder.hex()
    if permit.charges:
        fields["charges"] = [{"counter": one.counter.hex(), "amount": one.amount} for one in permit.charges]
    if permit.approvers:
        fields["approved_by"] = [key.hex() for key in permit.approvers]
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
        fields |= {"subject": capability.subject, "blocks": list(capability.ids)}
        fields |= {"holder": capability.holder.key.hex() if capability.holder else None}
    if refused.call is None:
        fields |= {"object": _cut(f"tool:{denied.tool}")}
    return _decision(
        operation_id,
        refused.time,
        refused.call,
        {k: v for k, v in fields.items() if v},
        keep_arguments=keep_arguments,
    )


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
    return {name: keyed_hash(salt, name.encode() + b"\0" + encode(value)) for name, value in values.items()}


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
    fields = {"request": request.id, "by": str(vote.key), "approves": vote.approves}
    return _encoded({"kind": "vote", "op": operation_id.hex(), "at": time, **fields})


def matches(body: bytes, opening: Opening | None, name: str, value: Json) -> bool:
    """Return whether a record's call carried this value as this argument; False if the salt was erased."""
    record = parse(body)
    hashes = record.get("arguments") if isinstance(record, dict) else None
    if opening is None or not isinstance(hashes, dict):
        return False
    return hashes.get(name) == keyed_hash(opening[:SALT], name.encode() + b"\0" + encode(value))


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
