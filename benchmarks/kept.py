"""Results that are kept: of each kind one file a day. The newest counts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from . import machine

__all__ = ["COST", "EFFICACY", "ESCALATION", "keep", "newest"]

RESULTS = Path(__file__).parent / "results"

COST, EFFICACY, ESCALATION = "", "efficacy-", "escalation-"
"""How the names of a kind begin; the date follows."""


def newest(kind: str) -> dict[str, Any]:
    """The newest results of a kind.

    Raises:
        ValueError: there are none.
    """
    found: dict[str, Any] = json.loads(max(RESULTS.glob(f"{kind}[0-9]*.json")).read_text("utf-8"))
    return found


def keep(found: Mapping[str, Any], kind: str, target: Path | None = None) -> Path:
    """Write results, as those of today if no other file is named."""
    path = target or RESULTS / f"{kind}{machine.now()['date'][:10]}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    return path
