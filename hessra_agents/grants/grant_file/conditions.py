"""What stands beside the grants in a grant file (`grantfile`): limits, approvals, exposure."""

from __future__ import annotations

from ...cli.inputs import duration
from ...keys.keys import PublicKey
from ..approvals import ApprovalRule, approved_by
from ..exposure import NoExposure, clear_of
from ..limits import Limit, limit
from .values import a_list, a_number, a_table, a_truth, build_at, require_text

__all__ = ["read_approval", "read_clear", "read_limit"]


def read_limit(data: object, at: str) -> Limit:
    """A table of ``[[limit]]``."""
    found = a_table(data, at, {"calls", "sum_of", "at_most", "per", "of", "refund"})
    told: dict[str, object] = {
        n: a_number(found[n], f"{at}: {n}") for n in ("calls", "at_most") if n in found
    }
    if "sum_of" in found:
        told["sum_of"] = require_text(found["sum_of"], f"{at}: sum_of")
    if "per" in found:
        told["per"] = duration(require_text(found["per"], f"{at}: per"), f"{at}: per")
    if "refund" in found:
        told["refund"] = a_truth(found["refund"], f"{at}: refund")
    return build_at(at, limit, **told, **_of(found, at))


def read_approval(data: object, at: str) -> ApprovalRule:
    """A table of ``[[approval]]``."""
    found = a_table(data, at, {"keys", "need", "of"})
    texts = [require_text(one, f"{at}: keys") for one in a_list(found.get("keys"), f"{at}: keys")]
    keys = [build_at(f"{at}: keys", PublicKey.parse, one) for one in texts]
    if any(key.algorithm != "ed25519" for key in keys):
        raise ValueError(f"{at}: keys: an approver's key is an Ed25519 key")
    told: dict[str, object] = {"need": a_number(found["need"], f"{at}: need")} if "need" in found else {}
    return build_at(at, approved_by, *keys, **told, **_of(found, at))


def read_clear(data: object, at: str) -> NoExposure:
    """A table of ``[[clear]]``."""
    found = a_table(data, at, {"labels", "of"})
    labels = [require_text(one, f"{at}: labels") for one in a_list(found.get("labels"), f"{at}: labels")]
    return build_at(at, clear_of, *labels, **_of(found, at))


def _of(found: dict[str, object], at: str) -> dict[str, object]:
    """The tools that a condition is of, if it says."""
    if "of" not in found:
        return {}
    return {"tools": [require_text(one, f"{at}: of") for one in a_list(found["of"], f"{at}: of")]}
