"""Read the conditions beside the grants of a grant file (`reader`): limits, approvals, exposure."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ...keys.keys import PublicKey
from ..approvals import ApprovalRule, approved_by
from ..durations import parse_duration
from ..exposure import NoExposure, clear_of
from ..limits import Limit, limit
from .values import (
    build_at,
    require_boolean,
    require_integer,
    require_number,
    require_string,
    require_strings,
    require_table,
)

__all__ = ["read_approval", "read_clear", "read_limit"]


def read_limit(data: object, at: str) -> Limit:
    """Read a table of ``[[limit]]``.

    Raises:
        ValueError: the table does not state a limit; the message begins with ``at``.
    """
    known = {"calls", "sum_of", "at_most", "places", "per", "of", "refund", "budget"}
    table = require_table(data, at, known)
    options: dict[str, object] = {
        name: require_integer(table[name], f"{at}: {name}") for name in ("calls", "places") if name in table
    }
    if "at_most" in table:
        options["at_most"] = require_number(table["at_most"], f"{at}: at_most")
    options |= {n: require_string(table[n], f"{at}: {n}") for n in ("sum_of", "budget") if n in table}
    if "per" in table:
        options["per"] = build_at(f"{at}: per", parse_duration, require_string(table["per"], f"{at}: per"))
    if "refund" in table:
        options["refund"] = require_boolean(table["refund"], f"{at}: refund")
    return build_at(at, limit, **options, **_tools(table, at))


def read_approval(
    data: object, at: str, constraints: Callable[[object, str], Mapping[str, object]]
) -> ApprovalRule:
    """Read a table of ``[[approval]]``.

    Args:
        data: the table.
        at: its place, for messages.
        constraints: reads a table of constraints by argument.

    Raises:
        ValueError: the table does not state an approval rule; the message begins with ``at``.
    """
    table = require_table(data, at, {"keys", "need", "of", "unless"})
    texts = require_strings(table.get("keys"), f"{at}: keys")
    keys = [build_at(f"{at}: keys", PublicKey.parse, text) for text in texts]
    if any(key.algorithm != "ed25519" for key in keys):
        raise ValueError(f"{at}: keys: an approver's key must be an Ed25519 key")
    options: dict[str, object] = {}
    if "need" in table:
        options["need"] = require_integer(table["need"], f"{at}: need")
    if "unless" in table:
        options["unless"] = constraints(table["unless"], f"{at}: unless")
    return build_at(at, approved_by, *keys, **options, **_tools(table, at))


def read_clear(data: object, at: str) -> NoExposure:
    """Read a table of ``[[clear]]``.

    Raises:
        ValueError: the table does not state labels; the message begins with ``at``.
    """
    table = require_table(data, at, {"labels", "of"})
    return build_at(at, clear_of, *require_strings(table.get("labels"), f"{at}: labels"), **_tools(table, at))


def _tools(table: dict[str, object], at: str) -> dict[str, object]:
    """Return the option ``tools`` of a condition, if its table has the field ``of``."""
    return {"tools": require_strings(table["of"], f"{at}: of")} if "of" in table else {}
