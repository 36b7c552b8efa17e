"""Records: what a log says of a decision, an outcome, a revocation.

A record is canonical JSON. What a call carried is not in it, only keyed hashes: of each argument, and of the
call as a whole, under a salt of that one record. The salt (and, where the operator wants it, the arguments
in clear) is the record's *opening*, kept beside the log: whoever erases it leaves a log that verifies as
before and says nothing more of what the call carried.
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
from .protocol import DeniedCall, Outcome
from .revocations import Revocation

__all__ = [
    "MAX_RECORD",
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

_SALT = 16
_MOST_NAMES = 32
_LONGEST = 256
_PLAIN = json.JSONEncoder(ensure_ascii=False, check_circular=False, sort_keys=True, separators=(",", ":"))

Opening = bytes
"""A salt of 16 bytes, and after it, if they are kept, the call's arguments as canonical JSON."""


def commitment(opening: Opening) -> str:
    """What a record says of its opening, so that another one does not open it: BLAKE2b, 16 bytes in hex."""
    return hashlib.blake2b(opening, digest_size=16).hexdigest()


def keyed_hash(salt: bytes, text: bytes) -> str:
    """BLAKE2b of the text under the salt (RFC 7693), 16 bytes in hex."""
    return hashlib.blake2b(text, key=salt, digest_size=16).hexdigest()


def permit_record(permit: Permit, operation_id: bytes, *, keep_arguments: bool) -> tuple[bytes, Opening]:
    """The decision to permit a call."""
    said: dict[str, Any] = {
        "verdict": "permitted",
        "audience": permit.audience,
        "subject": permit.subject,
        "blocks": list(permit.ids),
    }
    if permit.holder:
        said["holder"] = permit.holder.hex()
    if permit.charges:
        said["charges"] = [{"counter": one.counter.hex(), "amount": one.amount} for one in permit.charges]
    if permit.approvers:
        said["approved_by"] = [key.hex() for key in permit.approvers]
    return _decision(operation_id, permit.time, permit.call, said, keep_arguments=keep_arguments)


def denial_record(refusal: DeniedCall, operation_id: bytes, *, keep_arguments: bool) -> tuple[bytes, Opening]:
    """The decision to refuse a call."""
    denied, capability = refusal.denied, refusal.capability
    said: dict[str, Any] = {
        "verdict": str(denied.reason),
        "audience": refusal.audience,
        "detail": _cut(denied.detail),
        "text": _cut(denied.text),
    }
    if capability is not None:
        said |= {"subject": capability.subject, "blocks": list(capability.ids)}
        said |= {"holder": capability.holder.key.hex() if capability.holder else None}
    if refusal.call is None:
        said |= {"object": _cut(f"tool:{denied.tool}")}
    return _decision(
        operation_id,
        refusal.time,
        refusal.call,
        {k: v for k, v in said.items() if v},
        keep_arguments=keep_arguments,
    )


def _decision(
    operation_id: bytes, time: int, call: Call | None, said: Mapping[str, Any], *, keep_arguments: bool
) -> tuple[bytes, Opening]:
    salt = os.urandom(_SALT)
    record: dict[str, Any] = {"kind": "decision", "op": operation_id.hex(), "at": time, **said}
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
    if len(values) > _MOST_NAMES:
        return f"{len(values)} arguments"
    return {name: keyed_hash(salt, name.encode() + b"\0" + encode(value)) for name, value in values.items()}


def outcome_record(operation_id: bytes, time: int, outcome: Outcome) -> bytes:
    """What became of a permitted call."""
    return f'{{"at":{time},"kind":"outcome","op":"{operation_id.hex()}","outcome":"{outcome}"}}'.encode()


def revocation_record(
    revocation: Revocation, epoch: int, reason: str, operation_id: bytes, time: int
) -> bytes:
    """That something was taken back."""
    said = {
        "what": revocation.kind,
        "target": _cut(revocation.description),
        "epoch": epoch,
        "reason": _cut(reason),
    }
    return _encoded({"kind": "revocation", "op": operation_id.hex(), "at": time, **said})


def vote_record(request: ApprovalRequest, vote: ApprovalVote, operation_id: bytes, time: int) -> bytes:
    """What an approver said of a request."""
    said = {"request": request.id, "by": str(vote.key), "approves": vote.approves}
    return _encoded({"kind": "vote", "op": operation_id.hex(), "at": time, **said})


def matches(body: bytes, opening: Opening | None, name: str, value: Json) -> bool:
    """Whether a record's call carried this value as this argument; False too where its salt was erased."""
    record = parse(body)
    hashes = record.get("arguments") if isinstance(record, dict) else None
    if opening is None or not isinstance(hashes, dict):
        return False
    return hashes.get(name) == keyed_hash(opening[:_SALT], name.encode() + b"\0" + encode(value))


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def _encoded(record: Mapping[str, Any]) -> bytes:
    named = record.get("arguments")
    # without floats, and with names in ASCII, JSON has one form, which its own encoder writes faster
    plain = not isinstance(named, dict) or "".join(named).isascii()
    body = _PLAIN.encode(record).encode() if plain else encode(dict(record))
    if len(body) > MAX_RECORD:
        # nothing is that long but the names of blocks and arguments: what matters is that it is recorded
        short = {key: value for key, value in record.items() if key not in ("arguments", "blocks", "charges")}
        body = encode(short)
    return body
